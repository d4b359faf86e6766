//! A generator of random numbers that gives the same for a seed on every machine and in every version.

/// `SplitMix64` (Steele, Lea, Flood 2014): a seed that is printed today must replay next year.
#[derive(Debug, Clone)]
pub struct Random(u64);

// === impl Random ===

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % u64::try_from(end).unwrap()).unwrap()
    }

    /// As [`Random::below`], by the high bits: the words that benchmarks pack are made by it, and figures are compared by them.
    pub fn scaled(&mut self, end: usize) -> usize {
        let wide = u128::from(self.draw()) * u128::try_from(end).unwrap();
        usize::try_from(wide >> 64).unwrap()
    }

    /// A number of the range, both ends included.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// So many different ones, in their order; all where there are no more.
    pub fn some<T: Clone>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut chosen: Vec<usize> = (0..from.len()).collect();
        while chosen.len() > count {
            chosen.remove(self.below(chosen.len()));
        }
        chosen.into_iter().map(|at| from[at].clone()).collect()
    }
}
