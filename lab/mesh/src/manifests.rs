//! Manifests as they lie in the repository or as `egressctl render` writes them, with nothing changed but the image.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use egress_lab::paths::repo_dir;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::netns::run;

/// What the repository's manifests name as the image; a user replaces it by what `make push` printed.
const EXAMPLE_IMAGE: &str = "oci://registry.example.com/egress-authz:0.1.0";

/// The documents of a YAML text.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<Vec<Value>> {
    let documents = yaml_serde::Deserializer::from_str(text);
    let mut parsed = Vec::new();
    for document in documents {
        match Value::deserialize(document)? {
            Value::Null => {}
            value => parsed.push(value),
        }
    }
    Ok(parsed)
}

/// The documents of a file of the repository.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &str) -> Result<Vec<Value>> {
    let file = repo_dir()?.join(path);
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    parse(&text).with_context(|| path.to_owned())
}

/// Sets the image wherever the example's is named.
#[must_use]
pub fn with_image(mut documents: Vec<Value>, image: &str) -> Vec<Value> {
    for document in &mut documents {
        for place in ["/spec/url", "/spec/wasm/url"] {
            if let Some(url) = document.pointer_mut(place).filter(|url| **url == EXAMPLE_IMAGE) {
                *url = json!(image);
            }
        }
    }
    documents
}

/// What `egressctl render` writes of a gateway file.
///
/// # Errors
/// When it refuses it.
pub fn render(short: &Path, arguments: &[&str]) -> Result<Vec<Value>> {
    let program = egressctl()?;
    let text = run(Command::new(&program).arg("render").arg(short).args(arguments))?;
    parse(&text).with_context(|| format!("what egressctl rendered of {}", short.display()))
}

/// The `egressctl` that `make build` leaves, or what `EGRESSCTL` names.
///
/// # Errors
/// When it is not there.
pub fn egressctl() -> Result<PathBuf> {
    let path = match env::var_os("EGRESSCTL").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => target_dir()?.join("release/egressctl"),
    };
    path.is_file()
        .then_some(())
        .with_context(|| format!("{} is not there: run `make build`", path.display()))?;
    Ok(path)
}

/// Cargo's target folder.
///
/// # Errors
/// Outside of the repository.
pub fn target_dir() -> Result<PathBuf> {
    Ok(match env::var_os("CARGO_TARGET_DIR").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => repo_dir()?.join("target"),
    })
}

/// By what the API server tells objects apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// `kind`
    pub kind: String,
    /// `metadata.namespace`, empty where there is none
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
}

// === impl Key ===

impl Key {
    /// Of a document.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let text =
            |place: &str| document.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { kind: text("/kind"), namespace: text("/metadata/namespace"), name: text("/metadata/name") }
    }
}

/// Documents, some of them replaced by others of the same key, and the others added.
#[must_use]
pub fn overlay(mut documents: Vec<Value>, over: Vec<Value>) -> Vec<Value> {
    for document in over {
        let key = Key::of(&document);
        match documents.iter_mut().find(|old| Key::of(old) == key) {
            Some(old) => *old = document,
            None => documents.push(document),
        }
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_example_image_is_replaced() {
        let text = format!("spec: {{url: \"{EXAMPLE_IMAGE}\"}}\n---\nspec: {{url: oci://other/image}}\n");
        let set = with_image(parse(&text).unwrap(), "oci://here/image@sha256:0");
        let urls: Vec<&Value> = set.iter().filter_map(|document| document.pointer("/spec/url")).collect();
        assert_eq!(urls, ["oci://here/image@sha256:0", "oci://other/image"]);
    }

    #[test]
    fn an_overlay_replaces_by_kind_and_name() {
        let of = |kind: &str, mark: u8| json!({"kind": kind, "metadata": {"name": "x"}, "mark": mark});
        let merged = overlay(vec![of("A", 1), of("B", 1)], vec![of("B", 2), of("C", 2)]);
        assert_eq!(merged, [of("A", 1), of("B", 2), of("C", 2)]);
    }
}
