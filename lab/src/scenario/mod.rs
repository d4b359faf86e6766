//! Scenarios: who asks for what over which listener, and what they get. One YAML file each, in `tests/scenarios/`.

pub mod check;
mod play;
mod report;
mod send;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use play::{Outcome, Player};
pub use report::{Row, print_table};

use crate::filter::Protocol;
use crate::shape::{Cluster, ConnectMode, HttpRoute, Kind, TcpRoute};

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, which says what it shows: that of its file.
    #[serde(skip)]
    pub name: String,
    /// What it tells.
    pub title: String,
    /// What the gateway must look like.
    #[serde(default)]
    pub gateway: GatewayShape,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// What a scenario wants of its gateway. Scenarios of equal wishes share one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayShape {
    /// When `mtls443` dials the site; where it is left out and Envoy can, after the handshake.
    pub connect: Option<ConnectMode>,
    /// Hosts to which the gateway originates TLS.
    pub originate: Vec<String>,
    /// HTTP routes.
    pub http_routes: Vec<HttpRoute>,
    /// TCP routes.
    pub tcp_routes: Vec<TcpRoute>,
    /// The cluster of any other server name.
    pub default_tcp_cluster: Option<String>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// `ambient443`: whose traffic it carries, as `namespace/service-account`.
    pub ambient: Option<String>,
    /// Whether `mtls80` refuses private upstream addresses by the filter that `deploy/upstream-private-addresses.yaml` ships.
    pub refuse_private_upstreams: bool,
    /// The issuer of the tokens that HTTP listeners verify in front of the filter.
    pub token_issuer: Option<String>,
}

/// A policy and what happens under it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it shows, where the scenario's title does not say it.
    #[serde(default)]
    pub title: String,
    /// The filter's configuration from now on, a live update of the running gateway. Left out: as before.
    #[serde(default)]
    pub policy: Option<Value>,
    /// What is asked.
    pub requests: Vec<Request>,
}

/// One request and what it gets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `namespace/service-account`, a whole URI, `nameless` for a certificate without names, or `none` for no certificate.
    pub who: String,
    /// The gateway's listener: `mtls80`, `mtls443`, `pass444`, `ambient80`, `ambient443`; the mode of dialling may follow
    /// after `@`, as in `mtls443@ON_DOWNSTREAM_DATA`, and `native` for Istio's own filter in place of ours (`mtls443@native`).
    pub over: Over,
    /// The outer server name; it makes the connection a direct one. Left out: the host.
    #[serde(default)]
    pub sni: Option<String>,
    /// A direct connection and not through the sidecar.
    #[serde(default)]
    pub direct: bool,
    /// A direct connection in HTTP/2.
    #[serde(default)]
    pub http2: bool,
    /// `METHOD URL`; `https` over a TCP listener is the application's own TLS. `LISTEN tcp://HOST` hears a greeting.
    pub ask: String,
    /// Header lines.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A verified token with these claims (and the issuer's `iss`).
    #[serde(default)]
    pub claims: Option<Value>,
    /// The application's own server name, where it is not the host.
    #[serde(default)]
    pub inner_sni: Option<String>,
    /// `LISTEN`: the client's Finished is held back until the site had time to greet.
    #[serde(default)]
    pub hold_finished: bool,
    /// The first bytes wait until the gateway is connected to the site. A sidecar dials only when they come, so: `direct`.
    #[serde(default)]
    pub when_connected: bool,
    /// What comes of it.
    pub gets: Gets,
    /// The answer's body.
    #[serde(default)]
    pub body: Option<String>,
    /// Headers of the answer.
    #[serde(default)]
    pub has: BTreeMap<String, String>,
    /// The denial's reason, in the access log (and there, over HTTP, in the response code details).
    #[serde(default)]
    pub reason: Option<String>,
    /// The whole filter state `wasm.egress_authz` in the access log.
    #[serde(default)]
    pub state: Option<String>,
    /// A part of a line in Envoy's log.
    #[serde(default)]
    pub audit: Option<String>,
    /// A part of the Prometheus page.
    #[serde(default)]
    pub metric: Option<String>,
    /// The fields of what the site saw (`scheme`, `host`, `sni`…).
    #[serde(default)]
    pub saw: BTreeMap<String, String>,
    /// TCP connections that the gateway opened to the site.
    #[serde(default)]
    pub connects: Option<u64>,
    /// Fields of the access log line.
    #[serde(default)]
    pub log: BTreeMap<String, String>,
}

