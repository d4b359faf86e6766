//! What HTTP can be besides a plain GET: gRPC, HTTP/2, CONNECT, upgrades, bodies and trailers, each refused and admitted.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use egress_lab::client::Stream;
use egress_lab::client::http::Ask;
use egress_tests::h2::{Frame, H2};
use egress_tests::rig::{Rig, allow_all};
use egress_tests::{raw, suite, tests};
use serde_json::{Value, json};

const REASON: &str = "ns[*]-policy[no]-rule[0]";

fn main() -> ExitCode {
    let tests = tests![
        http1_and_http2_are_decided_alike,
        one_connection_carries_requests_of_either_verdict,
        grpc_is_refused_with_its_own_status,
        connect_over_http1,
        connect_over_http2,
        the_path_of_a_connect_is_unknown,
        a_server_name_that_was_not_sent_is_unknown,
        websocket_over_http1,
        websocket_over_http2,
        the_path_of_a_websocket_is_known,
        a_refused_body_reaches_nobody,
        an_admitted_body_arrives_whole,
        trailers_pass_and_are_refused_with_their_request,
        the_denial_says_what_it_is_told_to_say,
        a_placeholder_without_a_value_is_empty,
        a_refusal_that_teaches_stays_json,
        a_header_that_teaches_stays_one_header,
    ];
    suite::run(|| Rig::start(&["a/x", "b/y"]), tests)
}

/// Everybody may go everywhere, but for what these rules say.
fn all_but(rules: Value) -> Value {
    json!({"defaultAction": "ALLOW", "policies": [{"name": "no", "action": "DENY", "rules": rules}]})
}

fn not_b() -> Value {
    all_but(json!([{"from": [{"source": {"namespaces": ["b"]}}]}]))
}

fn http1_and_http2_are_decided_alike(rig: &mut Rig) -> Result<()> {
    rig.policy(not_b())?;
    let ask = Ask::parse("GET http://www.example.com/")?;
    for (who, status) in [("a/x", 200), ("b/y", 403)] {
        let one = rig.over(rig.connect(who, "http/1.1")?, |stream| stream.http1(&ask))?;
        let two = rig.over(rig.connect(who, "h2")?, |stream| stream.http2(&ask))?;
        for (told, protocol) in [(one, "HTTP/1.1"), (two, "HTTP/2")] {
            ensure!(told.answer.status == status, "{who} {protocol}: {}", told.answer.status);
            ensure!(told.entry.text("protocol") == protocol, "{}", told.entry.text("protocol"));
            ensure!(told.reached == u64::from(status == 200), "{who} {protocol}: {} reached", told.reached);
            if status == 403 {
                ensure!(told.reason() == REASON, "{}", told.reason());
                ensure!(told.answer.text() == "RBAC: access denied", "{}", told.answer.text());
                ensure!(told.answer.header("content-type") == "text/plain");
            }
        }
    }
    Ok(())
}

fn one_connection_carries_requests_of_either_verdict(rig: &mut Rig) -> Result<()> {
    rig.policy(all_but(json!([{"to": [{"operation": {"hosts": ["refused.example.com"]}}]}])))?;
    let before = rig.mesh().world().seen().reached();
    let mut stream = rig.connect("a/x", "http/1.1")?;
    for (host, status) in [("admitted", "200"), ("refused", "403"), ("admitted", "200"), ("refused", "403")] {
        stream.send(format!("GET / HTTP/1.1\r\nhost: {host}.example.com\r\n\r\n").as_bytes())?;
        let mut answer = stream.receive_until(b"\r\n\r\n")?;
        // Each body has its end: the site's JSON a newline, the refusal its last word.
        let end: &[u8] = if status == "200" { b"}\n" } else { b"access denied" };
        if !answer.ends_with(end) {
            answer.extend(stream.receive_until(end)?);
        }
        ensure!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{host} after others");
    }
    ensure!(rig.mesh().world().seen().reached() - before == 2);
    Ok(())
}

