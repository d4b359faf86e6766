//! The attributes of the language: how the values of each are parsed, whichever key they stand under.

use super::error::Problem;
use super::host_sets::HostSets;
use super::json::{Json, number_text};
use super::reader::{Path, Reader};
use crate::Fault;
use crate::patterns::{
    AccountPattern, CidrPattern, NamespacePattern, PathPattern, PrincipalPattern, RequestPrincipalPattern,
    ServerNamePattern, TextPattern, TrustDomainPattern, TrustDomains, parse_method,
};
use crate::rules::{Field, Predicate};

/// An attribute that rules compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attribute {
    Principal,
    RequestPrincipal,
    Namespace,
    ServiceAccount,
    TrustDomain,
    SourceIp,
    Host,
    Port,
    Method,
    Path,
    DestinationIp,
    ServerName,
    Header(Box<str>),
    Claim(Box<[Box<str>]>),
}

/// What parsing a value needs to know of the rest of the configuration.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) domains: &'s TrustDomains,
    pub(super) sets: &'s HostSets,
    pub(super) namespace: Option<&'s str>,
}

/// Values and not-values of one field, as they stand in the tree with their places.
pub(super) struct Written<'w> {
    pub(super) values: Option<(&'w Json, Path<'w>)>,
    pub(super) not_values: Option<(&'w Json, Path<'w>)>,
}

impl Attribute {
    /// The field over this attribute.
    pub(super) fn predicate(self, reader: &mut Reader, scope: Scope<'_>, written: &Written<'_>) -> Predicate {
        match self {
            Self::Principal => Predicate::Principal(read(reader, written, |text| {
                PrincipalPattern::parse(text, scope.domains)
            })),
            Self::RequestPrincipal => {
                Predicate::RequestPrincipal(read(reader, written, RequestPrincipalPattern::parse))
            }
            Self::Namespace => Predicate::Namespace(read(reader, written, NamespacePattern::parse)),
            Self::ServiceAccount => Predicate::ServiceAccount(read(reader, written, |text| {
                AccountPattern::parse(text, scope.namespace)
            })),
            Self::TrustDomain => Predicate::TrustDomain(read(reader, written, TrustDomainPattern::parse)),
            Self::SourceIp => Predicate::SourceIp(read(reader, written, CidrPattern::parse)),
            Self::Host => Predicate::Host(read(reader, written, |text| scope.sets.parse_entry(text))),
            Self::Port => Predicate::Port(read_ports(reader, written)),
            Self::Method => Predicate::Method(read(reader, written, parse_method)),
            Self::Path => Predicate::Path(read(reader, written, PathPattern::parse)),
            Self::DestinationIp => Predicate::DestinationIp(read(reader, written, CidrPattern::parse)),
            Self::ServerName => Predicate::ServerName(read(reader, written, ServerNamePattern::parse)),
            Self::Header(name) => Predicate::Header(name, read(reader, written, TextPattern::parse)),
            Self::Claim(path) => Predicate::Claim(path, read(reader, written, TextPattern::parse)),
        }
    }
}

fn read<P>(
    reader: &mut Reader,
    written: &Written<'_>,
    mut parse: impl FnMut(&str) -> Result<P, Fault>,
) -> Field<P> {
    let mut side = |side: &Option<(&Json, Path<'_>)>| match side {
        Some((json, path)) => reader.texts(json, path, &mut parse),
        None => Vec::new(),
    };
    Field { values: side(&written.values), not_values: side(&written.not_values) }
}

fn read_ports(reader: &mut Reader, written: &Written<'_>) -> Field<u16> {
    let mut side = |side: &Option<(&Json, Path<'_>)>| match side {
        Some((json, path)) => reader
            .list(json, path)
            .iter()
            .enumerate()
            .filter_map(|(at, item)| read_port(reader, item, &path.index(at)))
            .collect(),
        None => Vec::new(),
    };
    Field { values: side(&written.values), not_values: side(&written.not_values) }
}

/// A port: `"443"`, `443` or `443.0`.
fn read_port(reader: &mut Reader, json: &Json, path: &Path<'_>) -> Option<u16> {
    let (text, port) = match json {
        Json::Text(text) => {
            // As in a host pattern: "0443" is a number in most languages, and not in all of them the same one.
            let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
            let port = plain.then(|| text.parse::<u16>().ok()).flatten();
            (text.to_string(), port)
        }
        Json::Number(number) => {
            // Every u16 is exact in a double, so a truncated number that is equal was whole and in range.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the comparison refuses what was cut"
            )]
            let port = *number as u16;
            (number_text(*number), (f64::from(port) == *number).then_some(port))
        }
        Json::Null => {
            reader.note(path, Problem::Null);
            return None;
        }
        other => {
            reader.wrong_type(path, "a port", other);
            return None;
        }
    };
    let port = port.filter(|port| *port > 0);
    if port.is_none() {
        reader.fault(path, &text, Fault::new("a port is a whole number from 1 to 65535"));
    }
    port
}
