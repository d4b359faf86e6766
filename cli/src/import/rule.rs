//! One rule of an AuthorizationPolicy.

use super::Kind as NoteKind;
use super::json;
use super::values::{Kind, Said, Scope, convert};
use crate::source::{Node, Value};
use egress_policy::config::Json;
use egress_policy::rules::Action;
use std::collections::BTreeSet;

/// What a part of a rule comes to.
#[derive(Debug)]
pub(super) enum Converted {
    /// This.
    Said(Json),
    /// It matches everything.
    Anything,
    /// It matches nothing.
    Nothing,
}

/// Converts the rules of one policy.
pub(super) struct Converter<'s> {
    action: Action,
    scope: Scope<'s>,
    notes: Vec<(String, NoteKind, String)>,
    http_only: BTreeSet<&'static str>,
}

const SOURCE: &[(&str, Kind)] = &[
    ("principals", Kind::Principal),
    ("requestPrincipals", Kind::RequestPrincipal),
    ("namespaces", Kind::Namespace),
    ("serviceAccounts", Kind::ServiceAccount),
    ("trustDomains", Kind::TrustDomain),
    ("ipBlocks", Kind::Address),
    ("remoteIpBlocks", Kind::Address),
];
const OPERATION: &[(&str, Kind)] =
    &[("hosts", Kind::Host), ("ports", Kind::Port), ("methods", Kind::Method), ("paths", Kind::Path)];

/// `ipBlocks` is the TCP peer in Istio.
const DIRECT_ADDRESS: &str = "Istio compares the TCP peer; here it is Envoy's source.address, which is the same unless \
                              the gateway trusts proxies (numTrustedProxies)";

impl<'s> Converter<'s> {
    pub(super) fn new(action: Action, scope: Scope<'s>) -> Self {
        Self { action, scope, notes: Vec::new(), http_only: BTreeSet::new() }
    }

    pub(super) fn note(&mut self, field: &str, what: NoteKind, message: String) {
        self.notes.push((field.to_owned(), what, message));
    }

