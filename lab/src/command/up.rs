//! `egress-lab up`: a supervisor in the background that holds the mesh and watches the policy file.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use egress_lab::envoy::Options;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::mesh::Mesh;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{ConnectMode, Kind, Listener, Shape};
use egress_lab::sidecar::Workload;
use egress_lab::supervisor::{End, launch};
use serde_json::Value;

use super::state::State;

/// The workloads of the scenarios that are fun to be.
const WORKLOADS: [&str; 6] = [
    "demo-frontend/sleep",
    "default/sleep",
    "otherns/sleep",
    "mytest/sleep-a",
    "bookinfo/bookinfo-productpage",
    "bookinfo/bookinfo-reviews",
];

/// How long the mesh may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Written where there is no policy yet: scenario `deny-host-in-every-spelling`.
const FIRST_POLICY: &str = "\
# The filter's configuration (pluginConfig). Save this file and it is in force at once; mistakes appear in mesh.log.
defaultAction: ALLOW
policies:
- name: frontend-not-to-aliyun
  action: DENY
  rules:
  - from: [{source: {namespaces: [demo-frontend]}}]
    to: [{operation: {hosts: [www.aliyun.com]}}]
";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Stay in the foreground until interrupted
    #[arg(long)]
    foreground: bool,
    /// The first workload's HTTP port; the next ones count on (TCP from ten above). Without it, free ports are chosen
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Log level of the gateway's filter (its audit lines are warnings)
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log_level: String,
    /// The filter; by default what `make build` leaves
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let state = State::open()?;
    if let Some(pid) = state.supervisor().filter(|pid| u32::try_from(*pid) != Ok(std::process::id())) {
        bail!("a mesh is up already (process {pid}): `make down` first");
    }
    if !state.policy().is_file() {
        fs::write(state.policy(), FIRST_POLICY)?;
    }
    if arguments.foreground { supervise(&state, arguments) } else { detach(&state, arguments) }
}

/// Starts the supervisor in a process group of its own and waits until its mesh is up.
fn detach(state: &State, arguments: &Arguments) -> Result<ExitCode> {
    // Installing is done here, where its progress can be seen.
    EnvoyBinary::find()?;
    state.clear();
    let mut command: Vec<OsString> =
        ["up", "--foreground", "--log-level", &arguments.log_level].map(OsString::from).to_vec();
    if let Some(port) = arguments.port {
        command.extend(["--port".into(), port.to_string().into()]);
    }
    if let Some(wasm) = &arguments.wasm {
        command.extend(["--wasm".into(), wasm.into()]);
    }
    print!("{}", launch(&command, &state.log(), &state.hints(), PATIENCE)?);
    Ok(ExitCode::SUCCESS)
}

fn supervise(state: &State, arguments: &Arguments) -> Result<ExitCode> {
    fs::write(state.pid_file(), std::process::id().to_string())?;
    let end = End::on_signals()?;
    let wasm = match &arguments.wasm {
        Some(path) => path.clone(),
        None => paths::filter_wasm()?,
    };
    let mut policy = fs::read_to_string(state.policy())?;
    let mut mesh = start(&policy, &wasm, arguments)?;
    fs::write(state.dir.join("public-ca.crt"), mesh.public().certificate())?;
    let hints = hints(&mesh, state)?;
    // Renamed into place: whoever waits for the file reads all of it.
    fs::write(state.dir.join("hints.draft"), &hints)?;
    fs::rename(state.dir.join("hints.draft"), state.hints())?;
    if arguments.foreground {
        print!("{hints}");
    }
    let mut shown = mesh.gateway().envoy().log().len();
    while !end.is_wanted() {
        sleep(Duration::from_millis(200));
        shown = pass_on(&mesh, shown)?;
        if !mesh.gateway_mut().envoy_mut().is_running() {
            state.clear();
            bail!("the gateway's Envoy has ended");
        }
        let now = fs::read_to_string(state.policy()).unwrap_or_default();
        if now != policy {
            reload(&mut mesh, &now)?;
            policy = now;
        }
    }
    state.clear();
    Ok(ExitCode::SUCCESS)
}

