//! Patterns in `hosts`: whole labels only, and perhaps a port.

use crate::Fault;
use crate::names::{Host, HostName};
use crate::truth::Truth;
use std::fmt;
use std::net::IpAddr;

/// One entry of `hosts` or `notHosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    shape: HostShape,
    port: PortPattern,
}

/// Which hosts a pattern covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostShape {
    /// `*`: any host, IP literals included.
    Any,
    /// `*.example.com`: any name below, at any depth, and not the name itself.
    Below(Box<str>),
    /// `example.*`: any name that begins with these labels and goes on.
    BeginsWith(Box<str>),
    /// The very host.
    Exact(Host),
}

/// Which ports a pattern covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortPattern {
    /// No port written, or `:*`.
    Any,
    /// That port only.
    Only(u16),
}

impl HostPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Whatever would match nothing, or something else than it seems to say.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        refuse_what_is_no_host(text)?;
        let (host, port) = split_port(text)?;
        let host = host.to_ascii_lowercase();
        Ok(Self { shape: HostShape::parse(&host, text)?, port })
    }

    /// Which hosts the pattern covers.
    #[must_use]
    pub fn shape(&self) -> &HostShape {
        &self.shape
    }

    /// Which ports the pattern covers.
    #[must_use]
    pub fn port(&self) -> PortPattern {
        self.port
    }

    /// Whether the pattern covers `host`; `port` is `None` where the protocol cannot know it.
    #[must_use]
    pub fn matches(&self, host: &Host, port: Option<u16>) -> Truth {
        Truth::from(self.shape.matches(host)).and_then(|| self.port.matches(port))
    }

    /// Whether the pattern names the very literal `ip` rather than covering it by a wildcard.
    #[must_use]
    pub fn names_literal(&self, ip: IpAddr) -> bool {
        matches!(&self.shape, HostShape::Exact(Host::Ip(named)) if *named == ip)
    }
}

/// The pattern in its one spelling.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shape {
            HostShape::Any => f.write_str("*")?,
            HostShape::Below(parent) => write!(f, "*.{parent}")?,
            HostShape::BeginsWith(head) => write!(f, "{head}.*")?,
            HostShape::Exact(host) => host.fmt(f)?,
        }
        match self.port {
            PortPattern::Any => Ok(()),
            PortPattern::Only(port) => write!(f, ":{port}"),
        }
    }
}

impl HostShape {
    fn parse(host: &str, written: &str) -> Result<Self, Fault> {
        if host == "*" {
            return Ok(Self::Any);
        }
        let stars = host.matches('*').count();
        if stars == 0 {
            return Host::parse(host.as_bytes())
                .map(Self::Exact)
                .map_err(|_| explain_bad_host(host, written));
        }
        if stars == 1
            && let Some(below) = host.strip_prefix("*.")
        {
            return parse_labels(below, written).map(|name| Self::Below(name.as_str().into()));
        }
        if stars == 1
            && let Some(head) = host.strip_suffix(".*")
        {
            return parse_head(head).map(Self::BeginsWith);
        }
        let what = "a `*` stands for whole labels, first or last, and only once";
        Err(match (stars, host.starts_with('*'), host.ends_with('*')) {
            (1, true, _) => write_instead(what, &written.replacen('*', "*.", 1)),
            (1, _, true) => write_instead(what, &written.replacen('*', ".*", 1)),
            _ => Fault::new(what),
        })
    }

    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Below(parent), Host::Name(name)) => name.is_below(parent),
            (Self::BeginsWith(head), Host::Name(name)) => name.begins_with(head),
            (Self::Exact(named), host) => named == host,
            (Self::Below(_) | Self::BeginsWith(_), Host::Ip(_)) => false,
        }
    }
}

impl PortPattern {
    fn matches(self, port: Option<u16>) -> Truth {
        match (self, port) {
            (Self::Any, _) => Truth::True,
            (Self::Only(_), None) => Truth::Unknown,
            (Self::Only(wanted), Some(port)) => Truth::from(wanted == port),
        }
    }
}

