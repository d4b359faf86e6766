//! What the pages point at is there: links, files, make targets, tests. And what the workflows call.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use egress_lab::paths::{filter_wasm, repo_dir};
use egress_lab::provision::EnvoyBinary;
use serde_json::{Value, json};

/// A page and where it is.
struct Page {
    path: PathBuf,
    text: String,
}

fn pages() -> Vec<Page> {
    let repo = repo_dir().unwrap();
    let docs = fs::read_dir(repo.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let others = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "envoy/README.md"];
    let mut pages: Vec<Page> = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain(others.map(|name| repo.join(name)))
        .map(|path| Page { text: fs::read_to_string(&path).unwrap(), path })
        .collect();
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(pages.len() >= 20, "{} pages", pages.len());
    pages
}

impl Page {
    /// Blocks of code, each with the page's text before it left out.
    fn blocks(&self) -> impl Iterator<Item = &str> {
        self.text.split("```").skip(1).step_by(2)
    }

    /// What stands between backticks in the prose.
    fn codes(&self) -> Vec<String> {
        let prose: String = self.text.split("```").step_by(2).collect();
        prose.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
    }

    /// What is typed: lines of consoles, and codes of the prose.
    fn commands(&self) -> Vec<String> {
        let typed = self.blocks().flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
        typed.map(ToOwned::to_owned).chain(self.codes()).collect()
    }
}

/// An anchor as GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn is_anchor(file: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(file).unwrap();
    text.split("```")
        .step_by(2)
        .flat_map(str::lines)
        .any(|line| line.starts_with('#') && anchor(line) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        let prose: String = page.text.split("```").step_by(2).collect();
        for part in prose.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file =
                if file.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target} is not there", page.path.display());
            assert!(
                anchor.is_empty() || is_anchor(&file, anchor),
                "{}: {target} has no such heading",
                page.path.display()
            );
            count += 1;
        }
    }
    assert!(count >= 60, "{count} links");
}

/// Whether a word is a path of this repository, by the folder that it begins with.
fn is_path(word: &str) -> bool {
    let top = word.split('/').next().unwrap_or_default();
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let tops = [
        "src", "policy", "cli", "lab", "image", "tests", "bench", "fuzz", "docs", "deploy", "envoy",
        "examples", ".github",
    ];
    plain && word.contains('/') && tops.contains(&top)
}

#[test]
fn every_file_that_is_named_is_there() {
    let repo = repo_dir().unwrap();
    let mut count = 0;
    for page in pages() {
        for word in page.codes().iter().filter(|word| is_path(word)) {
            let there = repo.join(word).exists();
            assert!(there, "{}: {word} is not there", page.path.display());
            count += 1;
        }
    }
    assert!(count >= 40, "{count} files");
    assert!(!repo.join("docs/no-such-page.md").exists());
}

fn targets() -> BTreeSet<String> {
    let text = fs::read_to_string(repo_dir().unwrap().join("Makefile")).unwrap();
    let rules = text.lines().filter(|line| !line.starts_with(['\t', '#', '.', '$', ' ']));
    rules
        .filter_map(|line| line.split_once(':'))
        .filter(|(_, rest)| !rest.starts_with('='))
        .flat_map(|(names, _)| names.split_whitespace().map(ToOwned::to_owned))
        .collect()
}

/// The targets of each `make …` in a command line.
fn made(command: &str) -> Vec<String> {
    let command = command.split('#').next().unwrap_or_default();
    let words: Vec<&str> =
        command.split_whitespace().map(|word| word.trim_start_matches(['"', '$', '('])).collect();
    let mut made = Vec::new();
    for (at, _) in words.iter().enumerate().filter(|(_, word)| **word == "make") {
        let after = words.iter().skip(at + 1).take_while(|word| !["|", "&&", ";"].contains(word));
        let names = after.filter(|word| !word.starts_with('-') && !word.contains('='));
        let name = |word: &&str| word.trim_end_matches([')', '"', ';']).to_owned();
        made.extend(
            names.map(name).take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')),
        );
    }
    made
}

#[test]
fn every_make_target_that_is_named_is_one() {
    let targets = targets();
    let mut named = BTreeSet::new();
    for page in pages() {
        for command in page.commands().iter().filter(|command| command.starts_with("make ")) {
            for target in made(command) {
                assert!(targets.contains(&target), "{}: make {target}", page.path.display());
                named.insert(target);
            }
        }
    }
    assert!(named.len() >= 12, "{named:?}");
}

#[test]
fn every_test_file_that_is_called_is_one() {
    let manifests = ["tests/Cargo.toml", "tests/delivery/Cargo.toml"];
    let manifests =
        manifests.map(|path| fs::read_to_string(repo_dir().unwrap().join(path)).unwrap()).concat();
    for page in pages() {
        for command in page.commands().iter().filter(|command| command.contains("cargo test")) {
            let mut words = command.split_whitespace();
            while words.any(|word| word == "--test") {
                let name = words.next().unwrap();
                assert!(
                    manifests.contains(&format!("name = \"{name}\"")),
                    "{}: {command}",
                    page.path.display()
                );
            }
        }
    }
}

