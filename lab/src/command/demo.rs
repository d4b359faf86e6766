//! `egress-lab demo`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;
use egress_lab::filter::Protocol;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::scenario::{Player, Scenario, print_table};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only these scenarios, such as A,B1
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Only the requests over listeners of this protocol
    #[arg(long)]
    protocol: Option<Which>,
    /// Where the scenarios are
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
    /// The filter; by default what `make build` leaves
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Show in the end what the gateways' Prometheus pages say of the filter
    #[arg(long)]
    metrics: bool,
    /// How to print what came of it
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Http,
    Network,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let dir = match &arguments.scenarios {
        Some(dir) => dir.clone(),
        None => paths::repo_dir()?.join("tests/scenarios"),
    };
    let mut scenarios = Scenario::load_all(&dir)?;
    for name in &arguments.only {
        if !scenarios.iter().any(|scenario| scenario.name.eq_ignore_ascii_case(name)) {
            let known: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
            bail!("no scenario {name}; there are {}", known.join(", "));
        }
    }
    if !arguments.only.is_empty() {
        scenarios
            .retain(|scenario| arguments.only.iter().any(|name| scenario.name.eq_ignore_ascii_case(name)));
    }
    let wasm = match &arguments.wasm {
        Some(path) => path.clone(),
        None => paths::filter_wasm()?,
    };
    let mut player = Player::new(EnvoyBinary::find()?, wasm);
    match arguments.protocol {
        Some(Which::Http) => player.protocols = vec![Protocol::Http],
        Some(Which::Network) => player.protocols = vec![Protocol::Network],
        None => {}
    }
    player.metrics = arguments.metrics;
    let start = Instant::now();
    eprintln!("Playing on Envoy {} ({}) …", player.binary.version, player.binary.origin);
    let outcome = player.play(&scenarios)?;
    match arguments.format {
        Format::Table => {
            print_table(&outcome.rows)?;
            outcome.metrics.iter().for_each(|line| println!("{line}"));
        }
        Format::Json => {
            println!(
                "{}",
                serde_json::to_string_pretty(
                    &json!({"ok": outcome.ok(), "rows": outcome.rows, "impossible": outcome.impossible, "metrics": outcome.metrics})
                )?
            )
        }
    }
    for request in &outcome.impossible {
        eprintln!("not applicable: {request}");
    }
    eprintln!("{:.1} s", start.elapsed().as_secs_f32());
    Ok(if outcome.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
