//! Istio's strings: `*`, `*suffix`, `prefix*`, exact, the first that fits; any other star is a character.

use serde_json::{Value, json};

/// A string matcher.
pub(super) fn matcher(text: &str) -> Value {
    matcher_with(text, &|rest| rest.to_owned())
}

/// A string matcher whose literal is written in another way.
pub(super) fn matcher_with(text: &str, write: &dyn Fn(&str) -> String) -> Value {
    if text == "*" {
        return regex(".+");
    }
    if let Some(suffix) = text.strip_prefix('*') {
        return json!({"suffix": write(suffix)});
    }
    match text.strip_suffix('*') {
        Some(prefix) => json!({"prefix": write(prefix)}),
        None => json!({"exact": write(text)}),
    }
}

pub(super) fn regex(text: &str) -> Value {
    json!({"safe_regex": {"regex": text}})
}

/// As Go's `regexp.QuoteMeta`.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// A namespace pattern: every star is anything, slashes too.
pub(super) fn glob(text: &str) -> String {
    text.split('*').map(quoted).collect::<Vec<_>>().join(".*")
}
