//! What one change costs: until it is in force, on the wire, and of the processors.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use egress_mesh_tests::counters;

use crate::policies::{Change, Engine, change, fill};
use crate::{Bench, FLIPPED};

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// After this nothing of a change is still going on.
const REST: Duration = Duration::from_secs(4);
/// The kernel's clock for processors' time.
const TICKS: f64 = 100.0;

/// The cost at one size.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) engine: Engine,
    pub(crate) policies: usize,
    /// From the start of `kubectl apply` to the new verdict, each change.
    pub(crate) seconds: Vec<f64>,
    /// Of these, until `kubectl apply` had ended.
    pub(crate) kubectl: Vec<f64>,
    /// Bytes that the gateway's Envoy received for one change.
    pub(crate) bytes: u64,
    /// Seconds of processors for one change.
    pub(crate) istiod: f64,
    pub(crate) gateway: f64,
    /// Resident memory of the gateway's Envoy and of its agent, in MiB.
    pub(crate) envoy_mib: u64,
    pub(crate) agent_mib: u64,
}

pub(crate) fn measure(bench: &mut Bench, engine: Engine, policies: usize, changes: usize) -> Result<Cost> {
    if engine == Engine::Native && policies > 1 {
        // What smaller sizes created is still there.
        let there = if policies > 1_000 { 1_000 } else { 1 };
        fill(bench, there, policies)?;
    }
    // What is applied is made before the clock starts.
    let (refuse, allow) = (change(bench, engine, policies, true)?, change(bench, engine, policies, false)?);
    turn(bench, &allow, 200)?;
    sleep(REST);
    let (mut seconds, mut kubectl) = (Vec::new(), Vec::new());
    for at in 0..changes {
        let (change, expected) = if at % 2 == 0 { (&refuse, 403) } else { (&allow, 200) };
        let (total, applied) = turn(bench, change, expected)?;
        seconds.push(total);
        kubectl.push(applied);
        sleep(Duration::from_secs(1));
    }
    turn(bench, &allow, 200)?;
    sleep(REST);
    let idle = Spent::now(bench)?;
    sleep(REST);
    let before = Spent::now(bench)?;
    refuse.apply(bench)?;
    sleep(REST);
    let after = Spent::now(bench)?;
    let [envoy, agent] = bench.gateway_processes()?;
    Ok(Cost {
        engine,
        policies,
        seconds,
        kubectl,
        bytes: after.bytes - before.bytes,
        istiod: (after.istiod - before.istiod) - (before.istiod - idle.istiod),
        gateway: (after.gateway - before.gateway) - (before.gateway - idle.gateway),
        envoy_mib: resident(envoy)?,
        agent_mib: resident(agent)?,
    })
}

/// Applies a change and waits for its verdict; tells how long both took together, and kubectl alone.
fn turn(bench: &Bench, change: &Change, expected: u16) -> Result<(f64, f64)> {
    let identity = bench.identity()?;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let applied = scope.spawn(|| change.apply(bench).map(|()| begin.elapsed().as_secs_f64()));
        loop {
            // A listener that is being replaced may refuse a connection; that is no verdict.
            if bench.status(&identity, FLIPPED).is_ok_and(|got| got == expected) && applied.is_finished() {
                break;
            }
            if begin.elapsed() > PATIENCE {
                bail!("no new verdict after {PATIENCE:?}");
            }
            sleep(Duration::from_millis(5));
        }
        let total = begin.elapsed().as_secs_f64();
        let applied = applied.join().map_err(|_| anyhow::anyhow!("kubectl panicked"))??;
        Ok((total, applied))
    })
}

/// What was spent so far.
struct Spent {
    bytes: u64,
    istiod: f64,
    gateway: f64,
}

// === impl Spent ===

impl Spent {
    fn now(bench: &Bench) -> Result<Self> {
        let istiod = i32::try_from(bench.mesh.control_plane().istiod()?.pid())?;
        let [envoy, agent] = bench.gateway_processes()?;
        Ok(Self {
            bytes: counters(bench.mesh.gateway()?, &["cluster.xds-grpc", "upstream_cx_rx_bytes_total"])?,
            istiod: processor_seconds(istiod)?,
            gateway: processor_seconds(envoy)? + processor_seconds(agent)?,
        })
    }
}

// === impl Bench ===

impl Bench {
    /// The gateway's Envoy and its agent.
    fn gateway_processes(&self) -> Result<[i32; 2]> {
        let gateway = self.mesh.gateway()?;
        let envoy = gateway.envoy_pid()?;
        let agent = gateway.netns().processes()?.into_iter().find(|pid| *pid != envoy).context("no agent")?;
        Ok([envoy, agent])
    }
}

fn processor_seconds(pid: i32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is in brackets and may hold anything.
    let (_, rest) = text.rsplit_once(')').context("no stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("no times");
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

fn resident(pid: i32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}
