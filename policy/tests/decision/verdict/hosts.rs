//! docs/language.md#3-what-is-asked-for: the host of a request, and patterns in `hosts`.

use super::{NO_ALLOW, admits, allow_all, allow_to, http_config, verdict, with};
use crate::support::{Answer, http};
use serde_json::{Value, json};

fn hosts(patterns: &Value) -> Value {
    http_config(&json!([allow_to(&json!({"hosts": patterns}))]))
}

#[test]
fn one_pattern_governs_every_spelling() {
    let config = hosts(&json!(["www.aliyun.com"]));
    for host in
        ["www.aliyun.com", "WWW.ALIYUN.COM", "www.aliyun.com.", "www.aliyun.com:80", "WWW.aliyun.com.:8080"]
    {
        assert!(admits(&config, &http("a/x", host)), "{host}");
    }
    for host in
        ["help.aliyun.com", "aliyun.com", "www.aliyun.com.evil.example", "xwww.aliyun.com", "www-aliyun.com"]
    {
        assert!(!admits(&config, &http("a/x", host)), "{host}");
    }
    for pattern in ["WWW.Aliyun.COM", "www.aliyun.com.", "www.aliyun.com:*", "www.aliyun.com.:*"] {
        assert!(admits(&hosts(&json!([pattern])), &http("a/x", "www.aliyun.com:8080")), "{pattern}");
    }
}

#[test]
fn a_star_stands_for_whole_labels() {
    for (pattern, host, expected) in [
        ("*.example.com", "www.example.com", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "badexample.com", false),
        ("*.example.com", "www.example.com.evil.example", false),
        ("*.example.com", "WWW.EXAMPLE.COM.:8443", true),
        ("example.*", "example.com", true),
        ("example.*", "example.co.uk", true),
        ("example.*", "example", false),
        ("example.*", "examples.com", false),
        ("example.*", "www.example.com", false),
        ("*", "anything.example", true),
        ("*", "8.8.8.8", true),
        ("*", "[2606:4700::1111]", true),
    ] {
        assert_eq!(admits(&hosts(&json!([pattern])), &http("a/x", host)), expected, "{pattern} {host}");
    }
}

#[test]
fn only_the_bare_star_and_the_literal_match_an_address() {
    for (pattern, host, expected) in [
        ("8.8.8.8", "8.8.8.8", true),
        ("8.8.8.8", "8.8.8.8.:443", true),
        ("8.8.8.8", "[::ffff:8.8.8.8]", true),
        ("8.8.8.8", "[::ffff:0808:0808]:443", true),
        ("[::ffff:8.8.8.8]", "8.8.8.8", true),
        ("8.8.8.8", "8.8.4.4", false),
        ("[2606:4700::1111]", "[2606:4700:0:0:0:0:0:1111]", true),
        ("[2606:4700:0::1111]", "[2606:4700::1111]:8443", true),
        ("[2606:4700::1111]:443", "[2606:4700::1111]:443", true),
        ("[2606:4700::1111]:443", "[2606:4700::1111]", false),
        ("*.example", "8.8.8.8", false),
    ] {
        assert_eq!(admits(&hosts(&json!([pattern])), &http("a/x", host)), expected, "{pattern} {host}");
    }
}

#[test]
fn a_port_in_a_pattern_is_compared_with_the_one_written() {
    for (pattern, host, expected) in [
        ("h.example:8443", "h.example:8443", true),
        ("h.example:8443", "h.example", false),
        ("h.example:8443", "h.example:443", false),
        ("h.example:80", "h.example", true),
        ("h.example:80", "h.example.:80", true),
        ("h.example:443", "h.example", false),
        ("h.example:*", "h.example:1", true),
        ("*.example:8443", "h.example:8443", true),
        ("*.example:8443", "h.example", false),
        ("h.*:8443", "h.example:8443", true),
        ("h.*:*", "h.example:8444", true),
        ("*:8443", "8.8.8.8:8443", true),
        ("*:8443", "8.8.8.8", false),
        ("*:*", "h.example:65535", true),
    ] {
        assert_eq!(admits(&hosts(&json!([pattern])), &http("a/x", host)), expected, "{pattern} {host}");
    }
}

#[test]
fn not_hosts_takes_the_same_patterns() {
    let config =
        |not: Value| http_config(&json!([allow_to(&json!({"hosts": ["*.example"], "notHosts": not}))]));
    assert!(!admits(&config(json!(["a.example"])), &http("a/x", "A.example.:8443")));
    assert!(admits(&config(json!(["a.example"])), &http("a/x", "b.example")));
    assert!(!admits(&config(json!(["*.b.example"])), &http("a/x", "c.b.example")));
    assert!(admits(&config(json!(["*.b.example"])), &http("a/x", "b.example")));
    assert!(!admits(&config(json!(["a.*"])), &http("a/x", "a.example")));
    assert!(admits(&config(json!(["a.example:8443"])), &http("a/x", "a.example")));
    assert!(!admits(&config(json!(["a.example:8443"])), &http("a/x", "a.example:8443")));
    assert!(!admits(&config(json!(["*"])), &http("a/x", "a.example")));
}

/// A set, and what it covers.
const SEARCH: [&str; 3] = ["www.google.com", "*.googleapis.com", "8.8.8.8:443"];
const ASKED_OF_SEARCH: [(&str, bool); 5] = [
    ("www.google.com", true),
    ("maps.googleapis.com", true),
    ("googleapis.com", false),
    ("8.8.8.8:443", true),
    ("8.8.8.8", false),
];

