//! `requestPrincipals`: issuer and subject of a token, matched as Istio writes them.

use super::text::TextPattern;
use crate::Fault;

/// `issuer/subject`, split at the last `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPrincipalPattern {
    /// What the issuer must be.
    issuer: TextPattern,
    /// What the subject must be.
    subject: TextPattern,
}

impl RequestPrincipalPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// As [`TextPattern::parse`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (issuer, subject) = match (TextPattern::parse(text)?, text.rsplit_once('/')) {
            (TextPattern::Present, _) => (TextPattern::Present, TextPattern::Present),
            (TextPattern::Suffix(suffix), None) => (TextPattern::Present, TextPattern::Suffix(suffix)),
            (TextPattern::Suffix(_), Some((issuer, subject))) => {
                let issuer = issuer.strip_prefix('*').unwrap_or(issuer);
                (suffix_or_present(issuer), TextPattern::Exact(subject.into()))
            }
            (TextPattern::Prefix(prefix), None) => (TextPattern::Prefix(prefix), TextPattern::Present),
            (TextPattern::Prefix(_), Some((issuer, subject))) => {
                let subject = subject.strip_suffix('*').unwrap_or(subject);
                (TextPattern::Exact(issuer.into()), prefix_or_present(subject))
            }
            (TextPattern::Exact(exact), None) => (TextPattern::Exact(exact), TextPattern::Exact("".into())),
            (TextPattern::Exact(_), Some((issuer, subject))) => {
                (TextPattern::Exact(issuer.into()), TextPattern::Exact(subject.into()))
            }
        };
        Ok(Self { issuer, subject })
    }

    /// Whether the pattern matches a verified token.
    #[must_use]
    pub fn matches(&self, issuer: &[u8], subject: &[u8]) -> bool {
        self.issuer.matches(issuer) && self.subject.matches(subject)
    }
}

fn suffix_or_present(suffix: &str) -> TextPattern {
    match suffix {
        "" => TextPattern::Present,
        suffix => TextPattern::Suffix(suffix.into()),
    }
}

fn prefix_or_present(prefix: &str) -> TextPattern {
    match prefix {
        "" => TextPattern::Present,
        prefix => TextPattern::Prefix(prefix.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_istio_splits_them() {
        for (pattern, issuer, subject, expected) in [
            ("*", "i", "s", true),
            ("*", "i", "", false),
            ("i/s", "i", "s", true),
            ("https://i/s", "https://i", "s", true),
            ("i/s", "i", "t", false),
            ("i", "i", "", true),
            ("i", "i", "s", false),
            ("i*", "issuer", "anybody", true),
            ("i*", "issuer", "", false),
            ("i/*", "i", "anybody", true),
            ("i/*", "ii", "anybody", false),
            ("i/s*", "i", "subject", true),
            ("i/s*", "i", "xs", false),
            ("*s", "anything", "alias", true),
            ("*s", "", "alias", false),
            ("*/s", "anything", "s", true),
            ("*/s", "anything", "ss", false),
            ("*r/s", "issuer", "s", true),
            ("*r/s", "issues", "s", false),
        ] {
            let parsed = RequestPrincipalPattern::parse(pattern).unwrap();
            assert_eq!(
                parsed.matches(issuer.as_bytes(), subject.as_bytes()),
                expected,
                "{pattern} {issuer} {subject}"
            );
        }
        for bad in ["", "i*/s", "*i*"] {
            assert!(RequestPrincipalPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
