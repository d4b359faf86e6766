//! The plugins that carry the policy, and what is set on the gateway's proxies beside them.

use super::config::typed;
use super::mesh::{PASSTHROUGH, TLS, metadata, selector};
use super::plan::Plan;
use super::spec::{Gateway, GatewayKind};
use super::tree::obj;
use egress_policy::config::Json;

/// What tcp_proxy keeps while it waits to dial: a whole ClientHello, as the filter reads one.
const EARLY_DATA: u32 = 64 * 1024;
const _: () =
    assert!(EARLY_DATA as usize == egress_policy::MAX_HELLO, "a longer ClientHello would never be whole");

/// The image where the gateway file names none: where a registry has to be filled in.
const IMAGE: &str = concat!("oci://registry.example.com/egress-authz:", env!("CARGO_PKG_VERSION"));

/// Which resource carries the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Every Istio; since 1.30 translated into the other.
    WasmPlugin,
    /// Istio 1.30 and later.
    TrafficExtension,
}

/// The plugins that the plan needs: one for HTTP, one for connections.
pub(super) fn plugins(plan: &Plan, gateway: &Gateway, config: &Json, carrier: Carrier) -> Vec<Json> {
    let http = plan.sites.values().any(|site| site.http.is_some());
    let mut network = Vec::new();
    for (_, port) in plan.over(|site| site.tls) {
        // A waypoint's ports are the sites'; a gateway's are its own.
        network.push(if gateway.kind == GatewayKind::Waypoint { port } else { TLS });
    }
    if !plan.over(|site| site.passthrough).is_empty() {
        network.push(PASSTHROUGH);
    }
    network.sort_unstable();
    network.dedup();
    let mut plugins = Vec::new();
    if http {
        plugins.push(plugin(gateway, config, "HTTP", &[], carrier));
    }
    if !network.is_empty() {
        plugins.push(plugin(gateway, config, "NETWORK", &network, carrier));
    }
    plugins
}

fn plugin(gateway: &Gateway, config: &Json, protocol: &str, ports: &[u16], carrier: Carrier) -> Json {
    let name = format!("egress-authz-{}", protocol.to_ascii_lowercase());
    let numbers: Vec<Json> = ports.iter().map(|port| obj! {"number": *port}).collect();
    // Without ports a NETWORK plugin would also be put in front of HTTP; `mode: SERVER` would never attach to a gateway.
    // A plugin of type HTTP has none: it goes into HTTP managers only, and istiod holds its ports against the pod's (8080 and
    // not 80; on a waypoint against none at all), so that it would not attach, and everything would pass.
    let mode = match gateway.kind {
        GatewayKind::EgressGateway => "CLIENT",
        GatewayKind::Waypoint => "SERVER",
    };
    let matched = (!ports.is_empty()).then(|| vec![obj! {"mode": mode, "ports": numbers}]);
    let (selected, refs) = match gateway.kind {
        GatewayKind::EgressGateway => (Some(obj! {"matchLabels": selector(gateway)}), None),
        GatewayKind::Waypoint => (
            None,
            Some(vec![
                obj! {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name()},
            ]),
        ),
    };
    let image = gateway.image.as_deref().unwrap_or(IMAGE);
    let secret = gateway.image_pull_secret.as_deref();
    let config = typed(config, protocol);
    let spec = match carrier {
        Carrier::WasmPlugin => obj! {
            "selector": selected, "targetRefs": refs, "url": image, "imagePullPolicy": "IfNotPresent",
            "imagePullSecret": secret, "type": protocol, "phase": "AUTHZ", "failStrategy": "FAIL_CLOSE",
            "match": matched, "pluginConfig": config,
        },
        Carrier::TrafficExtension => obj! {
            "selector": selected, "targetRefs": refs, "phase": "AUTHZ", "match": matched,
            "wasm": obj! {
                "url": image, "imagePullPolicy": "IfNotPresent", "imagePullSecret": secret, "type": protocol,
                "failStrategy": "FAIL_CLOSE", "pluginConfig": config,
            },
        },
    };
    let kind = match carrier {
        Carrier::WasmPlugin => "WasmPlugin",
        Carrier::TrafficExtension => "TrafficExtension",
    };
    obj! {
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": kind, "metadata": metadata(&name, gateway), "spec": spec,
    }
}

/// The access log names the policy that refused, in `%RESPONSE_CODE_DETAILS%`.
pub(super) fn telemetry(gateway: &Gateway) -> Json {
    let (selected, refs) = match gateway.kind {
        GatewayKind::EgressGateway => (Some(obj! {"matchLabels": selector(gateway)}), None),
        GatewayKind::Waypoint => (
            None,
            Some(vec![
                obj! {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name()},
            ]),
        ),
    };
    obj! {
        "apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry",
        "metadata": metadata(&format!("{}-access-log", gateway.name()), gateway),
        "spec": obj! {
            "selector": selected, "targetRefs": refs,
            "accessLogging": vec![obj! {"providers": vec![obj! {"name": "envoy"}]}],
        },
    }
}

/// `tcp_proxy` waits with dialling for the client's handshake. The port is the pod's.
pub(super) fn late_dial(plan: &Plan, gateway: &Gateway) -> Option<Json> {
    let wanted = gateway.late_dial && gateway.kind == GatewayKind::EgressGateway;
    if !wanted || plan.over(|site| site.tls).is_empty() {
        return None;
    }
    let patch = obj! {
        "operation": "MERGE",
        "value": obj! {"typed_config": obj! {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE",
            "max_early_data_bytes": EARLY_DATA,
        }},
    };
    let matched = obj! {
        "context": "GATEWAY",
        "listener": obj! {
            "portNumber": super::workload::pod_port(TLS),
            "filterChain": obj! {"filter": obj! {"name": "envoy.filters.network.tcp_proxy"}},
        },
    };
    Some(obj! {
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": metadata(&format!("{}-late-dial", gateway.name()), gateway),
        "spec": obj! {
            "workloadSelector": obj! {"labels": selector(gateway)},
            "configPatches": vec![obj! {"applyTo": "NETWORK_FILTER", "match": matched, "patch": patch}],
        },
    })
}
