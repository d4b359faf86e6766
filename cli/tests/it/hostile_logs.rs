//! A log is hostile: clients choose paths, headers and names, and none of them makes a line, a field, a policy or a terminal
//! sequence.

use crate::logs::{Answer, Log, access};
use std::fmt::Write as _;

/// What a client wants to be read as a line of ours, for `kube-system`.
const AUDIT: &str = r#"{"verdict":"deny","reason":"no_allow_matched","mode":"ENFORCE","type":"HTTP","principal":"spiffe://cluster.local/ns/kube-system/sa/admin","namespace":"kube-system","host":"evil.example","sni":null,"method":"GET","port":80,"source":null,"owner":null,"audit":[],"dry_run":null,"config":"00"}"#;
const ACCESS: &str = r#"{"downstream_peer_uri_san":"spiffe://cluster.local/ns/kube-system/sa/admin","authority":"evil.example","method":"GET","path":"/","requested_server_name":null,"response_code":200,"response_code_details":"via_upstream"}"#;

fn whole(record: &str) -> [String; 4] {
    [
        record.to_owned(),
        format!("[2026-04-05 06:07:08.009][33][warning][wasm] wasm log egress-authz: {record}"),
        format!("wasm log egress-authz: {record}"),
        format!("x\n{record}\n"),
    ]
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn is_harmless(answer: &Answer) {
    for said in [&answer.out, &answer.err] {
        let is_bad = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        };
        assert!(!said.contains(is_bad), "{said:?}");
    }
    assert!(!answer.out.contains("evil") && !answer.out.contains("kube-system"), "{}", answer.out);
}

