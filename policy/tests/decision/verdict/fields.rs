//! docs/language.md#other-strings, and every field with its twin.

use super::{ALLOWED, NO_ALLOW, admits, allow_from, allow_to, allow_when, http_config, verdict, with};
use crate::support::{Answer, Request, http, there};
use serde_json::{Value, json};

fn from(source: &Value, request: &Request) -> bool {
    admits(&http_config(&json!([allow_from(source)])), request)
}

fn to(operation: &Value, request: &Request) -> bool {
    admits(&http_config(&json!([allow_to(operation)])), request)
}

fn when(condition: &Value, request: &Request) -> bool {
    admits(&http_config(&json!([allow_when(condition)])), request)
}

fn get() -> Request {
    http("a/x", "h.example")
}

#[test]
fn every_field_and_its_twin_decide() {
    let request = get().path("/a/b").token(json!({"iss": "i", "sub": "s"}));
    for (field, yes, no) in [
        ("principals", "cluster.local/ns/a/sa/x", "cluster.local/ns/a/sa/y"),
        ("namespaces", "a", "b"),
        ("serviceAccounts", "a/x", "a/y"),
        ("trustDomains", "cluster.local", "cluster"),
        ("ipBlocks", "10.1.0.0/16", "10.2.0.0/16"),
        ("remoteIpBlocks", "10.1.0.7", "10.1.0.8"),
        ("requestPrincipals", "i/s", "i/t"),
    ] {
        let twin = format!("not{}{}", field[..1].to_uppercase(), &field[1..]);
        assert!(from(&json!({field: [no, yes]}), &request), "{field}");
        assert!(!from(&json!({field: [no]}), &request), "{field}");
        assert!(from(&json!({twin.clone(): [no]}), &request), "{twin}");
        assert!(!from(&json!({twin.clone(): [no, yes]}), &request), "{twin}");
        assert!(!from(&json!({field: [yes], twin.clone(): [yes]}), &request), "{field} and {twin}");
        assert!(from(&json!({field: [yes], twin.clone(): [no]}), &request), "{field} and {twin}");
    }
    for (field, yes, no) in [
        ("hosts", "h.example", "i.example"),
        ("ports", "80", "443"),
        ("methods", "GET", "POST"),
        ("paths", "/a/b", "/a/c"),
    ] {
        let twin = format!("not{}{}", field[..1].to_uppercase(), &field[1..]);
        assert!(to(&json!({field: [no, yes]}), &request), "{field}");
        assert!(!to(&json!({field: [no]}), &request), "{field}");
        assert!(to(&json!({twin.clone(): [no]}), &request), "{twin}");
        assert!(!to(&json!({twin.clone(): [no, yes]}), &request), "{twin}");
        assert!(!to(&json!({field: [yes], twin.clone(): [yes]}), &request), "{field} and {twin}");
    }
}

#[test]
fn every_condition_and_its_twin_decide() {
    let request = get().sni("h.example").header("x-a", "one").token(json!({
        "iss": "i", "sub": "s", "aud": ["u", "v"], "azp": "w", "groups": ["g"], "realm": {"role": "r"}
    }));
    for (key, yes, no) in [
        ("source.principal", "cluster.local/ns/a/sa/x", "cluster.local/ns/b/sa/x"),
        ("source.namespace", "a", "b"),
        ("source.serviceAccount", "a/x", "b/x"),
        ("source.trustDomain", "*.local", "*.example"),
        ("source.ip", "10.1.0.7", "10.1.0.8"),
        ("remote.ip", "10.1.0.0/16", "10.3.0.0/16"),
        ("destination.ip", "10.2.0.1", "10.1.0.7"),
        ("destination.port", "80", "443"),
        ("connection.sni", "h.example", "i.example"),
        ("request.headers[x-a]", "one", "two"),
        ("request.headers[X-A]", "o*", "t*"),
        ("request.auth.principal", "i/s", "s/i"),
        ("request.auth.audiences", "v", "x"),
        ("request.auth.presenter", "w", "v"),
        ("request.auth.claims[groups]", "g", "h"),
        ("request.auth.claims[realm][role]", "r", "s"),
    ] {
        assert!(when(&json!({"key": key, "values": [no, yes]}), &request), "{key}");
        assert!(!when(&json!({"key": key, "values": [no]}), &request), "{key}");
        assert!(when(&json!({"key": key, "notValues": [no]}), &request), "{key}");
        assert!(!when(&json!({"key": key, "notValues": [no, yes]}), &request), "{key}");
        assert!(!when(&json!({"key": key, "values": [yes], "notValues": [yes]}), &request), "{key}");
    }
}

