//! Names, read the slow way: by characters and lists, from docs/language.md#2-who-is-asking and #3-what-is-asked-for.

/// An address; IPv4-mapped IPv6 addresses are IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ip {
    pub(crate) v4: bool,
    pub(crate) bits: u128,
}

/// A host in one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Name(Vec<String>),
    Ip(Ip),
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) domain: String,
    pub(crate) namespace: String,
    pub(crate) account: String,
}

pub(crate) fn is_trust_domain(text: &str) -> bool {
    let good = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
    !text.is_empty() && text.len() <= 255 && text.chars().all(|c| good.contains(c))
}

pub(crate) fn workload(bytes: &[u8]) -> Option<Workload> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    let parts: Vec<&str> = text.split('/').collect();
    let ["spiffe:", "", domain, "ns", namespace, "sa", account] = parts[..] else {
        return None;
    };
    let segment = |text: &str| {
        let good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
        !text.is_empty() && text != "." && text != ".." && text.chars().all(|c| good.contains(c))
    };
    let fits = text.len() <= 2048 && is_trust_domain(domain) && segment(namespace) && segment(account);
    fits.then(|| Workload {
        domain: domain.to_owned(),
        namespace: namespace.to_owned(),
        account: account.to_owned(),
    })
}

/// The host and the port, `Some(None)` where none is written.
pub(crate) fn authority(bytes: &[u8]) -> Option<(Host, Option<u16>)> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    // Outside of brackets the first colon begins the port.
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, after) = rest.split_once(']')?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (format!("[{inner}]"), port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => None,
        Some(digits) => {
            let number = decimal(digits)?;
            let port = u16::try_from(number).ok().filter(|port| *port > 0)?;
            Some(port)
        }
    };
    Some((self::host(host.as_bytes())?, port))
}

pub(crate) fn host(bytes: &[u8]) -> Option<Host> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        return ipv6(rest.strip_suffix(']')?).map(Host::Ip);
    }
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('.').unwrap_or(&text);
    let labels: Vec<String> = text.split('.').map(str::to_owned).collect();
    let good = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    let fits = text.len() <= 253
        && labels
            .iter()
            .all(|label| (1..=63).contains(&label.len()) && label.chars().all(|c| good.contains(c)));
    if !fits {
        return None;
    }
    let last = &labels[labels.len() - 1];
    let decimal = last.chars().all(|c| c.is_ascii_digit());
    let hexadecimal = last.starts_with("0x") && last[2..].chars().all(|c| c.is_ascii_hexdigit());
    if decimal || hexadecimal {
        return ipv4(text).map(Host::Ip);
    }
    Some(Host::Name(labels))
}

/// A decimal without leading zeros.
fn decimal(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.len() <= 5 && digits.chars().all(|c| c.is_ascii_digit());
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    digits.parse().ok()
}

fn ipv4(text: &str) -> Option<Ip> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() != 4 {
        return None;
    }
    let mut bits = 0_u128;
    for part in parts {
        let number = decimal(part).filter(|number| *number <= 255)?;
        bits = bits * 256 + u128::from(number);
    }
    Some(Ip { v4: true, bits })
}

fn ipv6(text: &str) -> Option<Ip> {
    let groups = |text: &str, last: bool| -> Option<Vec<u16>> {
        if text.is_empty() {
            return Some(Vec::new());
        }
        let parts: Vec<&str> = text.split(':').collect();
        let mut groups = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if last && at + 1 == parts.len() && part.contains('.') {
                let inside = ipv4(part)?.bits;
                groups.push(u16::try_from(inside >> 16).unwrap());
                groups.push(u16::try_from(inside & 0xffff).unwrap());
            } else if (1..=4).contains(&part.len()) && part.chars().all(|c| c.is_ascii_hexdigit()) {
                groups.push(u16::from_str_radix(part, 16).unwrap());
            } else {
                return None;
            }
        }
        Some(groups)
    };
    let all = match text.split_once("::") {
        None => groups(text, true)?,
        Some((head, tail)) => {
            let (head, tail) = (groups(head, false)?, groups(tail, true)?);
            let zeros = 8_usize.checked_sub(head.len() + tail.len()).filter(|zeros| *zeros > 0)?;
            [head, vec![0; zeros], tail].concat()
        }
    };
    if all.len() != 8 {
        return None;
    }
    let bits = all.iter().fold(0_u128, |bits, group| bits * 65536 + u128::from(*group));
    if bits >> 32 == 0xffff {
        return Some(Ip { v4: true, bits: bits & 0xffff_ffff });
    }
    Some(Ip { v4: false, bits })
}

