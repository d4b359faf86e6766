//! `egressctl merge`

use crate::exit::{Exit, Outcome};
use crate::merge;
use crate::output::Output;
use crate::yaml_out::{Tree, yaml};
use std::path::PathBuf;

/// Put one configuration together from a directory that has many owners.
///
/// `DIR/mesh.yaml` is the platform's: settings, host sets, mesh-wide policies.
/// `DIR/namespaces/<namespace>.yaml` is a namespace's own: its `policies` and `hostSets`. The mesh's sets are
/// visible there; its own are visible nowhere else. A policy there governs the file's namespace and no other.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 merged, 1 an error.\n\nExamples:\n  \
                        egressctl merge examples/multi-tenant > policy.yaml\n  \
                        egressctl merge examples/multi-tenant | egressctl test - cases.yaml")]
pub(crate) struct Args {
    /// The directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let (merged, warnings) = merge::directory(&args.directory)?;
    for warning in &warnings {
        output.note_finding(warning);
    }
    if output.is_json() {
        output.print_json(&Tree(&merged));
    } else {
        output.print(&yaml(&merged));
    }
    Ok(Exit::Ok)
}
