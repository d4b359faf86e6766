//! What is read, and what is refused.

use super::super::node::Occurrence;
use super::*;

fn one(text: &str) -> Node {
    let mut documents = parse(text).unwrap();
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.remove(0)
}

fn at(text: &str, path: &str) -> (u32, u32, u32) {
    let node = one(text);
    let span = node.locate(path, Occurrence::First).unwrap().value();
    (span.line, span.column, span.end_column)
}

#[test]
fn every_value_has_its_place() {
    let text = "policies:\n- name: a\n  rules:\n  - to: [{operation: {hosts: [x, \"*.b\"]}}]\n";
    assert_eq!(at(text, "policies[0].name"), (2, 9, 10));
    assert_eq!(at(text, "policies[0].rules[0].to[0].operation.hosts[1]"), (4, 34, 39));
    assert_eq!(at(text, "policies[0].rules"), (3, 3, 8));
    assert_eq!(at("a.b:\n  c: x\n", "a.b.c"), (2, 6, 7));
    assert!(one(text).locate("policies[1]", Occurrence::First).is_none());
    assert!(one("ab: 1").locate("a", Occurrence::First).is_none());
}

#[test]
fn columns_count_characters() {
    assert_eq!(at("{\"ü\": [\"é\", 7]}", "ü[1]"), (1, 13, 14));
}

#[test]
fn json_is_yaml() {
    let node = one("{\n\t\"a\": [1, true, null, \"no\\u00e9\\/\"],\n\t\"b\": {}\n}\n");
    let expected = r#"{"a": [1, true, null, "noé/"], "b": {}}"#;
    assert_eq!(node.to_json(), serde_json::from_str(expected).unwrap());
}

#[test]
fn documents_and_strings() {
    let documents = parse("---\na: no\n---\n# nothing\n---\nb: 2026-12-31T00:00:00Z\n").unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0].text_at(&["a"]), Some("no"));
    assert_eq!(documents[1].text_at(&["b"]), Some("2026-12-31T00:00:00Z"));
    assert_eq!(one("a: !!str 443").text_at(&["a"]), Some("443"));
    assert!(parse("a: !custom 443").is_err());
    assert!(parse("").unwrap().is_empty());
}

#[test]
fn a_key_written_twice_stays_twice() {
    let node = one("a: 1\na: 2\n");
    assert_eq!(node.entries().len(), 2);
    assert_eq!(node.locate("a", Occurrence::Last).unwrap().key_or_value().line, 2);
}

#[test]
fn anchors_are_copied_and_bounded() {
    let node = one("a: &x [1, 2]\nb: *x\n");
    assert_eq!(node.get("b").unwrap().to_json(), node.get("a").unwrap().to_json());
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", "));
    }
    assert!(parse(&bomb).unwrap_err()[0].message.contains("MiB"));
    assert!(parse("a: &a [*a]\n").is_err());
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(parse(&deep).is_err());
}

#[test]
fn an_error_has_its_place() {
    let errors = parse("a: 1\nb: [1\nc: 2\n").unwrap_err();
    assert!(errors[0].span.line >= 2, "{errors:?}");
}

/// The words are ours, and there is always something to do.
#[test]
fn what_is_no_yaml_has_a_repair() {
    for (text, wanted) in [
        ("a: b: c", "put the text in quotes"),
        ("a:\n\t- b", "indent with spaces"),
        ("a: [1, 2", "close it"),
        ("a: {b: 1, c: 2\nd: 3", "bracket"),
        ("a: 1\n b: 2", "indent"),
        ("- a\nb: 1", "`- `"),
        ("a: *nowhere", "define it above"),
        ("a: \"\\q\"", "backslash"),
        ("a: \"x\" y", "quote"),
        ("a: 'x", "close it"),
        ("a: @x", "put it in quotes"),
        ("a: 1\n]", "closing bracket"),
        ("a: |x\n y", "quotes, brackets"),
    ] {
        let errors = parse(text).unwrap_err();
        let said = format!("{} {}", errors[0].message, errors[0].repair.as_deref().unwrap_or_default());
        assert!(said.contains(wanted), "{text}: {said}");
    }
}

