//! Connections that wait: for the gateway's dial, for what it chooses, for the clock.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly, in its helpers too")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use egress_lab::client::{Closed, Stream};
use egress_lab::envoy::Options;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{Cluster, ConnectMode, Kind, Listener, Shape, Site as To, TcpRoute};
use egress_tests::applies::{LATE_DIAL, from_line};
use egress_tests::net::{self, TCP, with};
use egress_tests::rig::{self, Rig, allow_all};
use egress_tests::{suite, tests};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

const WHO: &str = "a/x";
const ON_DATA: &str = "data443";
/// A host whose site is slow to accept.
const SLOW: &str = "slow.example.com";

fn main() -> ExitCode {
    suite::run_on(
        2,
        start,
        tests![
            a_dry_run_leaves_enforced_guards_on,
            a_guard_that_waits_is_not_forgotten,
            nobody_stops_the_clock
        ],
    )
}

/// A gateway that dials with the client's first bytes, and a site that accepts when the test does.
struct Stage {
    rig: Rig,
    slow: SlowSite,
}

fn start() -> Result<Stage> {
    let slow = SlowSite::listen()?;
    let mut shape = Shape::new(vec![net::listener(TCP, Kind::Mtls443)?]);
    if EnvoyBinary::find()?.has_connect_modes() {
        let listener = Listener::named(ON_DATA, Kind::Mtls443, rig::filter()?);
        shape.listeners.push(listener.connecting(ConnectMode::OnDownstreamData));
    }
    let cluster = |name: &str, to: To, address: Option<&str>| Cluster {
        name: name.to_owned(),
        to,
        sni: None,
        address: address.map(ToOwned::to_owned),
    };
    let route =
        |host: &str, cluster: &str| TcpRoute { sni: vec![host.to_owned()], cluster: cluster.to_owned() };
    shape.clusters = vec![
        cluster("outbound|443||developer.yahoo.com", To::Tls, None),
        cluster("loopback", To::Tls, Some("localhost")),
        cluster("public", To::Tls, Some("9.9.9.9")),
        cluster("slow", To::Port(slow.address.port()), None),
    ];
    shape.tcp_routes = vec![
        route("developers.google.com", "outbound|443||developer.yahoo.com"),
        route("loopback.example.com", "loopback"),
        route("public.example.com", "public"),
        route(SLOW, "slow"),
    ];
    let rig = Rig::of(shape, &[], &Options { concurrency: 1, ..Options::default() })?;
    Ok(Stage { rig, slow })
}

/// A site whose queue of connections is full until the test empties it: whoever dials waits.
struct SlowSite {
    listener: TcpListener,
    address: SocketAddr,
}

impl SlowSite {
    fn listen() -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(0)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Fills the queue.
    fn fill(&self) -> Vec<TcpStream> {
        let connect = || TcpStream::connect_timeout(&self.address, Duration::from_millis(200)).ok();
        std::iter::from_fn(connect).take(64).collect()
    }

    /// Takes connections until one comes that is not of `queue`; the next try of a dial comes within three seconds.
    fn accept_beyond(&self, queue: &[TcpStream]) -> Result<TcpStream> {
        let ours: Vec<_> = queue.iter().filter_map(|stream| stream.local_addr().ok()).collect();
        loop {
            let (stream, peer) = self.listener.accept()?;
            if !ours.contains(&peer) {
                return Ok(stream);
            }
        }
    }
}

/// What is in force nearly always: a policy that is tried before it counts.
fn rollout(settings: &Value) -> Value {
    let mut policy = with(allow_all(), settings);
    let trial = json!({"name": "trial", "action": "DENY", "mode": "DRY_RUN", "rules": [{}]});
    if let Some(policies) = policy["policies"].as_array_mut() {
        policies.push(trial);
    }
    policy
}

