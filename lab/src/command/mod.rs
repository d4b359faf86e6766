//! One file per subcommand.

mod compose;
mod demo;
mod down;
mod setup;
mod state;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The local mesh of egress-authz: a real Envoy as egress gateway, sidecars, and an external world, all on loopback.
#[derive(Debug, Parser)]
#[command(name = "egress-lab", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find an Envoy or install the pinned one, and say which it is
    Setup(setup::Arguments),
    /// Play the scenarios of `tests/scenarios/` and print who reached what; ends non-zero if an answer is not as expected
    Demo(demo::Arguments),
    /// Leave a mesh running, with a list of curl lines to try and a policy file to edit
    Up(up::Arguments),
    /// End the mesh that `up` left running
    Down,
    /// Write what `envoy/docker-compose.yaml` mounts: the same configurations, for containers
    Compose(compose::Arguments),
}

// === impl Cli ===

impl Cli {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Setup(arguments) => setup::run(&arguments),
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Up(arguments) => up::run(&arguments),
            Command::Down => down::run(),
            Command::Compose(arguments) => compose::run(&arguments),
        }
    }
}
