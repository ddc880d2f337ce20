//! The subscription trie: which subscribers does a topic name reach?
//!
//! One node per topic level, shared by all filters with the same beginning. `+` and `#` are
//! slots of a node, not children, so a match walks at most two branches per level. Recursion is
//! bounded by [`LEVELS_MAX`](super::topic::LEVELS_MAX).
//!
//! Generic over the subscriber `K` (ordered, small, for example a session number) and what is
//! remembered per subscription `V`. It does not merge overlapping subscriptions and does not
//! know who is connected.
//!
//! Cost: a test holds the heap of one `$thing/down/property/P/D` subscription among many below
//! 300 bytes.
//!
//! Source: MQTT 5.0 sections 4.7 and 4.8.

mod map;

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU32, Ordering};

pub(super) use self::level::Level;
use self::map::Map;
use super::topic::Filter;

/// All subscriptions.
#[derive(Debug)]
pub struct Trie<K, V> {
    root: Node<K, V>,
    len: usize,
}

impl<K: Ord, V> Default for Trie<K, V> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<K: Ord, V> Trie<K, V> {
    /// An empty trie.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of subscriptions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true without a subscription.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Subscribes `key`; returns the value of the subscription that this one replaces.
    pub fn insert(&mut self, filter: Filter<'_>, key: K, value: V) -> Option<V> {
        let mut node = &mut self.root;
        let mut hash = false;
        for level in filter.as_str().split('/') {
            match level {
                "#" => hash = true,
                "+" => node = node.plus.get_or_insert_default(),
                _ => node = node.children.child(level),
            }
        }
        let old = node.slot_mut(hash).insert(filter.group(), key, value);
        self.len += usize::from(old.is_none());
        old
    }

    /// Ends a subscription and returns its value; nodes that nobody needs any more are freed.
    pub fn remove(&mut self, filter: Filter<'_>, key: &K) -> Option<V> {
        let value = self.root.remove(filter.as_str(), filter.group(), key)?;
        self.len -= 1;
        Some(value)
    }

    /// Calls `visit` for every subscription that matches the topic `name`; a share group is one
    /// hit, and the visitor picks its member.
    pub fn matches<'a>(&'a self, name: &str, mut visit: impl FnMut(Hit<'a, K, V>)) {
        self.root.matches(Some(name), name.starts_with('$'), &mut visit);
    }
}

/// What a topic name reached.
#[derive(Debug)]
pub enum Hit<'a, K, V> {
    /// One subscriber.
    One(&'a K, &'a V),
    /// A share group: exactly one member gets the message.
    Group(&'a Group<K, V>),
}

/// The members of one share group of one filter; never empty when visited.
#[derive(Debug)]
pub struct Group<K, V> {
    members: Map<K, V>,
    turn: AtomicU32,
}

impl<K: Ord, V> Group<K, V> {
    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns true without a member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the member whose turn it is and passes the turn on (round robin). Call it up to
    /// `len` times to find one that is connected.
    pub fn take_turn(&self) -> Option<(&K, &V)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize;
        self.member(turn)
    }

    /// Returns a member by number; numbers wrap around.
    pub fn member(&self, number: usize) -> Option<(&K, &V)> {
        self.members.nth(number.checked_rem(self.members.len())?)
    }
}

/// The subscriptions that end at one place.
#[derive(Debug)]
struct Slot<K, V> {
    plain: Map<K, V>,
    shared: Option<Box<Groups<K, V>>>,
}

/// Share groups by name.
type Groups<K, V> = Map<Box<str>, Group<K, V>>;

impl<K, V> Default for Slot<K, V> {
    fn default() -> Self {
        Self { plain: Map::default(), shared: None }
    }
}

impl<K: Ord, V> Slot<K, V> {
    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.shared.is_none()
    }

    fn insert(&mut self, group: Option<&str>, key: K, value: V) -> Option<V> {
        let Some(name) = group else { return self.plain.insert(key, value) };
        let groups = self.shared.get_or_insert_default();
        if let Some(group) = groups.find_mut(name) {
            return group.members.insert(key, value);
        }
        let mut group = Group { members: Map::default(), turn: AtomicU32::new(0) };
        group.members.insert(key, value);
        groups.insert(name.into(), group);
        None
    }

    fn remove(&mut self, group: Option<&str>, key: &K) -> Option<V> {
        let Some(name) = group else { return self.plain.remove(key) };
        let groups = self.shared.as_mut()?;
        let group = groups.find_mut(name)?;
        let value = group.members.remove(key)?;
        if group.is_empty() {
            groups.remove(name);
        }
        if groups.is_empty() {
            self.shared = None;
        }
        Some(value)
    }

    fn visit<'a>(&'a self, visit: &mut impl FnMut(Hit<'a, K, V>)) {
        self.plain.for_each(|key, value| visit(Hit::One(key, value)));
        if let Some(groups) = &self.shared {
            groups.for_each(|_, group| visit(Hit::Group(group)));
        }
    }
}

