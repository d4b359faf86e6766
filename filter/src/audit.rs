//! The audit line: one JSON object for each refusal, would-be refusal and AUDIT match.

use crate::host::Stream;
use crate::limit::Limit;
use crate::loaded::LoadedConfig;
use egress_policy::config::{Effect, Mode};
use egress_policy::{Decision, Facts, Opening, Peer, Protocol, Target, Timestamp, Verdict};
use serde::Serialize;

/// What stands for peers without a namespace.
const NO_NAMESPACE: &str = "none";

/// Writes audit lines, within the limits of a second.
#[derive(Default)]
pub(crate) struct Audit {
    limit: Limit,
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

impl Audit {
    /// Writes the line of a decision, unless the second has had its share.
    pub(crate) fn write(
        &mut self,
        now: Option<Timestamp>,
        config: &LoadedConfig,
        stream: &dyn Stream,
        facts: &Facts<'_>,
        decision: &Decision<'_>,
    ) {
        if now.is_some() {
            self.renew(now);
        }
        let namespace = facts.peer().ok().and_then(Peer::namespace).unwrap_or(NO_NAMESPACE);
        if !self.limit.admit(namespace) {
            return;
        }
        if let Some(line) = Line::new(config, stream, facts, decision) {
            log_json(&line);
        }
    }

    /// Begins a new second where one has passed, and tells what the last one suppressed. Where Envoy does not tell the time,
    /// each tick is taken for a second.
    pub(crate) fn renew(&mut self, now: Option<Timestamp>) {
        let Some(past) = self.limit.renew(now.map(Timestamp::unix_seconds)) else {
            return;
        };
        let suppressed: Vec<_> =
            past.suppressed().map(|(namespace, lines)| SuppressedLines { namespace, lines }).collect();
        if !suppressed.is_empty() {
            log_json(&Suppressed { suppressed });
        }
    }
}

impl<'l> Line<'l> {
    fn new(
        config: &'l LoadedConfig,
        stream: &dyn Stream,
        facts: &'l Facts<'_>,
        decision: &'l Decision<'_>,
    ) -> Option<Self> {
        let settings = config.engine.settings();
        let reported = decision.verdict.as_ref().or(decision.dry_run_verdict.as_ref())?;
        let owner = reported.reason.rule().or(decision.audit.first().copied());
        let protocol = facts.protocol();
        Some(Self {
            verdict: if decision.verdict.is_some() { reported.effect.word() } else { dry_run_word(reported) },
            reason: reported.reason.to_string(),
            mode: match settings.mode {
                Mode::Enforce => "ENFORCE",
                Mode::DryRun => "DRY_RUN",
            },
            protocol: match protocol {
                Protocol::Http => "HTTP",
                Protocol::Network => "NETWORK",
            },
            principal: principal(stream, facts),
            namespace: facts.peer().ok().and_then(Peer::namespace),
            host: facts.host().map(ToString::to_string),
            sni: facts.known_server_name().map(<[u8]>::to_vec).or_else(|| server_name(stream)).map(lossy),
            method: method(stream, facts),
            port: port(stream, facts),
            request_id: request_id(stream, protocol),
            connection_id: connection_id(stream, protocol),
            encrypted_client_hello: match facts.opening() {
                Some(Opening::Tls { encrypted, .. }) => Some(*encrypted),
                _ => None,
            },
            source: stream.source_address().ok().flatten().map(lossy),
            owner: owner.and_then(|rule| rule.policy.owner.as_deref()),
            audit: decision.audit.iter().map(ToString::to_string).collect(),
            dry_run: decision
                .dry_run_verdict
                .as_ref()
                .map(|verdict| format!("{}[{}]", dry_run_word(verdict), verdict.reason)),
            config: &config.hash,
        })
    }
}

fn dry_run_word(verdict: &Verdict<'_>) -> &'static str {
    match verdict.effect {
        Effect::Allow => "would_allow",
        Effect::Deny => "would_deny",
    }
}

/// The peer as it presented itself, whether it is one of ours or not.
fn principal(stream: &dyn Stream, facts: &Facts<'_>) -> Option<String> {
    match facts.peer() {
        Ok(Peer::Workload(id) | Peer::Foreign(id)) => Some(id.to_string()),
        Ok(Peer::Invalid) => stream.peer_certificate().ok().flatten().map(lossy),
        Ok(Peer::Nobody) | Err(_) => None,
    }
}

fn server_name(stream: &dyn Stream) -> Option<Vec<u8>> {
    stream.server_name().ok().flatten().filter(|name| !name.is_empty())
}

fn method(stream: &dyn Stream, facts: &Facts<'_>) -> Option<String> {
    let known = facts.known_method().map(<[u8]>::to_vec);
    known
        .or_else(|| match facts.protocol() {
            Protocol::Http => stream.method().ok().flatten(),
            Protocol::Network => None,
        })
        .map(lossy)
}

/// The port that was asked for, or on NETWORK the gateway's.
fn port(stream: &dyn Stream, facts: &Facts<'_>) -> Option<u16> {
    match facts.target() {
        Ok(Target::Host(_, Some(port))) => Some(*port),
        _ if facts.protocol() == Protocol::Network => stream.destination_port().ok().flatten(),
        _ => None,
    }
}

fn request_id(stream: &dyn Stream, protocol: Protocol) -> Option<String> {
    (protocol == Protocol::Http).then(|| stream.request_id().ok().flatten()).flatten().map(lossy)
}

fn connection_id(stream: &dyn Stream, protocol: Protocol) -> Option<u64> {
    (protocol == Protocol::Network).then(|| stream.connection_id().ok().flatten()).flatten()
}

/// For reading only: bytes that are no text are shown as such.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// serde_json escapes control characters, so that a hostile name stays within its line.
fn log_json(line: &impl Serialize) {
    match serde_json::to_string(line) {
        Ok(json) => log::warn!("{json}"),
        Err(error) => log::error!("egress-authz: audit line lost: {error}"),
    }
}
