//! `egress-lab setup`

use std::process::ExitCode;

use anyhow::Result;
use egress_lab::provision::EnvoyBinary;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Install this pinned version, whatever $ENVOY and PATH hold
    #[arg(long, value_name = "VERSION")]
    envoy: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let binary = match &arguments.envoy {
        Some(version) => EnvoyBinary::pinned(version)?,
        None => EnvoyBinary::find()?,
    };
    println!("Envoy {} ({}): {}", binary.version, binary.origin, binary.path.display());
    Ok(ExitCode::SUCCESS)
}
