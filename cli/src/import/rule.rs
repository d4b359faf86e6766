//! One rule of an AuthorizationPolicy.

use super::NoteKind;
use super::json;
use super::values::{Said, Scope, convert};
use crate::source::{Node, Value};
use egress_policy::Protocol;
use egress_policy::config::Json;
use egress_policy::rules::{Action, Attribute, RulePart, Values};
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
        for (list, item, part) in
            [("from", "source", RulePart::Source), ("to", "operation", RulePart::Operation)]
        {
            match self.alternatives(rule, list, item, part, path) {
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
        part: RulePart,
        path: &str,
    ) -> Converted {
        let items = rule.get(list).map(Node::items).unwrap_or_default();
        let mut said = Vec::new();
        let mut anything = items.is_empty();
        for (at, alternative) in items.iter().enumerate() {
            let path = format!("{path}.{list}[{at}].{item}");
            let empty = Node { span: alternative.span, value: Value::Map(Vec::new()) };
            let fields = alternative.get(item).unwrap_or(&empty);
            match self.conjunction(fields, part, &path) {
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

    fn conjunction(&mut self, fields: &Node, part: RulePart, path: &str) -> Converted {
        let mut entries = Vec::new();
        for entry in fields.entries() {
            let path = format!("{path}.{}", entry.key);
            let found = Attribute::fields_of(part)
                .into_iter()
                .find(|(_, field)| entry.key == field.key || entry.key == field.not_key);
            let Some((attribute, field)) = found else {
                self.note(&path, NoteKind::Refused, "AuthorizationPolicy has no such field".to_owned());
                continue;
            };
            let (key, negative) = (field.key, entry.key == field.not_key);
            if key == "ipBlocks" {
                self.note(&path, NoteKind::Changed, DIRECT_ADDRESS.to_owned());
            }
            if is_http_only(attribute) {
                self.http_only.insert(key);
            }
            match self.values(&entry.value, attribute.values, negative, &path) {
                Converted::Said(values) => entries.push((entry.key.as_str(), values)),
                Converted::Anything => {}
                Converted::Nothing => return Converted::Nothing,
            }
        }
        if entries.is_empty() { Converted::Anything } else { Converted::Said(json::object(entries)) }
    }

    fn condition(&mut self, condition: &Node, path: &str) -> Converted {
        let key = condition.text_at(&["key"]).unwrap_or_default();
        let attribute = match condition_attribute(key) {
            Ok(attribute) => attribute,
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
        if attribute.only == Some(Protocol::Http) {
            self.http_only.insert("when request.*");
        }
        let mut entries = vec![("key", json::text(key))];
        for (side, negative) in [("values", false), ("notValues", true)] {
            let Some(values) = condition.get(side) else {
                continue;
            };
            match self.values(values, attribute.values, negative, &format!("{path}.{side}")) {
                Converted::Said(values) => entries.push((side, values)),
                Converted::Anything => {}
                Converted::Nothing => return Converted::Nothing,
            }
        }
        if entries.len() == 1 { Converted::Anything } else { Converted::Said(json::object(entries)) }
    }

    /// The values of one field, or of its twin.
    fn values(&mut self, node: &Node, attribute: Values, negative: bool, path: &str) -> Converted {
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
        for (at, said) in convert(attribute, &written, &self.scope).into_iter().enumerate() {
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

fn as_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.text.clone()),
        // A port without quotes.
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether Istio has the field for HTTP alone: it knows no host of a connection.
fn is_http_only(attribute: &Attribute) -> bool {
    attribute.only == Some(Protocol::Http) || matches!(attribute.values, Values::Host)
}

/// Why a condition cannot be said.
struct NoCondition {
    /// Whether it can be true in Istio; a rule with an unknown key is dropped there.
    matches_in_istio: bool,
    message: &'static str,
}

fn condition_attribute(key: &str) -> Result<&'static Attribute, NoCondition> {
    let cannot = |message| NoCondition { matches_in_istio: true, message };
    if key.starts_with("experimental.") {
        return Err(cannot("the metadata of other filters cannot be asked for"));
    }
    let drops =
        NoCondition { matches_in_istio: false, message: "Istio does not know the key, and drops the rule" };
    let Some((attribute, condition, name)) = Attribute::by_condition(key) else {
        return Err(drops);
    };
    let in_brackets = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if !condition.in_istio || in_brackets.is_some() != condition.key.ends_with("[NAME]") {
        return Err(drops);
    }
    if matches!(attribute.values, Values::Header) {
        let name = in_brackets.unwrap_or_default().to_ascii_lowercase();
        if name == "host" || name.starts_with(':') {
            return Err(cannot("a pseudo-header; hosts, methods and paths have fields of their own"));
        }
    }
    Ok(attribute)
}
