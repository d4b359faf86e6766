//! Random configurations and requests: the engine says what the oracle says, and what must not change a
//! verdict does not.

use crate::generate::{self, Source};
use crate::oracle;
use crate::support::{Answer, Fake, engine, said_by};
use crate::targets::scene;
use egress_policy::config::Effect;
use egress_policy::rules::Policy;
use egress_policy::{Reason, Step, Trace, Truth};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Bytes for a configuration and a few requests.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..600)
}

pub(crate) fn settings() -> ProptestConfig {
    let default = ProptestConfig::default();
    // `PROPTEST_CASES` may ask for fewer, as `make mutants` does, or for more.
    let cases = std::env::var("PROPTEST_CASES").map_or(10_000, |_| default.cases);
    // A failure is printed in its smallest form; there is no file of seeds to keep.
    ProptestConfig { cases, failure_persistence: None, ..default }
}

/// The same configuration with other policies.
fn with_policies(config: &Value, policies: Vec<Value>) -> Value {
    let mut changed = config.clone();
    changed["policies"] = json!(policies);
    changed
}

fn policies(config: &Value) -> Vec<Value> {
    config["policies"].as_array().unwrap().clone()
}

/// What is carried out, without what is only reported.
fn carried_out(verdict: &str) -> &str {
    verdict.split(" would_").next().unwrap()
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn the_engine_says_what_the_oracle_says(bytes in bytes()) {
        let (config, requests) = scene(&bytes);
        let engine = engine(&config);
        for request in &requests {
            prop_assert_eq!(said_by(&engine, request), oracle::decide(&config, request), "{:#}\n{:#?}", config, request);
        }
    }

    /// Kleene's logic is monotone: whatever value stands behind what cannot be read, a request that is
    /// admitted without it is admitted with it.
    #[test]
    fn what_is_admitted_unread_is_admitted_whatever_it_is(bytes in bytes(), which in 0..8_usize) {
        let (mut config, requests) = scene(&bytes);
        // Guards need what they compare; under `mode: DRY_RUN` nothing is refused.
        config.as_object_mut().unwrap().remove("mode");
        let engine = engine(&config);
        for request in &requests {
            let unread = request.clone().with(|r| match which {
                0 => r.method = Answer::Unreadable,
                1 => r.path = Answer::Unreadable,
                2 => r.source = Answer::Unreadable,
                3 => r.destination = Answer::Unreadable,
                4 => r.port = Answer::Unreadable,
                5 => r.token = Answer::Unreadable,
                6 => { r.headers.insert("x-a".to_owned(), Answer::Unreadable); }
                _ => { r.headers.insert("x-b".to_owned(), Answer::Unreadable); }
            });
            if said_by(&engine, &unread).verdict.starts_with("allow") {
                prop_assert!(said_by(&engine, request).verdict.starts_with("allow"), "{:#}\n{:#?}", config, request);
            }
        }
    }

    /// A policy of another namespace changes nothing: not the verdict, not what is reported.
    #[test]
    fn another_namespaces_policy_changes_nothing(bytes in bytes(), at in 0..6_usize) {
        let (config, requests) = scene(&bytes);
        let mut foreign = generate::policy(&mut Source::new(&bytes[bytes.len() / 2..]), 9);
        foreign["namespace"] = json!("elsewhere");
        let mut more = policies(&config);
        more.insert(at.min(more.len()), foreign);
        let (before, after) = (engine(&config), engine(&with_policies(&config, more)));
        for request in &requests {
            prop_assert_eq!(said_by(&before, request), said_by(&after, request), "{:#}\n{:#?}", config, request);
        }
    }

    /// An expired DENY or AUDIT is as good as gone, an expired ALLOW is one that allows nothing, and what
    /// has not expired is as if it never would.
    #[test]
    fn expired_policies_are_spent(bytes in bytes()) {
        let (config, requests) = scene(&bytes);
        let spent = |policy: &Value| policy["expires"].as_str().is_some_and(|at| at <= "1970-01-01T00:10:00Z");
        let resolved = policies(&config)
            .into_iter()
            .filter(|policy| !spent(policy) || policy["action"] == "ALLOW")
            .map(|mut policy| {
                if spent(&policy) {
                    policy["rules"] = json!([]);
                }
                policy.as_object_mut().unwrap().remove("expires");
                policy
            })
            .collect();
        let (before, after) = (engine(&config), engine(&with_policies(&config, resolved)));
        for request in requests.iter().filter(|request| request.now != Answer::Unreadable) {
            let (before, after) = (said_by(&before, request), said_by(&after, request));
            prop_assert_eq!(without_expired(&before.verdict), after.verdict, "{:#}\n{:#?}", config, request);
            prop_assert_eq!(before.audit, after.audit);
        }
    }

    /// What is in dry run touches no traffic, and what it reports is what enforcing it would do.
    #[test]
    fn dry_run_is_what_enforcing_would_do(bytes in bytes()) {
        let (mut config, requests) = scene(&bytes);
        config.as_object_mut().unwrap().remove("mode");
        let is_dry = |policy: &Value| policy["mode"] == "DRY_RUN";
        let without = policies(&config).into_iter().filter(|policy| !is_dry(policy)).collect();
        let all = policies(&config).into_iter().map(|mut policy| {
            policy.as_object_mut().unwrap().remove("mode");
            policy
        });
        let mut enforced = with_policies(&config, all.collect());
        let mut without = with_policies(&config, without);
        for guard in ["sniMismatch", "routeMismatch"] {
            if config[guard] == "DRY_RUN" {
                enforced[guard] = json!("DENY");
                without[guard] = json!("ALLOW");
            }
        }
        let mut mode = config.clone();
        mode["mode"] = json!("DRY_RUN");
        let engines = [&config, &without, &enforced, &mode].map(engine);
        for request in requests.iter().filter(|request| request.now != Answer::Unreadable) {
            let [says, untouched, would, dry_run] = [0, 1, 2, 3].map(|at| said_by(&engines[at], request).verdict);
            prop_assert_eq!(carried_out(&says), &untouched);
            let differs = untouched.starts_with("allow") != would.starts_with("allow");
            let expected = if differs { format!("{untouched} would_{would}") } else { untouched };
            prop_assert_eq!(says, expected, "{:#}\n{:#?}", config, request);
            let expected = if would.starts_with("allow") { would } else { format!("would_{would}") };
            prop_assert_eq!(dry_run, expected, "{:#}\n{:#?}", config, request);
        }
    }

    /// The steps that are told come in their order, and the last that hits is the one that the reason names.
    #[test]
    fn the_steps_told_lead_to_the_verdict(bytes in bytes()) {
        let (config, requests) = scene(&bytes);
        let engine = engine(&config);
        for request in &requests {
            let (fake, mut told) = (Fake::new(request), Told::default());
            let decision = engine.decide_traced(&fake.facts(&engine), &mut told);
            let verdict = decision.verdict.as_ref().or(decision.dry_run_verdict.as_ref()).unwrap();
            let order: Vec<_> = told.0.iter().map(|(step, _)| STEPS.iter().position(|known| known == step)).collect();
            prop_assert!(order.is_sorted_by(|one, next| one < next), "{:?}", told);
            let hit = told.0.iter().rev().find(|(_, hit)| *hit).map(|(step, _)| *step);
            let expected: &[Step] = match (&verdict.reason, verdict.effect) {
                (Reason::Rule(_), Effect::Allow) => &[Step::Allow],
                (Reason::Rule(_), Effect::Deny) => &[Step::Deny],
                (Reason::Unauthenticated | Reason::InvalidIdentity | Reason::UntrustedDomain, _) => &[Step::Peer],
                (Reason::SniMismatch, _) => &[Step::SniMismatch],
                (Reason::EncryptedHello, _) => &[Step::EncryptedHello],
                (Reason::PrivateAddress, _) => &[Step::PrivateAddress],
                (Reason::NoAllowMatched | Reason::Expired(_), _) => &[Step::Governed],
                (Reason::DefaultAction, _) => &[Step::DefaultAction],
                (Reason::RouteMismatch, _) => &[Step::RouteMismatch],
                (Reason::PrivateUpstream, _) => &[Step::PrivateUpstream],
                (Reason::AttributeUnavailable, _) => {
                    &[Step::Peer, Step::Host, Step::Clock, Step::SniMismatch, Step::RouteMismatch, Step::PrivateUpstream]
                }
                _ => &[Step::Host],
            };
            prop_assert!(hit.is_some_and(|hit| expected.contains(&hit)), "{} {:?}", decision, told);
        }
    }

    /// The order of keys carries no meaning.
    #[test]
    fn keys_in_any_order_are_the_same_configuration(bytes in bytes()) {
        let (config, _) = scene(&bytes);
        let parse = |text: &str| egress_policy::Config::parse(text.as_bytes());
        prop_assert_eq!(parse(&config.to_string()), parse(&keys_reversed(&config)));
    }
}

