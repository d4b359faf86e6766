//! Requests near the borders of a policy set: admitted and refused ones, and those in which one field decides.

use std::collections::BTreeMap;
use std::fmt;

use super::values;
use crate::judge::{Judge, Verdicts};
use crate::model::{Action, Attribute, Condition, Place, Policy, PolicySet, Protocol, Request, Rule};
use egress_test_support::random::Random;

/// A field, or its twin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FieldSide {
    pub(crate) place: Place,
    /// The field, or the key without what is in brackets.
    pub(crate) name: String,
    pub(crate) negative: bool,
}

// === impl FieldSide ===

impl FieldSide {
    /// The field without regard to the side.
    pub(crate) fn field(&self) -> String {
        let place = match self.place {
            Place::From => "from",
            Place::To => "to",
            Place::When => "when",
        };
        format!("{place} {}", self.name)
    }
}

impl fmt::Display for FieldSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.negative { "not " } else { "" }, self.field())
    }
}

/// Every side of every field that a policy for this protocol may have.
pub(crate) fn every_side(protocol: Protocol) -> Vec<FieldSide> {
    let mut all = Vec::new();
    for place in [Place::From, Place::To, Place::When] {
        for attribute in Attribute::of(place) {
            if protocol == Protocol::Tcp && attribute.is_http_only() {
                continue;
            }
            let name = without_brackets(&attribute.name(place));
            all.extend([false, true].map(|negative| FieldSide { place, name: name.clone(), negative }));
        }
    }
    all
}

fn without_brackets(name: &str) -> String {
    name.split_once('[').map_or(name, |(name, _)| name).to_owned()
}

/// A request, what the core says to it, and the sides of fields that decide it.
#[derive(Debug, Clone)]
pub(crate) struct Drawn {
    pub(crate) request: Request,
    pub(crate) verdicts: Verdicts,
    pub(crate) decides: Vec<FieldSide>,
}

/// For every two that are asked so many are drawn.
const CHOICE: usize = 3;
/// How often an attribute is drawn until it fulfils a condition.
const PATIENCE: usize = 6;

/// So many requests for a policy set, half of them admitted where that can be had.
pub(crate) fn requests(set: &PolicySet, count: usize, rng: &mut Random) -> Vec<Drawn> {
    let judge = Judge::new(set);
    let flipped = flipped(set);
    let alone: Vec<(Condition, Judge)> =
        set.conditions().map(|(place, c)| (c.clone(), Judge::new(&alone(set, place, c)))).collect();
    let mut pool = Vec::new();
    for _ in 0..count * CHOICE / 2 {
        let request = one(set, &alone, rng);
        let verdicts = judge.verdicts(&request);
        let decides = flipped
            .iter()
            .filter(|(_, other)| other.verdicts(&request) != verdicts)
            .map(|(side, _)| side.clone())
            .collect();
        pool.push(Drawn { request, verdicts, decides });
    }
    choose(pool, count)
}

/// Alternately an admitted and a refused one, each time the one that shows most of what is not yet shown.
fn choose(mut pool: Vec<Drawn>, count: usize) -> Vec<Drawn> {
    let mut shown: BTreeMap<FieldSide, u32> = BTreeMap::new();
    let mut chosen: Vec<Drawn> = Vec::new();
    while chosen.len() < count {
        let wanted = chosen.len().is_multiple_of(2);
        let worth = |drawn: &Drawn| {
            let news: f64 =
                drawn.decides.iter().map(|side| 1.0 / f64::from(1 + shown.get(side).unwrap_or(&0))).sum();
            if drawn.verdicts.1 == wanted { 1000.0 + news } else { news }
        };
        let best = (0..pool.len()).max_by(|a, b| worth(&pool[*a]).total_cmp(&worth(&pool[*b]))).unwrap();
        let drawn = pool.swap_remove(best);
        for side in &drawn.decides {
            *shown.entry(side.clone()).or_default() += 1;
        }
        chosen.push(drawn);
    }
    chosen
}

