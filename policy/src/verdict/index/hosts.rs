//! Rules by the hosts that they name.

use super::ids::{Id, Ids, Merged};
use super::keys::HostKey;
use crate::facts::Facts;
use crate::names::Host;
use crate::rules::{Action, HostSet};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Ids filed under hosts: exact ones by hash, wildcards by the labels that they name.
#[derive(Default)]
struct ByHost {
    /// By the host's one spelling; no name is spelled like an address.
    exact: FxHashMap<Box<str>, Ids>,
    below: FxHashMap<Box<str>, Ids>,
    begins: FxHashMap<Box<str>, Ids>,
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
    hosts: ByHost,
    /// Rules by the set that they name; sorted, for there are few.
    sets: Vec<(Id, Ids)>,
    /// All of them, for requests whose host is unknown.
    all: Ids,
}

/// Large host sets, each under every host that it names.
pub(super) struct SetIndex {
    hosts: ByHost,
    /// Sets with a `*` in them cover every host.
    any: Ids,
}

impl ByHost {
    fn entry(&mut self, key: &HostKey) -> Option<&mut Ids> {
        let (filed, name) = match key {
            HostKey::Exact(host) => (&mut self.exact, host),
            HostKey::Below(parent) => (&mut self.below, parent),
            HostKey::BeginsWith(head) => (&mut self.begins, head),
            HostKey::Set(_) => return None,
        };
        Some(filed.entry(name.clone()).or_default())
    }

    /// What is filed under a host and under the wildcards that may cover it.
    fn look_up<'i>(&'i self, host: &Host, lists: &mut Merged<'i>) {
        let mut find = |filed: &'i FxHashMap<_, _>, name: &str| {
            if let Some(ids) = lists.look_up(filed, name) {
                lists.add(ids);
            }
        };
        let name = match host {
            Host::Name(name) => name.as_str(),
            Host::Ip(_) => return find(&self.exact, &host.to_string()),
        };
        find(&self.exact, name);
        if self.below.is_empty() && self.begins.is_empty() {
            return;
        }
        for (dot, _) in name.match_indices('.') {
            find(&self.below, name.get(dot + 1..).unwrap_or_default());
            find(&self.begins, name.get(..dot).unwrap_or_default());
        }
    }
}

impl HostIndex {
    /// Files a rule under its hosts, or under none.
    pub(super) fn file(&mut self, id: Id, hosts: Option<&[HostKey]>) {
        let Some(hosts) = hosts else {
            self.any.push(id);
            return;
        };
        let named = self.named.get_or_insert_default();
        named.all.push(id);
        for key in hosts {
            match (key, named.hosts.entry(key)) {
                (HostKey::Set(number), _) => {
                    let set = Id::new(*number);
                    match named.sets.binary_search_by(|(known, _)| known.cmp(&set)) {
                        Ok(at) => named.sets.get_mut(at).into_iter().for_each(|(_, ids)| ids.push(id)),
                        Err(at) => named.sets.insert(at, (set, Ids::One(id))),
                    }
                }
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
        named.hosts.look_up(host, lists);
        if !named.sets.is_empty() {
            let covering = sets.covering(host);
            lists.add_look_ups(&covering);
            for set in covering {
                let at = named.sets.binary_search_by(|(known, _)| known.cmp(&set));
                if let Some((_, ids)) = at.ok().and_then(|at| named.sets.get(at)) {
                    lists.add(ids);
                }
            }
        }
    }
}

impl SetIndex {
    pub(super) fn new(sets: &[Arc<HostSet>]) -> Self {
        let mut index = Self { hosts: ByHost::default(), any: Ids::default() };
        for (number, set) in sets.iter().enumerate() {
            for pattern in &set.patterns {
                let filed = HostKey::of(pattern.shape()).and_then(|key| index.hosts.entry(&key));
                filed.unwrap_or(&mut index.any).push(Id::new(number));
            }
        }
        index
    }

    /// The sets that may cover a host.
    fn covering(&self, host: &Host) -> Merged<'_> {
        let mut sets = Merged::default();
        sets.add(&self.any);
        self.hosts.look_up(host, &mut sets);
        sets
    }
}
