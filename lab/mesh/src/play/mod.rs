//! The scenarios, through the whole mesh: each step on the manifests that a user would apply for it.

mod request;
mod table;

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use egress_lab::access_log::Entry;
use egress_lab::paths::repo_dir;
use egress_lab::scenario::{Gets, Request, Row, Scenario, check};
use serde_json::{Value, json};

use crate::manifests::{self, Key, overlay, read, render, with_image};
use crate::mesh::Mesh;
use crate::netns::run;
use crate::place::run_dir;
use request::{ANY_SITE, asked_host, log_port, send};
pub use table::{Part, Source, parts};

/// Who makes the requests that carry no identity: any workload, since nobody is known there.
const SOMEBODY: &str = "mytest/sleep-a";

/// The labels of `ASMEgressTrafficPolicy` prove nothing, so whose they are is said to `egressctl render`.
const LABELS: [&str; 2] = ["--workload", "mytest/app=sleep-a:sleep-a"];

/// What `kubectl apply -k deploy/istio` applies, with the image set.
///
/// # Errors
/// When it cannot be read.
pub fn deployed(mesh: &Mesh) -> Result<Vec<Value>> {
    let mut command = mesh.kubectl().command(&["kustomize"]);
    let text = run(command.arg(repo_dir()?.join("deploy/istio")))?;
    Ok(with_image(manifests::parse(&text)?, mesh.image()))
}

/// Plays parts of scenarios, in this order. A wrong answer is a row and not an error, and so are manifests that are refused or
/// that a proxy does not take.
///
/// # Errors
/// When a part names a scenario that is not there.
pub fn play(mesh: &mut Mesh, scenarios: &[Scenario], parts: &[Part]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for part in parts {
        let scenario = scenarios
            .iter()
            .find(|scenario| scenario.name == part.scenario)
            .with_context(|| format!("no scenario {}", part.scenario))?;
        match play_part(mesh, scenario, part) {
            Ok(played) => rows.extend(played),
            Err(error) => rows.push(unplayed(scenario, part, &error)),
        }
    }
    Ok(rows)
}

/// The documents that a part is played on.
///
/// # Errors
/// When one cannot be read or is refused by `egressctl`.
pub fn documents(mesh: &Mesh, scenario: &Scenario, part: &Part) -> Result<Vec<Value>> {
    let documents = match &part.from {
        Source::Deploy => {
            let upstream = read("deploy/upstream-private-addresses.yaml")?;
            overlay(deployed(mesh)?, upstream)
        }
        Source::GatewayFile(path) => render(&repo_dir()?.join(path), &LABELS)?,
        Source::Wasmplugin(path) => {
            let mut routes = render(&repo_dir()?.join(path), &[])?;
            routes.retain(|document| document.get("kind") != Some(&json!("WasmPlugin")));
            overlay(routes, read("wasmplugin.yaml")?)
        }
        Source::Step => render_step(scenario, part.step)?,
        Source::StepAnd(path) => overlay(render_step(scenario, part.step)?, read(path)?),
    };
    Ok(with_image(documents, mesh.image()))
}

/// What proxies are looked at for. The routes of a mistake may lead nowhere.
fn awaited(documents: &[Value], part: &Part) -> Result<Vec<Value>> {
    let Source::StepAnd(path) = part.from else { return Ok(documents.to_vec()) };
    let over: Vec<Key> = read(path)?.iter().map(Key::of).collect();
    let is_mistake = |key: &Key| key.kind == "VirtualService" && over.contains(key);
    Ok(documents.iter().filter(|document| !is_mistake(&Key::of(document))).cloned().collect())
}

/// A gateway file of the scenario's hosts with the step's policy, rendered.
fn render_step(scenario: &Scenario, index: usize) -> Result<Vec<Value>> {
    let dir = run_dir("shorts");
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("{}-{index}.yaml", scenario.name.to_lowercase()));
    fs::write(&path, short(scenario, index)?.to_string())?;
    render(Path::new(&path), &[])
}

/// The last policy up to a step: a step without one keeps the one before.
fn policy(scenario: &Scenario, index: usize) -> Value {
    let until = scenario.steps.get(..=index).unwrap_or_default();
    until.iter().rev().find_map(|step| step.policy.clone()).unwrap_or_else(|| json!({}))
}

