//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod import;
pub(crate) mod man;
pub(crate) mod merge;
pub(crate) mod pack;
pub(crate) mod render;
pub(crate) mod schema;
pub(crate) mod suggest;
pub(crate) mod test;
pub(crate) mod unpack;

use crate::cli::Command;
use crate::diagnostics::Diagnostic;
use crate::exit::Exit;
use crate::output::Output;

/// What a command comes to: an exit code, or why there is none to give.
pub(crate) type Outcome = Result<Exit, Vec<Diagnostic>>;

/// Runs one.
pub(crate) fn run(command: Command, output: Output) -> Outcome {
    match command {
        Command::Check(args) => Ok(check::run(&args, output)),
        Command::Explain(args) => explain::run(*args, output),
        Command::Test(args) => test::run(&args, output),
        Command::Diff(args) => diff::run(&args, output),
        Command::Import(args) => import::run(args, output),
        Command::Merge(args) => merge::run(&args, output),
        Command::Suggest(args) => suggest::run(&args, output),
        Command::Render(args) => render::run(&args, output),
        Command::Schema(args) => Ok(schema::run(&args, output)),
        Command::Pack(args) => pack::run(&args, output),
        Command::Unpack(args) => unpack::run(&args, output),
        Command::Completions(args) => Ok(completions::run(&args, output)),
        Command::Man(args) => man::run(&args, output),
    }
}
