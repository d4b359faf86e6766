//! A gateway file, read: who may reach which hosts, and what applications speak to them.

use super::description::GATEWAY_FILE;
use crate::diagnostics::Diagnostic;
use crate::source::{Node, Source};
use crate::strict;
use crate::yaml_out::Tree;
use egress_policy::config::Json;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A gateway file; [`GATEWAY_FILE`] says what it may hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewaySpec {
    #[serde(default)]
    pub(super) gateway: Gateway,
    /// Sites that can be reached where policies allow it, beside those that rules name.
    #[serde(default)]
    pub(super) sites: Vec<To>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
    /// Namespaces whose pods may not leave the cluster but through the gateway, beside those that rules name.
    #[serde(default)]
    pub(super) confine: Vec<String>,
    /// Refusals over HTTP are application/problem+json.
    #[serde(default)]
    pub(super) problem_details: bool,
    /// More of the pluginConfig: settings, host sets, policies.
    #[serde(skip)]
    pub(super) config: Option<Json>,
}

/// What decides and carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum GatewayKind {
    /// Istio's egress gateway, reached from sidecars.
    EgressGateway,
    /// A waypoint of an ambient mesh.
    Waypoint,
}

/// The gateway.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Gateway {
    pub(super) kind: GatewayKind,
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    /// The pods' labels.
    pub(super) selector: Option<BTreeMap<String, String>>,
    /// The filter's image.
    pub(super) image: Option<String>,
    pub(super) image_pull_secret: Option<String>,
    /// Also the gateway's own Deployment, Service, autoscaler and disruption budget.
    pub(super) deploy: bool,
    /// Dial the site after the client's handshake (Envoy ≥ 1.37, which is in Istio ≥ 1.29).
    pub(super) late_dial: bool,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            kind: GatewayKind::EgressGateway,
            name: None,
            namespace: None,
            selector: None,
            image: None,
            image_pull_secret: None,
            deploy: false,
            late_dial: true,
        }
    }
}

/// Some workloads may reach some sites.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) name: String,
    /// Left out: every workload of the mesh.
    #[serde(default)]
    pub(super) from: Vec<From>,
    pub(super) to: Vec<To>,
}

/// Workloads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct From {
    pub(super) namespace: String,
    /// Left out: all of the namespace.
    #[serde(default)]
    pub(super) service_accounts: Vec<String>,
}

/// What the application speaks to a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Transport {
    /// Plain HTTP from the application, decided per request.
    Http,
    /// TLS from the application, inside the mesh's own TLS: decided by identity and server name.
    Tls,
    /// TLS from the application, untouched: no identity.
    Passthrough,
}

/// Sites, and how applications speak to them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct To {
    pub(super) hosts: Vec<String>,
    pub(super) over: Transport,
    /// The site's port: 80 for HTTP, else 443.
    #[serde(default)]
    pub(super) port: Option<u16>,
    /// The gateway speaks TLS to the site.
    #[serde(default)]
    pub(super) originate_tls: Option<Originate>,
    /// HTTP methods; left out: all.
    #[serde(default)]
    pub(super) methods: Vec<String>,
}

/// TLS that the gateway originates.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Originate {
    /// To port 443, or not at all.
    Plain(bool),
    /// To another port.
    To { port: u16 },
}

// === impl To ===

impl To {
    /// The port that applications use.
    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.over {
            Transport::Http => 80,
            Transport::Tls | Transport::Passthrough => 443,
        })
    }

    /// The site's port for TLS that the gateway originates.
    pub(super) fn originate(&self) -> Option<u16> {
        match self.originate_tls? {
            Originate::Plain(false) => None,
            Originate::Plain(true) => Some(443),
            Originate::To { port } => Some(port),
        }
    }
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(match self.kind {
            GatewayKind::EgressGateway => "istio-egressgateway",
            GatewayKind::Waypoint => "egress-waypoint",
        })
    }

    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(match self.kind {
            GatewayKind::EgressGateway => "istio-system",
            GatewayKind::Waypoint => "istio-egress",
        })
    }

    /// The labels of the pods: as Istio's chart labels a gateway of this name, where nothing else is said.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        let name = self.name();
        let label = name.strip_prefix("istio-").unwrap_or(name);
        self.selector.clone().unwrap_or_else(|| BTreeMap::from([("istio".to_owned(), label.to_owned())]))
    }

    /// The name that sidecars dial.
    pub(super) fn service(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name(), self.namespace())
    }
}

// === impl GatewaySpec ===

impl GatewaySpec {
    /// Reads a gateway file.
    pub(super) fn parse(source: &Rc<Source>, node: &Node) -> Result<Self, Vec<Diagnostic>> {
        let errors = strict::check(source, node, &GATEWAY_FILE);
        if !errors.is_empty() {
            return Err(errors);
        }
        // What the description lets pass, the types take.
        let unread =
            |error: &dyn std::fmt::Display| vec![Diagnostic::error(error.to_string()).at(source, node.span)];
        let json = serde_json::to_value(Tree(&node.to_json())).map_err(|error| unread(&error))?;
        let spec: Self = serde_path_to_error::deserialize(json).map_err(|error| unread(&error))?;
        Ok(Self { config: node.get("config").map(Node::to_json), ..spec })
    }
}
