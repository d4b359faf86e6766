//! Counters and gauges, summed in the VM and handed to the host on a tick: a metric is no host call per request.
//!
//! All plugins of a VM share what is here, so that two of them do not speak of one gauge with two values, and an
//! update neither starts label values anew nor names again what the host already knows.

mod values;

use self::values::Values;
use crate::host::{self, MetricId, MetricKind};
use crate::plugin::Plugin;
use egress_policy::config::Effect;
use egress_policy::{Decision, Facts, Peer, Timestamp, Verdict};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::fmt::Write as _;

/// The label value of those beyond what is told apart.
const OTHER: &str = "other";
/// The namespace of peers that have none.
const NO_NAMESPACE: &str = "none";
/// How far ahead `egress_authz_policies_expiring` looks.
const EXPIRING_SECONDS: i64 = 7 * 24 * 3_600;

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// The metrics of one VM.
struct State {
    /// By namespace and policy, the place of the counters.
    places: FxHashMap<Box<str>, FxHashMap<Box<str>, usize>>,
    /// None is ever taken away, so that a place stays one.
    decisions: Vec<Decisions>,
    namespaces: Values,
    policies: Values,
    configs: Values,
    /// The configuration that was last told of each plugin.
    told: Vec<(Box<str>, Box<str>)>,
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

/// The counter of a verdict, found once.
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

/// Counts a decision: what was carried out, and what would have been. The first counter comes back.
pub(crate) fn count(facts: &Facts<'_>, decision: &Decision<'_>) -> Option<Count> {
    let namespace = facts.peer().ok().and_then(Peer::namespace).unwrap_or(NO_NAMESPACE);
    STATE.with_borrow_mut(|state| {
        let mut count = |verdict: &Option<Verdict<'_>>, would: usize| {
            let verdict = verdict.as_ref()?;
            Some(state.count(namespace, would + usize::from(verdict.effect == Effect::Deny), verdict))
        };
        let carried_out = count(&decision.verdict, 0);
        count(&decision.dry_run_verdict, 2);
        carried_out
    })
}

/// Counts once more; whether that counter is there.
pub(crate) fn count_again(count: Count) -> bool {
    STATE.with_borrow_mut(|state| state.increment(count))
}

/// Prepares what the VMs of all workers share; the first of them, which starts before any other, makes it.
pub(crate) fn on_vm_start() {
    values::prepare();
}

/// Hands what was counted to the host. What it does not take is kept for the next time.
pub(crate) fn flush() {
    STATE.with_borrow_mut(State::flush);
}

/// Tells which configuration of a plugin is in force: none where the host has given up the plugin.
pub(crate) fn describe(plugin: &str, in_force: Option<&Plugin>) {
    STATE.with_borrow_mut(|state| state.describe(plugin, in_force));
}

impl Default for State {
    fn default() -> Self {
        Self {
            places: FxHashMap::default(),
            decisions: Vec::new(),
            namespaces: Values::of("namespaces"),
            policies: Values::of("policies"),
            configs: Values::of("configs"),
            told: Vec::new(),
            gauges: Vec::new(),
            text: String::new(),
        }
    }
}

impl State {
    fn count(&mut self, namespace: &str, word: usize, verdict: &Verdict<'_>) -> Count {
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
        let count = self.add(namespace, &policy, word);
        self.text = policy;
        count
    }

    fn add(&mut self, namespace: &str, policy: &str, word: usize) -> Count {
        let known = self.places.get(namespace).and_then(|policies| policies.get(policy)).copied();
        let place = known.unwrap_or_else(|| self.place(namespace, policy));
        let count = Count { place, word };
        self.increment(count);
        count
    }

    /// The place of the counters of a namespace and a policy, each told apart or among the others.
    fn place(&mut self, namespace: &str, policy: &str) -> usize {
        let namespace = if self.namespaces.admit(namespace) { namespace } else { OTHER };
        let policy = if self.policies.admit(policy) { policy } else { OTHER };
        let policies = self.places.entry(namespace.into()).or_default();
        *policies.entry(policy.into()).or_insert_with(|| {
            let counters = Default::default();
            self.decisions.push(Decisions { namespace: namespace.into(), policy: policy.into(), counters });
            self.decisions.len() - 1
        })
    }

    fn increment(&mut self, Count { place, word }: Count) -> bool {
        let counter = self.decisions.get_mut(place).and_then(|decisions| decisions.counters.get_mut(word));
        match counter {
            Some(counter) => {
                counter.pending = counter.pending.saturating_add(1);
                true
            }
            None => false,
        }
    }

