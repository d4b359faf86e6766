//! One configuration of a plugin on one worker, as Envoy makes it.

use crate::admissions::Admissions;
use crate::loaded::LoadedConfig;
use crate::registry::{Deciding, Origin};
use crate::worker::Worker;
use egress_policy::config::{Effect, Mode};
use egress_policy::{ConfigError, Protocol};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// How often a second's work is looked for.
const TICK_MILLISECONDS: u32 = 1_000;
/// How often Envoy is asked whether it has dialled, where connections wait for that. It is set once and for all: a timer
/// that clients could set anew, they could keep from ever ending.
const DIAL_MILLISECONDS: u32 = 5;
/// A configuration can hold more errors than a log wants to.
const MAX_ERRORS_LOGGED: usize = 100;

/// A plugin with one configuration on one worker.
pub struct PluginInstance {
    worker: Rc<Worker>,
    /// None until the first was accepted.
    config: RefCell<Option<Arc<LoadedConfig>>>,
    /// The name that Envoy knows the plugin by; it stays while configurations change.
    name: RefCell<Box<str>>,
    pub(crate) admissions: RefCell<Admissions>,
    is_wrong_type_logged: Cell<bool>,
}

impl PluginInstance {
    /// An instance without a configuration: it refuses everything.
    #[must_use]
    pub fn new(worker: &Rc<Worker>) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(worker),
            config: RefCell::default(),
            name: RefCell::default(),
            admissions: RefCell::default(),
            is_wrong_type_logged: Cell::new(false),
        })
    }

    /// Takes the configuration of a plugin named `name`: all of it or nothing. A refused one is logged with every error, and
    /// the one before stays. Returns whether it is accepted.
    pub fn configure(&self, name: &[u8], bytes: &[u8]) -> bool {
        match LoadedConfig::parse(bytes) {
            Ok(config) => {
                self.install(name, config);
                true
            }
            Err(errors) => {
                log_errors(&errors);
                false
            }
        }
    }

    /// Takes a configuration that was parsed before.
    pub fn install(&self, name: &[u8], config: Arc<LoadedConfig>) {
        log_accepted(&config);
        self.unload();
        self.name.replace(String::from_utf8_lossy(name).into());
        self.worker.registry.borrow_mut().load(&self.name.borrow(), &config);
        self.admissions.replace(Admissions::default());
        self.config.replace(Some(config));
    }

    /// How often the carrier has to call [`PluginInstance::on_tick`], in milliseconds. It depends on the configuration alone.
    #[must_use]
    pub fn tick_milliseconds(&self) -> u32 {
        let waits_for_dials = self.config().is_some_and(|config| {
            let settings = config.engine.settings();
            settings.protocol == Protocol::Network
                && settings.private_upstreams == Effect::Deny
                && settings.mode == Mode::Enforce
        });
        if waits_for_dials { DIAL_MILLISECONDS } else { TICK_MILLISECONDS }
    }

    /// Time has passed.
    pub fn on_tick(&self) {
        self.worker.on_tick();
    }

    /// Envoy has given up this instance: no tick comes any more.
    pub fn on_delete(&self) {
        self.unload();
        self.worker.describe(&self.name.borrow());
        self.worker.flush();
    }

    /// The configuration of this instance.
    pub(crate) fn config(&self) -> Option<Arc<LoadedConfig>> {
        self.config.borrow().clone()
    }

    /// What all plugins of this worker share.
    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Where a connection that comes to this instance comes from.
    pub(crate) fn connect(&self, listener: impl FnOnce() -> Option<Vec<u8>>) -> Option<Origin> {
        let config = self.config()?;
        Some(self.worker.registry.borrow_mut().connect(&self.name.borrow(), &config, listener))
    }

    /// The configurations that a connection from `origin` has to satisfy now.
    pub(crate) fn deciding(&self, origin: &Origin, listener: impl FnOnce() -> Option<Vec<u8>>) -> Deciding {
        self.worker.registry.borrow().deciding(&self.name.borrow(), origin, listener)
    }

    /// Says once that the filter is loaded for the type `loaded`, and configured for the other one.
    pub(crate) fn log_wrong_type(&self, config: &LoadedConfig, loaded: Protocol) {
        let settings = config.engine.settings();
        if settings.protocol == loaded || self.is_wrong_type_logged.replace(true) {
            return;
        }
        let (loaded, configured) = match loaded {
            Protocol::Http => ("HTTP", "NETWORK"),
            Protocol::Network => ("NETWORK", "HTTP"),
        };
        let does = match settings.mode {
            Mode::Enforce => "refuses all traffic here (wrong_type)",
            Mode::DryRun => "would refuse all traffic here (wrong_type), and passes it: `mode: DRY_RUN`",
        };
        log::error!(
            "egress-authz {does}: it is loaded as a filter of type {loaded}, and its configuration says `type: {configured}`; \
             write `type: {loaded}` in pluginConfig, or load it as {configured}"
        );
    }

    fn unload(&self) {
        if let Some(config) = self.config() {
            self.worker.registry.borrow_mut().unload(&self.name.borrow(), &config);
        }
    }
}

fn log_accepted(config: &LoadedConfig) {
    let settings = config.engine.settings();
    log::info!(
        "egress-authz: configuration {} accepted: {:?}, mode {:?}, {} policies",
        config.hash,
        settings.protocol,
        settings.mode,
        config.engine.policies().len()
    );
}

fn log_errors(errors: &[ConfigError]) {
    let count = errors.len();
    log::error!("egress-authz: configuration refused, {count} error(s)");
    for error in errors.iter().take(MAX_ERRORS_LOGGED) {
        log::error!("egress-authz: {error}");
    }
    if count > MAX_ERRORS_LOGGED {
        log::error!("egress-authz: and {} more; `egressctl check` lists all", count - MAX_ERRORS_LOGGED);
    }
}
