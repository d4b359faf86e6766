//! Does a request cost the same at any number of policies, in every shape?
//!
//! Hardly two of the requests are alike, so that none is admitted from memory: what is measured is the decision.

use anyhow::{Context as _, Result};
use egress_lab::shape::Kind;
use serde::{Deserialize, Serialize};

use super::Rig;
use crate::gateway::{Field, Lane, What};
use crate::shapes::Shape;
use crate::stats::{Estimate, added, estimate, ratio_of_added};

/// The costs of one shape.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Flatness {
    /// The shape.
    pub shape: String,
    /// CPU of the gateway without any filter, µs a request.
    pub without: Estimate,
    /// For each number of policies, what the filter adds to that.
    pub sizes: Vec<Size>,
}

/// One number of policies.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Size {
    /// So many.
    pub policies: usize,
    /// What the filter adds to a request, µs.
    pub added: Estimate,
    /// Beside what it adds at the smallest number.
    pub to_smallest: Estimate,
}

/// The numbers of policies.
const SIZES: [usize; 3] = [10, 10_000, 100_000];

/// Measures one shape.
///
/// # Errors
/// When Envoy or a request fails.
pub fn measure(rig: &Rig, shape: Shape) -> Result<Flatness> {
    let sizes: Vec<usize> = SIZES.into_iter().filter(|size| !rig.effort.quick || *size <= 10_000).collect();
    let mut lanes = vec![Lane::new("no filter", What::Nothing, shape.probe(10)).unlike()];
    for policies in &sizes {
        lanes.push(Lane::ours(shape, *policies).unlike());
    }
    let field = Field::start(Kind::Mtls80, lanes, rig.http_site, &rig.options())?;
    let costs = rig.cpu_per_request(&field)?;
    let (without, ours) = costs.split_first().context("no lanes")?;
    let smallest = ours.first().context("no sizes")?;
    Ok(Flatness {
        shape: shape.name().to_owned(),
        without: estimate(without),
        sizes: sizes
            .iter()
            .zip(ours)
            .map(|(policies, with)| Size {
                policies: *policies,
                added: added(with, without),
                to_smallest: ratio_of_added(with, smallest, without),
            })
            .collect(),
    })
}