fn grpc_is_refused_with_its_own_status(rig: &mut Rig) -> Result<()> {
    rig.policy(not_b())?;
    let ask = Ask::parse("POST http://grpc.example.com/Service/Method")?
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .with_body(b"\0\0\0\0\x02hi".to_vec());
    let admitted = rig.over(rig.connect("a/x", "h2")?, |stream| stream.http2(&ask))?;
    ensure!(admitted.answer.trailers.get("grpc-status").is_some_and(|status| status == "0"));
    ensure!(admitted.answer.body == ask.body, "the message comes back");

    let refused = rig.over(rig.connect("b/y", "h2")?, |stream| stream.http2(&ask))?;
    ensure!(refused.answer.status == 200, "{}", refused.answer.status);
    ensure!(refused.answer.header("grpc-status") == "7", "{:?}", refused.answer.headers);
    ensure!(refused.answer.header("grpc-message") == "RBAC: access denied", "{:?}", refused.answer.headers);
    ensure!(refused.answer.body.is_empty() && refused.reached == 0);
    ensure!(refused.reason() == REASON, "{}", refused.reason());

    // gRPC over HTTP/1.1 (as gRPC-Web proxies send it) gets the same.
    let refused = rig.over(rig.connect("b/y", "http/1.1")?, |stream| stream.http1(&ask))?;
    ensure!(refused.answer.header("grpc-status") == "7" && refused.reached == 0);

    // "Always": whatever `denyResponse` says.
    let mut policy = not_b();
    if let Some(fields) = policy.as_object_mut() {
        fields.insert("denyResponse".to_owned(), json!({"status": 451, "body": "no"}));
    }
    rig.policy(policy)?;
    let refused = rig.over(rig.connect("b/y", "h2")?, |stream| stream.http2(&ask))?;
    ensure!(refused.answer.status == 200, "{}", refused.answer.status);
    ensure!(refused.answer.header("grpc-status") == "7", "{:?}", refused.answer.headers);
    ensure!(refused.answer.header("grpc-message") == "no", "{:?}", refused.answer.headers);
    Ok(())
}

/// Bytes flow through what was opened, both ways.
fn echoes(stream: &mut Stream) -> Result<()> {
    for word in ["ping", "pong"] {
        stream.send(word.as_bytes())?;
        ensure!(stream.receive_until(word.as_bytes())? == word.as_bytes());
    }
    Ok(())
}

const CONNECT: &[u8] = b"CONNECT tunnel.example.com:443 HTTP/1.1\r\nhost: tunnel.example.com:443\r\n\r\n";
const WEBSOCKET: &[u8] =
    b"GET /chat HTTP/1.1\r\nhost: ws.example.com\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Opens a tunnel, or is refused it; `b"HTTP/1.1 <status>"` decides.
fn opens(rig: &Rig, who: &str, request: &[u8], status: &[u8]) -> Result<()> {
    let mut stream = rig.connect(who, "http/1.1")?;
    stream.send(request)?;
    let answer = stream.receive_until(b"\r\n\r\n")?;
    ensure!(answer.starts_with(status), "{who}: {}", String::from_utf8_lossy(&answer));
    echoes(&mut stream)
}

/// Is refused; whatever is sent after it does not reach the site.
fn is_refused(rig: &Rig, who: &str, request: &[u8], reason: &str) -> Result<()> {
    let told = rig.raw(who, &[request, b"smuggled"].concat())?;
    ensure!(told.answer.status == 403, "{who}: {}", told.answer.status);
    ensure!(told.reason() == reason, "{who}: {}", told.reason());
    ensure!(told.reached == 0, "{who}: {} reached the site", told.reached);
    Ok(())
}

fn connect_over_http1(rig: &mut Rig) -> Result<()> {
    rig.policy(not_b())?;
    opens(rig, "a/x", CONNECT, b"HTTP/1.1 200")?;
    is_refused(rig, "b/y", CONNECT, REASON)?;
    // Host and method of a CONNECT are known.
    rig.policy(all_but(json!([{"to": [{"operation": {"hosts": ["tunnel.example.com:443"]}}]}])))?;
    is_refused(rig, "a/x", CONNECT, REASON)?;
    rig.policy(all_but(json!([{"to": [{"operation": {"methods": ["CONNECT"]}}]}])))?;
    is_refused(rig, "a/x", CONNECT, REASON)
}

