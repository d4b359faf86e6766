//! After a HelloRetryRequest the client sends a second ClientHello, and may name another host in it: it is held to the first.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::spawn;

use anyhow::{Context as _, Result, ensure};
use egress_lab::certs::Leaf;
use egress_lab::client::Stream;
use egress_lab::envoy::Options;
use egress_lab::shape::{Cluster, Kind, Shape, Site as To, TcpRoute};
use egress_tests::net::{self, Site, SiteStream, TCP, allow, client_hello, deny, records, server_name, with};
use egress_tests::rig::{Rig, allow_all};
use egress_tests::{suite, tests};
use rustls::crypto::aws_lc_rs;
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

const WHO: &str = "a/x";
/// A site that does as a test says.
const SITE: &str = "site.example.com";
const OTHER: &str = "evil.example.com";
/// A server that takes no key that the client offers at first.
const RETRIES: &str = "retries.example.com";
const CHANGE_CIPHER_SPEC: &[u8] = b"\x14\x03\x03\x00\x01\x01";
const DATA: &[u8] = b"\x17\x03\x03\x00\x05early";

struct Stage {
    rig: Rig,
    site: Site,
}

fn main() -> ExitCode {
    suite::run(
        start,
        tests![
            a_retry_for_the_same_name_goes_on,
            another_name_after_a_retry_is_refused,
            another_name_is_refused_without_a_retry,
            a_second_hello_in_pieces_is_refused,
            behind_a_greeting_too,
            a_dry_run_tells,
            once_answered_bytes_are_bytes,
        ],
    )
}

fn start() -> Result<Stage> {
    let site = Site::listen()?;
    let retries = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut shape = Shape::new(vec![net::listener(TCP, Kind::Mtls443)?]);
    for (host, port) in [(SITE, site.port()), (RETRIES, retries.local_addr()?.port())] {
        shape.clusters.push(Cluster { name: host.to_owned(), to: To::Port(port), sni: None, address: None });
        shape.tcp_routes.push(TcpRoute { sni: vec![host.to_owned()], cluster: host.to_owned() });
    }
    let rig = Rig::of(shape, &[], &Options::default())?;
    let config = Arc::new(server(&rig)?);
    spawn(move || serve(&retries, &config));
    Ok(Stage { rig, site })
}

/// A server whose one group no client offers a key for at first.
fn server(rig: &Rig) -> Result<ServerConfig> {
    let leaf = Leaf { dns: vec![RETRIES.to_owned()], ..Leaf::default() };
    let (chain, key) = rig.mesh().public().issue(&leaf)?.to_rustls()?;
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::SECP384R1];
    Ok(ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

/// Says what it hears, and whether it had to ask for another hello.
fn serve(listener: &TcpListener, config: &Arc<ServerConfig>) -> Result<()> {
    loop {
        let (socket, _) = listener.accept()?;
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config))?, socket);
        let mut heard = [0; 4];
        if stream.read_exact(&mut heard).is_ok() {
            let retried = stream.conn.handshake_kind() == Some(HandshakeKind::FullWithHelloRetryRequest);
            stream.write_all(if retried { b"retried" } else { b"at once" })?;
            stream.flush()?;
        }
    }
}

fn hello(host: &str) -> Vec<u8> {
    records(&client_hello(&[server_name(host.as_bytes())]), 9_000)
}

/// A ServerHello of a random, or a HelloRetryRequest.
fn server_hello(random: Option<[u8; 32]>) -> Vec<u8> {
    let retry = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
        0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    let body = [&[3, 3][..], &random.unwrap_or(retry), &[0, 0x13, 1, 0]].concat();
    let length = u8::try_from(body.len()).unwrap_or_default();
    [&[22, 3, 3, 0, length + 4, 2, 0, 0, length], &body[..]].concat()
}

impl Stage {
    /// A connection whose first hello, for [`SITE`], has reached the site.
    fn begin(&self) -> Result<(Stream, SiteStream)> {
        self.site.forget();
        let mut client = self.rig.outer(WHO, TCP, Some(SITE))?;
        let first = hello(SITE);
        client.send(&first)?;
        let mut end = self.site.accept()?;
        ensure!(end.hear(first.len())? == first);
        Ok((client, end))
    }

    /// The same, and the site has asked for another hello.
    fn retried(&self) -> Result<(Stream, SiteStream)> {
        let (mut client, mut end) = self.begin()?;
        let retry = server_hello(None);
        end.say(&retry)?;
        ensure!(client.receive_until(&retry)? == retry);
        Ok((client, end))
    }
}

fn a_retry_for_the_same_name_goes_on(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy(allow(&[RETRIES]))?;
    for piece in [usize::MAX, 1] {
        let outer = rig.outer(WHO, TCP, Some(RETRIES))?.chopped(piece);
        let mut stream = outer.tls(&rig.public(RETRIES)?)?;
        stream.send(b"ping")?;
        ensure!(stream.receive_until(b"retried")? == b"retried");
    }
    Ok(())
}

