//! Random policy sets, and requests that tell something about them.

mod policies;
mod requests;
mod values;

pub(crate) use policies::policy_set;
pub(crate) use requests::{FieldSide, every_side, requests};
