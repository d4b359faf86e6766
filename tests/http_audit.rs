//! What a decision leaves behind: the audit line, its limits, and the filter state.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use egress_lab::client::http::Ask;
use egress_tests::audit::{self, LogMark};
use egress_tests::rig::{Rig, Told, allow_all};
use egress_tests::{raw, suite, tests};
use serde_json::{Value, json};

/// The names that docs/diagnosing.md gives the fields of a line, and the protocol's own.
const FIELDS: [&str; 16] = [
    "audit",
    "config",
    "dry_run",
    "host",
    "method",
    "mode",
    "namespace",
    "owner",
    "port",
    "principal",
    "reason",
    "request_id",
    "sni",
    "source",
    "type",
    "verdict",
];

fn main() -> ExitCode {
    let tests = tests![
        a_denial,
        a_denial_without_a_policy,
        a_denial_of_nobody_we_know,
        a_would_be_denial_of_one_policy,
        a_would_be_permission_of_one_policy,
        a_would_be_denial_of_the_whole_configuration,
        an_audit_match_of_an_allowed_request,
        an_audit_match_of_a_refused_request,
        allowed_traffic_leaves_nothing,
        allowed_traffic_is_reported_where_told,
        a_hostile_value_stays_within_its_line,
        the_configuration_has_a_name,
        refusals_beyond_the_limit_are_counted,
    ];
    suite::run(|| Rig::start(&["a/x", "b/y", "noisy/z"]), tests)
}

/// A request and the audit line that it left.
fn line_of(rig: &Rig, who: &str, ask: &Ask) -> Result<(Told, Value)> {
    let mark = audit::mark(rig.envoy());
    let told = rig.ask(who, ask)?;
    let id = told.entry.text("request_id");
    let line = audit::wait(rig.envoy(), mark, |line| line["request_id"] == id.as_str())?;
    let lines = audit::lines_since(rig.envoy(), mark);
    ensure!(lines.len() == 1, "one line and no more: {lines:?}");
    Ok((told, line))
}

/// A line holds all fields, these values among them.
fn says(line: &Value, wanted: &Value) -> Result<()> {
    let mut fields: Vec<&str> = line.as_object().context("an object")?.keys().map(String::as_str).collect();
    fields.sort_unstable();
    ensure!(fields == FIELDS, "{fields:?}");
    for (name, value) in wanted.as_object().context("an object")? {
        ensure!(line[name] == *value, "{name} is {}, expected {value}: {line}", line[name]);
    }
    Ok(())
}

fn get() -> Result<Ask> {
    Ask::parse("GET http://www.example.com/")
}

fn a_denial(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"defaultAction": "ALLOW", "policies": [
        {"name": "first", "action": "DENY", "rules": [{"to": [{"operation": {"methods": ["PUT"]}}]}]},
        {"name": "no", "namespace": "b", "action": "DENY", "owner": "team \"b\"\n", "rules": [
            {"to": [{"operation": {"methods": ["PUT"]}}]},
            {"to": [{"operation": {"hosts": ["*.example.com"]}}]},
        ]},
    ]}))?;
    let (told, line) = line_of(rig, "b/y", &Ask::parse("POST http://WWW.Example.com.:8080/secret?token=1")?)?;
    ensure!(told.answer.status == 403);
    says(
        &line,
        &json!({
            "verdict": "deny",
            "reason": "ns[b]-policy[no]-rule[1]",
            "mode": "ENFORCE",
            "type": "HTTP",
            "principal": "spiffe://cluster.local/ns/b/sa/y",
            "namespace": "b",
            "host": "www.example.com",
            "method": "POST",
            "port": 8080,
            "owner": "team \"b\"\n",
            "audit": [],
            "dry_run": null,
            "sni": told.entry.text("requested_server_name"),
        }),
    )?;
    let source = audit::text(&line, "source");
    ensure!(source.starts_with("127.0.0.1:"), "{source}");
    ensure!(!audit::text(&line, "request_id").is_empty());
    // Paths may hold secrets; nobody asked for them.
    ensure!(!line.to_string().contains("token"), "{line}");
    Ok(())
}

