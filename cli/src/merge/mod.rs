//! Many owners, one configuration.

mod folder;
mod references;

use crate::diagnostics::{Diagnostic, shown};
use crate::yaml::{Node, Occurrence, Source, Span};
use egress_policy::ConfigError;
use egress_policy::config::{Config, Json, Object, Problem};
use folder::{Folder, Tenant};
use references::{references, renamed};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

/// Merges a folder into one pluginConfig; with what its owners should know.
pub(crate) fn directory(directory: &Path) -> Result<(Json, Vec<Diagnostic>), Vec<Diagnostic>> {
    let folder = folder::read(directory)?;
    let mut merger = Merger::new(&folder);
    for tenant in &folder.tenants {
        merger.add(tenant);
    }
    merger.finish()
}

/// Where a part of the whole came from.
struct Origin<'m> {
    source: &'m Rc<Source>,
    node: &'m Node,
    /// The path in its file.
    path: String,
}

struct Merger<'m> {
    mesh: &'m Node,
    mesh_source: &'m Rc<Source>,
    settings: Vec<(Box<str>, Json)>,
    sets: BTreeMap<String, Json>,
    mesh_sets: HashSet<&'m str>,
    policies: Vec<Json>,
    origins_of_policies: Vec<Origin<'m>>,
    origins_of_sets: HashMap<String, Origin<'m>>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'m> Merger<'m> {
    fn new(folder: &'m Folder) -> Self {
        let mut merger = Self {
            mesh: &folder.mesh.config,
            mesh_source: &folder.mesh.resource.source,
            settings: Vec::new(),
            sets: BTreeMap::new(),
            mesh_sets: HashSet::new(),
            policies: Vec::new(),
            origins_of_policies: Vec::new(),
            origins_of_sets: HashMap::new(),
            errors: folder
                .errors
                .iter()
                .cloned()
                .chain(folder.mesh.parse().err().unwrap_or_default())
                .collect(),
            warnings: folder.warnings.clone(),
        };
        for entry in merger.mesh.entries() {
            match entry.key.as_str() {
                "policies" => {
                    for (at, policy) in entry.value.items().iter().enumerate() {
                        merger.mesh_policy(policy, at);
                    }
                }
                "hostSets" => {
                    for set in entry.value.entries() {
                        merger.mesh_sets.insert(&set.key);
                        merger.sets.insert(set.key.clone(), set.value.to_json());
                        let origin = Origin {
                            source: merger.mesh_source,
                            node: &set.value,
                            path: format!("hostSets.{}", set.key),
                        };
                        merger.origins_of_sets.insert(set.key.clone(), origin);
                    }
                }
                key => merger.settings.push((key.into(), entry.value.to_json())),
            }
        }
        merger
    }

    fn refuse(&mut self, source: &Rc<Source>, span: Span, path: &str, what: impl Into<String>) {
        self.errors.push(Diagnostic::error(what).at(source, span).path(path));
    }

    fn mesh_policy(&mut self, policy: &'m Node, at: usize) {
        let path = format!("policies[{at}]");
        if let Some(namespace) = policy.entry("namespace") {
            let what = "mesh.yaml holds mesh-wide policies; a namespace's own stand in its file";
            self.refuse(self.mesh_source, namespace.key_span, &format!("{path}.namespace"), what);
        }
        self.origins_of_policies.push(Origin { source: self.mesh_source, node: policy, path });
        self.policies.push(policy.to_json());
    }

    fn add(&mut self, tenant: &'m Tenant) {
        let own_sets = self.own_sets(tenant);
        let policies = tenant.node.get("policies").map(Node::items).unwrap_or_default();
        for (at, policy) in policies.iter().enumerate() {
            self.own_policy(tenant, policy, at, &own_sets);
        }
    }

    /// The sets of a namespace get its name in front, so that no other can mean them. Of two of one name its own is nearer.
    fn own_sets(&mut self, tenant: &'m Tenant) -> HashSet<&'m str> {
        let mut own = HashSet::new();
        for set in tenant.node.get("hostSets").map(Node::entries).unwrap_or_default() {
            let path = format!("hostSets.{}", set.key);
            if self.mesh_sets.contains(set.key.as_str()) {
                let what =
                    format!("the mesh has a set of this name, too: in this file @{} is this one", set.key);
                let warning = Diagnostic::warning(what).at(&tenant.source, set.key_span).path(&path);
                self.warnings.push(warning.help("give it another name, if the mesh's is meant anywhere"));
            }
            let name = format!("{}.{}", tenant.namespace, set.key);
            if self.mesh_sets.contains(name.as_str()) {
                let what =
                    format!("the mesh has a set {name}, which is what this one is called in the whole");
                self.refuse(&tenant.source, set.key_span, &path, what);
                continue;
            }
            let origin = Origin { source: &tenant.source, node: &set.value, path };
            self.origins_of_sets.insert(name.clone(), origin);
            self.sets.insert(name, set.value.to_json());
            own.insert(set.key.as_str());
        }
        own
    }

    fn own_policy(&mut self, tenant: &'m Tenant, policy: &'m Node, at: usize, own_sets: &HashSet<&str>) {
        let path = format!("policies[{at}]");
        if let Some(namespace) = policy.entry("namespace")
            && namespace.value.text() != Some(tenant.namespace.as_str())
        {
            let what = format!("a policy in this file governs {} and nothing else", tenant.namespace);
            self.refuse(&tenant.source, namespace.key_span, &format!("{path}.namespace"), what);
            return;
        }
        let mut unknown = Vec::new();
        references(policy, "", &mut |path, name| {
            if !own_sets.contains(name) && !self.mesh_sets.contains(name) {
                unknown.push((path.to_owned(), name));
            }
        });
        for (inner, name) in unknown {
            let what = format!("@{name} is neither a set of this file nor one of the mesh");
            let span =
                policy.locate(&inner, Occurrence::First).map_or(policy.span, |place| place.key_or_value());
            self.refuse(&tenant.source, span, &format!("{path}{inner}"), what);
        }
        let Json::Object(Object(entries)) = policy.to_json() else {
            return;
        };
        let namespace = || ("namespace".into(), Json::Text(tenant.namespace.as_str().into()));
        let in_whole = |name: &str| own_sets.contains(name).then(|| format!("{}.{name}", tenant.namespace));
        let mut merged: Vec<(Box<str>, Json)> = entries
            .into_iter()
            .filter(|(key, _)| **key != *"namespace")
            .map(|(key, value)| (key, renamed(value, &in_whole)))
            .collect();
        let behind_name =
            merged.iter().position(|(key, _)| **key == *"name").map_or(merged.len(), |at| at + 1);
        merged.insert(behind_name, namespace());
        self.origins_of_policies.push(Origin { source: &tenant.source, node: policy, path });
        self.policies.push(Json::Object(Object(merged)));
    }

    fn finish(self) -> Result<(Json, Vec<Diagnostic>), Vec<Diagnostic>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let mut entries = self.settings;
        if !self.sets.is_empty() {
            let sets = self.sets.into_iter().map(|(name, set)| (name.into_boxed_str(), set)).collect();
            entries.push(("hostSets".into(), Json::Object(Object(sets))));
        }
        if !self.policies.is_empty() {
            entries.push(("policies".into(), Json::List(self.policies)));
        }
        let merged = Json::Object(Object(entries));
        let Err(errors) = Config::read(&merged) else {
            return Ok((merged, self.warnings));
        };
        let blame = Blame { policies: &self.origins_of_policies, sets: &self.origins_of_sets };
        let diagnose = |error: &ConfigError| {
            blame.diagnose(error).unwrap_or_else(|| {
                let span = self
                    .mesh
                    .locate(&error.path, Occurrence::First)
                    .map_or(self.mesh.span, |place| place.value());
                explained(error).at(self.mesh_source, span).path(&error.path)
            })
        };
        Err(shown(&errors, &self.mesh_source.name, diagnose))
    }
}

