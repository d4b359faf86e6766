//! Hostile bytes on a real connection: refused by Envoy or by the filter, or decided by rule; and the worker's VM serves
//! the next request.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use egress_lab::client::http::Ask;
use egress_lab::provision::EnvoyBinary;
use egress_tests::h2::H2;
use egress_tests::rig::Rig;
use egress_tests::{raw, suite, tests};
use serde_json::{Value, json};

/// A request and what becomes of it: the status (0: closed without an answer), and with what the response code details begin.
struct Case {
    name: String,
    request: Vec<u8>,
    status: u16,
    details: &'static str,
}

const BY_RULE: &str = "egress_authz_denied[ns[*]-policy[no]-rule[0]]";
const MALFORMED: &str = "egress_authz_denied[malformed_host]";
const PRIVATE: &str = "egress_authz_denied[private_address]";
const ADMITTED: &str = "via_upstream";
/// Envoy refuses the authority before any filter.
const AUTHORITY: &str = "http.invalid_authority";
/// Envoy's parser of HTTP/1 refuses the request.
const CODEC: &str = "http1.codec_error";

fn main() -> ExitCode {
    let tests = tests![
        authorities_are_one_host_or_none,
        odd_literals_are_no_way_around,
        requests_that_are_hardly_http,
        large_heads,
        a_header_that_a_rule_compares_may_hold_any_bytes,
        several_lines_are_compared_joined,
        a_path_that_a_rule_compares_may_hold_any_bytes,
        pipelined_requests_are_decided_each,
        http2_authorities,
        http2_header_bytes,
        http2_paths,
    ];
    suite::run(|| Rig::start(&["a/x"]), tests)
}

/// Everything is admitted but one host, guards aside.
fn not_aliyun() -> Value {
    json!({"defaultAction": "ALLOW", "policies": [{"name": "no", "action": "DENY", "rules": [
        {"to": [{"operation": {"hosts": ["www.aliyun.com"]}}]},
    ]}]})
}

fn host(value: &[u8], status: u16, details: &'static str) -> Case {
    let name = format!("host {:?}", String::from_utf8_lossy(value));
    case(&name, raw::get(&[&[b"host: ", value].concat()]), status, details)
}

fn case(name: &str, request: impl Into<Vec<u8>>, status: u16, details: &'static str) -> Case {
    Case { name: name.to_owned(), request: request.into(), status, details }
}

/// Sends each and asks afterwards, over the same worker, for something that is admitted.
fn play(rig: &mut Rig, policy: Value, cases: &[Case]) -> Result<()> {
    rig.policy(policy)?;
    let mut problems = Vec::new();
    for case in cases {
        let told = rig.raw("a/x", &case.request)?;
        let (status, details) = (told.answer.status, told.entry.details());
        let admitted = u64::from(case.details == ADMITTED);
        if status != case.status || !details.starts_with(case.details) {
            problems.push(format!(
                "{}: {status} {details} {}",
                case.name,
                String::from_utf8_lossy(&told.answer.body)
            ));
        }
        if told.reached != admitted {
            problems.push(format!("{}: {} requests reached the site", case.name, told.reached));
        }
        if let Err(error) = serves_on(rig) {
            problems.push(format!("after {}: {error:#}", case.name));
        }
    }
    ensure!(problems.is_empty(), "\n{}", problems.join("\n"));
    Ok(())
}

/// The one worker's VM is alive and nothing trapped.
fn serves_on(rig: &Rig) -> Result<()> {
    let status = rig.mesh().http("a/x", &Ask::parse("GET http://next.example.com/")?)?.status;
    ensure!(status == 200, "the next request gets {status}");
    let traps = rig.traps();
    ensure!(traps.is_empty(), "{traps:?}");
    Ok(())
}

