//! `egressctl test`

use crate::cases::Case;
use crate::diagnostics::Diagnostic;
use crate::exit::{Exit, Outcome};
use crate::judge::{self, Judges};
use crate::output::Output;
use crate::request_log;
use crate::terminal::one_line;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

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
/// cluster, upstreamIp, network, at, expect (allow or deny), and, optional, reason and would.
///
/// A gateway's log (see `suggest`) will do, too: each request in it is expected to be allowed, but for those
/// that a DENY policy or a guard refused; of these nothing is expected.
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
}

#[derive(Serialize)]
struct Report {
    cases: Vec<Line>,
    passed: usize,
    failed: usize,
}

#[derive(Serialize)]
struct Line {
    name: String,
    ok: bool,
    verdict: &'static str,
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<String>,
    #[serde(skip)]
    differs: Vec<String>,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let judges = Judges::read(&args.file, args.plugin.as_deref());
    let cases = request_log::read(&args.cases);
    let (judges, cases) = match (judges, cases) {
        (Ok(judges), Ok(cases)) => (judges, cases),
        (judges, cases) => {
            let errors = [judges.err(), cases.err()];
            return Err(errors.into_iter().flatten().flatten().collect());
        }
    };
    let mut lines = Vec::with_capacity(cases.len());
    for case in cases {
        if case.expect.is_none() {
            // Of a log's request that a guard refused, nothing is expected.
            if case.is_logged {
                continue;
            }
            let what =
                format!("case {:?} expects nothing: write `expect: allow` or `expect: deny`", case.name);
            return Err(vec![Diagnostic::error(what).in_file(&args.cases.display().to_string())]);
        }
        let outcome = judges.for_request(&case.request)?.judge(&case.request);
        let differs = differences(&case, &outcome);
        let judge::Outcome { verdict, reason, would, .. } = outcome;
        lines.push(Line { name: case.name, ok: differs.is_empty(), verdict, reason, would, differs });
    }
    let failed = lines.iter().filter(|line| !line.ok).count();
    let report = Report { passed: lines.len() - failed, failed, cases: lines };
    if output.is_json() {
        output.print_json(&report);
    } else {
        output.print_ready(&text(&report, output.color_on_stdout()));
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Error })
}

/// What is otherwise than the case expects.
fn differences(case: &Case, outcome: &judge::Outcome) -> Vec<String> {
    let mut differs = Vec::new();
    if let Some(expected) = case.expect.filter(|expected| *expected != outcome.verdict) {
        differs.push(format!("expected {expected}, got {}", outcome.verdict));
    }
    let none = "none";
    let reason = outcome.reason.as_deref().unwrap_or(none);
    if let Some(expected) = case.reason.as_deref().filter(|expected| *expected != reason) {
        differs.push(format!("expected the reason {expected}, got {reason}"));
    } else if !differs.is_empty() {
        differs.push(format!("the reason is {reason}"));
    }
    let would = outcome.would.as_deref().unwrap_or(none);
    if let Some(expected) = case.would.as_deref().filter(|expected| *expected != would) {
        differs.push(format!("expected {expected} from the second verdict, got {would}"));
    }
    differs
}

fn text(report: &Report, color: bool) -> String {
    let paint = |word: &str, code: u8| {
        if color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
    };
    let mut text = String::new();
    for line in &report.cases {
        let mark = if line.ok { paint("ok", 32) } else { paint("FAILED", 31) };
        let reason = line.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
        let would = line.would.as_deref().map(|would| format!(" {would}")).unwrap_or_default();
        let told = format!("{}: {}{reason}{would}", line.name, line.verdict);
        let _ = writeln!(text, "{mark} {}", one_line(&told));
        for differs in &line.differs {
            let _ = writeln!(text, "    {}", one_line(differs));
        }
    }
    let _ = writeln!(text, "{} passed, {} failed", report.passed, report.failed);
    text
}