/// Finds the file that an error of the whole comes from.
struct Blame<'b> {
    policies: &'b [Origin<'b>],
    sets: &'b HashMap<String, Origin<'b>>,
}

impl Blame<'_> {
    fn diagnose(&self, error: &ConfigError) -> Option<Diagnostic> {
        let (origin, rest) = self.origin(&error.path)?;
        let which = if error.problem == Problem::DuplicateKey { Occurrence::Last } else { Occurrence::First };
        let span = origin.node.locate(rest, which).map_or(origin.node.span, |place| place.value());
        Some(explained(error).at(origin.source, span).path(&format!("{}{rest}", origin.path)))
    }

    /// What a path of the whole leads into, and the rest of the path there.
    fn origin<'p>(&self, path: &'p str) -> Option<(&Origin<'_>, &'p str)> {
        if let Some((index, rest)) = path.strip_prefix("policies[").and_then(|path| path.split_once(']')) {
            return Some((self.policies.get(index.parse::<usize>().ok()?)?, rest));
        }
        // A set's name may hold dots.
        let names = path.strip_prefix("hostSets.")?;
        let ends = names.char_indices().filter(|(_, at)| matches!(at, '.' | '[')).map(|(at, _)| at);
        ends.chain([names.len()]).find_map(|end| {
            let (name, rest) = names.split_at_checked(end)?;
            Some((self.sets.get(name)?, rest))
        })
    }
}

fn explained(error: &ConfigError) -> Diagnostic {
    let diagnostic = Diagnostic::error(error.message());
    match error.repair() {
        Some(repair) => diagnostic.help(repair),
        None => diagnostic,
    }
}
