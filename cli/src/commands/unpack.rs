//! `egressctl unpack`

use crate::bundle;
use crate::exit::{Exit, Outcome};
use crate::output::Output;
use std::path::PathBuf;

/// Write a configuration or manifest with its bundle unpacked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 unpacked, 1 an error.\n\nExamples:\n  \
                        kubectl get wasmplugin egress-authz -n istio-system -o yaml | egressctl unpack -")]
pub(crate) struct Args {
    /// The configuration or manifest; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    bundle::rewrite(&args.file, bundle::Direction::Unpack)?.print(output)?;
    Ok(Exit::Ok)
}
