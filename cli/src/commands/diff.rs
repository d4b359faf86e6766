//! `egressctl diff`

use crate::changes::{self, Changes};
use crate::diagnostics::Diagnostic;
use crate::exit::{Exit, Outcome};
use crate::judge::{self, Judges};
use crate::output::Output;
use crate::request::Request;
use crate::requests::Requests;
use crate::terminal::one_line;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Say what changed, and which verdicts flip for the given requests.
///
/// Compared are policies, host sets, settings and the manifest around the configuration. Requests come from a table
/// of cases, or from a gateway's log (see `suggest`), of which audit lines hold no path, header or token. A verdict
/// flips also where only the dry run's does. What cannot be compared is an error.
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
    /// A table of cases, or a log.
    #[arg(value_name = "CASES|LOG")]
    requests: Option<PathBuf>,
    /// The plugin that is meant, where a manifest holds several of one type.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    plugin: Option<String>,
    /// The name of the plugin in Envoy's log, where it does not begin with `egress-authz`.
    #[arg(long, value_name = "NAME")]
    logger: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    changes: Changes,
    requests: usize,
    flips: Vec<Flip>,
    /// Of the verdicts with what is in dry run enforced.
    dry_run_flips: Vec<Flip>,
}

/// A request that is judged otherwise.
#[derive(Serialize)]
struct Flip {
    name: String,
    old: judge::Judgement,
    new: judge::Judgement,
}

/// Two configurations, and what becomes of each request under both.
struct Comparison {
    old: Judges,
    new: Judges,
    requests: usize,
    flips: Vec<Flip>,
    dry_run_flips: Vec<Flip>,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let old = Judges::read(&args.old, args.plugin.as_deref());
    let new = Judges::read(&args.new, args.plugin.as_deref());
    let (old, new) = match (old, new) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => return Err([old.err(), new.err()].into_iter().flatten().flatten().collect()),
    };
    for (file, judges) in [(&args.old, &old), (&args.new, &new)] {
        if !judges.resources.is_empty() {
            output.note(&format!("not compared, in {}: {}", file.display(), judges.resources.join(", ")));
        }
    }
    let changes = changes::between(&old, &new)?;
    let (flips, dry_run_flips) = (Vec::new(), Vec::new());
    let mut comparison = Comparison { old, new, requests: 0, flips, dry_run_flips };
    match &args.requests {
        Some(path) => comparison.read(path, args.logger.as_deref(), output)?,
        None => output.note("no requests are given, so no verdicts are compared"),
    }
    let Comparison { requests, flips, dry_run_flips, .. } = comparison;
    let report = Report { changes, requests, flips, dry_run_flips };
    if output.is_json() {
        output.print_json(&report);
    } else {
        output.print(&report.text(args.requests.is_some()));
    }
    let is_same = report.flips.is_empty() && report.dry_run_flips.is_empty();
    Ok(if is_same { Exit::Ok } else { Exit::Negative })
}

// === impl Comparison ===

impl Comparison {
    fn read(&mut self, path: &Path, logger: Option<&str>, output: Output) -> Result<(), Vec<Diagnostic>> {
        match Requests::open(path, logger)? {
            Requests::Table(cases) => {
                for case in cases {
                    self.add(&case.request, || case.name.clone())?;
                }
            }
            Requests::Log(log) => {
                let name = log.name.clone();
                let tally = log.read(|logged| self.add(&logged.request, || logged.title()))?;
                output.note(&format!("{name}: {}", tally.summary()));
                tally.notes().iter().for_each(|note| output.note(note));
            }
        }
        Ok(())
    }

    fn add(&mut self, request: &Request, name: impl Fn() -> String) -> Result<(), Vec<Diagnostic>> {
        self.requests += 1;
        self.refuse_a_lost_type(request, &name)?;
        let old = self.old.for_request(request)?.judge(request);
        let new = self.new.for_request(request)?.judge(request);
        // Without a second verdict it is the first.
        let dry_run = |outcome: &judge::Judgement| match outcome.dry_run_verdict.as_deref() {
            Some(verdict) => verdict.starts_with("would_allow"),
            None => outcome.verdict == "allow",
        };
        let flips = if old.verdict != new.verdict {
            &mut self.flips
        } else if dry_run(&old) != dry_run(&new) {
            &mut self.dry_run_flips
        } else {
            return Ok(());
        };
        flips.push(Flip { name: name(), old, new });
        Ok(())
    }

    /// A request that only one of the two files has a plugin for cannot be compared.
    fn refuse_a_lost_type(
        &self,
        request: &Request,
        name: &impl Fn() -> String,
    ) -> Result<(), Vec<Diagnostic>> {
        if self.old.plugins.len() == 1 && self.new.plugins.len() == 1 {
            return Ok(());
        }
        let protocol = request.protocol();
        let side = match (self.old.plugin_of(protocol)?, self.new.plugin_of(protocol)?) {
            (Some(_), None) => "NEW has no plugin of type",
            (None, Some(_)) => "OLD has no plugin of type",
            _ => return Ok(()),
        };
        let what = format!("{side} {}: nothing there judges {}", judge::type_name(protocol), name());
        Err(vec![
            Diagnostic::error(what)
                .help("leave such requests out, or compare files that both have the plugin"),
        ])
    }
}

// === impl Report ===

impl Report {
    fn text(&self, with_requests: bool) -> String {
        let mut text = self.changes.text();
        if text.is_empty() {
            text.push_str("nothing changed in policies, host sets, settings and manifest\n");
        }
        if with_requests {
            let _ = writeln!(text, "{} of {} verdicts flip", self.flips.len(), self.requests);
        }
        list(&mut text, &self.flips, |outcome| {
            let reason = outcome.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{}{reason}", outcome.verdict)
        });
        if !self.dry_run_flips.is_empty() {
            let _ = writeln!(text, "{} of {} dry-run verdicts flip", self.dry_run_flips.len(), self.requests);
        }
        list(&mut text, &self.dry_run_flips, |outcome| {
            outcome.dry_run_verdict.clone().unwrap_or_else(|| outcome.verdict.to_owned())
        });
        text
    }
}

fn list(text: &mut String, flips: &[Flip], side: impl Fn(&judge::Judgement) -> String) {
    for flip in flips {
        let _ = writeln!(text, "  {}: {} -> {}", one_line(&flip.name), side(&flip.old), side(&flip.new));
    }
}
