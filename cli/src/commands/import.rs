//! `egressctl import`

use crate::diagnostics::Diagnostic;
use crate::exit::{Exit, Outcome};
use crate::import::{self, Gateway, Imported, Note, Settings};
use crate::output::Output;
use crate::source::{Node, Resource, Source};
use crate::yaml_out::{Tree, yaml};
use serde::Serialize;
use std::path::PathBuf;

/// Turn the AuthorizationPolicies that bind the gateway (or a smokescreen ACL) into one pluginConfig.
///
/// The configuration goes to standard output. Each thing whose meaning changes, that is left out, or that
/// does not bind the gateway is named on standard error, with policy and field. What cannot be said and
/// would admit more if it were left out is an error.
///
/// The verdicts stay as they are: `defaultAction: ALLOW`, `unauthenticated: EVALUATE`, `sniMismatch: ALLOW`,
/// `privateAddresses: ALLOW`, `pathReadings: LITERAL`. With --strict the defaults of this filter are kept instead.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 imported, 1 an error.\n\nExamples:\n  \
                        kubectl get authorizationpolicies -A -o yaml | egressctl import - > policy.yaml\n  \
                        egressctl import acl.yaml > policy.yaml")]
pub(crate) struct Args {
    /// AuthorizationPolicies (a List, or documents) or one smokescreen ACL; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The mesh's root namespace.
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    root_namespace: String,
    /// The namespace of the egress gateway.
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    gateway_namespace: String,
    /// The labels of the gateway's pods.
    #[arg(long, value_name = "K=V", value_delimiter = ',', value_parser = parse_label, default_value = "istio=egressgateway")]
    gateway_labels: Vec<(String, String)>,
    /// The mesh's trust domain, and its aliases behind it; may be repeated.
    #[arg(long = "trust-domain", value_name = "DOMAIN", default_value = "cluster.local")]
    trust_domains: Vec<String>,
    /// Keep this filter's defaults, which refuse more.
    #[arg(long)]
    strict: bool,
    /// The gateway has HTTP servers only: do not name what changes on TCP and TLS servers.
    #[arg(long)]
    http_only: bool,
}

#[derive(Serialize)]
struct Report<'i> {
    config: Tree<'i>,
    notes: &'i [Note],
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is written KEY=VALUE".to_owned()),
    }
}

pub(crate) fn run(args: Args, output: Output) -> Outcome {
    let mut documents = Vec::new();
    for file in &args.files {
        let source = Source::read(file)?;
        for node in source.documents()? {
            documents.push(Resource { source: source.clone(), node });
        }
    }
    let imported = import(documents, args)?;
    if output.is_json() && !imported.is_refused() {
        output.print_json(&Report { config: Tree(&imported.config), notes: &imported.notes });
        return Ok(Exit::Ok);
    }
    for note in &imported.notes {
        output.note(&note.text());
    }
    if imported.is_refused() {
        output.note("nothing is written: what cannot be said would admit more if it were left out");
        return Ok(Exit::Error);
    }
    output.print(&yaml(&imported.config));
    Ok(Exit::Ok)
}

fn import(documents: Vec<Resource>, args: Args) -> Result<Imported, Vec<Diagnostic>> {
    let acls: Vec<_> = documents.iter().filter(|document| import::is_acl(&document.node)).collect();
    if let [acl] = acls.as_slice()
        && documents.len() == 1
    {
        return Ok(import::smokescreen(&acl.node));
    }
    if let Some(acl) = acls.first() {
        let what = "a smokescreen ACL is imported alone";
        return Err(vec![Diagnostic::error(what).in_file(&acl.source.name)]);
    }
    let mut policies = Vec::new();
    for document in documents {
        collect(document, &mut policies);
    }
    if policies.is_empty() {
        let files: Vec<_> = args.files.iter().map(|file| file.display().to_string()).collect();
        let what = "neither an AuthorizationPolicy nor a smokescreen ACL is in it";
        return Err(vec![Diagnostic::error(what).in_file(&files.join(", "))]);
    }
    let gateway = Gateway {
        root_namespace: args.root_namespace,
        namespace: args.gateway_namespace,
        labels: args.gateway_labels,
    };
    let settings = Settings {
        gateway,
        trust_domains: args.trust_domains,
        strict: args.strict,
        http_only: args.http_only,
    };
    Ok(import::authorization_policies(&policies, &settings))
}

/// The AuthorizationPolicies of a document.
fn collect(document: Resource, policies: &mut Vec<Resource>) {
    match document.kind() {
        "AuthorizationPolicy" if document.api_version().starts_with("security.istio.io/") => {
            policies.push(document);
        }
        kind if kind.ends_with("List") => {
            for node in document.node.get("items").map(Node::items).unwrap_or_default() {
                collect(Resource { source: document.source.clone(), node: node.clone() }, policies);
            }
        }
        _ => {}
    }
}
