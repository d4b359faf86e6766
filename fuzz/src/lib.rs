//! The fuzz targets of `tests/support/src/targets.rs`, which the stable tests replay, for libFuzzer.

use egress_test_support::targets;

/// Runs one target on one input; panics where it is wrong.
///
/// # Panics
/// That is the finding.
pub fn run(name: &str, data: &[u8]) {
    let target = targets::TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("a known target").1(data);
}
