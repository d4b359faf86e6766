//! No control character of any input reaches a terminal or forges a line of a log, in text and in JSON.

use crate::common::{egressctl, text};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A line that a CI log would show as ours, and what a terminal obeys: an escape, a C1 control, a line end of Unicode, a mark that
/// turns text around.
const EVIL: &str = "x\n0 errors, 0 warnings\u{1b}[2J\u{9b}31m\u{85}\u{2028}\u{202e}\u{7f}";
/// The same in quotes.
const EVIL_QUOTED: &str = r"x\n0 errors, 0 warnings\u001b[2J\u009b31m\u0085\u2028\u202e\u007f";

/// Everything that a command says, which must be harmless and hold no forged line.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    let bad = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
    };
    assert!(!said.contains(bad), "{command:?}: {said:?}");
    let forged = said.lines().filter(|line| line.starts_with("0 errors, 0 warnings")).count();
    assert_eq!(forged, 0, "{command:?}: {said}");
    said
}

fn in_both_formats(arguments: &[&str]) {
    for format in ["text", "json"] {
        said(egressctl(arguments).args(["--format", format]));
    }
}

#[test]
fn values_of_files_are_escaped() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let wrong = file(
        "wrong.yaml",
        &format!("\"{EVIL_QUOTED}\": 1\npolicies: [{{name: \"{EVIL_QUOTED}\"}}]\nmode: \"{EVIL_QUOTED}\"\n"),
    );
    in_both_formats(&["check", &wrong]);
    in_both_formats(&["explain", &wrong, "--host", "a.example"]);
    // As they are, without quotes.
    let raw = file("raw.yaml", &format!("mode: {EVIL}\n"));
    in_both_formats(&["check", &raw]);
    let good = file(
        "good.yaml",
        &format!(
            "policies: [{{name: a, owner: \"{EVIL_QUOTED}\", rules: [{{when: [{{key: 'request.headers[x]', values: [\"{EVIL_QUOTED}\"]}}]}}]}}]\n"
        ),
    );
    in_both_formats(&["check", &good]);
    in_both_formats(&["explain", &good, "--host", EVIL, "--method", EVIL]);
    in_both_formats(&["explain", &good, "--host", "a.example", "--principal", EVIL]);
    in_both_formats(&["pack", &good]);
    let cases = file(
        "cases.yaml",
        &format!("cases: [{{name: \"{EVIL_QUOTED}\", host: a.example, expect: allow}}]\n"),
    );
    in_both_formats(&["test", &good, &cases]);
    let gateway = file("gateway.yaml", &format!("sites: [{{hosts: [\"{EVIL_QUOTED}\"], over: HTTP}}]\n"));
    in_both_formats(&["render", &gateway]);
    let rendered = file(
        "owner.yaml",
        &format!(
            "sites: [{{hosts: [a.example], over: HTTP}}]\nconfig: {{policies: [{{name: a, owner: \"{EVIL_QUOTED}\"}}]}}\n"
        ),
    );
    in_both_formats(&["render", &rendered]);
}

#[test]
fn names_of_files_and_arguments_are_escaped() {
    let folder = TempDir::new().unwrap();
    let namespaces = folder.path().join("namespaces");
    fs::create_dir(&namespaces).unwrap();
    fs::write(folder.path().join("mesh.yaml"), "{}").unwrap();
    let name = format!("{}.yaml", EVIL.replace('/', ""));
    for (folder, content) in [(&namespaces, "policies: a"), (&folder.path().to_owned(), "nonsense: 1")] {
        fs::write(folder.join(&name), content).unwrap();
    }
    let whole = folder.path().to_str().unwrap();
    in_both_formats(&["merge", whole]);
    let odd = folder.path().join(&name);
    in_both_formats(&["check", odd.to_str().unwrap()]);
    in_both_formats(&["render", odd.to_str().unwrap()]);
    in_both_formats(&["check", EVIL]);
    said(&mut egressctl(&["check", "--nonsense", EVIL]));
    said(&mut egressctl(&["render", "x", "--carrier", EVIL]));
}

/// A file of one long line is shown around the place, which keeps its column.
#[test]
fn a_long_line_is_cut() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("long.json");
    let names: Vec<String> = (0..500).map(|n| format!("{{\"name\":\"p{n}\"}}")).collect();
    fs::write(&path, format!("{{\"policies\":[{},{{\"nmae\":\"x\"}}]}}", names.join(","))).unwrap();
    let said = said(egressctl(&["check"]).arg(&path));
    assert!(said.lines().all(|line| line.len() < 400), "{said}");
    assert!(said.contains(":1:7905") && said.contains("\"nmae\""), "{said}");
}

#[cfg(unix)]
#[test]
fn render_writes_through_no_link() {
    use std::os::unix::fs::symlink;
    let render = |dir: &Path| {
        let short = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/egress/egress-traffic-policy.yaml");
        egressctl(&["render", short, "--out"]).arg(dir).output().unwrap()
    };
    let folder = TempDir::new().unwrap();
    let outside = folder.path().join("outside.yaml");
    fs::write(&outside, "mine").unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    symlink(&outside, out.join("gateway.yaml")).unwrap();
    let output = render(&out);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("gateway.yaml: a link"), "{output:?}");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
    let linked = folder.path().join("linked");
    symlink(&out, &linked).unwrap();
    assert_eq!(render(&linked).status.code(), Some(1));
    fs::remove_file(out.join("gateway.yaml")).unwrap();
    assert!(render(&out).status.success());
    // Nothing is left beside what is written, and what was there is replaced.
    assert!(render(&out).status.success());
    assert!(
        fs::read_dir(&out).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with('.'))
    );
}
