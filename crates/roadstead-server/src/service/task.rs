//! What the platform does on its own: writing notes, sweeping attempts, dropping old trace.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Platform;

/// Time between two looks for overdue attempts.
const ATTEMPT_SWEEP: Duration = Duration::from_secs(10);
/// Time between two looks for devices that never logged in.
const REGISTER_SWEEP: Duration = Duration::from_secs(10);
/// Time between two looks for timers of commands and messages.
const OUTBOX_SWEEP: Duration = Duration::from_secs(1);
/// Time between two looks for old trace.
const TRACE_SWEEP: Duration = Duration::from_secs(3600);
/// Notes gather at least this long before they are written together.
const NOTES_GATHER: Duration = Duration::from_millis(20);
/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The running background tasks; they end when this is dropped.
pub struct Tasks {
    platform: Arc<Platform>,
    tasks: JoinSet<()>,
}

impl Tasks {
    /// Ends the tasks and writes what is left to write.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.platform.flush_notes().await;
    }
}

impl Platform {
    /// Starts the background tasks, after recalling the attempts that run.
    pub async fn start(self: &Arc<Self>) -> Tasks {
        if let Err(error) = self.recall_attempts().await {
            tracing::warn!(%error, "recalling the attempts that run");
        }
        if let Err(error) = self.recall_outbox().await {
            tracing::warn!(%error, "recalling what waits for devices");
        }
        if let Err(error) = self.recall_authorities().await {
            tracing::warn!(%error, "recalling the certificate authorities");
        }
        if let Err(error) = self.recall_policies().await {
            tracing::warn!(%error, "recalling the device policies");
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(write_notes(self.clone()));
        tasks.spawn(every(ATTEMPT_SWEEP, self.clone(), async |platform: &Arc<Platform>| {
            if let Err(error) = platform.sweep_attempts().await {
                tracing::warn!(%error, "ending overdue attempts");
            }
        }));
        tasks.spawn(every(OUTBOX_SWEEP, self.clone(), async |platform: &Arc<Platform>| {
            if let Err(error) = platform.sweep_outbox().await {
                tracing::warn!(%error, "serving timers of commands and messages");
            }
        }));
        tasks.spawn(every(REGISTER_SWEEP, self.clone(), async |platform: &Arc<Platform>| {
            match platform.sweep_unregistered().await {
                Ok(0) => {}
                Ok(devices) => tracing::info!(devices, "deleted devices that never logged in"),
                Err(error) => tracing::warn!(%error, "deleting devices that never logged in"),
            }
        }));
        tasks.spawn(every(TRACE_SWEEP, self.clone(), async |platform: &Arc<Platform>| {
            let before = platform.clock.now() - platform.config.store.trace_days * DAY;
            match platform.store.drop_trace(before).await {
                Ok(0) => {}
                Ok(days) => tracing::info!(days, "dropped old trace"),
                Err(error) => tracing::warn!(%error, "dropping old trace"),
            }
        }));
        Tasks { platform: self.clone(), tasks }
    }
}

async fn write_notes(platform: Arc<Platform>) {
    loop {
        platform.recorder.woken.notified().await;
        tokio::time::sleep(NOTES_GATHER).await;
        platform.flush_notes().await;
    }
}

async fn every<F>(period: Duration, platform: Arc<Platform>, work: F)
where
    F: AsyncFn(&Arc<Platform>),
{
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        work(&platform).await;
    }
}
