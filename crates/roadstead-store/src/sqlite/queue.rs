//! The bounded queue in front of the writer: many producers, one consumer that takes all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use roadstead_core::port::StoreError;

use super::error::engine;

/// A queue bounded in count and bytes. A full one refuses; nobody waits to put.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    arrived: Condvar,
    items_max: usize,
    bytes_max: usize,
}

struct Inner<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
    refused: u64,
    waiting: bool,
    closed: bool,
}

/// What a queue holds, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) items: usize,
    pub(super) bytes: usize,
    pub(super) refused: u64,
}

impl<T> Queue<T> {
    pub(super) fn new(items_max: usize, bytes_max: usize) -> Self {
        let items = VecDeque::new();
        let inner = Inner { items, bytes: 0, refused: 0, waiting: false, closed: false };
        Self { inner: Mutex::new(inner), arrived: Condvar::new(), items_max, bytes_max }
    }

    /// Puts an item of about `bytes`. `Busy` when the queue is full.
    pub(super) fn put(&self, bytes: usize, item: T) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(engine("writing", &"the store is closed"));
        }
        let full = inner.items.len() >= self.items_max || inner.bytes + bytes > self.bytes_max;
        if full && !inner.items.is_empty() {
            inner.refused += 1;
            return Err(StoreError::Busy);
        }
        self.push(&mut inner, bytes, item);
        Ok(())
    }

    /// Puts a control item past the limits; false when the queue is closed.
    pub(super) fn put_control(&self, item: T) -> bool {
        let mut inner = self.inner.lock();
        if !inner.closed {
            self.push(&mut inner, 0, item);
        }
        !inner.closed
    }

    fn push(&self, inner: &mut Inner<T>, bytes: usize, item: T) {
        inner.bytes += bytes;
        inner.items.push_back((bytes, item));
        // A writer that lingers is not woken: it looks by itself.
        if inner.waiting {
            inner.waiting = false;
            self.arrived.notify_one();
        }
    }

    /// Waits until there is an item or `timeout` is over; true when there is one.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut inner = self.inner.lock();
        while inner.items.is_empty() {
            inner.waiting = true;
            let over = match deadline {
                Some(deadline) => self.arrived.wait_until(&mut inner, deadline).timed_out(),
                None => {
                    self.arrived.wait(&mut inner);
                    false
                }
            };
            if over {
                break;
            }
        }
        inner.waiting = false;
        !inner.items.is_empty()
    }

    /// Returns the number of items.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().items.len()
    }

    /// Takes up to `most` items, oldest first.
    pub(super) fn take(&self, most: usize, into: &mut Vec<T>) {
        let mut inner = self.inner.lock();
        let count = most.min(inner.items.len());
        let mut bytes = 0;
        into.extend(inner.items.drain(..count).map(|(size, item)| {
            bytes += size;
            item
        }));
        inner.bytes -= bytes;
    }

    /// Refuses further items and returns those that wait.
    pub(super) fn close(&self) -> Vec<T> {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.bytes = 0;
        inner.items.drain(..).map(|(_, item)| item).collect()
    }

    pub(super) fn depth(&self) -> Depth {
        let inner = self.inner.lock();
        Depth { items: inner.items.len(), bytes: inner.bytes, refused: inner.refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_counts() {
        let queue = Queue::new(3, 100);
        assert!(!queue.wait(Some(Duration::ZERO)));
        queue.put(500, 'a').expect("a single item may be larger than the limit");
        assert_eq!(queue.put(1, 'b'), Err(StoreError::Busy), "bytes");
        let mut taken = Vec::new();
        queue.take(9, &mut taken);
        for item in ['c', 'd', 'e'] {
            queue.put(1, item).expect("room");
        }
        assert_eq!(queue.put(1, 'f'), Err(StoreError::Busy), "items");
        assert!(queue.put_control('g'), "control passes");
        assert_eq!(queue.depth(), Depth { items: 4, bytes: 3, refused: 2 });
        assert!(queue.wait(None));
        queue.take(2, &mut taken);
        assert_eq!(taken, ['a', 'c', 'd']);
        assert_eq!(queue.close(), ['e', 'g']);
        assert!(matches!(queue.put(1, 'h'), Err(StoreError::Engine(_))));
        assert!(!queue.put_control('i'));
    }
}
