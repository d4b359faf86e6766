//! The stories A to D, played on a real Envoy with the policies that `egressctl render` wrote, and with the routes that its
//! Gateway and VirtualServices amount to.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use anyhow::{Context as _, Result};
use egress_lab::filter::Protocol;
use egress_lab::paths::{filter_wasm, repo_dir};
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{Cluster, HttpRoute, Site, TcpRoute};
use egress_lab::story::{Gets, Player, Story};
use serde::Deserialize;
use serde_json::Value;

/// A step of a story (by its index) and the gateway file that says the same.
const TOLD: &[(&str, &[(usize, &str)])] = &[
    ("A", &[(0, "a")]),
    ("B1", &[(0, "b1")]),
    ("B2", &[(0, "b2")]),
    ("B3", &[(0, "b3")]),
    ("B4", &[(0, "b4")]),
    ("B5", &[(0, "b1"), (1, "b2"), (3, "b3"), (4, "b4")]),
    ("C", &[(0, "c"), (1, "c"), (3, "c-passthrough"), (4, "c-no-post")]),
    ("D", &[(0, "d")]),
];

/// The resources of a rendered file.
struct Rendered {
    documents: Vec<Value>,
}

impl Rendered {
    fn read(name: &str) -> Result<Self> {
        let path = repo_dir()?.join(format!("examples/egress/rendered/{name}.yaml"));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let documents = yaml_serde::Deserializer::from_str(&text);
        let documents = documents.map(|document| Ok(Value::deserialize(document)?)).collect::<Result<_>>()?;
        Ok(Self { documents })
    }

    fn of<'d>(&'d self, kind: &'d str) -> impl Iterator<Item = &'d Value> {
        self.documents.iter().filter(move |document| document["kind"] == kind)
    }

    /// The policy, which both plugins share; the lab gives each place its `type`.
    fn policy(&self) -> Value {
        let plugin = self.of("WasmPlugin").next().unwrap();
        let mut config = plugin["spec"]["pluginConfig"].clone();
        config.as_object_mut().unwrap().remove("type");
        config
    }

    /// What istiod makes of the routes from the gateway on, in the lab's terms.
    fn routes(&self) -> (Vec<HttpRoute>, Vec<TcpRoute>, Vec<Cluster>) {
        let (mut http, mut tcp, mut clusters) = (Vec::new(), Vec::new(), Vec::new());
        for service in self.of("VirtualService") {
            let own = service["spec"]["gateways"][1].as_str().unwrap();
            for (way, list) in service["spec"]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(key, _)| ["http", "tls", "tcp"].contains(&key.as_str()))
            {
                for route in list.as_array().unwrap() {
                    if route["match"][0]["gateways"][0] != own {
                        continue;
                    }
                    let to = &route["route"][0]["destination"];
                    let host = to["host"].as_str().unwrap().to_owned();
                    let subset = to["subset"].as_str().unwrap_or_default();
                    let name = format!("outbound|{}|{subset}|{host}", to["port"]["number"]);
                    let originated = self.originates(&host, subset);
                    let site = match (way.as_str(), originated) {
                        ("http", true) => Site::Https,
                        ("http", false) => Site::Http,
                        _ => Site::Tls,
                    };
                    let sni = originated.then(|| host.clone());
                    clusters.push(Cluster { name: name.clone(), to: site, sni, address: None });
                    if way == "http" {
                        http.push(HttpRoute { hosts: vec![host], cluster: name, rewrite: None });
                    } else {
                        tcp.push(TcpRoute { sni: vec![host], cluster: name });
                    }
                }
            }
        }
        (http, tcp, clusters)
    }

    /// Whether a DestinationRule has the gateway speak TLS, with the site's name verified.
    fn originates(&self, host: &str, subset: &str) -> bool {
        let rule = self.of("DestinationRule").find(|rule| rule["spec"]["host"] == host);
        let subsets = rule.and_then(|rule| rule["spec"]["subsets"].as_array());
        let Some(subset) = subsets.into_iter().flatten().find(|entry| entry["name"] == subset) else {
            return false;
        };
        let tls = &subset["trafficPolicy"]["portLevelSettings"][0]["tls"];
        tls["mode"] == "SIMPLE" && tls["sni"] == host && tls["subjectAltNames"][0] == host
    }
}

fn rendered_story(story: &Story, steps: &[(usize, &str)]) -> Result<Vec<Story>> {
    let mut stories = Vec::new();
    for (index, name) in steps {
        let rendered = Rendered::read(name)?;
        let mut told = story.clone();
        let mut step = story.steps.get(*index).context("the story has no such step")?.clone();
        step.policy = Some(rendered.policy());
        for request in &mut step.requests {
            // The verdicts are the story's. A list of a namespace refuses others by what it does not say, and its policies
            // have the names that `render` gives them: reasons differ.
            request.reason = None;
            request.log.clear();
        }
        told.name = format!("{}/{name}", story.name);
        told.steps = vec![step];
        told.gateway.originate.clear();
        (told.gateway.http_routes, told.gateway.tcp_routes, told.gateway.clusters) = rendered.routes();
        stories.push(told);
    }
    Ok(stories)
}

#[test]
fn what_render_writes_tells_the_stories() {
    let repository = repo_dir().unwrap();
    let stories = Story::load_all(&repository.join("tests/stories")).unwrap();
    let mut told = Vec::new();
    for (name, steps) in TOLD {
        let story = stories.iter().find(|story| story.name == *name).unwrap();
        told.extend(rendered_story(story, steps).unwrap());
    }
    let mut player = Player::new(EnvoyBinary::find().unwrap(), filter_wasm().unwrap());
    player.protocols = vec![Protocol::Http, Protocol::Network];
    let outcome = player.play(&told).unwrap();
    let wanted: usize = told.iter().map(|story| story.requests().count()).sum();
    assert_eq!(outcome.rows.len(), wanted);
    let wrong: Vec<String> = outcome
        .rows
        .iter()
        .filter(|row| !row.ok)
        .map(|row| format!("{}: {} asks {}: {}", row.story, row.who, row.asks, row.problems.join("; ")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Neither everything nor nothing passes.
    let passed =
        told.iter().flat_map(Story::requests).filter(|request| request.gets == Gets::Status(200)).count();
    assert!(passed > 10 && passed < wanted - 10, "{passed} of {wanted}");
}
