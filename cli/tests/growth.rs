//! Work grows with the input, and with nothing worse: ten times as many policies cost about ten times the time.
//!
//! The time is that of the processors, so that neighbours do not count, and one test runs at a time, so that no other command's
//! time is in it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use tempfile::TempDir;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// So many times as much may ten times the input cost. Quadratic work costs a hundred times.
const BOUND: f64 = 18.0;
/// Below this, in hundredths of a second, a time is rounding.
const MEASURABLE: u64 = 4;

/// The processor time of all commands so far, in hundredths of a second (`cutime` of proc(5)).
fn time_of_commands() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(13).unwrap().parse().unwrap()
}

fn cost(arguments: &[&str]) -> u64 {
    let before = time_of_commands();
    let mut command = Command::new(env!("CARGO_BIN_EXE_egressctl"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().code().is_some_and(|code| code < 2), "{arguments:?}");
    time_of_commands() - before
}

/// Logs of `100 * n` lines: of few hosts, of random ones, of one client's random subdomains, wrapped, hostile; and a table.
fn logs(folder: &Path, n: usize) {
    let access = |host: String| {
        format!(
            r#"{{"downstream_peer_uri_san":"spiffe://cluster.local/ns/ops/sa/bot","authority":"{host}","method":"GET","path":"/","response_code":200,"response_code_details":"via_upstream"}}"#
        )
    };
    let write = |name: &str, count: usize, line: &dyn Fn(usize) -> String| {
        let lines: Vec<_> = (0..count).map(line).collect();
        fs::write(folder.join(name), lines.join("\n")).unwrap();
    };
    write("few.log", 10 * n, &|at| access(format!("h{}.example", at % 10)));
    write("random.log", 10 * n, &|at| access(format!("h{at}.d{at}.example")));
    write("subdomains.log", 10 * n, &|at| access(format!("h{at}.d.example.org")));
    write("pieces.log", 10 * n, &|at| {
        let tag = if at + 1 == 10 * n { "F" } else { "P" };
        format!("2026-04-05T06:07:08.000000009Z stdout {tag} {{\"a\":\"{at}")
    });
    write("keys.log", n / 10, &|at| {
        let keys: Vec<_> = (0..200).map(|key| format!("\"k{key}\":{at}")).collect();
        format!("{{{}}}", keys.join(","))
    });
    write("reasons.log", 10 * n, &|at| {
        let line = access("a.example".to_owned());
        line.replace("via_upstream", &format!("egress_authz_denied[ns[*]-policy[p{at}]-rule[0]]"))
    });
    fs::write(
        folder.join("long.log"),
        access("a.example".to_owned()).replace("\"/\"", &format!("\"{}\"", "x".repeat(n * 1000))),
    )
    .unwrap();
    let cases: Vec<_> = (0..n).map(|at| format!("- {{host: h{at}.example, expect: deny}}")).collect();
    fs::write(folder.join("cases.yaml"), format!("cases:\n{}", cases.join("\n"))).unwrap();
}

#[test]
fn ten_times_the_log_costs_ten_times_the_time() {
    const SMALL: usize = 1_000;
    let _turn = ONE_AT_A_TIME.lock();
    let (small, large) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    logs(small.path(), SMALL);
    logs(large.path(), SMALL * 10);
    let policy = small.path().join("policy.yaml");
    fs::write(&policy, "policies: []").unwrap();
    let policy = policy.to_str().unwrap();
    let mut said = String::new();
    let mut worst: f64 = 0.0;
    for (command, file) in [
        (&["suggest"][..], "few.log"),
        (&["suggest"], "random.log"),
        (&["suggest", "--wildcards", "3"], "random.log"),
        (&["suggest", "--wildcards", "3"], "subdomains.log"),
        (&["suggest"], "pieces.log"),
        (&["suggest"], "keys.log"),
        (&["suggest"], "reasons.log"),
        (&["suggest"], "long.log"),
        (&["test", policy], "few.log"),
        (&["test", policy], "cases.yaml"),
        (&["diff", policy, policy], "random.log"),
    ] {
        let path = |folder: &TempDir| folder.path().join(file).to_str().unwrap().to_owned();
        let few = cost(&[command, &[&path(&small)]].concat());
        let many = cost(&[command, &[&path(&large)]].concat());
        #[expect(clippy::cast_precision_loss, reason = "hundredths of a second")]
        let ratio = many as f64 / few.max(MEASURABLE) as f64;
        let _ = writeln!(said, "{command:?} {file}: {few}, {many}, {ratio:.1}");
        worst = worst.max(ratio);
    }
    eprintln!("{said}");
    assert!(worst < BOUND, "{said}");
}

/// However many lines a log has, they are read one at a time.
#[test]
fn a_long_log_needs_no_memory() {
    let _turn = ONE_AT_A_TIME.lock();
    let folder = TempDir::new().unwrap();
    logs(folder.path(), 20_000);
    for (options, file) in [("", "few.log"), ("--wildcards", "subdomains.log"), ("", "reasons.log")] {
        let path = folder.path().join(file);
        // 24 MiB beyond the program's own: the log is larger.
        let limited = format!("ulimit -d 24576; exec \"$0\" suggest \"$1\" {options}");
        let output =
            Command::new("sh").args(["-c", &limited, env!("CARGO_BIN_EXE_egressctl")]).arg(&path).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::metadata(&path).unwrap().len() > 24 << 20, "{file}");
    }
}

