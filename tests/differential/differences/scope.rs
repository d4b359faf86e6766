//! Whom a policy is about, and which one is named.

use super::{by, differs, get};

#[test]
fn a_policy_of_a_namespace_governs_that_namespace_only() {
    let yaml =
        "policies: [{name: p, namespace: demo, rules: [{to: [{operation: {hosts: [www.example.com]}}]}]}]";
    let elsewhere = by("spiffe://cluster.local/ns/other/sa/sleep", get("www.example.org"));
    differs(yaml, &elsewhere, "allow[default_action]", "deny[none]");
    let reached = by("spiffe://cluster.local/ns/other/sa/sleep", get("www.example.com"));
    let closed = format!("defaultAction: DENY\n{yaml}");
    differs(&closed, &reached, "deny[default_action]", "allow");
    let deny = "policies: [{name: p, namespace: demo, action: DENY, rules: [{}]}]";
    differs(deny, &reached, "allow[default_action]", "deny[ns[demo]-policy[p]-rule[0]]");
}

#[test]
fn the_first_rule_in_the_order_of_the_configuration_is_named() {
    let yaml = "policies: [{name: b, action: DENY, rules: [{}]}, {name: a, action: DENY, rules: [{}]}]";
    let native = "deny[ns[istio-system]-policy[a]-rule[0]]";
    differs(yaml, &get("www.example.com"), "deny[ns[*]-policy[b]-rule[0]]", native);
}
