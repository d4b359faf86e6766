//! What each policy that applies answered.

use super::fields;
use crate::judge::Judge;
use crate::request::Request;
use crate::source::Node;
use crate::terminal::one_line;
use egress_policy::rules::{Action, Policy, PolicyMode, Predicate, Rule, RulePart};
use egress_policy::{Attributes as _, Facts, Truth};
use serde::Serialize;
use std::fmt::Write as _;

/// A policy's answer.
#[derive(Debug, Serialize)]
pub(crate) struct PolicyAnswer {
    policy: String,
    action: &'static str,
    /// Whether some rule matches, in force or not.
    matches: bool,
    /// Why it takes no part in the verdict, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    inactive: Option<&'static str>,
    rules: Vec<RuleAnswer>,
}

/// A rule's answer.
#[derive(Debug, Serialize)]
struct RuleAnswer {
    rule: usize,
    truth: &'static str,
    matches: bool,
    why: Vec<String>,
}

/// The answers of all policies that apply to the request, in configuration order.
pub(super) fn answers(judge: &Judge, request: &Request, facts: &Facts<'_>) -> Vec<PolicyAnswer> {
    let namespace = facts.peer().ok().and_then(|peer| peer.namespace());
    let written = judge.written.get("policies").map(Node::items).unwrap_or_default();
    let policies = judge.engine.policies().iter().enumerate();
    policies
        .filter(|(_, policy)| policy.governs(namespace) && policy.applies_to_protocol(facts.protocol()))
        .map(|(at, policy)| answer(policy, written.get(at), request, facts))
        .collect()
}

fn answer(policy: &Policy, written: Option<&Node>, request: &Request, facts: &Facts<'_>) -> PolicyAnswer {
    let expired = match (policy.expires, request.now()) {
        (Some(expires), Ok(now)) => expires <= now,
        _ => false,
    };
    let inactive = match policy.mode {
        _ if expired => Some("expired"),
        PolicyMode::DryRun => Some("dry run"),
        PolicyMode::Enforce => None,
    };
    let written = written.and_then(|policy| policy.get("rules")).map(Node::items).unwrap_or_default();
    let rules: Vec<_> = policy
        .rules
        .iter()
        .enumerate()
        .map(|(at, rule)| {
            let truth = rule.truth(facts);
            RuleAnswer {
                rule: at,
                truth: word(truth),
                matches: policy.matches_on(truth),
                why: why(rule, truth, written.get(at), request, facts),
            }
        })
        .collect();
    PolicyAnswer {
        policy: format!("ns[{}]-policy[{}]", policy.namespace.as_deref().unwrap_or("*"), policy.name),
        action: match policy.action {
            Action::Allow => "ALLOW",
            Action::Deny => "DENY",
            Action::Audit => "AUDIT",
        },
        matches: rules.iter().any(|rule| rule.matches),
        inactive,
        rules,
    }
}

fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "unknown",
    }
}

/// The fields that made a rule come out as it did.
fn why(
    rule: &Rule,
    truth: Truth,
    written: Option<&Node>,
    request: &Request,
    facts: &Facts<'_>,
) -> Vec<String> {
    let mut why = Vec::new();
    let items = |key: &str| written.and_then(|rule| rule.get(key)).map(Node::items).unwrap_or_default();
    let sides = [
        ("from", "source", &rule.from, Some(RulePart::Source)),
        ("to", "operation", &rule.to, Some(RulePart::Operation)),
    ];
    for (list, item, alternatives, place) in sides {
        let truths: Vec<_> = alternatives.iter().map(|all| conjunction(all, facts)).collect();
        if truths.is_empty() {
            continue;
        }
        // One alternative that holds is enough; where none does, each says why not.
        let chosen = truths.iter().position(|truth| *truth == Truth::True);
        for (at, predicates) in alternatives.iter().enumerate() {
            if chosen.is_some_and(|chosen| chosen != at) {
                continue;
            }
            let node = items(list).get(at).and_then(|alternative| alternative.get(item));
            for (index, predicate) in predicates.iter().enumerate() {
                let held = predicate.truth(facts);
                if tells(held, chosen.is_some(), truth) {
                    let spelled = fields::spelled(place, predicates, index, node);
                    why.push(line(&format!("{list}[{at}]"), &spelled, held, predicate, request, facts));
                }
            }
        }
    }
    for (index, predicate) in rule.when.iter().enumerate() {
        let held = predicate.truth(facts);
        if tells(held, held == Truth::True, truth) {
            let node = written.and_then(|rule| rule.get("when"));
            let spelled = fields::spelled(None, &rule.when, index, node);
            why.push(line("when", &spelled, held, predicate, request, facts));
        }
    }
    why
}

/// Whether a field is part of the reason: where the rule holds, every field that does; else those that do not.
fn tells(held: Truth, holds_here: bool, rule: Truth) -> bool {
    match rule {
        Truth::True => holds_here && held == Truth::True,
        Truth::False => held == Truth::False,
        Truth::Unknown => held == Truth::Unknown,
    }
}

fn line(
    place: &str,
    spelled: &str,
    held: Truth,
    predicate: &Predicate,
    request: &Request,
    facts: &Facts<'_>,
) -> String {
    format!("{place} {spelled}: {}, {}", word(held), fields::observed(predicate, request, facts))
}

fn conjunction(predicates: &[Predicate], facts: &Facts<'_>) -> Truth {
    predicates
        .iter()
        .map(|predicate| predicate.truth(facts))
        .fold(Truth::True, |all, next| all.and_then(|| next))
}

impl PolicyAnswer {
    /// Whether it has more to say than "does not match".
    pub(super) fn applies_to_protocol(&self) -> bool {
        self.matches || self.rules.iter().any(|rule| rule.truth == "unknown")
    }

    pub(super) fn write(&self, text: &mut String) {
        let note = self.inactive.map(|inactive| format!(" ({inactive})")).unwrap_or_default();
        let answer = if self.matches { "matches" } else { "does not match" };
        let _ = writeln!(text, "  {} {}{note}: {answer}", self.action, one_line(&self.policy));
        if self.rules.is_empty() {
            let _ = writeln!(text, "      it has no rules: it allows nothing");
        }
        for rule in &self.rules {
            let matches = if rule.matches { ": matches" } else { "" };
            let _ = writeln!(text, "      rule[{}] {}{matches}", rule.rule, rule.truth);
            for why in &rule.why {
                let _ = writeln!(text, "          {}", one_line(why));
            }
        }
    }
}
