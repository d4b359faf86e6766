//! The mesh without our filter: what the lab itself must be able to do for its verdicts to mean anything.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers too")]

use std::time::Duration;

use egress_lab::client::http::Ask;
use egress_lab::client::{Closed, Stream, Tls};
use egress_lab::filter::Filter;
use egress_lab::gateway::Update;
use egress_lab::mesh::Mesh;
use egress_lab::scenario::Scenario;
use egress_lab::shape::{Cluster, ConnectMode, Kind, Listener, Shape, Site, TcpRoute};
use egress_lab::sidecar::Workload;
use egress_lab::token::Issuer;
use egress_lab::upstream;
use egress_lab::world::BANNER;
use serde_json::{Value, json};

fn get(url: &str) -> Ask {
    Ask::parse(&format!("GET {url}")).unwrap()
}

/// Native RBAC that refuses one namespace.
fn rbac_without(namespace: &str) -> Value {
    json!({"rules": {"action": "DENY", "policies": {"no": {
        "permissions": [{"any": true}],
        "principals": [{"authenticated": {"principal_name": {"prefix": format!("spiffe://cluster.local/ns/{namespace}/")}}}],
    }}}})
}

#[test]
fn everybody_reaches_everything_without_a_filter() {
    let mut shape = Shape::new(vec![Listener::new(Kind::Mtls80, Filter::None)]);
    shape.originate("secure.example");
    let mesh = Mesh::start(&shape, &[Workload::new("default/sleep"), Workload::new("other/sleep")]).unwrap();
    for who in ["default/sleep", "other/sleep"] {
        let log = mesh.gateway().access_log();
        let mark = log.mark();
        let answer = mesh.http(who, &get("http://www.example.com/a?b=c")).unwrap();
        assert_eq!(answer.status, 200);
        let saw = answer.json();
        assert_eq!(saw["scheme"], "http");
        assert_eq!(saw["host"], "www.example.com");
        assert_eq!(saw["path"], "/a?b=c");
        let entry = log.next_of(mark, "mtls80").unwrap();
        assert_eq!(entry.text("authority"), "www.example.com");
        assert_eq!(entry.text("requested_server_name"), "www.example.com");
        assert!(entry.text("downstream_peer_uri_san").ends_with(who.split_once('/').unwrap().1));
    }
    let answer = mesh.http("default/sleep", &get("http://secure.example/")).unwrap();
    assert_eq!(answer.json()["scheme"], "https");
    assert_eq!(answer.json()["sni"], "secure.example");
    let seen = mesh.world().seen();
    assert_eq!(seen.requests_for("www.example.com"), 2);
    assert_eq!(seen.requests_for("secure.example"), 1);
    assert_eq!(seen.hellos.get("secure.example"), Some(&1));
}

#[test]
fn native_rbac_refuses_and_is_changed_while_the_gateway_runs() {
    let http = Listener::new(Kind::Mtls80, Filter::NativeRbac(vec![rbac_without("bad")]));
    let tcp = Listener::new(Kind::Mtls443, Filter::NativeRbac(vec![rbac_without("bad")]));
    let mut mesh =
        Mesh::start(&Shape::new(vec![http, tcp]), &[Workload::new("good/a"), Workload::new("bad/a")])
            .unwrap();
    let ask = get("http://www.example.com/");
    assert_eq!(mesh.http("good/a", &ask).unwrap().status, 200);
    assert_eq!(mesh.http("bad/a", &ask).unwrap().status, 403);
    assert_eq!(mesh.world().seen().requests_for("www.example.com"), 1);

    let update =
        mesh.gateway_mut().set_filter("mtls80", Filter::NativeRbac(vec![rbac_without("good")])).unwrap();
    assert_eq!(update, Update::Applied);
    assert_eq!(mesh.http("good/a", &ask).unwrap().status, 403);
    assert_eq!(mesh.http("bad/a", &ask).unwrap().status, 200);

    // Envoy wants at least one permission. (An unknown enum value it would take for the first one.)
    let nonsense = Filter::NativeRbac(vec![
        json!({"rules": {"policies": {"x": {"permissions": [], "principals": [{"any": true}]}}}}),
    ]);
    assert!(matches!(mesh.gateway_mut().set_filter("mtls80", nonsense).unwrap(), Update::Rejected(_)));
    assert_eq!(mesh.http("good/a", &ask).unwrap().status, 403, "the old one stays");

    let tls = Tls::public(mesh.public(), "www.example.com").unwrap();
    let https =
        |who: &str| Stream::connect(mesh.sidecars().unwrap().tcp(who, "mtls443").unwrap()).unwrap().tls(&tls);
    assert_eq!(https("good/a").unwrap().http1(&ask).unwrap().json()["sni"], "www.example.com");
    let error = https("bad/a").err().expect("refused");
    assert_eq!(error.downcast_ref::<Closed>(), Some(&Closed { received: 0 }));
}

