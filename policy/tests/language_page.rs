//! `docs/language.md` says what the parser accepts: its examples are good, and it leaves no key out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use egress_policy::rules::{ATTRIBUTES, Attribute, Values};
use egress_policy::{Config, Protocol};
use serde_json::Value;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/language.md");

/// Sources and pages of the folders that cite the page, by path.
fn citing() -> Vec<(PathBuf, String)> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> = ["policy", "filter", "cli", "src", "docs", "tests"]
        .iter()
        .map(|name| repository.join(name))
        .collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "md") {
                files.push((path.clone(), std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    files
}

/// An anchor as GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Code and pages cite a section by its anchor, and the section is there.
#[test]
fn every_section_that_is_cited_is_there() {
    let prose: String = PAGE.split("```").step_by(2).collect();
    let anchors: Vec<_> = prose.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    let mut cited = 0;
    for (path, text) in citing() {
        for part in text.split("language.md#").skip(1) {
            let wanted: String =
                part.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
            if wanted.is_empty() {
                continue; // This file's own text.
            }
            assert!(anchors.contains(&wanted), "{}: language.md has no #{wanted}", path.display());
            cited += 1;
        }
    }
    assert!(cited >= 15, "{cited} citations");
    // Numbered without a gap, so that a number says where.
    let numbered = prose.lines().filter_map(|line| line.strip_prefix("## "));
    for (at, heading) in numbered.enumerate() {
        assert!(heading.starts_with(&format!("{}. ", at + 1)), "{heading}");
    }
}

/// The blocks of a language on the page.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_example_is_a_good_configuration() {
    let examples = blocks("yaml");
    assert!(examples.len() >= 8, "only {} examples", examples.len());
    for example in examples {
        let json: Value = yaml_serde::from_str(example).unwrap();
        let parsed = Config::parse(json.to_string().as_bytes());
        assert!(parsed.is_ok(), "{example}\n{:?}", parsed.unwrap_err());
    }
}

#[test]
fn every_key_and_every_reason_is_explained() {
    for word in [
        "type mode defaultAction trustDomains unauthenticated sniMismatch encryptedClientHello privateAddresses",
        "privateUpstreams routeMismatch pathReadings reportAllowed recheckConnections denyResponse hostSets policies",
        "name namespace action protocols expires owner rules",
        "unauthenticated invalid_identity untrusted_domain malformed_host malformed_hello oversized_hello",
        "hello_timeout encrypted_hello attribute_unavailable identity_pending sni_mismatch private_address",
        "private_upstream route_mismatch no_allow_matched default_action wrong_type",
    ]
    .join(" ")
    .split(' ')
    {
        assert!(PAGE.contains(&format!("`{word}`")), "{word} is not explained");
    }
}

/// The tables of fields and keys are those of the table of attributes, row by row.
#[test]
fn every_attribute_has_its_row() {
    // A row whose first cell is keys and nothing else.
    let row = |keys: &str| {
        PAGE.lines().find(|line| {
            let first = line.strip_prefix("| ").and_then(|line| line.split(" |").next()).unwrap_or_default();
            first.contains(keys) && first.split('`').step_by(2).all(|between| matches!(between, "" | ", "))
        })
    };
    for attribute in &ATTRIBUTES {
        let fields = attribute.fields.iter().map(|field| format!("`{}`, `{}`", field.key, field.not_key));
        let conditions = attribute.conditions.iter().map(|condition| {
            // A claim is written with the names A, B: it may lie in another.
            let key = if matches!(attribute.values, Values::Claim) { "[A]" } else { "[NAME]" };
            format!("`{}`", condition.key.replace("[NAME]", key))
        });
        for key in fields.chain(conditions) {
            let row = row(&key).unwrap_or_else(|| panic!("no row explains {key}"));
            let is_http_only = attribute.only == Some(Protocol::Http);
            assert_eq!(row.contains("HTTP only"), is_http_only, "{row}");
        }
    }
}

/// The other way round: no row of those tables is about what the table of attributes does not have.
#[test]
fn no_row_is_of_an_attribute_that_is_none() {
    let fields: Vec<_> = ATTRIBUTES.iter().flat_map(|row| row.fields).map(|field| field.key).collect();
    for row in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('`').skip(1).step_by(2);
        let (first, second) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        if second.starts_with("not") {
            assert!(fields.contains(&first), "{row}");
        }
        if ["source.", "destination.", "connection.", "request.", "remote."]
            .iter()
            .any(|of| first.starts_with(of))
        {
            assert!(Attribute::by_condition(first).is_some(), "{row}");
        }
    }
}

#[test]
fn the_errors_shown_are_the_parsers() {
    let json = r#"{"policies": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d", "rules": [{"to": [{"operation": {"hosts": ["a.example", "*example.com"]}}]}]}, {"name": "e", "action": "deny"}]}"#;
    let errors = Config::parse(json.as_bytes()).unwrap_err();
    let shown: Vec<_> = errors.iter().map(|error| format!("{error}\n")).collect();
    assert!(PAGE.contains(&format!("```\n{}```", shown.concat())), "{shown:?}");
}
