//! Patterns, matched the slow way: as they are written, at every comparison anew.

use super::names::{self, Host, Workload};
use super::truth::{FALSE, TRUE, Truth, UNKNOWN, any, of};

/// Exact, `prefix*`, `*suffix`, or `*` (present and not empty).
pub(crate) fn text(pattern: &str, value: &[u8]) -> bool {
    if pattern == "*" {
        return !value.is_empty();
    }
    if let Some(suffix) = pattern.strip_prefix('*') {
        return value.ends_with(suffix.as_bytes());
    }
    if let Some(prefix) = pattern.strip_suffix('*') {
        return value.starts_with(prefix.as_bytes());
    }
    value == pattern.as_bytes()
}

/// An entry of `hosts`, set names replaced; the port is `None` where it is unknown.
pub(crate) fn host(pattern: &str, host: &Host, port: Option<u16>) -> Truth {
    let (shape, wanted) = split_port(pattern);
    let shape = shape.to_ascii_lowercase();
    let covers = if shape == "*" {
        true
    } else if let Some(parent) = shape.strip_prefix("*.") {
        let parent: Vec<&str> = parent.strip_suffix('.').unwrap_or(parent).split('.').collect();
        matches!(host, Host::Name(labels) if labels.len() > parent.len() && labels.ends_with(&owned(&parent)))
    } else if let Some(head) = shape.strip_suffix(".*") {
        let head: Vec<&str> = head.split('.').collect();
        matches!(host, Host::Name(labels) if labels.len() > head.len() && labels.starts_with(&owned(&head)))
    } else {
        names::host(shape.as_bytes()).as_ref() == Some(host)
    };
    match (covers, wanted, port) {
        (false, ..) => FALSE,
        (true, None, _) => TRUE,
        (true, Some(_), None) => UNKNOWN,
        (true, Some(wanted), Some(port)) => of(wanted == port),
    }
}

/// Whether an entry of `hosts` is that literal and no wildcard.
pub(crate) fn is_literal(pattern: &str, ip: names::Ip) -> bool {
    names::host(split_port(pattern).0.as_bytes()) == Some(Host::Ip(ip))
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

/// The host of a pattern and the port that it asks for; `:*` asks for none.
fn split_port(pattern: &str) -> (&str, Option<u16>) {
    match pattern.rsplit_once(':') {
        Some((_, port)) if port.contains(']') => (pattern, None),
        Some((host, "*")) => (host, None),
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (pattern, None),
    }
}

/// `*` anywhere.
pub(crate) fn namespace(pattern: &str, namespace: &str) -> bool {
    match pattern.chars().next() {
        None => namespace.is_empty(),
        Some('*') => (0..=namespace.len()).any(|from| self::namespace(&pattern[1..], &namespace[from..])),
        Some(c) => namespace.starts_with(c) && self::namespace(&pattern[1..], &namespace[1..]),
    }
}

pub(crate) fn principal(pattern: &str, peer: &Workload, listed: &[String]) -> bool {
    let presented = |domain: &str| format!("{domain}/ns/{}/sa/{}", peer.namespace, peer.account);
    let mut domains = listed.to_vec();
    domains.push("cluster.local".to_owned());
    // The pattern's trust domain is literal where no star stands in it.
    let literal = pattern.split_once('/').map(|(domain, _)| domain).filter(|domain| !domain.contains('*'));
    if literal.is_some_and(|domain| domains.iter().any(|listed| listed == domain)) {
        return domains.iter().any(|domain| text(pattern, presented(domain).as_bytes()));
    }
    text(pattern, presented(&peer.domain).as_bytes())
}

/// `namespace/name`, or `name` in the policy's own namespace.
pub(crate) fn account(pattern: &str, own: Option<&str>, peer: &Workload) -> bool {
    let whole =
        if pattern.contains('/') { pattern.to_owned() } else { format!("{}/{pattern}", own.unwrap()) };
    whole == format!("{}/{}", peer.namespace, peer.account)
}

/// `issuer/subject`, by the table of Istio's generator.
pub(crate) fn request_principal(pattern: &str, issuer: &[u8], subject: &[u8]) -> bool {
    if pattern == "*" {
        return !issuer.is_empty() && !subject.is_empty();
    }
    let (issuer_pattern, subject_pattern) = match pattern.rfind('/') {
        Some(at) => (&pattern[..at], &pattern[at + 1..]),
        None if pattern.starts_with('*') => ("*", pattern),
        None if pattern.ends_with('*') => (pattern, "*"),
        None => (pattern, ""),
    };
    text(issuer_pattern, issuer) && text(subject_pattern, subject)
}

/// The outer server name; case and one trailing dot do not matter.
pub(crate) fn server_name(pattern: &str, sni: &[u8]) -> bool {
    let fold = |bytes: &[u8]| {
        let lower = bytes.to_ascii_lowercase();
        lower.strip_suffix(b".").map(<[u8]>::to_vec).unwrap_or(lower)
    };
    let pattern = String::from_utf8(fold(pattern.as_bytes())).unwrap();
    text(&pattern, &fold(sni))
}

/// An entry of `paths` beside a request target.
pub(crate) fn path(pattern: &str, target: &[u8]) -> Truth {
    let end = target.iter().position(|byte| *byte == b'?' || *byte == b'#').unwrap_or(target.len());
    let path = &target[..end];
    if pattern.contains("{*}") || pattern.contains("{**}") {
        template(pattern, path)
    } else {
        of(text(pattern, path))
    }
}

/// A template against the path, by trying every way to divide the path among the operators. A way that
/// needs an operator to cover a byte which Envoy does not let it cover tells nothing.
fn template(pattern: &str, path: &[u8]) -> Truth {
    let (rest, least, also) = if let Some(rest) = pattern.strip_prefix("{**}") {
        (rest, 0, true)
    } else if let Some(rest) = pattern.strip_prefix("{*}") {
        (rest, 1, false)
    } else {
        return match (pattern.as_bytes().first(), path.first()) {
            (None, None) => TRUE,
            (Some(wanted), Some(byte)) if wanted == byte => template(&pattern[1..], &path[1..]),
            _ => FALSE,
        };
    };
    let slash = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    let longest = if also { path.len() } else { slash };
    any((least..=longest).map(|length| {
        let (covered, after) = path.split_at(length);
        let good = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()+,;:@=*/";
        let plain = if covered.iter().all(|byte| good.contains(byte)) { TRUE } else { UNKNOWN };
        plain.min(template(rest, after))
    }))
}
