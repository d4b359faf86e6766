//! The configurations in a file: bare, or inside the resources that carry them to a gateway.

use crate::diagnostics::{Diagnostic, shown};
use crate::strict::{self, Field, Object as Described, Shape};
use crate::yaml::{Entry, Index, Node, Occurrence, Place, Source, Span, Value};
use egress_policy::config::{Config, Json, Object, Problem, unpack};
use std::path::PathBuf;
use std::rc::Rc;

/// What the files of one command line hold.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) plugins: Vec<Plugin>,
    /// Every resource that is not a plugin.
    pub(crate) resources: Vec<Resource>,
}

/// A Kubernetes object.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) source: Rc<Source>,
    pub(crate) node: Node,
}

/// What carries a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PluginKind {
    /// Nothing does: the file is the configuration.
    Bare,
    WasmPlugin,
    TrafficExtension,
}

/// A configuration and what carries it.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    pub(crate) kind: PluginKind,
    pub(crate) resource: Resource,
    /// The configuration, unpacked where it was a bundle.
    pub(crate) config: Node,
    /// Whether it was one.
    pub(crate) bundled: bool,
    /// Of the configuration.
    index: Index,
}

/// What `kubectl get` writes of several objects; each is read by itself.
static LIST: Shape = Shape::Object(&Described::new(
    "a List",
    &[
        Field::required("apiVersion", &Shape::Text, ""),
        Field::required("kind", &Shape::Text, ""),
        Field::new("metadata", &Shape::Any, ""),
        Field::required("items", &Shape::ListOrEmpty(&Shape::Other), ""),
    ],
));

const EXTENSIONS: &str = "extensions.istio.io/";

impl Input {
    /// Reads files; what cannot be read is noted, and reading goes on.
    pub(crate) fn read(paths: &[PathBuf]) -> (Self, Vec<Diagnostic>) {
        let mut input = Self::default();
        let mut errors = Vec::new();
        for path in paths {
            let read = Source::read(path).and_then(|source| Ok((source.documents()?, source)));
            match read {
                Ok((documents, source)) => {
                    // Istio hands an empty pluginConfig over as no text at all.
                    if documents.is_empty() {
                        let node = Node { span: Span::default(), value: Value::Map(Vec::new()) };
                        input.add(&source, node, &mut errors);
                    }
                    for document in documents {
                        input.add(&source, document, &mut errors);
                    }
                }
                Err(refusals) => errors.extend(refusals),
            }
        }
        (input, errors)
    }

    /// What one document holds.
    pub(crate) fn of_document(source: &Rc<Source>, node: Node, errors: &mut Vec<Diagnostic>) -> Self {
        let mut input = Self::default();
        input.add(source, node, errors);
        input
    }

    fn add(&mut self, source: &Rc<Source>, node: Node, errors: &mut Vec<Diagnostic>) {
        let resource = Resource { source: Rc::clone(source), node };
        if resource.node.get("apiVersion").is_none() || resource.node.get("kind").is_none() {
            let config = resource.node.clone();
            self.push(PluginKind::Bare, resource, config, errors);
            return;
        }
        let (kind, path): (_, &[&str]) = match (resource.api_version(), resource.kind()) {
            (_, "List") => {
                errors.extend(strict::check(source, &resource.node, &LIST));
                for item in resource.node.get("items").map(Node::items).unwrap_or_default() {
                    self.add(source, item.clone(), errors);
                }
                return;
            }
            (group, "WasmPlugin") if group.starts_with(EXTENSIONS) => {
                (PluginKind::WasmPlugin, &["spec", "pluginConfig"])
            }
            (group, "TrafficExtension") if group.starts_with(EXTENSIONS) => {
                (PluginKind::TrafficExtension, &["spec", "wasm", "pluginConfig"])
            }
            (_, "WasmPlugin" | "TrafficExtension") => {
                let what =
                    format!("a {} is of extensions.istio.io/v1alpha1, and this is not", resource.kind());
                errors.push(resource.refuse("apiVersion", what).help("write extensions.istio.io/v1alpha1"));
                return;
            }
            _ => {
                errors.extend(strict::check(source, &resource.node, &Shape::Any));
                self.resources.push(resource);
                return;
            }
        };
        errors.extend(strict::check(source, &around(&resource.node, path), &Shape::Any));
        if kind == PluginKind::TrafficExtension && resource.node.at(&["spec", "wasm"]).is_none() {
            self.resources.push(resource);
            return;
        }
        let absent = || Node { span: resource.node.span, value: Value::Map(Vec::new()) };
        let config = resource.node.at(path).cloned().unwrap_or_else(absent);
        self.push(kind, resource, config, errors);
    }