#[test]
fn tls_inside_each_tcp_listener_arrives_whole() {
    let mut ambient = Listener::new(Kind::Ambient443, Filter::None);
    ambient.principal = Some("spiffe://cluster.local/ns/a/sa/x".to_owned());
    let shape = Shape::new(vec![
        Listener::new(Kind::Mtls80, Filter::None),
        Listener::new(Kind::Mtls443, Filter::None).connecting(ConnectMode::OnDownstreamTlsHandshake),
        Listener::named("data", Kind::Mtls443, Filter::None).connecting(ConnectMode::OnDownstreamData),
        Listener::named("now", Kind::Mtls443, Filter::None).connecting(ConnectMode::Immediate),
        Listener::new(Kind::Pass444, Filter::None),
        ambient,
    ]);
    let mesh = Mesh::start(&shape, &[]).unwrap();
    let tls = Tls::public(mesh.public(), "inner.example").unwrap();
    let body = vec![7_u8; 1_000_000];
    for listener in ["mtls443", "data", "now", "pass444", "ambient443"] {
        let outer = if matches!(listener, "pass444" | "ambient443") {
            Stream::connect(mesh.gateway().address(listener).unwrap()).unwrap()
        } else {
            mesh.direct(listener, Some(mesh.identity("a/x").unwrap()), Some("outer.example"), &[]).unwrap()
        };
        let log = mesh.gateway().access_log();
        let mark = log.mark();
        let ask = Ask::parse("POST https://inner.example/up").unwrap().with_body(body.clone());
        let answer = outer.tls(&tls).unwrap().http1(&ask).unwrap();
        assert_eq!(answer.json()["body"]["bytes"], 1_000_000, "{listener}");
        assert_eq!(answer.json()["sni"], "inner.example");
        let entry = log.next_of(mark, listener).unwrap();
        let sni = match listener {
            "pass444" => "inner.example",
            "ambient443" => "",
            _ => "outer.example",
        };
        assert_eq!(entry.text("requested_server_name"), sni, "{listener}");
    }
    assert_eq!(mesh.world().seen().requests_for("inner.example"), 5);
}

#[test]
fn a_client_hello_may_come_in_pieces_and_in_several_records() {
    let mesh = Mesh::start(&Shape::new(vec![Listener::new(Kind::Mtls443, Filter::None)]), &[]).unwrap();
    let tls = Tls::public(mesh.public(), "inner.example").unwrap();
    assert!(tls.client_hello().unwrap().len() > 1200, "with a post-quantum key share");
    let fragmented = tls.clone().with_records_of(300);
    assert!(fragmented.client_hello().unwrap().len() > tls.client_hello().unwrap().len());
    let outer =
        || mesh.direct("mtls443", Some(mesh.identity("a/x").unwrap()), Some("outer.example"), &[]).unwrap();
    for stream in [outer().chopped(1).tls(&tls), outer().tls(&fragmented)] {
        assert_eq!(
            stream.unwrap().http1(&get("https://inner.example/")).unwrap().json()["sni"],
            "inner.example"
        );
    }
}

#[test]
fn the_clients_certificate_and_server_name_are_free() {
    let mesh = Mesh::start(&Shape::new(vec![Listener::new(Kind::Mtls80, Filter::None)]), &[]).unwrap();
    let ask = get("http://www.example.com/");
    let foreign = mesh.identity("spiffe://other.example/ns/a/sa/b").unwrap();
    assert_eq!(mesh.direct("mtls80", Some(foreign), None, &[]).unwrap().http1(&ask).unwrap().status, 200);
    let own = || Some(mesh.identity("a/x").unwrap());
    assert_eq!(
        mesh.direct("mtls80", own(), Some("other.example"), &["h2"]).unwrap().http2(&ask).unwrap().status,
        200
    );
    let mut raw = mesh.direct("mtls80", own(), None, &["http/1.1"]).unwrap();
    raw.send(b"GET / HTTP/1.1\r\nhost: \xff\r\nconnection: close\r\n\r\n").unwrap();
    assert!(raw.receive_all().unwrap().starts_with(b"HTTP/1.1 "));

    let expired = egress_lab::certs::Leaf {
        uris: vec!["spiffe://cluster.local/ns/a/sa/x".to_owned()],
        expired: true,
        ..Default::default()
    };
    for refused in [None, Some(mesh.authority().issue(&expired).unwrap())] {
        // In TLS 1.3 the client learns only with the first answer that its certificate was refused.
        let answer = mesh.direct("mtls80", refused, None, &[]).and_then(|stream| stream.http1(&ask));
        assert!(answer.is_err());
    }
}

