//! A principal that is filter state and no certificate, as in an ambient waypoint.
//!
//! The waypoint itself cannot be played: istiod writes filters of Istio's own into it that the published Envoy lacks. What it
//! would leave for the filter is left here by EnvoyFilters, and everything else is istiod's and the agent's.

use anyhow::{Result, ensure};
use egress_lab::certs::Principal;
use egress_mesh_tests::direct::PEER;
use egress_mesh_tests::{rendered, set};
use serde_json::{Value, json};

use super::Inside;
use super::scenarios::{ask, scenario};

const HOSTS: [&str; 2] = ["www.example.com", "other.example.com"];

pub(crate) fn ambient_principal(inside: &mut Inside) -> Result<()> {
    let scenario = scenario("ambient-principal")?;
    let (mut problems, mut played) = (Vec::new(), 0);
    for step in &scenario.steps {
        let sites = json!([{"hosts": HOSTS, "over": "HTTP"}, {"hosts": HOSTS, "over": "PASSTHROUGH"}]);
        let mut documents = rendered(&inside.mesh, &json!({"sites": sites, "config": step.policy}))?;
        for gateway in documents.iter_mut().filter(|document| document.get("kind") == Some(&json!("Gateway")))
        {
            let plain = json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": HOSTS});
            set(gateway, "/spec/servers/0", plain)?;
        }
        let owner = scenario.gateway.ambient.as_deref().unwrap_or_default();
        documents.push(filter("http", 8080, &by_header()));
        documents.push(filter("tcp", 8444, &fixed(owner)));
        inside.mesh.replace(&documents)?;
        for request in &step.requests {
            played += 1;
            let found = ask(inside, request)?;
            if !found.is_empty() {
                let over = &request.over.name;
                problems.push(format!("{} over {over}: {}: {}", request.who, request.ask, found.join("; ")));
            }
        }
    }
    ensure!(problems.is_empty(), "of {played}:\n{}", problems.join("\n"));
    ensure!(played >= 7, "{played} were played");
    Ok(())
}

fn filter(name: &str, port: u16, patch: &Value) -> Value {
    let (kind, config) = if port == 8080 { ("HTTP_FILTER", "http") } else { ("NETWORK_FILTER", "network") };
    json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": {"name": format!("peer-{name}"), "namespace": "istio-system"},
        "spec": {
            "workloadSelector": {"labels": {"istio": "egressgateway"}},
            "configPatches": [{
                "applyTo": kind,
                "match": {"context": "GATEWAY", "listener": {"portNumber": port}},
                "patch": {"operation": "INSERT_FIRST", "value": {
                    "name": format!("envoy.filters.{config}.set_filter_state"), "typed_config": patch,
                }},
            }],
        },
    })
}

fn principal(text: &str) -> Value {
    json!([{
        "object_key": "io.istio.peer_principal", "factory_key": "envoy.string", "skip_if_empty": true,
        "format_string": {"text_format_source": {"inline_string": text}, "omit_empty_values": true},
    }])
}

fn by_header() -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
        "on_request_headers": principal(&format!("%REQ({PEER})%")),
    })
}

fn fixed(who: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config",
        "on_new_connection": principal(&Principal::new(who).to_string()),
    })
}
