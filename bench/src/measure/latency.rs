//! How long does a request take at a fixed rate?

use std::time::Duration;

use anyhow::{Context as _, Result};
use egress_lab::shape::Kind;
use serde::{Deserialize, Serialize};

use super::{AT_ONCE, Rig, shuffled};
use crate::gateway::{Field, Lane, What};
use crate::shapes::Shape;
use crate::stats::{Estimate, Random, estimate};

/// Requests a second, far below what a worker can do (but for native RBAC at 10,000).
pub const RATE: u32 = 300;

/// One filter's latency.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Latency {
    /// The filter.
    pub name: String,
    /// Half of the requests are answered within so many µs.
    pub p50: Estimate,
    /// And 99 of 100 within so many.
    pub p99: Estimate,
}

/// Measures.
///
/// # Errors
/// When Envoy or a request fails.
pub fn measure(rig: &Rig) -> Result<Vec<Latency>> {
    let shape = Shape::Namespaces;
    let lane = |name: &str, what| Lane::new(name, what, shape.probe(10));
    let mut lanes = vec![
        lane("no filter", What::Nothing),
        lane("wasm, three host calls", What::Baseline(3)),
        Lane::ours(shape, 10),
        Lane::ours(shape, 10_000),
    ];
    for policies in [1_000, 10_000] {
        let what = What::Native(shape.config(policies));
        lanes.push(Lane::new(format!("native RBAC, {policies}"), what, shape.probe(policies)));
    }
    let field = Field::start(Kind::Mtls80, lanes, rig.http_site, &rig.options())?;
    let clients = rig.block_on(field.clients())?;
    for client in &clients {
        rig.block_on(client.burst(AT_ONCE * 40, AT_ONCE))?;
    }
    let (rounds, period) = if rig.effort.quick { (3, 500) } else { (9, 1_000) };
    let mut halves = vec![Vec::new(); clients.len()];
    let mut tails = halves.clone();
    let mut random = Random::new(3);
    for _ in 0..rounds {
        for at in shuffled(clients.len(), &mut random) {
            let client = clients.get(at).context("a lane")?;
            let mut took = rig.block_on(client.paced(RATE, Duration::from_millis(period)))?;
            took.sort();
            let quantile = |percent: usize| {
                took.get(took.len() * percent / 100).map_or(f64::NAN, |took| took.as_secs_f64() * 1e6)
            };
            halves.get_mut(at).context("a lane")?.push(quantile(50));
            tails.get_mut(at).context("a lane")?.push(quantile(99));
        }
    }
    let named = field.lanes().iter().zip(halves.iter().zip(&tails));
    Ok(named
        .map(|(lane, (halves, tails))| Latency {
            name: lane.name.clone(),
            p50: estimate(halves),
            p99: estimate(tails),
        })
        .collect())
}
