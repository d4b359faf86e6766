//! NETWORK: what the first bytes say, and what a connection does not have.

use super::{
    DENIED, NO_ALLOW, allow_all, allow_to, allow_when, deny_to, http_config, network_config, verdict,
};
use crate::support::{Answer, Begin, Request, http, plain, tls};
use serde_json::{Value, json};

const ALLOWED: &str = "allow[ns[*]-policy[allow]-rule[0]]";

fn begun(begin: Begin) -> Request {
    tls("a/x", "").with(|r| r.begin = begin)
}

#[test]
fn a_hello_that_is_none_is_refused() {
    let config = network_config(&json!([allow_all()]));
    assert_eq!(verdict(&config, &begun(Begin::Malformed)), "deny[malformed_hello]");
    assert_eq!(verdict(&config, &begun(Begin::Oversized)), "deny[oversized_hello]");
    assert_eq!(verdict(&config, &begun(Begin::Late)), "deny[hello_timeout]");
    // The peer comes first.
    assert_eq!(verdict(&config, &begun(Begin::Malformed).anonymous()), "deny[unauthenticated]");
}

#[test]
fn the_inner_server_name_is_the_host() {
    let config = network_config(&json!([allow_to(&json!({"hosts": ["h.example"]}))]));
    assert_eq!(verdict(&config, &tls("a/x", "H.Example.")), ALLOWED);
    assert_eq!(verdict(&config, &tls("a/x", "i.example")), NO_ALLOW);
    for odd in ["", "h.example:443", "a b", "127.1", "h..example", "*.example"] {
        assert_eq!(verdict(&config, &tls("a/x", odd)), "deny[malformed_host]", "{odd}");
    }
}

#[test]
fn without_an_inner_name_the_host_is_unknown_never_the_outer() {
    let silent = begun(Begin::Tls { inner: None, encrypted: false }).sni("h.example");
    let by = |policy: Value| verdict(&network_config(&json!([policy])), &silent);
    assert_eq!(by(allow_to(&json!({"hosts": ["h.example"]}))), NO_ALLOW);
    assert_eq!(by(allow_to(&json!({"hosts": ["*"]}))), NO_ALLOW);
    assert_eq!(by(allow_to(&json!({"notHosts": ["i.example"]}))), NO_ALLOW);
    assert_eq!(by(deny_to(&json!({"hosts": ["i.example"]}))), DENIED);
    assert_eq!(by(deny_to(&json!({"notHosts": ["h.example"]}))), DENIED);
    assert_eq!(by(allow_to(&json!({"ports": [443]}))), ALLOWED);
    assert_eq!(by(allow_when(&json!({"key": "connection.sni", "values": ["h.example"]}))), ALLOWED);
}

#[test]
fn bytes_that_are_not_tls_go_by_the_outer_server_name() {
    let by = |policy: &Value, request: &Request| verdict(&network_config(&json!([policy])), request);
    let exact = allow_to(&json!({"hosts": ["h.example"]}));
    assert_eq!(by(&exact, &plain("a/x").sni("H.example.")), ALLOWED);
    assert_eq!(by(&exact, &plain("a/x").sni("i.example")), NO_ALLOW);
    // Where it is no host name, or one that Istio made up, the host is unknown.
    let deny = deny_to(&json!({"hosts": ["i.example"]}));
    for sni in ["outbound_.443_._.gw.ns.svc.cluster.local", "8.8.8.8", "a b", "127.1", ""] {
        let request = plain("a/x").sni(sni);
        assert_eq!(by(&exact, &request), NO_ALLOW, "{sni}");
        assert_eq!(by(&deny, &request), DENIED, "{sni}");
        assert_eq!(by(&allow_to(&json!({"ports": [443]})), &request), ALLOWED, "{sni}");
    }
    assert_eq!(by(&exact, &plain("a/x")), NO_ALLOW);
    assert_eq!(by(&deny, &plain("a/x")), DENIED);
}

