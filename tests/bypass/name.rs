//! Which host an authority names, read by others than the filter: a library of WHATWG's standard, and RFC 3986 by its letter.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The refused host, in its two forms.
pub(crate) const REFUSED: &str = "refused.example.com";
pub(crate) const REFUSED_IP: Ipv4Addr = Ipv4Addr::new(93, 184, 215, 14);

/// Whether anybody reads the refused host there, and who.
pub(crate) fn names_refused(authority: &str) -> Option<&'static str> {
    if by_whatwg(authority) {
        Some("WHATWG")
    } else if by_rfc3986(authority, true) {
        Some("RFC 3986")
    } else {
        by_rfc3986(authority, false).then_some("a lenient reader")
    }
}

/// As a browser reads it.
fn by_whatwg(authority: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{authority}/")) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => is_refused_name(name),
        Some(Host::Ipv4(ip)) => ip == REFUSED_IP,
        Some(Host::Ipv6(ip)) => is_refused_ipv6(ip),
        None => false,
    }
}

/// Userinfo ends at the last `@`, the host at the next `:`; percent triplets are decoded, letters folded. Strictly, a port is
/// digits; leniently, it is whatever is there.
fn by_rfc3986(authority: &str, strict: bool) -> bool {
    let authority = authority.trim();
    let authority = authority.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host_port = authority.rsplit('@').next().unwrap_or_default();
    if let Some(inside) = host_port.strip_prefix('[') {
        let ip = inside.split_once(']').and_then(|(ip, _)| ip.parse().ok());
        return ip.is_some_and(is_refused_ipv6);
    }
    let (host, port) = host_port.split_once(':').unwrap_or((host_port, ""));
    if strict && !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let host = percent_decoded(host);
    is_refused_name(&host) || host.trim_end_matches('.').parse() == Ok(REFUSED_IP)
}

/// In DNS, the name with a dot at its end is the same.
fn is_refused_name(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(REFUSED)
}

/// What a socket makes of an IPv4 address in an IPv6 one.
fn is_refused_ipv6(ip: Ipv6Addr) -> bool {
    ip.to_ipv4_mapped() == Some(REFUSED_IP)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let decoded = (*first == b'%')
            .then(|| {
                after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok())
            })
            .flatten();
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