/// Files of `n` policies, sets, rules and errors.
fn files(folder: &Path, n: usize) {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let lines = |line: &dyn Fn(usize) -> String| {
        (0..n).fold(String::new(), |mut text, at| {
            let _ = writeln!(text, "{}", line(at));
            text
        })
    };
    let policies = lines(&|at| {
        format!(
            "- {{name: p{at}, rules: [{{to: [{{operation: {{hosts: [h{at}.example, '*.w{at}.example']}}}}]}}]}}"
        )
    });
    let sets = format!("hostSets:\n{}", lines(&|at| format!("  s{at}: [s{at}.example]")));
    let used =
        lines(&|at| format!("- {{name: u{at}, rules: [{{to: [{{operation: {{hosts: ['@s{at}']}}}}]}}]}}"));
    let denied = lines(&|at| {
        format!(
            "- {{name: d{at}, action: DENY, rules: [{{to: [{{operation: {{hosts: [d{at}.example]}}}}]}}]}}"
        )
    });
    let wrong = lines(&|at| {
        format!("- {{name: w{at}, rules: [{{to: [{{operation: {{hosts: ['@t{at}', '*x']}}}}]}}]}}")
    });
    write("policies.yaml", format!("policies:\n{policies}"));
    write("sets.yaml", format!("{sets}policies:\n{used}"));
    write("unused.yaml", format!("{sets}policies:\n{policies}"));
    write("denied.yaml", format!("policies:\n{denied}{policies}"));
    write("wrong.yaml", format!("{}policies:\n{wrong}", sets.replace("]\n", ", '*x']\n")));
    write("keys.yaml", lines(&|at| format!("k{at}: 1")));
    // All in one line.
    let json: Vec<String> = (0..n).map(|at| format!("{{\"name\":\"p{at}\",\"nmae\":1}}")).collect();
    write("line.json", format!("{{\"policies\":[{}]}}", json.join(",")));
    write("whole/mesh.yaml", "{}".to_owned());
    write("whole/namespaces/shop.yaml", format!("{sets}policies:\n{used}"));
    write("broken/mesh.yaml", "{}".to_owned());
    write("broken/namespaces/shop.yaml", format!("{sets}policies:\n{wrong}"));
    write(
        "gateway.yaml",
        format!(
            "rules:\n{}",
            lines(&|at| {
                format!(
                    "- {{name: r{at}, from: [{{namespace: n{}}}], to: [{{hosts: [r{at}.example], over: HTTP}}]}}",
                    at % 100
                )
            })
        ),
    );
    write(
        "bad-gateway.yaml",
        format!("rules:\n{}", lines(&|at| format!("- {{nmae: r{at}, to: [{{hosts: [], over: UDP}}]}}"))),
    );
    write(
        "plugin.yaml",
        format!(
            "kind: WasmPlugin\napiVersion: extensions.istio.io/v1alpha1\nmetadata: {{name: a}}\nspec:\n  pluginConfig:\n    policies:\n{}",
            policies.replace("- {", "    - {"),
        ),
    );
}

#[test]
fn ten_times_the_input_costs_ten_times_the_time() {
    const SMALL: usize = 1_000;
    let _turn = ONE_AT_A_TIME.lock();
    let (small, large) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    files(small.path(), SMALL);
    files(large.path(), SMALL * 10);
    let mut said = String::new();
    let mut worst: f64 = 0.0;
    for (command, file) in [
        ("check", "policies.yaml"),
        ("check", "sets.yaml"),
        ("check", "unused.yaml"),
        ("check", "denied.yaml"),
        ("check", "wrong.yaml"),
        ("check", "keys.yaml"),
        ("check", "line.json"),
        ("merge", "whole"),
        ("merge", "broken"),
        ("render", "gateway.yaml"),
        ("render", "bad-gateway.yaml"),
        ("pack", "plugin.yaml"),
        ("unpack", "plugin.yaml"),
    ] {
        let path = |folder: &TempDir| folder.path().join(file).to_str().unwrap().to_owned();
        let few = cost(&[command, &path(&small)]);
        let many = cost(&[command, &path(&large)]);
        #[expect(clippy::cast_precision_loss, reason = "hundredths of a second")]
        let ratio = many as f64 / few.max(MEASURABLE) as f64;
        let _ = writeln!(said, "{command} {file}: {few}, {many}, {ratio:.1}");
        worst = worst.max(ratio);
    }
    eprintln!("{said}");
    assert!(worst < BOUND, "{said}");
}

/// A page of text must not become gigabytes: each of these is an error, soon and in little memory.
#[test]
fn hostile_files_are_bounded() {
    let _turn = ONE_AT_A_TIME.lock();
    let folder = TempDir::new().unwrap();
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let _ = writeln!(laughs, "a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 10].join(", "));
    }
    let nested = format!(
        "{}{}{}",
        (0..95).map(|n| format!("&a{n} [")).collect::<String>(),
        "x,".repeat(50_000),
        "]".repeat(95)
    );
    let mut merged = "m0: &m0 {k: 1}\n".to_owned();
    for level in 1..40 {
        let below = level - 1;
        let _ = writeln!(
            merged,
            "m{level}: &m{level} {{<<: [*m{below}, *m{below}], k{level}: [*m{below}, *m{below}]}}"
        );
    }
    let deep = "- ".repeat(100_000);
    let brackets = "[".repeat(100_000);
    for (name, text) in
        [("laughs", laughs), ("nested", nested), ("merged", merged), ("deep", deep), ("brackets", brackets)]
    {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        for command in ["check", "render", "pack"] {
            // 1 GiB of memory for the whole process.
            let limited = format!("ulimit -v 1048576; exec \"$0\" {command} \"$1\"");
            let output = Command::new("sh")
                .args(["-c", &limited, env!("CARGO_BIN_EXE_egressctl")])
                .arg(&path)
                .output();
            let output = output.unwrap();
            assert_eq!(output.status.code(), Some(1), "{command} {name}: {output:?}");
        }
    }
}
