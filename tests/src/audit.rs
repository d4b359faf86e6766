//! The lines that the filter writes into Envoy's log.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use egress_lab::envoy::Envoy;
use serde_json::Value;

/// A place in Envoy's log.
#[derive(Debug, Clone, Copy)]
pub struct LogMark(usize);

/// The present end of Envoy's log.
#[must_use]
pub fn mark(envoy: &Envoy) -> LogMark {
    LogMark(envoy.log().len())
}

/// What Envoy's log says since a mark.
#[must_use]
pub fn log_since(envoy: &Envoy, mark: LogMark) -> String {
    envoy.log().get(mark.0..).unwrap_or_default().to_owned()
}

/// The audit lines since a mark, and what the filter says of those that it suppressed.
#[must_use]
pub fn lines_since(envoy: &Envoy, mark: LogMark) -> Vec<Value> {
    log_since(envoy, mark).lines().filter_map(json_of).collect()
}

/// Waits for the first audit line after a mark that fulfils a condition.
///
/// # Errors
/// When none comes within three seconds; the text has the log.
pub fn wait(envoy: &Envoy, mark: LogMark, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        if let Some(line) = lines_since(envoy, mark).into_iter().find(&wanted) {
            return Ok(line);
        }
        if Instant::now() > deadline {
            bail!("no such audit line; the log says:\n{}", log_since(envoy, mark));
        }
        sleep(Duration::from_millis(5));
    }
}

/// A field of a line as text; empty where it is none.
#[must_use]
pub fn text<'l>(line: &'l Value, field: &str) -> &'l str {
    line.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The JSON object at the end of a line of the wasm logger's.
fn json_of(line: &str) -> Option<Value> {
    let start = line.find('{').filter(|_| line.contains(" wasm "))?;
    serde_json::from_str(line.get(start..)?).ok()
}
