//! A map that is small when it holds little: a sorted vector, later a B-tree.
//!
//! `BTreeMap` alone allocates room for eleven entries with the first one, which is most of the
//! cost of a topic level with one child.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::borrow::Borrow;

/// Entries kept in the vector.
const FEW_MAX: usize = 24;
/// Up to here the vector grows by one, later by doubling.
const EXACT_MAX: usize = 4;

#[derive(Debug)]
#[expect(clippy::box_collection, reason = "24 bytes instead of 32 in every node")]
pub(super) enum Map<K, V> {
    Few(Vec<(K, V)>),
    Many(Box<BTreeMap<K, V>>),
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord, V> Map<K, V> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(few) => {
                let at = few.binary_search_by(|(known, _)| known.borrow().cmp(key)).ok()?;
                few.get(at).map(|(_, value)| value)
            }
            Self::Many(many) => many.get(key),
        }
    }

    pub(super) fn find_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(few) => {
                let at = few.binary_search_by(|(known, _)| known.borrow().cmp(key)).ok()?;
                few.get_mut(at).map(|(_, value)| value)
            }
            Self::Many(many) => many.get_mut(key),
        }
    }

    /// Inserts and returns the value that was there.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Few(few) => match few.binary_search_by(|(known, _)| known.cmp(&key)) {
                Ok(at) => Some(core::mem::replace(&mut few[at].1, value)),
                Err(at) => {
                    if few.len() < EXACT_MAX {
                        few.reserve_exact(1);
                    }
                    few.insert(at, (key, value));
                    if few.len() > FEW_MAX {
                        let many = core::mem::take(few).into_iter().collect();
                        *self = Self::Many(Box::new(many));
                    }
                    None
                }
            },
            Self::Many(many) => many.insert(key, value),
        }
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(few) => {
                let at = few.binary_search_by(|(known, _)| known.borrow().cmp(key)).ok()?;
                let (_, value) = few.remove(at);
                if few.capacity() > 2 * few.len().max(EXACT_MAX) {
                    few.shrink_to_fit();
                }
                Some(value)
            }
            Self::Many(many) => {
                let value = many.remove(key);
                // Half of the limit, so that a map at the limit does not flip with every change.
                if many.len() <= FEW_MAX / 2 {
                    *self = Self::Few(core::mem::take(&mut **many).into_iter().collect());
                }
                value
            }
        }
    }

    /// Returns the entry at `index` in key order; linear in a big map.
    pub(super) fn nth(&self, index: usize) -> Option<(&K, &V)> {
        match self {
            Self::Few(few) => few.get(index).map(|(key, value)| (key, value)),
            Self::Many(many) => many.iter().nth(index),
        }
    }

    /// Calls `visit` for every entry in key order.
    pub(super) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a K, &'a V)) {
        match self {
            Self::Few(few) => few.iter().for_each(|(key, value)| visit(key, value)),
            Self::Many(many) => many.iter().for_each(|(key, value)| visit(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::Map;

    proptest! {
        #[test]
        fn behaves_like_a_btree_map(steps in prop::collection::vec((any::<bool>(), 0_u8..60), 0..400)) {
            let (mut map, mut model) = (Map::<u8, usize>::default(), BTreeMap::new());
            for (n, (insert, key)) in steps.into_iter().enumerate() {
                if insert {
                    prop_assert_eq!(map.insert(key, n), model.insert(key, n));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.find(&key), model.get(&key));
            }
            let mut seen = Vec::new();
            map.for_each(|key, value| seen.push((*key, *value)));
            prop_assert_eq!(seen, model.into_iter().collect::<Vec<_>>());
        }
    }
}
