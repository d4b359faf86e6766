//! `egressctl man`

use crate::diagnostics::Diagnostic;
use crate::exit::{Exit, Outcome};
use crate::output::Output;
use std::path::PathBuf;

/// Write the manual page to standard output, or all pages into a directory.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  egressctl man | man -l -\n  egressctl man --directory /usr/local/share/man/man1"
)]
pub(crate) struct Args {
    /// Where a page for each command is written, too.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, command: clap::Command, output: Output) -> Outcome {
    if let Some(directory) = &args.directory {
        return match clap_mangen::generate_to(command, directory) {
            Ok(()) => Ok(Exit::Ok),
            Err(error) => {
                let what = format!("cannot write the pages: {error}");
                Err(vec![Diagnostic::error(what).in_file(&directory.display().to_string())])
            }
        };
    }
    let mut page = Vec::new();
    match clap_mangen::Man::new(command).render(&mut page) {
        Ok(()) => output.print(&String::from_utf8_lossy(&page)),
        Err(error) => return Err(vec![Diagnostic::error(format!("cannot make the page: {error}"))]),
    }
    Ok(Exit::Ok)
}
