//! From AuthorizationPolicies to this filter, on both engines: what istiod makes of a cluster's policies on one gateway, and what
//! `egressctl import` makes of them on another, give the same verdicts, but where the import named the policy and the field.
//!
//! `MESH_MIGRATION_SETS` and `MESH_MIGRATION_SEED` ask for more, or for others. The requests are well formed: what is refused
//! whatever the policies say (`docs/migration.md`, "What no import can do") is no matter of an import.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly, in its helpers too")]

mod bench;
mod generate;
mod import;
mod vocabulary;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use egress_tests::tests;

use bench::{Bench, Verdict};
use egress_test_support::random::Random;
use generate::{policies, requests};

/// The seed of `make test-mesh`.
const SEED: u64 = 20_261_121;
/// Sets of policies.
const SETS: u64 = 120;
/// Requests to each of them.
const REQUESTS: usize = 16;

fn main() -> ExitCode {
    egress_mesh_tests::run(Bench::start, tests![imported_policies_give_istios_verdicts])
}

fn number(variable: &str, usual: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What was seen in all sets.
#[derive(Debug, Default)]
struct Tally {
    policies: usize,
    named: usize,
    not_binding: usize,
    requests: usize,
    allowed: usize,
    excused: usize,
}

fn imported_policies_give_istios_verdicts(bench: &mut Bench) -> Result<()> {
    let (sets, seed) = (number("MESH_MIGRATION_SETS", SETS), number("MESH_MIGRATION_SEED", SEED));
    let mut tally = Tally::default();
    let begin = Instant::now();
    for at in 0..sets {
        let mut rng = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(at));
        one_set(bench, at, &mut rng, &mut tally)?;
    }
    let percent = |part: usize, whole: usize| part * 100 / whole.max(1);
    eprintln!("{sets} sets of seed {seed} in {:.0} s: {tally:?}", begin.elapsed().as_secs_f32());
    let allowed = percent(tally.allowed, tally.requests);
    ensure!((25..=75).contains(&allowed), "{allowed} % were allowed: the sets say too little");
    ensure!(tally.named * 10 <= tally.policies, "{} of {} policies were named", tally.named, tally.policies);
    ensure!(tally.named > 0 && tally.not_binding > 0, "nothing was named: the sets are too plain");
    Ok(())
}

fn one_set(bench: &mut Bench, at: u64, rng: &mut Random, tally: &mut Tally) -> Result<()> {
    let policies = policies(rng);
    let notes = bench.apply(at, &policies)?;
    let named = notes.named();
    tally.policies += policies.len();
    tally.named += named.len();
    tally.not_binding += notes.not_binding();
    for request in requests(&policies, REQUESTS, rng) {
        let (istio, ours) = bench.ask(&request)?;
        tally.requests += 1;
        tally.allowed += usize::from(istio.allowed);
        if istio.allowed == ours.allowed {
            continue;
        }
        tally.excused += 1;
        let blamed = blamed(&istio, &ours, &policies);
        ensure!(
            blamed.iter().any(|policy| named.contains(policy)),
            "set {at}: Istio says {istio:?}, we say {ours:?} to {request:?};\nimport said of {blamed:?} nothing: {notes:?}\n{}",
            serde_json::to_string_pretty(&policies)?
        );
    }
    Ok(())
}

/// The policies in which a disagreement can lie: the one that either side says to have refused by, or else, where one side
/// found no ALLOW that matches, any ALLOW.
fn blamed(istio: &Verdict, ours: &Verdict, policies: &[serde_json::Value]) -> Vec<String> {
    let by: Vec<String> = [istio, ours].into_iter().filter_map(Verdict::policy).collect();
    if !by.is_empty() {
        return by;
    }
    let allows = policies
        .iter()
        .filter(|policy| policy.pointer("/spec/action").is_some_and(|action| action == "ALLOW"));
    allows.filter_map(|policy| policy.pointer("/metadata/name")?.as_str().map(ToOwned::to_owned)).collect()
}
