//! Strings as Istio matches them: exact, `prefix*`, `*suffix`, `*`.

use crate::Fault;

/// A pattern over bytes; case counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextPattern {
    /// `*`: present and not empty.
    Present,
    /// The very string.
    Exact(Box<str>),
    /// `prefix*`.
    Prefix(Box<str>),
    /// `*suffix`.
    Suffix(Box<str>),
}

impl TextPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// An empty string, and a `*` that is neither the first nor the last character.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::empty());
        }
        let pattern = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::Present,
            (Some(suffix), _) => Self::Suffix(suffix.into()),
            (None, Some(prefix)) => Self::Prefix(prefix.into()),
            (None, None) => Self::Exact(text.into()),
        };
        if pattern.literal().contains('*') {
            return Err(Fault::new(
                "a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character",
            ));
        }
        Ok(pattern)
    }

    /// Whether the pattern matches a value that is there.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => !value.is_empty(),
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
        }
    }

    /// What the pattern says besides its star.
    #[must_use]
    pub fn literal(&self) -> &str {
        match self {
            Self::Present => "",
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) => text,
        }
    }
}

/// A pattern over the outer TLS server name, for which case and one trailing dot do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerNamePattern(TextPattern);

impl ServerNamePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// As [`TextPattern::parse`], and characters that no server name has.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let pattern = TextPattern::parse(&text.to_ascii_lowercase())?;
        if let Some(odd) =
            pattern.literal().chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
        {
            return Err(Fault::new(format!(
                "a server name has no {odd:?}: it is letters, digits, `-`, `_` and dots, without a port"
            )));
        }
        Ok(Self(match pattern {
            TextPattern::Exact(name) => TextPattern::Exact(without_final_dot(&name).into()),
            TextPattern::Suffix(name) => TextPattern::Suffix(without_final_dot(&name).into()),
            other => other,
        }))
    }

    /// Whether the pattern matches a server name that [`ServerNamePattern::fold`] has put into one spelling.
    #[must_use]
    pub fn matches(&self, folded: &[u8]) -> bool {
        self.0.matches(folded)
    }

    /// The one spelling of a server name for [`ServerNamePattern::matches`].
    #[must_use]
    pub fn fold(name: &[u8]) -> Vec<u8> {
        name.strip_suffix(b".").unwrap_or(name).to_ascii_lowercase()
    }
}

fn without_final_dot(name: &str) -> &str {
    match name.strip_suffix('.') {
        Some(rest) if !rest.is_empty() => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_shapes() {
        for (pattern, yes, no) in [
            ("*", vec!["a"], vec![""]),
            ("abc", vec!["abc"], vec!["", "ab", "abcd", "ABC"]),
            ("abc*", vec!["abc", "abcd"], vec!["ab", "xabc"]),
            ("*abc", vec!["abc", "xabc"], vec!["bc", "abcx"]),
        ] {
            let parsed = TextPattern::parse(pattern).unwrap();
            assert!(yes.iter().all(|v| parsed.matches(v.as_bytes())), "{pattern}");
            assert!(!no.iter().any(|v| parsed.matches(v.as_bytes())), "{pattern}");
        }
        for bad in ["", "a*b", "**", "*a*", "a**", "*a*b"] {
            assert!(TextPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn server_names_fold_case_and_one_dot() {
        let matches = |pattern: &str, name: &str| {
            ServerNamePattern::parse(pattern).unwrap().matches(&ServerNamePattern::fold(name.as_bytes()))
        };
        assert!(matches("WWW.example.com.", "www.Example.com"));
        assert!(matches("www.example.com", "WWW.EXAMPLE.COM."));
        assert!(matches("*.Example.com", "a.example.com."));
        assert!(matches("*.example.com.", "a.example.com"));
        assert!(matches("WWW.*", "www.example.com"));
        assert!(!matches("www.*", "wwwexample.com"));
        assert!(!matches("*", ""));
        // A dot alone is no end of a name: left empty, the second would match every name.
        for pattern in [".", "*."] {
            assert!(!["", ".", "a", "a."].iter().any(|name| matches(pattern, name)), "{pattern}");
        }
        for bad in ["", "a b", "a:443", "a/b", "ä.example"] {
            assert!(ServerNamePattern::parse(bad).is_err(), "{bad}");
        }
    }
}
