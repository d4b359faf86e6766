//! Whatever hosts a gateway file names: what is written, Istio takes, or there is an error.

use super::of_document;
use crate::yaml::{Node, Source, parse};
use egress_policy::names::{is_dns_label, is_dns_subdomain};
use std::collections::HashSet;
use std::rc::Rc;

/// What a gateway file comes to, as documents; none where it is refused.
fn rendered(file: &str) -> Option<Vec<Node>> {
    let source = Rc::new(Source::new("t", file));
    let node = crate::strict::one_document(&source).ok()?;
    let files = of_document(&source, &node).ok()?;
    Some(files.iter().flat_map(|file| parse(&file.text).unwrap()).collect())
}

/// The rules of Istio's validation that names from hosts can break (`pkg/config/validation`): ServiceEntry and Gateway take
/// whole host names of labels, a subset and a Gateway have DNS labels for names, ports of servers have one name each.
fn assert_istio_takes(documents: &[Node]) {
    let mut names = HashSet::new();
    for document in documents {
        let kind = document.text_at(&["kind"]).unwrap();
        if kind == "Kustomization" {
            continue;
        }
        let name = document.text_at(&["metadata", "name"]).unwrap();
        assert!(is_dns_subdomain(name) && (kind != "Gateway" || is_dns_label(name)), "{kind} {name}");
        let namespace = document.text_at(&["metadata", "namespace"]).unwrap_or_default();
        assert!(names.insert((kind, namespace, name)), "two of {kind} {name}");
        let Some(spec) = document.get("spec") else { continue };
        for host in spec.texts("hosts") {
            assert!(
                host.len() <= 253 && host.contains('.') && host.split('.').all(is_dns_label),
                "{kind} {host}"
            );
            assert!(host.rsplit('.').next().unwrap().parse::<u64>().is_err(), "{host} is no name");
        }
        let mut ports = HashSet::new();
        for server in spec.get("servers").into_iter().flat_map(Node::items) {
            let port = server.text_at(&["port", "name"]).unwrap();
            assert!(is_dns_label(port) && ports.insert(port), "port {port}");
        }
        for part in ["subsets", "ports"].iter().filter_map(|part| spec.get(part)).flat_map(Node::items) {
            assert!(is_dns_label(part.text_at(&["name"]).unwrap()), "{kind} {part:?}");
        }
    }
}

/// A generator that needs no seed from outside: a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn host(&mut self) -> String {
        let label = |dice: &mut Self| {
            let alphabet = if dice.roll(8) == 0 { "ab0-_A\u{fc}*" } else { "ab0-" };
            let length = if dice.roll(6) == 0 { 1 + dice.roll(70) } else { 1 + dice.roll(3) };
            (0..length)
                .map(|_| alphabet.chars().nth(dice.roll(alphabet.chars().count())).unwrap())
                .collect::<String>()
        };
        let labels: Vec<String> = (0..=self.roll(4)).map(|_| label(self)).collect();
        labels.join(".")
    }
}

#[test]
fn istio_takes_what_is_written_for_any_hosts() {
    let mut dice = Dice(7);
    let mut hosts = HashSet::new();
    while hosts.len() < 600 {
        let host = dice.host();
        let over = ["HTTP", "TLS", "PASSTHROUGH"][dice.roll(3)];
        let site = format!("sites: [{{hosts: ['{host}'], over: {over}}}]");
        if rendered(&site).is_some_and(|documents| !documents.is_empty()) {
            hosts.insert((host, over));
        }
    }
    let named: HashSet<&str> = hosts.iter().map(|(host, _)| host.as_str()).collect();
    assert!(named.iter().any(|host| host.len() > 63) && named.iter().any(|host| host.contains("--")));
    let mut once = HashSet::new();
    let sites: Vec<String> = hosts
        .iter()
        .filter(|(host, _)| once.insert(host))
        .map(|(host, over)| format!("- {{hosts: ['{host}'], over: {over}}}"))
        .collect();
    let documents = rendered(&format!("sites:\n{}\n", sites.join("\n"))).unwrap();
    assert_istio_takes(&documents);
    let entries = documents.iter().filter(|document| document.text_at(&["kind"]) == Some("ServiceEntry"));
    assert_eq!(entries.count(), once.len(), "a site is missing");
}

#[test]
fn hosts_that_differ_by_a_dot_have_names_of_their_own() {
    let documents =
        rendered("sites: [{hosts: [a-b.example, a.b.example, a.b-example.org, a.b.example.org], over: TLS}]");
    assert_istio_takes(&documents.unwrap());
}
