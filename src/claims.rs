//! Claims of a verified token: one host call each, and what its bytes mean.

use crate::host;
use egress_policy::{Claim, Read, Unreadable};

/// How many elements of a list are asked for one by one, each for a host call.
const MAX_ELEMENTS: usize = 256;

const JWT_PAYLOAD: &[u8] = b"metadata\0filter_metadata\0envoy.filters.http.jwt_authn\0payload";

/// The claim at a path.
pub(crate) fn read(path: &[Box<str>]) -> Read<Claim> {
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
