//! The readers of logs and of tables of cases.

use crate::admissible::Guards;
use crate::cases;
use crate::request_log::RequestLog;
use crate::suggest::Suggestion;
use crate::yaml::{Node, Source, Value, is_unprintable};
use crate::yaml_out::yaml;
use egress_policy::{Config, Engine};
use std::io::Cursor;
use std::rc::Rc;

/// The reader of logs: what is proposed of it is a configuration that admits every request it was proposed for, without anything
/// that a terminal obeys.
///
/// # Panics
/// That is the finding.
#[expect(clippy::panic, reason = "a finding")]
pub fn request_log(data: &[u8]) {
    let Ok(guards) = Guards::new(["cluster.local"]) else { return };
    for least in [None, Some(1), Some(2)] {
        let mut suggestion = Suggestion::new(least);
        let mut wanted = Vec::new();
        let log = RequestLog::new("fuzz".to_owned(), Box::new(Cursor::new(data.to_vec())), None);
        let read = log.read(|logged| {
            if let Ok(admissible) = guards.admissible(&logged) {
                wanted.push(logged);
                let _ = suggestion.add(&admissible);
            }
            Ok(())
        });
        if read.is_err() {
            return;
        }
        let json = suggestion.config(&[]);
        let text = yaml(&json);
        if text.contains(|character| is_unprintable(character) && character != '\n') {
            panic!("{text:?}");
        }
        let config = match Config::read(&json) {
            Ok(config) => config,
            Err(errors) => panic!("{text}: {errors:?}"),
        };
        let engine = Engine::new(config);
        // Compiled for HTTP; a connection is the other engine's.
        for logged in wanted.iter().filter(|logged| !logged.request.network) {
            let facts = logged.request.facts(engine.settings());
            let verdict = engine.decide(&facts).verdict;
            if verdict.as_ref().is_none_or(|verdict| verdict.effect.word() != "allow") {
                panic!("{text}: {logged:?}: {verdict:?}");
            }
        }
    }
}

/// The reader of tables: what it accepts has no key that no page names, none twice, and no null.
///
/// # Panics
/// That is the finding.
#[expect(clippy::panic, reason = "a finding")]
pub fn case_table(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = Rc::new(Source::new("fuzz", text));
    let (Ok(cases), Ok(documents)) = (cases::from_source(&source), source.documents()) else { return };
    let listed: usize =
        documents.iter().filter_map(|table| table.get("cases")).map(|list| list.items().len()).sum();
    if listed != cases.len() || cases.is_empty() {
        panic!("{} of {listed} cases are read", cases.len());
    }
    if let Some(path) = documents.iter().find_map(|table| unknown(table, "")) {
        panic!("{path:?} is read, and nobody knows it");
    }
}

/// The first place that no page describes: written down here once more, apart from the description.
fn unknown(node: &Node, path: &str) -> Option<String> {
    const CASE: &[&str] = &[
        "name",
        "principal",
        "host",
        "sni",
        "method",
        "path",
        "port",
        "sourceIp",
        "destinationIp",
        "headers",
        "claims",
        "cluster",
        "upstreamIp",
        "network",
        "at",
        "expect",
        "reason",
        "would",
    ];
    let keys = match path {
        "" => &["cases"],
        ".cases[]" => CASE,
        // What the user names.
        ".cases[].headers" | ".cases[].claims" => return None,
        _ => &[],
    };
    match &node.value {
        Value::Map(entries) => entries.iter().enumerate().find_map(|(at, entry)| {
            let here = format!("{path}.{}", entry.key);
            let is_known = keys.contains(&entry.key.as_str());
            let is_twice = entries.iter().take(at).any(|earlier| earlier.key == entry.key);
            if is_known && !is_twice { unknown(&entry.value, &here) } else { Some(here) }
        }),
        Value::List(items) if path == ".cases" && !items.is_empty() => {
            items.iter().find_map(|item| unknown(item, &format!("{path}[]")))
        }
        Value::List(_) | Value::Null => Some(path.to_owned()),
        _ => None,
    }
}
