//! What the fuzz targets ask of the readers: bytes never end in a panic, and nothing is accepted that nobody knows.

mod logs;

pub use logs::{case_table, request_log};

use crate::render;
use crate::strict;
use crate::yaml::{Node, Source, Value, parse};
use crate::yaml_out::yaml;
use std::rc::Rc;

/// The reader of YAML and JSON: what it accepts, it reads again from what it writes, and no object has a key to merge left.
///
/// # Panics
/// That is the finding.
#[expect(clippy::panic, reason = "a finding")]
pub fn yaml_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(documents) = parse(text) else { return };
    for document in documents {
        let json = document.to_json();
        let written = yaml(&json);
        let again = parse(&written).map(|documents| documents.first().map(Node::to_json));
        if again.as_ref() != Ok(&Some(json)) {
            panic!("read as {document:?}, written as {written:?}, read again as {again:?}");
        }
    }
}

/// The reader of gateway files: what is rendered came from a file all of whose keys are known, none of them twice.
///
/// # Panics
/// That is the finding.
#[expect(clippy::panic, reason = "a finding")]
pub fn gateway_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = Rc::new(Source::new("fuzz", text));
    let Ok(node) = strict::one_document(&source) else { return };
    if render::of_document(&source, &node).is_ok()
        && let Some(path) = unknown(&node, "")
    {
        panic!("{path:?} is rendered, and nobody knows it");
    }
}

