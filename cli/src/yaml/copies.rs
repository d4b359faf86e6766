//! What anchors keep and aliases copy, counted: a page of text must not become gigabytes.

use super::node::{Node, Value};
use std::collections::HashMap;

/// What anchors and aliases may copy, in bytes: the bound of a bundle, for the same reason.
const MAX_COPIED: usize = 64 << 20;

/// The anchors of a document, and what they have cost so far.
#[derive(Debug, Default)]
pub(super) struct Copies {
    anchors: HashMap<usize, Node>,
    copied: usize,
}

/// What a copy of a tree costs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    pub(super) values: usize,
    bytes: usize,
}

// === impl Copies ===

impl Copies {
    /// Another document has anchors of its own; what was copied stays counted.
    pub(super) fn forget(&mut self) {
        self.anchors.clear();
    }

    /// Keeps a copy of what has an anchor.
    pub(super) fn keep(&mut self, anchor: usize, node: &Node) -> Result<(), String> {
        self.pay(node)?;
        self.anchors.insert(anchor, node.clone());
        Ok(())
    }

    /// What an alias stands for.
    pub(super) fn copy(&mut self, anchor: usize) -> Result<Node, String> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err("an alias inside its own anchor".to_owned());
        };
        let node = node.clone();
        self.pay(&node)?;
        Ok(node)
    }

    fn pay(&mut self, node: &Node) -> Result<(), String> {
        self.copied += weight(node).bytes;
        if self.copied > MAX_COPIED {
            let limit = MAX_COPIED >> 20;
            return Err(format!("anchors and aliases copy more than {limit} MiB"));
        }
        Ok(())
    }
}

/// What a copy of the tree costs, roughly.
pub(super) fn weight(node: &Node) -> Weight {
    let own = Weight { values: 1, bytes: size_of::<Node>() };
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Number(_) => own,
        Value::Text(text) => Weight { bytes: own.bytes + text.text.len(), ..own },
        Value::List(items) => items.iter().map(weight).fold(own, Weight::plus),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| {
                let value = weight(&entry.value);
                Weight { bytes: value.bytes + entry.key.len() + size_of::<String>(), ..value }
            })
            .fold(own, Weight::plus),
    }
}

// === impl Weight ===

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self { values: self.values + other.values, bytes: self.bytes + other.bytes }
    }
}
