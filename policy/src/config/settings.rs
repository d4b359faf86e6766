//! What is said once for all policies.

use super::choice::{self, Choices};
use super::response::{self, DenyResponse};
use super::validator::{Entries, Validator};
use crate::Fault;
use crate::attributes::Protocol;
use crate::names::is_trust_domain;
use crate::path_readings::PathReadings;
use crate::patterns::TrustDomains;

/// The keys of a configuration.
pub(super) const KEYS: &[&str] = &[
    "type",
    "mode",
    "defaultAction",
    "trustDomains",
    "unauthenticated",
    "sniMismatch",
    "encryptedClientHello",
    "pathReadings",
    "privateAddresses",
    "privateUpstreams",
    "routeMismatch",
    "reportAllowed",
    "recheckConnections",
    "denyResponse",
    "hostSets",
    "policies",
];

/// Whether verdicts are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// Everything passes; what would be refused is reported.
    DryRun,
}

/// To admit or to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Admit.
    Allow,
    /// Refuse.
    Deny,
}

/// A guard that refuses, reports, or is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It refuses.
    Deny,
    /// It reports what it would refuse.
    DryRun,
    /// It is off.
    Allow,
}

/// What becomes of a peer that presents no certificate at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unauthenticated {
    /// It is refused.
    #[default]
    Deny,
    /// The policies are asked, without an identity.
    Evaluate,
}

/// The settings, defaults filled in (docs/language.md#settings).
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `type`: what the filter is loaded as.
    pub protocol: Protocol,
    /// `mode`: whether verdicts are carried out.
    pub mode: Mode,
    /// `defaultAction`: for sources that no ALLOW policy governs.
    pub default_action: Effect,
    /// `trustDomains`: the mesh's domains, aliases of the first.
    pub trust_domains: TrustDomains,
    /// `unauthenticated`: a peer without a certificate.
    pub unauthenticated: Unauthenticated,
    /// `sniMismatch`: the server name and the host disagree.
    pub sni_mismatch: Guard,
    /// `encryptedClientHello`: NETWORK: a ClientHello whose name is encrypted.
    pub encrypted_client_hello: Effect,
    /// `pathReadings`: which readings of a path a rule must hold in.
    pub path_readings: PathReadings,
    /// `privateAddresses`: hosts that are IP literals outside of the public Internet.
    pub private_addresses: Effect,
    /// `privateUpstreams`: NETWORK: the site's address is outside of the public Internet.
    pub private_upstreams: Effect,
    /// `routeMismatch`, whose default depends on the type.
    pub route_mismatch: Guard,
    /// `reportAllowed`: whether allowed traffic is reported, too.
    pub report_allowed: bool,
    /// `recheckConnections`: NETWORK: whether live connections are decided again.
    pub recheck_connections: bool,
    /// `denyResponse`: what a refused HTTP client sees.
    pub deny_response: DenyResponse,
}

const PROTOCOLS: Choices<Protocol> = &[("HTTP", Protocol::Http), ("NETWORK", Protocol::Network)];
const MODES: Choices<Mode> = &[("ENFORCE", Mode::Enforce), ("DRY_RUN", Mode::DryRun)];
const EFFECTS: Choices<Effect> = &[("ALLOW", Effect::Allow), ("DENY", Effect::Deny)];
const GUARDS: Choices<Guard> = &[("DENY", Guard::Deny), ("DRY_RUN", Guard::DryRun), ("ALLOW", Guard::Allow)];
const PATH_READINGS: Choices<PathReadings> =
    &[("ALL", PathReadings::All), ("LITERAL", PathReadings::Literal)];
const UNAUTHENTICATED: Choices<Unauthenticated> =
    &[("DENY", Unauthenticated::Deny), ("EVALUATE", Unauthenticated::Evaluate)];

pub(super) fn read(validator: &mut Validator, top: &Entries<'_>) -> Settings {
    let protocol = choice::read(validator, top, "type", PROTOCOLS).unwrap_or_default();
    let route_default = match protocol {
        Protocol::Http => Guard::Allow,
        Protocol::Network => Guard::Deny,
    };
    let mut effect = |key, default| choice::read(validator, top, key, EFFECTS).unwrap_or(default);
    let default_action = effect("defaultAction", Effect::Deny);
    let encrypted_client_hello = effect("encryptedClientHello", Effect::Allow);
    let private_addresses = effect("privateAddresses", Effect::Deny);
    let private_upstreams = effect("privateUpstreams", Effect::Allow);
    Settings {
        protocol,
        mode: choice::read(validator, top, "mode", MODES).unwrap_or_default(),
        default_action,
        trust_domains: read_trust_domains(validator, top),
        unauthenticated: choice::read(validator, top, "unauthenticated", UNAUTHENTICATED).unwrap_or_default(),
        sni_mismatch: choice::read(validator, top, "sniMismatch", GUARDS).unwrap_or(Guard::Deny),
        encrypted_client_hello,
        path_readings: choice::read(validator, top, "pathReadings", PATH_READINGS).unwrap_or_default(),
        private_addresses,
        private_upstreams,
        route_mismatch: choice::read(validator, top, "routeMismatch", GUARDS).unwrap_or(route_default),
        report_allowed: validator.flag(top, "reportAllowed", false),
        recheck_connections: validator.flag(top, "recheckConnections", true),
        deny_response: response::read(validator, top),
    }
}

fn read_trust_domains(validator: &mut Validator, top: &Entries<'_>) -> TrustDomains {
    let Some(json) = top.get("trustDomains") else {
        return TrustDomains::default();
    };
    let path = top.path.key("trustDomains");
    let domains = validator.texts(json, &path, |text| {
        if text.is_empty() {
            return Err(Fault::empty());
        }
        if is_trust_domain(text) {
            return Ok(text.into());
        }
        let what = "not a trust domain: lower-case letters, digits, `.`, `-` and `_`";
        Err(match text.strip_prefix("spiffe://") {
            Some(rest) => Fault::with_repair(what, format!("write `{rest}`")),
            None => Fault::new(what),
        })
    });
    TrustDomains::new(domains)
}
