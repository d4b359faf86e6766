//! `egress-lab compose`

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use egress_lab::{compose, paths};
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder; by default the one that the compose file mounts
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The policy (a bare pluginConfig); by default scenario `deny-namespace`
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The filter; by default what `make build` leaves
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let repository = paths::repo_dir()?;
    let out = arguments.out.clone().unwrap_or_else(|| repository.join("target/compose"));
    let policy = arguments.policy.clone().unwrap_or_else(|| repository.join("envoy/policy.yaml"));
    let wasm = match &arguments.wasm {
        Some(path) => path.clone(),
        None => paths::filter_wasm()?,
    };
    let text = fs::read_to_string(&policy).with_context(|| format!("reading {}", policy.display()))?;
    let policy: Value =
        yaml_serde::from_str(&text).with_context(|| format!("{} is no YAML", policy.display()))?;
    compose::write(&out, &wasm, &policy)?;
    println!("{}: now `docker compose -f envoy/docker-compose.yaml up`", out.display());
    Ok(ExitCode::SUCCESS)
}
