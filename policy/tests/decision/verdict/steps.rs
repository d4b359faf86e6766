//! docs/language.md#5-the-verdict: the order of the steps, scoping, and who is named.

use super::{NO_ALLOW, allow_all, http_config, network_config, verdict, with};
use crate::support::{http, tls};
use serde_json::{Value, json};

fn policy(name: &str, namespace: Option<&str>, action: &str, rules: &Value) -> Value {
    let mut policy = json!({"name": name, "action": action, "rules": rules});
    if let Some(namespace) = namespace {
        policy["namespace"] = json!(namespace);
    }
    policy
}

#[test]
fn nothing_configured_refuses_everything() {
    assert_eq!(verdict(&json!({}), &http("a/x", "h.example")), "deny[default_action]");
    assert_eq!(verdict(&json!({"policies": []}), &http("a/x", "h.example")), "deny[default_action]");
    assert_eq!(
        verdict(&json!({"defaultAction": "ALLOW"}), &http("a/x", "h.example")),
        "allow[default_action]"
    );
}

#[test]
fn deny_stands_above_allow_wherever_it_is_written() {
    let allow = policy("own", Some("a"), "ALLOW", &json!([{}]));
    let deny = policy("platform", None, "DENY", &json!([{}]));
    for policies in [json!([allow, deny]), json!([deny, allow])] {
        assert_eq!(
            verdict(&http_config(&policies), &http("a/x", "h.example")),
            "deny[ns[*]-policy[platform]-rule[0]]"
        );
    }
}

#[test]
fn the_first_in_configuration_order_is_named() {
    let by = |policies: &Value| verdict(&http_config(policies), &http("a/x", "h.example"));
    for action in ["ALLOW", "DENY"] {
        let word = action.to_lowercase();
        let (mesh, own) =
            (policy("z", None, action, &json!([{}])), policy("y", Some("a"), action, &json!([{}])));
        assert_eq!(by(&json!([mesh, own])), format!("{word}[ns[*]-policy[z]-rule[0]]"));
        assert_eq!(by(&json!([own, mesh])), format!("{word}[ns[a]-policy[y]-rule[0]]"));
        let later = policy("x", None, action, &json!([{}]));
        assert_eq!(by(&json!([own, later, mesh])), format!("{word}[ns[a]-policy[y]-rule[0]]"));
        let miss = policy("w", None, action, &json!([{"from": [{"source": {"namespaces": ["b"]}}]}]));
        assert_eq!(by(&json!([miss, mesh, later])), format!("{word}[ns[*]-policy[z]-rule[0]]"));
    }
}

#[test]
fn the_first_rule_that_matches_is_named() {
    let miss = json!({"to": [{"operation": {"hosts": ["i.example"]}}]});
    let rules = json!([miss, {}, {}]);
    let config = |action| http_config(&json!([policy("p", None, action, &rules)]));
    assert_eq!(verdict(&config("ALLOW"), &http("a/x", "h.example")), "allow[ns[*]-policy[p]-rule[1]]");
    assert_eq!(verdict(&config("DENY"), &http("a/x", "h.example")), "deny[ns[*]-policy[p]-rule[1]]");
}

#[test]
fn policies_of_other_namespaces_do_not_count() {
    for action in ["ALLOW", "DENY"] {
        let config = http_config(&json!([policy("p", Some("b"), action, &json!([{}]))]));
        assert_eq!(verdict(&config, &http("a/x", "h.example")), "deny[default_action]", "{action}");
    }
}

#[test]
fn an_allow_list_of_one_namespace_does_not_close_another() {
    let list =
        policy("list", Some("a"), "ALLOW", &json!([{"to": [{"operation": {"hosts": ["h.example"]}}]}]));
    let config = with(&http_config(&json!([list])), &json!({"defaultAction": "ALLOW"}));
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "allow[ns[a]-policy[list]-rule[0]]");
    assert_eq!(verdict(&config, &http("a/x", "i.example")), NO_ALLOW);
    assert_eq!(verdict(&config, &http("b/y", "i.example")), "allow[default_action]");
    // A mesh-wide one closes all.
    let mesh = policy("mesh", None, "ALLOW", &json!([]));
    let closed = with(&http_config(&json!([mesh])), &json!({"defaultAction": "ALLOW"}));
    assert_eq!(verdict(&closed, &http("b/y", "i.example")), NO_ALLOW);
}

