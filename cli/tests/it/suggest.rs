//! `egressctl suggest`, and `test` with what it proposes.

use crate::common::{egressctl, text};
use std::fs;
use std::path::Path;

/// Audit lines as Envoy writes them in text and in JSON, and access log lines.
const LOG: &str = r#"[2026-11-21 10:00:00.000][12][warning][wasm] wasm log egress-authz: {"verdict":"deny","reason":"no_allow_matched","type":"HTTP","principal":"spiffe://cluster.local/ns/shop/sa/checkout","namespace":"shop","host":"eu.payments.example","method":"GET","port":80}
{"level":"warning","scope":"envoy wasm","msg":"wasm log egress-authz: {\"verdict\":\"would_deny\",\"reason\":\"default_action\",\"type\":\"HTTP\",\"principal\":\"spiffe://cluster.local/ns/shop/sa/catalog\",\"host\":\"eu.payments.example\",\"method\":\"POST\",\"port\":8080}"}
{"authority":"us.payments.example:8443","method":"GET","path":"/","downstream_peer_uri_san":"spiffe://cluster.local/ns/shop/sa/checkout","requested_server_name":"us.payments.example","egress_authz":null,"response_code_details":"via_upstream"}
{"authority":"ap.payments.example","method":"GET","path":"/","downstream_peer_uri_san":"spiffe://cluster.local/ns/shop/sa/checkout","requested_server_name":"-","egress_authz":"-","response_code_details":"via_upstream"}
{"authority":null,"method":null,"path":null,"downstream_peer_uri_san":"spiffe://cluster.local/ns/data/sa/loader","requested_server_name":"tcp.example","egress_authz":null,"response_code_details":null}
{"authority":null,"method":null,"path":null,"downstream_peer_uri_san":"spiffe://cluster.local/ns/data/sa/loader","requested_server_name":"outbound_.443_._.db.data.svc.cluster.local","egress_authz":null}
{"authority":"10.0.0.1","method":"GET","path":"/","downstream_peer_uri_san":"spiffe://cluster.local/ns/data/sa/loader","egress_authz":"deny[private_address]","response_code_details":"egress_authz_denied[private_address]"}
{"authority":"evil.example","method":"GET","path":"/","downstream_peer_uri_san":"spiffe://cluster.local/ns/data/sa/loader","response_code_details":"egress_authz_denied[ns[*]-policy[blocked]-rule[0]]"}
{"authority":"www.example.com","method":"GET","path":"/","downstream_peer_uri_san":"spiffe://cluster.local/ns/data/sa/loader","egress_authz":"allow[ns[data]-policy[own]-rule[0]]"}
"#;

const PROPOSED: &str = r#"policies:
- name: seen
  namespace: data
  rules:
  - from:
    - source:
        serviceAccounts: [loader]
    to:
    - operation:
        hosts: [tcp.example, www.example.com]
- name: seen
  namespace: shop
  rules:
  - from:
    - source:
        serviceAccounts: [checkout]
    to:
    - operation:
        hosts: [ap.payments.example, eu.payments.example, us.payments.example]
  - from:
    - source:
        serviceAccounts: [catalog]
    to:
    - operation:
        hosts: [eu.payments.example]
"#;

const SAID: &str = "\
6 of 9 requests are admitted by these policies
left out, it names no host: 1 (the first is line 6: spiffe://cluster.local/ns/data/sa/loader to no host)
left out, ns[*]-policy[blocked]-rule[0]: 1 (the first is line 8: spiffe://cluster.local/ns/data/sa/loader to evil.example)
left out, private_address: 1 (the first is line 7: spiffe://cluster.local/ns/data/sa/loader to 10.0.0.1)
";

fn log_in(dir: &Path) -> String {
    let path = dir.join("gateway.log");
    fs::write(&path, LOG).unwrap();
    path.display().to_string()
}

#[test]
fn the_smallest_policies_are_proposed() {
    let dir = tempfile::tempdir().unwrap();
    let output = egressctl(&["suggest", &log_in(dir.path())]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), PROPOSED);
    let said = text(&output.stderr);
    let (kinds, said) = said.split_once('\n').unwrap();
    assert!(kinds.ends_with("gateway.log: 9 lines: 2 audit lines, 7 access log lines"), "{kinds}");
    assert_eq!(said, SAID);
}

#[test]
fn wildcards_come_by_request_only() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path());
    let plain = text(&egressctl(&["suggest", &log]).output().unwrap().stdout);
    assert!(!plain.contains('*'), "{plain}");
    let wide = text(&egressctl(&["suggest", &log, "--wildcards"]).output().unwrap().stdout);
    assert!(wide.contains("[\"*.payments.example\"]"), "{wide}");
    // Never above a public suffix, however many there are.
    let tcp: String = ["a", "b", "c", "d"]
        .map(|name| {
            LOG.lines().nth(3).unwrap().replace("ap.payments.example", &format!("{name}.co.uk")) + "\n"
        })
        .concat();
    fs::write(dir.path().join("uk.log"), tcp).unwrap();
    let uk = dir.path().join("uk.log").display().to_string();
    let wide = text(&egressctl(&["suggest", &uk, "--wildcards"]).output().unwrap().stdout);
    assert!(wide.contains("a.co.uk") && !wide.contains('*'), "{wide}");
}

#[test]
fn test_passes_on_what_is_proposed() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_in(dir.path());
    for arguments in [vec!["suggest", &log], vec!["suggest", &log, "--wildcards", "2"]] {
        let proposed = egressctl(&arguments).output().unwrap();
        let file = dir.path().join("proposed.yaml");
        fs::write(&file, proposed.stdout).unwrap();
        let file = file.display().to_string();
        let tested = egressctl(&["test", &file, &log]).output().unwrap();
        assert!(tested.status.success(), "{}", text(&tested.stdout));
        assert!(text(&tested.stdout).contains("6 passed, 0 failed"), "{}", text(&tested.stdout));
        assert!(egressctl(&["check", &file]).output().unwrap().status.success());
    }
    // With one request more, it does not.
    let more = LOG.replace("ap.payments.example", "other.example");
    fs::write(dir.path().join("more.log"), more).unwrap();
    let more = dir.path().join("more.log").display().to_string();
    let file = dir.path().join("proposed.yaml").display().to_string();
    assert_eq!(egressctl(&["test", &file, &more]).output().unwrap().status.code(), Some(1));
}

#[test]
fn a_file_without_requests_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.log");
    fs::write(&empty, "starting\n{\"not\": \"a request\"}\n").unwrap();
    let output = egressctl(&["suggest", &empty.display().to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("neither a table of cases nor a log"), "{}", text(&output.stderr));
}
