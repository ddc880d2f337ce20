//! The clocks of this machine: monotonic for deadlines, wall for dates.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roadstead_core::{Tick, Timestamp};
use tokio::time::Instant;

/// Starts at zero when the device is built.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Returns now; whole milliseconds, rounded down.
    pub(crate) fn tick(self) -> Tick {
        Tick::from_millis(self.start.elapsed().as_millis() as u64)
    }

    /// Returns when a tick comes.
    pub(crate) fn instant(self, tick: Tick) -> Instant {
        self.start + Duration::from_millis(tick.as_millis())
    }

    /// Returns the date.
    #[expect(clippy::disallowed_methods, reason = "this is the device's wall clock")]
    pub(crate) fn date(self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as i64)
    }
}