/// Opens a tunnel in HTTP/2, or is refused it; tells the access log's status and reason.
fn tunnel_in_http2(rig: &Rig, who: &str, headers: &[(&[u8], &[u8])]) -> Result<(String, String)> {
    let told = rig.over(rig.connect(who, "h2")?, |stream| {
        let mut tunnel = H2::open(stream, headers, false)?;
        let first = tunnel.receive()?;
        if first == (Frame::Headers { end: false }) {
            tunnel.send(b"ping", false)?;
            let frame = tunnel.receive()?;
            // What comes back is either the echo or the refusal's body.
            return Ok(frame == (Frame::Data { bytes: b"ping".to_vec(), end: false }));
        }
        Ok(false)
    })?;
    let status = told.entry.text("response_code");
    // Envoy logs the upgrade as the site answered it, 101 and not the client's 200.
    let status = if status == "101" { "200".to_owned() } else { status };
    ensure!(told.answer == (status == "200"), "{who}: echo {}, status {status}", told.answer);
    ensure!(told.reached == u64::from(told.answer), "{who}: {} reached the site", told.reached);
    Ok((status, told.reason()))
}

fn connect_over_http2(rig: &mut Rig) -> Result<()> {
    let headers: &[(&[u8], &[u8])] = &[(b":method", b"CONNECT"), (b":authority", b"tunnel.example.com:443")];
    rig.policy(not_b())?;
    let admitted = tunnel_in_http2(rig, "a/x", headers)?;
    ensure!(admitted == ("200".to_owned(), String::new()), "{admitted:?}");
    let refused = tunnel_in_http2(rig, "b/y", headers)?;
    ensure!(refused == ("403".to_owned(), REASON.to_owned()), "{refused:?}");
    Ok(())
}

/// Unknown matches for DENY and does not match for ALLOW.
fn the_path_of_a_connect_is_unknown(rig: &mut Rig) -> Result<()> {
    for paths in [json!({"paths": ["/never"]}), json!({"notPaths": ["/never"]})] {
        rig.policy(all_but(json!([{"to": [{"operation": paths}]}])))?;
        is_refused(rig, "a/x", CONNECT, REASON)?;
        rig.policy(json!({"policies": [{"name": "yes", "rules": [{"to": [{"operation": paths}]}]}]}))?;
        is_refused(rig, "a/x", CONNECT, "no_allow_matched")?;
    }
    let headers: &[(&[u8], &[u8])] = &[(b":method", b"CONNECT"), (b":authority", b"tunnel.example.com:443")];
    rig.policy(all_but(json!([{"to": [{"operation": {"paths": ["/never"]}}]}])))?;
    let refused = tunnel_in_http2(rig, "a/x", headers)?;
    ensure!(refused == ("403".to_owned(), REASON.to_owned()), "{refused:?}");
    Ok(())
}

/// The same for the other attribute that an HTTP request can lack.
fn a_server_name_that_was_not_sent_is_unknown(rig: &mut Rig) -> Result<()> {
    let request = raw::get(&[b"host: www.example.com"]);
    for values in ["values", "notValues"] {
        let when = json!([{"when": [{"key": "connection.sni", values: ["other.example.com"]}]}]);
        rig.policy(all_but(when.clone()))?;
        is_refused(rig, "a/x", &request, REASON)?;
        rig.policy(json!({"policies": [{"name": "yes", "rules": when}]}))?;
        is_refused(rig, "a/x", &request, "no_allow_matched")?;
    }
    // Through the sidecar it is sent, and is another.
    let when = json!([{"when": [{"key": "connection.sni", "values": ["other.example.com"]}]}]);
    rig.policy(all_but(when))?;
    ensure!(rig.status("a/x", "http://www.example.com/")? == 200);
    Ok(())
}

fn websocket_over_http1(rig: &mut Rig) -> Result<()> {
    rig.policy(not_b())?;
    opens(rig, "a/x", WEBSOCKET, b"HTTP/1.1 101")?;
    is_refused(rig, "b/y", WEBSOCKET, REASON)
}

/// RFC 8441: the upgrade of HTTP/2 is a CONNECT with a protocol and a path.
const WEBSOCKET2: &[(&[u8], &[u8])] = &[
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"http"),
    (b":path", b"/chat"),
    (b":authority", b"ws.example.com"),
];

fn websocket_over_http2(rig: &mut Rig) -> Result<()> {
    rig.policy(not_b())?;
    let admitted = tunnel_in_http2(rig, "a/x", WEBSOCKET2)?;
    ensure!(admitted == ("200".to_owned(), String::new()), "{admitted:?}");
    let refused = tunnel_in_http2(rig, "b/y", WEBSOCKET2)?;
    ensure!(refused == ("403".to_owned(), REASON.to_owned()), "{refused:?}");
    Ok(())
}