#[test]
fn a_set_is_its_patterns() {
    let sets = json!({"hostSets": {"search": SEARCH}});
    let config = with(&hosts(&json!(["@search", "other.example"])), &sets);
    for (host, expected) in ASKED_OF_SEARCH.into_iter().chain([("other.example", true), ("search", false)]) {
        assert_eq!(admits(&config, &http("a/x", host)), expected, "{host}");
    }
    let not = with(&http_config(&json!([allow_to(&json!({"notHosts": ["@search"]}))])), &sets);
    assert!(!admits(&not, &http("a/x", "www.google.com")));
    assert!(admits(&not, &http("a/x", "www.bing.com")));
}

/// Such a set is indexed once, however many rules name it. The one that covers every host is the last by name.
#[test]
fn a_large_set_is_its_patterns() {
    let fillers = |kind: &str| (0..20).map(|at| format!("{kind}-{at}.test")).collect::<Vec<_>>();
    let with_fillers = |kind: &str, patterns: &[&str]| {
        json!([fillers(kind), patterns.iter().map(|text| (*text).to_owned()).collect()].concat())
    };
    let sets = json!({"hostSets": {
        "ads": with_fillers("ad", &["*.ads.example", "tracker.*"]),
        "sites": with_fillers("every", &["*:8443"]),
        "search": with_fillers("search", &SEARCH),
    }});
    let config = with(
        &http_config(&json!([
            {"name": "no", "action": "DENY", "rules": [{"to": [{"operation": {"hosts": ["@ads"]}}]}]},
            allow_to(&json!({"hosts": ["@search"]})),
            {"name": "b", "rules": [{"to": [{"operation": {"hosts": ["other.example", "@sites"]}}]}]},
        ])),
        &sets,
    );
    let others = [
        ("search-19.test", true),
        ("search-20.test", false),
        ("other.example", true),
        ("any.example:8443", true),
        ("any.example", false),
        ("a.ads.example:8443", false),
        ("tracker.example:8443", false),
        ("ad-0.test:8443", false),
        ("every-0.test", true),
    ];
    for (host, expected) in ASKED_OF_SEARCH.into_iter().chain(others) {
        let said = verdict(&config, &http("a/x", host));
        assert_eq!(said.starts_with("allow[ns["), expected, "{host}: {said}");
    }
}

#[test]
fn what_two_programs_could_read_differently_is_refused_whatever_the_policies_say() {
    let config = with(
        &http_config(&json!([allow_all()])),
        &json!({"defaultAction": "ALLOW", "privateAddresses": "ALLOW", "sniMismatch": "ALLOW"}),
    );
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = format!("{}example", "a.".repeat(124));
    for host in [
        "",
        ".",
        "..",
        ":80",
        "a..example",
        ".a.example",
        "a.example..",
        "a example",
        "a.example/",
        "user@a.example",
        "user:pw@a.example",
        "a.example:",
        "a.example:0",
        "a.example:65536",
        "a.example:080",
        "a.example:+80",
        "a.example:80:80",
        "a.example:http",
        "a%2eexample",
        "ä.example",
        "a\u{0}.example",
        "a\t.example",
        "*",
        "*.example",
        "[::1",
        "::1",
        "[]",
        "[::1]443",
        "[::1%25eth0]",
        "[1.2.3.4]",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "127.1",
        "256.1.1.1",
        "1.2.3.4.5",
        "1.2.3",
        "01.2.3.4",
        "a.example.1",
        "a.0x1f",
        "a.0x",
        &long_label,
        &long_name,
    ] {
        assert_eq!(verdict(&config, &http("a/x", host)), "deny[malformed_host]", "{host}");
    }
    let bytes = http("a/x", "").with(|r| r.authority = Answer::There(b"a\xff.example".to_vec()));
    assert_eq!(verdict(&config, &bytes), "deny[malformed_host]");
    let absent = http("a/x", "").with(|r| r.authority = Answer::Absent);
    assert_eq!(verdict(&config, &absent), "deny[malformed_host]");
}

#[test]
fn what_is_odd_and_means_one_thing_is_a_host() {
    let config = http_config(&json!([allow_all()]));
    let label = format!("{}.example", "a".repeat(63));
    let name = format!("{}example", "a.".repeat(123));
    for host in [
        "localhost",
        "a_b.example",
        "-a-.example",
        "1.example",
        "0x7f.example",
        "a.0xg",
        "a.example:65535",
        &label,
        &name,
    ] {
        assert_eq!(verdict(&config, &http("a/x", host)), "allow[ns[*]-policy[all]-rule[0]]", "{host}");
    }
}

#[test]
fn the_longest_name_is_253_bytes_without_its_dot() {
    let config = http_config(&json!([]));
    let name = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
    assert_eq!(verdict(&config, &http("a/x", &format!("{name}.:80"))), "deny[default_action]");
    assert_eq!(verdict(&config, &http("a/x", &format!("{name}d"))), "deny[malformed_host]");
}

#[test]
fn hosts_of_other_rules_do_not_add_up() {
    let config = http_config(&json!([{"name": "allow", "rules": [
        {"to": [{"operation": {"hosts": ["a.example"], "methods": ["GET"]}}, {"operation": {"hosts": ["b.example"], "methods": ["POST"]}}]},
    ]}]));
    assert!(admits(&config, &http("a/x", "a.example")));
    assert_eq!(verdict(&config, &http("a/x", "a.example").method("POST")), NO_ALLOW);
    assert!(admits(&config, &http("a/x", "b.example").method("POST")));
}
