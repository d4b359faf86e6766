//! The scenarios as tables of cases: the configurations as we write them, and the same imported from Istio.

use crate::common::{egressctl, repository, text};
use std::fs;
use std::path::PathBuf;

/// The files of a folder that end so, by what stands in front.
fn files(folder: &str, ending: &str) -> Vec<(String, PathBuf)> {
    let mut files: Vec<_> = fs::read_dir(repository().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(ending)?.to_owned();
            Some((name, path))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_scenario_has_its_verdicts() {
    let policies = files("tests/cases", ".policy.yaml");
    assert!(policies.len() >= 19, "{policies:?}");
    for (name, policy) in policies {
        let cases = repository().join(format!("tests/cases/{name}.cases.yaml"));
        let output = egressctl(&["test"]).arg(&policy).arg(&cases).output().unwrap();
        assert!(output.status.success(), "{name}:\n{}{}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).ends_with(" 0 failed\n"), "{name}");
    }
    for (name, _) in files("tests/cases", ".cases.yaml") {
        assert!(
            repository().join(format!("tests/cases/{name}.policy.yaml")).exists(),
            "{name} has no policy"
        );
    }
}

#[test]
fn every_scenario_is_valid() {
    for (name, policy) in files("tests/cases", ".policy.yaml") {
        let output = egressctl(&["check"]).arg(&policy).output().unwrap();
        assert!(output.status.success(), "{name}:\n{}", text(&output.stdout));
    }
}

/// `explain` and `test` are two ways to one verdict.
#[test]
fn explain_says_what_test_says() {
    let policy = repository().join("tests/cases/e2.policy.yaml");
    let principal = "cluster.local/ns/a/sa/x";
    for (host, code, reason) in [
        ("evil.example", 2, "ns[*]-policy[never]-rule[0]"),
        ("good.example", 0, "ns[a]-policy[list]-rule[0]"),
    ] {
        let mut command = egressctl(&["explain", "--principal", principal, "--host", host]);
        let output = command.arg(&policy).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stdout).contains(&format!("reason:  {reason}\n")), "{}", text(&output.stdout));
    }
}

/// The AuthorizationPolicies of the stories, imported, keep their verdicts. Names of policies differ, so the
/// tables are held to without the reasons, unless there is a table of its own.
#[test]
fn imported_policies_keep_the_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let resources: Vec<_> =
        files("tests/istio", ".yaml").into_iter().filter(|(name, _)| !name.ends_with(".cases")).collect();
    assert!(resources.len() >= 9, "{resources:?}");
    for (name, resource) in resources {
        let imported = egressctl(&["import"]).arg(&resource).output().unwrap();
        assert!(imported.status.success(), "{name}:\n{}", text(&imported.stderr));
        let policy = folder.path().join(format!("{name}.yaml"));
        fs::write(&policy, &imported.stdout).unwrap();
        // B5 is B4 on another listener.
        let tables = if name == "b4" { vec!["b4", "b5"] } else { vec![name.as_str()] };
        for table in tables {
            let own = repository().join(format!("tests/istio/{table}.cases.yaml"));
            let cases = folder.path().join(format!("{table}.cases.yaml"));
            if own.exists() {
                fs::copy(&own, &cases).unwrap();
            } else {
                let scenario = repository().join(format!("tests/cases/{table}.cases.yaml"));
                let table = fs::read_to_string(scenario).unwrap();
                let verdicts: Vec<_> = table.lines().filter(|line| !line.starts_with("  reason:")).collect();
                fs::write(&cases, verdicts.join("\n")).unwrap();
            }
            let output = egressctl(&["test"]).arg(&policy).arg(&cases).output().unwrap();
            assert!(output.status.success(), "{table}:\n{}{}", text(&output.stdout), text(&output.stderr));
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
