//! `trustDomains`: compared with the domain as presented, as Istio does.

use super::text::TextPattern;
use crate::Fault;
use crate::names::is_trust_domain;

/// One entry of `trustDomains`: exact, or with one `*` first or last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustDomainPattern(TextPattern);

impl TrustDomainPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// More than one `*`, one inside, and characters that no trust domain has.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let pattern = TextPattern::parse(text)?;
        let literal = pattern.literal();
        if !literal.is_empty() && !is_trust_domain(literal) {
            let what = "not a trust domain: lower-case letters, digits, `.`, `-` and `_`, without a path";
            return Err(match text.strip_prefix("spiffe://") {
                Some(rest) => Fault::with_repair(what, format!("write `{rest}`")),
                None => Fault::new(what),
            });
        }
        Ok(Self(pattern))
    }

    /// Whether the pattern matches a presented trust domain.
    #[must_use]
    pub fn matches(&self, domain: &str) -> bool {
        self.0.matches(domain.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_presented() {
        let matches = |pattern, domain| TrustDomainPattern::parse(pattern).unwrap().matches(domain);
        assert!(matches("cluster.local", "cluster.local"));
        assert!(!matches("cluster.local", "cluster.local2"));
        assert!(matches("*.example", "a.example"));
        assert!(matches("prod*", "prod.example"));
        assert!(matches("*", "anything"));
        for bad in ["", "a/b", "a*b", "*a*", "spiffe://a", "A"] {
            assert!(TrustDomainPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
