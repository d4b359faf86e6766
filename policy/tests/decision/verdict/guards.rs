//! Steps 2 and 8: server name and host, hello, route, upstream.

use super::{allow_all, http_config, network_config, verdict, with};
use crate::support::{Answer, Begin, http, plain, there, tls};
use serde_json::{Value, json};

const ALLOWED: &str = "allow[ns[*]-policy[all]-rule[0]]";

fn open(config: fn(&Value) -> Value) -> Value {
    config(&json!([allow_all()]))
}

fn hello(inner: Option<&str>, encrypted: bool) -> crate::support::Request {
    let inner = inner.map(|name| name.as_bytes().to_vec());
    tls("a/x", "").with(|r| r.begin = Begin::Tls { inner, encrypted })
}

#[test]
fn the_server_name_must_name_the_host() {
    let config = open(http_config);
    for (sni, host, expected) in [
        ("h.example", "h.example", ALLOWED),
        ("H.Example.", "h.example:8443", ALLOWED),
        ("h.example", "evil.example", "deny[sni_mismatch]"),
        ("*.example", "h.example", "deny[sni_mismatch]"),
        ("example", "h.example", "deny[sni_mismatch]"),
        ("h.example:443", "h.example", "deny[sni_mismatch]"),
        ("a b", "h.example", "deny[sni_mismatch]"),
        ("8.8.8.8", "8.8.8.8", ALLOWED),
        ("8.8.8.8", "8.8.4.4", "deny[sni_mismatch]"),
        ("", "h.example", ALLOWED),
    ] {
        assert_eq!(verdict(&config, &http("a/x", host).sni(sni)), expected, "{sni} {host}");
    }
    assert_eq!(verdict(&config, &http("a/x", "h.example")), ALLOWED);
}

#[test]
fn only_the_very_form_that_istio_generates_is_exempt() {
    let config = open(http_config);
    for sni in [
        "outbound_.80_._.istio-egressgateway.istio-system.svc.cluster.local",
        "outbound_.443_.v1_.gw.ns.svc.cluster.local",
        "outbound_.443_.v-1.2_.gw.ns.svc.a",
    ] {
        assert_eq!(verdict(&config, &http("a/x", "h.example").sni(sni)), ALLOWED, "{sni}");
    }
    for sni in [
        "outbound_.80_._.www.evil.example",
        "outbound_.80_._.gw.ns.svc",
        "outbound_._._.gw.ns.svc.cluster.local",
        "outbound_.8x_._.gw.ns.svc.cluster.local",
        "xoutbound_.80_._.gw.ns.svc.cluster.local",
        "outbound_.80_.gw.ns.svc.cluster.local",
        "outbound_.80_._.gw.ns.pod.cluster.local",
        "outbound_.80_._..ns.svc.cluster.local",
        "outbound.80._.gw.ns.svc.cluster.local",
    ] {
        assert_eq!(verdict(&config, &http("a/x", "h.example").sni(sni)), "deny[sni_mismatch]", "{sni}");
    }
}

#[test]
fn the_server_name_guard_in_its_three_settings() {
    let front = http("a/x", "evil.example").sni("h.example");
    let by = |setting: &str| verdict(&with(&open(http_config), &json!({"sniMismatch": setting})), &front);
    assert_eq!(by("DENY"), "deny[sni_mismatch]");
    assert_eq!(by("ALLOW"), ALLOWED);
    assert_eq!(by("DRY_RUN"), format!("{ALLOWED} would_deny[sni_mismatch]"));
    let both = with(&open(http_config), &json!({"sniMismatch": "DRY_RUN"}));
    assert_eq!(verdict(&both, &http("a/x", "h.example").sni("h.example")), ALLOWED);
}

#[test]
fn on_network_the_inner_name_is_held_against_the_outer() {
    let config = open(network_config);
    assert_eq!(verdict(&config, &tls("a/x", "h.example").sni("H.example.")), ALLOWED);
    assert_eq!(verdict(&config, &tls("a/x", "evil.example").sni("h.example")), "deny[sni_mismatch]");
    assert_eq!(
        verdict(&config, &tls("a/x", "h.example").sni("outbound_.443_._.gw.ns.svc.cluster.local")),
        ALLOWED
    );
    assert_eq!(verdict(&config, &tls("a/x", "h.example")), ALLOWED);
    // Without an inner name there is nothing to compare.
    assert_eq!(verdict(&config, &hello(None, false).sni("h.example")), ALLOWED);
    assert_eq!(verdict(&config, &plain("a/x").sni("h.example")), ALLOWED);
    assert_eq!(verdict(&config, &plain("a/x").sni("a b")), ALLOWED);
}

#[test]
fn an_encrypted_hello_is_refused_where_that_is_said() {
    let config = open(network_config);
    assert_eq!(verdict(&config, &hello(Some("h.example"), true)), ALLOWED);
    let strict = with(&config, &json!({"encryptedClientHello": "DENY"}));
    assert_eq!(verdict(&strict, &hello(Some("h.example"), true)), "deny[encrypted_hello]");
    assert_eq!(verdict(&strict, &hello(None, true)), "deny[encrypted_hello]");
    assert_eq!(verdict(&strict, &hello(Some("h.example"), false)), ALLOWED);
    // The mismatch comes first.
    assert_eq!(verdict(&strict, &hello(Some("h.example"), true).sni("i.example")), "deny[sni_mismatch]");
    // And both come before the policies.
    let denying = with(
        &network_config(&json!([{"name": "deny", "action": "DENY", "rules": [{}]}])),
        &json!({"encryptedClientHello": "DENY"}),
    );
    assert_eq!(verdict(&denying, &hello(Some("h.example"), true)), "deny[encrypted_hello]");
}

