//! `:authority`, or the `Host` header of HTTP/1: a host and, perhaps, a port.

use super::host::Host;
use std::fmt;

/// What the client asked for: a host and the port where it wrote one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    host: Host,
    port: Option<u16>,
}

/// The authority does not name one host that everybody would agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedAuthority;

impl Authority {
    /// The port that a request means where `:authority` names none.
    pub const DEFAULT_PORT: u16 = 80;

    /// Splits off the port and puts the host into its one spelling.
    ///
    /// # Errors
    /// [`MalformedAuthority`] for userinfo, percent signs, non-ASCII, an empty host, a port that is empty,
    /// zero, too large or padded with zeros, and every host that [`Host::parse`] refuses.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedAuthority> {
        let (host, port) = split_port(bytes)?;
        let host = Host::parse(host).map_err(|_| MalformedAuthority)?;
        Ok(Self { host, port })
    }

    /// What stands before the port, in one spelling.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The host, and the port as [`Authority::effective_port`] tells it.
    #[must_use]
    pub fn into_host_and_port(self) -> (Host, u16) {
        let port = self.effective_port();
        (self.host, port)
    }

    /// The port as written, if one was written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port that a pattern such as `example.com:8443` is compared with.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(Self::DEFAULT_PORT)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

/// The host's bytes and the port; a colon inside the brackets of an IPv6 address is not a port's.
fn split_port(bytes: &[u8]) -> Result<(&[u8], Option<u16>), MalformedAuthority> {
    let bracket = match bytes.first() {
        Some(b'[') => bytes.iter().rposition(|&byte| byte == b']').unwrap_or(0),
        _ => 0,
    };
    let behind = bytes.get(bracket..).unwrap_or_default();
    let Some(colon) = behind.iter().position(|&byte| byte == b':').map(|at| at + bracket) else {
        return Ok((bytes, None));
    };
    let (host, rest) = bytes.split_at_checked(colon).ok_or(MalformedAuthority)?;
    let digits = rest.strip_prefix(b":").ok_or(MalformedAuthority)?;
    parse_port(digits).map(|port| (host, Some(port)))
}

fn parse_port(digits: &[u8]) -> Result<u16, MalformedAuthority> {
    // "+80" and "0080" parse as numbers in most languages, and not in all of them to the same one.
    if digits.first().is_none_or(|&first| !(b'1'..=b'9').contains(&first)) {
        return Err(MalformedAuthority);
    }
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(MalformedAuthority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_split_off() {
        for (given, host, port) in [
            ("www.aliyun.com", "www.aliyun.com", None),
            ("www.aliyun.com:80", "www.aliyun.com", Some(80)),
            ("WWW.aliyun.com.:8080", "www.aliyun.com", Some(8080)),
            ("10.0.0.1:65535", "10.0.0.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[::1]:443", "[::1]", Some(443)),
            ("[::ffff:10.0.0.1]:443", "10.0.0.1", Some(443)),
        ] {
            let parsed = Authority::parse(given.as_bytes()).unwrap();
            assert_eq!(parsed.host().to_string(), host, "{given}");
            assert_eq!(parsed.port(), port, "{given}");
        }
        assert_eq!(Authority::parse(b"a.example").unwrap().effective_port(), 80);
        assert_eq!(Authority::parse(b"a.example:81").unwrap().effective_port(), 81);
    }

    #[test]
    fn a_bad_port_or_userinfo_is_malformed() {
        for given in [
            "",
            ":80",
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:99999999999",
            "a.example:+80",
            "a.example:0080",
            "a.example:80:80",
            "a.example:8 0",
            "a.example:http",
            "user@a.example",
            "user:pw@a.example",
            "a.example:80@b.example",
            "::1",
            "[::1",
            "[::1]:",
            "[::1]80",
            "a]:80",
            "http://a",
        ] {
            assert_eq!(Authority::parse(given.as_bytes()), Err(MalformedAuthority), "{given}");
        }
        assert_eq!(Authority::parse(b"a.example:8\xff"), Err(MalformedAuthority));
    }
}