#[test]
fn a_client_that_holds_its_finished_is_greeted_before_it_is_known() {
    let mut shape = Shape::new(vec![
        Listener::named("now", Kind::Mtls443, Filter::None).connecting(ConnectMode::Immediate),
        Listener::named("handshake", Kind::Mtls443, Filter::None)
            .connecting(ConnectMode::OnDownstreamTlsHandshake),
    ]);
    shape
        .tcp_routes
        .push(TcpRoute { sni: vec!["smtp.example".to_owned()], cluster: "world-banner".to_owned() });
    let mesh = Mesh::start(&shape, &[]).unwrap();
    for (listener, dialled_before) in [("now", 1), ("handshake", 0)] {
        let before = mesh.world().seen().banner_connects;
        let seen = mesh.world().watch();
        let (sender, receiver) = std::sync::mpsc::channel();
        let until = move || {
            // What is seen while the Finished is held.
            let _ = sender.send(seen().banner_connects - before);
            false
        };
        let tls =
            Tls::mesh(mesh.authority(), Some(mesh.identity("a/x").unwrap()), Some("smtp.example")).unwrap();
        let stream = Stream::connect(mesh.gateway().address(listener).unwrap()).unwrap();
        let mut stream = stream.tls_held(&tls, until, Duration::from_millis(200)).unwrap();
        assert_eq!(receiver.try_iter().last(), Some(dialled_before), "{listener}");
        assert_eq!(stream.receive_until(b"\n").unwrap(), BANNER);
    }
}

#[test]
fn public_and_private_upstream_addresses_are_told_apart() {
    let mut listener = Listener::new(Kind::Mtls80, Filter::None);
    listener.upstream_http_filters = upstream::refuse_private_addresses().unwrap();
    let mut shape = Shape::new(vec![listener]);
    for (host, address) in [
        ("local.example", "localhost"),
        ("metadata.example", "169.254.169.254"),
        ("public.example", "9.9.9.9"),
    ] {
        let name = format!("to-{host}");
        shape.clusters.push(Cluster {
            name: name.clone(),
            to: Site::Http,
            sni: None,
            address: Some(address.to_owned()),
        });
        shape.http_routes.push(egress_lab::shape::HttpRoute {
            hosts: vec![host.to_owned()],
            cluster: name,
            rewrite: None,
        });
    }
    let mesh = Mesh::start(&shape, &[Workload::new("a/x")]).unwrap();
    assert_eq!(mesh.http("a/x", &get("http://local.example/")).unwrap().status, 403);
    assert_eq!(mesh.http("a/x", &get("http://metadata.example/")).unwrap().status, 403);
    assert_eq!(mesh.world().seen().connects(), 0, "refused before the dial");
    assert_eq!(mesh.http("a/x", &get("http://public.example/")).unwrap().status, 200);
}

#[test]
fn upgrades_connects_grpc_and_large_bodies_pass() {
    let mesh =
        Mesh::start(&Shape::new(vec![Listener::new(Kind::Mtls80, Filter::None)]), &[Workload::new("a/x")])
            .unwrap();
    let own = || Some(mesh.identity("a/x").unwrap());
    for (head, status) in [
        (
            "GET / HTTP/1.1\r\nhost: ws.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            "HTTP/1.1 101",
        ),
        ("CONNECT tunnel.example:443 HTTP/1.1\r\nhost: tunnel.example:443\r\n\r\n", "HTTP/1.1 200"),
    ] {
        let mut stream = mesh.direct("mtls80", own(), None, &["http/1.1"]).unwrap();
        stream.send(head.as_bytes()).unwrap();
        let answer = stream.receive_until(b"\r\n\r\n").unwrap();
        assert!(answer.starts_with(status.as_bytes()), "{:?}", String::from_utf8_lossy(&answer));
        stream.send(b"ping").unwrap();
        assert_eq!(stream.receive_until(b"ping").unwrap(), b"ping");
    }
    let grpc = Ask::parse("POST http://grpc.example/Service/Method")
        .unwrap()
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = mesh.direct("mtls80", own(), None, &["h2"]).unwrap().http2(&grpc).unwrap();
    assert_eq!(answer.trailers.get("grpc-status").unwrap(), "0");
    let large = mesh.http("a/x", &get("http://big.example/bytes/10000000")).unwrap();
    assert_eq!(large.body.len(), 10_000_000);
}

