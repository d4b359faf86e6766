//! A host (docs/language.md#3-what-is-asked-for): a DNS name in one spelling, or an IP literal.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name that DNS can carry, without the trailing dot (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
/// The longest label of a name (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// A host in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name.
    Name(HostName),
    /// An IP literal; an IPv4-mapped IPv6 address is held as its IPv4 address.
    Ip(IpAddr),
}

/// A DNS name: lower case, without a trailing dot, labels of letters, digits, `-` and `_`, and a last
/// label that no resolver could take for a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Box<str>);

/// The bytes are not a host that means one thing to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedHost;

// === impl Host ===

impl Host {
    /// Parses a host without a port: a name, four plain decimals, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`MalformedHost`] for everything that two programs could read differently.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedHost> {
        if let Some(inner) = bytes.strip_prefix(b"[") {
            let inner = inner.strip_suffix(b"]").ok_or(MalformedHost)?;
            return parse_ipv6(inner).map(|ip| Self::Ip(canonical(ip)));
        }
        let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
        let last_label = check_name(bytes)?;
        let name = std::str::from_utf8(bytes).map_err(|_| MalformedHost)?.to_ascii_lowercase();
        if !is_number(name.get(last_label..).unwrap_or_default()) {
            return Ok(Self::Name(HostName(name.into_boxed_str())));
        }
        parse_ipv4(&name).map(|ip| Self::Ip(IpAddr::V4(ip)))
    }

    /// Whether these bytes are the one spelling of this host.
    #[must_use]
    pub fn is_spelled(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Name(name) => name.as_str().as_bytes() == bytes,
            Self::Ip(_) => false,
        }
    }

    /// The address, where the host is an IP literal.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.as_str()),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

// === impl HostName ===

impl HostName {
    /// The name, lower case, without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this host lies below `parent`, at any depth; a name does not lie below itself.
    #[must_use]
    pub fn is_below(&self, parent: &str) -> bool {
        // No label is empty, so something stands before that dot.
        self.0.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
    }

    /// Whether this host begins with the labels of `head` and goes on after them.
    #[must_use]
    pub fn begins_with(&self, head: &str) -> bool {
        self.0.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// An IPv4-mapped IPv6 address names the same machine as the IPv4 address inside.
pub(super) fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// What a byte is in a name: every request comes by here, byte by byte.
const IS_IN_LABEL: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    while let [byte, others @ ..] = rest {
        if let Some(slot) = table.split_at_mut(*byte as usize).1.first_mut() {
            *slot = true;
        }
        rest = others;
    }
    table
};

/// Checks alphabet and lengths of a dotted name; where its last label begins.
fn check_name(bytes: &[u8]) -> Result<usize, MalformedHost> {
    if bytes.is_empty() || bytes.len() > MAX_NAME {
        return Err(MalformedHost);
    }
    let mut label_start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if IS_IN_LABEL.get(usize::from(byte)) == Some(&true) {
            continue;
        }
        if byte != b'.' || at == label_start || at - label_start > MAX_LABEL {
            return Err(MalformedHost);
        }
        label_start = at + 1;
    }
    match bytes.len() - label_start {
        1..=MAX_LABEL => Ok(label_start),
        _ => Err(MalformedHost),
    }
}

/// Whether a resolver may take a name with this last label for a number (WHATWG URL, "ends in a number"): it is
/// decimal, or hexadecimal with `0x`.
fn is_number(label: &str) -> bool {
    if !label.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    if label.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Four plain decimals: no leading zeros (some resolvers read those as octal), no shorter forms.
fn parse_ipv4(name: &str) -> Result<Ipv4Addr, MalformedHost> {
    name.parse().map_err(|_| MalformedHost)
}

/// An IPv6 address without brackets; a zone (`%eth0`) is not part of a name that leaves the mesh.
fn parse_ipv6(bytes: &[u8]) -> Result<IpAddr, MalformedHost> {
    let text = std::str::from_utf8(bytes).map_err(|_| MalformedHost)?;
    text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| MalformedHost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, MalformedHost> {
        Host::parse(text.as_bytes()).map(|host| host.to_string())
    }

    #[test]
    fn one_spelling_for_each_host() {
        for (given, host) in [
            ("www.aliyun.com", "www.aliyun.com"),
            ("WWW.Aliyun.COM", "www.aliyun.com"),
            ("www.aliyun.com.", "www.aliyun.com"),
            ("a_b-c.example", "a_b-c.example"),
            ("localhost", "localhost"),
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4.", "1.2.3.4"),
            ("1.example", "1.example"),
            ("0xg.example", "0xg.example"),
            ("[::1]", "[::1]"),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
            ("[::ffff:10.0.0.1]", "10.0.0.1"),
            ("[::FFFF:0a00:0001]", "10.0.0.1"),
        ] {
            assert_eq!(parse(given).as_deref(), Ok(host), "{given}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let label = "a".repeat(64);
        let long = format!("{}.example", "a.".repeat(123));
        for given in [
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            "a b",
            "a%2eb",
            "ä.example",
            "a@b",
            "a/b",
            "a,b",
            "a:b",
            "2130706433",
            "0x7f.1",
            "127.1",
            "256.1.1.1",
            "0x7f000001",
            "1.2.3.4.5",
            "1.2.3.04",
            "010.0.0.1",
            "example.0x",
            "example.1",
            "a.0xff",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[::1]x",
            "[1.2.3.4]",
            "[::1%eth0]",
            "[::1%25eth0]",
            "[::1].",
            &label,
            &long,
        ] {
            assert_eq!(parse(given), Err(MalformedHost), "{given}");
        }
        assert_eq!(Host::parse(b"a\xff.example"), Err(MalformedHost));
        assert_eq!(Host::parse(b"a\0.example"), Err(MalformedHost));
    }

    #[test]
    fn the_longest_name_and_label_still_fit() {
        let label = "a".repeat(63);
        let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(name.len(), 253);
        assert_eq!(parse(&name).as_deref(), Ok(name.as_str()));
        assert_eq!(parse(&format!("{name}.")).as_deref(), Ok(name.as_str()));
        assert_eq!(parse(&format!("{name}a")), Err(MalformedHost));
    }
}