/// What comes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gets {
    /// An HTTP status; 200 is the site's.
    Status(u16),
    /// The connection is closed before a byte of the site's answer.
    Closed,
    /// The greeting of a server that speaks first.
    Greeting,
    /// Nothing, on a connection that stays open.
    Silence,
}

// === impl Gets ===

impl fmt::Display for Gets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Closed => f.write_str("closed"),
            Self::Greeting => f.write_str("greeting"),
            Self::Silence => f.write_str("silence"),
        }
    }
}

impl<'de> Deserialize<'de> for Gets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) if text == "closed" => Ok(Self::Closed),
            Value::String(text) if text == "greeting" => Ok(Self::Greeting),
            Value::String(text) if text == "silence" => Ok(Self::Silence),
            Value::Number(status) => {
                let status = status.as_u64().and_then(|status| u16::try_from(status).ok());
                status.map(Self::Status).ok_or_else(|| D::Error::custom("not an HTTP status"))
            }
            other => Err(D::Error::custom(format!("{other}: a status, `closed`, `greeting` or `silence`"))),
        }
    }
}

/// A listener as a scenario names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Over {
    /// The whole name, which is the listener's.
    pub name: String,
    /// What it is.
    pub kind: KindName,
    /// When it dials, where the scenario says so.
    pub connect: Option<ConnectMode>,
    /// Native RBAC in place of our filter.
    pub native: bool,
}

/// [`Kind`] with an order, for sets of listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindName(&'static str);

// === impl KindName ===

impl KindName {
    /// The kind.
    #[must_use]
    pub fn kind(self) -> Kind {
        KINDS.into_iter().find(|kind| kind.name() == self.0).unwrap_or(Kind::Mtls80)
    }
}

const KINDS: [Kind; 5] = [Kind::Mtls80, Kind::Mtls443, Kind::Pass444, Kind::Ambient80, Kind::Ambient443];

// === impl Over ===

impl Over {
    fn parse(name: &str) -> Result<Self> {
        let mut parts = name.split('@');
        let kind = parts.next().unwrap_or_default();
        let kind = KINDS
            .into_iter()
            .find(|known| known.name() == kind)
            .with_context(|| format!("no listener {name}"))?;
        let mut over =
            Self { name: name.to_owned(), kind: KindName(kind.name()), connect: None, native: false };
        for part in parts {
            match part {
                "native" => over.native = true,
                mode => over.connect = Some(serde_json::from_value(Value::String(mode.to_owned()))?),
            }
        }
        Ok(over)
    }

    /// The protocol of the filter there.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.kind.kind().protocol()
    }
}

impl<'de> Deserialize<'de> for Over {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

// === impl Scenario ===

impl Scenario {
    /// From YAML text.
    ///
    /// # Errors
    /// When it is no scenario.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let scenario: Self = yaml_serde::from_str(text)?;
        Ok(Self { name: name.to_owned(), ..scenario })
    }

    /// All scenarios of a folder, in the order of their names.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn load_all(dir: &Path) -> Result<Vec<Self>> {
        let mut scenarios = Vec::new();
        for file in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = fs::read_to_string(&path)?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                scenarios.push(Self::parse(&name, &text).with_context(|| format!("{}", path.display()))?);
            }
        }
        if scenarios.is_empty() {
            bail!("no scenarios in {}", dir.display());
        }
        scenarios.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(scenarios)
    }

    /// All its requests.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.steps.iter().flat_map(|step| &step.requests)
    }
}

// === impl Request ===

impl Request {
    /// Whether it goes through the sidecar.
    #[must_use]
    pub fn through_sidecar(&self) -> bool {
        let mutual = matches!(self.over.kind.kind(), Kind::Mtls80 | Kind::Mtls443);
        mutual
            && !self.direct
            && !self.http2
            && !self.hold_finished
            && self.sni.is_none()
            && self.who != "none"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_may_name_its_mode() {
        let over = Over::parse("mtls443@ON_DOWNSTREAM_DATA").unwrap();
        assert_eq!(over.kind.kind(), Kind::Mtls443);
        assert_eq!(over.connect, Some(ConnectMode::OnDownstreamData));
        assert!(Over::parse("mtls8080").is_err());
    }

    #[test]
    fn a_misspelt_expectation_is_no_scenario() {
        let text = "{title: x, steps: [{requests: [{who: a/b, over: mtls80, ask: GET http://x/, gets: 200, bdoy: x}]}]}";
        assert!(Scenario::parse("one", text).is_err());
        assert!(Scenario::parse("one", &text.replace("bdoy", "body")).is_ok());
    }
}