#[test]
fn strings_are_exact_prefix_suffix_or_present() {
    let methods = |pattern: &str, method: &str| to(&json!({"methods": [pattern]}), &get().method(method));
    for (pattern, method, expected) in [
        ("GET", "GET", true),
        ("GET", "get", false),
        ("GET", "GETX", false),
        ("P*", "POST", true),
        ("P*", "P", true),
        ("P*", "OP", false),
        ("*T", "GET", true),
        ("*T", "T", true),
        ("*T", "TO", false),
        ("*", "ANY", true),
        ("*", "", false),
    ] {
        assert_eq!(methods(pattern, method), expected, "{pattern} {method}");
    }
    let header = |pattern: &str, value: &str| {
        when(&json!({"key": "request.headers[x-a]", "values": [pattern]}), &get().header("x-a", value))
    };
    for (pattern, value, expected) in [
        ("One", "One", true),
        ("One", "one", false),
        ("one*", "one,two", true),
        ("*two", "one,two", true),
        ("two", "one,two", false),
        ("*", "", false),
        ("*", "ä", true),
    ] {
        assert_eq!(header(pattern, value), expected, "{pattern} {value}");
    }
    let bytes = get().with(|r| {
        r.headers.insert("x-a".to_owned(), Answer::There(b"one\xff".to_vec()));
    });
    assert!(when(&json!({"key": "request.headers[x-a]", "values": ["one*"]}), &bytes));
}

#[test]
fn a_header_that_is_not_there_is_no_value() {
    assert!(!when(&json!({"key": "request.headers[x-a]", "values": ["*"]}), &get()));
    assert!(when(&json!({"key": "request.headers[x-a]", "notValues": ["*"]}), &get()));
    assert!(!when(&json!({"key": "request.headers[x-a]", "values": ["a"], "notValues": ["b"]}), &get()));
    // One that is there and empty is a value, and no present one.
    let empty = get().header("x-a", "");
    assert!(!when(&json!({"key": "request.headers[x-a]", "values": ["*"]}), &empty));
    assert!(when(&json!({"key": "request.headers[x-a]", "notValues": ["*"]}), &empty));
    // As a method may be missing.
    let none = get().with(|r| r.method = Answer::Absent);
    assert!(!to(&json!({"methods": ["*"]}), &none));
    assert!(to(&json!({"notMethods": ["GET"]}), &none));
}

#[test]
fn namespaces_take_stars_anywhere() {
    for (pattern, namespace, expected) in [
        ("team-*", "team-a", true),
        ("team-*", "steam-a", false),
        ("*-prod", "a-prod", true),
        ("a*z", "abcz", true),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("a*a", "a", false),
        ("*", "a", true),
        ("a", "aa", false),
    ] {
        let request = http(&format!("{namespace}/x"), "h.example");
        assert_eq!(from(&json!({"namespaces": [pattern]}), &request), expected, "{pattern} {namespace}");
    }
}

#[test]
fn paths_are_compared_without_query_and_fragment() {
    for (pattern, path, expected) in [
        ("/a", "/a?b", true),
        ("/a", "/a#b", true),
        ("/a", "/a?b#c", true),
        ("/a", "/a/", false),
        ("/a*", "/ab/c", true),
        ("*.txt", "/a.txt?x=.pdf", true),
        ("*.pdf", "/a.txt?x=.pdf", false),
        ("*", "/", true),
        ("*", "?q", false),
        ("/A", "/a", false),
        ("/{*}", "/a", true),
        ("/{*}", "/a/b", false),
        ("/{*}/b", "/a/b?c/d", true),
        ("/{**}", "/a/b/c", true),
        ("/a/{**}", "/a/", true),
        ("/a/{**}", "/a", false),
        ("/{**}/z", "/a/b/z", true),
        ("/{**}/z", "/z", false),
        ("/a/{*}/c/{**}", "/a/b/c/", true),
        ("/a/{*}/c/{**}", "/a//c/d", false),
    ] {
        assert_eq!(to(&json!({"paths": [pattern]}), &get().path(path)), expected, "{pattern} {path}");
    }
}

