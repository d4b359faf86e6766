//! The egress gateway: a real Envoy with Istio's listeners, and the filter in them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::access_log::AccessLog;
use crate::certs::{Authority, Leaf};
use crate::envoy::{Envoy, Options};
use crate::filter::{Filter, Protocol, Slot};
use crate::provision::EnvoyBinary;
use crate::shape::{Listener, Shape};
use crate::template::{self, Place};
use crate::world::Ports;

/// The gateway's own SPIFFE ID, which the sidecars insist on.
pub const GATEWAY_PRINCIPAL: &str =
    "spiffe://cluster.local/ns/istio-system/sa/istio-egressgateway-service-account";

/// What became of a new configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// It is in force.
    Applied,
    /// Envoy refused it and keeps the old one; with the end of its log.
    Rejected(String),
}

/// A running gateway.
pub struct Gateway {
    envoy: Envoy,
    listeners: Vec<(Listener, Vec<Slot>)>,
    addresses: BTreeMap<String, SocketAddr>,
    version: u64,
}

// === impl Gateway ===

impl Gateway {
    /// Starts a gateway of a shape in front of an external world and waits until its listeners listen.
    ///
    /// # Errors
    /// When Envoy does not start or refuses the configuration; the text has its log's end.
    pub fn start(
        binary: &EnvoyBinary,
        mesh: &Authority,
        public: &Authority,
        world: Ports,
        shape: &Shape,
        options: &Options,
    ) -> Result<Self> {
        let mut gateway = Self::launch(binary, mesh, public, world, shape, options)?;
        gateway.await_listeners()?;
        Ok(gateway)
    }

    /// Starts a gateway and does not wait for listeners: for configurations that Envoy will not take.
    ///
    /// # Errors
    /// When Envoy does not start at all.
    pub fn launch(
        binary: &EnvoyBinary,
        mesh: &Authority,
        public: &Authority,
        world: Ports,
        shape: &Shape,
        options: &Options,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("egress-gateway-").tempdir()?;
        let own = mesh.issue(&Leaf { uris: vec![GATEWAY_PRINCIPAL.to_owned()], ..Leaf::default() })?;
        for (name, text) in [
            ("gateway.crt", own.certificate.as_str()),
            ("gateway.key", own.key.as_str()),
            ("mesh-ca.crt", mesh.certificate()),
            ("public-ca.crt", public.certificate()),
        ] {
            std::fs::write(dir.path().join(name), text)?;
        }
        let mut listeners = Vec::new();
        for listener in &shape.listeners {
            let protocol = listener.kind.protocol();
            let slots = (0..listener.filter.len())
                .map(|index| Slot::new(dir.path(), &listener.name, index, protocol))
                .collect::<Result<Vec<_>>>()?;
            listeners.push((listener.clone(), slots));
        }
        for (listener, slots) in &listeners {
            deliver(listener, slots, 1)?;
        }
        let place = Place {
            dir: dir.path(),
            address: "127.0.0.1",
            admin_port: 0,
            access_log: &dir.path().join("access.jsonl"),
            world: "127.0.0.1",
        };
        let config = template::gateway(shape, &listeners, world, &place)?;
        let envoy = Envoy::start(binary, "gateway", dir, &config, options)?;
        Ok(Self { envoy, listeners, addresses: BTreeMap::new(), version: 1 })
    }

    /// Waits until all listeners listen.
    ///
    /// # Errors
    /// When one does not in time.
    pub fn await_listeners(&mut self) -> Result<()> {
        let names: Vec<String> = self.listeners.iter().map(|(listener, _)| listener.name.clone()).collect();
        self.addresses = self.envoy.await_listeners(&names)?;
        Ok(())
    }

