//! Requests to hold against a configuration: a table of cases, or a gateway's log. Which of the two a file is, is decided once, by
//! what it says and not by what can be made of it: a table with an error is not a log without requests.

use crate::cases::{self, Case};
use crate::diagnostics::Diagnostic;
use crate::request_log::RequestLog;
use crate::source::{Source, open_file, read_all};
use egress_policy::config::nearest;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// Where requests come from.
pub(crate) enum Requests<'p> {
    Table(Vec<Case>),
    Log(Box<RequestLog<'p>>),
}

/// A table says that it is one within so many bytes.
const LOOKED_AT: u64 = 1 << 20;

impl<'p> Requests<'p> {
    /// Opens either. `plugin` is what Envoy's log calls the filter.
    ///
    /// # Errors
    /// A file that cannot be read, or a table with its errors.
    pub(crate) fn open(path: &Path, plugin: Option<&'p str>) -> Result<Self, Vec<Diagnostic>> {
        let (name, mut input) = open(path)?;
        let cannot =
            |error: io::Error| vec![Diagnostic::error(format!("cannot read it: {error}")).in_file(&name)];
        let mut head = Vec::new();
        input.by_ref().take(LOOKED_AT).read_to_end(&mut head).map_err(cannot)?;
        if is_table(&head) {
            let whole = read_all(io::Cursor::new(head).chain(input)).map_err(cannot)?;
            let source = Source::from_bytes(name, whole)?;
            return cases::from_source(&Rc::new(source)).map(Self::Table);
        }
        let input = Box::new(BufReader::new(io::Cursor::new(head).chain(input)));
        Ok(Self::Log(Box::new(RequestLog::new(name, input, plugin))))
    }
}

/// Opens a log.
///
/// # Errors
/// A file that cannot be opened.
pub(crate) fn open_log<'p>(path: &Path, plugin: Option<&'p str>) -> Result<RequestLog<'p>, Vec<Diagnostic>> {
    let (name, input) = open(path)?;
    Ok(RequestLog::new(name, Box::new(BufReader::new(input)), plugin))
}

fn open(path: &Path) -> Result<(String, Box<dyn Read>), Vec<Diagnostic>> {
    if path == Path::new("-") {
        return Ok(("<stdin>".to_owned(), Box::new(io::stdin())));
    }
    let name = path.display().to_string();
    match open_file(path) {
        Ok(file) => Ok((name, Box::new(file))),
        Err(error) => Err(vec![Diagnostic::error(format!("cannot read it: {error}")).in_file(&name)]),
    }
}

/// Whether the file is meant for a table: one of its lines begins with the key, well or badly spelt. No line of a log does: they
/// begin with a time, a bracket or an object of other keys.
fn is_table(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    text.trim_start_matches('\u{feff}').lines().any(|line| {
        let line = line.strip_prefix("---").unwrap_or(line).trim_start();
        let line = line.strip_prefix('{').unwrap_or(line).trim_start();
        let Some((key, rest)) = line.split_once(':') else {
            return false;
        };
        let quoted = |quote: char| key.trim_end().strip_prefix(quote).and_then(|key| key.strip_suffix(quote));
        let key = quoted('"').or_else(|| quoted('\'')).unwrap_or(key.trim_end());
        let is_map = rest.is_empty() || rest.starts_with([' ', '\t', '[', '{', '\r']);
        let key = key.to_ascii_lowercase();
        if key == "cases" {
            return is_map;
        }
        // An application says `Cause: …`, too.
        let is_block = matches!(rest.trim_start().chars().next(), None | Some('[' | '{'));
        let is_near = || key == "case" || nearest(&key, ["cases"].into_iter()).is_some();
        is_map && is_block && is_near()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_that_it_is_one() {
        for text in [
            "cases:\n- {}",
            "# mine\n\n---\ncases: []",
            "{\"cases\": []}",
            "{\n  \"cases\": [\n",
            "casses: []",
            "Cases:\n",
            "\u{feff}cases:",
            "'cases': [",
            "x: 1\ncases: {",
            "cases:\n  - name: \"unclosed\n",
        ] {
            assert!(is_table(text.as_bytes()), "{text:?}");
        }
        for text in [
            "",
            "[2026-01-01 00:00:00.000][1][info][main] cases: 1",
            "{\"authority\":\"cases:\"}",
            "{\"cause\":\"x\"}",
            "GET /cases: x",
            "policies: []",
            "cause: a timeout",
            "2026-01-01T00:00:00Z cases:",
        ] {
            assert!(!is_table(text.as_bytes()), "{text:?}");
        }
    }
}
