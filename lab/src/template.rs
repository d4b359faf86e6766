//! Envoy configurations from the templates in `envoy/`.

use std::path::Path;

use anyhow::{Context as _, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, value::Serde};
use serde::Serialize;
use serde_json::{Value, json};

use crate::filter::Slot;
use crate::shape::{Cluster, Listener, Shape, Site};
use crate::world::Ports;

/// How much of a client's first bytes `tcp_proxy` keeps until it has dialled: a whole ClientHello and more.
const MAX_EARLY_DATA: u32 = 64 * 1024;

const TEMPLATES: &[(&str, &str)] = &[
    ("gateway.yaml", include_str!("../../envoy/gateway.yaml")),
    ("listener-mtls80.yaml", include_str!("../../envoy/listener-mtls80.yaml")),
    ("listener-mtls443.yaml", include_str!("../../envoy/listener-mtls443.yaml")),
    ("listener-pass444.yaml", include_str!("../../envoy/listener-pass444.yaml")),
    ("listener-ambient80.yaml", include_str!("../../envoy/listener-ambient80.yaml")),
    ("listener-ambient443.yaml", include_str!("../../envoy/listener-ambient443.yaml")),
    ("part-access-log.yaml", include_str!("../../envoy/part-access-log.yaml")),
    ("part-ecds.yaml", include_str!("../../envoy/part-ecds.yaml")),
    ("part-http.yaml", include_str!("../../envoy/part-http.yaml")),
    ("part-mutual-tls.yaml", include_str!("../../envoy/part-mutual-tls.yaml")),
    ("part-tcp.yaml", include_str!("../../envoy/part-tcp.yaml")),
    ("part-tls-inspector.yaml", include_str!("../../envoy/part-tls-inspector.yaml")),
    ("sidecar.yaml", include_str!("../../envoy/sidecar.yaml")),
    ("world.yaml", include_str!("../../envoy/world.yaml")),
];

fn render(name: &str, context: impl Serialize) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?,
    );
    // Values are written with `tojson`; nothing here is HTML.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).with_context(|| format!("the template {name}"))?;
    }
    environment.get_template(name)?.render(Serde(context)).with_context(|| format!("filling in {name}"))
}

/// Where a gateway runs: what differs between loopback and a container.
pub(crate) struct Place<'p> {
    /// Its folder, as Envoy sees it.
    pub(crate) dir: &'p Path,
    /// The address that it listens on, for traffic and for its admin page.
    pub(crate) address: &'p str,
    /// The admin page's port, or 0.
    pub(crate) admin_port: u16,
    /// Its access log.
    pub(crate) access_log: &'p Path,
    /// The external world's address or name.
    pub(crate) world: &'p str,
}

/// The gateway's configuration.
pub(crate) fn gateway(
    shape: &Shape,
    listeners: &[(Listener, Vec<Slot>)],
    world: Ports,
    place: &Place<'_>,
) -> Result<String> {
    let listeners: Vec<Value> =
        listeners.iter().map(|(listener, slots)| listener_context(listener, slots)).collect();
    let mut http_routes: Vec<Value> = shape
        .http_routes
        .iter()
        .map(|route| json!({"name": route.hosts.first(), "hosts": route.hosts, "cluster": route.cluster, "rewrite": route.rewrite}))
        .collect();
    http_routes
        .push(json!({"name": "any", "hosts": ["*"], "cluster": "world-http", "grpc_cluster": "world-grpc"}));
    let own = |name: &str, to| Cluster { name: name.to_owned(), to, sni: None, address: None };
    let clusters: Vec<Value> = [
        own("world-http", Site::Http),
        own("world-grpc", Site::Http2),
        own("world-https", Site::Https),
        own("world-tls", Site::Tls),
        own("world-banner", Site::Banner),
    ]
    .iter()
    .chain(&shape.clusters)
    .map(|cluster| cluster_context(cluster, world, place.world))
    .collect();
    render(
        "gateway.yaml",
        json!({
            "dir": place.dir,
            "access_log": place.access_log,
            "address": place.address,
            "admin_address": place.address,
            "admin_port": place.admin_port,
            "listeners": listeners,
            "quiet": shape.quiet,
            "http_routes": http_routes,
            "tcp_routes": shape.tcp_routes,
            "default_tcp_cluster": shape.default_tcp_cluster.as_deref().unwrap_or("world-tls"),
            "clusters": clusters,
        }),
    )
}

fn listener_context(listener: &Listener, slots: &[Slot]) -> Value {
    json!({
        "name": listener.name,
        "kind": listener.kind,
        "port": listener.port,
        "slots": slots,
        "connect_mode": listener.connect_mode,
        "max_early_data_bytes": MAX_EARLY_DATA,
        "principal": listener.principal,
        "issuer": listener.tokens.as_ref().map(|tokens| &tokens.issuer),
        "jwks": listener.tokens.as_ref().map(|tokens| &tokens.jwks),
        "upstream_http_filters": listener.upstream_http_filters,
        "keeps_paths": listener.keeps_paths,
    })
}

fn cluster_context(cluster: &Cluster, world: Ports, place: &str) -> Value {
    let (port, detour, protocol) = match cluster.to {
        Site::Http => (world.http, Some(world.http_detour), "http"),
        Site::Http2 => (world.http, Some(world.http_detour), "http2"),
        Site::Https => (world.tls, None, "https"),
        Site::Tls => (world.tls, Some(world.tls_detour), "tcp"),
        Site::Banner => (world.banner, None, "tcp"),
        Site::Port(port) => (port, None, "tcp"),
    };
    let address = cluster.address.as_deref().unwrap_or(place);
    let is_ip = address.parse::<std::net::IpAddr>().is_ok();
    let detour = detour.filter(|_| is_ip && address != "127.0.0.1");
    json!({
        "name": cluster.name,
        "discovery": if is_ip { "STATIC" } else { "STRICT_DNS" },
        "address": address,
        "port": port,
        "detour": detour,
        "protocol": protocol,
        "sni": cluster.sni,
    })
}

/// The sidecars' configuration.
pub(crate) fn sidecar(context: &Value) -> Result<String> {
    render("sidecar.yaml", context)
}

/// The external world of the containers, which is an Envoy too.
pub(crate) fn world(context: &Value) -> Result<String> {
    render("world.yaml", context)
}