fn authorities_are_one_host_or_none(rig: &mut Rig) -> Result<()> {
    let label = "l".repeat(300);
    let long = format!("{}com", "abcdefghi.".repeat(26));
    let cases = [
        host(b"www.aliyun.com", 403, BY_RULE),
        host(b"WWW.ALIYUN.COM", 403, BY_RULE),
        host(b"www.aliyun.com.", 403, BY_RULE),
        host(b"www.aliyun.com:80", 403, BY_RULE),
        host(b"www.aliyun.com:65535", 403, BY_RULE),
        host(b"wWw.aLiYuN.com.:8080", 403, BY_RULE),
        host(b"  www.aliyun.com  ", 403, BY_RULE),
        host(b"www.aliyun.com:080", 403, MALFORMED),
        host(b"www.aliyun.com..", 403, MALFORMED),
        host(b".www.aliyun.com", 403, MALFORMED),
        host(b"www..aliyun.com", 403, MALFORMED),
        host(b"user@www.aliyun.com", 403, MALFORMED),
        host(b"user:password@www.aliyun.com:80", 403, MALFORMED),
        host(b"other.example.com@www.aliyun.com", 403, MALFORMED),
        host(b"www.aliyun.com:", 403, MALFORMED),
        host(b"www.aliyun.com:0", 403, MALFORMED),
        host(b"www.aliyun.com:65536", 403, MALFORMED),
        host(b"www.aliyun.com:http", 403, MALFORMED),
        host(b"www.aliyun.com:-1", 403, MALFORMED),
        host(b"www.aliyun.com:+80", 403, MALFORMED),
        host(b"www.aliyun.com:80:80", 403, MALFORMED),
        host(b"www.aliyun.com:80, other.example.com", 400, AUTHORITY),
        host(b"www.aliyun.com other.example.com", 400, AUTHORITY),
        host(b"www.aliyun.com\tother.example.com", 400, AUTHORITY),
        host(b"www.aliyun.com/", 400, AUTHORITY),
        host(b"www.aliyun.com?", 400, AUTHORITY),
        host(b"www.aliyun.com#", 400, AUTHORITY),
        host(b"www.aliyun.com\\other", 400, AUTHORITY),
        host(b"www.aliyun%2ecom", 403, MALFORMED),
        host(b"www.aliyun.com%00", 403, MALFORMED),
        host("www.aliyun\u{ff0e}com".as_bytes(), 400, AUTHORITY),
        host("www.al\u{131}yun.com".as_bytes(), 400, AUTHORITY),
        host(b"\xff", 400, AUTHORITY),
        host(b"www.aliyun.com\xff", 400, AUTHORITY),
        host(b"*", 403, MALFORMED),
        host(b"*.aliyun.com", 403, MALFORMED),
        host(label.as_bytes(), 403, MALFORMED),
        host(long.as_bytes(), 403, MALFORMED),
        host(b"xn--fiqs8s.example.com", 200, ADMITTED),
        host(b"under_score.example.com", 200, ADMITTED),
    ];
    play(rig, not_aliyun(), &cases)
}

fn odd_literals_are_no_way_around(rig: &mut Rig) -> Result<()> {
    let cases = [
        host(b"127.0.0.1", 403, PRIVATE),
        host(b"127.0.0.1.:80", 403, PRIVATE),
        host(b"169.254.169.254", 403, PRIVATE),
        host(b"2130706433", 403, MALFORMED),
        host(b"127.1", 403, MALFORMED),
        host(b"0x7f.1", 403, MALFORMED),
        host(b"0x7f000001", 403, MALFORMED),
        host(b"0177.0.0.1", 403, MALFORMED),
        host(b"127.0.0.01", 403, MALFORMED),
        host(b"256.1.1.1", 403, MALFORMED),
        host(b"1.2.3.4.5", 403, MALFORMED),
        host(b"9.9.9.9", 200, ADMITTED),
        host(b"[::1]", 403, PRIVATE),
        host(b"[::1]:80", 403, PRIVATE),
        host(b"[0:0:0:0:0:0:0:1]", 403, PRIVATE),
        host(b"[::ffff:127.0.0.1]", 403, PRIVATE),
        host(b"[::FFFF:A9FE:A9FE]", 403, PRIVATE),
        host(b"[::127.0.0.1]", 403, PRIVATE),
        host(b"[64:ff9b::7f00:1]", 403, PRIVATE),
        host(b"[2002:7f00:1::]", 403, PRIVATE),
        host(b"[fe80::1]", 403, PRIVATE),
        host(b"[fe80::1%25lo]", 403, MALFORMED),
        host(b"[::1", 403, MALFORMED),
        host(b"::1", 403, MALFORMED),
        host(b"::1]", 403, MALFORMED),
        host(b"[::1]80", 403, MALFORMED),
        host(b"[::1]:", 403, MALFORMED),
        host(b"[]", 403, MALFORMED),
        host(b"[", 403, MALFORMED),
        host(b"]", 403, MALFORMED),
        host(b"[www.aliyun.com]", 403, MALFORMED),
        host(b"[::1]www.aliyun.com", 403, MALFORMED),
        host(b"[2620:fe::fe]", 200, ADMITTED),
    ];
    play(rig, not_aliyun(), &cases)
}

