//! The scenarios that need a client of one's own.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use egress_lab::paths::repo_dir;
use egress_lab::scenario::{Gets, Request, Scenario, check};
use egress_lab::shape::{ConnectMode, Kind};
use egress_mesh::place::WORLD_BANNER;
use egress_mesh_tests::direct::Direct;
use egress_mesh_tests::{authority, rendered, set};
use serde_json::{Value, json};

use super::Inside;

pub(crate) fn domain_fronting(inside: &mut Inside) -> Result<()> {
    play(inside, "domain-fronting", &[])
}

pub(crate) fn one_rule_both_protocols(inside: &mut Inside) -> Result<()> {
    play(inside, "one-rule-both-protocols", &[])
}

/// The site that speaks first is behind the port that the gateway dials for TLS.
pub(crate) fn server_speaks_first(inside: &mut Inside) -> Result<()> {
    play(inside, "server-speaks-first", &["smtp.example.com"])
}

pub(crate) fn no_dial_before_the_verdict(inside: &mut Inside) -> Result<()> {
    play(inside, "no-dial-before-the-verdict", &[])
}

/// What a listener of a real gateway has one of, so that requests that want another are asked in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    connect: Option<ConnectMode>,
    native: bool,
    /// Whether the client sends the server name of a sidecar whose DestinationRule names none: a server takes it whose hosts are
    /// `*`.
    generated: bool,
}

// === impl Turn ===

impl Turn {
    fn of(request: &Request) -> Self {
        let generated = request.sni.as_deref().is_some_and(|name| name.starts_with(GENERATED));
        Self { connect: request.over.connect, native: request.over.native, generated }
    }
}

const GENERATED: &str = "outbound_";

pub(crate) fn scenario(name: &str) -> Result<Scenario> {
    let scenarios = Scenario::load_all(&repo_dir()?.join("tests/scenarios"))?;
    scenarios
        .into_iter()
        .find(|scenario| scenario.name == name)
        .with_context(|| format!("no scenario {name}"))
}

/// Plays a scenario; `greeting` are the hosts whose servers speak first.
fn play(inside: &mut Inside, name: &str, greeting: &[&str]) -> Result<()> {
    let scenario = scenario(name)?;
    let mut policy = json!({});
    let (mut problems, mut played) = (Vec::new(), 0);
    for step in &scenario.steps {
        if let Some(own) = &step.policy {
            policy.clone_from(own);
        }
        let mut turns: BTreeMap<Turn, Vec<&Request>> = BTreeMap::new();
        for request in &step.requests {
            turns.entry(Turn::of(request)).or_default().push(request);
        }
        for (turn, requests) in turns {
            let documents = documents(inside, &requests, &policy, turn, greeting)?;
            inside.mesh.replace(&documents).with_context(|| format!("{name}, {turn:?}"))?;
            for request in requests {
                played += 1;
                let found = ask(inside, request)?;
                if !found.is_empty() {
                    let over = &request.over.name;
                    problems.push(format!(
                        "{} over {over}: {}: {}",
                        request.who,
                        request.ask,
                        found.join("; ")
                    ));
                }
            }
        }
    }
    ensure!(problems.is_empty(), "of {played}:\n{}", problems.join("\n"));
    ensure!(played == scenario.requests().count(), "{played} were played");
    eprintln!("{name}: {played} requests");
    Ok(())
}

