//! `docs/language.md` says what the parser accepts: its examples are good, and it leaves no key out.

use egress_policy::rules::{ATTRIBUTES, Attribute, Values};
use egress_policy::{Config, Protocol};
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/language.md");

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
    let row = |begins: &str| PAGE.lines().find(|line| line.starts_with('|') && line.contains(begins));
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