#[test]
fn carried_to_another_host_than_judged_by() {
    let config = open(network_config);
    for (cluster, expected) in [
        ("outbound|443||h.example", ALLOWED),
        ("outbound|443|v1|H.Example.", ALLOWED),
        ("outbound|443||i.example", "deny[route_mismatch]"),
        ("outbound|443||*.example", ALLOWED),
        ("outbound|443||*.h.example", "deny[route_mismatch]"),
        ("outbound|443||*", "deny[route_mismatch]"),
        ("outbound|443||", "deny[route_mismatch]"),
        ("outbound|443||a b", "deny[route_mismatch]"),
        ("outbound|443||8.8.8.8", "deny[route_mismatch]"),
        ("outbound|x||i.example", ALLOWED),
        ("outbound|||i.example", ALLOWED),
        ("outbound|443|i.example", ALLOWED),
        ("outbound|443||i.example|j", ALLOWED),
        ("inbound|443||i.example", ALLOWED),
        ("outbound_.443_._.i.example", ALLOWED),
        ("PassthroughCluster", ALLOWED),
        ("", ALLOWED),
    ] {
        assert_eq!(verdict(&config, &tls("a/x", "h.example").cluster(cluster)), expected, "{cluster}");
    }
    assert_eq!(verdict(&config, &tls("a/x", "h.example")), ALLOWED);
    // Where the host is unknown, none was judged by.
    assert_eq!(verdict(&config, &hello(None, false).cluster("outbound|443||i.example")), ALLOWED);
    assert_eq!(verdict(&config, &plain("a/x").cluster("outbound|443||i.example")), ALLOWED);
    assert_eq!(
        verdict(&config, &plain("a/x").sni("h.example").cluster("outbound|443||i.example")),
        "deny[route_mismatch]"
    );
    let literal = tls("a/x", "[2606:4700::1111]");
    assert_eq!(verdict(&config, &literal.clone().cluster("outbound|443||2606:4700:0::1111")), ALLOWED);
    assert_eq!(verdict(&config, &literal.cluster("outbound|443||*.example")), "deny[route_mismatch]");
}

#[test]
fn the_route_guards_default_depends_on_the_type() {
    let elsewhere = "outbound|80||i.example";
    let on_http = |settings: Value| {
        verdict(&with(&open(http_config), &settings), &http("a/x", "h.example").cluster(elsewhere))
    };
    let on_network = |settings: Value| {
        verdict(&with(&open(network_config), &settings), &tls("a/x", "h.example").cluster(elsewhere))
    };
    assert_eq!(on_http(json!({})), ALLOWED);
    assert_eq!(on_network(json!({})), "deny[route_mismatch]");
    assert_eq!(on_http(json!({"routeMismatch": "DENY"})), "deny[route_mismatch]");
    assert_eq!(on_network(json!({"routeMismatch": "ALLOW"})), ALLOWED);
    let dry = format!("{ALLOWED} would_deny[route_mismatch]");
    assert_eq!(on_http(json!({"routeMismatch": "DRY_RUN"})), dry);
    assert_eq!(on_network(json!({"routeMismatch": "DRY_RUN"})), dry);
}

#[test]
fn a_site_whose_address_is_not_public() {
    let config = with(&open(network_config), &json!({"privateUpstreams": "DENY"}));
    let at = |address: &str| tls("a/x", "h.example").with(|r| r.upstream = there(address));
    for (address, expected) in [
        ("8.8.8.8:443", ALLOWED),
        ("[2606:4700::1111]:443", ALLOWED),
        ("127.0.0.1:443", "deny[private_upstream]"),
        ("169.254.169.254:80", "deny[private_upstream]"),
        ("[::1]:443", "deny[private_upstream]"),
        ("[::ffff:10.0.0.1]:443", "deny[private_upstream]"),
        ("[64:ff9b::a00:1]:443", "deny[private_upstream]"),
        ("168.63.129.16:80", "deny[private_upstream]"),
        ("", ALLOWED),
    ] {
        assert_eq!(verdict(&config, &at(address)), expected, "{address}");
        assert_eq!(verdict(&open(network_config), &at(address)), ALLOWED, "{address} by default");
    }
    assert_eq!(verdict(&config, &tls("a/x", "h.example")), ALLOWED);
    // On HTTP there is no such guard.
    let on_http =
        with(&open(http_config), &json!({"privateUpstreams": "DENY", "encryptedClientHello": "DENY"}));
    let request = http("a/x", "h.example").with(|r| r.upstream = there("127.0.0.1:80"));
    assert_eq!(verdict(&on_http, &request), ALLOWED);
}

#[test]
fn the_last_guards_are_asked_only_for_what_was_allowed() {
    let refused = with(&network_config(&json!([])), &json!({"privateUpstreams": "DENY"}));
    let request =
        tls("a/x", "h.example").cluster("outbound|443||i.example").with(|r| r.upstream = there("10.0.0.1:1"));
    assert_eq!(verdict(&refused, &request), "deny[default_action]");
    // By policy or by default, and the route comes before the address.
    let default = with(&refused, &json!({"defaultAction": "ALLOW"}));
    assert_eq!(verdict(&default, &request), "deny[route_mismatch]");
    let admitted = request.with(|r| r.cluster = Answer::Absent);
    assert_eq!(verdict(&default, &admitted), "deny[private_upstream]");
}
