//! Access log lines in JSON, in Istio's names for the fields, with the peer's name among them.

use super::record::{NotText, address, has_below, text};
use super::refusal::{Ending, Refusal};
use crate::request::Request;
use egress_policy::config::{Json, Object};
use egress_policy::names::ServerName;

/// A line of the access log.
#[derive(Debug)]
pub(super) enum AccessLine {
    Request(Box<Request>, Option<Refusal>),
    /// Its format has no field for the peer.
    WithoutPeer,
    /// A field holds what it cannot hold, or stands where a client could have put it.
    Unreadable,
}

/// The field that says who asked.
pub(super) const PEER: &str = "downstream_peer_uri_san";

/// Whoever has one of these is a line of an access log: nothing inside it is a line of its own.
const SIGNS: &[&str] = &[
    PEER,
    "authority",
    "bytes_received",
    "bytes_sent",
    "connection_termination_details",
    "downstream_local_address",
    "downstream_remote_address",
    "egress_authz",
    "method",
    "requested_server_name",
    "response_code",
    "response_code_details",
    "response_flags",
    "upstream_cluster",
    "upstream_host",
    "user_agent",
    "x_forwarded_for",
];

/// Fields that decide. A client that breaks out of its own field, in a format without escapes, can only push the true ones down
/// into an object of its own making: there they betray it.
const DECISIVE: &[&str] = &[
    PEER,
    "authority",
    "connection_termination_details",
    "egress_authz",
    "requested_server_name",
    "response_code",
    "response_code_details",
    "response_flags",
];

/// Reads a line; none where the object is none.
pub(super) fn read(object: &Object) -> Option<AccessLine> {
    let is_access = SIGNS.iter().any(|key| object.get(key).is_some());
    is_access.then(|| match object.get(PEER) {
        _ if has_below(object, DECISIVE) => AccessLine::Unreadable,
        None => AccessLine::WithoutPeer,
        Some(_) => parse(object).unwrap_or(AccessLine::Unreadable),
    })
}

fn parse(object: &Object) -> Result<AccessLine, NotText> {
    let peers = text(object, PEER)?;
    let authority = text(object, "authority")?;
    let method = text(object, "method")?;
    let sni = text(object, "requested_server_name")?;
    let network = method.is_none() && authority.is_none();
    // What Istio generates is the name of a cluster, and no host.
    let is_host = |sni: &&str| ServerName::parse(sni.as_bytes()).host().is_some();
    let host = if network { sni.filter(is_host) } else { authority };
    let ending = Ending {
        state: text(object, "egress_authz")?,
        details: text(object, "response_code_details")?,
        termination: text(object, "connection_termination_details")?,
        flags: text(object, "response_flags")?,
        code: code(object)?,
        cluster: text(object, "upstream_cluster")?,
        is_connection: network,
    };
    let refusal = ending.refusal();
    let request = Request {
        network,
        principal: peers.map(first_peer).map(str::to_owned),
        host: host.map(str::to_owned),
        sni: sni.map(str::to_owned),
        method: method.map(str::to_owned),
        path: text(object, "path")?.map(str::to_owned),
        source_ip: text(object, "downstream_remote_address")?.and_then(address),
        ..Request::default()
    };
    Ok(AccessLine::Request(Box::new(request), refusal))
}

/// Envoy writes all URI SANs, with commas between them; the peer is the first. A comma inside of one would make it another.
fn first_peer(list: &str) -> &str {
    match list.split_once(',') {
        Some((first, rest)) if rest.split(',').all(|name| name.contains("://")) => first,
        _ => list,
    }
}

fn code(object: &Object) -> Result<Option<u16>, NotText> {
    match object.get("response_code") {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is looked at before")]
        Some(Json::Number(code)) if code.fract() == 0.0 && (0.0..1000.0).contains(code) => {
            Ok(Some(*code as u16))
        }
        Some(Json::Number(_)) => Err(NotText),
        _ => text(object, "response_code")?.map(|code| code.parse().map_err(|_| NotText)).transpose(),
    }
}
