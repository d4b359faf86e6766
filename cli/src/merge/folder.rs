//! The files of a folder that has many owners. What is not read is named, and nothing outside the folder is.

use crate::diagnostics::Diagnostic;
use crate::source::{Input, Plugin, PluginKind};
use crate::strict::{self, Field, Object, Shape};
use crate::yaml::{Entry, Node, Source, Span, Value};
use egress_policy::config::nearest;
use egress_policy::names::is_dns_label;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The platform's file.
const MESH: &str = "mesh.yaml";
/// The folder of the namespaces' files.
const NAMESPACES: &str = "namespaces";

/// What a namespace may write; the core judges what is inside a policy.
static TENANT: Object = Object::new(
    "a namespace's file",
    &[
        Field::new("policies", &Shape::ListOrEmpty(&Shape::MapOrEmpty(&Shape::Any)), ""),
        Field::new("hostSets", &Shape::Map(&Shape::List(&Shape::Text)), ""),
    ],
);

/// All that is merged.
pub(super) struct Folder {
    pub(super) mesh: Plugin,
    /// In the order of their names.
    pub(super) tenants: Vec<Tenant>,
    /// What is wrong with files that could be read all the same.
    pub(super) errors: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// The file of a namespace.
pub(super) struct Tenant {
    pub(super) namespace: String,
    pub(super) source: Rc<Source>,
    pub(super) node: Node,
}

/// Reads a folder.
pub(super) fn read(directory: &Path) -> Result<Folder, Vec<Diagnostic>> {
    let mut reader =
        FolderReader { directory, root: PathBuf::new(), errors: Vec::new(), warnings: Vec::new() };
    match fs::canonicalize(directory) {
        Ok(root) => reader.root = root,
        Err(error) => return Err(vec![in_file(directory, &format!("cannot read it: {error}"))]),
    }
    let mesh = reader.mesh();
    reader.bystanders();
    let tenants = reader.tenants();
    match mesh {
        Some(mesh) => Ok(Folder { mesh, tenants, errors: reader.errors, warnings: reader.warnings }),
        None => Err(reader.errors),
    }
}

struct FolderReader<'d> {
    directory: &'d Path,
    /// Where the folder really is.
    root: PathBuf,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl FolderReader<'_> {
    fn refuse(&mut self, path: &Path, what: &str, help: &str) {
        self.errors.push(in_file(path, what).help(help));
    }

    fn mesh(&mut self) -> Option<Plugin> {
        let path = self.directory.join(MESH);
        if !self.is_inside(&path) {
            return None;
        }
        let (input, errors) = Input::read(std::slice::from_ref(&path));
        if !errors.is_empty() {
            self.errors.extend(errors);
            return None;
        }
        let mut plugins = input.plugins.into_iter();
        match (plugins.next(), plugins.next()) {
            (Some(mesh), None) if mesh.kind == PluginKind::Bare && input.resources.is_empty() => Some(mesh),
            _ => {
                self.refuse(
                    &path,
                    "mesh.yaml is one bare pluginConfig",
                    "write the value of `pluginConfig` alone",
                );
                None
            }
        }
    }

    /// What stands beside the two: a policy that nobody reads is a policy that is lost.
    fn bystanders(&mut self) {
        for path in self.entries(self.directory) {
            let name = name_of(&path);
            if name == MESH || name == NAMESPACES {
                continue;
            }
            if let Some(meant) =
                nearest(&name, [MESH, NAMESPACES].into_iter()).or((name == "mesh.yml").then_some(MESH))
            {
                self.refuse(&path, "nothing of this name is read", &format!("call it {meant}"));
                continue;
            }
            let is_file = fs::metadata(&path).is_ok_and(|metadata| metadata.is_file());
            if !is_file || !is_config(&path) || !self.is_inside(&path) {
                continue;
            }
            let documents = Source::read(&path).and_then(|source| source.documents());
            let holds_policies =
                |node: &Node| TENANT.fields.iter().any(|field| node.get(field.key).is_some());
            match documents {
                Ok(documents) if documents.iter().any(holds_policies) => {
                    self.refuse(&path, "policies or host sets that are not read", "move it into namespaces/");
                }
                Ok(_) => {}
                Err(_) => self
                    .warnings
                    .push(Diagnostic::warning("it is not read").in_file(&path.display().to_string())),
            }
        }
    }