#[test]
fn an_ambient_listener_takes_the_principal_from_its_header() {
    // Native RBAC reads the same filter state, so that this shows the lab's part and not ours.
    let rules = json!({"rules": {"action": "ALLOW", "policies": {"a": {
        "permissions": [{"any": true}],
        "principals": [{"filter_state": {"key": "io.istio.peer_principal", "string_match": {"exact": "spiffe://cluster.local/ns/a/sa/x"}}}],
    }}}});
    let mesh =
        Mesh::start(&Shape::new(vec![Listener::new(Kind::Ambient80, Filter::NativeRbac(vec![rules]))]), &[])
            .unwrap();
    for (who, status) in [
        (Some("spiffe://cluster.local/ns/a/sa/x"), 200),
        (Some("spiffe://cluster.local/ns/b/sa/x"), 403),
        (None, 403),
    ] {
        let ask = who
            .iter()
            .fold(get("http://www.example.com/"), |ask, who| ask.header("x-lab-peer-principal", who));
        let answer =
            Stream::connect(mesh.gateway().address("ambient80").unwrap()).unwrap().http1(&ask).unwrap();
        assert_eq!(answer.status, status, "{who:?}");
    }
}

#[test]
fn an_envoy_that_is_killed_is_started_again_and_dropped_for_good() {
    let mut mesh = Mesh::start(&Shape::new(vec![Listener::new(Kind::Mtls80, Filter::None)]), &[]).unwrap();
    let first = mesh.gateway().envoy().pid();
    mesh.gateway_mut().restart().unwrap();
    let second = mesh.gateway().envoy().pid();
    assert_ne!(first, second);
    assert!(mesh.gateway().envoy().memory().unwrap() > 1_000_000);
    let answer = mesh
        .direct("mtls80", Some(mesh.identity("a/x").unwrap()), None, &[])
        .unwrap()
        .http1(&get("http://www.example.com/"))
        .unwrap();
    assert_eq!(answer.status, 200);
    drop(mesh);
    assert!(!std::path::Path::new(&format!("/proc/{second}")).exists());
}

#[test]
fn tokens_are_verified_in_front_of_the_filter() {
    let issuer = Issuer::new("https://issuer.example").unwrap();
    // Native RBAC reads the metadata that our filter will read.
    let rules = json!({"rules": {"action": "ALLOW", "policies": {"a": {
        "permissions": [{"any": true}],
        "principals": [{"metadata": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{"key": "payload"}, {"key": "sub"}],
            "value": {"string_match": {"exact": "me"}},
        }}],
    }}}});
    let mut listener = Listener::new(Kind::Mtls80, Filter::NativeRbac(vec![rules]));
    listener.tokens = Some(issuer.verifier());
    let mesh = Mesh::start(&Shape::new(vec![listener]), &[Workload::new("a/x")]).unwrap();
    let other = Issuer::new("https://issuer.example").unwrap();
    for (token, status) in [
        (Some(issuer.mint(&json!({"sub": "me"})).unwrap()), 200),
        (Some(issuer.mint(&json!({"sub": "you"})).unwrap()), 403),
        (Some(issuer.mint(&json!({"sub": "me", "exp": 1})).unwrap()), 401),
        (Some(other.mint(&json!({"sub": "me"})).unwrap()), 401),
        (None, 403),
    ] {
        let ask = token.iter().fold(get("http://www.example.com/"), |ask, token| {
            ask.header("authorization", &format!("Bearer {token}"))
        });
        assert_eq!(mesh.http("a/x", &ask).unwrap().status, status);
    }
}

#[test]
fn all_scenarios_can_be_read() {
    let folder = egress_lab::paths::repo_dir().unwrap().join("tests/scenarios");
    let scenarios = Scenario::load_all(&folder).unwrap();
    assert!(scenarios.len() >= 21, "{} scenarios", scenarios.len());
    for scenario in scenarios {
        assert!(!scenario.title.is_empty() && scenario.requests().count() >= 2, "{}", scenario.name);
    }
}
