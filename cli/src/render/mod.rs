//! From one gateway file to all resources of a gateway.

mod asm;
mod config;
mod description;
mod files;
mod mesh;
mod names;
mod network;
mod plan;
mod plugin;
mod spec;
#[cfg(test)]
mod tests;
pub(crate) mod tree;
mod workload;

pub(crate) use asm::{AsmOptions, Workloads};
pub(crate) use description::gateway_file_schema;
pub(crate) use files::{File, compare, write};
pub(crate) use plugin::Carrier;

use crate::diagnostics::Diagnostic;
use crate::source::{Node, Source};
use crate::strict;
use egress_policy::config::Json;
use plan::Plan;
use spec::{GatewayKind, GatewaySpec};
use std::path::Path;
use std::rc::Rc;
use tree::obj;

/// What is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) carrier: Carrier,
    pub(crate) asm: AsmOptions,
}

/// Reads a gateway file and makes all that it stands for; with what its reader should know.
pub(crate) fn file(path: &Path, options: &Options) -> Result<(Vec<File>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let source = Source::read(path)?;
    let node = strict::one_document(&source)?;
    if !asm::is_one(&node) {
        return Ok((make(&source, &node, options.carrier)?, Vec::new()));
    }
    let (node, warnings) = asm::gateway_file(&source, &node, &options.asm)?;
    Ok((make(&source, &node, options.carrier)?, warnings))
}

/// All that one document stands for, with the resource that is written by itself.
pub(crate) fn of_document(source: &Rc<Source>, node: &Node) -> Result<Vec<File>, Vec<Diagnostic>> {
    make(source, node, Carrier::WasmPlugin)
}

fn make(source: &Rc<Source>, node: &Node, carrier: Carrier) -> Result<Vec<File>, Vec<Diagnostic>> {
    let spec = GatewaySpec::parse(source, node)?;
    let plan = Plan::new(&spec, source, node)?;
    let config = config::plugin_config(&spec, source, node)?;
    let gateway = &spec.gateway;
    let mut files = Vec::new();
    let mut add = |name: &'static str, why: &'static str, documents: Vec<Json>| {
        if !documents.is_empty() {
            files.push(File::new(name, why, documents));
        }
    };
    if gateway.deploy {
        add("workload.yaml", files::WORKLOAD, workload::resources(gateway));
    }
    add("service-entries.yaml", files::SERVICE_ENTRIES, mesh::service_entries(&plan, gateway));
    if gateway.kind == GatewayKind::EgressGateway {
        add("gateway.yaml", files::GATEWAY, vec![mesh::gateway(&plan, gateway)]);
        add("virtual-services.yaml", files::VIRTUAL_SERVICES, mesh::virtual_services(&plan, gateway));
    }
    add("destination-rules.yaml", files::DESTINATION_RULES, mesh::destination_rules(&plan, gateway));
    let (name, why) = match carrier {
        Carrier::WasmPlugin => ("wasm-plugins.yaml", files::WASM_PLUGINS),
        Carrier::TrafficExtension => ("traffic-extensions.yaml", files::TRAFFIC_EXTENSIONS),
    };
    add(name, why, plugin::plugins(&plan, gateway, &config, carrier));
    add("telemetry.yaml", files::TELEMETRY, vec![plugin::telemetry(gateway)]);
    add("late-dial.yaml", files::LATE_DIAL, plugin::late_dial(&plan, gateway).into_iter().collect());
    add("network-policies.yaml", files::NETWORK_POLICIES, network::policies(&plan));
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    let kustomization = obj! {
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names,
    };
    files.push(File::new("kustomization.yaml", files::KUSTOMIZATION, vec![kustomization]));
    Ok(files)
}