fn requests_that_are_hardly_http(rig: &mut Rig) -> Result<()> {
    let get = |lines: &[&[u8]]| raw::get(lines);
    let line = |first: &[u8], rest: &[u8]| [first, b"\r\n", rest, b"connection: close\r\n\r\n"].concat();
    let cases = [
        case("no Host", get(&[]), 400, "missing_host_header"),
        case("an empty Host", get(&[b"host:"]), 403, MALFORMED),
        case("HTTP/1.0 without Host", line(b"GET / HTTP/1.0", b""), 426, "low_version"),
        case("HTTP/1.0", line(b"GET / HTTP/1.0", b"host: www.aliyun.com\r\n"), 426, "low_version"),
        case("HTTP/0.9", b"GET /\r\n\r\n".as_slice(), 426, "low_version"),
        case(
            "an absolute target and another Host",
            line(b"GET http://www.aliyun.com/ HTTP/1.1", b"host: other.example.com\r\n"),
            403,
            BY_RULE,
        ),
        case(
            "another absolute target and the Host",
            line(b"GET http://other.example.com/ HTTP/1.1", b"host: www.aliyun.com\r\n"),
            200,
            ADMITTED,
        ),
        case(
            "an absolute target with userinfo",
            line(b"GET http://other.example.com@www.aliyun.com/ HTTP/1.1", b"host: other.example.com\r\n"),
            403,
            BY_RULE,
        ),
        case(
            "an absolute target without a host",
            line(b"GET http:///x HTTP/1.1", b"host: other.example.com\r\n"),
            400,
            "http1.invalid_url",
        ),
        case(
            "a target of another scheme",
            line(b"GET ftp://www.aliyun.com/ HTTP/1.1", b"host: other.example.com\r\n"),
            400,
            "http1.invalid_scheme",
        ),
        case("two Hosts", get(&[b"host: other.example.com", b"host: www.aliyun.com"]), 403, MALFORMED),
        case(
            "two equal Hosts",
            get(&[b"host: other.example.com", b"host: other.example.com"]),
            403,
            MALFORMED,
        ),
        case(
            "a header named :authority",
            get(&[b"host: other.example.com", b":authority: www.aliyun.com"]),
            400,
            CODEC,
        ),
        case(
            "NUL in a value",
            get(&[b"host: other.example.com", b"x-any: a\0b"]),
            400,
            "http1.invalid_characters",
        ),
        case(
            "NUL in the Host",
            get(&[b"host: www.aliyun.com\0.example.com"]),
            400,
            "http1.invalid_characters",
        ),
        // Envoy drops a lone CR before anybody looks: what is judged is what the site sees.
        case("CR in a value", get(&[b"host: other.example.com", b"x-any: a\rhost: b"]), 200, ADMITTED),
        case("CR in the Host", get(&[b"host: www.ali\ryun.com"]), 403, BY_RULE),
        case("a Host behind a CR", get(&[b"host: other.example.com\rhost: www.aliyun.com"]), 400, AUTHORITY),
        case("a folded Host", get(&[b"host: other.example.com", b" www.aliyun.com"]), 400, AUTHORITY),
        case("a name with a space", get(&[b"host: other.example.com", b"x any: a"]), 400, CODEC),
        case("a name of \\xff", get(&[b"host: other.example.com", b"\xff: a"]), 400, CODEC),
        case(
            "any bytes in a value",
            get(&[b"host: other.example.com", b"x-any: \xff\xfe\x80"]),
            200,
            ADMITTED,
        ),
        case("a method of \\xff", line(b"G\xffT / HTTP/1.1", b"host: other.example.com\r\n"), 400, CODEC),
        case("an unknown method", line(b"STEAL / HTTP/1.1", b"host: www.aliyun.com\r\n"), 400, CODEC),
        case(
            "length and chunks",
            line(
                b"POST / HTTP/1.1",
                b"host: other.example.com\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n",
            ),
            400,
            "http1.content_length_and_chunked_not_allowed",
        ),
        case(
            "two lengths",
            line(
                b"POST / HTTP/1.1",
                b"host: other.example.com\r\ncontent-length: 5\r\ncontent-length: 6\r\n",
            ),
            400,
            CODEC,
        ),
        case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01".as_slice(), 400, CODEC),
        case("all zeros", [0_u8; 100].as_slice(), 400, CODEC),
    ];
    play(rig, not_aliyun(), &cases)
}

