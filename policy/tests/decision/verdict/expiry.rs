//! Expiry: what no longer matches, what still governs, and what is named.

use super::{audited, http_config, network_config, verdict, with};
use crate::support::{http, tls};
use serde_json::{Value, json};

const INSTANT: &str = "1970-01-01T00:10:00Z";
const AT: i64 = 600;

fn expiring(name: &str, action: &str, rules: &Value) -> Value {
    json!({"name": name, "action": action, "expires": INSTANT, "rules": rules})
}

#[test]
fn a_policy_expires_from_its_instant_on() {
    let config = http_config(&json!([expiring("p", "ALLOW", &json!([{}]))]));
    let at = |seconds| verdict(&config, &http("a/x", "h.example").at(seconds));
    assert_eq!(at(AT - 1), "allow[ns[*]-policy[p]-rule[0]]");
    assert_eq!(at(AT), "deny[expired[ns[*]-policy[p]-rule[0]]]");
    assert_eq!(at(AT + 1), "deny[expired[ns[*]-policy[p]-rule[0]]]");
}

#[test]
fn an_expired_deny_or_audit_no_longer_matches() {
    let deny =
        with(&http_config(&json!([expiring("p", "DENY", &json!([{}]))])), &json!({"defaultAction": "ALLOW"}));
    assert_eq!(verdict(&deny, &http("a/x", "h.example").at(AT - 1)), "deny[ns[*]-policy[p]-rule[0]]");
    assert_eq!(verdict(&deny, &http("a/x", "h.example").at(AT)), "allow[default_action]");
    let audit = http_config(&json!([expiring("p", "AUDIT", &json!([{}]))]));
    assert_eq!(audited(&audit, &http("a/x", "h.example").at(AT - 1)), ["ns[*]-policy[p]-rule[0]"]);
    assert!(audited(&audit, &http("a/x", "h.example").at(AT)).is_empty());
}

#[test]
fn an_expired_allow_still_governs() {
    let config = with(
        &http_config(&json!([expiring(
            "p",
            "ALLOW",
            &json!([{"to": [{"operation": {"hosts": ["i.example"]}}]}])
        )])),
        &json!({"defaultAction": "ALLOW"}),
    );
    // It would not have admitted this one: then it is not named.
    assert_eq!(verdict(&config, &http("a/x", "h.example").at(AT)), "deny[no_allow_matched]");
    assert_eq!(verdict(&config, &http("a/x", "i.example").at(AT)), "deny[expired[ns[*]-policy[p]-rule[0]]]");
}

#[test]
fn the_first_that_alone_would_have_admitted_is_named() {
    let on = |host: &str| json!([{"to": [{"operation": {"hosts": ["never.example"]}}]}, {"to": [{"operation": {"hosts": [host]}}]}]);
    let config = http_config(&json!([
        expiring("other", "ALLOW", &on("i.example")),
        {"name": "empty"},
        expiring("first", "ALLOW", &on("h.example")),
        expiring("second", "ALLOW", &json!([{}])),
    ]));
    assert_eq!(
        verdict(&config, &http("a/x", "h.example").at(AT)),
        "deny[expired[ns[*]-policy[first]-rule[1]]]"
    );
    assert_eq!(
        verdict(&config, &http("a/x", "j.example").at(AT)),
        "deny[expired[ns[*]-policy[second]-rule[0]]]"
    );
    // What is not expired and matches admits.
    let mut living = config.clone();
    living["policies"][1]["rules"] = json!([{}]);
    assert_eq!(verdict(&living, &http("a/x", "h.example").at(AT)), "allow[ns[*]-policy[empty]-rule[0]]");
}

#[test]
fn only_what_applies_is_named() {
    let mut other = expiring("p", "ALLOW", &json!([{}]));
    other["namespace"] = json!("b");
    let mut network = expiring("q", "ALLOW", &json!([{}]));
    network["protocols"] = json!(["NETWORK"]);
    let mut dry = expiring("r", "ALLOW", &json!([{}]));
    dry["mode"] = json!("DRY_RUN");
    let config = http_config(&json!([other, network, dry, {"name": "empty"}]));
    assert_eq!(verdict(&config, &http("a/x", "h.example").at(AT)), "deny[no_allow_matched]");
    // Alone, none of them governs.
    let config = http_config(&json!([other, network, dry]));
    assert_eq!(verdict(&config, &http("a/x", "h.example").at(AT)), "deny[default_action]");
    let mut own = expiring("p", "ALLOW", &json!([{}]));
    own["namespace"] = json!("a");
    assert_eq!(
        verdict(&http_config(&json!([own])), &http("a/x", "h.example").at(AT)),
        "deny[expired[ns[a]-policy[p]-rule[0]]]"
    );
}

#[test]
fn a_request_that_a_later_step_refuses_anyway_names_nobody() {
    let config = network_config(&json!([expiring("p", "ALLOW", &json!([{}]))]));
    let straight = tls("a/x", "h.example").at(AT).cluster("outbound|443||h.example");
    assert_eq!(verdict(&config, &straight), "deny[expired[ns[*]-policy[p]-rule[0]]]");
    let astray = tls("a/x", "h.example").at(AT).cluster("outbound|443||i.example");
    assert_eq!(verdict(&config, &astray), "deny[no_allow_matched]");
}

#[test]
fn an_expired_allow_opens_no_private_address() {
    let rules = json!([{"to": [{"operation": {"hosts": ["10.0.0.1"]}}]}]);
    let config = http_config(&json!([expiring("p", "ALLOW", &rules)]));
    assert_eq!(verdict(&config, &http("a/x", "10.0.0.1").at(AT - 1)), "allow[ns[*]-policy[p]-rule[0]]");
    assert_eq!(verdict(&config, &http("a/x", "10.0.0.1").at(AT)), "deny[private_address]");
}

#[test]
fn fractions_of_a_second_count() {
    // The oracle knows whole seconds only, so this one is asked of the engine alone.
    let config = json!({"policies": [{"name": "p", "expires": "1970-01-01T00:09:59.5Z", "rules": [{}]}]});
    let engine = crate::support::engine(&config);
    let at = |seconds| crate::support::said_by(&engine, &http("a/x", "h.example").at(seconds)).verdict;
    assert_eq!(at(AT - 1), "allow[ns[*]-policy[p]-rule[0]]");
    assert_eq!(at(AT), "deny[expired[ns[*]-policy[p]-rule[0]]]");
}
