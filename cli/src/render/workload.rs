//! The gateway itself: pods, Service, autoscaler, disruption budget; in an ambient mesh the waypoint.

use super::mesh::{HTTP, PASSTHROUGH, TLS, metadata, selector};
use super::spec::{Gateway, GatewayKind};
use super::tree::{obj, object};
use egress_policy::config::Json;

/// Envoy takes the labels of the filter's metrics out of their names, and keeps the counters of refused configurations.
const PROXY_CONFIG: &str = "{extraStatTags: [namespace, verdict, policy, plugin, version, config], \
                            proxyStatsMatcher: {inclusionPrefixes: [extension_config_discovery]}}";

/// Where the pod listens for a port of its Service: above 1024, so that it needs no privilege.
pub(super) fn pod_port(port: u16) -> u16 {
    port + 8000
}

pub(super) fn resources(gateway: &Gateway) -> Vec<Json> {
    match gateway.kind {
        GatewayKind::Waypoint => vec![namespace(gateway), waypoint(gateway)],
        GatewayKind::EgressGateway => vec![
            obj! {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(&account(gateway), gateway)},
            deployment(gateway),
            service(gateway),
            autoscaler(gateway),
            disruption_budget(gateway),
        ],
    }
}

fn account(gateway: &Gateway) -> String {
    format!("{}-service-account", gateway.name())
}

/// Istio's injection fills in image, command and configuration (`image: auto`).
fn deployment(gateway: &Gateway) -> Json {
    let mut labels: Vec<(String, Option<Json>)> = match selector(gateway) {
        Json::Object(labels) => {
            labels.0.into_iter().map(|(key, value)| (key.into_string(), Some(value))).collect()
        }
        _ => Vec::new(),
    };
    labels.push(("sidecar.istio.io/inject".to_owned(), Some(Json::Text("true".into()))));
    let port = |name: &str, port: u16| obj! {"name": name, "containerPort": port, "protocol": "TCP"};
    let container = obj! {
        "name": "istio-proxy",
        "image": "auto",
        "ports": vec![
            port("https-mutual", pod_port(HTTP)), port("tls-mutual", pod_port(TLS)),
            port("tls-pass", pod_port(PASSTHROUGH)), port("http-envoy-prom", 15090),
        ],
        "resources": obj! {
            "requests": obj! {"cpu": "100m", "memory": "128Mi"},
            "limits": obj! {"memory": "1Gi"},
        },
        "securityContext": obj! {
            "allowPrivilegeEscalation": false, "capabilities": obj! {"drop": vec!["ALL"]}, "privileged": false,
            "readOnlyRootFilesystem": true, "runAsNonRoot": true,
        },
    };
    let spread = obj! {
        "maxSkew": 1u16, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": obj! {"matchLabels": selector(gateway)},
    };
    obj! {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(gateway.name(), gateway),
        // How many is the autoscaler's business.
        "spec": obj! {
            "selector": obj! {"matchLabels": selector(gateway)},
            "strategy": obj! {"rollingUpdate": obj! {"maxUnavailable": 0u16, "maxSurge": 1u16}},
            "template": obj! {
                "metadata": obj! {
                    "labels": object(labels),
                    "annotations": obj! {
                        "inject.istio.io/templates": "gateway", "proxy.istio.io/config": PROXY_CONFIG,
                    },
                },
                "spec": obj! {
                    "serviceAccountName": account(gateway),
                    "terminationGracePeriodSeconds": 60u16,
                    "topologySpreadConstraints": vec![spread],
                    "containers": vec![container],
                },
            },
        },
    }
}

fn service(gateway: &Gateway) -> Json {
    let port = |name: &str, port: u16| {
        obj! {"name": name, "port": port, "targetPort": pod_port(port), "protocol": "TCP"}
    };
    obj! {
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(gateway.name(), gateway),
        "spec": obj! {
            "type": "ClusterIP", "selector": selector(gateway),
            // The names say TLS, because TLS is what comes in.
            "ports": vec![port("https-mutual", HTTP), port("tls-mutual", TLS), port("tls-pass", PASSTHROUGH)],
        },
    }
}

fn autoscaler(gateway: &Gateway) -> Json {
    let target = obj! {"type": "Utilization", "averageUtilization": 70u16};
    obj! {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(gateway.name(), gateway),
        "spec": obj! {
            "scaleTargetRef": obj! {"apiVersion": "apps/v1", "kind": "Deployment", "name": gateway.name()},
            "minReplicas": 2u16, "maxReplicas": 10u16,
            "metrics": vec![obj! {"type": "Resource", "resource": obj! {"name": "cpu", "target": target}}],
        },
    }
}

fn disruption_budget(gateway: &Gateway) -> Json {
    obj! {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(gateway.name(), gateway),
        "spec": obj! {"minAvailable": 1u16, "selector": obj! {"matchLabels": selector(gateway)}},
    }
}

/// Sites are ServiceEntries of a namespace whose traffic goes through its waypoint.
fn namespace(gateway: &Gateway) -> Json {
    obj! {
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": obj! {
            "name": gateway.namespace(),
            "labels": obj! {
                "istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": gateway.name(),
            },
        },
    }
}

fn waypoint(gateway: &Gateway) -> Json {
    let listener = obj! {
        "name": "mesh", "port": 15008u16, "protocol": "HBONE",
        "allowedRoutes": obj! {"namespaces": obj! {"from": "Same"}},
    };
    obj! {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": obj! {
            "name": gateway.name(), "namespace": gateway.namespace(),
            "labels": obj! {"istio.io/waypoint-for": "service"},
        },
        "spec": obj! {"gatewayClassName": "istio-waypoint", "listeners": vec![listener]},
    }
}
