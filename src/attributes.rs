//! The core's questions, put to Envoy.

use crate::host;
use egress_policy::{Attributes, Claim, Read, Timestamp, Unreadable};

/// The attributes of the request or connection whose callback is running.
pub(crate) struct EnvoyAttributes;

/// How many elements of a list are asked for one by one, each for a host call.
const MAX_ELEMENTS: usize = 256;

const JWT_PAYLOAD: &[u8] = b"metadata\0filter_metadata\0envoy.filters.http.jwt_authn\0payload";

impl Attributes for EnvoyAttributes {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        host::property(b"connection\0uri_san_peer_certificate")
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        presents_certificate()
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        host::property(b"filter_state\0io.istio.peer_principal")
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        host::property(b"connection\0requested_server_name")
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        host::property(b"source\0address")
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        host::property(b"destination\0address")
    }

    fn destination_port(&self) -> Read<u16> {
        match host::property(b"destination\0port")? {
            None => Ok(None),
            Some(bytes) => {
                integer(&bytes).and_then(|port| u16::try_from(port).ok()).map(Some).ok_or(Unreadable)
            }
        }
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        host::property(b"xds\0cluster_name")
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        host::property(b"upstream\0address")
    }

    fn authority(&self) -> Read<Vec<u8>> {
        host::request_header(":authority")
    }

    fn method(&self) -> Read<Vec<u8>> {
        host::request_header(":method")
    }

    fn path(&self) -> Read<Vec<u8>> {
        host::request_header(":path")
    }

    fn header(&self, name: &str) -> Read<Vec<u8>> {
        // The header map's call gives the first line only; the attribute joins all of them.
        host::property(&[b"request\0headers\0", name.as_bytes()].concat())
    }

    fn claim(&self, path: &[Box<str>]) -> Read<Claim> {
        if leads_into_a_list(path)? {
            return Ok(None);
        }
        let key = claim_key(path.iter().map(|name| &**name));
        match host::property(&key) {
            Ok(Some(bytes)) => read_claim(&key, bytes).map(Some),
            Ok(None) => Ok(None),
            Err(Unreadable) => read_claim_with_null(&key).map(Some),
        }
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        host::now()
    }
}

/// Whether the peer presented a certificate. A one-way handshake and one that is not yet done look alike.
pub(crate) fn presents_certificate() -> Result<bool, Unreadable> {
    Ok(host::property(b"connection\0mtls")?.is_some_and(|bytes| bytes.first().is_some_and(|&byte| byte != 0)))
}

/// Whether the client's side of the connection is TLS at all.
pub(crate) fn is_tls() -> Result<bool, Unreadable> {
    Ok(host::property(b"connection\0tls_version")?.is_some_and(|version| !version.is_empty()))
}

/// A number as the ABI writes it: eight bytes, little endian.
pub(crate) fn integer(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

fn claim_key<'n>(path: impl Iterator<Item = &'n str>) -> Vec<u8> {
    let mut key = JWT_PAYLOAD.to_vec();
    for name in path {
        key.push(0);
        key.extend(name.as_bytes());
    }
    key
}

/// Whether a number in the path is an index: Envoy's attributes know such a thing, Istio's claims do not, and to
/// them nothing is there. Another spelling of the number is the same index, and another key.
fn leads_into_a_list(path: &[Box<str>]) -> Result<bool, Unreadable> {
    for (at, name) in path.iter().enumerate().skip(1) {
        let Ok(index) = name.trim().parse::<u32>() else {
            continue;
        };
        let above = claim_key(path.iter().take(at).map(|name| &**name));
        let element = |index: u32| host::property(&[&*above, format!("\0+0{index}").as_bytes()].concat());
        match element(index) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(true),
            // A null is there, unless the host answers nothing at all.
            Err(Unreadable) => return element(u32::MAX >> 1).map(|_| true),
        }
    }
    Ok(false)
}

/// What the host's bytes are. It does not say the type, so a list is what parses as one, and a string is
/// text without control characters: numbers and booleans come as raw bytes, which are not.
fn read_claim(key: &[u8], bytes: Vec<u8>) -> Result<Claim, Unreadable> {
    let Some(pairs) = host::parse_map(&bytes) else {
        return Ok(if is_text(&bytes) { Claim::Text(bytes) } else { Claim::Other });
    };
    if pairs.iter().any(|(_, value)| !value.is_empty()) {
        return Ok(Claim::Other);
    }
    let any = !pairs.is_empty();
    // Elements that are no strings come as the raw bytes that they would be on their own.
    let items: Vec<_> = pairs.into_iter().map(|(item, _)| item).filter(|item| is_text(item)).collect();
    // An object whose values are all empty looks like a list, but has no first element.
    if any && host::property(&[key, b"\0+00"].concat())?.is_none() {
        return Ok(Claim::Other);
    }
    Ok(Claim::List(items))
}

/// Envoy hands out no null and nothing that holds one, but the elements of a list one by one. The sign makes an index
/// of the number and keeps it from being the key of an object.
fn read_claim_with_null(key: &[u8]) -> Result<Claim, Unreadable> {
    let mut items = Vec::new();
    for at in 0..MAX_ELEMENTS {
        match host::property(&[key, format!("\0+{at}").as_bytes()].concat()) {
            Ok(Some(item)) => items.extend(is_text(&item).then_some(item)),
            Ok(None) => return Ok(Claim::List(items)),
            // The null.
            Err(Unreadable) => {}
        }
    }
    Err(Unreadable)
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(|c| c.is_ascii_control()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_answers_leaves_nothing_but_refusals() {
        let attributes = EnvoyAttributes;
        assert_eq!(attributes.authority(), Err(Unreadable));
        assert_eq!(attributes.peer_certificate(), Err(Unreadable));
        assert_eq!(attributes.presents_certificate(), Err(Unreadable));
        assert_eq!(attributes.now(), Err(Unreadable));
        assert_eq!(attributes.claim(&["iss".into()]), Err(Unreadable));
    }

    #[test]
    fn strings_and_what_is_none() {
        let claim = |bytes: &[u8]| read_claim(b"", bytes.to_vec());
        assert_eq!(claim(b"admin"), Ok(Claim::Text(b"admin".to_vec())));
        assert_eq!(claim(b""), Ok(Claim::Text(Vec::new())));
        assert_eq!(claim(&1_700_000_000.0_f64.to_le_bytes()), Ok(Claim::Other));
        assert_eq!(claim(&0.1_f64.to_le_bytes()), Ok(Claim::Other));
        assert_eq!(claim(&[1]), Ok(Claim::Other));
        assert_eq!(claim(&[0]), Ok(Claim::Other));
        assert_eq!(claim(&[0, 0, 0, 0]), Ok(Claim::List(Vec::new())));
    }
}