/// The first place of a gateway file that no page describes: written down here once more, apart from the description.
fn unknown(node: &Node, path: &str) -> Option<String> {
    let keys: &[&str] = match path {
        "" => &["kind", "gateway", "sites", "rules", "confine", "config"],
        ".gateway" => {
            &["kind", "name", "namespace", "selector", "image", "imagePullSecret", "deploy", "lateDial"]
        }
        ".rules[]" => &["name", "from", "to"],
        ".rules[].from[]" => &["namespace", "serviceAccounts"],
        ".rules[].to[]" | ".sites[]" => &["hosts", "over", "port", "originateTls", "methods"],
        ".rules[].to[].originateTls" | ".sites[].originateTls" => &["port"],
        // What the user names, and what the core judges.
        ".gateway.selector" | ".config" => return None,
        _ => &[],
    };
    match &node.value {
        Value::Map(entries) => entries.iter().enumerate().find_map(|(at, entry)| {
            let here = format!("{path}.{}", entry.key);
            let is_known = keys.contains(&entry.key.as_str());
            let is_twice = entries.iter().take(at).any(|earlier| earlier.key == entry.key);
            if is_known && !is_twice { unknown(&entry.value, &here) } else { Some(here) }
        }),
        Value::List(items) if items.is_empty() => Some(path.to_owned()),
        Value::List(items) => items.iter().find_map(|item| unknown(item, &format!("{path}[]"))),
        Value::Null => Some(path.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_policy::config::Json;
    use std::fs;
    use std::path::Path;

    type Target = fn(&[u8]);
    const TARGETS: [(&str, Target); 4] = [
        ("yaml_text", yaml_text),
        ("gateway_file", gateway_file),
        ("request_log", request_log),
        ("case_table", case_table),
    ];

    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// The corpus, and each of it damaged in many ways: bytes taken away, doubled, exchanged, joined with another's.
    #[test]
    fn the_targets_find_nothing() {
        let mut state = 5_u64;
        let mut roll = |sides: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % sides.max(1)
        };
        for (name, target) in TARGETS {
            let corpus = corpus(name);
            assert!(corpus.len() >= 5, "{name}");
            for seed in &corpus {
                target(seed);
                for _ in 0..300 {
                    let mut data = seed.clone();
                    for _ in 0..=roll(3) {
                        let (from, to) = (roll(data.len()), roll(data.len()));
                        let (from, to) = (from.min(to), (from.max(to)).min(from.min(to) + 12));
                        let piece = data[from..to].to_vec();
                        match roll(4) {
                            0 => drop(data.drain(from..to)),
                            1 => drop(data.splice(from..from, piece)),
                            2 if !data.is_empty() => {
                                let at = roll(data.len());
                                data[at] = b" \n\t-:,{}[]\"'&*!<%#0a\x7f\xc3"[roll(21)];
                            }
                            _ => {
                                let other = &corpus[roll(corpus.len())];
                                let cut = roll(other.len());
                                data.extend_from_slice(&other[cut..]);
                            }
                        }
                    }
                    target(&data);
                }
            }
        }
    }

    /// A key renamed, a list taken apart, a value doubled or of another type: the file is refused, or it says the same.
    #[test]
    fn one_damage_never_changes_what_is_rendered() {
        let file = "
gateway: {name: egress-a, deploy: false, lateDial: true}
sites: [{hosts: [a.example, b.example], over: HTTP, originateTls: {port: 8443}, port: 8080}]
rules:
- {name: r, from: [{namespace: shop, serviceAccounts: [cart]}], to: [{hosts: [c.example], over: HTTP, methods: [GET]}]}
confine: [batch]
config: {policies: [{name: d, action: DENY, rules: [{from: [{source: {namespaces: [lab]}}]}]}]}
";
        let render = |json: &Json| {
            let source = Rc::new(Source::new("t", yaml(json)));
            let node = strict::one_document(&source).ok()?;
            render::of_document(&source, &node).ok()
        };
        let whole = parse(file).unwrap().remove(0).to_json();
        let wanted = render(&whole).unwrap();
        let count = parts(&whole);
        for at in 0..count {
            for damage in DAMAGES {
                let mut damaged = whole.clone();
                if let Some(done) = apply(&mut damaged, &mut at.clone(), damage) {
                    let rendered = render(&damaged);
                    // That list alone may be empty: a file may begin without any policy.
                    if yaml(&damaged).contains("policies: []") {
                        continue;
                    }
                    assert!(
                        rendered.is_none() || rendered.as_ref() == Some(&wanted),
                        "{done}: {}",
                        yaml(&damaged)
                    );
                }
            }
        }
    }

    /// How many values a tree has.
    fn parts(json: &Json) -> usize {
        match json {
            Json::List(items) => 1 + items.iter().map(parts).sum::<usize>(),
            Json::Object(object) => 1 + object.0.iter().map(|(_, value)| parts(value)).sum::<usize>(),
            _ => 1,
        }
    }

    type Damage = fn(&Json) -> Option<Json>;
    const DAMAGES: [Damage; 5] = [
        |_| Some(Json::Null),
        |json| match json {
            Json::List(items) => items.first().cloned(),
            _ => None,
        },
        |json| match json {
            Json::List(_) => Some(Json::List(Vec::new())),
            _ => None,
        },
        |json| match json {
            Json::Object(object) => {
                let mut twice = object.clone();
                twice.0.extend(object.0.first().cloned());
                Some(Json::Object(twice))
            }
            _ => None,
        },
        |json| match json {
            Json::Object(object) => {
                let mut renamed = object.clone();
                let (key, _) = renamed.0.first_mut()?;
                *key = format!("{key}x").into();
                Some(Json::Object(renamed))
            }
            Json::Number(number) => Some(Json::Text(number.to_string().into())),
            Json::Bool(value) => Some(Json::Text(value.to_string().into())),
            _ => None,
        },
    ];

    /// Damages the part of a number; says which where there was something to damage.
    fn apply(json: &mut Json, at: &mut usize, damage: Damage) -> Option<String> {
        if *at == 0 {
            let damaged = damage(json)?;
            let done = format!("{json:?} becomes {damaged:?}");
            *json = damaged;
            return Some(done);
        }
        let inner: Vec<&mut Json> = match json {
            Json::List(items) => items.iter_mut().collect(),
            Json::Object(object) => object.0.iter_mut().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        };
        for value in inner {
            *at -= 1;
            let size = parts(value);
            if *at < size {
                return apply(value, at, damage);
            }
            *at -= size - 1;
        }
        None
    }
}