    fn flush(&mut self) {
        for Decisions { namespace, policy, counters } in &mut self.decisions {
            for (verdict, counter) in VERDICTS.into_iter().zip(counters) {
                counter.flush(|| {
                    let labels = [("namespace", &**namespace), ("verdict", verdict), ("policy", policy)];
                    labelled("egress_authz_decisions", &labels)
                });
            }
        }
    }

    fn describe(&mut self, name: &str, in_force: Option<&Plugin>) {
        let config =
            in_force.map(|plugin| if self.configs.admit(&plugin.hash) { &*plugin.hash } else { OTHER });
        let before = self.told.iter().find(|(known, _)| **known == *name).map(|(_, config)| config.clone());
        if let Some(before) = before.as_deref().filter(|before| Some(*before) != config) {
            self.config_info(name, before, 0);
        }
        match config {
            Some(config) => {
                self.config_info(name, config, 1);
                if before.as_deref() != Some(config) {
                    let config = config.into();
                    self.told.retain(|(known, _)| **known != *name);
                    self.told.push((name.into(), config));
                }
            }
            None if before.is_none() => return,
            None => {
                self.told.retain(|(known, _)| **known != *name);
            }
        }
        let policies = in_force.map_or(0, |plugin| plugin.engine.policies().len());
        let plugin = [("plugin", name)];
        self.gauge(labelled("egress_authz_policies", &plugin), u64::try_from(policies).unwrap_or(u64::MAX));
        self.gauge(labelled("egress_authz_policies_expiring", &plugin), in_force.map_or(0, expiring));
    }

    fn config_info(&mut self, plugin: &str, config: &str, value: u64) {
        let labels = [("plugin", plugin), ("version", env!("CARGO_PKG_VERSION")), ("config", config)];
        self.gauge(labelled("egress_authz_config_info", &labels), value);
    }

    /// A gauge that the host does not take is a gap in a graph, nothing more.
    fn gauge(&mut self, name: String, value: u64) {
        let id = match self.gauges.iter().find(|(known, _)| **known == *name) {
            Some((_, id)) => *id,
            None => match host::define_metric(MetricKind::Gauge, &name) {
                Ok(id) => {
                    self.gauges.push((name.into(), id));
                    id
                }
                Err(_) => return,
            },
        };
        let _ = host::record(id, value);
    }
}

impl Counter {
    fn flush(&mut self, name: impl FnOnce() -> String) {
        if self.pending == 0 {
            return;
        }
        if self.id.is_none() {
            self.id = host::define_metric(MetricKind::Counter, &name()).ok();
        }
        if let Some(id) = self.id
            && host::increment(id, self.pending).is_ok()
        {
            self.pending = 0;
        }
    }
}

/// A name behind its labels, in the form that Istio's proxies take apart (`extraStatTags`); `stats_tags` do so elsewhere.
/// The host puts `wasmcustom.` before it, and drops that in Prometheus' form.
fn labelled(name: &str, labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for part in labels.iter().flat_map(|(label, value)| [*label, "=.=", *value, ";.;"]).chain([name]) {
        text.push_str(part);
    }
    text
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
    fn names_come_behind_their_labels() {
        let name = labelled("egress_authz_decisions", &[("namespace", "a"), ("verdict", "deny")]);
        assert_eq!(name, "namespace=.=a;.;verdict=.=deny;.;egress_authz_decisions");
    }

    fn pending(state: &State, namespace: &str, policy: &str, word: usize) -> u64 {
        state.decisions[state.places[namespace][policy]].counters[word].pending
    }

    #[test]
    fn what_the_host_does_not_take_is_kept() {
        let mut state = State::default();
        let count = state.add("a", "a/own", 1);
        state.add("a", "a/own", 1);
        state.flush();
        assert_eq!((pending(&state, "a", "a/own", 1), pending(&state, "a", "a/own", 0)), (2, 0));
        assert!(state.increment(count));
        assert_eq!(pending(&state, "a", "a/own", 1), 3);
    }

    #[test]
    fn those_beyond_the_bound_share_a_counter() {
        let mut state = State::default();
        for at in 0..1_500 {
            state.add(&format!("ns-{at}"), &format!("*/p-{at}"), 0);
        }
        assert_eq!(state.places.len(), 1_001);
        assert_eq!(pending(&state, "other", "other", 0), 500);
        state.add("ns-7", "*/p-1400", 0);
        assert_eq!(pending(&state, "ns-7", "other", 0), 1);
    }
}
