//! What the gateway's Prometheus page says of the filter, and what the shipped dashboard and alerts ask of it.

#![expect(clippy::indexing_slicing, reason = "a JSON value that is not there is null")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use egress_lab::client::Tls;
use egress_lab::envoy::Options;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::scenario::{Player, Scenario};
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::clock::from_now;
use egress_tests::keepalive::KeepAlive;
use egress_tests::prometheus::{await_sum, page, sum};
use egress_tests::rig::{Rig, allow_all, filter};
use egress_tests::{suite, tests};
use serde_json::{Value, json};

const DECISIONS: &str = "egress_authz_decisions";
const POLICIES: &str = "egress_authz_policies";
const EXPIRING: &str = "egress_authz_policies_expiring";
const INFO: &str = "egress_authz_config_info";

fn main() -> ExitCode {
    let tests = tests![
        beyond_a_thousand_values_there_is_other,
        the_gauge_of_a_former_configuration_is_zero,
        every_metric_is_there_after_the_demo,
        policies_that_expire_within_a_week_are_counted,
        every_metric_has_its_labels,
        two_plugins_of_one_vm_do_not_fight,
        istio_takes_the_names_apart,
        no_decision_is_lost_in_an_update,
    ];
    // Most of it is waiting for the next second: the filter tells once in each.
    suite::run_on(4, start, tests)
}

/// Two workers: what they say must add up. HTTP and TCP: two plugins in each VM. A waypoint's listener, for any number of
/// namespaces without a certificate for each.
fn start() -> Result<Rig> {
    let listeners = vec![
        Listener::new(Kind::Mtls80, filter()?),
        Listener::new(Kind::Mtls443, filter()?),
        Listener::new(Kind::Ambient80, filter()?),
    ];
    Rig::of(Shape::new(listeners), &["a/x", "b/y"], &Options { concurrency: 2, ..Options::default() })
}

/// As `make demo DEMO=--metrics` shows them.
fn every_metric_is_there_after_the_demo(_: &mut Rig) -> Result<()> {
    let mut scenarios = Scenario::load_all(&paths::repo_dir()?.join("tests/scenarios"))?;
    scenarios.retain(|scenario| {
        ["deny-namespace", "deny-host-in-every-spelling", "dry-run", "metadata-addresses"]
            .contains(&scenario.name.as_str())
    });
    let mut player = Player::new(EnvoyBinary::find()?, paths::filter_wasm()?);
    player.metrics = true;
    let outcome = player.play(&scenarios)?;
    ensure!(outcome.ok(), "a scenario is not as told");
    for (name, labels) in [
        (DECISIONS, ["namespace=\"", "verdict=\"allow\"", "policy=\""].as_slice()),
        (DECISIONS, &["namespace=\"", "verdict=\"deny\"", "policy=\""]),
        (DECISIONS, &["namespace=\"", "verdict=\"would_deny\"", "policy=\""]),
        (POLICIES, &["plugin=\""]),
        (EXPIRING, &["plugin=\""]),
        (INFO, &["plugin=\"", "version=\"", "config=\""]),
    ] {
        let start = format!("{name}{{");
        let shown = outcome
            .metrics
            .iter()
            .any(|line| line.starts_with(&start) && labels.iter().all(|label| line.contains(label)));
        ensure!(shown, "no {name} with {labels:?}: {:#?}", outcome.metrics);
    }
    Ok(())
}

