//! `egressctl suggest`

use crate::admissible::{Guards, Omissions};
use crate::diagnostics::Diagnostic;
use crate::exit::{Exit, Outcome};
use crate::output::Output;
use crate::requests::open_log;
use crate::suggest::Suggestion;
use crate::yaml_out::{Tree, yaml};
use std::path::PathBuf;

/// Propose the smallest ALLOW policies that would have admitted what a gateway has seen.
///
/// From the filter's audit lines in Envoy's log, or from an access log in JSON that has the fields
/// `downstream_peer_uri_san`, `authority`, `method`, `requested_server_name` and, to leave out what was refused,
/// `response_code`, `response_code_details`, `response_flags`, `connection_termination_details` and `egress_authz`.
/// One policy for each namespace; a host is proposed as it was asked for, on any port. What a guard, a DENY policy
/// or another filter refused is left out; it is counted on standard error, as is each kind of line.
/// `egressctl test` with the result and the same log passes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 policies are proposed, 1 an error.\n\nExamples:\n  \
                        kubectl logs -n istio-system deploy/istio-egressgateway > week.log\n  \
                        egressctl suggest week.log > proposed.yaml\n  \
                        egressctl test proposed.yaml week.log")]
pub(crate) struct Args {
    /// Logs; `-` is standard input.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// Propose `*.parent` where a workload asked for at least so many hosts of one parent; never for a parent that
    /// is a public suffix or has one below it.
    #[arg(long, value_name = "HOSTS", num_args = 0..=1, default_missing_value = "3")]
    wildcards: Option<usize>,
    /// A trust domain of your mesh, where it is not cluster.local alone: peers of any other are strangers. May be
    /// repeated.
    #[arg(long = "trust-domain", value_name = "DOMAIN")]
    trust_domains: Vec<String>,
    /// The name of the plugin in Envoy's log, where it does not begin with `egress-authz`.
    #[arg(long, value_name = "NAME")]
    logger: Option<String>,
}

/// The trust domain that a configuration has where it names none.
const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let domains = match args.trust_domains.as_slice() {
        [] => vec![DEFAULT_TRUST_DOMAIN],
        domains => domains.iter().map(String::as_str).collect(),
    };
    let guards = Guards::new(domains).map_err(|errors| {
        let diagnose = |error: egress_policy::ConfigError| {
            Diagnostic::error(format!("--trust-domain: {}", error.message()))
        };
        errors.into_iter().take(1).map(diagnose).collect::<Vec<_>>()
    })?;
    let mut suggestion = Suggestion::new(args.wildcards.map(|least| least.max(1)));
    let mut omissions = Omissions::default();
    let (mut requests, mut admitted) = (0_u64, 0_u64);
    for path in &args.logs {
        let log = open_log(path, args.logger.as_deref())?;
        let name = log.name.clone();
        let tally = log.read(|logged| {
            requests += 1;
            match guards.admissible(&logged) {
                Ok(wanted) => {
                    admitted += 1;
                    suggestion.add(&wanted).map_err(|_| too_many(&suggestion, &name))?;
                }
                Err(why) => omissions.add(&why, &logged),
            }
            Ok(())
        })?;
        output.note(&format!("{name}: {}", tally.summary()));
        tally.notes().iter().for_each(|note| output.note(note));
    }
    let config = suggestion.config(&args.trust_domains);
    if output.is_json() {
        output.print_json(&Tree(&config));
    } else {
        output.print(&yaml(&config));
    }
    output.note(&format!("{admitted} of {requests} requests are admitted by these policies"));
    omissions.notes("left out", "--trust-domain").iter().for_each(|note| output.note(note));
    Ok(Exit::Ok)
}

fn too_many(suggestion: &Suggestion, file: &str) -> Vec<Diagnostic> {
    let what = format!("there are more than {} hosts in it", Suggestion::MOST);
    let error = Diagnostic::error(what).in_file(file);
    vec![match suggestion.largest() {
        Some((account, hosts)) => error.help(format!(
            "{account} alone asked for {hosts}: a client that makes up names? Take its lines out, or give --wildcards"
        )),
        None => error,
    }]
}
