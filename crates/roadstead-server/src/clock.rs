//! The only place of the platform that reads a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roadstead_core::{Tick, Timestamp};
use tokio::time::Instant;

/// Wall and monotonic time. Tests construct one that stands still.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks; ticks count from creation and follow tokio's virtual time in tests.
    System(Instant),
    /// A fixed date and tick.
    Fixed(Timestamp, Tick),
    /// Moves only when told: milliseconds since 1970, ticks count from there too.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the machine's clock.
    pub fn system() -> Self {
        Self::System(Instant::now())
    }

    /// Returns a clock that moves only when told; its clones move with it.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.0)))
    }

    /// Moves a manual clock; the others move by themselves or not at all.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(ms) = self {
            ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Returns the date.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Fixed(now, _) => *now,
            Self::Manual(ms) => Timestamp(ms.load(Ordering::SeqCst)),
        }
    }

    /// Returns the monotonic time.
    pub fn tick(&self) -> Tick {
        match self {
            Self::System(start) => {
                Tick::from_millis(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
            Self::Fixed(_, tick) => *tick,
            Self::Manual(ms) => {
                Tick::from_millis(u64::try_from(ms.load(Ordering::SeqCst)).unwrap_or(0))
            }
        }
    }
}
