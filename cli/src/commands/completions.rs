//! `egressctl completions`

use crate::exit::Exit;
use crate::output::Output;
use clap_complete::Shell;

/// Write the completions of a shell to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  egressctl completions bash > /etc/bash_completion.d/egressctl\n  \
                        egressctl completions zsh > \"${fpath[1]}/_egressctl\"")]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, command: &mut clap::Command, output: Output) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "egressctl", &mut script);
    output.print(&String::from_utf8_lossy(&script));
    Exit::Ok
}
