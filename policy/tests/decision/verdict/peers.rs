//! docs/language.md#2-who-is-asking.

use super::{NO_ALLOW, allow_all, allow_from, allow_when, http_config, verdict, with};
use crate::support::{Answer, http, there};
use serde_json::json;

#[test]
fn a_workload_is_known_by_its_certificate() {
    let config = http_config(&json!([allow_from(&json!({"principals": ["cluster.local/ns/a/sa/x"]}))]));
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "allow[ns[*]-policy[allow]-rule[0]]");
    assert_eq!(verdict(&config, &http("a/y", "h.example")), NO_ALLOW);
    assert_eq!(verdict(&config, &http("b/x", "h.example")), NO_ALLOW);
}

#[test]
fn no_certificate_is_refused() {
    let config = http_config(&json!([allow_all()]));
    assert_eq!(verdict(&config, &http("a/x", "h.example").anonymous()), "deny[unauthenticated]");
    // An empty name is none.
    assert_eq!(verdict(&config, &http("a/x", "h.example").named("")), "deny[unauthenticated]");
}

#[test]
fn no_certificate_is_evaluated_on_request() {
    let evaluate = json!({"unauthenticated": "EVALUATE"});
    let nobody = http("a/x", "h.example").anonymous();
    let by = |policy| verdict(&with(&http_config(&json!([policy])), &evaluate), &nobody);
    assert_eq!(by(allow_all()), "allow[ns[*]-policy[all]-rule[0]]");
    // No policy of a namespace applies.
    assert_eq!(by(json!({"name": "p", "namespace": "a", "rules": [{}]})), "deny[default_action]");
    for (positive, negative, values, key) in [
        ("principals", "notPrincipals", json!(["*"]), "source.principal"),
        ("namespaces", "notNamespaces", json!(["*"]), "source.namespace"),
        ("serviceAccounts", "notServiceAccounts", json!(["a/x"]), "source.serviceAccount"),
        ("trustDomains", "notTrustDomains", json!(["*"]), "source.trustDomain"),
    ] {
        let allowed = "allow[ns[*]-policy[allow]-rule[0]]";
        assert_eq!(by(allow_from(&json!({positive: values}))), NO_ALLOW, "{positive}");
        assert_eq!(by(allow_from(&json!({negative: values}))), allowed, "{negative}");
        assert_eq!(
            by(allow_from(&json!({positive: values, negative: values}))),
            NO_ALLOW,
            "{positive} and its twin"
        );
        assert_eq!(by(allow_when(&json!({"key": key, "values": values}))), NO_ALLOW, "{key}");
        assert_eq!(by(allow_when(&json!({"key": key, "notValues": values}))), allowed, "{key}");
    }
    // Addresses and tokens count.
    assert_eq!(by(allow_from(&json!({"ipBlocks": ["10.0.0.0/8"]}))), "allow[ns[*]-policy[allow]-rule[0]]");
    assert_eq!(by(allow_from(&json!({"ipBlocks": ["11.0.0.0/8"]}))), NO_ALLOW);
    let config = with(&http_config(&json!([allow_from(&json!({"requestPrincipals": ["i/s"]}))])), &evaluate);
    let token = nobody.clone().token(json!({"iss": "i", "sub": "s"}));
    assert_eq!(verdict(&config, &token), "allow[ns[*]-policy[allow]-rule[0]]");
}

#[test]
fn a_name_of_another_form_is_refused_evaluate_or_not() {
    for config in [
        http_config(&json!([allow_all()])),
        with(&http_config(&json!([allow_all()])), &json!({"unauthenticated": "EVALUATE"})),
    ] {
        for name in [
            "cluster.local/ns/a/sa/x",
            "spiffe://cluster.local",
            "spiffe://cluster.local/ns/a",
            "spiffe://cluster.local/ns/a/sa/x/",
            "spiffe://cluster.local/ns/a/sa/x/ns/b/sa/y",
            "spiffe://cluster.local/sa/x/ns/a",
            "spiffe://cluster.local//ns/a/sa/x",
            "spiffe://cluster.local/ns/../sa/x",
            "SPIFFE://cluster.local/ns/a/sa/x",
            "spiffe://CLUSTER.local/ns/a/sa/x",
            "spiffe://cluster.local/ns/a/sa/x?ns=b",
            "https://cluster.local/ns/a/sa/x",
            "a",
        ] {
            let request = http("a/x", "h.example").named(name);
            assert_eq!(verdict(&config, &request), "deny[invalid_identity]", "{name}");
        }
        let bytes =
            http("a/x", "h.example").with(|r| r.certificate = Answer::There(b"spiffe://\xff".to_vec()));
        assert_eq!(verdict(&config, &bytes), "deny[invalid_identity]");
    }
}

#[test]
fn a_trust_domain_that_is_not_listed_is_refused_evaluate_or_not() {
    let config = http_config(&json!([allow_all()]));
    let foreign = http("a/x", "h.example").named("spiffe://far.example/ns/a/sa/x");
    assert_eq!(verdict(&config, &foreign), "deny[untrusted_domain]");
    let evaluate = with(&config, &json!({"unauthenticated": "EVALUATE"}));
    assert_eq!(verdict(&evaluate, &foreign), "deny[untrusted_domain]");
    let listed = with(&config, &json!({"trustDomains": ["cluster.local", "far.example"]}));
    assert_eq!(verdict(&listed, &foreign), "allow[ns[*]-policy[all]-rule[0]]");
    // `cluster.local` is a peer's domain only where it is listed.
    let other = with(&config, &json!({"trustDomains": ["far.example"]}));
    assert_eq!(verdict(&other, &http("a/x", "h.example")), "deny[untrusted_domain]");
}

#[test]
fn a_waypoint_carries_the_peer_in_filter_state() {
    let config = http_config(&json!([{"name": "p", "namespace": "a", "rules": [{}]}]));
    let carried = |name: &str| http("b/y", "h.example").anonymous().with(|r| r.filter_state = there(name));
    assert_eq!(
        verdict(&config, &carried("spiffe://cluster.local/ns/a/sa/x")),
        "allow[ns[a]-policy[p]-rule[0]]"
    );
    assert_eq!(verdict(&config, &carried("spiffe://far.example/ns/a/sa/x")), "deny[untrusted_domain]");
    assert_eq!(verdict(&config, &carried("a")), "deny[invalid_identity]");
    assert_eq!(verdict(&config, &carried("")), "deny[unauthenticated]");
}

#[test]
fn a_certificate_comes_before_the_filter_state() {
    let config = http_config(&json!([{"name": "p", "namespace": "a", "rules": [{}]}]));
    let both = http("b/y", "h.example").with(|r| r.filter_state = there("spiffe://cluster.local/ns/a/sa/x"));
    assert_eq!(verdict(&config, &both), "deny[default_action]");
    let bad = both.clone().named("a");
    assert_eq!(verdict(&config, &bad), "deny[invalid_identity]");
    // A certificate without a URI SAN was presented, too.
    let nameless = both.anonymous().with(|r| r.nameless_certificate = Answer::There(()));
    assert_eq!(verdict(&config, &nameless), "deny[invalid_identity]");
}

#[test]
fn headers_are_never_an_identity() {
    let config = http_config(&json!([allow_all()]));
    let request = http("a/x", "h.example")
        .anonymous()
        .header("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/a/sa/x")
        .header("io.istio.peer_principal", "spiffe://cluster.local/ns/a/sa/x");
    assert_eq!(verdict(&config, &request), "deny[unauthenticated]");
}
