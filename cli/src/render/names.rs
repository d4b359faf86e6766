//! Names that Kubernetes and Istio take.

use egress_policy::names::is_dns_label;

/// The longest name from a host: with `pass-` before it, it is a DNS label still (63).
const LONGEST: usize = 57;
/// What is kept of a host whose name is longer; a dash and sixteen digits follow.
const KEPT: usize = LONGEST - 17;

/// A host's name where Kubernetes takes no dots. It depends on the host alone, and no two hosts have one: a dot is a dash, a dash
/// is two. A name that would be too long ends in a hash of the host.
pub(super) fn slug(host: &str) -> String {
    let whole = host.replace('-', "--").replace('.', "-");
    if whole.len() <= LONGEST {
        return whole;
    }
    let kept: String = whole.chars().take(KEPT).collect();
    format!("{}-{:016x}", kept.trim_end_matches('-'), hash(host))
}

/// FNV-1a: the same in every version and on every machine.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Why Istio refuses a name that the core takes, and what to do: its rule for hosts is that of ServiceEntry and Gateway.
pub(super) fn istio_refuses(host: &str) -> Option<(&'static str, &'static str)> {
    if host.contains('_') {
        return Some(("Istio takes no underscore in a host", "give the site a name without one"));
    }
    if !host.contains('.') {
        return Some(("Istio takes no short name as a host", "write the whole name, with its domain"));
    }
    let is_label = |label: &str| is_dns_label(&label.to_ascii_lowercase());
    if !host.split('.').all(is_label) {
        return Some((
            "each part of a host begins and ends with a letter or digit",
            "write the name as DNS has it",
        ));
    }
    None
}

/// Whether something is a label of a pod: what `kubectl apply` takes.
pub(super) fn is_pod_label(key: &str, value: &str) -> bool {
    let name = match key.split_once('/') {
        Some((prefix, name)) if prefix.len() <= 253 && prefix.split('.').all(is_dns_label) => name,
        Some(_) => return false,
        None => key,
    };
    is_label_text(name) && (value.is_empty() || is_label_text(value))
}

fn is_label_text(text: &str) -> bool {
    let ends = [text.chars().next(), text.chars().last()];
    text.len() <= 63
        && ends.iter().all(|end| end.is_some_and(|end| end.is_ascii_alphanumeric()))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_labels_and_no_two_hosts_share_one() {
        let long = format!("{}.example", "very-long.".repeat(20));
        let hosts = [
            "a.b.example",
            "a-b.example",
            "a--b.example",
            "a.b-example",
            "xn--bcher-kva.example",
            &long,
            &format!("x{long}"),
            &format!("{}.example.com", "a".repeat(63)),
            &format!("{}.example.org", "a".repeat(63)),
        ];
        let mut names = HashSet::new();
        for host in hosts {
            let name = slug(host);
            assert!(is_dns_label(&format!("pass-{name}")) && is_dns_label(&name), "{host}: {name}");
            assert!(names.insert(name), "{host}");
        }
        assert_eq!(slug("www.example.com"), "www-example-com");
    }

    #[test]
    fn what_istio_refuses() {
        for host in ["my_db.example", "db", "-a.example", "a-.example", "a..example"] {
            assert!(istio_refuses(host).is_some(), "{host}");
        }
        for host in ["a.example", "1.a.example", "xn--bcher-kva.example", "a--b.example"] {
            assert!(istio_refuses(host).is_none(), "{host}");
        }
    }

    #[test]
    fn labels_of_pods() {
        assert!(is_pod_label("istio", "egressgateway") && is_pod_label("app.kubernetes.io/name", "a_b.c"));
        for (key, value) in
            [("", "a"), ("a b", "c"), ("a", "-b"), ("A.b_/c", "d"), ("a", "b:c"), ("a/b/c", "d")]
        {
            assert!(!is_pod_label(key, value), "{key}={value}");
        }
    }
}
