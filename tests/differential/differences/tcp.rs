//! Connections: what istiod drops or swells, and what is decided on them.

use std::collections::BTreeMap;
use std::time::Duration;

use egress_lab::client::Tls;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::mesh::Mesh;
use egress_lab::paths::filter_wasm;
use egress_lab::shape::{Cluster, ConnectMode, Kind, Listener, Shape, Site};

use super::{by, differs_on, get};
use crate::bench::{Bench, Side};
use crate::istio;
use crate::model::{PolicySet, Protocol, Request};

fn connection(sni: &str) -> Request {
    Request { sni: Some(sni.to_owned()), ..get("unused.example") }
}

fn tcp(yaml: &str, request: &Request, ours: &str, native: &str) {
    differs_on(Protocol::Tcp, yaml, request, ours, native);
}

#[test]
fn an_allow_with_hosts_admits_connections() {
    if !Bench::knows_connections() {
        return;
    }
    let hosts = "policies: [{name: p, rules: [{to: [{operation: {hosts: ['*.example.com']}}]}]}]";
    tcp(hosts, &connection("www.example.com"), "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
}

#[test]
fn a_deny_with_hosts_refuses_those_hosts_only() {
    if !Bench::knows_connections() {
        return;
    }
    // istiod forgets the field, and the rule is for every connection.
    let yaml = "policies: [{name: p, action: DENY, rules: [{to: [{operation: {hosts: [bad.example]}}]}]}]";
    let native = "deny[ns[istio-system]-policy[p]-rule[0]]";
    tcp(yaml, &connection("www.example.com"), "allow[default_action]", native);
}

#[test]
fn an_allow_keeps_what_a_connection_has() {
    if !Bench::knows_connections() {
        return;
    }
    // istiod drops the whole rule for one field of HTTP; here that operation alone comes to nothing.
    let yaml =
        "policies: [{name: p, rules: [{to: [{operation: {methods: [GET]}}, {operation: {ports: ['80']}}]}]}]";
    tcp(yaml, &connection("www.example.com"), "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
    let yaml = "policies: [{name: p, rules: [{from: [{source: {requestPrincipals: ['*']}}, {source: {namespaces: [good]}}]}]}]";
    let good = by("spiffe://cluster.local/ns/good/sa/a", connection("www.example.com"));
    tcp(yaml, &good, "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
}

/// A gateway that chooses the site with the handshake, so that it is known when the policies are asked.
fn early_bench(document: &str, change: impl FnOnce(&mut Shape)) -> Mesh {
    let document = super::document(document);
    let native = istio::filters(&PolicySet::parse(Protocol::Tcp, &document), &BTreeMap::new());
    let wasm = Filter::Wasm(Wasm::new(filter_wasm().unwrap(), &document));
    let listeners = [("ours", wasm), ("native", Filter::NativeRbac(native))].map(|(name, filter)| {
        Listener::named(name, Kind::Mtls443, filter).connecting(ConnectMode::OnDownstreamTlsHandshake)
    });
    let mut shape = Shape::new(listeners.to_vec());
    shape.default_tcp_cluster = Some("world-banner".to_owned());
    change(&mut shape);
    Mesh::start(&shape, &[]).unwrap()
}

/// Whether a client that says nothing gets anything.
fn greeted(mesh: &Mesh, listener: &str) -> bool {
    let identity = mesh.identity("default/sleep").unwrap();
    let mut stream = mesh.direct(listener, Some(identity), Some("www.example.com"), &[]).unwrap();
    // A client that is refused is hung up on; one that is let in is greeted.
    stream.receive(Duration::from_secs(5)).is_ok_and(|bytes| bytes.is_some())
}

#[test]
fn a_connection_carried_to_another_host_is_refused() {
    if !Bench::knows_connections() {
        return;
    }
    let mesh = early_bench("policies: [{name: p, rules: [{}]}]", |shape| {
        let name = "outbound|443||elsewhere.example".to_owned();
        shape.default_tcp_cluster = Some(name.clone());
        shape.clusters.push(Cluster { name, to: Site::Tls, sni: None, address: None });
    });
    let tls = Tls::public(mesh.public(), "www.example.com").unwrap();
    let reaches = |listener| {
        let identity = mesh.identity("default/sleep").unwrap();
        let stream = mesh.direct(listener, Some(identity), Some("www.example.com"), &[]).unwrap();
        stream.tls(&tls).is_ok()
    };
    assert_eq!((reaches("ours"), reaches("native")), (false, true));
}

#[test]
fn a_server_that_speaks_first_does_not_greet_who_is_refused() {
    if !Bench::knows_connections() {
        return;
    }
    let mesh = early_bench("policies: [{name: p, rules: []}]", |_| {});
    assert_eq!((greeted(&mesh, "ours"), greeted(&mesh, "native")), (false, true));
}

#[test]
fn bytes_that_only_begin_like_a_hello_are_refused() {
    if !Bench::knows_connections() {
        return;
    }
    let bench = Bench::shared(Protocol::Tcp);
    let mut bench = Bench::turn(&bench);
    super::load(&mut bench, Protocol::Tcp, "policies: [{name: p, rules: [{}]}]");
    for bytes in [
        &b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"[..],
        b"\x15\x03\x01\x00\x02\x01\x5a",
        b"\x16\x02\x01\x00\x40\x01\x00\x00\x3c\x03\x03",
        b"\x80\x2e\x01\x03\x01",
    ] {
        let mut allowed = |side: Side| {
            let wire = bench.connect(&connection("www.example.com"), &side.listener(80)).unwrap();
            wire.knock(bytes).unwrap()
        };
        assert!(!allowed(Side::Ours), "{bytes:?}");
        assert!(allowed(Side::Native), "{bytes:?}");
    }
}

#[test]
fn a_live_connection_ends_with_its_permission() {
    if !Bench::knows_connections() {
        return;
    }
    let bench = Bench::shared(Protocol::Tcp);
    let mut bench = Bench::turn(&bench);
    super::load(&mut bench, Protocol::Tcp, "policies: [{name: p, rules: [{}]}]");
    let mut wires = [Side::Ours, Side::Native]
        .map(|side| bench.connect(&connection("www.example.com"), &side.listener(80)).unwrap());
    for wire in &mut wires {
        assert!(wire.echoes(b"one\n").unwrap());
    }
    super::load(&mut bench, Protocol::Tcp, "policies: [{name: p, rules: []}]");
    let [ours, native] = &mut wires;
    assert!(!ours.echoes(b"two\n").unwrap());
    assert!(native.echoes(b"two\n").unwrap());
}