#[test]
fn accounts_are_of_a_namespace() {
    // A bare name means the policy's own namespace.
    let own = |account: &str, workload: &str| {
        let rules = json!([{"from": [{"source": {"serviceAccounts": [account]}}]}]);
        let policies = json!([{"name": "p", "namespace": "a", "rules": rules}]);
        verdict(&http_config(&policies), &http(workload, "h.example")) == "allow[ns[a]-policy[p]-rule[0]]"
    };
    assert!(own("x", "a/x"));
    assert!(!own("y", "a/x"));
    assert!(own("a/x", "a/x"));
    assert!(!own("b/x", "a/x"));
    // In `when`, too.
    let rules = json!([{"when": [{"key": "source.serviceAccount", "values": ["x"]}]}]);
    let config = http_config(&json!([{"name": "p", "namespace": "a", "rules": rules}]));
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "allow[ns[a]-policy[p]-rule[0]]");
    assert_eq!(verdict(&config, &http("a/y", "h.example")), NO_ALLOW);
    // The trust domain does not matter.
    let aliased = with(
        &http_config(&json!([allow_from(&json!({"serviceAccounts": ["a/x"]}))])),
        &json!({"trustDomains": ["cluster.local", "td.one"]}),
    );
    assert!(admits(&aliased, &get().named("spiffe://td.one/ns/a/sa/x")));
}

#[test]
fn listed_trust_domains_stand_for_one_another_in_principals() {
    let domains = json!({"trustDomains": ["td.one", "td.two"]});
    let by = |source: Value, name: &str| {
        admits(&with(&http_config(&json!([allow_from(&source)])), &domains), &get().named(name))
    };
    let (one, two) = ("spiffe://td.one/ns/a/sa/x", "spiffe://td.two/ns/a/sa/x");
    for pattern in [
        "td.one/ns/a/sa/x",
        "td.two/ns/a/sa/x",
        "cluster.local/ns/a/sa/x",
        "cluster.local/ns/a/*",
        "td.one/*",
        "*/sa/x",
    ] {
        assert!(by(json!({"principals": [pattern]}), one), "{pattern}");
        assert!(by(json!({"principals": [pattern]}), two), "{pattern}");
        assert!(!by(json!({"notPrincipals": [pattern]}), two), "{pattern}");
    }
    // Where the pattern's trust domain is not literal, the identity counts as presented.
    assert!(by(json!({"principals": ["td.o*"]}), one));
    assert!(!by(json!({"principals": ["td.o*"]}), two));
    assert!(!by(json!({"principals": ["cluster.l*"]}), one));
    assert!(by(json!({"principals": ["*one/ns/a/sa/x"]}), one));
    assert!(!by(json!({"principals": ["*one/ns/a/sa/x"]}), two));
    // A domain that is not listed is nobody's alias.
    assert!(!by(json!({"principals": ["far.example/ns/a/sa/x"]}), one));
    // `trustDomains` sees the domain as presented.
    assert!(by(json!({"trustDomains": ["td.one"]}), one));
    assert!(!by(json!({"trustDomains": ["td.one"]}), two));
    assert!(!by(json!({"trustDomains": ["cluster.local"]}), one));
    assert!(by(json!({"trustDomains": ["td*"]}), two));
    assert!(by(json!({"trustDomains": ["*two"]}), two));
}

