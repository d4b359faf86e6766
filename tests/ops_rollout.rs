//! From a mesh without rules to an enforced one, as docs/rollout.md tells it: nothing is refused that was used.

use std::fs;
use std::process::{Command, ExitCode, Output};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use egress_lab::client::http::Ask;
use egress_lab::client::{Stream, Tls};
use egress_lab::envoy::Options;
use egress_lab::paths;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::net;
use egress_tests::rig::{Rig, filter};
use egress_tests::{audit, suite, tests};
use serde_json::{Value, json};

const WORKLOADS: [&str; 3] = ["shop/checkout", "shop/catalog", "data/loader"];
/// Who asks for what over HTTP.
const USED: [(&str, &str); 5] = [
    ("shop/checkout", "http://eu.payments.test/"),
    ("shop/checkout", "http://us.payments.test:8080/"),
    ("shop/catalog", "http://www.example.com/"),
    ("data/loader", "http://www.example.com/"),
    ("data/loader", "http://UPPER.example.com./"),
];
/// And over TCP, with TLS of its own.
const TCP: (&str, &str) = ("data/loader", "tls.example.com");

fn main() -> ExitCode {
    suite::run(
        start,
        tests![
            what_was_seen_in_a_dry_run_is_admitted_when_enforced,
            a_diff_tells_what_yesterdays_log_would_lose
        ],
    )
}

fn start() -> Result<Rig> {
    let listeners = vec![Listener::new(Kind::Mtls80, filter()?), net::listener("mtls443", Kind::Mtls443)?];
    Rig::of(Shape::new(listeners), &WORKLOADS, &Options::default())
}

/// Runs the command line tool, in a folder.
fn egressctl(dir: &std::path::Path, arguments: &[&str]) -> Result<Output> {
    let manifest = paths::repo_dir()?.join("Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "egressctl", "--manifest-path"])
        .arg(manifest)
        .arg("--")
        .args(arguments)
        .current_dir(dir)
        .output()?;
    Ok(output)
}

/// What comes of all that is used: the statuses, and whether TLS comes through.
fn use_all(rig: &Rig) -> Result<(Vec<u16>, bool)> {
    let statuses = USED.iter().map(|(who, url)| rig.status(who, url)).collect::<Result<_>>()?;
    let (who, host) = TCP;
    let stream = Stream::connect(rig.mesh().sidecars()?.tcp(who, "mtls443")?)?;
    let tls = stream.tls(&Tls::public(rig.mesh().public(), host)?);
    let answer = tls.and_then(|stream| stream.http1(&Ask::parse(&format!("GET https://{host}/"))?));
    Ok((statuses, answer.is_ok_and(|answer| answer.status == 200)))
}

fn what_was_seen_in_a_dry_run_is_admitted_when_enforced(rig: &mut Rig) -> Result<()> {
    let dir = tempfile::tempdir()?;
    // Nothing is refused, and everything is told of.
    let (envoy_log, access_log) = (audit::mark(rig.envoy()), rig.mesh().gateway().access_log().mark());
    rig.policy(json!({"mode": "DRY_RUN"}))?;
    ensure!(use_all(rig)? == (vec![200; USED.len()], true));
    // What a guard would refuse is no wish to be fulfilled.
    ensure!(rig.status("data/loader", "http://10.0.0.1/")? == 200);
    sleep(Duration::from_millis(200));
    fs::write(dir.path().join("audit.log"), audit::log_since(rig.envoy(), envoy_log))?;
    let lines: Vec<String> = rig
        .mesh()
        .gateway()
        .access_log()
        .since(access_log)
        .iter()
        .map(|entry| entry.to_json().to_string())
        .collect();
    fs::write(dir.path().join("access.log"), lines.join("\n"))?;

    for log in ["audit.log", "access.log"] {
        let proposed = egressctl(dir.path(), &["suggest", log])?;
        ensure!(proposed.status.success(), "{}", String::from_utf8_lossy(&proposed.stderr));
        ensure!(
            !String::from_utf8_lossy(&proposed.stdout).contains("10.0.0.1"),
            "a guard's business is proposed"
        );
        fs::write(dir.path().join("proposed.yaml"), &proposed.stdout)?;
        let tested = egressctl(dir.path(), &["test", "proposed.yaml", log])?;
        ensure!(tested.status.success(), "{log}: {}", String::from_utf8_lossy(&tested.stdout));
        // Enforced on the real gateway: the same requests pass, and nothing else does.
        let config: Value = yaml_serde::from_slice(&proposed.stdout)?;
        rig.policy(config)?;
        let enforced = use_all(rig)?;
        ensure!(enforced == (vec![200; USED.len()], true), "{log}: {enforced:?}");
        ensure!(rig.status("shop/catalog", "http://eu.payments.test/")? == 403);
        ensure!(rig.status("data/loader", "http://10.0.0.1/")? == 403);
    }
    Ok(())
}

fn a_diff_tells_what_yesterdays_log_would_lose(rig: &mut Rig) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mark = audit::mark(rig.envoy());
    let old =
        json!({"reportAllowed": true, "policies": [{"name": "shop", "namespace": "shop", "rules": [{}]}]});
    rig.policy(old.clone())?;
    ensure!(rig.status("shop/checkout", "http://eu.payments.test/")? == 200);
    ensure!(rig.status("shop/catalog", "http://www.example.com/")? == 200);
    sleep(Duration::from_millis(200));
    fs::write(dir.path().join("yesterday.log"), audit::log_since(rig.envoy(), mark))?;
    let mut new = old.clone();
    *new.pointer_mut("/policies/0/rules").context("no rules")? =
        json!([{"to": [{"operation": {"hosts": ["*.payments.test"]}}]}]);
    fs::write(dir.path().join("old.json"), old.to_string())?;
    fs::write(dir.path().join("new.json"), new.to_string())?;
    let diff = egressctl(dir.path(), &["diff", "old.json", "new.json", "yesterday.log"])?;
    let said = String::from_utf8_lossy(&diff.stdout).into_owned();
    ensure!(diff.status.code() == Some(2) && said.contains("1 of 2 verdicts flip"), "{said}");
    // And so it is.
    rig.policy(new)?;
    ensure!(rig.status("shop/checkout", "http://eu.payments.test/")? == 200);
    ensure!(rig.status("shop/catalog", "http://www.example.com/")? == 403);
    Ok(())
}
