//! The stories of `tests/stories/`, as far as they are HTTP: each a test, all played as `make demo` plays them.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use egress_lab::filter::Protocol;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::story::{Gets, Outcome, Player, Request, Row, Story};
use egress_tests::applies;
use egress_tests::suite::{self, Test};

/// The stories that the scenarios tell over HTTP.
const TOLD: [&str; 17] =
    ["A", "A2", "B1", "B2", "B3", "B4", "C", "D", "E1", "E2", "E3", "E4", "E7", "E8", "E9", "E10", "E11"];

fn main() -> Result<ExitCode> {
    let stories = stories()?;
    let mut tests: Vec<Test<Outcome>> = stories
        .iter()
        .filter(|story| http(story).next().is_some())
        .cloned()
        .map(|story| Test::new(format!("story_{}", story.name), move |outcome| is_as_told(outcome, &story)))
        .collect();
    tests.push(Test::new("every_scenario_has_its_story", move |_| every_scenario_has_its_story(&stories)));
    tests.push(Test::new("every_wrong_expectation_is_noticed", |_| every_wrong_expectation_is_noticed()));
    Ok(suite::run(play_all, tests))
}

fn stories() -> Result<Vec<Story>> {
    Story::load_all(&paths::repo_dir()?.join("tests/stories"))
}

fn http(story: &Story) -> impl Iterator<Item = &Request> {
    story.requests().filter(|request| request.over.protocol() == Protocol::Http)
}

fn player() -> Result<Player> {
    let mut player = Player::new(EnvoyBinary::find()?, paths::filter_wasm()?);
    player.protocols = vec![Protocol::Http];
    Ok(player)
}

/// Stories of one shape share a gateway, so they are played together.
fn play_all() -> Result<Outcome> {
    let outcome = player()?.play(&stories()?)?;
    applies::left_out(&outcome.impossible);
    Ok(outcome)
}

fn is_as_told(outcome: &Outcome, story: &Story) -> Result<()> {
    let rows: Vec<&Row> = outcome.rows.iter().filter(|row| row.story == story.name).collect();
    let played =
        rows.len() + if story.gateway.refuse_private_upstreams { outcome.impossible.len() } else { 0 };
    ensure!(played >= http(story).count(), "{} of {} requests were played", rows.len(), http(story).count());
    for row in rows {
        ensure!(row.ok, "{} asks {}: {}", row.who, row.asks, row.problems.join("; "));
    }
    Ok(())
}

fn every_scenario_has_its_story(stories: &[Story]) -> Result<()> {
    for name in TOLD {
        let story = stories.iter().find(|story| story.name == name);
        let story = story.with_context(|| format!("no story {name}"))?;
        ensure!(http(story).next().is_some(), "story {name} asks for nothing over HTTP");
        for request in http(story).filter(|request| matches!(request.gets, Gets::Status(400..))) {
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
    let story = Story::parse(&format!(
        "name: W\ntitle: All wrong\nsteps:\n- policy: {{policies: [{{name: own, namespace: a, rules: [{{}}]}}, {{name: nothing}}]}}\n  requests:\n{}\n",
        requests.join("\n")
    ))?;
    let outcome = player()?.play(std::slice::from_ref(&story))?;
    ensure!(!outcome.ok(), "the whole is as expected");
    ensure!(outcome.rows.len() == cases.len(), "{} rows", outcome.rows.len());
    for ((request, gets, problem), row) in cases.iter().zip(&outcome.rows) {
        let noticed = row.problems.iter().any(|noticed| noticed.contains(problem));
        ensure!(!row.ok && noticed, "{request}, {gets}: {:?}", row.problems);
    }
    Ok(())
}
