//! One condition of a rule over one attribute.

use super::attribute::{AddressGetter, Attribute, TextGetter};
use super::field::Field;
use super::host_entry::HostEntry;
use crate::attributes::{Claim, Unreadable};
use crate::facts::{Facts, Fetch, Target};
use crate::names::SpiffeId;
use crate::patterns::{
    AccountPattern, CidrPattern, NamespacePattern, PathPattern, PrincipalPattern, RequestPrincipalPattern,
    ServerNamePattern, TextPattern, TrustDomainPattern,
};
use crate::peer::Peer;
use crate::truth::Truth;

/// A field of a source or operation, or a `when` condition.
#[derive(Debug, Clone)]
pub struct Predicate {
    /// What it compares: a row of the table.
    pub attribute: &'static Attribute,
    /// The values, and how they are compared.
    pub comparison: Comparison,
}

/// The values of a predicate, parsed, by what they are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The peer's identity.
    Principal(Field<PrincipalPattern>),
    /// The peer's namespace.
    Namespace(Field<NamespacePattern>),
    /// The peer's service account.
    ServiceAccount(Field<AccountPattern>),
    /// The peer's trust domain, as presented.
    TrustDomain(Field<TrustDomainPattern>),
    /// Issuer and subject of the verified token.
    RequestPrincipal(Field<RequestPrincipalPattern>),
    /// The host.
    Host(Field<HostEntry>),
    /// The gateway's listener port.
    Port(Field<u16>),
    /// The path, in all of its readings.
    Path(Field<PathPattern>),
    /// The outer server name.
    ServerName(Field<ServerNamePattern>),
    /// An IP address.
    Address(AddressGetter, Field<CidrPattern>),
    /// Bytes that are there or not.
    Text(TextGetter, Field<TextPattern>),
    /// A header, its name in lower case.
    Header(Box<str>, Field<TextPattern>),
    /// A claim by its path, outermost name first.
    Claim(Box<[Box<str>]>, Field<TextPattern>),
}

/// Equal where the comparison is: by which of its keys an attribute was named makes no difference.
impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.comparison == other.comparison
    }
}

impl Eq for Predicate {}

impl Predicate {
    /// Whether the condition holds, whatever reading its attribute costs.
    #[must_use]
    pub fn truth(&self, facts: &Facts<'_>) -> Truth {
        self.holds(facts, Fetch::AskEnvoy)
    }

    /// Whether the condition holds, as far as `fetch` goes; what it does not reach is unknown.
    pub(crate) fn holds(&self, facts: &Facts<'_>, fetch: Fetch) -> Truth {
        match &self.comparison {
            Comparison::Principal(field) => by_identity(facts, field, PrincipalPattern::matches),
            Comparison::Namespace(field) => by_identity(facts, field, |p, id| p.matches(id.namespace())),
            Comparison::ServiceAccount(field) => by_identity(facts, field, AccountPattern::matches),
            Comparison::TrustDomain(field) => by_identity(facts, field, |p, id| p.matches(id.trust_domain())),
            Comparison::Host(field) => match facts.target() {
                Ok(Target::Host(host, port)) => field.holds(|entry| entry.matches(host, *port)),
                Ok(Target::Unknown | Target::Malformed | Target::Broken(_)) | Err(Unreadable) => {
                    Truth::Unknown
                }
            },
            Comparison::Address(getter, field) => {
                known(getter.fetch(facts, fetch), |ip| field.holds(|p| p.matches(ip).into()))
            }
            Comparison::Port(field) => known(facts.port(fetch), |port| field.holds(|p| (*p == port).into())),
            Comparison::Text(getter, field) => {
                present(getter.fetch(facts, fetch), field, TextPattern::matches)
            }
            Comparison::Path(field) => facts.path_truth(
                fetch,
                |path| field.holds(|p| p.matches(path)),
                |reading| field.holds(|p| p.fits(reading)),
            ),
            Comparison::ServerName(field) => match facts.folded_server_name(fetch) {
                Ok(Some(name)) => field.holds(|p| p.matches(name).into()),
                // A client that sent no name cannot be told from one that hides it.
                Ok(None) | Err(Unreadable) => Truth::Unknown,
            },
            Comparison::Header(name, field) => {
                let header = facts.header(name, fetch);
                present(as_slice(&header), field, TextPattern::matches)
            }
            Comparison::Claim(path, field) => match &*facts.claim(path, fetch) {
                Ok(claim) => field_over_claim(field, claim.as_ref()),
                Err(Unreadable) => Truth::Unknown,
            },
            Comparison::RequestPrincipal(field) => request_principal(facts, fetch, field),
        }
    }
}

/// Identity conditions: false for a peer without a certificate, unknown for one that could not be told.
fn by_identity<P>(facts: &Facts<'_>, field: &Field<P>, matches: impl Fn(&P, &SpiffeId) -> bool) -> Truth {
    match facts.peer() {
        Ok(Peer::Workload(id)) => field.holds(|pattern| matches(pattern, id).into()),
        Ok(Peer::Nobody) => field.holds_without_value(),
        Ok(Peer::Invalid | Peer::Foreign(_)) | Err(Unreadable) => Truth::Unknown,
    }
}

fn known<T>(value: Result<T, Unreadable>, holds: impl FnOnce(T) -> Truth) -> Truth {
    value.map_or(Truth::Unknown, holds)
}

fn present<P>(
    value: Result<Option<&[u8]>, Unreadable>,
    field: &Field<P>,
    matches: impl Fn(&P, &[u8]) -> bool,
) -> Truth {
    match value {
        Ok(Some(value)) => field.holds(|pattern| matches(pattern, value).into()),
        Ok(None) => field.holds_without_value(),
        Err(Unreadable) => Truth::Unknown,
    }
}

fn as_slice(read: &Result<Option<Vec<u8>>, Unreadable>) -> Result<Option<&[u8]>, Unreadable> {
    read.as_ref().map(Option::as_deref).map_err(|unreadable| *unreadable)
}

/// A list matches by any of its elements; what is no string is no value.
fn field_over_claim(field: &Field<TextPattern>, claim: Option<&Claim>) -> Truth {
    match claim {
        Some(Claim::Text(text)) => field.holds(|pattern| pattern.matches(text).into()),
        Some(Claim::List(items)) => {
            field.holds(|pattern| items.iter().any(|item| pattern.matches(item)).into())
        }
        Some(Claim::Other) | None => field.holds_without_value(),
    }
}

/// Issuer and subject, both of them strings of one verified token.
fn request_principal(facts: &Facts<'_>, fetch: Fetch, field: &Field<RequestPrincipalPattern>) -> Truth {
    let issuer = facts.claim(&[Box::from("iss")], fetch);
    let subject = facts.claim(&[Box::from("sub")], fetch);
    match (&*issuer, &*subject) {
        (Ok(Some(Claim::Text(issuer))), Ok(Some(Claim::Text(subject)))) => {
            field.holds(|pattern| pattern.matches(issuer, subject).into())
        }
        (Ok(_), Ok(_)) => field.holds_without_value(),
        _ => Truth::Unknown,
    }
}
