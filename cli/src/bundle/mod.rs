//! Packing configurations, and unpacking them: everything beside them stays as it is written, byte for byte.

mod splice;

use crate::diagnostics::Diagnostic;
use crate::output::Output;
use crate::source::{Input, Plugin, PluginKind};
use crate::yaml::{Node, Source, Value};
use crate::yaml_out::Tree;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_policy::config::{Config, Json, Object};
use miniz_oxide::deflate::compress_to_vec_zlib;
use splice::Edit;
use std::path::Path;
use std::rc::Rc;

/// The smallest that the compressor can.
const LEVEL: u8 = 10;

/// What is done to a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Pack,
    Unpack,
}

/// A file whose configurations are packed or unpacked.
pub(crate) struct Rewritten {
    source: Rc<Source>,
    documents: Vec<Node>,
    edits: Vec<Edit>,
}

/// Packs or unpacks the configurations of a file.
pub(crate) fn rewrite(path: &Path, direction: Direction) -> Result<Rewritten, Vec<Diagnostic>> {
    let source = Source::read(path)?;
    let documents = source.documents()?;
    let mut rewriter =
        Rewriter { source: &source, direction, plugins: 0, edits: Vec::new(), errors: Vec::new() };
    for (at, document) in documents.iter().enumerate() {
        rewriter.document(document, &[Step::Document(at)]);
    }
    let Rewriter { plugins, edits, mut errors, .. } = rewriter;
    if plugins == 0 && errors.is_empty() {
        let what = "no configuration is in it: neither a pluginConfig nor a WasmPlugin or TrafficExtension";
        errors.push(Diagnostic::error(what).in_file(&source.name));
    }
    if errors.is_empty() { Ok(Rewritten { source, documents, edits }) } else { Err(errors) }
}

/// A step from a file to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Document(usize),
    Item(usize),
    Key(&'static str),
}

struct Rewriter<'s> {
    source: &'s Rc<Source>,
    direction: Direction,
    plugins: usize,
    edits: Vec<Edit>,
    errors: Vec<Diagnostic>,
}

impl Rewriter<'_> {
    fn document(&mut self, document: &Node, place: &[Step]) {
        if document.text_at(&["kind"]) == Some("List") {
            for (at, item) in document.get("items").map(Node::items).unwrap_or_default().iter().enumerate() {
                self.document(item, &[place, &[Step::Key("items"), Step::Item(at)]].concat());
            }
            return;
        }
        let input = Input::of_document(self.source, document.clone(), &mut self.errors);
        let Some(plugin) = input.plugins.first() else {
            return;
        };
        let keys: &[&'static str] = match plugin.kind {
            PluginKind::Bare => &[],
            PluginKind::WasmPlugin => &["spec", "pluginConfig"],
            PluginKind::TrafficExtension => &["spec", "wasm", "pluginConfig"],
        };
        // Without a configuration there is nothing to pack.
        let Some(value) = document.at(keys) else { return };
        self.plugins += 1;
        match rewritten(plugin, self.direction) {
            Ok(None) => {}
            Ok(Some(config)) => {
                let parent = keys.split_last().and_then(|(last, parents)| {
                    let parent = document.at(parents)?;
                    Some((parent, parent.entry(last)?.key_span))
                });
                let steps = keys.iter().map(|key| Step::Key(key));
                self.edits.push(Edit::new(
                    value,
                    parent,
                    place.iter().copied().chain(steps).collect(),
                    config,
                ));
            }
            Err(errors) => self.errors.extend(errors),
        }
    }
}

// === impl Rewritten ===

impl Rewritten {
    /// Writes the file.
    ///
    /// # Errors
    /// A file that cannot be changed in one place alone, such as one whose configuration is an anchor that is used elsewhere.
    pub(crate) fn print(&self, output: Output) -> Result<(), Vec<Diagnostic>> {
        if !output.is_json() {
            // No control character has passed the reader.
            output.print_exact(&splice::text(&self.source, &self.documents, &self.edits)?);
            return Ok(());
        }
        let mut errors = Vec::new();
        self.documents.iter().for_each(|document| self.inexact(document, &mut errors));
        if !errors.is_empty() {
            return Err(errors);
        }
        for document in splice::trees(&self.documents, &self.edits) {
            output.print_json(&Tree(&document));
        }
        Ok(())
    }

    /// Numbers of which a double keeps a part: in a text they stay, in a tree they would be others.
    fn inexact(&self, node: &Node, errors: &mut Vec<Diagnostic>) {
        if let Value::Number(number) = &node.value
            && number.abs() >= 9_007_199_254_740_992.0
        {
            let what = "a number that JSON readers keep a part of";
            let found = Diagnostic::error(what).at(&self.source, node.span);
            errors.push(found.help("leave `--format json` out: the text keeps it as it is"));
        }
        node.items().iter().for_each(|item| self.inexact(item, errors));
        node.entries().iter().for_each(|entry| self.inexact(&entry.value, errors));
    }
}

/// A configuration in the other form; none where it has it already. Only a valid one is packed: what is inside is hard to see.
fn rewritten(plugin: &Plugin, direction: Direction) -> Result<Option<Json>, Vec<Diagnostic>> {
    plugin.parse()?;
    match direction {
        Direction::Unpack => Ok(plugin.bundled.then(|| plugin.config.to_json())),
        Direction::Pack => pack(&plugin.config.to_json()).map(Some).map_err(|error| {
            let what = format!("cannot pack it: {error}");
            vec![Diagnostic::error(what).in_file(&plugin.resource.source.name)]
        }),
    }
}

/// `{bundle: TEXT}`
fn pack(config: &Json) -> std::io::Result<Json> {
    let packed = compress_to_vec_zlib(&serde_json::to_vec(&Tree(config))?, LEVEL);
    let bundle = Json::Object(Object(vec![("bundle".into(), Json::Text(STANDARD.encode(&packed).into()))]));
    // The core is the judge of what it can read.
    match Config::read(&bundle) {
        Ok(_) => Ok(bundle),
        Err(errors) => {
            Err(std::io::Error::other(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
        }
    }
}
