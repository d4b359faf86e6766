//! What all plugins of one worker share.

use crate::host::{Host, Stream};
use crate::loaded::LoadedConfig;
use crate::metrics::Count;
use crate::registry::Registry;
use crate::report::{self, Reporter};
use crate::waiting::Waiting;
use egress_policy::{Decision, Facts, Timestamp};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How many new connections go by before one of them lets the time pass: the ticks do that, too.
const CONNECTIONS_A_LOOK: u64 = 16;

/// One worker of Envoy's, or its main thread.
pub struct Worker {
    pub(crate) host: Box<dyn Host>,
    pub(crate) registry: RefCell<Registry>,
    pub(crate) waiting: Waiting,
    reporter: Reporter,
    connections: Cell<u64>,
}

impl Worker {
    /// A worker without any plugin.
    #[must_use]
    pub fn new(host: Box<dyn Host>) -> Rc<Self> {
        Rc::new(Self {
            host,
            registry: RefCell::default(),
            waiting: Waiting::default(),
            reporter: Reporter::default(),
            connections: Cell::new(0),
        })
    }

    /// The filter starts on this worker: prepares what the workers share.
    pub fn on_start(&self) {
        report::prepare(&*self.host);
    }

    /// A tick of any of its plugins: looks at dials, and does a second's work where one has passed.
    pub(crate) fn on_tick(&self) {
        self.waiting.look_at_dials();
        self.pass(self.host.now().ok());
    }

    /// Does a second's work where one has passed by this clock.
    fn pass(&self, now: Option<Timestamp>) {
        if !self.waiting.pass(now) {
            return;
        }
        self.waiting.end_late_hellos();
        let names = self.registry.borrow().names();
        for name in names {
            self.describe(&name);
        }
        self.reporter.on_second(&*self.host);
    }

    /// The number of a new connection. Now and then one lets the time pass, so that seconds do not depend on ticks alone;
    /// whether this one did, so that the stream that calls speak of may be another one.
    pub(crate) fn on_connection(&self) -> (u64, bool) {
        let number = self.connections.get() + 1;
        self.connections.set(number);
        let looks = number.is_multiple_of(CONNECTIONS_A_LOOK);
        if looks && let Ok(now) = self.host.now() {
            self.pass(Some(now));
        }
        (number, looks)
    }

    /// Tells a decision. Returns the counter that counted its verdict.
    pub(crate) fn report(
        &self,
        stream: &dyn Stream,
        config: &LoadedConfig,
        facts: &Facts<'_>,
        decision: &Decision<'_>,
    ) -> Option<Count> {
        self.reporter.report(&*self.host, stream, config, facts, decision)
    }

    /// Counts a request that was admitted from the cache.
    pub(crate) fn count_again(&self, count: Count) {
        self.reporter.count_again(count);
    }

    /// Sets the gauges of a plugin's name by what is loaded under it.
    pub(crate) fn describe(&self, plugin: &str) {
        let in_force = self.registry.borrow().newest(plugin);
        self.reporter.describe(&*self.host, plugin, &in_force);
    }

    /// Hands on what was counted.
    pub(crate) fn flush(&self) {
        self.reporter.on_second(&*self.host);
    }
}
