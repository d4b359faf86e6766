//! Tables of requests with the verdicts that are expected: `cases.yaml`.

use crate::diagnostics::Diagnostic;
use crate::request::Request;
use crate::source::{Entry, Node, Source};
use crate::strict::{Field, Object, Shape, check};
use egress_policy::Timestamp;
use std::net::IpAddr;
use std::rc::Rc;

/// A request with a name, and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) request: Request,
    /// `allow` or `deny`; a table for `diff` may leave it out.
    pub(crate) expect: Option<&'static str>,
    pub(crate) reason: Option<String>,
    /// `would_deny[…]` or `would_allow[…]`, or `none`; the table's key for it is `would`.
    pub(crate) dry_run_verdict: Option<String>,
}

static TABLE: Object = Object::new(
    "a table of cases",
    &[Field::required("cases", &Shape::List(&Shape::Object(&CASE)), "The requests.")],
);

static CASE: Object = Object::new(
    "a case",
    &[
        Field::new("name", &Shape::Text, "What it shows."),
        Field::new("principal", &Shape::TextOrEmpty, "The peer; left out: it presents no certificate."),
        Field::new("host", &Shape::TextOrEmpty, "The authority, or on NETWORK the inner server name."),
        Field::new("sni", &Shape::TextOrEmpty, "The outer server name."),
        Field::new("method", &Shape::TextOrEmpty, "Left out: GET."),
        Field::new("path", &Shape::TextOrEmpty, "Left out: /."),
        Field::new("port", &Shape::PORT, "The gateway's listener port."),
        Field::new("sourceIp", &Shape::Text, "The client's address."),
        Field::new("destinationIp", &Shape::Text, "The listener's address."),
        Field::new("headers", &Shape::MapOrEmpty(&Shape::TextOrEmpty), "The request's headers."),
        Field::new("claims", &Shape::MapOrEmpty(&Shape::Any), "The verified token's claims."),
        Field::new("cluster", &Shape::Text, "The cluster that the gateway chose."),
        Field::new("upstreamIp", &Shape::Text, "The site's address."),
        Field::new("network", &Shape::Bool, "A connection rather than a request."),
        Field::new("at", &Shape::Text, "The time; left out: now."),
        Field::new("expect", &Shape::Word(&["allow", "deny"]), "The verdict."),
        Field::new("reason", &Shape::Text, "The verdict's reason."),
        Field::new("would", &Shape::Text, "The dry-run verdict, or `none`."),
    ],
);

/// Reads a table: every document of the file is one.
pub(crate) fn from_source(source: &Rc<Source>) -> Result<Vec<Case>, Vec<Diagnostic>> {
    let documents = source.documents()?;
    let mut reader = CaseReader { source, errors: Vec::new() };
    let mut cases = Vec::new();
    for document in &documents {
        reader.errors.extend(check(source, document, &Shape::Object(&TABLE)));
        for (at, item) in document.get("cases").map(Node::items).unwrap_or_default().iter().enumerate() {
            cases.push(reader.case(item, at));
        }
    }
    if documents.is_empty() {
        let what = "no cases are in it; a table is `cases:` and a list of requests";
        reader.errors.push(Diagnostic::error(what).in_file(&source.name));
    }
    reader.errors.sort_by_key(Diagnostic::order);
    if reader.errors.is_empty() { Ok(cases) } else { Err(reader.errors) }
}

/// Reads what the description has passed; what it has not is noted by it already.
struct CaseReader<'s> {
    source: &'s Rc<Source>,
    errors: Vec<Diagnostic>,
}

impl CaseReader<'_> {
    fn case(&mut self, node: &Node, at: usize) -> Case {
        let mut case = Case {
            name: node.text_at(&["name"]).map_or_else(|| format!("cases[{at}]"), str::to_owned),
            request: Request::default(),
            expect: node.text_at(&["expect"]).map(|word| if word == "allow" { "allow" } else { "deny" }),
            reason: node.text_at(&["reason"]).map(str::to_owned),
            dry_run_verdict: node.text_at(&["would"]).map(str::to_owned),
        };
        for entry in node.entries() {
            if let Err(what) = read_entry(&mut case.request, entry) {
                let path = format!("cases[{at}].{}", entry.key);
                self.errors.push(Diagnostic::error(what).at(self.source, entry.value.span).path(&path));
            }
        }
        case
    }
}

fn read_entry(request: &mut Request, entry: &Entry) -> Result<(), String> {
    let node = &entry.value;
    let text = node.text().map(str::to_owned);
    match entry.key.as_str() {
        "principal" => request.principal = text,
        "host" => request.host = text,
        "sni" => request.sni = text,
        "method" => request.method = text,
        "path" => request.path = text,
        "cluster" => request.cluster = text,
        "port" => {
            let number = node.number();
            request.port = (1..=u16::MAX)
                .find(|port| number.is_some_and(|number| (f64::from(*port) - number).abs() < 0.5));
        }
        "sourceIp" => request.source_ip = address(node)?,
        "destinationIp" => request.destination_ip = address(node)?,
        "upstreamIp" => request.upstream_ip = address(node)?,
        "network" => request.network = node.to_json() == egress_policy::config::Json::Bool(true),
        "headers" => {
            for header in node.entries() {
                request.add_header(&header.key, header.value.text().unwrap_or_default());
            }
        }
        "claims" => request.claims = Some(node.to_json()),
        "at" => {
            request.at =
                text.map(|text| Timestamp::parse(&text)).transpose().map_err(|fault| fault.to_string())?;
        }
        _ => {}
    }
    Ok(())
}

fn address(node: &Node) -> Result<Option<IpAddr>, String> {
    node.text()
        .map(|text| {
            text.parse().map_err(|_| format!("{text:?} is no IP address: write one such as 203.0.113.7"))
        })
        .transpose()
}
