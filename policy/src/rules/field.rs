//! One field of a rule with its `not…` twin.

use crate::truth::Truth;

/// "No values, or any value" and not "any not-value".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<P> {
    /// The values; empty where the field has none.
    pub values: Vec<P>,
    /// The values of the `not…` twin.
    pub not_values: Vec<P>,
}

impl<P> Default for Field<P> {
    fn default() -> Self {
        Self { values: Vec::new(), not_values: Vec::new() }
    }
}

impl<P> Field<P> {
    /// Whether the field holds for an attribute that is there.
    pub fn holds(&self, matches: impl Fn(&P) -> Truth) -> Truth {
        let positive =
            if self.values.is_empty() { Truth::True } else { Truth::any(self.values.iter().map(&matches)) };
        positive.and_then(|| !Truth::any(self.not_values.iter().map(&matches)))
    }

    /// Whether the field holds for an attribute that is not there: no value is any of the values, and none is
    /// any of the not-values.
    #[must_use]
    pub fn holds_without_value(&self) -> Truth {
        Truth::from(self.values.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Truth::{False, True, Unknown};

    #[test]
    fn values_and_not_values() {
        let holds = |values: &[Truth], not_values: &[Truth]| {
            Field { values: values.to_vec(), not_values: not_values.to_vec() }.holds(|truth| *truth)
        };
        assert_eq!(holds(&[], &[]), True);
        assert_eq!(holds(&[False, True], &[]), True);
        assert_eq!(holds(&[False], &[]), False);
        assert_eq!(holds(&[], &[False]), True);
        assert_eq!(holds(&[], &[True]), False);
        assert_eq!(holds(&[True], &[True]), False);
        assert_eq!(holds(&[Unknown], &[]), Unknown);
        assert_eq!(holds(&[], &[Unknown]), Unknown);
        assert_eq!(holds(&[True], &[Unknown]), Unknown);
        assert_eq!(holds(&[Unknown], &[True]), False);
    }
}
