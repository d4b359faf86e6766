//! The command line as a whole.

use crate::commands;
use crate::exit::Outcome;
use crate::output::{Color, Format, Output};
use clap::{CommandFactory, Parser, Subcommand};

/// The version, with the commit where the build knew it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("EGRESS_AUTHZ_REVISION"), ")");

/// Checks, explains, tests and converts egress-authz policies before they are live.
#[derive(Debug, Parser)]
#[command(name = "egressctl", version = VERSION, about, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// How results are written.
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Whether colours are used; `auto` is on a terminal only.
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(commands::check::Args),
    Explain(Box<commands::explain::Args>),
    Test(commands::test::Args),
    Diff(commands::diff::Args),
    Import(commands::import::Args),
    Merge(commands::merge::Args),
    Suggest(commands::suggest::Args),
    Render(commands::render::Args),
    Schema(commands::schema::Args),
    Pack(commands::pack::Args),
    Unpack(commands::unpack::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self, output: Output) -> Outcome {
        match self {
            Self::Check(args) => Ok(commands::check::run(&args, output)),
            Self::Explain(args) => commands::explain::run(*args, output),
            Self::Test(args) => commands::test::run(&args, output),
            Self::Diff(args) => commands::diff::run(&args, output),
            Self::Import(args) => commands::import::run(args, output),
            Self::Merge(args) => commands::merge::run(&args, output),
            Self::Suggest(args) => commands::suggest::run(&args, output),
            Self::Render(args) => commands::render::run(&args, output),
            Self::Schema(args) => Ok(commands::schema::run(&args, output)),
            Self::Pack(args) => commands::pack::run(&args, output),
            Self::Unpack(args) => commands::unpack::run(&args, output),
            Self::Completions(args) => Ok(commands::completions::run(&args, &mut Cli::command(), output)),
            Self::Man(args) => commands::man::run(&args, Cli::command(), output),
        }
    }
}
