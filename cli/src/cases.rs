//! Tables of requests with the verdicts that are expected: `cases.yaml`.

use crate::diagnostics::Diagnostic;
use crate::request::Request;
use crate::source::{Entry, Node, Occurrence, Source, Value};
use egress_policy::Timestamp;
use std::rc::Rc;

/// A request with a name, and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) request: Request,
    /// `allow` or `deny`; a table for `diff` may leave it out.
    pub(crate) expect: Option<&'static str>,
    pub(crate) reason: Option<String>,
    /// `would_deny[…]` or `would_allow[…]`, or `none`.
    pub(crate) would: Option<String>,
    /// Whether it comes from a gateway's log.
    pub(crate) is_logged: bool,
}

/// The keys of a case.
const KEYS: &[&str] = &[
    "name",
    "principal",
    "host",
    "sni",
    "method",
    "path",
    "port",
    "sourceIp",
    "destinationIp",
    "headers",
    "claims",
    "cluster",
    "upstreamIp",
    "network",
    "at",
    "expect",
    "reason",
    "would",
];

/// Reads a table.
pub(crate) fn from_source(source: &Rc<Source>) -> Result<Vec<Case>, Vec<Diagnostic>> {
    let documents = source.documents()?;
    let mut reader = Reader { source, errors: Vec::new() };
    let mut cases = Vec::new();
    for document in &documents {
        for entry in document.entries().iter().filter(|entry| entry.key != "cases") {
            let what = "unknown key; a table of cases has the one key `cases`";
            reader.errors.push(Diagnostic::error(what).at(source, entry.key_span).path(&entry.key));
        }
        for (at, item) in document.get("cases").map(Node::items).unwrap_or_default().iter().enumerate() {
            let case = reader.case(item, at);
            cases.push(case);
        }
    }
    if cases.is_empty() && reader.errors.is_empty() {
        let what = "no cases are in it; a table is `cases:` and a list of requests";
        reader.errors.push(Diagnostic::error(what).in_file(&source.name));
    }
    if reader.errors.is_empty() { Ok(cases) } else { Err(reader.errors) }
}

struct Reader<'s> {
    source: &'s Rc<Source>,
    errors: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn case(&mut self, node: &Node, at: usize) -> Case {
        if !matches!(node.value, Value::Map(_)) {
            self.note(node, &format!("cases[{at}]"), "a case is an object");
        }
        let mut case = Case {
            name: format!("cases[{at}]"),
            request: Request::default(),
            expect: None,
            reason: None,
            would: None,
            is_logged: false,
        };
        for entry in node.entries() {
            let path = format!("cases[{at}].{}", entry.key);
            if node.locate(&entry.key, Occurrence::Last).and_then(|place| place.key) != Some(entry.key_span) {
                self.note(&entry.value, &path, "the key is written twice");
            }
            if let Err(what) = read_entry(&mut case, entry) {
                self.note(&entry.value, &path, &what);
            }
        }
        case
    }

    fn note(&mut self, node: &Node, path: &str, what: &str) {
        self.errors.push(Diagnostic::error(what).at(self.source, node.span).path(path));
    }
}

fn read_entry(case: &mut Case, entry: &Entry) -> Result<(), String> {
    let node = &entry.value;
    let request = &mut case.request;
    match entry.key.as_str() {
        "name" => case.name = text(node)?,
        "principal" => request.principal = Some(text(node)?),
        "host" => request.host = Some(text(node)?),
        "sni" => request.sni = Some(text(node)?),
        "method" => request.method = Some(text(node)?),
        "path" => request.path = Some(text(node)?),
        "port" => request.port = Some(port(node)?),
        "sourceIp" => request.source_ip = Some(parsed(node, "an IP address")?),
        "destinationIp" => request.destination_ip = Some(parsed(node, "an IP address")?),
        "upstreamIp" => request.upstream_ip = Some(parsed(node, "an IP address")?),
        "cluster" => request.cluster = Some(text(node)?),
        "network" => request.network = flag(node)?,
        "headers" => {
            for header in map(node)? {
                request.add_header(&header.key, &text(&header.value)?);
            }
        }
        "claims" => {
            map(node)?;
            request.claims = Some(node.to_json());
        }
        "at" => {
            let time = Timestamp::parse(&text(node)?).map_err(|fault| fault.to_string())?;
            request.at = Some(time);
        }
        "expect" => {
            case.expect = Some(match text(node)?.as_str() {
                "allow" => "allow",
                "deny" => "deny",
                other => return Err(format!("{other:?} is not one of allow, deny")),
            });
        }
        "reason" => case.reason = Some(text(node)?),
        "would" => case.would = Some(text(node)?),
        _ => return Err(format!("unknown key; a case has {}", KEYS.join(", "))),
    }
    Ok(())
}

fn text(node: &Node) -> Result<String, String> {
    node.text().map(str::to_owned).ok_or_else(|| wrong(node, "a string"))
}

fn flag(node: &Node) -> Result<bool, String> {
    match node.value {
        Value::Bool(value) => Ok(value),
        _ => Err(wrong(node, "true or false")),
    }
}

fn map(node: &Node) -> Result<&[Entry], String> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        _ => Err(wrong(node, "an object")),
    }
}

fn parsed<T: std::str::FromStr>(node: &Node, what: &str) -> Result<T, String> {
    text(node)?.parse().map_err(|_| format!("{what} is wanted here"))
}

fn port(node: &Node) -> Result<u16, String> {
    let number = node.number().ok_or_else(|| wrong(node, "a port"))?;
    (1..=u16::MAX)
        .find(|port| (f64::from(*port) - number).abs() < f64::EPSILON)
        .ok_or_else(|| "a port is a whole number from 1 to 65535".to_owned())
}

fn wrong(node: &Node, wanted: &str) -> String {
    format!("{wanted} is wanted here, not {}", node.to_json().kind())
}