fn a_dry_run_leaves_enforced_guards_on(stage: &mut Stage) -> Result<()> {
    if !from_line(LATE_DIAL, "guards at a gateway that dials with the client's first bytes")? {
        return Ok(());
    }
    for (host, settings, reason) in [
        ("developers.google.com", json!({"routeMismatch": "DENY"}), "route_mismatch"),
        ("loopback.example.com", json!({"privateUpstreams": "DENY"}), "private_upstream"),
    ] {
        stage.rig.policy(rollout(&settings))?;
        let rig = &stage.rig;
        let mark = rig.mark();
        let stream = rig.outer(WHO, ON_DATA, Some(host))?;
        let port = stream.local_addr().port();
        let handshake = stream.tls(&rig.public(host)?);
        let is_closed = handshake.as_ref().err().is_some_and(|error| error.is::<Closed>());
        drop(handshake);
        ensure!(is_closed, "{host}: the application's handshake went through");
        let verdict = rig.entry(mark, port)?.verdict();
        ensure!(verdict == format!("deny[{reason}]"), "{host}: {verdict}");
    }
    Ok(())
}

fn a_guard_that_waits_is_not_forgotten(stage: &mut Stage) -> Result<()> {
    if !from_line(LATE_DIAL, "guards at a gateway that dials with the client's first bytes")? {
        return Ok(());
    }
    let guarded = json!({"privateUpstreams": "DENY", "recheckConnections": false});
    stage.rig.policy(with(allow_all(), &guarded))?;
    let queue = stage.slow.fill();
    ensure!(!queue.is_empty(), "the site takes no connection at all");
    let mark = stage.rig.mark();
    let mut stream = stage.rig.outer(WHO, ON_DATA, Some(SLOW))?;
    let port = stream.local_addr().port();
    stream.send(b"first")?;
    stage.rig.caught_up()?;
    // A new configuration, and bytes that make the filter look at it, while the gateway still dials.
    let mut again = with(allow_all(), &guarded);
    again["reportAllowed"] = json!(true);
    stage.rig.policy(again)?;
    stream.send(b"more")?;
    stage.rig.caught_up()?;
    let site = stage.slow.accept_beyond(&queue)?;
    let greeted = std::io::Write::write_all(&mut &site, b"greeting");
    ensure!(greeted.is_ok(), "{greeted:?}");
    net::heard_nothing(&mut stream)?;
    let verdict = stage.rig.entry(mark, port)?.verdict();
    ensure!(verdict == "deny[private_upstream]", "{verdict}");
    Ok(())
}

/// Connections that wait for a dial come all the time, and a hello still has ten seconds.
fn nobody_stops_the_clock(stage: &mut Stage) -> Result<()> {
    stage.rig.policy(with(allow_all(), &json!({"privateUpstreams": "DENY"})))?;
    let rig = &stage.rig;
    let hello = rig.public("public.example.com")?.client_hello()?;
    let mark = rig.mark();
    let mut late = rig.outer(WHO, TCP, Some("public.example.com"))?;
    let port = late.local_addr().port();
    late.send(hello.get(..20).context("a hello is longer")?)?;
    let start = Instant::now();
    let dialling = rig.public("loopback.example.com")?.client_hello()?;
    let is_open =
        |late: &mut Stream| late.receive(Duration::from_millis(1)).is_ok_and(|heard| heard.is_none());
    let mut bytes = hello.iter().skip(20);
    while start.elapsed() < Duration::from_secs(15) && is_open(&mut late) {
        // Waits for the dial, and no longer than until the next bytes; then bytes of somebody else come.
        let mut stream = rig.outer(WHO, TCP, Some("loopback.example.com"))?;
        let _ = stream.send(&dialling);
        sleep(Duration::from_millis(1));
        let _ = stream.send(b"more");
        sleep(Duration::from_millis(1));
        let _ = late.send(&[*bytes.next().context("a hello is longer")?]);
        sleep(Duration::from_millis(150));
    }
    let after = start.elapsed();
    println!("closed after {:.2} s", after.as_secs_f64());
    ensure!((9.5..13.0).contains(&after.as_secs_f64()), "closed after {after:?}");
    let verdict = rig.entry(mark, port)?.verdict();
    ensure!(verdict == "deny[hello_timeout]", "{verdict}");
    Ok(())
}
