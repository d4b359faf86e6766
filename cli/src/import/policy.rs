//! One AuthorizationPolicy.

use super::json;
use super::rule::{Converted, Converter};
use super::values::Scope;
use super::{Note, NoteKind, Settings};
use crate::source::{Node, Resource};
use egress_policy::config::Json;
use egress_policy::rules::Action;

/// The annotation that puts a policy into dry run.
const DRY_RUN: &str = "istio.io/dry-run";

/// The policy in our words; nothing where it does not bind the gateway, or would never match.
pub(super) fn convert(resource: &Resource, settings: &Settings, notes: &mut Vec<Note>) -> Option<Json> {
    let title = format!("{}/{}", resource.namespace(), resource.name());
    let mut note = |field: &str, what: NoteKind, message: String| {
        notes.push(Note { policy: title.clone(), field: field.to_owned(), what, message });
    };
    if let Some(why) = settings.gateway.why_not(resource) {
        note("", NoteKind::NotBinding, why);
        return None;
    }
    let spec = resource.node.get("spec");
    let action = match spec.and_then(|spec| spec.text_at(&["action"])).unwrap_or("ALLOW") {
        "ALLOW" => Action::Allow,
        "DENY" => Action::Deny,
        "AUDIT" => Action::Audit,
        "CUSTOM" => {
            note(
                "action",
                NoteKind::Refused,
                "CUSTOM asks an external authorizer, which this filter cannot".to_owned(),
            );
            return None;
        }
        other => {
            note("action", NoteKind::Refused, format!("{other} is no action"));
            return None;
        }
    };
    let is_dry_run = resource
        .node
        .at(&["metadata", "annotations"])
        .and_then(|annotations| annotations.text_at(&[DRY_RUN]))
        .is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"));
    let rules = spec.and_then(|spec| spec.get("rules")).map(Node::items).unwrap_or_default();
    let scope = Scope { namespace: resource.namespace(), domains: &settings.trust_domains };
    let mut converter = Converter::new(action, scope);
    let mut converted = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        match converter.rule(rule, &format!("rules[{at}]")) {
            Converted::Said(rule) => converted.push(rule),
            Converted::Anything => converted.push(json::object(Vec::<(&str, Json)>::new())),
            Converted::Nothing => converter.note(
                &format!("rules[{at}]"),
                NoteKind::LeftOut,
                "nothing is left of the rule that could match".to_owned(),
            ),
        }
    }
    let http_only = converter.http_only();
    for (field, what, message) in converter.into_notes() {
        note(&field, what, message);
    }
    if !settings.http_only
        && let Some(message) = on_tcp(action, &http_only)
    {
        note(&http_only.join(", "), NoteKind::Changed, message.to_owned());
    }
    if converted.is_empty() && action != Action::Allow {
        note("rules", NoteKind::LeftOut, "the policy never matches".to_owned());
        return None;
    }
    let name = format!("{}.{}", resource.namespace(), resource.name());
    let mut entries = vec![("name", json::text(&name))];
    match action {
        Action::Allow => {}
        Action::Deny => entries.push(("action", json::text("DENY"))),
        Action::Audit => entries.push(("action", json::text("AUDIT"))),
    }
    if is_dry_run && action == Action::Audit {
        note(DRY_RUN, NoteKind::LeftOut, "an AUDIT changes no verdict and has no dry run here".to_owned());
    } else if is_dry_run {
        entries.push(("mode", json::text("DRY_RUN")));
    }
    if !converted.is_empty() {
        entries.push(("rules", Json::List(converted)));
    }
    Some(json::object(entries))
}

/// What becomes of fields that Istio has on HTTP servers only. A DENY by any of them but hosts refuses there as
/// it does here, where they are unknown.
fn on_tcp(action: Action, http_only: &[&str]) -> Option<&'static str> {
    match action {
        Action::Allow if !http_only.is_empty() => Some(
            "on TCP and TLS servers Istio drops the rules that have them; here a host is the server name inside TLS, \
             and an alternative that asks for any other of them admits nobody",
        ),
        Action::Deny | Action::Audit if http_only.contains(&"hosts") => Some(
            "on TCP and TLS servers Istio ignores hosts, so that the rule matches every host; here a host is the \
             server name inside TLS",
        ),
        _ => None,
    }
}
