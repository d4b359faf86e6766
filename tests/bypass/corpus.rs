//! The corpus, as its files have it.

use std::fs;

use anyhow::{Context as _, Result};
use egress_lab::paths;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Spellings of the refused host, or of the refused path, that share something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) group: String,
    pub(crate) spellings: Vec<String>,
}

/// A request of an odd shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    pub(crate) name: String,
    /// HTTP/1, as it is sent.
    #[serde(default)]
    pub(crate) request: Option<String>,
    /// The headers of a request in HTTP/2.
    #[serde(default)]
    pub(crate) h2: Option<Vec<(String, String)>>,
}

// === impl Shape ===

impl Shape {
    /// What is sent, as the page shows it.
    pub(crate) fn sent(&self) -> String {
        let headers = self.h2.iter().flatten().map(|(name, value)| format!("{name}: {value}"));
        self.request.clone().unwrap_or_else(|| headers.collect::<Vec<_>>().join("; "))
    }
}

/// A host that only looks like the refused one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookAlike {
    pub(crate) name: String,
    pub(crate) authority: String,
    /// `admitted`, or the reason of the refusal.
    pub(crate) deny_list: String,
}

pub(crate) struct Corpus {
    pub(crate) groups: Vec<Group>,
    pub(crate) path_groups: Vec<Group>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) look_alikes: Vec<LookAlike>,
}

// === impl Corpus ===

impl Corpus {
    pub(crate) fn load() -> Result<Self> {
        Ok(Self {
            groups: read("spellings.yaml")?,
            path_groups: read("paths.yaml")?,
            shapes: read("shapes.yaml")?,
            look_alikes: read("lookalikes.yaml")?,
        })
    }

    pub(crate) fn spellings(&self) -> impl Iterator<Item = (&str, &str)> {
        in_groups(&self.groups)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = (&str, &str)> {
        in_groups(&self.path_groups)
    }
}

fn in_groups(groups: &[Group]) -> impl Iterator<Item = (&str, &str)> {
    groups.iter().flat_map(|group| group.spellings.iter().map(|text| (group.group.as_str(), text.as_str())))
}

fn read<T: DeserializeOwned>(name: &str) -> Result<T> {
    let path = paths::repo_dir()?.join("tests/bypass").join(name);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    yaml_serde::from_str(&text).with_context(|| path.display().to_string())
}
