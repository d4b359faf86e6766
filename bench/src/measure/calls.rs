//! How often does a request cross the sandbox's border? Counted, from Envoy's own trace: no clock has a part in it.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use egress_lab::envoy::Options;
use egress_lab::shape::Kind;
use serde::{Deserialize, Serialize};

use super::{Rig, as_f64};
use crate::gateway::{Field, Lane, What};
use crate::shapes::Shape;

/// Crossings of one filter.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Calls {
    /// The filter.
    pub name: String,
    /// Callbacks of a request: Envoy enters the VM.
    pub callbacks: f64,
    /// Host calls of a request: the VM asks Envoy.
    pub host_calls: f64,
    /// The host calls by name, of all requests counted.
    pub names: Vec<String>,
}

/// So many requests are counted, one after the other.
const REQUESTS: usize = 20;

/// Counts.
///
/// # Errors
/// When Envoy or a request fails.
pub fn measure(rig: &Rig) -> Result<Vec<Calls>> {
    let shape = Shape::Namespaces;
    let baseline = |name: &str, calls| Lane::new(name, What::Baseline(calls), shape.probe(10));
    let lanes = vec![
        baseline("wasm, no host call", 0),
        baseline("wasm, three host calls", 3),
        Lane::ours(shape, 10),
        Lane::ours(shape, 1_000),
    ];
    let mut counted = Vec::new();
    for lane in lanes {
        let name = lane.name.clone();
        // Each by itself: the trace does not say whose call it is.
        let options = Options { component_log_level: "wasm:trace".to_owned(), ..rig.options() };
        let mut field = Field::start(Kind::Mtls80, vec![lane], rig.http_site, &options)?;
        let clients = rig.block_on(field.clients())?;
        let client = clients.first().context("no lane")?;
        rig.block_on(client.burst(REQUESTS, 1))?;
        let before = settled_log(&mut field).len();
        rig.block_on(client.burst(REQUESTS, 1))?;
        let log = settled_log(&mut field);
        let lines = || log.get(before..).unwrap_or_default().lines();
        // Ticks come by the second, and not from requests.
        let callbacks = lines().filter(|line| line.contains("[host->vm]") && !line.contains("tick"));
        let host_calls: Vec<String> = lines()
            .filter_map(|line| line.split_once("[vm->host] ").map(|(_, call)| call))
            .filter_map(|call| call.split_once('(').map(|(name, _)| name.to_owned()))
            .filter(|name| !name.contains("metric"))
            .collect();
        let mut names = host_calls.clone();
        names.sort();
        names.dedup();
        let requests = as_f64(REQUESTS);
        counted.push(Calls {
            name,
            callbacks: as_f64(callbacks.count()) / requests,
            host_calls: as_f64(host_calls.len()) / requests,
            names,
        });
    }
    Ok(counted)
}

/// The log once it grows no more.
fn settled_log(field: &mut Field) -> String {
    let mut last = field.mesh_mut().gateway().envoy().log();
    loop {
        sleep(Duration::from_millis(100));
        let now = field.mesh_mut().gateway().envoy().log();
        if now.len() == last.len() {
            return now;
        }
        last = now;
    }
}