/// The set once more for each side of each field, with that side's values on the other side.
fn flipped(set: &PolicySet) -> Vec<(FieldSide, Judge)> {
    let mut all = Vec::new();
    for (policy_at, policy) in set.policies.iter().enumerate() {
        for (rule_at, rule) in policy.rules.iter().enumerate() {
            for (at, (place, condition)) in rule.conditions().enumerate() {
                for negative in [false, true] {
                    let values = if negative { &condition.not_values } else { &condition.values };
                    if values.is_empty() {
                        continue;
                    }
                    let Some(opposite) = flip(condition, negative) else {
                        continue;
                    };
                    let mut other = set.clone();
                    let rule = &mut other.policies[policy_at].rules[rule_at];
                    *rule.conditions_mut().nth(at).unwrap() = opposite;
                    let name = without_brackets(&condition.attribute.name(place));
                    all.push((FieldSide { place, name, negative }, Judge::new(&other)));
                }
            }
        }
    }
    all
}

/// One side turned into its opposite: "a" into "not a" and back, "a, and not b" into "neither a nor b". The opposite of
/// the latter's other side, "a and b at once", cannot be written as one field.
fn flip(condition: &Condition, negative: bool) -> Option<Condition> {
    if condition.values.is_empty() || condition.not_values.is_empty() {
        return Some(condition.twin());
    }
    let neither = condition.values.iter().chain(&condition.not_values).cloned().collect();
    (!negative).then(|| Condition { values: Vec::new(), not_values: neither, ..condition.clone() })
}

/// A set of one rule of one condition: whether a request fulfils it.
fn alone(set: &PolicySet, place: Place, condition: &Condition) -> PolicySet {
    let all = vec![condition.clone()];
    let rule = match place {
        Place::From => Rule { from: vec![all], ..Rule::default() },
        Place::To => Rule { to: vec![all], ..Rule::default() },
        Place::When => Rule { when: all, ..Rule::default() },
    };
    let policy = Policy {
        name: "alone".to_owned(),
        namespace: None,
        action: Action::Allow,
        dry_run: false,
        rules: vec![rule],
    };
    PolicySet { policies: vec![policy], ..set.clone() }
}

/// A request that fulfils one branch of one rule, or misses it by one attribute, or is anything.
fn one(set: &PolicySet, alone: &[(Condition, Judge)], rng: &mut Random) -> Request {
    let domains = &set.trust_domains;
    let mut request = values::plain_request(domains);
    let attributes: Vec<Attribute> = set.conditions().map(|(_, c)| c.attribute.clone()).collect();
    for attribute in &attributes {
        values::redraw(&mut request, attribute, domains, rng);
    }
    if rng.percent(10) {
        // The gateway trusts no proxy, so that neither side may believe this.
        request.headers.push(("x-forwarded-for".to_owned(), "10.1.2.3".to_owned()));
    }
    let rules: Vec<&Rule> = set.policies.iter().flat_map(|policy| &policy.rules).collect();
    if rules.is_empty() || rng.percent(15) {
        return request;
    }
    let rule = *rng.pick(&rules);
    let mut branch: Vec<&Condition> = rule.when.iter().collect();
    for part in [&rule.from, &rule.to] {
        if !part.is_empty() {
            branch.extend(rng.pick(part));
        }
    }
    for condition in &branch {
        let (_, judge) = alone.iter().find(|(known, _)| known == *condition).unwrap();
        for _ in 0..PATIENCE {
            if judge.verdicts(&request).0 {
                break;
            }
            values::redraw(&mut request, &condition.attribute, domains, rng);
        }
    }
    if !branch.is_empty() && rng.percent(50) {
        let missed = &rng.pick(&branch).attribute;
        values::redraw(&mut request, missed, domains, rng);
    }
    request
}