fn large_heads(rig: &mut Rig) -> Result<()> {
    let value = |length: usize| [b"x-large: ".as_slice(), &vec![b'x'; length]].concat();
    let many: Vec<Vec<u8>> = (0..200).map(|at| format!("x-{at}: y").into_bytes()).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    let target = |length: usize| {
        let path = "p".repeat(length);
        format!("GET /{path} HTTP/1.1\r\nhost: other.example.com\r\nconnection: close\r\n\r\n")
    };
    let cases = [
        case(
            "64 KB in one line",
            raw::get(&[b"host: other.example.com", &value(64 * 1024)]),
            431,
            "http1.headers_too_large",
        ),
        case("40 KB in one line", raw::get(&[b"host: other.example.com", &value(40 * 1024)]), 200, ADMITTED),
        case(
            "40 KB beside the refused host",
            raw::get(&[&value(40 * 1024), b"host: www.aliyun.com"]),
            403,
            BY_RULE,
        ),
        case(
            "200 lines",
            raw::get(&[&[b"host: other.example.com".as_slice()], many.as_slice()].concat()),
            431,
            "http1.too_many_headers",
        ),
        case(
            "a Host of 40 KB",
            raw::get(&[&[b"host: ".as_slice(), &vec![b'h'; 40 * 1024]].concat()]),
            403,
            MALFORMED,
        ),
        case("a target of 40 KB", target(40 * 1024), 200, ADMITTED),
    ];
    play(rig, not_aliyun(), &cases)
}

/// DENY by `request.headers[x-team]` for one host.
fn by_header(conditions: Value) -> Value {
    let mut when = json!({"key": "request.headers[x-team]"});
    if let (Some(fields), Some(more)) = (when.as_object_mut(), conditions.as_object()) {
        fields.extend(more.clone());
    }
    json!({"defaultAction": "ALLOW", "policies": [{"name": "no", "action": "DENY", "rules": [
        {"to": [{"operation": {"hosts": ["other.example.com"]}}], "when": [when]},
    ]}]})
}

fn team(lines: &[&[u8]], status: u16, details: &'static str) -> Case {
    let mut all: Vec<Vec<u8>> = vec![b"host: other.example.com".to_vec()];
    all.extend(lines.iter().map(|line| [b"x-team: ".as_slice(), line].concat()));
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let name: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    case(&format!("x-team {name:?}"), raw::get(&all), status, details)
}

fn a_header_that_a_rule_compares_may_hold_any_bytes(rig: &mut Rig) -> Result<()> {
    play(
        rig,
        by_header(json!({"values": ["red", "blue*", "*green"]})),
        &[
            team(&[b"red"], 403, BY_RULE),
            team(&[b"RED"], 200, ADMITTED),
            team(&[b"red\xff"], 200, ADMITTED),
            team(&[b"blue\xff\xfe"], 403, BY_RULE),
            team(&[b"\xffgreen"], 403, BY_RULE),
            team(&[b"\xff"], 200, ADMITTED),
            team(&["r\u{e9}d".as_bytes()], 200, ADMITTED),
            team(&[], 200, ADMITTED),
        ],
    )?;
    play(
        rig,
        by_header(json!({"values": ["*"]})),
        &[team(&[b"\xff"], 403, BY_RULE), team(&[b""], 200, ADMITTED), team(&[], 200, ADMITTED)],
    )?;
    play(
        rig,
        by_header(json!({"notValues": ["red"]})),
        &[team(&[b"red"], 200, ADMITTED), team(&[b"\xff"], 403, BY_RULE)],
    )
}

fn several_lines_are_compared_joined(rig: &mut Rig) -> Result<()> {
    play(
        rig,
        by_header(json!({"values": ["red,blue", "*\u{e9},x"]})),
        &[
            team(&[b"red", b"blue"], 403, BY_RULE),
            team(&[b"red,blue"], 403, BY_RULE),
            team(&[b"blue", b"red"], 200, ADMITTED),
            team(&[b"red"], 200, ADMITTED),
            team(&[b"red", b"\xff"], 200, ADMITTED),
            team(&["\u{e9}".as_bytes(), b"x"], 403, BY_RULE),
        ],
    )
}

