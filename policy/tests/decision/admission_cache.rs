//! The admission cache: whoever is admitted from it would be admitted by the engine, in the same words.

use crate::support::{Answer, Fake, Request, Said, engine, http, said_by};
use crate::targets::scene;
use egress_policy::config::{Effect, Mode};
use egress_policy::{AdmissionCache, Attributes as _, Engine, Facts, Protocol, RecordingAttributes};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;

/// A filter with a cache, as the real one: what was said of each admission that is kept, by its place.
struct Filter {
    engine: Engine,
    cache: AdmissionCache,
    kept: HashMap<usize, Said>,
}

/// What came of a request, and whether it came from the cache.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    said: Said,
    is_cached: bool,
}

impl Filter {
    fn new(config: &Value) -> Self {
        Self { engine: engine(config), cache: AdmissionCache::default(), kept: HashMap::new() }
    }

    fn ask(&mut self, request: &Request) -> Came {
        let fake = Fake::new(request);
        let asking = RecordingAttributes::of(&fake);
        let came = match self.cache.get(&asking) {
            Some(id) => Came { said: self.kept[&id.slot()].clone(), is_cached: true },
            None => {
                let settings = self.engine.settings();
                let facts = Facts::http(&asking, &settings.trust_domains, settings.path_readings);
                let decision = self.engine.decide(&facts);
                let id = self.cache.insert(&asking, &decision);
                let said = Said::from(decision);
                if let Some(id) = id {
                    self.kept.insert(id.slot(), said.clone());
                }
                Came { said, is_cached: false }
            }
        };
        let twice: Vec<_> = fake.asked().into_iter().filter(|(_, times)| *times > 1).collect();
        assert_eq!(twice, [], "asked more than once for {request:#?}");
        came
    }

    /// Whether a request is admitted from the cache the second time.
    fn caches(&mut self, request: &Request) -> bool {
        assert!(!self.ask(request).is_cached, "nobody asked before");
        self.ask(request).is_cached
    }
}

/// The same request with one thing else about it.
fn changed(request: &Request, which: usize) -> Request {
    let there = |text: &str| Answer::There(text.as_bytes().to_vec());
    request.clone().with(|r| match which {
        0 => r.method = there("POST"),
        1 => r.path = there("/other"),
        2 => r.sni = Answer::Absent,
        3 => r.sni = there("b.example"),
        4 => r.sni = Answer::Unreadable,
        5 => r.source = there("192.0.2.1:1"),
        6 => r.port = Answer::There(8_443),
        7 => r.now = Answer::There(4_102_444_800),
        8 => r.token = Answer::Absent,
        9 => r.certificate = there("spiffe://cluster.local/ns/b/sa/y"),
        10 => r.authority = there("a.example:8080"),
        11 => r.cluster = there("outbound|80||elsewhere.example"),
        _ => r.headers.clear(),
    })
}

proptest! {
    #![proptest_config(crate::properties::settings())]

    #[test]
    fn what_is_cached_is_what_would_be_decided(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (config, requests) = scene(&bytes);
        let mut filter = Filter::new(&config);
        if filter.engine.settings().protocol == Protocol::Http {
            let others: Vec<Request> =
                requests.iter().flat_map(|request| (0..13).map(|which| changed(request, which))).collect();
            for request in requests.iter().chain(&others).chain(&requests) {
                prop_assert_eq!(filter.ask(request).said, said_by(&filter.engine, request), "{:#}\n{:#?}", config, request);
            }
        }
    }
}

fn allow(rule: &Value) -> Value {
    json!({"policies": [{"name": "p", "rules": [rule]}]})
}

#[test]
fn an_admission_by_name_is_cached() {
    let mut filter = Filter::new(&allow(&json!({"to": [{"operation": {"hosts": ["*.example"]}}]})));
    let request = http("a/x", "www.example").sni("www.example");
    assert!(filter.caches(&request));
    // Whatever it did not look at may be as it likes.
    assert!(filter.ask(&request.clone().method("POST").path("/other")).is_cached);
    // Another spelling is another request, and so is another name.
    for other in ["WWW.example", "www.example.", "www.example:80", "ww.example", "www.exampl"] {
        assert!(!filter.ask(&http("a/x", other).sni("www.example")).is_cached, "{other}");
    }
    assert!(!filter.ask(&http("a/y", "www.example").sni("www.example")).is_cached);
    // The guard compares the server name, so that is part of what is compared.
    assert_eq!(filter.ask(&request.clone().sni("evil.example")).said.verdict, "deny[sni_mismatch]");
    assert!(!filter.ask(&request.clone().with(|r| r.sni = Answer::Absent)).is_cached);
    assert!(!filter.ask(&request.with(|r| r.sni = Answer::Unreadable)).is_cached);
}

