//! A gateway's log: audit lines, and access log lines in JSON, read one at a time.
//!
//! A log is hostile. Clients choose paths, headers and names, and what they choose stands in it. So every line is one of a few
//! kinds by its own outside, [`collector`]s' wrapping is taken away only where the outside is known to be theirs, an audit line is
//! ours by its logger's prefix, and nothing that is found inside a field is a line.

mod access;
mod audit;
mod collector;
mod istio_text;
mod lines;
mod record;
mod refusal;
mod tally;

pub(crate) use refusal::Refusal;
pub(crate) use tally::Tally;

use crate::diagnostics::Diagnostic;
use crate::request::Request;
use access::AccessLine;
use audit::AuditLine;
use collector::{Inner, Stream};
use egress_policy::config::Object;
use lines::{MAX_LINE, Next};
use std::io::BufRead;
use tally::LineKind;

/// A request that a gateway has seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoggedRequest {
    /// The number of its line.
    pub(crate) line: u64,
    pub(crate) request: Request,
    /// Who refused it; none where nothing says that anybody did.
    pub(crate) refusal: Option<Refusal>,
}

/// A log that is being read.
pub(crate) struct RequestLog<'p> {
    /// What the user calls it.
    pub(crate) name: String,
    input: Box<dyn BufRead>,
    plugin: Option<&'p str>,
    tally: Tally,
    /// The beginning of a line that goes on, of each stream.
    pieces: [Vec<u8>; 2],
    /// A collector cut a line and did not say so: what comes next may be its rest, and a client may have chosen where it begins.
    is_cut: bool,
}

/// How many wrappings may lie around a line.
const MAX_DEPTH: u32 = 5;
/// No collector cuts shorter lines.
const LEAST_CUT: usize = 8 << 10;
/// The longest part of a name that is shown.
const MOST_SHOWN: usize = 253;

/// What came of a line.
enum Sorted {
    Request(LineKind, Box<Request>, Option<Refusal>),
    Nothing(LineKind),
    /// A part of a line, the rest of which is to come.
    Part,
}

// === impl LoggedRequest ===

impl LoggedRequest {
    /// `line 7: spiffe://… to www.example.com`
    pub(crate) fn title(&self) -> String {
        let peer = self.request.principal.as_deref().unwrap_or("nobody");
        let host = self.request.host.as_deref().filter(|host| !host.is_empty()).unwrap_or("no host");
        format!("line {}: {} to {}", self.line, shortened(peer), shortened(host))
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

// === impl RequestLog ===

impl<'p> RequestLog<'p> {
    /// A log of this name. `plugin` is what Envoy's log calls the filter where that is not `egress-authz`.
    pub(crate) fn new(name: String, input: Box<dyn BufRead>, plugin: Option<&'p str>) -> Self {
        let (tally, pieces) = (Tally::default(), [Vec::new(), Vec::new()]);
        Self { name, input, plugin, tally, pieces, is_cut: false }
    }

    /// Reads every request, and counts the lines.
    ///
    /// # Errors
    /// What the visitor says, a log that cannot be read, and one without any request.
    pub(crate) fn read(
        mut self,
        mut visit: impl FnMut(LoggedRequest) -> Result<(), Vec<Diagnostic>>,
    ) -> Result<Tally, Vec<Diagnostic>> {
        let mut line = Vec::new();
        let mut requests = 0_u64;
        loop {
            let next = lines::next(&mut self.input, &mut line)
                .map_err(|error| self.refuse(format!("cannot read it: {error}"), None))?;
            if next == Next::End {
                break;
            }
            self.tally.lines += 1;
            let number = self.tally.lines;
            if number == 1 {
                self.refuse_encodings(&line)?;
            }
            if next == Next::TooLong {
                self.tally.add(LineKind::TooLong, number);
                continue;
            }
            match self.sort_bytes(&line) {
                Sorted::Request(kind, request, refusal) => {
                    requests += 1;
                    self.tally.add(kind, number);
                    visit(LoggedRequest { line: number, request: *request, refusal })?;
                }
                Sorted::Nothing(kind) => self.tally.add(kind, number),
                Sorted::Part => {}
            }
        }
        let parts = self.pieces.iter().filter(|piece| !piece.is_empty()).count();
        (0..parts).for_each(|_| self.tally.add(LineKind::Cut, self.tally.lines));
        if requests == 0 {
            let what = if self.tally.is_a_log() {
                "no line of this log says who asked for what"
            } else {
                "neither a table of cases nor a log with audit lines or access log lines in JSON"
            };
            let notes = self.tally.notes();
            let help = (!notes.is_empty()).then(|| notes.join("; "));
            return Err(self.refuse(format!("{what}: {}", self.tally.summary()), help));
        }
        Ok(self.tally)
    }

    fn refuse(&self, what: String, help: Option<String>) -> Vec<Diagnostic> {
        let error = Diagnostic::error(what).in_file(&self.name);
        vec![match help {
            Some(help) => error.help(help),
            None => error,
        }]
    }

    fn refuse_encodings(&self, first: &[u8]) -> Result<(), Vec<Diagnostic>> {
        let (what, help) = match first {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                ("it is UTF-16", "write it as UTF-8: in PowerShell, `| Out-File -Encoding utf8`")
            }
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                ("it is compressed", "unpack it first, or pipe it in: `gunzip -c … | egressctl … -`")
            }
            _ if matches!(first.trim_ascii(), b"[" | b"{" | [b'[', b'{', ..]) => (
                "it is one JSON document, not a line for each entry",
                "write one entry a line, as `jq -c '.[]'` does",
            ),
            _ => return Ok(()),
        };
        Err(self.refuse(what.to_owned(), Some(help.to_owned())))
    }

