//! Audit lines: what the filter writes into Envoy's log, known by the logger's prefix and by nothing in the JSON behind it.

use super::record;
use super::refusal::{Refusal, inside};
use crate::request::Request;
use egress_policy::config::{Json, Object};
use serde::Deserialize;

/// What the wasm logger wrote for the plugin.
#[derive(Debug)]
pub(super) enum AuditLine {
    Request(Box<Request>, Option<Refusal>),
    /// So many requests had no line of their own.
    Suppressed(u64),
    /// It is ours and cannot be read.
    Unreadable,
    /// The same logger, a plugin of another name.
    OtherPlugin,
}

/// The name that the filter's plugins have unless somebody chose another.
const NAME: &str = "egress-authz";

/// The fields of a line that say something about its request.
#[derive(Deserialize)]
struct Line {
    verdict: String,
    reason: String,
    #[serde(rename = "type")]
    protocol: String,
    principal: Option<String>,
    host: Option<String>,
    sni: Option<String>,
    method: Option<String>,
    port: Option<u16>,
    source: Option<String>,
    /// There only where the client speaks TLS itself.
    encrypted_client_hello: Option<bool>,
}

/// A line of Envoy's log in text, of Envoy's own format, Istio's, or one of `--log-format`:
///
/// ```text
/// [2026-11-21 10:00:00.000][12][warning][wasm] [source/extensions/common/wasm/context.cc:1195] wasm log egress-authz: {…}
/// 2026-11-21T10:00:00.000000Z  warning  envoy wasm external/…/context.cc:1195  wasm log istio-system.egress-authz: {…}  thread=25
/// warning wasm wasm log egress-authz: {…}
/// ```
///
/// In front of the message stand time, thread, level, logger and place, each in words of its own and once; the logger is `wasm`.
pub(super) fn in_text(line: &str, plugin: Option<&str>) -> Option<AuditLine> {
    let (prefix, message) = line.split_at_checked(line.find("wasm log ")?)?;
    let mut seen = Vec::new();
    for word in prefix.split([' ', '\t', '[', ']']).filter(|word| !word.is_empty()) {
        let part = Part::of(word).filter(|part| !seen.contains(part))?;
        seen.push(part);
    }
    let is_once =
        !(seen.contains(&Part::Instant) && (seen.contains(&Part::Date) || seen.contains(&Part::Time)));
    (is_once && seen.contains(&Part::Logger)).then(|| in_message(message, plugin)).flatten()
}

/// What stands in front of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Date,
    Time,
    /// Both in one word.
    Instant,
    Thread,
    Level,
    /// Istio writes `envoy wasm`.
    Envoy,
    Logger,
    Place,
}

impl Part {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "trace" | "debug" | "info" | "warning" | "warn" | "error" | "critical" => Self::Level,
            "envoy" => Self::Envoy,
            "wasm" => Self::Logger,
            _ if word.rsplit_once(".cc:").is_some_and(|(_, line)| is_made_of(line, "")) => Self::Place,
            _ if is_made_of(word, "") => Self::Thread,
            _ if is_made_of(word, "-") => Self::Date,
            _ if is_made_of(word, ":.") => Self::Time,
            _ if is_instant(word) => Self::Instant,
            _ => return None,
        })
    }
}

/// The logger's own time: Istio's has microseconds and a `Z`. An access log's, to the millisecond with a `Z`, is none.
fn is_instant(word: &str) -> bool {
    let fraction = word.split_once('.').map(|(_, fraction)| fraction).unwrap_or_default();
    let is_access_log = word.ends_with('Z') && fraction.len() != "123456Z".len();
    word.contains('T') && is_made_of(word, "-:.TZ+") && !is_access_log
}

/// A line of Envoy's log in JSON, as Istio writes it: the logger has a field of its own.
pub(super) fn in_object(object: &Object, plugin: Option<&str>) -> Option<AuditLine> {
    let is_wasm = matches!(object.get("scope"), Some(Json::Text(scope)) if &**scope == "envoy wasm");
    match object.get("msg") {
        Some(Json::Text(message)) if is_wasm => in_message(message, plugin),
        _ => None,
    }
}

/// Digits, and a few characters more.
fn is_made_of(text: &str, more: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_digit() || more.contains(character))
}

/// `wasm log NAME…: JSON`, and what Istio's text format has behind it.
fn in_message(message: &str, plugin: Option<&str>) -> Option<AuditLine> {
    let (names, rest) = message.strip_prefix("wasm log ")?.split_once(": ")?;
    let is_ours = match plugin {
        Some(plugin) => names.split(' ').any(|name| name == plugin),
        // Istio writes `<namespace>.<name>`, and `~…` behind the name of what it translated.
        None => names.split(' ').any(|name| {
            let name = name.rsplit('.').next().unwrap_or(name);
            name == NAME || name.strip_prefix(NAME).is_some_and(|rest| rest.starts_with(['-', '~']))
        }),
    };
    if !is_ours {
        return Some(AuditLine::OtherPlugin);
    }
    // What the filter says of its configuration is text.
    let json = rest.strip_prefix('{').map(|_| without_thread(rest.trim_end()))?;
    Some(record::parse(json).map_or(AuditLine::Unreadable, |object| read(&object, json)))
}

fn without_thread(text: &str) -> &str {
    match text.rsplit_once(['\t', ' ']) {
        Some((rest, thread)) if thread.strip_prefix("thread=").is_some_and(|id| is_made_of(id, "")) => {
            rest.trim_end()
        }
        _ => text,
    }
}

fn read(object: &Object, json: &str) -> AuditLine {
    if let Some(Json::List(namespaces)) = object.get("suppressed") {
        let lines = namespaces.iter().filter_map(|entry| match entry {
            Json::Object(entry) => entry.get("lines"),
            _ => None,
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of a second's lines"
        )]
        let count = |lines: &Json| if let Json::Number(lines) = lines { *lines as u64 } else { 0 };
        return AuditLine::Suppressed(lines.map(count).fold(0, u64::saturating_add));
    }
    let Ok(line) = serde_json::from_str::<Line>(json) else {
        return AuditLine::Unreadable;
    };
    let refusal = match line.verdict.as_str() {
        "allow" | "would_allow" => None,
        "deny" | "would_deny" => {
            Some(Refusal::of_ours(inside(&line.reason, "recheck[").unwrap_or(&line.reason)))
        }
        _ => return AuditLine::Unreadable,
    };
    match request(line) {
        Some(request) => AuditLine::Request(Box::new(request), refusal),
        None => AuditLine::Unreadable,
    }
}

fn request(line: Line) -> Option<Request> {
    let network = match line.protocol.as_str() {
        "HTTP" => false,
        "NETWORK" => true,
        _ => return None,
    };
    let (host, port) = match (line.host, network) {
        // On HTTP the port is the one that was asked for.
        (Some(host), false) => (Some(with_port(host, line.port)), None),
        (host, true) => {
            let is_tls = line.encrypted_client_hello.is_some();
            (host.or_else(|| is_tls.then(String::new)), line.port)
        }
        (None, false) => (None, None),
    };
    let request = Request {
        network,
        principal: line.principal,
        host,
        sni: line.sni,
        method: line.method,
        port,
        source_ip: line.source.as_deref().and_then(record::address),
        ..Request::default()
    };
    Some(request)
}

fn with_port(host: String, port: Option<u16>) -> String {
    match port {
        Some(port) if port != 80 => format!("{host}:{port}"),
        _ => host,
    }
}
