//! The smallest ALLOW policies that admit what a gateway has seen.

use crate::request_log::Seen;
use egress_policy::config::{Json, Object};
use egress_policy::names::{Authority, Host, SpiffeId};
use std::collections::{BTreeMap, BTreeSet};

/// The trust domain that a configuration has where it names none.
const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";

/// What was seen: the hosts of each service account of each namespace.
#[derive(Debug, Default)]
pub(crate) struct Suggestion {
    namespaces: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    trust_domains: BTreeSet<String>,
    /// How many requests the policies are to admit.
    pub(crate) admitted: usize,
    /// Requests that no policy is to admit, by the reason.
    pub(crate) left_out: BTreeMap<String, Vec<String>>,
}

impl Suggestion {
    /// Takes a request into account.
    pub(crate) fn add(&mut self, seen: &Seen) {
        match wanted(seen) {
            Ok((peer, host)) => {
                self.admitted += 1;
                self.trust_domains.insert(peer.trust_domain().to_owned());
                let accounts = self.namespaces.entry(peer.namespace().to_owned()).or_default();
                accounts.entry(peer.service_account().to_owned()).or_default().insert(host);
            }
            Err(why) => self.left_out.entry(why).or_default().push(seen.name.clone()),
        }
    }

    /// Lets `*.parent` stand for hosts of one parent, where there are so many of them.
    pub(crate) fn widen(&mut self, least: usize) {
        for hosts in self.namespaces.values_mut().flat_map(BTreeMap::values_mut) {
            let mut by_parent = BTreeMap::<String, Vec<String>>::new();
            for host in hosts.iter() {
                if let Some(parent) = parent(host) {
                    by_parent.entry(parent.to_owned()).or_default().push(host.clone());
                }
            }
            for (parent, below) in by_parent.into_iter().filter(|(_, below)| below.len() >= least) {
                hosts.retain(|host| !below.contains(host));
                hosts.insert(format!("*.{parent}"));
            }
        }
    }

    /// The configuration: one policy for each namespace, one rule for each set of hosts.
    pub(crate) fn config(&self) -> Json {
        let mut fields = Vec::new();
        if self.trust_domains.iter().any(|domain| domain != DEFAULT_TRUST_DOMAIN) {
            fields.push(("trustDomains".into(), list(&self.trust_domains)));
        }
        let policies =
            self.namespaces.iter().map(|(namespace, accounts)| policy(namespace, accounts)).collect();
        fields.push(("policies".into(), Json::List(policies)));
        Json::Object(Object(fields))
    }
}

fn wanted(seen: &Seen) -> Result<(SpiffeId, String), String> {
    if let Some(why) = seen.not_for_policies() {
        return Err(why.to_owned());
    }
    let name = seen.request.principal.as_deref().unwrap_or_default();
    let name = name.strip_prefix("spiffe://").unwrap_or(name);
    let peer =
        SpiffeId::parse_without_scheme(name).map_err(|_| "it has no workload's identity".to_owned())?;
    let host = seen.request.host.as_deref().unwrap_or_default();
    let host =
        Authority::parse(host.as_bytes()).map_err(|_| "malformed_host".to_owned())?.into_host_and_port().0;
    Ok((peer, host.to_string()))
}

/// The domain above a host, where its names have one owner.
fn parent(host: &str) -> Option<&str> {
    Host::parse(host.as_bytes()).ok().filter(|host| host.ip().is_none())?;
    let (_, parent) = host.split_once('.')?;
    let suffix = psl::suffix(parent.as_bytes())?;
    (suffix.as_bytes() != parent.as_bytes()).then_some(parent)
}

fn policy(namespace: &str, accounts: &BTreeMap<String, BTreeSet<String>>) -> Json {
    let mut by_hosts = BTreeMap::<&BTreeSet<String>, BTreeSet<String>>::new();
    for (account, hosts) in accounts {
        by_hosts.entry(hosts).or_default().insert(account.clone());
    }
    let rules = by_hosts
        .into_iter()
        .map(|(hosts, accounts)| {
            object([
                (
                    "from",
                    Json::List(vec![object([("source", object([("serviceAccounts", list(&accounts))]))])]),
                ),
                ("to", Json::List(vec![object([("operation", object([("hosts", list(hosts))]))])])),
            ])
        })
        .collect();
    object([("name", text("seen")), ("namespace", text(namespace)), ("rules", Json::List(rules))])
}

fn text(value: &str) -> Json {
    Json::Text(value.into())
}

fn list(values: &BTreeSet<String>) -> Json {
    Json::List(values.iter().map(|value| text(value)).collect())
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(Object(fields.into_iter().map(|(key, value)| (key.into(), value)).collect()))
}
