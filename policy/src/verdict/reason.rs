//! Why a verdict is what it is, in the words that logs and users see.

use crate::rules::Policy;
use std::fmt;

/// A rule of a policy: `ns[<namespace or *>]-policy[<name>]-rule[<index>]`.
#[derive(Debug, Clone, Copy)]
pub struct RuleRef<'e> {
    /// The policy that the rule is one of.
    pub policy: &'e Policy,
    /// The index of the rule, from zero.
    pub rule: usize,
}

/// Why a request or connection is admitted or refused; `Display` is the word or `ns[…]-policy[…]-rule[…]` of
/// docs/language.md#reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason<'e> {
    /// This rule matched.
    Rule(RuleRef<'e>),
    /// This rule would have admitted the request, had its policy not expired.
    Expired(RuleRef<'e>),
    /// A live connection, judged again by a new configuration or clock.
    Recheck(Box<Reason<'e>>),
    /// No certificate at all.
    Unauthenticated,
    /// A peer whose name is not a workload identity.
    InvalidIdentity,
    /// A workload of a trust domain that is not listed.
    UntrustedDomain,
    /// An authority or server name that names no host.
    MalformedHost,
    /// TLS bytes that are not a ClientHello.
    MalformedHello,
    /// A ClientHello beyond the limit.
    OversizedHello,
    /// A ClientHello that did not come whole in time.
    HelloTimeout,
    /// An encrypted ClientHello where they are refused.
    EncryptedHello,
    /// Envoy had no answer for an attribute that the verdict needs.
    AttributeUnavailable,
    /// The site spoke before the peer's identity was there.
    IdentityPending,
    /// Server name and host disagree.
    SniMismatch,
    /// An IP literal that is not on the public Internet.
    PrivateAddress,
    /// A site whose address is not on the public Internet.
    PrivateUpstream,
    /// The gateway carries the request to another host than it was judged by.
    RouteMismatch,
    /// ALLOW policies govern this source and none matched.
    NoAllowMatched,
    /// No ALLOW policy governs this source.
    DefaultAction,
    /// The filter is loaded for another type than it is configured for.
    WrongType,
}

impl<'e> Reason<'e> {
    /// The rule behind the reason, where there is one.
    #[must_use]
    pub fn rule(&self) -> Option<RuleRef<'e>> {
        match self {
            Self::Rule(rule) | Self::Expired(rule) => Some(*rule),
            Self::Recheck(inner) => inner.rule(),
            _ => None,
        }
    }

    /// The fixed word of a reason that names no rule.
    fn word(&self) -> &'static str {
        match self {
            Self::Rule(_) => "rule",
            Self::Expired(_) => "expired",
            Self::Recheck(_) => "recheck",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidIdentity => "invalid_identity",
            Self::UntrustedDomain => "untrusted_domain",
            Self::MalformedHost => "malformed_host",
            Self::MalformedHello => "malformed_hello",
            Self::OversizedHello => "oversized_hello",
            Self::HelloTimeout => "hello_timeout",
            Self::EncryptedHello => "encrypted_hello",
            Self::AttributeUnavailable => "attribute_unavailable",
            Self::IdentityPending => "identity_pending",
            Self::SniMismatch => "sni_mismatch",
            Self::PrivateAddress => "private_address",
            Self::PrivateUpstream => "private_upstream",
            Self::RouteMismatch => "route_mismatch",
            Self::NoAllowMatched => "no_allow_matched",
            Self::DefaultAction => "default_action",
            Self::WrongType => "wrong_type",
        }
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::Expired(rule) => write!(f, "expired[{rule}]"),
            Self::Recheck(inner) => write!(f, "recheck[{inner}]"),
            word => f.write_str(word.word()),
        }
    }
}

impl fmt::Display for RuleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.policy.namespace.as_deref().unwrap_or("*");
        write!(f, "ns[{namespace}]-policy[{}]-rule[{}]", self.policy.name, self.rule)
    }
}

/// Two references are equal where they lead to the same policy, not to one that looks the same.
impl PartialEq for RuleRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.policy, other.policy) && self.rule == other.rule
    }
}

impl Eq for RuleRef<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Engine};

    #[test]
    fn a_rule_is_its_place() {
        let config = br#"{"policies": [{"name": "a", "rules": [{}, {}]}, {"name": "b", "rules": [{}, {}]}]}"#;
        let engine = Engine::new(Config::parse(config).unwrap());
        let rule = |at: usize, rule| RuleRef { policy: &engine.policies()[at], rule };
        assert_eq!(rule(0, 1), rule(0, 1));
        assert!(rule(0, 1) != rule(0, 0) && rule(0, 1) != rule(1, 1) && rule(0, 1) != rule(1, 0));
        let reasons = [Reason::Rule(rule(0, 1)), Reason::Expired(rule(0, 1))];
        for reason in reasons {
            assert_eq!(reason.rule(), Some(rule(0, 1)));
            assert_eq!(Reason::Recheck(Box::new(reason)).rule(), Some(rule(0, 1)));
        }
        assert_eq!(Reason::Recheck(Box::new(Reason::Unauthenticated)).rule(), None);
    }
}
