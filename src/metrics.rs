//! Counters and gauges, summed in the VM and handed to the host on a tick: a metric is no host call per request.

use crate::host::{self, MetricId, MetricKind};
use crate::plugin::Plugin;
use egress_policy::{Decision, Facts, Peer, Timestamp, Verdict};
use std::cell::RefCell;
use std::collections::HashMap;

/// Values of one label that are told apart; those beyond share one.
const MAX_VALUES: usize = 1_000;
/// The label value of those beyond.
const OTHER: &str = "other";
/// The namespace of peers that have none.
const NO_NAMESPACE: &str = "none";
/// How far ahead `egress_authz_policies_expiring` looks.
const EXPIRING_SECONDS: i64 = 7 * 24 * 3_600;

/// The metrics of one plugin on one worker.
#[derive(Default)]
pub(crate) struct Metrics(RefCell<State>);

#[derive(Default)]
struct State {
    decisions: HashMap<Labels, Counter>,
    /// The label values told apart so far, sorted.
    namespaces: Vec<Box<str>>,
    policies: Vec<Box<str>>,
}

/// The labels of `egress_authz_decisions`.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Labels {
    namespace: Box<str>,
    verdict: &'static str,
    policy: Box<str>,
}

#[derive(Default)]
struct Counter {
    id: Option<MetricId>,
    pending: u64,
}

impl Metrics {
    /// Counts a decision: what was carried out, and what would have been.
    pub(crate) fn count(&self, facts: &Facts<'_>, decision: &Decision<'_>) {
        let namespace = facts.peer().ok().and_then(Peer::namespace).unwrap_or(NO_NAMESPACE);
        let mut state = self.0.borrow_mut();
        if let Some(verdict) = &decision.verdict {
            state.count(namespace, verdict.effect.word(), verdict);
        }
        if let Some(verdict) = &decision.would {
            let word = match verdict.effect {
                egress_policy::config::Effect::Allow => "would_allow",
                egress_policy::config::Effect::Deny => "would_deny",
            };
            state.count(namespace, word, verdict);
        }
    }

    /// Tells which configuration is in force.
    pub(crate) fn describe(&self, plugin: Option<&Plugin>) {
        let Some(plugin) = plugin else {
            return;
        };
        let policies = u64::try_from(plugin.engine.policies().len()).unwrap_or(u64::MAX);
        gauge("egress_authz_policies", policies);
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("config", &plugin.hash)];
        gauge(&labelled("egress_authz_config_info", &labels), 1);
    }

    /// Hands what was counted to the host. What it does not take is kept for the next time.
    pub(crate) fn flush(&self, plugin: Option<&Plugin>) {
        let mut state = self.0.borrow_mut();
        for (labels, counter) in state.decisions.iter_mut().filter(|(_, counter)| counter.pending > 0) {
            if counter.id.is_none() {
                counter.id = host::define_metric(MetricKind::Counter, &labels.name()).ok();
            }
            if let Some(id) = counter.id
                && host::increment(id, counter.pending).is_ok()
            {
                counter.pending = 0;
            }
        }
        if let Some(plugin) = plugin {
            gauge("egress_authz_policies_expiring", expiring(plugin));
        }
    }
}

impl State {
    fn count(&mut self, namespace: &str, word: &'static str, verdict: &Verdict<'_>) {
        let policy = match verdict.reason.rule() {
            Some(rule) => {
                let namespace = rule.policy.namespace.as_deref().unwrap_or("*");
                format!("{namespace}/{}", rule.policy.name)
            }
            None => verdict.reason.to_string(),
        };
        let labels = Labels {
            namespace: bounded(&mut self.namespaces, namespace),
            verdict: word,
            policy: bounded(&mut self.policies, &policy),
        };
        let counter = self.decisions.entry(labels).or_default();
        counter.pending = counter.pending.saturating_add(1);
    }
}

impl Labels {
    fn name(&self) -> String {
        let labels = [("namespace", &*self.namespace), ("verdict", self.verdict), ("policy", &self.policy)];
        labelled("egress_authz_decisions", &labels)
    }
}

/// A name with labels, in the form that Istio's proxies take apart; `stats_tags` do so elsewhere.
fn labelled(name: &str, labels: &[(&str, &str)]) -> String {
    let mut text = name.to_owned();
    for (label, value) in labels {
        text.push_str(";.;");
        text.push_str(label);
        text.push_str("=.=");
        text.push_str(value);
    }
    text.push_str(";.;");
    text
}

fn bounded(values: &mut Vec<Box<str>>, value: &str) -> Box<str> {
    match values.binary_search_by(|known| (**known).cmp(value)) {
        Ok(_) => value.into(),
        Err(_) if values.len() >= MAX_VALUES => OTHER.into(),
        Err(at) => {
            values.insert(at, value.into());
            value.into()
        }
    }
}

/// A gauge that the host does not take is a gap in a graph, nothing more.
fn gauge(name: &str, value: u64) {
    let _ = host::define_metric(MetricKind::Gauge, name).and_then(|id| host::record(id, value));
}

/// Policies that will have expired a week from now, and have not yet. The clock is asked only where some expire.
fn expiring(plugin: &Plugin) -> u64 {
    let instants = || plugin.engine.policies().iter().filter_map(|policy| policy.expires);
    if instants().next().is_none() {
        return 0;
    }
    let Ok(now) = host::now() else {
        return 0;
    };
    let horizon = Timestamp::from_unix(now.unix_seconds().saturating_add(EXPIRING_SECONDS), 0);
    let count = instants().filter(|instant| *instant > now && *instant <= horizon).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_bounded() {
        let mut values = Vec::new();
        for at in 0..MAX_VALUES {
            assert_eq!(&*bounded(&mut values, &format!("ns-{at}")), format!("ns-{at}"));
        }
        assert_eq!(&*bounded(&mut values, "one-more"), "other");
        assert_eq!(&*bounded(&mut values, "ns-7"), "ns-7");
        assert_eq!(values.len(), MAX_VALUES);
    }

    #[test]
    fn names_carry_their_labels() {
        let name = labelled("egress_authz_decisions", &[("namespace", "a"), ("verdict", "deny")]);
        assert_eq!(name, "egress_authz_decisions;.;namespace=.=a;.;verdict=.=deny;.;");
    }
}
