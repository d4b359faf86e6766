//! Configurations and binaries that cannot be used: at start nothing passes, on an update the old policy stays.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use egress_lab::client::http::Ask;
use egress_lab::envoy::Options;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::paths;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::rig::{HTTP, Rig, allow_all};
use egress_tests::suite::{self, Test};
use egress_tests::{audit, tests};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A configuration that is refused, and the lines by which the log says why, one for each error.
struct Bad {
    name: &'static str,
    text: &'static str,
    errors: &'static [&'static str],
}

const BAD: [Bad; 10] = [
    Bad {
        name: "no_json",
        text: "policies: [{name: a}]",
        errors: &["not JSON: expected value at line 1 column 1"],
    },
    Bad { name: "a_list", text: "[]", errors: &["an object is wanted here, not a list"] },
    Bad {
        name: "an_unknown_key",
        text: r#"{"polices": []}"#,
        errors: &["polices: unknown key; write `policies`"],
    },
    Bad {
        name: "an_unknown_value",
        text: r#"{"defaultAction": "PERMIT", "mode": "dry_run"}"#,
        errors: &[
            "defaultAction: \"PERMIT\" is not one of ALLOW, DENY",
            "mode: \"dry_run\" is not one of ENFORCE, DRY_RUN; write `DRY_RUN`",
        ],
    },
    Bad {
        name: "a_bad_pattern",
        text: r#"{"policies": [{"name": "a", "rules": [
            {"to": [{"operation": {"hosts": ["ok.example.com", "*example.com"]}}]}]}]}"#,
        errors: &["policies[0].rules[0].to[0].operation.hosts[1]: \"*example.com\": "],
    },
    Bad {
        name: "what_istio_reads_as_anything",
        text: r#"{"policies": [{"name": "a", "rules": [
            {"from": [{"source": {"namespaces": []}}], "to": [{}]}]}]}"#,
        errors: &[
            "policies[0].rules[0].from[0].source.namespaces: the list is empty",
            "policies[0].rules[0].to[0]: the object is empty",
        ],
    },
    Bad {
        name: "a_deny_without_rules",
        text: r#"{"policies": [{"name": "a", "action": "DENY"}]}"#,
        errors: &["policies[0].rules: a DENY or AUDIT without rules never matches"],
    },
    Bad {
        name: "two_of_one_name",
        text: r#"{"policies": [{"name": "a", "namespace": "n"}, {"name": "a", "namespace": "n"}]}"#,
        errors: &["policies[1].name: \"a\": policies[0] has this name in the same namespace"],
    },
    Bad {
        name: "an_answer_that_http_does_not_allow",
        text: r#"{"denyResponse": {"status": 200, "headers": {"content-length": "1"}}}"#,
        errors: &[
            "denyResponse.status: \"200\": ",
            "denyResponse.headers.content-length: \"content-length\": ",
        ],
    },
    Bad {
        name: "a_bundle_that_is_none",
        text: r#"{"bundle": "AAAA"}"#,
        errors: &["bundle: the bundle is not zlib-compressed data"],
    },
];

/// The listener whose filter's binary is not there, and the one whose is corrupted.
const MISSING: &str = "missing";
const CORRUPTED: &str = "corrupted";
/// The policy of the running gateway that bad updates must not touch.
const OLD: &str = "ns[b]-policy[no]-rule[0]";

/// A running gateway that gets bad updates, and one that was started with nothing but bad filters, a listener each.
struct Stage {
    rig: Rig,
    broken: Option<Rig>,
    dir: TempDir,
}

fn main() -> ExitCode {
    let mut all = Vec::new();
    for bad in &BAD {
        all.push(Test::new(format!("at_start_{}", bad.name), |stage| {
            refuses_at_start(stage, bad.name, bad.errors)
        }));
        all.push(Test::new(format!("on_update_{}", bad.name), |stage| keeps_the_old(stage, bad)));
    }
    all.extend(tests![
        a_binary_that_is_not_there_at_start,
        a_corrupted_binary_at_start,
        a_binary_that_is_not_there_on_update,
        a_corrupted_binary_on_update,
        a_good_update_works_after_many_bad_ones,
        an_empty_configuration_refuses_everything,
        the_wrong_type_refuses_everything_and_says_why,
    ]);
    suite::run(
        || Ok(Stage { rig: Rig::start(&["a/x", "b/y"])?, broken: None, dir: tempfile::tempdir()? }),
        all,
    )
}

