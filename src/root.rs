//! The root context: one per configuration and worker.

use crate::audit;
use crate::host::{self, Buffer, Level};
use crate::metrics;
use crate::plugin::{Plugin, Worker};
use egress_policy::{Config, Engine};
use std::rc::Rc;

/// How often counters are flushed, limits renewed and waiting connections looked at.
pub(crate) const TICK_MILLISECONDS: u32 = 1_000;
/// A configuration can hold more errors than a log wants to.
const MAX_ERRORS_LOGGED: usize = 100;

/// One configuration on one worker.
#[derive(Default)]
pub(crate) struct Root {
    worker: Rc<Worker>,
}

impl Root {
    /// What the requests and connections of this configuration share.
    pub(crate) fn worker(&self) -> Rc<Worker> {
        Rc::clone(&self.worker)
    }

    /// The VM starts: says once what it runs.
    pub(crate) fn on_vm_start(&self) -> bool {
        let (version, revision) = (env!("CARGO_PKG_VERSION"), env!("EGRESS_AUTHZ_REVISION"));
        host::log(Level::Info, &format!("egress-authz {version} ({revision}) started"));
        metrics::on_vm_start();
        true
    }

    /// A configuration of so many bytes arrives: a pure function of them, and all or nothing.
    pub(crate) fn on_configure(&self, size: usize) -> bool {
        let bytes = match host::buffer(Buffer::Configuration, 0, size) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(_) if size == 0 => Vec::new(),
            Err(_) => {
                host::log(Level::Error, "egress-authz: the host does not hand over pluginConfig");
                return false;
            }
        };
        let config = match Config::parse(&bytes) {
            Ok(config) => config,
            Err(errors) => {
                log_errors(&errors);
                return false;
            }
        };
        let plugin = Plugin::new(Engine::new(config), short_hash(&bytes));
        log_accepted(&plugin);
        self.worker.install(plugin);
        if host::set_tick(TICK_MILLISECONDS).is_err() {
            host::log(
                Level::Error,
                "egress-authz: the host grants no tick; counters and time limits would not work",
            );
            return false;
        }
        true
    }

    /// A second has passed, or less where a connection waits for the gateway's dialling.
    pub(crate) fn on_tick(&self) {
        if !self.worker.waiting.on_tick() {
            return;
        }
        audit::renew();
        // Gauges speak of the configuration in force; an older one lives on in its connections only.
        if let Some(plugin) = self.worker.plugin().filter(|_| self.worker.is_in_force()) {
            metrics::describe(&self.worker.name(), Some(&plugin));
        }
        metrics::flush();
    }

    /// The context is given up: no tick comes any more.
    pub(crate) fn on_delete(&self) {
        self.worker.retire();
        if !self.worker.has_siblings() {
            metrics::describe(&self.worker.name(), None);
        }
        metrics::flush();
    }
}

fn log_accepted(plugin: &Plugin) {
    let settings = plugin.engine.settings();
    let line = format!(
        "egress-authz: configuration {} accepted: {:?}, mode {:?}, {} policies",
        plugin.hash,
        settings.protocol,
        settings.mode,
        plugin.engine.policies().len()
    );
    host::log(Level::Info, &line);
}

fn log_errors(errors: &[egress_policy::ConfigError]) {
    let count = errors.len();
    host::log(Level::Error, &format!("egress-authz: configuration refused, {count} error(s)"));
    for error in errors.iter().take(MAX_ERRORS_LOGGED) {
        host::log(Level::Error, &format!("egress-authz: {error}"));
    }
    if count > MAX_ERRORS_LOGGED {
        let line =
            format!("egress-authz: and {} more; `egressctl check` lists all", count - MAX_ERRORS_LOGGED);
        host::log(Level::Error, &line);
    }
}

/// FNV-1a, 64 bits: tells configurations apart in logs; nothing trusts it.
fn short_hash(bytes: &[u8]) -> Box<str> {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}").into()
}