    /// The fields met that only HTTP has in Istio.
    pub(super) fn http_only(&self) -> Vec<&'static str> {
        self.http_only.iter().copied().collect()
    }

    pub(super) fn into_notes(self) -> Vec<(String, NoteKind, String)> {
        self.notes
    }

    pub(super) fn rule(&mut self, rule: &Node, path: &str) -> Converted {
        let mut entries = Vec::new();
        for (list, item, table) in [("from", "source", SOURCE), ("to", "operation", OPERATION)] {
            match self.alternatives(rule, list, item, table, path) {
                Converted::Said(alternatives) => entries.push((list, alternatives)),
                Converted::Anything => {}
                Converted::Nothing => return Converted::Nothing,
            }
        }
        let mut conditions = Vec::new();
        for (at, condition) in rule.get("when").map(Node::items).unwrap_or_default().iter().enumerate() {
            match self.condition(condition, &format!("{path}.when[{at}]")) {
                Converted::Said(condition) => conditions.push(condition),
                Converted::Anything => {}
                Converted::Nothing => return Converted::Nothing,
            }
        }
        if !conditions.is_empty() {
            entries.push(("when", Json::List(conditions)));
        }
        if entries.is_empty() { Converted::Anything } else { Converted::Said(json::object(entries)) }
    }

    fn alternatives(
        &mut self,
        rule: &Node,
        list: &str,
        item: &'static str,
        table: &[(&'static str, Kind)],
        path: &str,
    ) -> Converted {
        let items = rule.get(list).map(Node::items).unwrap_or_default();
        let mut said = Vec::new();
        let mut anything = items.is_empty();
        for (at, alternative) in items.iter().enumerate() {
            let path = format!("{path}.{list}[{at}].{item}");
            let empty = Node { span: alternative.span, value: Value::Map(Vec::new()) };
            let fields = alternative.get(item).unwrap_or(&empty);
            match self.conjunction(fields, table, &path) {
                Converted::Said(fields) => said.push(json::object(vec![(item, fields)])),
                Converted::Anything => {
                    self.note(
                        &path,
                        NoteKind::Changed,
                        "empty, which Istio reads as anything; written so".to_owned(),
                    );
                    anything = true;
                }
                Converted::Nothing => {
                    let what = "nothing is left of it that could match".to_owned();
                    self.note(&path, NoteKind::LeftOut, what);
                }
            }
        }
        match (anything, said.is_empty()) {
            (true, _) => Converted::Anything,
            (false, true) => Converted::Nothing,
            (false, false) => Converted::Said(Json::List(said)),
        }
    }

    fn conjunction(&mut self, fields: &Node, table: &[(&'static str, Kind)], path: &str) -> Converted {
        let mut entries = Vec::new();
        for entry in fields.entries() {
            let path = format!("{path}.{}", entry.key);
            let found = table.iter().find_map(|(key, kind)| {
                let twin = negated(key);
                (entry.key == *key || entry.key == twin).then_some((*key, *kind, entry.key == twin))
            });
            let Some((key, kind, negative)) = found else {
                self.note(&path, NoteKind::Refused, "AuthorizationPolicy has no such field".to_owned());
                continue;
            };
            if key == "ipBlocks" {
                self.note(&path, NoteKind::Changed, DIRECT_ADDRESS.to_owned());
            }
            if is_http_only(kind) {
                self.http_only.insert(key);
            }
            match self.values(&entry.value, kind, negative, &path) {
                Converted::Said(values) => entries.push((entry.key.as_str(), values)),
                Converted::Anything => {}
                Converted::Nothing => return Converted::Nothing,
            }
        }
        if entries.is_empty() { Converted::Anything } else { Converted::Said(json::object(entries)) }
    }

    fn condition(&mut self, condition: &Node, path: &str) -> Converted {
        let key = condition.text_at(&["key"]).unwrap_or_default();
        let kind = match condition_kind(key) {
            Ok(kind) => kind,
            Err(why) => {
                let leaving_opens = self.action == Action::Deny && why.matches_in_istio;
                let what = if leaving_opens { NoteKind::Refused } else { NoteKind::LeftOut };
                self.note(&format!("{path}.key"), what, format!("{key}: {}", why.message));
                return Converted::Nothing;
            }
        };
        if key == "source.ip" {
            self.note(path, NoteKind::Changed, DIRECT_ADDRESS.to_owned());
        }
        if key.starts_with("request.") {
            self.http_only.insert("when request.*");
        }
        let mut entries = vec![("key", json::text(key))];
        for (side, negative) in [("values", false), ("notValues", true)] {
            let Some(values) = condition.get(side) else {
                continue;
            };
            match self.values(values, kind, negative, &format!("{path}.{side}")) {
                Converted::Said(values) => entries.push((side, values)),
                Converted::Anything => {}
                Converted::Nothing => return Converted::Nothing,
            }
        }
        if entries.len() == 1 { Converted::Anything } else { Converted::Said(json::object(entries)) }
    }

    /// The values of one field, or of its twin.
    fn values(&mut self, node: &Node, kind: Kind, negative: bool, path: &str) -> Converted {
        let written: Vec<String> = node.items().iter().filter_map(as_text).collect();
        if written.is_empty() {
            self.note(
                path,
                NoteKind::Changed,
                "an empty list, which Istio reads as no field; left out".to_owned(),
            );
            return Converted::Anything;
        }
        let mut values: Vec<String> = Vec::new();
        for (at, said) in convert(kind, &written, &self.scope).into_iter().enumerate() {
            let path = format!("{path}[{at}]");
            let value = written.get(at).cloned().unwrap_or_default();
            let message = |why: &str| format!("{value:?}: {why}");
            match said {
                Said::Same(said) => values.extend(said),
                Said::Changed(said, why) => {
                    self.note(&path, NoteKind::Changed, message(&why));
                    values.extend(said);
                }
                Said::Never(why) => self.note(&path, NoteKind::LeftOut, message(&why)),
                Said::Unsayable(why) => match (self.action, negative) {
                    (Action::Deny, false) => self.note(&path, NoteKind::Refused, message(&why)),
                    (Action::Allow, true) => {
                        self.note(&path, NoteKind::LeftOut, message(&why));
                        return Converted::Nothing;
                    }
                    _ => self.note(&path, NoteKind::LeftOut, message(&why)),
                },
            }
        }
        let mut seen = BTreeSet::new();
        values.retain(|value| seen.insert(value.clone()));
        match (values.is_empty(), negative) {
            (false, _) => Converted::Said(json::texts(&values)),
            (true, true) => Converted::Anything,
            (true, false) => Converted::Nothing,
        }
    }
}

/// `notHosts` for `hosts`.
fn negated(key: &str) -> String {
    let mut letters = key.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    format!("not{}{}", first.unwrap_or_default(), letters.as_str())
}

fn as_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.text.clone()),
        // A port without quotes.
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_http_only(kind: Kind) -> bool {
    matches!(kind, Kind::Host | Kind::Method | Kind::Path | Kind::RequestPrincipal)
}

/// Why a condition cannot be said.
struct NoCondition {
    /// Whether it can be true in Istio; a rule with an unknown key is dropped there.
    matches_in_istio: bool,
    message: &'static str,
}

fn condition_kind(key: &str) -> Result<Kind, NoCondition> {
    if let Some(name) = key.strip_prefix("request.headers[").and_then(|rest| rest.strip_suffix(']')) {
        let lower = name.to_ascii_lowercase();
        if lower == "host" || lower.starts_with(':') {
            let message = "a pseudo-header; hosts, methods and paths have fields of their own";
            return Err(NoCondition { matches_in_istio: true, message });
        }
        return Ok(Kind::Header);
    }
    if key.starts_with("request.auth.claims[") {
        return Ok(Kind::Claim);
    }
    if key.starts_with("experimental.") {
        let message = "the metadata of other filters cannot be asked for";
        return Err(NoCondition { matches_in_istio: true, message });
    }
    Ok(match key {
        "source.ip" | "remote.ip" | "destination.ip" => Kind::Address,
        "source.namespace" => Kind::Namespace,
        "source.serviceAccount" => Kind::ServiceAccount,
        "source.principal" => Kind::Principal,
        "source.trustDomain" => Kind::TrustDomain,
        "destination.port" => Kind::Port,
        "connection.sni" => Kind::ServerName,
        "request.auth.principal" => Kind::RequestPrincipal,
        "request.auth.audiences" | "request.auth.presenter" => Kind::Claim,
        _ => {
            let message = "Istio does not know the key, and drops the rule";
            return Err(NoCondition { matches_in_istio: false, message });
        }
    })
}