fn start(policy: &str, wasm: &Path, arguments: &Arguments) -> Result<Mesh> {
    let binary = EnvoyBinary::find()?;
    let document: Value = yaml_serde::from_str(policy).context("the policy file is no YAML")?;
    let filter = Filter::Wasm(Wasm::new(wasm.to_path_buf(), &document));
    let mut tcp = Listener::new(Kind::Mtls443, filter.clone());
    if binary.has_connect_modes() {
        tcp.connect_mode = Some(ConnectMode::OnDownstreamTlsHandshake);
    }
    let shape = Shape::new(vec![
        Listener::new(Kind::Mtls80, filter.clone()),
        tcp,
        Listener::new(Kind::Pass444, filter),
    ]);
    let mut workloads: Vec<Workload> = WORKLOADS.iter().map(|who| Workload::new(who)).collect();
    if let Some(first) = arguments.port {
        for (workload, offset) in workloads.iter_mut().zip(0..) {
            workload.http_port = first.saturating_add(offset);
            workload.tcp_port = first.saturating_add(10 + offset);
        }
    }
    let options =
        Options { component_log_level: format!("wasm:{}", arguments.log_level), ..Options::default() };
    Mesh::start_with(&binary, &shape, &workloads, &options)
}

fn reload(mesh: &mut Mesh, policy: &str) -> Result<()> {
    let document: Value = match yaml_serde::from_str(policy) {
        Ok(document) => document,
        Err(error) => {
            println!("policy.yaml is no YAML, the old one stays: {error}");
            return Ok(());
        }
    };
    match mesh.gateway_mut().set_policy(&document)? {
        Update::Applied => println!("policy.yaml is in force"),
        // Why is in Envoy's log, which is passed on.
        Update::Rejected(_) => println!("policy.yaml was refused, the old one stays; why is said below"),
    }
    Ok(())
}

/// Copies what is new in the gateway's log.
fn pass_on(mesh: &Mesh, shown: usize) -> Result<usize> {
    let log = mesh.gateway().envoy().log();
    if let Some(new) = log.get(shown..).filter(|new| !new.is_empty()) {
        print!("{new}");
        std::io::stdout().flush()?;
    }
    Ok(log.len())
}

fn hints(mesh: &Mesh, state: &State) -> Result<String> {
    let mut text =
        String::from("The mesh is up. Each workload's sidecar listens on a port of its own; try:\n\n");
    for who in WORKLOADS {
        let http = mesh.sidecars()?.http(who)?;
        text.push_str(&format!("  # as {who}\n  curl -sS -i -H 'Host: www.aliyun.com' http://{http}/\n"));
    }
    let tls = mesh.sidecars()?.tcp("demo-frontend/sleep", "mtls443")?;
    text.push_str(&format!(
        "\n  # as demo-frontend/sleep, the application speaking TLS itself (mTLS 443)\n  curl -sS -i --cacert {ca} --connect-to ::{tls} https://www.aliyun.com/\n",
        ca = state.dir.join("public-ca.crt").display()
    ));
    text.push_str(&format!(
        "\n  # TLS that the gateway does not end (pass 444): no identity\n  curl -sS -i --cacert {ca} --connect-to ::{pass} https://www.aliyun.com/\n",
        ca = state.dir.join("public-ca.crt").display(),
        pass = mesh.gateway().address("pass444")?
    ));
    text.push_str(&format!(
        "\n  policy      {}   (edit it: it is reloaded)\n  log         {}\n  access log  {}\n  admin       http://{}/   (metrics: /stats/prometheus)\n\nEnd it with `make down`.\n",
        state.policy().display(),
        state.log().display(),
        mesh.gateway().access_log().path().display(),
        mesh.gateway().envoy().admin(),
    ));
    Ok(text)
}
