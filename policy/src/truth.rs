//! Kleene's three-valued logic.

use std::ops::Not;

/// Whether a condition holds. *Unknown* is a condition over an attribute that this protocol cannot have or
/// that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
    /// It holds.
    True,
}

impl Truth {
    /// Conjunction; `other` is asked only where this is not already false.
    #[must_use]
    pub fn and_then(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::False => Self::False,
            _ => self.min(other()),
        }
    }

    /// The conjunction of all, ending at the first that is false; true for none.
    pub fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut least = Self::True;
        for truth in truths {
            least = least.min(truth);
            if least == Self::False {
                break;
            }
        }
        least
    }

    /// The disjunction of all, ending at the first that is true; false for none.
    pub fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut most = Self::False;
        for truth in truths {
            most = most.max(truth);
            if most == Self::True {
                break;
            }
        }
        most
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, False, True, Unknown};

    #[test]
    fn kleene_tables() {
        for (a, b, and, or) in [
            (True, True, True, True),
            (True, Unknown, Unknown, True),
            (True, False, False, True),
            (Unknown, Unknown, Unknown, Unknown),
            (Unknown, False, False, Unknown),
            (False, False, False, False),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(a.and_then(|| b), and);
                assert_eq!(Truth::all([a, b]), and);
                assert_eq!(Truth::any([a, b]), or);
                // De Morgan ties the tables together.
                assert_eq!(!Truth::all([a, b]), Truth::any([!a, !b]));
            }
        }
        assert_eq!(Truth::all([]), True);
        assert_eq!(Truth::any([]), False);
    }

    #[test]
    fn what_is_already_decided_asks_no_more() {
        assert_eq!(False.and_then(|| panic!("asked")), False);
        assert_eq!(Truth::all([False, True].into_iter().inspect(|t| assert_eq!(*t, False))), False);
        assert_eq!(Truth::any([True, False].into_iter().inspect(|t| assert_eq!(*t, True))), True);
    }
}
