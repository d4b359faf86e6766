//! Tokens: issuer and subject, claims, lists.

use super::{admits, allow_from, allow_when, http_config};
use crate::support::http;
use serde_json::{Value, json};

fn by_principal(pattern: &str, token: Value) -> bool {
    admits(
        &http_config(&json!([allow_from(&json!({"requestPrincipals": [pattern]}))])),
        &http("a/x", "h.example").token(token),
    )
}

fn by_claim(condition: &Value, token: Value) -> bool {
    admits(&http_config(&json!([allow_when(condition)])), &http("a/x", "h.example").token(token))
}

#[test]
fn issuer_and_subject_are_split_at_the_last_slash() {
    for (pattern, issuer, subject, expected) in [
        ("*", "i", "s", true),
        ("*", "", "s", false),
        ("*", "i", "", false),
        ("i/s", "i", "s", true),
        ("https://i/s", "https://i", "s", true),
        ("https://i/s", "https:", "/i/s", false),
        ("i/s", "i", "ss", false),
        ("i/*", "i", "anybody", true),
        ("i/*", "i", "", false),
        ("i/*", "j", "anybody", false),
        ("i/s*", "i", "subject", true),
        ("i/s*", "ii", "subject", false),
        ("i*", "issuer", "anybody", true),
        ("i*", "issuer", "", false),
        ("i*", "other", "i", false),
        ("*s", "anything", "alias", true),
        ("*s", "alias", "anything", false),
        ("*/s", "anything", "s", true),
        ("*/s", "", "s", false),
        ("*r/s", "issuer", "s", true),
        ("*r/s", "issuer", "ss", false),
        ("i", "i", "", true),
        ("i", "i", "s", false),
    ] {
        assert_eq!(
            by_principal(pattern, json!({"iss": issuer, "sub": subject})),
            expected,
            "{pattern} {issuer} {subject}"
        );
    }
}

#[test]
fn a_token_without_issuer_or_subject_has_no_principal() {
    for token in [
        json!({}),
        json!({"iss": "i"}),
        json!({"sub": "s"}),
        json!({"iss": ["i"], "sub": "s"}),
        json!({"iss": "i", "sub": 7}),
    ] {
        assert!(!by_principal("*", token.clone()), "{token}");
        let not = http_config(&json!([allow_from(&json!({"notRequestPrincipals": ["*"]}))]));
        assert!(admits(&not, &http("a/x", "h.example").token(token.clone())), "{token}");
    }
    // As where no token was verified.
    let config = http_config(&json!([allow_from(&json!({"requestPrincipals": ["*"]}))]));
    assert!(!admits(&config, &http("a/x", "h.example")));
    let not = http_config(&json!([allow_from(&json!({"notRequestPrincipals": ["*"]}))]));
    assert!(admits(&not, &http("a/x", "h.example")));
}

#[test]
fn a_header_is_no_token() {
    let config = http_config(&json!([allow_from(&json!({"requestPrincipals": ["*"]}))]));
    assert!(!admits(&config, &http("a/x", "h.example").header("authorization", "Bearer a.b.c")));
}

#[test]
fn a_list_matches_by_any_element() {
    let groups = |condition: Value| by_claim(&condition, json!({"groups": ["dev", 7, "ops"]}));
    let key = "request.auth.claims[groups]";
    assert!(groups(json!({"key": key, "values": ["ops"]})));
    assert!(groups(json!({"key": key, "values": ["x", "d*"]})));
    assert!(!groups(json!({"key": key, "values": ["7"]})));
    assert!(!groups(json!({"key": key, "values": ["dev,7,ops"]})));
    assert!(!groups(json!({"key": key, "notValues": ["ops"]})));
    assert!(groups(json!({"key": key, "notValues": ["x"]})));
    assert!(!by_claim(&json!({"key": key, "values": ["*"]}), json!({"groups": []})));
    assert!(by_claim(&json!({"key": key, "notValues": ["*"]}), json!({"groups": []})));
    assert!(by_claim(&json!({"key": key, "values": ["dev"]}), json!({"groups": "dev"})));
}

#[test]
fn only_strings_are_values() {
    for claim in [json!(7), json!(true), json!(null), json!({"a": "7"})] {
        let token = json!({"x": claim});
        assert!(
            !by_claim(&json!({"key": "request.auth.claims[x]", "values": ["*", "7", "true"]}), token.clone()),
            "{claim}"
        );
        assert!(
            by_claim(&json!({"key": "request.auth.claims[x]", "notValues": ["*", "7", "true"]}), token),
            "{claim}"
        );
    }
    // A string may be empty: it is there, and it is no present one.
    assert!(!by_claim(&json!({"key": "request.auth.claims[x]", "values": ["*"]}), json!({"x": ""})));
}

#[test]
fn claims_within_claims() {
    let key = "request.auth.claims[realm][roles]";
    assert!(by_claim(&json!({"key": key, "values": ["admin"]}), json!({"realm": {"roles": ["admin"]}})));
    assert!(!by_claim(&json!({"key": key, "values": ["admin"]}), json!({"realm": {"roles": "user"}})));
    assert!(!by_claim(&json!({"key": key, "values": ["*"]}), json!({"realm": "roles"})));
    assert!(!by_claim(&json!({"key": key, "values": ["*"]}), json!({"realm.roles": "admin"})));
    // A name may hold anything but brackets.
    assert!(by_claim(
        &json!({"key": "request.auth.claims[https://x/y.z]", "values": ["1"]}),
        json!({"https://x/y.z": "1"})
    ));
}

#[test]
fn audiences_and_presenter_are_claims() {
    assert!(by_claim(&json!({"key": "request.auth.audiences", "values": ["b"]}), json!({"aud": ["a", "b"]})));
    assert!(by_claim(&json!({"key": "request.auth.audiences", "values": ["a"]}), json!({"aud": "a"})));
    assert!(by_claim(
        &json!({"key": "request.auth.presenter", "values": ["client"]}),
        json!({"azp": "client"})
    ));
    assert!(!by_claim(
        &json!({"key": "request.auth.presenter", "values": ["client"]}),
        json!({"aud": "client"})
    ));
    assert!(by_claim(
        &json!({"key": "request.auth.principal", "values": ["i/s"]}),
        json!({"iss": "i", "sub": "s"})
    ));
}
