//! One file per subcommand.

mod down;
mod run;
mod state;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use egress_mesh::programs::Programs;

/// A real Istio in network namespaces of its own: API server, istiod, sidecars, an egress gateway, and an external world.
#[derive(Debug, Parser)]
#[command(name = "egress-mesh", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build Istio's and Kubernetes' programs, where that was not done before
    Programs,
    /// Play the scenarios through a mesh and print who reached what; ends non-zero if an answer is not as expected
    Run(run::Arguments),
    /// Leave a mesh running, with lines to try
    Up(up::Arguments),
    /// End it, and whatever a crashed run left
    Down,
}

// === impl Cli ===

impl Cli {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Programs => Programs::provide().map(|_| ExitCode::SUCCESS),
            Command::Run(arguments) => run::run(&arguments),
            Command::Up(arguments) => up::run(&arguments),
            Command::Down => down::run(),
        }
    }
}
