//! The scenarios of `tests/scenarios/` as tables of cases: their policies as they are written, and the same imported from Istio.

use crate::common::{egressctl, repository, text};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A step of a scenario: its policy, and what is asked under it as `egressctl test` reads it.
pub(crate) struct Table {
    /// The scenario's name and the step's number.
    name: String,
    pub(crate) policy: Value,
    cases: Vec<Value>,
}

impl Table {
    /// Writes policy and cases into a folder.
    fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let write = |ending: &str, value: &Value| {
            let path = folder.join(format!("{}.{ending}.yaml", self.name));
            fs::write(&path, value.to_string()).unwrap();
            path
        };
        (write("policy", &self.policy), write("cases", &json!({"cases": self.cases})))
    }

    /// The same without the reasons: imported policies have other names.
    fn without_reasons(mut self) -> Self {
        for case in &mut self.cases {
            let case = case.as_object_mut().unwrap();
            case.remove("reason");
            case.remove("would");
        }
        self
    }
}

/// The tables of every scenario. Left out is what an engine cannot know: when bytes come, where the gateway dials, and
/// what Istio's own filter does.
pub(crate) fn tables() -> Vec<Table> {
    let mut files: Vec<PathBuf> = fs::read_dir(repository().join("tests/scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let mut tables = Vec::new();
    for file in files {
        let scenario: Value = yaml_serde::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let mut policy = json!({});
        for (at, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            if step["policy"].is_object() {
                policy = step["policy"].clone();
            }
            let requests = step["requests"].as_array().unwrap().iter();
            let cases: Vec<Value> = requests.filter_map(|request| case(&scenario, request)).collect();
            let name = format!("{}-{at}", file.file_stem().unwrap().to_str().unwrap());
            tables.push(Table { name, policy: policy.clone(), cases });
        }
    }
    tables.retain(|table| !table.cases.is_empty());
    tables
}

fn table(name: &str) -> Table {
    tables().into_iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// A request of a scenario as a case.
fn case(scenario: &Value, request: &Value) -> Option<Value> {
    let over = request["over"].as_str().unwrap();
    let (listener, mode) = over.split_once('@').unwrap_or((over, ""));
    let reason = request["reason"].as_str().unwrap_or_default();
    if mode == "native" || ["route_mismatch", "private_upstream", "identity_pending"].contains(&reason) {
        return None;
    }
    let expect = match &request["gets"] {
        Value::Number(status) if status.as_u64() == Some(200) => "allow",
        Value::Number(status) if status.as_u64() == Some(403) => "deny",
        Value::String(word) if word == "closed" => "deny",
        _ => return None,
    };
    if expect == "deny" && reason.is_empty() {
        // Not the filter's refusal: the filter of the upstream side answers for it.
        return None;
    }
    let (method, url) = request["ask"].as_str().unwrap().split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_network = listener != "mtls80" && listener != "ambient80";
    if is_network && scheme != "https" {
        return None;
    }
    let who = match (listener, request["who"].as_str().unwrap()) {
        (_, "nameless") => return None,
        ("pass444", _) | (_, "none") => None,
        ("ambient443", _) => Some(scenario["gateway"]["ambient"].as_str().unwrap()),
        (_, who) => Some(who),
    };
    let host = request["inner_sni"].as_str().filter(|_| is_network).unwrap_or(authority);
    let outer = authority.split(':').next().unwrap().trim_end_matches('.');
    // No server name is an address, nor what looks like one.
    let named = outer.starts_with(|first: char| first.is_ascii_alphabetic()).then_some(outer);
    let mut case = Map::new();
    let mut set = |key: &str, value: Option<Value>| value.map(|value| case.insert(key.to_owned(), value));
    set("name", Some(format!("{over}: {who:?} {method} {url}").into()));
    set("principal", who.map(principal).map(Value::from));
    set("host", Some(host.into()));
    set("sni", request["sni"].as_str().or(named).map(Value::from));
    if is_network {
        set("network", Some(true.into()));
    } else {
        set("method", Some(method.into()));
        set("path", Some(format!("/{path}").into()));
    }
    set("headers", Some(request["headers"].clone()).filter(Value::is_object));
    set("claims", Some(request["claims"].clone()).filter(Value::is_object));
    set("expect", Some(expect.into()));
    set("reason", Some(reason).filter(|reason| !reason.is_empty()).map(Value::from));
    let would =
        request["state"].as_str().and_then(|state| state.find("would_").and_then(|at| state.get(at..)));
    set("would", would.map(Value::from));
    Some(case.into())
}

fn principal(who: &str) -> String {
    match (who.strip_prefix("spiffe://"), who.split_once('/')) {
        (Some(id), _) => id.to_owned(),
        (None, Some((namespace, account))) => format!("cluster.local/ns/{namespace}/sa/{account}"),
        (None, None) => who.to_owned(),
    }
}

fn holds(policy: &Path, cases: &Path) {
    let output = egressctl(&["test"]).arg(policy).arg(cases).output().unwrap();
    assert!(
        output.status.success(),
        "{}:\n{}{}",
        cases.display(),
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(text(&output.stdout).ends_with(" 0 failed\n"), "{}", text(&output.stdout));
}

#[test]
fn every_scenario_has_its_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let tables = tables();
    let of = |word: &str| {
        tables.iter().flat_map(|table| &table.cases).filter(|case| case["expect"] == word).count()
    };
    assert!(
        tables.len() >= 30 && of("allow") >= 40 && of("deny") >= 50,
        "{} {} {}",
        tables.len(),
        of("allow"),
        of("deny")
    );
    for table in tables {
        let (policy, cases) = table.write(folder.path());
        holds(&policy, &cases);
        let output = egressctl(&["check"]).arg(&policy).output().unwrap();
        assert!(output.status.success(), "{}:\n{}", table.name, text(&output.stdout));
    }
}

/// `explain` and `test` are two ways to one verdict.
#[test]
fn explain_says_what_test_says() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, _) = table("platform-deny-above-allow-0").write(folder.path());
    let principal = "cluster.local/ns/a/sa/x";
    for (host, code, reason) in [
        ("www.forbidden.example", 2, "ns[*]-policy[platform]-rule[0]"),
        ("www.example.com", 0, "ns[a]-policy[everything]-rule[0]"),
    ] {
        let mut command = egressctl(&["explain", "--principal", principal, "--host", host]);
        let output = command.arg(&policy).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stdout).contains(&format!("reason:  {reason}\n")), "{}", text(&output.stdout));
    }
}

