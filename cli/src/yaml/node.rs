//! A YAML or JSON tree that knows where each of its values stands.

use super::index::Index;
use super::text::Span;
use egress_policy::config::{Json, Object};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// A value. Mappings keep their order, and keys that are written twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A string, and whether it stood there without quotes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) plain: bool,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// Which of the entries with one key is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurrence {
    First,
    Last,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'n> {
    /// The key, where the last step was one.
    pub(crate) key: Option<Span>,
    pub(crate) node: &'n Node,
}

// === impl Node ===

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// A number, or a string of digits: how Kubernetes writes a port.
    pub(crate) fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value behind several keys.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text behind several keys.
    pub(crate) fn text_at(&self, keys: &[&str]) -> Option<&str> {
        self.at(keys).and_then(Node::text)
    }

    /// The strings of a list behind a key.
    pub(crate) fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        self.get(key).into_iter().flat_map(Node::items).filter_map(Node::text)
    }

    /// Where a path such as `policies[3].rules[0]` leads. Keys may hold dots and brackets themselves.
    pub(crate) fn locate(&self, path: &str, occurrence: Occurrence) -> Option<Place<'_>> {
        self.walk(path, None, occurrence, None)
    }

    /// As [`Node::locate`], for those who look for many places in one tree.
    pub(crate) fn locate_by(&self, path: &str, occurrence: Occurrence, index: &Index) -> Option<Place<'_>> {
        self.walk(path, None, occurrence, Some(index))
    }

    fn walk<'n>(
        &'n self,
        path: &str,
        key: Option<Span>,
        occurrence: Occurrence,
        index: Option<&Index>,
    ) -> Option<Place<'n>> {
        if path.is_empty() {
            return Some(Place { key, node: self });
        }
        match &self.value {
            Value::List(items) => {
                let (at, rest) = path.strip_prefix('[')?.split_once(']')?;
                items.get(at.parse::<usize>().ok()?)?.walk(rest, None, occurrence, index)
            }
            Value::Map(entries) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let follow = |entry: &'n Entry| {
                    let rest = path.strip_prefix(entry.key.as_str())?;
                    let whole = rest.is_empty() || rest.starts_with(['.', '[']);
                    whole.then(|| entry.value.walk(rest, Some(entry.key_span), occurrence, index)).flatten()
                };
                if let Some(index) = index
                    && Index::is_for(entries.len())
                {
                    let ends = path.match_indices(['.', '[']).map(|(at, _)| at).chain([path.len()]);
                    return ends.filter_map(|end| path.get(..end)).find_map(|key| {
                        let keys = entries.iter().map(|entry| entry.key.as_str());
                        let (first, last) = index.find(entries.as_ptr().addr(), keys, key)?;
                        follow(entries.get(if occurrence == Occurrence::First { first } else { last })?)
                    });
                }
                match occurrence {
                    Occurrence::First => entries.iter().find_map(follow),
                    Occurrence::Last => entries.iter().rev().find_map(follow),
                }
            }
            _ => None,
        }
    }

    /// The tree without its places.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(value) => Json::Number(*value),
            Value::Text(text) => Json::Text(text.text.as_str().into()),
            Value::List(items) => Json::List(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => Json::Object(Object(
                entries.iter().map(|entry| (entry.key.as_str().into(), entry.value.to_json())).collect(),
            )),
        }
    }

    /// A tree all of which stands in one place: what a bundle holds.
    pub(crate) fn from_json(json: &Json, span: Span) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(value) => Value::Number(*value),
            Json::Text(text) => Value::Text(Text { text: text.to_string(), plain: false }),
            Json::List(items) => Value::List(items.iter().map(|item| Self::from_json(item, span)).collect()),
            Json::Object(object) => Value::Map(
                object
                    .0
                    .iter()
                    .map(|(key, value)| Entry {
                        key: key.to_string(),
                        key_span: span,
                        value: Self::from_json(value, span),
                    })
                    .collect(),
            ),
        };
        Self { span, value }
    }
}

impl Place<'_> {
    /// The key where there is one, else the value.
    pub(crate) fn key_or_value(&self) -> Span {
        self.key.unwrap_or(self.node.span)
    }

    /// The value; where it is a whole block, its key.
    pub(crate) fn value(&self) -> Span {
        match (&self.node.value, self.key) {
            (Value::List(_) | Value::Map(_), Some(key)) => key,
            _ => self.node.span,
        }
    }
}
