//! The first scenarios, played on a real Envoy with the policies that `egressctl render` wrote, and with the routes that its
//! Gateway and VirtualServices amount to.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use egress_delivery_tests::egressctl;
use egress_lab::filter::Protocol;
use egress_lab::paths::{filter_wasm, repo_dir};
use egress_lab::provision::EnvoyBinary;
use egress_lab::scenario::{Gets, Player, Scenario};
use egress_lab::shape::{Cluster, HttpRoute, Site, TcpRoute};
use serde::Deserialize;
use serde_json::Value;

/// A step of a scenario (by its index) and the gateway file that says the same.
const PLAYED: &[(&str, &[(usize, &str)])] = &[
    ("deny-namespace", &[(0, "deny-namespace")]),
    ("allow-nothing", &[(0, "allow-nothing")]),
    ("allow-by-host-and-method", &[(0, "allow-by-host-and-method")]),
    ("deny-site-by-namespace", &[(0, "deny-site-by-namespace")]),
    ("deny-account-by-server-name", &[(0, "deny-account-by-server-name")]),
    (
        "tls-by-the-same-policies",
        &[
            (0, "allow-nothing"),
            (1, "allow-by-host-and-method"),
            (3, "deny-site-by-namespace"),
            (4, "deny-account-by-server-name"),
        ],
    ),
    (
        "egress-traffic-policy",
        &[
            (0, "egress-traffic-policy"),
            (1, "egress-traffic-policy"),
            (3, "egress-traffic-policy-passthrough"),
            (4, "egress-traffic-policy-no-post"),
        ],
    ),
    ("only-the-product-page", &[(0, "only-the-product-page")]),
];

/// The resources that a gateway file comes to.
struct Rendered {
    documents: Vec<Value>,
}

impl Rendered {
    fn read(name: &str) -> Result<Self> {
        let file = repo_dir()?.join(format!("examples/egress/{name}.yaml"));
        let output = Command::new(egressctl()?).arg("render").arg(&file).output()?;
        ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let documents = yaml_serde::Deserializer::from_slice(&output.stdout);
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

fn rendered_scenario(scenario: &Scenario, steps: &[(usize, &str)]) -> Result<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    for (index, name) in steps {
        let rendered = Rendered::read(name)?;
        let mut told = scenario.clone();
        let mut step = scenario.steps.get(*index).context("the scenario has no such step")?.clone();
        step.policy = Some(rendered.policy());
        for request in &mut step.requests {
            // The verdicts are the scenario's. A list of a namespace refuses others by what it does not say, and its policies
            // have the names that `render` gives them: reasons differ.
            request.reason = None;
            request.log.clear();
        }
        told.name = format!("{}/{name}", scenario.name);
        told.steps = vec![step];
        told.gateway.originate.clear();
        (told.gateway.http_routes, told.gateway.tcp_routes, told.gateway.clusters) = rendered.routes();
        scenarios.push(told);
    }
    Ok(scenarios)
}

#[test]
fn what_render_writes_gives_the_answers() {
    let repository = repo_dir().unwrap();
    let scenarios = Scenario::load_all(&repository.join("tests/scenarios")).unwrap();
    let mut told = Vec::new();
    for (name, steps) in PLAYED {
        let scenario = scenarios.iter().find(|scenario| scenario.name == *name).unwrap();
        told.extend(rendered_scenario(scenario, steps).unwrap());
    }
    let mut player = Player::new(EnvoyBinary::find().unwrap(), filter_wasm().unwrap());
    player.protocols = vec![Protocol::Http, Protocol::Network];
    let outcome = player.play(&told).unwrap();
    let wanted: usize = told.iter().map(|scenario| scenario.requests().count()).sum();
    assert_eq!(outcome.rows.len(), wanted);
    let wrong: Vec<String> = outcome
        .rows
        .iter()
        .filter(|row| !row.ok)
        .map(|row| format!("{}: {} asks {}: {}", row.scenario, row.who, row.asks, row.problems.join("; ")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Neither everything nor nothing passes.
    let passed =
        told.iter().flat_map(Scenario::requests).filter(|request| request.gets == Gets::Status(200)).count();
    assert!(passed > 10 && passed < wanted - 10, "{passed} of {wanted}");
}
