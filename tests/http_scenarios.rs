//! The scenarios of `tests/scenarios/`, as far as they are HTTP: each a test, all played as `make demo` plays them.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use egress_lab::filter::Protocol;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::scenario::{Gets, Outcome, Player, Request, Row, Scenario};
use egress_tests::applies;
use egress_tests::suite::{self, Test};

/// The scenarios that are about HTTP, at least.
const KNOWN: [&str; 17] = [
    "deny-namespace",
    "deny-host-in-every-spelling",
    "allow-nothing",
    "allow-by-host-and-method",
    "deny-site-by-namespace",
    "deny-account-by-server-name",
    "egress-traffic-policy",
    "only-the-product-page",
    "namespaces-stay-apart",
    "platform-deny-above-allow",
    "domain-fronting",
    "one-rule-both-protocols",
    "expiry",
    "dry-run",
    "metadata-addresses",
    "ambient-principal",
    "carried-elsewhere",
];

fn main() -> Result<ExitCode> {
    let scenarios = scenarios()?;
    let mut tests: Vec<Test<Outcome>> = scenarios
        .iter()
        .filter(|scenario| http(scenario).next().is_some())
        .cloned()
        .map(|scenario| Test::new(scenario.name.clone(), move |outcome| is_as_expected(outcome, &scenario)))
        .collect();
    tests.push(Test::new("every_scenario_is_there", move |_| every_scenario_is_there(&scenarios)));
    tests.push(Test::new("every_wrong_expectation_is_noticed", |_| every_wrong_expectation_is_noticed()));
    Ok(suite::run(play_all, tests))
}

fn scenarios() -> Result<Vec<Scenario>> {
    Scenario::load_all(&paths::repo_dir()?.join("tests/scenarios"))
}

fn http(scenario: &Scenario) -> impl Iterator<Item = &Request> {
    scenario.requests().filter(|request| request.over.protocol() == Protocol::Http)
}

fn player() -> Result<Player> {
    let mut player = Player::new(EnvoyBinary::find()?, paths::filter_wasm()?);
    player.protocols = vec![Protocol::Http];
    Ok(player)
}

/// Scenarios of one shape share a gateway, so they are played together.
fn play_all() -> Result<Outcome> {
    let outcome = player()?.play(&scenarios()?)?;
    applies::left_out(&outcome.impossible);
    Ok(outcome)
}

fn is_as_expected(outcome: &Outcome, scenario: &Scenario) -> Result<()> {
    let rows: Vec<&Row> = outcome.rows.iter().filter(|row| row.scenario == scenario.name).collect();
    let played =
        rows.len() + if scenario.gateway.refuse_private_upstreams { outcome.impossible.len() } else { 0 };
    ensure!(
        played >= http(scenario).count(),
        "{} of {} requests were played",
        rows.len(),
        http(scenario).count()
    );
    for row in rows {
        ensure!(row.ok, "{} asks {}: {}", row.who, row.asks, row.problems.join("; "));
    }
    Ok(())
}

fn every_scenario_is_there(scenarios: &[Scenario]) -> Result<()> {
    for name in KNOWN {
        let scenario = scenarios.iter().find(|scenario| scenario.name == name);
        let scenario = scenario.with_context(|| format!("no scenario {name}"))?;
        ensure!(http(scenario).next().is_some(), "scenario {name} asks for nothing over HTTP");
        for request in http(scenario).filter(|request| matches!(request.gets, Gets::Status(400..))) {
            ensure!(request.reason.is_some(), "{name}: the refusal of {} names no reason", request.ask);
        }
    }
    Ok(())
}

/// A table of expectations that would always hold proves nothing: each kind of them is made wrong once.
fn every_wrong_expectation_is_noticed() -> Result<()> {
    const ADMITTED: &str = "who: a/x, over: mtls80, ask: GET http://www.example.com/";
    const REFUSED: &str =
        "who: b/y, over: mtls80, ask: GET http://www.example.com/, reason: no_allow_matched";
    let cases = [
        (ADMITTED, "gets: 403", "got 200, expected 403"),
        (REFUSED, "gets: 200", "got 403, expected 200"),
        (REFUSED, "gets: closed", "got 403, expected closed"),
        (REFUSED, "gets: 403, body: nothing", "the body is"),
        (REFUSED, "gets: 403, has: {content-length: '20'}", "the header content-length is"),
        (REFUSED, "gets: 403, state: allow", "the filter state is"),
        (REFUSED, "gets: 403, log: {response_code_details: x}", "the access log's response_code_details is"),
        (REFUSED, "gets: 403, connects: 1", "connections to the site"),
        (REFUSED, "gets: 403, metric: egress_authz_nonsense", "the metrics do not hold"),
        (REFUSED, "gets: 403, audit: nonsense", "no line in Envoy's log holds"),
        (ADMITTED, "gets: 200, saw: {host: other.example.com}", "the site saw the host"),
        (ADMITTED, "gets: 200, reason: default_action", "the access log's reason is"),
        (&REFUSED.replace("no_allow_matched", "default_action"), "gets: 403", "the access log's reason is"),
    ];
    let requests: Vec<String> =
        cases.iter().map(|(request, gets, _)| format!("  - {{{request}, {gets}}}")).collect();
    let scenario = Scenario::parse(
        "wrong",
        &format!(
            "title: All wrong\nsteps:\n- policy: {{policies: [{{name: own, namespace: a, rules: [{{}}]}}, {{name: nothing}}]}}\n  requests:\n{}\n",
            requests.join("\n")
        ),
    )?;
    let outcome = player()?.play(std::slice::from_ref(&scenario))?;
    ensure!(!outcome.ok(), "the whole is as expected");
    ensure!(outcome.rows.len() == cases.len(), "{} rows", outcome.rows.len());
    for ((request, gets, problem), row) in cases.iter().zip(&outcome.rows) {
        let noticed = row.problems.iter().any(|noticed| noticed.contains(problem));
        ensure!(!row.ok && noticed, "{request}, {gets}: {:?}", row.problems);
    }
    Ok(())
}
