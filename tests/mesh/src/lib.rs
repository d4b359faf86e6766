//! What the tests through a real Istio share.
//!
//! They need root, Linux and Istio's programs, so each binary does nothing unless [`ASK`] is set: `make test-mesh` sets it.

pub mod authority;
pub mod direct;
pub mod prober;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use egress_mesh::curl::Got;
use egress_mesh::manifests::{self, target_dir};
use egress_mesh::mesh::Mesh;
use egress_mesh::pod::Pod;
use egress_tests::suite::{self, Test};
use serde_json::Value;

/// Set by `make test-mesh`.
pub const ASK: &str = "EGRESS_MESH_TESTS";

/// Runs the tests one after the other on one mesh, if they are asked for.
pub fn run<S: Send + 'static>(start: fn() -> Result<S>, tests: Vec<Test<S>>) -> ExitCode {
    if env::var_os(ASK).is_none_or(|asked| asked.is_empty()) {
        println!("not run: this needs root and Istio's programs; `make test-mesh` runs it");
        return ExitCode::SUCCESS;
    }
    suite::run(start, tests)
}

/// Waits until a condition holds; tells how long that took.
///
/// # Errors
/// When it does not hold in time; the text has what it last said.
pub fn eventually(what: &str, patience: Duration, condition: impl Fn() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    loop {
        match condition() {
            Ok(()) => return Ok(begin.elapsed()),
            Err(error) if begin.elapsed() > patience => {
                return Err(error.context(format!("{what}: not within {patience:?}")));
            }
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

/// What `egressctl render` writes of a gateway file, with the mesh's image.
///
/// # Errors
/// When it refuses it.
pub fn rendered(mesh: &Mesh, short: &Value) -> Result<Vec<Value>> {
    let path = scratch()?.join("short.yaml");
    fs::write(&path, short.to_string())?;
    Ok(manifests::with_image(manifests::render(&path, &[])?, mesh.image()))
}

/// A folder for what a test writes down for a program.
///
/// # Errors
/// When it cannot be made.
pub fn scratch() -> Result<PathBuf> {
    let dir = target_dir()?.join("mesh-tests");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Of some documents those of a kind.
#[must_use]
pub fn of_kind(documents: &[Value], kind: &str) -> Vec<Value> {
    documents.iter().filter(|document| document.get("kind").is_some_and(|own| own == kind)).cloned().collect()
}

/// Sets what is at a place of a document, a new key of an object there too.
///
/// # Errors
/// When there is no such place.
pub fn set(document: &mut Value, place: &str, value: Value) -> Result<()> {
    let (parent, key) = place.rsplit_once('/').context("a place begins with /")?;
    let parent = document.pointer_mut(parent).with_context(|| format!("nothing at {parent}"))?;
    let slot = match parent {
        Value::Object(object) => object.entry(key).or_insert(Value::Null),
        other => other.pointer_mut(&format!("/{key}")).with_context(|| format!("nothing at {place}"))?,
    };
    *slot = value;
    Ok(())
}

/// The status that a workload gets for a URL, by curl behind its sidecar; 0 where the connection was closed.
///
/// # Errors
/// When curl ends in another way.
pub fn status(mesh: &Mesh, who: &str, url: &str) -> Result<u16> {
    Ok(match mesh.pod(who)?.curl().run(&[url])? {
        Got::Answer(answer) => answer.status,
        Got::Closed => 0,
    })
}

/// Holds a workload's status for a URL against the expected one.
///
/// # Errors
/// When it is another.
pub fn gets(mesh: &Mesh, who: &str, url: &str, expected: u16) -> Result<()> {
    let got = status(mesh, who, url)?;
    ensure!(got == expected, "{who} gets {got} for {url}, expected {expected}");
    Ok(())
}

/// What the agent of a pod wrote so far. It is on standard output, between the lines of the access log.
#[must_use]
pub fn agents_log(pod: &Pod) -> String {
    let bytes = fs::read(pod.access_log().path()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().filter(|line| !line.starts_with('{')).map(|line| format!("{line}\n")).collect()
}

/// The sum of all counters and gauges whose name has these parts.
///
/// # Errors
/// When the admin interface does not answer.
pub fn counters(pod: &Pod, parts: &[&str]) -> Result<u64> {
    let text = pod.admin("/stats?usedonly")?;
    let matching = text.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
    Ok(matching.filter_map(|line| line.rsplit_once(": ")?.1.trim().parse::<u64>().ok()).sum())
}
