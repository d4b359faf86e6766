//! Updates while the gateway works: nobody notices, nothing is decided by two configurations, nothing is left behind.
//!
//! Short by default; `make soak` sets `EGRESS_SOAK=1` and runs it at full length.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use egress_lab::envoy::Options;
use egress_lab::gateway::Update;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::keepalive::KeepAlive;
use egress_tests::rig::{Rig, filter};
use egress_tests::{suite, tests};
use serde_json::{Value, json};

/// No version is surely in force: one has been pushed, and the gateway does not show it yet.
const BETWEEN: u64 = 0;

fn main() -> ExitCode {
    suite::run(
        start,
        tests![updates_under_load, a_bad_update_changes_nothing, memory_does_not_grow_with_updates],
    )
}

fn start() -> Result<Rig> {
    let listeners = vec![Listener::new(Kind::Mtls80, filter()?)];
    Rig::of(Shape::new(listeners), &["a/x"], &Options { concurrency: 2, ..Options::default() })
}

fn soak() -> bool {
    std::env::var_os("EGRESS_SOAK").is_some_and(|value| !value.is_empty())
}

/// Version N admits `flip.example.com` where N is odd.
fn version(number: u64) -> Value {
    let hosts = if number % 2 == 1 {
        json!(["always.example.com", "flip.example.com"])
    } else {
        json!(["always.example.com"])
    };
    json!({"policies": [{"name": format!("version-{number}"), "rules": [{"to": [{"operation": {"hosts": hosts}}]}]}]})
}

/// Pushes a version and waits until the gateway's dump shows it in every listener.
fn push(rig: &mut Rig, number: u64) -> Result<()> {
    rig.policy(version(number))?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !rig.envoy().get("/config_dump?resource=ecds_filters")?.contains(&format!("version-{number}\\")) {
        ensure!(Instant::now() < deadline, "the dump does not show version {number}");
    }
    Ok(())
}

/// What the clients have seen.
#[derive(Default)]
struct Tally {
    asked: AtomicU64,
    /// Requests that were decided while one version was surely in force.
    judged: AtomicU64,
    problems: Mutex<Vec<String>>,
    stop: AtomicBool,
    /// The version in force, or [`BETWEEN`].
    in_force: AtomicU64,
}

// === impl Tally ===

impl Tally {
    fn ask(&self, client: &mut KeepAlive, at: u64) {
        let host = match at % 4 {
            0 | 2 => "flip.example.com",
            1 => "always.example.com",
            _ => "never.example.com",
        };
        let before = self.in_force.load(Ordering::SeqCst);
        let status = client.get(host, "");
        let after = self.in_force.load(Ordering::SeqCst);
        self.asked.fetch_add(1, Ordering::Relaxed);
        let surely = before == after && before != BETWEEN;
        let wanted: &[u16] = match host {
            "always.example.com" => &[200],
            "never.example.com" => &[403],
            _ if !surely => &[200, 403],
            _ if before % 2 == 1 => &[200],
            _ => &[403],
        };
        self.judged.fetch_add(u64::from(surely), Ordering::Relaxed);
        if !status.as_ref().is_ok_and(|status| wanted.contains(status)) {
            let problem = format!("{host} under version {before} (after it {after}): {status:?}");
            self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
        }
    }
}

fn client(rig: &Rig, tally: &Arc<Tally>) -> Result<JoinHandle<()>> {
    let mut client = KeepAlive::connect(rig.mesh().sidecars()?.http("a/x")?)?;
    let tally = Arc::clone(tally);
    Ok(thread::spawn(move || {
        let mut at = 0;
        while !tally.stop.load(Ordering::Relaxed) {
            tally.ask(&mut client, at);
            at += 1;
        }
    }))
}

