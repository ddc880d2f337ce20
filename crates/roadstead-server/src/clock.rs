//! The only place of the platform that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roadstead_core::{Tick, Timestamp};

/// Wall and monotonic time. Tests construct one that stands still.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks; ticks count from creation.
    System(Instant),
    /// A fixed date and tick.
    Fixed(Timestamp, Tick),
}

impl Clock {
    /// Returns the machine's clock.
    pub fn system() -> Self {
        Self::System(Instant::now())
    }

    /// Returns the date.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Fixed(now, _) => *now,
        }
    }

    /// Returns the monotonic time.
    pub fn tick(&self) -> Tick {
        match self {
            Self::System(start) => {
                Tick::from_millis(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
            Self::Fixed(_, tick) => *tick,
        }
    }
}