#[test]
fn addresses_by_range_or_alone() {
    for (block, source, expected) in [
        ("10.1.0.0/16", "10.1.255.255:1", true),
        ("10.1.2.3/16", "10.1.0.0:1", true),
        ("10.1.0.0/16", "10.2.0.0:1", false),
        ("10.1.0.7", "10.1.0.7:1", true),
        ("10.1.0.7", "[::ffff:10.1.0.7]:1", true),
        ("::ffff:10.1.0.7", "10.1.0.7:1", true),
        ("::ffff:10.1.0.0/112", "10.1.0.7:1", true),
        ("::ffff:10.1.0.0/112", "10.2.0.7:1", false),
        ("2001:db8::/32", "[2001:db8::1]:1", true),
        ("2001:db8::/32", "[2001:db9::1]:1", false),
        ("0.0.0.0/0", "[2001:db8::1]:1", false),
        ("::/0", "10.1.0.7:1", false),
    ] {
        for field in ["ipBlocks", "remoteIpBlocks"] {
            let request = get().source(source);
            assert_eq!(from(&json!({field: [block]}), &request), expected, "{field} {block} {source}");
        }
    }
}

#[test]
fn ports_are_the_gateways() {
    let on = |port: u16| http("a/x", "h.example:8443").with(|r| r.port = Answer::There(port));
    for ports in [json!(["443"]), json!([443]), json!([443.0]), json!([80, "443"])] {
        assert!(to(&json!({"ports": ports}), &on(443)), "{ports}");
        assert!(!to(&json!({"ports": ports}), &on(8443)), "{ports}");
    }
}

#[test]
fn case_and_one_dot_do_not_matter_in_the_outer_server_name() {
    for (pattern, sni, expected) in [
        ("www.example.com", "WWW.Example.com.", true),
        ("WWW.example.com.", "www.example.com", true),
        ("*.Example.com", "a.example.com.", true),
        ("*.example.com.", "a.example.com", true),
        ("www.*", "WWW.example.com", true),
        ("*", "anything", true),
        ("example.com", "www.example.com", false),
    ] {
        let config = with(
            &http_config(&json!([allow_when(&json!({"key": "connection.sni", "values": [pattern]}))])),
            &json!({"sniMismatch": "ALLOW"}),
        );
        assert_eq!(admits(&config, &get().sni(sni)), expected, "{pattern} {sni}");
    }
}

#[test]
fn a_rule_is_any_source_any_operation_all_conditions() {
    let config = http_config(&json!([{"name": "allow", "rules": [{
        "from": [{"source": {"namespaces": ["a"]}}, {"source": {"namespaces": ["b"], "ipBlocks": ["10.9.0.0/16"]}}],
        "to": [{"operation": {"methods": ["GET"]}}, {"operation": {"paths": ["/p"]}}],
        "when": [{"key": "request.headers[x-a]", "values": ["1"]}, {"key": "request.headers[x-b]", "values": ["2"]}],
    }]}]));
    let good = get().header("x-a", "1").header("x-b", "2");
    assert!(admits(&config, &good));
    assert!(admits(&config, &good.clone().method("POST").path("/p")));
    assert!(!admits(&config, &good.clone().method("POST")));
    assert!(!admits(&config, &good.clone().header("x-b", "3")));
    assert!(!admits(&config, &good.clone().header("x-a", "3")));
    assert!(!admits(&config, &good.clone().named("spiffe://cluster.local/ns/b/sa/x")));
    assert!(admits(&config, &good.clone().named("spiffe://cluster.local/ns/b/sa/x").source("10.9.0.1:1")));
    assert!(!admits(&config, &good.named("spiffe://cluster.local/ns/c/sa/x").source("10.9.0.1:1")));
}

#[test]
fn the_empty_rule_matches_all_and_no_rules_nothing() {
    assert_eq!(verdict(&http_config(&json!([{"name": "allow", "rules": [{}]}])), &get()), ALLOWED);
    assert_eq!(verdict(&http_config(&json!([{"name": "allow", "rules": []}])), &get()), NO_ALLOW);
    assert_eq!(verdict(&http_config(&json!([{"name": "allow"}])), &get()), NO_ALLOW);
    let odd = get().with(|r| r.path = there("*"));
    assert_eq!(verdict(&http_config(&json!([{"name": "allow", "rules": [{}]}])), &odd), ALLOWED);
}
