//! Where both answer differently on purpose: one named test each, both answers on the real Envoy.
//!
//! `docs/differences.md` lists them; [`listed`] holds the list and the tests together.

mod dry_run;
mod grammar;
mod guards;
mod hosts;
mod identity;
mod listed;
mod scope;
mod server_names;
mod sources;
mod tcp;
mod values;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::bench::{Answer, Answers, Bench, Side, neutral_settings};
use crate::model::{PORTS, PolicySet, Protocol, Request};

/// `GET http://<host>/` by the account sleep of the namespace default.
fn get(host: &str) -> Request {
    Request {
        peer: "spiffe://cluster.local/ns/default/sa/sleep".to_owned(),
        source: Ipv4Addr::LOCALHOST,
        sni: Some("www.example.com".to_owned()),
        port: PORTS[0],
        method: "GET".to_owned(),
        host: host.to_owned(),
        path: "/".to_owned(),
        headers: Vec::new(),
        claims: None,
    }
}

/// The same by another workload: a URI.
fn by(peer: &str, request: Request) -> Request {
    Request { peer: peer.to_owned(), ..request }
}

fn document(yaml: &str) -> Value {
    yaml_serde::from_str(yaml).unwrap()
}

/// Both sides take the document; ours with the neutral settings, unless it says otherwise.
fn load(bench: &mut Bench, protocol: Protocol, yaml: &str) {
    let document = document(yaml);
    let set = PolicySet::parse(protocol, &document);
    let mut settings = neutral_settings(&set);
    settings["reportAllowed"] = json!(true);
    for (key, value) in document.as_object().unwrap() {
        settings[key] = value.clone();
    }
    let ports: BTreeMap<u16, u16> = bench.ports(Side::Ours).unwrap();
    bench.load_ours(settings, &set.to_json(&ports)).unwrap();
    bench.load_native(&set).unwrap();
}

fn ask(bench: &mut Bench, request: &Request) -> Answers {
    bench.ask(std::slice::from_ref(request), true).unwrap().remove(0)
}

/// `allow`, or `deny[<rule, or none>]`.
fn native_word(answer: &Answer) -> String {
    let rule = answer.reason.split_once("matched_policy[").and_then(|(_, rest)| rest.strip_suffix(']'));
    if answer.allowed { "allow".to_owned() } else { format!("deny[{}]", rule.unwrap_or_default()) }
}

/// Both answers to one request under one document.
fn differs_on(protocol: Protocol, yaml: &str, request: &Request, ours: &str, native: &str) {
    let bench = Bench::shared(protocol);
    let mut bench = Bench::turn(&bench);
    load(&mut bench, protocol, yaml);
    let answers = ask(&mut bench, request);
    let said = (answers.ours.reason.as_str(), native_word(&answers.native));
    assert_eq!(said, (ours, native.to_owned()), "ours, native to {request:#?} under {yaml}");
    assert_eq!(answers.ours.allowed, ours.starts_with("allow"), "{yaml}");
}

fn differs(yaml: &str, request: &Request, ours: &str, native: &str) {
    differs_on(Protocol::Http, yaml, request, ours, native);
}

/// Our side refuses the document and says why; native RBAC takes what istiod makes of it and answers.
fn refused(yaml: &str, why: &str, request: &Request, native: &str) {
    let bench = Bench::shared(Protocol::Http);
    let mut bench = Bench::turn(&bench);
    let document = document(yaml);
    let log = bench.refused_by_ours(&document).unwrap();
    assert!(log.contains(why), "{why:?} is not in {log}");
    bench.load_native(&PolicySet::parse(Protocol::Http, &document)).unwrap();
    assert_eq!(native_word(&ask(&mut bench, request).native), native, "{yaml}");
}