fn a_denial_without_a_policy(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({}))?;
    let (_, line) = line_of(rig, "a/x", &get()?)?;
    says(
        &line,
        &json!({
            "verdict": "deny", "reason": "default_action", "namespace": "a", "owner": null, "port": 80, "method": "GET",
        }),
    )
}

fn a_denial_of_nobody_we_know(rig: &mut Rig) -> Result<()> {
    rig.policy(allow_all())?;
    for (who, reason) in [
        ("spiffe://other.example/ns/a/sa/x", "untrusted_domain"),
        ("https://cluster.local/ns/a/sa/x", "invalid_identity"),
    ] {
        let mark = audit::mark(rig.envoy());
        let told = rig.raw(who, &raw::get(&[b"host: www.example.com"]))?;
        ensure!(told.answer.status == 403);
        let line = audit::wait(rig.envoy(), mark, |line| line["reason"] == reason)?;
        says(&line, &json!({"principal": who, "namespace": null, "host": "www.example.com", "sni": null}))?;
    }
    Ok(())
}

fn trial(action: &str) -> Value {
    json!({"defaultAction": if action == "DENY" { "ALLOW" } else { "DENY" }, "policies": [
        {"name": "trial", "mode": "DRY_RUN", "action": action, "owner": "t", "rules": [{}]},
    ]})
}

fn a_would_be_denial_of_one_policy(rig: &mut Rig) -> Result<()> {
    rig.policy(trial("DENY"))?;
    let (told, line) = line_of(rig, "a/x", &get()?)?;
    ensure!(told.answer.status == 200 && told.reached == 1);
    let state = "allow[default_action] would_deny[ns[*]-policy[trial]-rule[0]]";
    ensure!(told.entry.verdict() == state, "{}", told.entry.verdict());
    says(
        &line,
        &json!({
            "verdict": "allow", "reason": "default_action", "mode": "ENFORCE",
            "dry_run": "would_deny[ns[*]-policy[trial]-rule[0]]",
        }),
    )
}

fn a_would_be_permission_of_one_policy(rig: &mut Rig) -> Result<()> {
    rig.policy(trial("ALLOW"))?;
    let (told, line) = line_of(rig, "a/x", &get()?)?;
    ensure!(told.answer.status == 403 && told.reached == 0);
    says(
        &line,
        &json!({
            "verdict": "deny", "reason": "default_action", "dry_run": "would_allow[ns[*]-policy[trial]-rule[0]]",
        }),
    )
}

fn a_would_be_denial_of_the_whole_configuration(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"mode": "DRY_RUN", "policies": [
        {"name": "no", "namespace": "b", "action": "DENY", "owner": "team-b", "rules": [{}]},
        {"name": "yes", "namespace": "a", "rules": [{}]},
    ]}))?;
    let (told, line) = line_of(rig, "b/y", &get()?)?;
    ensure!(told.answer.status == 200 && told.reached == 1);
    ensure!(told.entry.verdict() == "would_deny[ns[b]-policy[no]-rule[0]]", "{}", told.entry.verdict());
    says(
        &line,
        &json!({
            "verdict": "would_deny", "reason": "ns[b]-policy[no]-rule[0]", "mode": "DRY_RUN", "owner": "team-b",
        }),
    )?;
    // Guards as well.
    let (told, line) = line_of(rig, "a/x", &Ask::parse("GET http://127.0.0.1/")?)?;
    ensure!(told.answer.status == 200);
    says(&line, &json!({"verdict": "would_deny", "reason": "private_address"}))
}

