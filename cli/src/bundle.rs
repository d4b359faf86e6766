//! Packing configurations, and unpacking them.

use crate::diagnostics::Diagnostic;
use crate::output::Output;
use crate::source::{Input, Node, Plugin, PluginKind, Source};
use crate::yaml_out::{Tree, yaml};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egress_policy::config::{Config, Json, Object};
use miniz_oxide::deflate::compress_to_vec_zlib;
use std::path::Path;
use std::rc::Rc;

/// The smallest that the compressor can.
const LEVEL: u8 = 10;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Pack,
    Unpack,
}

/// The documents of a file, their configurations packed or unpacked, everything else as it is.
pub(crate) fn rewrite(path: &Path, way: Way) -> Result<Vec<Json>, Vec<Diagnostic>> {
    let source = Source::read(path)?;
    let mut rewriter = Rewriter { source: &source, way, plugins: 0, errors: Vec::new() };
    let documents: Vec<_> = source.documents()?.iter().map(|document| rewriter.document(document)).collect();
    if rewriter.plugins == 0 && rewriter.errors.is_empty() {
        let what = "no configuration is in it: neither a pluginConfig nor a WasmPlugin or TrafficExtension";
        rewriter.errors.push(Diagnostic::error(what).in_file(&source.name));
    }
    if rewriter.errors.is_empty() { Ok(documents) } else { Err(rewriter.errors) }
}

struct Rewriter<'s> {
    source: &'s Rc<Source>,
    way: Way,
    plugins: usize,
    errors: Vec<Diagnostic>,
}

impl Rewriter<'_> {
    fn document(&mut self, document: &Node) -> Json {
        let mut json = document.to_json();
        if document.text_at(&["kind"]) == Some("List") {
            let items = document.get("items").map(Node::items).unwrap_or_default();
            let items = items.iter().map(|item| self.document(item)).collect();
            set(&mut json, &["items"], Json::List(items));
            return json;
        }
        let input = Input::of_document(self.source, document.clone(), &mut self.errors);
        let Some(plugin) = input.plugins.first() else {
            return json;
        };
        self.plugins += 1;
        match (rewritten(plugin, self.way), plugin.kind) {
            (Ok(config), PluginKind::Bare) => json = config,
            (Ok(config), PluginKind::WasmPlugin) => set(&mut json, &["spec", "pluginConfig"], config),
            (Ok(config), PluginKind::TrafficExtension) => {
                set(&mut json, &["spec", "wasm", "pluginConfig"], config)
            }
            (Err(errors), _) => self.errors.extend(errors),
        }
        json
    }
}

/// Writes documents.
pub(crate) fn print(documents: Vec<Json>, output: Output) {
    if output.is_json() {
        match documents.as_slice() {
            [one] => output.print_json(&Tree(one)),
            several => several.iter().for_each(|document| output.print_json(&Tree(document))),
        }
        return;
    }
    for (at, document) in documents.iter().enumerate() {
        if at > 0 {
            output.print("---");
        }
        output.print(&yaml(document));
    }
}

/// A configuration the other way. Only a valid one is packed: what is inside is hard to see.
fn rewritten(plugin: &Plugin, way: Way) -> Result<Json, Vec<Diagnostic>> {
    plugin.parse()?;
    let config = plugin.config.to_json();
    match way {
        Way::Unpack => Ok(config),
        Way::Pack => pack(&config).map_err(|error| {
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

/// Puts a value behind keys, which are made where they are not there.
fn set(json: &mut Json, keys: &[&str], value: Json) {
    let Some((key, rest)) = keys.split_first() else {
        *json = value;
        return;
    };
    let Json::Object(Object(entries)) = json else {
        return;
    };
    if !entries.iter().any(|(name, _)| **name == **key) {
        entries.push(((*key).into(), Json::Object(Object::default())));
    }
    if let Some((_, inner)) = entries.iter_mut().find(|(name, _)| **name == **key) {
        set(inner, rest, value);
    }
}
