//! `pathReadings`: a table of spellings, and what holds of every path.

use crate::generate::{PATH_PATTERNS, PATHS};
use crate::properties::settings;
use crate::support::{engine, http, said_by};
use egress_policy::patterns::PathPattern;
use egress_policy::{PathReadings, Readings, Truth};
use proptest::prelude::*;
use serde_json::{Value, json};

const TABLE: &str = include_str!("../data/path_readings.yaml");

fn rows() -> Vec<(String, String)> {
    yaml_serde::from_str(TABLE).unwrap()
}

fn config(action: &str, field: &str, pattern: &str, readings: &str) -> Value {
    let rules = json!([{"to": [{"operation": {field: [pattern]}}]}]);
    let default = if action == "DENY" { "ALLOW" } else { "DENY" };
    json!({"pathReadings": readings, "defaultAction": default, "policies": [{"name": "p", "action": action, "rules": rules}]})
}

/// Whether a path passes a DENY and an ALLOW of one field: a true one passes the second alone, a false one the first,
/// an unknown one neither.
fn passes(field: &str, pattern: &str, path: &str, readings: &str) -> (bool, bool) {
    let request = http("a/x", "www.example").path(path);
    let passes = |action| {
        said_by(&engine(&config(action, field, pattern, readings)), &request).verdict.starts_with("allow[")
    };
    (passes("DENY"), passes("ALLOW"))
}

fn truth(passes: (bool, bool)) -> char {
    match passes {
        (false, true) => 'T',
        (true, false) => 'F',
        (false, false) => 'U',
        (true, true) => panic!("it passes a DENY and an ALLOW of one field"),
    }
}

#[test]
fn every_spelling_of_the_table() {
    let rows = rows();
    assert!(rows.len() >= 60);
    let columns = ["/admin/users", "/admin/*", "*/users", "/admin/{*}"];
    for (path, expected) in &rows {
        let came: String =
            columns.iter().map(|pattern| truth(passes("paths", pattern, path, "ALL"))).collect();
        assert_eq!(&came, expected, "{path}");
        // The twin is the opposite, and as unknown.
        let twin: String =
            columns.iter().map(|pattern| truth(passes("notPaths", pattern, path, "ALL"))).collect();
        let opposite = expected.replace('T', "t").replace('F', "T").replace('t', "F");
        assert_eq!(twin, opposite, "{path}");
    }
}

/// Literally there is one reading, and nothing else about a path matters.
#[test]
fn literally_it_is_as_it_is_written() {
    for (path, _) in rows() {
        for (pattern, expected) in [
            ("/admin/users", path.split(['?', '#']).next() == Some("/admin/users")),
            ("/admin/*", path.starts_with("/admin/")),
            ("*/users", path.split(['?', '#']).next().unwrap().ends_with("/users")),
        ] {
            let expected = if expected { 'T' } else { 'F' };
            assert_eq!(truth(passes("paths", pattern, &path, "LITERAL")), expected, "{pattern} {path}");
        }
    }
}

/// A path out of pieces that are read in several ways.
fn paths() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "/", "a", "b", "..", ".", ";", ";x", "\\", "%2f", "%2F", "%252f", "%2e", "%252e", "%5c", "%3b",
        "%61", "%2561", "%", "%00", "%20", "%c3%a4", "?", "%3f", "|", "/a/b", "/a/..;/b", "//",
    ]);
    let made = proptest::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()));
    prop_oneof![4 => made, 1 => proptest::sample::select(PATHS).prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(settings())]

    /// A path whose readings all agree is decided as it is written; any other is unknown.
    #[test]
    fn where_readings_agree_nothing_changes(
        path in paths(),
        pattern in proptest::sample::select(PATH_PATTERNS),
        field in proptest::sample::select(vec!["paths", "notPaths"]),
    ) {
        let target = path.split(['?', '#']).next().unwrap().as_bytes();
        let parsed = PathPattern::parse(pattern).unwrap();
        let written = parsed.matches(target);
        let agree = match Readings::of(target, PathReadings::All) {
            Readings::AsWritten => true,
            Readings::Unclear => false,
            Readings::Others(others) => others.iter().all(|other| {
                let fits = parsed.matches(other) != Truth::False;
                written != Truth::Unknown && fits == (written == Truth::True)
            }),
        };
        let all = passes(field, pattern, &path, "ALL");
        if agree {
            prop_assert_eq!(all, passes(field, pattern, &path, "LITERAL"));
        } else {
            prop_assert_eq!(all, (false, false));
        }
    }
}