fn with_audit() -> Value {
    json!({"policies": [
        {"name": "yes", "namespace": "a", "owner": "team-a", "rules": [{}]},
        {"name": "one", "action": "AUDIT", "owner": "auditors", "rules": [
            {"to": [{"operation": {"methods": ["PUT"]}}]}, {"to": [{"operation": {"paths": ["/a*"]}}]},
        ]},
        {"name": "two", "namespace": "a", "action": "AUDIT", "rules": [{"to": [{"operation": {"paths": ["/ab"]}}]}]},
    ]})
}

fn an_audit_match_of_an_allowed_request(rig: &mut Rig) -> Result<()> {
    rig.policy(with_audit())?;
    let (told, line) = line_of(rig, "a/x", &Ask::parse("GET http://www.example.com/ab")?)?;
    ensure!(told.answer.status == 200 && told.reached == 1);
    says(
        &line,
        &json!({
            "verdict": "allow",
            "reason": "ns[a]-policy[yes]-rule[0]",
            "audit": ["ns[*]-policy[one]-rule[1]", "ns[a]-policy[two]-rule[0]"],
        }),
    )?;
    // It changes nothing else.
    ensure!(told.entry.verdict().is_empty(), "{}", told.entry.verdict());
    Ok(())
}

fn an_audit_match_of_a_refused_request(rig: &mut Rig) -> Result<()> {
    rig.policy(with_audit())?;
    let (told, line) = line_of(rig, "b/y", &Ask::parse("GET http://www.example.com/ab")?)?;
    ensure!(told.answer.status == 403 && told.reached == 0);
    says(
        &line,
        &json!({
            "verdict": "deny", "reason": "default_action", "owner": "auditors", "audit": ["ns[*]-policy[one]-rule[1]"],
        }),
    )
}

fn allowed_traffic_leaves_nothing(rig: &mut Rig) -> Result<()> {
    rig.policy(with_audit())?;
    let mark = audit::mark(rig.envoy());
    let told = rig.ask("a/x", &get()?)?;
    ensure!(told.answer.status == 200 && told.entry.verdict().is_empty(), "{}", told.entry.verdict());
    // A refusal after it, so that there is something to wait for.
    rig.ask("b/y", &get()?)?;
    audit::wait(rig.envoy(), mark, |line| line["verdict"] == "deny")?;
    let lines = audit::lines_since(rig.envoy(), mark);
    ensure!(lines.len() == 1, "{lines:?}");
    Ok(())
}

fn allowed_traffic_is_reported_where_told(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({"reportAllowed": true, "policies": [{"name": "yes", "owner": "o", "rules": [{}]}]}))?;
    let (told, line) = line_of(rig, "a/x", &get()?)?;
    ensure!(told.answer.status == 200 && told.reached == 1);
    ensure!(told.entry.verdict() == "allow[ns[*]-policy[yes]-rule[0]]", "{}", told.entry.verdict());
    says(
        &line,
        &json!({"verdict": "allow", "reason": "ns[*]-policy[yes]-rule[0]", "owner": "o", "dry_run": null}),
    )
}

fn a_hostile_value_stays_within_its_line(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({}))?;
    let mark = audit::mark(rig.envoy());
    let requests: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: x\"},\"verdict\":\"allow\r\nconnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: www.example.com\r\nx-request-id: \",\"verdict\":\"allow\xff\x1b[2J\r\nconnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: www.example.com\r\nx-forwarded-for: {\"verdict\":\"allow\"}\r\nconnection: close\r\n\r\n",
        b"M-SEARCH / HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n\r\n",
    ];
    let uri = "https://x/\"},{\"verdict\":\"allow\"\n\u{7f}2026-01-01 wasm log {\"verdict\":\"allow\"}";
    let mut refused = 0;
    for who in ["a/x", uri] {
        for request in requests {
            let told = rig.raw(who, request)?;
            ensure!(told.reached == 0);
            refused += usize::from(told.answer.status == 403);
        }
    }
    // This one is the last.
    let told = rig.ask("b/y", &get()?)?;
    let id = told.entry.text("request_id");
    audit::wait(rig.envoy(), mark, |line| line["request_id"] == id.as_str())?;
    let lines = audit::lines_since(rig.envoy(), mark);
    ensure!(lines.len() == refused + 1, "{refused} refusals, {} lines: {lines:?}", lines.len());
    ensure!(lines.iter().all(|line| line["verdict"] == "deny"), "{lines:?}");
    ensure!(lines.iter().any(|line| line["principal"] == uri), "{lines:?}");
    let log = audit::log_since(rig.envoy(), mark);
    ensure!(!log.bytes().any(|byte| byte < b' ' && byte != b'\n'), "{log:?}");
    ensure!(log.lines().filter(|line| line.contains("\"verdict\"")).count() == lines.len(), "{log}");
    Ok(())
}