fn another_name_after_a_retry_is_refused(stage: &mut Stage) -> Result<()> {
    for policy in [allow(&[SITE]), deny(&[OTHER]), allow_all()] {
        stage.rig.policy(policy)?;
        for before in [&b""[..], CHANGE_CIPHER_SPEC, &[CHANGE_CIPHER_SPEC, DATA].concat()] {
            let (client, mut end) = stage.retried()?;
            let bytes = [before, &hello(OTHER)].concat();
            let refused = stage.rig.refused(client, |stream| stream.send(&bytes))?;
            ensure!(refused.reason() == "malformed_hello", "{}", refused.entry.verdict());
            ensure!(end.hear_all()?.is_empty(), "the other name reached the site");
        }
    }
    // No name, and another way to say it.
    let nameless = records(&client_hello(&[]), 9_000);
    let encrypted = client_hello(&[(0xfe0d, vec![0; 186]), server_name(SITE.as_bytes())]);
    for bytes in [nameless, records(&encrypted, 9_000), [hello(SITE), hello(OTHER)].concat()] {
        let (client, mut end) = stage.retried()?;
        let refused = stage.rig.refused(client, |stream| stream.send(&bytes))?;
        ensure!(refused.reason() == "malformed_hello", "{}", refused.entry.verdict());
        ensure!(end.hear_all()?.is_empty(), "the other hello reached the site");
    }
    Ok(())
}

/// The client can tell that there will be a retry, and need not wait for it.
fn another_name_is_refused_without_a_retry(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(allow(&[SITE]))?;
    let both = [hello(SITE), CHANGE_CIPHER_SPEC.to_vec(), hello(OTHER)].concat();
    let refused = stage.rig.refused(stage.rig.outer(WHO, TCP, Some(SITE))?, |stream| stream.send(&both))?;
    ensure!(refused.reason() == "malformed_hello", "{}", refused.entry.verdict());
    let (client, mut end) = stage.begin()?;
    let refused = stage.rig.refused(client, |stream| stream.send(&hello(OTHER)))?;
    ensure!(refused.reason() == "malformed_hello", "{}", refused.entry.verdict());
    ensure!(end.hear_all()?.is_empty(), "the other name reached the site");
    Ok(())
}

fn a_second_hello_in_pieces_is_refused(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(allow(&[SITE]))?;
    for size in [5, 20, 60] {
        let (mut client, mut end) = stage.retried()?;
        let second = records(&client_hello(&[server_name(OTHER.as_bytes())]), size);
        let (start, rest) = second.split_at(second.len() / 2);
        client.send(start)?;
        stage.rig.caught_up()?;
        let refused = stage.rig.refused(client, |stream| stream.send(rest))?;
        ensure!(refused.reason() == "malformed_hello", "{size}: {}", refused.entry.verdict());
        // At most the header of its first record has passed.
        ensure!(end.hear_all()?.len() <= 5, "{size}: the other name reached the site");
    }
    // The same name, in pieces: the site gets all of it.
    let (mut client, mut end) = stage.retried()?;
    let second = hello(SITE);
    for piece in second.chunks(30) {
        client.send(piece)?;
        stage.rig.caught_up()?;
    }
    ensure!(end.hear(second.len())? == second);
    Ok(())
}

fn behind_a_greeting_too(stage: &mut Stage) -> Result<()> {
    let Stage { rig, site } = stage;
    rig.policy(allow(&[SITE]))?;
    site.forget();
    let mut client = rig.outer(WHO, TCP, Some(SITE))?;
    let mut end = site.accept()?;
    end.say(b"220 ready\r\n")?;
    ensure!(client.receive_until(b"\n")? == b"220 ready\r\n");
    let first = hello(SITE);
    client.send(&first)?;
    ensure!(end.hear(first.len())? == first);
    end.say(&server_hello(None))?;
    let retry = server_hello(None);
    ensure!(client.receive_until(&retry)? == retry);
    let refused = rig.refused(client, |stream| stream.send(&hello(OTHER)))?;
    ensure!(refused.reason() == "malformed_hello", "{}", refused.entry.verdict());
    ensure!(end.hear_all()?.is_empty(), "the other name reached the site");
    Ok(())
}

fn a_dry_run_tells(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(with(allow(&[SITE]), &json!({"mode": "DRY_RUN"})))?;
    let mark = stage.rig.mark();
    let (mut client, mut end) = stage.retried()?;
    let port = client.local_addr().port();
    let second = hello(OTHER);
    client.send(&second)?;
    ensure!(end.hear(second.len())? == second);
    drop((client, end));
    let verdict = stage.rig.entry(mark, port)?.verdict();
    ensure!(verdict == "would_deny[malformed_hello]", "{verdict}");
    Ok(())
}

/// Behind the site's ServerHello and the client's first encrypted record nothing is looked at any more.
fn once_answered_bytes_are_bytes(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(allow(&[SITE]))?;
    let (mut client, mut end) = stage.begin()?;
    let answer = server_hello(Some([9; 32]));
    end.say(&answer)?;
    ensure!(client.receive_until(&answer)? == answer);
    for bytes in [DATA, b"whatever it is", &hello(OTHER)] {
        client.send(bytes)?;
        ensure!(end.hear(bytes.len())? == bytes);
    }
    end.say(b"bye")?;
    ensure!(client.receive_until(b"bye").context("the site's end")? == b"bye");
    Ok(())
}
