//! How long does a worker stand still for a new configuration, and what memory does it take?

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use egress_lab::envoy::Options;
use egress_lab::gateway::Update;
use egress_lab::shape::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Rig, as_f64};
use crate::cpu;
use crate::gateway::{Field, Lane, What};
use crate::shapes::Shape;
use crate::stats::{Estimate, estimate};

/// Numbers of policies.
const SIZES: [usize; 5] = [10, 1_000, 10_000, 50_000, 100_000];
const SHAPE: Shape = Shape::Namespaces;
/// Envoy's name for its only worker.
const WORKER: &str = "wrk:worker_0";
/// Workers of the larger gateway, for what one more of them takes.
const WORKERS: u32 = 4;

/// One number of policies.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Load {
    /// So many.
    pub policies: usize,
    /// Bytes of pluginConfig.
    pub bytes: usize,
    /// CPU of one worker for a new configuration, in which it does nothing else: ms.
    pub worker: Estimate,
    /// From the file's change to "applied": ms. The main thread's part, twice as much and JSON parsing, is in it.
    pub applied: Estimate,
    /// Memory of one more worker, its VM and configuration in it: MiB.
    pub memory: Estimate,
    /// The same after the configuration has been replaced by one of the same size.
    pub memory_after_update: Estimate,
}

/// Measures all sizes.
///
/// # Errors
/// When Envoy fails or refuses a configuration.
pub fn measure(rig: &Rig) -> Result<Vec<Load>> {
    let sizes = SIZES.into_iter().filter(|size| !rig.effort.quick || *size <= 10_000);
    sizes.map(|policies| measure_one(rig, policies)).collect()
}

fn measure_one(rig: &Rig, policies: usize) -> Result<Load> {
    let config = SHAPE.config(policies);
    let (worker, applied) = times(rig, &config)?;
    let (mut memory, mut after) = (Vec::new(), Vec::new());
    for _ in 0..(if rig.effort.quick { 1 } else { 3 }) {
        let one = footprint(rig, &config, policies, 1)?;
        let many = footprint(rig, &config, policies, WORKERS)?;
        let each = |one: u64, many: u64| {
            #[expect(clippy::cast_precision_loss, reason = "bytes of a process are exact in a double")]
            let difference = many.saturating_sub(one) as f64;
            difference / f64::from(WORKERS - 1) / f64::from(1 << 20)
        };
        memory.push(each(one.0, many.0));
        after.push(each(one.1, many.1));
    }
    Ok(Load {
        policies,
        bytes: config.to_string().len(),
        worker: estimate(&worker),
        applied: estimate(&applied),
        memory: estimate(&memory),
        memory_after_update: estimate(&after),
    })
}

/// CPU of the worker and time until applied, in ms, for several updates.
fn times(rig: &Rig, config: &Value) -> Result<(Vec<f64>, Vec<f64>)> {
    let small = SHAPE.config(1);
    let lane = Lane::new("ours", What::Ours(small.clone()), SHAPE.probe(1));
    let mut field = Field::start(Kind::Mtls80, vec![lane], rig.http_site, &rig.options())?;
    let (mut worker, mut applied) = (Vec::new(), Vec::new());
    for _ in 0..(if rig.effort.quick { 3 } else { 7 }) {
        let before = cpu::of_threads(field.pid(), WORKER)?;
        let start = Instant::now();
        update(&mut field, config)?;
        applied.push(start.elapsed().as_secs_f64() * 1e3);
        worker.push(settled(&field, before)?.as_secs_f64() * 1e3);
        update(&mut field, &small)?;
        settled(&field, before)?;
    }
    Ok((worker, applied))
}

/// What the worker has spent since, once it spends no more.
fn settled(field: &Field, since: Duration) -> Result<Duration> {
    let mut last = cpu::of_threads(field.pid(), WORKER)?;
    loop {
        sleep(Duration::from_millis(60));
        let now = cpu::of_threads(field.pid(), WORKER)?;
        if now.saturating_sub(last) < Duration::from_millis(1) {
            return Ok(now.saturating_sub(since));
        }
        last = now;
    }
}

/// Resident memory with a configuration, and after it was replaced by one of the same size.
fn footprint(rig: &Rig, config: &Value, policies: usize, workers: u32) -> Result<(u64, u64)> {
    let lane = Lane::new("ours", What::Ours(config.clone()), SHAPE.probe(policies));
    let options = Options { concurrency: workers, ..rig.options() };
    let mut field = Field::start(Kind::Mtls80, vec![lane], rig.http_site, &options)?;
    settled(&field, Duration::ZERO)?;
    let fresh = field.memory()?;
    let mut other = config.clone();
    if let Value::Object(fields) = &mut other {
        fields.insert("reportAllowed".to_owned(), Value::Bool(true));
    }
    update(&mut field, &other)?;
    settled(&field, Duration::ZERO)?;
    Ok((fresh, field.memory()?))
}

fn update(field: &mut Field, config: &Value) -> Result<()> {
    match field.mesh_mut().gateway_mut().set_policy(config)? {
        Update::Applied => Ok(()),
        Update::Rejected(why) => bail!("refused: {why}"),
    }
}

/// How much more one policy of the last size takes than one of the size before: 1 is linear.
#[must_use]
pub fn linearity(loads: &[Load]) -> Option<Estimate> {
    let large = loads.iter().find(|load| load.policies == 100_000)?;
    let small = loads.iter().find(|load| load.policies == 10_000)?;
    let each = |load: &Load, figure: f64| figure / as_f64(load.policies);
    let ratio = |large_figure, small_figure| each(large, large_figure) / each(small, small_figure);
    Some(Estimate {
        median: ratio(large.worker.median, small.worker.median),
        low: ratio(large.worker.low, small.worker.high),
        high: ratio(large.worker.high, small.worker.low),
    })
}
