//! The work of a decision does not grow with the number of policies: counted, so that no clock has a part in it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use egress_policy::rules::Policy;
use egress_policy::{
    Attributes, Claim, Config, Engine, Facts, Opening, Protocol, Read, Step, Timestamp, Trace, Truth,
    Unreadable,
};
use std::cell::Cell;

use egress_test_support::shapes::{Probe, Shape};

/// What one decision took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Work {
    /// Names looked up in the index.
    look_ups: usize,
    /// Rules evaluated.
    rules: usize,
    /// Attributes asked for: each is a call out of the sandbox.
    attributes: usize,
}

#[derive(Default)]
struct Counter(Work);

impl Trace for Counter {
    fn step(&mut self, _: Step, _: bool) {}

    fn rule(&mut self, _: &Policy, _: usize, _: Truth) {
        self.0.rules += 1;
    }

    fn look_ups(&mut self, names: usize) {
        self.0.look_ups += names;
    }
}

/// A request that counts what is asked about it.
struct Asker<'p> {
    probe: &'p Probe,
    asked: Cell<usize>,
    is_network: bool,
}

impl Asker<'_> {
    fn answer(&self, text: &str) -> Read<Vec<u8>> {
        self.asked.set(self.asked.get() + 1);
        Ok(Some(text.as_bytes().to_vec()))
    }
}

impl Attributes for Asker<'_> {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        let (namespace, account) = self.probe.workload.split_once('/').unwrap();
        self.answer(&format!("spiffe://cluster.local/ns/{namespace}/sa/{account}"))
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        self.answer(&self.probe.host)
    }

    fn authority(&self) -> Read<Vec<u8>> {
        self.answer(&self.probe.host)
    }

    fn method(&self) -> Read<Vec<u8>> {
        self.answer("GET")
    }

    fn path(&self) -> Read<Vec<u8>> {
        self.answer(&self.probe.path)
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        panic!("the certificate has a name");
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        panic!("the certificate has a name");
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        panic!("no rule needs it");
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        panic!("no rule needs it");
    }

    fn destination_port(&self) -> Read<u16> {
        panic!("no rule needs it");
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        assert!(self.is_network, "nothing needs it on HTTP");
        self.answer("a-cluster-of-no-form")
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        panic!("nothing needs it on HTTP");
    }

    fn header(&self, _: &str) -> Read<Vec<u8>> {
        panic!("no rule needs it");
    }

    fn claim(&self, _: &[Box<str>]) -> Read<Claim> {
        panic!("no rule needs it");
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        assert!(self.is_network, "nothing expires");
        self.asked.set(self.asked.get() + 1);
        Ok(Timestamp::from_unix(1_800_000_000, 0))
    }
}

fn work(engine: &Engine, probe: &Probe, admitted: bool) -> Work {
    let asker = Asker { probe, asked: Cell::new(0), is_network: false };
    let facts = Facts::http(&asker, &engine.settings().trust_domains, engine.settings().path_readings);
    assert_eq!(facts.protocol(), Protocol::Http);
    let mut counter = Counter::default();
    let decision = engine.decide_traced(&facts, &mut counter);
    assert_eq!(decision.refusal().is_none(), admitted, "{probe:?}: {decision}");
    Work { attributes: asker.asked.get(), ..counter.0 }
}

/// A connection's admission, with everything expiring at an instant of its own: no more work for 10,000 policies than for 10,
/// the search for the next of those instants included, which is all that grows, and by its logarithm.
#[test]
fn an_admission_of_a_connection_is_no_more_work_either() {
    let works = [10_usize, 10_000].map(|policies| {
        let shape = Shape::Namespaces;
        let mut config = shape.config(policies);
        config["type"] = "NETWORK".into();
        for (at, policy) in config["policies"].as_array_mut().unwrap().iter_mut().enumerate() {
            policy["expires"] =
                format!("2100-01-01T{:02}:{:02}:{:02}Z", at / 3_600, at / 60 % 60, at % 60).into();
        }
        let engine = Engine::new(Config::parse(config.to_string().as_bytes()).unwrap());
        let probe = shape.probe(policies);
        let asker = Asker { probe: &probe, asked: Cell::new(0), is_network: true };
        let opening = Opening::Tls { server_name: Some(probe.host.clone().into_bytes()), encrypted: false };
        let facts = Facts::network(&asker, &engine.settings().trust_domains, opening);
        let mut counter = Counter::default();
        let decision = engine.decide_traced(&facts, &mut counter);
        assert!(decision.refusal().is_none() && decision.next_change.is_some(), "{decision}");
        Work { attributes: asker.asked.get(), ..counter.0 }
    });
    assert_eq!(works[0], works[1]);
    // Peer, server name, clock, cluster.
    assert_eq!(works[0].attributes, 4);
}

fn engine(shape: Shape, policies: usize) -> Engine {
    Engine::new(Config::parse(shape.config(policies).to_string().as_bytes()).unwrap())
}

/// All shapes whose rules are told apart by identity or host.
fn indexed() -> impl Iterator<Item = Shape> {
    Shape::ALL.into_iter().filter(|shape| *shape != Shape::Paths)
}

#[test]
fn ten_thousand_policies_are_no_more_work_than_ten() {
    for shape in indexed() {
        let works = [10, 10_000].map(|policies| work(&engine(shape, policies), &shape.probe(policies), true));
        assert_eq!(works[0], works[1], "{}", shape.name());
        // A name of the peer and one of the host at least, or nothing was counted.
        assert!(
            works[0].rules <= 2 && (2..=12).contains(&works[0].look_ups),
            "{}: {:?}",
            shape.name(),
            works[0]
        );
    }
    let look_ups = |shape: Shape| work(&engine(shape, 10), &shape.probe(10), true).look_ups;
    assert!(look_ups(Shape::Wildcards) > look_ups(Shape::Hosts), "a wildcard is looked for label by label");
}

#[test]
fn a_refusal_is_no_more_work_either() {
    for shape in indexed().filter(|shape| *shape != Shape::MatchLast) {
        let works = [10, 10_000].map(|policies| {
            let elsewhere = Probe { host: "elsewhere.example".to_owned(), ..shape.probe(policies) };
            work(&engine(shape, policies), &elsewhere, false)
        });
        assert_eq!(works[0], works[1], "{}", shape.name());
        assert_eq!(works[0].rules, 0, "{}: no rule could match", shape.name());
    }
}

/// Identity, authority, and the server name for its guard; methods and paths where a rule asks for them.
#[test]
fn what_is_asked_is_what_a_rule_needs() {
    for shape in indexed() {
        let names_paths = matches!(shape, Shape::MethodsPaths | Shape::EncodedPaths);
        let expected = if names_paths { 5 } else { 3 };
        let work = work(&engine(shape, 1_000), &shape.probe(1_000), true);
        assert_eq!(work.attributes, expected, "{}", shape.name());
    }
}

/// The counter counts: where nothing but the path tells rules apart, each of them is evaluated.
#[test]
fn rules_that_only_a_path_tells_apart_are_walked() {
    for policies in [10, 1_000] {
        let work = work(&engine(Shape::Paths, policies), &Shape::Paths.probe(policies), true);
        assert_eq!(work.rules, policies);
    }
}
