//! `egressctl render`

use crate::diagnostics::Diagnostic;
use crate::exit::{Exit, Outcome};
use crate::output::Output;
use crate::render::tree::obj;
use crate::render::{self, AsmOptions, Carrier, Options, Workloads};
use crate::yaml_out::Tree;
use clap::ValueEnum;
use egress_policy::config::Json;
use std::path::PathBuf;

/// Write all resources of an egress gateway from one gateway file: who may reach which hosts.
///
/// ServiceEntries, Gateway, DestinationRules, VirtualServices, the plugins with their policy, Telemetry,
/// NetworkPolicies, and with `gateway.deploy` the gateway's own pods. Also reads an ASMEgressTrafficPolicy.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 written, or nothing differs; 1 an error, or something differs.\n\nExamples:\n  \
                        egressctl render egress.yaml | kubectl apply -f -\n  \
                        egressctl render egress.yaml --out deploy/mine\n  \
                        egressctl render egress.yaml --check deploy/mine"
)]
pub(crate) struct Args {
    /// The gateway file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write files into this folder, with a kustomization; without it all goes to standard output.
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Compare with this folder and write nothing.
    #[arg(long, value_name = "DIR")]
    check: Option<PathBuf>,
    /// The resource that carries the filter.
    #[arg(long, value_enum, default_value = "wasm-plugin", value_name = "KIND")]
    carrier: CarrierName,
    /// ASMEgressTrafficPolicy: the service accounts that a label of its workloadSelector stands for.
    #[arg(long, value_name = "NAMESPACE/LABEL=VALUE:ACCOUNT[,…]")]
    workload: Vec<String>,
    /// ASMEgressTrafficPolicy: the gateway's namespace, which the resource does not say (default: istio-system).
    #[arg(long, value_name = "NAMESPACE")]
    gateway_namespace: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CarrierName {
    /// Any Istio.
    WasmPlugin,
    /// Istio 1.30 and later.
    TrafficExtension,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let carrier = match args.carrier {
        CarrierName::WasmPlugin => Carrier::WasmPlugin,
        CarrierName::TrafficExtension => Carrier::TrafficExtension,
    };
    let asm = AsmOptions {
        workloads: Workloads::parse(&args.workload)?,
        namespace: args.gateway_namespace.clone(),
    };
    let (files, warnings) = render::file(&args.file, &Options { carrier, asm })?;
    for warning in &warnings {
        output.note_finding(warning);
    }
    if let Some(dir) = &args.check {
        let differences = render::compare(dir, &files);
        for difference in &differences {
            output.note(&format!("{}/{difference}", dir.display()));
        }
        return Ok(if differences.is_empty() { Exit::Ok } else { Exit::Error });
    }
    if let Some(dir) = &args.out {
        let refuse = |error| vec![Diagnostic::error(format!("cannot write {}: {error}", dir.display()))];
        render::write(dir, &files).map_err(refuse)?;
        return Ok(Exit::Ok);
    }
    // A kustomization is no resource of the cluster.
    let resources = files.iter().filter(|file| file.name != "kustomization.yaml");
    if output.is_json() {
        let items = resources.flat_map(|file| file.documents.iter().cloned()).collect();
        output.print_json(&Tree(&obj! {"apiVersion": "v1", "kind": "List", "items": Json::List(items)}));
        return Ok(Exit::Ok);
    }
    let texts: Vec<&str> = resources.map(|file| file.text.as_str()).collect();
    output.print(&texts.join("---\n"));
    Ok(Exit::Ok)
}
