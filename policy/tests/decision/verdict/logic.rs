//! docs/language.md#what-cannot-be-told: what cannot be told, and what becomes of it.

use super::{DENIED, NO_ALLOW, allow_all, audited, deny_to, http_config, network_config, verdict, with};
use crate::support::{Answer, Request, http, tls};
use serde_json::{Value, json};

/// One rule under each action: does it match?
fn matches(config: fn(&Value) -> Value, rule: &Value, request: &Request) -> (bool, bool, bool) {
    let all = allow_all();
    let deny = json!([all, {"name": "deny", "action": "DENY", "rules": [rule]}]);
    let allow = json!([{"name": "allow", "rules": [rule]}]);
    let audit = json!([all, {"name": "audit", "action": "AUDIT", "rules": [rule]}]);
    let loose = json!({"sniMismatch": "ALLOW"});
    (
        verdict(&with(&config(&deny), &loose), request) == DENIED,
        verdict(&with(&config(&allow), &loose), request) != NO_ALLOW,
        !audited(&with(&config(&audit), &loose), request).is_empty(),
    )
}

const FALSE: (bool, bool, bool) = (false, false, false);
const UNKNOWN: (bool, bool, bool) = (true, false, true);
const TRUE: (bool, bool, bool) = (true, true, true);

#[test]
fn unknown_matches_for_deny_and_audit_and_not_for_allow() {
    let connect = http("a/x", "h.example").method("CONNECT");
    let path = json!({"to": [{"operation": {"paths": ["/"]}}]});
    assert_eq!(matches(http_config, &path, &http("a/x", "h.example")), TRUE);
    assert_eq!(matches(http_config, &path, &http("a/x", "h.example").path("/a")), FALSE);
    assert_eq!(matches(http_config, &path, &connect), UNKNOWN);
}

#[test]
fn not_unknown_is_unknown() {
    let connect = http("a/x", "h.example").method("CONNECT");
    assert_eq!(
        matches(http_config, &json!({"to": [{"operation": {"notPaths": ["/a"]}}]}), &connect),
        UNKNOWN
    );
    assert_eq!(
        matches(http_config, &json!({"to": [{"operation": {"paths": ["*"], "notPaths": ["/a"]}}]}), &connect),
        UNKNOWN
    );
}

#[test]
fn kleene_in_a_rule() {
    let connect = http("a/x", "h.example").method("CONNECT");
    let operation = |fields: Value| json!({"operation": fields});
    let (yes, no, unknown) = (
        operation(json!({"hosts": ["h.example"]})),
        operation(json!({"hosts": ["i.example"]})),
        operation(json!({"paths": ["/"]})),
    );
    let to = |operations: &[&Value]| matches(http_config, &json!({"to": operations}), &connect);
    // Or.
    assert_eq!(to(&[&no, &unknown]), UNKNOWN);
    assert_eq!(to(&[&unknown, &no]), UNKNOWN);
    assert_eq!(to(&[&unknown, &yes]), TRUE);
    assert_eq!(to(&[&yes, &unknown]), TRUE);
    assert_eq!(to(&[&no, &no]), FALSE);
    // And, within an operation and between the parts of a rule.
    assert_eq!(to(&[&operation(json!({"hosts": ["i.example"], "paths": ["/"]}))]), FALSE);
    assert_eq!(to(&[&operation(json!({"hosts": ["h.example"], "paths": ["/"]}))]), UNKNOWN);
    let parts = |namespace: &str, value: &str| {
        let rule = json!({
            "from": [{"source": {"namespaces": [namespace]}}],
            "to": [unknown],
            "when": [{"key": "request.headers[x-a]", "values": [value]}],
        });
        matches(http_config, &rule, &connect.clone().header("x-a", "1"))
    };
    assert_eq!(parts("a", "1"), UNKNOWN);
    assert_eq!(parts("b", "1"), FALSE);
    assert_eq!(parts("a", "2"), FALSE);
}

#[test]
fn the_path_of_a_connect_is_unknown_whatever_stands_there() {
    let rule = json!({"to": [{"operation": {"paths": ["/"]}}]});
    let connect = http("a/x", "h.example:443").method("CONNECT");
    for path in
        [Answer::Absent, Answer::There(b"/".to_vec()), Answer::There(b"/a".to_vec()), Answer::Unreadable]
    {
        assert_eq!(matches(http_config, &rule, &connect.clone().with(|r| r.path = path)), UNKNOWN);
    }
    // A request without a path is as unclear.
    let none = http("a/x", "h.example").with(|r| r.path = Answer::Absent);
    assert_eq!(matches(http_config, &rule, &none), UNKNOWN);
    // Methods are compared with their case: this is none of the method CONNECT.
    assert_eq!(matches(http_config, &rule, &http("a/x", "h.example").method("connect")), TRUE);
}

