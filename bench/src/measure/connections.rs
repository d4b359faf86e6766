//! What does a connection cost on NETWORK?

use anyhow::{Context as _, Result};
use egress_lab::shape::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AT_ONCE, Rig, as_f64, shuffled};
use crate::cpu;
use crate::gateway::{Field, Lane, What};
use crate::shapes::Shape;
use crate::stats::{Estimate, Random, added, estimate, ratio};

/// One filter's connections.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Connections {
    /// The filter.
    pub name: String,
    /// CPU of the gateway for a connection: mTLS handshake, ClientHello, one byte back. µs.
    pub cpu: Estimate,
    /// So many of them a second fill one worker.
    pub per_second: Estimate,
    /// What the filter adds, µs.
    pub added: Estimate,
    /// What a connection costs, as a multiple of what it costs with our filter and 10 policies.
    pub to_smallest: Estimate,
}

const SHAPE: Shape = Shape::Namespaces;
/// The lane of our filter with the fewest policies.
const SMALLEST: usize = 3;

/// Measures.
///
/// # Errors
/// When Envoy or a connection fails.
pub fn measure(rig: &Rig) -> Result<Vec<Connections>> {
    let lane = |name: &str, what| Lane::new(name, what, SHAPE.probe(10));
    let mut lanes = vec![
        lane("no filter", What::Nothing),
        lane("wasm, no host call", What::Baseline(0)),
        lane("wasm, three host calls", What::Baseline(3)),
        Lane::ours(SHAPE, 10),
        Lane::ours(SHAPE, 10_000),
        Lane::ours(SHAPE, 100_000),
        Lane::new("ours, 100000 that expire", What::Ours(expiring(100_000)), SHAPE.probe(100_000)),
    ];
    for policies in [150, 10_000] {
        let what = What::Native(SHAPE.config(policies));
        lanes.push(Lane::new(format!("native RBAC, {policies}"), what, SHAPE.probe(policies)));
    }
    let field = Field::start(Kind::Mtls443, lanes, rig.tcp_site, &rig.options())?;
    let diallers = field.diallers()?;
    for dialler in &diallers {
        rig.block_on(dialler.burst(AT_ONCE * 2, AT_ONCE))?;
    }
    let connections = 64;
    let mut costs = vec![Vec::new(); diallers.len()];
    let mut random = Random::new(2);
    for _ in 0..rig.effort.rounds {
        for at in shuffled(diallers.len(), &mut random) {
            let dialler = diallers.get(at).context("a lane")?;
            let before = cpu::process(field.pid())?;
            rig.block_on(dialler.burst(connections, AT_ONCE))?;
            let spent = cpu::process(field.pid())?.saturating_sub(before);
            costs.get_mut(at).context("a lane")?.push(spent.as_secs_f64() * 1e6 / as_f64(connections));
        }
    }
    let without = costs.first().context("no lanes")?;
    let smallest = costs.get(SMALLEST).context("no lanes")?;
    let named = field.lanes().iter().zip(&costs);
    Ok(named
        .map(|(lane, with)| {
            let rates: Vec<f64> = with.iter().map(|micros| 1e6 / micros).collect();
            Connections {
                name: lane.name.clone(),
                cpu: estimate(with),
                per_second: estimate(&rates),
                added: added(with, without),
                to_smallest: ratio(with, smallest),
            }
        })
        .collect())
}

/// Policies that all expire, each at an instant of its own.
fn expiring(policies: usize) -> Value {
    let mut config = SHAPE.config(policies);
    let items = config.get_mut("policies").and_then(Value::as_array_mut);
    for (at, policy) in items.into_iter().flatten().enumerate() {
        let expires = format!(
            "2100-01-{:02}T{:02}:{:02}:{:02}Z",
            1 + at / 86_400,
            at / 3_600 % 24,
            at / 60 % 60,
            at % 60
        );
        if let Some(policy) = policy.as_object_mut() {
            policy.insert("expires".to_owned(), expires.into());
        }
    }
    config
}
