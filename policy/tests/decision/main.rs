//! The decision, held against docs/language.md: named cases by topic, and random ones against a second evaluator.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails loudly"
)]

mod admission_cache;
mod fuzz_corpus;
mod path_readings;
mod properties;
mod verdict;

use egress_test_support::{generate, oracle, support, targets};
