//! The mesh-wide DENY policies that stand above every ALLOW, found by the hosts that they refuse.

use super::cover::denies_all;
use super::matches::patterns;
use egress_policy::names::Host;
use egress_policy::patterns::HostShape;
use egress_policy::rules::{Action, Comparison, Field, HostEntry, Policy, PolicyMode, Predicate, Rule};
use std::collections::HashMap;

/// How many pairs of patterns are compared: some seconds' work.
const MAX_COMPARED: usize = 20_000_000;

/// The policies, by the hosts that they name.
pub(super) struct Ceilings<'c> {
    policies: Vec<Ceiling<'c>>,
    /// Those that name a host as it is.
    exact: HashMap<&'c Host, Vec<usize>>,
    /// Those that may refuse a host without naming it.
    wide: Vec<usize>,
    compared: usize,
}

struct Ceiling<'c> {
    policy: &'c Policy,
    /// How many patterns it has.
    size: usize,
}

/// What is found above a list of hosts.
pub(super) enum Above<'c> {
    Nothing,
    /// A policy that refuses all of it.
    Ceiling(&'c Policy),
    /// There is more to compare than is compared; said once.
    TooMuch,
}

impl<'c> Ceilings<'c> {
    pub(super) fn new(policies: &'c [Policy]) -> Self {
        let mut ceilings =
            Self { policies: Vec::new(), exact: HashMap::new(), wide: Vec::new(), compared: 0 };
        for policy in policies.iter().filter(|policy| is_ceiling(policy)) {
            ceilings.add(policy);
        }
        ceilings
    }

    fn add(&mut self, policy: &'c Policy) {
        let at = self.policies.len();
        let mut size = 1;
        let mut is_wide = false;
        for rule in &policy.rules {
            is_wide |= rule.to.is_empty();
            for operation in &rule.to {
                let hosts = hosts_of(operation).filter(|hosts| !hosts.values.is_empty());
                is_wide |= hosts.is_none();
                for pattern in hosts.into_iter().flat_map(|hosts| patterns(&hosts.values)) {
                    size += 1;
                    match pattern.shape() {
                        HostShape::Exact(host) => self.exact.entry(host).or_default().push(at),
                        _ => is_wide = true,
                    }
                }
            }
        }
        if is_wide {
            self.wide.push(at);
        }
        self.policies.push(Ceiling { policy, size });
    }

    /// The first policy that refuses all that `policy` allows by `hosts`.
    pub(super) fn above(&mut self, policy: &Policy, hosts: &Field<HostEntry>) -> Above<'c> {
        if self.compared > MAX_COMPARED {
            return Above::Nothing;
        }
        // What refuses all of them refuses the first.
        let named = match patterns(&hosts.values).next().map(|pattern| pattern.shape()) {
            Some(HostShape::Exact(host)) => self.exact.get(host).map(Vec::as_slice).unwrap_or_default(),
            _ => &[],
        };
        let mut candidates: Vec<usize> = self.wide.iter().chain(named).copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let candidates = candidates.into_iter().filter_map(|at| self.policies.get(at));
        let asked: usize = hosts.values.iter().map(|entry| entry.patterns().len()).sum();
        self.compared += asked * candidates.clone().map(|ceiling| ceiling.size).sum::<usize>();
        if self.compared > MAX_COMPARED {
            return Above::TooMuch;
        }
        let refuses = |rule: &Rule| denies_all(rule, policy.namespace.as_deref(), hosts);
        let found = candidates.map(|ceiling| ceiling.policy).find(|deny| {
            policy.protocols.iter().all(|protocol| deny.applies_to_protocol(*protocol))
                && deny.rules.iter().any(refuses)
        });
        found.map_or(Above::Nothing, Above::Ceiling)
    }
}

fn is_ceiling(policy: &Policy) -> bool {
    policy.action == Action::Deny
        && policy.namespace.is_none()
        && policy.mode == PolicyMode::Enforce
        && policy.expires.is_none()
}

fn hosts_of(operation: &[Predicate]) -> Option<&Field<HostEntry>> {
    operation.iter().find_map(|predicate| match &predicate.comparison {
        Comparison::Host(field) => Some(field),
        _ => None,
    })
}
