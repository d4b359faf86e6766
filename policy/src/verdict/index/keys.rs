//! Under which names a rule is filed.
//!
//! The keys of a rule cover every request for which it could come out other than false; that is all they
//! promise. What they leave in too much, the rule itself sorts out.

use crate::names::SpiffeId;
use crate::patterns::{AccountPattern, HostShape, NamespacePattern, PrincipalPattern, TextPattern};
use crate::rules::{Comparison, Field, HostEntry, HostSet, Policy, Predicate, Rule};
use std::sync::Arc;

/// A rule with many identities and many hosts would be filed under each pair of them. Beyond this many pairs,
/// and beyond the sum of both, it is filed by its identities alone.
const MAX_PAIRS: usize = 256;
/// A host set of more patterns than this is filed as one name, and found by a look-up of its own.
const MAX_SET: usize = 8;

/// An identity that a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IdentityKey {
    /// Every workload of a namespace.
    Namespace(Box<str>),
    /// One service account, as the path of its SPIFFE ID.
    Account(Box<str>),
}

/// A host that a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostKey {
    /// The host in its one spelling.
    Exact(Box<str>),
    Below(Box<str>),
    BeginsWith(Box<str>),
    /// The number of a host set.
    Set(usize),
}

/// The names of a rule; `None` stands for every request.
pub(super) struct RuleKeys {
    pub(super) identities: Option<Vec<IdentityKey>>,
    pub(super) hosts: Option<Vec<HostKey>>,
}

impl IdentityKey {
    fn account(pattern: &AccountPattern) -> Self {
        Self::Account(format!("/ns/{}/sa/{}", pattern.namespace(), pattern.name()).into())
    }

    fn namespace(&self) -> &str {
        match self {
            Self::Namespace(namespace) => namespace,
            Self::Account(path) => path.split('/').nth(2).unwrap_or_default(),
        }
    }
}

impl RuleKeys {
    pub(super) fn of(policy: &Policy, rule: &Rule, sets: &[Arc<HostSet>]) -> Self {
        let mut keys = Self { identities: identities(policy, rule), hosts: hosts(rule, sets) };
        if let (Some(identities), Some(hosts)) = (&keys.identities, &keys.hosts) {
            let pairs = identities.len().saturating_mul(hosts.len());
            if pairs > MAX_PAIRS && pairs > identities.len() + hosts.len() {
                keys.hosts = None;
            }
        }
        keys
    }
}

/// The identities that a rule can be true for, where they can be listed.
fn identities(policy: &Policy, rule: &Rule) -> Option<Vec<IdentityKey>> {
    let by_source = || {
        let sources = rule.from.iter().map(|source| narrowest(source));
        if rule.from.is_empty() {
            return None;
        }
        sources.collect::<Option<Vec<_>>>().map(|sources| sources.concat())
    };
    let named = narrowest(&rule.when).or_else(by_source);
    match (&policy.namespace, named) {
        (None, named) => named,
        (Some(own), None) => Some(vec![IdentityKey::Namespace(own.clone())]),
        // What names another namespace than the policy's own can never be true in it.
        (Some(own), Some(named)) => Some(named.into_iter().filter(|key| key.namespace() == &**own).collect()),
    }
}

/// The shortest list of identities that one of the predicates allows.
fn narrowest(predicates: &[Predicate]) -> Option<Vec<IdentityKey>> {
    predicates.iter().filter_map(identities_of).min_by_key(Vec::len)
}

fn identities_of(predicate: &Predicate) -> Option<Vec<IdentityKey>> {
    match &predicate.comparison {
        Comparison::ServiceAccount(field) => list(field, |pattern| Some(IdentityKey::account(pattern))),
        Comparison::Namespace(field) => list(field, |pattern| match pattern {
            NamespacePattern::Exact(name) => Some(IdentityKey::Namespace(name.clone())),
            NamespacePattern::Glob(_) => None,
        }),
        Comparison::Principal(field) => list(field, identity_of_principal),
        _ => None,
    }
}

fn identity_of_principal(pattern: &PrincipalPattern) -> Option<IdentityKey> {
    let account = |path: &str| {
        let is_one = SpiffeId::parse_without_scheme(&format!("x{path}")).is_ok();
        is_one.then(|| IdentityKey::Account(path.into()))
    };
    match pattern {
        PrincipalPattern::InMesh(TextPattern::Exact(path)) => account(path),
        PrincipalPattern::InMesh(TextPattern::Prefix(prefix)) => {
            let namespace = prefix.strip_prefix("/ns/")?.split_once('/')?.0;
            Some(IdentityKey::Namespace(namespace.into()))
        }
        PrincipalPattern::AsPresented(TextPattern::Exact(text) | TextPattern::Suffix(text)) => {
            account(text.get(text.find('/')?..)?)
        }
        _ => None,
    }
}

/// One key for each value of a field; `None` where it has no values, or one of them names nothing.
fn list<P, K>(field: &Field<P>, key: impl Fn(&P) -> Option<K>) -> Option<Vec<K>> {
    if field.values.is_empty() {
        return None;
    }
    field.values.iter().map(key).collect()
}