fn updates_under_load(rig: &mut Rig) -> Result<()> {
    let (seconds, rate) = if soak() { (60, 2_000) } else { (6, 1_000) };
    let tally = Arc::new(Tally::default());
    push(rig, 1)?;
    tally.in_force.store(1, Ordering::SeqCst);
    let clients = (0..4).map(|_| client(rig, &tally)).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let mut number = 1;
    let pushed = (|| {
        while start.elapsed() < Duration::from_secs(seconds) {
            let next = start + Duration::from_millis(100) * u32::try_from(number)?;
            sleep(next.saturating_duration_since(Instant::now()));
            number += 1;
            tally.in_force.store(BETWEEN, Ordering::SeqCst);
            push(rig, number)?;
            tally.in_force.store(number, Ordering::SeqCst);
        }
        Ok::<(), anyhow::Error>(())
    })();
    tally.stop.store(true, Ordering::Relaxed);
    let elapsed = start.elapsed();
    for client in clients {
        ensure!(client.join().is_ok(), "a client panicked");
    }
    pushed?;
    let problems = tally.problems.lock().unwrap_or_else(PoisonError::into_inner);
    let (asked, judged) = (tally.asked.load(Ordering::Relaxed), tally.judged.load(Ordering::Relaxed));
    let per_second = asked * 1_000 / u64::try_from(elapsed.as_millis())?;
    println!(
        "{asked} requests in {:.1} s ({per_second}/s), {number} versions; {judged} while one was surely in force; {} wrong or failed",
        elapsed.as_secs_f32(),
        problems.len()
    );
    ensure!(problems.is_empty(), "{} problems: {:#?}", problems.len(), problems.get(..problems.len().min(5)));
    ensure!(number >= seconds * 8, "only {number} versions in {seconds} s");
    // How long a version takes until the dump shows it is a matter of the machine; those asked meanwhile prove less.
    ensure!(judged > asked / 10, "only {judged} of {asked} prove anything");
    ensure!(per_second >= rate, "only {per_second} requests/s");
    ensure!(rig.traps().is_empty(), "{:?}", rig.traps());
    Ok(())
}

fn a_bad_update_changes_nothing(rig: &mut Rig) -> Result<()> {
    push(rig, 3)?;
    let rejected = "extension_config_discovery.http_filter.egress-authz.mtls80.config_fail";
    for (document, error) in [
        (r#"{"polices": []}"#, "polices: unknown key; write `policies`"),
        (
            r#"{"policies": [{"name": "p", "rules": [{"to": [{"operation": {"hosts": ["*example.com"]}}]}]}]}"#,
            "write `*.example.com`",
        ),
        ("{", "configuration refused, 1 error"),
        (r#"{"bundle": "AAAA"}"#, "bundle"),
    ] {
        let before = rig.envoy().stat(rejected)?;
        match rig.mesh_mut().gateway_mut().set_policy_text(document)? {
            Update::Rejected(log) => ensure!(log.contains(error), "{document}: the log says {log}"),
            Update::Applied => bail!("{document} was accepted"),
        }
        let after = rig.envoy().stat(rejected)?;
        ensure!(after == before + 1, "{rejected}: {before} and then {after}");
        for (host, status) in [("flip", 200), ("always", 200), ("never", 403)] {
            let seen = rig.status("a/x", &format!("http://{host}.example.com/"))?;
            ensure!(seen == status, "after {document}: {host} gets {seen}");
        }
    }
    // And a good one is taken again.
    push(rig, 4)?;
    ensure!(rig.status("a/x", "http://flip.example.com/")? == 403);
    Ok(())
}

/// A thousand policies, none of them that of another round.
fn thousand(round: u64) -> Value {
    let policies: Vec<Value> = (0..1_000)
        .map(|at| {
            json!({"name": format!("p{at}"), "namespace": format!("ns-{}", at % 100),
                   "rules": [{"to": [{"operation": {"hosts": [format!("h{at}-{round}.example.com"), "*.example.org"]}}]}]})
        })
        .collect();
    json!({"policies": policies, "hostSets": {"round": [format!("r{round}.example.com")]}})
}

fn memory_does_not_grow_with_updates(rig: &mut Rig) -> Result<()> {
    let (first, last) = if soak() { (100, 1_000) } else { (30, 90) };
    let mut at_first = None;
    let start = Instant::now();
    for round in 1..=last {
        rig.policy(thousand(round))?;
        if round % 10 == 0 {
            // Something happens under each configuration.
            ensure!(rig.status("a/x", "http://www.example.com/")? == 403);
        }
        if round == first {
            at_first = Some(settled(rig)?);
        }
    }
    let (at_first, at_last) = (at_first.context("no round")?, settled(rig)?);
    println!(
        "{last} updates of 1,000 policies in {:.1} s: {:.1} MiB after {first}, {:.1} MiB after {last}",
        start.elapsed().as_secs_f32(),
        mib(at_first),
        mib(at_last)
    );
    ensure!(at_last * 10 <= at_first * 12, "{:.1} MiB became {:.1} MiB", mib(at_first), mib(at_last));
    Ok(())
}

/// The least of a few looks: what is about to be given back is not held.
fn settled(rig: &Rig) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..5 {
        sleep(Duration::from_millis(100));
        least = least.min(rig.envoy().memory()?);
    }
    Ok(least)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
