//! Numbers of rules, in configuration order.

/// The number of a rule: rules of earlier policies have smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleId(u32);

impl RuleId {
    /// A configuration is bounded at 64 MiB, and with it the number of its rules.
    pub(super) fn new(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }

    pub(super) fn position(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Ascending ids. Most lists hold one, and then there is no list.
#[derive(Debug, Default)]
pub(super) enum Ids {
    #[default]
    None,
    One(RuleId),
    Many(Vec<RuleId>),
}

impl Ids {
    /// Appends an id; the last one again is the same.
    pub(super) fn push(&mut self, id: RuleId) {
        match self {
            Self::None => *self = Self::One(id),
            Self::One(first) if *first == id => {}
            Self::One(first) => *self = Self::Many(vec![*first, id]),
            Self::Many(ids) if ids.last() == Some(&id) => {}
            Self::Many(ids) => ids.push(id),
        }
    }

    pub(super) fn as_slice(&self) -> &[RuleId] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// Several ascending lists as one, each id once. There are few lists, so the smallest head is found by looking.
#[derive(Default)]
pub(super) struct Merged<'i> {
    lists: Vec<&'i [RuleId]>,
}

impl<'i> Merged<'i> {
    pub(super) fn add(&mut self, ids: &'i Ids) {
        if !ids.as_slice().is_empty() {
            self.lists.push(ids.as_slice());
        }
    }
}

impl Iterator for Merged<'_> {
    type Item = RuleId;

    fn next(&mut self) -> Option<RuleId> {
        let smallest = *self.lists.iter().filter_map(|list| list.first()).min()?;
        for list in &mut self.lists {
            if let Some((first, rest)) = list.split_first()
                && *first == smallest
            {
                *list = rest;
            }
        }
        Some(smallest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_merge_in_order_without_repetition() {
        let ids = |numbers: &[usize]| {
            let mut ids = Ids::default();
            numbers.iter().for_each(|number| ids.push(RuleId::new(*number)));
            ids
        };
        let lists = [ids(&[]), ids(&[4]), ids(&[1, 3, 3, 9]), ids(&[0, 3, 4])];
        let mut merged = Merged::default();
        lists.iter().for_each(|list| merged.add(list));
        let merged: Vec<_> = merged.map(RuleId::position).collect();
        assert_eq!(merged, [0, 1, 3, 4, 9]);
    }
}
