//! `when`: conditions by key.

use super::error::Problem;
use super::fields::{ParseContext, Written, predicate};
use super::json::Json;
use super::validator::{ConfigPath, Validator, nearest};
use crate::Fault;
use crate::patterns::is_token_byte;
use crate::rules::{ATTRIBUTES, Attribute, Predicate, Values};

const ENTRY_KEYS: &[&str] = &["key", "values", "notValues"];

/// What people look for among the conditions, and where it is.
const ELSEWHERE: &[(&str, &str)] = &[
    ("request.host", "use `hosts` of an operation"),
    ("request.method", "use `methods` of an operation"),
    ("request.path", "use `paths` of an operation"),
    ("request.url_path", "use `paths` of an operation"),
];

/// What a user wrote in brackets behind a key.
type Names = Box<[Box<str>]>;

/// One entry of `when`.
pub(super) fn read(
    validator: &mut Validator,
    json: &Json,
    path: &ConfigPath<'_>,
    context: ParseContext<'_>,
) -> Option<Predicate> {
    let entries = validator.object(json, path, ENTRY_KEYS)?;
    if entries.iter().next().is_none() {
        validator.note(path, Problem::EmptyObject);
        return None;
    }
    let (values, not_values) = (path.key("values"), path.key("notValues"));
    let written = Written {
        values: entries.get("values").map(|json| (json, values)),
        not_values: entries.get("notValues").map(|json| (json, not_values)),
    };
    // Where a key is misspelt, it is the one that is missing.
    let all_known = entries.iter().all(|(key, _)| ENTRY_KEYS.contains(&key));
    if written.values.is_none() && written.not_values.is_none() && all_known {
        let what = "a condition without `values` and `notValues` says nothing";
        validator.note(path, Problem::Rule(Fault::with_repair(what, "write one of them")));
    }
    let Some(key) = entries.get("key") else {
        validator.note(path, Problem::Missing("key"));
        return None;
    };
    let key_path = path.key("key");
    let key = validator.text(key, &key_path)?;
    match attribute(key) {
        Ok((attribute, names)) => Some(predicate(attribute, names, validator, context, &written)),
        Err(fault) => {
            validator.fault(&key_path, key, fault);
            None
        }
    }
}

/// The attribute that a key names, and the names in brackets behind it.
fn attribute(key: &str) -> Result<(&'static Attribute, Names), Fault> {
    let Some((attribute, condition, rest)) = Attribute::by_condition(key) else {
        return Err(unknown(key));
    };
    let names = match (condition.name, attribute.values) {
        (Some(name), _) => Box::from([Box::from(name)]),
        (None, Values::Header) => Box::from([header(rest)?]),
        (None, Values::Claim) => brackets(rest).filter(|path| !path.is_empty()).ok_or_else(|| {
            Fault::with_repair("a claim stands in brackets", "write `request.auth.claims[NAME]`")
        })?,
        (None, _) => Box::default(),
    };
    Ok((attribute, names))
}

fn unknown(key: &str) -> Fault {
    if key.starts_with("experimental.") {
        return Fault::with_repair(
            "metadata of other filters is not part of this language",
            "use `request.auth.claims[NAME]` for a token's claims, `request.headers[NAME]` for headers",
        );
    }
    let what = "not a key that conditions know";
    if let Some((_, repair)) = ELSEWHERE.iter().find(|(known, _)| *known == key) {
        return Fault::with_repair(what, *repair);
    }
    // The name in brackets is the user's own.
    let head = key.split_once('[').map_or(key.to_owned(), |(head, _)| format!("{head}[NAME]"));
    let keys = ATTRIBUTES.iter().flat_map(|row| row.conditions).map(|condition| condition.key);
    match nearest(&head, keys) {
        Some(nearest) => Fault::with_repair(what, format!("write `{nearest}`")),
        None => Fault::new(what),
    }
}

/// `[NAME]` of `request.headers[NAME]`.
fn header(rest: &str) -> Result<Box<str>, Fault> {
    let wrong = || Fault::with_repair("a header stands in brackets", "write `request.headers[NAME]`");
    let names = brackets(rest).ok_or_else(wrong)?;
    let [name] = &*names else {
        return Err(wrong());
    };
    let name = name.to_ascii_lowercase();
    match &*name {
        "host" | ":authority" => {
            Err(Fault::with_repair("as a header the host is compared with its case and port", "use `hosts`"))
        }
        ":method" => Err(Fault::with_repair("a pseudo-header", "use `methods`")),
        ":path" => Err(Fault::with_repair("a pseudo-header", "use `paths`")),
        _ if name.is_empty() || !name.bytes().all(is_token_byte) => Err(Fault::new("not a header name")),
        _ => Ok(name.into()),
    }
}

/// The texts in `[A][B]…`; `None` where anything else stands there.
fn brackets(text: &str) -> Option<Names> {
    let mut names = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix('[')?.split_once(']')?;
        if name.is_empty() || name.contains('[') {
            return None;
        }
        names.push(name.into());
        rest = after;
    }
    Some(names.into())
}