/// What is applied for a turn: sites, policy, and the listener's mode of dialling.
fn documents(
    inside: &Inside,
    requests: &[&Request],
    policy: &Value,
    turn: Turn,
    greeting: &[&str],
) -> Result<Vec<Value>> {
    let mut hosts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for request in requests {
        let over = if request.over.kind.kind() == Kind::Mtls80 { "HTTP" } else { "TLS" };
        let asked = request.ask.split_once("://").context("no URL")?.1.trim_end_matches('/');
        let own = hosts.entry(over).or_default();
        own.insert(asked);
        own.extend(request.sni.as_deref().filter(|name| !name.starts_with(GENERATED)));
    }
    let sites: Vec<Value> = hosts.iter().map(|(over, hosts)| json!({"hosts": hosts, "over": over})).collect();
    let mut documents = rendered(&inside.mesh, &json!({"sites": sites, "config": in_a_mesh(policy)}))?;
    for document in &mut documents {
        let host = document.pointer("/spec/hosts/0").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_site =
            document.get("kind") == Some(&json!("ServiceEntry")) && greeting.contains(&host.as_str());
        if let Some(port) =
            document.pointer_mut("/spec/ports/0").and_then(Value::as_object_mut).filter(|_| is_site)
        {
            port.insert("targetPort".to_owned(), json!(WORLD_BANNER));
        }
        if turn.generated && document.get("kind") == Some(&json!("Gateway")) {
            let servers = document.pointer_mut("/spec/servers").and_then(Value::as_array_mut);
            servers.into_iter().flatten().try_for_each(|server| set(server, "/hosts", json!(["*"])))?;
        }
    }
    set_mode(&mut documents, turn.connect)?;
    if turn.native {
        documents.retain(|document| document.get("kind") != Some(&json!("WasmPlugin")));
        documents.push(native(policy)?);
    }
    Ok(documents)
}

/// A scenario's policy. Where it only reports that outer and inner server name disagree, a real gateway has carried the connection
/// to the outer name's site, which `routeMismatch` refuses; the scenario is about the former.
fn in_a_mesh(policy: &Value) -> Value {
    let mut policy = policy.clone();
    if let Some(settings) =
        policy.as_object_mut().filter(|settings| settings.get("sniMismatch") == Some(&json!("DRY_RUN")))
    {
        settings.insert("routeMismatch".to_owned(), json!("ALLOW"));
    }
    policy
}

/// The listeners' mode; the late dial that `render` writes is the default.
fn set_mode(documents: &mut Vec<Value>, mode: Option<ConnectMode>) -> Result<()> {
    let Some(mode) = mode else { return Ok(()) };
    if mode == ConnectMode::Immediate {
        documents.retain(|document| document.get("kind") != Some(&json!("EnvoyFilter")));
        return Ok(());
    }
    let place = "/spec/configPatches/0/patch/value/typed_config/upstream_connect_mode";
    let filter = documents.iter_mut().find(|document| document.pointer(place).is_some());
    *filter.and_then(|filter| filter.pointer_mut(place)).context("no late dial")? =
        serde_json::to_value(mode)?;
    Ok(())
}

/// Istio's own policy that says the same as the scenario's.
fn native(policy: &Value) -> Result<Value> {
    let rules = policy.pointer("/policies/0/rules").context("no rules")?;
    Ok(json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "native", "namespace": "istio-system"},
        "spec": {"selector": {"matchLabels": {"istio": "egressgateway"}}, "rules": rules},
    }))
}

/// Asks, and tells what is not as the scenario says.
pub(crate) fn ask(inside: &Inside, request: &Request) -> Result<Vec<String>> {
    let mesh = &inside.mesh;
    let gateway = mesh.gateway()?;
    let log = gateway.access_log();
    let mark = log.mark();
    let before = mesh.world().seen();
    let address = |kind: Kind| authority::at(gateway, listener_port(kind));
    let direct =
        Direct { mesh: &inside.authority, public: mesh.public(), world: mesh.world(), gateway: &address };
    let (what, answer) =
        mesh.pod(&request.who).or_else(|_| mesh.pod(ANYBODY))?.netns().within(|| Ok(direct.send(request)))?;
    let after = mesh.world().seen();
    let mut problems = Vec::new();
    check::answer(request, &what, answer.as_ref(), &mut problems);
    check::site(request, &before, &after, &mut problems);
    // One that goes on in silence has no line yet.
    if request.gets != Gets::Silence {
        let port = listener_port(request.over.kind.kind()).to_string();
        match log.wait(mark, |entry| entry.text("listener_port") == port) {
            Ok(entry) => check::entry(request, &entry, &mut problems),
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    Ok(problems)
}

/// In whose pod the clients are that are no workload of the mesh.
const ANYBODY: &str = "a/x";

/// The pod's port of the gateway's listener.
fn listener_port(kind: Kind) -> u16 {
    match kind {
        Kind::Mtls80 | Kind::Ambient80 => 8080,
        Kind::Mtls443 => 8443,
        Kind::Pass444 | Kind::Ambient443 => 8444,
    }
}
