//! What is asked of the host: each attribute at most once (every case in this suite checks that), and
//! only where a rule that can still match needs it.

use super::{allow_all, http_config, network_config, with};
use crate::support::{Answer, Begin, Fake, Request, asked, engine, http, plain, tls};
use egress_policy::Protocol;
use serde_json::{Value, json};

/// Without the guards, which have needs of their own.
fn bare(config: &Value) -> Value {
    with(config, &json!({"sniMismatch": "ALLOW", "routeMismatch": "ALLOW"}))
}

fn asked_on_http(policies: &Value, request: &Request) -> Vec<String> {
    asked(&bare(&http_config(policies)), request)
}

#[test]
fn identity_and_authority_settle_most() {
    let request = http("a/x", "h.example");
    assert!(asked_on_http(&json!([]), &request).is_empty());
    assert!(asked_on_http(&json!([allow_all()]), &request).is_empty());
    let full = json!({
        "from": [{"source": {"namespaces": ["a"], "principals": ["*"], "serviceAccounts": ["a/x"], "trustDomains": ["*"]}}],
        "to": [{"operation": {"hosts": ["h.example"]}}],
    });
    assert!(asked_on_http(&json!([{"name": "p", "rules": [full]}]), &request).is_empty());
}

#[test]
fn a_rule_that_is_out_asks_for_nothing() {
    let everything = |source: Value, operation: Value| {
        json!([{"name": "p", "action": "DENY", "rules": [{
            "from": [{"source": source}],
            "to": [{"operation": operation}],
            "when": [
                {"key": "request.headers[x-a]", "values": ["1"]},
                {"key": "request.auth.claims[c]", "values": ["1"]},
                {"key": "connection.sni", "values": ["1"]},
                {"key": "destination.ip", "values": ["10.0.0.1"]},
            ],
        }]}])
    };
    let (source, operation) =
        (json!({"ipBlocks": ["10.0.0.0/8"]}), json!({"methods": ["GET"], "paths": ["/"], "ports": [80]}));
    let request = http("a/x", "h.example");
    // By the host,
    let mut by_host = operation.clone();
    by_host["hosts"] = json!(["i.example"]);
    assert!(asked_on_http(&everything(source.clone(), by_host), &request).is_empty());
    // by who asks,
    let mut by_peer = source.clone();
    by_peer["namespaces"] = json!(["b"]);
    assert!(asked_on_http(&everything(by_peer, operation.clone()), &request).is_empty());
    // by its own namespace.
    let mut elsewhere = everything(source.clone(), operation.clone());
    elsewhere[0]["namespace"] = json!("b");
    assert!(asked_on_http(&elsewhere, &request).is_empty());
    // One answer that rules it out is the last.
    let mut by_source = source;
    by_source["ipBlocks"] = json!(["11.0.0.0/8"]);
    assert_eq!(asked_on_http(&everything(by_source, operation), &request), ["source"]);
}

#[test]
fn a_path_costs_the_method_too() {
    let policies = json!([{"name": "p", "rules": [{"to": [{"operation": {"paths": ["/"]}}]}]}]);
    assert_eq!(asked_on_http(&policies, &http("a/x", "h.example")), ["method", "path"]);
    // A CONNECT has none to ask for.
    assert_eq!(asked_on_http(&policies, &http("a/x", "h.example").method("CONNECT")), ["method"]);
    // The cheap first: where the method does not fit, the path is not asked for.
    let policies =
        json!([{"name": "p", "rules": [{"to": [{"operation": {"paths": ["/"], "methods": ["POST"]}}]}]}]);
    assert_eq!(asked_on_http(&policies, &http("a/x", "h.example")), ["method"]);
}

