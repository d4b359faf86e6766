//! Which policies and guards take part in a verdict.

use crate::config::Guard;
use crate::facts::Facts;
use crate::rules::{Policy, PolicyMode};

/// The verdict that is carried out, or the second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    /// Whether what is in dry run takes part, too.
    pub(super) dry_run: bool,
}

impl View {
    /// Whether a guard takes part.
    pub(super) fn enforces(self, guard: Guard) -> bool {
        match guard {
            Guard::Deny => true,
            Guard::DryRun => self.dry_run,
            Guard::Allow => false,
        }
    }

    /// Whether a policy takes part.
    pub(super) fn counts(self, policy: &Policy) -> bool {
        self.dry_run || policy.mode == PolicyMode::Enforce
    }

    /// Whether a policy takes part and has not expired.
    pub(super) fn enforced(self, policy: &Policy, facts: &Facts<'_>) -> bool {
        self.counts(policy) && !is_expired(policy, facts)
    }
}

/// A policy is expired from its instant on. A clock that cannot be read has been refused before.
pub(super) fn is_expired(policy: &Policy, facts: &Facts<'_>) -> bool {
    policy.expires.is_some_and(|instant| facts.now().is_ok_and(|now| instant <= now))
}
