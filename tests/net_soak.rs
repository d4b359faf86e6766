//! Many connections at once, half of them refused, churned: no wrong verdict, no memory that grows, no VM that dies.
//!
//! `make soak` has two thousand and churns for a minute in each of two rounds (`EGRESS_SOAK_SECONDS`); `make test` has
//! fewer, for some seconds.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use egress_lab::client::Tls;
use egress_lab::envoy::Options;
use egress_lab::shape::{Kind, Shape};
use egress_tests::net::{self, TCP};
use egress_tests::rig::Rig;
use egress_tests::{suite, tests};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// Connections at once, and for so long in each round.
const SOAK: usize = 2_000;
const GLANCE: (usize, f32) = (300, 2.0);
/// Descriptors that this process needs: the clients' and the world's ends, and some for everything else. Envoy as many.
const DESCRIPTORS: u64 = 2 * SOAK as u64 + 2_000;
const GOOD: &str = "www.example.com";
const EVIL: &str = "evil.example";
/// Longer than anything takes on a machine that is busy with two thousand handshakes.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    suite::run(start, tests![many_connections_half_of_them_refused])
}

fn start() -> Result<Rig> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |maximum| DESCRIPTORS.min(maximum));
    if limit.current.is_some_and(|current| current < wanted) {
        // Envoy inherits it.
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
    }
    let options = Options { concurrency: 2, log_level: "error".to_owned(), ..Options::default() };
    let mut rig = Rig::of(Shape::new(vec![net::listener(TCP, Kind::Mtls443)?]), &[], &options)?;
    rig.policy(json!({"policies": [
        {"name": "own", "rules": [{"from": [{"source": {"namespaces": ["a"]}}]}]},
        {"name": "no", "action": "DENY", "rules": [{"to": [{"operation": {"hosts": [EVIL]}}]}]},
    ]}))?;
    Ok(rig)
}

