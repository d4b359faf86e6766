//! The stories of `tests/stories/`, as far as they are TCP and TLS: each a test, all played as `make demo` plays them.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use egress_lab::filter::Protocol;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{ConnectMode, Kind};
use egress_lab::story::{Gets, Outcome, Player, Request, Row, Story};
use egress_tests::applies;
use egress_tests::suite::{self, Test};

/// The stories that the scenarios tell over TCP and TLS.
const TOLD: [&str; 10] = ["B5", "C", "E2", "E3", "E4", "E5", "E6", "E10", "E11", "E12"];

fn main() -> Result<ExitCode> {
    let stories = stories()?;
    let mut tests: Vec<Test<Outcome>> = stories
        .iter()
        .filter(|story| network(story).next().is_some())
        .cloned()
        .map(|story| Test::new(format!("story_{}", story.name), move |outcome| is_as_told(outcome, &story)))
        .collect();
    let all = stories.clone();
    tests.push(Test::new("every_scenario_has_its_story", move |_| every_scenario_has_its_story(&all)));
    tests.push(Test::new("every_refusal_has_its_reason", move |_| every_refusal_has_its_reason(&stories)));
    Ok(suite::run(play_all, tests))
}

fn stories() -> Result<Vec<Story>> {
    Story::load_all(&paths::repo_dir()?.join("tests/stories"))
}

fn network(story: &Story) -> impl Iterator<Item = &Request> {
    story.requests().filter(|request| request.over.protocol() == Protocol::Network)
}

/// Stories of one shape share a gateway, so they are played together.
fn play_all() -> Result<Outcome> {
    let mut player = Player::new(EnvoyBinary::find()?, paths::filter_wasm()?);
    player.protocols = vec![Protocol::Network];
    let outcome = player.play(&stories()?)?;
    applies::left_out(&outcome.impossible);
    Ok(outcome)
}

/// The player has compared the answer, the access log, and what the site saw: nothing at all of a refused connection.
fn is_as_told(outcome: &Outcome, story: &Story) -> Result<()> {
    let rows: Vec<&Row> = outcome.rows.iter().filter(|row| row.story == story.name).collect();
    let old = !EnvoyBinary::find()?.has_connect_modes();
    let possible = network(story)
        .filter(|request| !old || matches!(request.over.connect, None | Some(ConnectMode::Immediate)))
        .count();
    ensure!(rows.len() == possible, "{} of {possible} requests were played", rows.len());
    for row in rows {
        ensure!(row.ok, "{} asks {} over {}: {}", row.who, row.asks, row.over, row.problems.join("; "));
    }
    Ok(())
}

fn every_scenario_has_its_story(stories: &[Story]) -> Result<()> {
    for name in TOLD {
        let story = stories.iter().find(|story| story.name == name).with_context(|| format!("no {name}"))?;
        let admitted = |gets| matches!(gets, Gets::Status(200) | Gets::Greeting);
        ensure!(network(story).any(|request| request.gets == Gets::Closed), "{name} refuses nothing");
        ensure!(network(story).any(|request| admitted(request.gets)), "{name} admits nothing");
    }
    let over = |name: &str, kind| {
        stories.iter().filter(|story| story.name == name).any(|story| {
            network(story).any(|request| request.over.kind.kind() == kind && request.gets == Gets::Closed)
        })
    };
    ensure!(over("C", Kind::Mtls443) && over("C", Kind::Pass444), "C is told over 443 and 444");
    Ok(())
}

/// A connection that ends for another reason than the story's would look the same to the client.
fn every_refusal_has_its_reason(stories: &[Story]) -> Result<()> {
    for story in stories {
        for request in network(story).filter(|request| request.gets == Gets::Closed && !request.over.native) {
            // Who wins that race is left open: the site's greeting or the client's Finished.
            let race = request.direct
                && request.over.connect == Some(ConnectMode::Immediate)
                && request.ask.starts_with("LISTEN");
            ensure!(request.reason.is_some() || race, "{}: {} asks {}", story.name, request.who, request.ask);
            let undialled = request.over.connect == Some(ConnectMode::OnDownstreamData);
            ensure!(!undialled || request.connects == Some(0), "{}: {} may dial", story.name, request.ask);
        }
    }
    Ok(())
}