#[test]
fn the_cheap_is_asked_before_the_dear() {
    // A token's principal takes two questions; one that rules the rule out comes first, wherever it stands.
    let request = http("a/x", "h.example").token(json!({"iss": "i", "sub": "s"}));
    let source = json!({"requestPrincipals": ["*"], "ipBlocks": ["11.0.0.0/8"]});
    let policies = json!([{"name": "p", "rules": [{"from": [{"source": source}]}]}]);
    assert_eq!(asked_on_http(&policies, &request), ["source"]);
    let when = json!([
        {"key": "request.auth.principal", "values": ["*"]},
        {"key": "source.ip", "values": ["11.0.0.0/8"]},
    ]);
    let policies = json!([{"name": "p", "rules": [{"when": when}]}]);
    assert_eq!(asked_on_http(&policies, &request), ["source"]);
}

#[test]
fn what_is_read_already_comes_first() {
    // The second policy could be settled by asking for the source, and is by the method that is there.
    let policies = json!([
        {"name": "p", "action": "DENY", "rules": [{"to": [{"operation": {"methods": ["POST"]}}]}]},
        {"name": "q", "action": "DENY", "rules": [{
            "from": [{"source": {"ipBlocks": ["11.0.0.0/8"]}}], "to": [{"operation": {"methods": ["PUT"]}}],
        }]},
    ]);
    assert_eq!(asked_on_http(&policies, &http("a/x", "h.example")), ["method"]);
    // An alternative that holds without a question settles the others.
    let policies = json!([{"name": "p", "rules": [{"to": [{"operation": {"methods": ["GET"]}}, {"operation": {"hosts": ["h.example"]}}]}]}]);
    assert!(asked_on_http(&policies, &http("a/x", "h.example")).is_empty());
}

