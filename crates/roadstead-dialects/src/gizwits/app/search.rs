//! Who is there: discovery and announcements.
//!
//! Source: GizWits §1.3; seed §7.1.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::Tick;

use super::super::lan::{Message, udp};
use super::Found;

/// Modules that are remembered; more are not told.
const FOUND_MAX: usize = 256;

/// Returns the question for UDP 12414.
pub fn discover() -> Vec<u8> {
    let mut bytes = Vec::new();
    Message::Discover.emit(&mut bytes);
    bytes
}

/// Reads an answer on the asking port, or an announcement on UDP 2415.
pub fn heard(bytes: &[u8]) -> Option<Found> {
    let message = Message::of(&udp(bytes)?);
    if let Message::Found(block) | Message::Announce(block) = message {
        return Some(Found::of(&block));
    }
    let Message::Configured { mac, product_key, did } = message else { return None };
    Some(Found {
        did: super::text(did),
        mac: hex::encode_upper(mac),
        product_key: super::text(product_key),
        is_gateway: false,
        is_fresh: true,
        api_server: None,
    })
}

/// A search: asks every second for some time.
pub struct Search {
    every: Duration,
    due: Tick,
    until: Tick,
    found: BTreeMap<String, Found>,
}

/// What a search wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchOutput {
    /// Send this to everybody on UDP 12414.
    Broadcast(Vec<u8>),
    /// Somebody new, or with news.
    Found(Found),
    /// The time is over.
    Done,
}

impl Search {
    /// Returns a search that asks now and ends after `time`.
    pub fn new(now: Tick, time: Duration) -> Self {
        Self { every: Duration::from_secs(1), due: now, until: now + time, found: BTreeMap::new() }
    }

    /// A datagram came.
    pub fn datagram(&mut self, bytes: &[u8]) -> Option<SearchOutput> {
        let found = heard(bytes)?;
        if self.found.len() >= FOUND_MAX && !self.found.contains_key(&found.mac) {
            return None;
        }
        let old = self.found.insert(found.mac.clone(), found.clone());
        (old.as_ref() != Some(&found)).then_some(SearchOutput::Found(found))
    }

    /// The deadline has passed.
    pub fn timeout(&mut self, now: Tick) -> Option<SearchOutput> {
        if now >= self.until {
            return Some(SearchOutput::Done);
        }
        if now < self.due {
            return None;
        }
        self.due = now + self.every;
        Some(SearchOutput::Broadcast(discover()))
    }

    /// Returns when [`Self::timeout`] is due.
    pub fn deadline(&self) -> Tick {
        self.due.min(self.until)
    }
}
