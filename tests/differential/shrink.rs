//! From a disagreement to a small one: whatever can be left out is left out, as long as both still disagree.

use anyhow::Result;

use crate::bench::Bench;
use crate::compare::Disagreement;
use crate::model::{Condition, PolicySet, Request};

/// Asks the gateway again for each smaller case.
pub(crate) fn shrink(bench: &mut Bench, found: Disagreement) -> Result<Disagreement> {
    let Some(mut smallest) = still(bench, &found, found.set.clone(), found.request.clone())? else {
        // It did not happen twice: told as it was seen.
        return Ok(found);
    };
    'smaller: loop {
        for set in smaller_sets(&smallest.set) {
            if let Some(smaller) = still(bench, &smallest, set, smallest.request.clone())? {
                smallest = smaller;
                continue 'smaller;
            }
        }
        for request in smaller_requests(&smallest.request) {
            if let Some(smaller) = still(bench, &smallest, smallest.set.clone(), request)? {
                smallest = smaller;
                continue 'smaller;
            }
        }
        return Ok(smallest);
    }
}

fn still(
    bench: &mut Bench,
    found: &Disagreement,
    set: PolicySet,
    request: Request,
) -> Result<Option<Disagreement>> {
    bench.load(&set)?;
    let answers = bench.ask(std::slice::from_ref(&request), true)?.remove(0);
    Ok((!answers.agree()).then_some(Disagreement { seed: found.seed, set, request, answers }))
}

/// The set with one thing left out, the largest things first. The trust domains stay: without one, its workloads would
/// be refused on purpose.
fn smaller_sets(set: &PolicySet) -> Vec<PolicySet> {
    let mut all = Vec::new();
    let mut push = |change: &dyn Fn(&mut PolicySet)| {
        let mut smaller = set.clone();
        change(&mut smaller);
        all.push(smaller);
    };
    for at in 0..set.policies.len() {
        push(&|set| drop(set.policies.remove(at)));
    }
    for (p, policy) in set.policies.iter().enumerate() {
        if policy.rules.len() > 1 {
            for at in 0..policy.rules.len() {
                push(&|set| drop(set.policies[p].rules.remove(at)));
            }
        }
        if policy.dry_run {
            push(&|set| set.policies[p].dry_run = false);
        }
        for (r, rule) in policy.rules.iter().enumerate() {
            for at in 0..rule.from.len() {
                push(&|set| drop(set.policies[p].rules[r].from.remove(at)));
                for field in 0..rule.from[at].len().saturating_sub(1) {
                    push(&|set| drop(set.policies[p].rules[r].from[at].remove(field)));
                    push(&|set| drop(set.policies[p].rules[r].from[at].remove(field + 1)));
                }
            }
            for at in 0..rule.to.len() {
                push(&|set| drop(set.policies[p].rules[r].to.remove(at)));
                for field in 0..rule.to[at].len().saturating_sub(1) {
                    push(&|set| drop(set.policies[p].rules[r].to[at].remove(field)));
                    push(&|set| drop(set.policies[p].rules[r].to[at].remove(field + 1)));
                }
            }
            for at in 0..rule.when.len() {
                push(&|set| drop(set.policies[p].rules[r].when.remove(at)));
            }
            for (at, (_, condition)) in rule.conditions().enumerate() {
                for smaller in smaller_conditions(condition) {
                    push(&|set| {
                        if let Some(place) = set.policies[p].rules[r].conditions_mut().nth(at) {
                            *place = smaller.clone();
                        }
                    });
                }
            }
        }
    }
    all
}

/// One value fewer; never a condition without any.
fn smaller_conditions(condition: &Condition) -> Vec<Condition> {
    let mut all = Vec::new();
    if condition.values.len() + condition.not_values.len() > 1 {
        for at in 0..condition.values.len() {
            let mut smaller = condition.clone();
            smaller.values.remove(at);
            all.push(smaller);
        }
        for at in 0..condition.not_values.len() {
            let mut smaller = condition.clone();
            smaller.not_values.remove(at);
            all.push(smaller);
        }
    }
    all
}

/// The request with one thing plainer.
fn smaller_requests(request: &Request) -> Vec<Request> {
    let mut all = Vec::new();
    let mut push = |change: &dyn Fn(&mut Request)| {
        let mut smaller = request.clone();
        change(&mut smaller);
        if smaller != *request {
            all.push(smaller);
        }
    };
    push(&|request| request.claims = None);
    for at in 0..request.headers.len() {
        push(&|request| drop(request.headers.remove(at)));
    }
    push(&|request| "/".clone_into(&mut request.path));
    push(&|request| "GET".clone_into(&mut request.method));
    push(&|request| request.host = request.host.to_ascii_lowercase());
    push(&|request| "example.com".clone_into(&mut request.host));
    let names: Vec<String> = request
        .claims
        .iter()
        .filter_map(|claims| claims.as_object())
        .flat_map(|map| map.keys().cloned())
        .collect();
    for name in names {
        push(&|request| {
            if let Some(claims) = request.claims.as_mut().and_then(|claims| claims.as_object_mut()) {
                claims.remove(&name);
            }
        });
    }
    all
}
