//! What a fuzzer may throw bytes at, each target with its own idea of what is right.

use crate::generate::{self, Source};
use crate::oracle;
use crate::oracle::names;
use crate::support::{Begin, Request, engine, http, said_by, tls};
use egress_policy::names::{Authority, Host, ServerName, SpiffeId, is_global, parse_address};
use egress_policy::patterns::{HostPattern, PathPattern};
use egress_policy::{
    Config, Engine, HandshakeWatch, HelloReader, MAX_HELLO, Opening, PathReadings, Progress, Protocol,
    Readings, Truth, Watched,
};
use serde_json::Value;
use std::net::IpAddr;

/// Panics where its input shows a fault.
pub type Target = fn(&[u8]);

/// The targets by name, which is also the folder of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("authority", authority),
    ("configuration", configuration),
    ("decision", decision),
    ("handshake", handshake),
    ("hello", hello),
    ("host_pattern", host_pattern),
    ("path_template", path_template),
    ("spiffe_id", spiffe_id),
];

/// Any bytes as a configuration: an answer, never a panic, the same one twice; and what is accepted
/// decides, and means the same with its keys in another order.
pub fn configuration(data: &[u8]) {
    let parsed = Config::parse(data);
    assert_eq!(parsed, Config::parse(data), "the same bytes, another answer");
    let config = match parsed {
        Ok(config) => config,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            assert!(errors.iter().all(|error| !error.message().is_empty()), "{errors:?}");
            return;
        }
    };
    if let Ok(sorted) = serde_json::from_slice::<Value>(data) {
        assert_eq!(Config::parse(sorted.to_string().as_bytes()), Ok(config.clone()));
    }
    let engine = Engine::new(config);
    for host in ["a.example", "10.0.0.1", "127.1"] {
        let request = match engine.settings().protocol {
            Protocol::Http => http("a/x", host),
            Protocol::Network => tls("a/x", host),
        };
        said_by(&engine, &request);
        said_by(&engine, &request.anonymous());
    }
}

/// Any bytes as an authority, an address or a server name, beside a second reading of docs/language.md#3-what-is-asked-for.
pub fn authority(data: &[u8]) {
    let ours = Authority::parse(data).ok();
    let theirs = names::authority(data);
    assert_eq!(ours.as_ref().map(|ours| (host(ours.host()), ours.port())), theirs);
    if let Some(ours) = ours {
        let again = Authority::parse(ours.to_string().as_bytes());
        assert_eq!(again, Ok(ours), "one spelling");
    }
    assert_eq!(Host::parse(data).ok().as_ref().map(host), names::host(data));
    // Zones are known to Rust, and Envoy writes none.
    if !data.contains(&b'%') {
        let ours = parse_address(data);
        assert_eq!(ours.map(ip), names::address(data));
        if let Some(address) = ours {
            assert_eq!(is_global(address), names::is_global(ip(address)), "{address}");
        }
    }
    assert_eq!(ServerName::parse(data) == ServerName::Generated, names::is_generated(data));
}

fn host(host: &Host) -> names::Host {
    match host {
        Host::Name(name) => names::Host::Name(name.as_str().split('.').map(str::to_owned).collect()),
        Host::Ip(address) => names::Host::Ip(ip(*address)),
    }
}

fn ip(address: IpAddr) -> names::Ip {
    match address {
        IpAddr::V4(address) => names::Ip { v4: true, bits: u32::from(address).into() },
        IpAddr::V6(address) => names::Ip { v4: false, bits: address.into() },
    }
}

/// Any bytes as an identity, beside the crate `spiffe`: ours are those of its identities that have Istio's
/// form and are written in their one spelling.
pub fn spiffe_id(data: &[u8]) {
    let theirs = std::str::from_utf8(data).ok().and_then(|text| {
        let id = spiffe::SpiffeId::new(text).ok()?;
        let parts: Vec<&str> = id.path().split('/').collect();
        let ["", "ns", namespace, "sa", account] = parts[..] else {
            return None;
        };
        let domain = id.trust_domain_name();
        // The crate folds the case of the domain, and measures the length (SPIFFE-ID, 2.3) elsewhere.
        let canonical = text == format!("spiffe://{domain}{}", id.path()) && text.len() <= 2048;
        canonical.then(|| (domain.to_owned(), namespace.to_owned(), account.to_owned()))
    });
    let ours = SpiffeId::parse(data).ok().map(|id| {
        assert_eq!(id.to_string().as_bytes(), data);
        (id.trust_domain().to_owned(), id.namespace().to_owned(), id.service_account().to_owned())
    });
    assert_eq!(ours, theirs);
    let naive = names::workload(data).map(|id| (id.domain, id.namespace, id.account));
    assert_eq!(naive, theirs);
}

/// `<pattern> NUL <path>`.
pub fn path_template(data: &[u8]) {
    let Some((pattern, path)) = pattern_and_value(data) else {
        return;
    };
    path_readings(path);
    if let Ok(parsed) = PathPattern::parse(pattern) {
        assert_eq!(parsed.matches(path), truth(oracle::patterns::path(pattern, path)), "{pattern}");
    }
}

