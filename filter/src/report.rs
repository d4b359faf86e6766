//! What is told of a decision: filter state, audit line, counters. Nothing here decides.

use crate::audit::Audit;
use crate::host::{Host, Stream};
use crate::loaded::LoadedConfig;
use crate::metrics::{self, Count, Metrics};
use egress_policy::{Decision, Facts};
use std::cell::RefCell;
use std::sync::Arc;

/// Tells decisions, for all plugins of one worker.
#[derive(Default)]
pub(crate) struct Reporter {
    audit: RefCell<Audit>,
    metrics: RefCell<Metrics>,
}

impl Reporter {
    /// Tells a decision. Returns the counter that counted its verdict.
    pub(crate) fn report(
        &self,
        host: &dyn Host,
        stream: &dyn Stream,
        config: &LoadedConfig,
        facts: &Facts<'_>,
        decision: &Decision<'_>,
    ) -> Option<Count> {
        let is_told = decision.is_notable() || config.engine.settings().report_allowed;
        if is_told {
            // Without it the access log lacks a word; the verdict stands all the same.
            let _ = stream.set_filter_state(&decision.to_string());
        }
        if is_told || !decision.audit.is_empty() {
            self.audit.borrow_mut().write(host.now().ok(), config, stream, facts, decision);
        }
        self.metrics.borrow_mut().count(host, facts, decision)
    }

    /// Counts a request that was admitted from the cache: there is nothing else to tell of it.
    pub(crate) fn count_again(&self, count: Count) {
        self.metrics.borrow_mut().count_again(count);
    }

    /// A second has passed: hands on what was counted, and begins a new second of audit lines.
    pub(crate) fn on_second(&self, host: &dyn Host) {
        self.audit.borrow_mut().renew(host.now().ok());
        self.metrics.borrow_mut().flush(host);
    }

    /// Sets the gauges of a plugin's name by the configurations in force under it.
    pub(crate) fn describe(&self, host: &dyn Host, plugin: &str, in_force: &[Arc<LoadedConfig>]) {
        self.metrics.borrow_mut().describe(host, plugin, in_force);
    }
}

/// Makes what the workers share.
pub(crate) fn prepare(host: &dyn Host) {
    metrics::prepare(host);
}