/// The mistakes that deserve their own words: a URL, a path, userinfo, a name in Unicode.
fn refuse_what_is_no_host(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::empty());
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let what = format!("a host pattern has no scheme (`{scheme}://`)");
        return Err(write_instead(what, host));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Err(write_instead("a host pattern has no path (that belongs into `paths`)", host));
    }
    if let Some((_, host)) = text.rsplit_once('@') {
        return Err(write_instead("a host pattern has no userinfo", host));
    }
    if !text.is_ascii() {
        return Err(Fault::with_repair("not ASCII; requests carry the punycode form", punycode_repair(text)));
    }
    Ok(())
}

/// What is wrong, with the pattern to write instead where that is one.
fn write_instead(what: impl Into<String>, pattern: &str) -> Fault {
    match HostPattern::parse(pattern) {
        Ok(_) => Fault::with_repair(what, format!("write `{pattern}`")),
        Err(_) => Fault::new(what),
    }
}

/// The punycode form of a name in Unicode, by the tables of IDNA.
#[cfg(feature = "idna")]
fn punycode_repair(text: &str) -> String {
    let (star, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
    match idna::domain_to_ascii(name).map(|ascii| format!("{star}{ascii}")) {
        Ok(ascii) if HostPattern::parse(&ascii).is_ok() => format!("write `{ascii}`"),
        _ => "write its punycode form (`xn--…`)".to_owned(),
    }
}

/// The tables of IDNA weigh more than the whole filter, so there the form is not computed.
#[cfg(not(feature = "idna"))]
fn punycode_repair(_: &str) -> String {
    "write its punycode form (`xn--…`)".to_owned()
}

/// Splits `:8443` or `:*` off; a colon inside brackets is part of the address.
fn split_port(text: &str) -> Result<(&str, PortPattern), Fault> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Ok((text, PortPattern::Any));
    };
    if port.contains(']') {
        return Ok((text, PortPattern::Any));
    }
    if host.contains(':') && !host.starts_with('[') {
        let is_address = text.parse::<std::net::Ipv6Addr>().is_ok();
        return Err(if is_address {
            Fault::with_repair("an IPv6 address stands in brackets", format!("write `[{text}]`"))
        } else {
            Fault::new("more than one `:`")
        });
    }
    if port == "*" {
        return Ok((host, PortPattern::Any));
    }
    match port.parse::<u16>() {
        Ok(number) if !port.starts_with(['+', '0']) => Ok((host, PortPattern::Only(number))),
        _ => Err(Fault::new(format!("`{port}` is not a port: a number from 1 to 65535, or `*`"))),
    }
}

/// The labels that a wildcard stands in front of.
fn parse_labels(labels: &str, written: &str) -> Result<HostName, Fault> {
    match Host::parse(labels.as_bytes()) {
        Ok(Host::Name(name)) => Ok(name),
        Ok(Host::Ip(_)) => Err(Fault::new(
            "only the bare `*` and the literal itself match an IP address; name the address, or use `ports`",
        )),
        Err(_) => Err(Fault::new(format!("`{written}` can match no host"))),
    }
}

/// The labels that `.*` follows; they need not be able to stand alone (`1.*` aside).
fn parse_head(head: &str) -> Result<Box<str>, Fault> {
    if head.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit())) {
        return Err(Fault::new(
            "only the bare `*` and the literal itself match an IP address; name the address, or use `ports`",
        ));
    }
    // Whatever follows ends the name, so the head alone may end in a number.
    let probe = format!("{head}.x");
    match Host::parse(probe.as_bytes()) {
        Ok(Host::Name(_)) => Ok(head.into()),
        _ => Err(Fault::new(format!("`{head}.*` can match no host"))),
    }
}

