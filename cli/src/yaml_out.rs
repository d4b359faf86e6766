//! Configurations as text: YAML for people, JSON for size.

use crate::terminal::harmless_json;
use crate::yaml::{Value, other_reading, resolve};
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
        Json::Number(number) => scalar_number(*number),
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
    }
}

/// A number that YAML 1.1 reads as one, too: with a point and a sign where there is an exponent.
fn scalar_number(number: f64) -> String {
    let text = serde_json::to_string(&Tree(&Json::Number(number))).unwrap_or_default();
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['-', '+']) { "" } else { "+" };
    format!("{mantissa}{point}e{sign}{exponent}")
}

/// A string, in quotes where YAML 1.1 or 1.2 could read it as anything else; what is no printable character of both is an escape.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/'))
        && matches!(resolve(text), Value::Text(_))
        && other_reading(text).is_none();
    if plain {
        return text.to_owned();
    }
    harmless_json(&serde_json::to_string(text).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_policy::config::Object;

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

    /// Strings that some reader of YAML takes for something else, and characters that some reader of YAML does not take.
    #[test]
    fn every_string_reads_the_same() {
        let words = "yes No ON off y N true Null ~ 010 0o17 0x1F 1_000 0b1 1e3 .5 .inf -.INF .nan = << 12:30:45 2026-12-31 - ? :";
        let characters = (0..=0x17f_u32)
            .chain([0x2028, 0x2029, 0x202e, 0x2066, 0xfeff, 0xfffd, 0xfffe, 0xffff, 0x1_f600, 0x10_ffff]);
        let mut strings: Vec<String> = words.split(' ').map(ToOwned::to_owned).collect();
        for character in characters.filter_map(char::from_u32) {
            strings.extend([
                format!("{character}"),
                format!("a{character}b"),
                format!("{character} "),
                format!("- {character}\n"),
            ]);
        }
        let list = Json::List(strings.iter().map(|text| Json::Text(text.as_str().into())).collect());
        let keys = Json::Object(Object(
            strings.iter().map(|text| (text.as_str().into(), list.clone())).take(40).collect(),
        ));
        let text = yaml(&keys);
        assert!(text.chars().all(|character| character == '\n' || !crate::yaml::is_unprintable(character)));
        let source = std::rc::Rc::new(crate::yaml::Source::new("t", text));
        assert_eq!(source.documents().unwrap()[0].to_json(), keys);
        for line in yaml(&list).lines() {
            let plain = line.strip_prefix("- ").unwrap_or(line);
            assert!(plain.starts_with(['"', '[']) || other_reading(plain).is_none(), "{line}");
        }
    }

    #[test]
    fn numbers_are_numbers_in_both_versions() {
        for (number, text) in
            [(443.0, "443"), (2.5, "2.5"), (1e300, "1.0e+300"), (1.5e-9, "1.5e-9"), (-0.0, "0")]
        {
            let written = scalar_number(number);
            assert_eq!(resolve(&written), Value::Number(number), "{written}");
            if number != 0.0 {
                assert_eq!(written, text);
            }
        }
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
