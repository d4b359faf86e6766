//! Text with placeholders, and how what fills them is kept inside.

use std::fmt::Write as _;

/// The words in braces that are placeholders; every other brace is itself.
const PLACEHOLDERS: [(&str, Placeholder); 6] = [
    ("{reason}", Placeholder::Reason),
    ("{policy}", Placeholder::Policy),
    ("{rule}", Placeholder::Rule),
    ("{owner}", Placeholder::Owner),
    ("{namespace}", Placeholder::Namespace),
    ("{host}", Placeholder::Host),
];

/// Text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Placeholder(Placeholder),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `{reason}`, as in the access log.
    Reason,
    /// `{policy}`: the name of the policy that the reason names.
    Policy,
    /// `{rule}`: the index of the rule that the reason names, from zero.
    Rule,
    /// `{owner}`: the owner of the policy that the reason names.
    Owner,
    /// `{namespace}`: the peer's.
    Namespace,
    /// `{host}`: the host asked for, in its one spelling.
    Host,
}

/// What a text must not break out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// Nothing: plain text.
    Text,
    /// A JSON string: everything but printable ASCII, `"` and `\` is escaped.
    Json,
    /// A header value: everything but printable ASCII, and `%`, is percent-encoded, as in `grpc-message`.
    Header,
}

// === impl Placeholder ===

impl Placeholder {
    /// The words in braces that are placeholders.
    pub fn words() -> impl Iterator<Item = &'static str> {
        PLACEHOLDERS.iter().map(|(word, _)| *word)
    }
}

// === impl Template ===

impl Template {
    /// Finds the placeholders of a text. There is no wrong template.
    pub(super) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = text;
        let mut from = 0;
        while let Some(brace) = literal.get(from..).and_then(|rest| rest.find('{')).map(|at| from + at) {
            let (before, rest) = literal.split_at_checked(brace).unwrap_or_default();
            match PLACEHOLDERS.iter().find(|(word, _)| rest.starts_with(word)) {
                Some((word, placeholder)) => {
                    pieces.push(Piece::Text(before.into()));
                    pieces.push(Piece::Placeholder(*placeholder));
                    literal = rest.get(word.len()..).unwrap_or_default();
                    from = 0;
                }
                None => from = brace + 1,
            }
        }
        pieces.push(Piece::Text(literal.into()));
        Self(pieces)
    }

    /// The text, each placeholder replaced by what `fill` says, escaped for where it stands.
    pub(super) fn render(&self, inside: Inside, fill: &dyn Fn(Placeholder) -> String) -> String {
        let mut rendered = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => rendered.push_str(text),
                Piece::Placeholder(placeholder) => inside.push(&mut rendered, &fill(*placeholder)),
            }
        }
        rendered
    }

    /// Whether each placeholder stands within the quotes of a JSON string: elsewhere no escape keeps it inside.
    pub(super) fn is_quoted(&self) -> bool {
        let (mut in_string, mut escaped) = (false, false);
        self.0.iter().all(|piece| match piece {
            Piece::Text(text) => {
                for byte in text.bytes() {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = in_string,
                        b'"' => in_string = !in_string,
                        _ => {}
                    }
                }
                true
            }
            Piece::Placeholder(_) => in_string && !escaped,
        })
    }
}

// === impl Inside ===

impl Inside {
    fn push(self, out: &mut String, text: &str) {
        match self {
            Self::Text => out.push_str(text),
            Self::Json => {
                // In units of UTF-16, as JSON escapes: beyond the basic plane they are two.
                for unit in text.encode_utf16() {
                    match u8::try_from(unit) {
                        Ok(byte @ (b' '..=b'~')) if byte != b'"' && byte != b'\\' => out.push(byte.into()),
                        _ => {
                            let _ = write!(out, "\\u{unit:04x}");
                        }
                    }
                }
            }
            Self::Header => {
                for byte in text.bytes() {
                    match byte {
                        b' '..=b'~' if byte != b'%' => out.push(byte.into()),
                        _ => {
                            let _ = write!(out, "%{byte:02X}");
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> String {
        Template::parse(text).render(Inside::Text, &|placeholder| format!("<{placeholder:?}>"))
    }

    #[test]
    fn any_other_brace_is_itself() {
        for (text, rendered) in [
            ("{reason}{policy}{rule}", "<Reason><Policy><Rule>"),
            ("{owner} {namespace} {host}", "<Owner> <Namespace> <Host>"),
            ("{{host}}", "{<Host>}"),
            (r#"{"host":"{host}"}"#, r#"{"host":"<Host>"}"#),
            ("{{{host", "{{{host"),
            ("{Host} {hosts} { host } {}", "{Host} {hosts} { host } {}"),
            ("} {host", "} {host"),
            ("ä{ö{rule}", "ä{ö<Rule>"),
            ("", ""),
        ] {
            assert_eq!(words(text), rendered, "{text}");
        }
    }

    #[test]
    fn quotes() {
        for (text, is_quoted) in [
            (r#"{"a": "{host}"}"#, true),
            (r#"{"a": {host}}"#, false),
            (r#"{"a": "\"{host}"}"#, true),
            (r#"{"a": "\\"{host}"}"#, false),
            (r#"{"a": "\{host}"}"#, false),
            (r#"{"a": 1}"#, true),
        ] {
            assert_eq!(Template::parse(text).is_quoted(), is_quoted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_out_of_a_json_string(value in any::<String>()) {
            let template = Template::parse(r#"{"a": "{owner}", "b": "x{owner}y"}"#);
            let rendered = template.render(Inside::Json, &|_| value.clone());
            prop_assert!(rendered.is_ascii());
            let json: serde_json::Value = serde_json::from_str(&rendered).unwrap();
            prop_assert_eq!(json, serde_json::json!({"a": value, "b": format!("x{value}y")}));
        }

        #[test]
        fn nothing_breaks_out_of_a_header(value in any::<String>()) {
            let rendered = Template::parse("a {owner}").render(Inside::Header, &|_| value.clone());
            prop_assert!(rendered.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", rendered);
            // And nothing is lost: percent-decoded it is the value.
            let mut bytes = Vec::new();
            let mut rest = rendered.strip_prefix("a ").unwrap().as_bytes();
            while let Some((first, after)) = rest.split_first() {
                if *first == b'%' {
                    let hex = std::str::from_utf8(&after[..2]).unwrap();
                    bytes.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = &after[2..];
                } else {
                    bytes.push(*first);
                    rest = after;
                }
            }
            prop_assert_eq!(bytes, value.into_bytes());
        }
    }
}
