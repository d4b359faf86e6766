//! Reading a tree strictly: every error is noted with its path, and reading goes on behind it.

use super::error::{ConfigError, Problem};
use super::json::{Json, Object, number_text};
use crate::Fault;
use std::collections::HashSet;
use std::fmt;

/// A place in the configuration, as a chain from the leaf to the root.
#[derive(Clone, Copy)]
pub(super) struct ConfigPath<'p> {
    parent: Option<&'p ConfigPath<'p>>,
    segment: Segment<'p>,
}

#[derive(Clone, Copy)]
enum Segment<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

/// Takes a tree apart, and notes every error in it.
#[derive(Default)]
pub(super) struct Validator {
    errors: Vec<ConfigError>,
}

/// An object whose keys are known ones, and the place where it stands.
#[derive(Clone, Copy)]
pub(super) struct Entries<'j> {
    object: &'j Object,
    pub(super) path: &'j ConfigPath<'j>,
}

// === impl Path ===

impl<'p> ConfigPath<'p> {
    pub(super) fn root() -> Self {
        Self { parent: None, segment: Segment::Root }
    }

    pub(super) fn key(&'p self, key: &'p str) -> Self {
        Self { parent: Some(self), segment: Segment::Key(key) }
    }

    pub(super) fn index(&'p self, index: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(index) }
    }
}

impl fmt::Display for ConfigPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        let first = self.parent.is_none_or(|parent| parent.parent.is_none());
        match self.segment {
            Segment::Root => Ok(()),
            Segment::Key("") if first => f.write_str("\"\""),
            Segment::Key("") => f.write_str(".\"\""),
            Segment::Key(key) if first => f.write_str(key),
            Segment::Key(key) => write!(f, ".{key}"),
            Segment::Index(index) => write!(f, "[{index}]"),
        }
    }
}

// === impl Entries ===

impl<'j> Entries<'j> {
    pub(super) fn get(&self, key: &str) -> Option<&'j Json> {
        self.object.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'j str, &'j Json)> {
        self.object.0.iter().map(|(key, value)| (&**key, value))
    }
}

// === impl Validator ===

impl Validator {
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }

    pub(super) fn note(&mut self, path: &ConfigPath<'_>, problem: Problem) {
        self.errors.push(ConfigError { path: path.to_string(), problem });
    }

    pub(super) fn fault(&mut self, path: &ConfigPath<'_>, value: &str, fault: Fault) {
        let value = value.to_owned();
        self.note(path, Problem::BadValue { value, fault });
    }

    pub(super) fn wrong_type(&mut self, path: &ConfigPath<'_>, expected: &'static str, found: &Json) {
        let problem = match found {
            Json::Null => Problem::Null,
            other => Problem::WrongType { expected, found: other.kind(), repair: None },
        };
        self.note(path, problem);
    }

    /// An object all of whose keys are in `known`.
    pub(super) fn object<'j>(
        &mut self,
        json: &'j Json,
        path: &'j ConfigPath<'j>,
        known: &[&'static str],
    ) -> Option<Entries<'j>> {
        let entries = self.map(json, path)?;
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(key)) {
            let nearest = nearest(key, known.iter().copied());
            self.note(&path.key(key), Problem::UnknownKey { nearest });
        }
        Some(entries)
    }

    /// An object whose keys are names that the user chooses.
    pub(super) fn map<'j>(&mut self, json: &'j Json, path: &'j ConfigPath<'j>) -> Option<Entries<'j>> {
        let Json::Object(object) = json else {
            self.wrong_type(path, "an object", json);
            return None;
        };
        let entries = Entries { object, path };
        let mut seen = HashSet::new();
        for (key, _) in entries.iter() {
            if !seen.insert(key) {
                self.note(&path.key(key), Problem::DuplicateKey);
            }
        }
        Some(entries)
    }

    /// A list that is not empty; where it is wrong, nothing.
    pub(super) fn list<'j>(&mut self, json: &'j Json, path: &ConfigPath<'_>) -> &'j [Json] {
        match json {
            Json::List(items) if items.is_empty() => {
                self.note(path, Problem::EmptyList);
                &[]
            }
            Json::List(items) => items,
            Json::Text(text) => self.not_a_list(json, path, format!("write `[{text:?}]`")),
            Json::Number(number) => {
                self.not_a_list(json, path, format!("write `[{}]`", number_text(*number)))
            }
            other => {
                self.wrong_type(path, "a list", other);
                &[]
            }
        }
    }

    /// One value where a list of such is wanted.
    fn not_a_list(&mut self, json: &Json, path: &ConfigPath<'_>, repair: String) -> &'static [Json] {
        let (expected, found, repair) = ("a list", json.kind(), Some(repair));
        self.note(path, Problem::WrongType { expected, found, repair });
        &[]
    }

    pub(super) fn text<'j>(&mut self, json: &'j Json, path: &ConfigPath<'_>) -> Option<&'j str> {
        match json {
            Json::Text(text) => Some(text),
            other => {
                self.wrong_type(path, "a string", other);
                None
            }
        }
    }

    /// The entries of a list of strings, each parsed; those that do not parse are noted and left out.
    pub(super) fn texts<P>(
        &mut self,
        json: &Json,
        path: &ConfigPath<'_>,
        mut parse: impl FnMut(&str) -> Result<P, Fault>,
    ) -> Vec<P> {
        let mut parsed = Vec::new();
        for (at, item) in self.list(json, path).iter().enumerate() {
            let path = path.index(at);
            let Some(text) = self.text(item, &path) else {
                continue;
            };
            match parse(text) {
                Ok(value) => parsed.push(value),
                Err(fault) => self.fault(&path, text, fault),
            }
        }
        parsed
    }

    /// A key that may be left out, with its default.
    pub(super) fn flag(&mut self, entries: &Entries<'_>, key: &str, default: bool) -> bool {
        match entries.get(key) {
            None => default,
            Some(Json::Bool(value)) => *value,
            Some(other) => {
                let repair = match other {
                    Json::Text(text) if matches!(&**text, "true" | "false") => {
                        Some(format!("write `{text}` without quotes"))
                    }
                    _ => None,
                };
                let path = entries.path.key(key);
                match other {
                    Json::Null => self.note(&path, Problem::Null),
                    other => {
                        let (expected, found) = ("true or false", other.kind());
                        self.note(&path, Problem::WrongType { expected, found, repair });
                    }
                }
                default
            }
        }
    }
}

/// The known word nearest to a misspelt one, if it is near enough to have been meant.
#[must_use]
pub fn nearest<'w>(word: &str, mut known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    nearest_of(word, &mut known)
}

/// Compiled once, for all kinds of lists.
fn nearest_of<'w>(word: &str, known: &mut dyn Iterator<Item = &'w str>) -> Option<&'w str> {
    let folded = word.to_ascii_lowercase();
    // Two letters swapped are one slip. Of a short word one slip leaves enough to guess by: `TCP` is not `HTTP`.
    known
        .map(|candidate| (strsim::osa_distance(&folded, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (candidate.len() / 3).max(1) && *distance < candidate.len()
        })
        .min()
        .map(|(_, candidate)| candidate)
}
