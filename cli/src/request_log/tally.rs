//! How many lines of each kind a log has, and what to do about those that say nothing about a request.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    Audit,
    Access,
    AccessWithoutPeer,
    Text,
    Suppressed,
    Unreadable,
    AuditWithoutPrefix,
    OtherPlugin,
    UnknownEnvelope,
    Cut,
    TooLong,
    Other,
}

/// The lines of a log, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(super) lines: u64,
    /// Of each kind, how many, and where the first is.
    kinds: [(u64, u64); KINDS.len()],
    wrapped: u64,
    not_utf8: u64,
    suppressed: u64,
    /// Hosts of lines that do not say who asked.
    hosts: BTreeSet<String>,
    unknown_key: Option<String>,
}

/// The kinds, with the words for one and for several.
const KINDS: [(LineKind, &str, &str); 12] = [
    (LineKind::Audit, "audit line", "audit lines"),
    (LineKind::Access, "access log line", "access log lines"),
    (LineKind::AccessWithoutPeer, "access log line without a peer", "access log lines without a peer"),
    (LineKind::Text, "access log line in text", "access log lines in text"),
    (LineKind::Suppressed, "line about suppressed audit lines", "lines about suppressed audit lines"),
    (LineKind::Unreadable, "unreadable line", "unreadable lines"),
    (LineKind::AuditWithoutPrefix, "audit line without its prefix", "audit lines without their prefix"),
    (LineKind::OtherPlugin, "line of another plugin", "lines of other plugins"),
    (LineKind::UnknownEnvelope, "line wrapped by somebody unknown", "lines wrapped by somebody unknown"),
    (LineKind::Cut, "piece of a line", "pieces of lines"),
    (LineKind::TooLong, "line that is too long", "lines that are too long"),
    (LineKind::Other, "other line", "other lines"),
];

/// Where the formats are written down.
const FORMAT: &str = "docs/operations.md, Access log";
/// So many hosts are named.
const MOST_HOSTS: usize = 20;

impl Tally {
    pub(super) fn add(&mut self, kind: LineKind, line: u64) {
        let slot = KINDS.iter().position(|(known, ..)| *known == kind);
        if let Some((count, first)) = slot.and_then(|slot| self.kinds.get_mut(slot)) {
            *count += 1;
            if *count == 1 {
                *first = line;
            }
        }
    }

    pub(super) fn add_wrapped(&mut self) {
        self.wrapped += 1;
    }

    pub(super) fn add_not_utf8(&mut self) {
        self.not_utf8 += 1;
    }

    pub(super) fn add_suppressed(&mut self, lines: u64) {
        self.suppressed = self.suppressed.saturating_add(lines);
    }

    pub(super) fn add_host(&mut self, host: String) {
        if self.hosts.len() <= MOST_HOSTS {
            self.hosts.insert(host);
        }
    }

    pub(super) fn add_unknown_key(&mut self, key: &str) {
        self.unknown_key.get_or_insert_with(|| key.chars().take(64).collect());
    }

    fn of(&self, kind: LineKind) -> (u64, u64) {
        let slot = KINDS.iter().position(|(known, ..)| *known == kind);
        slot.and_then(|slot| self.kinds.get(slot)).copied().unwrap_or_default()
    }

    /// Whether any line says what is asked for, if not by whom.
    pub(super) fn is_a_log(&self) -> bool {
        let kinds = [
            LineKind::AccessWithoutPeer,
            LineKind::Text,
            LineKind::Suppressed,
            LineKind::AuditWithoutPrefix,
            LineKind::UnknownEnvelope,
            LineKind::OtherPlugin,
        ];
        kinds.iter().any(|kind| self.of(*kind).0 > 0)
    }

    /// `9 lines: 2 audit lines, 7 access log lines`
    pub(crate) fn summary(&self) -> String {
        let mut text = format!("{} {}", self.lines, if self.lines == 1 { "line" } else { "lines" });
        let counted = KINDS.iter().zip(&self.kinds).filter(|(_, (count, _))| *count > 0);
        for (at, ((_, one, several), (count, _))) in counted.enumerate() {
            let separator = if at == 0 { ": " } else { ", " };
            let _ = write!(text, "{separator}{count} {}", if *count == 1 { one } else { several });
        }
        if self.wrapped > 0 {
            let _ = write!(text, "; {} wrapped by a collector", self.wrapped);
        }
        text
    }

    /// What to do about lines that say nothing, a sentence for each kind.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |kind: LineKind, what: &dyn Fn(u64) -> String| {
            let (count, first) = self.of(kind);
            if count > 0 {
                notes.push(format!("{}; the first is line {first}", what(count)));
            }
        };
        let are = |count: u64, one: &str, several: &str| match count {
            1 => format!("1 line is {one}"),
            _ => format!("{count} lines are {several}"),
        };
        note(LineKind::AccessWithoutPeer, &|count| {
            let what = are(count, "an access log line", "access log lines");
            format!("{what} without downstream_peer_uri_san: add it to the format ({FORMAT})")
        });
        note(LineKind::Text, &|count| {
            let what =
                are(count, "in the text format of Istio or Envoy", "in the text format of Istio or Envoy");
            let mut text = format!("{what}, which has no peer: add the JSON format ({FORMAT})");
            for (at, host) in self.hosts.iter().take(MOST_HOSTS).enumerate() {
                let _ = write!(text, "{}{host}", if at == 0 { "; the hosts asked for are " } else { ", " });
            }
            if self.hosts.len() > MOST_HOSTS {
                text.push_str(" and more");
            }
            text
        });
        note(LineKind::AuditWithoutPrefix, &|count| {
            let what = are(count, "an audit line", "audit lines");
            format!(
                "{what} without the prefix of Envoy's logger, which anybody could have written: give the log as Envoy wrote it"
            )
        });
        note(LineKind::OtherPlugin, &|count| {
            let what = are(count, "of a wasm plugin", "of wasm plugins");
            format!("{what} whose name is not egress-authz: if it is this filter, name it with --logger")
        });
        note(LineKind::UnknownEnvelope, &|count| {
            let what = are(count, "wrapped", "wrapped");
            let key = self.unknown_key.as_deref().unwrap_or_default();
            format!(
                "{what} in an object whose key `{key}` is of no collector that is known: take the lines out first, as `jq -r .message` does"
            )
        });
        note(LineKind::Unreadable, &|count| {
            let what = are(count, "cut off, or has", "cut off, or have");
            format!("{what} a key twice or a value of another type: nothing is read from there")
        });
        note(LineKind::Cut, &|count| {
            format!("{}, cut by a collector, that cannot be put together", are(count, "a piece", "pieces"))
        });
        note(LineKind::TooLong, &|count| format!("{} than 16 MiB", are(count, "longer", "longer")));
        note(LineKind::Suppressed, &|_| {
            format!("{} more audit lines were suppressed: the access log has every request", self.suppressed)
        });
        if self.not_utf8 > 0 {
            notes.push(format!(
                "{} not UTF-8 in every byte; such bytes are read as U+FFFD",
                are(self.not_utf8, "", "").trim_end()
            ));
        }
        notes
    }
}
