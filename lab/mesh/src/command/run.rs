//! `egress-mesh run`: the scenarios through a mesh of their own.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use egress_lab::paths::repo_dir;
use egress_lab::scenario::{Scenario, print_table};
use egress_mesh::mesh::{Mesh, Options};
use egress_mesh::play::{parts, play};
use egress_mesh::programs::Programs;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only these scenarios, such as A,B1
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let scenarios = Scenario::load_all(&repo_dir()?.join("tests/scenarios"))?;
    let mut parts = parts();
    for name in &arguments.only {
        if !parts.iter().any(|part| part.scenario.eq_ignore_ascii_case(name)) {
            let mut known: Vec<&str> = parts.iter().map(|part| part.scenario).collect();
            known.dedup();
            bail!("no scenario {name} here; there are {}", known.join(", "));
        }
    }
    if !arguments.only.is_empty() {
        parts.retain(|part| arguments.only.iter().any(|name| part.scenario.eq_ignore_ascii_case(name)));
    }
    let wanted = |part: &egress_mesh::play::Part| {
        scenarios
            .iter()
            .find(|scenario| scenario.name == part.scenario)
            .and_then(|scenario| scenario.steps.get(part.step))
    };
    let mut workloads: Vec<&str> = parts
        .iter()
        .filter_map(wanted)
        .flat_map(|step| &step.requests)
        .map(|request| if request.who == "none" { "mytest/sleep-a" } else { request.who.as_str() })
        .collect();
    workloads.sort_unstable();
    workloads.dedup();

    // Building is not what is timed.
    Programs::provide()?;
    let begin = Instant::now();
    let mut mesh = Mesh::start(&Options::with_workloads(&workloads)?)?;
    eprintln!(
        "A mesh with {} workloads is up after {:.1} s.",
        workloads.len(),
        begin.elapsed().as_secs_f32()
    );
    let mut rows = play(&mut mesh, &scenarios, &parts)?;
    // Parts that are told on the same manifests stand together there; the table is read by scenario.
    rows.sort_by_key(|row| scenarios.iter().position(|scenario| scenario.name == row.scenario));
    drop(mesh);
    print_table(&rows)?;
    eprintln!("{:.1} s", begin.elapsed().as_secs_f32());
    Ok(if !rows.is_empty() && rows.iter().all(|row| row.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