    fn push(&mut self, kind: PluginKind, resource: Resource, config: Node, errors: &mut Vec<Diagnostic>) {
        let mut plugin = Plugin { kind, resource, config, bundled: false, index: Index::default() };
        let place = plugin.config.entry("bundle").map(|entry| entry.value.span);
        if let Some(span) = place {
            match unpack(&plugin.config.to_json()) {
                Ok(Some(inside)) => {
                    plugin.config = Node::from_json(&inside, span);
                    plugin.bundled = true;
                }
                Ok(None) => {}
                Err(refusals) => {
                    errors.extend(refusals.iter().map(|error| plugin.diagnose(error)));
                    return;
                }
            }
        }
        self.plugins.push(plugin);
    }
}

/// A resource without its configuration, which has a reader of its own.
fn around(node: &Node, path: &[&str]) -> Node {
    let (Value::Map(entries), Some((key, rest))) = (&node.value, path.split_first()) else {
        // The configuration itself, or what stands in its way.
        return Node { span: node.span, value: Value::Null };
    };
    let prune = |entry: &Entry| {
        let value = if entry.key == *key { around(&entry.value, rest) } else { entry.value.clone() };
        Entry { key: entry.key.clone(), key_span: entry.key_span, value }
    };
    Node { span: node.span, value: Value::Map(entries.iter().map(prune).collect()) }
}

impl Resource {
    pub(crate) fn api_version(&self) -> &str {
        self.node.text_at(&["apiVersion"]).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> &str {
        self.node.text_at(&["kind"]).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.node.text_at(&["metadata", "name"]).unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.node.text_at(&["metadata", "namespace"]).unwrap_or("default")
    }

    /// `WasmPlugin istio-system/egress-authz`
    pub(crate) fn title(&self) -> String {
        format!("{} {}/{}", self.kind(), self.namespace(), self.name())
    }

    /// A finding about a value of the resource.
    pub(crate) fn warn(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        self.place(Diagnostic::warning(message), path)
    }

    /// An error in a value of the resource.
    pub(crate) fn refuse(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        self.place(Diagnostic::error(message), path)
    }

    fn place(&self, diagnostic: Diagnostic, path: &str) -> Diagnostic {
        // What is not there is shown where it would stand.
        let mut prefix = path;
        let span = loop {
            match self.node.locate(prefix, Occurrence::First) {
                Some(place) => break place.value(),
                None => prefix = prefix.rsplit_once(['.', '[']).map_or("", |(parent, _)| parent),
            }
        };
        diagnostic.at(&self.source, span).path(path)
    }
}

impl Plugin {
    /// What the user calls it.
    pub(crate) fn title(&self) -> String {
        match self.kind {
            PluginKind::Bare => self.resource.source.name.clone(),
            PluginKind::WasmPlugin | PluginKind::TrafficExtension => self.resource.title(),
        }
    }

    /// The configuration, parsed.
    pub(crate) fn parse(&self) -> Result<Config, Vec<Diagnostic>> {
        Config::read(&self.config.to_json())
            .map_err(|errors| shown(&errors, &self.resource.source.name, |error| self.diagnose(error)))
    }

    /// As [`Plugin::parse`], for the other type: one configuration may serve both.
    pub(crate) fn parse_as(&self, type_name: &str) -> Result<Config, Vec<Diagnostic>> {
        let mut json = self.config.to_json();
        if let Json::Object(Object(entries)) = &mut json {
            entries.retain(|(key, _)| **key != *"type");
            entries.push(("type".into(), Json::Text(type_name.into())));
        }
        Config::read(&json)
            .map_err(|errors| shown(&errors, &self.resource.source.name, |error| self.diagnose(error)))
    }

    /// An error of the core, with its place in the file.
    fn diagnose(&self, error: &egress_policy::ConfigError) -> Diagnostic {
        let occurrence =
            if error.problem == Problem::DuplicateKey { Occurrence::Last } else { Occurrence::First };
        let at_key = matches!(error.problem, Problem::DuplicateKey | Problem::UnknownKey { .. });
        let span = self
            .config
            .locate_by(&error.path, occurrence, &self.index)
            .map_or(self.config.span, |place| if at_key { place.key_or_value() } else { place.value() });
        let diagnostic = Diagnostic::error(error.message()).at(&self.resource.source, span).path(&error.path);
        let text =
            self.config.locate_by(&error.path, occurrence, &self.index).and_then(|place| place.node.text());
        if let Some(template) = text.and_then(strict::template_in) {
            return diagnostic
                .help(format!("{template} is a template that was not rendered: render it first"));
        }
        match error.repair() {
            Some(repair) => diagnostic.help(repair),
            None => diagnostic,
        }
    }

    /// Where a value of the configuration stands.
    pub(crate) fn place(&self, path: &str) -> Option<Place<'_>> {
        self.config.locate_by(path, Occurrence::First, &self.index)
    }

    /// A finding about a value of the configuration.
    pub(crate) fn warn(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let span = self.place(path).map_or(self.config.span, |place| place.value());
        Diagnostic::warning(message).at(&self.resource.source, span).path(path)
    }
}
