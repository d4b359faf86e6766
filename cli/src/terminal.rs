//! What a terminal or a log may be shown: no control character of any input gets there.

use crate::yaml::is_unprintable;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Text of several lines: line ends and tabs stay, everything else that a terminal obeys is written as an escape.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    escape(text, |character| is_unprintable(character) && !matches!(character, '\n' | '\t'))
}

/// Text that is part of a line: a line end in it would forge the next.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, is_unprintable)
}

/// JSON as it was serialized: what serde leaves as it is in a string, such as U+009B, is written as an escape, too.
pub(crate) fn harmless_json(text: &str) -> Cow<'_, str> {
    // Outside of strings there are no other controls than line ends, and no tabs.
    escape(text, |character| is_unprintable(character) && character != '\n')
}

/// A line of a file, character for character, so that columns stay.
pub(crate) fn same_width(line: &str) -> Cow<'_, str> {
    let is_bad = |character: char| is_unprintable(character) && character != '\t';
    if line.contains(is_bad) { line.replace(is_bad, "\u{fffd}").into() } else { line.into() }
}

fn escape(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' if is_bad('\n') => escaped.push_str("\\n"),
            bad if is_bad(bad) => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(bad));
            }
            good => escaped.push(good),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing() {
        let text = "a\tb\n\u{1b}[2J\u{9b}1m\r\u{202e}c\u{7f}";
        assert_eq!(harmless(text), "a\tb\n\\u001b[2J\\u009b1m\\u000d\\u202ec\\u007f");
        assert_eq!(one_line("ok\nerror: forged"), "ok\\nerror: forged");
        assert_eq!(same_width("a\u{1b}b\tc"), "a\u{fffd}b\tc");
        assert!(matches!(harmless("plain ü\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let value = serde_json::json!({"a": "\u{9b}\u{2028}\u{7f}\u{85}\u{1b}\n\u{202e}ü😀"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let escaped = harmless_json(&text);
        assert!(!escaped.contains(|character| is_unprintable(character) && character != '\n'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
