//! The structure that docs/architecture.md draws: which crate may know which, and that no two files import each other.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use egress_lab::paths::repo_dir;
use serde_json::Value;
use syn::visit::Visit;

/// What each crate may depend on, of ours, in what it ships; and besides in its tests.
const MAY_KNOW: [(&str, &[&str], &[&str]); 13] = [
    ("egress-policy", &[], &["egress-test-support"]),
    ("egress-test-support", &["egress-policy"], &[]),
    ("egress-filter", &["egress-policy"], &[]),
    ("egress-authz", &["egress-filter", "egress-policy"], &[]),
    ("egressctl", &["egress-policy"], &[]),
    ("egress-image", &[], &[]),
    ("egress-lab", &[], &[]),
    ("egress-mesh", &["egress-image", "egress-lab"], &[]),
    ("egress-bench", &["egress-lab", "egress-policy", "egress-test-support"], &[]),
    ("egress-bench-baseline", &[], &[]),
    ("egress-tests", &["egress-lab"], &["egress-policy", "egress-test-support"]),
    ("egress-delivery-tests", &[], &["egress-image", "egress-lab"]),
    (
        "egress-mesh-tests",
        &["egress-bench", "egress-lab", "egress-mesh", "egress-test-support", "egress-tests"],
        &["egress-image"],
    ),
];

#[test]
fn crates_know_each_other_one_way() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(repo_dir().unwrap())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    assert_eq!(
        ours,
        MAY_KNOW.iter().map(|(name, ..)| (*name).to_owned()).collect(),
        "a crate is not in the table"
    );
    for package in packages {
        let (_, shipped, tested) = MAY_KNOW.iter().find(|(known, ..)| *known == name(package)).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let known = name(dependency);
            let is_shipped = dependency["kind"].is_null();
            let allowed = shipped.contains(&&*known) || (!is_shipped && tested.contains(&&*known));
            assert!(!ours.contains(&known) || allowed, "{} must not depend on {known}", name(package));
        }
    }
}

/// The paths of a file that lead to other files of its crate, from the crate's root.
struct Paths {
    /// Where the file itself is.
    module: Vec<String>,
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    fn add(&mut self, path: &[String]) {
        let mut at = match path.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        for step in path.iter().skip_while(|step| *step == "crate" || *step == "self") {
            if step == "super" {
                at.pop();
            } else {
                at.push(step.clone());
            }
        }
        self.found.insert(at);
    }

    fn add_tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&path.tree, &with(path.ident.to_string())),
            syn::UseTree::Name(name) => self.add(&with(name.ident.to_string())),
            syn::UseTree::Rename(name) => self.add(&with(name.ident.to_string())),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before)),
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        // Within the crate a path may also begin with a module of the file's own.
        if !is_test(&item.attrs) {
            self.add_tree(&item.tree, &[]);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(super)` imports nothing.
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let steps: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&steps);
        syn::visit::visit_path(self, path);
    }
}

/// The files of a crate that are no tests, by their module.
fn files(root: &Path, folder: &Path, into: &mut BTreeMap<Vec<String>, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let inside = path.strip_prefix(root).unwrap();
        let mut module: Vec<String> =
            inside.with_extension("").iter().map(|step| step.to_string_lossy().into_owned()).collect();
        if path.is_dir() {
            files(root, &path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            if module.last().is_some_and(|name| ["mod", "lib", "main"].contains(&&**name)) {
                module.pop();
            }
            // A binary beside its library begins a second tree of one file.
            if path.file_name().is_none_or(|name| name != "main.rs") || !root.join("lib.rs").exists() {
                into.insert(module, path);
            }
        }
    }
}

/// Modules that `#[cfg(test)]` leaves out of what ships.
fn test_modules(files: &BTreeMap<Vec<String>, PathBuf>) -> BTreeSet<Vec<String>> {
    let mut modules = BTreeSet::new();
    for (module, path) in files {
        let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
        for item in &file.items {
            if let syn::Item::Mod(item) = item
                && is_test(&item.attrs)
            {
                modules.insert([module.as_slice(), &[item.ident.to_string()]].concat());
            }
        }
    }
    modules
}

/// Which file imports which, of a crate whose source is in `root`.
fn imports(root: &Path) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let mut all = BTreeMap::new();
    files(root, root, &mut all);
    let tests = test_modules(&all);
    all.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    let mut imports = BTreeMap::new();
    for (module, path) in &all {
        let mut paths = Paths { module: module.clone(), found: BTreeSet::new() };
        paths.visit_file(&syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap());
        let mut imported = BTreeSet::new();
        for found in &paths.found {
            // The longest part that is a file: what follows is a name in it.
            let file = (0..=found.len()).rev().find_map(|length| all.get(found.get(..length)?));
            imported.extend(file.filter(|file| *file != path).cloned());
        }
        imports.insert(path.clone(), imported);
    }
    imports
}

/// A way from a file back to itself.
fn circle(imports: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Option<Vec<PathBuf>> {
    fn walk(
        imports: &BTreeMap<PathBuf, BTreeSet<PathBuf>>,
        at: &PathBuf,
        way: &mut Vec<PathBuf>,
        done: &mut BTreeSet<PathBuf>,
    ) -> Option<Vec<PathBuf>> {
        if let Some(begin) = way.iter().position(|before| before == at) {
            return Some(way.split_off(begin));
        }
        if !done.insert(at.clone()) {
            return None;
        }
        way.push(at.clone());
        let found = imports.get(at).into_iter().flatten().find_map(|next| walk(imports, next, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|file| walk(imports, file, &mut Vec::new(), &mut done))
}

#[test]
fn no_two_files_import_each_other() {
    let repo = repo_dir().unwrap();
    for root in ["src", "filter/src", "policy/src", "cli/src", "image/src"] {
        let imports = imports(&repo.join(root));
        assert!(imports.values().map(BTreeSet::len).sum::<usize>() >= 3, "{root}: nothing was read");
        assert_eq!(circle(&imports), None, "{root}");
    }
}

#[test]
fn a_circle_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod tests;\n");
    write("a.rs", "use crate::b::{self, B};\npub struct A;\n");
    write("b.rs", "pub struct B;\n#[cfg(test)]\nmod inside { use crate::a::A; }\n");
    write("tests.rs", "use crate::a::A;\n");
    assert_eq!(circle(&imports(folder.path())), None);
    write("b.rs", "pub struct B;\nfn f() -> super::a::A { crate::a::A }\n");
    assert_eq!(circle(&imports(folder.path())).unwrap().len(), 2);
}
