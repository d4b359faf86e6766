//! What the contexts of one plugin on one worker share: the configuration in force, and what is reported.

use crate::audit::AuditLog;
use crate::host::{self, Level};
use crate::metrics::Metrics;
use crate::network::Waiting;
use egress_policy::{Decision, Engine, Facts, Protocol};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A configuration in force.
pub(crate) struct Plugin {
    /// What decides.
    pub(crate) engine: Engine,
    /// A short hash of the configuration's bytes, which audit lines and metrics carry.
    pub(crate) hash: Box<str>,
}

/// One plugin on one worker.
#[derive(Default)]
pub(crate) struct Worker {
    /// The configuration; none until the first was accepted.
    pub(crate) plugin: RefCell<Option<Rc<Plugin>>>,
    /// The name that the gateway knows the plugin by; it stays while configurations change.
    pub(crate) name: RefCell<Vec<u8>>,
    /// Audit lines.
    pub(crate) audit: AuditLog,
    /// Counters and gauges.
    pub(crate) metrics: Metrics,
    /// Connections whose ClientHello is not whole.
    pub(crate) waiting: Waiting,
    /// Whether the log has been told that the filter is loaded for the wrong type.
    wrong_type_told: Cell<bool>,
}

thread_local! {
    /// The newest configuration of each plugin in this VM, by the plugin's name. A configuration comes with a
    /// context of its own; live connections stay with the old one and learn here that there is a newer.
    static NEWEST: RefCell<Vec<(Vec<u8>, Rc<Plugin>)>> = const { RefCell::new(Vec::new()) };
    /// How many configurations this VM has accepted.
    static GENERATION: Cell<u64> = const { Cell::new(0) };
}

/// How many configurations this VM has accepted: where it has not changed, nothing has.
pub(crate) fn generation() -> u64 {
    GENERATION.get()
}

impl Worker {
    /// Puts a configuration in force.
    pub(crate) fn install(&self, plugin: Plugin) {
        let plugin = Rc::new(plugin);
        let name = host::property(b"plugin_name").ok().flatten().unwrap_or_default();
        NEWEST.with_borrow_mut(|newest| {
            newest.retain(|(known, _)| *known != name);
            newest.push((name.clone(), Rc::clone(&plugin)));
        });
        GENERATION.set(GENERATION.get() + 1);
        self.name.replace(name);
        self.plugin.replace(Some(plugin));
    }

    /// The configuration of this context.
    pub(crate) fn plugin(&self) -> Option<Rc<Plugin>> {
        self.plugin.borrow().clone()
    }

    /// The newest configuration of this plugin, which may belong to a later context.
    pub(crate) fn newest(&self) -> Option<Rc<Plugin>> {
        let name = self.name.borrow();
        NEWEST
            .with_borrow(|newest| {
                newest.iter().find(|(known, _)| *known == *name).map(|(_, plugin)| Rc::clone(plugin))
            })
            .or_else(|| self.plugin())
    }

    /// Tells the log, once, that the filter is loaded for a type that it is not configured for.
    pub(crate) fn tell_wrong_type(&self, loaded: Protocol) {
        if self.wrong_type_told.replace(true) {
            return;
        }
        let (loaded, configured) = match loaded {
            Protocol::Http => ("HTTP", "NETWORK"),
            Protocol::Network => ("NETWORK", "HTTP"),
        };
        let line = format!(
            "egress-authz refuses all traffic here (wrong_type): it is loaded as a filter of type {loaded}, and its \
             configuration says `type: {configured}`; write `type: {loaded}` in pluginConfig, or load it as {configured}"
        );
        host::log(Level::Error, &line);
    }

    /// Tells what was decided: filter state, audit line and counters.
    pub(crate) fn report(&self, plugin: &Plugin, facts: &Facts<'_>, decision: &Decision<'_>) {
        let told = decision.is_notable() || plugin.engine.settings().report_allowed;
        if told {
            // Without it the access log lacks a word; the verdict stands all the same.
            let _ = host::set_property(b"egress_authz", decision.to_string().as_bytes());
        }
        if told || !decision.audit.is_empty() {
            self.audit.write(plugin, facts, decision);
        }
        self.metrics.count(facts, decision);
    }
}