fn explain_bad_host(host: &str, written: &str) -> Fault {
    if host.contains(',') && host.split(',').all(|part| Host::parse(part.trim().as_bytes()).is_ok()) {
        return Fault::with_repair("several hosts in one string", "write each as an entry of its own");
    }
    if host.starts_with('.') {
        return write_instead("a host does not begin with a dot", &format!("*{written}"));
    }
    if host
        .rsplit('.')
        .next()
        .is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
    {
        return Fault::new("an IPv4 address is four plain decimals");
    }
    Fault::new("not a host: letters, digits, `-`, `_` and dots, or an IPv6 address in brackets")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str, port: Option<u16>) -> Truth {
        let host = Host::parse(host.as_bytes()).unwrap();
        HostPattern::parse(pattern).unwrap().matches(&host, port)
    }

    #[test]
    fn shapes() {
        use Truth::{False, True};
        for (pattern, host, expected) in [
            ("*", "www.example.com", True),
            ("*", "10.0.0.1", True),
            ("*", "[::1]", True),
            ("*.example.com", "www.example.com", True),
            ("*.example.com", "a.b.example.com", True),
            ("*.example.com", "example.com", False),
            ("*.example.com", "badexample.com", False),
            ("*.Example.COM.", "www.example.com", True),
            ("*.com", "example.com", True),
            ("example.*", "example.com", True),
            ("example.*", "example.co.uk", True),
            ("example.*", "example", False),
            ("example.*", "examples.com", False),
            ("example.*", "www.example.com", False),
            ("www.example.*", "www.example.com", True),
            ("1.www.*", "1.www.com", True),
            ("www.example.com", "www.example.com", True),
            ("WWW.example.com.", "www.example.com", True),
            ("www.example.com", "example.com", False),
            ("10.0.0.1", "10.0.0.1", True),
            ("[::ffff:10.0.0.1]", "10.0.0.1", True),
            ("[2001:DB8::1]", "[2001:db8:0::1]", True),
            ("*.1.example", "10.0.0.1", False),
        ] {
            assert_eq!(matches(pattern, host, Some(80)), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn ports() {
        use Truth::{False, True, Unknown};
        for (pattern, port, expected) in [
            ("a.example", Some(80), True),
            ("a.example", Some(8080), True),
            ("a.example", None, True),
            ("a.example:*", Some(8080), True),
            ("a.example:*", None, True),
            ("a.example:8080", Some(8080), True),
            ("a.example:8080", Some(80), False),
            ("a.example:8080", None, Unknown),
            ("b.example:8080", None, False),
            ("*.example:8080", Some(8080), True),
            ("*:8080", Some(8080), True),
            ("*:8080", Some(80), False),
            ("a.*:8080", Some(8080), True),
        ] {
            assert_eq!(matches(pattern, "a.example", port), expected, "{pattern} {port:?}");
        }
        assert_eq!(matches("[::1]:443", "[::1]", Some(443)), True);
        assert_eq!(matches("[::1]:443", "[::1]", Some(80)), False);
    }

    #[test]
    fn one_spelling() {
        for (written, shown) in [
            ("*", "*"),
            ("*:8443", "*:8443"),
            ("*.Example.com.", "*.example.com"),
            ("example.*:*", "example.*"),
            ("WWW.example.com.:80", "www.example.com:80"),
            ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
        ] {
            assert_eq!(HostPattern::parse(written).unwrap().to_string(), shown, "{written}");
        }
    }

    #[test]
    fn a_literal_is_named_only_by_itself() {
        let ip = "169.254.169.254".parse().unwrap();
        for (pattern, named) in [
            ("169.254.169.254", true),
            ("169.254.169.254:80", true),
            ("[::ffff:169.254.169.254]", true),
            ("*", false),
            ("169.254.169.253", false),
        ] {
            assert_eq!(HostPattern::parse(pattern).unwrap().names_literal(ip), named, "{pattern}");
        }
    }
}
