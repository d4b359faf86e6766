//! `egress-mesh up`: a supervisor in the background that holds the mesh.

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use egress_lab::provision::EnvoyBinary;
use egress_lab::supervisor::{End, launch};
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
    let mut command: Vec<OsString> = vec!["up".into(), "--foreground".into()];
    if !arguments.workloads.is_empty() {
        command.extend(["--workloads".into(), arguments.workloads.join(",").into()]);
    }
    print!("{}", launch(&command, &state.log(), &state.hints(), PATIENCE)?);
    Ok(ExitCode::SUCCESS)
}

fn supervise(state: &State, arguments: &Arguments) -> Result<ExitCode> {
    let end = End::on_signals()?;
    let mut options = Options::scenarios()?;
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
    while !end.is_wanted() {
        sleep(Duration::from_millis(100));
    }
    state.clear();
    Ok(ExitCode::SUCCESS)
}
