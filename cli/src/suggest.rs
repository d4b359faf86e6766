//! The smallest ALLOW policies that admit what a gateway has seen.

use crate::admissible::Admissible;
use crate::public_suffix::has_one_owner;
use egress_policy::config::{Json, Object};
use egress_policy::names::Host;
use std::collections::{BTreeMap, BTreeSet};

/// What was seen: the hosts of each service account of each namespace.
#[derive(Debug)]
pub(crate) struct Suggestion {
    namespaces: BTreeMap<String, BTreeMap<String, Hosts>>,
    /// From so many hosts of one parent on, `*.parent` stands for them.
    least: Option<usize>,
    /// How many hosts are kept, and how many at most.
    kept: usize,
    most: usize,
}

/// The hosts of an account.
#[derive(Debug, Default)]
struct Hosts {
    exact: BTreeSet<Box<str>>,
    /// Those that a wildcard may come to stand for, by their parent.
    below: BTreeMap<Box<str>, Below>,
}

#[derive(Debug)]
enum Below {
    Few(BTreeSet<Box<str>>),
    /// `*.parent`: no names are kept any more, however many come.
    All,
}

/// There are more hosts than are kept.
#[derive(Debug)]
pub(crate) struct TooManyHosts;

// === impl Suggestion ===

impl Suggestion {
    /// The most hosts, counted for each account, that a proposal holds: no configuration takes as many.
    pub(crate) const MOST: usize = 1_000_000;

    pub(crate) fn new(least: Option<usize>) -> Self {
        Self { namespaces: BTreeMap::new(), least, kept: 0, most: Self::MOST }
    }

    /// Takes a request into account.
    ///
    /// # Errors
    /// There would be more hosts than [`Suggestion::MOST`].
    pub(crate) fn add(&mut self, wanted: &Admissible) -> Result<(), TooManyHosts> {
        let accounts = match self.namespaces.get_mut(wanted.peer.namespace()) {
            Some(accounts) => accounts,
            None => self.namespaces.entry(wanted.peer.namespace().to_owned()).or_default(),
        };
        let hosts = match accounts.get_mut(wanted.peer.service_account()) {
            Some(hosts) => hosts,
            None => accounts.entry(wanted.peer.service_account().to_owned()).or_default(),
        };
        self.kept = self.kept.saturating_add_signed(hosts.add(&wanted.host, self.least));
        if self.kept > self.most { Err(TooManyHosts) } else { Ok(()) }
    }

    /// The account with the most hosts, and how many.
    pub(crate) fn largest(&self) -> Option<(String, usize)> {
        let accounts = self.namespaces.iter().flat_map(|(namespace, accounts)| {
            accounts.iter().map(move |(account, hosts)| (format!("{namespace}/{account}"), hosts.kept()))
        });
        accounts.max_by_key(|(_, kept)| *kept)
    }

    /// The configuration: one policy for each namespace, one rule for each set of hosts. The trust domains are none where they
    /// are the default.
    pub(crate) fn config(&self, trust_domains: &[String]) -> Json {
        let mut fields = Vec::new();
        if !trust_domains.is_empty() {
            fields.push(("trustDomains".into(), list(trust_domains)));
        }
        let policies =
            self.namespaces.iter().map(|(namespace, accounts)| policy(namespace, accounts)).collect();
        fields.push(("policies".into(), Json::List(policies)));
        Json::Object(Object(fields))
    }
}

// === impl Hosts ===

impl Hosts {
    /// Adds a host; by how much there are more of them.
    fn add(&mut self, host: &str, least: Option<usize>) -> isize {
        let (Some(least), Some(parent)) = (least, parent(host)) else {
            return isize::from(insert(&mut self.exact, host));
        };
        let below = match self.below.get_mut(parent) {
            Some(below) => below,
            None => self.below.entry(parent.into()).or_insert_with(|| Below::Few(BTreeSet::new())),
        };
        let Below::Few(few) = below else {
            return 0;
        };
        let before = few.len();
        let mut more = isize::from(insert(few, host));
        if few.len() >= least {
            // One pattern stays.
            more = 1 - isize::try_from(before).unwrap_or_default();
            *below = Below::All;
        }
        more
    }

    fn kept(&self) -> usize {
        let below = self.below.values().map(|below| match below {
            Below::Few(few) => few.len(),
            Below::All => 1,
        });
        self.exact.len() + below.sum::<usize>()
    }

    fn patterns(&self) -> BTreeSet<String> {
        let mut patterns: BTreeSet<_> = self.exact.iter().map(ToString::to_string).collect();
        for (parent, below) in &self.below {
            match below {
                Below::Few(few) => patterns.extend(few.iter().map(ToString::to_string)),
                Below::All => drop(patterns.insert(format!("*.{parent}"))),
            }
        }
        patterns
    }
}

fn insert(hosts: &mut BTreeSet<Box<str>>, host: &str) -> bool {
    !hosts.contains(host) && hosts.insert(host.into())
}

/// The domain above a host, where all names below it have one owner.
fn parent(host: &str) -> Option<&str> {
    Host::parse(host.as_bytes()).ok().filter(|host| host.ip().is_none())?;
    let (_, parent) = host.split_once('.')?;
    has_one_owner(parent).then_some(parent)
}

fn policy(namespace: &str, accounts: &BTreeMap<String, Hosts>) -> Json {
    let mut by_hosts = BTreeMap::<BTreeSet<String>, Vec<&String>>::new();
    for (account, hosts) in accounts {
        by_hosts.entry(hosts.patterns()).or_default().push(account);
    }
    let rules = by_hosts
        .iter()
        .map(|(hosts, accounts)| {
            let source = object([("serviceAccounts", list(accounts.iter().copied()))]);
            let operation = object([("hosts", list(hosts))]);
            object([
                ("from", Json::List(vec![object([("source", source)])])),
                ("to", Json::List(vec![object([("operation", operation)])])),
            ])
        })
        .collect();
    object([("name", text("seen")), ("namespace", text(namespace)), ("rules", Json::List(rules))])
}

fn text(value: &str) -> Json {
    Json::Text(value.into())
}

fn list<'v>(values: impl IntoIterator<Item = &'v String>) -> Json {
    Json::List(values.into_iter().map(|value| text(value)).collect())
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(Object(fields.into_iter().map(|(key, value)| (key.into(), value)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_policy::names::SpiffeId;

    fn wanted(host: &str) -> Admissible {
        let peer = SpiffeId::parse_without_scheme("cluster.local/ns/a/sa/b").unwrap();
        Admissible { peer, host: host.to_owned() }
    }

    #[test]
    fn random_names_of_one_parent_are_one_pattern() {
        let mut wide = Suggestion::new(Some(3));
        wide.most = 100;
        for n in 0..10_000 {
            wide.add(&wanted(&format!("r{n}.example.com"))).unwrap();
        }
        assert_eq!((wide.kept, wide.largest()), (1, Some(("a/b".to_owned(), 1))));
        let mut plain = Suggestion::new(None);
        plain.most = 100;
        let added = (0..10_000).take_while(|n| plain.add(&wanted(&format!("r{n}.example.com"))).is_ok());
        assert_eq!(added.count(), 100);
    }
}
