//! `pathReadings` on a real Envoy: each spelling of the core's table to a DENY and to an ALLOW, as raw bytes. Two listeners: one
//! hands paths on as they are written, the other reads them itself first, as Istio has it do by default.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use egress_lab::client::Stream;
use egress_lab::envoy::Options;
use egress_lab::paths;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::raw::{self, RawAnswer};
use egress_tests::rig::{self, Rig};
use egress_tests::{suite, tests};
use serde_json::{Value, json};

const WHO: &str = "a/x";
const AS_WRITTEN: &str = "written80";
const NORMALIZED: &str = "normalized80";
const LISTENERS: [&str; 2] = [AS_WRITTEN, NORMALIZED];
/// The columns of the table.
const PATTERNS: [&str; 4] = ["/admin/users", "/admin/*", "*/users", "/admin/{*}"];

struct Stage {
    rig: Rig,
    rows: Vec<(String, String)>,
}

fn main() -> ExitCode {
    suite::run(
        start,
        tests![
            no_reading_evades_a_deny_and_none_widens_an_allow,
            what_envoy_hands_on_is_judged,
            literally_a_path_is_as_it_is_written,
            the_query_is_no_path,
        ],
    )
}

fn start() -> Result<Stage> {
    let listeners = LISTENERS.map(|name| -> Result<Listener> {
        let mut listener = Listener::named(name, Kind::Mtls80, rig::filter()?);
        listener.keeps_paths = name == AS_WRITTEN;
        Ok(listener)
    });
    let shape = Shape::new(listeners.into_iter().collect::<Result<_>>()?);
    let table = paths::repo_dir()?.join("policy/tests/data/path_readings.yaml");
    let rows = yaml_serde::from_str(&fs::read_to_string(table)?)?;
    Ok(Stage { rig: Rig::of(shape, &[], &Options::default())?, rows })
}

fn config(action: &str, pattern: &str, readings: &str) -> Value {
    let default = if action == "DENY" { "ALLOW" } else { "DENY" };
    let rules = json!([{"to": [{"operation": {"paths": [pattern]}}]}]);
    json!({"pathReadings": readings, "defaultAction": default, "policies": [{"name": "p", "action": action, "rules": rules}]})
}

fn connect(rig: &Rig, listener: &str) -> Result<Stream> {
    rig.mesh().direct(listener, Some(rig.mesh().identity(WHO)?), None, &["http/1.1"])
}

fn send(stream: Stream, path: &str) -> Result<RawAnswer> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n\r\n");
    raw::exchange(stream, request.as_bytes())
}

/// The status for a path that is sent as it is. The site was asked where it is 200, and only there; 400 is Envoy's own refusal.
fn status(rig: &Rig, path: &str) -> Result<u16> {
    let before = rig.mesh().world().seen().reached();
    let status = send(connect(rig, AS_WRITTEN)?, path)?.status;
    let reached = rig.mesh().world().seen().reached() - before;
    ensure!([200, 400, 403].contains(&status), "{path}: {status}");
    ensure!(reached == u64::from(status == 200), "{path}: {status}, and {reached} reached the site");
    Ok(status)
}

fn no_reading_evades_a_deny_and_none_widens_an_allow(stage: &mut Stage) -> Result<()> {
    let Stage { rig, rows } = stage;
    let mut as_written = 0;
    for (at, pattern) in PATTERNS.iter().enumerate() {
        for action in ["DENY", "ALLOW"] {
            rig.policy_of(AS_WRITTEN, &config(action, pattern, "ALL"))?;
            for (path, truths) in rows.iter() {
                let expected = truths.as_bytes().get(at).copied().context("four columns")?;
                let passes = expected == if action == "DENY" { b'F' } else { b'T' };
                let status = status(rig, path).with_context(|| format!("{action} {pattern}"))?;
                if status != 400 {
                    as_written += 1;
                    ensure!((status == 200) == passes, "{action} {pattern}: {path}: {status}");
                }
            }
        }
    }
    println!("{as_written} answers to paths as they are written");
    ensure!(as_written >= 60 * 2 * PATTERNS.len(), "Envoy itself refuses too many: {as_written}");
    ensure!(rig.traps().is_empty(), "{:?}", rig.traps());
    Ok(())
}

/// Where Envoy has read a path first, it may be clear what was not: what it hands on is what is judged.
fn what_envoy_hands_on_is_judged(stage: &mut Stage) -> Result<()> {
    let Stage { rig, rows } = stage;
    rig.policy_of(NORMALIZED, &config("DENY", "/admin/users", "ALL"))?;
    let mut rewritten = 0;
    for (path, _) in rows.iter() {
        let told = rig.over(connect(rig, NORMALIZED)?, |stream| send(stream, path))?;
        let status = told.answer.status;
        ensure!(
            told.reached == u64::from(status == 200),
            "{path}: {status}, {} reached the site",
            told.reached
        );
        let handed_on = told.entry.text("path");
        rewritten += u32::from(handed_on != *path);
        let truths = rows.iter().find(|(path, _)| *path == handed_on).map(|(_, truths)| truths);
        if let Some(truths) = truths.filter(|_| status != 400) {
            ensure!((status == 200) == truths.starts_with('F'), "{path}, handed on as {handed_on}: {status}");
        }
    }
    ensure!(rewritten > 5, "Envoy rewrote {rewritten} paths");
    Ok(())
}

/// As Istio reads it: this is what `ALL` is for.
fn literally_a_path_is_as_it_is_written(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    let evading =
        ["/admin;x/users", "//admin/users", "/x/..%2fadmin/users", "/x/..;/admin/users", "/admin/users;"];
    for (readings, expected) in [("LITERAL", 200), ("ALL", 403)] {
        rig.policy_of(AS_WRITTEN, &config("DENY", "/admin/users", readings))?;
        for path in evading {
            let status = status(rig, path)?;
            ensure!(status == expected, "{readings} {path}: {status}");
        }
    }
    Ok(())
}

fn the_query_is_no_path(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy_of(AS_WRITTEN, &config("ALLOW", "/admin/users", "ALL"))?;
    for query in ["?a=/../b", "?;", "?%", "?%00", "?//", "?\\"] {
        let status = status(rig, &format!("/admin/users{query}"))?;
        ensure!(status == 200, "{query}: {status}");
    }
    Ok(())
}
