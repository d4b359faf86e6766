//! Odd configurations that are good, and what they mean.

use egress_policy::config::{Effect, Guard, Mode, Unauthenticated};
use egress_policy::rules::{Action, Comparison, PolicyMode};
use egress_policy::{Config, Engine, Protocol, Timestamp};

fn good(json: &str) -> Config {
    match Config::parse(json.as_bytes()) {
        Ok(config) => config,
        Err(errors) => panic!("{json}: {errors:?}"),
    }
}

#[test]
fn nothing_at_all_is_the_empty_object() {
    let empty = good("{}");
    for text in ["", " ", "\n\t", " {} ", r#"{"policies": []}"#] {
        assert_eq!(good(text), empty, "{text:?}");
    }
}

#[test]
fn the_defaults_are_those_of_the_page() {
    let settings = good("{}").settings;
    assert_eq!(settings.protocol, Protocol::Http);
    assert_eq!(settings.mode, Mode::Enforce);
    assert_eq!(settings.default_action, Effect::Deny);
    assert!(settings.trust_domains.contains("cluster.local"));
    assert!(!settings.trust_domains.contains("cluster"));
    assert_eq!(settings.unauthenticated, Unauthenticated::Deny);
    assert_eq!(settings.sni_mismatch, Guard::Deny);
    assert_eq!(settings.encrypted_client_hello, Effect::Allow);
    assert_eq!(settings.private_addresses, Effect::Deny);
    assert_eq!(settings.private_upstreams, Effect::Allow);
    assert_eq!(settings.route_mismatch, Guard::Allow);
    assert!(!settings.report_allowed);
    assert!(settings.recheck_connections);
    assert_eq!(settings.deny_response.status, 403);
    let body = settings.deny_response.body(&|_| panic!("no placeholder"));
    assert_eq!((&*body, body.len()), ("RBAC: access denied", 19));
    assert_eq!(settings.deny_response.headers(&|_| String::new()), []);
    assert_eq!(good(r#"{"type": "NETWORK"}"#).settings.route_mismatch, Guard::Deny);
}

#[test]
fn a_policys_defaults_are_those_of_the_page() {
    let config = good(r#"{"policies": [{"name": "p"}]}"#);
    let policy = &config.policies[0];
    assert_eq!(policy.action, Action::Allow);
    assert_eq!(policy.mode, PolicyMode::Enforce);
    assert_eq!(policy.protocols, [Protocol::Http, Protocol::Network]);
    assert_eq!((&policy.namespace, &policy.expires, &policy.owner), (&None, &None, &None));
    assert!(policy.rules.is_empty());
    assert_eq!(good(r#"{"policies": [{"name": "p", "rules": []}]}"#).policies, config.policies);
}

#[test]
fn every_setting_is_read() {
    let config = good(
        r#"{"type": "NETWORK", "mode": "DRY_RUN", "defaultAction": "ALLOW", "trustDomains": ["a", "b.c_d-e"],
            "unauthenticated": "EVALUATE", "sniMismatch": "DRY_RUN", "encryptedClientHello": "DENY", "pathReadings": "LITERAL",
            "privateAddresses": "ALLOW", "privateUpstreams": "DENY", "routeMismatch": "DRY_RUN",
            "reportAllowed": true, "recheckConnections": false,
            "denyResponse": {"status": 599.0, "body": "", "headers": {"X-A": "", "content-type": "text/html"}}}"#,
    );
    let settings = config.settings;
    assert_eq!(settings.protocol, Protocol::Network);
    assert_eq!(settings.mode, Mode::DryRun);
    assert_eq!(settings.default_action, Effect::Allow);
    assert!(settings.trust_domains.contains("b.c_d-e") && !settings.trust_domains.contains("cluster.local"));
    assert_eq!(settings.unauthenticated, Unauthenticated::Evaluate);
    assert_eq!(settings.sni_mismatch, Guard::DryRun);
    assert_eq!(settings.encrypted_client_hello, Effect::Deny);
    assert_eq!(settings.private_addresses, Effect::Allow);
    assert_eq!(settings.private_upstreams, Effect::Deny);
    assert_eq!(settings.route_mismatch, Guard::DryRun);
    assert!(settings.report_allowed && !settings.recheck_connections);
    let fill = |_| String::new();
    assert_eq!((settings.deny_response.status, &*settings.deny_response.body(&fill)), (599, ""));
    let headers = settings.deny_response.headers(&fill);
    assert_eq!(headers, [("x-a", String::new()), ("content-type", "text/html".to_owned())]);
}

/// Both are filled; a value stays inside of what it fills, by the kind of that.
#[test]
fn the_refusal_is_filled_in() {
    let fill = |placeholder| format!("{placeholder:?}: \"100%\"\r\n\u{e4}\\");
    let headers = r#""headers": {"X": "{reason}|{owner}|{polcy}|} plain {host"}"#;
    let header = "Reason: \"100%25\"%0D%0A%C3%A4\\|Owner: \"100%25\"%0D%0A%C3%A4\\|{polcy}|} plain {host";
    let in_json = r#"{"a": {"b": "Policy: \u0022100%\u0022\u000d\u000a\u00e4\u005c"}}"#;
    let in_text = "{\"a\": {\"b\": \"Policy: \"100%\"\r\n\u{e4}\\\"}}";
    for (content_type, body) in [
        (None, in_text),
        (Some("text/html; charset=utf-8"), in_text),
        (Some("application/json"), in_json),
        (Some("application/problem+json;charset=utf-8"), in_json),
        (Some("Application/JSON"), in_json),
        (Some("application/vnd.a+json"), in_json),
    ] {
        let said = content_type.map(|text| format!(r#", "contentType": "{text}""#)).unwrap_or_default();
        let written = r#""body": "{\"a\": {\"b\": \"{policy}\"}}""#;
        let config = good(&format!(r#"{{"denyResponse": {{{headers}, {written}{said}}}}}"#));
        let response = &config.settings.deny_response;
        assert_eq!(response.body(&fill), body, "{content_type:?}");
        let mut expected = vec![("x", header.to_owned())];
        expected.extend(content_type.map(|text| ("content-type", text.to_owned())));
        assert_eq!(response.headers(&fill), expected);
    }
}

#[test]
fn a_port_may_be_written_in_three_ways() {
    let ports = |written: &str| {
        good(&format!(
            r#"{{"policies": [{{"name": "p", "rules": [{{"to": [{{"operation": {{"ports": {written}}}}}]}}]}}]}}"#
        ))
    };
    for written in ["[443]", "[\"443\"]", "[443.0]", "[4.43e2]", "[44300e-2]"] {
        assert_eq!(ports(written), ports("[443]"), "{written}");
    }
    for written in ["[1]", "[65535]", "[\"1\", 65535.0]"] {
        ports(written);
    }
}

#[test]
fn an_expiry_is_rfc_3339_with_its_offset() {
    let at = |text: &str| {
        good(&format!(r#"{{"policies": [{{"name": "p", "expires": "{text}"}}]}}"#)).policies[0].expires
    };
    let instant = Some(Timestamp::from_unix(1_798_675_200, 0));
    for text in [
        "2026-12-31T00:00:00Z",
        "2026-12-31t00:00:00z",
        "2026-12-31T00:00:00.000Z",
        "2026-12-31T02:00:00+02:00",
        "2026-12-30T18:30:00-05:30",
    ] {
        assert_eq!(at(text), instant, "{text}");
    }
}

#[test]
fn names_are_unique_within_their_namespace_only() {
    let config = good(
        r#"{"policies": [{"name": "a"}, {"name": "a", "namespace": "n"}, {"name": "a", "namespace": "m"}, {"name": "a.b-c.0"}]}"#,
    );
    assert_eq!(config.policies.len(), 4);
}

#[test]
fn a_policy_governs_its_own_namespace_or_all() {
    let config =
        good(r#"{"policies": [{"name": "mesh"}, {"name": "own", "namespace": "n", "protocols": ["HTTP"]}]}"#);
    let [mesh, own] = &config.policies[..] else {
        panic!("two policies");
    };
    for namespace in [None, Some("n"), Some("m")] {
        assert!(mesh.governs(namespace));
        assert_eq!(own.governs(namespace), namespace == Some("n"));
    }
    assert!(
        mesh.applies_to_protocol(Protocol::Network)
            && own.applies_to_protocol(Protocol::Http)
            && !own.applies_to_protocol(Protocol::Network)
    );
}

#[test]
fn repeated_values_are_no_error() {
    good(
        r#"{"trustDomains": ["a", "a"], "hostSets": {"s": ["a.example", "a.example"]},
            "policies": [{"name": "p", "protocols": ["HTTP", "HTTP"], "rules": [{}, {}, {"to": [{"operation": {"hosts": ["@s", "@s"]}}]}]}]}"#,
    );
}

#[test]
fn two_spellings_of_one_attribute_are_one() {
    let field = |json: &str| {
        let config =
            good(&format!(r#"{{"policies": [{{"name": "p", "namespace": "n", "rules": [{json}]}}]}}"#));
        let rule = &config.policies[0].rules[0];
        let [predicate] = &rule.from.concat().into_iter().chain(rule.when.clone()).collect::<Vec<_>>()[..]
        else {
            panic!("one predicate: {rule:?}");
        };
        predicate.clone()
    };
    for (source, key, values) in [
        ("principals", "source.principal", r#"["cluster.local/ns/a/sa/b", "*"]"#),
        ("namespaces", "source.namespace", r#"["a*b"]"#),
        ("serviceAccounts", "source.serviceAccount", r#"["sleep"]"#),
        ("trustDomains", "source.trustDomain", r#"["a*"]"#),
        ("ipBlocks", "source.ip", r#"["10.0.0.0/8"]"#),
        ("ipBlocks", "remote.ip", r#"["10.0.0.0/8"]"#),
        ("remoteIpBlocks", "source.ip", r#"["10.0.0.0/8"]"#),
        ("requestPrincipals", "request.auth.principal", r#"["a/b"]"#),
    ] {
        let (first, rest) = source.split_at(1);
        let twin = format!("not{}{rest}", first.to_uppercase());
        assert_eq!(
            field(&format!(r#"{{"from": [{{"source": {{"{source}": {values}, "{twin}": {values}}}}}]}}"#)),
            field(&format!(r#"{{"when": [{{"key": "{key}", "values": {values}, "notValues": {values}}}]}}"#)),
            "{source}"
        );
    }
    assert!(matches!(
        field(r#"{"when": [{"key": "request.headers[X-A]", "values": ["1"]}]}"#).comparison,
        Comparison::Header(name, _) if &*name == "x-a"
    ));
}

#[test]
fn a_number_is_a_double_and_key_order_carries_nothing() {
    let one = good(
        r#"{"denyResponse": {"status": 403}, "policies": [{"name": "p", "action": "DENY", "rules": [{}]}]}"#,
    );
    let other = good(
        r#"{"policies": [{"rules": [{}], "action": "DENY", "name": "p"}], "denyResponse": {"status": 403.0}}"#,
    );
    assert_eq!(one, other);
}

#[test]
fn a_set_may_be_defined_after_its_use_and_unused() {
    let config = good(
        r#"{"policies": [{"name": "p", "rules": [{"to": [{"operation": {"notHosts": ["@b"]}}]}]}],
            "hostSets": {"b": ["*"], "a.c": ["8.8.8.8:443"]}}"#,
    );
    let names: Vec<_> = config.host_sets.iter().map(|set| &*set.name).collect();
    assert_eq!(names, ["a.c", "b"]);
    let engine = Engine::new(config);
    assert_eq!((engine.host_sets().len(), engine.policies().len()), (2, 1));
}
