//! The core by itself: a request of plain fields, and an engine that decides it.

use std::hint::black_box;

use anyhow::{Result, anyhow};
use egress_policy::{Attributes, Claim, Config, Engine, Facts, Read, Timestamp, Unreadable};
use serde_json::Value;

use crate::shapes::Probe;

/// Compiles a configuration.
///
/// # Errors
/// When it has errors; the text is the first.
pub fn engine(config: &Value) -> Result<Engine> {
    engine_of(config.to_string().as_bytes())
}

/// Compiles a configuration as it arrives.
///
/// # Errors
/// When it has errors; the text is the first.
pub fn engine_of(bytes: &[u8]) -> Result<Engine> {
    let errors = |errors: Vec<_>| anyhow!("{}", errors.first().map_or_else(String::new, ToString::to_string));
    Config::parse(bytes).map(Engine::new).map_err(errors)
}

/// A request whose attributes are there without any host.
#[derive(Debug)]
pub struct Asker {
    principal: Vec<u8>,
    host: Vec<u8>,
    path: Vec<u8>,
}

impl Asker {
    /// The request of a probe.
    #[must_use]
    pub fn new(probe: &Probe) -> Self {
        let (namespace, account) = probe.workload.split_once('/').unwrap_or_default();
        Self {
            principal: format!("spiffe://cluster.local/ns/{namespace}/sa/{account}").into_bytes(),
            host: probe.host.clone().into_bytes(),
            path: probe.path.clone().into_bytes(),
        }
    }

    /// Decides, from the raw attributes on, as the filter does.
    #[must_use]
    pub fn is_admitted(&self, engine: &Engine) -> bool {
        let facts = Facts::http(self, &engine.settings().trust_domains, engine.settings().path_readings);
        engine.decide(black_box(&facts)).refusal().is_none()
    }
}

impl Attributes for Asker {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        Ok(Some(self.principal.clone()))
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        Ok(true)
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        Ok(None)
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        Ok(Some(self.host.clone()))
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        Ok(Some(b"10.1.0.7:41234".to_vec()))
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        Ok(Some(b"10.2.0.1:80".to_vec()))
    }

    fn destination_port(&self) -> Read<u16> {
        Ok(Some(80))
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        Ok(None)
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        Ok(None)
    }

    fn authority(&self) -> Read<Vec<u8>> {
        Ok(Some(self.host.clone()))
    }

    fn method(&self) -> Read<Vec<u8>> {
        Ok(Some(b"GET".to_vec()))
    }

    fn path(&self) -> Read<Vec<u8>> {
        Ok(Some(self.path.clone()))
    }

    fn header(&self, _name: &str) -> Read<Vec<u8>> {
        Ok(None)
    }

    fn claim(&self, _path: &[Box<str>]) -> Read<Claim> {
        Ok(None)
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        Ok(Timestamp::from_unix(1_800_000_000, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::Shape;

    #[test]
    fn every_probe_is_admitted_and_by_nothing_else() {
        for shape in Shape::ALL {
            for policies in [10, 200] {
                let engine = engine(&shape.config(policies)).unwrap();
                assert_eq!(engine.policies().len(), policies);
                for at in shape.positions(policies, 16) {
                    assert!(Asker::new(&shape.probe_of(at)).is_admitted(&engine), "{} {at}", shape.name());
                }
                let stranger = Probe {
                    host: "other.example".to_owned(),
                    path: "/none".to_owned(),
                    ..shape.probe(policies)
                };
                let admitted = Asker::new(&stranger).is_admitted(&engine);
                assert_eq!(admitted, shape == Shape::MatchLast, "{}", shape.name());
            }
        }
    }
}
