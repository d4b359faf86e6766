//! What changed from one configuration to another, and in the manifest around it.

use crate::diagnostics::Diagnostic;
use crate::judge::{Judges, type_name};
use crate::source::{Node, Plugin, PluginKind};
use crate::yaml_out::Tree;
use egress_policy::Protocol;
use egress_policy::config::{Json, Object};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What changed.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changes {
    plugins: Sides,
    /// Fields of the manifests.
    manifests: Vec<Setting>,
    settings: Vec<Setting>,
    host_sets: Sides,
    policies: Sides,
}

/// Things by name.
#[derive(Debug, Default, Serialize)]
struct Sides {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

/// A setting that changed; none is its default, or a field that is not there.
#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    old: Option<String>,
    new: Option<String>,
}

/// What the API server and kubectl write into a manifest.
const NOBODY_WROTE: &[&str] = &[
    "status",
    "metadata.creationTimestamp",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
];

/// Compares the plugins of two files: the only one with the only one, else those of one type with those of the same.
///
/// # Errors
/// Several plugins of one type: which of them belong together is not known.
pub(crate) fn between(old: &Judges, new: &Judges) -> Result<Changes, Vec<Diagnostic>> {
    let mut changes = Changes::default();
    if let ([(old, _)], [(new, _)]) = (old.plugins.as_slice(), new.plugins.as_slice()) {
        changes.add("", Some(old), Some(new));
        return Ok(changes);
    }
    for protocol in [Protocol::Http, Protocol::Network] {
        let (old, new) = (old.plugin_of(protocol)?, new.plugin_of(protocol)?);
        changes.add(&format!("{} ", type_name(protocol)), old, new);
    }
    Ok(changes)
}

impl Changes {
    fn add(&mut self, prefix: &str, old: Option<&Plugin>, new: Option<&Plugin>) {
        match (old, new) {
            (Some(old), Some(new)) => self.add_manifests(prefix, old, new),
            (Some(old), None) => self.plugins.removed.push(format!("{prefix}{}", old.title())),
            (None, Some(new)) => self.plugins.added.push(format!("{prefix}{}", new.title())),
            (None, None) => return,
        }
        let (old, new) = (old.map(|plugin| &plugin.config), new.map(|plugin| &plugin.config));
        let of = |config: Option<&Node>, read: fn(&Node) -> BTreeMap<String, Json>| {
            config.map_or_else(BTreeMap::new, read)
        };
        self.policies.add(prefix, &of(old, named_policies), &of(new, named_policies));
        self.host_sets.add(prefix, &of(old, named_sets), &of(new, named_sets));
        let shown =
            |config| of(config, settings).into_iter().map(|(key, json)| (key, shown(&json))).collect();
        add_settings(&mut self.settings, prefix, &shown(old), &shown(new));
    }

    fn add_manifests(&mut self, prefix: &str, old: &Plugin, new: &Plugin) {
        let is_bare = |plugin: &Plugin| plugin.kind == PluginKind::Bare;
        let title = |plugin: &Plugin| (!is_bare(plugin)).then(|| plugin.title());
        if is_bare(old) || is_bare(new) {
            if is_bare(old) != is_bare(new) {
                let (old, new) = (title(old), title(new));
                self.manifests.push(Setting { name: format!("{prefix}manifest"), old, new });
            }
            return;
        }
        add_settings(&mut self.manifests, &format!("{} ", old.title()), &fields(old), &fields(new));
    }

    /// For people; empty where nothing changed.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let settings = self.settings.iter().map(|setting| (setting, "(default)"));
        for (setting, absent) in self.manifests.iter().map(|field| (field, "(none)")).chain(settings) {
            let old = setting.old.as_deref().unwrap_or(absent);
            let new = setting.new.as_deref().unwrap_or(absent);
            let _ = writeln!(text, "~ {}: {old} -> {new}", setting.name);
        }
        let sides = [("plugin", &self.plugins), ("host set", &self.host_sets), ("policy", &self.policies)];
        for (what, sides) in sides {
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

fn add_settings(
    settings: &mut Vec<Setting>,
    prefix: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) {
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        let (old, new) = (old.get(name), new.get(name));
        if old != new {
            let name = format!("{prefix}{name}");
            settings.push(Setting { name, old: old.cloned(), new: new.cloned() });
        }
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

/// The fields of a manifest with their paths, without the configuration inside and what nobody wrote.
fn fields(plugin: &Plugin) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let config = match plugin.kind {
        PluginKind::TrafficExtension => "spec.wasm.pluginConfig",
        PluginKind::WasmPlugin | PluginKind::Bare => "spec.pluginConfig",
    };
    flatten(&plugin.resource.node.to_json(), &mut String::new(), config, &mut fields);
    fields
}

fn flatten(json: &Json, path: &mut String, config: &str, fields: &mut BTreeMap<String, String>) {
    if path == config || NOBODY_WROTE.contains(&path.as_str()) {
        return;
    }
    let here = path.len();
    match json {
        Json::Object(Object(entries)) if !entries.is_empty() => {
            for (key, value) in entries {
                let dot = if here == 0 { "" } else { "." };
                let _ = write!(path, "{dot}{key}");
                flatten(value, path, config, fields);
                path.truncate(here);
            }
        }
        Json::List(items) if !items.is_empty() => {
            for (at, value) in items.iter().enumerate() {
                let _ = write!(path, "[{at}]");
                flatten(value, path, config, fields);
                path.truncate(here);
            }
        }
        value => drop(fields.insert(path.clone(), shown(value))),
    }
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
