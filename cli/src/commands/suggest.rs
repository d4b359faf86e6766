//! `egressctl suggest`

use crate::exit::{Exit, Outcome};
use crate::output::Output;
use crate::request_log;
use crate::suggest::Suggestion;
use crate::yaml_out::{Tree, yaml};
use std::path::PathBuf;

/// Propose the smallest ALLOW policies that would have admitted what a gateway has seen.
///
/// From audit lines, or from an access log in JSON that has the fields `downstream_peer_uri_san`, `authority`,
/// `method`, `requested_server_name` and, to leave out what a DENY policy or a guard refused, `egress_authz` or
/// `response_code_details`. One policy for each namespace; a host is proposed as it was asked for, on any port.
/// What is left out, and why, is said on standard error. `egressctl test` with the result and the same log passes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 policies are proposed, 1 an error.\n\nExamples:\n  \
                        kubectl logs -n istio-system deploy/istio-egressgateway > week.log\n  \
                        egressctl suggest week.log > proposed.yaml\n  \
                        egressctl test proposed.yaml week.log")]
pub(crate) struct Args {
    /// Logs; `-` is standard input.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// Propose `*.parent` where a workload asked for at least so many hosts of one parent; never above
    /// a public suffix.
    #[arg(long, value_name = "HOSTS", num_args = 0..=1, default_missing_value = "3")]
    wildcards: Option<usize>,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let mut suggestion = Suggestion::default();
    let mut requests = 0;
    for log in &args.logs {
        for seen in request_log::read_log(log)? {
            requests += 1;
            suggestion.add(&seen);
        }
    }
    if let Some(least) = args.wildcards {
        suggestion.widen(least.max(1));
    }
    let config = suggestion.config();
    if output.is_json() {
        output.print_json(&Tree(&config));
    } else {
        output.print(&yaml(&config));
    }
    output.note(&format!("{} of {requests} requests are admitted by these policies", suggestion.admitted));
    for (why, names) in &suggestion.left_out {
        let first = names.first().map(String::as_str).unwrap_or_default();
        output.note(&format!("left out, {why}: {} (the first is {first})", names.len()));
    }
    Ok(Exit::Ok)
}