/// An address as Envoy writes it, with a port or without.
pub(crate) fn address(bytes: &[u8]) -> Option<Ip> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once("]:")?;
        return is_port(port).then(|| ipv6(inner)).flatten();
    }
    if let Some((host, port)) = text.split_once(':')
        && let Some(ip) = ipv4(host)
    {
        return is_port(port).then_some(ip);
    }
    ipv4(&text).or_else(|| ipv6(&text))
}

fn is_port(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// `10.0.0.0/8`, or an address alone.
pub(crate) fn in_range(range: &str, ip: Ip) -> bool {
    let (base, prefix) = match range.split_once('/') {
        Some((base, prefix)) => (base, Some(prefix.parse::<u32>().unwrap())),
        None => (range, None),
    };
    let written_as_v4 = !base.contains(':');
    let base = ipv4(base).or_else(|| ipv6(base)).unwrap();
    let width = if base.v4 { 32 } else { 128 };
    let prefix = match prefix {
        None => width,
        // A range of IPv4-mapped addresses counts its prefix in 128 bits.
        Some(prefix) if base.v4 && !written_as_v4 => prefix - 96,
        Some(prefix) => prefix,
    };
    let shift = width - prefix;
    base.v4 == ip.v4 && (shift >= width || base.bits >> shift == ip.bits >> shift)
}

/// IANA's special-purpose registries (IPv4 and IPv6), multicast and Azure's host; the longest range that
/// holds an address decides.
const SPECIAL: &[(&str, bool)] = &[
    ("0.0.0.0/0", true),
    ("0.0.0.0/8", false),
    ("10.0.0.0/8", false),
    ("100.64.0.0/10", false),
    ("127.0.0.0/8", false),
    ("168.63.129.16/32", false),
    ("169.254.0.0/16", false),
    ("172.16.0.0/12", false),
    ("192.0.0.0/24", false),
    ("192.0.0.9/32", true),
    ("192.0.0.10/32", true),
    ("192.0.2.0/24", false),
    ("192.31.196.0/24", true),
    ("192.52.193.0/24", true),
    ("192.88.99.0/24", false),
    ("192.168.0.0/16", false),
    ("192.175.48.0/24", true),
    ("198.18.0.0/15", false),
    ("198.51.100.0/24", false),
    ("203.0.113.0/24", false),
    ("224.0.0.0/4", false),
    ("240.0.0.0/4", false),
    ("255.255.255.255/32", false),
    ("::/0", true),
    ("::1/128", false),
    ("::/128", false),
    // Of this block only the well-known NAT64 prefix is in use.
    ("64:ff9b::/32", false),
    ("100::/64", false),
    ("100:0:0:1::/64", false),
    ("2001::/23", false),
    ("2001::/32", false),
    ("2001:1::1/128", true),
    ("2001:1::2/128", true),
    ("2001:1::3/128", true),
    ("2001:2::/48", false),
    ("2001:3::/32", true),
    ("2001:4:112::/48", true),
    ("2001:10::/28", false),
    ("2001:20::/28", true),
    ("2001:30::/28", true),
    ("2001:db8::/32", false),
    ("2002::/16", false),
    ("2620:4f:8000::/48", true),
    ("3fff::/20", false),
    ("5f00::/16", false),
    ("fc00::/7", false),
    ("fe80::/10", false),
    ("fec0::/10", false),
    ("ff00::/8", false),
];

pub(crate) fn is_global(ip: Ip) -> bool {
    // NAT64, IPv4-compatible and IPv4-translated forms are as global as the address inside.
    let inside = Ip { v4: true, bits: ip.bits & 0xffff_ffff };
    if !ip.v4 && ["64:ff9b::/96", "::/96", "::ffff:0:0:0/96"].iter().any(|range| in_range(range, ip)) {
        return is_global(inside);
    }
    let prefix = |range: &str| range.split_once('/').unwrap().1.parse::<u32>().unwrap();
    let holds = SPECIAL.iter().filter(|(range, _)| in_range(range, ip));
    holds.max_by_key(|(range, _)| prefix(range)).unwrap().1
}

/// `outbound_.<digits>_.<subset>_.<service>.<namespace>.svc.<domain>`.
pub(crate) fn is_generated(sni: &[u8]) -> bool {
    let Ok(text) = String::from_utf8(sni.to_vec()) else {
        return false;
    };
    let parts: Vec<&str> = text.splitn(4, "_.").collect();
    let ["outbound", digits, subset, host] = parts[..] else {
        return false;
    };
    let labels: Vec<&str> = host.split('.').collect();
    let label = |text: &&str| {
        let inner = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        inner && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
    };
    !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit())
        && subset.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && labels.len() >= 4
        && labels[2] == "svc"
        && labels.iter().all(label)
}
