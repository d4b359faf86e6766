//! `egressctl explain`

use crate::diagnostics::Diagnostic;
use crate::exit::{Exit, Outcome};
use crate::explanation::Explanation;
use crate::judge::Judges;
use crate::output::Output;
use crate::request::{Request, parse_claims};
use clap::builder::NonEmptyStringValueParser;
use egress_policy::Timestamp;
use std::net::IpAddr;
use std::path::PathBuf;

/// Say what becomes of a request, and why: the steps of the verdict and the answer of each policy.
///
/// Without --principal the peer presents no certificate; the method is GET, the path `/`, the time now, and
/// there is no server name. What is not given and has no default (port, addresses) is unknown to the rules,
/// as it is to the gateway where Envoy cannot tell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 allowed, 2 denied, 1 an error.\n\nExamples:\n  \
                        egressctl explain policy.yaml --principal cluster.local/ns/default/sa/sleep \\\n      \
                        --host www.example.com --method POST --path /upload\n  \
                        egressctl explain wasmplugin.yaml --network --principal cluster.local/ns/a/sa/x \\\n      \
                        --sni www.example.com --host www.example.com --format json")]
pub(crate) struct Args {
    /// The configuration or manifest; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The peer, `<trust domain>/ns/<namespace>/sa/<account>`; without it no certificate is presented.
    #[arg(long, value_name = "P")]
    principal: Option<String>,
    /// The authority. With --network the server name inside: empty is a ClientHello without one, and none at
    /// all is a connection that does not speak TLS.
    #[arg(long, value_name = "H", required_unless_present = "network")]
    host: Option<String>,
    /// The server name of the connection to the gateway.
    #[arg(long)]
    sni: Option<String>,
    /// The method [default: GET].
    #[arg(long)]
    method: Option<String>,
    /// The path, with its query [default: /].
    #[arg(long)]
    path: Option<String>,
    /// The gateway's listener port.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The client's address.
    #[arg(long, value_name = "IP")]
    source_ip: Option<IpAddr>,
    /// The gateway's address.
    #[arg(long, value_name = "IP")]
    destination_ip: Option<IpAddr>,
    /// A header; may be repeated.
    #[arg(long = "header", value_name = "K=V", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// The claims of the token that the gateway verified.
    #[arg(long, value_name = "JSON", value_parser = NonEmptyStringValueParser::new())]
    claims: Option<String>,
    /// The cluster that the gateway chose, such as `outbound|443||www.example.com`.
    #[arg(long)]
    cluster: Option<String>,
    /// The site's address, as the gateway resolved it.
    #[arg(long, value_name = "IP")]
    upstream_ip: Option<IpAddr>,
    /// A connection instead of a request.
    #[arg(long)]
    network: bool,
    /// The time of the verdict, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
    /// The plugin that is meant, where the manifest holds several of one type.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    plugin: Option<String>,
    /// List every policy that applies, also where hundreds do not match.
    #[arg(long)]
    all: bool,
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a header is written NAME=VALUE".to_owned()),
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|fault| fault.to_string())
}

pub(crate) fn run(args: Args, output: Output) -> Outcome {
    let (file, plugin, all) = (args.file.clone(), args.plugin.clone(), args.all);
    let request = args.request()?;
    let judges = Judges::read(&file, plugin.as_deref())?;
    let judge = judges.for_request(&request)?;
    let explanation = Explanation::new(judge, &request);
    if output.is_json() {
        output.print_json(&explanation);
    } else {
        output.print_ready(&explanation.text(all, output.color_on_stdout()));
    }
    Ok(if explanation.denies() { Exit::Negative } else { Exit::Ok })
}

impl Args {
    fn request(self) -> Result<Request, Vec<Diagnostic>> {
        let claims = self
            .claims
            .map(|text| parse_claims(&text))
            .transpose()
            .map_err(|what| vec![Diagnostic::error(format!("--claims: {what}"))])?;
        let mut request = Request {
            network: self.network,
            principal: self.principal,
            host: self.host,
            sni: self.sni,
            method: self.method,
            path: self.path,
            port: self.port,
            source_ip: self.source_ip,
            destination_ip: self.destination_ip,
            headers: Vec::new(),
            claims,
            cluster: self.cluster,
            upstream_ip: self.upstream_ip,
            at: self.at,
        };
        for (name, value) in &self.headers {
            request.add_header(name, value);
        }
        Ok(request)
    }
}
