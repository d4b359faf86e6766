//! The table of attributes: what rules compare, one row each.
//!
//! The parser, the index, the JSON Schema, `import`, `explain`, `check` and the tables of docs/language.md follow it: a
//! new attribute is one row here, and its reader in [`Facts`].

use crate::Fault;
use crate::attributes::{Protocol, Read, Unreadable};
use crate::facts::{Facts, Fetch};
use crate::patterns::{TextPattern, parse_method};
use std::net::IpAddr;

/// One row.
#[derive(Debug)]
pub struct Attribute {
    /// What is compared, for a sentence: `the method`.
    pub subject: &'static str,
    /// The fields of a source or an operation that compare it.
    pub fields: &'static [FieldKey],
    /// The keys of `when` that compare it.
    pub conditions: &'static [ConditionKey],
    /// The one protocol that has it; `None` where both have.
    pub only: Option<Protocol>,
    /// Host calls that a comparison may cost, roughly: what is free is compared first.
    pub cost: u8,
    /// How its values are written, and what they are compared with.
    pub values: Values,
}

/// A field, with its twin.
#[derive(Debug, Clone, Copy)]
pub struct FieldKey {
    /// Where it stands.
    pub part: RulePart,
    /// The field: `hosts`.
    pub key: &'static str,
    /// Its twin: `notHosts`.
    pub not_key: &'static str,
}

/// The part of a rule that a field stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePart {
    /// `from[].source`.
    Source,
    /// `to[].operation`.
    Operation,
}

/// A key of `when`.
#[derive(Debug, Clone, Copy)]
pub struct ConditionKey {
    /// The key; `[NAME]` at its end stands for a name that the user writes.
    pub key: &'static str,
    /// The name that it stands for, where the user writes none: `aud` of `request.auth.audiences`.
    pub name: Option<&'static str>,
    /// Whether Istio's AuthorizationPolicy has it, too; it drops a rule with a key that it does not know.
    pub in_istio: bool,
}

/// How the values of an attribute are written, and what they are compared with.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// The peer's identity: a [`PrincipalPattern`](crate::patterns::PrincipalPattern).
    Principal,
    /// The peer's namespace.
    Namespace,
    /// The peer's service account.
    ServiceAccount,
    /// The peer's trust domain, as presented.
    TrustDomain,
    /// Issuer and subject of the verified token.
    RequestPrincipal,
    /// The host.
    Host,
    /// The gateway's listener port.
    Port,
    /// The path, in all of its readings.
    Path,
    /// The outer server name.
    ServerName,
    /// An IP address.
    Address(AddressGetter),
    /// Bytes that are there or not.
    Text {
        /// Parses one value.
        parse: fn(&str) -> Result<TextPattern, Fault>,
        /// Reads what it is compared with.
        getter: TextGetter,
    },
    /// A header, by its name.
    Header,
    /// A claim of the verified token, by its path.
    Claim,
}

