//! `egressctl schema`

use crate::exit::Exit;
use crate::output::Output;
use crate::schema;

/// Write the JSON Schema of pluginConfig, for editors and other checkers.
///
/// It knows the keys, their types and words. What it cannot say (whether a host set exists, whether a name
/// is unique, what a host is) `egressctl check` does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  egressctl schema > egress-authz.schema.json\n\n\
                        In a file: # yaml-language-server: $schema=./egress-authz.schema.json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, output: Output) -> Exit {
    output.print_json(&schema::plugin_config());
    Exit::Ok
}
