//! What depends on the day, on size or on the shell, and so has no snapshot.

use crate::common::{egressctl, text};
use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

fn with_stdin(args: &[&str], stdin: &str) -> Output {
    let mut child =
        egressctl(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let text = stdin.to_owned();
    let writer = std::thread::spawn(move || pipe.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

/// Midnight some days from now, in RFC 3339.
fn in_days(days: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let days = (now + Duration::from_secs(days * 86_400)).as_secs() / 86_400;
    // The date of a day number, in years that begin in March, so that the leap day comes last.
    let z = days + 719_468;
    let era = z / 146_097;
    let of_era = z - era * 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T00:00:00Z")
}

#[test]
fn an_expiry_that_is_near_is_told() {
    let config = |days| {
        let rule = "rules: [{to: [{operation: {hosts: [a.example]}}]}]";
        format!("policies: [{{name: a, expires: {}, {rule}}}]", in_days(days))
    };
    let near = text(&with_stdin(&["check", "-"], &config(10)).stdout);
    assert!(near.contains("a expires in 9 days") || near.contains("a expires in 10 days"), "{near}");
    let far = text(&with_stdin(&["check", "-"], &config(40)).stdout);
    assert_eq!(far, "0 errors, 0 warnings\n");
}

fn large(policies: usize) -> String {
    let policies: Vec<_> = (0..policies)
        .map(|at| {
            format!("  - {{name: p{at}, rules: [{{to: [{{operation: {{hosts: [h{at}.example.com]}}}}]}}]}}\n")
        })
        .collect();
    format!("policies:\n{}", policies.concat())
}

#[test]
fn a_configuration_near_the_limit_of_kubernetes_is_told() {
    for (policies, expected) in [
        (100, None),
        (4_000, Some("client-side `kubectl apply` ends at 262144")),
        (17_000, Some("near the limit: Kubernetes takes no object over 1.5 MiB")),
        (25_000, Some("bytes; Kubernetes takes no object over 1.5 MiB")),
    ] {
        let output = text(&with_stdin(&["check", "-"], &large(policies)).stdout);
        match expected {
            Some(expected) => assert!(output.contains(expected), "{policies}: {output}"),
            None => assert_eq!(output, "0 errors, 0 warnings\n"),
        }
    }
}

#[test]
fn packing_is_reproducible_and_loses_nothing() {
    let large = large(3_000);
    let packed = with_stdin(&["pack", "-"], &large);
    assert!(packed.status.success());
    assert_eq!(packed.stdout, with_stdin(&["pack", "-"], &large).stdout);
    assert!(packed.stdout.len() * 4 < large.len(), "{} of {}", packed.stdout.len(), large.len());
    let packed = text(&packed.stdout);
    assert_eq!(text(&with_stdin(&["check", "-"], &packed).stdout), "0 errors, 0 warnings\n");
    let unpacked = with_stdin(&["unpack", "-"], &packed).stdout;
    let tree = |file: &str| with_stdin(&["unpack", "-", "--format", "json"], file).stdout;
    assert!(tree(&text(&unpacked)) == tree(&large), "unpacked, it is something else");
    // Packed again, the same; a packed one stays as it is.
    assert_eq!(text(&with_stdin(&["pack", "-"], &text(&unpacked)).stdout), packed);
    assert_eq!(text(&with_stdin(&["pack", "-"], &packed).stdout), packed);
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = egressctl(&["completions", shell]).output().unwrap();
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("explain"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let page = text(&egressctl(&["man"]).output().unwrap().stdout);
    assert!(page.contains(".TH egressctl 1") && page.contains("explain"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let output = egressctl(&["man", "--directory"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for command in ["check", "explain", "test", "diff", "import", "merge", "schema", "pack", "unpack"] {
        let page = fs::read_to_string(folder.path().join(format!("egressctl-{command}.1"))).unwrap();
        assert!(page.contains(".SH"), "{command}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = egressctl(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn no_color_on_a_pipe_unless_asked_for() {
    let bad = "polices: []\n";
    assert!(!text(&with_stdin(&["check", "-"], bad).stdout).contains('\x1b'));
    assert!(text(&with_stdin(&["check", "-", "--color", "always"], bad).stdout).contains('\x1b'));
}
