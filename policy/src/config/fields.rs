//! How the values of an attribute are parsed, whichever key they stand under.

use super::error::Problem;
use super::host_sets::HostSets;
use super::json::{Json, number_text};
use super::validator::{ConfigPath, Validator};
use crate::Fault;
use crate::patterns::{
    AccountPattern, CidrPattern, NamespacePattern, PathPattern, PrincipalPattern, RequestPrincipalPattern,
    ServerNamePattern, TextPattern, TrustDomainPattern, TrustDomains,
};
use crate::rules::{Attribute, Comparison, Field, FieldKey, Predicate, RulePart, Values};

/// What parsing a value needs to know of the rest of the configuration.
#[derive(Clone, Copy)]
pub(super) struct ParseContext<'s> {
    pub(super) domains: &'s TrustDomains,
    pub(super) sets: &'s HostSets,
    pub(super) namespace: Option<&'s str>,
    pub(super) source: &'s PartFields,
    pub(super) operation: &'s PartFields,
}

/// The fields of a part of a rule, taken from the table once for all rules.
pub(super) struct PartFields {
    pub(super) rows: Vec<(&'static Attribute, &'static FieldKey)>,
    /// All keys, twins too.
    pub(super) keys: Vec<&'static str>,
}

impl PartFields {
    pub(super) fn of(part: RulePart) -> Self {
        let rows = Attribute::fields_of(part);
        let mut keys = Vec::new();
        for (_, field) in &rows {
            keys.extend([field.key, field.not_key]);
        }
        Self { rows, keys }
    }
}

/// Values and not-values of one field, as they stand in the tree with their places.
pub(super) struct Written<'w> {
    pub(super) values: Option<(&'w Json, ConfigPath<'w>)>,
    pub(super) not_values: Option<(&'w Json, ConfigPath<'w>)>,
}

/// The predicate over an attribute; `names` are the names that the user wrote in brackets behind a key.
pub(super) fn predicate(
    attribute: &'static Attribute,
    names: Box<[Box<str>]>,
    validator: &mut Validator,
    context: ParseContext<'_>,
    written: &Written<'_>,
) -> Predicate {
    let comparison = match attribute.values {
        Values::Principal => Comparison::Principal(read(validator, written, |text| {
            PrincipalPattern::parse(text, context.domains)
        })),
        Values::RequestPrincipal => {
            Comparison::RequestPrincipal(read(validator, written, RequestPrincipalPattern::parse))
        }
        Values::Namespace => Comparison::Namespace(read(validator, written, NamespacePattern::parse)),
        Values::ServiceAccount => Comparison::ServiceAccount(read(validator, written, |text| {
            AccountPattern::parse(text, context.namespace)
        })),
        Values::TrustDomain => Comparison::TrustDomain(read(validator, written, TrustDomainPattern::parse)),
        Values::Address(of) => Comparison::Address(of, read(validator, written, CidrPattern::parse)),
        Values::Host => Comparison::Host(read(validator, written, |text| context.sets.parse_entry(text))),
        Values::Port => Comparison::Port(read_ports(validator, written)),
        Values::Path => Comparison::Path(read(validator, written, PathPattern::parse)),
        Values::ServerName => Comparison::ServerName(read(validator, written, ServerNamePattern::parse)),
        Values::Text { parse, getter: of } => Comparison::Text(of, read(validator, written, parse)),
        Values::Header => {
            let name = names.into_iter().next().unwrap_or_default();
            Comparison::Header(name, read(validator, written, TextPattern::parse))
        }
        Values::Claim => Comparison::Claim(names, read(validator, written, TextPattern::parse)),
    };
    Predicate { attribute, comparison }
}

fn read<P>(
    validator: &mut Validator,
    written: &Written<'_>,
    mut parse: impl FnMut(&str) -> Result<P, Fault>,
) -> Field<P> {
    let mut side = |side: &Option<(&Json, ConfigPath<'_>)>| match side {
        Some((json, path)) => validator.texts(json, path, &mut parse),
        None => Vec::new(),
    };
    Field { values: side(&written.values), not_values: side(&written.not_values) }
}

fn read_ports(validator: &mut Validator, written: &Written<'_>) -> Field<u16> {
    let mut side = |side: &Option<(&Json, ConfigPath<'_>)>| match side {
        Some((json, path)) => validator
            .list(json, path)
            .iter()
            .enumerate()
            .filter_map(|(at, item)| read_port(validator, item, &path.index(at)))
            .collect(),
        None => Vec::new(),
    };
    Field { values: side(&written.values), not_values: side(&written.not_values) }
}

/// A port: `"443"`, `443` or `443.0`.
fn read_port(validator: &mut Validator, json: &Json, path: &ConfigPath<'_>) -> Option<u16> {
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
            validator.note(path, Problem::Null);
            return None;
        }
        other => {
            validator.wrong_type(path, "a port", other);
            return None;
        }
    };
    let port = port.filter(|port| *port > 0);
    if port.is_none() {
        validator.fault(path, &text, Fault::new("a port is a whole number from 1 to 65535"));
    }
    port
}
