//! Istio's own policies for the stories, imported: on a real gateway they tell the same stories.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::story::{Player, Step, Story};
use egress_tests::egressctl;
use serde_json::Value;

/// The step of a story, counted from 0, and the AuthorizationPolicies in `tests/istio/` that say what its policy says.
/// The other steps of these stories are about what Istio has no word for.
const TOLD: [(&str, usize, &str); 13] = [
    ("A", 0, "a"),
    ("A2", 0, "a2"),
    ("B1", 0, "b1"),
    ("B2", 0, "b2"),
    ("B3", 0, "b3"),
    ("B4", 0, "b4"),
    ("B5", 0, "b1"),
    // TLS shows no method: the ALLOW of a method admits nobody, there as here.
    ("B5", 2, "b2"),
    ("B5", 3, "b3"),
    ("B5", 4, "b4"),
    ("C", 0, "c"),
    ("C", 4, "c-no-post"),
    ("D", 0, "d"),
];

/// What `egressctl import` makes of a file.
fn imported(name: &str) -> Result<Value> {
    let file = paths::repo_dir()?.join(format!("tests/istio/{name}.yaml"));
    let output = Command::new(egressctl::built()?).arg("import").arg(&file).output()?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(yaml_serde::from_slice(&output.stdout)?)
}

/// The step with the imported policy. Policies have other names there, so what is asked of the reason is that there is one.
fn with_imported(mut step: Step, policy: Value) -> Step {
    step.policy = Some(policy);
    // PASSTHROUGH shows no peer, and imported policies speak of peers.
    step.requests.retain(|request| request.who != "none");
    for request in &mut step.requests {
        request.reason = None;
        request.state = None;
        request.log.clear();
    }
    step
}

#[test]
fn imported_policies_tell_the_stories() -> Result<()> {
    let stories = Story::load_all(&paths::repo_dir()?.join("tests/stories"))?;
    let mut told = Vec::new();
    for (name, at, file) in TOLD {
        let story =
            stories.iter().find(|story| story.name == name).with_context(|| format!("no story {name}"))?;
        let mut steps: Vec<Step> = story.steps.get(at).cloned().into_iter().collect();
        ensure!(!steps.is_empty(), "story {name} has no step {at}");
        // What follows without a policy of its own is under the same.
        steps.extend(story.steps.iter().skip(at + 1).take_while(|step| step.policy.is_none()).cloned());
        let policy = imported(file)?;
        let steps = steps.into_iter().map(|step| with_imported(step, policy.clone())).collect();
        told.push(Story { name: format!("{name} {file} {at}"), steps, ..story.clone() });
    }
    let outcome = Player::new(EnvoyBinary::find()?, paths::filter_wasm()?).play(&told)?;
    for row in &outcome.rows {
        ensure!(
            row.ok,
            "{}: {} asks {} over {}: {}",
            row.story,
            row.who,
            row.asks,
            row.over,
            row.problems.join("; ")
        );
        let entry = row.entry.as_ref().context("no access log line")?;
        let refused = !row.expected.starts_with("200");
        ensure!(refused == entry.verdict().starts_with("deny["), "{}: {}", row.asks, entry.verdict());
    }
    ensure!(outcome.rows.len() >= 50, "{} rows", outcome.rows.len());
    Ok(())
}
