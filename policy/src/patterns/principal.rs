//! `principals`: workload identities without `spiffe://`, with trust domains that stand for one another.

use super::text::TextPattern;
use crate::Fault;
use crate::names::{SpiffeId, is_dns_label};

/// The trust domain that Istio's policies write for "this mesh", whatever it is really called.
const LOCAL: &str = "cluster.local";

/// The trust domains of the mesh: every entry is an alias of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustDomains(Vec<Box<str>>);

impl TrustDomains {
    /// Takes domains that [`is_trust_domain`](crate::names::is_trust_domain) holds for, the mesh's own first.
    #[must_use]
    pub fn new(domains: Vec<Box<str>>) -> Self {
        Self(domains)
    }

    /// The domains, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|domain| &**domain)
    }

    /// Whether a peer of this domain is one of ours.
    #[must_use]
    pub fn contains(&self, domain: &str) -> bool {
        self.0.iter().any(|listed| **listed == *domain)
    }

    /// Whether a policy that names this domain means the mesh.
    #[must_use]
    pub fn means_the_mesh(&self, domain: &str) -> bool {
        domain == LOCAL || self.contains(domain)
    }
}

impl Default for TrustDomains {
    fn default() -> Self {
        Self(vec![LOCAL.into()])
    }
}

/// One entry of `principals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalPattern {
    /// The pattern's trust domain is the mesh's: compared is what follows it.
    InMesh(TextPattern),
    /// Compared is the whole identity as presented.
    AsPresented(TextPattern),
}

impl PrincipalPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// `spiffe://` in front, a `*` inside, and an exact string that is no workload identity.
    pub fn parse(text: &str, domains: &TrustDomains) -> Result<Self, Fault> {
        if let Some(rest) = text.strip_prefix("spiffe://") {
            return Err(Fault::with_repair(
                "principals are written without `spiffe://`",
                format!("write `{rest}`"),
            ));
        }
        let pattern = TextPattern::parse(text).map_err(|fault| match text.contains('*') {
            true => Fault::with_repair(fault.what(), "use `namespaces` or `serviceAccounts`"),
            false => fault,
        })?;
        if let TextPattern::Exact(exact) = &pattern
            && SpiffeId::parse_without_scheme(exact).is_err()
        {
            let what =
                "not a workload identity; the form is `<trust domain>/ns/<namespace>/sa/<service account>`";
            return Err(match exact.split_once('/') {
                Some((namespace, account)) if is_dns_label(namespace) && is_dns_label(account) => {
                    let repair =
                        format!("write `{LOCAL}/ns/{namespace}/sa/{account}`, or use `serviceAccounts`");
                    Fault::with_repair(what, repair)
                }
                _ => Fault::new(what),
            });
        }
        let Some((domain, rest)) = text.split_once('/') else {
            return Ok(Self::AsPresented(pattern));
        };
        if !domains.means_the_mesh(domain) {
            return Ok(Self::AsPresented(pattern));
        }
        let rest = format!("/{rest}");
        Ok(Self::InMesh(match rest.strip_suffix('*') {
            Some(prefix) => TextPattern::Prefix(prefix.into()),
            None => TextPattern::Exact(rest.into()),
        }))
    }

    /// Whether the pattern matches a peer whose trust domain is one of the mesh's.
    #[must_use]
    pub fn matches(&self, peer: &SpiffeId) -> bool {
        match self {
            Self::InMesh(pattern) => pattern.matches(peer.path().as_bytes()),
            Self::AsPresented(pattern) => pattern.matches(peer.principal().as_bytes()),
        }
    }

    /// The trust domain that the pattern names literally, where it does.
    #[must_use]
    pub fn foreign_domain(&self) -> Option<&str> {
        match self {
            Self::AsPresented(TextPattern::Exact(text) | TextPattern::Prefix(text)) => {
                text.split_once('/').map(|(domain, _)| domain)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, peer: &str) -> bool {
        let domains = TrustDomains::new(vec!["prod.example".into(), "old.example".into()]);
        let peer = SpiffeId::parse_without_scheme(peer).unwrap();
        PrincipalPattern::parse(pattern, &domains).unwrap().matches(&peer)
    }

    #[test]
    fn listed_domains_stand_for_one_another() {
        for pattern in [
            "prod.example/ns/a/sa/b",
            "old.example/ns/a/sa/b",
            "cluster.local/ns/a/sa/b",
            "cluster.local/ns/a/*",
            "old.example/*",
            "*/ns/a/sa/b",
            "*/sa/b",
            "*",
            "prod*",
        ] {
            assert!(matches(pattern, "prod.example/ns/a/sa/b"), "{pattern}");
        }
        for pattern in [
            "other.example/ns/a/sa/b",
            "cluster.local/ns/a/sa/c",
            "cluster.local/ns/a/sa/bb",
            "cluster.local/ns/b/*",
            "cluster.*",
            "old*",
            "*/sa/c",
        ] {
            assert!(!matches(pattern, "prod.example/ns/a/sa/b"), "{pattern}");
        }
    }

    #[test]
    fn a_domain_that_is_not_the_meshs_is_told() {
        let domains = TrustDomains::new(vec!["prod.example".into(), "old.example".into()]);
        assert_eq!(domains.iter().collect::<Vec<_>>(), ["prod.example", "old.example"]);
        for (pattern, domain) in [
            ("other.example/ns/a/sa/b", Some("other.example")),
            ("other.example/ns/a/*", Some("other.example")),
            ("old.example/ns/a/sa/b", None),
            ("cluster.local/*", None),
            ("other*", None),
            ("*/sa/b", None),
            ("*", None),
        ] {
            assert_eq!(
                PrincipalPattern::parse(pattern, &domains).unwrap().foreign_domain(),
                domain,
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_no_peer_can_be_is_refused() {
        let domains = TrustDomains::default();
        for bad in [
            "",
            "spiffe://cluster.local/ns/a/sa/b",
            "cluster.local",
            "cluster.local/ns/a",
            "sleep",
            "*/ns/a/*",
            "cluster.local/*/a",
        ] {
            assert!(PrincipalPattern::parse(bad, &domains).is_err(), "{bad}");
        }
    }
}
