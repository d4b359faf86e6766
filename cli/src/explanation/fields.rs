//! A field of a rule as the user wrote it, and the value that it was held against.

use crate::request::Request;
use crate::source::{Node, Value};
use egress_policy::config::Json;
use egress_policy::patterns::PathPattern;
use egress_policy::rules::{Field, HostEntry, Predicate};
use egress_policy::{Facts, Peer, Readings, Target, Truth};

/// Where a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Source,
    Operation,
    When,
}

/// The most values of a field that are repeated.
const SHOWN: usize = 5;

/// The field with its values, as written; `siblings` are the fields beside it, in the core's order.
pub(super) fn spelled(context: Context, siblings: &[Predicate], index: usize, node: Option<&Node>) -> String {
    let Some(predicate) = siblings.get(index) else {
        return String::new();
    };
    let keys = keys(predicate, context);
    // The core sorts fields by cost, and keeps the order of those that have the same keys.
    let same = |other: &&Predicate| self::keys(other, context) == keys;
    let nth = siblings.iter().take(index).filter(same).count();
    let spelled = node.and_then(|node| match context {
        Context::When => spell_condition(node, &keys, nth),
        Context::Source | Context::Operation => spell_field(node, &keys, nth),
    });
    spelled.unwrap_or_else(|| keys.first().cloned().unwrap_or_default())
}

fn spell_condition(node: &Node, keys: &[String], nth: usize) -> Option<String> {
    let is_meant = |entry: &&Node| {
        entry.text_at(&["key"]).is_some_and(|key| keys.iter().any(|known| known.eq_ignore_ascii_case(key)))
    };
    let entry = node.items().iter().filter(is_meant).nth(nth)?;
    let mut text = entry.text_at(&["key"])?.to_owned();
    for (key, word) in [("values", ""), ("notValues", " not")] {
        if let Some(values) = entry.get(key) {
            text += &format!("{word} {}", list(values));
        }
    }
    Some(text)
}

fn spell_field(node: &Node, keys: &[String], nth: usize) -> Option<String> {
    let twin = |key: &str| {
        let mut letters = key.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        format!("not{}{}", first.unwrap_or_default(), letters.as_str())
    };
    let present: Vec<_> =
        keys.iter().filter(|key| node.get(key).is_some() || node.get(&twin(key)).is_some()).collect();
    let key = present.get(nth)?;
    let parts: Vec<_> = [(*key).clone(), twin(key)]
        .into_iter()
        .filter_map(|key| node.get(&key).map(|values| format!("{key} {}", list(values))))
        .collect();
    Some(parts.join(", "))
}

fn list(values: &Node) -> String {
    let items = values.items();
    let mut shown: Vec<_> = items.iter().take(SHOWN).map(scalar).collect();
    if items.len() > SHOWN {
        shown.push(format!("and {} more", items.len() - SHOWN));
    }
    format!("[{}]", shown.join(", "))
}

