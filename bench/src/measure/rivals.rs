//! What does our filter cost beside what else could stand there: other wasm, and native RBAC with the same policies?

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use egress_lab::shape::Kind;
use serde::{Deserialize, Serialize};

use super::Rig;
use crate::gateway::{Field, Lane, What};
use crate::shapes::Shape;
use crate::stats::{Estimate, added, estimate, ratio_of_added};

/// The comparison.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Rivals {
    /// CPU of the gateway without any filter, µs a request.
    pub without: Estimate,
    /// What each filter adds to that, by its name.
    pub added: Vec<(String, Estimate)>,
    /// What ours adds as a multiple of what the wasm with three host calls adds, by number of policies.
    pub to_three_calls: Vec<(usize, Estimate)>,
    /// The same of native RBAC.
    pub to_native: Vec<(usize, Estimate)>,
    /// What ours adds at the largest size to requests of which hardly two are alike, so that none is admitted from
    /// memory.
    pub anew: Option<Estimate>,
}

/// The shape that is compared: each namespace may reach its own site.
pub const SHAPE: Shape = Shape::Namespaces;
const LARGEST: usize = 10_000;
const SIZES: [usize; 4] = [10, 150, 1_000, LARGEST];

/// Compares builds of our filter with one another, for those who change it.
///
/// # Errors
/// When Envoy or a request fails.
pub fn builds(rig: &Rig, wasms: &[PathBuf], policies: usize) -> Result<Rivals> {
    let lane = |name: String, what| Lane::new(name, what, SHAPE.probe(policies));
    let mut lanes = vec![
        lane("no filter".to_owned(), What::Nothing),
        lane("wasm, no host call".to_owned(), What::Baseline(0)),
        lane("wasm, three host calls".to_owned(), What::Baseline(3)),
    ];
    for wasm in wasms {
        lanes.push(lane(wasm.display().to_string(), What::Build(wasm.clone(), SHAPE.config(policies))));
    }
    let field = Field::start(Kind::Mtls80, lanes, rig.http_site, &rig.options())?;
    let costs = rig.cpu_per_request(&field)?;
    let without = costs.first().context("no lanes")?;
    let three = costs.get(2).context("no baseline")?;
    let named = field.lanes().iter().zip(&costs).skip(1);
    Ok(Rivals {
        without: estimate(without),
        added: named.map(|(lane, with)| (lane.name.clone(), added(with, without))).collect(),
        to_three_calls: costs
            .iter()
            .skip(3)
            .map(|with| (policies, ratio_of_added(with, three, without)))
            .collect(),
        to_native: Vec::new(),
        anew: None,
    })
}

/// Compares.
///
/// # Errors
/// When Envoy or a request fails.
pub fn measure(rig: &Rig) -> Result<Rivals> {
    let lane = |name: &str, what| Lane::new(name, what, SHAPE.probe(10));
    let mut lanes = vec![
        lane("no filter", What::Nothing),
        lane("wasm, no host call", What::Baseline(0)),
        lane("wasm, three host calls", What::Baseline(3)),
    ];
    for policies in SIZES {
        lanes.push(Lane::ours(SHAPE, policies));
    }
    for policies in SIZES {
        let what = What::Native(SHAPE.config(policies));
        lanes.push(Lane::new(format!("native RBAC, {policies}"), what, SHAPE.probe(policies)));
    }
    let compared = lanes.len();
    lanes.push(lane("no filter, no two requests alike", What::Nothing).unlike());
    lanes.push(Lane::ours(SHAPE, LARGEST).unlike());
    let field = Field::start(Kind::Mtls80, lanes, rig.http_site, &rig.options())?;
    let costs = rig.cpu_per_request(&field)?;
    let lane = |at: usize| costs.get(at).map(Vec::as_slice).context("a lane is missing");
    let without = lane(0)?;
    let names = field.lanes().iter().zip(&costs).take(compared).skip(1);
    let mut rivals = Rivals {
        without: estimate(without),
        added: names.map(|(lane, with)| (lane.name.clone(), added(with, without))).collect(),
        to_three_calls: Vec::new(),
        to_native: Vec::new(),
        anew: Some(added(lane(compared + 1)?, lane(compared)?)),
    };
    for (at, policies) in SIZES.into_iter().enumerate() {
        let (ours, native) = (lane(3 + at)?, lane(3 + SIZES.len() + at)?);
        rivals.to_three_calls.push((policies, ratio_of_added(ours, lane(2)?, without)));
        rivals.to_native.push((policies, ratio_of_added(ours, native, without)));
    }
    Ok(rivals)
}
