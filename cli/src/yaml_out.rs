//! Configurations as text: YAML for people, JSON for size.

use crate::yaml::{Value, resolve};
use egress_policy::config::Json;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt::Write as _;

/// A tree, to be serialized.
pub(crate) struct Tree<'j>(pub(crate) &'j Json);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(number) => match whole(*number) {
                Some(whole) => serializer.serialize_i64(whole),
                None => serializer.serialize_f64(*number),
            },
            Json::Text(text) => serializer.serialize_str(text),
            Json::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Tree(item))?;
                }
                list.end()
            }
            Json::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.0.len()))?;
                for (key, value) in &object.0 {
                    map.serialize_entry(key, &Tree(value))?;
                }
                map.end()
            }
        }
    }
}

/// A number that was written without a fraction.
fn whole(number: f64) -> Option<i64> {
    /// Up to here every whole number is exact in a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > EXACT {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range of an i64")]
    let whole = number as i64;
    Some(whole)
}

/// A tree as YAML.
pub(crate) fn yaml(json: &Json) -> String {
    let mut text = String::new();
    write_block(&mut text, json, 0, true);
    text
}

/// Writes a value behind its key or dash; `fresh` is whether it may begin on this line as a block.
fn write_block(text: &mut String, json: &Json, indent: usize, fresh: bool) {
    match json {
        Json::Object(object) if !object.0.is_empty() => {
            for (at, (key, value)) in object.0.iter().enumerate() {
                if !(fresh && at == 0) {
                    text.extend(std::iter::repeat_n(' ', indent));
                }
                let _ = write!(text, "{}:", scalar(key));
                write_value(text, value, indent);
            }
        }
        Json::List(items) if !items.is_empty() => {
            for item in items {
                text.extend(std::iter::repeat_n(' ', indent));
                text.push_str("- ");
                write_item(text, item, indent + 2);
            }
        }
        other => {
            let _ = writeln!(text, "{}", flow(other));
        }
    }
}

/// A value behind `key:`.
fn write_value(text: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(object) if !object.0.is_empty() => {
            text.push('\n');
            write_block(text, value, indent + 2, false);
        }
        Json::List(items) if !items.is_empty() && !items.iter().all(is_scalar) => {
            text.push('\n');
            write_block(text, value, indent, false);
        }
        other => {
            let _ = writeln!(text, " {}", flow(other));
        }
    }
}

/// A value behind `- `.
fn write_item(text: &mut String, item: &Json, indent: usize) {
    match item {
        Json::Object(object) if !object.0.is_empty() => write_block(text, item, indent, true),
        other => {
            let _ = writeln!(text, "{}", flow(other));
        }
    }
}

fn is_scalar(json: &Json) -> bool {
    !matches!(json, Json::List(_) | Json::Object(_))
}

/// A value on one line.
fn flow(json: &Json) -> String {
    match json {
        Json::Text(text) => scalar(text),
        Json::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Json::Object(object) => {
            let entries = object.0.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => serde_json::to_string(&Tree(other)).unwrap_or_default(),
    }
}

/// A string, in quotes where YAML 1.1 or 1.2 could read it as anything else.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/'))
        && matches!(resolve(text), Value::Text(_))
        && !matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
    if plain { text.to_owned() } else { serde_json::to_string(text).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        let json: Json = serde_json::from_str(
            r##"{"a": [1, 2.5, "443", "no", "*.x", "it: is", "", "#c", "ü\n", true, null], "b": {}, "c": [],
                "d": [{"e": [{"f": {"g": ["x.y"]}}], "h": "i"}, [], {}, "j"], "k.l": {"m": "-"}, "on": "n",
                "n": 443, "big": 1e300, "at": "2026-12-31T00:00:00Z"}"##,
        )
        .unwrap();
        let text = yaml(&json);
        let source = std::rc::Rc::new(crate::yaml::Source::new("t", text));
        assert_eq!(source.documents().unwrap()[0].to_json(), json, "{}", source.text);
    }

    #[test]
    fn as_people_write_it() {
        let json: Json = serde_json::from_str(
            r#"{"policies": [{"name": "a", "rules": [{"to": [{"operation": {"hosts": ["x.y", "*.z"]}}]}]}]}"#,
        )
        .unwrap();
        let expected =
            "policies:\n- name: a\n  rules:\n  - to:\n    - operation:\n        hosts: [x.y, \"*.z\"]\n";
        assert_eq!(yaml(&json), expected);
    }
}