fn a_path_that_a_rule_compares_may_hold_any_bytes(rig: &mut Rig) -> Result<()> {
    let path = |path: &[u8], status, details| {
        let request =
            [b"GET ", path, b" HTTP/1.1\r\nhost: other.example.com\r\nconnection: close\r\n\r\n"].concat();
        case(&format!("path {:?}", String::from_utf8_lossy(path)), request, status, details)
    };
    let policy = json!({"defaultAction": "ALLOW", "policies": [{"name": "no", "action": "DENY", "rules": [
        {"to": [{"operation": {"paths": ["/admin", "/secret/{**}"]}}]},
    ]}]});
    play(
        rig,
        policy,
        &[
            path(b"/admin", 403, BY_RULE),
            path(b"/admin?x=y", 403, BY_RULE),
            path(b"/other/../admin", 403, BY_RULE),
            path(b"/secret/%ff%fe", 403, BY_RULE),
            path(b"/admin?x=\xff", 400, CODEC),
            path(b"/secret/a%00b", 400, "path_normalization_failed"),
            path(b"/\xff", 400, CODEC),
            path(b"/%ff", 200, ADMITTED),
        ],
    )
}

fn pipelined_requests_are_decided_each(rig: &mut Rig) -> Result<()> {
    rig.policy(not_aliyun())?;
    let before = rig.mesh().world().seen();
    let mut stream = rig.connect("a/x", "http/1.1")?;
    let request = |host: &str, more: &str| format!("GET / HTTP/1.1\r\nhost: {host}\r\n{more}\r\n");
    let all = [
        request("one.example.com", ""),
        request("two.example.com", ""),
        request("www.aliyun.com", ""),
        // Envoy ends the connection after an answer of its own, whichever filter gave it, where more is waiting.
        request("three.example.com", ""),
    ];
    stream.send(all.concat().as_bytes())?;
    let answers = String::from_utf8_lossy(&stream.receive_all()?).into_owned();
    let statuses: Vec<&str> =
        answers.match_indices("HTTP/1.1 ").filter_map(|(at, _)| answers.get(at + 9..at + 12)).collect();
    ensure!(statuses == ["200", "200", "403"], "{statuses:?}");
    let after = rig.mesh().world().seen();
    ensure!(after.requests_for("www.aliyun.com") == before.requests_for("www.aliyun.com"));
    ensure!(after.reached() - before.reached() == 2);
    serves_on(rig)
}

/// A request in HTTP/2 and what becomes of it.
type Case2 = (&'static str, Vec<(&'static [u8], Vec<u8>)>, &'static str, &'static str);

fn play2(rig: &mut Rig, policy: Value, cases: &[Case2]) -> Result<()> {
    rig.policy(policy)?;
    let mut problems = Vec::new();
    for (name, headers, status, details) in cases {
        let headers: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        // Kept open until the access log has it: Envoy takes a second to close a connection that broke the protocol.
        let told = rig.over(rig.connect("a/x", "h2")?, |stream| H2::open(stream, &headers, true))?;
        let seen = (told.entry.text("response_code"), told.entry.details());
        if seen.0 != *status || !seen.1.starts_with(details) {
            problems.push(format!("{name}: {seen:?}"));
        }
        if told.reached != u64::from(*details == ADMITTED) {
            problems.push(format!("{name}: {} requests reached the site", told.reached));
        }
        if let Err(error) = serves_on(rig) {
            problems.push(format!("after {name}: {error:#}"));
        }
    }
    ensure!(problems.is_empty(), "\n{}", problems.join("\n"));
    Ok(())
}

