//! The mailbox of a connection: orders of the platform and messages of free topics.
//!
//! Bounded in letters and bytes; a full one refuses and nobody waits. Closing needs no room: it
//! has its own place. An idle mailbox owns no heap but itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Waker};

use parking_lot::Mutex;
use roadstead_core::session::Ending;
use roadstead_wire::mqtt::packet::Publish;

use crate::directory::{Link, Order};
use crate::metrics::{Metrics, Queue};

/// Orders and messages waiting for a connection to look at them.
const LETTERS_MAX: usize = 256;

/// What lies in a mailbox.
pub(crate) enum Letter {
    /// Of the platform.
    Order(Order),
    /// Of a free topic; QoS and retain flag are already the subscription's.
    Free(Box<Publish>),
}

/// The mailbox.
pub(crate) struct Mailbox {
    metrics: Arc<Metrics>,
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    letters: VecDeque<Letter>,
    bytes: usize,
    ending: Option<Ending>,
    closed: bool,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Returns an empty mailbox for up to `bytes_max` bytes of free messages.
    pub(crate) fn new(bytes_max: usize, metrics: Arc<Metrics>) -> Self {
        Self { metrics, bytes_max, inner: Mutex::default() }
    }

    /// Drops a free message in; returns false, counting it, when there is no room.
    pub(crate) fn send_free(&self, publish: Publish) -> bool {
        let size = publish.topic.len() + publish.payload.len();
        let mut inner = self.inner.lock();
        let fits = inner.letters.len() < LETTERS_MAX && inner.bytes + size <= self.bytes_max;
        if inner.closed || !fits {
            drop(inner);
            self.metrics.dropped(Queue::Fanout, 1);
            return false;
        }
        inner.bytes += size;
        inner.letters.push_back(Letter::Free(Box::new(publish)));
        wake(inner);
        true
    }

    /// Takes the order to end, and has `cx` woken at the next letter.
    pub(super) fn take_ending(&self, cx: &Context<'_>) -> Option<Ending> {
        let mut inner = self.inner.lock();
        if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        inner.ending.take()
    }

    /// Takes all letters.
    pub(super) fn take(&self) -> VecDeque<Letter> {
        let mut inner = self.inner.lock();
        inner.bytes = 0;
        std::mem::take(&mut inner.letters)
    }

    /// Refuses everything from now on and returns what was not read.
    pub(super) fn close(&self) -> VecDeque<Letter> {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.waker = None;
        std::mem::take(&mut inner.letters)
    }
}

impl Link for Mailbox {
    fn send(&self, order: Order) -> Result<(), Box<Order>> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Box::new(order));
        }
        if let Order::Close(ending) = order {
            inner.ending.get_or_insert(ending);
        } else if inner.letters.len() < LETTERS_MAX {
            inner.letters.push_back(Letter::Order(order));
        } else {
            drop(inner);
            self.metrics.dropped(Queue::Mailbox, 1);
            return Err(Box::new(order));
        }
        wake(inner);
        Ok(())
    }
}

fn wake(mut inner: parking_lot::MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use roadstead_wire::mqtt::packet::QoS;

    use super::*;

    fn message(size: usize) -> Publish {
        Publish::new("t", vec![0; size], QoS::AtMostOnce)
    }

    #[test]
    fn full_mailboxes_refuse_but_always_close() {
        let metrics = Arc::new(Metrics::new());
        let mailbox = Mailbox::new(10_000, metrics.clone());
        assert!(mailbox.send_free(message(9_000)) && !mailbox.send_free(message(1_000)));
        assert_eq!(metrics.drops(Queue::Fanout), 1);
        assert_eq!(mailbox.take().len(), 1);
        for _ in 0..LETTERS_MAX {
            assert!(mailbox.send_free(message(1)));
        }
        let other = Order::Close(Ending::Shutdown);
        assert!(mailbox.send(other).is_ok(), "closing needs no room");
        assert!(mailbox.send(Order::Close(Ending::TakenOver)).is_ok());
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(mailbox.take_ending(&cx), Some(Ending::Shutdown), "the first one counts");
        assert_eq!(mailbox.close().len(), LETTERS_MAX);
        assert!(mailbox.send(Order::Close(Ending::Shutdown)).is_err());
        assert!(!mailbox.send_free(message(1)));
    }
}