/// The hosts that a rule can be true for, where they can be listed.
fn hosts(rule: &Rule, sets: &[Arc<HostSet>]) -> Option<Vec<HostKey>> {
    if rule.to.is_empty() {
        return None;
    }
    let operations = rule.to.iter().map(|operation| {
        operation.iter().find_map(|predicate| match &predicate.comparison {
            Comparison::Host(field) => list(field, |entry| host_keys(entry, sets)).map(|keys| keys.concat()),
            _ => None,
        })
    });
    operations.collect::<Option<Vec<_>>>().map(|keys| keys.concat())
}

fn host_keys(entry: &HostEntry, sets: &[Arc<HostSet>]) -> Option<Vec<HostKey>> {
    if let HostEntry::Set(set) = entry
        && set.patterns.len() > MAX_SET
    {
        return Some(vec![HostKey::Set(set_number(sets, &set.name)?)]);
    }
    entry.patterns().iter().map(|pattern| HostKey::of(pattern.shape())).collect()
}

/// The position of a set; sets are sorted by name.
fn set_number(sets: &[Arc<HostSet>], name: &str) -> Option<usize> {
    sets.binary_search_by(|set| (*set.name).cmp(name)).ok()
}

impl HostKey {
    /// The name of a pattern; `*` has none.
    pub(super) fn of(shape: &HostShape) -> Option<Self> {
        Some(match shape {
            HostShape::Any => return None,
            HostShape::Below(parent) => Self::Below(parent.clone()),
            HostShape::BeginsWith(head) => Self::BeginsWith(head.clone()),
            HostShape::Exact(host) => Self::Exact(host.to_string().into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    /// The keys of the only rule, written as JSON; the sets `eight` and `nine` have so many patterns.
    fn keys(rule: &str) -> RuleKeys {
        let set = |count| names("set", count);
        let sets = format!(r#"{{"eight": [{}], "nine": [{}]}}"#, set(8), set(9));
        let config = format!(r#"{{"hostSets": {sets}, "policies": [{{"name": "p", "rules": [{rule}]}}]}}"#);
        let config = Config::parse(config.as_bytes()).unwrap();
        let policy = &config.policies[0];
        RuleKeys::of(policy, &policy.rules[0], &config.host_sets)
    }

    /// So many names, quoted, with commas between them.
    fn names(kind: &str, count: usize) -> String {
        (0..count).map(|at| format!(r#""{kind}-{at}""#)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_rule_of_many_pairs_is_filed_by_identity_alone() {
        // Counts of identities and hosts, and whether the hosts are filed.
        for (identities, hosts, filed) in
            [(1, 1, true), (16, 16, true), (17, 16, false), (257, 1, true), (1, 257, true), (129, 2, false)]
        {
            let rule = format!(
                r#"{{"from": [{{"source": {{"namespaces": [{}]}}}}], "to": [{{"operation": {{"hosts": [{}]}}}}]}}"#,
                names("n", identities),
                names("h", hosts)
            );
            let keys = keys(&rule);
            assert_eq!(keys.identities.unwrap().len(), identities);
            assert_eq!(keys.hosts.map(|keys| keys.len()), filed.then_some(hosts), "{identities} × {hosts}");
        }
    }

    #[test]
    fn a_large_set_is_one_key() {
        let hosts = |set| keys(&format!(r#"{{"to": [{{"operation": {{"hosts": ["@{set}"]}}}}]}}"#)).hosts;
        assert_eq!(hosts("eight").unwrap().len(), 8);
        assert_eq!(hosts("nine").unwrap(), [HostKey::Set(1)]);
    }

    #[test]
    fn what_names_an_identity() {
        let namespace = |name: &str| Some(vec![IdentityKey::Namespace(name.into())]);
        let account = |path: &str| Some(vec![IdentityKey::Account(path.into())]);
        for (source, expected) in [
            (r#""namespaces": ["a"]"#, namespace("a")),
            (r#""namespaces": ["a*"]"#, None),
            (r#""serviceAccounts": ["a/x"]"#, account("/ns/a/sa/x")),
            (r#""principals": ["cluster.local/ns/a/sa/x"]"#, account("/ns/a/sa/x")),
            (r#""principals": ["cluster.local/ns/a/*"]"#, namespace("a")),
            (r#""principals": ["cluster.local/*"]"#, None),
            (r#""principals": ["other.example/ns/a/sa/x"]"#, account("/ns/a/sa/x")),
            (r#""principals": ["*/ns/a/sa/x"]"#, account("/ns/a/sa/x")),
            (r#""principals": ["*/sa/x"]"#, None),
            (r#""principals": ["*"]"#, None),
            (r#""notNamespaces": ["a"]"#, None),
            (r#""namespaces": ["a", "b"], "serviceAccounts": ["a/x"]"#, account("/ns/a/sa/x")),
        ] {
            let keys = keys(&format!(r#"{{"from": [{{"source": {{{source}}}}}]}}"#));
            assert_eq!(keys.identities, expected, "{source}");
        }
    }
}
