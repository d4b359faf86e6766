//! Policies and their rules, and whether a rule matches.

mod attribute;
mod field;
mod host_entry;
mod matching;
mod policy;
mod predicate;

pub use attribute::{
    ATTRIBUTES, AddressGetter, Attribute, ConditionKey, FieldKey, RulePart, TextGetter, Values,
};
pub use field::Field;
pub use host_entry::{HostEntry, HostSet};
pub use policy::{Action, Policy, PolicyMode, Rule};
pub use predicate::{Comparison, Predicate};
