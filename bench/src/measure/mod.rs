//! The measurements: each module answers one question.

pub mod bundles;
pub mod calls;
pub mod connections;
pub mod core;
pub mod latency;
pub mod load;
pub mod requests;
pub mod rivals;
pub mod size;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use egress_lab::envoy::Options;
use tokio::runtime::{Builder, Runtime};

use crate::client::Client;
use crate::cpu;
use crate::gateway::Field;
use crate::stats::Random;

/// Requests under way at once: enough that a worker is never idle, few enough that it is not flooded.
pub const AT_ONCE: usize = 16;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Rounds of each comparison.
    pub rounds: usize,
    /// How long one lane is loaded in one round, roughly: short, so that what else the machine does in a moment
    /// hits all lanes of the round alike.
    pub slice: Duration,
    /// Whether this is a look and not a result: fewer sizes, too.
    pub quick: bool,
}

impl Effort {
    /// What a result takes.
    pub const FULL: Self = Self { rounds: 121, slice: Duration::from_millis(70), quick: false };
    /// A look.
    pub const QUICK: Self = Self { rounds: 11, slice: Duration::from_millis(70), quick: true };
}

/// What the measurements share.
pub struct Rig {
    /// How much is measured.
    pub effort: Effort,
    runtime: Runtime,
    /// The HTTP site's port.
    pub http_site: u16,
    /// The TCP site's port.
    pub tcp_site: u16,
}

impl Rig {
    /// A rig: one thread for clients and sites, so that the gateway has a core of its own where there are two.
    ///
    /// # Errors
    /// When there are no threads or ports.
    pub fn new(effort: Effort) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let http_site = runtime.block_on(crate::site::http())?;
        let tcp_site = runtime.block_on(crate::site::tcp())?;
        Ok(Self { effort, runtime, http_site, tcp_site })
    }

    /// Runs a future to its end.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// How Envoy is run.
    #[must_use]
    pub fn options(&self) -> Options {
        Options { patience: Duration::from_secs(90), ..Options::default() }
    }

    /// CPU of the gateway per request in microseconds, for each lane, round by round; the lanes' order changes in
    /// every round.
    ///
    /// # Errors
    /// When a request is not allowed.
    pub fn cpu_per_request(&self, field: &Field) -> Result<Vec<Vec<f64>>> {
        let clients = self.block_on(field.clients())?;
        let mut bursts = Vec::new();
        for client in &clients {
            bursts.push(self.requests_of_a_slice(client)?);
        }
        let mut costs = vec![Vec::new(); clients.len()];
        let mut random = Random::new(1);
        for _ in 0..self.effort.rounds {
            for at in shuffled(clients.len(), &mut random) {
                let (Some(client), Some(requests)) = (clients.get(at), bursts.get(at)) else {
                    continue;
                };
                let before = cpu::process(field.pid())?;
                self.block_on(client.burst(*requests, AT_ONCE))?;
                let spent = cpu::process(field.pid())?.saturating_sub(before);
                let each = spent.as_secs_f64() * 1e6 / as_f64(*requests);
                costs.get_mut(at).context("a lane")?.push(each);
            }
        }
        Ok(costs)
    }

    /// CPU of the gateway per request in microseconds, for one burst through its first lane.
    ///
    /// # Errors
    /// When a request is not allowed.
    pub fn one_burst(&self, field: &Field, requests: usize, at_once: usize) -> Result<f64> {
        let clients = self.block_on(field.clients())?;
        let client = clients.first().context("no lane")?;
        let before = cpu::process(field.pid())?;
        self.block_on(client.burst(requests, at_once))?;
        let spent = cpu::process(field.pid())?.saturating_sub(before);
        Ok(spent.as_secs_f64() * 1e6 / as_f64(requests))
    }

    /// Warms a lane up, and how many requests fill a slice.
    fn requests_of_a_slice(&self, client: &Client) -> Result<usize> {
        let mut requests = AT_ONCE;
        loop {
            let start = Instant::now();
            self.block_on(client.burst(requests, AT_ONCE))?;
            let took = start.elapsed();
            if took > self.effort.slice / 2 || requests > 20_000 {
                let scale = self.effort.slice.as_secs_f64() / took.as_secs_f64();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand")]
                let scaled = (as_f64(requests) * scale) as usize;
                return Ok(scaled.max(AT_ONCE));
            }
            requests *= 2;
        }
    }
}

/// The numbers below `count` in some order.
pub(crate) fn shuffled(count: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        order.swap(at, random.below(at + 1));
    }
    order
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests and bytes are exact in a double")]
pub(crate) fn as_f64(number: usize) -> f64 {
    number as f64
}
