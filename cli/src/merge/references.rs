//! `@name` in the hosts of a policy.

use crate::yaml::{Node, Value};
use egress_policy::config::{Json, Object};

/// The keys whose values may name host sets.
fn names_hosts(key: &str) -> bool {
    matches!(key, "hosts" | "notHosts")
}

/// The host sets that a policy refers to, each with its place.
pub(super) fn references<'n>(node: &'n Node, path: &str, found: &mut impl FnMut(&str, &'n str)) {
    walk(node, &mut path.to_owned(), false, found);
}

fn walk<'n>(node: &'n Node, path: &mut String, hosts: bool, found: &mut impl FnMut(&str, &'n str)) {
    let here = path.len();
    match &node.value {
        Value::Text(text) if hosts => {
            if let Some(name) = text.text.strip_prefix('@') {
                found(path, name);
            }
        }
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push_str(&format!("[{at}]"));
                walk(item, path, hosts, found);
                path.truncate(here);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                path.push('.');
                path.push_str(&entry.key);
                walk(&entry.value, path, names_hosts(&entry.key), found);
                path.truncate(here);
            }
        }
        _ => {}
    }
}

/// A policy whose references have the names that the sets have in the whole.
pub(super) fn renamed(json: Json, name_in_whole: &impl Fn(&str) -> Option<String>) -> Json {
    rename(json, name_in_whole, false)
}

fn rename(json: Json, name_in_whole: &impl Fn(&str) -> Option<String>, hosts: bool) -> Json {
    match json {
        Json::Text(text) if hosts => match text.strip_prefix('@').and_then(name_in_whole) {
            Some(name) => Json::Text(format!("@{name}").into()),
            None => Json::Text(text),
        },
        Json::List(items) => {
            Json::List(items.into_iter().map(|item| rename(item, name_in_whole, hosts)).collect())
        }
        Json::Object(Object(entries)) => Json::Object(Object(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let hosts = names_hosts(&key);
                    (key, rename(value, name_in_whole, hosts))
                })
                .collect(),
        )),
        other => other,
    }
}
