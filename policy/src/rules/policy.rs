//! A policy and its rules, as written.

use super::predicate::Predicate;
use crate::attributes::Protocol;
use crate::time::Timestamp;

/// What a policy does with what its rules match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Action {
    /// Admits; where one governs a source, what no ALLOW matches is refused.
    #[default]
    Allow,
    /// Refuses, above every ALLOW.
    Deny,
    /// Writes an audit line and changes nothing else.
    Audit,
}

/// Whether a policy takes part in the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PolicyMode {
    /// It does.
    #[default]
    Enforce,
    /// It does not; what it would change is reported.
    DryRun,
}

/// One policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Its name, unique within its namespace.
    pub name: Box<str>,
    /// The namespace whose workloads it governs; `None` is the whole mesh.
    pub namespace: Option<Box<str>>,
    /// What it does.
    pub action: Action,
    /// Whether it takes part in the verdict.
    pub mode: PolicyMode,
    /// The protocols that it exists for.
    pub protocols: Vec<Protocol>,
    /// The instant from which it no longer matches.
    pub expires: Option<Timestamp>,
    /// Free text, repeated in the audit line.
    pub owner: Option<Box<str>>,
    /// Its rules, of which any one may match.
    pub rules: Vec<Rule>,
}

/// One rule: any of `from`, any of `to`, and all of `when`; what is empty is true.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// Sources, each a conjunction.
    pub from: Vec<Vec<Predicate>>,
    /// Operations, each a conjunction.
    pub to: Vec<Vec<Predicate>>,
    /// Conditions.
    pub when: Vec<Predicate>,
}

impl Policy {
    /// Whether the policy exists for a protocol.
    #[must_use]
    pub fn applies_to_protocol(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }

    /// Whether the policy governs a peer of `namespace`.
    #[must_use]
    pub fn governs(&self, namespace: Option<&str>) -> bool {
        match &self.namespace {
            None => true,
            Some(own) => namespace == Some(own),
        }
    }
}
