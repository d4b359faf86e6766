//! What can be said of a rule without a request.

use egress_policy::Protocol;
use egress_policy::patterns::{HostPattern, TrustDomains};
use egress_policy::rules::{Comparison, Field, HostEntry, Predicate, Rule, Values};

/// Why no request can ever match a rule of a policy that governs `namespace`.
pub(super) fn never(rule: &Rule, namespace: Option<&str>, domains: &[Box<str>]) -> Option<String> {
    let conjunction = |predicates: &[Predicate]| {
        predicates.iter().find_map(|predicate| identity_never(predicate, namespace, domains))
    };
    if let Some(why) = conjunction(&rule.when) {
        return Some(why);
    }
    let mut whys = rule.from.iter().map(|source| conjunction(source));
    // Any source that can match keeps the rule alive.
    let first = whys.next()??;
    whys.all(|why| why.is_some()).then_some(first)
}

/// Why an identity condition is false for every peer that the policy governs.
fn identity_never(predicate: &Predicate, namespace: Option<&str>, domains: &[Box<str>]) -> Option<String> {
    match &predicate.comparison {
        Comparison::ServiceAccount(field) => {
            let own = namespace?;
            let elsewhere = all(field, |account| account.namespace() != own)?;
            Some(format!(
                "it asks for {}/{}, and the policy governs {own}",
                elsewhere.namespace(),
                elsewhere.name()
            ))
        }
        Comparison::Namespace(field) => {
            let own = namespace?;
            all(field, |pattern| !pattern.matches(own))?;
            Some(format!("its namespaces do not hold {own}, which the policy governs"))
        }
        Comparison::TrustDomain(field) => {
            all(field, |pattern| !domains.iter().any(|domain| pattern.matches(domain)))?;
            Some("no listed trust domain is among its trustDomains".to_owned())
        }
        Comparison::Principal(field) => {
            all(field, |pattern| pattern.foreign_domain().is_some())?;
            Some("its principals are of trust domains that are not listed".to_owned())
        }
        _ => None,
    }
}

/// The first value, where there are values and all of them are so.
fn all<P>(field: &Field<P>, is_so: impl Fn(&P) -> bool) -> Option<&P> {
    let first = field.values.first()?;
    field.values.iter().all(is_so).then_some(first)
}

/// Whether a field can only be known of HTTP requests.
pub(super) fn is_http_only(predicate: &Predicate) -> bool {
    predicate.attribute.only == Some(Protocol::Http)
}

/// Whether a field asks for a token.
pub(super) fn is_of_token(predicate: &Predicate) -> bool {
    matches!(predicate.attribute.values, Values::Claim | Values::RequestPrincipal)
}

/// Whether a field asks who the peer is, and so is false for a peer without a certificate.
pub(super) fn is_positive_identity(predicate: &Predicate) -> bool {
    match &predicate.comparison {
        Comparison::Principal(field) => !field.values.is_empty(),
        Comparison::Namespace(field) => !field.values.is_empty(),
        Comparison::ServiceAccount(field) => !field.values.is_empty(),
        Comparison::TrustDomain(field) => !field.values.is_empty(),
        _ => false,
    }
}

/// Every field of a rule.
pub(super) fn fields(rule: &Rule) -> impl Iterator<Item = &Predicate> {
    rule.from.iter().chain(&rule.to).flatten().chain(&rule.when)
}

/// The patterns of a list of hosts, sets opened.
pub(super) fn patterns(entries: &[HostEntry]) -> impl Iterator<Item = &HostPattern> {
    entries.iter().flat_map(HostEntry::patterns)
}

/// The domains as a list.
pub(super) fn listed(domains: &TrustDomains) -> Vec<Box<str>> {
    domains.iter().map(Into::into).collect()
}

/// Whether `host` is the name `parent` or lies below it.
pub(super) fn is_at_or_below(host: &str, parent: &str) -> bool {
    host == parent || host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}
