//! The pages that name tests for what they claim: each of these tests is there.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use egress_lab::paths;
use egress_lab::scenario::Scenario;

const PAGES: [&str; 4] = ["threat-model.md", "failure-modes.md", "operations.md", "rollout.md"];

/// What stands between backticks in a page.
fn codes(page: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(paths::repo_dir()?.join("docs").join(page))?;
    // Blocks of code name no tests.
    let prose: String = text.split("```").step_by(2).collect();
    Ok(prose.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect())
}

/// `file::test` of this crate.
fn is_there(name: &str) -> Result<bool> {
    let Some((file, test)) = name.split_once("::") else { return Ok(false) };
    let tests = paths::repo_dir()?.join("tests");
    let source = [tests.join(format!("{file}.rs")), tests.join(file).join("main.rs")];
    let source = source.iter().find(|path| path.is_file()).with_context(|| format!("no test file {file}"))?;
    let source = fs::read_to_string(source)?;
    // It is a function, and listed where the suite takes its tests from.
    Ok(source.contains(&format!("fn {test}(")) && source.matches(test).count() > 1)
}

#[test]
fn every_test_that_a_page_names_is_there() -> Result<()> {
    let mut named = BTreeSet::new();
    for page in PAGES {
        for code in codes(page)?.into_iter().filter(|code| code.contains("::")) {
            ensure!(is_there(&code)?, "docs/{page} names {code}");
            named.insert(code);
        }
    }
    ensure!(named.len() >= 40, "{} tests are named", named.len());
    // A check that finds everything proves nothing.
    ensure!(!is_there("ops_broken::what_is_not_there")?);
    Ok(())
}

#[test]
fn every_scenario_that_a_page_names_is_there() -> Result<()> {
    let scenarios = Scenario::load_all(&paths::repo_dir()?.join("tests/scenarios"))?;
    let names: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let text = fs::read_to_string(paths::repo_dir()?.join("docs/threat-model.md"))?;
    let mut count = 0;
    for part in text.split("scenario `").skip(1) {
        let name = part.split('`').next().unwrap_or_default();
        ensure!(names.contains(name), "docs/threat-model.md names scenario {name}");
        count += 1;
    }
    ensure!(count >= 4, "{count} scenarios are named");
    Ok(())
}

/// Whatever is broken on purpose is on the page.
#[test]
fn every_failure_is_told() -> Result<()> {
    let page = codes("failure-modes.md")?;
    for file in ["ops_broken", "ops_flood", "ops_updates"] {
        let source = fs::read_to_string(paths::repo_dir()?.join(format!("tests/{file}.rs")))?;
        let listed =
            source.split_once("tests![").and_then(|(_, rest)| rest.split_once(']')).context("no tests")?.0;
        for test in listed.split(',').map(str::trim).filter(|test| !test.is_empty()) {
            // Told once in this table, or with its numbers in operations.md.
            let name = format!("{file}::{test}");
            let told = page.contains(&name) || codes("operations.md")?.contains(&name);
            ensure!(told, "{name} is on neither page");
        }
    }
    Ok(())
}