/// `<pattern> NUL <host>`.
pub fn host_pattern(data: &[u8]) {
    let Some((pattern, value)) = pattern_and_value(data) else {
        return;
    };
    let parsed = match HostPattern::parse(pattern) {
        Ok(parsed) => parsed,
        Err(fault) => {
            // A repair that is a pattern is a good one.
            let repair = fault.repair().and_then(|text| text.strip_prefix("write `")?.strip_suffix('`'));
            assert!(repair.is_none_or(|repair| HostPattern::parse(repair).is_ok()), "{fault}");
            return;
        }
    };
    let Ok(asked) = Authority::parse(value) else {
        return;
    };
    for port in [None, Some(80), asked.port()] {
        let theirs = oracle::patterns::host(pattern, &host(asked.host()), port);
        assert_eq!(parsed.matches(asked.host(), port), truth(theirs), "{pattern} {port:?}");
    }
    let again = HostPattern::parse(&parsed.to_string());
    assert_eq!(again, Ok(parsed), "one spelling");
}

/// Short ones, for the oracle tries every way to match.
fn pattern_and_value(data: &[u8]) -> Option<(&str, &[u8])> {
    let at = data.iter().position(|byte| *byte == 0)?;
    let (pattern, value) = (std::str::from_utf8(&data[..at]).ok()?, &data[at + 1..]);
    (pattern.len() <= 200 && value.len() <= 400).then_some((pattern, value))
}

/// The readings of any bytes as a path, beside a second reader.
fn path_readings(path: &[u8]) {
    let mut ours = match Readings::of(path, PathReadings::All) {
        Readings::AsWritten => Some(vec![]),
        Readings::Others(others) => Some(others),
        Readings::Unclear => None,
    };
    if let Some(readings) = &mut ours {
        readings.sort_unstable();
    }
    let theirs = oracle::paths::readings(path)
        .map(|readings| readings.into_iter().filter(|reading| reading != path).collect::<Vec<_>>());
    assert_eq!(ours, theirs, "{}", path.escape_ascii());
}

fn truth(naive: u8) -> Truth {
    match naive {
        0 => Truth::False,
        1 => Truth::Unknown,
        _ => Truth::True,
    }
}

/// Any bytes as the beginning of a connection. The first byte says in which pieces they arrive, which must
/// not matter; and a ClientHello is one exactly where a second reading finds it.
pub fn hello(data: &[u8]) {
    let Some((&pieces, data)) = data.split_first() else {
        return;
    };
    let read = |pieces: usize| {
        let mut reader = HelloReader::default();
        let mut progress = Progress::More;
        for piece in data.chunks(pieces) {
            progress = reader.push(piece);
            if progress != Progress::More {
                break;
            }
            assert!(reader.seen() < MAX_HELLO + 5, "a hello of no limit");
        }
        progress
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(usize::from(pieces).max(1)), "in pieces of {pieces}");
    let ours = match whole {
        Progress::Done(Opening::Tls { server_name, encrypted }) => Some((server_name, encrypted)),
        Progress::Done(Opening::Plain) => {
            assert!(!oracle::hello::could_be_tls(data), "this is TLS");
            None
        }
        Progress::Done(Opening::Broken(_)) | Progress::More => None,
    };
    assert_eq!(ours, oracle::hello::client_hello(data));
}

/// `<pieces> <when the site speaks> <length of the client's bytes, two> <the client's> <the site's>` behind a first ClientHello
/// for `a.example`: alike in any pieces, and no whole ClientHello for another host passes before the site has answered.
pub fn handshake(data: &[u8]) {
    let Some((&[pieces, when, high, low], data)) = data.split_first_chunk::<4>() else {
        return;
    };
    let (client, site) =
        data.split_at_checked(usize::from(u16::from_be_bytes([high, low]))).unwrap_or((data, &[]));
    let (before, after) = client.split_at(client.len() * usize::from(when) / 255);
    let first = (Some(b"a.example".to_vec()), false);
    let watch = |pieces: usize| {
        let opening = Opening::Tls { server_name: first.0.clone(), encrypted: first.1 };
        let mut watch = HandshakeWatch::new(opening);
        let mut last = Watched::Pass;
        for piece in before.chunks(pieces) {
            last = watch.client(piece);
        }
        assert!(!watch.is_past(), "past without the site");
        for piece in site.chunks(pieces) {
            watch.site(piece);
        }
        let unanswered = last;
        for piece in after.chunks(pieces) {
            last = watch.client(piece);
        }
        (unanswered, last, watch.is_past())
    };
    let (unanswered, last, is_past) = watch(data.len().max(1));
    assert_eq!((unanswered, last, is_past), watch(usize::from(pieces).max(1)), "in pieces of {pieces}");
    if let Watched::Refuse(_) = unanswered {
        assert_eq!(last, unanswered, "refused is refused");
        return;
    }
    // Nothing is wrong with what passes.
    let hellos = oracle::hello::further_hellos(before).unwrap();
    assert!(hellos.iter().all(|hello| *hello == first), "{hellos:?} passed");
}

/// A configuration and requests out of bytes, beside the oracle.
pub fn decision(data: &[u8]) {
    let (config, requests) = scene(data);
    let engine = engine(&config);
    for request in &requests {
        assert_eq!(said_by(&engine, request), oracle::decide(&config, request), "{config:#}\n{request:#?}");
    }
}

/// A configuration and three requests for it. The requests come first: where the bytes run out, it is the
/// policies that grow simple.
pub fn scene(bytes: &[u8]) -> (Value, Vec<Request>) {
    let source = &mut Source::new(bytes);
    let protocol = if source.chance(50) { "NETWORK" } else { "HTTP" };
    let requests: Vec<_> = (0..3).map(|_| generate::request(source, protocol)).collect();
    debug_assert!(requests.iter().all(|r| (r.begin == Begin::Http) == (protocol == "HTTP")));
    (generate::config(source, protocol), requests)
}
