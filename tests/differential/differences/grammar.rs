//! What Istio reads as "anything" or never matches, we do not take.

use super::{get, refused};

#[test]
fn an_empty_list_is_an_error() {
    for rule in ["to: [{operation: {hosts: []}}]", "from: [{source: {namespaces: []}}]"] {
        let yaml = format!("policies: [{{name: p, rules: [{{{rule}}}]}}]");
        refused(&yaml, "empty", &get("www.example.com"), "allow");
    }
    let when = "policies: [{name: p, rules: [{when: [{key: connection.sni, values: []}]}]}]";
    refused(when, "empty", &get("www.example.com"), "allow");
}

#[test]
fn a_star_inside_a_string_is_an_error() {
    let yaml = "policies: [{name: p, action: DENY, rules: [{to: [{operation: {paths: ['/*/admin']}}]}]}]";
    let mut request = get("www.example.com");
    request.path = "/a/admin".to_owned();
    refused(yaml, "paths[0]", &request, "allow");
    let yaml = "policies: [{name: p, rules: [{from: [{source: {principals: ['*/ns/default/*']}}]}]}]";
    refused(yaml, "principals[0]", &get("www.example.com"), "deny[none]");
}

#[test]
fn a_value_that_never_matches_is_an_error() {
    let yaml = "policies: [{name: p, action: DENY, rules: [{to: [{operation: {methods: [get]}}]}]}]";
    refused(yaml, "write `GET`", &get("www.example.com"), "allow");
    let yaml = "policies: [{name: p, action: DENY, rules: [{from: [{source: {principals: \
                ['spiffe://cluster.local/ns/default/sa/sleep']}}]}]}]";
    refused(yaml, "without `spiffe://`", &get("www.example.com"), "allow");
}
