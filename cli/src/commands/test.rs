//! `egressctl test`

use crate::admissible::{Guards, Omissions};
use crate::cases::Case;
use crate::diagnostics::Diagnostic;
use crate::exit::{Exit, Outcome};
use crate::judge::{self, Judge, Judges};
use crate::output::Output;
use crate::request_log::RequestLog;
use crate::requests::Requests;
use crate::terminal::one_line;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Run a table of requests against a configuration
///
/// A case is a request, and the verdict that is expected of it:
///
///   cases:
///   - name: the frontend may search
///     principal: cluster.local/ns/demo-frontend/sa/sleep
///     host: www.example.com
///     expect: allow
///     reason: ns[demo-frontend]-policy[frontend]-rule[0]
///
/// Keys: name, principal, host, sni, method, path, port, sourceIp, destinationIp, headers, claims,
/// cluster, upstreamIp, network, at, expect (allow or deny), and, optional, reason and would (the dry-run
/// verdict, or `none`).
///
/// A gateway's log (see `suggest`) will do, too: each request in it is expected to be allowed, but for those
/// that a DENY policy, a guard or another filter refused; of these nothing is expected, and they are counted.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit codes: 0 all passed, 1 some failed or an error.\n\nExamples:\n  \
                  egressctl test policy.yaml cases.yaml\n  \
                  egressctl merge policies/ | egressctl test - cases.yaml"
)]
pub(crate) struct Args {
    /// The configuration or manifest; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The table, or a log.
    #[arg(value_name = "CASES|LOG")]
    cases: PathBuf,
    /// The plugin that is meant, where the manifest holds several of one type.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    plugin: Option<String>,
    /// The name of the plugin in Envoy's log, where it does not begin with `egress-authz`.
    #[arg(long, value_name = "NAME")]
    logger: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    cases: Vec<Line>,
    passed: usize,
    failed: usize,
    /// Requests of a log of which nothing is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compared: Option<u64>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    ok: bool,
    verdict: &'static str,
    reason: Option<String>,
    #[serde(rename = "would", skip_serializing_if = "Option::is_none")]
    dry_run_verdict: Option<String>,
    #[serde(skip)]
    differences: Vec<String>,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let judges = Judges::read(&args.file, args.plugin.as_deref());
    let requests = Requests::open(&args.cases, args.logger.as_deref());
    let (judges, requests) = match (judges, requests) {
        (Ok(judges), Ok(requests)) => (judges, requests),
        (judges, requests) => {
            let errors = [judges.err(), requests.err()];
            return Err(errors.into_iter().flatten().flatten().collect());
        }
    };
    let report = match requests {
        Requests::Table(cases) => of_table(&judges, cases, &args.cases)?,
        Requests::Log(log) => of_log(&judges, *log, output)?,
    };
    if output.is_json() {
        output.print_json(&report);
    } else {
        output.print_ready(&text(&report, output.color_on_stdout()));
    }
    Ok(if report.failed == 0 { Exit::Ok } else { Exit::Error })
}

