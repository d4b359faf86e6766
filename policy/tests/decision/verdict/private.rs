//! Step 4: literals that are not on the public Internet, and what opens them.

use super::{allow_all, http_config, network_config, verdict, with};
use crate::support::{http, tls};
use serde_json::{Value, json};

const PRIVATE: &str = "deny[private_address]";

#[test]
fn literals_that_are_not_global_are_refused_default_allow_or_not() {
    let config = http_config(&json!([allow_all()]));
    let default = with(&http_config(&json!([])), &json!({"defaultAction": "ALLOW"}));
    for host in [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "192.0.2.1",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "[::ffff:10.0.0.1]",
        "[::10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[2002:a00:1::]",
        "[2002:808:808::]",
        "[2001::1]",
        "[2001:db8::1]",
        "10.0.0.1:8080",
        "10.0.0.1.",
    ] {
        assert_eq!(verdict(&config, &http("a/x", host)), PRIVATE, "{host}");
        assert_eq!(verdict(&default, &http("a/x", host)), PRIVATE, "{host}");
        let off = with(&default, &json!({"privateAddresses": "ALLOW"}));
        assert_eq!(verdict(&off, &http("a/x", host)), "allow[default_action]", "{host}");
    }
    for host in [
        "8.8.8.8",
        "[2606:4700::1111]",
        "[64:ff9b::8.8.8.8]",
        "192.0.0.9",
        "168.63.129.17",
        "h.example",
        "localhost",
    ] {
        assert_eq!(verdict(&default, &http("a/x", host)), "allow[default_action]", "{host}");
    }
}

/// A configuration whose one rule has these operations, in a policy with these other keys.
fn opener(operations: &Value, policy: &Value) -> Value {
    let mut opener = json!({"name": "opener", "rules": [{"to": operations}]});
    opener.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
    with(
        &http_config(&json!([opener])),
        &json!({"hostSets": {"metadata": ["a.example", "169.254.169.254"], "all": ["*"]}}),
    )
}

#[test]
fn a_mesh_wide_allow_that_names_the_literal_opens_it() {
    let opened = "allow[ns[*]-policy[opener]-rule[0]]";
    for (hosts, expected) in [
        (json!(["169.254.169.254"]), opened),
        (json!(["169.254.169.254:80"]), opened),
        (json!(["169.254.169.254:*"]), opened),
        (json!(["[::ffff:169.254.169.254]"]), opened),
        (json!(["@metadata"]), opened),
        (json!(["*", "169.254.169.254"]), opened),
        (json!(["169.254.169.254:8080"]), PRIVATE),
        (json!(["*", "169.254.169.254:8080"]), PRIVATE),
        (json!(["169.254.169.253"]), PRIVATE),
        (json!(["*"]), PRIVATE),
        (json!(["*:80"]), PRIVATE),
        (json!(["@all"]), PRIVATE),
    ] {
        let config = opener(&json!([{"operation": {"hosts": hosts}}]), &json!({}));
        assert_eq!(verdict(&config, &http("a/x", "169.254.169.254")), expected, "{hosts}");
    }
    assert_eq!(
        verdict(
            &opener(&json!([{"operation": {"hosts": ["[::1]"]}}]), &json!({})),
            &http("a/x", "[::1]:8080")
        ),
        opened
    );
    let network = with(
        &opener(&json!([{"operation": {"hosts": ["169.254.169.254"]}}]), &json!({})),
        &json!({"type": "NETWORK"}),
    );
    assert_eq!(verdict(&network, &tls("a/x", "169.254.169.254")), opened);
    // On NETWORK the port is unknown, so a pattern with a port does not match.
    let network = with(
        &opener(&json!([{"operation": {"hosts": ["169.254.169.254:80"]}}]), &json!({})),
        &json!({"type": "NETWORK"}),
    );
    assert_eq!(verdict(&network, &tls("a/x", "169.254.169.254")), PRIVATE);
}

