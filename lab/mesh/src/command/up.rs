//! `egress-mesh up`: a supervisor in the background that holds the mesh.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use egress_lab::provision::EnvoyBinary;
use egress_mesh::mesh::{Mesh, Options};
use egress_mesh::play::deployed;
use egress_mesh::programs::Programs;

use super::state::State;

/// How long the mesh may take to come up, its programs being there.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Stay in the foreground until interrupted
    #[arg(long)]
    foreground: bool,
    /// Only these workloads, as namespace/service-account
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    workloads: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let state = State::open()?;
    if arguments.foreground { supervise(&state, arguments) } else { detach(&state, arguments) }
}

/// Starts the supervisor in a process group of its own and waits until its mesh is up.
fn detach(state: &State, arguments: &Arguments) -> Result<ExitCode> {
    // Building and installing is done here, where progress can be seen.
    EnvoyBinary::find()?;
    Programs::provide()?;
    let _ = fs::remove_file(state.hints());
    let log = fs::File::create(state.log())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["up", "--foreground"]);
    if !arguments.workloads.is_empty() {
        command.args(["--workloads", &arguments.workloads.join(",")]);
    }
    let mut child =
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(hints) = fs::read_to_string(state.hints()) {
            print!("{hints}");
            return Ok(ExitCode::SUCCESS);
        }
        if child.try_wait()?.is_some() || Instant::now() > deadline {
            // It has not come up and shall not linger.
            let _ = child.kill();
            bail!("the mesh did not come up:\n{}", fs::read_to_string(state.log()).unwrap_or_default());
        }
        sleep(Duration::from_millis(50));
    }
}

fn supervise(state: &State, arguments: &Arguments) -> Result<ExitCode> {
    let end = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, end.clone())?;
    }
    let mut options = Options::stories()?;
    if !arguments.workloads.is_empty() {
        options.workloads.clone_from(&arguments.workloads);
    }
    let mut mesh = Mesh::start(&options)?;
    let documents = deployed(&mesh)?;
    mesh.replace(&documents)?;
    state.write(&mesh)?;
    if arguments.foreground {
        print!("{}", fs::read_to_string(state.hints())?);
    }
    while !end.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(100));
    }
    state.clear();
    Ok(ExitCode::SUCCESS)
}
