//! `egress-mesh down`

use std::process::ExitCode;

use anyhow::Result;

use super::state::State;

pub(super) fn run() -> Result<ExitCode> {
    let there = egress_mesh::down()?;
    State::open()?.clear();
    println!("{}", if there { "The mesh is down." } else { "No mesh is up." });
    Ok(ExitCode::SUCCESS)
}