/// One way after the other in which a forged record could come to stand in a log.
fn forgeries() -> Vec<String> {
    let mut lines = Vec::new();
    for record in [AUDIT, ACCESS] {
        for forged in whole(record) {
            let json = quoted(&forged);
            // Fields of a complete access line, and of one whose names nobody knows.
            for field in ["msg", "message", "log", "path", "user_agent", "line", "textPayload"] {
                lines.push(
                    access("bot", "honest.example", &format!(",\"{field}_\":0,\"{field}\":{json}"))
                        .replace(r#""path":"/","#, ""),
                );
                lines.push(format!(r#"{{"authority":"a.example","method":"GET","{field}":{json}}}"#));
                lines.push(format!(r#"{{"status":200,"ua":"x","{field}":{json}}}"#));
            }
            // Objects in objects.
            for field in ["jsonPayload", "_source", "json", "event", "extra"] {
                lines.push(access("bot", "honest.example", &format!(",\"{field}\":{record}")));
                lines.push(format!(r#"{{"status":200,"{field}":{record}}}"#));
            }
            // Text around it, on one line.
            let flat = forged.replace('\n', " ");
            lines.extend([
                format!("an application says: {flat}"),
                format!("[2026-04-05T06:07:08.009Z] \"GET {flat} HTTP/1.1\" 200 - via_upstream - \"-\" 0 1 2 3 \"-\" \"{flat}\" \"id\" \"a.example\" \"192.0.2.1:80\" c l l r - -"),
                format!("[2026-04-05 06:07:08.009][33][warning][http] wasm log egress-authz: {record} {flat}"),
                format!("[2026-04-05 06:07:08.009][33][info][lua] {flat}"),
                format!("[2026-04-05 06:07:08.009][33][warning][wasm] wasm log another.plugin: {flat}"),
                format!("[2026-04-05 06:07:08.009][33][warning][wasm] wasm log egress-authz: told {flat}"),
                format!("2026-04-05T06:07:08.009Z {flat}"),
                format!("2026-04-05T06:07:08.000009Z\tinfo\txdsproxy\t{flat}"),
                format!("':path', '/{flat}'"),
                format!(r#"{{"level":"info","scope":"envoy lua","msg":{json}}}"#),
                format!(r#"{{"log":"{}","stream":"stdout","time":"x","user":{json}}}"#, "plain"),
            ]);
        }
    }
    // A key twice, in one object or pushed down by a client that breaks out of its field.
    let twice = access(
        "bot",
        "honest.example",
        r#","downstream_peer_uri_san":"spiffe://cluster.local/ns/kube-system/sa/admin","authority":"evil.example""#,
    );
    let pushed_down = r#"{"path":"/","downstream_peer_uri_san":"spiffe://cluster.local/ns/kube-system/sa/admin","authority":"evil.example","method":"GET","z":{"x":"","downstream_peer_uri_san":"spiffe://cluster.local/ns/ops/sa/bot","authority":"honest.example","user_agent":""},"y":""}"#;
    lines.extend([twice, pushed_down.to_owned()]);
    lines.iter().map(|line| line.replace('\n', " ")).collect()
}

#[test]
fn nothing_inside_a_line_is_a_line() {
    for line in forgeries() {
        let log = Log::new([line.clone(), access("bot", "honest.example", "")].join("\n"));
        let answer = log.proposal(&[]);
        is_harmless(&answer);
        assert!(answer.out.contains("honest.example"), "{line}: {}", answer.err);
        assert_eq!(answer.out.matches("name: seen").count(), 1, "{line}: {}", answer.out);
    }
}

/// A collector cuts long lines; a client chooses where the second piece begins.
#[test]
fn a_piece_of_a_line_is_no_line() {
    let (start, rest) =
        (format!("{}{}", r#"{"authority":"honest.example","path":""#, "x".repeat(16_384)), ACCESS);
    let honest = access("bot", "honest.example", "");
    for lines in [
        [
            format!("2026-04-05T06:07:08.000000009Z stdout P {start}"),
            format!("2026-04-05T06:07:08.000000009Z stdout F {rest}"),
        ],
        [
            format!(r#"{{"log":{},"stream":"stdout","time":"x"}}"#, quoted(&start)),
            format!(r#"{{"log":{},"stream":"stdout","time":"x"}}"#, quoted(&format!("{rest}\n"))),
        ],
        [
            format!(r#"{{"log":{},"kubernetes":{{}}}}"#, quoted(&start)),
            format!(r#"{{"log":{},"kubernetes":{{}}}}"#, quoted(rest)),
        ],
    ] {
        let answer = Log::new(lines.join("\n") + "\n" + &honest).proposal(&[]);
        is_harmless(&answer);
        assert!(answer.out.contains("honest.example"), "{}", answer.err);
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }

    fn pick<'l, T: ?Sized>(&mut self, of: &[&'l T]) -> &'l T {
        of[self.roll(of.len())]
    }
}

const PARTS: &[&str] = &[
    "evil.example",
    "\u{1b}[2J",
    "\n",
    "\r",
    "\"",
    "\\",
    "{",
    "}",
    "'",
    ": ",
    "\t",
    "\0",
    "\u{9b}",
    "\u{202e}",
    "\u{2028}",
    "é",
    "policies:",
    "- name: evil",
    "wasm log egress-authz: ",
    "[2026-04-05 06:07:08.009][33][warning][wasm] ",
    ",",
    "*",
    "..",
    "@",
    AUDIT,
    ACCESS,
    "\",\"downstream_peer_uri_san\":\"spiffe://cluster.local/ns/kube-system/sa/admin",
    "2026-04-05T06:07:08.000000009Z stdout F ",
];

fn hostile(dice: &mut Dice) -> String {
    let length = dice.roll(6);
    (0..length).map(|_| *dice.pick(&PARTS.iter().collect::<Vec<_>>())).collect()
}

fn line(dice: &mut Dice) -> String {
    let account = *dice.pick(&[&"bot", &"web", &"job"]);
    let host = dice.pick(&[
        "a.good.example",
        "b.good.example",
        "c.good.example:8443",
        "d.good.example.",
        "10.1.2.3",
        "9.9.9.9",
        "[2620:fe::fe]",
        "-",
        "",
        "bad host",
        "evil",
    ]);
    let host = if host == "evil" { quoted(&hostile(dice).replace("evil.", "evil ")) } else { quoted(host) };
    let sni = dice.pick(&[
        "null",
        "\"-\"",
        "\"a.good.example\"",
        "\"outbound_.80_._.x.y.svc.cluster.local\"",
        "\"sni.good.example\"",
    ]);
    let ending = dice.pick(&[
        r#""response_code":200,"response_code_details":"via_upstream""#,
        r#""response_code":200,"egress_authz":"would_deny[no_allow_matched]""#,
        r#""response_code":403,"egress_authz":"deny[default_action]","response_code_details":"egress_authz_denied[default_action]""#,
        r#""response_code":403,"response_code_details":"ext_authz_denied""#,
        r#""response_code":0,"response_flags":"NR""#,
        r#""response_code":503,"response_flags":"UF""#,
    ]);
    let domain = dice.pick(&["cluster.local", "cluster.local", "cluster.local", "foreign.example"]);
    let method = dice.pick(&["\"GET\"", "\"GET\"", "\"POST\"", "null"]);
    let (host, method) = if method == "null" { ("null".to_owned(), "null") } else { (host, method) };
    let fields = format!(
        r#"{{"downstream_peer_uri_san":"spiffe://{domain}/ns/ops/sa/{account}","authority":{host},"method":{method},"path":{},"user_agent":{},"requested_server_name":{sni},{ending}}}"#,
        quoted(&hostile(dice)),
        quoted(&hostile(dice)),
    );
    match dice.roll(10) {
        0 => format!(r#"{{"log":{},"stream":"stdout","time":"x"}}"#, quoted(&(fields + "\n"))),
        1 => format!("2026-04-05T06:07:08.000000009Z stdout F {fields}"),
        2 => format!(r#"{{"jsonPayload":{fields},"insertId":"x"}}"#),
        3 => format!(r#"{{"message":{},"timestamp":1}}"#, quoted(&fields)),
        4 => format!("noise {}", hostile(dice).replace(['\n', '\r'], " ")),
        5 => format!(
            "[2026-04-05T06:07:08.009Z] \"GET /{} HTTP/1.1\" 200 - \"{}\"",
            hostile(dice).replace('\n', " "),
            hostile(dice).replace('\n', " ")
        ),
        6 => fields.chars().take(200).collect(),
        _ => fields,
    }
}

/// Of any log: `test` with what `suggest` proposes passes; no policy is for a host that no line of the right kind names; nothing
/// that a terminal obeys comes out.
#[test]
fn generated_logs() {
    for seed in 1..=40 {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut log = String::new();
        for _ in 0..60 {
            let _ = writeln!(log, "{}", line(&mut dice));
        }
        let log = Log::new(log + &access("bot", "honest.example", "") + "\n");
        for options in [&[][..], &["--wildcards", "2"]] {
            let answer = log.proposal(options);
            is_harmless(&answer);
            for host in hosts(&answer.out) {
                let is_known =
                    ["honest.example", "sni.good.example", "9.9.9.9", "[2620:fe::fe]", "*.good.example"]
                        .contains(&host.as_str())
                        || (host.ends_with(".good.example") && host.len() == "a.good.example".len());
                assert!(is_known, "seed {seed}: {host}");
            }
        }
        let json = log.suggest(&["--format", "json"]);
        assert!(serde_json::from_str::<serde_json::Value>(&json.out).is_ok());
        is_harmless(&json);
    }
}

fn hosts(proposal: &str) -> Vec<String> {
    let lists = proposal.lines().filter_map(|line| line.trim().strip_prefix("hosts: ["));
    lists
        .flat_map(|list| list.trim_end_matches(']').split(", "))
        .map(|host| host.trim_matches('"').to_owned())
        .map(|host| if host.starts_with('[') && !host.ends_with(']') { host + "]" } else { host })
        .collect()
}

#[test]
fn lines_of_a_megabyte() {
    let long = "é\u{1b}\"{".repeat(200_000);
    let lines = [
        access("bot", "long.example", &format!(",\"user_agent\":{}", quoted(&long))),
        access("bot", &"x".repeat(1 << 20), ""),
        "x".repeat(1 << 20),
        "{".repeat(1 << 20),
        format!("[{}", "[".repeat(1 << 20)),
        access("bot", "honest.example", ""),
    ];
    let answer = Log::new(lines.join("\n")).proposal(&[]);
    is_harmless(&answer);
    assert!(answer.out.contains("[honest.example, long.example]"), "{}", answer.out);
    assert!(answer.err.len() < 4096, "{} bytes are said", answer.err.len());
}
