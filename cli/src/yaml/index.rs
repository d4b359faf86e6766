//! Where the keys of large objects stand, for those who look for many.

use super::node::Entry;
use std::cell::RefCell;
use std::collections::HashMap;

/// Objects with no more keys than this are read through.
const SMALL: usize = 32;

/// The keys of the large objects of one tree, each looked through once. It is of the tree that it was made beside: a copy
/// begins anew.
#[derive(Debug, Default)]
pub(crate) struct Index(RefCell<HashMap<usize, Keys>>);

/// Of each key, where it stands first and last.
type Keys = HashMap<Box<str>, (usize, usize)>;

impl Clone for Index {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Index {
    /// Where a key stands first and last; `None` where there is none, or where the object is small and is to be read through.
    pub(super) fn find(&self, entries: &[Entry], key: &str) -> Option<(usize, usize)> {
        let mut maps = self.0.borrow_mut();
        let keys = maps.entry(entries.as_ptr().addr()).or_insert_with(|| {
            let mut keys = Keys::with_capacity(entries.len());
            for (at, entry) in entries.iter().enumerate() {
                keys.entry(entry.key.as_str().into()).and_modify(|(_, last)| *last = at).or_insert((at, at));
            }
            keys
        });
        keys.get(key).copied()
    }

    pub(super) fn is_for(entries: &[Entry]) -> bool {
        entries.len() > SMALL
    }
}
