//! FILE: where configurations come from, and where each of their values stands.

mod manifest;
mod node;
mod scalar;
mod yaml;

pub(crate) use manifest::{Input, Plugin, PluginKind, Resource};
pub(crate) use node::{Entry, Node, Span, Value, Which};
pub(crate) use scalar::resolve;

use crate::diagnostics::Diagnostic;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// What the user calls it.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// Reads a file; `-` is the standard input.
    pub(crate) fn read(path: &Path) -> Result<Rc<Self>, Vec<Diagnostic>> {
        let (name, bytes) = if path == Path::new("-") {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes);
            ("<stdin>".to_owned(), read)
        } else {
            (path.display().to_string(), std::fs::read(path))
        };
        let refuse = |message: String| vec![Diagnostic::error(message).in_file(&name)];
        let bytes = bytes.map_err(|error| refuse(format!("cannot read it: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8 text".to_owned()))?;
        Ok(Rc::new(Self { name, text }))
    }

    /// The documents of the file.
    pub(crate) fn documents(self: &Rc<Self>) -> Result<Vec<Node>, Vec<Diagnostic>> {
        let error = match yaml::parse(&self.text) {
            Ok(documents) => return Ok(documents),
            Err(error) => error,
        };
        // JSON that YAML does not take (a surrogate pair, a key of a kilobyte) is JSON all the same.
        match serde_json::from_str(&self.text) {
            Ok(json) => {
                Ok(vec![Node::from_json(&json, Span { line: 1, column: 1, end_line: 1, end_column: 1 })])
            }
            Err(_) => Err(vec![Diagnostic::error(error.message).at(self, error.span)]),
        }
    }

    /// A line of the file, counted from one.
    pub(crate) fn line(&self, line: usize) -> Option<&str> {
        self.text.split('\n').nth(line.checked_sub(1)?).map(|line| line.strip_suffix('\r').unwrap_or(line))
    }
}