/// Reads an IP address of a request or connection.
#[derive(Debug, Clone, Copy)]
pub struct AddressGetter(fn(&Facts<'_>, Fetch) -> Result<IpAddr, Unreadable>);

/// Reads bytes of a request or connection.
#[derive(Debug, Clone, Copy)]
pub struct TextGetter(for<'f> fn(&'f Facts<'_>, Fetch) -> Read<&'f [u8]>);

/// The table.
pub static ATTRIBUTES: [Attribute; 14] = [
    Attribute {
        subject: "the peer's identity",
        fields: &[FieldKey { part: RulePart::Source, key: "principals", not_key: "notPrincipals" }],
        conditions: &[ConditionKey::istio("source.principal")],
        only: None,
        cost: 0,
        values: Values::Principal,
    },
    Attribute {
        subject: "the token's principal",
        fields: &[FieldKey {
            part: RulePart::Source,
            key: "requestPrincipals",
            not_key: "notRequestPrincipals",
        }],
        conditions: &[ConditionKey::istio("request.auth.principal")],
        only: Some(Protocol::Http),
        cost: 2,
        values: Values::RequestPrincipal,
    },
    Attribute {
        subject: "the peer's namespace",
        fields: &[FieldKey { part: RulePart::Source, key: "namespaces", not_key: "notNamespaces" }],
        conditions: &[ConditionKey::istio("source.namespace")],
        only: None,
        cost: 0,
        values: Values::Namespace,
    },
    Attribute {
        subject: "the peer's service account",
        fields: &[FieldKey { part: RulePart::Source, key: "serviceAccounts", not_key: "notServiceAccounts" }],
        conditions: &[ConditionKey::istio("source.serviceAccount")],
        only: None,
        cost: 0,
        values: Values::ServiceAccount,
    },
    Attribute {
        subject: "the peer's trust domain",
        fields: &[FieldKey { part: RulePart::Source, key: "trustDomains", not_key: "notTrustDomains" }],
        conditions: &[ConditionKey::istio("source.trustDomain")],
        only: None,
        cost: 0,
        values: Values::TrustDomain,
    },
    Attribute {
        subject: "the client's address",
        fields: &[
            FieldKey { part: RulePart::Source, key: "ipBlocks", not_key: "notIpBlocks" },
            FieldKey { part: RulePart::Source, key: "remoteIpBlocks", not_key: "notRemoteIpBlocks" },
        ],
        conditions: &[ConditionKey::istio("source.ip"), ConditionKey::istio("remote.ip")],
        only: None,
        cost: 1,
        values: Values::Address(AddressGetter(|facts, fetch| facts.source(fetch))),
    },
    Attribute {
        subject: "the host",
        fields: &[FieldKey { part: RulePart::Operation, key: "hosts", not_key: "notHosts" }],
        conditions: &[],
        only: None,
        cost: 0,
        values: Values::Host,
    },
    Attribute {
        subject: "the listener's port",
        fields: &[FieldKey { part: RulePart::Operation, key: "ports", not_key: "notPorts" }],
        conditions: &[ConditionKey::istio("destination.port")],
        only: None,
        cost: 1,
        values: Values::Port,
    },
    Attribute {
        subject: "the method",
        fields: &[FieldKey { part: RulePart::Operation, key: "methods", not_key: "notMethods" }],
        conditions: &[],
        only: Some(Protocol::Http),
        cost: 1,
        values: Values::Text { parse: parse_method, getter: TextGetter(|facts, fetch| facts.method(fetch)) },
    },
    Attribute {
        subject: "the path",
        fields: &[FieldKey { part: RulePart::Operation, key: "paths", not_key: "notPaths" }],
        conditions: &[],
        only: Some(Protocol::Http),
        cost: 2,
        values: Values::Path,
    },
    Attribute {
        subject: "the gateway's address",
        fields: &[],
        conditions: &[ConditionKey::istio("destination.ip")],
        only: None,
        cost: 1,
        values: Values::Address(AddressGetter(|facts, fetch| facts.destination(fetch))),
    },
    Attribute {
        subject: "the server name",
        fields: &[],
        conditions: &[ConditionKey::istio("connection.sni")],
        only: None,
        cost: 1,
        values: Values::ServerName,
    },
    Attribute {
        subject: "the header",
        fields: &[],
        conditions: &[ConditionKey::istio("request.headers[NAME]")],
        only: Some(Protocol::Http),
        cost: 1,
        values: Values::Header,
    },
    Attribute {
        subject: "the claim",
        fields: &[],
        conditions: &[
            ConditionKey::istio("request.auth.claims[NAME]"),
            ConditionKey { name: Some("aud"), ..ConditionKey::istio("request.auth.audiences") },
            ConditionKey { name: Some("azp"), ..ConditionKey::istio("request.auth.presenter") },
        ],
        only: Some(Protocol::Http),
        cost: 1,
        values: Values::Claim,
    },
];

// === impl Attribute ===

impl Attribute {
    /// The fields of a part of a rule with their rows, in the order of the table.
    #[must_use]
    pub fn fields_of(part: RulePart) -> Vec<(&'static Self, &'static FieldKey)> {
        let mut fields = Vec::new();
        for row in &ATTRIBUTES {
            for field in row.fields {
                if field.part == part {
                    fields.push((row, field));
                }
            }
        }
        fields
    }

    /// The row that a key of `when` names, that key of the row's, and what the user wrote where `[NAME]` stands.
    #[must_use]
    pub fn by_condition(written: &str) -> Option<(&'static Self, &'static ConditionKey, &str)> {
        for row in &ATTRIBUTES {
            for condition in row.conditions {
                let stem = condition.key.strip_suffix("[NAME]");
                match written.strip_prefix(stem.unwrap_or(condition.key)) {
                    Some(rest) if stem.is_some() || rest.is_empty() => return Some((row, condition, rest)),
                    _ => {}
                }
            }
        }
        None
    }
}

// === impl ConditionKey ===

impl ConditionKey {
    /// A key that AuthorizationPolicy has, too.
    const fn istio(key: &'static str) -> Self {
        Self { key, name: None, in_istio: true }
    }
}

// === impl AddressGetter ===

impl AddressGetter {
    /// The address, whatever reading it costs.
    ///
    /// # Errors
    /// [`Unreadable`] where there is none, or none that is an IP address.
    pub fn get(self, facts: &Facts<'_>) -> Result<IpAddr, Unreadable> {
        self.fetch(facts, Fetch::AskEnvoy)
    }

    pub(super) fn fetch(self, facts: &Facts<'_>, fetch: Fetch) -> Result<IpAddr, Unreadable> {
        self.0(facts, fetch)
    }
}

impl PartialEq for AddressGetter {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for AddressGetter {}

// === impl TextGetter ===

impl TextGetter {
    /// The bytes, whatever reading them costs; `None` where there are none.
    ///
    /// # Errors
    /// [`Unreadable`] where the protocol has none, or Envoy had no answer.
    pub fn get<'f>(self, facts: &'f Facts<'_>) -> Read<&'f [u8]> {
        self.fetch(facts, Fetch::AskEnvoy)
    }

    pub(super) fn fetch<'f>(self, facts: &'f Facts<'_>, fetch: Fetch) -> Read<&'f [u8]> {
        self.0(facts, fetch)
    }
}

impl PartialEq for TextGetter {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for TextGetter {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_stands_for_two_attributes() {
        let mut seen = HashSet::new();
        for row in &ATTRIBUTES {
            let fields = row.fields.iter().flat_map(|field| [field.key, field.not_key]);
            for key in fields.chain(row.conditions.iter().map(|condition| condition.key)) {
                assert!(seen.insert(key), "{key} twice");
            }
            assert!(!(row.fields.is_empty() && row.conditions.is_empty()), "{} has no key", row.subject);
        }
    }

    #[test]
    fn a_twin_is_its_field_with_not() {
        for field in ATTRIBUTES.iter().flat_map(|row| row.fields) {
            let (first, rest) = field.key.split_at(1);
            assert_eq!(field.not_key, format!("not{}{rest}", first.to_uppercase()));
        }
    }

    #[test]
    fn a_condition_is_found_by_its_key() {
        let found =
            |written| Attribute::by_condition(written).map(|(row, key, rest)| (row.subject, key.key, rest));
        assert_eq!(found("remote.ip"), Some(("the client's address", "remote.ip", "")));
        let header = ("the header", "request.headers[NAME]", "[x-a]");
        assert_eq!(found("request.headers[x-a]"), Some(header));
        assert_eq!(found("request.auth.audiences"), Some(("the claim", "request.auth.audiences", "")));
        assert_eq!(found("request.auth.audiences[x]"), None);
        assert_eq!(found("source.ips"), None);
    }
}
