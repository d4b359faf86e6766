//! `ipBlocks`: a CIDR range or a single address.

use crate::Fault;
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

/// A range of addresses; a bare address is the range of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CidrPattern(IpNet);

impl CidrPattern {
    /// Parses `10.0.0.0/8`, `2001:db8::/32` or a bare address.
    ///
    /// # Errors
    /// Whatever is neither an address nor `address/bits`. Bits set beyond the prefix are dropped, as Envoy does.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::empty());
        }
        let net = if text.contains('/') {
            text.parse::<IpNet>().ok().map(|net| unmapped(net.trunc()))
        } else {
            text.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical()))
        };
        net.map(Self).ok_or_else(|| {
            Fault::new("not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`")
        })
    }

    /// Whether the range holds the address.
    #[must_use]
    pub fn matches(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }
}

/// Addresses are compared in their IPv4 form where they have one, so a range of IPv4-mapped addresses is the
/// IPv4 range inside.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else {
        return net;
    };
    let inside = v6.network().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    inside.and_then(|(ip, prefix)| Ipv4Net::new(ip, prefix).ok()).map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_addresses() {
        let matches = |pattern, ip: &str| CidrPattern::parse(pattern).unwrap().matches(ip.parse().unwrap());
        assert!(matches("10.0.0.0/8", "10.255.0.1"));
        assert!(matches("10.1.2.3/8", "10.255.0.1"));
        assert!(!matches("10.0.0.0/8", "11.0.0.1"));
        assert!(matches("10.0.0.1", "10.0.0.1"));
        assert!(!matches("10.0.0.1", "10.0.0.2"));
        assert!(matches("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(matches("::ffff:10.0.0.0/104", "10.255.0.1"));
        assert!(!matches("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(matches("::ffff:0:0/96", "11.0.0.1"));
        assert!(matches("2001:db8::/32", "2001:db8:1::1"));
        assert!(matches("0.0.0.0/0", "1.2.3.4"));
        assert!(!matches("0.0.0.0/0", "::1"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.256", "a", "10.0.0.1/", "::1/129"] {
            assert!(CidrPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
