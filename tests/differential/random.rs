//! The random part: fixed seeds for every run, fresh ones for as long as one likes.

use std::env;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bench::Bench;
use crate::compare::{Tally, play};
use crate::generate::{FieldSide, every_side};
use crate::istio;
use crate::model::{Attribute, Protocol};

/// The seed of `make test`.
const FIXED: u64 = 20_260_822;
/// Each field and each twin must decide that often there.
const DECIDING: u32 = 50;
const REQUESTS: usize = 50;
/// Connections are dearer than requests.
const CONNECTIONS: usize = 20;
/// A gateway waits for its updates most of the time: two at once take little longer than one.
const GATEWAYS: usize = 2;
/// After so many sets the gateway is started afresh: its log and its filters' history end with it.
const SETS_PER_GATEWAY: usize = 200;

/// One seed for each set, so that each can be seen again alone.
fn set_seed(base: u64, at: usize) -> u64 {
    base.wrapping_mul(1_000_003).wrapping_add(u64::try_from(at).unwrap())
}

fn size(protocol: Protocol) -> usize {
    if protocol == Protocol::Http { REQUESTS } else { CONNECTIONS }
}

/// Plays so many sets, on two gateways at a time.
fn compare(protocol: Protocol, base: u64, sets: usize) -> Tally {
    let share = |first: usize| {
        let mut tally = Tally::default();
        let mut bench = Bench::start(protocol).unwrap();
        for at in (first..sets).step_by(GATEWAYS) {
            play_seed(&mut bench, protocol, set_seed(base, at), &mut tally);
        }
        tally
    };
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let hands: Vec<_> = (0..GATEWAYS).map(|first| scope.spawn(move || share(first))).collect();
        for hand in hands {
            tally.add(hand.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
    tally
}

/// Plays one set; a disagreement ends the test.
fn play_seed(bench: &mut Bench, protocol: Protocol, seed: u64, tally: &mut Tally) {
    match play(bench, protocol, seed, size(protocol), tally) {
        Ok(None) => {}
        Ok(Some(disagreement)) => panic!("{disagreement}"),
        Err(error) => panic!("seed {seed}, {protocol:?}: {error:#}"),
    }
}

fn check(tally: &Tally, protocol: Protocol, least: u32, second: u32) {
    // Past the test harness, which keeps what passing tests print.
    std::io::stderr().write_all(format!("{protocol:?}, seed {FIXED}: {tally}\n").as_bytes()).unwrap();
    assert!((25..=75).contains(&tally.allowed_percent()), "{} % allowed", tally.allowed_percent());
    assert!(tally.second_differs >= second, "{} second verdicts differ", tally.second_differs);
    let all: Vec<FieldSide> = every_side(protocol);
    let seldom = tally.seldom(&all, least);
    assert!(seldom.is_empty(), "decide too seldom: {seldom:#?}");
}

#[test]
fn the_same_policies_give_the_same_verdicts_for_requests() {
    let tally = compare(Protocol::Http, FIXED, 205);
    assert!(tally.sets >= 200 && tally.requests >= 200 * 50);
    check(&tally, Protocol::Http, DECIDING, 300);
}

#[test]
fn the_same_policies_give_the_same_verdicts_for_connections() {
    if !Bench::knows_connections() {
        return;
    }
    let tally = compare(Protocol::Tcp, FIXED, 90);
    check(&tally, Protocol::Tcp, DECIDING / 10, 20);
}

/// Were hosts compared with their case on one side, the test would say so, in few words.
#[test]
fn a_difference_is_found_and_shrunk() {
    let mut bench = Bench::start(Protocol::Http).unwrap();
    bench.translate = |set, ports| {
        let text = serde_json::to_string(&istio::filters(set, ports)).unwrap();
        serde_json::from_str(&text.replace(r#""ignore_case":true"#, r#""ignore_case":false"#)).unwrap()
    };
    let found = (0..200)
        .find_map(|at| {
            let seed = set_seed(FIXED, at);
            play(&mut bench, Protocol::Http, seed, REQUESTS, &mut Tally::default()).unwrap()
        })
        .expect("a set with a host in capitals");
    let conditions: Vec<_> = found.set.conditions().collect();
    assert_eq!((found.set.policies.len(), conditions.len()), (1, 1), "{found}");
    let (_, condition) = conditions[0];
    assert_eq!(condition.attribute, Attribute::Host, "{found}");
    assert_eq!(condition.values.len() + condition.not_values.len(), 1, "{found}");
    assert!(found.request.headers.is_empty() && found.request.claims.is_none(), "{found}");
    let text = found.to_string();
    for part in ["hosts:", "ours:", "native:", "DIFFERENTIAL_SEED="] {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "{part} in {text}");
    }
}

/// `make differential M=<minutes>`
#[test]
#[ignore = "as long as one likes: make differential M=<minutes>"]
fn fresh_seeds_for_minutes() {
    let minutes: u64 = env::var("DIFFERENTIAL_MINUTES").map_or(1, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let base =
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() % (1 << 62)).unwrap();
    println!("base seed {base}, {minutes} minutes");
    let mut tallies = [(Protocol::Http, Tally::default()), (Protocol::Tcp, Tally::default())];
    let mut at = 0;
    while Instant::now() < end {
        for (protocol, tally) in &mut tallies {
            let mut bench = Bench::start(*protocol).unwrap();
            let sets = if *protocol == Protocol::Http { SETS_PER_GATEWAY } else { SETS_PER_GATEWAY / 4 };
            for _ in 0..sets {
                at += 1;
                play_seed(&mut bench, *protocol, set_seed(base, at), tally);
                if Instant::now() > end {
                    break;
                }
            }
        }
        for (protocol, tally) in &tallies {
            println!("{protocol:?}: {} sets, {} requests", tally.sets, tally.requests);
        }
    }
    for (protocol, tally) in &tallies {
        println!("{protocol:?}: {tally}");
    }
}

/// `DIFFERENTIAL_SEED=<seed> DIFFERENTIAL_PROTOCOL=<http or tcp> make differential-replay`
#[test]
#[ignore = "one set again: DIFFERENTIAL_SEED=<seed> make differential-replay"]
fn replay() {
    let seed: u64 = env::var("DIFFERENTIAL_SEED").expect("DIFFERENTIAL_SEED").parse().unwrap();
    let tcp = env::var("DIFFERENTIAL_PROTOCOL").is_ok_and(|text| text == "tcp");
    let protocol = if tcp { Protocol::Tcp } else { Protocol::Http };
    let mut tally = Tally::default();
    let mut bench = Bench::start(protocol).unwrap();
    match play(&mut bench, protocol, seed, size(protocol), &mut tally).unwrap() {
        None => println!("seed {seed}: both agree. {tally}"),
        Some(disagreement) => panic!("{disagreement}"),
    }
}
