//! Many owners, one configuration.

use crate::diagnostics::Diagnostic;
use crate::source::{Input, Node, Plugin, PluginKind, Source, Value, Which};
use egress_policy::config::{Config, Json, Object, Problem};
use egress_policy::names::is_dns_label;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a namespace may write.
const TENANT_KEYS: &[&str] = &["policies", "hostSets"];

/// A file of a namespace.
struct Tenant {
    namespace: String,
    source: Rc<Source>,
    node: Node,
}

/// One place of the merged configuration, and where it came from.
struct Origin {
    /// The path in the merged configuration.
    merged: String,
    source: Rc<Source>,
    node: Node,
    /// The path in the file.
    path: String,
}

/// Merges a directory into one pluginConfig.
pub(crate) fn directory(directory: &Path) -> Result<Json, Vec<Diagnostic>> {
    let (input, mut errors) = Input::read(&[directory.join("mesh.yaml")]);
    let mesh = match input.plugins.as_slice() {
        [mesh] if mesh.kind == PluginKind::Bare => Some(mesh),
        _ if errors.is_empty() => {
            let file = directory.join("mesh.yaml").display().to_string();
            errors.push(Diagnostic::error("mesh.yaml is one bare pluginConfig").in_file(&file));
            None
        }
        _ => None,
    };
    let tenants = match tenants(directory) {
        Ok(tenants) => tenants,
        Err(refusals) => {
            errors.extend(refusals);
            Vec::new()
        }
    };
    let Some(mesh) = mesh.filter(|_| errors.is_empty()) else {
        return Err(errors);
    };
    let mut merger = Merger::new(mesh);
    for tenant in &tenants {
        merger.add(tenant);
    }
    merger.finish()
}

/// The files of the namespaces, in the order of their names.
fn tenants(directory: &Path) -> Result<Vec<Tenant>, Vec<Diagnostic>> {
    let folder = directory.join("namespaces");
    let refuse = |path: &Path, what: &str| vec![Diagnostic::error(what).in_file(&path.display().to_string())];
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries =
        std::fs::read_dir(&folder).map_err(|error| refuse(&folder, &format!("cannot read it: {error}")))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    let mut tenants: Vec<Tenant> = Vec::new();
    let mut errors = Vec::new();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        match tenant(&path) {
            Ok(tenant) if tenants.last().is_some_and(|last| last.namespace == tenant.namespace) => {
                errors.extend(refuse(&path, "the namespace has another file"));
            }
            Ok(tenant) => tenants.push(tenant),
            Err(refusals) => errors.extend(refusals),
        }
    }
    if errors.is_empty() { Ok(tenants) } else { Err(errors) }
}

fn tenant(path: &Path) -> Result<Tenant, Vec<Diagnostic>> {
    let refuse = |what: &str| vec![Diagnostic::error(what).in_file(&path.display().to_string())];
    let extension = path.extension().and_then(|extension| extension.to_str());
    if !matches!(extension, Some("yaml" | "yml" | "json")) {
        return Err(refuse("not a namespace's file: those are called <namespace>.yaml"));
    }
    let namespace = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    if !is_dns_label(&namespace) {
        return Err(refuse("the file is called after no namespace: lower-case letters, digits and dashes"));
    }
    let source = Source::read(path)?;
    let mut documents = source.documents()?;
    let empty = Node { span: crate::yaml::Span::default(), value: Value::Map(Vec::new()) };
    let node = documents.pop().unwrap_or(empty);
    if !documents.is_empty() {
        return Err(refuse("one document is wanted here"));
    }
    Ok(Tenant { namespace, source, node })
}

struct Merger<'m> {
    mesh: &'m Plugin,
    settings: Vec<(Box<str>, Json)>,
    sets: BTreeMap<String, Json>,
    mesh_sets: Vec<String>,
    policies: Vec<Json>,
    origins: Vec<Origin>,
    errors: Vec<Diagnostic>,
}

