//! The verdict: the steps of the contract's section 5, first hit decides.

mod engine;
mod guards;
mod index;
mod reason;
mod trace;
mod view;

pub use engine::{Decision, Engine, Verdict};
pub use reason::{Reason, RuleRef};
pub use trace::{Step, Trace};