fn of_table(judges: &Judges, cases: Vec<Case>, path: &Path) -> Result<Report, Vec<Diagnostic>> {
    let mut lines = Vec::with_capacity(cases.len());
    let mut errors = Vec::new();
    for case in cases {
        if case.expect.is_none() {
            let what =
                format!("case {:?} expects nothing: write `expect: allow` or `expect: deny`", case.name);
            errors.push(Diagnostic::error(what).in_file(&path.display().to_string()));
            continue;
        }
        let outcome = judges.for_request(&case.request)?.judge(&case.request);
        let differences = differences(&case, &outcome);
        lines.push(Line::new(case.name, outcome, differences));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let failed = lines.iter().filter(|line| !line.ok).count();
    Ok(Report { passed: lines.len() - failed, failed, cases: lines, not_compared: None })
}

/// Of a log only what fails is listed: it may have a million lines.
fn of_log(judges: &Judges, log: RequestLog<'_>, output: Output) -> Result<Report, Vec<Diagnostic>> {
    let name = log.name.clone();
    let (mut cases, mut passed) = (Vec::new(), 0);
    let mut omissions = Omissions::default();
    let mut guards: [Option<Guards>; 2] = [None, None];
    let tally = log.read(|logged| {
        let judge = judges.for_request(&logged.request)?;
        let [http, network] = &mut guards;
        let guards = if logged.request.network { network } else { http };
        let guards = match guards {
            Some(guards) => guards,
            None => guards.insert(guards_of(judge)?),
        };
        match guards.admissible(&logged) {
            Err(why) => omissions.add(&why, &logged),
            Ok(_) => {
                let outcome = judge.judge(&logged.request);
                if outcome.verdict == "allow" {
                    passed += 1;
                } else {
                    let reason = outcome.reason.as_deref().unwrap_or("none");
                    let differences = vec![
                        format!("expected allow, got {}", outcome.verdict),
                        format!("the reason is {reason}"),
                    ];
                    cases.push(Line::new(logged.title(), outcome, differences));
                }
            }
        }
        Ok(())
    })?;
    output.note(&format!("{name}: {}", tally.summary()));
    let notes = omissions.notes("not compared", "trustDomains");
    tally.notes().iter().chain(&notes).for_each(|note| output.note(note));
    Ok(Report { failed: cases.len(), passed, cases, not_compared: Some(omissions.count()) })
}

/// The guards that stand where a configuration says nothing of them, with its own trust domains.
fn guards_of(judge: &Judge) -> Result<Guards, Vec<Diagnostic>> {
    let guards = Guards::new(judge.engine.settings().trust_domains.iter());
    guards.map_err(|errors| errors.iter().map(|error| Diagnostic::error(error.to_string())).collect())
}

// === impl Line ===

impl Line {
    fn new(name: String, outcome: judge::Judgement, differences: Vec<String>) -> Self {
        let judge::Judgement { verdict, reason, dry_run_verdict, .. } = outcome;
        Self { name, ok: differences.is_empty(), verdict, reason, dry_run_verdict, differences }
    }
}

/// What is otherwise than the case expects.
fn differences(case: &Case, outcome: &judge::Judgement) -> Vec<String> {
    let mut differences = Vec::new();
    if let Some(expected) = case.expect.filter(|expected| *expected != outcome.verdict) {
        differences.push(format!("expected {expected}, got {}", outcome.verdict));
    }
    let none = "none";
    let reason = outcome.reason.as_deref().unwrap_or(none);
    if let Some(expected) = case.reason.as_deref().filter(|expected| *expected != reason) {
        differences.push(format!("expected the reason {expected}, got {reason}"));
    } else if !differences.is_empty() {
        differences.push(format!("the reason is {reason}"));
    }
    let dry_run = outcome.dry_run_verdict.as_deref().unwrap_or(none);
    if let Some(expected) = case.dry_run_verdict.as_deref().filter(|expected| *expected != dry_run) {
        differences.push(format!("expected the dry-run verdict {expected}, got {dry_run}"));
    }
    differences
}

fn text(report: &Report, color: bool) -> String {
    let paint = |word: &str, code: u8| {
        if color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
    };
    let mut text = String::new();
    for line in &report.cases {
        let mark = if line.ok { paint("ok", 32) } else { paint("FAILED", 31) };
        let reason = line.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
        let dry_run =
            line.dry_run_verdict.as_deref().map(|verdict| format!(" {verdict}")).unwrap_or_default();
        let whole = format!("{}: {}{reason}{dry_run}", line.name, line.verdict);
        let _ = writeln!(text, "{mark} {}", one_line(&whole));
        for difference in &line.differences {
            let _ = writeln!(text, "    {}", one_line(difference));
        }
    }
    let _ = write!(text, "{} passed, {} failed", report.passed, report.failed);
    if let Some(count) = report.not_compared.filter(|count| *count > 0) {
        let _ = write!(text, ", {count} not compared");
    }
    text.push('\n');
    text
}
