//! A JSON tree that keeps what a map would lose: the order of keys, and keys written twice.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Any JSON value. Every number is a double, as in a protobuf Struct.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A string.
    Text(Box<str>),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

/// The entries of an object, in the order of the text, duplicates included.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(pub Vec<(Box<str>, Json)>);

impl Json {
    /// What the value is, in words for an error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl Object {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.iter().find(|(name, _)| **name == *key).map(|(_, value)| value)
    }
}

/// A number as an error shows it, to three decimals. The standard library's exact form would be a twentieth
/// of the filter.
pub(super) fn number_text(number: f64) -> String {
    let thousandths = (number * 1000.0).round();
    if thousandths.abs() > 1e15 || thousandths.is_nan() {
        return "a number out of range".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the bounds just checked")]
    let thousandths = thousandths as i64;
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, rest) = (thousandths.abs() / 1000, thousandths.abs() % 1000);
    let text = format!("{sign}{whole}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_none<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "a protobuf Struct would have lost it before us")]
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "a protobuf Struct would have lost it before us")]
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value.into_boxed_str()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Json>()? {
            object.push((key.into_boxed_str(), value));
        }
        Ok(Json::Object(Object(object)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_errors() {
        for (number, text) in [
            (0.0, "0"),
            (443.0, "443"),
            (70_000.0, "70000"),
            (4.5, "4.5"),
            (-1.0, "-1"),
            (-0.25, "-0.25"),
            (0.1234, "0.123"),
            (1e12, "1000000000000"),
        ] {
            assert_eq!(number_text(number), text);
        }
        assert_eq!(number_text(1e300), "a number out of range");
        assert_eq!(number_text(f64::NAN), "a number out of range");
    }
}
