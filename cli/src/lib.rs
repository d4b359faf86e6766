//! `egressctl`: check, explain, test and convert the policies of egress-authz before they are live.
//!
//! The verdicts are those of the filter: both are the crate `egress-policy`. The binary is [`run`] and nothing else; it is a
//! library so that the fuzz targets reach the readers.

mod admissible;
mod bundle;
mod cases;
mod changes;
mod cli;
mod commands;
mod diagnostics;
mod exit;
mod explanation;
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod judge;
mod lint;
mod merge;
mod output;
mod public_suffix;
mod render;
mod request;
mod request_log;
mod requests;
mod schema;
mod source;
mod strict;
mod suggest;
mod terminal;
mod yaml;
mod yaml_out;

use clap::Parser;
use cli::Cli;
use exit::Exit;
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the command of this process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage_error = error.use_stderr();
            if usage_error {
                // It repeats what was given, of which no line end may begin a line here.
                let given = std::env::args_os()
                    .map(|argument| terminal::one_line(&argument.to_string_lossy()).into_owned());
                let error = Cli::try_parse_from(given).err().unwrap_or(error);
                let _ = write!(std::io::stderr(), "{}", terminal::harmless(&error.to_string()));
            } else {
                let _ = error.print();
            }
            // clap would exit with 2, which here means "denied".
            return if usage_error { Exit::Error } else { Exit::Ok }.into();
        }
    };
    let output = output::Output::new(cli.format, cli.color);
    match cli.command.run(output) {
        Ok(exit) => exit.into(),
        Err(diagnostics) => {
            output.fail(&diagnostics);
            Exit::Error.into()
        }
    }
}