    fn sort_bytes(&mut self, line: &[u8]) -> Sorted {
        let text = String::from_utf8_lossy(line);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            self.tally.add_not_utf8();
        }
        let text = text.trim_start_matches('\u{feff}').trim_end();
        if text.is_empty() { Sorted::Nothing(LineKind::Other) } else { self.sort(text, 0) }
    }

    fn sort(&mut self, text: &str, depth: u32) -> Sorted {
        if text.starts_with('{') {
            return match record::parse(text) {
                Some(object) => self.sort_object(&object, depth),
                None => Sorted::Nothing(LineKind::Unreadable),
            };
        }
        if let Some(line) = audit::in_text(text, self.plugin) {
            return self.audited(line);
        }
        if let Some(host) = istio_text::host_of(text) {
            host.into_iter().for_each(|host| self.tally.add_host(host));
            return Sorted::Nothing(LineKind::Text);
        }
        match collector::prefixed(text) {
            Some(inner) if depth < MAX_DEPTH => self.sort_inner(inner.text, inner.piece, depth),
            _ => Sorted::Nothing(LineKind::Other),
        }
    }

    fn sort_object(&mut self, object: &Object, depth: u32) -> Sorted {
        if object.get("verdict").is_some() && object.get(access::PEER).is_none() {
            return Sorted::Nothing(LineKind::AuditWithoutPrefix);
        }
        match access::read(object) {
            Some(AccessLine::Request(request, refusal)) => {
                return Sorted::Request(LineKind::Access, request, refusal);
            }
            Some(AccessLine::WithoutPeer) => return Sorted::Nothing(LineKind::AccessWithoutPeer),
            Some(AccessLine::Unreadable) => return Sorted::Nothing(LineKind::Unreadable),
            None => {}
        }
        if let Some(line) = audit::in_object(object, self.plugin) {
            return self.audited(line);
        }
        if depth >= MAX_DEPTH {
            return Sorted::Nothing(LineKind::Other);
        }
        match collector::inner(object) {
            Some(Inner::Text { text, piece }) => self.sort_inner(text, piece, depth),
            Some(Inner::Object(inner)) => {
                let sorted = self.sort_object(inner, depth + 1);
                self.wrapped(sorted, depth)
            }
            Some(Inner::UnknownKey(key)) => {
                self.tally.add_unknown_key(key);
                Sorted::Nothing(LineKind::UnknownEnvelope)
            }
            None => Sorted::Nothing(LineKind::Other),
        }
    }

    /// A line that was inside another.
    fn sort_inner(&mut self, text: &str, piece: Option<(Stream, bool)>, depth: u32) -> Sorted {
        let sorted = match piece {
            Some((stream, is_part)) => self.sort_piece(text, stream, is_part, depth),
            // A collector joins what belongs together, or not at all: such a text is more than a line.
            None if text.contains('\n') => Sorted::Nothing(LineKind::Other),
            None => {
                let was_cut = std::mem::take(&mut self.is_cut);
                let sorted = self.sort(text, depth + 1);
                let is_broken = matches!(sorted, Sorted::Nothing(LineKind::Unreadable | LineKind::Other));
                self.is_cut |= text.len() >= LEAST_CUT && (is_broken || was_cut);
                if was_cut { Sorted::Nothing(LineKind::Cut) } else { sorted }
            }
        };
        self.wrapped(sorted, depth)
    }

    /// A piece of a line, or the end of it.
    fn sort_piece(&mut self, text: &str, stream: Stream, is_part: bool, depth: u32) -> Sorted {
        let slot = match stream {
            Stream::Out => 0,
            Stream::Err => 1,
        };
        let [out, err] = &mut self.pieces;
        let begun = if slot == 0 { out } else { err };
        if begun.is_empty() && !is_part {
            return self.sort(text, depth + 1);
        }
        if begun.len() + text.len() > MAX_LINE {
            begun.clear();
            return Sorted::Nothing(LineKind::TooLong);
        }
        begun.extend_from_slice(text.as_bytes());
        if is_part {
            return Sorted::Part;
        }
        let whole = std::mem::take(begun);
        self.sort(&String::from_utf8_lossy(&whole), depth + 1)
    }

    fn wrapped(&mut self, sorted: Sorted, depth: u32) -> Sorted {
        if depth == 0 && !matches!(sorted, Sorted::Part) {
            self.tally.add_wrapped();
        }
        sorted
    }

    fn audited(&mut self, line: AuditLine) -> Sorted {
        match line {
            AuditLine::Request(request, refusal) => Sorted::Request(LineKind::Audit, request, refusal),
            AuditLine::Suppressed(lines) => {
                self.tally.add_suppressed(lines);
                Sorted::Nothing(LineKind::Suppressed)
            }
            AuditLine::Unreadable => Sorted::Nothing(LineKind::Unreadable),
            AuditLine::OtherPlugin => Sorted::Nothing(LineKind::OtherPlugin),
        }
    }
}