#[test]
fn a_merge_key_is_merged_once() {
    let node = one("base: &b {x: 1, y: 1}\nother: &o {y: 2, z: 2}\nown:\n  <<: [*b, *o]\n  x: 3\n");
    let own = node.get("own").unwrap();
    assert_eq!(own.to_json(), one("{x: 3, y: 1, z: 2}").to_json());
    // What is merged stands where it was written.
    assert_eq!(own.get("z").unwrap().span.line, 2);
    // In quotes it is a key as any other.
    assert!(one("'<<': 1").get("<<").is_some());
    for (text, wanted) in
        [("<<: 1", "neither"), ("<<: [a]", "neither"), ("{<<: {a: 1}, <<: {b: 1}}", "twice")]
    {
        let errors = parse(text).unwrap_err();
        assert!(errors[0].message.contains(wanted), "{text}: {errors:?}");
    }
}

#[test]
fn a_merge_brings_no_key_twice() {
    let node = one("a: &a {k: 1}\nb: {<<: [*a, *a], k: 2}\n");
    assert_eq!(node.get("b").unwrap().entries().len(), 1);
}

#[test]
fn errors_of_a_tree_are_noted_at_once() {
    let errors = parse("a: !x 1\n? [b]\n: 2\nc: !!set {d: 1}\n<<: 5\n").unwrap_err();
    let lines: Vec<u32> = errors.iter().map(|error| error.span.line).collect();
    assert_eq!(lines, [1, 2, 4, 5], "{errors:?}");
}

#[test]
fn anchors_in_anchors_are_bounded() {
    let deep = (0..90).map(|n| format!("&a{n} [")).collect::<String>();
    let text = format!("{deep}{}{}", "x,".repeat(200_000), "]".repeat(90));
    let errors = parse(&text).unwrap_err();
    assert!(errors[0].message.contains("anchors"), "{errors:?}");
}

#[test]
fn values_and_bytes_are_bounded() {
    let many = format!("[{}]", "1,".repeat(100));
    assert!(parse_up_to(&many, 101).is_ok());
    assert!(parse_up_to(&many, 100).unwrap_err()[0].message.contains("more than 100 values"));
    let copied = "a: &a [1, 2, 3]\nb: [*a, *a, *a]\n";
    assert!(parse_up_to(copied, 30).is_ok());
    assert!(parse_up_to(copied, 15).unwrap_err()[0].message.contains("more than 15 values"));
    let long = "#".repeat(MAX_BYTES + 1);
    assert!(parse(&long).unwrap_err()[0].message.contains("128 MiB"));
}

#[test]
fn characters_that_a_terminal_obeys_are_named() {
    let errors = parse("a: 1\nb: \"x\u{1b}[2J\"\nc: \u{2028}\n").unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.span.line, error.span.column)).collect();
    assert_eq!(found, [(2, 6), (3, 4)], "{errors:?}");
    assert!(errors[0].message.contains("U+001B"));
    assert_eq!(one("a: \"\\e\\u2028\"").text_at(&["a"]), Some("\u{1b}\u{2028}"));
}

#[test]
fn a_collection_ends_with_its_last_value() {
    let end = |text: &str| {
        let node = one(text);
        let span = node.get("a").unwrap().span;
        (span.end_line, span.end_column)
    };
    assert_eq!(end("a: {x: 1}   # c\nb: 1\n"), (1, 10));
    assert_eq!(end("a:\n  x: 1\n  y: [2]\n\n# c\nb: 1\n"), (3, 9));
    assert_eq!(end("a:\n- 1\n- 2\nb: 1\n"), (3, 4));
}
