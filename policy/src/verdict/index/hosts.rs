//! Rules by the hosts that they name.

use super::ids::{Ids, Merged, RuleId};
use super::keys::HostKey;
use crate::facts::Facts;
use crate::names::Host;
use crate::rules::{Action, HostSet};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// Something filed under hosts: exact ones by hash, wildcards by the labels that they name.
#[derive(Default)]
struct ByHost<T> {
    exact: FxHashMap<Host, T>,
    below: FxHashMap<Box<str>, T>,
    begins: FxHashMap<Box<str>, T>,
}

/// Rules filed under hosts.
#[derive(Default)]
pub(super) struct HostIndex {
    /// Rules that name no host.
    any: Ids,
    /// Rules that name one; most identities have none.
    named: Option<Box<Named>>,
}

#[derive(Default)]
struct Named {
    hosts: ByHost<Ids>,
    sets: FxHashMap<usize, Ids>,
    /// All of them, for requests whose host is unknown.
    all: Ids,
}

/// Large host sets, each under every host that it names.
pub(super) struct SetIndex {
    hosts: ByHost<Vec<usize>>,
    /// Sets with a `*` in them cover every host.
    any: Vec<usize>,
}

impl<T: Default> ByHost<T> {
    fn entry(&mut self, key: &HostKey) -> Option<&mut T> {
        Some(match key {
            HostKey::Exact(host) => self.exact.entry(host.clone()).or_default(),
            HostKey::Below(parent) => self.below.entry(parent.clone()).or_default(),
            HostKey::BeginsWith(head) => self.begins.entry(head.clone()).or_default(),
            HostKey::Set(_) => return None,
        })
    }

    /// What is filed under a host and under the wildcards that may cover it.
    fn look_up<'i>(&'i self, host: &Host, mut found: impl FnMut(&'i T)) {
        if !self.exact.is_empty()
            && let Some(exact) = self.exact.get(host)
        {
            found(exact);
        }
        let Host::Name(name) = host else {
            return;
        };
        let name = name.as_str();
        if !self.below.is_empty() {
            let parents = name.match_indices('.').filter_map(|(dot, _)| name.get(dot + 1..));
            parents.filter_map(|parent| self.below.get(parent)).for_each(&mut found);
        }
        if !self.begins.is_empty() {
            let heads = name.match_indices('.').filter_map(|(dot, _)| name.get(..dot));
            heads.filter_map(|head| self.begins.get(head)).for_each(&mut found);
        }
    }
}

impl HostIndex {
    /// Files a rule under its hosts, or under none.
    pub(super) fn file(&mut self, id: RuleId, hosts: Option<&[HostKey]>) {
        let Some(hosts) = hosts else {
            self.any.push(id);
            return;
        };
        let named = self.named.get_or_insert_default();
        named.all.push(id);
        for key in hosts {
            match (key, named.hosts.entry(key)) {
                (HostKey::Set(number), _) => named.sets.entry(*number).or_default().push(id),
                (_, Some(ids)) => ids.push(id),
                (_, None) => {}
            }
        }
    }

    /// The rules that may match a request.
    pub(super) fn look_up<'i>(
        &'i self,
        action: Action,
        facts: &Facts<'_>,
        sets: &SetIndex,
        lists: &mut Merged<'i>,
    ) {
        lists.add(&self.any);
        let Some(named) = &self.named else {
            return;
        };
        let Some(host) = facts.host() else {
            // Held against an unknown host, a rule that names one is unknown at best: an ALLOW does not admit.
            if action != Action::Allow {
                lists.add(&named.all);
            }
            return;
        };
        named.hosts.look_up(host, |ids| lists.add(ids));
        if !named.sets.is_empty() {
            sets.look_up(host, |number| {
                if let Some(ids) = named.sets.get(&number) {
                    lists.add(ids);
                }
            });
        }
    }
}

impl SetIndex {
    pub(super) fn new(sets: &[Rc<HostSet>]) -> Self {
        let mut index = Self { hosts: ByHost::default(), any: Vec::new() };
        for (number, set) in sets.iter().enumerate() {
            for pattern in &set.patterns {
                match HostKey::of(pattern.shape()).and_then(|key| index.hosts.entry(&key)) {
                    Some(numbers) => numbers.push(number),
                    None => index.any.push(number),
                }
            }
        }
        index
    }

    /// The sets that may cover a host; one may be named more than once.
    fn look_up(&self, host: &Host, mut found: impl FnMut(usize)) {
        self.any.iter().for_each(|number| found(*number));
        self.hosts.look_up(host, |numbers| numbers.iter().for_each(|number| found(*number)));
    }
}
