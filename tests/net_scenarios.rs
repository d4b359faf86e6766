//! The scenarios of `tests/scenarios/`, as far as they are TCP and TLS: each a test, all played as `make demo` plays them.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use egress_lab::filter::Protocol;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::scenario::{Gets, Outcome, Player, Request, Row, Scenario};
use egress_lab::shape::{ConnectMode, Kind};
use egress_tests::applies;
use egress_tests::suite::{self, Test};

/// The scenarios that are about TCP and TLS, at least.
const KNOWN: [&str; 10] = [
    "tls-by-the-same-policies",
    "egress-traffic-policy",
    "platform-deny-above-allow",
    "domain-fronting",
    "one-rule-both-protocols",
    "server-speaks-first",
    "no-dial-before-the-verdict",
    "ambient-principal",
    "carried-elsewhere",
    "private-upstream",
];

fn main() -> Result<ExitCode> {
    let scenarios = scenarios()?;
    let mut tests: Vec<Test<Outcome>> = scenarios
        .iter()
        .filter(|scenario| network(scenario).next().is_some())
        .cloned()
        .map(|scenario| Test::new(scenario.name.clone(), move |outcome| is_as_expected(outcome, &scenario)))
        .collect();
    let all = scenarios.clone();
    tests.push(Test::new("every_scenario_is_there", move |_| every_scenario_is_there(&all)));
    tests.push(Test::new("every_refusal_has_its_reason", move |_| every_refusal_has_its_reason(&scenarios)));
    Ok(suite::run(play_all, tests))
}

fn scenarios() -> Result<Vec<Scenario>> {
    Scenario::load_all(&paths::repo_dir()?.join("tests/scenarios"))
}

fn network(scenario: &Scenario) -> impl Iterator<Item = &Request> {
    scenario.requests().filter(|request| request.over.protocol() == Protocol::Network)
}

/// Scenarios of one shape share a gateway, so they are played together.
fn play_all() -> Result<Outcome> {
    let mut player = Player::new(EnvoyBinary::find()?, paths::filter_wasm()?);
    player.protocols = vec![Protocol::Network];
    let outcome = player.play(&scenarios()?)?;
    applies::left_out(&outcome.impossible);
    Ok(outcome)
}

/// The player has compared the answer, the access log, and what the site saw: nothing at all of a refused connection.
fn is_as_expected(outcome: &Outcome, scenario: &Scenario) -> Result<()> {
    let rows: Vec<&Row> = outcome.rows.iter().filter(|row| row.scenario == scenario.name).collect();
    let old = !EnvoyBinary::find()?.has_connect_modes();
    let possible = network(scenario)
        .filter(|request| !old || matches!(request.over.connect, None | Some(ConnectMode::Immediate)))
        .count();
    ensure!(rows.len() == possible, "{} of {possible} requests were played", rows.len());
    for row in rows {
        ensure!(row.ok, "{} asks {} over {}: {}", row.who, row.asks, row.over, row.problems.join("; "));
    }
    Ok(())
}

fn every_scenario_is_there(scenarios: &[Scenario]) -> Result<()> {
    for name in KNOWN {
        let scenario =
            scenarios.iter().find(|scenario| scenario.name == name).with_context(|| format!("no {name}"))?;
        let admitted = |gets| matches!(gets, Gets::Status(200) | Gets::Greeting);
        ensure!(network(scenario).any(|request| request.gets == Gets::Closed), "{name} refuses nothing");
        ensure!(network(scenario).any(|request| admitted(request.gets)), "{name} admits nothing");
    }
    let over = |name: &str, kind| {
        scenarios.iter().filter(|scenario| scenario.name == name).any(|scenario| {
            network(scenario).any(|request| request.over.kind.kind() == kind && request.gets == Gets::Closed)
        })
    };
    ensure!(
        over("egress-traffic-policy", Kind::Mtls443) && over("egress-traffic-policy", Kind::Pass444),
        "egress-traffic-policy is played over 443 and 444"
    );
    Ok(())
}

/// A connection that ends for another reason than the scenario's would look the same to the client.
fn every_refusal_has_its_reason(scenarios: &[Scenario]) -> Result<()> {
    for scenario in scenarios {
        for request in
            network(scenario).filter(|request| request.gets == Gets::Closed && !request.over.native)
        {
            // Who wins that race is left open: the site's greeting or the client's Finished.
            let race = request.direct
                && request.over.connect == Some(ConnectMode::Immediate)
                && request.ask.starts_with("LISTEN");
            ensure!(
                request.reason.is_some() || race,
                "{}: {} asks {}",
                scenario.name,
                request.who,
                request.ask
            );
            let undialled = request.over.connect == Some(ConnectMode::OnDownstreamData);
            ensure!(!undialled || request.connects == Some(0), "{}: {} may dial", scenario.name, request.ask);
        }
    }
    Ok(())
}
