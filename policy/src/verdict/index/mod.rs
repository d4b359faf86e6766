//! Which rules a request has to be held against.
//!
//! Callers know one question: the rules of an action that may come out true or unknown for these facts, in
//! configuration order. Every rule is filed under what it names: the identities that it can be true for, and
//! below each of them the hosts. A request looks under its own few names, so that what it costs does not grow
//! with the number of policies. A rule that names nothing is held against every request.

mod hosts;
mod ids;
mod keys;

use crate::attributes::Protocol;
use crate::facts::Facts;
use crate::peer::Peer;
use crate::rules::{Action, HostSet, Policy, PolicyMode};
use hosts::HostIndex;
pub(super) use ids::Id;
use ids::{Ids, Merged};
use keys::{IdentityKey, RuleKeys};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The rules of one protocol.
pub(super) struct Index {
    deny: ActionIndex,
    allow: ActionIndex,
    audit: ActionIndex,
    /// What there is for every source.
    mesh: Scope,
    /// What there is for the workloads of a namespace alone.
    namespaces: FxHashMap<Box<str>, Scope>,
    /// The rules of mesh-wide AUDIT policies: they are asked even where the peer's identity cannot be told.
    mesh_audit: Ids,
    /// Where each rule stands: the position of its policy, and its own within it.
    places: Vec<(u32, u32)>,
    sets: hosts::SetIndex,
}

/// The rules of one action.
#[derive(Default)]
struct ActionIndex {
    /// Rules that name no identity.
    anybody: HostIndex,
    /// Rules by the namespace that they name, or that is their policy's.
    namespaces: FxHashMap<Box<str>, HostIndex>,
    /// Rules by the service account that they name, as the path of its SPIFFE ID.
    accounts: FxHashMap<Box<str>, HostIndex>,
}

/// Rules that may match a request, in configuration order: positions of policy and rule.
pub(super) struct Candidates<'i> {
    lists: Merged<'i>,
    places: &'i [(u32, u32)],
}

/// What kinds of policies apply to a source, whatever is asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    /// An ALLOW policy that is enforced.
    pub(super) governed: bool,
    /// An ALLOW policy in dry run.
    pub(super) governed_by_dry_run: bool,
    /// A policy of any action in dry run.
    pub(super) has_dry_run: bool,
    /// A policy that expires.
    pub(super) expires: bool,
}

impl Index {
    /// Files the rules of the policies that exist for `protocol`.
    pub(super) fn new(policies: &[Policy], sets: &[Arc<HostSet>], protocol: Protocol) -> Self {
        let mut index = Self {
            deny: ActionIndex::default(),
            allow: ActionIndex::default(),
            audit: ActionIndex::default(),
            mesh: Scope::default(),
            namespaces: FxHashMap::default(),
            mesh_audit: Ids::default(),
            places: Vec::new(),
            sets: hosts::SetIndex::new(sets),
        };
        for (at, policy) in (0_u32..).zip(policies).filter(|(_, policy)| policy.applies_to_protocol(protocol))
        {
            match &policy.namespace {
                None => index.mesh.add(policy),
                Some(namespace) => index.namespaces.entry(namespace.clone()).or_default().add(policy),
            }
            for (rule_at, rule) in (0_u32..).zip(&policy.rules) {
                let id = Id::new(index.places.len());
                index.places.push((at, rule_at));
                let keys = RuleKeys::of(policy, rule, sets);
                let actions = match policy.action {
                    Action::Deny => &mut index.deny,
                    Action::Allow => &mut index.allow,
                    Action::Audit => &mut index.audit,
                };
                actions.file(id, &keys);
                if policy.action == Action::Audit && policy.namespace.is_none() {
                    index.mesh_audit.push(id);
                }
            }
        }
        index
    }

    /// The rules of an action that may match, in configuration order.
    pub(super) fn candidates(&self, action: Action, facts: &Facts<'_>) -> Candidates<'_> {
        let actions = match action {
            Action::Deny => &self.deny,
            Action::Allow => &self.allow,
            Action::Audit => &self.audit,
        };
        let mut lists = Merged::default();
        match facts.peer() {
            Ok(Peer::Workload(id)) => {
                actions.anybody.look_up(action, facts, &self.sets, &mut lists);
                for (filed, name) in [(&actions.namespaces, id.namespace()), (&actions.accounts, id.path())] {
                    if let Some(hosts) = lists.look_up(filed, name) {
                        hosts.look_up(action, facts, &self.sets, &mut lists);
                    }
                }
            }
            Ok(Peer::Nobody) => actions.anybody.look_up(action, facts, &self.sets, &mut lists),
            // Such a peer is refused; what is left to ask is who wants to be told.
            Ok(Peer::Invalid | Peer::Foreign(_)) | Err(_) => {
                if action == Action::Audit {
                    lists.add(&self.mesh_audit);
                }
            }
        }
        Candidates { lists, places: &self.places }
    }

    /// What kinds of policies apply to a peer of `namespace`.
    pub(super) fn scope(&self, namespace: Option<&str>) -> Scope {
        let own = namespace.and_then(|namespace| self.namespaces.get(namespace)).copied().unwrap_or_default();
        Scope {
            governed: self.mesh.governed || own.governed,
            governed_by_dry_run: self.mesh.governed_by_dry_run || own.governed_by_dry_run,
            has_dry_run: self.mesh.has_dry_run || own.has_dry_run,
            expires: self.mesh.expires || own.expires,
        }
    }
}

impl Candidates<'_> {
    /// How many names were looked up to find them.
    pub(super) fn look_ups(&self) -> usize {
        self.lists.look_ups()
    }
}

impl Iterator for Candidates<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let (policy, rule) = self.places.get(self.lists.next()?.position())?;
        Some((usize::try_from(*policy).ok()?, usize::try_from(*rule).ok()?))
    }
}

impl ActionIndex {
    fn file(&mut self, id: Id, keys: &RuleKeys) {
        match &keys.identities {
            None => self.anybody.file(id, keys.hosts.as_deref()),
            Some(identities) => {
                for identity in identities {
                    let (filed, name) = match identity {
                        IdentityKey::Namespace(name) => (&mut self.namespaces, name),
                        IdentityKey::Account(path) => (&mut self.accounts, path),
                    };
                    filed.entry(name.clone()).or_default().file(id, keys.hosts.as_deref());
                }
            }
        }
    }
}

impl Scope {
    fn add(&mut self, policy: &Policy) {
        match (policy.action, policy.mode) {
            (Action::Allow, PolicyMode::Enforce) => self.governed = true,
            (Action::Allow, PolicyMode::DryRun) => self.governed_by_dry_run = true,
            (Action::Deny | Action::Audit, _) => {}
        }
        self.has_dry_run |= policy.mode == PolicyMode::DryRun;
        self.expires |= policy.expires.is_some();
    }
}