#[test]
fn a_namespaces_own_policy_never_opens_it() {
    let config = opener(&json!([{"operation": {"hosts": ["169.254.169.254"]}}]), &json!({"namespace": "a"}));
    assert_eq!(verdict(&config, &http("a/x", "169.254.169.254")), PRIVATE);
}

#[test]
fn only_an_enforced_rule_that_matches_opens_it() {
    let named = json!([{"operation": {"hosts": ["169.254.169.254"]}}]);
    let metadata = http("a/x", "169.254.169.254").at(600);
    // DENY and AUDIT open nothing; nor does what has expired, is in dry run or is for the other protocol.
    let audit = opener(&named, &json!({"action": "AUDIT"}));
    assert_eq!(verdict(&audit, &metadata), PRIVATE);
    let expired = opener(&named, &json!({"expires": "1970-01-01T00:10:00Z"}));
    assert_eq!(verdict(&expired, &metadata), PRIVATE);
    let network = opener(&named, &json!({"protocols": ["NETWORK"]}));
    assert_eq!(verdict(&network, &metadata), PRIVATE);
    let dry = opener(&named, &json!({"mode": "DRY_RUN"}));
    assert_eq!(verdict(&dry, &metadata), "deny[private_address] would_allow[ns[*]-policy[opener]-rule[0]]");
    // The rule must match as a whole, by the operation that names the literal.
    let other =
        opener(&json!([{"operation": {"hosts": ["169.254.169.254"], "methods": ["POST"]}}]), &json!({}));
    assert_eq!(verdict(&other, &metadata), PRIVATE);
    let by_star = opener(
        &json!([{"operation": {"hosts": ["169.254.169.254"], "methods": ["POST"]}}, {"operation": {"hosts": ["*"]}}]),
        &json!({}),
    );
    assert_eq!(verdict(&by_star, &metadata), PRIVATE);
    let unknown = opener(&json!([{"operation": {"hosts": ["169.254.169.254"], "paths": ["/"]}}]), &json!({}));
    assert_eq!(verdict(&unknown, &metadata.clone().method("CONNECT")), PRIVATE);
    let not = opener(
        &json!([{"operation": {"hosts": ["169.254.169.254"], "notHosts": ["169.254.169.254"]}}]),
        &json!({}),
    );
    assert_eq!(verdict(&not, &metadata), PRIVATE);
    for rule in [
        json!({"from": [{"source": {"namespaces": ["b"]}}], "to": named}),
        json!({"to": named, "when": [{"key": "source.namespace", "values": ["b"]}]}),
    ] {
        let config = http_config(&json!([{"name": "opener", "rules": [rule]}]));
        assert_eq!(verdict(&config, &metadata), PRIVATE, "{rule}");
        assert_eq!(
            verdict(&config, &http("b/x", "169.254.169.254")),
            "allow[ns[*]-policy[opener]-rule[0]]",
            "{rule}"
        );
    }
}

#[test]
fn once_open_any_allow_admits_and_deny_still_stands_above() {
    let opener = json!({"name": "opener", "rules": [{"to": [{"operation": {"hosts": ["10.0.0.1"]}}]}]});
    let config = http_config(&json!([{"name": "own", "namespace": "a", "rules": [{}]}, opener]));
    assert_eq!(verdict(&config, &http("a/x", "10.0.0.1")), "allow[ns[a]-policy[own]-rule[0]]");
    let deny = json!({"name": "deny", "action": "DENY", "rules": [{}]});
    assert_eq!(
        verdict(&http_config(&json!([opener, deny])), &http("a/x", "10.0.0.1")),
        "deny[ns[*]-policy[deny]-rule[0]]"
    );
}

#[test]
fn inner_names_that_are_literals_are_guarded_too() {
    let config = network_config(&json!([allow_all()]));
    assert_eq!(verdict(&config, &tls("a/x", "10.0.0.1")), PRIVATE);
    assert_eq!(verdict(&config, &tls("a/x", "8.8.8.8")), "allow[ns[*]-policy[all]-rule[0]]");
}