impl<'m> Merger<'m> {
    fn new(mesh: &'m Plugin) -> Self {
        let mut merger = Self {
            mesh,
            settings: Vec::new(),
            sets: BTreeMap::new(),
            mesh_sets: Vec::new(),
            policies: Vec::new(),
            origins: Vec::new(),
            errors: mesh.parse().err().unwrap_or_default(),
        };
        for entry in mesh.config.entries() {
            match entry.key.as_str() {
                "policies" => {
                    for (at, policy) in entry.value.items().iter().enumerate() {
                        merger.mesh_policy(policy, at);
                    }
                }
                "hostSets" => {
                    for set in entry.value.entries() {
                        merger.mesh_sets.push(set.key.clone());
                        merger.sets.insert(set.key.clone(), set.value.to_json());
                        let path = format!("hostSets.{}", set.key);
                        merger.came_from(&path, &path, &mesh.resource.source, &mesh.config);
                    }
                }
                key => merger.settings.push((key.into(), entry.value.to_json())),
            }
        }
        merger
    }

    fn came_from(&mut self, merged: &str, path: &str, source: &Rc<Source>, node: &Node) {
        let (merged, path) = (merged.to_owned(), path.to_owned());
        self.origins.push(Origin { merged, path, source: Rc::clone(source), node: node.clone() });
    }

    fn refuse(&mut self, source: &Rc<Source>, node: &Node, path: &str, what: impl Into<String>) {
        let span = node.locate(path, Which::First).map_or(node.span, |place| place.key_or_value());
        self.errors.push(Diagnostic::error(what).at(source, span).path(path));
    }

    fn mesh_policy(&mut self, policy: &Node, at: usize) {
        let path = format!("policies[{at}]");
        if policy.get("namespace").is_some() {
            let what = "mesh.yaml holds mesh-wide policies; a namespace's own stand in its file";
            self.refuse(&self.mesh.resource.source, &self.mesh.config, &format!("{path}.namespace"), what);
        }
        let merged = format!("policies[{}]", self.policies.len());
        self.came_from(&merged, &path, &self.mesh.resource.source, &self.mesh.config);
        self.policies.push(policy.to_json());
    }

    fn add(&mut self, tenant: &Tenant) {
        if !matches!(tenant.node.value, Value::Map(_)) {
            self.refuse(&tenant.source, &tenant.node, "", "an object is wanted here");
        }
        for entry in tenant.node.entries() {
            if !TENANT_KEYS.contains(&entry.key.as_str()) {
                let what = "a setting belongs to mesh.yaml; a namespace writes `policies` and `hostSets`";
                self.refuse(&tenant.source, &tenant.node, &entry.key, what);
            }
        }
        let own_sets = self.own_sets(tenant);
        for (at, policy) in
            tenant.node.get("policies").map(Node::items).unwrap_or_default().iter().enumerate()
        {
            self.own_policy(tenant, policy, at, &own_sets);
        }
    }

    /// The sets of a namespace get its name in front, so that no other can mean them.
    fn own_sets(&mut self, tenant: &Tenant) -> Vec<String> {
        let mut own = Vec::new();
        for set in tenant.node.get("hostSets").map(Node::entries).unwrap_or_default() {
            let path = format!("hostSets.{}", set.key);
            if self.mesh_sets.contains(&set.key) {
                let what =
                    format!("the mesh has a set of this name, which @{} would no longer mean", set.key);
                self.refuse(&tenant.source, &tenant.node, &path, what);
                continue;
            }
            let name = format!("{}.{}", tenant.namespace, set.key);
            if self.mesh_sets.contains(&name) {
                let what =
                    format!("the mesh has a set {name}, which is what this one is called in the whole");
                self.refuse(&tenant.source, &tenant.node, &path, what);
                continue;
            }
            self.came_from(&format!("hostSets.{name}"), &path, &tenant.source, &tenant.node);
            self.sets.insert(name, set.value.to_json());
            own.push(set.key.clone());
        }
        own
    }

