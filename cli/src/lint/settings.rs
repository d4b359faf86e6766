//! Findings about a configuration as a whole.

use super::Valid;
use crate::diagnostics::Diagnostic;
use crate::source::{Node, PluginKind, Value};
use egress_policy::Config;
use egress_policy::config::{Effect, Mode, Placeholder, nearest};
use egress_policy::rules::{Comparison, HostEntry};
use std::collections::HashSet;

/// Where client-side `kubectl apply` ends: the annotation in which it keeps the object.
const CLIENT_SIDE_APPLY: usize = 262_144;
/// Where an object no longer fits into Kubernetes' store.
const OBJECT_LIMIT: usize = 1_572_864;
/// From here on the limit is near.
const NEAR_THE_LIMIT: usize = OBJECT_LIMIT / 4 * 3;

pub(super) fn findings(valid: &Valid<'_>) -> Vec<Diagnostic> {
    let Valid { plugin, config } = valid;
    let mut findings = Vec::new();
    let settings = &config.settings;
    if config.policies.is_empty() && settings.default_action == Effect::Deny && settings.mode == Mode::Enforce
    {
        let what = "there are no policies and defaultAction is DENY: everything is refused";
        findings.push(plugin.warn("", what));
    }
    let used = used_sets(config);
    for set in config.host_sets.iter().filter(|set| !used.contains(&*set.name)) {
        let path = format!("hostSets.{}", set.name);
        findings.push(plugin.warn(&path, format!("no policy uses @{}", set.name)));
    }
    if let Some(response) = plugin.config.get("denyResponse") {
        placeholders(response, "denyResponse", &mut |path, word, meant| {
            let what = format!("`{word}` is no placeholder, and stays as it is");
            findings.push(plugin.warn(path, what).help(format!("write `{meant}`")));
        });
    }
    if !plugin.bundled {
        findings.extend(size(valid));
    }
    if plugin.kind != PluginKind::Bare {
        switches(&plugin.config, "", &mut |path, text| {
            let what = format!("kubectl reads `{text}` as a boolean (YAML 1.1)");
            findings.push(plugin.warn(path, what).help(format!("write {text:?} in quotes")));
        });
    }
    findings
}

/// Words in braces that are nearly placeholders.
fn placeholders(node: &Node, path: &str, found: &mut impl FnMut(&str, &str, &str)) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                placeholders(&entry.value, &format!("{path}.{}", entry.key), found);
            }
        }
        Value::Text(text) => {
            for (start, _) in text.text.match_indices('{') {
                let rest = text.text.get(start..).unwrap_or_default();
                let word = rest.find('}').and_then(|end| rest.get(..=end)).unwrap_or_default();
                let is_one = Placeholder::words().any(|known| known == word);
                if let Some(meant) = nearest(word, Placeholder::words()).filter(|_| !is_one) {
                    found(path, word, meant);
                }
            }
        }
        _ => {}
    }
}

/// The names of the host sets that some policy refers to.
fn used_sets(config: &Config) -> HashSet<&str> {
    let predicates =
        config.policies.iter().flat_map(|policy| &policy.rules).flat_map(|rule| &rule.to).flatten();
    let hosts = predicates.filter_map(|predicate| match &predicate.comparison {
        Comparison::Host(field) => Some(field.values.iter().chain(&field.not_values)),
        _ => None,
    });
    let sets = hosts.flatten().filter_map(|entry| match entry {
        HostEntry::Set(set) => Some(&*set.name),
        HostEntry::Pattern(_) => None,
    });
    sets.collect()
}

/// Whether Kubernetes will take the object.
fn size(valid: &Valid<'_>) -> Option<Diagnostic> {
    let plugin = valid.plugin;
    let bytes = serde_json::to_string(&crate::yaml_out::Tree(&plugin.resource.node.to_json())).ok()?.len();
    let of = "Kubernetes takes no object over 1.5 MiB";
    if bytes > OBJECT_LIMIT {
        let what = format!("the object is {bytes} bytes; {of}");
        return Some(plugin.warn("", what).help("pack it: `egressctl pack`"));
    }
    if bytes > NEAR_THE_LIMIT {
        let what = format!("the object is {bytes} bytes, near the limit: {of}");
        return Some(plugin.warn("", what).help("pack it: `egressctl pack`"));
    }
    (bytes > CLIENT_SIDE_APPLY).then(|| {
        let what =
            format!("the object is {bytes} bytes; client-side `kubectl apply` ends at {CLIENT_SIDE_APPLY}");
        plugin.warn("", what).help("use `kubectl apply --server-side`, or pack it: `egressctl pack`")
    })
}

/// Strings without quotes that YAML 1.1, which kubectl speaks, takes for booleans.
fn switches(node: &Node, path: &str, found: &mut impl FnMut(&str, &str)) {
    match &node.value {
        Value::Text(text) if text.plain && is_switch(&text.text) => found(path, &text.text),
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                switches(item, &format!("{path}[{at}]"), found);
            }
        }
        Value::Map(entries) => {
            let dot = if path.is_empty() { "" } else { "." };
            for entry in entries {
                switches(&entry.value, &format!("{path}{dot}{}", entry.key), found);
            }
        }
        _ => {}
    }
}

fn is_switch(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off")
}
