//! What tests, fuzz targets and benchmarks share. It knows the core and nothing of Envoy.
//!
//! [`oracle`] evaluates the language a second time, from its page and not from the core. [`generate`] makes configurations
//! and requests of any bytes, [`support`] puts them to the engine, and [`targets`] are the claims that fuzzing and the stable
//! tests hold them to. [`shapes`] are configurations of any size as people write them.

#![expect(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::missing_panics_doc,
    reason = "of tests: it fails loudly, and names say what is checked"
)]

pub mod generate;
pub mod oracle;
pub mod random;
pub mod shapes;
pub mod support;
pub mod targets;

/// The middle of some numbers; not a number where there are none.
#[must_use]
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (odd, middle) if odd % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}
