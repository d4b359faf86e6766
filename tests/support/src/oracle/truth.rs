//! Kleene's logic as arithmetic: false is 0, unknown 1, true 2; "and" is the least, "or" the greatest.

pub(crate) type Truth = u8;
pub(crate) const FALSE: Truth = 0;
pub(crate) const UNKNOWN: Truth = 1;
pub(crate) const TRUE: Truth = 2;

pub(crate) fn of(holds: bool) -> Truth {
    if holds { TRUE } else { FALSE }
}

pub(crate) fn not(truth: Truth) -> Truth {
    TRUE - truth
}

pub(crate) fn any(truths: impl IntoIterator<Item = Truth>) -> Truth {
    truths.into_iter().fold(FALSE, Truth::max)
}

pub(crate) fn all(truths: impl IntoIterator<Item = Truth>) -> Truth {
    truths.into_iter().fold(TRUE, Truth::min)
}
