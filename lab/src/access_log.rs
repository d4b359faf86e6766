//! The gateway's access log: one JSON object a line, as `envoy/part-access-log.yaml` writes it.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    fields: Map<String, Value>,
}

// === impl Entry ===

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok().map(|fields| Self { fields })
    }

    /// A field as text; empty where there is none.
    #[must_use]
    pub fn text(&self, field: &str) -> String {
        match self.fields.get(field) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// The listener's name.
    #[must_use]
    pub fn listener(&self) -> String {
        self.text("listener")
    }

    /// `%RESPONSE_CODE_DETAILS%`.
    #[must_use]
    pub fn details(&self) -> String {
        self.text("response_code_details")
    }

    /// `%FILTER_STATE(wasm.egress_authz:PLAIN)%`.
    #[must_use]
    pub fn verdict(&self) -> String {
        self.text("egress_authz")
    }

    /// The whole line as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields.clone())
    }
}

/// A place in the log: what was written before it is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

/// The log file.
#[derive(Debug, Clone)]
pub struct AccessLog {
    path: PathBuf,
}

// === impl AccessLog ===

impl AccessLog {
    /// The log in a file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The present end.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(fs::metadata(&self.path).map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(usize::MAX)))
    }

    /// All whole lines after a mark.
    #[must_use]
    pub fn since(&self, mark: Mark) -> Vec<Entry> {
        let bytes = fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes.get(mark.0..).unwrap_or_default()).into_owned();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).filter_map(Entry::parse).collect()
    }

    /// Waits for the first line after a mark that fulfils a condition.
    ///
    /// # Errors
    /// When none comes within three seconds; the text has the lines that did.
    pub fn wait(&self, mark: Mark, wanted: impl Fn(&Entry) -> bool) -> Result<Entry> {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let entries = self.since(mark);
            if let Some(entry) = entries.iter().find(|entry| wanted(entry)) {
                return Ok(entry.clone());
            }
            if Instant::now() > deadline {
                let lines: Vec<String> = entries.iter().map(|entry| entry.to_json().to_string()).collect();
                bail!(
                    "no such line in the access log; since the mark there are {}:\n{}",
                    lines.len(),
                    lines.join("\n")
                );
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the next line of a listener.
    ///
    /// # Errors
    /// As [`AccessLog::wait`].
    pub fn next_of(&self, mark: Mark, listener: &str) -> Result<Entry> {
        self.wait(mark, |entry| entry.listener() == listener)
    }
}
