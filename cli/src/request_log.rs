//! Requests that were made: a table of cases, or the audit lines of a gateway's log.

use crate::cases::{self, Case};
use crate::diagnostics::Diagnostic;
use crate::request::Request;
use crate::source::Source;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// What an audit line says of its request.
#[derive(Deserialize)]
struct Line {
    /// An audit line is known by this.
    #[serde(rename = "verdict")]
    _verdict: String,
    #[serde(rename = "type", default)]
    protocol: String,
    principal: Option<String>,
    host: Option<String>,
    sni: Option<String>,
    method: Option<String>,
    port: Option<u16>,
    source: Option<String>,
}

/// Reads requests, whichever of the two the file is.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>, Vec<Diagnostic>> {
    let source = Source::read(path)?;
    let is_table = source
        .documents()
        .is_ok_and(|documents| documents.iter().any(|document| document.get("cases").is_some()));
    if is_table {
        return cases::from_source(&source);
    }
    let requests: Vec<_> =
        source.text.lines().enumerate().filter_map(|(at, line)| read_line(at, line)).collect();
    if requests.is_empty() {
        let what = "neither a table of cases nor a log with audit lines";
        return Err(vec![Diagnostic::error(what).in_file(&source.name)]);
    }
    Ok(requests)
}

/// The request of an audit line; Envoy writes its own prefix in front of the JSON.
fn read_line(at: usize, line: &str) -> Option<Case> {
    let json = line.get(line.find('{')?..)?;
    let line: Line = serde_json::from_str(json.trim_end()).ok()?;
    let network = line.protocol == "NETWORK";
    let peer = line.principal.as_deref().unwrap_or("nobody");
    let host = line.host.as_deref().unwrap_or("no host");
    let name = format!("line {}: {peer} to {host}", at + 1);
    let request = Request {
        network,
        principal: line.principal,
        host: line.host,
        sni: line.sni,
        method: line.method,
        port: line.port,
        source_ip: line.source.as_deref().and_then(address),
        ..Request::default()
    };
    Some(Case { name, request, expect: None, reason: None, would: None })
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse()).ok()
}
