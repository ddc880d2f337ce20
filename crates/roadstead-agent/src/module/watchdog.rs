//! The watchdog: a thread that ends the process when the main loop hangs.
//!
//! Source: seed §12_4.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time without a sign of life (seed §12_4).
const PATIENCE: Duration = Duration::from_secs(300);

/// A watchdog that is wound up by the module's loop.
#[derive(Clone)]
pub struct Watchdog {
    start: Instant,
    fed_ms: Arc<AtomicU64>,
}

impl Watchdog {
    /// Starts a thread that calls `bite` once the loop has been silent for five minutes.
    pub fn start(bite: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        Self::with_patience(PATIENCE, bite)
    }

    #[expect(clippy::disallowed_methods, reason = "a watchdog that shares the loop sees nothing")]
    pub(super) fn with_patience(
        patience: Duration,
        bite: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let dog = Self { start: Instant::now(), fed_ms: Arc::new(AtomicU64::new(0)) };
        let own = dog.clone();
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            loop {
                let hungry = own.hungry();
                let Some(left) = patience.checked_sub(hungry).filter(|left| !left.is_zero()) else {
                    return bite();
                };
                std::thread::park_timeout(left);
                // Nobody else holds it: the module is gone.
                if Arc::strong_count(&own.fed_ms) == 1 {
                    return;
                }
            }
        })?;
        Ok(dog)
    }

    /// The loop lives.
    pub(super) fn feed(&self) {
        let now = self.start.elapsed().as_millis() as u64;
        self.fed_ms.store(now, Ordering::Relaxed);
    }

    fn hungry(&self) -> Duration {
        let fed = Duration::from_millis(self.fed_ms.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(fed)
    }
}
