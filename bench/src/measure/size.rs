//! What is in the filter's binary, and what did each dependency bring? Told by the names of its functions.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rustc_demangle::demangle;
use serde::{Deserialize, Serialize};
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

/// A crate's part of the code.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Part {
    /// The crate, and of our own the module.
    pub name: String,
    /// Bytes of its functions. What was inlined counts where it went.
    pub bytes: usize,
}

/// Names the filter with its function names, which a release does not carry.
const NAMED: &str = "EGRESS_AUTHZ_WASM_NAMED";

/// Measures, where there is a binary with names.
///
/// # Errors
/// When it is no WebAssembly.
pub fn measure() -> Result<Vec<Part>> {
    match env::var_os(NAMED).map(PathBuf::from) {
        Some(path) => parts(&fs::read(&path).with_context(|| path.display().to_string())?),
        None => Ok(Vec::new()),
    }
}

fn parts(wasm: &[u8]) -> Result<Vec<Part>> {
    let (mut imported, mut sizes, mut names) = (0_u32, Vec::new(), HashMap::new());
    let mut parts: BTreeMap<String, usize> = BTreeMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => sizes.push(bytes(body.range())),
            Payload::DataSection(section) => {
                *parts.entry("data (tables, texts)".to_owned()).or_default() += bytes(section.range());
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(reader) = section.as_known() {
                    for subsection in reader {
                        if let Name::Function(map) = subsection? {
                            for naming in map {
                                let naming = naming?;
                                names.insert(naming.index, naming.name);
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }
    for (index, size) in (imported..).zip(sizes) {
        let name = names.get(&index).copied().unwrap_or_default();
        let name = format!("{:#}", demangle(name));
        *parts.entry(owner(&name)).or_default() += size;
    }
    let mut parts: Vec<Part> = parts.into_iter().map(|(name, bytes)| Part { name, bytes }).collect();
    parts.sort_by_key(|part| Reverse(part.bytes));
    Ok(parts)
}

fn bytes(range: Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

/// The crate of a function, from its name: of `<A as B>::f` it is the first that is not the standard library's.
fn owner(name: &str) -> String {
    const STANDARD: [&str; 3] = ["core", "alloc", "std"];
    let mut crates = name
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .filter_map(|path| path.split_once("::"))
        .filter(|(first, _)| !first.is_empty());
    let Some(own) = crates.clone().find(|(first, _)| !STANDARD.contains(first)).or_else(|| crates.next())
    else {
        return "without a name".to_owned();
    };
    match own {
        ("egress_policy" | "egress_authz", rest) => {
            let module = rest.split("::").next().unwrap_or_default();
            format!("{}::{module}", own.0)
        }
        (first, _) if STANDARD.contains(&first) => "standard library".to_owned(),
        (first, _) => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_belong_to_crates() {
        let owners = [
            ("egress_policy::config::reader::Reader::note", "egress_policy::config"),
            (
                "<alloc::vec::Vec<egress_policy::rules::Rule> as core::ops::Drop>::drop",
                "egress_policy::rules",
            ),
            ("<core::option::Option<T> as core::fmt::Debug>::fmt", "standard library"),
            ("miniz_oxide::inflate::core::decompress", "miniz_oxide"),
            ("_initialize", "without a name"),
        ];
        for (name, wanted) in owners {
            assert_eq!(owner(name), wanted, "{name}");
        }
    }

    #[test]
    fn bytes_are_found() {
        // An empty module with one function.
        let wasm = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";
        let parts = parts(wasm).unwrap();
        assert_eq!((parts.len(), parts[0].bytes), (1, 2));
    }
}
