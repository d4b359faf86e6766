//! Findings about policies and their rules.

use super::Valid;
use super::ceilings::{Above, Ceilings};
use super::matches::{fields, is_http_only, is_positive_identity, listed, never};
use crate::diagnostics::Diagnostic;
use crate::request::now;
use egress_policy::Protocol;
use egress_policy::config::Unauthenticated;
use egress_policy::patterns::{HostPattern, HostShape};
use egress_policy::rules::{Action, Attribute, Comparison, Field, HostEntry, Policy, Predicate, Rule};
use std::collections::HashSet;

/// An expiry within this time is near.
const SOON: i64 = 30 * DAY;
const DAY: i64 = 86_400;

pub(super) fn findings(valid: &Valid<'_>) -> Vec<Diagnostic> {
    let ceilings = Ceilings::new(&valid.config.policies);
    let mut lint = Lint { valid, ceilings, sets: HashSet::new(), findings: Vec::new() };
    for (at, policy) in valid.config.policies.iter().enumerate() {
        let path = format!("policies[{at}]");
        lint.expiry(policy, &path);
        for (at, rule) in policy.rules.iter().enumerate() {
            let path = format!("{path}.rules[{at}]");
            match policy.action {
                Action::Allow => lint.allow(policy, rule, &path),
                Action::Deny => lint.deny(policy, rule, &path),
                Action::Audit => {}
            }
            lint.any(policy, rule, &path);
        }
    }
    lint.addresses();
    lint.findings
}

struct Lint<'v> {
    valid: &'v Valid<'v>,
    /// The DENY policies that stand above every ALLOW.
    ceilings: Ceilings<'v>,
    /// The host sets that were looked at.
    sets: HashSet<Box<str>>,
    findings: Vec<Diagnostic>,
}