    fn own_policy(&mut self, tenant: &Tenant, policy: &Node, at: usize, own_sets: &[String]) {
        let path = format!("policies[{at}]");
        if let Some(namespace) = policy.get("namespace") {
            let same = namespace.text() == Some(tenant.namespace.as_str());
            if !same {
                let what = format!("a policy in this file governs {} and nothing else", tenant.namespace);
                self.refuse(&tenant.source, &tenant.node, &format!("{path}.namespace"), what);
                return;
            }
        }
        let mut unknown = Vec::new();
        references(policy, &path, false, &mut |path, name| {
            if !own_sets.iter().chain(&self.mesh_sets).any(|set| set == name) {
                unknown.push((path.to_owned(), name.to_owned()));
            }
        });
        for (path, name) in unknown {
            let what = format!("@{name} is neither a set of this file nor one of the mesh");
            self.refuse(&tenant.source, &tenant.node, &path, what);
        }
        let Json::Object(Object(entries)) = policy.to_json() else {
            self.refuse(&tenant.source, &tenant.node, &path, "an object is wanted here");
            return;
        };
        let mut merged = Vec::new();
        let mut named = false;
        for (key, value) in entries.into_iter().filter(|(key, _)| **key != *"namespace") {
            let is_name = *key == *"name";
            merged.push((key, rename_sets(value, &tenant.namespace, own_sets, false)));
            if is_name && !named {
                named = true;
                merged.push(("namespace".into(), Json::Text(tenant.namespace.as_str().into())));
            }
        }
        if !named {
            merged.push(("namespace".into(), Json::Text(tenant.namespace.as_str().into())));
        }
        let place = format!("policies[{}]", self.policies.len());
        self.came_from(&place, &path, &tenant.source, &tenant.node);
        self.policies.push(Json::Object(Object(merged)));
    }

    fn finish(mut self) -> Result<Json, Vec<Diagnostic>> {
        let mut entries = self.settings;
        if !self.sets.is_empty() {
            let sets = self.sets.into_iter().map(|(name, set)| (name.into_boxed_str(), set)).collect();
            entries.push(("hostSets".into(), Json::Object(Object(sets))));
        }
        entries.push(("policies".into(), Json::List(self.policies)));
        let merged = Json::Object(Object(entries));
        if self.errors.is_empty()
            && let Err(errors) = Config::read(&merged)
        {
            self.errors = errors.iter().map(|error| blame(error, &self.origins)).collect();
        }
        if self.errors.is_empty() { Ok(merged) } else { Err(self.errors) }
    }
}

/// An error of the whole, at its place in the file that it came from.
fn blame(error: &egress_policy::ConfigError, origins: &[Origin]) -> Diagnostic {
    let found = origins.iter().find_map(|origin| {
        let rest = error.path.strip_prefix(&origin.merged)?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then(|| (origin, format!("{}{rest}", origin.path)))
    });
    let diagnostic = Diagnostic::error(error.message());
    let diagnostic = match found {
        Some((origin, path)) => {
            let which = if error.problem == Problem::DuplicateKey { Which::Last } else { Which::First };
            let span = origin.node.locate(&path, which).map_or(origin.node.span, |place| place.value());
            diagnostic.at(&origin.source, span).path(&path)
        }
        None => diagnostic.path(&error.path),
    };
    match error.repair() {
        Some(repair) => diagnostic.help(repair),
        None => diagnostic,
    }
}

/// The host sets that a policy refers to, each with its place.
fn references(node: &Node, path: &str, hosts: bool, found: &mut impl FnMut(&str, &str)) {
    match &node.value {
        Value::Text(text) if hosts => {
            if let Some(name) = text.text.strip_prefix('@') {
                found(path, name);
            }
        }
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                references(item, &format!("{path}[{at}]"), hosts, found);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                let hosts = matches!(entry.key.as_str(), "hosts" | "notHosts");
                references(&entry.value, &format!("{path}.{}", entry.key), hosts, found);
            }
        }
        _ => {}
    }
}

/// Gives references to a namespace's own sets the names that those have in the whole.
fn rename_sets(json: Json, namespace: &str, own: &[String], hosts: bool) -> Json {
    match json {
        Json::Text(text) if hosts => {
            let renamed = text.strip_prefix('@').filter(|name| own.iter().any(|set| set == name));
            Json::Text(renamed.map_or(text.clone(), |name| format!("@{namespace}.{name}").into()))
        }
        Json::List(items) => {
            Json::List(items.into_iter().map(|item| rename_sets(item, namespace, own, hosts)).collect())
        }
        Json::Object(Object(entries)) => Json::Object(Object(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let hosts = matches!(&*key, "hosts" | "notHosts");
                    (key, rename_sets(value, namespace, own, hosts))
                })
                .collect(),
        )),
        other => other,
    }
}
