//! `denyResponse`: what a refused HTTP client sees.

use super::error::Problem;
use super::json::{Json, number_text};
use super::template::{Inside, Placeholder, Template};
use super::validator::{ConfigPath, Entries, Validator};
use crate::Fault;
use crate::patterns::is_token_byte;

const KEYS: &[&str] = &["status", "body", "contentType", "headers"];
const CONTENT_TYPE: &str = "content-type";
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

/// The answer to a refused HTTP request; its default is what Envoy's native filter answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyResponse {
    /// The status, 400 to 599.
    pub status: u16,
    body: Template,
    /// What the body's placeholders must not break out of.
    body_inside: Inside,
    /// Header names, lower case, and their values; `contentType` is one of them.
    headers: Vec<(Box<str>, Template)>,
}

impl Default for DenyResponse {
    fn default() -> Self {
        Self {
            status: 403,
            body: Template::parse(DEFAULT_BODY),
            body_inside: Inside::Text,
            headers: Vec::new(),
        }
    }
}

impl DenyResponse {
    /// The body, its placeholders filled.
    pub fn body(&self, fill: &dyn Fn(Placeholder) -> String) -> String {
        self.body.render(self.body_inside, fill)
    }

    /// The headers, names in lower case, their placeholders filled. Without `content-type` the body is text/plain.
    pub fn headers(&self, fill: &dyn Fn(Placeholder) -> String) -> Vec<(&str, String)> {
        self.headers.iter().map(|(name, value)| (&**name, value.render(Inside::Header, fill))).collect()
    }
}

pub(super) fn read(validator: &mut Validator, top: &Entries<'_>) -> DenyResponse {
    let mut response = DenyResponse::default();
    let path = top.path.key("denyResponse");
    let Some(json) = top.get("denyResponse") else {
        return response;
    };
    let Some(entries) = validator.object(json, &path, KEYS) else {
        return response;
    };
    if entries.iter().next().is_none() {
        validator.note(&path, Problem::EmptyObject);
    }
    if let Some(json) = entries.get("status")
        && let Some(status) = read_status(validator, json, &path.key("status"))
    {
        response.status = status;
    }
    if let Some(json) = entries.get("body")
        && let Some(body) = validator.text(json, &path.key("body"))
    {
        response.body = Template::parse(body);
    }
    if let Some(json) = entries.get("headers") {
        response.headers = read_headers(validator, json, &path.key("headers"));
    }
    if let Some(json) = entries.get("contentType") {
        read_content_type(validator, json, &path.key("contentType"), &mut response.headers);
    }
    if response.headers.iter().any(|(name, value)| **name == *CONTENT_TYPE && is_json(value)) {
        response.body_inside = Inside::Json;
        check_json(validator, &path.key("body"), &response);
    }
    response
}

fn read_content_type(
    validator: &mut Validator,
    json: &Json,
    path: &ConfigPath<'_>,
    headers: &mut Vec<(Box<str>, Template)>,
) {
    let Some(text) = validator.text(json, path) else {
        return;
    };
    if headers.iter().any(|(name, _)| **name == *CONTENT_TYPE) {
        let what = "the header `content-type` says it, too";
        validator.fault(path, text, Fault::with_repair(what, "write one of them"));
        return;
    }
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let is_type = essence.split_once('/').is_some_and(|(kind, subtype)| {
        [kind, subtype].iter().all(|part| !part.is_empty() && part.bytes().all(is_token_byte))
    });
    if !is_type || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let what = "not a media type";
        validator.fault(path, text, Fault::with_repair(what, "write one like `application/problem+json`"));
        return;
    }
    headers.push((CONTENT_TYPE.into(), Template::parse(text)));
}

/// Whether a content type is one of JSON.
fn is_json(content_type: &Template) -> bool {
    let written = content_type.render(Inside::Header, &|_| String::new()).to_ascii_lowercase();
    let essence = written.split(';').next().unwrap_or_default().trim();
    essence == "application/json" || essence.ends_with("+json")
}

/// What is said to be JSON is JSON, whatever fills it.
fn check_json(validator: &mut Validator, path: &ConfigPath<'_>, response: &DenyResponse) {
    let body = response.body(&|_| String::new());
    if !response.body.is_quoted() {
        let what = "in JSON a placeholder stands within the quotes of a string";
        validator.fault(path, &body, Fault::with_repair(what, "write `\"{reason}\"`"));
    } else if let Err(error) = serde_json::from_slice::<Json>(body.as_bytes()) {
        let (line, column) = (error.line(), error.column());
        let what =
            format!("the content type says JSON, and from line {line}, column {column} on this is none");
        validator.fault(path, &body, Fault::new(what));
    }
}

fn read_status(validator: &mut Validator, json: &Json, path: &ConfigPath<'_>) -> Option<u16> {
    let number = match json {
        Json::Number(number) => number,
        Json::Text(text) if text.parse::<u16>().is_ok() => {
            let repair = Some(format!("write `{text}` without quotes"));
            let (expected, found) = ("a number", json.kind());
            validator.note(path, Problem::WrongType { expected, found, repair });
            return None;
        }
        other => {
            validator.wrong_type(path, "a number", other);
            return None;
        }
    };
    let status = (400..=599_u16).find(|status| f64::from(*status) == *number);
    if status.is_none() {
        let fault = Fault::new("a refusal's status is a whole number from 400 to 599");
        validator.fault(path, &number_text(*number), fault);
    }
    status
}

fn read_headers(validator: &mut Validator, json: &Json, path: &ConfigPath<'_>) -> Vec<(Box<str>, Template)> {
    let Some(entries) = validator.map(json, path) else {
        return Vec::new();
    };
    if entries.iter().next().is_none() {
        validator.note(path, Problem::EmptyObject);
    }
    let mut headers: Vec<(Box<str>, Template)> = Vec::new();
    for (name, value) in entries.iter() {
        let path = path.key(name);
        let folded = name.to_ascii_lowercase();
        if let Err(fault) = check_name(&folded) {
            validator.fault(&path, name, fault);
            continue;
        }
        if headers.iter().any(|(earlier, _)| **earlier == *folded) {
            if entries.iter().filter(|(other, _)| *other == name).count() > 1 {
                continue; // A key written twice has been noted as such.
            }
            validator.fault(&path, name, Fault::new("the header is written twice; case does not count"));
            continue;
        }
        let Some(text) = validator.text(value, &path) else {
            continue;
        };
        if text.bytes().any(|byte| byte != b'\t' && (byte < b' ' || byte == 0x7f)) {
            validator.fault(&path, text, Fault::new("a header value has no control characters"));
            continue;
        }
        headers.push((folded.into(), Template::parse(text)));
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