fn short(scenario: &Scenario, index: usize) -> Result<Value> {
    let mut sites: Vec<Value> = Vec::new();
    for request in scenario.requests() {
        let host = asked_host(request)?.unwrap_or_else(|| ANY_SITE.to_owned());
        let over = match log_port(request) {
            8080 => "HTTP",
            8443 => "TLS",
            _ => "PASSTHROUGH",
        };
        let mut site = json!({"hosts": [host], "over": over});
        if over == "HTTP"
            && scenario.gateway.originate.contains(&host)
            && let Some(site) = site.as_object_mut()
        {
            site.insert("originateTls".to_owned(), json!(true));
        }
        if !sites.contains(&site) {
            sites.push(site);
        }
    }
    Ok(json!({"sites": sites, "config": policy(scenario, index)}))
}

fn play_part(mesh: &mut Mesh, scenario: &Scenario, part: &Part) -> Result<Vec<Row>> {
    let documents = documents(mesh, scenario, part)?;
    mesh.replace_awaiting(&documents, &awaited(&documents, part)?)?;
    let step = scenario.steps.get(part.step).context("the scenario has no such step")?;
    let title = if step.title.is_empty() { &scenario.title } else { &step.title };
    let title = format!("{title} [{}]", part.from);
    step.requests
        .iter()
        .map(|request| play_one(mesh, &part.expect(request), &scenario.name, &title))
        .collect()
}

/// The row of a part that could not be played.
fn unplayed(scenario: &Scenario, part: &Part, error: &anyhow::Error) -> Row {
    Row {
        scenario: scenario.name.clone(),
        title: format!("{} [{}]", scenario.title, part.from),
        who: "-".to_owned(),
        over: "-".to_owned(),
        asks: format!("step {}", part.step),
        expected: "played".to_owned(),
        seen: "not played".to_owned(),
        ok: false,
        problems: vec![format!("{error:#}")],
        entry: None,
    }
}

fn play_one(mesh: &Mesh, request: &Request, scenario: &str, title: &str) -> Result<Row> {
    let who = if request.who == "none" { SOMEBODY } else { &request.who };
    let gateway = mesh.gateway()?;
    let log = gateway.access_log();
    let (mark, said) = (log.mark(), gateway.agent().log().len());
    let before = mesh.world().seen();
    let (what, answer) = send(mesh.pod(who)?, request)?;
    let after = mesh.world().seen();
    let mut problems = Vec::new();
    let port = log_port(request).to_string();
    let entry = match log.wait(mark, |entry| entry.text("listener_port") == port) {
        Ok(entry) => Some(entry),
        Err(error) => {
            problems.push(format!("{error:#}"));
            None
        }
    };
    check::answer(request, &what, answer.as_ref(), &mut problems);
    check::site(request, &before, &after, &mut problems);
    if let Some(entry) = &entry {
        check::entry(request, entry, &mut problems);
    }
    check_logs(mesh, request, said, &mut problems)?;

    let reason = entry.as_ref().map(|entry| check::denial(request, entry)).unwrap_or_default();
    let state = entry.as_ref().filter(|_| request.state.is_some()).map(Entry::verdict).unwrap_or_default();
    let shown = |what: &str, reason: &str, state: &str| {
        [what, reason, state].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let seen = what.map_or_else(|error| error, |gets: Gets| gets.to_string());
    let shown_reason = if request.reason.is_some() || !problems.is_empty() { reason.as_str() } else { "" };
    Ok(Row {
        scenario: scenario.to_owned(),
        title: title.to_owned(),
        who: request.who.clone(),
        over: request.over.name.clone(),
        asks: request.ask.clone(),
        expected: shown(
            &request.gets.to_string(),
            request.reason.as_deref().unwrap_or_default(),
            request.state.as_deref().unwrap_or_default(),
        ),
        seen: shown(&seen, shown_reason, &state),
        ok: problems.is_empty(),
        problems,
        entry,
    })
}

fn check_logs(mesh: &Mesh, request: &Request, said: usize, problems: &mut Vec<String>) -> Result<()> {
    let gateway = mesh.gateway()?;
    let new = || gateway.agent().log().get(said..).unwrap_or_default().to_owned();
    if let Some(wanted) = &request.audit
        && !soon(|| new().contains(wanted))
    {
        problems.push(format!("no line in the gateway's log holds {wanted:?}; it says:\n{}", new()));
    }
    let metrics = || gateway.admin("/stats/prometheus").unwrap_or_default();
    if let Some(wanted) = &request.metric
        && !soon(|| metrics().contains(wanted))
    {
        let page = metrics();
        let ours: Vec<&str> = page.lines().filter(|line| line.contains("egress_authz")).collect();
        problems.push(format!("the metrics do not hold {wanted:?}; ours are:\n{}", ours.join("\n")));
    }
    Ok(())
}

fn soon(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
    true
}
