//! TLS that hides its ClientHello from whoever reads a connection's first bytes, and plain protocols that begin alike.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::thread::spawn;

use anyhow::{Context as _, Result, ensure};
use egress_lab::client::{Stream, Tls};
use egress_lab::envoy::Options;
use egress_lab::filter::Filter;
use egress_lab::shape::{Cluster, Kind, Listener, Shape, Site as To, TcpRoute};
use egress_tests::net::{self, Site, TCP, allow, client_hello, deny, records, server_name, with};
use egress_tests::rig::{Rig, allow_all};
use egress_tests::{suite, tests};
use serde_json::json;

const WHO: &str = "a/x";
const FRONT: &str = "www.example.com";
const INNER: &str = "evil.example";
const SITE: &str = "site.example.com";
/// A site that is a real server: an Envoy's listener, which is BoringSSL.
const SERVER: &str = "server.example.com";
const SERVER_LISTENER: &str = "server443";
/// `unrecognized_name`, as a warning: servers that wait for a ClientHello drop it.
const WARNING: &[u8] = b"\x15\x03\x01\x00\x02\x01\x70";
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

struct Stage {
    rig: Rig,
    site: Site,
}

fn main() -> ExitCode {
    suite::run(
        start,
        tests![
            a_server_goes_on_behind_a_warning,
            a_name_behind_a_warning_is_no_way_to_another_host,
            an_encrypted_hello_behind_a_warning_is_refused,
            whatever_hides_a_hello_is_refused,
            also_after_the_site_has_greeted,
            however_it_is_cut,
            plain_protocols_that_begin_alike_pass,
        ],
    )
}

fn start() -> Result<Stage> {
    let site = Site::listen()?;
    let (relay, target) = relay()?;
    let mut shape = Shape::new(vec![
        net::listener(TCP, Kind::Mtls443)?,
        Listener::named(SERVER_LISTENER, Kind::Mtls443, Filter::None),
    ]);
    for (host, port) in [(SITE, site.port()), (SERVER, relay)] {
        shape.clusters.push(Cluster { name: host.to_owned(), to: To::Port(port), sni: None, address: None });
        shape.tcp_routes.push(TcpRoute { sni: vec![host.to_owned()], cluster: host.to_owned() });
    }
    let rig = Rig::of(shape, &[], &Options::default())?;
    let server = rig.mesh().gateway().address(SERVER_LISTENER)?;
    ensure!(target.set(server).is_ok());
    Ok(Stage { rig, site })
}

/// A port that leads to an address which is known later.
fn relay() -> Result<(u16, Arc<OnceLock<SocketAddr>>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let target = Arc::new(OnceLock::new());
    let known = Arc::clone(&target);
    let pass = |from: &TcpStream, to: &TcpStream| -> io::Result<()> {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        spawn(move || io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Both)));
        Ok(())
    };
    spawn(move || -> Result<()> {
        loop {
            let (client, _) = listener.accept()?;
            let site = TcpStream::connect(known.get().context("a connection before there is a target")?)?;
            pass(&client, &site)?;
            pass(&site, &client)?;
        }
    });
    Ok((port, target))
}

/// A hello for `host` in records of a version, behind other bytes.
fn hidden(before: &[u8], host: &str, version: [u8; 2]) -> Vec<u8> {
    let mut hello = records(&client_hello(&[server_name(host.as_bytes())]), 9_000);
    hello.splice(1..3, version);
    [before, &hello].concat()
}