/// What the clients of one kind do.
#[derive(Clone)]
struct Client {
    gateway: std::net::SocketAddr,
    outer: (TlsConnector, ServerName<'static>),
    /// What a refused one sends: a whole hello.
    hello: Arc<Vec<u8>>,
    /// What an admitted one speaks.
    inner: Option<(TlsConnector, ServerName<'static>)>,
}

#[derive(Default)]
struct Tally {
    admitted: AtomicU64,
    refused: AtomicU64,
    open: AtomicU64,
    most: AtomicU64,
}

// === impl Client ===

impl Client {
    fn new(rig: &Rig, who: &str, host: &str, admitted: bool) -> Result<Self> {
        let connector = |tls: &Tls| -> Result<_> {
            let (config, name) = tls.config()?;
            Ok((TlsConnector::from(Arc::new(config)), name))
        };
        let outer = Tls::mesh(rig.mesh().authority(), Some(rig.mesh().identity(who)?), Some(host))?;
        let inner = rig.public(host)?;
        Ok(Self {
            gateway: rig.mesh().gateway().address(TCP)?,
            outer: connector(&outer.with_alpn(&["istio"]))?,
            hello: Arc::new(inner.client_hello()?),
            inner: if admitted { Some(connector(&inner)?) } else { None },
        })
    }

    /// One connection, which goes on when `all` are there: undecided for a while, then either used for a while or refused.
    async fn connect(&self, pause: Duration, tally: &Tally, all: Option<&Barrier>) -> Result<()> {
        let tcp = TcpStream::connect(self.gateway).await?;
        tcp.set_nodelay(true)?;
        let open = tally.open.fetch_add(1, Ordering::Relaxed) + 1;
        tally.most.fetch_max(open, Ordering::Relaxed);
        let outcome = timeout(PATIENCE, self.speak(tcp, pause, all)).await;
        tally.open.fetch_sub(1, Ordering::Relaxed);
        outcome.context("it hangs")??;
        let kind = if self.inner.is_some() { &tally.admitted } else { &tally.refused };
        kind.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn speak(&self, tcp: TcpStream, pause: Duration, all: Option<&Barrier>) -> Result<()> {
        let (connector, name) = &self.outer;
        let mut outer =
            connector.connect(name.clone(), tcp).await.context("the handshake with the gateway")?;
        if let Some(all) = all {
            all.wait().await;
        }
        let Some((connector, name)) = &self.inner else {
            let (first, rest) = self.hello.split_at(self.hello.len() / 2);
            outer.write_all(first).await?;
            outer.flush().await?;
            sleep(pause).await;
            // Refused, it may be gone before the last byte.
            let _ = outer.write_all(rest).await;
            let _ = outer.flush().await;
            let mut heard = [0; 1];
            return match outer.read(&mut heard).await {
                Ok(0) | Err(_) => Ok(()),
                Ok(_) => bail!("a refused client heard the site"),
            };
        };
        sleep(pause / 2).await;
        let mut inner =
            connector.connect(name.clone(), outer).await.context("an admitted client is refused")?;
        get(&mut inner).await?;
        sleep(pause).await;
        get(&mut inner).await?;
        let _ = inner.shutdown().await;
        Ok(())
    }
}

async fn get(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<()> {
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {GOOD}\r\n\r\n").as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    while !answer.ends_with(b"}\n") {
        let read = stream.read(&mut buffer).await?;
        ensure!(read > 0, "the answer ends after {} bytes", answer.len());
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// One round; the errors of all connections.
fn churn(clients: &[Client], connections: usize, length: Duration) -> Result<(Arc<Tally>, Vec<String>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let tally = Arc::new(Tally::default());
    let all = Arc::new(Barrier::new(connections));
    // Short rounds churn as well as long ones do.
    let pause = (length / 4).min(Duration::from_secs(3));
    let errors = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0..connections {
            let client = clients.get(at % clients.len()).context("no client")?.clone();
            let (tally, all) = (tally.clone(), all.clone());
            tasks.spawn(async move {
                let mut errors = Vec::new();
                let mut turn = u32::try_from(at).unwrap_or_default();
                let mut deadline = None;
                while deadline.is_none_or(|deadline| Instant::now() < deadline) && errors.is_empty() {
                    // From a half to one and a half: connections of one moment do not stay together.
                    turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let pause = pause / 2 + pause * (turn >> 16) / 0xffff;
                    let all = all.as_ref();
                    let first = deadline.is_none().then_some(all);
                    if let Err(error) = client.connect(pause, &tally, first).await {
                        errors.push(format!("{error:#}"));
                    }
                    deadline.get_or_insert_with(|| Instant::now() + length);
                }
                errors
            });
        }
        let mut errors = Vec::new();
        while let Some(of_one) = tasks.join_next().await {
            errors.extend(of_one?);
        }
        Ok::<_, anyhow::Error>(errors)
    })?;
    Ok((tally, errors))
}

fn many_connections_half_of_them_refused(rig: &mut Rig) -> Result<()> {
    let (connections, seconds) = match env::var("EGRESS_SOAK_SECONDS") {
        Ok(text) => (SOAK, text.parse()?),
        Err(_) => GLANCE,
    };
    let all = u64::try_from(connections)?;
    let length = Duration::from_secs_f32(seconds);
    let clients = [
        Client::new(rig, "a/x", GOOD, true)?,
        Client::new(rig, "a/x", EVIL, false)?,
        Client::new(rig, "a/y", GOOD, true)?,
        Client::new(rig, "b/x", GOOD, false)?,
    ];
    let vms = |rig: &Rig| rig.envoy().stat("wasm.envoy.wasm.runtime.v8.created");
    let created = vms(rig)?;
    let (mut refused, mut admitted, mut memory) = (0, 0, Vec::new());
    for round in ["first", "second"] {
        let (tally, errors) = churn(&clients, connections, length)?;
        // What the last connections held is given back when their ends have been seen.
        net::within(Duration::from_secs(20), "all connections are gone", || {
            let gauges = rig
                .envoy()
                .stats(r"^(listener\.[^a].*\.downstream_cx_active|cluster\..*\.upstream_cx_active)$")?;
            Ok(!gauges.is_empty() && gauges.values().all(|value| value == "0"))
        })?;
        memory.push(rig.envoy().memory()?);
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!(
            "{round} round, {seconds} s: {} admitted, {} refused, {} at once, {} wrong; {} MB",
            of(&tally.admitted),
            of(&tally.refused),
            of(&tally.most),
            errors.len(),
            memory.last().unwrap_or(&0) / 1_000_000
        );
        ensure!(errors.is_empty(), "{} of them, the first: {}", errors.len(), errors.first().context("one")?);
        ensure!(of(&tally.most) == all, "only {} at once", of(&tally.most));
        admitted += of(&tally.admitted);
        refused += of(&tally.refused);
    }
    ensure!(admitted >= all && refused >= all, "{admitted} and {refused}");
    let seen = rig.mesh().world().seen();
    ensure!(seen.requests_for(GOOD) == 2 * admitted, "{} requests", seen.requests_for(GOOD));
    ensure!(seen.hellos.get(GOOD) == Some(&admitted), "{:?} for {admitted}", seen.hellos);
    ensure!(seen.hellos.len() == 1, "a refused hello reached the site: {:?}", seen.hellos);
    net::soon("every decision is counted", || {
        let page = rig.envoy().prometheus()?;
        let of = |verdict: &str| {
            let label = format!("verdict=\"{verdict}\"");
            let lines =
                page.lines().filter(|line| line.contains("egress_authz_decisions") && line.contains(&label));
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum::<u64>()
        };
        Ok(of("allow") == admitted && of("deny") == refused)
    })?;
    ensure!(vms(rig)? == created, "a VM was started again");
    ensure!(rig.traps().is_empty(), "{:?}", rig.traps());
    let [first, second] = memory[..] else { bail!("two rounds") };
    ensure!(second * 100 <= first * 105, "{first} bytes after the first round, {second} after the second");
    Ok(())
}