fn the_path_of_a_websocket_is_known(rig: &mut Rig) -> Result<()> {
    rig.policy(all_but(json!([{"to": [{"operation": {"paths": ["/other"]}}]}])))?;
    opens(rig, "a/x", WEBSOCKET, b"HTTP/1.1 101")?;
    ensure!(tunnel_in_http2(rig, "a/x", WEBSOCKET2)?.0 == "200");
    rig.policy(all_but(json!([{"to": [{"operation": {"paths": ["/chat"], "methods": ["GET"]}}]}])))?;
    is_refused(rig, "a/x", WEBSOCKET, REASON)?;
    let refused = tunnel_in_http2(rig, "a/x", WEBSOCKET2)?;
    ensure!(refused == ("403".to_owned(), REASON.to_owned()), "{refused:?}");
    Ok(())
}

fn a_refused_body_reaches_nobody(rig: &mut Rig) -> Result<()> {
    rig.policy(not_b())?;
    let connects = rig.mesh().world().seen().connects();
    let mut request =
        b"POST /up HTTP/1.1\r\nhost: www.example.com\r\ncontent-length: 5000000\r\n\r\n".to_vec();
    request.resize(request.len() + 5_000_000, b'x');
    let told = rig.raw("b/y", &request)?;
    ensure!(told.answer.status == 403 && told.reached == 0, "{:?}", told.answer);

    let body = vec![b'x'; 2_000_000];
    let ask = Ask::parse("POST http://www.example.com/up")?.with_body(body);
    let refused = rig.over(rig.connect("b/y", "h2")?, |stream| stream.http2(&ask))?;
    ensure!(refused.answer.status == 403 && refused.reached == 0, "{}", refused.answer.status);
    ensure!(rig.mesh().world().seen().connects() == connects, "nobody was dialled");
    Ok(())
}

fn an_admitted_body_arrives_whole(rig: &mut Rig) -> Result<()> {
    rig.policy(not_b())?;
    let ask = Ask::parse("POST http://www.example.com/up")?.with_body(vec![b'x'; 5_000_000]);
    let told = rig.ask("a/x", &ask)?;
    ensure!(told.answer.status == 200);
    ensure!(told.answer.json().pointer("/body/bytes") == Some(&json!(5_000_000)), "{}", told.answer.text());
    Ok(())
}

fn trailers_pass_and_are_refused_with_their_request(rig: &mut Rig) -> Result<()> {
    rig.policy(not_b())?;
    let request = b"POST /t HTTP/1.1\r\nhost: www.example.com\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nconnection: close\r\n\r\n\
        5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    let admitted = rig.raw("a/x", request)?;
    ensure!(admitted.answer.status == 200 && admitted.reached == 1, "{:?}", admitted.answer);
    let refused = rig.raw("b/y", request)?;
    ensure!(refused.answer.status == 403 && refused.reached == 0, "{:?}", refused.answer);
    ensure!(refused.reason() == REASON, "{}", refused.reason());
    Ok(())
}

fn the_denial_says_what_it_is_told_to_say(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({
        "denyResponse": {
            "status": 451,
            "body": "ask the platform team\n",
            "headers": {
                "x-egress-reason": "{reason}",
                "x-egress-policy": "{policy}/{rule} of {namespace} for {host}",
                "content-type": "text/html",
            },
        },
        "policies": [{"name": "two", "namespace": "b", "action": "DENY", "rules": [
            {"to": [{"operation": {"methods": ["PUT"]}}]},
            {"to": [{"operation": {"hosts": ["*.example.com"]}}]},
        ]}],
    }))?;
    let told = rig.ask("b/y", &Ask::parse("GET http://WWW.Example.com:8080/")?)?;
    ensure!(told.answer.status == 451, "{}", told.answer.status);
    ensure!(told.answer.text() == "ask the platform team\n");
    ensure!(
        told.answer.header("x-egress-reason") == "ns[b]-policy[two]-rule[1]",
        "{:?}",
        told.answer.headers
    );
    ensure!(
        told.answer.header("x-egress-policy") == "two/1 of b for www.example.com",
        "{:?}",
        told.answer.headers
    );
    let types: Vec<_> = told.answer.headers.get_all("content-type").iter().collect();
    ensure!(types == ["text/html"], "{types:?}");
    ensure!(told.reason() == "ns[b]-policy[two]-rule[1]" && told.reached == 0);
    Ok(())
}