/// In a dry run all passes, and a real client and a real server complete their handshake behind the warning, for the inner
/// name. Enforced, none of it passes.
fn a_server_goes_on_behind_a_warning(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy(with(allow(&[SERVER]), &json!({"mode": "DRY_RUN"})))?;
    let inner = Tls::mesh(rig.mesh().authority(), Some(rig.mesh().identity(WHO)?), Some(INNER))?;
    let mark = rig.mark();
    let mut outer = rig.outer(WHO, TCP, Some(SERVER))?;
    let port = outer.local_addr().port();
    outer.send(WARNING)?;
    drop(outer.tls(&inner)?);
    let served = rig.mesh().gateway().access_log().next_of(mark, SERVER_LISTENER)?;
    ensure!(served.text("requested_server_name") == INNER, "{}", served.to_json());
    let verdict = rig.entry(mark, port)?.verdict();
    ensure!(verdict == "would_deny[malformed_hello]", "{verdict}");

    rig.policy(allow(&[SERVER]))?;
    let bytes = [WARNING, &inner.client_hello()?].concat();
    let refused = rig.refused(rig.outer(WHO, TCP, Some(SERVER))?, |stream| stream.send(&bytes))?;
    ensure!(refused.reason() == "malformed_hello", "{}", refused.entry.verdict());
    Ok(())
}

fn a_name_behind_a_warning_is_no_way_to_another_host(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    for (what, policy) in [
        ("fronting", allow(&[FRONT])),
        ("a DENY of the host", deny(&[INNER])),
        ("a DENY of all others", {
            let to = json!([{"operation": {"notHosts": [FRONT]}}]);
            let ceiling = json!({"name": "no", "action": "DENY", "rules": [{"to": to}]});
            json!({"defaultAction": "ALLOW", "policies": [ceiling]})
        }),
    ] {
        rig.policy(policy)?;
        let hello = rig.public(INNER)?.client_hello()?;
        for (name, outer) in [("another outer name", Some(FRONT)), ("none", None)] {
            let refused = rig
                .refused(rig.outer(WHO, TCP, outer)?, |stream| stream.send(&[WARNING, &hello].concat()))
                .with_context(|| format!("{what}, {name}"))?;
            ensure!(refused.reason() == "malformed_hello", "{what}, {name}: {}", refused.entry.verdict());
            ensure!(refused.reached == 0, "{what}, {name}: {} reached the site", refused.reached);
        }
    }
    Ok(())
}

fn an_encrypted_hello_behind_a_warning_is_refused(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy(with(allow_all(), &json!({"encryptedClientHello": "DENY"})))?;
    let hello = client_hello(&[(ENCRYPTED_CLIENT_HELLO, vec![0; 186]), server_name(FRONT.as_bytes())]);
    let bytes = [WARNING, &records(&hello, 9_000)].concat();
    let refused = rig.refused(rig.outer(WHO, TCP, Some(FRONT))?, |stream| stream.send(&bytes))?;
    ensure!(refused.reason() == "malformed_hello" && refused.reached == 0, "{}", refused.entry.verdict());
    Ok(())
}

