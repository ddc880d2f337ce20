//! Strangers: clients that named no device of ours. Their refusals have no trace to go to, so the
//! last ones are kept in memory, for the API and for `why`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use parking_lot::Mutex;
use roadstead_core::limit::TRACE_TEXT_BYTES_MAX;
use roadstead_core::{Code, DeviceId, Timestamp};
use serde::Serialize;

use super::Platform;

/// Strangers shown as evidence.
const SHOWN: usize = 5;
/// Strangers remembered.
const STRANGERS_MAX: usize = 1000;

/// A client that was refused before it could be told apart as one of our devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stranger {
    /// When.
    pub at: Timestamp,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
    /// The product it claimed, if it got that far.
    pub product: Option<Box<str>>,
    /// The node or device id it claimed, if it got that far.
    pub node: Option<Box<str>>,
    /// Stable code.
    pub code: Code,
    /// Evidence; never a secret.
    pub detail: Box<str>,
}

/// The last strangers.
#[derive(Default)]
pub(super) struct Strangers(Mutex<VecDeque<Stranger>>);

impl Strangers {
    pub(super) fn push(&self, mut stranger: Stranger) {
        stranger.detail = cut(&stranger.detail);
        stranger.product = stranger.product.as_deref().map(cut);
        stranger.node = stranger.node.as_deref().map(cut);
        let mut ring = self.0.lock();
        if ring.len() == STRANGERS_MAX {
            ring.pop_front();
        }
        ring.push_back(stranger);
    }
}

impl Platform {
    /// Returns the last strangers, newest first. They belong to no space: only for administrators
    /// of the instance.
    pub fn strangers(&self, limit: usize) -> Vec<Stranger> {
        self.strangers.0.lock().iter().rev().take(limit).cloned().collect()
    }

    /// Returns the last strangers that claimed to be exactly this device, newest first.
    pub(super) fn strangers_called(&self, id: &DeviceId) -> Vec<Stranger> {
        let called = |stranger: &&Stranger| match (&stranger.product, &stranger.node) {
            (Some(product), Some(node)) => DeviceId::of_node(&(&**product).into(), node) == *id,
            (None, Some(claimed)) => **claimed == *id.as_str(),
            (_, None) => false,
        };
        self.strangers.0.lock().iter().rev().filter(called).take(SHOWN).cloned().collect()
    }

    /// Returns the last strangers that claimed this product or node, newest first.
    pub(super) fn strangers_like(&self, product: &str, node: &str) -> Vec<Stranger> {
        let like = |claimed: &Option<Box<str>>, ours: &str| {
            claimed.as_deref().is_some_and(|claimed| claimed.eq_ignore_ascii_case(ours))
        };
        let ring = self.strangers.0.lock();
        let mut found: Vec<&Stranger> = ring
            .iter()
            .rev()
            .filter(|s| like(&s.node, node) || like(&s.product, product))
            .collect();
        found.sort_by_key(|stranger| !like(&stranger.node, node));
        found.into_iter().take(SHOWN).cloned().collect()
    }
}

fn cut(text: &str) -> Box<str> {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > TRACE_TEXT_BYTES_MAX) {
        Some((at, _)) => text[..at].into(),
        None => text.into(),
    }
}
