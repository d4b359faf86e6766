//! Claims whose types Envoy does not tell a wasm filter: what random tokens brought to light, kept.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::model::{PORTS, PolicySet, Protocol, Request};

/// A claim, a value, and whether the value is one of the claim's.
fn cases() -> [(&'static str, &'static str, Value, bool); 18] {
    [
        ("[groups]", "dev", json!({"groups": ["dev"]}), true),
        ("[groups]", "dev", json!({"groups": "dev"}), true),
        ("[groups]", "dev", json!({"groups": ["", "dev"]}), true),
        ("[groups]", "dev", json!({"groups": ["0", "dev"]}), true),
        ("[groups]", "0", json!({"groups": ["0"]}), true),
        ("[groups]", "1", json!({"groups": ["0", "1"]}), true),
        ("[groups]", "dev", json!({"groups": [null, 3, true, "dev"]}), true),
        ("[groups]", "dev", json!({"groups": [{"x": null}, "dev"]}), true),
        ("[groups]", "dev", json!({"groups": [["dev"]]}), false),
        ("[groups]", "*", json!({"groups": [3, true]}), false),
        ("[groups]", "*", json!({"groups": [""]}), false),
        ("[groups]", "*", json!({"groups": []}), false),
        ("[groups]", "*", json!({"groups": null}), false),
        ("[groups]", "3", json!({"groups": 3}), false),
        ("[groups]", "dev", json!({"groups": {"dev": ""}}), false),
        ("[groups]", "dev", json!({"groups": {"dev": null}}), false),
        ("[groups][0]", "dev", json!({"groups": ["dev"]}), false),
        ("[groups][0]", "dev", json!({"groups": {"0": "dev"}}), true),
    ]
}

#[test]
fn values_of_claims_are_the_same_ones() {
    let bench = Bench::shared(Protocol::Http);
    let mut bench = Bench::turn(&bench);
    for (claim, value, claims, is_one) in cases() {
        let request = Request {
            peer: "spiffe://cluster.local/ns/default/sa/sleep".to_owned(),
            source: Ipv4Addr::LOCALHOST,
            sni: None,
            port: PORTS[0],
            method: "GET".to_owned(),
            host: "example.com".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            claims: Some(claims),
        };
        for (side, allowed) in [("values", is_one), ("notValues", !is_one)] {
            let when = json!([{"key": format!("request.auth.claims{claim}"), side: [value]}]);
            let document = json!({"policies": [{"name": "p", "rules": [{"when": when}]}]});
            bench.load(&PolicySet::parse(Protocol::Http, &document)).unwrap();
            let answers = bench.ask(std::slice::from_ref(&request), false).unwrap().remove(0);
            let said = (answers.ours.allowed, answers.native.allowed);
            assert_eq!(said, (allowed, allowed), "ours, native: {side} {value} of {:?}", request.claims);
        }
    }
}
