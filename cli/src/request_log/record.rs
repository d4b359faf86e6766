//! A JSON object of a log.

use egress_policy::config::{Json, Object};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// A whole line that is one JSON object; none where it is anything else, or where a key is written twice, at any depth: which of
/// the two its writer meant is not known, and a client that slipped a key in is one way to get there.
pub(super) fn parse(line: &str) -> Option<Object> {
    match serde_json::from_str(line) {
        Ok(Json::Object(object)) if object_is_plain(&object) => Some(object),
        _ => None,
    }
}

/// A field of text: absent is also `null`, nothing, and the `-` that Envoy writes for what there is not.
///
/// # Errors
/// The value is no text.
pub(super) fn text<'o>(object: &'o Object, key: &str) -> Result<Option<&'o str>, NotText> {
    match object.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) => Ok(Some(&**text).filter(|text| !matches!(*text, "" | "-"))),
        Some(_) => Err(NotText),
    }
}

/// A field that should hold text holds something else.
#[derive(Debug)]
pub(super) struct NotText;

/// An address with or without a port.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse()).ok()
}

/// Whether a key stands anywhere below the object's own keys.
pub(super) fn has_below(object: &Object, keys: &[&str]) -> bool {
    object.0.iter().any(|(_, value)| value_has(value, keys))
}

fn value_has(value: &Json, keys: &[&str]) -> bool {
    match value {
        Json::List(items) => items.iter().any(|item| value_has(item, keys)),
        Json::Object(object) => {
            object.0.iter().any(|(key, value)| keys.contains(&&**key) || value_has(value, keys))
        }
        _ => false,
    }
}

fn is_plain(json: &Json) -> bool {
    match json {
        Json::List(items) => items.iter().all(is_plain),
        Json::Object(object) => object_is_plain(object),
        _ => true,
    }
}

fn object_is_plain(object: &Object) -> bool {
    let mut keys = HashSet::with_capacity(object.0.len());
    object.0.iter().all(|(key, value)| keys.insert(&**key) && is_plain(value))
}
