//! Memory of refusals: how late a refusal is answered, and how long its socket stays open.
//!
//! Real firmware that is refused or closed tries again 20 to 27 times a second (GizWits §3.7).
//! A refused client therefore gets its answer after a growing delay, and its socket is not closed
//! by us but read and ignored for a while. Only refusals are delayed: a client with the right
//! secret never meets this module, however often it reconnects.
//!
//! Two memories count together, one per claimed identity and one per source address; the worse
//! one decides. Both are bounded; so is the number of sockets kept open.

use std::collections::hash_map::{Entry as Slot, RandomState};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use roadstead_core::Tick;
use tokio::sync::Notify;

use crate::config;
use crate::metrics::{Metrics, Queue};

/// Entries looked at to find one that may be forgotten, when the memory is full.
const SECOND_CHANCES: usize = 8;

/// The memory and the sockets kept open.
pub struct Throttle {
    policy: config::Throttle,
    hasher: RandomState,
    memory: Mutex<Memory>,
    held: Mutex<Held>,
    metrics: Arc<Metrics>,
}

/// Refusals by the hash of whom they were told.
#[derive(Default)]
struct Memory {
    entries: HashMap<u64, Refusals>,
    /// Keys in the order they were entered, for forgetting.
    order: VecDeque<u64>,
}

#[derive(Clone, Copy)]
struct Refusals {
    count: u32,
    last: Tick,
}

#[derive(Default)]
struct Held {
    sockets: BTreeMap<u64, Arc<Notify>>,
    next: u64,
}

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Wait this long before answering.
    pub delay: Duration,
    /// This is the first refusal that is delayed since the memory began.
    pub is_first_delay: bool,
}

impl Throttle {
    /// Returns an empty memory.
    pub fn new(policy: config::Throttle, metrics: Arc<Metrics>) -> Self {
        Self {
            policy,
            hasher: RandomState::new(),
            memory: Mutex::default(),
            held: Mutex::default(),
            metrics,
        }
    }

    /// Notes a refusal and says how late to answer it. `identity` is what the client claimed to
    /// be, if it got that far.
    pub fn refused(&self, source: IpAddr, identity: Option<&[u8]>, now: Tick) -> Verdict {
        let source = self.hasher.hash_one((0_u8, source));
        let identity = identity.map(|identity| self.hasher.hash_one((1_u8, identity)));
        let mut memory = self.memory.lock();
        let by_source = memory.note(source, now, &self.policy);
        let by_identity = identity.map_or(0, |key| memory.note(key, now, &self.policy));
        drop(memory);
        let worst = by_source.max(by_identity);
        let delay = self.delay(worst);
        if !delay.is_zero() {
            self.metrics.throttled.increment();
        }
        let is_first_delay = [by_source, by_identity].contains(&(self.policy.free + 1));
        Verdict { delay, is_first_delay: is_first_delay && !delay.is_zero() }
    }

    /// Forgets the refusals of an identity that has logged in: its secret is right now.
    pub fn admitted(&self, identity: &[u8]) {
        let key = self.hasher.hash_one((1_u8, identity));
        self.memory.lock().entries.remove(&key);
    }

    /// Returns how many devices and sources are remembered.
    pub fn remembered(&self) -> usize {
        self.memory.lock().entries.len()
    }

    /// Takes a place among the sockets kept open; the oldest loses its place when there is none.
    pub fn hold(self: &Arc<Self>) -> Hold {
        let told = Arc::new(Notify::new());
        let mut held = self.held.lock();
        let number = held.next;
        held.next += 1;
        held.sockets.insert(number, told.clone());
        if held.sockets.len() > self.policy.held_max
            && let Some((_, oldest)) = held.sockets.pop_first()
        {
            oldest.notify_one();
            self.metrics.dropped(Queue::Held, 1);
        }
        self.metrics.held.set(held.sockets.len() as u64);
        Hold { throttle: self.clone(), number, told }
    }

    /// Returns how long a refused socket is kept open.
    pub fn hold_time(&self) -> Duration {
        self.policy.hold
    }

    fn delay(&self, refusals: u32) -> Duration {
        match refusals.checked_sub(self.policy.free + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.policy.delay_first.saturating_mul(factor).min(self.policy.delay_max)
            }
        }
    }
}

