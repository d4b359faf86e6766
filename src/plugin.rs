//! What the contexts of one plugin on one worker share: the configuration in force, and what is reported.

use crate::audit;
use crate::host::{self, Level};
use crate::metrics;
use crate::network::Waiting;
use egress_policy::{AdmissionCache, Decision, Engine, Facts, Protocol, RecordingAttributes};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A configuration in force.
pub(crate) struct Plugin {
    /// What decides.
    pub(crate) engine: Engine,
    /// A short hash of the configuration's bytes, which audit lines and metrics carry.
    pub(crate) hash: Box<str>,
    /// Whom it admitted before, and the counter that counts it.
    pub(crate) cache: RefCell<AdmissionCache<metrics::Count>>,
}

impl Plugin {
    pub(crate) fn new(engine: Engine, hash: Box<str>) -> Self {
        Self { engine, hash, cache: RefCell::default() }
    }

    /// Whether a request like this was admitted before and is admitted again; it is counted, and there is no more to it.
    pub(crate) fn admits_again(&self, asking: &RecordingAttributes<'_>) -> bool {
        let count = self.cache.borrow().get(asking);
        count.is_some_and(metrics::count_again)
    }
}

/// One plugin on one worker.
#[derive(Default)]
pub(crate) struct Worker {
    /// The configuration; none until the first was accepted.
    pub(crate) plugin: RefCell<Option<Rc<Plugin>>>,
    /// The name that the gateway knows the plugin by; it stays while configurations change.
    name: RefCell<Vec<u8>>,
    /// Connections whose ClientHello is not whole.
    pub(crate) waiting: Waiting,
    /// Whether the log has been told that the filter is loaded for the wrong type.
    wrong_type_told: Cell<bool>,
}

/// The configurations of one plugin that still have a context, the one in force last.
type Siblings = Vec<Rc<Plugin>>;

thread_local! {
    /// The configurations of each plugin in this VM that still have a context, by the plugin's name, the one in
    /// force last. A configuration comes with a context of its own; live connections stay with the old one and
    /// learn here that another is in force.
    static ALIVE: RefCell<Vec<(Vec<u8>, Siblings)>> = const { RefCell::new(Vec::new()) };
    /// How often the configuration in force of any plugin has changed.
    static GENERATION: Cell<u64> = const { Cell::new(0) };
}

/// How often a configuration in force has changed in this VM: where this has not, nothing has.
pub(crate) fn generation() -> u64 {
    GENERATION.get()
}

impl Worker {
    /// Puts a configuration in force.
    pub(crate) fn install(&self, plugin: Plugin) {
        self.retire();
        self.name.replace(host::property(b"plugin_name").ok().flatten().unwrap_or_default());
        self.plugin.replace(Some(Rc::new(plugin)));
        self.come_into_force();
    }

    /// New traffic comes to this context, so its configuration is the one in force. Usually it is known to be;
    /// but where the host returns to a configuration that still has a context, it does not configure that again.
    pub(crate) fn come_into_force(&self) {
        let Some(plugin) = self.plugin() else {
            return;
        };
        self.with_siblings(|siblings| {
            if siblings.last().is_none_or(|last| !Rc::ptr_eq(last, &plugin)) {
                siblings.retain(|other| !Rc::ptr_eq(other, &plugin));
                siblings.push(plugin);
                GENERATION.set(GENERATION.get() + 1);
            }
        });
    }

    /// The host has given up this context. Was its configuration in force, the one before it is again.
    pub(crate) fn retire(&self) {
        let Some(plugin) = self.plugin() else {
            return;
        };
        self.with_siblings(|siblings| {
            if siblings.last().is_some_and(|last| Rc::ptr_eq(last, &plugin)) {
                GENERATION.set(GENERATION.get() + 1);
            }
            siblings.retain(|other| !Rc::ptr_eq(other, &plugin));
        });
    }

    /// Whether the configuration of this context is the one in force.
    pub(crate) fn is_in_force(&self) -> bool {
        match (self.plugin(), self.in_force()) {
            (Some(own), Some(newest)) => Rc::ptr_eq(&own, &newest),
            _ => false,
        }
    }

    /// Whether any configuration of this plugin still has a context.
    pub(crate) fn has_siblings(&self) -> bool {
        self.with_siblings(|siblings| !siblings.is_empty())
    }

    /// The plugin's name, for people.
    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(&self.name.borrow()).into_owned()
    }

    /// The configurations of this plugin, the one in force last.
    fn with_siblings<T>(&self, look: impl FnOnce(&mut Siblings) -> T) -> T {
        let name = self.name.borrow();
        ALIVE.with_borrow_mut(|alive| {
            let at = alive.iter().position(|(known, _)| *known == *name);
            let mut siblings = at.map(|at| alive.swap_remove(at).1).unwrap_or_default();
            let answer = look(&mut siblings);
            if !siblings.is_empty() {
                alive.push((name.clone(), siblings));
            }
            answer
        })
    }

    /// The configuration of this context.
    pub(crate) fn plugin(&self) -> Option<Rc<Plugin>> {
        self.plugin.borrow().clone()
    }

    /// The configuration of this plugin that is in force, which may belong to another context.
    pub(crate) fn in_force(&self) -> Option<Rc<Plugin>> {
        self.with_siblings(|siblings| siblings.last().map(Rc::clone)).or_else(|| self.plugin())
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

    /// Tells what was decided: filter state, audit line and counters. The counter comes back where it is all there is
    /// to say when the like is admitted again.
    pub(crate) fn report(
        &self,
        plugin: &Plugin,
        facts: &Facts<'_>,
        decision: &Decision<'_>,
    ) -> Option<metrics::Count> {
        let told = decision.is_notable() || plugin.engine.settings().report_allowed;
        if told {
            // Without it the access log lacks a word; the verdict stands all the same.
            let _ = host::set_property(b"egress_authz", decision.to_string().as_bytes());
        }
        if told || !decision.audit.is_empty() {
            audit::write(plugin, facts, decision);
        }
        metrics::count(facts, decision).filter(|_| !told && decision.is_plain_admission())
    }
}
