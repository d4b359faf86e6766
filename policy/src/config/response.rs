//! `denyResponse`: what a refused HTTP client sees.

use super::error::Problem;
use super::json::{Json, number_text};
use super::reader::{Entries, Path, Reader, nearest};
use crate::Fault;
use crate::patterns::is_token_byte;

const KEYS: &[&str] = &["status", "body", "headers"];
const PLACEHOLDERS: &[&str] = &["reason", "policy", "rule", "namespace", "host"];
/// What Envoy's native filter answers, to the byte.
const DEFAULT_BODY: &str = "RBAC: access denied";
/// Fields that frame the message or belong to the connection (RFC 9110, 7.6.1); a filter that sets one breaks both.
const FORBIDDEN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The answer to a refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyResponse {
    /// The status, 400 to 599.
    pub status: u16,
    /// The body.
    pub body: Box<str>,
    /// Header names, lower case, and their templates.
    pub headers: Vec<(Box<str>, Template)>,
}

/// A header value with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Placeholder(Placeholder),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `{reason}`
    Reason,
    /// `{policy}`
    Policy,
    /// `{rule}`
    Rule,
    /// `{namespace}`: the peer's.
    Namespace,
    /// `{host}`
    Host,
}

impl Default for DenyResponse {
    fn default() -> Self {
        Self { status: 403, body: DEFAULT_BODY.into(), headers: Vec::new() }
    }
}

impl Template {
    /// The value, each placeholder replaced by what `fill` says.
    pub fn render(&self, fill: impl Fn(Placeholder) -> String) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.to_string(),
                Piece::Placeholder(placeholder) => fill(*placeholder),
            })
            .collect()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.bytes().any(|byte| byte != b'\t' && (byte < b' ' || byte == 0x7f)) {
            return Err(Fault::new("a header value has no control characters"));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((word, after)) = after.split_once('}') else {
                return Err(Fault::new("a `{` without its `}`"));
            };
            pieces.push(Piece::Text(before.into()));
            pieces.push(Piece::Placeholder(placeholder(word)?));
            rest = after;
        }
        pieces.push(Piece::Text(rest.into()));
        Ok(Self(pieces))
    }
}

fn placeholder(word: &str) -> Result<Placeholder, Fault> {
    Ok(match word {
        "reason" => Placeholder::Reason,
        "policy" => Placeholder::Policy,
        "rule" => Placeholder::Rule,
        "namespace" => Placeholder::Namespace,
        "host" => Placeholder::Host,
        _ => {
            let what = format!("`{{{word}}}` is no placeholder; there are {{{}}}", PLACEHOLDERS.join("}, {"));
            return Err(match nearest(word, PLACEHOLDERS.iter().copied()) {
                Some(nearest) => Fault::with_repair(what, format!("write `{{{nearest}}}`")),
                None => Fault::new(what),
            });
        }
    })
}

pub(super) fn read(reader: &mut Reader, top: &Entries<'_>) -> DenyResponse {
    let mut response = DenyResponse::default();
    let path = top.path.key("denyResponse");
    let Some(json) = top.get("denyResponse") else {
        return response;
    };
    let Some(entries) = reader.object(json, &path, KEYS) else {
        return response;
    };
    if entries.iter().next().is_none() {
        reader.note(&path, Problem::EmptyObject);
    }
    if let Some(json) = entries.get("status")
        && let Some(status) = read_status(reader, json, &path.key("status"))
    {
        response.status = status;
    }
    if let Some(json) = entries.get("body")
        && let Some(body) = reader.text(json, &path.key("body"))
    {
        response.body = body.into();
    }
    if let Some(json) = entries.get("headers") {
        response.headers = read_headers(reader, json, &path.key("headers"));
    }
    response
}

fn read_status(reader: &mut Reader, json: &Json, path: &Path<'_>) -> Option<u16> {
    let number = match json {
        Json::Number(number) => number,
        Json::Text(text) if text.parse::<u16>().is_ok() => {
            let repair = Some(format!("write `{text}` without quotes"));
            let (expected, found) = ("a number", json.kind());
            reader.note(path, Problem::WrongType { expected, found, repair });
            return None;
        }
        other => {
            reader.wrong_type(path, "a number", other);
            return None;
        }
    };
    let status = (400..=599_u16).find(|status| f64::from(*status) == *number);
    if status.is_none() {
        let fault = Fault::new("a refusal's status is a whole number from 400 to 599");
        reader.fault(path, &number_text(*number), fault);
    }
    status
}

fn read_headers(reader: &mut Reader, json: &Json, path: &Path<'_>) -> Vec<(Box<str>, Template)> {
    let Some(entries) = reader.map(json, path) else {
        return Vec::new();
    };
    if entries.iter().next().is_none() {
        reader.note(path, Problem::EmptyObject);
    }
    let mut headers: Vec<(Box<str>, Template)> = Vec::new();
    for (name, value) in entries.iter() {
        let path = path.key(name);
        let folded = name.to_ascii_lowercase();
        if let Err(fault) = check_name(&folded) {
            reader.fault(&path, name, fault);
            continue;
        }
        if headers.iter().any(|(earlier, _)| **earlier == *folded) {
            if entries.iter().filter(|(other, _)| *other == name).count() > 1 {
                continue; // A key written twice has been noted as such.
            }
            reader.fault(&path, name, Fault::new("the header is written twice; case does not count"));
            continue;
        }
        let Some(text) = reader.text(value, &path) else {
            continue;
        };
        match Template::parse(text) {
            Ok(template) => headers.push((folded.into(), template)),
            Err(fault) => reader.fault(&path, text, fault),
        }
    }
    headers
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.starts_with(':') {
        return Err(Fault::with_repair("a pseudo-header cannot be set here", "use `status` and `body`"));
    }
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(Fault::new("not a header name"));
    }
    if FORBIDDEN_HEADERS.contains(&name) {
        return Err(Fault::with_repair(
            "HTTP keeps this header for the connection or the framing of the message",
            "leave it out",
        ));
    }
    Ok(())
}
