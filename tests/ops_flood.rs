//! A flood of refusals meets the audit limit: what is written is bounded, what is not is counted, and nobody else's is hidden.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use egress_lab::envoy::Options;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::keepalive::KeepAlive;
use egress_tests::prometheus::await_sum;
use egress_tests::rig::{Rig, filter};
use egress_tests::{audit, suite, tests};
use serde_json::{Value, json};

/// Lines a second in all, and for one namespace, as docs/operations.md states them.
const LINES: u64 = 100;
const LINES_OF_NAMESPACE: u64 = 20;
/// Requests that are sent before their answers are read: Envoy takes no more ("too many responses queued").
const BATCH: usize = 2;
/// Connections that flood.
const FLOODS: usize = 8;

fn main() -> ExitCode {
    suite::run(start, tests![a_flood_hides_nobody, many_noisy_namespaces_are_bounded_together])
}

/// A waypoint's listener: any namespace without a certificate for each, and no TLS that would slow the flood.
fn start() -> Result<Rig> {
    let listeners = vec![Listener::new(Kind::Ambient80, filter()?), Listener::new(Kind::Mtls80, filter()?)];
    Rig::of(Shape::new(listeners), &[], &Options::default())
}

fn request(namespace: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nhost: www.example.com\r\nx-lab-peer-principal: spiffe://cluster.local/ns/{namespace}/sa/x\r\n\r\n"
    )
}

/// Sends requests as fast as they are refused, until it is told to stop; how many there were.
fn flood(to: SocketAddr, namespaces: &[String], stop: &AtomicBool) -> Result<u64> {
    const REFUSAL: &[u8] = b"HTTP/1.1 403 ";
    let mut names = namespaces.iter().cycle();
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut refused, mut bytes) = (0, vec![0; 64 * 1024]);
    while !stop.load(Ordering::Relaxed) {
        let batch: String = names.by_ref().take(BATCH).map(|namespace| request(namespace)).collect();
        stream.write_all(batch.as_bytes())?;
        let (mut answers, mut text) = (0, Vec::new());
        // Each ends with the same words; a word may be cut in two by a read.
        while answers < BATCH || !text.ends_with(b"RBAC: access denied") {
            let read = stream.read(&mut bytes)?;
            ensure!(
                read > 0,
                "closed after {answers} answers of a batch: {}",
                String::from_utf8_lossy(&text)
            );
            text.extend_from_slice(bytes.get(..read).unwrap_or_default());
            answers = text.windows(REFUSAL.len()).filter(|window| *window == REFUSAL).count();
        }
        ensure!(answers == BATCH, "{answers} answers to {BATCH} requests");
        refused += u64::try_from(BATCH)?;
    }
    Ok(refused)
}

/// Floods for some seconds while something else happens; how many were refused, and in how long.
fn flooded(rig: &Rig, namespaces: &[String], meanwhile: impl Fn() -> Result<()>) -> Result<(u64, Duration)> {
    let to = rig.mesh().gateway().address("ambient80")?;
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let floods: Vec<_> = (0..FLOODS)
        .map(|at| {
            let mut namespaces = namespaces.to_vec();
            let places = namespaces.len();
            namespaces.rotate_left(at * BATCH % places);
            let stop = Arc::clone(&stop);
            thread::spawn(move || flood(to, &namespaces, &stop))
        })
        .collect();
    let outcome = (|| {
        while start.elapsed() < Duration::from_secs(3) {
            meanwhile()?;
            sleep(Duration::from_millis(500));
        }
        Ok::<_, anyhow::Error>(())
    })();
    stop.store(true, Ordering::Relaxed);
    let elapsed = start.elapsed();
    let mut refused = 0;
    for flood in floods {
        refused += flood.join().ok().context("a flood panicked")??;
    }
    outcome.map(|()| (refused, elapsed))
}

/// What the log says: lines of each namespace, and how many were suppressed in all.
fn told(lines: &[Value], namespace: &str) -> (u64, u64) {
    let written =
        lines.iter().filter(|line| line["namespace"] == namespace && line["verdict"] == "deny").count();
    let suppressed = lines
        .iter()
        .filter_map(|line| line["suppressed"].as_array())
        .flatten()
        .filter(|one| one["namespace"] == namespace)
        .filter_map(|one| one["lines"].as_u64())
        .sum();
    (u64::try_from(written).unwrap_or_default(), suppressed)
}

fn a_flood_hides_nobody(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"policies": [{"name": "nothing"}]}))?;
    let mark = audit::mark(rig.envoy());
    let quiet = std::cell::RefCell::new(KeepAlive::connect(rig.mesh().gateway().address("ambient80")?)?);
    let asked = std::cell::Cell::new(0_u64);
    let (refused, elapsed) = flooded(rig, &["noisy".to_owned()], || {
        ensure!(quiet.borrow_mut().ask(request("quiet").as_bytes())? == 403);
        asked.set(asked.get() + 1);
        Ok(())
    })?;
    // The last second's count comes with the next tick.
    sleep(Duration::from_millis(2_100));
    let lines = audit::lines_since(rig.envoy(), mark);
    let (noisy, suppressed) = told(&lines, "noisy");
    let rate = refused * 1_000 / u64::try_from(elapsed.as_millis())?;
    println!(
        "{refused} refused in {:.1} s ({rate}/s): {noisy} lines written, {suppressed} counted",
        elapsed.as_secs_f32()
    );
    let seconds = elapsed.as_secs() + 2;
    ensure!(noisy <= LINES_OF_NAMESPACE * seconds, "{noisy} lines in {seconds} s");
    ensure!(noisy + suppressed == refused, "{noisy} written, {suppressed} counted, {refused} refused");
    ensure!(told(&lines, "quiet") == (asked.get(), 0), "{:?} of {}", told(&lines, "quiet"), asked.get());
    let (wanted, soak) = (10_000, std::env::var_os("EGRESS_SOAK").is_some_and(|value| !value.is_empty()));
    ensure!(rate >= if soak { wanted } else { wanted / 5 }, "only {rate}/s");
    // All of them are in the metrics.
    #[expect(clippy::cast_precision_loss, reason = "far below what a double counts")]
    let all = refused as f64;
    await_sum(rig.envoy(), "egress_authz_decisions", &[("namespace", "noisy"), ("verdict", "deny")], all)
}

fn many_noisy_namespaces_are_bounded_together(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"policies": [{"name": "nothing"}, {"name": "at-all"}]}))?;
    let mark = audit::mark(rig.envoy());
    let namespaces: Vec<String> = (0..25).map(|at| format!("loud-{at}")).collect();
    let (_, elapsed) = flooded(rig, &namespaces, || Ok(()))?;
    sleep(Duration::from_millis(2_100));
    let lines = audit::lines_since(rig.envoy(), mark);
    let written = lines.iter().filter(|line| line["verdict"] == "deny").count();
    let seconds = usize::try_from(elapsed.as_secs() + 2)?;
    // The first of each namespace comes on top.
    let most = (usize::try_from(LINES)? + namespaces.len()) * seconds;
    println!("{written} lines of {} namespaces in {:.1} s", namespaces.len(), elapsed.as_secs_f32());
    ensure!(written <= most, "{written} lines, at most {most}");
    ensure!(
        namespaces.iter().all(|namespace| told(&lines, namespace).0 > 0),
        "a namespace is not told of at all"
    );
    Ok(())
}