#[test]
fn the_port_of_a_host_is_unknown() {
    let by = |policy: Value| verdict(&network_config(&json!([policy])), &tls("a/x", "h.example"));
    assert_eq!(by(allow_to(&json!({"hosts": ["h.example:443"]}))), NO_ALLOW);
    assert_eq!(by(deny_to(&json!({"hosts": ["h.example:443"]}))), DENIED);
    assert_eq!(by(deny_to(&json!({"hosts": ["h.example:80"]}))), DENIED);
    assert_eq!(by(allow_to(&json!({"notHosts": ["h.example:443"]}))), NO_ALLOW);
    // Of another host the port does not matter; nor where the pattern has none.
    assert_eq!(by(deny_to(&json!({"hosts": ["i.example:443"]}))), "deny[default_action]");
    assert_eq!(by(allow_to(&json!({"notHosts": ["i.example:443"]}))), ALLOWED);
    assert_eq!(by(allow_to(&json!({"hosts": ["h.example:*"]}))), ALLOWED);
    assert_eq!(by(allow_to(&json!({"hosts": ["h.example:443", "h.example"]}))), ALLOWED);
}

#[test]
fn what_only_http_has_is_unknown() {
    // Even where the host would answer.
    let connection = tls("a/x", "h.example")
        .method("GET")
        .path("/")
        .header("x-a", "1")
        .token(json!({"iss": "i", "sub": "s"}));
    let by = |rule: &Value, action: &str| {
        let policy = json!({"name": action.to_lowercase(), "action": action, "rules": [rule]});
        verdict(&network_config(&json!([policy])), &connection)
    };
    for (positive, negative) in [
        (
            json!({"to": [{"operation": {"methods": ["GET"]}}]}),
            json!({"to": [{"operation": {"notMethods": ["GET"]}}]}),
        ),
        (
            json!({"to": [{"operation": {"paths": ["/"]}}]}),
            json!({"to": [{"operation": {"notPaths": ["/"]}}]}),
        ),
        (
            json!({"from": [{"source": {"requestPrincipals": ["i/s"]}}]}),
            json!({"from": [{"source": {"notRequestPrincipals": ["i/s"]}}]}),
        ),
        (
            json!({"when": [{"key": "request.headers[x-a]", "values": ["1"]}]}),
            json!({"when": [{"key": "request.headers[x-a]", "notValues": ["1"]}]}),
        ),
        (
            json!({"when": [{"key": "request.auth.claims[iss]", "values": ["i"]}]}),
            json!({"when": [{"key": "request.auth.claims[iss]", "notValues": ["i"]}]}),
        ),
    ] {
        for rule in [positive, negative] {
            assert_eq!(by(&rule, "ALLOW"), NO_ALLOW, "{rule}");
            assert_eq!(by(&rule, "DENY"), DENIED, "{rule}");
        }
    }
    // Where something else rules the rule out, it is out.
    let elsewhere = json!({"to": [{"operation": {"methods": ["GET"], "hosts": ["i.example"]}}]});
    assert_eq!(by(&elsewhere, "DENY"), "deny[default_action]");
    // What both protocols have counts.
    let rule = json!({"from": [{"source": {"namespaces": ["a"], "ipBlocks": ["10.1.0.0/16"]}}], "to": [{"operation": {"ports": [443]}}]});
    assert_eq!(by(&rule, "ALLOW"), ALLOWED);
}

#[test]
fn one_list_gives_the_same_verdicts_on_both_protocols() {
    let policies = json!([allow_to(
        &json!({"hosts": ["h.example", "*.google.com", "8.8.8.8"], "notHosts": ["evil.google.com"]})
    )]);
    for host in [
        "h.example",
        "www.google.com",
        "google.com",
        "evil.google.com",
        "8.8.8.8",
        "10.0.0.1",
        "127.1",
        "i.example",
    ] {
        let on_http = verdict(&http_config(&policies), &http("a/x", host));
        assert_eq!(verdict(&network_config(&policies), &tls("a/x", host)), on_http, "{host}");
    }
}

#[test]
fn a_source_on_network_is_an_address_too() {
    let policy =
        json!({"name": "allow", "rules": [{"from": [{"source": {"remoteIpBlocks": ["10.1.0.7"]}}]}]});
    let config = network_config(&json!([policy]));
    assert_eq!(verdict(&config, &tls("a/x", "h.example")), ALLOWED);
    assert_eq!(verdict(&config, &tls("a/x", "h.example").with(|r| r.source = Answer::Absent)), NO_ALLOW);
}