#[test]
fn what_asks_for_more_is_decided_each_time() {
    let request = http("a/x", "www.example").header("x-team", "red");
    for rule in [
        json!({"to": [{"operation": {"methods": ["GET"]}}]}),
        json!({"to": [{"operation": {"paths": ["/"]}}]}),
        json!({"to": [{"operation": {"ports": ["80"]}}]}),
        json!({"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}),
        json!({"when": [{"key": "request.headers[x-team]", "values": ["red"]}]}),
        json!({"when": [{"key": "destination.ip", "values": ["10.2.0.1"]}]}),
    ] {
        let mut filter = Filter::new(&allow(&rule));
        assert_eq!(filter.ask(&request).said.verdict, "allow[ns[*]-policy[p]-rule[0]]", "{rule}");
        assert!(!filter.ask(&request).is_cached, "{rule}");
    }
    let expires = json!({"policies": [{"name": "p", "expires": "2030-01-01T00:00:00Z", "rules": [{}]}]});
    assert!(!Filter::new(&expires).caches(&request), "the clock was looked at");
    let waypoint = request
        .clone()
        .anonymous()
        .with(|r| r.filter_state = Answer::There(b"spiffe://cluster.local/ns/a/sa/x".to_vec()));
    assert!(!Filter::new(&allow(&json!({}))).caches(&waypoint), "no certificate");
}

#[test]
fn refusals_and_what_is_reported_are_decided_each_time() {
    let request = http("a/x", "www.example");
    assert!(!Filter::new(&json!({})).caches(&request), "a refusal");
    let dry = json!({"mode": "DRY_RUN"});
    let filter = Filter::new(&dry);
    assert_eq!(filter.engine.settings().mode, Mode::DryRun);
    assert_eq!(filter.engine.settings().default_action, Effect::Deny);
    assert!(!Filter::new(&dry).caches(&request), "would be refused");
    let audit =
        json!({"defaultAction": "ALLOW", "policies": [{"name": "p", "action": "AUDIT", "rules": [{}]}]});
    assert!(!Filter::new(&audit).caches(&request), "an AUDIT match");
}

/// The cache is bounded: long names are not kept …
#[test]
fn long_names_are_not_kept() {
    let longest = 300;
    for (lengths, kept) in [
        ([longest, longest, longest], true),
        ([longest + 1, 1, 1], false),
        ([1, longest + 1, 1], false),
        ([1, 1, longest + 1], false),
    ] {
        let [peer, authority, server_name] = lengths.map(|length| Answer::There(vec![b'a'; length]));
        let request = http("a/x", "www.example").with(|r| {
            (r.certificate, r.authority, r.sni) = (peer, authority, server_name);
        });
        let fake = Fake::new(&request);
        let asking = RecordingAttributes::of(&fake);
        assert!(asking.server_name().is_ok());
        let engine = engine(&json!({"defaultAction": "ALLOW"}));
        let admission = engine.decide(&Fake::new(&http("a/x", "www.example")).facts(&engine));
        let mut cache = AdmissionCache::default();
        assert_eq!(cache.insert(&asking, &admission).is_some(), kept, "{lengths:?}");
        assert_eq!(cache.get(&asking).is_some(), kept, "{lengths:?}");
    }
}

/// … and many are not kept all.
#[test]
fn a_cache_is_bounded() {
    let mut filter = Filter::new(&json!({"defaultAction": "ALLOW"}));
    for at in 0..5_000 {
        filter.ask(&http("a/x", &format!("h{at}.example")));
    }
    let cached =
        (0..5_000).filter(|at| filter.ask(&http("a/x", &format!("h{at}.example"))).is_cached).count();
    assert!((1..=1_024).contains(&cached), "{cached} of 5,000");
}

/// Every place of the cache is taken by somebody who is admitted; who only falls into the same place is not.
#[test]
fn the_same_place_is_not_the_same_request() {
    let rule =
        json!({"from": [{"source": {"namespaces": ["a"]}}], "to": [{"operation": {"hosts": ["*.example"]}}]});
    let mut filter = Filter::new(&allow(&rule));
    for at in 0..10_000 {
        for good in [http(&format!("a/x{at}"), "www.example"), http("a/x", &format!("h{at}.example"))] {
            assert!(filter.ask(&good).said.verdict.starts_with("allow["), "{good:?}");
        }
    }
    for at in 0..5_000 {
        let others = [http(&format!("b/x{at}"), "www.example"), http("a/x", &format!("h{at}.evil"))];
        for other in others {
            assert_eq!(filter.ask(&other).said.verdict, "deny[no_allow_matched]", "{other:?}");
        }
    }
}
