//! The audit line: one JSON object for each refusal, would-be refusal and AUDIT match.

use crate::attributes::{EnvoyAttributes, integer};
use crate::host::{self, Level};
use crate::plugin::Plugin;
use egress_policy::config::Mode;
use egress_policy::{Attributes, Decision, Facts, Opening, Peer, Protocol, Target, Verdict};
use serde::Serialize;
use std::cell::RefCell;

/// Lines a second in all, on one worker; beyond it, only the first of each namespace.
const MAX_LINES: u32 = 100;
/// Lines a second for the workloads of one namespace, so that a noisy one hides nobody else's refusals.
const MAX_LINES_PER_NAMESPACE: u32 = 20;
/// Namespaces that are counted by name within a second; those beyond share one count.
const MAX_NAMESPACES: usize = 100;
/// What stands for peers without a namespace.
const NO_NAMESPACE: &str = "none";
/// What stands for namespaces beyond those that are counted by name.
const OTHER_NAMESPACES: &str = "other";

thread_local! {
    /// All plugins of a VM share the limits, and an update does not renew them.
    static SECOND: RefCell<Second> = RefCell::default();
}

/// The lines of the current second.
#[derive(Default)]
struct Second {
    /// Which one it is; not known where the host does not tell the time.
    at: Option<i64>,
    written: u32,
    namespaces: Vec<(Box<str>, Count)>,
}

#[derive(Default)]
struct Count {
    written: u32,
    suppressed: u32,
}

/// The line. Field names are what tools read: they do not change.
#[derive(Serialize)]
struct Line<'l> {
    verdict: &'static str,
    reason: String,
    mode: &'static str,
    #[serde(rename = "type")]
    protocol: &'static str,
    principal: Option<String>,
    namespace: Option<&'l str>,
    host: Option<String>,
    sni: Option<String>,
    method: Option<String>,
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_client_hello: Option<bool>,
    source: Option<String>,
    owner: Option<&'l str>,
    audit: Vec<String>,
    dry_run: Option<String>,
    config: &'l str,
}

/// What is said once a second of the lines that were not written.
#[derive(Serialize)]
struct Suppressed<'l> {
    suppressed: Vec<SuppressedLines<'l>>,
}

#[derive(Serialize)]
struct SuppressedLines<'l> {
    namespace: &'l str,
    lines: u32,
}

/// Writes the line of a decision, unless the second has had its share.
pub(crate) fn write(plugin: &Plugin, facts: &Facts<'_>, decision: &Decision<'_>) {
    let namespace = facts.peer().ok().and_then(Peer::namespace).unwrap_or(NO_NAMESPACE);
    if !SECOND.with_borrow_mut(|second| second.admit(namespace)) {
        return;
    }
    if let Some(line) = Line::new(plugin, facts, decision) {
        log_json(&line);
    }
}

/// Begins a new second where one has passed (every plugin ticks), and tells what the last one suppressed.
pub(crate) fn renew() {
    let now = host::now().ok().map(|now| now.unix_seconds());
    if let Some(past) = SECOND.with_borrow_mut(|second| second.renew(now)) {
        past.tell();
    }
}

impl Second {
    /// The second that has passed, where one has.
    fn renew(&mut self, now: Option<i64>) -> Option<Self> {
        let same = now.is_some() && self.at == now;
        (!same).then(|| std::mem::replace(self, Self { at: now, ..Self::default() }))
    }

    fn tell(&self) {
        let suppressed: Vec<_> = self
            .namespaces
            .iter()
            .filter(|(_, count)| count.suppressed > 0)
            .map(|(namespace, count)| SuppressedLines { namespace, lines: count.suppressed })
            .collect();
        if !suppressed.is_empty() {
            log_json(&Suppressed { suppressed });
        }
    }

    fn admit(&mut self, namespace: &str) -> bool {
        let written = self.written;
        let Some(count) = self.count_of(namespace) else {
            return false;
        };
        // The first line of a namespace is always written, whatever others have used up.
        let admitted = count.written == 0 || (written < MAX_LINES && count.written < MAX_LINES_PER_NAMESPACE);
        if admitted {
            count.written += 1;
            self.written += 1;
        } else {
            count.suppressed = count.suppressed.saturating_add(1);
        }
        admitted
    }

    /// The count of a namespace, or of those beyond the bound.
    fn count_of(&mut self, namespace: &str) -> Option<&mut Count> {
        let is_known =
            |counts: &[(Box<str>, Count)], name: &str| counts.iter().any(|(known, _)| **known == *name);
        let room = self.namespaces.len() < MAX_NAMESPACES;
        let name = if room || is_known(&self.namespaces, namespace) { namespace } else { OTHER_NAMESPACES };
        if !is_known(&self.namespaces, name) {
            self.namespaces.push((name.into(), Count::default()));
        }
        self.namespaces.iter_mut().find(|(known, _)| **known == *name).map(|(_, count)| count)
    }
}