#[test]
fn a_namespaces_allow_adds_to_the_meshs() {
    let mesh = policy("mesh", None, "ALLOW", &json!([{"to": [{"operation": {"hosts": ["h.example"]}}]}]));
    let own = policy("own", Some("a"), "ALLOW", &json!([{"to": [{"operation": {"hosts": ["i.example"]}}]}]));
    let config = http_config(&json!([mesh, own]));
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "allow[ns[*]-policy[mesh]-rule[0]]");
    assert_eq!(verdict(&config, &http("a/x", "i.example")), "allow[ns[a]-policy[own]-rule[0]]");
    assert_eq!(verdict(&config, &http("b/x", "i.example")), NO_ALLOW);
}

#[test]
fn a_policy_does_not_exist_for_a_protocol_that_it_leaves_out() {
    let limited = |action: &str, protocols: Value| {
        let mut limited = policy("p", None, action, &json!([{}]));
        limited["protocols"] = protocols;
        json!([limited])
    };
    let (request, connection) = (http("a/x", "h.example"), tls("a/x", "h.example"));
    assert_eq!(
        verdict(&http_config(&limited("ALLOW", json!(["HTTP"]))), &request),
        "allow[ns[*]-policy[p]-rule[0]]"
    );
    assert_eq!(
        verdict(&network_config(&limited("ALLOW", json!(["HTTP"]))), &connection),
        "deny[default_action]"
    );
    assert_eq!(verdict(&http_config(&limited("DENY", json!(["NETWORK"]))), &request), "deny[default_action]");
    assert_eq!(
        verdict(&network_config(&limited("DENY", json!(["NETWORK"]))), &connection),
        "deny[ns[*]-policy[p]-rule[0]]"
    );
    for config in [
        http_config(&limited("DENY", json!(["HTTP", "NETWORK"]))),
        http_config(&limited("DENY", json!(["NETWORK", "HTTP"]))),
    ] {
        assert_eq!(verdict(&config, &request), "deny[ns[*]-policy[p]-rule[0]]");
    }
    // Nor does its expiry make the clock matter.
    let mut expiring = limited("ALLOW", json!(["NETWORK"]));
    expiring[0]["expires"] = json!("1970-01-01T00:10:00Z");
    let no_clock = request.with(|r| r.now = crate::support::Answer::Unreadable);
    assert_eq!(verdict(&http_config(&expiring), &no_clock), "deny[default_action]");
}

#[test]
fn the_border_comes_before_the_policies() {
    let deny = policy("deny", None, "DENY", &json!([{}]));
    let config = http_config(&json!([deny, allow_all()]));
    assert_eq!(verdict(&config, &http("a/x", "127.1").anonymous()), "deny[unauthenticated]");
    assert_eq!(verdict(&config, &http("a/x", "127.1").sni("h.example")), "deny[malformed_host]");
    assert_eq!(verdict(&config, &http("a/x", "10.0.0.1").sni("h.example")), "deny[sni_mismatch]");
    // The DENY before the private address, that before the default.
    assert_eq!(verdict(&config, &http("a/x", "10.0.0.1")), "deny[ns[*]-policy[deny]-rule[0]]");
    assert_eq!(verdict(&http_config(&json!([])), &http("a/x", "10.0.0.1")), "deny[private_address]");
    let empty = policy("list", None, "ALLOW", &json!([]));
    assert_eq!(verdict(&http_config(&json!([empty])), &http("a/x", "10.0.0.1")), "deny[private_address]");
}

/// Scenario B of the scenarios: who is refused by what, by name.
#[test]
fn two_namespaces_and_two_sites() {
    let refuse = |name: &str, namespace: &str, host: &str| {
        policy(
            name,
            None,
            "DENY",
            &json!([{"from": [{"source": {"namespaces": [namespace]}}], "to": [{"operation": {"hosts": [host]}}]}]),
        )
    };
    let policies = json!([
        refuse("otherns-google", "otherns", "developers.google.com"),
        refuse("default-yahoo", "default", "developer.yahoo.com"),
    ]);
    let config = with(&http_config(&policies), &json!({"defaultAction": "ALLOW"}));
    for (workload, host, expected) in [
        ("default/sleep", "developers.google.com", "allow[default_action]"),
        ("default/sleep", "developer.yahoo.com", "deny[ns[*]-policy[default-yahoo]-rule[0]]"),
        ("otherns/sleep", "developers.google.com", "deny[ns[*]-policy[otherns-google]-rule[0]]"),
        ("otherns/sleep", "developer.yahoo.com", "allow[default_action]"),
    ] {
        assert_eq!(verdict(&config, &http(workload, host)), expected, "{workload} {host}");
    }
}
