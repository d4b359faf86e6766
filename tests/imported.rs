//! Istio's own policies for the scenarios, imported: on a real gateway they give the same answers.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::scenario::{Player, Scenario, Step};
use egress_tests::egressctl;
use serde_json::Value;

/// The step of a scenario, counted from 0, and the AuthorizationPolicies in `tests/istio/` that say what its policy says.
/// The other steps of these scenarios are about what Istio has no word for.
const PLAYED: [(&str, usize, &str); 13] = [
    ("deny-namespace", 0, "deny-namespace"),
    ("deny-host-in-every-spelling", 0, "deny-host-in-every-spelling"),
    ("allow-nothing", 0, "allow-nothing"),
    ("allow-by-host-and-method", 0, "allow-by-host-and-method"),
    ("deny-site-by-namespace", 0, "deny-site-by-namespace"),
    ("deny-account-by-server-name", 0, "deny-account-by-server-name"),
    ("tls-by-the-same-policies", 0, "allow-nothing"),
    // TLS shows no method: the ALLOW of a method admits nobody, there as here.
    ("tls-by-the-same-policies", 2, "allow-by-host-and-method"),
    ("tls-by-the-same-policies", 3, "deny-site-by-namespace"),
    ("tls-by-the-same-policies", 4, "deny-account-by-server-name"),
    ("egress-traffic-policy", 0, "egress-traffic-policy"),
    ("egress-traffic-policy", 4, "egress-traffic-policy-no-post"),
    ("only-the-product-page", 0, "only-the-product-page"),
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
fn imported_policies_give_the_answers() -> Result<()> {
    let scenarios = Scenario::load_all(&paths::repo_dir()?.join("tests/scenarios"))?;
    let mut told = Vec::new();
    for (name, at, file) in PLAYED {
        let scenario = scenarios
            .iter()
            .find(|scenario| scenario.name == name)
            .with_context(|| format!("no scenario {name}"))?;
        let mut steps: Vec<Step> = scenario.steps.get(at).cloned().into_iter().collect();
        ensure!(!steps.is_empty(), "scenario {name} has no step {at}");
        // What follows without a policy of its own is under the same.
        steps.extend(scenario.steps.iter().skip(at + 1).take_while(|step| step.policy.is_none()).cloned());
        let policy = imported(file)?;
        let steps = steps.into_iter().map(|step| with_imported(step, policy.clone())).collect();
        told.push(Scenario { name: format!("{name} {file} {at}"), steps, ..scenario.clone() });
    }
    let outcome = Player::new(EnvoyBinary::find()?, paths::filter_wasm()?).play(&told)?;
    for row in &outcome.rows {
        ensure!(
            row.ok,
            "{}: {} asks {} over {}: {}",
            row.scenario,
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
