//! What `egressctl explain` says is what the filter does: every request of every scenario, asked of both.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use egress_lab::access_log::Entry;
use egress_lab::certs::Principal;
use egress_lab::client::http::Ask;
use egress_lab::filter::Protocol;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::scenario::{Outcome, Player, Request, Scenario};
use egress_lab::shape::Kind;
use egress_tests::applies::{UPSTREAM_RBAC, from_line};
use egress_tests::egressctl;
use egress_tests::net::with;
use serde_json::{Value, json};

/// A scenario whose policies report what they allow, too, each with its requests.
fn reporting(mut scenario: Scenario) -> (Scenario, Vec<(Value, Request)>) {
    let mut policy = json!({});
    let mut asked = Vec::new();
    for step in &mut scenario.steps {
        if let Some(changed) = step.policy.take() {
            policy = with(changed, &json!({"reportAllowed": true}));
            step.policy = Some(policy.clone());
        }
        asked.extend(step.requests.iter().map(|request| (policy.clone(), request.clone())));
    }
    (scenario, asked)
}

/// Whether it is the filter that answers, and of a request's own accord: `explain` does not know when bytes come.
fn is_a_matter_of_policy(request: &Request) -> bool {
    !request.over.native
        && request.reason.as_deref() != Some("identity_pending")
        && !(request.ask.starts_with("LISTEN") && request.over.name != "mtls443@ON_DOWNSTREAM_TLS_HANDSHAKE")
}

/// `explain` with what Envoy saw of the request, as the filter states it.
fn explained(
    egressctl: &Path,
    file: &Path,
    scenario: &Scenario,
    request: &Request,
    entry: &Entry,
) -> Result<String> {
    let ask = Ask::parse(&request.ask)?;
    let mut command = Command::new(egressctl);
    command.arg("explain").arg(file).args(["--format", "json"]);
    let principal = match (request.over.kind.kind(), request.who.as_str()) {
        (Kind::Pass444, _) | (_, "nameless") => None,
        (Kind::Ambient443, _) => scenario.gateway.ambient.as_deref(),
        (_, "none") => None,
        (_, who) => Some(who),
    };
    if let Some(who) = principal {
        let uri = Principal::new(who).to_string();
        command.args(["--principal", uri.trim_start_matches("spiffe://")]);
    }
    if request.over.protocol() == Protocol::Http {
        command.args(["--host", &ask.authority, "--method", &ask.method, "--path", &ask.path]);
        for (name, value) in &request.headers {
            command.args(["--header", &format!("{name}={value}")]);
        }
    } else {
        command.arg("--network");
        if ask.scheme == "https" {
            command.args(["--host", request.inner_sni.as_deref().unwrap_or(ask.host())]);
        }
    }
    for (flag, field) in [("--sni", "requested_server_name"), ("--cluster", "upstream_cluster")] {
        let value = entry.text(field);
        if !value.is_empty() {
            command.args([flag, &value]);
        }
    }
    if let Some((ip, _)) = entry.text("upstream_host").rsplit_once(':') {
        command.args(["--upstream-ip", ip.trim_matches(['[', ']'])]);
    }
    let output = command.output()?;
    let told: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let text = |field: &str| told.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let would = told.get("would").and_then(Value::as_str).map(|would| format!(" {would}"));
    Ok(format!("{}[{}]{}", text("verdict"), text("reason"), would.unwrap_or_default()))
}

/// The rows of a scenario belong to its requests in their order.
fn entries(outcome: &Outcome, scenario: &Scenario) -> Vec<Option<Entry>> {
    outcome.rows.iter().filter(|row| row.scenario == scenario.name).map(|row| row.entry.clone()).collect()
}

#[test]
fn the_command_line_and_the_gateway_say_the_same_of_every_scenario() -> Result<()> {
    // Not what `explain` says depends on the line, but which requests can be played to compare it.
    if !from_line(UPSTREAM_RBAC, "all requests of all scenarios, explained")? {
        return Ok(());
    }
    let egressctl = egressctl::built()?;
    let dir = tempfile::tempdir()?;
    let told: Vec<(Scenario, Vec<(Value, Request)>)> =
        Scenario::load_all(&paths::repo_dir()?.join("tests/scenarios"))?.into_iter().map(reporting).collect();
    let scenarios: Vec<Scenario> = told.iter().map(|(scenario, _)| scenario.clone()).collect();
    let binary = EnvoyBinary::find()?;
    if !binary.has_connect_modes() {
        println!("not applicable before Envoy 1.37, which cannot play all of the scenarios");
        return Ok(());
    }
    let player = Player::new(binary, paths::filter_wasm()?);
    let outcome = player.play(&scenarios)?;
    ensure!(outcome.impossible.is_empty(), "this Envoy cannot play {:?}", outcome.impossible);
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for (scenario, asked) in &told {
        let entries = entries(&outcome, scenario);
        ensure!(entries.len() == asked.len(), "{}: {} rows", scenario.name, entries.len());
        for ((policy, request), entry) in asked.iter().zip(entries) {
            if !is_a_matter_of_policy(request) {
                *verdicts.entry("left out").or_default() += 1;
                continue;
            }
            let about = format!("{} asks {} over {}", request.who, request.ask, request.over.name);
            let entry = entry.with_context(|| format!("{}: {about}: no access log line", scenario.name))?;
            let kind = if request.over.protocol() == Protocol::Http { "HTTP" } else { "NETWORK" };
            let file = dir.path().join("policy.json");
            fs::write(&file, with(policy.clone(), &json!({"type": kind})).to_string())?;
            let here = explained(&egressctl, &file, scenario, request, &entry)?;
            let there = entry.verdict();
            ensure!(here == there, "{}: {about}: explain says {here}, the gateway {there}", scenario.name);
            *verdicts.entry(if there.starts_with("deny") { "refused" } else { "admitted" }).or_default() += 1;
        }
    }
    println!("{verdicts:?}");
    let count = |what| verdicts.get(what).copied().unwrap_or_default();
    ensure!(count("refused") >= 70 && count("admitted") >= 40 && count("left out") <= 8, "{verdicts:?}");
    Ok(())
}