impl Memory {
    /// Counts one refusal and returns the count.
    fn note(&mut self, key: u64, now: Tick, policy: &config::Throttle) -> u32 {
        let entry = match self.entries.entry(key) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => {
                self.order.push_back(key);
                slot.insert(Refusals { count: 0, last: now })
            }
        };
        if now.since(entry.last) >= policy.memory {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        let count = entry.count;
        self.forget(now, policy);
        count
    }

    /// Keeps the bound: drops what is too old first, otherwise one of the longest known.
    fn forget(&mut self, now: Tick, policy: &config::Throttle) {
        let mut chances = SECOND_CHANCES;
        while self.order.len() > policy.entries_max {
            let Some(key) = self.order.pop_front() else { return };
            let Some(entry) = self.entries.get(&key) else { continue };
            if chances > 0 && entry.count > policy.free && now.since(entry.last) < policy.memory {
                chances -= 1;
                self.order.push_back(key);
                continue;
            }
            self.entries.remove(&key);
        }
    }
}

/// A place among the sockets kept open; given back when dropped.
pub struct Hold {
    throttle: Arc<Throttle>,
    number: u64,
    told: Arc<Notify>,
}

impl Hold {
    /// Completes when the place is needed for a newer socket.
    pub async fn evicted(&self) {
        self.told.notified().await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.throttle.held.lock();
        held.sockets.remove(&self.number);
        self.throttle.metrics.held.set(held.sockets.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn policy() -> config::Throttle {
        config::Throttle { held_max: 2, entries_max: 10, ..config::Throttle::default() }
    }

    fn throttle() -> Arc<Throttle> {
        Arc::new(Throttle::new(policy(), Arc::new(Metrics::new())))
    }

    fn source(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, n).into()
    }

    #[test]
    fn delays_grow_to_the_limit_and_are_forgotten() {
        let throttle = throttle();
        let delays: Vec<u128> = (0..10)
            .map(|_| throttle.refused(source(1), Some(b"lamp"), Tick::ZERO).delay.as_millis())
            .collect();
        assert_eq!(delays, [0, 0, 0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
        let later = Tick::ZERO + policy().memory;
        assert_eq!(throttle.refused(source(1), Some(b"lamp"), later).delay, Duration::ZERO);
        assert_eq!(throttle.metrics.throttled.value(), 7);
    }

    #[test]
    fn identity_and_source_count_each_for_itself() {
        let throttle = throttle();
        for n in 1..=3 {
            throttle.refused(source(n), Some(b"lamp"), Tick::ZERO);
        }
        let fourth = throttle.refused(source(4), Some(b"lamp"), Tick::ZERO);
        assert_eq!(fourth, Verdict { delay: policy().delay_first, is_first_delay: true });
        assert!(!throttle.refused(source(4), Some(b"lamp"), Tick::ZERO).is_first_delay);
        throttle.admitted(b"lamp");
        assert_eq!(throttle.refused(source(5), Some(b"lamp"), Tick::ZERO).delay, Duration::ZERO);
        for n in 0..4_u8 {
            throttle.refused(source(9), Some(&[n]), Tick::ZERO);
        }
        assert!(!throttle.refused(source(9), Some(b"new"), Tick::ZERO).delay.is_zero());
    }

    #[tokio::test]
    async fn the_oldest_held_socket_gives_way() {
        let throttle = throttle();
        let (first, second) = (throttle.hold(), throttle.hold());
        let third = throttle.hold();
        first.evicted().await;
        drop(first);
        assert_eq!(throttle.metrics.held.value(), 2);
        drop((second, third));
        assert_eq!((throttle.metrics.held.value(), throttle.metrics.drops(Queue::Held)), (0, 1));
    }

    proptest! {
        #[test]
        fn the_memory_is_bounded(steps in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u64..400_000), 0..300)) {
            let throttle = throttle();
            let mut now = Tick::ZERO;
            for (n, device, pause_ms) in steps {
                now = now + Duration::from_millis(pause_ms);
                let verdict = throttle.refused(source(n), Some(&[device]), now);
                prop_assert!(verdict.delay <= policy().delay_max);
                prop_assert!(throttle.remembered() <= policy().entries_max);
                let memory = throttle.memory.lock();
                prop_assert!(memory.order.len() <= policy().entries_max);
            }
        }
    }
}
