//! Findings about the resource around a configuration.

use super::Valid;
use super::matches::{fields, is_of_token};
use crate::diagnostics::Diagnostic;
use crate::source::{Node, PluginKind};
use egress_policy::Protocol;
use egress_policy::config::Mode;

pub(super) fn findings(valid: &Valid<'_>, root_namespace: &str) -> Vec<Diagnostic> {
    let Valid { plugin, config } = valid;
    let resource = &plugin.resource;
    // What speaks of the filter stands in `spec.wasm` of a TrafficExtension, what attaches it in `spec`.
    let filter = match plugin.kind {
        PluginKind::Bare => return Vec::new(),
        PluginKind::WasmPlugin => "spec",
        PluginKind::TrafficExtension => "spec.wasm",
    };
    let text = |path: &str| -> Option<&str> { resource.node.text_at(&path.split('.').collect::<Vec<_>>()) };
    let mut findings = Vec::new();

    let type_path = format!("{filter}.type");
    let spec_type = text(&type_path).filter(|name| *name != "UNSPECIFIED").unwrap_or("HTTP");
    let own_type = match config.settings.protocol {
        Protocol::Http => "HTTP",
        Protocol::Network => "NETWORK",
    };
    if spec_type != own_type {
        let what = format!(
            "the plugin is loaded as {spec_type} and configured as {own_type}: it refuses everything"
        );
        let help = format!("write `type: {spec_type}` into pluginConfig, or `type: {own_type}` here");
        findings.push(resource.refuse(&type_path, what).help(help));
    }

    let attached_by_labels = resource.node.at(&["spec", "selector"]).is_some();
    let attached_by_ref = resource.node.at(&["spec", "targetRefs"]).is_some();
    let matches = resource.node.at(&["spec", "match"]).map(Node::items).unwrap_or_default();
    for (at, item) in matches.iter().enumerate() {
        if attached_by_labels && item.text_at(&["mode"]) == Some("SERVER") {
            let what = "a gateway is a client here: with `mode: SERVER` the plugin never attaches";
            let help = "leave `mode` out; a waypoint is attached to with targetRefs";
            findings.push(resource.refuse(&format!("spec.match[{at}].mode"), what).help(help));
        }
    }

    let asks_for_tokens =
        config.policies.iter().flat_map(|policy| &policy.rules).flat_map(fields).any(is_of_token);
    if asks_for_tokens && text("spec.phase") == Some("AUTHN") {
        let what = "in phase AUTHN no token has been verified yet: rules about tokens see none";
        findings.push(resource.refuse("spec.phase", what).help("write `phase: AUTHZ`"));
    }

    let strategy = format!("{filter}.failStrategy");
    if text(&strategy) == Some("FAIL_OPEN") && config.settings.mode != Mode::DryRun {
        let what = "with FAIL_OPEN everything passes where the filter cannot be loaded or fails";
        findings
            .push(resource.refuse(&strategy, what).help("write `failStrategy: FAIL_RELOAD`, or FAIL_CLOSE"));
    }

    let names_ports = !matches.is_empty() && matches.iter().all(|item| item.get("ports").is_some());
    if own_type == "NETWORK" && !names_ports {
        let what = "a NETWORK plugin without `match.ports` attaches before HTTP managers too, and judges their \
                    connections by the first bytes";
        let help = "name the ports of the servers that carry TCP or TLS";
        findings.push(resource.warn("spec.match", what).help(help));
    }
    if own_type == "HTTP" {
        for (at, _) in matches.iter().enumerate().filter(|(_, item)| item.get("ports").is_some()) {
            let what = "istiod holds the ports of an HTTP plugin against those on which the gateway's pod listens (8080 \
                        where the Gateway says 80), and a waypoint has none: where no port fits, the plugin does not \
                        attach, and everything passes";
            let help = "leave `ports` out: an HTTP plugin goes into HTTP listeners only";
            findings.push(resource.warn(&format!("spec.match[{at}].ports"), what).help(help));
        }
    }
    if resource.namespace() == root_namespace && !attached_by_labels && !attached_by_ref {
        let what = format!(
            "in the root namespace {root_namespace} without selector or targetRefs: it attaches to every proxy of \
             the mesh"
        );
        findings.push(resource.warn("spec", what).help("write a selector for the egress gateway"));
    }
    findings
}