#[test]
fn an_outer_server_name_that_was_not_sent_is_unknown() {
    let rule = json!({"when": [{"key": "connection.sni", "values": ["h.example"]}]});
    let twin = json!({"when": [{"key": "connection.sni", "notValues": ["h.example"]}]});
    let silent = http("a/x", "h.example");
    assert_eq!(matches(http_config, &rule, &silent), UNKNOWN);
    assert_eq!(matches(http_config, &twin, &silent), UNKNOWN);
    assert_eq!(matches(http_config, &rule, &silent.clone().sni("")), UNKNOWN);
    assert_eq!(matches(http_config, &rule, &silent.clone().sni("h.example")), TRUE);
    assert_eq!(matches(http_config, &rule, &silent.clone().sni("i.example")), FALSE);
    assert_eq!(matches(network_config, &rule, &tls("a/x", "h.example")), UNKNOWN);
}

#[test]
fn a_source_that_is_no_ip_is_unknown() {
    for (positive, negative) in [("ipBlocks", "notIpBlocks"), ("remoteIpBlocks", "notRemoteIpBlocks")] {
        for field in [positive, negative] {
            let rule = json!({"from": [{"source": {field: ["0.0.0.0/0"]}}]});
            for source in ["/var/run/socket", "@abstract", "", "10.0.0.1:port", "localhost:80"] {
                assert_eq!(
                    matches(http_config, &rule, &http("a/x", "h.example").source(source)),
                    UNKNOWN,
                    "{field} {source}"
                );
            }
            let none = http("a/x", "h.example").with(|r| r.source = Answer::Absent);
            assert_eq!(matches(http_config, &rule, &none), UNKNOWN, "{field}");
        }
    }
}

#[test]
fn what_could_not_be_read_is_unknown() {
    let unread = |change: fn(&mut Request)| http("a/x", "h.example").with(change);
    let operation = |fields: Value| json!({"to": [{"operation": fields}]});
    let condition = |key: &str| json!({"when": [{"key": key, "values": ["80"]}]});
    for (rule, request) in [
        (operation(json!({"methods": ["GET"]})), unread(|r| r.method = Answer::Unreadable)),
        (operation(json!({"notMethods": ["GET"]})), unread(|r| r.method = Answer::Unreadable)),
        (operation(json!({"paths": ["/"]})), unread(|r| r.path = Answer::Unreadable)),
        // It may be a CONNECT.
        (operation(json!({"paths": ["/"]})), unread(|r| r.method = Answer::Unreadable)),
        (operation(json!({"ports": ["80"]})), unread(|r| r.port = Answer::Unreadable)),
        (operation(json!({"ports": ["80"]})), unread(|r| r.port = Answer::Absent)),
        (condition("destination.port"), unread(|r| r.port = Answer::Unreadable)),
        (condition("connection.sni"), unread(|r| r.sni = Answer::Unreadable)),
        (condition("request.auth.presenter"), unread(|r| r.token = Answer::Unreadable)),
        (condition("request.auth.principal"), unread(|r| r.token = Answer::Unreadable)),
        (
            condition("request.headers[x-a]"),
            unread(|r| drop(r.headers.insert("x-a".to_owned(), Answer::Unreadable))),
        ),
        (json!({"from": [{"source": {"ipBlocks": ["::/0"]}}]}), unread(|r| r.source = Answer::Unreadable)),
        (
            json!({"when": [{"key": "destination.ip", "notValues": ["::/0"]}]}),
            unread(|r| r.destination = Answer::Unreadable),
        ),
    ] {
        assert_eq!(matches(http_config, &rule, &request), UNKNOWN, "{rule}");
    }
}

#[test]
fn a_template_does_not_guess_what_proxies_read_differently() {
    let rule = |pattern: &str| json!({"to": [{"operation": {"paths": [pattern]}}]});
    let path = |path: &str| http("a/x", "h.example").path(path);
    assert_eq!(matches(http_config, &rule("/a/{*}"), &path("/a/b|c")), UNKNOWN);
    assert_eq!(matches(http_config, &rule("/a/{**}"), &path("/a/ä/c")), UNKNOWN);
    assert_eq!(matches(http_config, &rule("/a/{*}/d"), &path("/a/\"/d")), UNKNOWN);
    // Where the rest does not fit, it does not match, whatever the byte.
    assert_eq!(matches(http_config, &rule("/a/{*}/d"), &path("/a/\"/e")), FALSE);
    assert_eq!(matches(http_config, &rule("/a/{*}"), &path("/b/|")), FALSE);
    assert_eq!(matches(http_config, &rule("/a/{*}"), &path("/a/b*c")), TRUE);
    let either = json!({"to": [{"operation": {"paths": ["/a/{*}", "/a/*"]}}]});
    assert_eq!(matches(http_config, &either, &path("/a/b|c")), TRUE);
}

#[test]
fn a_deny_by_what_a_request_does_not_have_refuses() {
    let config = http_config(&json!([allow_all(), deny_to(&json!({"paths": ["/admin"]}))]));
    assert_eq!(verdict(&config, &http("a/x", "h.example").method("CONNECT")), DENIED);
    assert_eq!(verdict(&config, &http("a/x", "h.example")), "allow[ns[*]-policy[all]-rule[0]]");
}
