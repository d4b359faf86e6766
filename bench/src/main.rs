//! `egress-bench`: measures, prints, and writes down.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use egress_bench::core::{Asker, engine, engine_of};
use egress_bench::gateway::{Field, Lane, What};
use egress_bench::measure::core::COUNTED_DECISIONS;
use egress_bench::measure::{
    AT_ONCE, Effort, Rig, bundles, calls, connections, core, latency, load, requests, rivals, size,
};
use egress_bench::report::{Machine, Results};
use egress_bench::shapes::Shape;
use egress_lab::shape::Kind;
use egress_policy::Engine;

/// What a decision of egress-authz costs.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, print a table, write docs/benchmarks/.
    Run {
        /// A look of two minutes: fewer rounds and sizes; written to target/benchmarks/.
        #[arg(long)]
        quick: bool,
        /// Only these parts; nothing is written then.
        #[arg(long, value_delimiter = ',')]
        only: Vec<Part>,
    },
    /// Write tables and plot anew, of what target/benchmarks/results.json holds.
    Tables,
    /// Compare builds of the filter with one another.
    Compare {
        /// Their wasm files.
        wasms: Vec<PathBuf>,
        /// How many policies.
        #[arg(long, default_value_t = 10)]
        policies: usize,
    },
    /// Load one filter for a while, for a profiler; prints the gateway's process id and CPU per request.
    Drive {
        /// What stands there.
        #[arg(value_enum)]
        what: Driven,
        /// How many policies ours has.
        #[arg(long, default_value_t = 10)]
        policies: usize,
        /// How long.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Requests under way at once.
        #[arg(long, default_value_t = AT_ONCE)]
        at_once: usize,
    },
    /// Decide a few times, for callgrind.
    #[command(hide = true)]
    Decide {
        /// The shape.
        shape: String,
        /// How many policies.
        policies: usize,
    },
    /// Load once, for callgrind.
    #[command(hide = true)]
    Load {
        /// The shape.
        shape: String,
        /// How many policies.
        policies: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Driven {
    Nothing,
    NoCalls,
    ThreeCalls,
    Ours,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Core,
    Calls,
    Rivals,
    Requests,
    Connections,
    Latency,
    Load,
    Bundles,
    Size,
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run { quick, only } => run(quick, &only),
        Command::Tables => {
            Results::kept()?.show()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Compare { wasms, policies } => {
            let rivals = Some(rivals::builds(&Rig::new(Effort::FULL)?, &wasms, policies)?);
            let mut results = Results { rivals, ..Results::default() };
            results.judge();
            println!("{}", results.tables());
            Ok(ExitCode::SUCCESS)
        }
        Command::Drive { what, policies, seconds, at_once } => {
            let probe = Shape::Namespaces.probe(policies);
            let what = match what {
                Driven::Nothing => What::Nothing,
                Driven::NoCalls => What::Baseline(0),
                Driven::ThreeCalls => What::Baseline(3),
                Driven::Ours => What::Ours(Shape::Namespaces.config(policies)),
            };
            let rig = Rig::new(Effort::FULL)?;
            let lane = Lane::new("driven", what, probe);
            let field = Field::start(Kind::Mtls80, vec![lane], rig.http_site, &rig.options())?;
            println!("{}", field.pid());
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(seconds) {
                println!("{:.1} µs", rig.one_burst(&field, 4_000, at_once)?);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Decide { shape, policies } => {
            let shape = Shape::named(&shape).context("no such shape")?;
            let engine = engine(&shape.config(policies))?;
            let asker = Asker::new(&shape.probe(policies));
            Ok(ExitCode::from(u8::from(counted_decisions(&asker, &engine) != COUNTED_DECISIONS)))
        }
        Command::Load { shape, policies } => {
            let shape = Shape::named(&shape).context("no such shape")?;
            let loaded = counted_load(shape.config(policies).to_string().as_bytes())?;
            Ok(ExitCode::from(u8::from(loaded.policies().len() != policies)))
        }
    }
}

/// What callgrind counts. How many were admitted.
#[inline(never)]
fn counted_decisions(asker: &Asker, engine: &Engine) -> u32 {
    (0..COUNTED_DECISIONS).map(|_| u32::from(black_box(asker).is_admitted(black_box(engine)))).sum()
}

/// What callgrind counts of loading.
#[inline(never)]
fn counted_load(text: &[u8]) -> Result<Engine> {
    engine_of(black_box(text))
}

fn run(quick: bool, only: &[Part]) -> Result<ExitCode> {
    let rig = Rig::new(if quick { Effort::QUICK } else { Effort::FULL })?;
    let start = Instant::now();
    let wanted = |part| {
        let wanted = only.is_empty() || only.contains(&part);
        if wanted {
            eprintln!("{:>5} s  {part:?}", start.elapsed().as_secs());
        }
        wanted
    };
    let mut results = Results { machine: Some(Machine::here(quick)?), ..Results::default() };
    if wanted(Part::Calls) {
        results.calls = calls::measure(&rig)?;
    }
    if wanted(Part::Rivals) {
        results.rivals = Some(rivals::measure(&rig)?);
    }
    if wanted(Part::Requests) {
        for shape in Shape::ALL.into_iter().filter(|shape| *shape != Shape::Paths) {
            results.requests.push(requests::measure(&rig, shape)?);
        }
    }
    if wanted(Part::Connections) {
        results.connections = connections::measure(&rig)?;
    }
    if wanted(Part::Latency) {
        results.latency = latency::measure(&rig)?;
    }
    if wanted(Part::Load) {
        results.load = load::measure(&rig)?;
    }
    if wanted(Part::Bundles) {
        results.bundles = bundles::measure(&rig)?;
    }
    if wanted(Part::Size) {
        results.size = size::measure()?;
    }
    if wanted(Part::Core) {
        if !core::has_valgrind() {
            eprintln!("no valgrind here: instructions are not counted");
        }
        (results.core, results.native_load) = core::measure(quick)?;
    }
    results.judge();
    println!("{}", results.tables());
    eprintln!("{:>5} s  done", start.elapsed().as_secs());
    if only.is_empty() {
        results.write()?;
    }
    // A look is too short to fail anybody.
    Ok(ExitCode::from(u8::from(!quick && !results.hold())))
}
