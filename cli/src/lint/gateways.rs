//! Gateways among the files: is each of their ports guarded?

use super::Valid;
use crate::diagnostics::Diagnostic;
use crate::source::{Node, PluginKind, Resource};
use egress_policy::Protocol;

pub(super) fn findings(resources: &[Resource], plugins: &[Valid<'_>]) -> Vec<Diagnostic> {
    let is_gateway = |resource: &&Resource| {
        resource.kind() == "Gateway" && resource.api_version().starts_with("networking.istio.io/")
    };
    let mut findings = Vec::new();
    for gateway in resources.iter().filter(is_gateway) {
        let servers = gateway.node.at(&["spec", "servers"]).map(Node::items).unwrap_or_default();
        for (at, server) in servers.iter().enumerate() {
            let path = format!("spec.servers[{at}]");
            findings.extend(check(gateway, server, &path, plugins));
        }
    }
    findings
}

fn check(gateway: &Resource, server: &Node, path: &str, plugins: &[Valid<'_>]) -> Option<Diagnostic> {
    let mode = server.text_at(&["tls", "mode"]);
    if mode == Some("AUTO_PASSTHROUGH") {
        let what = "AUTO_PASSTHROUGH: Istio puts no authorization on such a server, native or ours";
        return Some(gateway.warn(&format!("{path}.tls.mode"), what).help("use PASSTHROUGH or ISTIO_MUTUAL"));
    }
    let protocol = server.text_at(&["port", "protocol"]).unwrap_or_default().to_ascii_uppercase();
    let kind = match protocol.as_str() {
        "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" => Protocol::Http,
        "HTTPS" if mode != Some("PASSTHROUGH") => Protocol::Http,
        _ => Protocol::Network,
    };
    let number = server.at(&["port", "number"]).and_then(Node::number);
    if !plugins.iter().any(|plugin| guards(plugin, gateway, number, kind)) {
        let name = match kind {
            Protocol::Http => "HTTP",
            Protocol::Network => "NETWORK",
        };
        let port = number.map(|number| format!(" {number}")).unwrap_or_default();
        let what =
            format!("port{port} ({protocol}) is guarded by no plugin of type {name} among these files");
        return Some(gateway.warn(&format!("{path}.port"), what));
    }
    let hosts = server.texts("hosts").count();
    let terminates = mode.is_some_and(|mode| mode != "PASSTHROUGH");
    (kind == Protocol::Network && terminates && hosts > 1).then(|| {
        let what =
            "several TLS hosts in one terminating server: a client asking for one may be routed to another";
        let help = "give each host its own server, or keep `routeMismatch: DENY` on the NETWORK plugin";
        gateway.warn(&format!("{path}.hosts"), what).help(help)
    })
}

/// Whether a plugin is on a server's port, as far as the files tell: labels that only the pods know are
/// taken to fit.
fn guards(valid: &Valid<'_>, gateway: &Resource, number: Option<f64>, kind: Protocol) -> bool {
    let plugin = valid.plugin;
    if valid.config.settings.protocol != kind || plugin.kind == PluginKind::Bare {
        return false;
    }
    let node = &plugin.resource.node;
    let labels = node.at(&["spec", "selector", "matchLabels"]).map(Node::entries).unwrap_or_default();
    let conflicts = labels.iter().any(|label| {
        let pods = gateway.node.at(&["spec", "selector"]).and_then(|selector| selector.get(&label.key));
        pods.is_some_and(|value| value.text() != label.value.text())
    });
    let matches = node.at(&["spec", "match"]).map(Node::items).unwrap_or_default();
    let on_port = matches.is_empty()
        || matches.iter().any(|item| {
            let ports = item.get("ports").map(Node::items).unwrap_or_default();
            let names = |port: &Node| {
                let named = port.get("number").and_then(Node::number);
                match kind {
                    // The pod's port, which only its Service knows; it is not one that needs a privilege.
                    Protocol::Http => named.is_some_and(|named| named >= 1024.0),
                    Protocol::Network => named == number,
                }
            };
            item.text_at(&["mode"]) != Some("SERVER") && (ports.is_empty() || ports.iter().any(names))
        });
    !conflicts && on_port
}
