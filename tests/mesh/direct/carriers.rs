//! One policy file, both protocols; as WasmPlugins, and as what Istio 1.30 makes of them.

use anyhow::{Result, ensure};
use egress_mesh::manifests::{read, with_image};
use egress_mesh::play::deployed;
use egress_mesh::settle::extensions;
use egress_mesh_tests::gets;
use serde_json::Value;

use super::Inside;

/// Who gets what of the sites of `deploy/egress.yaml`; 0 is a closed connection.
const ROWS: [(&str, &str, u16); 7] = [
    ("mytest/sleep-a", "http://www.httpbin.org/", 200),
    ("mytest/sleep-a", "https://www.httpbin.org/", 200),
    ("mytest/sleep-a", "https://www.google.com/", 0),
    ("default/nginx", "http://www.httpbin.org/", 403),
    ("default/nginx", "https://www.httpbin.org/", 0),
    ("default/nginx", "https://www.google.com/", 200),
    ("b/y", "http://httpbin.org/", 403),
];

pub(crate) fn one_policy_file_guards_http_and_network_side_by_side(inside: &mut Inside) -> Result<()> {
    let documents = deployed(&inside.mesh)?;
    both_are_there(inside, &documents, "WasmPlugin")
}

pub(crate) fn the_same_as_traffic_extensions(inside: &mut Inside) -> Result<()> {
    let mut documents = deployed(&inside.mesh)?;
    documents.retain(|document| document.get("kind").is_some_and(|kind| kind != "WasmPlugin"));
    documents.extend(with_image(read("deploy/istio/traffic-extensions.yaml")?, inside.mesh.image()));
    both_are_there(inside, &documents, "TrafficExtension")
}

fn both_are_there(inside: &mut Inside, documents: &[Value], kind: &str) -> Result<()> {
    let plugins = egress_mesh_tests::of_kind(documents, kind);
    ensure!(plugins.len() == 2, "{} of kind {kind}", plugins.len());
    inside.mesh.replace(documents)?;
    let loaded = extensions(inside.mesh.gateway()?)?;
    for name in ["egress-authz-http", "egress-authz-network"] {
        let found = loaded.iter().find(|(own, _)| own.contains(name));
        ensure!(found.is_some_and(|(_, config)| config.is_object()), "{name} is not loaded: {loaded:?}");
    }
    ROWS.iter().try_for_each(|(who, url, expected)| gets(&inside.mesh, who, url, *expected))
}