    /// Where a listener listens.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn address(&self, listener: &str) -> Result<SocketAddr> {
        self.addresses.get(listener).copied().with_context(|| {
            let known: Vec<&String> = self.addresses.keys().collect();
            format!("the gateway has no listener {listener}; it has {known:?}")
        })
    }

    /// The process.
    #[must_use]
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// The process, to kill it.
    pub fn envoy_mut(&mut self) -> &mut Envoy {
        &mut self.envoy
    }

    /// Its access log.
    #[must_use]
    pub fn access_log(&self) -> AccessLog {
        AccessLog::new(self.envoy.dir().join("access.jsonl"))
    }

    /// Ends Envoy and starts it again; the listeners' ports change.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.envoy.restart()?;
        self.await_listeners()
    }

    /// Gives a new policy document to every wasm filter of the gateway, as a live update, and waits until Envoy has decided on it.
    ///
    /// # Errors
    /// When Envoy does not react.
    pub fn set_policy(&mut self, config: &Value) -> Result<Update> {
        self.set_policy_text(&config.to_string())
    }

    /// The same with any text, such as one that is no JSON.
    ///
    /// # Errors
    /// When Envoy does not react.
    pub fn set_policy_text(&mut self, config: &str) -> Result<Update> {
        let mut changed = Vec::new();
        for (listener, _) in &mut self.listeners {
            if let Filter::Wasm(wasm) = &mut listener.filter {
                config.clone_into(&mut wasm.config);
                changed.push(listener.name.clone());
            }
        }
        self.push(&changed)
    }

    /// Puts another filter of as many parts into one listener, live.
    ///
    /// # Errors
    /// When there is no such listener, the number of filters differs, or Envoy does not react.
    pub fn set_filter(&mut self, name: &str, filter: Filter) -> Result<Update> {
        let (listener, slots) = self
            .listeners
            .iter_mut()
            .find(|(listener, _)| listener.name == name)
            .with_context(|| format!("no listener {name}"))?;
        if filter.len() != slots.len() {
            bail!("listener {name} has room for {} filters, not {}", slots.len(), filter.len());
        }
        listener.filter = filter;
        self.push(&[name.to_owned()])
    }

    fn push(&mut self, names: &[String]) -> Result<Update> {
        let log = self.envoy.log().len();
        let mut awaited = Vec::new();
        let rejected_before = self.rejections()?;
        self.version += 1;
        for (listener, slots) in self.listeners.iter().filter(|(listener, _)| names.contains(&listener.name))
        {
            for slot in slots {
                awaited.push(format!("{}.version_text", stat_prefix(listener.kind.protocol(), slot)));
            }
            deliver(listener, slots, self.version)?;
        }
        let wanted = version_text(self.version);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let stats = self.envoy.stats(r"^extension_config_discovery\.")?;
            if awaited.iter().all(|name| stats.get(name) == Some(&wanted)) {
                return Ok(Update::Applied);
            }
            if total_rejections(&stats) > rejected_before {
                let whole = self.envoy.log();
                return Ok(Update::Rejected(whole.get(log..).unwrap_or_default().to_owned()));
            }
            if Instant::now() > deadline {
                bail!("Envoy did not react to configuration {wanted}; stats: {stats:#?}");
            }
            sleep(Duration::from_millis(3));
        }
    }

    fn rejections(&self) -> Result<u64> {
        Ok(total_rejections(&self.envoy.stats(r"^extension_config_discovery\.")?))
    }
}

pub(crate) fn deliver(listener: &Listener, slots: &[Slot], version: u64) -> Result<()> {
    let typed = listener.filter.typed(listener.kind.protocol(), &listener.name);
    slots.iter().zip(&typed).try_for_each(|(slot, typed)| slot.write(&version_text(version), typed))
}

fn version_text(version: u64) -> String {
    format!("v{version}")
}

fn stat_prefix(protocol: Protocol, slot: &Slot) -> String {
    let kind = match protocol {
        Protocol::Http => "http_filter",
        Protocol::Network => "network_filter",
    };
    format!("extension_config_discovery.{kind}.{}", slot.name)
}

fn total_rejections(stats: &BTreeMap<String, String>) -> u64 {
    stats
        .iter()
        .filter(|(name, _)| {
            [".update_rejected", ".update_failure", ".config_fail"].iter().any(|end| name.ends_with(end))
        })
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}
