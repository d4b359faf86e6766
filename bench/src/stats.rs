//! Medians, and how far they can be trusted.

use egress_test_support::median;
pub use egress_test_support::random::Random;
use serde::{Deserialize, Serialize};

/// How often the rounds are drawn again.
const DRAWS: usize = 2_000;

/// A number with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub struct Estimate {
    /// The median of the rounds, or what is computed from medians.
    pub median: f64,
    /// Below this lie 2.5 % of what other draws of the rounds would have given.
    pub low: f64,
    /// Above this, as many.
    pub high: f64,
}

impl Estimate {
    /// A number that does not vary.
    #[must_use]
    pub fn exact(number: f64) -> Self {
        Self { median: number, low: number, high: number }
    }

    /// In another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { median: self.median * factor, low: self.low * factor, high: self.high * factor }
    }
}

/// What a statistic of rounds comes to, and its percentile bootstrap interval. `statistic` is given the numbers of
/// the rounds drawn, each variant's in the same order: what happened to one round happened to all its variants.
pub fn bootstrap<const N: usize>(variants: [&[f64]; N], statistic: impl Fn([&[f64]; N]) -> f64) -> Estimate {
    let rounds = variants.iter().map(|numbers| numbers.len()).min().unwrap_or(0);
    let mut random = Random::new(0x5eed);
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let picks: Vec<usize> = (0..rounds).map(|_| random.below(rounds)).collect();
            let drawn = variants
                .map(|numbers| picks.iter().filter_map(|at| numbers.get(*at).copied()).collect::<Vec<f64>>());
            let views: [&[f64]; N] = std::array::from_fn(|at| drawn.get(at).map_or(&[][..], Vec::as_slice));
            statistic(views)
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let quantile = |part: usize| draws.get(DRAWS * part / 1_000).copied().unwrap_or(f64::NAN);
    Estimate { median: statistic(variants), low: quantile(25), high: quantile(975) }
}

/// The median of rounds.
#[must_use]
pub fn estimate(rounds: &[f64]) -> Estimate {
    bootstrap([rounds], |[rounds]| median(rounds))
}

/// What `with` takes more than `without`.
#[must_use]
pub fn added(with: &[f64], without: &[f64]) -> Estimate {
    bootstrap([with, without], |[with, without]| difference(with, without))
}

/// What one costs, as a multiple of another.
#[must_use]
pub fn ratio(one: &[f64], other: &[f64]) -> Estimate {
    bootstrap([one, other], |[one, other]| median(one) / median(other))
}

/// How many times as much `with` adds to `without` as `other` does.
#[must_use]
pub fn ratio_of_added(with: &[f64], other: &[f64], without: &[f64]) -> Estimate {
    bootstrap([with, other, without], |[with, other, without]| {
        difference(with, without) / difference(other, without)
    })
}

/// The median of the differences round by round: a slow moment of the machine hits both sides of a round.
fn difference(with: &[f64], without: &[f64]) -> f64 {
    let pairs: Vec<f64> = with.iter().zip(without).map(|(with, without)| with - without).collect();
    median(&pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_even_and_odd() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn what_is_added_is_paired_by_round() {
        // A machine that is twice as slow in every other round.
        let without: Vec<f64> = (0..20).map(|at| if at % 2 == 0 { 20.0 } else { 40.0 }).collect();
        let with: Vec<f64> = without.iter().map(|base| base + 10.0).collect();
        let twice: Vec<f64> = without.iter().map(|base| base + 20.0).collect();
        assert_eq!(added(&with, &without), Estimate::exact(10.0));
        assert_eq!(ratio_of_added(&twice, &with, &without), Estimate::exact(2.0));
    }

    #[test]
    fn the_interval_holds_the_median_and_narrows_with_agreement() {
        let mut random = Random::new(7);
        let noisy: Vec<f64> = (0..25).map(|_| 100.0 + (random.below(2_000) as f64) / 100.0).collect();
        let wide = estimate(&noisy);
        assert!(wide.low < wide.median && wide.median < wide.high);
        let calm: Vec<f64> = noisy.iter().map(|number| 100.0 + (number - 100.0) / 10.0).collect();
        let narrow = estimate(&calm);
        assert!(narrow.high - narrow.low < (wide.high - wide.low) / 5.0);
    }
}
