//! AUDIT: for every request, and changing nothing.

use super::{allow_all, audited, http_config, network_config, verdict, with};
use crate::support::{Answer, http, tls};
use serde_json::{Value, json};

fn audit(name: &str, rules: &Value) -> Value {
    json!({"name": name, "action": "AUDIT", "rules": rules})
}

#[test]
fn an_audit_changes_no_verdict() {
    let config = |policies: Value| http_config(&policies);
    let all = audit("audit", &json!([{}]));
    assert_eq!(verdict(&config(json!([all])), &http("a/x", "h.example")), "deny[default_action]");
    assert_eq!(
        verdict(&config(json!([all, allow_all()])), &http("a/x", "h.example")),
        "allow[ns[*]-policy[all]-rule[0]]"
    );
}

#[test]
fn every_rule_that_matches_is_listed_in_order() {
    let rules = json!([{}, {"to": [{"operation": {"hosts": ["i.example"]}}]}, {"to": [{"operation": {"hosts": ["h.example"]}}]}]);
    let mut own = audit("own", &json!([{}]));
    own["namespace"] = json!("a");
    let mut other = audit("other", &json!([{}]));
    other["namespace"] = json!("b");
    let mut network = audit("network", &json!([{}]));
    network["protocols"] = json!(["NETWORK"]);
    let config = http_config(&json!([own, audit("mesh", &rules), other, network]));
    assert_eq!(
        audited(&config, &http("a/x", "h.example")),
        ["ns[a]-policy[own]-rule[0]", "ns[*]-policy[mesh]-rule[0]", "ns[*]-policy[mesh]-rule[2]"]
    );
}

#[test]
fn refused_requests_are_audited_too() {
    let config = http_config(&json!([
        audit("all", &json!([{}])),
        audit("host", &json!([{"to": [{"operation": {"hosts": ["h.example"]}}]}])),
        audit("elsewhere", &json!([{"to": [{"operation": {"ports": [443]}}]}])),
        {"name": "deny", "action": "DENY", "rules": [{}]},
    ]));
    let (all, host) = ("ns[*]-policy[all]-rule[0]", "ns[*]-policy[host]-rule[0]");
    for (request, expected) in [
        (http("a/x", "h.example"), vec![all, host]),
        (http("a/x", "i.example"), vec![all]),
        (http("a/x", "h.example").anonymous(), vec![all, host]),
        (http("a/x", "h.example").named("a"), vec![all, host]),
        (http("a/x", "h.example").sni("i.example"), vec![all, host]),
        // Of a malformed host nothing is known.
        (http("a/x", "127.1"), vec![all, host]),
    ] {
        assert_eq!(audited(&config, &request), expected, "{request:#?}");
    }
}

#[test]
fn of_a_peer_that_is_refused_nothing_is_known() {
    let mut own = audit("own", &json!([{}]));
    own["namespace"] = json!("a");
    let config =
        http_config(&json!([own, audit("mesh", &json!([{"from": [{"source": {"namespaces": ["b"]}}]}]))]));
    let mesh = "ns[*]-policy[mesh]-rule[0]";
    for name in ["spiffe://far.example/ns/a/sa/x", "spiffe://cluster.local/ns/a"] {
        assert_eq!(audited(&config, &http("a/x", "h.example").named(name)), [mesh], "{name}");
    }
    let unread = http("a/x", "h.example").with(|r| r.certificate = Answer::Unreadable);
    assert_eq!(audited(&config, &unread), [mesh]);
    // Of a peer that presents nothing it is known that it is nobody.
    assert!(audited(&config, &http("a/x", "h.example").anonymous()).is_empty());
}

#[test]
fn an_audit_by_what_network_does_not_have_matches_there() {
    let policies = json!([audit("audit", &json!([{"to": [{"operation": {"methods": ["POST"]}}]}]))]);
    assert!(audited(&http_config(&policies), &http("a/x", "h.example")).is_empty());
    assert_eq!(
        audited(&network_config(&policies), &tls("a/x", "h.example")),
        ["ns[*]-policy[audit]-rule[0]"]
    );
}

#[test]
fn without_a_clock_nothing_has_expired() {
    let mut expiring = audit("audit", &json!([{}]));
    expiring["expires"] = json!("1970-01-01T00:00:00Z");
    let config = with(&http_config(&json!([expiring])), &json!({"defaultAction": "ALLOW"}));
    let unread = http("a/x", "h.example").with(|r| r.now = Answer::Unreadable);
    assert_eq!(audited(&config, &unread), ["ns[*]-policy[audit]-rule[0]"]);
    assert_eq!(verdict(&config, &unread), "deny[attribute_unavailable]");
}
