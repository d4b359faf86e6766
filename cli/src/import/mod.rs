//! Other policies, in our words: Istio's AuthorizationPolicy and smokescreen's ACL.
//!
//! What changes its meaning is named. What cannot be said is left out where that closes (a value of an
//! ALLOW), and an error where it would open (a value of a DENY).

mod binding;
mod json;
mod policy;
mod rule;
mod smokescreen;
mod values;

pub(crate) use binding::Gateway;

use crate::source::{Node, Resource};
use egress_policy::config::{Config, Json};
use serde::Serialize;

/// What an import comes to.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The pluginConfig.
    pub(crate) config: Json,
    pub(crate) notes: Vec<Note>,
}

/// Something that the reader must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Note {
    /// The policy, `<namespace>/<name>`; empty for what concerns all of them.
    pub(crate) policy: String,
    /// The field that it is about.
    pub(crate) field: String,
    pub(crate) what: NoteKind,
    pub(crate) message: String,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NoteKind {
    /// It means something else.
    Changed,
    /// It is left out, and that refuses no less than before.
    LeftOut,
    /// It does not bind the gateway.
    NotBinding,
    /// It cannot be said, and leaving it out would admit more.
    Refused,
}

/// What is imported.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) gateway: Gateway,
    pub(crate) trust_domains: Vec<String>,
    pub(crate) strict: bool,
    /// The gateway has no TCP or TLS servers: what changes there is not said.
    pub(crate) http_only: bool,
}

/// Imports AuthorizationPolicies.
pub(crate) fn authorization_policies(resources: &[Resource], settings: &Settings) -> Imported {
    let mut notes = Vec::new();
    let policies = resources.iter().filter_map(|resource| policy::convert(resource, settings, &mut notes));
    let policies = Json::List(policies.collect());
    let mut entries = Vec::new();
    if !settings.strict {
        entries.extend([
            ("defaultAction", json::text("ALLOW")),
            ("unauthenticated", json::text("EVALUATE")),
            ("sniMismatch", json::text("ALLOW")),
            ("privateAddresses", json::text("ALLOW")),
            ("pathReadings", json::text("LITERAL")),
        ]);
    }
    if settings.trust_domains != ["cluster.local"] {
        entries.push(("trustDomains", json::texts(&settings.trust_domains)));
    }
    entries.push(("policies", policies));
    Imported { config: json::object(entries), notes }.checked()
}

/// Imports a smokescreen ACL.
pub(crate) fn smokescreen(acl: &Node) -> Imported {
    smokescreen::convert(acl).checked()
}

pub(crate) use smokescreen::is_acl;

impl Imported {
    /// The core has the last word: what it does not take is refused here, too.
    fn checked(mut self) -> Self {
        if let Err(errors) = Config::read(&self.config) {
            self.notes.extend(errors.into_iter().map(|error| Note {
                policy: String::new(),
                field: error.path.clone(),
                what: NoteKind::Refused,
                message: error.to_string(),
            }));
        }
        self
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.notes.iter().any(|note| note.what == NoteKind::Refused)
    }
}

impl Note {
    /// On one line.
    pub(crate) fn text(&self) -> String {
        let place: Vec<_> =
            [&self.policy, &self.field].into_iter().filter(|text| !text.is_empty()).cloned().collect();
        let what = match self.what {
            NoteKind::Changed => "changed",
            NoteKind::LeftOut => "left out",
            NoteKind::NotBinding => "not binding",
            NoteKind::Refused => "error",
        };
        if place.is_empty() {
            return format!("{what}: {}", self.message);
        }
        format!("{what}: {}: {}", place.join(" "), self.message)
    }
}
