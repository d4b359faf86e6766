//! Keys that take one of a few words.

use super::error::Problem;
use super::json::Json;
use super::validator::{ConfigPath, Entries, Validator, nearest};

/// The words that a key takes, with what they mean.
pub(super) type Choices<T> = &'static [(&'static str, T)];

/// A key that may be left out; anything but one of the words is an error.
pub(super) fn read<T: Copy>(
    validator: &mut Validator,
    entries: &Entries<'_>,
    key: &str,
    words: Choices<T>,
) -> Option<T> {
    let json = entries.get(key)?;
    value(validator, json, &entries.path.key(key), words)
}

/// One of the words.
pub(super) fn value<T: Copy>(
    validator: &mut Validator,
    json: &Json,
    path: &ConfigPath<'_>,
    words: Choices<T>,
) -> Option<T> {
    let text = validator.text(json, path)?;
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let allowed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let nearest = nearest(text, allowed.iter().copied());
        let value = text.to_owned();
        validator.note(path, Problem::UnknownValue { value, allowed, nearest });
    }
    found.map(|(_, meaning)| *meaning)
}
