//! Packets to a device that reads one packet per segment and loses the second: each leaves in a
//! write of its own, and the next one a pause later (GizWits §3.5).
//!
//! Not here: the bytes, which are the connection's.

use std::collections::VecDeque;
use std::time::Duration;

/// Where the packets of an output buffer end, and when the next one may leave.
pub(super) struct Pace {
    gap_ms: u64,
    /// Bytes left of each packet, the first one first.
    packets: VecDeque<usize>,
    /// When the next packet may begin.
    next: u64,
    /// The first packet has begun.
    is_partial: bool,
}

impl Pace {
    /// Begins with an empty buffer.
    pub(super) fn new(gap: Duration) -> Self {
        let gap_ms = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
        Self { gap_ms, packets: VecDeque::new(), next: 0, is_partial: false }
    }

    /// A packet of so many bytes was put into the buffer.
    pub(super) fn queue(&mut self, bytes: usize) {
        if bytes > 0 {
            self.packets.push_back(bytes);
        }
    }

    /// Returns how many bytes may be written at `now`.
    pub(super) fn room(&self, now: u64) -> usize {
        match self.packets.front() {
            Some(bytes) if self.is_partial || now >= self.next => *bytes,
            Some(_) | None => 0,
        }
    }

    /// So many of the bytes that were allowed were written.
    pub(super) fn wrote(&mut self, bytes: usize, now: u64) {
        let Some(left) = self.packets.front_mut() else { return };
        *left = left.saturating_sub(bytes);
        self.is_partial = *left > 0;
        if !self.is_partial {
            self.packets.pop_front();
            self.next = now.saturating_add(self.gap_ms);
        }
        if self.packets.is_empty() {
            self.packets.shrink_to(0);
        }
    }

    /// The buffer was emptied otherwise.
    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.is_partial = false;
    }

    /// Returns when the next packet may begin, `None` while none waits.
    pub(super) fn due(&self) -> Option<u64> {
        (!self.packets.is_empty() && !self.is_partial).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_one_by_one() {
        let mut pace = Pace::new(Duration::from_millis(50));
        assert_eq!((pace.room(0), pace.due()), (0, None));
        for bytes in [4, 0, 7, 2] {
            pace.queue(bytes);
        }
        assert_eq!((pace.room(10), pace.due()), (4, Some(0)));
        pace.wrote(4, 10);
        assert_eq!((pace.room(59), pace.due()), (0, Some(60)));
        assert_eq!(pace.room(60), 7);
        // The system took a part: the rest of the packet does not wait.
        pace.wrote(3, 60);
        assert_eq!((pace.room(60), pace.due()), (4, None));
        pace.wrote(4, 61);
        assert_eq!((pace.room(110), pace.room(111)), (0, 2));
        pace.clear();
        assert_eq!((pace.room(200), pace.due()), (0, None));
    }
}
