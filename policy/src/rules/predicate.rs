//! One condition of a rule over one attribute.

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

/// A field of a source or operation, or a `when` condition; the two spellings of one attribute are one
/// predicate here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// `principals`, `source.principal`.
    Principal(Field<PrincipalPattern>),
    /// `namespaces`, `source.namespace`.
    Namespace(Field<NamespacePattern>),
    /// `serviceAccounts`, `source.serviceAccount`.
    ServiceAccount(Field<AccountPattern>),
    /// `trustDomains`, `source.trustDomain`.
    TrustDomain(Field<TrustDomainPattern>),
    /// `ipBlocks`, `remoteIpBlocks`, `source.ip`, `remote.ip`.
    SourceIp(Field<CidrPattern>),
    /// `requestPrincipals`, `request.auth.principal`.
    RequestPrincipal(Field<RequestPrincipalPattern>),
    /// `hosts`.
    Host(Field<HostEntry>),
    /// `ports`, `destination.port`.
    Port(Field<u16>),
    /// `methods`.
    Method(Field<TextPattern>),
    /// `paths`.
    Path(Field<PathPattern>),
    /// `destination.ip`.
    DestinationIp(Field<CidrPattern>),
    /// `connection.sni`.
    ServerName(Field<ServerNamePattern>),
    /// `request.headers[NAME]`, the name in lower case.
    Header(Box<str>, Field<TextPattern>),
    /// `request.auth.claims[A][B]…`, `request.auth.audiences`, `request.auth.presenter`.
    Claim(Box<[Box<str>]>, Field<TextPattern>),
}

impl Predicate {
    /// Whether the condition holds, whatever that costs: for those who explain a rule.
    #[must_use]
    pub fn truth(&self, facts: &Facts<'_>) -> Truth {
        self.holds(facts, Fetch::AskEnvoy)
    }

    /// Whether the condition holds, as far as the reach goes.
    pub(crate) fn holds(&self, facts: &Facts<'_>, fetch: Fetch) -> Truth {
        match self {
            Self::Principal(field) => by_identity(facts, field, PrincipalPattern::matches),
            Self::Namespace(field) => by_identity(facts, field, |p, id| p.matches(id.namespace())),
            Self::ServiceAccount(field) => by_identity(facts, field, AccountPattern::matches),
            Self::TrustDomain(field) => by_identity(facts, field, |p, id| p.matches(id.trust_domain())),
            Self::Host(field) => match facts.target() {
                Ok(Target::Host(host, port)) => field.holds(|entry| entry.matches(host, *port)),
                Ok(Target::Unknown | Target::Malformed | Target::Broken(_)) | Err(Unreadable) => {
                    Truth::Unknown
                }
            },
            Self::SourceIp(field) => known(facts.source(fetch), |ip| field.holds(|p| p.matches(ip).into())),
            Self::DestinationIp(field) => {
                known(facts.destination(fetch), |ip| field.holds(|p| p.matches(ip).into()))
            }
            Self::Port(field) => known(facts.port(fetch), |port| field.holds(|p| (*p == port).into())),
            Self::Method(field) => present(facts.method(fetch), field, TextPattern::matches),
            Self::Path(field) => facts.path_truth(
                fetch,
                |path| field.holds(|p| p.matches(path)),
                |reading| field.holds(|p| p.fits(reading)),
            ),
            Self::ServerName(field) => match facts.folded_server_name(fetch) {
                Ok(Some(name)) => field.holds(|p| p.matches(name).into()),
                // A client that sent no name cannot be told from one that hides it.
                Ok(None) | Err(Unreadable) => Truth::Unknown,
            },
            Self::Header(name, field) => {
                let header = facts.header(name, fetch);
                present(as_slice(&header), field, TextPattern::matches)
            }
            Self::Claim(path, field) => match &*facts.claim(path, fetch) {
                Ok(claim) => field_over_claim(field, claim.as_ref()),
                Err(Unreadable) => Truth::Unknown,
            },
            Self::RequestPrincipal(field) => request_principal(facts, fetch, field),
        }
    }

    /// Host calls that the predicate may cost, roughly: what is free is asked first.
    pub(crate) fn cost(&self) -> u8 {
        match self {
            Self::Principal(_)
            | Self::Namespace(_)
            | Self::ServiceAccount(_)
            | Self::TrustDomain(_)
            | Self::Host(_) => 0,
            Self::ServerName(_)
            | Self::SourceIp(_)
            | Self::DestinationIp(_)
            | Self::Port(_)
            | Self::Method(_)
            | Self::Header(..)
            | Self::Claim(..) => 1,
            Self::Path(_) | Self::RequestPrincipal(_) => 2,
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
