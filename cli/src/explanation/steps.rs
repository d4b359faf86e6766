//! The steps of a verdict, in words.

use crate::judge::Judgement;
use crate::request::Request;
use egress_policy::config::{Effect, Guard, Settings};
use egress_policy::rules::Policy;
use egress_policy::{Facts, Peer, Step, Target, Trace, Truth};
use serde::Serialize;

/// The steps that a decision took.
#[derive(Default)]
pub(super) struct Taken(Vec<(Step, bool)>);

impl Taken {
    /// Whether the verdict got as far as the policies.
    pub(super) fn reached_policies(&self) -> bool {
        self.0.iter().any(|(step, _)| *step == Step::Deny)
    }
}

impl Trace for Taken {
    fn step(&mut self, step: Step, hit: bool) {
        self.0.push((step, hit));
    }

    fn rule(&mut self, _: &Policy, _: usize, _: Truth) {}
}

/// A step and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct StepResult {
    /// The number that the language reference gives it.
    #[serde(skip)]
    pub(super) number: u8,
    pub(super) step: &'static str,
    pub(super) result: String,
}

/// What came of each step.
pub(super) fn describe(
    taken: &Taken,
    settings: &Settings,
    request: &Request,
    facts: &Facts<'_>,
    outcome: &Judgement,
) -> Vec<StepResult> {
    let decided = outcome.reason.as_deref().or(outcome.dry_run_verdict.as_deref()).unwrap_or_default();
    let routing_guards =
        taken.0.iter().any(|(step, hit)| *hit && matches!(step, Step::RouteMismatch | Step::PrivateUpstream));
    taken
        .0
        .iter()
        // Steps that these facts cannot take are not worth a line.
        .filter(|(step, hit)| match step {
            Step::Clock => *hit,
            Step::EncryptedHello | Step::PrivateUpstream => request.network,
            _ => true,
        })
        .map(|(step, hit)| {
            let (number, name) = title(*step);
            let result = if *hit {
                hit_result(*step, settings, decided, routing_guards)
            } else {
                miss_result(*step, settings, request, facts)
            };
            StepResult { number, step: name, result }
        })
        .collect()
}

fn title(step: Step) -> (u8, &'static str) {
    match step {
        Step::Peer => (1, "identity"),
        Step::Host => (1, "host"),
        Step::Clock => (1, "clock"),
        Step::SniMismatch => (2, "sniMismatch"),
        Step::EncryptedHello => (2, "encryptedClientHello"),
        Step::Deny => (3, "DENY policies"),
        Step::PrivateAddress => (4, "privateAddresses"),
        Step::Allow => (5, "ALLOW policies"),
        Step::Governed => (6, "governed"),
        Step::DefaultAction => (7, "defaultAction"),
        Step::RouteMismatch => (8, "routeMismatch"),
        Step::PrivateUpstream => (8, "privateUpstreams"),
    }
}

fn hit_result(step: Step, settings: &Settings, decided: &str, routing_guards: bool) -> String {
    match step {
        Step::Allow if routing_guards => "one matches".to_owned(),
        Step::Allow => format!("allowed by {decided}"),
        Step::Deny => format!("denied by {decided}"),
        Step::Governed => format!("an ALLOW policy governs this source and none matches: {decided}"),
        Step::DefaultAction => settings.default_action.word().to_uppercase(),
        _ => format!("denied: {decided}"),
    }
}

fn miss_result(step: Step, settings: &Settings, request: &Request, facts: &Facts<'_>) -> String {
    match step {
        Step::Peer => match facts.peer() {
            Ok(Peer::Workload(id)) => id.principal().to_owned(),
            _ => "no certificate; evaluated all the same (unauthenticated: EVALUATE)".to_owned(),
        },
        Step::Host => match facts.target() {
            Ok(Target::Host(host, Some(port))) => format!("{host}, port {port}"),
            Ok(Target::Host(host, None)) => format!("{host}, port unknown"),
            _ => "unknown: the client names none".to_owned(),
        },
        Step::Clock => String::new(),
        Step::SniMismatch => guard(settings.sni_mismatch, || match request.sni.as_deref() {
            None | Some("") => "no server name to compare".to_owned(),
            Some(_) if facts.host().is_none() => "no host to compare".to_owned(),
            Some(sni) => format!("{sni} agrees"),
        }),
        Step::EncryptedHello => effect(settings.encrypted_client_hello, "not encrypted"),
        Step::Deny => "none matches".to_owned(),
        Step::PrivateAddress => effect(
            settings.private_addresses,
            match facts.host().and_then(|host| host.ip()) {
                None => "not an IP literal",
                Some(ip) if egress_policy::names::is_global(ip) => "a global address",
                Some(_) => "named by a mesh-wide ALLOW rule",
            },
        ),
        Step::Allow => "none matches".to_owned(),
        Step::Governed => "no ALLOW policy governs this source".to_owned(),
        Step::DefaultAction => String::new(),
        Step::RouteMismatch => guard(settings.route_mismatch, || match request.cluster.as_deref() {
            None => "no cluster given".to_owned(),
            Some(cluster) => format!("{cluster} leads there, or does not say"),
        }),
        Step::PrivateUpstream => effect(
            settings.private_upstreams,
            if request.upstream_ip.is_some() { "a global address" } else { "no address given" },
        ),
    }
}

fn guard(guard: Guard, otherwise: impl FnOnce() -> String) -> String {
    match guard {
        Guard::Allow => "off (ALLOW)".to_owned(),
        Guard::DryRun => "reported only (DRY_RUN)".to_owned(),
        Guard::Deny => otherwise(),
    }
}

fn effect(effect: Effect, otherwise: &str) -> String {
    match effect {
        Effect::Allow => "off (ALLOW)".to_owned(),
        Effect::Deny => otherwise.to_owned(),
    }
}