fn every_metric_has_its_labels(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"policies": [
        {"name": "own", "namespace": "a", "rules": [{"to": [{"operation": {"hosts": ["*.example.com"]}}]}]},
        {"name": "not-that", "action": "DENY", "rules": [{"to": [{"operation": {"hosts": ["refused.example.com"]}}]}]},
        {"name": "soon", "action": "DENY", "mode": "DRY_RUN",
         "rules": [{"to": [{"operation": {"hosts": ["soon.example.com"]}}]}]},
        {"name": "also", "namespace": "b", "mode": "DRY_RUN", "rules": [{}]},
    ]}))?;
    let counts = [
        ("a", "allow", "a/own", 2.0),
        ("a", "deny", "*/not-that", 1.0),
        ("a", "would_deny", "*/soon", 1.0),
        ("a", "deny", "no_allow_matched", 1.0),
        // HTTP and TCP.
        ("b", "deny", "default_action", 2.0),
        ("b", "would_allow", "b/also", 2.0),
    ];
    // Another test may have had this gateway before; each waits until all that it did is told.
    let samples = page(rig.envoy())?;
    let count_of = |labels: &[(&str, &str)]| -> f64 {
        let all = samples.iter().filter(|sample| sample.name == DECISIONS && sample.has(labels));
        all.map(|sample| sample.value).sum()
    };
    for (who, host, status) in [
        ("a/x", "www.example.com", 200),
        ("a/x", "refused.example.com", 403),
        ("a/x", "soon.example.com", 200),
        ("a/x", "www.example.org", 403),
        ("b/y", "www.example.org", 403),
    ] {
        let seen = rig.status(who, &format!("http://{host}/"))?;
        ensure!(seen == status, "{who} {host}: {seen}");
    }
    // A connection that the TCP filter refuses.
    let stream = egress_lab::client::Stream::connect(rig.mesh().sidecars()?.tcp("b/y", "mtls443")?)?;
    ensure!(stream.tls(&Tls::public(rig.mesh().public(), "tcp.example.org")?).is_err());

    let envoy = rig.envoy();
    for (namespace, verdict, policy, count) in counts {
        let labels = [("namespace", namespace), ("verdict", verdict), ("policy", policy)];
        await_sum(envoy, DECISIONS, &labels, count_of(&labels) + count)?;
    }
    await_sum(envoy, DECISIONS, &[], count_of(&[]) + 9.0)?;
    for plugin in ["mtls80", "mtls443", "ambient80"] {
        await_sum(envoy, POLICIES, &[("plugin", plugin)], 4.0)?;
        await_sum(envoy, EXPIRING, &[("plugin", plugin)], 0.0)?;
        await_sum(envoy, INFO, &[("plugin", plugin), ("version", env!("CARGO_PKG_VERSION"))], 1.0)?;
    }

    // These names with these labels, and nothing else: no prefix of Envoy's, no label left in a name.
    let expected = BTreeMap::from([
        (DECISIONS, vec!["namespace", "policy", "verdict"]),
        (POLICIES, vec!["plugin"]),
        (EXPIRING, vec!["plugin"]),
        (INFO, vec!["config", "plugin", "version"]),
    ]);
    for sample in page(envoy)?.iter().filter(|sample| sample.name.contains("egress_authz")) {
        let labels: Vec<&str> = sample.labels.keys().map(String::as_str).collect();
        let ours = expected.get(sample.name.as_str()) == Some(&labels);
        // Envoy's own of the filter's listeners and deliveries carry its name.
        ensure!(ours || sample.name.starts_with("envoy_"), "{sample:?}");
    }
    // The counter is one to Prometheus, too.
    let text = envoy.prometheus()?;
    ensure!(text.contains("# TYPE egress_authz_decisions counter\n"), "the counter has no type");
    ensure!(text.contains("# TYPE egress_authz_config_info gauge\n"), "the gauge has no type");
    Ok(())
}

/// Istio's bootstrap makes `(LABEL=\\.=(.*?);\\.;)` of each of `extraStatTags`, and Envoy cuts the first group out of the name.
fn istio_takes_the_names_apart(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"policies": [{"name": "istio", "namespace": "a", "rules": [{}]}]}))?;
    ensure!(rig.status("a/x", "http://www.example.org/")? == 200);
    await_sum(rig.envoy(), DECISIONS, &[("namespace", "a"), ("policy", "a/istio")], 1.0)?;
    let names: Vec<String> =
        rig.envoy().stats("^wasmcustom")?.into_keys().filter(|name| name.contains("egress_authz")).collect();
    ensure!(names.len() > 4, "{names:?}");
    for whole in &names {
        let mut name = whole.clone();
        for label in ["namespace", "verdict", "policy", "plugin", "version", "config"] {
            if let Some(start) = name.find(&format!("{label}=.="))
                && let Some(end) = name.get(start..).and_then(|rest| rest.find(";.;"))
            {
                name.replace_range(start..start + end + ";.;".len(), "");
            }
        }
        let bare = name.strip_prefix("wasmcustom.").unwrap_or_default();
        ensure!([DECISIONS, POLICIES, EXPIRING, INFO].contains(&bare), "{whole} leaves {name}");
    }
    Ok(())
}

fn no_decision_is_lost_in_an_update(rig: &mut Rig) -> Result<()> {
    const REQUESTS: u32 = 300;
    let before = sum(rig.envoy(), DECISIONS, &[])?;
    let address = rig.mesh().sidecars()?.http("a/x")?;
    let mut client = KeepAlive::connect(address)?;
    for round in 0..3 {
        // An own configuration for each round; decisions of the last second belong to the one before.
        let mut policy = allow_all();
        policy["policies"][0]["name"] = json!(format!("round-{round}"));
        rig.policy(policy)?;
        for _ in 0..REQUESTS / 3 {
            ensure!(client.get("www.example.com", "")? == 200);
        }
    }
    await_sum(rig.envoy(), DECISIONS, &[], before + f64::from(REQUESTS))
}

fn the_gauge_of_a_former_configuration_is_zero(rig: &mut Rig) -> Result<()> {
    let mut hashes = Vec::new();
    // Back to the first at last: a hash may return.
    for policies in [2, 3, 4, 2] {
        let policies: Vec<Value> = (0..policies).map(|at| json!({"name": format!("p{at}")})).collect();
        rig.policy(json!({"policies": policies}))?;
        await_sum(rig.envoy(), POLICIES, &[("plugin", "mtls80")], f64::from(u32::try_from(policies.len())?))?;
        await_sum(rig.envoy(), INFO, &[("plugin", "mtls80")], 1.0)?;
        let samples = page(rig.envoy())?;
        let current: Vec<String> = samples
            .iter()
            .filter(|sample| sample.name == INFO && sample.has(&[("plugin", "mtls80")]) && sample.value > 0.5)
            .map(|sample| sample.label("config").to_owned())
            .collect();
        ensure!(current.len() == 1, "{current:?}");
        hashes.extend(current);
    }
    ensure!(hashes.first() == hashes.last() && hashes.first() != hashes.get(1), "{hashes:?}");
    Ok(())
}