    fn tenants(&mut self) -> Vec<Tenant> {
        let folder = self.directory.join(NAMESPACES);
        if fs::symlink_metadata(&folder).is_err() || !self.is_inside(&folder) {
            return Vec::new();
        }
        let mut tenants: Vec<Tenant> = Vec::new();
        for path in self.entries(&folder) {
            if name_of(&path).starts_with('.') {
                let what = "a hidden file: it is not read";
                self.warnings.push(Diagnostic::warning(what).in_file(&path.display().to_string()));
                continue;
            }
            if !self.is_inside(&path) {
                continue;
            }
            match tenant(&path) {
                Ok(tenant) if tenants.last().is_some_and(|last| last.namespace == tenant.namespace) => {
                    self.refuse(&path, "the namespace has another file", "keep one");
                }
                Ok(tenant) => {
                    self.errors.extend(errors_of(&tenant.source, &tenant.node));
                    tenants.push(tenant);
                }
                Err(refusals) => self.errors.extend(refusals),
            }
        }
        tenants
    }

    /// The entries of a folder, in the order of their names.
    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        let read = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        let mut paths: Vec<PathBuf> = read.unwrap_or_else(|error| {
            self.errors.push(in_file(folder, &format!("cannot read it: {error}")));
            Vec::new()
        });
        paths.sort();
        paths
    }

    /// Whether a path, its links followed, stays in the folder.
    fn is_inside(&mut self, path: &Path) -> bool {
        match fs::canonicalize(path) {
            Ok(real) if real.starts_with(&self.root) => return true,
            Ok(_) => self.refuse(path, "a link that leaves the folder", "put the file itself here"),
            Err(error) => self.errors.push(in_file(path, &format!("cannot read it: {error}"))),
        }
        false
    }
}

fn in_file(path: &Path, what: &str) -> Diagnostic {
    Diagnostic::error(what).in_file(&path.display().to_string())
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_config(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

fn tenant(path: &Path) -> Result<Tenant, Vec<Diagnostic>> {
    let refuse = |what: &str| vec![in_file(path, what)];
    if !is_config(path) {
        return Err(refuse("not a namespace's file: those are called <namespace>.yaml"));
    }
    let namespace = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    if !is_dns_label(&namespace) {
        return Err(refuse("the file is called after no namespace: lower-case letters, digits and dashes"));
    }
    let source = Source::read(path)?;
    let mut documents = source.documents()?;
    let empty = Node { span: Span::default(), value: Value::Map(Vec::new()) };
    let node = documents.pop().unwrap_or(empty);
    if !documents.is_empty() {
        return Err(refuse("one document is wanted here"));
    }
    Ok(Tenant { namespace, source, node })
}

/// What is wrong with a namespace's file; a setting is more than an unknown key.
fn errors_of(source: &Rc<Source>, node: &Node) -> Vec<Diagnostic> {
    let Value::Map(entries) = &node.value else {
        return strict::check(source, node, &Shape::ObjectOrEmpty(&TENANT));
    };
    let (known, settings): (Vec<_>, Vec<_>) =
        entries.iter().cloned().partition(|entry| TENANT.fields.iter().any(|field| field.key == entry.key));
    let repair = |key: &str| nearest(key, TENANT.fields.iter().map(|field| field.key));
    let misplaced = |entry: Entry| {
        let what = "a setting belongs to mesh.yaml; a namespace writes `policies` and `hostSets`";
        let found = Diagnostic::error(what).at(source, entry.key_span).path(&entry.key);
        match repair(&entry.key) {
            Some(nearest) => found.help(format!("write `{nearest}`")),
            None => found,
        }
    };
    let mut errors: Vec<Diagnostic> = settings.into_iter().map(misplaced).collect();
    let known = Node { span: node.span, value: Value::Map(known) };
    errors.extend(strict::check(source, &known, &Shape::ObjectOrEmpty(&TENANT)));
    errors
}