// === impl Stage ===

impl Stage {
    fn broken(&mut self) -> Result<&Rig> {
        let broken = match self.broken.take() {
            Some(broken) => broken,
            None => self.start_broken()?,
        };
        Ok(self.broken.insert(broken))
    }

    fn start_broken(&self) -> Result<Rig> {
        let listener = |name: &str, wasm: Wasm| Listener::named(name, Kind::Mtls80, Filter::Wasm(wasm));
        let mut listeners = vec![
            listener(MISSING, Wasm::new(missing(), &allow_all())),
            listener(CORRUPTED, Wasm::new(corrupted(&self.dir)?, &allow_all())),
        ];
        for bad in &BAD {
            let good = Wasm::new(paths::filter_wasm()?, &allow_all());
            listeners.push(listener(bad.name, Wasm { config: bad.text.to_owned(), ..good }));
        }
        Rig::of(Shape::new(listeners), &[], &Options::default())
    }
}

/// The gateway runs, says why it does not take the filter, and lets nobody through.
fn refuses_at_start(stage: &mut Stage, listener: &str, errors: &[&str]) -> Result<()> {
    let rig = stage.broken()?;
    for error in errors {
        ensure!(rig.envoy().log().contains(error), "the log does not say {error:?}:\n{}", rig.envoy().log());
    }
    let ask = Ask::parse("GET http://www.example.com/")?;
    for who in ["a/x", "b/y"] {
        let identity = rig.mesh().identity(who)?;
        let stream = rig.mesh().direct(listener, Some(identity), None, &["http/1.1"])?;
        let told = rig.over(stream, |stream| stream.http1(&ask))?;
        ensure!(told.entry.listener() == listener);
        // Envoy's answer where a filter is not there.
        ensure!(told.answer.status == 500, "{who}: {} {}", told.answer.status, told.entry.details());
        ensure!(told.reached == 0, "{who} reached the site");
    }
    ensure!(rig.mesh().world().seen().connects() == 0, "the site was dialled");
    Ok(())
}

/// Everybody may go everywhere but the workloads of one namespace.
fn not_b() -> Value {
    json!({"defaultAction": "ALLOW", "policies": [
        {"name": "no", "namespace": "b", "action": "DENY", "rules": [{}]},
    ]})
}

/// What `not_b` says is still so.
fn old_policy_holds(rig: &Rig) -> Result<()> {
    ensure!(rig.status("a/x", "http://www.example.com/")? == 200);
    let told = rig.ask("b/y", &Ask::parse("GET http://www.example.com/")?)?;
    ensure!(told.reason() == OLD && told.reached == 0, "{}", told.reason());
    Ok(())
}

fn rejections(rig: &Rig) -> Result<u64> {
    rig.envoy().stat("extension_config_discovery.http_filter.egress-authz.mtls80.update_rejected")
}

/// A bad update is refused with its reasons and counted, and what was in force stays.
fn keeps_the_old(stage: &mut Stage, bad: &Bad) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy(not_b())?;
    let before = rejections(rig)?;
    let Update::Rejected(log) = rig.mesh_mut().gateway_mut().set_policy_text(bad.text)? else {
        bail!("it was taken");
    };
    for error in bad.errors {
        ensure!(log.contains(error), "the log does not say {error:?}:\n{log}");
    }
    let said = format!("configuration refused, {} error(s)", bad.errors.len());
    ensure!(log.contains(&said), "the log does not say {said:?}:\n{log}");
    ensure!(rejections(rig)? == before + 1, "update_rejected was {before} and is {}", rejections(rig)?);
    old_policy_holds(rig)
}

/// What a worker keeps of a refused configuration would show in the next good one (envoy#43751).
fn a_good_update_works_after_many_bad_ones(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy(not_b())?;
    for bad in &BAD {
        ensure!(matches!(rig.mesh_mut().gateway_mut().set_policy_text(bad.text)?, Update::Rejected(_)));
    }
    old_policy_holds(rig)?;
    rig.policy(json!({"policies": [{"name": "b-only", "namespace": "b", "rules": [{}]}]}))?;
    ensure!(rig.status("a/x", "http://www.example.com/")? == 403);
    ensure!(rig.status("b/y", "http://www.example.com/")? == 200);
    Ok(())
}

