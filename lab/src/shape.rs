//! The shape of a gateway: listeners, routes and clusters, before anything runs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::filter::{Filter, Protocol};

/// What a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Port 80, `ISTIO_MUTUAL`: HTTP inside.
    Mtls80,
    /// Port 443, `ISTIO_MUTUAL`: TCP inside.
    Mtls443,
    /// Port 444, `PASSTHROUGH`.
    Pass444,
    /// A waypoint's HTTP: no TLS, the principal as filter state from the header `x-lab-peer-principal`.
    Ambient80,
    /// A waypoint's TCP: no TLS, a fixed principal as filter state.
    Ambient443,
}

// === impl Kind ===

impl Kind {
    /// Which of the filter's types fits there.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Mtls80 | Self::Ambient80 => Protocol::Http,
            Self::Mtls443 | Self::Pass444 | Self::Ambient443 => Protocol::Network,
        }
    }

    /// Its usual name, which is also the name of its template.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mtls80 => "mtls80",
            Self::Mtls443 => "mtls443",
            Self::Pass444 => "pass444",
            Self::Ambient80 => "ambient80",
            Self::Ambient443 => "ambient443",
        }
    }
}

/// When `tcp_proxy` dials the site (Envoy 1.37 and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectMode {
    /// At once.
    Immediate,
    /// With the client's first bytes.
    OnDownstreamData,
    /// After the client's handshake.
    OnDownstreamTlsHandshake,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name, in logs and for [`crate::gateway::Gateway::address`].
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What sits where the filter sits.
    pub filter: Filter,
    /// The port, or 0 for a free one.
    pub port: u16,
    /// TCP listeners: when the site is dialled; `None` leaves the field out, as in Envoy 1.36.
    pub connect_mode: Option<ConnectMode>,
    /// `ambient443`: the principal.
    pub principal: Option<String>,
    /// HTTP listeners: the tokens that the gateway verifies in front of the filter.
    pub tokens: Option<TokenIssuer>,
    /// HTTP listeners: filters of the upstream side, ready for Envoy, `upstream_codec` as the last.
    pub upstream_http_filters: Vec<Value>,
    /// HTTP listeners: whether Envoy hands on paths as they are written (Istio's `pathNormalization: NONE`).
    pub keeps_paths: bool,
}

/// Whose tokens `jwt_authn` verifies.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    /// The issuer.
    pub issuer: String,
    /// Its keys, as JWKS text.
    pub jwks: String,
}

// === impl Listener ===

impl Listener {
    /// A listener of the kind's own name, on a free port.
    #[must_use]
    pub fn new(kind: Kind, filter: Filter) -> Self {
        Self::named(kind.name(), kind, filter)
    }

    /// A listener of any name, for several side by side.
    #[must_use]
    pub fn named(name: &str, kind: Kind, filter: Filter) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            filter,
            port: 0,
            connect_mode: None,
            principal: None,
            tokens: None,
            upstream_http_filters: Vec::new(),
            keeps_paths: false,
        }
    }

    /// With a mode of dialling.
    #[must_use]
    pub fn connecting(mut self, mode: ConnectMode) -> Self {
        self.connect_mode = Some(mode);
        self
    }
}

/// Where a cluster's connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Site {
    /// The world's HTTP port.
    Http,
    /// The same in HTTP/2, as for a port that is named `grpc`.
    Http2,
    /// The world's TLS port, the gateway originating TLS.
    Https,
    /// The world's TLS port, as TCP: the application speaks TLS itself.
    Tls,
    /// The world's server that speaks first.
    Banner,
    /// A TCP server of the test's own on 127.0.0.1.
    Port(u16),
}

/// A cluster of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Its name, in Istio's form or any other.
    pub name: String,
    /// Where it leads.
    pub to: Site,
    /// The server name of an originated TLS; the host asked for where there is none.
    #[serde(default)]
    pub sni: Option<String>,
    /// The endpoint's address as Envoy believes it: a name to resolve (`localhost`), or an IP which, unless it is 127.0.0.1, is
    /// reached by a detour over loopback (not for `https` and `banner`). 127.0.0.1 where there is none.
    #[serde(default)]
    pub address: Option<String>,
}

/// Which cluster serves which hosts over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRoute {
    /// The hosts.
    pub hosts: Vec<String>,
    /// The cluster.
    pub cluster: String,
    /// The authority that the site gets instead.
    #[serde(default)]
    pub rewrite: Option<String>,
}

/// Which cluster serves which server names over TCP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpRoute {
    /// The outer server names.
    pub sni: Vec<String>,
    /// The cluster.
    pub cluster: String,
}

/// A gateway before it runs.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Listeners.
    pub listeners: Vec<Listener>,
    /// HTTP routes beside the one for any host, which leads to the cluster `world-http`.
    pub http_routes: Vec<HttpRoute>,
    /// TCP routes beside the one for any server name, which leads to the cluster `world-tls`.
    pub tcp_routes: Vec<TcpRoute>,
    /// Clusters beside `world-http`, `world-grpc`, `world-https`, `world-tls` and `world-banner`.
    pub clusters: Vec<Cluster>,
    /// The cluster of any other server name, instead of `world-tls`.
    pub default_tcp_cluster: Option<String>,
    /// Without access logs, for those who measure something else.
    pub quiet: bool,
}

// === impl Shape ===

impl Shape {
    /// A gateway with these listeners.
    #[must_use]
    pub fn new(listeners: Vec<Listener>) -> Self {
        Self { listeners, ..Self::default() }
    }

    /// The gateway originates TLS to this host ("HTTPS upgrade"), in a cluster of Istio's name.
    pub fn originate(&mut self, host: &str) {
        let name = format!("outbound|443||{host}");
        self.clusters.push(Cluster {
            name: name.clone(),
            to: Site::Https,
            sni: Some(host.to_owned()),
            address: None,
        });
        self.http_routes.push(HttpRoute { hosts: vec![host.to_owned()], cluster: name, rewrite: None });
    }
}
