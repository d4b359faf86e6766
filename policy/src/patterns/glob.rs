//! Namespaces, which take `*` anywhere.

use crate::Fault;

/// A namespace, or a pattern of namespaces in which `*` stands for any characters, none included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespacePattern {
    /// The very namespace.
    Exact(Box<str>),
    /// The literals between the stars; the first and the last are anchored.
    Glob(Box<[Box<str>]>),
}

impl NamespacePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// An empty string, and characters that no namespace has.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::empty());
        }
        if let Some(odd) =
            text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '*')))
        {
            let what = format!("a namespace has no {odd:?}: it is lower-case letters, digits and dashes");
            return Err(if odd.is_ascii_uppercase() {
                Fault::with_repair(what, format!("write `{}`", text.to_ascii_lowercase()))
            } else {
                Fault::new(what)
            });
        }
        Ok(if text.contains('*') {
            Self::Glob(text.split('*').map(Into::into).collect())
        } else {
            Self::Exact(text.into())
        })
    }

    /// Whether the pattern matches a namespace.
    #[must_use]
    pub fn matches(&self, namespace: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *namespace,
            Self::Glob(parts) => glob_matches(parts, namespace),
        }
    }
}

/// Anchors the first and the last literal and finds the others leftmost, one after the other.
fn glob_matches(parts: &[Box<str>], text: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return false;
    };
    let Some(rest) = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else {
        return false;
    };
    middle.iter().try_fold(rest, |rest, part| rest.split_once(&**part).map(|(_, after)| after)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_anywhere() {
        for (pattern, yes, no) in [
            ("a", vec!["a"], vec!["", "aa"]),
            ("*", vec!["a", "b-c"], vec![]),
            ("team-*", vec!["team-a", "team-"], vec!["team", "xteam-a"]),
            ("*-prod", vec!["a-prod"], vec!["prod", "a-prod-b"]),
            ("a*b*c", vec!["abc", "axbyc", "abbcc"], vec!["acb", "ab", "bc"]),
            ("a*a", vec!["aa", "aba"], vec!["a"]),
            ("*x*", vec!["x", "axb"], vec!["ab"]),
            ("**", vec!["a"], vec![]),
            ("a*b*b", vec!["abb", "axbxb"], vec!["ab"]),
        ] {
            let parsed = NamespacePattern::parse(pattern).unwrap();
            assert!(yes.iter().all(|v| parsed.matches(v)), "{pattern}");
            assert!(!no.iter().any(|v| parsed.matches(v)), "{pattern}");
        }
        for bad in ["", "A", "a.b", "a/b", "ns a"] {
            assert!(NamespacePattern::parse(bad).is_err(), "{bad}");
        }
    }
}
