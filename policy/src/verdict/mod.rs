//! The verdict: the steps of docs/language.md#5-the-verdict, first hit decides.

mod decision;
mod engine;
mod guards;
mod index;
mod reason;
mod trace;
mod view;

pub use decision::{Decision, Pending, Verdict};
pub use engine::Engine;
pub use reason::{Reason, RuleRef};
pub use trace::{Step, Trace};
