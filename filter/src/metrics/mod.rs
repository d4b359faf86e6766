//! Counters and gauges, summed here and handed to Envoy once a second: a metric is no host call per request.
//!
//! All plugins of a worker share what is here, so that two of them do not set one gauge to two values, and an
//! update neither starts label values anew nor defines again what Envoy already knows.

mod values;

use self::values::Values;
use crate::host::{Host, MetricId, MetricKind};
use crate::loaded::LoadedConfig;
use egress_policy::config::Effect;
use egress_policy::{Decision, Facts, Peer, Verdict};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// The label value of those beyond what is told apart.
const OTHER: &str = "other";
/// The namespace of peers that have none.
const NO_NAMESPACE: &str = "none";
/// How far ahead `egress_authz_policies_expiring` looks: 7 days.
const EXPIRING_SECONDS: i64 = 7 * 24 * 3_600;

/// The metrics of one worker.
pub(crate) struct Metrics {
    /// By namespace and policy, the place of the counters.
    places: FxHashMap<Box<str>, FxHashMap<Box<str>, usize>>,
    /// None is ever taken away, so that a place stays one.
    decisions: Vec<Decisions>,
    namespaces: Values,
    policies: Values,
    configs: Values,
    /// The configurations that the gauges of each plugin's name were last set for.
    described: Vec<(Box<str>, Vec<Box<str>>)>,
    gauges: Vec<(Box<str>, MetricId)>,
    /// For the policy's label, which is put together for each decision.
    text: String,
}

/// The values of the label `verdict`.
const VERDICTS: [&str; 4] = ["allow", "deny", "would_allow", "would_deny"];

/// One counter for each verdict.
struct Decisions {
    namespace: Box<str>,
    policy: Box<str>,
    counters: [Counter; VERDICTS.len()],
}

/// The counter of a verdict: where to count again without looking for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    place: usize,
    word: usize,
}

#[derive(Default)]
struct Counter {
    id: Option<MetricId>,
    pending: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            places: FxHashMap::default(),
            decisions: Vec::new(),
            namespaces: Values::of("namespaces"),
            policies: Values::of("policies"),
            configs: Values::of("configs"),
            described: Vec::new(),
            gauges: Vec::new(),
            text: String::new(),
        }
    }
}

/// Makes what the workers share; the first VM, which starts before any other, does it.
pub(crate) fn prepare(host: &dyn Host) {
    values::prepare(host);
}

impl Metrics {
    /// Counts a decision: its verdict and its dry-run verdict. Returns the verdict's counter.
    pub(crate) fn count(
        &mut self,
        host: &dyn Host,
        facts: &Facts<'_>,
        decision: &Decision<'_>,
    ) -> Option<Count> {
        let namespace = facts.peer().ok().and_then(Peer::namespace).unwrap_or(NO_NAMESPACE);
        let mut count = |verdict: &Option<Verdict<'_>>, first: usize| {
            let verdict = verdict.as_ref()?;
            let word = first + usize::from(verdict.effect == Effect::Deny);
            Some(self.count_verdict(host, namespace, word, verdict))
        };
        let carried_out = count(&decision.verdict, 0);
        count(&decision.dry_run_verdict, 2);
        carried_out
    }

    /// Counts once more.
    pub(crate) fn count_again(&mut self, Count { place, word }: Count) {
        let counter = self.decisions.get_mut(place).and_then(|decisions| decisions.counters.get_mut(word));
        if let Some(counter) = counter {
            counter.pending = counter.pending.saturating_add(1);
        }
    }

    fn count_verdict(
        &mut self,
        host: &dyn Host,
        namespace: &str,
        word: usize,
        verdict: &Verdict<'_>,
    ) -> Count {
        let mut policy = std::mem::take(&mut self.text);
        policy.clear();
        match verdict.reason.rule() {
            Some(rule) => {
                policy.push_str(rule.policy.namespace.as_deref().unwrap_or("*"));
                policy.push('/');
                policy.push_str(&rule.policy.name);
            }
            None => {
                // Writing to a string does not fail.
                let _ = write!(policy, "{}", verdict.reason);
            }
        }
        let count = self.add(host, namespace, &policy, word);
        self.text = policy;
        count
    }

    fn add(&mut self, host: &dyn Host, namespace: &str, policy: &str, word: usize) -> Count {
        let known = self.places.get(namespace).and_then(|policies| policies.get(policy)).copied();
        let place = known.unwrap_or_else(|| self.place(host, namespace, policy));
        let count = Count { place, word };
        self.count_again(count);
        count
    }

    /// The place of the counters of a namespace and a policy, each told apart or among the others.
    fn place(&mut self, host: &dyn Host, namespace: &str, policy: &str) -> usize {
        let namespace = if self.namespaces.admit(host, namespace) { namespace } else { OTHER };
        let policy = if self.policies.admit(host, policy) { policy } else { OTHER };
        let policies = self.places.entry(namespace.into()).or_default();
        *policies.entry(policy.into()).or_insert_with(|| {
            let counters = Default::default();
            self.decisions.push(Decisions { namespace: namespace.into(), policy: policy.into(), counters });
            self.decisions.len() - 1
        })
    }

    /// Hands what was counted to Envoy. What it does not take is kept for the next time.
    pub(crate) fn flush(&mut self, host: &dyn Host) {
        for Decisions { namespace, policy, counters } in &mut self.decisions {
            for (verdict, counter) in VERDICTS.into_iter().zip(counters) {
                counter.flush(host, || {
                    let labels = [("namespace", &**namespace), ("verdict", verdict), ("policy", policy)];
                    labelled("egress_authz_decisions", &labels)
                });
            }
        }
    }

    /// Sets the gauges of a plugin's name by the configurations in force under it: one for each type; none where Envoy has
    /// given up the plugin.
    pub(crate) fn describe(&mut self, host: &dyn Host, plugin: &str, in_force: &[Arc<LoadedConfig>]) {
        let at = self.described.iter().position(|(known, _)| **known == *plugin);
        let before = at.map(|at| self.described.swap_remove(at).1).unwrap_or_default();
        if before.is_empty() && in_force.is_empty() {
            return;
        }
        let mut configs: Vec<Box<str>> = Vec::new();
        for config in in_force {
            let value = if self.configs.admit(host, &config.hash) { &*config.hash } else { OTHER };
            if !configs.iter().any(|known| **known == *value) {
                configs.push(value.into());
            }
        }
        for gone in before.iter().filter(|gone| !configs.contains(gone)) {
            self.config_info(host, plugin, gone, 0);
        }
        for config in &configs {
            self.config_info(host, plugin, config, 1);
        }
        let labels = [("plugin", plugin)];
        let sum = |count: &dyn Fn(&LoadedConfig) -> usize| {
            let total: usize = in_force.iter().map(|config| count(config)).sum();
            u64::try_from(total).unwrap_or(u64::MAX)
        };
        let policies = sum(&|config| config.engine.policies().len());
        let expiring = sum(&|config| expiring(host, config));
        self.gauge(host, labelled("egress_authz_policies", &labels), policies);
        self.gauge(host, labelled("egress_authz_policies_expiring", &labels), expiring);
        if !configs.is_empty() {
            self.described.push((plugin.into(), configs));
        }
    }

    fn config_info(&mut self, host: &dyn Host, plugin: &str, config: &str, value: u64) {
        let labels = [("plugin", plugin), ("version", env!("CARGO_PKG_VERSION")), ("config", config)];
        self.gauge(host, labelled("egress_authz_config_info", &labels), value);
    }

    /// A gauge that Envoy does not take is a gap in a graph, nothing more.
    fn gauge(&mut self, host: &dyn Host, name: String, value: u64) {
        let id = match self.gauges.iter().find(|(known, _)| **known == *name) {
            Some((_, id)) => *id,
            None => match host.define_metric(MetricKind::Gauge, &name) {
                Ok(id) => {
                    self.gauges.push((name.into(), id));
                    id
                }
                Err(_) => return,
            },
        };
        let _ = host.record(id, value);
    }
}

