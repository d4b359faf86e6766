//! `egressctl diff`

use crate::changes::{self, Changes};
use crate::exit::{Exit, Outcome};
use crate::judge::{self, Judges};
use crate::output::Output;
use crate::request_log;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Say which policies changed, and which verdicts flip for the given requests.
///
/// Requests come from a table of cases, or from a gateway's log: its audit lines. Those hold no path, header
/// or token, so rules about these are judged without.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 no verdict flips, 2 some do, 1 an error.\n\nExamples:\n  \
                        egressctl diff live.yaml proposed.yaml cases.yaml\n  \
                        kubectl logs -n istio-system deploy/istio-egressgateway | egressctl diff live.yaml proposed.yaml -")]
pub(crate) struct Args {
    /// The configuration or manifest as it is.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The configuration or manifest as it is to be.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// A table of cases, or a log with audit lines.
    #[arg(value_name = "CASES|LOG")]
    requests: Option<PathBuf>,
    /// The plugin that is meant, where a manifest holds several of one type.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    plugin: Option<String>,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    changes: Changes,
    requests: usize,
    flips: Vec<Flip>,
}

/// A request that is judged otherwise.
#[derive(Serialize)]
struct Flip {
    name: String,
    old: judge::Outcome,
    new: judge::Outcome,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let old = Judges::read(&args.old, args.plugin.as_deref());
    let new = Judges::read(&args.new, args.plugin.as_deref());
    let (old, new) = match (old, new) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => return Err([old.err(), new.err()].into_iter().flatten().flatten().collect()),
    };
    let requests = match &args.requests {
        Some(path) => request_log::read(path)?,
        None => Vec::new(),
    };
    let mut flips = Vec::new();
    for case in &requests {
        let old = old.for_request(&case.request)?.judge(&case.request);
        let new = new.for_request(&case.request)?.judge(&case.request);
        if old.verdict != new.verdict {
            flips.push(Flip { name: case.name.clone(), old, new });
        }
    }
    let report = Report { changes: changes::between(&old, &new), requests: requests.len(), flips };
    if output.is_json() {
        output.print_json(&report);
    } else {
        output.print(&report.text(args.requests.is_some()));
    }
    Ok(if report.flips.is_empty() { Exit::Ok } else { Exit::Negative })
}

impl Report {
    fn text(&self, with_requests: bool) -> String {
        let mut text = self.changes.text();
        if text.is_empty() {
            text.push_str("nothing changed\n");
        }
        if with_requests {
            let _ = writeln!(text, "{} of {} verdicts flip", self.flips.len(), self.requests);
        }
        for flip in &self.flips {
            let side = |outcome: &judge::Outcome| {
                let reason = outcome.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
                format!("{}{reason}", outcome.verdict)
            };
            let _ = writeln!(text, "  {}: {} -> {}", flip.name, side(&flip.old), side(&flip.new));
        }
        text
    }
}
