//! `egressctl schema`

use crate::exit::Exit;
use crate::output::Output;
use crate::render;
use crate::schema;
use clap::ValueEnum;

/// Write the JSON Schema of pluginConfig or of a gateway file, for editors and other checkers.
///
/// It knows the keys, their types and words. What it cannot say (whether a host set exists, whether a name
/// is unique, what a host is) `egressctl check` and `egressctl render` do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  egressctl schema > egress-authz.schema.json\n  \
                        egressctl schema --kind gateway > egress-gateway.schema.json\n\n\
                        In a file: # yaml-language-server: $schema=./egress-authz.schema.json")]
pub(crate) struct Args {
    /// Of what.
    #[arg(long, value_enum, default_value = "plugin-config", value_name = "KIND")]
    kind: SchemaKind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaKind {
    /// pluginConfig.
    PluginConfig,
    /// The file that `egressctl render` reads; it refers to the other by its name, egress-authz.schema.json.
    Gateway,
}

pub(crate) fn run(args: &Args, output: Output) -> Exit {
    match args.kind {
        SchemaKind::PluginConfig => output.print_json(&schema::plugin_config()),
        SchemaKind::Gateway => output.print_json(&render::gateway_file_schema()),
    }
    Exit::Ok
}