fn scalar(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.text.clone(),
        Value::Number(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// The keys that a field may be written under.
fn keys(predicate: &Predicate, context: Context) -> Vec<String> {
    let (fields, conditions): (&[&str], &[&str]) = match predicate {
        Predicate::Principal(_) => (&["principals"], &["source.principal"]),
        Predicate::Namespace(_) => (&["namespaces"], &["source.namespace"]),
        Predicate::ServiceAccount(_) => (&["serviceAccounts"], &["source.serviceAccount"]),
        Predicate::TrustDomain(_) => (&["trustDomains"], &["source.trustDomain"]),
        Predicate::SourceIp(_) => (&["ipBlocks", "remoteIpBlocks"], &["source.ip", "remote.ip"]),
        Predicate::RequestPrincipal(_) => (&["requestPrincipals"], &["request.auth.principal"]),
        Predicate::Host(_) => (&["hosts"], &[]),
        Predicate::Port(_) => (&["ports"], &["destination.port"]),
        Predicate::Method(_) => (&["methods"], &[]),
        Predicate::Path(_) => (&["paths"], &[]),
        Predicate::DestinationIp(_) => (&[], &["destination.ip"]),
        Predicate::ServerName(_) => (&[], &["connection.sni"]),
        Predicate::Header(name, _) => return vec![format!("request.headers[{name}]")],
        Predicate::Claim(path, _) => {
            let mut keys = vec![format!("request.auth.claims[{}]", path.join("]["))];
            match path.iter().map(|part| &**part).collect::<Vec<_>>().as_slice() {
                ["aud"] => keys.push("request.auth.audiences".to_owned()),
                ["azp"] => keys.push("request.auth.presenter".to_owned()),
                _ => {}
            }
            return keys;
        }
    };
    let keys = if context == Context::When { conditions } else { fields };
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// What the field was held against.
pub(super) fn observed(predicate: &Predicate, request: &Request, facts: &Facts<'_>) -> String {
    let http_only = |text: String| {
        if request.network { "a connection has none".to_owned() } else { text }
    };
    match predicate {
        Predicate::Principal(_)
        | Predicate::Namespace(_)
        | Predicate::ServiceAccount(_)
        | Predicate::TrustDomain(_) => match facts.peer() {
            Ok(Peer::Workload(id) | Peer::Foreign(id)) => format!("the peer is {}", id.principal()),
            Ok(Peer::Nobody) => "the peer presents no certificate".to_owned(),
            _ => "the peer's name is no workload identity".to_owned(),
        },
        Predicate::Host(field) => host(facts, &field.values, &field.not_values),
        Predicate::SourceIp(_) => given("the client's address", request.source_ip.as_ref()),
        Predicate::DestinationIp(_) => given("the gateway's address", request.destination_ip.as_ref()),
        Predicate::Port(_) => given("the listener's port", request.port.as_ref()),
        Predicate::Method(_) => http_only(format!("the method is {}", request.method())),
        Predicate::Path(_) if request.method() == "CONNECT" => "a CONNECT has no path".to_owned(),
        Predicate::Path(field) => http_only(path(request, facts, field)),
        Predicate::ServerName(_) => match request.sni.as_deref() {
            None | Some("") => "the client sent no server name".to_owned(),
            Some(name) => format!("the server name is {name}"),
        },
        Predicate::Header(name, _) => http_only(match request.header_value(name) {
            Some(value) => format!("the header is {value:?}"),
            None => "the header is not there".to_owned(),
        }),
        Predicate::Claim(path, _) => http_only(claim(request, path)),
        Predicate::RequestPrincipal(_) => http_only(match request.claims {
            None => claim(request, &[]),
            Some(_) => {
                format!("{}, {}", claim(request, &["iss".into()]), claim(request, &["sub".into()]))
            }
        }),
    }
}

/// The path, and the readings of it in which the field comes out otherwise than as it is written.
fn path(request: &Request, facts: &Facts<'_>, field: &Field<PathPattern>) -> String {
    let told = format!("the path is {}", request.path());
    match facts.path_and_readings() {
        None | Some((_, Readings::AsWritten)) => told,
        Some((_, Readings::Unclear)) => format!(
            "{told}; sites differ in how they read a broken escape, an encoded control character or more than 8 KiB (pathReadings: ALL)"
        ),
        Some((path, Readings::Others(others))) => {
            let written = field.holds(|pattern| pattern.matches(path));
            let comes_to = |reading: &[u8]| field.holds(|pattern| pattern.fits(reading));
            let Some(otherwise) = others.iter().map(|other| comes_to(other)).find(|truth| *truth != written)
            else {
                return told;
            };
            let disagree: Vec<_> = others
                .iter()
                .filter(|reading| comes_to(reading) == otherwise)
                .map(|reading| String::from_utf8_lossy(reading))
                .collect();
            let mut shown = disagree.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            if disagree.len() > SHOWN {
                shown += &format!(" and {} more", disagree.len() - SHOWN);
            }
            format!(
                "{told}; {} as it is written, {} where a site reads {shown} (pathReadings: ALL)",
                word(written),
                word(otherwise)
            )
        }
    }
}

fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "unknown",
    }
}

fn given(what: &str, value: Option<&impl ToString>) -> String {
    match value {
        Some(value) => format!("{what} is {}", value.to_string()),
        None => format!("{what} is not given"),
    }
}

fn claim(request: &Request, path: &[Box<str>]) -> String {
    let name = path.join(".");
    if request.claims.is_none() {
        return "no token was verified".to_owned();
    }
    match request.claim_value(path) {
        None => format!("the claim {name} is not there"),
        Some(Json::Text(text)) => format!("the claim {name} is {text:?}"),
        Some(other) => format!("the claim {name} is {}", other.kind()),
    }
}

/// The host, and the pattern that covers it with the set that it came from.
fn host(facts: &Facts<'_>, values: &[HostEntry], not_values: &[HostEntry]) -> String {
    let Ok(Target::Host(host, port)) = facts.target() else {
        return "the host is unknown".to_owned();
    };
    let asked = match port {
        Some(port) => format!("the host is {host}, port {port}"),
        None => format!("the host is {host}"),
    };
    let covers = not_values.iter().chain(values).find_map(|entry| {
        let pattern = entry.patterns().iter().find(|pattern| pattern.matches(host, *port) == Truth::True)?;
        Some(match entry {
            HostEntry::Set(set) => format!("covered by {pattern} of @{}", set.name),
            HostEntry::Pattern(pattern) => format!("covered by {pattern}"),
        })
    });
    match covers {
        Some(covers) => format!("{asked}, {covers}"),
        None => asked,
    }
}