impl Lint<'_> {
    fn warn(&mut self, path: &str, what: impl Into<String>, help: &str) {
        let finding = self.valid.plugin.warn(path, what);
        self.findings.push(if help.is_empty() { finding } else { finding.help(help) });
    }

    fn is_network(&self) -> bool {
        self.valid.config.settings.protocol == Protocol::Network
    }

    fn expiry(&mut self, policy: &Policy, path: &str) {
        let Some(expires) = policy.expires else {
            return;
        };
        let left = expires.unix_seconds() - now().unix_seconds();
        let path = format!("{path}.expires");
        if left <= 0 {
            let effect = match policy.action {
                Action::Allow => "it admits nothing and still closes its namespace",
                Action::Deny => "it refuses nothing",
                Action::Audit => "it reports nothing",
            };
            self.warn(&path, format!("{} has expired: {effect}", policy.name), "renew it, or remove it");
        } else if left <= SOON {
            let days = left / DAY;
            self.warn(&path, format!("{} expires in {days} days", policy.name), "");
        }
    }

    /// What an ALLOW rule opens.
    fn allow(&mut self, policy: &Policy, rule: &Rule, path: &str) {
        let named_by_sni = rule
            .when
            .iter()
            .any(|condition| matches!(&condition.comparison, Comparison::ServerName(field) if !field.values.is_empty()));
        if rule.to.is_empty() && !named_by_sni {
            self.warn(path, format!("{} allows every host: the rule names none", policy.name), "");
        }
        for (at, operation) in rule.to.iter().enumerate() {
            let path = format!("{path}.to[{at}].operation");
            let hosts = operation.iter().find_map(as_hosts);
            let Some(hosts) = hosts.filter(|hosts| !hosts.values.is_empty()) else {
                if !named_by_sni {
                    let but = if hosts.is_some() { " but those of notHosts" } else { "" };
                    self.warn(&path, format!("{} allows every host{but}", policy.name), "");
                }
                continue;
            };
            for (at, entry) in hosts.values.iter().enumerate() {
                // What is in a set is said once, however many use it.
                if let HostEntry::Set(set) = entry {
                    if self.sets.contains(&set.name) {
                        continue;
                    }
                    self.sets.insert(set.name.clone());
                }
                for pattern in entry.patterns() {
                    if let Some(what) = too_wide(pattern) {
                        let from = match entry {
                            HostEntry::Set(set) => format!(" (in @{})", set.name),
                            HostEntry::Pattern(_) => String::new(),
                        };
                        self.warn(&format!("{path}.hosts[{at}]"), format!("`{pattern}`{from} {what}"), "");
                    }
                }
            }
            self.shadowed(policy, hosts, &format!("{path}.hosts"));
        }
        if self.is_network() && policy.applies_to_protocol(Protocol::Network) {
            for field in self.http_only(rule, path) {
                let what = "on NETWORK this is never known, so the ALLOW rule never matches";
                self.warn(&field, what, "leave NETWORK out of `protocols`, or the field out of the rule");
            }
        }
    }

    /// What a DENY rule refuses beyond what it seems to.
    fn deny(&mut self, policy: &Policy, rule: &Rule, path: &str) {
        if self.is_network() && policy.applies_to_protocol(Protocol::Network) {
            for field in self.http_only(rule, path) {
                let what = "on NETWORK this is never known, so the DENY rule refuses every connection that its \
                            other fields match";
                self.warn(&field, what, "leave NETWORK out of `protocols`, or the field out of the rule");
            }
        }
        let evaluates = self.valid.config.settings.unauthenticated == Unauthenticated::Evaluate;
        if evaluates && fields(rule).any(is_positive_identity) {
            let what = "unauthenticated is EVALUATE: a client without a certificate has no identity and passes \
                        this DENY";
            self.warn(path, what, "write it with `not…`, or keep `unauthenticated: DENY`");
        }
    }

    fn any(&mut self, policy: &Policy, rule: &Rule, path: &str) {
        let domains = listed(&self.valid.config.settings.trust_domains);
        if let Some(why) = never(rule, policy.namespace.as_deref(), &domains) {
            self.warn(path, format!("the rule never matches: {why}"), "");
        }
        for field in fields(rule) {
            let Comparison::Principal(field) = &field.comparison else {
                continue;
            };
            let foreign = field.values.iter().chain(&field.not_values);
            let foreign: Vec<_> = foreign.filter_map(|pattern| pattern.foreign_domain()).collect();
            for domain in foreign {
                let what = format!(
                    "the trust domain {domain} is not listed: its peers are refused before any policy"
                );
                self.warn(path, what, "list it in `trustDomains` if its namespaces are yours");
            }
        }
    }

    /// An ALLOW of hosts that a mesh-wide DENY refuses anyway.
    fn shadowed(&mut self, policy: &Policy, hosts: &Field<HostEntry>, path: &str) {
        match self.ceilings.above(policy, hosts) {
            Above::Nothing => {}
            Above::Ceiling(deny) => {
                let what = format!(
                    "nothing here is ever allowed: the mesh-wide DENY {} refuses all of it",
                    deny.name
                );
                self.warn(path, what, "");
            }
            Above::TooMuch => {
                let what = "too many hosts are allowed and refused mesh-wide to compare each with each: from here on it is \
                            not said whether a mesh-wide DENY refuses what is allowed";
                self.warn(path, what, "ask for single hosts with `egressctl explain`");
            }
        }
    }

    /// The places of fields that NETWORK cannot know.
    fn http_only(&self, rule: &Rule, path: &str) -> Vec<String> {
        const OPERATION: &[&str] = &["methods", "notMethods", "paths", "notPaths"];
        const SOURCE: &[&str] = &["requestPrincipals", "notRequestPrincipals"];
        let mut places = Vec::new();
        for (list, item, alternatives, keys) in
            [("from", "source", &rule.from, SOURCE), ("to", "operation", &rule.to, OPERATION)]
        {
            for at in 0..alternatives.len() {
                let written = keys.iter().map(|key| format!("{path}.{list}[{at}].{item}.{key}"));
                places.extend(written.filter(|place| self.is_written(place)));
            }
        }
        if rule.when.iter().any(is_http_only) {
            let conditions = (0..rule.when.len()).map(|at| format!("{path}.when[{at}]"));
            places.extend(conditions.filter(|place| {
                let key = self.valid.plugin.place(&format!("{place}.key"));
                key.and_then(|place| place.node.text()).is_some_and(|key| key.starts_with("request."))
            }));
        }
        places
    }

    fn is_written(&self, path: &str) -> bool {
        self.valid.plugin.place(path).is_some()
    }

    /// Addresses of clients, which a header may forge.
    fn addresses(&mut self) {
        let config = &self.valid.config;
        let Some((client, ..)) = Attribute::by_condition("source.ip") else {
            return;
        };
        let uses = |rule: &Rule| fields(rule).any(|field| std::ptr::eq(field.attribute, client));
        let found = config.policies.iter().enumerate().find_map(|(at, policy)| {
            let rule = policy.rules.iter().position(uses)?;
            Some(format!("policies[{at}].rules[{rule}]"))
        });
        if let Some(path) = found {
            let fields = client.fields.iter().map(|field| field.key);
            let keys: Vec<_> =
                fields.chain(client.conditions.iter().map(|condition| condition.key)).collect();
            let what = format!(
                "client addresses ({}) are Envoy's source.address: where the gateway trusts proxies (numTrustedProxies), \
                 clients choose them",
                keys.join(", ")
            );
            self.warn(&path, what, "rely on identities; or trust no proxy at the egress gateway");
        }
    }
}

fn as_hosts(predicate: &Predicate) -> Option<&Field<HostEntry>> {
    match &predicate.comparison {
        Comparison::Host(field) => Some(field),
        _ => None,
    }
}

/// Why an ALLOW of a pattern opens more than its writer may think.
fn too_wide(pattern: &HostPattern) -> Option<String> {
    match pattern.shape() {
        HostShape::Any => Some("allows every host".to_owned()),
        HostShape::BeginsWith(head) => {
            Some(format!("allows whoever registers a name that begins with `{head}.`"))
        }
        HostShape::Below(parent) => {
            let suffix = psl::suffix(parent.as_bytes())?;
            match (suffix.as_bytes() == parent.as_bytes(), suffix.typ()) {
                (true, Some(psl::Type::Icann)) => {
                    Some(format!("allows whoever registers a name: {parent} is a public suffix"))
                }
                (true, Some(psl::Type::Private)) => Some(format!(
                    "allows the names of many owners: {parent} gives names to its customers (public suffix list)"
                )),
                _ => None,
            }
        }
        HostShape::Exact(_) => None,
    }
}
