//! The core's own verdict, without any Envoy: to draw requests that tell something, and to count which field decides.

use std::collections::BTreeMap;

use egress_policy::{Attributes, Claim, Config, Engine, Facts, Opening, Read, Timestamp, Unreadable};
use serde_json::{Value, json};

use crate::bench::{ISSUER, neutral_settings};
use crate::model::{PolicySet, Protocol, Request};

/// A policy set, compiled by the core.
pub(crate) struct Judge {
    engine: Engine,
    protocol: Protocol,
}

/// The verdict, and the one with dry-run policies enforced.
pub(crate) type Verdicts = (bool, bool);

// === impl Judge ===

impl Judge {
    pub(crate) fn new(set: &PolicySet) -> Self {
        let mut document = neutral_settings(set);
        document["type"] = json!(if set.protocol == Protocol::Http { "HTTP" } else { "NETWORK" });
        document["policies"] = set.to_json(&BTreeMap::new());
        match Config::parse(document.to_string().as_bytes()) {
            Ok(config) => Self { engine: Engine::new(config), protocol: set.protocol },
            Err(errors) => panic!("not of the common part: {document:#}\n{errors:#?}"),
        }
    }

    pub(crate) fn verdicts(&self, request: &Request) -> Verdicts {
        let settings = self.engine.settings();
        let domains = &settings.trust_domains;
        let facts = match self.protocol {
            Protocol::Http => Facts::http(request, domains, settings.path_readings),
            Protocol::Tcp => Facts::network(request, domains, Opening::Plain),
        };
        let decision = self.engine.decide(&facts);
        let first = decision.refusal().is_none();
        (first, if decision.dry_run_verdict.is_some() { !first } else { first })
    }
}

fn some(text: &str) -> Read<Vec<u8>> {
    Ok(Some(text.as_bytes().to_vec()))
}

impl Attributes for Request {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        if self.peer.is_empty() { Ok(None) } else { some(&self.peer) }
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        Ok(true)
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        Ok(None)
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        self.sni.as_deref().map_or(Ok(None), some)
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        some(&format!("{}:40000", self.source))
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        some(&format!("127.0.0.1:{}", self.port))
    }

    fn destination_port(&self) -> Read<u16> {
        Ok(Some(self.port))
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        Ok(None)
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        Ok(None)
    }

    fn authority(&self) -> Read<Vec<u8>> {
        some(&self.host)
    }

    fn method(&self) -> Read<Vec<u8>> {
        some(&self.method)
    }

    fn path(&self) -> Read<Vec<u8>> {
        some(&self.path)
    }

    fn header(&self, name: &str) -> Read<Vec<u8>> {
        let lines: Vec<&str> =
            self.headers.iter().filter(|(key, _)| key == name).map(|(_, v)| &**v).collect();
        if lines.is_empty() { Ok(None) } else { some(&lines.join(",")) }
    }

    fn claim(&self, path: &[Box<str>]) -> Read<Claim> {
        let Some(claims) = &self.claims else {
            return Ok(None);
        };
        if matches!(path, [name] if **name == *"iss") {
            return Ok(Some(Claim::Text(ISSUER.into())));
        }
        let bytes = |text: &str| text.as_bytes().to_vec();
        let found = path.iter().try_fold(claims, |at, key| at.get(&**key));
        Ok(found.map(|claim| match claim {
            Value::String(text) => Claim::Text(bytes(text)),
            Value::Array(items) => Claim::List(items.iter().filter_map(Value::as_str).map(bytes).collect()),
            _ => Claim::Other,
        }))
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        Ok(Timestamp::from_unix(0, 0))
    }
}
