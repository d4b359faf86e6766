//! What cannot be read where it must be: refused, whatever the policies say.

use super::{allow_all, http_config, network_config, verdict, with};
use crate::support::{Answer, Request, http, plain, there, tls};
use serde_json::json;

const UNAVAILABLE: &str = "deny[attribute_unavailable]";
const ALLOWED: &str = "allow[ns[*]-policy[all]-rule[0]]";

#[test]
fn identity_that_cannot_be_read() {
    let config = with(&http_config(&json!([allow_all()])), &json!({"unauthenticated": "EVALUATE"}));
    let request = http("a/x", "h.example");
    assert_eq!(verdict(&config, &request.clone().with(|r| r.certificate = Answer::Unreadable)), UNAVAILABLE);
    let anonymous = request.clone().anonymous();
    assert_eq!(verdict(&config, &anonymous), ALLOWED);
    assert_eq!(
        verdict(&config, &anonymous.clone().with(|r| r.nameless_certificate = Answer::Unreadable)),
        UNAVAILABLE
    );
    assert_eq!(verdict(&config, &anonymous.with(|r| r.filter_state = Answer::Unreadable)), UNAVAILABLE);
    // Where the certificate names the peer, the rest does not matter.
    let named = request.with(|r| {
        r.nameless_certificate = Answer::Unreadable;
        r.filter_state = Answer::Unreadable;
    });
    assert_eq!(verdict(&config, &named), ALLOWED);
}

#[test]
fn an_authority_that_cannot_be_read() {
    let config = http_config(&json!([allow_all()]));
    let unread = http("a/x", "h.example").with(|r| r.authority = Answer::Unreadable);
    assert_eq!(verdict(&config, &unread), UNAVAILABLE);
    // Absent is not unreadable.
    let absent = http("a/x", "h.example").with(|r| r.authority = Answer::Absent);
    assert_eq!(verdict(&config, &absent), "deny[malformed_host]");
}

#[test]
fn a_server_name_that_a_guard_needs() {
    let unread = |r: &mut Request| r.sni = Answer::Unreadable;
    let config = http_config(&json!([allow_all()]));
    assert_eq!(verdict(&config, &http("a/x", "h.example").with(unread)), UNAVAILABLE);
    let off = with(&config, &json!({"sniMismatch": "ALLOW"}));
    assert_eq!(verdict(&off, &http("a/x", "h.example").with(unread)), ALLOWED);
    let dry = with(&config, &json!({"sniMismatch": "DRY_RUN"}));
    assert_eq!(
        verdict(&dry, &http("a/x", "h.example").with(unread)),
        format!("{ALLOWED} would_{UNAVAILABLE}")
    );
    let network = network_config(&json!([allow_all()]));
    assert_eq!(verdict(&network, &tls("a/x", "h.example").with(unread)), UNAVAILABLE);
    // On a connection that is not TLS inside, the server name is the host.
    let network_off = with(&network, &json!({"sniMismatch": "ALLOW"}));
    assert_eq!(verdict(&network_off, &tls("a/x", "h.example").with(unread)), ALLOWED);
    assert_eq!(verdict(&network_off, &plain("a/x").with(unread)), UNAVAILABLE);
}

#[test]
fn a_clock_where_a_policy_that_applies_expires() {
    let unread = http("a/x", "h.example").with(|r| r.now = Answer::Unreadable);
    assert_eq!(verdict(&http_config(&json!([allow_all()])), &unread), ALLOWED);
    let expiring = |namespace: &str| json!({"name": "p", "namespace": namespace, "expires": "1970-01-01T00:10:00Z", "rules": [{}]});
    assert_eq!(verdict(&http_config(&json!([allow_all(), expiring("a")])), &unread), UNAVAILABLE);
    assert_eq!(verdict(&http_config(&json!([allow_all(), expiring("b")])), &unread), ALLOWED);
}

#[test]
fn a_route_or_an_upstream_that_a_guard_needs() {
    let network = with(&network_config(&json!([allow_all()])), &json!({"privateUpstreams": "DENY"}));
    let good = tls("a/x", "h.example");
    assert_eq!(verdict(&network, &good), ALLOWED);
    assert_eq!(verdict(&network, &good.clone().with(|r| r.cluster = Answer::Unreadable)), UNAVAILABLE);
    assert_eq!(verdict(&network, &good.clone().with(|r| r.upstream = Answer::Unreadable)), UNAVAILABLE);
    // An upstream that is no IP cannot be told to be a public one.
    assert_eq!(verdict(&network, &good.clone().with(|r| r.upstream = there("/var/run/socket"))), UNAVAILABLE);
    let off = with(&network, &json!({"privateUpstreams": "ALLOW", "routeMismatch": "ALLOW"}));
    let unread = good.with(|r| {
        r.cluster = Answer::Unreadable;
        r.upstream = Answer::Unreadable;
    });
    assert_eq!(verdict(&off, &unread), ALLOWED);
}
