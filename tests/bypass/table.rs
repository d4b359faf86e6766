//! The tables of docs/bypass.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, bail};
use egress_lab::paths;

/// What became of one request at one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Hosts as the site was asked for them.
    pub(crate) site_saw: Vec<String>,
    /// The filter's reason, or what else ended it.
    pub(crate) ended: String,
    /// Whether the site was asked for the refused host.
    pub(crate) through: bool,
}

// === impl Outcome ===

impl Outcome {
    fn cell(&self) -> String {
        match (self.through, self.site_saw.as_slice()) {
            (true, _) => "**through**".to_owned(),
            (false, []) => code(&self.ended),
            (false, hosts) => {
                format!("reached {}", hosts.iter().map(|host| code(host)).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// One row: what was sent, and what became of it at each listener in order.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) sent: String,
    pub(crate) outcomes: Vec<Outcome>,
}

/// How many of the rows went through at each listener.
pub(crate) fn through(rows: &[Row], listener: usize) -> usize {
    rows.iter().filter(|row| row.outcomes.get(listener).is_some_and(|outcome| outcome.through)).count()
}

/// Text that no reader shall take for another: everything but printable ASCII is escaped.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\r' => "\\r".to_owned(),
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            ' '..='~' => c.to_string(),
            _ => format!("\\u{{{:x}}}", u32::from(c)),
        })
        .collect()
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{}`", visible(text).replace('|', "\\|").replace('`', "'"))
    }
}

pub(crate) fn markdown(heads: [&str; 2], listeners: &[&str], rows: &[Row]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "| {} | {} | {} |", heads[0], heads[1], listeners.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(2 + listeners.len()));
    for row in rows {
        let cells: Vec<String> = row.outcomes.iter().map(Outcome::cell).collect();
        let _ = writeln!(text, "| {} | {} | {} |", row.what, code(&row.sent), cells.join(" | "));
    }
    text
}

/// Compares the generated parts of docs/bypass.md with what was measured; `EGRESS_BLESS=1` writes them instead.
pub(crate) fn compare(parts: &BTreeMap<&str, String>) -> Result<()> {
    let path = paths::repo_dir()?.join("docs/bypass.md");
    let before = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut after = before.clone();
    for (name, part) in parts {
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
        let (head, rest) = after.split_once(&begin).with_context(|| format!("no {begin}"))?;
        let (_, tail) = rest.split_once(&end).with_context(|| format!("no {end}"))?;
        after = format!("{head}{begin}{part}{end}{tail}");
    }
    if before == after {
        return Ok(());
    }
    if std::env::var_os("EGRESS_BLESS").is_some_and(|value| !value.is_empty()) {
        fs::write(&path, after)?;
        return Ok(());
    }
    let changed = before.lines().zip(after.lines()).find(|(old, new)| old != new);
    bail!("docs/bypass.md is not what was measured (EGRESS_BLESS=1 writes it): {changed:#?}")
}
