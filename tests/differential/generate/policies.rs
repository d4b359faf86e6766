//! Random policy sets in the common part of both languages.

use super::values;
use crate::model::{Action, Attribute, Condition, Place, Policy, PolicySet, Protocol, Rule};
use egress_test_support::random::Random;

pub(crate) fn policy_set(protocol: Protocol, rng: &mut Random) -> PolicySet {
    let trust_domains: Vec<String> =
        rng.pick(&values::MESHES).iter().map(|&domain| domain.to_owned()).collect();
    // Both actions, or only one of them.
    let actions: &[Action] = match rng.below(4) {
        0 => &[Action::Deny],
        1 => &[Action::Allow],
        _ => &[Action::Allow, Action::Deny],
    };
    let has_dry_runs = rng.percent(20);
    let count = rng.within(1, 3);
    let policies = (0..count)
        .map(|at| {
            let action = *rng.pick(actions);
            let dry_run = has_dry_runs && rng.percent(60);
            policy(protocol, format!("p{at}"), action, dry_run, &trust_domains, rng)
        })
        .collect();
    PolicySet { protocol, trust_domains, policies }
}

fn policy(
    protocol: Protocol,
    name: String,
    action: Action,
    dry_run: bool,
    domains: &[String],
    rng: &mut Random,
) -> Policy {
    let rules = if action == Action::Allow && rng.percent(5) {
        Vec::new()
    } else {
        (0..rng.within(1, 2)).map(|_| rule(protocol, domains, rng)).collect()
    };
    Policy { name, namespace: None, action, dry_run, rules }
}

fn rule(protocol: Protocol, domains: &[String], rng: &mut Random) -> Rule {
    if rng.percent(3) {
        return Rule::default();
    }
    let mut rule = Rule::default();
    while rule.conditions().next().is_none() {
        rule = Rule {
            from: (0..rng.below(3)).map(|_| fields(Place::From, protocol, domains, rng)).collect(),
            to: (0..rng.below(3)).map(|_| fields(Place::To, protocol, domains, rng)).collect(),
            when: (0..rng.below(3)).map(|_| condition(when_key(protocol, rng), domains, rng)).collect(),
        };
    }
    rule
}

/// The fields of a source or an operation.
fn fields(place: Place, protocol: Protocol, domains: &[String], rng: &mut Random) -> Vec<Condition> {
    let all: &[Attribute] = match (place, protocol) {
        (Place::To, Protocol::Http) => {
            &[Attribute::Host, Attribute::Port, Attribute::Method, Attribute::Path]
        }
        (Place::To, Protocol::Tcp) => &[Attribute::Port],
        (_, Protocol::Http) => &[
            Attribute::Principal,
            Attribute::RequestPrincipal,
            Attribute::Namespace,
            Attribute::ServiceAccount,
            Attribute::TrustDomain,
            Attribute::SourceIp,
            Attribute::RemoteIp,
        ],
        (_, Protocol::Tcp) => &[
            Attribute::Principal,
            Attribute::Namespace,
            Attribute::ServiceAccount,
            Attribute::TrustDomain,
            Attribute::SourceIp,
            Attribute::RemoteIp,
        ],
    };
    let count = rng.within(1, 2);
    let mut chosen = rng.some(all, count);
    // Kubernetes takes no source with service accounts beside namespaces or principals.
    if chosen.contains(&Attribute::ServiceAccount) {
        chosen.retain(|other| !matches!(other, Attribute::Namespace | Attribute::Principal));
    }
    chosen.into_iter().map(|attribute| condition(attribute, domains, rng)).collect()
}

fn when_key(protocol: Protocol, rng: &mut Random) -> Attribute {
    let count = if protocol == Protocol::Http { 14 } else { 9 };
    match rng.below(count) {
        0 => Attribute::Principal,
        1 => Attribute::Namespace,
        2 => Attribute::ServiceAccount,
        3 => Attribute::TrustDomain,
        4 => Attribute::SourceIp,
        5 => Attribute::RemoteIp,
        6 => Attribute::DestinationIp,
        7 => Attribute::Port,
        8 => Attribute::ServerName,
        9 => Attribute::RequestPrincipal,
        10 => Attribute::Audiences,
        11 => Attribute::Presenter,
        12 => values::header(rng),
        _ => values::claim(rng),
    }
}

fn condition(attribute: Attribute, domains: &[String], rng: &mut Random) -> Condition {
    let (positive, negative) =
        *rng.pick(&[(true, false), (true, false), (false, true), (false, true), (true, true)]);
    let mut list = |wanted: bool| -> Vec<String> {
        let count = if wanted { rng.within(1, 3) } else { 0 };
        let mut values: Vec<String> = (0..count).map(|_| values::pattern(&attribute, domains, rng)).collect();
        values.sort();
        values.dedup();
        values
    };
    let (values, not_values) = (list(positive), list(negative));
    Condition { attribute, values, not_values }
}
