//! Who asks: a workload identity of a listed trust domain, read by its structure.

use egress_lab::client::Stream;
use egress_lab::client::http::Ask;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::mesh::Mesh;
use egress_lab::paths::filter_wasm;
use egress_lab::shape::{Kind, Listener, Shape};

use super::{by, differs, document, get};
use crate::istio;
use crate::model::{PolicySet, Protocol};

fn allow(source: &str) -> String {
    format!("policies: [{{name: p, rules: [{{from: [{{source: {{{source}}}}}]}}]}}]")
}

fn in_two_domains(source: &str) -> String {
    format!("trustDomains: [cluster.local, old.example]\n{}", allow(source))
}

#[test]
fn an_unlisted_trust_domain_is_refused() {
    let foreign = by("spiffe://evil.example/ns/default/sa/sleep", get("www.example.com"));
    differs(&allow("namespaces: [default]"), &foreign, "deny[untrusted_domain]", "allow");
    differs(&allow("serviceAccounts: [default/sleep]"), &foreign, "deny[untrusted_domain]", "allow");
}

#[test]
fn a_trust_domain_is_seen_as_presented() {
    let old = by("spiffe://old.example/ns/default/sa/sleep", get("www.example.com"));
    differs(&in_two_domains("trustDomains: [cluster.local]"), &old, "deny[no_allow_matched]", "allow");
}

#[test]
fn a_prefix_of_a_principal_holds_for_every_alias() {
    let old = by("spiffe://old.example/ns/default/sa/sleep", get("www.example.com"));
    let prefix = in_two_domains("principals: ['cluster.local/ns/default/*']");
    differs(&prefix, &old, "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
}

#[test]
fn a_pattern_for_a_trust_domain_has_no_aliases() {
    let old = by("spiffe://old.example/ns/default/sa/sleep", get("www.example.com"));
    let pattern = in_two_domains("principals: ['*.local/ns/default/sa/sleep']");
    differs(&pattern, &old, "deny[no_allow_matched]", "allow");
}

#[test]
fn a_workload_is_read_by_structure() {
    let crafted = by("spiffe://cluster.local/ns/evil/sa/x/ns/default/sa/sleep", get("www.example.com"));
    differs(&allow("namespaces: [default]"), &crafted, "deny[invalid_identity]", "allow");
    differs(&allow("serviceAccounts: [default/sleep]"), &crafted, "deny[invalid_identity]", "allow");
}

#[test]
fn a_namespace_pattern_ends_where_the_namespace_ends() {
    // Istio's regular expression finds the last letter of "/sa/".
    let other = by("spiffe://cluster.local/ns/demo/sa/sleep", get("www.example.com"));
    differs(&allow("namespaces: ['*a']"), &other, "deny[no_allow_matched]", "allow");
    differs(&allow("notNamespaces: ['*a']"), &other, "allow[ns[*]-policy[p]-rule[0]]", "deny[none]");
}

#[test]
fn a_certificate_without_a_workload_identity_is_refused() {
    // Native RBAC falls back to the certificate's subject.
    let nameless = by("", get("www.example.com"));
    differs(&allow("principals: ['*']"), &nameless, "deny[invalid_identity]", "allow");
    let other = by("https://example.com/somebody", get("www.example.com"));
    differs(&allow("notNamespaces: [default]"), &other, "deny[invalid_identity]", "allow");
}

#[test]
fn a_peer_without_a_certificate_is_refused() {
    let document = document(&format!("defaultAction: ALLOW\n{}", allow("notNamespaces: [bad]")));
    let native =
        istio::filters(&PolicySet::parse(Protocol::Http, &document), &std::collections::BTreeMap::new());
    let wasm = Wasm::new(filter_wasm().unwrap(), &document);
    let shape = Shape::new(vec![
        Listener::named("ours", Kind::Ambient80, Filter::Wasm(wasm)),
        Listener::named("native", Kind::Ambient80, Filter::NativeRbac(native)),
    ]);
    let mut mesh = Mesh::start(&shape, &[]).unwrap();
    let ask = Ask::parse("GET http://www.example.com/").unwrap();
    let status = |mesh: &Mesh, listener| {
        Stream::connect(mesh.gateway().address(listener).unwrap()).unwrap().http1(&ask).unwrap().status
    };
    assert_eq!((status(&mesh, "ours"), status(&mesh, "native")), (403, 200));
    // Unless it is wanted so.
    let mut evaluated = document;
    evaluated["unauthenticated"] = "EVALUATE".into();
    mesh.gateway_mut().set_policy(&evaluated).unwrap();
    assert_eq!((status(&mesh, "ours"), status(&mesh, "native")), (200, 200));
}
