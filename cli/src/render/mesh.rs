//! The routes of the traffic: ServiceEntries, Gateway, DestinationRules, VirtualServices.

use super::names::slug;
use super::plan::{Plan, Site};
use super::spec::{Gateway, GatewayKind};
use super::tree::{obj, object};
use egress_policy::config::Json;

/// The gateway's ports, as its Service and Gateway name them.
pub(super) const HTTP: u16 = 80;
pub(super) const TLS: u16 = 443;
pub(super) const PASSTHROUGH: u16 = 444;

const NETWORKING: &str = "networking.istio.io/v1";
/// The public authorities in the gateway's image.
const PUBLIC_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The subset through which the gateway speaks TLS to a site.
const ORIGINATE: &str = "originate-tls";

pub(super) fn metadata(name: &str, gateway: &Gateway) -> Json {
    obj! {"name": name, "namespace": gateway.namespace()}
}

/// A resource of Istio's.
fn resource(kind: &str, name: &str, gateway: &Gateway, spec: Json) -> Json {
    obj! {"apiVersion": NETWORKING, "kind": kind, "metadata": metadata(name, gateway), "spec": spec}
}

pub(super) fn service_entries(plan: &Plan, gateway: &Gateway) -> Vec<Json> {
    let entry = |(host, site): (&String, &Site)| {
        let mut ports = Vec::new();
        if let Some(http) = site.http {
            // The application's port is the only one that sidecars learn of: a port 443 beside it would be a way
            // around the gateway. The gateway finds the site's own port as this one's target.
            ports.push(obj! {
                "number": http.port, "name": format!("http-{}", http.port), "protocol": "HTTP",
                "targetPort": http.originate,
            });
        }
        for port in [site.tls, site.passthrough].into_iter().flatten() {
            ports.push(obj! {"number": port, "name": format!("tls-{port}"), "protocol": "TLS"});
        }
        resource(
            "ServiceEntry",
            &slug(host),
            gateway,
            obj! {"hosts": vec![host], "location": "MESH_EXTERNAL", "resolution": "DNS", "ports": ports},
        )
    };
    plan.sites.iter().map(entry).collect()
}

/// One server for all HTTP, one for each TLS host: what is TCP inside is routed by its server, and several hosts in
/// one would all be carried to the first one's site.
pub(super) fn gateway(plan: &Plan, gateway: &Gateway) -> Json {
    let mut servers = Vec::new();
    let server = |number: u16, name: String, protocol: &str, mode: &str, hosts: Vec<&str>| {
        obj! {
            "port": obj! {"number": number, "name": name, "protocol": protocol},
            "hosts": hosts,
            "tls": obj! {"mode": mode},
        }
    };
    let http: Vec<&str> = plan.over(|site| site.http).into_iter().map(|(host, _)| host).collect();
    if !http.is_empty() {
        servers.push(server(HTTP, "https-mutual".to_owned(), "HTTPS", "ISTIO_MUTUAL", http));
    }
    for (host, _) in plan.over(|site| site.tls) {
        servers.push(server(TLS, format!("tls-{}", slug(host)), "TLS", "ISTIO_MUTUAL", vec![host]));
    }
    for (host, _) in plan.over(|site| site.passthrough) {
        servers.push(server(PASSTHROUGH, format!("pass-{}", slug(host)), "TLS", "PASSTHROUGH", vec![host]));
    }
    resource("Gateway", gateway.name(), gateway, obj! {"selector": selector(gateway), "servers": servers})
}

pub(super) fn selector(gateway: &Gateway) -> Json {
    let labels = gateway.selector().into_iter();
    object(labels.map(|(key, value)| (key, Some(Json::Text(value.into())))).collect())
}

