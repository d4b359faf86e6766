//! `egressctl check`

use crate::diagnostics::{Diagnostic, Finding};
use crate::exit::Exit;
use crate::lint;
use crate::output::Output;
use crate::source::Input;
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;

/// Check configurations and the manifests around them: every error with its place, and what is legal but surprising.
///
/// A file is a bare pluginConfig or a manifest (WasmPlugin, TrafficExtension, a List, several documents), YAML
/// or JSON. Gateways among the files are held against the plugins.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 valid, also with warnings; 1 errors.\n\nExamples:\n  \
                        egressctl check policy.yaml\n  \
                        egressctl check deploy/*.yaml --format json\n  \
                        kubectl get wasmplugins -A -o yaml | egressctl check -")]
pub(crate) struct Args {
    /// The files; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The namespace whose resources attach to the whole mesh.
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    root_namespace: String,
}

#[derive(Serialize)]
struct Report<'d> {
    errors: Vec<Finding<'d>>,
    warnings: Vec<Finding<'d>>,
}

pub(crate) fn run(args: &Args, output: Output) -> Exit {
    let (input, mut findings) = Input::read(&args.files);
    if input.plugins.is_empty() && findings.is_empty() {
        let what = "no configuration is in it: neither a pluginConfig nor a WasmPlugin or TrafficExtension";
        let files: Vec<_> = args.files.iter().map(|file| file.display().to_string()).collect();
        findings.push(Diagnostic::error(what).in_file(&files.join(", ")));
    }
    findings.extend(lint::findings(&input, &args.root_namespace));
    let order: HashMap<String, usize> =
        args.files.iter().enumerate().rev().map(|(at, file)| (file.display().to_string(), at)).collect();
    findings.sort_by_key(|finding| (order.get(finding.file()).copied(), finding.order()));
    let (errors, warnings): (Vec<_>, Vec<_>) = findings.iter().partition(|finding| finding.is_error());
    if output.is_json() {
        output.print_json(&Report {
            errors: errors.iter().map(|finding| finding.finding()).collect(),
            warnings: warnings.iter().map(|finding| finding.finding()).collect(),
        });
    } else {
        for finding in &findings {
            output.print_ready(&finding.render(output.color_on_stdout()));
            output.print("\n");
        }
        output.print(&summary(errors.len(), warnings.len()));
    }
    if errors.is_empty() { Exit::Ok } else { Exit::Error }
}

fn summary(errors: usize, warnings: usize) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
}
