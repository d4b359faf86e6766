//! The list in the documentation and the tests, held together.

use std::collections::BTreeSet;
use std::fs;

use egress_lab::paths::repo_dir;

/// Names of tests in the sources beside this one.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(repo_dir().unwrap().join("tests/differential/differences")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = source.lines().collect();
        for pair in lines.windows(2) {
            let name = pair[1].strip_prefix("fn ").and_then(|rest| rest.split_once('('));
            if let (Some("#[test]"), Some((name, _))) = (pair.first().copied(), name)
                && module != "listed"
            {
                names.insert(format!("{module}::{name}"));
            }
        }
    }
    names
}

#[test]
fn the_documentation_lists_every_test_and_no_other() {
    let page = fs::read_to_string(repo_dir().unwrap().join("docs/differences.md")).unwrap();
    let mut listed = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        if let Some(name) = last.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
            assert!(listed.insert(name.to_owned()), "{name} is listed twice");
        }
    }
    assert!(listed.len() > 20, "the list was read");
    assert_eq!(listed, tests());
}