/// How sidecars reach the gateway, and how the gateway reaches sites that want TLS.
pub(super) fn destination_rules(plan: &Plan, gateway: &Gateway) -> Vec<Json> {
    let mut rules = Vec::new();
    if gateway.kind == GatewayKind::EgressGateway {
        let subsets = plan.sites.iter().map(|(host, site)| subset(host, site)).collect::<Vec<_>>();
        rules.push(resource(
            "DestinationRule",
            gateway.name(),
            gateway,
            obj! {"host": gateway.service(), "subsets": subsets},
        ));
    }
    for (host, http) in plan.over(|site| site.http.filter(|http| http.originate.is_some())) {
        let tls = obj! {
            "mode": "SIMPLE", "sni": host, "subjectAltNames": vec![host], "caCertificates": PUBLIC_AUTHORITIES,
        };
        let policy = obj! {"portLevelSettings": vec![obj! {"port": obj! {"number": http.port}, "tls": tls}]};
        let spec = match gateway.kind {
            GatewayKind::EgressGateway => {
                obj! {"host": host, "subsets": vec![obj! {"name": ORIGINATE, "trafficPolicy": policy}]}
            }
            // A waypoint routes to the host itself, and only it does.
            GatewayKind::Waypoint => obj! {"host": host, "trafficPolicy": policy},
        };
        rules.push(resource("DestinationRule", &slug(host), gateway, spec));
    }
    rules
}

/// The mesh's TLS carries the site's name as its server name, which the filter holds against the host.
fn subset(host: &str, site: &Site) -> Json {
    let settings = |port: u16, tls: Json| obj! {"port": obj! {"number": port}, "tls": tls};
    let mutual = |port: u16| settings(port, obj! {"mode": "ISTIO_MUTUAL", "sni": host});
    let ports: Vec<Json> = [
        site.http.map(|_| mutual(HTTP)),
        site.tls.map(|_| mutual(TLS)),
        site.passthrough.map(|_| settings(PASSTHROUGH, obj! {"mode": "DISABLE"})),
    ]
    .into_iter()
    .flatten()
    .collect();
    obj! {"name": slug(host), "trafficPolicy": obj! {"portLevelSettings": ports}}
}

pub(super) fn virtual_services(plan: &Plan, gateway: &Gateway) -> Vec<Json> {
    plan.sites.iter().map(|(host, site)| virtual_service(host, site, gateway)).collect()
}

/// From the sidecar to the gateway, and from the gateway to the site.
fn virtual_service(host: &str, site: &Site, gateway: &Gateway) -> Json {
    let service = gateway.service();
    let to = |host: &str, subset: Option<String>, port: u16| {
        vec![obj! {"destination": obj! {"host": host, "subset": subset, "port": obj! {"number": port}}}]
    };
    let own = gateway.name();
    let mut http = Vec::new();
    let mut tls = Vec::new();
    let mut tcp = Vec::new();
    if let Some(route) = site.http {
        http.push(obj! {
            "match": vec![obj! {"gateways": vec!["mesh"], "port": route.port}],
            "route": to(&service, Some(slug(host)), HTTP),
        });
        http.push(obj! {
            "match": vec![obj! {"gateways": vec![own], "port": HTTP}],
            "route": to(host, route.originate.map(|_| ORIGINATE.to_owned()), route.port),
        });
    }
    if let Some(port) = site.tls {
        tls.push(obj! {
            "match": vec![obj! {"gateways": vec!["mesh"], "port": port, "sniHosts": vec![host]}],
            "route": to(&service, Some(slug(host)), TLS),
        });
        // The gateway ends the mesh's TLS: what is inside is TCP to it.
        tcp.push(obj! {
            "match": vec![obj! {"gateways": vec![own], "port": TLS}],
            "route": to(host, None, port),
        });
    }
    if let Some(port) = site.passthrough {
        tls.push(obj! {
            "match": vec![obj! {"gateways": vec!["mesh"], "port": port, "sniHosts": vec![host]}],
            "route": to(&service, Some(slug(host)), PASSTHROUGH),
        });
        tls.push(obj! {
            "match": vec![obj! {"gateways": vec![own], "port": PASSTHROUGH, "sniHosts": vec![host]}],
            "route": to(host, None, port),
        });
    }
    let some = |routes: Vec<Json>| (!routes.is_empty()).then_some(routes);
    resource(
        "VirtualService",
        &slug(host),
        gateway,
        obj! {
            "hosts": vec![host], "gateways": vec!["mesh", own],
            "http": some(http), "tls": some(tls), "tcp": some(tcp),
        },
    )
}
