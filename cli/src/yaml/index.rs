//! Where the keys of large objects stand, for those who look for many.

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
    /// `object` is the object's address, `keys` are its keys in order.
    pub(super) fn find<'k>(
        &self,
        object: usize,
        keys: impl ExactSizeIterator<Item = &'k str>,
        key: &str,
    ) -> Option<(usize, usize)> {
        let mut maps = self.0.borrow_mut();
        let places = maps.entry(object).or_insert_with(|| {
            let mut places = Keys::with_capacity(keys.len());
            for (at, key) in keys.enumerate() {
                places.entry(key.into()).and_modify(|(_, last)| *last = at).or_insert((at, at));
            }
            places
        });
        places.get(key).copied()
    }

    /// Whether an object of so many keys is worth an index.
    pub(super) fn is_for(keys: usize) -> bool {
        keys > SMALL
    }
}
