//! The server name that a client puts into its TLS hello.

use super::host::Host;
use super::kubernetes::is_dns_label;

/// What a TLS server name says about the host that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    /// A host, in its one spelling.
    Host(Host),
    /// The name that Istio's sidecars make up for a subset of the gateway's service; it names no site.
    Generated,
    /// Bytes that are not a host.
    Malformed,
}

impl ServerName {
    /// Reads a server name; case and one trailing dot do not matter.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        if is_generated(bytes) {
            return Self::Generated;
        }
        Host::parse(bytes).map_or(Self::Malformed, Self::Host)
    }

    /// The host, where the name is one.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        match self {
            Self::Host(host) => Some(host),
            Self::Generated | Self::Malformed => None,
        }
    }
}

/// Whether `server_name` may stand beside a request for `host`: it is that host, or one that Istio made up.
#[must_use]
pub fn same_host(server_name: &ServerName, host: &Host) -> bool {
    match server_name {
        ServerName::Host(named) => named == host,
        ServerName::Generated => true,
        ServerName::Malformed => false,
    }
}

/// `outbound_.<digits>_.<subset>_.<service>.<namespace>.svc.<domain>`, as Istio's sidecars write it.
fn is_generated(bytes: &[u8]) -> bool {
    parse_generated(bytes).is_some()
}

fn parse_generated(bytes: &[u8]) -> Option<()> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (port, rest) = text.strip_prefix("outbound_.")?.split_once("_.")?;
    let (subset, host) = rest.split_once("_.")?;
    let port_ok = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let subset_ok =
        subset.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let mut labels = host.split('.');
    let service_ok = labels.next().is_some_and(is_dns_label);
    let namespace_ok = labels.next().is_some_and(is_dns_label);
    let svc_ok = labels.next() == Some("svc");
    let mut domain = labels.peekable();
    let domain_ok = domain.peek().is_some() && domain.all(is_dns_label);
    (port_ok && subset_ok && service_ok && namespace_ok && svc_ok && domain_ok).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts() {
        let host = Host::parse(b"www.aliyun.com").unwrap();
        for name in ["www.aliyun.com", "WWW.Aliyun.com", "www.aliyun.com."] {
            let parsed = ServerName::parse(name.as_bytes());
            assert!(same_host(&parsed, &host) && parsed.host() == Some(&host), "{name}");
        }
        for name in ["help.aliyun.com", "aliyun.com", "", "www.aliyun.com:443", "www..com"] {
            assert!(!same_host(&ServerName::parse(name.as_bytes()), &host), "{name}");
        }
    }

    #[test]
    fn the_generated_form_and_what_only_looks_like_it() {
        for generated in [
            "outbound_.80_._.istio-egressgateway.istio-system.svc.cluster.local",
            "outbound_.443_.v1_.istio-egressgateway.istio-system.svc.cluster.local",
            "outbound_.443_.v1_.gw.ns.svc.local",
        ] {
            let parsed = ServerName::parse(generated.as_bytes());
            assert!(parsed == ServerName::Generated && parsed.host().is_none(), "{generated}");
        }
        for other in [
            "outbound_.80_._.www.evil.example",
            "outbound_.80_._.gw.ns.svc",
            "outbound_._._.gw.ns.svc.cluster.local",
            "outbound_.8x_._.gw.ns.svc.cluster.local",
            "xoutbound_.80_._.gw.ns.svc.cluster.local",
            "outbound_.80_._.gw.ns.svc.cluster..local",
            "outbound_.80_._..ns.svc.cluster.local",
            "outbound_.80_.gw.ns.svc.cluster.local",
        ] {
            assert_ne!(ServerName::parse(other.as_bytes()), ServerName::Generated, "{other}");
        }
    }
}
