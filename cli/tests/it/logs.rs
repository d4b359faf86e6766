//! Logs of every kind: each line is sorted, counted and said, and only lines that say who asked for what make a policy.

use crate::common::{egressctl, text};
use std::fs;
use tempfile::TempDir;

/// A folder with a log in it.
pub(super) struct Log {
    folder: TempDir,
    path: String,
}

/// What a command said.
pub(super) struct Answer {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Log {
    pub(super) fn new(content: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        fs::write(&path, content).unwrap();
        Self { path: path.display().to_string(), folder }
    }

    pub(super) fn suggest(&self, more: &[&str]) -> Answer {
        run(&[&["suggest", &self.path], more].concat())
    }

    /// `test` with a configuration and this log.
    pub(super) fn test(&self, config: &str) -> Answer {
        let file = self.folder.path().join("proposed.yaml");
        fs::write(&file, config).unwrap();
        run(&["test", file.to_str().unwrap(), &self.path])
    }

    /// What is proposed; the promise is that `test` and `check` pass on it.
    pub(super) fn proposal(&self, more: &[&str]) -> Answer {
        let answer = self.suggest(more);
        assert_eq!(answer.code, Some(0), "{}", answer.err);
        let tested = self.test(&answer.out);
        assert_eq!(tested.code, Some(0), "{}{}\n{}", tested.out, tested.err, answer.out);
        let file = self.folder.path().join("proposed.yaml");
        let checked = run(&["check", file.to_str().unwrap()]);
        assert_eq!(checked.code, Some(0), "{}", checked.out);
        answer
    }
}

pub(super) fn run(arguments: &[&str]) -> Answer {
    let output = egressctl(arguments).output().unwrap();
    Answer { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// An access log line of an account of namespace `ops`.
pub(super) fn access(account: &str, host: &str, more: &str) -> String {
    format!(
        r#"{{"downstream_peer_uri_san":"spiffe://cluster.local/ns/ops/sa/{account}","authority":"{host}","method":"GET","path":"/","requested_server_name":null,"response_code":200,"response_code_details":"via_upstream"{more}}}"#
    )
}

fn audit(host: &str) -> String {
    format!(
        r#"{{"verdict":"deny","reason":"no_allow_matched","mode":"ENFORCE","type":"HTTP","principal":"spiffe://cluster.local/ns/ops/sa/bot","namespace":"ops","host":"{host}","sni":null,"method":"GET","port":80,"source":"10.2.2.2:1","owner":null,"audit":[],"dry_run":null,"config":"00"}}"#
    )
}

fn quoted(line: &str) -> String {
    serde_json::to_string(line).unwrap()
}

/// Every way in which an audit line or an access line comes out of a cluster: each is read, and its host proposed.
#[test]
fn collectors_and_loggers_are_known() {
    let envoy = format!(
        "[2026-04-05 06:07:08.009][33][warning][wasm] [source/extensions/common/wasm/context.cc:1195] wasm log egress-authz: {}",
        audit("envoy.example")
    );
    let istio = format!(
        "2026-04-05T06:07:08.000009Z\twarning\tenvoy wasm external/envoy/source/extensions/common/wasm/context.cc:1195\twasm log istio-system.egress-authz-http: {}\tthread=33",
        audit("istio.example")
    );
    let older = format!(
        "2026-04-05T06:07:08.000009Z\twarning\tenvoy wasm\twasm log egress-authz egress-authz vm: {}",
        audit("older.example")
    );
    let translated = format!(
        "2026-04-05T06:07:08.009 warning wasm wasm log istio-system.egress-authz~istio-translated-wasmplugin: {}",
        audit("translated.example")
    );
    let short = format!("warning wasm wasm log egress-authz: {}", audit("short.example"));
    let json = format!(
        r#"{{"level":"warning","time":"2026-04-05T06:07:08.000009Z","scope":"envoy wasm","msg":{},"caller":"x.cc:1","thread":"33"}}"#,
        quoted(&format!("wasm log istio-system.egress-authz: {}", audit("json.example")))
    );
    let line = |host: &str| access("bot", host, "");
    let pieces = line("pieces.example");
    let (one, two) = pieces.split_at(40);
    let lines = [
        envoy.clone(),
        istio,
        older,
        translated,
        short,
        json.clone(),
        line("plain.example"),
        format!("2026-04-05T06:07:08.000000009Z stdout F {}", line("cri.example")),
        format!("2026-04-05T06:07:08.000000009+02:00 stderr F {}", envoy.replace("envoy.", "cri-envoy.")),
        format!("2026-04-05T06:07:08.000000009Z stdout P {one}"),
        format!("2026-04-05T06:07:08.000000010Z stderr F {}", "noise between the pieces"),
        format!("2026-04-05T06:07:08.000000011Z stdout F {two}"),
        format!("2026-04-05T06:07:08.000000009Z {}", line("kubectl-timestamps.example")),
        format!("[pod/istio-egressgateway-0/istio-proxy] {}", line("kubectl-prefix.example")),
        format!("istio-egressgateway-0 istio-proxy {}", line("stern.example")),
        format!("gateway-1  | {}", line("compose.example")),
        format!(
            r#"{{"log":{},"stream":"stdout","time":"2026-04-05T06:07:08Z"}}"#,
            quoted(&(line("docker.example") + "\n"))
        ),
        format!(
            r#"{{"@timestamp":"x","log":{},"kubernetes":{{"pod_name":"p","labels":{{"app":"a"}}}},"stream":"stdout"}}"#,
            quoted(&line("fluentbit.example"))
        ),
        format!(
            r#"{{"date":1.5,"log":"raw","log_processed":{},"kubernetes":{{}}}}"#,
            line("processed.example")
        ),
        format!(r#"{{"labels":{{"app":"gw"}},"line":{},"timestamp":"x"}}"#, quoted(&line("loki.example"))),
        format!(
            r#"{{"timestamp":1,"message":{},"ingestionTime":2,"eventId":"3","logStreamName":"s"}}"#,
            quoted(&line("cloudwatch.example"))
        ),
        format!(
            r#"{{"insertId":"a","jsonPayload":{},"resource":{{"type":"k8s_container"}},"labels":{{}},"logName":"l"}}"#,
            line("stackdriver.example")
        ),
        format!(
            r#"{{"insertId":"a","textPayload":{},"resource":{{}},"severity":"WARNING"}}"#,
            quoted(&envoy.replace("envoy.", "stackdriver-text."))
        ),
        format!(
            r#"{{"_index":"i","_id":"1","_source":{{"@timestamp":"x","message":{},"agent":{{"type":"filebeat"}},"log":{{"offset":1}}}}}}"#,
            quoted(&line("elastic.example"))
        ),
        format!(
            r#"{{"time":"x","log":{},"kubernetes":{{}}}}"#,
            quoted(&format!("2026-04-05T06:07:08.000000009Z stdout F {}", json.replace("json.", "nested.")))
        ),
        line("merged.example")
            .replace("{\"down", "{\"kubernetes\":{\"host\":\"node\"},\"log\":\"raw\",\"down"),
        "\u{feff}".to_owned() + &line("bom.example") + "\r",
    ];
    let log = Log::new(lines.join("\n"));
    let answer = log.proposal(&[]);
    let wanted = [
        "envoy",
        "istio",
        "older",
        "translated",
        "short",
        "json",
        "plain",
        "cri",
        "cri-envoy",
        "pieces",
        "kubectl-timestamps",
        "kubectl-prefix",
        "stern",
        "compose",
        "docker",
        "fluentbit",
        "processed",
        "loki",
        "cloudwatch",
        "stackdriver",
        "stackdriver-text",
        "elastic",
        "nested",
        "merged",
        "bom",
    ];
    for host in wanted {
        assert!(answer.out.contains(&format!("{host}.example")), "{host}: {}\n{}", answer.out, answer.err);
    }
    assert!(
        answer.err.contains("27 lines: 9 audit lines, 16 access log lines, 1 other line"),
        "{}",
        answer.err
    );
    assert!(answer.err.contains("wrapped by a collector"), "{}", answer.err);
}

#[test]
fn each_kind_is_counted_and_told_what_to_do() {
    let no_peer = r#"{"authority":"a.example","method":"GET","response_code":200}"#;
    let text = r#"[2026-04-05T06:07:08.009Z] "GET /v1 HTTP/2" 200 - via_upstream - "-" 0 1 2 3 "-" "x" "id" "files.example" "192.0.2.7:80" outbound|80||files.example 10.0.0.1:1 10.0.0.2:2 10.0.0.3:3 - -"#;
    for (content, wanted) in [
        (
            no_peer.to_owned(),
            "1 line is an access log line without downstream_peer_uri_san: add it to the format (docs/operations.md",
        ),
        (
            text.to_owned(),
            "1 line is in the text format of Istio or Envoy, which has no peer: add the JSON format",
        ),
        (text.to_owned(), "the hosts asked for are files.example"),
        (audit("bare.example"), "without the prefix of Envoy's logger"),
        ("starting\n".to_owned(), "neither a table of cases nor a log"),
        (String::new(), "neither a table of cases nor a log"),
        ("[\n  {\"authority\": \"a.example\"}\n]\n".to_owned(), "one JSON document"),
    ] {
        let log = Log::new(&content);
        for answer in [log.suggest(&[]), log.test("policies: []")] {
            assert_eq!(answer.code, Some(1), "{content}: {}{}", answer.out, answer.err);
            assert!(answer.err.contains(wanted), "{content}: {}", answer.err);
            assert_eq!(answer.out, "", "{content}");
        }
    }
    let mixed =
        Log::new([no_peer, text, text, &access("bot", "b.example", ""), "noise", "{\"cut"].join("\n"));
    let answer = mixed.proposal(&[]);
    let kinds = "6 lines: 1 access log line, 1 access log line without a peer, 2 access log lines in text, 1 unreadable line, 1 other line";
    assert!(answer.err.contains(kinds), "{}", answer.err);
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("x".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(Log::new(utf16).suggest(&[]).err.contains("UTF-16"));
    assert!(Log::new([0x1f, 0x8b, 8]).suggest(&[]).err.contains("compressed"));
}

/// Whoever refused it: no policy comes of it, and `test` expects nothing.
#[test]
fn any_sign_of_refusal_counts() {
    let line = |more: &str| {
        access("bot", "refused.example", "")
            .replace(r#""response_code":200,"response_code_details":"via_upstream""#, more)
    };
    let http = [
        r#""response_code":403,"response_code_details":"rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]","egress_authz":"would_deny[default_action]""#,
        r#""response_code":403,"response_code_details":"ext_authz_denied","response_flags":"UAEX""#,
        r#""response_code":401,"response_code_details":"jwt_authn_access_denied{Jwt_is_expired}""#,
        r#""response_code":429,"response_code_details":"request_rate_limited""#,
        r#""response_code":403"#,
        r#""response_code":"403","response_code_details":null"#,
        r#""response_code":0,"response_flags":"UAEX""#,
        r#""response_code":404,"response_code_details":"route_not_found","response_flags":"NR""#,
        r#""response_code":502,"response_code_details":"direct_response""#,
        r#""response_code":200,"response_flags":"-","upstream_cluster":"BlackHoleCluster""#,
        r#""response_code":200,"connection_termination_details":"rbac_access_denied_matched_policy[none]""#,
        r#""response_code":403,"response_code_details":"egress_authz_denied[sni_mismatch]""#,
        r#""response_code":200,"egress_authz":"deny[ns[*]-policy[no]-rule[0]]""#,
        r#""response_code":200,"egress_authz":"would_deny[ns[*]-policy[no]-rule[0]]""#,
        r#""response_code":503,"response_code_details":"something_of_tomorrow""#,
    ];
    let tcp = r#"{"downstream_peer_uri_san":"spiffe://cluster.local/ns/ops/sa/bot","authority":null,"method":null,"requested_server_name":"refused.example","response_code":0,"connection_termination_details":"rbac_access_denied_matched_policy[none]"}"#;
    let mut lines: Vec<_> = http.iter().map(|more| line(more)).collect();
    lines.push(tcp.to_owned());
    for refused in &lines {
        let answer = Log::new(refused).proposal(&[]);
        assert_eq!(answer.out, "policies: []\n", "{refused}");
        assert!(answer.err.contains("0 of 1 requests"), "{refused}: {}", answer.err);
    }
    lines.push(access("bot", "fine.example", ""));
    let answer = Log::new(lines.join("\n")).proposal(&[]);
    assert!(
        answer.err.contains("left out, refused by another filter (403 without ")
            && answer.err.contains("rbac_access_denied_matched_policy"),
        "{}",
        answer.err
    );
    assert!(
        answer.err.contains(
            "left out, not served by Envoy (BlackHoleCluster, direct_response, route_not_found): 3"
        ),
        "{}",
        answer.err
    );
    // What the site itself refuses, and what fails behind the gateway, was admitted.
    for more in [
        r#""response_code":403,"response_code_details":"via_upstream""#,
        r#""response_code":503,"response_code_details":"upstream_reset_before_response_started{connection_failure}","response_flags":"UF,URX""#,
        r#""response_code":504,"response_code_details":"response_timeout","response_flags":"UT""#,
        r#""response_code":200,"egress_authz":"allow[default_action] would_deny[no_allow_matched]""#,
        r#""response_code":403,"response_code_details":"egress_authz_denied[expired[ns[ops]-policy[x]-rule[0]]]""#,
    ] {
        assert!(Log::new(line(more)).proposal(&[]).out.contains("refused.example"), "{more}");
    }
}

#[test]
fn the_first_of_several_names_is_the_peer() {
    let two = access("bot", "a.example", "")
        .replace("sa/bot\"", "sa/bot,spiffe://cluster.local/ns/kube-system/sa/admin\"");
    let answer = Log::new(two).proposal(&[]);
    assert!(answer.out.contains("[bot]") && !answer.out.contains("kube-system"), "{}", answer.out);
    // A comma inside of a name makes it another name.
    let odd = access("bot", "a.example", "").replace("sa/bot\"", "sa/bot,rest\"");
    let answer = Log::new(odd).proposal(&[]);
    assert!(
        answer.out == "policies: []\n" && answer.err.contains("invalid_identity"),
        "{}{}",
        answer.out,
        answer.err
    );
}

#[test]
fn no_name_or_byte_spoils_the_rest() {
    let odd = [
        access("Upper", "a.example", ""),
        access("under_score", "b.example", ""),
        access("bot", "2130706433", ""),
        access("bot", "10.20.30.40:9200", ""),
        access("bot", "[fd00::7]", ""),
        access("bot", "us er@c.example", ""),
        access("bot", &"x".repeat(300), ""),
        access("bot", "d.example", r#","requested_server_name_":"x""#)
            .replace(r#""requested_server_name":null"#, r#""requested_server_name":"e.example""#),
        access("bot", "f.example", "").replace("ns/ops", "ns/no.dots"),
        access("bot", "good.example", ""),
        access("no", "yes.example", ""),
    ];
    let mut bytes = odd.join("\n").into_bytes();
    bytes.extend_from_slice(b"\n\xff\xfe broken \x80\n");
    bytes.extend_from_slice(
        access("bot", "latin.example", "").replace("\"/\"", "\"/caf\u{1}\"").replace('\u{1}', "X").as_bytes(),
    );
    let at = bytes.iter().rposition(|byte| *byte == b'X').unwrap();
    bytes[at] = 0xe9;
    let answer = Log::new(&bytes).proposal(&[]);
    for host in ["good.example", "yes.example", "latin.example"] {
        assert!(answer.out.contains(host), "{host}: {}{}", answer.out, answer.err);
    }
    for reason in [
        "private_address: 2",
        "malformed_host: 3",
        "sni_mismatch: 1",
        "no service account that Kubernetes could have: 3",
        "2 lines are not UTF-8",
    ] {
        assert!(answer.err.contains(reason), "{reason}: {}", answer.err);
    }
}

#[test]
fn a_stranger_s_domain_never_becomes_ours() {
    let foreign = access("bot", "a.example", "").replace("cluster.local", "other.example");
    let log = Log::new([foreign, access("bot", "b.example", "")].join("\n"));
    let answer = log.proposal(&[]);
    assert!(!answer.out.contains("trustDomains") && !answer.out.contains("a.example"), "{}", answer.out);
    assert!(
        answer.err.contains("untrusted_domain: 1") && answer.err.contains("--trust-domain"),
        "{}",
        answer.err
    );
    let own = log.proposal(&["--trust-domain", "other.example"]);
    assert!(
        own.out.contains("trustDomains: [other.example]") && own.out.contains("a.example"),
        "{}",
        own.out
    );
    assert!(!own.out.contains("b.example"), "{}", own.out);
    let both = log.proposal(&["--trust-domain", "cluster.local", "--trust-domain", "other.example"]);
    assert!(both.out.contains("[a.example, b.example]"), "{}", both.out);
    assert_eq!(log.suggest(&["--trust-domain", "Not A Domain"]).code, Some(1));
}

#[test]
fn wildcards_stay_below_one_owner() {
    let hosts = |parent: &str| {
        ["a", "b", "c", "d"].map(|name| access("bot", &format!("{name}.{parent}"), "")).join("\n")
    };
    for parent in [
        "amazonaws.com",
        "eu-west-1.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "azure.com",
        "core.windows.net",
        "blogspot.com",
        "github.io",
        "co.jp",
        "dev",
        "svc.cluster.local",
    ] {
        let answer = Log::new(hosts(parent)).proposal(&["--wildcards", "2"]);
        assert!(!answer.out.contains('*'), "{parent}: {}", answer.out);
    }
    for parent in ["files.example.org", "mine.github.io", "bucket.s3.amazonaws.com"] {
        let answer = Log::new(hosts(parent)).proposal(&["--wildcards"]);
        assert!(answer.out.contains(&format!("[\"*.{parent}\"]")), "{parent}: {}", answer.out);
    }
    let addresses = Log::new(
        ["203.0.113.1", "8.8.4.4", "8.8.8.4", "8.8.1.4"].map(|host| access("bot", host, "")).join("\n"),
    );
    assert!(!addresses.proposal(&["--wildcards", "2"]).out.contains('*'));
}