#[test]
fn after_the_verdict_nothing_more_is_asked() {
    let policies = json!([
        {"name": "first", "action": "DENY", "rules": [{}]},
        {"name": "second", "action": "DENY", "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]},
        {"name": "third", "rules": [{"to": [{"operation": {"paths": ["/"]}}]}]},
    ]);
    assert!(asked_on_http(&policies, &http("a/x", "h.example")).is_empty());
    for refused in
        [http("a/x", "h.example").anonymous(), http("a/x", "127.1"), http("a/x", "h.example").named("a")]
    {
        let policies = json!([{"name": "p", "action": "DENY", "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}]);
        assert!(asked(&http_config(&policies), &refused).is_empty());
    }
}

#[test]
fn the_clock_is_read_only_where_something_expires() {
    let request = http("a/x", "h.example");
    assert!(asked_on_http(&json!([allow_all()]), &request).is_empty());
    let mut expiring = allow_all();
    expiring["expires"] = json!("1970-01-01T00:10:00Z");
    assert_eq!(asked_on_http(&json!([expiring]), &request), ["now"]);
    expiring["protocols"] = json!(["NETWORK"]);
    assert!(asked_on_http(&json!([expiring]), &request).is_empty());
}

#[test]
fn guards_ask_only_where_they_are_on() {
    let all = json!([allow_all()]);
    let request = http("a/x", "h.example");
    assert_eq!(asked(&http_config(&all), &request), ["sni"]);
    assert!(asked(&with(&http_config(&all), &json!({"sniMismatch": "ALLOW"})), &request).is_empty());
    assert_eq!(asked(&with(&http_config(&all), &json!({"sniMismatch": "DRY_RUN"})), &request), ["sni"]);
    assert_eq!(
        asked(&with(&http_config(&all), &json!({"sniMismatch": "ALLOW", "routeMismatch": "DENY"})), &request),
        ["cluster"]
    );
    // Where the request is refused anyway, the route does not matter.
    assert_eq!(asked(&with(&http_config(&json!([])), &json!({"routeMismatch": "DENY"})), &request), ["sni"]);

    let connection = tls("a/x", "h.example");
    assert_eq!(asked(&network_config(&all), &connection), ["cluster", "sni"]);
    let strict = with(&network_config(&all), &json!({"privateUpstreams": "DENY"}));
    assert_eq!(asked(&strict, &connection), ["cluster", "sni", "upstream"]);
    assert!(
        asked(
            &with(&network_config(&all), &json!({"sniMismatch": "ALLOW", "routeMismatch": "ALLOW"})),
            &connection
        )
        .is_empty()
    );
    // Without an inner name nothing is compared: neither with the outer name nor with the route.
    let silent = connection.with(|r| r.begin = Begin::Tls { inner: None, encrypted: false });
    assert!(asked(&network_config(&all), &silent).is_empty());
    // A connection that is not TLS goes by the outer name.
    assert_eq!(asked(&network_config(&all), &plain("a/x").sni("h.example")), ["cluster", "sni"]);
    assert_eq!(asked(&network_config(&all), &plain("a/x")), ["sni"]);
}

#[test]
fn network_asks_for_nothing_that_only_http_has() {
    let rules = json!([{
        "from": [{"source": {"requestPrincipals": ["*"]}}],
        "to": [{"operation": {"methods": ["GET"], "paths": ["/"]}}],
        "when": [{"key": "request.headers[x-a]", "values": ["1"]}, {"key": "request.auth.claims[c]", "values": ["1"]}],
    }]);
    let config = bare(&network_config(&json!([{"name": "p", "action": "AUDIT", "rules": rules}])));
    assert!(asked(&config, &tls("a/x", "h.example")).is_empty());
}

#[test]
fn one_header_and_one_claim_each_is_one_question() {
    let condition = |key: &str| json!({"key": key, "values": ["1"]});
    let policies = json!([
        {"name": "p", "action": "AUDIT", "rules": [{"when": [condition("request.headers[X-A]")]}, {"when": [condition("request.headers[x-a]")]}]},
        {"name": "q", "action": "AUDIT", "rules": [{"when": [condition("request.auth.claims[aud]")]}, {"when": [condition("request.auth.audiences")]}]},
        {"name": "r", "action": "AUDIT", "rules": [{"when": [condition("request.auth.principal")]}]},
    ]);
    let request = http("a/x", "h.example").token(json!({"iss": "i"}));
    assert_eq!(asked_on_http(&policies, &request), ["claim aud", "claim iss", "claim sub", "header x-a"]);
    // The cluster and the upstream are asked for once, though two verdicts are computed.
    let config = with(
        &network_config(
            &json!([allow_all(), {"name": "dry", "action": "DENY", "mode": "DRY_RUN", "rules": [{"to": [{"operation": {"ports": [80]}}]}]}]),
        ),
        &json!({"privateUpstreams": "DENY"}),
    );
    let engine = engine(&config);
    let upstream = tls("a/x", "h.example").with(|r| r.upstream = Answer::There(b"8.8.8.8:443".to_vec()));
    assert_eq!(crate::support::said_by(&engine, &upstream).verdict, "allow[ns[*]-policy[all]-rule[0]]");
}

/// What the audit line says without asking: what the decision has read, and nothing else.
#[test]
fn what_is_known_is_what_was_read() {
    let rule = json!({"to": [{"operation": {"methods": ["POST"]}}]});
    let reads = engine(&http_config(&json!([{"name": "p", "rules": [rule]}])));
    let request = http("a/x", "h.example").sni("h.example").method("GET");
    let fake = Fake::new(&request);
    let facts = fake.facts(&reads);
    assert_eq!(
        (facts.protocol(), facts.known_method(), facts.known_server_name()),
        (Protocol::Http, None, None)
    );
    let _ = reads.decide(&facts);
    assert_eq!(facts.known_method(), Some(&b"GET"[..]));
    assert_eq!(facts.known_server_name(), Some(&b"h.example"[..]));
    let connection = tls("a/x", "h.example");
    let fake = Fake::new(&connection);
    assert_eq!(fake.facts(&engine(&network_config(&json!([])))).protocol(), Protocol::Network);
}