fn get2(more: &[(&'static [u8], &[u8])]) -> Vec<(&'static [u8], Vec<u8>)> {
    let base: [(&[u8], &[u8]); 3] = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")];
    base.iter().chain(more).map(|(name, value)| (*name, value.to_vec())).collect()
}

fn http2_authorities(rig: &mut Rig) -> Result<()> {
    const OTHER: (&[u8], &[u8]) = (b":authority", b"other.example.com");
    const ALIYUN: (&[u8], &[u8]) = (b":authority", b"www.aliyun.com");
    // Envoy itself refuses it from 1.37 on.
    let empty = if EnvoyBinary::find()?.minor() >= 37 { ("0", "http2") } else { ("403", MALFORMED) };
    play2(
        rig,
        not_aliyun(),
        &[
            (":authority", get2(&[OTHER]), "200", ADMITTED),
            ("the refused :authority", get2(&[ALIYUN]), "403", BY_RULE),
            (
                "the refused :authority beside a host",
                get2(&[ALIYUN, (b"host", b"other.example.com")]),
                "403",
                BY_RULE,
            ),
            (
                ":authority beside the refused host",
                get2(&[OTHER, (b"host", b"www.aliyun.com")]),
                "200",
                ADMITTED,
            ),
            ("a host and no :authority", get2(&[(b"host", b"www.aliyun.com")]), "403", BY_RULE),
            ("neither", get2(&[]), "0", "http2"),
            ("an empty :authority", get2(&[(b":authority", b"")]), empty.0, empty.1),
            ("two :authority", get2(&[OTHER, ALIYUN]), "0", "http2"),
            ("userinfo", get2(&[(b":authority", b"other.example.com@www.aliyun.com")]), "0", "http2"),
            ("\\xff", get2(&[(b":authority", b"www.aliyun.com\xff")]), "0", "http2"),
            ("NUL", get2(&[(b":authority", b"www.aliyun.com\0")]), "0", "http2"),
            ("[::1", get2(&[(b":authority", b"[::1")]), "403", MALFORMED),
            ("upper case and port", get2(&[(b":authority", b"WWW.Aliyun.COM.:443")]), "403", BY_RULE),
            ("a port with a zero", get2(&[(b":authority", b"www.aliyun.com:080")]), "403", MALFORMED),
            ("percent", get2(&[(b":authority", b"www.aliyun%2ecom")]), "403", MALFORMED),
            ("a decimal literal", get2(&[(b":authority", b"2130706433")]), "403", MALFORMED),
        ],
    )
}

fn http2_header_bytes(rig: &mut Rig) -> Result<()> {
    const OTHER: (&[u8], &[u8]) = (b":authority", b"other.example.com");
    play2(
        rig,
        by_header(json!({"values": ["red,blue", "green*"]})),
        &[
            ("\\xff", get2(&[OTHER, (b"x-team", b"\xff")]), "200", ADMITTED),
            ("\\xff behind a prefix", get2(&[OTHER, (b"x-team", b"green\xff")]), "403", BY_RULE),
            ("two lines", get2(&[OTHER, (b"x-team", b"red"), (b"x-team", b"blue")]), "403", BY_RULE),
            ("NUL", get2(&[OTHER, (b"x-team", b"gre\0en")]), "0", "http2"),
            ("CR LF", get2(&[OTHER, (b"x-team", b"a\r\nhost: www.aliyun.com")]), "0", "http2"),
            ("an upper-case name", get2(&[OTHER, (b"X-Team", b"green")]), "0", "http2"),
            (
                "a method of \\xff",
                vec![
                    (b":method", b"\xff".to_vec()),
                    (b":scheme", b"http".to_vec()),
                    (b":path", b"/".to_vec()),
                    (b":authority", b"other.example.com".to_vec()),
                ],
                "0",
                "http2",
            ),
        ],
    )
}

fn http2_paths(rig: &mut Rig) -> Result<()> {
    let path = |path: &[u8]| -> Vec<(&'static [u8], Vec<u8>)> {
        let pairs: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"other.example.com"),
            (b":path", path),
        ];
        pairs.into_iter().map(|(name, value)| (name, value.to_vec())).collect()
    };
    let policy = json!({"defaultAction": "ALLOW", "policies": [{"name": "no", "action": "DENY", "rules": [
        {"to": [{"operation": {"paths": ["/secret/{**}", "*/admin"]}}]},
    ]}]});
    play2(
        rig,
        policy,
        &[
            ("admitted", path(b"/other"), "200", ADMITTED),
            ("dots", path(b"/other/../secret/a"), "403", BY_RULE),
            ("percent", path(b"/secret/%ff"), "403", BY_RULE),
            ("\\xff", path(b"/secret/\xff"), "403", BY_RULE),
            ("\\xff before the suffix", path(b"/\xff/admin"), "403", BY_RULE),
            ("a fragment", path(b"/secret/a#b"), "400", "path_normalization_failed"),
            ("empty", path(b""), "0", "http2"),
            ("no slash", path(b"secret/a"), "0", "http2"),
            ("NUL", path(b"/secret/\0"), "0", "http2"),
        ],
    )
}
