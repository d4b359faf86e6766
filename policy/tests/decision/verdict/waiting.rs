//! What a decision tells its carrier to wait for, and when it may change.

use super::{allow_all, http_config, network_config, with};
use crate::support::{Answer, Fake, Request, engine, http, there, tls};
use egress_policy::Pending::{Address, Route};
use egress_policy::{Pending, Timestamp};
use serde_json::{Value, json};

fn pending(config: &Value, request: &Request) -> Option<Pending> {
    let engine = engine(config);
    let fake = Fake::new(request);
    engine.decide(&fake.facts(&engine)).pending
}

fn open(settings: &Value) -> Value {
    with(&network_config(&json!([allow_all()])), settings)
}

fn chosen(request: &Request) -> Request {
    request.clone().cluster("outbound|443||h.example").with(|r| r.upstream = there("9.9.9.9:443"))
}

#[test]
fn a_guard_waits_for_what_the_gateway_has_not_chosen() {
    let early = tls("a/x", "h.example");
    let dialling = early.clone().cluster("outbound|443||h.example");
    let address = json!({"privateUpstreams": "DENY", "routeMismatch": "ALLOW"});
    for (settings, request, expected) in [
        (json!({}), &early, Some(Route)),
        (json!({"routeMismatch": "DRY_RUN"}), &early, Some(Route)),
        (json!({"routeMismatch": "ALLOW"}), &early, None),
        (json!({}), &dialling, None),
        (address.clone(), &early, Some(Route)),
        (address.clone(), &dialling, Some(Address)),
        (address.clone(), &chosen(&early), None),
        // Nothing is held in a dry run: the guard is asked later.
        (json!({"privateUpstreams": "DENY", "mode": "DRY_RUN"}), &dialling, Some(Route)),
        // Both wait, and the address is what can be waited for.
        (json!({"privateUpstreams": "DENY"}), &dialling, Some(Address)),
        (json!({"privateUpstreams": "DENY"}), &early, Some(Route)),
    ] {
        assert_eq!(pending(&open(&settings), request), expected, "{settings} {:?}", request.cluster);
    }
    // An address that cannot be read is there, and refused.
    let unreadable = early.clone().with(|r| r.upstream = Answer::Unreadable);
    assert_eq!(pending(&open(&address), &unreadable), None);
    // Without a host there is nothing to compare a route with.
    assert_eq!(pending(&open(&json!({})), &crate::support::plain("a/x")), None);
    // What is refused waits for nothing, and HTTP never does.
    assert_eq!(pending(&network_config(&json!([])), &early), None);
    let guarded = with(&http_config(&json!([allow_all()])), &json!({"routeMismatch": "DENY"}));
    assert_eq!(pending(&guarded, &http("a/x", "h.example")), None);
}

#[test]
fn a_second_verdict_changes_nothing_about_the_wait() {
    let trial = json!({"name": "trial", "action": "DENY", "mode": "DRY_RUN", "rules": [{}]});
    let config = network_config(&json!([allow_all(), trial]));
    assert_eq!(pending(&config, &tls("a/x", "h.example")), Some(Route));
}

#[test]
fn when_it_is_asked_only_the_guard_refuses() {
    let elsewhere = tls("a/x", "h.example").cluster("outbound|443||elsewhere.example");
    let later = |settings: &Value, policies: &Value, request: &Request| {
        let engine = engine(&with(&network_config(policies), settings));
        let fake = Fake::new(request);
        engine.decide_pending(&fake.facts(&engine)).to_string()
    };
    let all = json!([allow_all()]);
    assert_eq!(later(&json!({}), &all, &elsewhere), "deny[route_mismatch]");
    assert_eq!(later(&json!({}), &all, &chosen(&elsewhere)), "allow[ns[*]-policy[all]-rule[0]]");
    let dry = json!({"routeMismatch": "DRY_RUN"});
    assert_eq!(later(&dry, &all, &elsewhere), "allow[ns[*]-policy[all]-rule[0]] would_deny[route_mismatch]");
    assert_eq!(later(&json!({"mode": "DRY_RUN"}), &all, &elsewhere), "would_deny[route_mismatch]");
    // A policy that would refuse it by now is for the recheck.
    let denied = later(&json!({}), &json!([]), &chosen(&elsewhere));
    assert!(denied.starts_with("allow["), "{denied}");
}

#[test]
fn the_next_change_is_the_next_expiry_of_those_that_can_be() {
    let policy = |name: &str, namespace: Value, expires: &str| json!({"name": name, "namespace": namespace, "expires": expires, "rules": [{}]});
    let config = network_config(&json!([
        policy("c", json!("a"), "1970-01-01T00:05:00Z"),
        policy("a", json!("a"), "1970-01-01T00:01:00Z"),
        policy("b", json!("a"), "1970-01-01T00:03:00Z"),
        {"name": "all", "rules": [{}]},
    ]));
    let engine = engine(&config);
    let next = |who: &str, now: i64| {
        let request = tls(who, "h.example").at(now);
        let fake = Fake::new(&request);
        let decision = engine.decide(&fake.facts(&engine));
        assert_eq!(
            fake.asked().contains_key("now"),
            who == "a/x",
            "the clock is read where something expires"
        );
        decision.next_change.map(Timestamp::unix_seconds)
    };
    for (now, expected) in [(0, Some(60)), (59, Some(60)), (60, Some(180)), (299, Some(300)), (300, None)] {
        assert_eq!(next("a/x", now), expected, "{now}");
    }
    assert_eq!(next("b/y", 0), None, "nothing that applies to this peer expires");
    assert_eq!(engine.expiring_within(Timestamp::from_unix(60, 0), 200), 1);
    assert_eq!(engine.expiring_within(Timestamp::from_unix(0, 0), 300), 3);
    assert_eq!(engine.expiring_within(Timestamp::from_unix(300, 0), 1_000), 0);
}

#[test]
fn a_recheck_keeps_its_verdict_and_says_so() {
    let engine = engine(&network_config(&json!([])));
    let request = tls("a/x", "h.example");
    let fake = Fake::new(&request);
    let decision = engine.decide(&fake.facts(&engine));
    assert_eq!(decision.into_recheck().to_string(), "deny[recheck[default_action]]");
}
