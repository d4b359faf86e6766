//! Requests that were made: a table of cases, or a gateway's log, of audit lines or of access log lines in JSON.

use crate::cases::{self, Case};
use crate::diagnostics::Diagnostic;
use crate::request::Request;
use crate::source::Source;
use egress_policy::names::ServerName;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// A request that a gateway has seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) request: Request,
    /// What the gateway said of it; empty where it was admitted and nothing was to be said.
    pub(crate) reason: String,
    /// Whether policies admitted it, which a rehearsal of refusing it does not count as.
    pub(crate) admitted: bool,
}

/// What an audit line says of its request.
#[derive(Deserialize)]
struct Audit {
    verdict: String,
    #[serde(default)]
    reason: String,
    #[serde(rename = "type", default)]
    protocol: String,
    principal: Option<String>,
    host: Option<String>,
    sni: Option<String>,
    method: Option<String>,
    port: Option<u16>,
    source: Option<String>,
}

/// Reads requests, whichever of the two the file is. Of a log's requests, those that policies could have admitted are expected
/// to be admitted; nothing is expected of the others.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>, Vec<Diagnostic>> {
    let source = Source::read(path)?;
    let is_table = source
        .documents()
        .is_ok_and(|documents| documents.iter().any(|document| document.get("cases").is_some()));
    if is_table {
        return cases::from_source(&source);
    }
    Ok(seen(&source)?.into_iter().map(Seen::into_case).collect())
}

/// Reads a log.
pub(crate) fn read_log(path: &Path) -> Result<Vec<Seen>, Vec<Diagnostic>> {
    seen(&*Source::read(path)?)
}

fn seen(source: &Source) -> Result<Vec<Seen>, Vec<Diagnostic>> {
    let requests: Vec<_> =
        source.text.lines().enumerate().filter_map(|(at, line)| read_line(at, line)).collect();
    if requests.is_empty() {
        let what = "neither a table of cases nor a log with audit lines or access log lines in JSON";
        return Err(vec![Diagnostic::error(what).in_file(&source.name)]);
    }
    Ok(requests)
}

/// The request of a line; Envoy writes its own prefix in front of an audit line's JSON, or wraps it up in its own.
fn read_line(at: usize, line: &str) -> Option<Seen> {
    let json: Value = serde_json::from_str(line.get(line.find('{')?..)?.trim_end()).ok()?;
    let fields = json.as_object()?;
    if let Some(message) = fields.get("msg").and_then(Value::as_str).filter(|text| text.contains('{')) {
        return read_line(at, message);
    }
    if fields.contains_key("verdict") {
        return serde_json::from_value(json).ok().map(|audit| audited(at, audit));
    }
    accessed(at, fields)
}

fn audited(at: usize, line: Audit) -> Seen {
    let request = Request {
        network: line.protocol == "NETWORK",
        principal: line.principal,
        host: line.host,
        sni: line.sni,
        method: line.method,
        port: line.port,
        source_ip: line.source.as_deref().and_then(address),
        ..Request::default()
    };
    let admitted = line.verdict.ends_with("allow");
    Seen { name: name(at, &request), request, reason: line.reason, admitted }
}

/// A line of the access log, in Istio's names for its fields and with the peer's name among them.
fn accessed(at: usize, fields: &Map<String, Value>) -> Option<Seen> {
    let text = |name: &str| {
        fields.get(name).and_then(Value::as_str).filter(|text| !matches!(*text, "" | "-")).map(str::to_owned)
    };
    let principal = text("downstream_peer_uri_san")?;
    let (method, sni) = (text("method"), text("requested_server_name"));
    let network = method.is_none();
    // What Istio generates is the name of a cluster, and no host.
    let named = |sni: &String| ServerName::parse(sni.as_bytes()).host().is_some();
    let host = if network { sni.clone().filter(named) } else { text("authority") };
    let state = text("egress_authz").unwrap_or_default();
    let details = text("response_code_details").unwrap_or_default();
    // In DRY_RUN mode the state says only what would have been.
    let denied = ["deny[", "would_deny["].iter().find_map(|word| inside(&state, word));
    let denied = denied.or_else(|| inside(&details, "egress_authz_denied["));
    let admitted = denied.is_none();
    let reason = denied.or_else(|| inside(&state, "allow[")).unwrap_or_default();
    let source_ip = text("downstream_remote_address").as_deref().and_then(address);
    let path = text("path");
    let request = Request {
        network,
        principal: Some(principal),
        host,
        sni,
        method,
        path,
        source_ip,
        ..Request::default()
    };
    Some(Seen { name: name(at, &request), request, reason: reason.to_owned(), admitted })
}

/// What stands between a word and the bracket that ends it; brackets come in pairs.
fn inside<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(word)?;
    let mut depth = 1_u32;
    let end = rest.find(|c| {
        depth = match c {
            '[' => depth + 1,
            ']' => depth - 1,
            _ => depth,
        };
        depth == 0
    })?;
    rest.get(..end)
}

fn name(at: usize, request: &Request) -> String {
    let peer = request.principal.as_deref().unwrap_or("nobody");
    let host = request.host.as_deref().unwrap_or("no host");
    format!("line {}: {peer} to {host}", at + 1)
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse()).ok()
}

// === impl Seen ===

impl Seen {
    /// Why no ALLOW policy is to admit it; none where one is.
    pub(crate) fn not_for_policies(&self) -> Option<&str> {
        let reason = match inside(&self.reason, "recheck[") {
            Some(inner) => inner,
            None => &self.reason,
        };
        match reason {
            _ if self.request.host.is_none() => Some("it names no host"),
            "" | "no_allow_matched" | "default_action" => None,
            _ if reason.starts_with("expired[") => None,
            _ if reason.starts_with("ns[") && self.admitted => None,
            // A DENY policy, or a guard: somebody has meant that.
            _ => Some(reason),
        }
    }

    fn into_case(self) -> Case {
        let expect = self.not_for_policies().is_none().then_some("allow");
        Case { name: self.name, request: self.request, expect, reason: None, would: None, is_logged: true }
    }
}