/// What some server completes a handshake from, and every other record of TLS.
fn ways_to_hide() -> Vec<(&'static str, Vec<u8>)> {
    let ssl2 = [&b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"[..], &[0x2f; 37]].concat();
    let mut small = Vec::new();
    for piece in client_hello(&[server_name(INNER.as_bytes())]).chunks(3) {
        small.extend([22, 2, 1, 0, u8::try_from(piece.len()).unwrap_or_default()]);
        small.extend(piece);
    }
    vec![
        ("a warning", hidden(WARNING, INNER, [3, 1])),
        ("many warnings", hidden(&WARNING.repeat(4), INNER, [3, 1])),
        ("a warning of version 2.1", hidden(b"\x15\x02\x01\x00\x02\x01\x70", INNER, [3, 1])),
        ("all of version 2.1", hidden(b"\x15\x02\x01\x00\x02\x01\x70", INNER, [2, 1])),
        ("an empty alert", hidden(b"\x15\x03\x01\x00\x00", INNER, [3, 1])),
        ("an empty handshake record", hidden(b"\x16\x03\x01\x00\x00", INNER, [3, 1])),
        ("an empty record of version 2.1", hidden(b"\x16\x02\x01\x00\x00", INNER, [2, 1])),
        ("ChangeCipherSpec", hidden(b"\x14\x03\x03\x00\x01\x01", INNER, [3, 1])),
        ("data", hidden(b"\x17\x03\x03\x00\x03abc", INNER, [3, 1])),
        ("a heartbeat", hidden(b"\x18\x03\x02\x00\x03\x01\x40\x00", INNER, [3, 1])),
        ("records of version 2.1", hidden(b"", INNER, [2, 1])),
        ("records of version 0.0", hidden(b"", INNER, [0, 0])),
        ("records of version 15.255", hidden(b"", INNER, [15, 255])),
        ("small records of version 2.1", small),
        ("SSL 2.0", ssl2),
    ]
}

fn whatever_hides_a_hello_is_refused(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy(allow_all())?;
    for (what, bytes) in ways_to_hide() {
        let refused = rig
            .refused(rig.outer(WHO, TCP, Some(FRONT))?, |stream| stream.send(&bytes))
            .with_context(|| what.to_owned())?;
        ensure!(refused.reason() == "malformed_hello", "{what}: {}", refused.entry.verdict());
        ensure!(refused.reached == 0, "{what}: {} reached the site", refused.reached);
    }
    Ok(())
}

fn also_after_the_site_has_greeted(stage: &mut Stage) -> Result<()> {
    let Stage { rig, site } = stage;
    rig.policy(allow_all())?;
    for (what, bytes) in ways_to_hide() {
        site.forget();
        let mut client = rig.outer(WHO, TCP, Some(SITE))?;
        let mut end = site.accept()?;
        end.say(b"220 ready\r\n")?;
        ensure!(client.receive_until(b"\n")? == b"220 ready\r\n");
        let refused = rig.refused(client, |stream| stream.send(&bytes)).with_context(|| what.to_owned())?;
        ensure!(refused.reason() == "malformed_hello", "{what}: {}", refused.entry.verdict());
        ensure!(end.hear_all()?.is_empty(), "{what}: bytes reached the site");
    }
    Ok(())
}

fn however_it_is_cut(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy(allow_all())?;
    for (what, bytes) in ways_to_hide() {
        let refused = rig
            .refused(rig.outer(WHO, TCP, Some(FRONT))?.chopped(1), |stream| stream.send(&bytes))
            .with_context(|| what.to_owned())?;
        ensure!(refused.reason() == "malformed_hello", "{what}: {}", refused.entry.verdict());
    }
    Ok(())
}

/// Their lengths and numbers are a record's type and version to whoever looks at few bytes.
fn plain_protocols_that_begin_alike_pass(stage: &mut Stage) -> Result<()> {
    let Stage { rig, site } = stage;
    rig.policy(allow(&[SITE]))?;
    let pass = |bytes: &[u8], greeting: &[u8]| -> Result<()> {
        site.forget();
        let mut client: Stream = rig.outer(WHO, TCP, Some(SITE))?;
        let mut end;
        if greeting.is_empty() {
            client.send(bytes)?;
            end = site.accept()?;
        } else {
            end = site.accept()?;
            end.say(greeting)?;
            ensure!(client.receive_until(greeting)? == greeting);
            client.send(bytes)?;
        }
        ensure!(end.hear(bytes.len())? == bytes);
        end.say(b"welcome\n")?;
        ensure!(client.receive_until(b"welcome\n")?.ends_with(b"welcome\n"));
        Ok(())
    };
    for first in 0x14..=0x18_u8 {
        for high in [0, 1, 2, 4] {
            let mysql =
                [&[first, high, 0, 1, 0x85, 0xa6, 0xff, 0x01, 0, 0, 0, 1, 0x21][..], &[0; 23]].concat();
            pass(&mysql, b"\x4a\x00\x00\x00\x0a8.4.0\x00")
                .with_context(|| format!("MySQL {first:#x} {high}"))?;
            let mongodb = [first, high, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0];
            pass(&mongodb, b"").with_context(|| format!("MongoDB {first:#x} {high}"))?;
        }
    }
    pass(b"\x80\x00\x00\x05\x00\x00\x00\x00", b"").context("memcached")?;
    pass(b"\xff\xfd\x01", b"").context("telnet")?;
    Ok(())
}