/// The steps of docs/language.md#5-the-verdict, in its order.
const STEPS: &[Step] = &[
    Step::Peer,
    Step::Host,
    Step::Clock,
    Step::SniMismatch,
    Step::EncryptedHello,
    Step::Deny,
    Step::PrivateAddress,
    Step::Allow,
    Step::Governed,
    Step::DefaultAction,
    Step::RouteMismatch,
    Step::PrivateUpstream,
];

/// Writes down the steps.
#[derive(Debug, Default)]
struct Told(Vec<(Step, bool)>);

impl Trace for Told {
    fn step(&mut self, step: Step, hit: bool) {
        self.0.push((step, hit));
    }

    fn rule(&mut self, policy: &Policy, rule: usize, truth: Truth) {
        assert!(rule < policy.rules.len(), "{truth:?} of a rule that is not there");
    }
}

/// `expired[…]` is how an ALLOW that allows nothing is told from one that has expired.
fn without_expired(verdict: &str) -> String {
    let words = verdict.split(' ').map(|word| match word.split_once("[expired[") {
        Some((effect, _)) => format!("{effect}[no_allow_matched]"),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn keys_reversed(json: &Value) -> String {
    match json {
        Value::Object(object) => {
            let entries =
                object.iter().rev().map(|(key, value)| format!("{}:{}", json!(key), keys_reversed(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(keys_reversed).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// The properties above mean little unless the random cases reach every step: each reason is given, and
/// each kind of second verdict.
#[test]
fn the_random_cases_reach_every_reason() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..10_000 {
        let bytes = bytes().new_tree(&mut runner).unwrap().current();
        let (config, requests) = scene(&bytes);
        let engine = engine(&config);
        for request in &requests {
            let said = said_by(&engine, request);
            for verdict in said.verdict.split(' ') {
                let kind = match verdict.split_once("[ns[") {
                    Some((kind, _)) => format!("{kind}[rule]"),
                    None => verdict.to_owned(),
                };
                *counts.entry(kind).or_default() += 1;
            }
            *counts.entry("audit".to_owned()).or_default() += u32::from(!said.audit.is_empty());
        }
    }
    let reasons = [
        "rule",
        "expired",
        "unauthenticated",
        "invalid_identity",
        "untrusted_domain",
        "malformed_host",
        "malformed_hello",
        "oversized_hello",
        "hello_timeout",
        "encrypted_hello",
        "attribute_unavailable",
        "sni_mismatch",
        "private_address",
        "private_upstream",
        "route_mismatch",
        "no_allow_matched",
        "default_action",
    ];
    let wanted = reasons.map(|reason| format!("deny[{reason}"));
    let others = [
        "allow[rule",
        "allow[default_action",
        "would_deny[rule",
        "would_allow[rule",
        "would_deny[sni_mismatch",
        "would_deny[route_mismatch",
        "audit",
    ];
    for wanted in wanted.iter().map(String::as_str).chain(others) {
        let count: u32 =
            counts.iter().filter(|(kind, _)| kind.starts_with(wanted)).map(|(_, count)| count).sum();
        assert!(count >= 20, "{wanted} only {count} times: {counts:#?}");
    }
}
