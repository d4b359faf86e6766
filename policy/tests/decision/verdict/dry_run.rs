//! DRY_RUN: of a policy, of a guard, of everything.

use super::{allow_all, audited, http_config, verdict, with};
use crate::support::http;
use serde_json::{Value, json};

fn dry(mut policy: Value) -> Value {
    policy["mode"] = json!("DRY_RUN");
    policy
}

fn deny() -> Value {
    json!({"name": "deny", "action": "DENY", "rules": [{"to": [{"operation": {"hosts": ["h.example"]}}]}]})
}

#[test]
fn a_deny_in_dry_run_reports_what_it_would_refuse() {
    let config = http_config(&json!([dry(deny()), allow_all()]));
    assert_eq!(
        verdict(&config, &http("a/x", "h.example")),
        "allow[ns[*]-policy[all]-rule[0]] would_deny[ns[*]-policy[deny]-rule[0]]"
    );
    assert_eq!(verdict(&config, &http("a/x", "i.example")), "allow[ns[*]-policy[all]-rule[0]]");
}

#[test]
fn an_allow_in_dry_run_reports_what_it_would_admit() {
    let config = http_config(&json!([dry(allow_all())]));
    assert_eq!(
        verdict(&config, &http("a/x", "h.example")),
        "deny[default_action] would_allow[ns[*]-policy[all]-rule[0]]"
    );
    // It governs nobody yet; what it would close is reported.
    let list = dry(json!({"name": "list", "rules": [{"to": [{"operation": {"hosts": ["i.example"]}}]}]}));
    let open = with(&http_config(&json!([list])), &json!({"defaultAction": "ALLOW"}));
    assert_eq!(
        verdict(&open, &http("a/x", "h.example")),
        "allow[default_action] would_deny[no_allow_matched]"
    );
    assert_eq!(verdict(&open, &http("a/x", "i.example")), "allow[default_action]");
}

#[test]
fn the_same_outcome_for_another_reason_is_not_reported() {
    let config = http_config(&json!([dry(deny()), {"name": "empty"}]));
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "deny[no_allow_matched]");
    let config = http_config(&json!([dry(json!({"name": "first", "rules": [{}]})), allow_all()]));
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "allow[ns[*]-policy[all]-rule[0]]");
}

#[test]
fn all_that_is_in_dry_run_is_enforced_together() {
    // The ALLOW would admit, and the DENY would refuse that.
    let config = http_config(&json!([dry(allow_all()), dry(deny())]));
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "deny[default_action]");
    assert_eq!(
        verdict(&config, &http("a/x", "i.example")),
        "deny[default_action] would_allow[ns[*]-policy[all]-rule[0]]"
    );
}

#[test]
fn what_applies_to_another_namespace_is_not_rehearsed() {
    let mut other = dry(deny());
    other["namespace"] = json!("b");
    let config = http_config(&json!([other, allow_all()]));
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "allow[ns[*]-policy[all]-rule[0]]");
}

#[test]
fn an_expired_policy_in_dry_run_is_rehearsed_as_such() {
    let mut expired = dry(json!({"name": "p", "rules": [{}]}));
    expired["expires"] = json!("1970-01-01T00:10:00Z");
    let config = with(&http_config(&json!([expired])), &json!({"defaultAction": "ALLOW"}));
    assert_eq!(
        verdict(&config, &http("a/x", "h.example").at(600)),
        "allow[default_action] would_deny[expired[ns[*]-policy[p]-rule[0]]]"
    );
}

#[test]
fn under_mode_dry_run_everything_passes() {
    let all = |policies: Value| with(&http_config(&policies), &json!({"mode": "DRY_RUN"}));
    for (config, request, expected) in [
        (all(json!([])), http("a/x", "h.example"), "would_deny[default_action]"),
        (
            all(json!([deny(), allow_all()])),
            http("a/x", "h.example"),
            "would_deny[ns[*]-policy[deny]-rule[0]]",
        ),
        (
            all(json!([dry(deny()), allow_all()])),
            http("a/x", "h.example"),
            "would_deny[ns[*]-policy[deny]-rule[0]]",
        ),
        (all(json!([allow_all()])), http("a/x", "h.example"), "allow[ns[*]-policy[all]-rule[0]]"),
        (all(json!([dry(allow_all())])), http("a/x", "h.example"), "allow[ns[*]-policy[all]-rule[0]]"),
        // The guards included.
        (all(json!([allow_all()])), http("a/x", "h.example").anonymous(), "would_deny[unauthenticated]"),
        (all(json!([allow_all()])), http("a/x", "h.example").named("a"), "would_deny[invalid_identity]"),
        (all(json!([allow_all()])), http("a/x", "127.1"), "would_deny[malformed_host]"),
        (all(json!([allow_all()])), http("a/x", "10.0.0.1"), "would_deny[private_address]"),
        (all(json!([allow_all()])), http("a/x", "h.example").sni("i.example"), "would_deny[sni_mismatch]"),
    ] {
        assert_eq!(verdict(&config, &request), expected, "{config:#}");
    }
    // A guard that is in dry run itself is enforced here; one that is off is off.
    let front = http("a/x", "h.example").sni("i.example");
    let guard = |setting: &str| with(&all(json!([allow_all()])), &json!({"sniMismatch": setting}));
    assert_eq!(verdict(&guard("DRY_RUN"), &front), "would_deny[sni_mismatch]");
    assert_eq!(verdict(&guard("ALLOW"), &front), "allow[ns[*]-policy[all]-rule[0]]");
    let route = with(&all(json!([allow_all()])), &json!({"routeMismatch": "DRY_RUN"}));
    assert_eq!(
        verdict(&route, &http("a/x", "h.example").cluster("outbound|80||i.example")),
        "would_deny[route_mismatch]"
    );
}

#[test]
fn audit_goes_on_under_mode_dry_run() {
    let audit = json!({"name": "audit", "action": "AUDIT", "rules": [{}]});
    let config = with(&http_config(&json!([audit])), &json!({"mode": "DRY_RUN"}));
    assert_eq!(audited(&config, &http("a/x", "h.example")), ["ns[*]-policy[audit]-rule[0]"]);
}