/// The page's filters in a listener around them, with the filter that was built.
#[test]
fn envoy_takes_what_the_page_on_plain_envoy_says() {
    let page = fs::read_to_string(repo_dir().unwrap().join("docs/install-envoy.md")).unwrap();
    let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut manager: Value = yaml_serde::from_str(yaml).unwrap();
    let code =
        manager.pointer_mut("/http_filters/0/typed_config/config/vm_config/code/local/filename").unwrap();
    *code = json!(filter_wasm().unwrap());
    let fields = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "page", "use_remote_address": true, "normalize_path": true,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}]},
    });
    manager.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let tcp = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "page", "cluster": "site",
        "upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE", "max_early_data_bytes": 65_536,
    });
    let listener = |name: &str, filter: &str, config: &Value| {
        json!({"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
            "filter_chains": [{"filters": [{"name": filter, "typed_config": config}]}]})
    };
    let mut listeners = vec![listener("http", "envoy.filters.network.http_connection_manager", &manager)];
    let envoy = EnvoyBinary::find().unwrap();
    if envoy.has_connect_modes() {
        listeners.push(listener("tcp", "envoy.filters.network.tcp_proxy", &tcp));
    }
    let bootstrap = json!({"static_resources": {"listeners": listeners, "clusters": [{"name": "site"}]}});
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("envoy.json");
    fs::write(&file, bootstrap.to_string()).unwrap();
    let output = Command::new(&envoy.path).args(["--mode", "validate", "-c"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// All values of a key, at any depth.
fn values<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key));
            map.values().for_each(|value| values(value, key, found));
        }
        Value::Array(list) => list.iter().for_each(|value| values(value, key, found)),
        _ => {}
    }
}

#[test]
fn workflows_call_what_there_is() {
    let repo = repo_dir().unwrap();
    let targets = targets();
    let (mut made_targets, mut actions) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(repo.join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let workflow: Value = yaml_serde::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let at = path.display();
        for key in ["name", "on", "permissions", "jobs"] {
            assert!(workflow.get(key).is_some(), "{at} has no {key}");
        }
        let jobs = workflow.get("jobs").and_then(Value::as_object).unwrap();
        for (name, job) in jobs {
            let needs = job.get("needs").and_then(Value::as_array).into_iter().flatten();
            for needed in needs.filter_map(Value::as_str) {
                assert!(jobs.contains_key(needed), "{at}: {name} needs {needed}");
            }
            assert!(job.get("runs-on").is_some() != job.get("uses").is_some(), "{at}: {name} runs nowhere");
        }
        let mut uses = Vec::new();
        values(&workflow, "uses", &mut uses);
        for action in uses.into_iter().filter_map(Value::as_str) {
            actions += 1;
            if let Some(own) = action.strip_prefix("./") {
                assert!(repo.join(own).is_file(), "{at}: {action}");
                continue;
            }
            let version = action.split_once('@').unwrap_or_default().1;
            let commit = version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit());
            let number =
                version.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            assert!(commit || number, "{at}: {action} is not pinned");
        }
        let mut runs = Vec::new();
        values(&workflow, "run", &mut runs);
        for line in runs.into_iter().filter_map(Value::as_str).flat_map(str::lines) {
            for target in made(line) {
                assert!(targets.contains(&target), "{at}: make {target} in {line:?}");
                made_targets.insert(target);
            }
            let mut words = line.split_whitespace();
            while line.contains("cargo ") && words.any(|word| word == "--package") {
                let package = format!("name = \"{}\"", words.next().unwrap());
                let manifests = ["cli", "policy", "image", "lab", "."];
                let there = manifests.iter().any(|dir| {
                    fs::read_to_string(repo.join(dir).join("Cargo.toml")).unwrap().contains(&package)
                });
                assert!(there, "{at}: {line}");
            }
        }
    }
    let needed =
        ["test", "test-mesh", "version", "release", "release-egressctl", "release-checksums", "push"];
    assert!(needed.iter().all(|target| made_targets.contains(*target)), "{made_targets:?}");
    assert!(actions >= 8, "{actions} actions");
}

#[test]
fn what_is_not_there_is_noticed() {
    assert_eq!(made("sudo env make --silent version && make push IMAGE=x | tee y"), ["version", "push"]);
    assert_eq!(made("make test-mesh # make nothing"), ["test-mesh"]);
    assert!(is_path("docs/tls.md") && !is_path("extensions/v3") && !is_path("deploy/<name>"));
    assert_eq!(anchor("## What it does, and `why`"), "what-it-does-and-why");
    let targets = targets();
    assert!(
        targets.contains("bench") && !targets.contains("LAB") && !targets.contains("nothing"),
        "{targets:?}"
    );
}
