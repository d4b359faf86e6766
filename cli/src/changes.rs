//! What changed from one configuration to another.

use crate::judge::{Judge, Judges};
use crate::source::Node;
use crate::yaml_out::Tree;
use egress_policy::config::Json;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What changed.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changes {
    policies: Sides,
    host_sets: Sides,
    settings: Vec<Setting>,
}

/// Things by name.
#[derive(Debug, Default, Serialize)]
struct Sides {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

/// A setting that changed; none is its default.
#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    old: Option<String>,
    new: Option<String>,
}

/// Compares the configurations of two files; those of one type with those of the same.
pub(crate) fn between(old: &Judges, new: &Judges) -> Changes {
    let mut changes = Changes::default();
    let pairs = if old.is_one() && new.is_one() { 1 } else { 2 };
    for network in [false, true].into_iter().take(pairs) {
        let prefix = match (pairs, network) {
            (1, _) => "",
            (_, false) => "HTTP ",
            (_, true) => "NETWORK ",
        };
        changes.add(prefix, old.of_type(network), new.of_type(network));
    }
    changes
}

impl Changes {
    fn add(&mut self, prefix: &str, old: Option<&Judge>, new: Option<&Judge>) {
        let empty = BTreeMap::new;
        let policies =
            |judge: Option<&Judge>| judge.map_or_else(empty, |judge| named_policies(&judge.written));
        self.policies.add(prefix, &policies(old), &policies(new));
        let sets = |judge: Option<&Judge>| judge.map_or_else(empty, |judge| named_sets(&judge.written));
        self.host_sets.add(prefix, &sets(old), &sets(new));
        let settings = |judge: Option<&Judge>| judge.map_or_else(empty, |judge| settings(&judge.written));
        let (old, new) = (settings(old), settings(new));
        for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
            let (before, after) = (old.get(name), new.get(name));
            if before != after {
                let name = format!("{prefix}{name}");
                self.settings.push(Setting { name, old: before.map(shown), new: after.map(shown) });
            }
        }
    }

    /// For people; empty where nothing changed.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let default = "(default)";
        for setting in &self.settings {
            let old = setting.old.as_deref().unwrap_or(default);
            let new = setting.new.as_deref().unwrap_or(default);
            let _ = writeln!(text, "~ {}: {old} -> {new}", setting.name);
        }
        for (what, sides) in [("host set", &self.host_sets), ("policy", &self.policies)] {
            for (mark, names) in [("-", &sides.removed), ("+", &sides.added), ("~", &sides.changed)] {
                for name in names {
                    let _ = writeln!(text, "{mark} {what} {name}");
                }
            }
        }
        text
    }
}

impl Sides {
    fn add(&mut self, prefix: &str, old: &BTreeMap<String, Json>, new: &BTreeMap<String, Json>) {
        let name = |name: &String| format!("{prefix}{name}");
        self.removed.extend(old.keys().filter(|key| !new.contains_key(*key)).map(name));
        self.added.extend(new.keys().filter(|key| !old.contains_key(*key)).map(name));
        let differs = |(key, value): &(&String, &Json)| old.get(*key).is_some_and(|before| before != *value);
        self.changed.extend(new.iter().filter(differs).map(|(key, _)| name(key)));
    }
}

fn named_policies(config: &Node) -> BTreeMap<String, Json> {
    let policies = config.get("policies").map(Node::items).unwrap_or_default();
    let name = |policy: &Node| {
        let namespace = policy.text_at(&["namespace"]).unwrap_or("*");
        format!("ns[{namespace}]-policy[{}]", policy.text_at(&["name"]).unwrap_or_default())
    };
    policies.iter().map(|policy| (name(policy), sorted(policy.to_json()))).collect()
}

fn named_sets(config: &Node) -> BTreeMap<String, Json> {
    let sets = config.get("hostSets").map(Node::entries).unwrap_or_default();
    sets.iter().map(|set| (format!("@{}", set.key), set.value.to_json())).collect()
}

fn settings(config: &Node) -> BTreeMap<String, Json> {
    let is_setting = |key: &str| !matches!(key, "policies" | "hostSets");
    let entries = config.entries().iter().filter(|entry| is_setting(&entry.key));
    entries.map(|entry| (entry.key.clone(), sorted(entry.value.to_json()))).collect()
}

/// The order of keys says nothing.
fn sorted(json: Json) -> Json {
    match json {
        Json::List(items) => Json::List(items.into_iter().map(sorted).collect()),
        Json::Object(mut object) => {
            object.0.sort_by(|(one, _), (other, _)| one.cmp(other));
            for (_, value) in &mut object.0 {
                *value = sorted(std::mem::replace(value, Json::Null));
            }
            Json::Object(object)
        }
        other => other,
    }
}

fn shown(json: &Json) -> String {
    match json {
        Json::Text(text) => text.to_string(),
        other => serde_json::to_string(&Tree(other)).unwrap_or_default(),
    }
}
