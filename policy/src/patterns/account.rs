//! `serviceAccounts`: `namespace/name`, or `name` in the policy's own namespace.

use crate::Fault;
use crate::names::{SpiffeId, is_dns_label, is_dns_subdomain};

/// One service account; there are no wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPattern {
    namespace: Box<str>,
    name: Box<str>,
}

impl AccountPattern {
    /// Parses an account; `own` is the policy's namespace.
    ///
    /// # Errors
    /// A wildcard, a name that Kubernetes does not allow, and a bare name in a mesh-wide policy.
    pub fn parse(text: &str, own: Option<&str>) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::empty());
        }
        if text.contains('*') {
            return Err(Fault::with_repair(
                "a service account takes no wildcard",
                "use `principals` or `namespaces`",
            ));
        }
        let (namespace, name) = match (text.split_once('/'), own) {
            (Some(parts), _) => parts,
            (None, Some(own)) => (own, text),
            (None, None) => {
                return Err(Fault::with_repair(
                    "a mesh-wide policy has no namespace of its own",
                    format!("write `<namespace>/{text}`"),
                ));
            }
        };
        if !is_dns_label(namespace) || !is_dns_subdomain(name) {
            return Err(Fault::new(
                "not a service account; the form is `name` or `namespace/name`, lower case",
            ));
        }
        Ok(Self { namespace: namespace.into(), name: name.into() })
    }

    /// The account's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The account's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the peer runs as this account.
    #[must_use]
    pub fn matches(&self, peer: &SpiffeId) -> bool {
        peer.namespace() == &*self.namespace && peer.service_account() == &*self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespace_and_another() {
        let peer = SpiffeId::parse_without_scheme("cluster.local/ns/a/sa/sleep").unwrap();
        let matches = |text, own| AccountPattern::parse(text, own).unwrap().matches(&peer);
        assert!(matches("sleep", Some("a")));
        assert!(!matches("sleep", Some("b")));
        assert!(matches("a/sleep", Some("b")));
        assert!(matches("a/sleep", None));
        assert!(!matches("a/slee", None));
        for bad in ["", "*", "a/*", "a/b/c", "/b", "a/", "A/b", "a b"] {
            assert!(AccountPattern::parse(bad, Some("a")).is_err(), "{bad}");
        }
        assert!(AccountPattern::parse("sleep", None).is_err());
    }
}
