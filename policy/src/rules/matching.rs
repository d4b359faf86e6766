//! Whether a rule matches: any of `from`, any of `to`, all of `when`, in three-valued logic.

use super::policy::{Action, Policy, Rule};
use super::predicate::{Comparison, Predicate};
use crate::facts::{Facts, Fetch, Target};
use crate::truth::Truth;
use std::net::IpAddr;

impl Rule {
    /// The truth of the rule. What has been read already is tried first: where it settles the rule, Envoy
    /// is asked nothing (Kleene's logic is monotone, so a definite answer stays).
    #[must_use]
    pub fn truth(&self, facts: &Facts<'_>) -> Truth {
        match self.truth_within(facts, Fetch::CachedOnly) {
            Truth::Unknown => self.truth_within(facts, Fetch::AskEnvoy),
            settled => settled,
        }
    }

    fn truth_within(&self, facts: &Facts<'_>, fetch: Fetch) -> Truth {
        any_of(&self.from, facts, fetch)
            .and_then(|| any_of(&self.to, facts, fetch))
            .and_then(|| all_of(&self.when, facts, fetch))
    }

    /// Whether the rule matches by an operation that names the very literal `ip` as a host.
    #[must_use]
    pub fn admits_literal(&self, ip: IpAddr, facts: &Facts<'_>) -> bool {
        let Ok(Target::Host(host, port)) = facts.target() else {
            return false;
        };
        let names = |operation: &[Predicate]| {
            operation.iter().any(|predicate| match &predicate.comparison {
                Comparison::Host(field) => {
                    field.values.iter().any(|entry| entry.matches_literally(ip, host, *port) == Truth::True)
                }
                _ => false,
            })
        };
        let fetch = Fetch::AskEnvoy;
        self.to.iter().any(|operation| names(operation) && all_of(operation, facts, fetch) == Truth::True)
            && any_of(&self.from, facts, fetch) == Truth::True
            && all_of(&self.when, facts, fetch) == Truth::True
    }
}

impl Policy {
    /// Whether a truth is a match for this policy's action: where it cannot be told, a DENY refuses, an AUDIT
    /// tells, and an ALLOW does not admit.
    #[must_use]
    pub fn matches_on(&self, truth: Truth) -> bool {
        match self.action {
            Action::Allow => truth == Truth::True,
            Action::Deny | Action::Audit => truth != Truth::False,
        }
    }
}

fn any_of(alternatives: &[Vec<Predicate>], facts: &Facts<'_>, fetch: Fetch) -> Truth {
    if alternatives.is_empty() {
        return Truth::True;
    }
    Truth::any(alternatives.iter().map(|all| all_of(all, facts, fetch)))
}

fn all_of(predicates: &[Predicate], facts: &Facts<'_>, fetch: Fetch) -> Truth {
    Truth::all(predicates.iter().map(|predicate| predicate.holds(facts, fetch)))
}
