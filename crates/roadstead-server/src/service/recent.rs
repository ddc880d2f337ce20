//! A bounded memory of recent keys: the oldest goes when it is full, all go when their life ends.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use roadstead_core::Timestamp;

/// Keys with values, each for a fixed life, at most `capacity` of them.
///
/// Setting a key again renews value and life. A key that was removed or renewed leaves its old
/// place in `order`; the generation tells such places from live ones.
pub(super) struct Recent<K, V> {
    entries: HashMap<K, Entry<V>>,
    order: VecDeque<(K, u64)>,
    capacity: usize,
    life: Duration,
    generation: u64,
}

struct Entry<V> {
    value: V,
    since: Timestamp,
    generation: u64,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    /// Returns an empty memory.
    pub(super) fn new(capacity: usize, life: Duration) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), capacity, life, generation: 0 }
    }

    /// Remembers a key from `now` on and returns the value it had, if that still lived.
    pub(super) fn set(&mut self, key: K, value: V, now: Timestamp) -> Option<V> {
        self.generation += 1;
        let generation = self.generation;
        let before = self.entries.insert(key.clone(), Entry { value, since: now, generation });
        self.order.push_back((key, generation));
        self.evict(now);
        before.filter(|entry| now < entry.since + self.life).map(|entry| entry.value)
    }

    /// Returns a key's value.
    pub(super) fn get_mut<Q>(&mut self, key: &Q, now: Timestamp) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let life = self.life;
        let entry = self.entries.get_mut(key)?;
        (now < entry.since + life).then_some(&mut entry.value)
    }

    /// Forgets a key and returns its value, if that still lived.
    pub(super) fn remove(&mut self, key: &K, now: Timestamp) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.trim_places();
        (now < entry.since + self.life).then_some(entry.value)
    }

    /// Forgets what is over and returns it.
    pub(super) fn take_expired(&mut self, now: Timestamp) -> Vec<(K, V)> {
        let mut over = Vec::new();
        while let Some((key, generation)) = self.order.front() {
            let Some(entry) = self.entries.get(key).filter(|e| e.generation == *generation) else {
                self.order.pop_front();
                continue;
            };
            if now < entry.since + self.life {
                break;
            }
            let Some((key, _)) = self.order.pop_front() else { break };
            over.extend(self.entries.remove(&key).map(|entry| (key, entry.value)));
        }
        over
    }

    /// Returns how many are remembered, the dead ones that were not met yet included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn evict(&mut self, now: Timestamp) {
        while let Some((key, generation)) = self.order.front() {
            let live = self.entries.get(key).filter(|entry| entry.generation == *generation);
            let goes = match live {
                None => true,
                Some(entry) => self.entries.len() > self.capacity || now >= entry.since + self.life,
            };
            if !goes {
                break;
            }
            let dead = live.is_none();
            let Some((key, _)) = self.order.pop_front() else { break };
            if !dead {
                self.entries.remove(&key);
            }
        }
        self.trim_places();
    }

    /// Keeps the places of renewed and removed keys from piling up behind a live front.
    fn trim_places(&mut self) {
        if self.order.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.order.retain(|(key, generation)| {
                entries.get(key).is_some_and(|entry| entry.generation == *generation)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_full_and_all_when_over() {
        let mut recent = Recent::new(2, Duration::from_millis(10));
        for (key, at) in [("a", 0), ("b", 1), ("a", 2), ("c", 3)] {
            recent.set(key, at, Timestamp(at));
        }
        assert_eq!(recent.get_mut(&"b", Timestamp(3)), None, "`a` was renewed, `b` is the oldest");
        assert_eq!(recent.get_mut(&"a", Timestamp(3)), Some(&mut 2));
        assert_eq!(recent.set("a", 4, Timestamp(4)), Some(2));
        assert_eq!(recent.remove(&"c", Timestamp(13)), None, "over");
        assert_eq!(recent.take_expired(Timestamp(13)), []);
        assert_eq!(recent.take_expired(Timestamp(14)), [("a", 4)]);
        assert_eq!(recent.len(), 0);
    }

    #[test]
    fn memory_stays_bounded_under_renewal() {
        let mut recent = Recent::new(8, Duration::from_secs(3600));
        for n in 0..10_000 {
            recent.set(n % 4, n, Timestamp(n));
        }
        assert_eq!(recent.len(), 4);
        assert!(recent.order.len() <= 2 * 4 + 64 + 1);
    }
}
