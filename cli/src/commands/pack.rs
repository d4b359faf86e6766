//! `egressctl pack`

use crate::bundle;
use crate::exit::{Exit, Outcome};
use crate::output::Output;
use std::path::PathBuf;

/// Write a configuration or manifest with its pluginConfig as a bundle, for those that Kubernetes would not
/// take as they are.
///
/// The same configuration packs to the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 packed, 1 an error.\n\nExamples:\n  \
                        egressctl pack wasmplugin.yaml | kubectl apply --server-side -f -")]
pub(crate) struct Args {
    /// The configuration or manifest; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    bundle::rewrite(&args.file, bundle::Direction::Pack)?.print(output)?;
    Ok(Exit::Ok)
}