fn two_plugins_of_one_vm_do_not_fight(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"policies": [{"name": "one"}]}))?;
    let two = json!({"type": "NETWORK", "policies": [{"name": "one"}, {"name": "two"}]});
    let network = Filter::Wasm(Wasm::new(paths::filter_wasm()?, &two));
    ensure!(rig.mesh_mut().gateway_mut().set_filter("mtls443", network)? == Update::Applied);
    await_sum(rig.envoy(), POLICIES, &[("plugin", "mtls443")], 2.0)?;
    await_sum(rig.envoy(), POLICIES, &[("plugin", "mtls80")], 1.0)?;
    for _ in 0..15 {
        sleep(Duration::from_millis(100));
        for (plugin, policies) in [("mtls443", 2.0), ("mtls80", 1.0)] {
            let seen = sum(rig.envoy(), POLICIES, &[("plugin", plugin)])?;
            ensure!((seen - policies).abs() < 0.5, "{plugin}: {seen}");
            let info = sum(rig.envoy(), INFO, &[("plugin", plugin)])?;
            ensure!((info - 1.0).abs() < 0.5, "{plugin}: {info}");
        }
    }
    Ok(())
}

fn policies_that_expire_within_a_week_are_counted(rig: &mut Rig) -> Result<()> {
    const DAY: i64 = 24 * 3_600;
    rig.policy(json!({"policies": [
        {"name": "over", "expires": from_now(-10)?},
        {"name": "in-two-seconds", "expires": from_now(3)?},
        {"name": "tomorrow", "expires": from_now(DAY)?},
        {"name": "in-six-days", "expires": from_now(6 * DAY)?},
        {"name": "in-eight-days", "expires": from_now(8 * DAY)?},
        {"name": "never"},
    ]}))?;
    let labels = [("plugin", "mtls80")];
    await_sum(rig.envoy(), EXPIRING, &labels, 3.0)?;
    // One has expired meanwhile; no request or update was needed for that to show.
    await_sum(rig.envoy(), EXPIRING, &labels, 2.0)
}

fn beyond_a_thousand_values_there_is_other(rig: &mut Rig) -> Result<()> {
    let policies: Vec<Value> = (0..1_200)
        .map(|at| {
            json!({"name": format!("p-{at}"), "rules": [{"to": [{"operation": {"hosts": [format!("h{at}.example.com")]}}]}]})
        })
        .collect();
    rig.policy(json!({"policies": policies}))?;
    let address = rig.mesh().gateway().address("ambient80")?;
    let before = sum(rig.envoy(), DECISIONS, &[])?;
    // Several connections, so that both workers meet values of their own.
    let mut clients = (0..3).map(|_| KeepAlive::connect(address)).collect::<Result<Vec<_>>>()?;
    for at in 0..1_200 {
        let header = format!("x-lab-peer-principal: spiffe://cluster.local/ns/many-{at}/sa/x\r\n");
        for (client, host) in clients.iter_mut().zip([at, 1_199 - at, (at * 7) % 1_200]) {
            ensure!(client.get(&format!("h{host}.example.com"), &header)? == 200);
        }
    }
    await_sum(rig.envoy(), DECISIONS, &[], before + 3_600.0)?;
    let samples = page(rig.envoy())?;
    for label in ["namespace", "policy"] {
        let mut values: Vec<&str> = samples
            .iter()
            .filter(|sample| sample.name == DECISIONS)
            .map(|sample| sample.label(label))
            .filter(|value| *value != "other")
            .collect();
        values.sort_unstable();
        values.dedup();
        ensure!(values.len() == 1_000, "{label}: {} values", values.len());
    }
    ensure!(sum(rig.envoy(), DECISIONS, &[("namespace", "other"), ("policy", "other")])? > 0.0);
    // Those that came first are still counted under their own names.
    let Some(client) = clients.first_mut() else { bail!("no client") };
    let labels = [("namespace", "many-0"), ("policy", "*/p-0")];
    let before = sum(rig.envoy(), DECISIONS, &labels)?;
    ensure!(before > 0.0, "many-0 is not counted");
    let header = "x-lab-peer-principal: spiffe://cluster.local/ns/many-0/sa/x\r\n";
    ensure!(client.get("h0.example.com", header)? == 200);
    await_sum(rig.envoy(), DECISIONS, &labels, before + 1.0)?;
    // This gateway tells no new name apart any more: the next test gets another.
    *rig = start()?;
    Ok(())
}
