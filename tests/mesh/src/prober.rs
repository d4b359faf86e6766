//! A client that never stops asking for what is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use egress_lab::certs::Authority;
use egress_lab::client::http::Ask;
use egress_lab::client::{Closed, Stream, Tls};
use egress_mesh::mesh::Mesh;
use egress_mesh::netns::within;
use egress_mesh::place::{WORLD_ADDRESS, WORLD_HTTP, WORLD_TLS};

/// Between two questions.
const REST: Duration = Duration::from_millis(10);

/// What came of its questions, by answer: a status, `closed`, or why there was none.
pub type Tally = BTreeMap<String, u64>;

/// The asking client; whoever has seen enough calls [`Prober::end`].
pub struct Prober {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Tally>>>,
    host: String,
    reached: Box<dyn Fn() -> u64>,
}

// === impl Prober ===

impl Prober {
    /// Asks for a host over HTTP and over TLS, in a workload's pod and so through its sidecar, until it is told to stop.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn start(mesh: &Mesh, who: &str, host: &str) -> Result<Self> {
        let netns = mesh.pod(who)?.netns().name().to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for scheme in ["http", "https"] {
            let (netns, stop, host) = (netns.clone(), stop.clone(), host.to_owned());
            let public = mesh.public().clone();
            threads.push(thread::spawn(move || within(&netns, || Ok(ask_on(&stop, &public, scheme, &host)))));
        }
        let watch = mesh.world().watch();
        let (name, watched) = (host.to_owned(), move |host: &str| {
            let seen = watch();
            seen.requests_for(host) + seen.hellos.get(host).copied().unwrap_or(0)
        });
        let reached: Box<dyn Fn() -> u64> = Box::new(move || watched(&name));
        ensure!(reached() == 0, "{host} was reached before");
        Ok(Self { stop, threads, host: host.to_owned(), reached })
    }

    /// How often the host was reached so far.
    #[must_use]
    pub fn reached(&self) -> u64 {
        (self.reached)()
    }

    /// Stops, and tells what came, once the host was not reached and there were enough questions to say so.
    ///
    /// # Errors
    /// When the host was reached, or answered.
    pub fn end(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::new();
        for thread in self.threads.drain(..) {
            for (answer, times) in thread.join().map_err(|_| anyhow!("the prober panicked"))?? {
                *all.entry(answer).or_default() += times;
            }
        }
        let reached = self.reached();
        ensure!(reached == 0, "{} was reached {reached} times: {all:?}", self.host);
        ensure!(!all.keys().any(|answer| answer.ends_with(" 200")), "an answer passed: {all:?}");
        ensure!(all.values().sum::<u64>() >= 20, "too few questions to say anything: {all:?}");
        Ok(all)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// How long a test that is asking may take at most; it stops by itself then.
const AT_MOST: Duration = Duration::from_secs(600);

fn ask_on(stop: &AtomicBool, public: &Authority, scheme: &str, host: &str) -> Tally {
    let end = Instant::now() + AT_MOST;
    let mut tally = Tally::new();
    while !stop.load(Ordering::Relaxed) && Instant::now() < end {
        let answer = match ask_once(public, scheme, host) {
            Ok(status) => status.to_string(),
            Err(error) if error.is::<Closed>() => "closed".to_owned(),
            // The reason's kind, not its details: there are as many as questions.
            Err(error) => format!("{error:#}").chars().take(60).collect(),
        };
        *tally.entry(format!("{scheme} {answer}")).or_default() += 1;
        thread::sleep(REST);
    }
    tally
}

/// One question on a connection of its own, as the calling thread's namespace makes it.
///
/// # Errors
/// [`Closed`] where the other side hung up.
pub fn ask_once(public: &Authority, scheme: &str, host: &str) -> Result<u16> {
    let ask = Ask::parse(&format!("GET {scheme}://{host}/"))?.header("connection", "close");
    let port = if scheme == "https" { WORLD_TLS } else { WORLD_HTTP };
    let stream = Stream::connect((WORLD_ADDRESS, port).into()).context("connecting")?;
    let stream = if scheme == "https" { stream.tls(&Tls::public(public, host)?)? } else { stream };
    Ok(stream.http1(&ask)?.status)
}
