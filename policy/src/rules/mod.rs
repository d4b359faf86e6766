//! Policies and their rules, and whether a rule matches.

mod field;
mod host_entry;
mod matching;
mod policy;
mod predicate;

pub use field::Field;
pub use host_entry::{HostEntry, HostSet};
pub use policy::{Action, Policy, PolicyMode, Rule};
pub use predicate::Predicate;
