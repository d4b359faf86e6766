//! A request as the user describes it, in the place of the one that Envoy would bring.

use egress_policy::config::{Json, Object, Settings};
use egress_policy::{Attributes, Claim, Facts, Opening, Protocol, Read, Timestamp, Unreadable};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// One request or connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Request {
    /// A connection rather than a request.
    pub(crate) network: bool,
    /// The peer, without `spiffe://` or with it; none presents no certificate.
    pub(crate) principal: Option<String>,
    /// HTTP: the authority. NETWORK: the inner server name; empty is a ClientHello without one, none is no TLS.
    pub(crate) host: Option<String>,
    /// The outer server name.
    pub(crate) sni: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    /// The gateway's listener port.
    pub(crate) port: Option<u16>,
    pub(crate) source_ip: Option<IpAddr>,
    pub(crate) destination_ip: Option<IpAddr>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The claims of the token that the gateway verified.
    pub(crate) claims: Option<Json>,
    pub(crate) cluster: Option<String>,
    /// The site's address, as the gateway resolved it.
    pub(crate) upstream_ip: Option<IpAddr>,
    /// The time; none is now.
    pub(crate) at: Option<Timestamp>,
}

impl Request {
    /// What it is judged by.
    pub(crate) fn protocol(&self) -> Protocol {
        if self.network { Protocol::Network } else { Protocol::Http }
    }

    /// What the core reads of it.
    pub(crate) fn facts<'r>(&'r self, settings: &Settings) -> Facts<'r> {
        let domains = &settings.trust_domains;
        if !self.network {
            return Facts::http(self, domains, settings.path_readings);
        }
        let opening = match self.host.as_deref() {
            None => Opening::Plain,
            Some("") => Opening::Tls { server_name: None, encrypted: false },
            Some(name) => Opening::Tls { server_name: Some(name.into()), encrypted: false },
        };
        Facts::network(self, domains, opening)
    }

    pub(crate) fn add_header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }

    pub(crate) fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("GET")
    }

    pub(crate) fn path(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }

    pub(crate) fn header_value(&self, name: &str) -> Option<String> {
        let lines: Vec<_> =
            self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        (!lines.is_empty()).then(|| lines.join(","))
    }

    pub(crate) fn claim_value(&self, path: &[Box<str>]) -> Option<&Json> {
        path.iter().try_fold(self.claims.as_ref()?, |json, key| match json {
            Json::Object(object) => object.get(key),
            _ => None,
        })
    }
}

/// The claims of a token: an object.
pub(crate) fn parse_claims(text: &str) -> Result<Json, String> {
    match serde_json::from_str(text) {
        Ok(claims @ Json::Object(Object(_))) => Ok(claims),
        Ok(other) => Err(format!("claims are an object, not {}", other.kind())),
        Err(error) => Err(error.to_string()),
    }
}

/// Now, by this machine's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(since.as_secs().cast_signed(), since.subsec_nanos())
}

fn bytes(text: Option<&str>) -> Read<Vec<u8>> {
    Ok(text.map(|text| text.as_bytes().to_vec()))
}

/// An address as Envoy writes it: with a port.
fn with_port(ip: Option<IpAddr>, port: u16) -> Read<Vec<u8>> {
    Ok(ip.map(|ip| std::net::SocketAddr::new(ip, port).to_string().into_bytes()))
}

impl Attributes for Request {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        Ok(self.principal.as_deref().filter(|name| !name.is_empty()).map(|name| {
            let name = name.strip_prefix("spiffe://").unwrap_or(name);
            format!("spiffe://{name}").into_bytes()
        }))
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        Ok(self.principal.is_some())
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        Ok(None)
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        bytes(self.sni.as_deref())
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        with_port(self.source_ip, 0)
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        with_port(self.destination_ip, self.port.unwrap_or_default())
    }

    fn destination_port(&self) -> Read<u16> {
        Ok(self.port)
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        bytes(self.cluster.as_deref())
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        with_port(self.upstream_ip, 0)
    }

    fn authority(&self) -> Read<Vec<u8>> {
        bytes(self.host.as_deref())
    }

    fn method(&self) -> Read<Vec<u8>> {
        bytes(Some(self.method()))
    }

    fn path(&self) -> Read<Vec<u8>> {
        bytes(Some(self.path()))
    }

    fn header(&self, name: &str) -> Read<Vec<u8>> {
        Ok(self.header_value(name).map(String::into_bytes))
    }

    fn claim(&self, path: &[Box<str>]) -> Read<Claim> {
        Ok(self.claim_value(path).map(|json| match json {
            Json::Text(text) => Claim::Text(text.as_bytes().to_vec()),
            Json::List(items) => Claim::List(
                items
                    .iter()
                    .filter_map(|item| match item {
                        Json::Text(text) => Some(text.as_bytes().to_vec()),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => Claim::Other,
        }))
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        Ok(self.at.unwrap_or_else(now))
    }
}
