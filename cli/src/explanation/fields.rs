//! A field of a rule as the user wrote it, and the value that it was held against.

use crate::request::Request;
use crate::source::{Node, Value};
use egress_policy::config::Json;
use egress_policy::patterns::PathPattern;
use egress_policy::rules::{Comparison, Field, HostEntry, Predicate, RulePart};
use egress_policy::{Facts, Peer, Readings, Target, Truth};

/// Where a field stands: among the fields of a part of the rule, or (`None`) among its conditions.
pub(super) type Place = Option<RulePart>;

/// The most values of a field that are repeated.
const SHOWN: usize = 5;

/// The field with its values, as written; `siblings` are the fields beside it, in the core's order.
pub(super) fn spelled(place: Place, siblings: &[Predicate], index: usize, node: Option<&Node>) -> String {
    let Some(predicate) = siblings.get(index) else {
        return String::new();
    };
    // The core sorts fields by cost, and keeps the order of those that have the same keys.
    let keys = keys(predicate, place);
    let nth = siblings.iter().take(index).filter(|other| self::keys(other, place) == keys).count();
    let spelled = node.and_then(|node| match place {
        None => spell_condition(node, &keys, nth),
        Some(_) => spell_field(node, &keys, nth),
    });
    spelled.unwrap_or_else(|| keys.into_iter().next().map(|(key, _)| key).unwrap_or_default())
}

fn spell_condition(node: &Node, keys: &[(String, &str)], nth: usize) -> Option<String> {
    let is_meant = |entry: &&Node| {
        entry
            .text_at(&["key"])
            .is_some_and(|key| keys.iter().any(|(known, _)| known.eq_ignore_ascii_case(key)))
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

fn spell_field(node: &Node, keys: &[(String, &str)], nth: usize) -> Option<String> {
    let (key, twin) =
        keys.iter().filter(|(key, twin)| node.get(key).is_some() || node.get(twin).is_some()).nth(nth)?;
    let parts: Vec<_> = [key.as_str(), twin]
        .into_iter()
        .filter_map(|key| node.get(key).map(|values| format!("{key} {}", list(values))))
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

/// The keys that a field may be written under, with their twins; those of conditions have none.
fn keys(predicate: &Predicate, place: Place) -> Vec<(String, &'static str)> {
    let attribute = predicate.attribute;
    let Some(part) = place else {
        let written = attribute.conditions.iter().filter_map(|condition| {
            let key = match (&predicate.comparison, condition.name, condition.key.strip_suffix("[NAME]")) {
                (Comparison::Claim(path, _), Some(name), _) => {
                    (**path == [Box::from(name)]).then(|| condition.key.to_owned())?
                }
                (Comparison::Claim(path, _), None, Some(stem)) => format!("{stem}[{}]", path.join("][")),
                (Comparison::Header(name, _), _, Some(stem)) => format!("{stem}[{name}]"),
                _ => condition.key.to_owned(),
            };
            Some((key, ""))
        });
        return written.collect();
    };
    let fields = attribute.fields.iter().filter(|field| field.part == part);
    fields.map(|field| (field.key.to_owned(), field.not_key)).collect()
}

/// What the field was held against.
pub(super) fn observed(predicate: &Predicate, request: &Request, facts: &Facts<'_>) -> String {
    let http_only = |text: String| {
        if request.network { "a connection has none".to_owned() } else { text }
    };
    let subject = predicate.attribute.subject;
    match &predicate.comparison {
        Comparison::Principal(_)
        | Comparison::Namespace(_)
        | Comparison::ServiceAccount(_)
        | Comparison::TrustDomain(_) => match facts.peer() {
            Ok(Peer::Workload(id) | Peer::Foreign(id)) => format!("the peer is {}", id.principal()),
            Ok(Peer::Nobody) => "the peer presents no certificate".to_owned(),
            _ => "the peer's name is no workload identity".to_owned(),
        },
        Comparison::Host(field) => host(facts, &field.values, &field.not_values),
        Comparison::Address(getter, _) => given(subject, getter.get(facts).ok()),
        Comparison::Port(_) => given(subject, request.port),
        Comparison::Text(getter, _) => {
            let value = getter.get(facts).ok().flatten();
            http_only(given(subject, value.map(String::from_utf8_lossy)))
        }
        Comparison::Path(_) if request.method() == "CONNECT" => "a CONNECT has no path".to_owned(),
        Comparison::Path(field) => http_only(path(request, facts, field)),
        Comparison::ServerName(_) => match request.sni.as_deref() {
            None | Some("") => "the client sent no server name".to_owned(),
            Some(name) => format!("the server name is {name}"),
        },
        Comparison::Header(name, _) => http_only(match request.header_value(name) {
            Some(value) => format!("the header is {value:?}"),
            None => "the header is not there".to_owned(),
        }),
        Comparison::Claim(path, _) => http_only(claim(request, path)),
        Comparison::RequestPrincipal(_) => http_only(match request.claims {
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

fn given(what: &str, value: Option<impl ToString>) -> String {
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