/// The AuthorizationPolicies of the scenarios, imported, keep their verdicts. Names of policies differ, so the tables are
/// held to without the reasons, unless there is a table of its own.
#[test]
fn imported_policies_keep_the_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    for (name, tables) in [
        ("deny-namespace", &["deny-namespace-0"][..]),
        ("deny-host-in-every-spelling", &["deny-host-in-every-spelling-0"]),
        ("allow-nothing", &["allow-nothing-0", "tls-by-the-same-policies-0"]),
        ("allow-by-host-and-method", &["allow-by-host-and-method-0", "tls-by-the-same-policies-2"]),
        ("deny-site-by-namespace", &["deny-site-by-namespace-0", "tls-by-the-same-policies-3"]),
        ("deny-account-by-server-name", &["deny-account-by-server-name-0", "tls-by-the-same-policies-4"]),
        ("egress-traffic-policy", &["egress-traffic-policy-0", "egress-traffic-policy-1"]),
        ("egress-traffic-policy-no-post", &["egress-traffic-policy-4"]),
        ("only-the-product-page", &["only-the-product-page-0"]),
    ] {
        let resource = repository().join(format!("tests/istio/{name}.yaml"));
        let imported = egressctl(&["import"]).arg(&resource).output().unwrap();
        assert!(imported.status.success(), "{name}:\n{}", text(&imported.stderr));
        let policy = folder.path().join(format!("{name}.yaml"));
        fs::write(&policy, &imported.stdout).unwrap();
        for of in tables {
            let (_, cases) = table(of).without_reasons().write(folder.path());
            holds(&policy, &cases);
        }
        let own = repository().join(format!("tests/istio/{name}.cases.yaml"));
        if own.exists() {
            holds(&policy, &own);
        }
    }
}

#[test]
fn the_merged_example_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    let example = repository().join("examples/multi-tenant");
    let merged = egressctl(&["merge"]).arg(&example).output().unwrap();
    assert!(merged.status.success(), "{}", text(&merged.stderr));
    let policy = folder.path().join("policy.yaml");
    fs::write(&policy, &merged.stdout).unwrap();
    let check = egressctl(&["check"]).arg(&policy).output().unwrap();
    assert_eq!(text(&check.stdout), "0 errors, 0 warnings\n");
    let test = egressctl(&["test"]).arg(&policy).arg(example.join("cases.yaml")).output().unwrap();
    assert!(test.status.success(), "{}", text(&test.stdout));
    // Every file has an owner.
    let owners = fs::read_to_string(example.join("CODEOWNERS")).unwrap();
    for file in ["mesh.yaml", "namespaces/shop.yaml", "namespaces/data.yaml"] {
        let line = owners.lines().find(|line| line.starts_with(&format!("/examples/multi-tenant/{file} ")));
        assert!(line.is_some_and(|line| line.contains(" @")), "{file}");
    }
}

/// Files are read in the order of their names, whatever the order in which they came to be.
#[test]
fn merging_does_not_depend_on_the_order_of_files() {
    let names = ["a", "b", "c", "d", "e"];
    let merged: Vec<_> = [names.to_vec(), names.iter().rev().copied().collect()]
        .iter()
        .map(|order: &Vec<&str>| {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("namespaces")).unwrap();
            for name in order {
                let file = folder.path().join(format!("namespaces/{name}.yaml"));
                fs::write(file, "policies: [{name: list}]\nhostSets: {own: [a.example]}\n").unwrap();
            }
            fs::write(folder.path().join("mesh.yaml"), "policies: []\n").unwrap();
            egressctl(&["merge"]).arg(folder.path()).output().unwrap().stdout
        })
        .collect();
    assert_eq!(merged[0], merged[1]);
    assert_eq!(text(&merged[0]).matches("- name: list").count(), names.len());
}
