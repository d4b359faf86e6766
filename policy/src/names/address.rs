//! Addresses: how Envoy writes them, and which of them are not on the public Internet.

use super::host::canonical;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address of an Envoy address string (`10.0.0.1:443`, `[::1]:443`, a bare address); `None` for a pipe
/// or anything else that is not an IP.
#[must_use]
pub fn parse_address(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| text.parse::<IpAddr>())
        .ok()
        .map(canonical)
}

/// Whether an address is reachable over the public Internet.
///
/// Not so are the ranges of IANA's special-purpose registries that are not marked globally reachable,
/// multicast, the virtual address of Azure's host (168.63.129.16), and IPv6 forms that carry such an IPv4
/// address (NAT64, IPv4-compatible, IPv4-translated). 6to4 and Teredo are marked "N/A" there; nothing on
/// today's Internet needs them, so they count as not global whatever they carry.
#[must_use]
pub fn is_global(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, d] = ip.octets();
    match (a, b, c, d) {
        (168, 63, 129, 16)          // Azure's host: DNS, DHCP and the instance's metadata
        | (0 | 10 | 127, ..)        // this network, private use, loopback
        | (100, 64..=127, ..)       // shared address space (carrier-grade NAT)
        | (169, 254, ..)            // link local, where clouds keep their metadata services
        | (172, 16..=31, ..)        // private use
        | (192, 0, 2, _)            // documentation
        | (192, 88, 99, _)          // 6to4 relays, deprecated
        | (192, 168, ..)            // private use
        | (198, 18 | 19, ..)        // benchmarking
        | (198, 51, 100, _)         // documentation
        | (203, 0, 113, _)          // documentation
        | (224..=255, ..)           // multicast, reserved, broadcast
        => false,
        // IETF protocol assignments; two anycast addresses among them are global.
        (192, 0, 0, last) => matches!(last, 9 | 10),
        _ => true,
    }
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let low_v4 = |g: u16, h: u16| {
        let [a, b] = g.to_be_bytes();
        let [c, d] = h.to_be_bytes();
        is_global_v4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        // Unspecified and loopback are IPv4-compatible forms of 0.0.0.0/8.
        [0, 0, 0, 0, 0, 0, g, h]                    // IPv4-compatible
        | [0, 0, 0, 0, 0xffff, 0, g, h]             // IPv4-translated
        | [0x64, 0xff9b, 0, 0, 0, 0, g, h] => low_v4(g, h), // NAT64
        [0x64, 0xff9b, ..]                          // local-use NAT64 and the rest of that block
        | [0x100, 0, 0, 0 | 1, ..]                  // discard-only, dummy prefix
        | [0x2002, ..]                              // 6to4
        | [0x2001, 0xdb8, ..]                       // documentation
        | [0x3fff, 0..=0x0fff, ..]                  // documentation
        | [0x5f00, ..]                              // segment routing
        | [0xfc00..=0xfdff, ..]                     // unique local
        | [0xfe80..=0xfeff, ..]                     // link local, site local
        | [0xff00..=0xffff, ..] => false,           // multicast
        // IETF protocol assignments 2001::/23, Teredo among them, but for those marked global.
        [0x2001, 1, 0, 0, 0, 0, 0, last] => matches!(last, 1..=3),
        [0x2001, 3 | 0x20..=0x3f, ..] | [0x2001, 4, 0x112, ..] => true,
        [0x2001, 0..=0x1ff, ..] => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_addresses() {
        for (text, ip) in [
            ("10.0.0.1:443", Some("10.0.0.1")),
            ("[::1]:443", Some("::1")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[::ffff:10.0.0.1]:80", Some("10.0.0.1")),
            ("/var/run/socket", None),
            ("", None),
            ("10.0.0.1:x", None),
        ] {
            assert_eq!(parse_address(text.as_bytes()), ip.map(|ip| ip.parse().unwrap()), "{text}");
        }
        assert_eq!(parse_address(b"\xff"), None);
    }

    #[test]
    fn special_purpose_ranges_and_their_edges() {
        let global = |text: &str| is_global(text.parse().unwrap());
        for special in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.8",
            "192.0.0.255",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:0:808:808::1",
            "2001:2::1",
            "2001:10::1",
            "2001:1::4",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!global(special), "{special}");
        }
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.0.9",
            "192.0.0.10",
            "192.0.1.0",
            "192.31.196.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2001:1::1",
            "2001:1::2",
            "2001:1::3",
            "2001:3::1",
            "2001:4:112::1",
            "2001:20::1",
            "2001:30::1",
            "2001:200::1",
            "2606:4700::1111",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
            "3fff:1000::1",
        ] {
            assert!(global(public), "{public}");
        }
    }
}