impl Counter {
    fn flush(&mut self, host: &dyn Host, name: impl FnOnce() -> String) {
        if self.pending == 0 {
            return;
        }
        if self.id.is_none() {
            self.id = host.define_metric(MetricKind::Counter, &name()).ok();
        }
        if let Some(id) = self.id
            && host.increment(id, self.pending).is_ok()
        {
            self.pending = 0;
        }
    }
}

/// A name behind its labels, in the form that Istio's proxies take apart (`extraStatTags`); `stats_tags` do so elsewhere.
/// Envoy puts `wasmcustom.` before it, and drops that in Prometheus' form.
fn labelled(name: &str, labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for part in labels.iter().flat_map(|(label, value)| [*label, "=.=", *value, ";.;"]).chain([name]) {
        text.push_str(part);
    }
    text
}

/// Policies that will have expired in a week, and have not yet. The clock is asked only where some expire.
fn expiring(host: &dyn Host, config: &LoadedConfig) -> usize {
    if !config.engine.has_expiries() {
        return 0;
    }
    host.now().map_or(0, |now| config.engine.expiring_within(now, EXPIRING_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::ScriptedHost;
    use std::rc::Rc;

    #[test]
    fn names_come_behind_their_labels() {
        let name = labelled("egress_authz_decisions", &[("namespace", "a"), ("verdict", "deny")]);
        assert_eq!(name, "namespace=.=a;.;verdict=.=deny;.;egress_authz_decisions");
    }

    fn pending(metrics: &Metrics, namespace: &str, policy: &str, word: usize) -> u64 {
        metrics.decisions[metrics.places[namespace][policy]].counters[word].pending
    }

    #[test]
    fn what_envoy_does_not_take_is_kept() {
        let host = Rc::new(ScriptedHost::default());
        host.is_deaf.set(true);
        let mut metrics = Metrics::default();
        let count = metrics.add(&host, "a", "a/own", 1);
        metrics.add(&host, "a", "a/own", 1);
        metrics.flush(&host);
        assert_eq!((pending(&metrics, "a", "a/own", 1), pending(&metrics, "a", "a/own", 0)), (2, 0));
        metrics.count_again(count);
        host.is_deaf.set(false);
        metrics.flush(&host);
        let name = "namespace=.=a;.;verdict=.=deny;.;policy=.=a/own;.;egress_authz_decisions";
        assert_eq!(host.metrics.borrow().get(name), Some(&3));
        assert_eq!(pending(&metrics, "a", "a/own", 1), 0);
    }

    #[test]
    fn those_beyond_the_bound_share_a_counter() {
        let host = Rc::new(ScriptedHost::default());
        let mut metrics = Metrics::default();
        for at in 0..1_500 {
            metrics.add(&host, &format!("ns-{at}"), &format!("*/p-{at}"), 0);
        }
        assert_eq!(metrics.places.len(), 1_001);
        assert_eq!(pending(&metrics, "other", "other", 0), 500);
        metrics.add(&host, "ns-7", "*/p-1400", 0);
        assert_eq!(pending(&metrics, "ns-7", "other", 0), 1);
    }
}
