//! The host that a gateway's route leads to, read from the name of its cluster.

use super::host::Host;

/// The host of a cluster of Istio's form `outbound|<port>|<subset>|<host>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutedHost {
    /// Exactly this host.
    Exact(Host),
    /// Any host below this domain (`*.example.com`).
    Below(Box<str>),
    /// A host that cannot be one: nothing that was asked for matches it.
    Malformed,
}

impl RoutedHost {
    /// Reads a cluster name; `None` where it is not of Istio's form and so says nothing of a host.
    #[must_use]
    pub fn parse(cluster: &[u8]) -> Option<Self> {
        let mut parts = cluster.split(|&byte| byte == b'|');
        if parts.next() != Some(b"outbound".as_slice()) {
            return None;
        }
        let (port, _subset, host) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || port.is_empty() || !port.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(Self::parse_host(host))
    }

    fn parse_host(host: &[u8]) -> Self {
        if let Some(domain) = host.strip_prefix(b"*.") {
            return match Host::parse(domain) {
                Ok(Host::Name(name)) => Self::Below(name.as_str().into()),
                _ => Self::Malformed,
            };
        }
        // Istio writes an IPv6 address into the cluster's name as it stands in the ServiceEntry: bare.
        Host::parse(host)
            .or_else(|_| Host::parse(&[b"[", host, b"]"].concat()))
            .map_or(Self::Malformed, Self::Exact)
    }

    /// Whether a request for `host` is carried where it asked to go.
    #[must_use]
    pub fn leads_to(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(routed), host) => routed == host,
            (Self::Below(domain), Host::Name(name)) => name.is_below(domain),
            (Self::Below(_), Host::Ip(_)) | (Self::Malformed, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(cluster: &str, host: &str) -> Option<bool> {
        let host = Host::parse(host.as_bytes()).unwrap();
        RoutedHost::parse(cluster.as_bytes()).map(|routed| routed.leads_to(&host))
    }

    #[test]
    fn the_route_is_compared_by_host() {
        assert_eq!(leads("outbound|443||developer.yahoo.com", "developer.yahoo.com"), Some(true));
        assert_eq!(leads("outbound|443|v1|Developer.Yahoo.com", "developer.yahoo.com"), Some(true));
        assert_eq!(leads("outbound|443||developer.yahoo.com", "www.aliyun.com"), Some(false));
        assert_eq!(leads("outbound|443||*.yahoo.com", "developer.yahoo.com"), Some(true));
        assert_eq!(leads("outbound|443||*.yahoo.com", "yahoo.com"), Some(false));
        assert_eq!(leads("outbound|443||*.yahoo.com", "1.2.3.4"), Some(false));
        assert_eq!(leads("outbound|80||2001:db8::1", "[2001:db8::1]"), Some(true));
        assert_eq!(leads("outbound|80||a b", "a.b"), Some(false));
    }

    #[test]
    fn other_names_say_nothing() {
        for cluster in [
            "",
            "world",
            "PassthroughCluster",
            "inbound|80||a",
            "outbound|80|a",
            "outbound|x||a",
            "outbound|80||a|b",
        ] {
            assert_eq!(leads(cluster, "a"), None, "{cluster}");
        }
    }
}
