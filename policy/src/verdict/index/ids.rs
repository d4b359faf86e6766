//! Numbers of rules, in configuration order, and of host sets.

use rustc_hash::FxHashMap;

/// The number of a rule (those of earlier policies are smaller), or of a host set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u32);

impl Id {
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
    One(Id),
    Many(Vec<Id>),
}

impl Ids {
    /// Appends an id; the last one again is the same.
    pub(super) fn push(&mut self, id: Id) {
        match self {
            Self::None => *self = Self::One(id),
            Self::One(first) if *first == id => {}
            Self::One(first) => *self = Self::Many(vec![*first, id]),
            Self::Many(ids) if ids.last() == Some(&id) => {}
            Self::Many(ids) => ids.push(id),
        }
    }

    pub(super) fn as_slice(&self) -> &[Id] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// Several ascending lists as one, each id once. There are few lists, so the smallest head is found by looking;
/// usually there is one, and no list of lists.
#[derive(Default)]
pub(super) struct Merged<'i> {
    first: &'i [Id],
    others: Vec<&'i [Id]>,
    look_ups: usize,
}

impl<'i> Merged<'i> {
    /// What is filed under a name.
    pub(super) fn look_up<T>(&mut self, filed: &'i FxHashMap<Box<str>, T>, name: &str) -> Option<&'i T> {
        if filed.is_empty() {
            return None;
        }
        self.look_ups += 1;
        filed.get(name)
    }

    /// Counts what was looked up elsewhere for these lists.
    pub(super) fn add_look_ups(&mut self, others: &Merged<'_>) {
        self.look_ups += others.look_ups;
    }

    /// How many names have been looked up.
    pub(super) fn look_ups(&self) -> usize {
        self.look_ups
    }

    pub(super) fn add(&mut self, ids: &'i Ids) {
        match ids.as_slice() {
            [] => {}
            list if self.first.is_empty() => self.first = list,
            list => self.others.push(list),
        }
    }
}

impl Iterator for Merged<'_> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        let heads = self.others.iter().filter_map(|list| list.first()).chain(self.first.first());
        let smallest = *heads.min()?;
        for list in self.others.iter_mut().chain([&mut self.first]) {
            if let Some((head, rest)) = list.split_first()
                && *head == smallest
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
            numbers.iter().for_each(|number| ids.push(Id::new(*number)));
            ids
        };
        let lists = [ids(&[]), ids(&[4]), ids(&[1, 3, 3, 9]), ids(&[0, 3, 4])];
        let mut merged = Merged::default();
        lists.iter().for_each(|list| merged.add(list));
        let merged: Vec<_> = merged.map(Id::position).collect();
        assert_eq!(merged, [0, 1, 3, 4, 9]);
    }

    #[test]
    fn look_ups_are_counted() {
        let none: FxHashMap<Box<str>, u8> = FxHashMap::default();
        let filed = FxHashMap::from_iter([(Box::from("a"), 7_u8)]);
        let (mut one, mut other) = (Merged::default(), Merged::default());
        assert_eq!(one.look_up(&none, "a"), None);
        assert_eq!(one.look_ups(), 0, "nothing is filed");
        assert_eq!((one.look_up(&filed, "a"), one.look_up(&filed, "b")), (Some(&7), None));
        assert_eq!(one.look_ups(), 2);
        other.look_up(&filed, "b");
        other.add_look_ups(&one);
        assert_eq!(other.look_ups(), 3);
    }
}
