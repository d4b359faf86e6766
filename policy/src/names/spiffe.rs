//! The identity of a workload, read by structure and never by a substring.

use std::fmt;

/// `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiffeId {
    /// The id without its scheme, and where its parts end.
    text: Box<str>,
    trust_domain: usize,
    namespace: usize,
}

/// The peer's name is not a workload identity of Istio's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSpiffeId;

/// The longest SPIFFE ID (SPIFFE-ID, 2.3).
const MAX_ID: usize = 2048;
/// The longest trust domain (SPIFFE-ID, 2.1).
const MAX_TRUST_DOMAIN: usize = 255;

impl SpiffeId {
    /// Parses the URI SAN of a certificate.
    ///
    /// # Errors
    /// [`InvalidSpiffeId`] for anything but the one form, more or fewer path segments included.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidSpiffeId> {
        if bytes.len() > MAX_ID {
            return Err(InvalidSpiffeId);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidSpiffeId)?;
        let text = text.strip_prefix("spiffe://").ok_or(InvalidSpiffeId)?;
        Self::parse_without_scheme(text)
    }

    /// Parses the form that policies use, without `spiffe://`.
    ///
    /// # Errors
    /// As [`SpiffeId::parse`].
    pub fn parse_without_scheme(text: &str) -> Result<Self, InvalidSpiffeId> {
        // Where the four slashes are: every request comes by here.
        let mut slashes = [0; 4];
        let mut rest = slashes.iter_mut();
        for (at, byte) in text.bytes().enumerate() {
            if byte == b'/' {
                *rest.next().ok_or(InvalidSpiffeId)? = at;
            }
        }
        let ends = rest.next().is_none();
        let [first, second, third, fourth] = slashes;
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let (trust_domain, ns, namespace) =
            (part(0, first), part(first + 1, second), part(second + 1, third));
        let (sa, account) = (part(third + 1, fourth), part(fourth + 1, text.len()));
        if !ends
            || ns != "ns"
            || sa != "sa"
            || !is_trust_domain(trust_domain)
            || !is_segment(namespace)
            || !is_segment(account)
        {
            return Err(InvalidSpiffeId);
        }
        Ok(Self { trust_domain: trust_domain.len(), namespace: namespace.len(), text: text.into() })
    }

    /// The id without `spiffe://`, as the `principals` of a policy are written.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.text
    }

    /// The trust domain as presented.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.text.get(..self.trust_domain).unwrap_or_default()
    }

    /// Everything after the trust domain: `/ns/<namespace>/sa/<service account>`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.trust_domain..).unwrap_or_default()
    }

    /// What stands behind `/ns/`: not empty, without a slash.
    #[must_use]
    pub fn namespace(&self) -> &str {
        let from = self.trust_domain + "/ns/".len();
        self.text.get(from..from + self.namespace).unwrap_or_default()
    }

    /// What stands behind `/sa/`: not empty, without a slash.
    #[must_use]
    pub fn service_account(&self) -> &str {
        let from = self.trust_domain + "/ns/".len() + self.namespace + "/sa/".len();
        self.text.get(from..).unwrap_or_default()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}", self.text)
    }
}

/// A trust domain's alphabet (SPIFFE-ID, 2.1): lower-case letters, digits, dot, dash, underscore.
#[must_use]
pub fn is_trust_domain(text: &str) -> bool {
    (1..=MAX_TRUST_DOMAIN).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
}

/// A path segment's alphabet (SPIFFE-ID, 2.2); `.` and `..` are not segments.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_id() {
        let id = SpiffeId::parse(b"spiffe://cluster.local/ns/demo-frontend/sa/sleep").unwrap();
        assert_eq!(id.trust_domain(), "cluster.local");
        assert_eq!(id.namespace(), "demo-frontend");
        assert_eq!(id.service_account(), "sleep");
        assert_eq!(id.principal(), "cluster.local/ns/demo-frontend/sa/sleep");
        assert_eq!(id.path(), "/ns/demo-frontend/sa/sleep");
        assert_eq!(id.to_string(), "spiffe://cluster.local/ns/demo-frontend/sa/sleep");
    }

    #[test]
    fn only_the_one_form() {
        for bad in [
            "",
            "spiffe://",
            "cluster.local/ns/a/sa/b",
            "spiffe://td",
            "spiffe://td/ns/a",
            "spiffe://td/ns/a/sa",
            "spiffe://td/ns/a/sa/",
            "spiffe://td/ns//sa/b",
            "spiffe:///ns/a/sa/b",
            "spiffe://td/ns/a/sa/b/",
            "spiffe://td/ns/a/sa/b/c",
            "spiffe://td/x/ns/a/sa/b",
            "spiffe://td/sa/b/ns/a",
            "spiffe://td/NS/a/sa/b",
            "SPIFFE://td/ns/a/sa/b",
            "https://td/ns/a/sa/b",
            "spiffe://TD/ns/a/sa/b",
            "spiffe://td:1/ns/a/sa/b",
            "spiffe://u@td/ns/a/sa/b",
            "spiffe://td/ns/a/sa/b?q",
            "spiffe://td/ns/a/sa/b#f",
            "spiffe://td/ns/../sa/b",
            "spiffe://td/ns/./sa/b",
            "spiffe://td/ns/%61/sa/b",
            "spiffe://td/ns/a b/sa/b",
            " spiffe://td/ns/a/sa/b",
            "spiffe://td/ns/a/sa/b\n",
            "spiffe://td/ns/ä/sa/b",
        ] {
            assert_eq!(SpiffeId::parse(bad.as_bytes()), Err(InvalidSpiffeId), "{bad}");
        }
        assert_eq!(SpiffeId::parse(b"spiffe://td/ns/\xff/sa/b"), Err(InvalidSpiffeId));
        let long = format!("spiffe://td/ns/a/sa/{}", "b".repeat(2048));
        assert_eq!(SpiffeId::parse(long.as_bytes()), Err(InvalidSpiffeId));
    }
}