fn the_configuration_has_a_name(rig: &mut Rig) -> Result<()> {
    let mut names = Vec::new();
    for policy in [json!({}), json!({"policies": [{"name": "nothing"}]}), json!({})] {
        rig.policy(policy)?;
        let (_, line) = line_of(rig, "a/x", &get()?)?;
        names.push(audit::text(&line, "config").to_owned());
    }
    let [first, second, third] = names.as_slice() else { bail!("{names:?}") };
    ensure!(!first.is_empty() && first == third && first != second, "{names:?}");
    Ok(())
}

/// Lines a second for one namespace, and in all.
const OF_ONE: usize = 20;
const IN_ALL: usize = 100;
const REFUSALS: usize = 1_000;

fn refusals_beyond_the_limit_are_counted(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({}))?;
    let mark = audit::mark(rig.envoy());
    let start = Instant::now();
    flood(rig, "noisy/z", REFUSALS)?;
    // A quiet namespace is still heard.
    rig.ask("b/y", &get()?)?;
    let seconds = usize::try_from(start.elapsed().as_secs())? + 2;
    let suppressed = suppressed_of(rig, mark, "noisy")?;
    let lines = audit::lines_since(rig.envoy(), mark);
    let of = |namespace: &str| lines.iter().filter(|line| line["namespace"] == namespace).count();
    ensure!(of("noisy") >= OF_ONE, "{} lines", of("noisy"));
    ensure!(of("noisy") <= OF_ONE * seconds, "{} lines in {seconds} s", of("noisy"));
    ensure!(lines.len() <= IN_ALL * seconds);
    ensure!(of("b") == 1, "the quiet namespace's line is there");
    ensure!(of("noisy") + suppressed == REFUSALS, "{} lines and {suppressed} suppressed", of("noisy"));
    Ok(())
}

/// Refusals over one connection, as fast as it goes.
fn flood(rig: &Rig, who: &str, count: usize) -> Result<()> {
    let mut stream = rig.connect(who, "http/1.1")?;
    for _ in 0..count {
        stream.send(b"GET / HTTP/1.1\r\nhost: www.example.com\r\n\r\n")?;
        stream.receive_until(b"RBAC: access denied")?;
    }
    Ok(())
}

/// How many lines of a namespace were suppressed, when the second's end has told.
fn suppressed_of(rig: &Rig, mark: LogMark, namespace: &str) -> Result<usize> {
    let told = || -> u64 {
        let lines = audit::lines_since(rig.envoy(), mark);
        let counts = lines.iter().filter_map(|line| line["suppressed"].as_array()).flatten();
        counts
            .filter(|count| count["namespace"] == namespace)
            .filter_map(|count| count["lines"].as_u64())
            .sum()
    };
    let written = || {
        let lines = audit::lines_since(rig.envoy(), mark);
        lines.iter().filter(|line| line["namespace"] == namespace).count()
    };
    let deadline = Instant::now() + Duration::from_secs(4);
    while written() + usize::try_from(told())? < REFUSALS && Instant::now() < deadline {
        sleep(Duration::from_millis(20));
    }
    Ok(usize::try_from(told())?)
}
