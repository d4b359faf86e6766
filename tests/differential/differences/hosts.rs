//! Hosts: names, not strings.

use super::{differs, get, refused};

const ALLOW: &str = "policies: [{name: p, rules: [{to: [{operation: {hosts: [www.example.com]}}]}]}]";
const DENY: &str =
    "policies: [{name: p, action: DENY, rules: [{to: [{operation: {hosts: [www.example.com]}}]}]}]";

#[test]
fn a_host_is_meant_on_every_port() {
    let with_port = get("www.example.com:8443");
    differs(ALLOW, &with_port, "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
    differs(DENY, &with_port, "deny[ns[*]-policy[p]-rule[0]]", "allow");
}

#[test]
fn a_port_in_a_pattern_is_the_port_asked_for() {
    let allow = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['www.example.com:80']}}]}]}]";
    differs(allow, &get("www.example.com"), "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
    let any = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['www.example.com:*']}}]}]}]";
    differs(any, &get("www.example.com"), "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
}

#[test]
fn a_trailing_dot_names_the_same_host() {
    differs(DENY, &get("www.example.com."), "deny[ns[*]-policy[p]-rule[0]]", "allow");
    differs(ALLOW, &get("www.example.com."), "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
}

#[test]
fn a_star_stands_for_whole_labels() {
    let suffix = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['*example.com']}}]}]}]";
    refused(suffix, "write `*.example.com`", &get("badexample.com"), "allow");
    let prefix = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['www.example*']}}]}]}]";
    refused(prefix, "write `www.example.*`", &get("www.example-attacker.net"), "allow");
    let inside = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['*.example.*']}}]}]}]";
    refused(inside, "only once", &get("www.example.com"), "deny[none]");
    // A wildcard matches with a port as well.
    let below = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['*.example.com']}}]}]}]";
    differs(below, &get("www.example.com:80"), "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
}

#[test]
fn an_address_is_matched_by_itself_only() {
    let prefix = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['203.*']}}]}]}]";
    refused(prefix, "match an IP address", &get("203.0.113.7"), "allow");
}

#[test]
fn an_address_is_the_same_in_every_spelling() {
    let deny = "policies: [{name: p, action: DENY, rules: [{to: [{operation: {hosts: [203.0.113.7]}}]}]}]";
    differs(deny, &get("[::ffff:203.0.113.7]"), "deny[ns[*]-policy[p]-rule[0]]", "allow");
}
