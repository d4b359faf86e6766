//! Headers and paths.

use egress_lab::provision::EnvoyBinary;

use super::{differs, get, load};
use crate::bench::Bench;
use crate::model::{Protocol, Request};

fn with_headers(headers: &[(&str, &str)]) -> Request {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Request { headers, ..get("www.example.com") }
}

#[test]
fn an_empty_header_is_no_value() {
    let yaml = "policies: [{name: p, rules: [{when: [{key: 'request.headers[x-team]', values: ['*']}]}]}]";
    differs(yaml, &with_headers(&[("x-team", "")]), "deny[no_allow_matched]", "allow");
}

#[test]
fn several_lines_of_a_header_are_one_value() {
    let yaml = |value| {
        format!(
            "policies: [{{name: p, rules: [{{when: [{{key: 'request.headers[x-team]', values: ['{value}']}}]}}]}}]"
        )
    };
    let twice = with_headers(&[("x-team", "red"), ("x-team", "blue")]);
    let (joined, alone) = ("allow[ns[*]-policy[p]-rule[0]]", "deny[no_allow_matched]");
    // Envoy joined them, too, until 1.37.
    let each_line = EnvoyBinary::find().unwrap().minor() >= 38;
    differs(&yaml("red"), &twice, alone, if each_line { "allow" } else { "deny[none]" });
    differs(&yaml("red,blue"), &twice, joined, if each_line { "deny[none]" } else { "allow" });
}

#[test]
fn a_byte_outside_the_alphabet_of_templates_does_not_evade_a_deny() {
    let yaml = "policies: [{name: p, action: DENY, rules: [{to: [{operation: {paths: ['/secret/{**}']}}]}]}]";
    let request = Request { path: "/secret/a[b]".to_owned(), ..get("www.example.com") };
    differs(yaml, &request, "deny[ns[*]-policy[p]-rule[0]]", "allow");
}

#[test]
fn a_path_is_all_of_its_readings() {
    let yaml = |readings: &str| {
        format!(
            "pathReadings: {readings}\npolicies: [{{name: p, action: DENY, rules: [{{to: [{{operation: {{paths: [/admin]}}}}]}}]}}]"
        )
    };
    for path in ["/admin;x", "//admin", "/x/..%2fadmin", "/x/..%3b/admin", "/%2561dmin"] {
        let request = Request { path: path.to_owned(), ..get("www.example.com") };
        differs(&yaml("ALL"), &request, "deny[ns[*]-policy[p]-rule[0]]", "allow");
        differs(&yaml("LITERAL"), &request, "allow[default_action]", "allow");
    }
}

#[test]
fn the_path_of_a_connect_is_unknown() {
    let bench = Bench::shared(Protocol::Http);
    let mut bench = Bench::turn(&bench);
    let yaml = "policies: [{name: p, action: DENY, rules: [{to: [{operation: {paths: ['/secret']}}]}]}]";
    load(&mut bench, Protocol::Http, yaml);
    let connect = Request { method: "CONNECT".to_owned(), ..get("www.example.com:443") };
    let answers = bench.ask(&[connect], false).unwrap().remove(0);
    assert_eq!((answers.ours.allowed, answers.native.allowed), (false, true));
}