/// One topic level.
#[derive(Debug)]
struct Node<K, V> {
    children: Level<Self>,
    plus: Option<Box<Self>>,
    here: Slot<K, V>,
    /// Subscriptions to this level and everything below; rare, so boxed.
    hash: Option<Box<Slot<K, V>>>,
}

impl<K, V> Default for Node<K, V> {
    fn default() -> Self {
        Self { children: Level::default(), plus: None, here: Slot::default(), hash: None }
    }
}

impl<K: Ord, V> Node<K, V> {
    fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.hash.is_none()
            && self.plus.is_none()
            && self.children.is_empty()
    }

    fn slot_mut(&mut self, hash: bool) -> &mut Slot<K, V> {
        if hash { self.hash.get_or_insert_default() } else { &mut self.here }
    }

    /// Removes along `rest`; the caller frees this node when it is empty afterwards.
    fn remove(&mut self, rest: &str, group: Option<&str>, key: &K) -> Option<V> {
        let (level, tail) = split(rest);
        if level == "#" {
            let slot = self.hash.as_mut()?;
            let value = slot.remove(group, key)?;
            if slot.is_empty() {
                self.hash = None;
            }
            return Some(value);
        }
        let next =
            if level == "+" { self.plus.as_mut()? } else { self.children.find_mut(level)? };
        let value = match tail {
            Some(tail) => next.remove(tail, group, key)?,
            None => next.here.remove(group, key)?,
        };
        if next.is_empty() {
            if level == "+" {
                self.plus = None;
            } else {
                self.children.remove(level);
            }
        }
        Some(value)
    }

    /// `rest` is what of the name is below this node. `system` is true at the root of a name
    /// that starts with `$`: wildcards do not match its first level [MQTT-4.7.2-1].
    fn matches<'a>(
        &'a self,
        rest: Option<&str>,
        system: bool,
        visit: &mut impl FnMut(Hit<'a, K, V>),
    ) {
        if let (Some(hash), false) = (&self.hash, system) {
            hash.visit(visit);
        }
        let Some(rest) = rest else { return self.here.visit(visit) };
        let (level, tail) = split(rest);
        if let Some(child) = self.children.find(level) {
            child.matches(tail, false, visit);
        }
        if let (Some(plus), false) = (&self.plus, system) {
            plus.matches(tail, false, visit);
        }
    }
}

/// Splits off the first level.
pub(super) fn split(topic: &str) -> (&str, Option<&str>) {
    match topic.split_once('/') {
        Some((level, tail)) => (level, Some(tail)),
        None => (topic, None),
    }
}

mod level {
    //! The named children of a node.

    use alloc::boxed::Box;

    use super::Map;

    /// Children by level name.
    #[derive(Debug)]
    pub(in crate::mqtt) struct Level<N>(Map<Box<str>, Box<N>>);

    impl<N> Default for Level<N> {
        fn default() -> Self {
            Self(Map::default())
        }
    }

    impl<N> Level<N> {
        pub(in crate::mqtt) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        pub(in crate::mqtt) fn find(&self, level: &str) -> Option<&N> {
            self.0.find(level).map(|node| &**node)
        }

        pub(in crate::mqtt) fn find_mut(&mut self, level: &str) -> Option<&mut Box<N>> {
            self.0.find_mut(level)
        }

        pub(in crate::mqtt) fn remove(&mut self, level: &str) {
            self.0.remove(level);
        }

        pub(in crate::mqtt) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a str, &'a N)) {
            self.0.for_each(|name, node| visit(name, node));
        }

        /// Returns the child, made when it is not there.
        pub(in crate::mqtt) fn child(&mut self, level: &str) -> &mut N
        where
            N: Default,
        {
            if self.0.find(level).is_none() {
                self.0.insert(level.into(), Box::default());
            }
            self.0.find_mut(level).expect("the child was just inserted")
        }
    }
}

#[cfg(test)]
mod tests;