fn an_empty_configuration_refuses_everything(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    for text in ["{}", "", " \n"] {
        rig.policy(allow_all())?;
        ensure!(rig.status("a/x", "http://www.example.com/")? == 200);
        ensure!(rig.mesh_mut().gateway_mut().set_policy_text(text)? == Update::Applied);
        for who in ["a/x", "b/y"] {
            let told = rig.ask(who, &Ask::parse("GET http://www.example.com/")?)?;
            ensure!(told.answer.status == 403 && told.reached == 0, "{text:?}: {}", told.answer.status);
            ensure!(told.reason() == "default_action", "{text:?}: {}", told.reason());
        }
        rig.policy(json!({}))?;
    }
    Ok(())
}

fn the_wrong_type_refuses_everything_and_says_why(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    let mark = audit::mark(rig.envoy());
    rig.policy(json!({"type": "NETWORK", "unauthenticated": "EVALUATE", "defaultAction": "ALLOW"}))?;
    for who in ["a/x", "b/y"] {
        for _ in 0..3 {
            let told = rig.ask(who, &Ask::parse("GET http://www.example.com/")?)?;
            ensure!(told.answer.status == 403 && told.reason() == "wrong_type", "{}", told.reason());
            ensure!(told.reached == 0);
        }
    }
    let log = audit::log_since(rig.envoy(), mark);
    let told = log.lines().filter(|line| line.contains("write `type: HTTP` in pluginConfig")).count();
    ensure!(told == 1, "it was said {told} times:\n{log}");
    Ok(())
}

fn missing() -> PathBuf {
    PathBuf::from("no-such-folder/egress_authz.wasm")
}

/// The filter with its middle overwritten.
fn corrupted(dir: &TempDir) -> Result<PathBuf> {
    let mut bytes = fs::read(paths::filter_wasm()?)?;
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(1_000).for_each(|byte| *byte = 0xff);
    let path = dir.path().join("corrupted.wasm");
    fs::write(&path, bytes)?;
    Ok(path)
}

fn a_binary_that_is_not_there_at_start(stage: &mut Stage) -> Result<()> {
    refuses_at_start(stage, MISSING, &["Invalid path: no-such-folder/egress_authz.wasm"])
}

fn a_corrupted_binary_at_start(stage: &mut Stage) -> Result<()> {
    refuses_at_start(stage, CORRUPTED, &["Failed to load Wasm", "Plugin corrupted failed to load"])
}

fn keeps_the_old_binary(rig: &mut Rig, path: PathBuf, error: &str) -> Result<()> {
    rig.policy(not_b())?;
    let before = rejections(rig)?;
    let bad = Filter::Wasm(Wasm::new(path, &allow_all()));
    let update = rig.mesh_mut().gateway_mut().set_filter(HTTP, bad)?;
    let (after, holds) = (rejections(rig)?, old_policy_holds(rig));
    // Back to the good one before anything is said of it: the tests that follow need it.
    let good = Filter::Wasm(Wasm::new(paths::filter_wasm()?, &not_b()));
    let again = rig.mesh_mut().gateway_mut().set_filter(HTTP, good)?;
    let Update::Rejected(log) = update else { bail!("it was taken") };
    ensure!(log.contains(error), "the log does not say {error:?}:\n{log}");
    ensure!(after == before + 1, "no counter tells");
    holds?;
    ensure!(again == Update::Applied, "{again:?}");
    old_policy_holds(rig)
}

fn a_binary_that_is_not_there_on_update(stage: &mut Stage) -> Result<()> {
    keeps_the_old_binary(&mut stage.rig, missing(), "Invalid path: no-such-folder/egress_authz.wasm")
}

fn a_corrupted_binary_on_update(stage: &mut Stage) -> Result<()> {
    let path = corrupted(&stage.dir)?;
    keeps_the_old_binary(&mut stage.rig, path, "Failed to load Wasm")
}
