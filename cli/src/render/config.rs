//! The pluginConfig: one policy for both plugins.

use super::spec::{From, GatewaySpec, Rule, To, Transport};
use super::tree::obj;
use crate::diagnostics::{Diagnostic, shown};
use crate::source::{Node, Occurrence, Source};
use egress_policy::ConfigError;
use egress_policy::config::{Config, Json, Object};
use std::rc::Rc;

/// What applications speak, in the order of the policies: each with its policies' suffix and the plugin that decides.
const TRANSPORTS: [(Transport, &str, &str); 3] = [
    (Transport::Http, "http", "HTTP"),
    (Transport::Tls, "tls", "NETWORK"),
    (Transport::Passthrough, "passthrough", "NETWORK"),
];

/// A refusal by RFC 9457; docs/language.md shows it.
const PROBLEM: &str = r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"The egress gateway refused {host}: {reason}","reason":"{reason}","policy":"{policy}","rule":"{rule}","owner":"{owner}","namespace":"{namespace}","host":"{host}"}"#;

/// The configuration, without its `type`.
pub(super) fn plugin_config(
    spec: &GatewaySpec,
    source: &Rc<Source>,
    node: &Node,
) -> Result<Json, Vec<Diagnostic>> {
    let (made, origins): (Vec<Json>, Vec<Origin>) =
        spec.rules.iter().enumerate().flat_map(|(at, rule)| policies(at, rule)).unzip();
    let place = |path: &str| node.locate(path, Occurrence::First).map_or(node.span, |place| place.value());
    let blame = |errors: Vec<ConfigError>, path_of: &dyn Fn(&str) -> String| -> Vec<Diagnostic> {
        let diagnose = |error: &ConfigError| {
            let path = path_of(&error.path);
            let found = Diagnostic::error(error.message()).at(source, place(&path)).path(&path);
            match error.repair() {
                Some(repair) => found.help(repair),
                None => found,
            }
        };
        shown(&errors, &source.name, diagnose)
    };
    let own = match &spec.config {
        None => Object::default(),
        Some(config) => {
            // By itself first: what is wrong with it must not be lost in the whole.
            let beneath =
                |path: &str| if path.is_empty() { "config".to_owned() } else { format!("config.{path}") };
            Config::read(config).map_err(|errors| blame(errors, &beneath))?;
            match config {
                Json::Object(own) => own.clone(),
                _ => Object::default(),
            }
        }
    };
    for (key, what) in [
        ("type", "leave `type` out: one configuration serves both plugins, and each gets its own"),
        (
            "bundle",
            "leave `bundle` out: write the configuration itself, and pack what is rendered (`egressctl pack`)",
        ),
    ] {
        if own.get(key).is_some() {
            let path = format!("config.{key}");
            return Err(vec![Diagnostic::error(what).at(source, place(&path)).path(&path)]);
        }
    }
    let (own_policies, mut entries): (Vec<_>, Vec<_>) =
        own.0.into_iter().partition(|(key, _)| **key == *"policies");
    if spec.problem_details {
        if entries.iter().any(|(key, _)| **key == *"denyResponse") {
            let what = "it writes `denyResponse`, and `config` has one, too: keep one of them";
            let (path, place) = ("problemDetails", place("problemDetails"));
            return Err(vec![Diagnostic::error(what).at(source, place).path(path)]);
        }
        let told = obj! {"contentType": "application/problem+json", "body": PROBLEM};
        entries.push(("denyResponse".into(), told));
    }
    let mut policies = made;
    for (_, more) in own_policies {
        match more {
            Json::List(more) => policies.extend(more),
            // Not valid, and so not come by.
            other => policies.push(other),
        }
    }
    if !policies.is_empty() {
        entries.push(("policies".into(), Json::List(policies)));
    }
    let config = Json::Object(Object(entries));
    for protocol in ["HTTP", "NETWORK"] {
        Config::read(&typed(&config, protocol))
            .map_err(|errors| blame(errors, &|path| in_file(path, &origins)))?;
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

/// What a policy was made from.
struct Origin {
    rule: usize,
    /// Of each operation, which group of the rule's sites it is.
    to: Vec<usize>,
}

/// Where something of the configuration stands in the gateway file: the first policies were made from its rules.
fn in_file(path: &str, origins: &[Origin]) -> String {
    let index = path.strip_prefix("policies[").and_then(|rest| rest.split_once(']'));
    match index.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest))) {
        Some((index, rest)) => match origins.get(index) {
            Some(origin) => format!("rules[{}]{}", origin.rule, in_rule(rest, origin).unwrap_or_default()),
            None => format!("config.policies[{}]{rest}", index - origins.len()),
        },
        None => format!("config.{path}"),
    }
}

/// The same within a rule: `.rules[0].to[1].operation.methods[0]` is of its group of sites.
fn in_rule(path: &str, origin: &Origin) -> Option<String> {
    let (operation, rest) = path.strip_prefix(".rules[0].to[")?.split_once(']')?;
    let group = origin.to.get(operation.parse::<usize>().ok()?)?;
    Some(format!(".to[{group}]{}", rest.strip_prefix(".operation").unwrap_or_default()))
}

/// The policies of a rule: one for each transport and namespace, so that a list for one namespace closes no other.
fn policies(at: usize, rule: &Rule) -> Vec<(Json, Origin)> {
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
    for (over, suffix, protocol) in TRANSPORTS {
        let to: Vec<(usize, &To)> = rule.to.iter().enumerate().filter(|(_, to)| to.over == over).collect();
        for namespace in namespaces.iter().filter(|_| !to.is_empty()) {
            let policy = obj! {
                "name": format!("{}-{suffix}", rule.name),
                "namespace": *namespace,
                "protocols": vec![protocol],
                "rules": vec![obj! {
                    "from": sources(&rule.from, *namespace),
                    "to": to.iter().map(|(_, to)| operation(to)).collect::<Vec<_>>(),
                }],
            };
            made.push((policy, Origin { rule: at, to: to.iter().map(|(group, _)| *group).collect() }));
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
        Transport::Http => format!("{host}:{}", to.port()),
        Transport::Tls | Transport::Passthrough => host.clone(),
    };
    obj! {"operation": obj! {
        "hosts": to.hosts.iter().map(pattern).collect::<Vec<_>>(),
        "methods": (!to.methods.is_empty()).then(|| to.methods.iter().map(String::as_str).collect::<Vec<_>>()),
    }}
}
