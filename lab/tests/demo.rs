//! `egress-lab demo` as a process: what it prints, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers too")]

use std::fs;
use std::process::{Command, Output};

use egress_lab::paths::repo_dir;

/// Plays `deny-namespace` as it is, or with one of its words replaced.
fn demo(word: &str, by: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let scenario =
        fs::read_to_string(repo_dir().unwrap().join("tests/scenarios/deny-namespace.yaml")).unwrap();
    assert!(scenario.contains(word));
    fs::write(dir.path().join("a.yaml"), scenario.replacen(word, by, 1)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_egress-lab"))
        .args(["demo", "--scenarios"])
        .arg(dir.path())
        .output()
        .unwrap()
}

#[test]
fn the_demo_ends_well_only_where_all_is_as_expected() {
    let good = demo("gets: 403", "gets: 403");
    let table = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{table}{}", String::from_utf8_lossy(&good.stderr));
    assert!(table.contains("All 4 answers are as expected."), "{table}");

    let wrong = demo("gets: 200", "gets: 204");
    let table = String::from_utf8_lossy(&wrong.stdout).into_owned();
    assert_eq!(wrong.status.code(), Some(1), "{table}");
    assert!(
        table.contains("got 200, expected 204") && table.contains("answers are not as expected"),
        "{table}"
    );
}
