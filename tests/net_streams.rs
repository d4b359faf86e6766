//! Whole connections: bodies, ends, and first bytes of every kind.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly, in its helpers too")]

use std::process::ExitCode;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use egress_lab::access_log::Mark;
use egress_lab::client::Stream;
use egress_lab::client::http::Ask;
use egress_lab::envoy::Options;
use egress_lab::filter::Filter;
use egress_lab::shape::{Cluster, Kind, Listener, Shape, Site as To, TcpRoute};
use egress_tests::net::{self, Site, SiteStream, TCP, allow, client_hello, deny, records, server_name, with};
use egress_tests::rig::{Rig, allow_all};
use egress_tests::{audit, suite, tests};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const BODY: usize = 10_000_000;
const WHO: &str = "a/x";
/// What istiod names a sidecar's connection to the gateway.
const GENERATED: &str = "outbound_.443_._.istio-egressgateway.istio-system.svc.cluster.local";

/// A gateway, a site that does as a test says, and clients that take their time.
struct Stage {
    rig: Rig,
    site: Site,
    slow: Option<Slow>,
}

/// Clients that have begun a hello and do not end it. Ten seconds are long: other tests run meanwhile.
struct Slow {
    since: Mark,
    clients: Vec<(&'static str, u16, JoinHandle<Result<Duration>>)>,
    in_dry_run: Stream,
    dry_run_site: SiteStream,
    beginning: Vec<u8>,
}

fn main() -> ExitCode {
    let tests = tests![
        bodies_of_10_mb_arrive_whole_in_both_directions,
        a_client_that_ends_its_direction_still_hears_the_answer,
        a_site_that_ends_its_direction_still_hears_the_client,
        large_and_chopped_hellos_pass_as_they_are,
        a_hello_is_decided_however_it_is_cut,
        without_tls_inside_the_outer_name_is_the_host,
        without_tls_and_without_a_name_the_host_is_unknown,
        a_hello_without_a_name_is_never_judged_by_the_outer_one,
        what_is_no_hello_is_refused,
        a_site_that_speaks_into_a_hello_is_not_heard,
        a_client_that_ends_before_it_speaks,
        connections_without_a_byte_leave_nothing_behind,
        undecided_connections_hold_bounded_memory,
        a_hello_has_ten_seconds,
    ];
    suite::run(start, tests)
}

fn start() -> Result<Stage> {
    let site = Site::listen()?;
    let mut shape = Shape::new(vec![
        Listener::new(Kind::Mtls80, Filter::None),
        net::listener(TCP, Kind::Mtls443)?,
        net::listener("pass444", Kind::Pass444)?,
        net::listener("dry-run", Kind::Mtls443)?,
    ]);
    shape.clusters = vec![
        Cluster { name: "test-site".to_owned(), to: To::Port(site.port()), sni: None, address: None },
        Cluster { name: "plain".to_owned(), to: To::Http, sni: None, address: None },
    ];
    let route =
        |sni: &str, cluster: &str| TcpRoute { sni: vec![sni.to_owned()], cluster: cluster.to_owned() };
    shape.tcp_routes = vec![route("site.example.com", "test-site"), route("plain.example.com", "plain")];
    let mut rig = Rig::of(shape, &[WHO], &Options::default())?;
    let slow = Some(begin_hellos(&mut rig, &site)?);
    Ok(Stage { rig, site, slow })
}

/// Two clients, and one more in a dry run, where what has waited goes on in the end.
fn begin_hellos(rig: &mut Rig, site: &Site) -> Result<Slow> {
    rig.policy_of("dry-run", &with(allow_all(), &json!({"mode": "DRY_RUN"})))?;
    rig.policy_of(TCP, &allow_all())?;
    let since = rig.mark();
    let beginning = rig.public("site.example.com")?.client_hello()?.get(..200).unwrap_or_default().to_vec();
    let mut in_dry_run = rig.outer(WHO, "dry-run", Some("site.example.com"))?;
    in_dry_run.send(&beginning)?;
    let dry_run_site = site.accept()?;
    let mut clients = Vec::new();
    for (what, pieces, pause) in [
        ("one byte", &beginning[..1], Duration::ZERO),
        ("byte by byte", &beginning[..14], Duration::from_millis(700)),
    ] {
        let mut stream = rig.outer(WHO, TCP, Some("www.example.com"))?;
        let (port, pieces) = (stream.local_addr().port(), pieces.to_vec());
        let client = spawn(move || {
            let start = Instant::now();
            for byte in pieces {
                stream.send(&[byte])?;
                sleep(pause);
            }
            net::heard_nothing(&mut stream)?;
            Ok(start.elapsed())
        });
        clients.push((what, port, client));
    }
    Ok(Slow { since, clients, in_dry_run, dry_run_site, beginning })
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// No run of bytes comes twice, so that a lost, doubled or reordered buffer shows.
fn body() -> Vec<u8> {
    (0_u32..).flat_map(u32::to_le_bytes).take(BODY).collect()
}

fn bodies_of_10_mb_arrive_whole_in_both_directions(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy_of(TCP, &allow(&["www.example.com"]))?;
    rig.policy_of("pass444", &with(allow(&["www.example.com"]), &json!({"unauthenticated": "EVALUATE"})))?;
    let sent = body();
    let wanted = hash(&sent);
    let connections: [(&str, Stream); 3] = [
        ("mTLS 443", rig.outer(WHO, TCP, Some("www.example.com"))?),
        ("mTLS 443 through a sidecar", Stream::connect(rig.mesh().sidecars()?.tcp(WHO, TCP)?)?),
        ("pass 444", Stream::connect(rig.mesh().gateway().address("pass444")?)?),
    ];
    for (over, stream) in connections {
        let stream = stream.tls(&rig.public("www.example.com")?)?;
        let ask = Ask::parse("POST https://www.example.com/")?.with_body(sent.clone());
        let answer = stream.http1(&ask)?.json();
        let came = answer.pointer("/body/sha256").and_then(Value::as_str).unwrap_or_default();
        ensure!(came == wanted, "{over}: the site got {}", answer["body"]);
    }
    let ask = Ask::parse(&format!("GET https://www.example.com/bytes/{BODY}"))?;
    for (over, stream) in [
        ("mTLS 443", rig.outer(WHO, TCP, Some("www.example.com"))?),
        ("pass 444", Stream::connect(rig.mesh().gateway().address("pass444")?)?),
    ] {
        let answer = stream.tls(&rig.public("www.example.com")?)?.http1(&ask)?;
        ensure!(answer.body.len() == BODY, "{over}: {} bytes", answer.body.len());
        ensure!(answer.header("x-lab-sha256") == hash(&answer.body), "{over}: other bytes than the site's");
    }
    Ok(())
}

fn a_client_that_ends_its_direction_still_hears_the_answer(stage: &mut Stage) -> Result<()> {
    let Stage { rig, site, .. } = stage;
    rig.policy_of(TCP, &allow_all())?;
    site.forget();
    let mut client = rig.outer(WHO, TCP, Some("site.example.com"))?;
    client.send(b"a question")?;
    client.finish()?;
    let mut end = site.accept()?;
    ensure!(end.hear_all()? == b"a question");
    let answer = body();
    let told = hash(&answer);
    let saying = spawn(move || end.say(&answer).and_then(|()| end.finish()));
    ensure!(hash(&client.receive_all()?) == told, "the answer did not arrive whole");
    saying.join().ok().context("the site panicked")?
}

fn a_site_that_ends_its_direction_still_hears_the_client(stage: &mut Stage) -> Result<()> {
    let Stage { rig, site, .. } = stage;
    rig.policy_of(TCP, &allow_all())?;
    site.forget();
    let mut client = rig.outer(WHO, TCP, Some("site.example.com"))?;
    client.send(b"hello")?;
    let mut end = site.accept()?;
    end.hear(5)?;
    end.say(b"that is all")?;
    end.finish()?;
    ensure!(client.receive_all()? == b"that is all");
    let sent = body();
    let wanted = hash(&sent);
    let hearing = spawn(move || end.hear_all());
    for piece in sent.chunks(1_000_000) {
        client.send(piece)?;
    }
    client.finish()?;
    let heard = hearing.join().ok().context("the site panicked")??;
    ensure!(hash(&heard) == wanted, "the site got {} bytes", heard.len());
    Ok(())
}

fn large_and_chopped_hellos_pass_as_they_are(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy_of(TCP, &allow(&["www.example.com"]))?;
    let plain = rig.public("www.example.com")?;
    ensure!(plain.client_hello()?.len() > 1_216, "there is a post-quantum key share");
    let many: Vec<String> = (0..90).map(|at| format!("{at:0>240}")).collect();
    let names: Vec<&str> = ["http/1.1"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let large = plain.clone().with_alpn(&names);
    ensure!(large.client_hello()?.len() > 20_000, "more than one record of 16 KB");
    let halves = plain.clone().with_records_of(plain.client_hello()?.len() / 2 + 40);
    let count = |hello: &[u8]| hello.windows(2).filter(|pair| pair == b"\x16\x03").count();
    ensure!(count(&halves.client_hello()?) >= 2);
    for (what, tls, piece) in [
        ("as it is", &plain, usize::MAX),
        ("two records", &halves, usize::MAX),
        ("records of 32 bytes", &plain.clone().with_records_of(32), usize::MAX),
        ("byte by byte", &plain, 1),
        ("20 KB", &large, usize::MAX),
        ("20 KB in pieces of 100 bytes", &large, 100),
    ] {
        let outer = rig.outer(WHO, TCP, Some("www.example.com"))?.chopped(piece);
        let stream = outer.tls(tls).with_context(|| what.to_owned())?;
        let answer = stream.http1(&Ask::parse("GET https://www.example.com/")?)?;
        ensure!(answer.json()["sni"] == "www.example.com", "{what}: {}", answer.text());
    }
    Ok(())
}

/// The refusal needs the whole hello and no more.
fn a_hello_is_decided_however_it_is_cut(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy_of(TCP, &deny(&["evil.example"]))?;
    let hello = rig.public("evil.example")?.client_hello()?;
    let in_small_records = rig.public("evil.example")?.with_records_of(32).client_hello()?;
    for (what, bytes, piece) in [
        ("as it is", &hello, usize::MAX),
        ("byte by byte", &hello, 1),
        ("a byte less and the last one", &hello, hello.len() - 1),
        ("records of 32 bytes", &in_small_records, usize::MAX),
        ("records of 32 bytes in pieces of 7", &in_small_records, 7),
    ] {
        let outer = rig.outer(WHO, TCP, None)?.chopped(piece);
        let refused = rig.refused(outer, |stream| stream.send(bytes)).with_context(|| what.to_owned())?;
        ensure!(refused.reason() == "ns[*]-policy[no]-rule[0]", "{what}: {}", refused.entry.verdict());
        ensure!(refused.reached == 0, "{what}: {} reached the site", refused.reached);
        ensure!(refused.after < Duration::from_secs(5), "{what}: after {:?}", refused.after);
    }
    Ok(())
}

const PLAIN: &[u8] = b"GET / HTTP/1.1\r\nhost: whatever.example\r\nconnection: close\r\n\r\n";

fn without_tls_inside_the_outer_name_is_the_host(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy_of(TCP, &allow(&["plain.example.com"]))?;
    let mut stream = rig.outer(WHO, TCP, Some("plain.example.com"))?;
    stream.send(PLAIN)?;
    ensure!(stream.receive_all()?.starts_with(b"HTTP/1.1 200"));
    let other = rig.refused(rig.outer(WHO, TCP, Some("other.example.com"))?, |stream| stream.send(PLAIN))?;
    ensure!(other.reason() == "no_allow_matched" && other.reached == 0, "{}", other.entry.verdict());
    rig.policy_of(TCP, &deny(&["plain.example.com"]))?;
    let named = rig.refused(rig.outer(WHO, TCP, Some("PLAIN.example.com"))?, |stream| stream.send(PLAIN))?;
    ensure!(named.reason() == "ns[*]-policy[no]-rule[0]" && named.reached == 0, "{}", named.entry.verdict());
    Ok(())
}

fn without_tls_and_without_a_name_the_host_is_unknown(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    for name in [None, Some(GENERATED)] {
        // An unknown host matches for DENY, and does not for ALLOW.
        rig.policy_of(TCP, &allow(&["plain.example.com"]))?;
        let refused = rig.refused(rig.outer(WHO, TCP, name)?, |stream| stream.send(PLAIN))?;
        ensure!(refused.reason() == "no_allow_matched", "{name:?}: {}", refused.entry.verdict());
        rig.policy_of(TCP, &deny(&["plain.example.com"]))?;
        let refused = rig.refused(rig.outer(WHO, TCP, name)?, |stream| stream.send(PLAIN))?;
        ensure!(refused.reason() == "ns[*]-policy[no]-rule[0]", "{name:?}: {}", refused.entry.verdict());
        // Where no rule looks at the host, it need not be known.
        rig.policy_of(TCP, &with(allow_all(), &json!({"reportAllowed": true})))?;
        ensure!(state_after(rig, name, PLAIN)? == "allow[ns[*]-policy[all]-rule[0]]");
    }
    Ok(())
}

/// The filter state of a connection that is not refused: it is what the access log says once the client has gone.
fn state_after(rig: &Rig, name: Option<&str>, bytes: &[u8]) -> Result<String> {
    let mark = rig.mark();
    let mut stream = rig.outer(WHO, TCP, name)?;
    let port = stream.local_addr().port();
    stream.send(bytes)?;
    stream.finish()?;
    stream.receive_all()?;
    Ok(rig.entry(mark, port)?.verdict())
}

fn a_hello_without_a_name_is_never_judged_by_the_outer_one(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    let hello = records(&client_hello(&[]), 9_000);
    rig.policy_of(TCP, &allow(&["www.example.com"]))?;
    let refused = rig.refused(rig.outer(WHO, TCP, Some("www.example.com"))?, |stream| stream.send(&hello))?;
    ensure!(refused.reason() == "no_allow_matched" && refused.reached == 0, "{}", refused.entry.verdict());
    rig.policy_of(TCP, &deny(&["elsewhere.example.com"]))?;
    let refused = rig.refused(rig.outer(WHO, TCP, Some("www.example.com"))?, |stream| stream.send(&hello))?;
    ensure!(refused.reason() == "ns[*]-policy[no]-rule[0]", "{}", refused.entry.verdict());
    Ok(())
}

fn what_is_no_hello_is_refused(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy_of(TCP, &allow_all())?;
    let good = client_hello(&[server_name(b"www.example.com")]);
    let twice = client_hello(&[server_name(b"a.example"), server_name(b"b.example")]);
    let odd_host = client_hello(&[server_name(b"www.exa mple.com")]);
    let number = client_hello(&[server_name(b"2130706433")]);
    let mut server_hello = records(&good, 9_000);
    if let Some(kind) = server_hello.get_mut(5) {
        *kind = 2;
    }
    let large =
        client_hello(&[(21, vec![0; 50_000]), (22, vec![0; 20_000]), server_name(b"www.example.com")]);
    for (what, bytes, reason) in [
        ("two names", records(&twice, 9_000), "malformed_hello"),
        ("a server's hello", server_hello, "malformed_hello"),
        (
            "an empty record",
            [b"\x16\x03\x01\x00\x00", &records(&good, 9_000)[..]].concat(),
            "malformed_hello",
        ),
        (
            "an alert in between",
            [&records(&good, 20)[..25], b"\x15\x03\x01\x00\x02\x01\x00"].concat(),
            "malformed_hello",
        ),
        ("more in its record", records(&[&good[..], &good].concat(), 9_000), "malformed_hello"),
        ("70 KB", records(&large, 16_384), "oversized_hello"),
        ("a stated length of 16 MB", b"\x16\x03\x01\x40\x00\x01\xff\xff\xff".to_vec(), "oversized_hello"),
        ("a space in the name", records(&odd_host, 9_000), "malformed_host"),
        ("a number for a name", records(&number, 9_000), "malformed_host"),
    ] {
        let refused = rig
            .refused(rig.outer(WHO, TCP, Some("www.example.com"))?, |stream| stream.send(&bytes))
            .with_context(|| what.to_owned())?;
        ensure!(refused.reason() == reason, "{what}: {}", refused.entry.verdict());
        ensure!(refused.reached == 0, "{what}: {} reached the site", refused.reached);
    }
    // An end in the middle of a hello is no hello, either.
    let refused = rig.refused(rig.outer(WHO, TCP, Some("www.example.com"))?, |stream| {
        stream.send(&records(&good, 9_000)[..30])?;
        stream.finish()
    })?;
    ensure!(refused.reason() == "malformed_hello", "{}", refused.entry.verdict());
    ensure!(refused.after < Duration::from_secs(5), "after {:?}", refused.after);
    Ok(())
}

fn a_site_that_speaks_into_a_hello_is_not_heard(stage: &mut Stage) -> Result<()> {
    let Stage { rig, site, .. } = stage;
    rig.policy_of(TCP, &allow_all())?;
    site.forget();
    let hello = rig.public("site.example.com")?.client_hello()?;
    let mut client = rig.outer(WHO, TCP, Some("site.example.com"))?;
    // The dial waits for the handshake only; what the site says first is admitted.
    let mut end = site.accept()?;
    end.say(b"220 ready\r\n")?;
    ensure!(client.receive_until(b"\n")? == b"220 ready\r\n");
    client.send(hello.get(..100).unwrap_or_default())?;
    rig.caught_up()?;
    let refused = rig.refused(client, |_| end.say(b"and more\r\n"))?;
    ensure!(refused.reason() == "malformed_hello", "{}", refused.entry.verdict());
    ensure!(end.hear_all()?.is_empty(), "the hello's beginning reached the site");
    // A hello that is whole goes on as if the site had never spoken: decided once more, with its name.
    site.forget();
    let mut client = rig.outer(WHO, TCP, Some("site.example.com"))?;
    let mut end = site.accept()?;
    end.say(b"220 ready\r\n")?;
    ensure!(client.receive_until(b"\n")? == b"220 ready\r\n");
    client.send(&hello)?;
    ensure!(end.hear(hello.len())? == hello);
    rig.policy_of(TCP, &with(deny(&["evil.example"]), &json!({"sniMismatch": "ALLOW"})))?;
    site.forget();
    let mut client = rig.outer(WHO, TCP, Some("site.example.com"))?;
    let mut end = site.accept()?;
    end.say(b"220 ready\r\n")?;
    ensure!(client.receive_until(b"\n")? == b"220 ready\r\n");
    let evil = rig.public("evil.example")?.client_hello()?;
    let refused = rig.refused(client, |stream| stream.send(&evil))?;
    ensure!(refused.reason() == "ns[*]-policy[no]-rule[0]", "{}", refused.entry.verdict());
    ensure!(end.hear_all()?.is_empty(), "the other name reached the site");
    Ok(())
}

fn a_client_that_ends_before_it_speaks(stage: &mut Stage) -> Result<()> {
    let Stage { rig, site, .. } = stage;
    rig.policy_of(TCP, &with(allow(&["site.example.com"]), &json!({"reportAllowed": true})))?;
    site.forget();
    let mark = rig.mark();
    let mut client = rig.outer(WHO, TCP, Some("site.example.com"))?;
    let port = client.local_addr().port();
    client.finish()?;
    let mut end = site.accept()?;
    ensure!(end.hear_all()?.is_empty());
    end.say(b"late, but said")?;
    end.finish()?;
    ensure!(client.receive_all()? == b"late, but said");
    ensure!(rig.entry(mark, port)?.verdict() == "allow[ns[*]-policy[some]-rule[0]]");
    // Refused, it hears nothing.
    rig.policy_of(TCP, &allow(&["elsewhere.example"]))?;
    let refused = rig.refused(rig.outer(WHO, TCP, Some("site.example.com"))?, Stream::finish)?;
    ensure!(refused.reason() == "no_allow_matched", "{}", refused.entry.verdict());
    Ok(())
}

fn connections_without_a_byte_leave_nothing_behind(stage: &mut Stage) -> Result<()> {
    let rig = &mut stage.rig;
    rig.policy_of(TCP, &json!({}))?;
    let before = rig.mesh().world().seen().reached();
    let (mark, log) = (rig.mark(), audit::mark(rig.envoy()));
    for _ in 0..25 {
        // Gone before the handshake: nobody asked for anything.
        drop(Stream::connect(rig.mesh().gateway().address(TCP)?)?);
    }
    rig.caught_up()?;
    ensure!(audit::lines_since(rig.envoy(), log).len() <= 1, "{}", audit::log_since(rig.envoy(), log));
    for _ in 0..25 {
        // Gone after it: the end is decided on as a byte would be, so that it does not make the gateway dial.
        let stream = rig.outer(WHO, TCP, Some("www.example.com"))?;
        let port = stream.local_addr().port();
        drop(stream);
        ensure!(net::reason(&rig.entry(mark, port)?) == "default_action");
    }
    ensure!(rig.mesh().world().seen().reached() == before);
    ensure!(rig.traps().is_empty(), "{:?}", rig.traps());
    Ok(())
}

/// They began when the first test did, under a policy that has been replaced since.
fn a_hello_has_ten_seconds(stage: &mut Stage) -> Result<()> {
    let slow = stage.slow.take().context("begun")?;
    for (what, port, client) in slow.clients {
        let after = client.join().ok().context("a panic")?.context(what)?.as_secs_f32();
        println!("{what}: closed after {after:.2} s");
        // Ticks come once a second, and a busy machine is late.
        ensure!((9.5..13.0).contains(&after), "{what}: closed after {after} s");
        let verdict = stage.rig.entry(slow.since, port)?.verdict();
        ensure!(verdict == "deny[hello_timeout]", "{what}: {verdict}");
    }
    let Slow { in_dry_run, mut dry_run_site, beginning, .. } = slow;
    ensure!(dry_run_site.hear(beginning.len())? == beginning, "the dry run holds back what it would refuse");
    let port = in_dry_run.local_addr().port();
    drop((in_dry_run, dry_run_site));
    let verdict = stage.rig.entry(slow.since, port)?.verdict();
    ensure!(verdict == "would_deny[hello_timeout]", "{verdict}");
    Ok(())
}

fn undecided_connections_hold_bounded_memory(stage: &mut Stage) -> Result<()> {
    const CONNECTIONS: u64 = 100;
    const HELLO: usize = 60_000;
    let rig = &mut stage.rig;
    rig.policy_of(TCP, &allow_all())?;
    let large = client_hello(&[(21, vec![0; 60_000]), server_name(b"www.example.com")]);
    let bytes = records(&large, 16_384);
    let before = rig.envoy().memory()?;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = rig.outer(WHO, TCP, Some("www.example.com"))?;
        stream.send(bytes.get(..HELLO).unwrap_or_default())?;
        held.push(stream);
    }
    rig.caught_up()?;
    let grown = rig.envoy().memory()?.saturating_sub(before);
    println!("{CONNECTIONS} hellos of {HELLO} bytes: {} KB each", grown / CONNECTIONS / 1_024);
    // Envoy keeps the bytes, the filter a copy in a buffer that doubles; the TLS connection itself costs some 50 KB.
    ensure!(grown < CONNECTIONS * 320 * 1_024, "{grown} bytes more");
    drop(held);
    Ok(())
}
