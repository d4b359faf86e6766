//! The command lines of pages whose output no other test holds: they are commands that there are, and the install pages' do
//! what is written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn egressctl() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_egressctl"))
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(repo().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let others = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "envoy/README.md"];
    docs.chain(others.map(|name| repo().join(name))).collect()
}

/// Each `egressctl …` that is typed in a page or stands between its backticks.
fn commands(text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split("```").collect();
    let typed = parts.iter().skip(1).step_by(2).flat_map(|block| block.lines());
    let typed = typed.filter_map(|line| line.trim_start().strip_prefix("$ ")).map(ToOwned::to_owned);
    let prose: String = parts.iter().step_by(2).copied().collect();
    let codes: Vec<String> = prose.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect();
    typed
        .chain(codes)
        .flat_map(|line| line.split(['|', '&', ';']).map(|part| part.trim().to_owned()).collect::<Vec<_>>())
        .filter(|line| line.starts_with("egressctl "))
        .collect()
}

fn help(command: &str) -> Option<String> {
    let output = Command::new(egressctl()).args([command, "--help"]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_command_and_option_that_a_page_names_is_one() {
    let mut helps: BTreeMap<String, Option<String>> = BTreeMap::new();
    let (mut names, mut options) = (BTreeSet::new(), 0);
    for page in pages() {
        for line in commands(&fs::read_to_string(&page).unwrap()) {
            let at = page.display();
            let words: Vec<&str> = line.split_whitespace().skip(1).collect();
            let name = words.first().unwrap().trim_end_matches([',', '.']);
            if name.starts_with(['-', '…']) {
                continue;
            }
            let known = helps.entry(name.to_owned()).or_insert_with(|| help(name));
            let help = known.as_ref().unwrap_or_else(|| panic!("{at}: {line}: no such command"));
            names.insert(name.to_owned());
            for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let option = option.split('=').next().unwrap();
                let is_one =
                    help.split(|c: char| c.is_whitespace() || ",[=".contains(c)).any(|word| word == option);
                assert!(is_one, "{at}: {line}: no option {option}");
                options += 1;
            }
        }
    }
    assert!(names.len() >= 10 && options >= 15, "{names:?}, {options} options");
    assert!(help("no-such-command").is_none());
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// What a page shows after a command, up to the next; `…` stands for anything.
fn shown_as(wanted: &[&str], got: &str) -> bool {
    let wanted: String = wanted.iter().map(|line| format!("{}\n", line.trim())).collect();
    let mut rest = got;
    let mut parts = wanted.split('…').enumerate();
    parts.all(|(at, part)| match (at, rest.find(part)) {
        (0, Some(0)) => rest.get(part.len()..).is_some_and(|after| {
            rest = after;
            true
        }),
        (0, _) | (_, None) => false,
        (_, Some(start)) => rest.get(start + part.len()..).is_some_and(|after| {
            rest = after;
            true
        }),
    })
}

/// In a copy, for they write; a command that is marked ▸ by its heading or step needs a cluster.
#[test]
fn the_commands_of_the_install_pages_do_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["deploy", "examples", "wasmplugin.yaml"] {
        copy(&repo().join(name), &dir.path().join(name));
    }
    let mut path = vec![egressctl().parent().unwrap().to_path_buf()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let path = std::env::join_paths(path).unwrap();
    let mut count = 0;
    for page in ["install-istio.md", "install-ambient.md"] {
        let text = fs::read_to_string(repo().join("docs").join(page)).unwrap();
        for block in text.split("```").skip(1).step_by(2) {
            let lines: Vec<&str> = block.trim_end().lines().map(str::trim_start).collect();
            for (at, line) in lines.iter().enumerate() {
                let Some(command) = line.strip_prefix("$ ").filter(|line| line.starts_with("egressctl "))
                else {
                    continue;
                };
                let output = Command::new("sh")
                    .args(["-c", command])
                    .current_dir(dir.path())
                    .env("PATH", &path)
                    .output()
                    .unwrap();
                let told = String::from_utf8(output.stdout).unwrap();
                assert!(
                    output.status.success(),
                    "{page}: {command}: {told}{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                let shown: Vec<&str> =
                    lines.iter().skip(at + 1).take_while(|line| !line.starts_with("$ ")).copied().collect();
                assert!(shown.is_empty() || shown_as(&shown, &told), "{page}: {command} says\n{told}");
                count += 1;
            }
        }
    }
    assert!(count >= 5, "{count} commands");
    assert!(shown_as(&["a … c"], "a b c\nd\n") && !shown_as(&["a", "c"], "a\nb\n"));
}
