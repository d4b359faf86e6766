//! The pluginConfig: one policy for both plugins.

use super::short::{From, Over, Rule, Short, To};
use super::tree::obj;
use crate::diagnostics::Diagnostic;
use crate::source::{Node, Source, Which};
use egress_policy::config::{Config, Json, Object};
use std::rc::Rc;

/// The ways, in the order of their policies.
const WAYS: [(Over, &str, &str); 3] = [
    (Over::Http, "http", "HTTP"),
    (Over::Tls, "tls", "NETWORK"),
    (Over::Passthrough, "passthrough", "NETWORK"),
];

/// The configuration, without its `type`.
pub(super) fn plugin_config(
    short: &Short,
    source: &Rc<Source>,
    node: &Node,
) -> Result<Json, Vec<Diagnostic>> {
    let place = |path: &str| node.locate(path, Which::First).map_or(node.span, |place| place.value());
    let own = match &short.config {
        Json::Null => Object::default(),
        Json::Object(object) => object.clone(),
        _ => {
            return Err(vec![
                Diagnostic::error("an object is wanted here").at(source, place("config")).path("config"),
            ]);
        }
    };
    if own.get("type").is_some() {
        let what = "leave `type` out: one configuration serves both plugins, and each gets its own";
        return Err(vec![Diagnostic::error(what).at(source, place("config.type")).path("config.type")]);
    }
    let mut policies: Vec<Json> = short.rules.iter().flat_map(policies).collect();
    let rendered = policies.len();
    if let Some(Json::List(more)) = own.get("policies") {
        policies.extend(more.iter().cloned());
    }
    let mut entries: Vec<(Box<str>, Json)> =
        own.0.into_iter().filter(|(key, _)| **key != *"policies").collect();
    if !policies.is_empty() {
        entries.push(("policies".into(), Json::List(policies)));
    }
    let config = Json::Object(Object(entries));
    for protocol in ["HTTP", "NETWORK"] {
        if let Err(errors) = Config::read(&typed(&config, protocol)) {
            return Err(errors
                .iter()
                .map(|error| {
                    let path = in_short(&error.path, rendered);
                    let found = Diagnostic::error(error.message()).at(source, place(&path)).path(&path);
                    match error.repair() {
                        Some(repair) => found.help(repair),
                        None => found,
                    }
                })
                .collect());
        }
    }
    Ok(config)
}

/// The configuration for one of the plugins.
pub(super) fn typed(config: &Json, protocol: &str) -> Json {
    let mut entries = vec![("type".into(), Json::Text(protocol.into()))];
    if let Json::Object(object) = config {
        entries.extend(object.0.iter().cloned());
    }
    Json::Object(Object(entries))
}

/// Where something of the configuration stands in the short file: what rules became is the rules' own.
fn in_short(path: &str, rendered: usize) -> String {
    let index = path.strip_prefix("policies[").and_then(|rest| rest.split_once(']'));
    match index.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest))) {
        Some((index, _)) if index < rendered => "rules".to_owned(),
        Some((index, rest)) => format!("config.policies[{}]{rest}", index - rendered),
        None => format!("config.{path}"),
    }
}

/// The policies of a rule: one for each way and namespace, so that a list for one namespace closes no other.
fn policies(rule: &Rule) -> Vec<Json> {
    let mut namespaces: Vec<Option<&str>> = Vec::new();
    for from in &rule.from {
        if !namespaces.contains(&Some(from.namespace.as_str())) {
            namespaces.push(Some(&from.namespace));
        }
    }
    if namespaces.is_empty() {
        namespaces.push(None);
    }
    let mut made = Vec::new();
    for (over, suffix, protocol) in WAYS {
        let to: Vec<&To> = rule.to.iter().filter(|to| to.over == over).collect();
        for namespace in namespaces.iter().filter(|_| !to.is_empty()) {
            made.push(obj! {
                "name": format!("{}-{suffix}", rule.name),
                "namespace": *namespace,
                "protocols": vec![protocol],
                "rules": vec![obj! {
                    "from": sources(&rule.from, *namespace),
                    "to": to.iter().map(|to| operation(to)).collect::<Vec<_>>(),
                }],
            });
        }
    }
    made
}

/// Whom of a namespace; nothing where it is everybody.
fn sources(from: &[From], namespace: Option<&str>) -> Option<Vec<Json>> {
    let of: Vec<&From> = from.iter().filter(|from| Some(from.namespace.as_str()) == namespace).collect();
    if of.iter().any(|from| from.service_accounts.is_empty()) {
        return None;
    }
    let accounts: Vec<&str> = of.iter().flat_map(|from| &from.service_accounts).map(String::as_str).collect();
    (!accounts.is_empty()).then(|| vec![obj! {"source": obj! {"serviceAccounts": accounts}}])
}

/// HTTP is held to the port that was asked for; TLS shows none.
fn operation(to: &To) -> Json {
    let pattern = |host: &String| match to.over {
        Over::Http => format!("{host}:{}", to.port()),
        Over::Tls | Over::Passthrough => host.clone(),
    };
    obj! {"operation": obj! {
        "hosts": to.hosts.iter().map(pattern).collect::<Vec<_>>(),
        "methods": (!to.methods.is_empty()).then(|| to.methods.iter().map(String::as_str).collect::<Vec<_>>()),
    }}
}
