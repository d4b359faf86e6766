//! Policy sets to both filters, requests to both, and what became of it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::{Answer, Answers, Bench};
use crate::generate::{FieldSide, policy_set, requests};
use crate::model::{PolicySet, Protocol, Request};
use crate::shrink::shrink;
use egress_test_support::random::Random;

/// What has been compared so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sets: u32,
    pub(crate) requests: u32,
    pub(crate) allowed: u32,
    /// Requests with a second verdict to compare, and those where it is another than the first.
    pub(crate) dry_runs: u32,
    pub(crate) second_differs: u32,
    pub(crate) decided: BTreeMap<FieldSide, u32>,
}

/// A request to which both filters answered differently.
#[derive(Debug, Clone)]
pub(crate) struct Disagreement {
    pub(crate) seed: u64,
    pub(crate) set: PolicySet,
    pub(crate) request: Request,
    pub(crate) answers: Answers,
}

/// Plays the policy set of a seed; a disagreement comes shrunk.
pub(crate) fn play(
    bench: &mut Bench,
    protocol: Protocol,
    seed: u64,
    count: usize,
    tally: &mut Tally,
) -> Result<Option<Disagreement>> {
    let mut rng = Random::new(seed);
    let set = policy_set(protocol, &mut rng);
    let drawn = requests(&set, count, &mut rng);
    bench.load(&set)?;
    let asked: Vec<Request> = drawn.iter().map(|drawn| drawn.request.clone()).collect();
    let answers = bench.ask(&asked, set.has_dry_run())?;
    tally.sets += 1;
    for (drawn, answers) in drawn.iter().zip(&answers) {
        tally.requests += 1;
        tally.allowed += u32::from(answers.ours.allowed);
        tally.dry_runs += u32::from(set.has_dry_run());
        tally.second_differs += u32::from(answers.ours.allowed != answers.ours.second);
        for side in &drawn.decides {
            *tally.decided.entry(side.clone()).or_default() += 1;
        }
    }
    let Some(at) = answers.iter().position(|answers| !answers.agree()) else {
        return Ok(None);
    };
    let found = Disagreement { seed, set, request: asked[at].clone(), answers: answers[at].clone() };
    shrink(bench, found).map(Some)
}

// === impl Tally ===

impl Tally {
    /// Counts what another has counted, too.
    pub(crate) fn add(&mut self, other: Self) {
        self.sets += other.sets;
        self.requests += other.requests;
        self.allowed += other.allowed;
        self.dry_runs += other.dry_runs;
        self.second_differs += other.second_differs;
        for (side, count) in other.decided {
            *self.decided.entry(side).or_default() += count;
        }
    }

    pub(crate) fn allowed_percent(&self) -> u32 {
        self.allowed * 100 / self.requests.max(1)
    }

    /// Sides of fields that decided less often than that.
    pub(crate) fn seldom(&self, all: &[FieldSide], least: u32) -> Vec<String> {
        let count = |side: &FieldSide| self.decided.get(side).copied().unwrap_or(0);
        all.iter().filter(|side| count(side) < least).map(|side| format!("{side}: {}", count(side))).collect()
    }
}

/// The figures, and how often each field and its twin decided.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} policy sets, {} requests, {} % allowed; {} of them with a dry run, whose verdict was another for {}",
            self.sets,
            self.requests,
            self.allowed_percent(),
            self.dry_runs,
            self.second_differs
        )?;
        writeln!(f, "{:<32} {:>8} {:>8}", "field (its flip changes the verdict)", "field", "not…")?;
        let mut rows: BTreeMap<String, [u32; 2]> = BTreeMap::new();
        for (side, count) in &self.decided {
            rows.entry(side.field()).or_default()[usize::from(side.negative)] = *count;
        }
        for (name, [positive, negative]) in rows {
            writeln!(f, "{name:<36} {positive:>8} {negative:>8}")?;
        }
        Ok(())
    }
}

/// The case as YAML, with both answers and the way to see it again.
impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.set.protocol == Protocol::Http { "http" } else { "tcp" };
        let case = json!({
            "trustDomains": self.set.trust_domains,
            "policies": self.set.to_json(&BTreeMap::new()),
            "request": request_json(&self.request),
            "answers": {"ours": answer_json(&self.answers.ours), "native": answer_json(&self.answers.native)},
        });
        writeln!(f, "our filter and native RBAC disagree; smallest case found:")?;
        writeln!(f, "{}", yaml_serde::to_string(&case).map_err(|_| fmt::Error)?)?;
        write!(
            f,
            "again: DIFFERENTIAL_SEED={} DIFFERENTIAL_PROTOCOL={protocol} make differential-replay",
            self.seed
        )
    }
}

fn request_json(request: &Request) -> Value {
    json!({
        "peer": request.peer,
        "source": request.source.to_string(),
        "sni": request.sni,
        "port": request.port,
        "method": request.method,
        "host": request.host,
        "path": request.path,
        "headers": request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>(),
        "claims": request.claims,
    })
}

fn answer_json(answer: &Answer) -> Value {
    let word = |allowed| if allowed { "allow" } else { "deny" };
    json!({"verdict": word(answer.allowed), "second": word(answer.second), "said": answer.reason})
}