fn a_placeholder_without_a_value_is_empty(rig: &mut Rig) -> Result<()> {
    let headers =
        json!({"x-told": "[{policy}{rule}{host}]", "x-reason": "{reason}", "x-namespace": "<{namespace}>"});
    let mut policy = allow_all();
    if let Some(fields) = policy.as_object_mut() {
        fields.insert("denyResponse".to_owned(), json!({"headers": headers}));
    }
    rig.policy(policy)?;
    let told = rig.raw("b/y", &raw::get(&[b"host: evil%0d%0aset-cookie"]))?;
    ensure!(told.answer.status == 403 && told.reached == 0, "{:?}", told.answer);
    ensure!(told.answer.header("x-told") == "[]", "{:?}", told.answer.headers);
    ensure!(told.answer.header("x-reason") == "malformed_host", "{:?}", told.answer.headers);
    let foreign = rig.raw("spiffe://other.example/ns/b/sa/y", &raw::get(&[b"host: www.example.com"]))?;
    ensure!(foreign.answer.header("x-namespace") == "<>", "{:?}", foreign.answer.headers);
    ensure!(foreign.answer.header("x-reason") == "untrusted_domain");
    ensure!(foreign.answer.status == 403 && foreign.reached == 0);
    Ok(())
}

/// Whatever an owner wrote is a string of the body's JSON; gRPC clients get it as their message.
fn a_refusal_that_teaches_stays_json(rig: &mut Rig) -> Result<()> {
    let owner = "team \"a\", \\ \r\n\r\n\u{2028}\u{85} \u{e4}\u{1f980} {host} </script>";
    let body = r#"{"type":"about:blank","detail":"{reason} of {owner}: {}","policy":"{policy}","rule":"{rule}","host":"{host}","ns":"{namespace}"}"#;
    rig.policy(json!({
        "denyResponse": {"body": body, "contentType": "application/problem+json"},
        "policies": [
            {"name": "no", "action": "DENY", "owner": owner, "rules": [{"to": [{"operation": {"methods": ["PUT"]}}]}]},
            {"name": "yes", "rules": [{"from": [{"source": {"namespaces": ["a"]}}]}]},
        ],
    }))?;
    for (who, method, policy, reason, owner) in
        [("b/y", "PUT", "no", "ns[*]-policy[no]-rule[0]", owner), ("b/y", "GET", "", "no_allow_matched", "")]
    {
        let ask = Ask::parse(&format!("{method} http://WWW.example.com:8080/"))?;
        for protocol in ["http/1.1", "h2"] {
            let told = rig.over(rig.connect(who, protocol)?, |stream| {
                if protocol == "h2" { stream.http2(&ask) } else { stream.http1(&ask) }
            })?;
            ensure!(told.answer.status == 403 && told.reached == 0, "{:?}", told.answer);
            ensure!(
                told.answer.header("content-type") == "application/problem+json",
                "{:?}",
                told.answer.headers
            );
            let json: Value = serde_json::from_str(&told.answer.text())?;
            let rule = if policy.is_empty() { "" } else { "0" };
            let expected = json!({
                "type": "about:blank", "detail": format!("{reason} of {owner}: {{}}"), "policy": policy,
                "rule": rule, "host": "www.example.com", "ns": "b",
            });
            ensure!(json == expected, "{json}");
        }
    }
    Ok(())
}

fn a_header_that_teaches_stays_one_header(rig: &mut Rig) -> Result<()> {
    rig.policy(json!({
        "denyResponse": {"headers": {"x-ask": "<{owner}>"}},
        "policies": [{"name": "no", "action": "DENY", "owner": "a\r\nset-cookie: b\r\n\r\n\u{e4}\u{0}", "rules": [{}]}],
    }))?;
    let ask = Ask::parse("GET http://www.example.com/")?;
    for protocol in ["http/1.1", "h2"] {
        let told = rig.over(rig.connect("b/y", protocol)?, |stream| {
            if protocol == "h2" { stream.http2(&ask) } else { stream.http1(&ask) }
        })?;
        let wanted = "<a%0D%0Aset-cookie: b%0D%0A%0D%0A%C3%A4%00>";
        ensure!(told.answer.header("x-ask") == wanted, "{:?}", told.answer.headers);
        ensure!(told.answer.headers.get("set-cookie").is_none(), "{:?}", told.answer.headers);
        ensure!(
            told.answer.text() == "RBAC: access denied" && told.answer.header("content-type") == "text/plain"
        );
    }
    Ok(())
}
