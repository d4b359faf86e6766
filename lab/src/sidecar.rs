//! The sidecars: what comes in leaves for the gateway with a workload's certificate.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::certs::{Authority, Principal};
use crate::envoy::{Envoy, Options};
use crate::gateway::{GATEWAY_PRINCIPAL, Gateway};
use crate::provision::EnvoyBinary;
use crate::template;

/// A workload and its sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its name in the lab, usually `namespace/service-account`.
    pub name: String,
    /// What its certificate says.
    pub principal: Principal,
    /// The outer server name; `None`: the host asked for, or the application's own server name.
    pub sni: Option<String>,
    /// The port of its HTTP listener, or 0 for a free one.
    pub http_port: u16,
    /// The port of its (only) TCP listener, or 0 for a free one.
    pub tcp_port: u16,
}

// === impl Workload ===

impl Workload {
    /// `namespace/service-account` in `cluster.local`.
    #[must_use]
    pub fn new(who: &str) -> Self {
        Self { name: who.to_owned(), principal: Principal::new(who), sni: None, http_port: 0, tcp_port: 0 }
    }
}

/// The running sidecars.
pub struct Sidecars {
    envoy: Envoy,
    addresses: BTreeMap<String, SocketAddr>,
}

// === impl Sidecars ===

impl Sidecars {
    /// Starts them in front of a gateway: HTTP goes to `http_listener`, and there is a TCP listener for each of `tcp_listeners`.
    ///
    /// # Errors
    /// When Envoy does not start, or the gateway has no such listener.
    pub fn start(
        binary: &EnvoyBinary,
        mesh: &Authority,
        gateway: &Gateway,
        http_listener: &str,
        tcp_listeners: &[&str],
        workloads: &[Workload],
        options: &Options,
    ) -> Result<Self> {
        let http = gateway.address(http_listener)?;
        let tcp = tcp_listeners
            .iter()
            .map(|name| Ok(json!({"gateway": name, "port": gateway.address(name)?.port()})))
            .collect::<Result<Vec<_>>>()?;
        let mut names = Vec::new();
        let mut contexts = Vec::new();
        for workload in workloads {
            let identity = mesh.workload(&workload.principal)?;
            names.push(format!("{}/http", workload.name));
            names.extend(tcp_listeners.iter().map(|listener| format!("{}/{listener}", workload.name)));
            contexts.push(json!({
                "name": workload.name,
                "sni": workload.sni,
                "http_port": workload.http_port,
                "tcp_port": workload.tcp_port,
                "gateway_http_port": http.port(),
                "tcp": tcp,
                "certificate": identity.certificate,
                "key": identity.key,
            }));
        }
        let config = template::sidecar(&json!({
            "address": "127.0.0.1",
            "admin_address": "127.0.0.1",
            "admin_port": 0,
            "gateway_address": http.ip(),
            "gateway_principal": GATEWAY_PRINCIPAL,
            "mesh_ca": mesh.certificate(),
            "workloads": contexts,
        }))?;
        let dir = tempfile::Builder::new().prefix("egress-sidecars-").tempdir()?;
        let mut envoy = Envoy::start(binary, "sidecars", dir, &config, options)?;
        let addresses = envoy.await_listeners(&names)?;
        Ok(Self { envoy, addresses })
    }

    /// Where a workload's application sends plain HTTP.
    ///
    /// # Errors
    /// When there is no such workload.
    pub fn http(&self, workload: &str) -> Result<SocketAddr> {
        self.address(&format!("{workload}/http"))
    }

    /// Where a workload's application sends TCP for one of the gateway's listeners.
    ///
    /// # Errors
    /// When there is no such workload or listener.
    pub fn tcp(&self, workload: &str, listener: &str) -> Result<SocketAddr> {
        self.address(&format!("{workload}/{listener}"))
    }

    fn address(&self, name: &str) -> Result<SocketAddr> {
        self.addresses.get(name).copied().with_context(|| format!("the sidecars have no listener {name}"))
    }

    /// The process.
    #[must_use]
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }
}
