//! Which policies a request has to be held against.
//!
//! Callers know one question: the candidates of an action for a peer, in configuration order. How they are
//! found is this file's own affair.

use crate::attributes::Protocol;
use crate::rules::{Action, Policy};
use std::collections::HashMap;
use std::iter::Peekable;

/// The policies of one protocol, by action and scope.
pub(super) struct Index {
    deny: Scopes,
    allow: Scopes,
    audit: Scopes,
}

/// Positions of policies in configuration order, by the namespace that they govern.
#[derive(Default)]
struct Scopes {
    mesh: Vec<usize>,
    namespaces: HashMap<Box<str>, Vec<usize>>,
}

impl Index {
    /// Sorts the policies that exist for `protocol`.
    pub(super) fn new(policies: &[Policy], protocol: Protocol) -> Self {
        let mut index = Self { deny: Scopes::default(), allow: Scopes::default(), audit: Scopes::default() };
        for (at, policy) in policies.iter().enumerate().filter(|(_, policy)| policy.speaks(protocol)) {
            let scopes = match policy.action {
                Action::Deny => &mut index.deny,
                Action::Allow => &mut index.allow,
                Action::Audit => &mut index.audit,
            };
            match &policy.namespace {
                None => scopes.mesh.push(at),
                Some(namespace) => scopes.namespaces.entry(namespace.clone()).or_default().push(at),
            }
        }
        index
    }

    /// The policies of an action that apply to a peer of `namespace`, in configuration order.
    pub(super) fn candidates<'i>(
        &'i self,
        action: Action,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = usize> + use<'i> {
        let scopes = match action {
            Action::Deny => &self.deny,
            Action::Allow => &self.allow,
            Action::Audit => &self.audit,
        };
        let own = namespace.and_then(|namespace| scopes.namespaces.get(namespace));
        Merged {
            left: scopes.mesh.iter().copied().peekable(),
            right: own.map(Vec::as_slice).unwrap_or_default().iter().copied().peekable(),
        }
    }
}

/// Two ascending sequences as one.
struct Merged<L: Iterator, R: Iterator> {
    left: Peekable<L>,
    right: Peekable<R>,
}

impl<L, R> Iterator for Merged<L, R>
where
    L: Iterator<Item = usize>,
    R: Iterator<Item = usize>,
{
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match (self.left.peek(), self.right.peek()) {
            (Some(left), Some(right)) if left < right => self.left.next(),
            (_, Some(_)) => self.right.next(),
            (_, None) => self.left.next(),
        }
    }
}
