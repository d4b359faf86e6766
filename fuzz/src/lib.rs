//! The fuzz targets of `policy/tests/decision/targets.rs`, which the stable tests replay, for libFuzzer.

#![allow(dead_code, reason = "of the test suite's support only the part that the targets use is needed")]

#[path = "../../policy/tests/decision/generate.rs"]
mod generate;
#[path = "../../policy/tests/decision/oracle/mod.rs"]
mod oracle;
#[path = "../../policy/tests/decision/support.rs"]
mod support;
#[path = "../../policy/tests/decision/targets.rs"]
mod targets;

/// Runs one target on one input; panics where it is wrong.
///
/// # Panics
/// That is the finding.
pub fn run(name: &str, data: &[u8]) {
    let target = targets::TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("a known target").1(data);
}