impl<'l> Line<'l> {
    fn new(plugin: &'l Plugin, facts: &'l Facts<'_>, decision: &'l Decision<'_>) -> Option<Self> {
        let settings = plugin.engine.settings();
        let told = decision.verdict.as_ref().or(decision.dry_run_verdict.as_ref())?;
        let owner = told.reason.rule().or(decision.audit.first().copied());
        let protocol = facts.protocol();
        Some(Self {
            verdict: if decision.verdict.is_some() { told.effect.word() } else { would(told) },
            reason: told.reason.to_string(),
            mode: match settings.mode {
                Mode::Enforce => "ENFORCE",
                Mode::DryRun => "DRY_RUN",
            },
            protocol: match protocol {
                Protocol::Http => "HTTP",
                Protocol::Network => "NETWORK",
            },
            principal: principal(facts),
            namespace: facts.peer().ok().and_then(Peer::namespace),
            host: facts.host().map(ToString::to_string),
            sni: facts.known_server_name().map(<[u8]>::to_vec).or_else(server_name).map(lossy),
            method: method(facts),
            port: port(facts),
            request_id: read(protocol == Protocol::Http, b"request\0id").map(lossy),
            connection_id: read(protocol == Protocol::Network, b"connection\0id").and_then(|id| integer(&id)),
            encrypted_client_hello: match facts.opening() {
                Some(Opening::Tls { encrypted, .. }) => Some(*encrypted),
                _ => None,
            },
            source: EnvoyAttributes.source_address().ok().flatten().map(lossy),
            owner: owner.and_then(|rule| rule.policy.owner.as_deref()),
            audit: decision.audit.iter().map(ToString::to_string).collect(),
            dry_run: decision
                .dry_run_verdict
                .as_ref()
                .map(|verdict| format!("{}[{}]", would(verdict), verdict.reason)),
            config: &plugin.hash,
        })
    }
}

fn would(verdict: &Verdict<'_>) -> &'static str {
    match verdict.effect {
        egress_policy::config::Effect::Allow => "would_allow",
        egress_policy::config::Effect::Deny => "would_deny",
    }
}

/// The peer as it presented itself, whether it is one of ours or not.
fn principal(facts: &Facts<'_>) -> Option<String> {
    match facts.peer() {
        Ok(Peer::Workload(id) | Peer::Foreign(id)) => Some(id.to_string()),
        Ok(Peer::Invalid) => EnvoyAttributes.peer_certificate().ok().flatten().map(lossy),
        Ok(Peer::Nobody) | Err(_) => None,
    }
}

fn server_name() -> Option<Vec<u8>> {
    EnvoyAttributes.server_name().ok().flatten().filter(|name| !name.is_empty())
}

fn method(facts: &Facts<'_>) -> Option<String> {
    let known = facts.known_method().map(<[u8]>::to_vec);
    known
        .or_else(|| match facts.protocol() {
            Protocol::Http => EnvoyAttributes.method().ok().flatten(),
            Protocol::Network => None,
        })
        .map(lossy)
}

/// The port that was asked for, or on NETWORK the gateway's.
fn port(facts: &Facts<'_>) -> Option<u16> {
    match facts.target() {
        Ok(Target::Host(_, Some(port))) => Some(*port),
        _ if facts.protocol() == Protocol::Network => EnvoyAttributes.destination_port().ok().flatten(),
        _ => None,
    }
}

fn read(asked: bool, path: &[u8]) -> Option<Vec<u8>> {
    asked.then(|| host::property(path).ok().flatten()).flatten()
}

/// For reading only: bytes that are no text are shown as such.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// serde_json escapes control characters, so that a hostile name stays within its line.
fn log_json(line: &impl Serialize) {
    match serde_json::to_string(line) {
        Ok(json) => host::log(Level::Warn, &json),
        Err(error) => host::log(Level::Error, &format!("egress-authz: audit line lost: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_namespace_hides_nobody_else() {
        let mut second = Second::default();
        let written = |second: &mut Second, namespace: &str, lines: u32| {
            (0..lines).filter(|_| second.admit(namespace)).count()
        };
        assert_eq!(written(&mut second, "noisy", 10_000), 20);
        assert_eq!(written(&mut second, "quiet", 1), 1);
        assert_eq!(second.namespaces[0].1.suppressed, 9_980);
    }

    #[test]
    fn the_total_and_the_names_are_bounded() {
        let mut second = Second::default();
        let lines = (0..10_000).filter(|at| second.admit(&format!("ns-{}", at % 1_000))).count();
        // Each of a hundred namespaces has its first line, and the rest together has one.
        assert_eq!(lines, 101);
        assert!(second.namespaces.len() <= MAX_NAMESPACES + 1);
        let suppressed: u32 = second.namespaces.iter().map(|(_, count)| count.suppressed).sum();
        assert_eq!(suppressed, 10_000 - 101);
    }

    #[test]
    fn many_noisy_namespaces_hide_nobody_either() {
        let mut second = Second::default();
        let lines = (0..10_000).filter(|at| second.admit(&format!("noisy-{}", at % 10))).count();
        assert_eq!(lines, 100);
        assert!(second.admit("quiet"));
        assert!(!second.admit("quiet"));
    }

    #[test]
    fn a_second_is_told_of_once_however_many_plugins_tick() {
        let mut second = Second::default();
        assert!(second.renew(Some(7)).is_some());
        assert!((0..30).filter(|_| second.admit("noisy")).count() == 20);
        assert!(second.renew(Some(7)).is_none());
        assert_eq!(second.renew(Some(8)).unwrap().namespaces[0].1.suppressed, 10);
        assert!(second.admit("noisy"));
    }
}
