//! The embedded engine: SQLite, one writer thread, group commit.
//!
//! ```text
//! D/store.lock                      held while the store is open
//! D/registry.db                     everything but trace; write-ahead log, synchronous FULL
//! D/telemetry/trace-YYYYMMDD.db     trace, one file per UTC day
//! D/master.key                      seals secrets; may live elsewhere, see Options::key_file
//!
//! writes: port method -> queue -> writer (group commit) -> answer after the commit
//! reads:  port method -> a read-only connection, and what the writer has not flushed yet
//! ```
//!
//! A report costs no row of its own: a group appends one `journal` row with the changes and trace
//! entries of all its reports; shadows change in memory and reach their table later, several
//! reports at a time; trace goes to the day's file in segments. Opening replays the journal.
//! Source: design section 4; decisions on storage.

mod access;
mod binding;
mod device;
mod error;
mod file;
mod group;
mod history;
mod journal;
mod list;
mod live;
mod migrate;
mod mqtt;
mod open;
mod outbox;
mod presence;
mod product;
mod queue;
mod read;
mod record;
mod shadow;
mod tag;
mod tally;
mod telemetry;
#[cfg(test)]
mod tests;
mod trust;
mod word;
mod write;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use roadstead_core::Timestamp;
use roadstead_core::port::StoreError;
use tokio::sync::oneshot;

use crate::crypt::Vault;
use crate::random::Random;
use live::Live;
use product::Products;
use queue::Queue;
use read::Readers;
use telemetry::Telemetry;
use writer::Job;

pub use error::OpenError;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the database files; made when it is missing.
    pub data_dir: PathBuf,
    /// The master key; `None` means `master.key` in the data folder. Made on the first start.
    pub key_file: Option<PathBuf>,
    /// Where ids and nonces come from.
    pub random: Random,
    /// How long the writer waits for company under load.
    pub linger: Duration,
    /// Jobs that may wait for the writer.
    pub queue_jobs_max: usize,
    /// Bytes of jobs that may wait for the writer.
    pub queue_bytes_max: usize,
    /// How long a changed shadow may stay in journal and memory alone, and trace as well.
    pub checkpoint_age: Duration,
    /// Memory of cached shadows, bytes.
    pub shadow_cache_bytes_max: usize,
    /// Memory of trace that waits to be written, bytes.
    pub trace_buffer_bytes_max: usize,
}

impl Options {
    /// Returns the defaults for a folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            key_file: None,
            random: Random::os(),
            linger: Duration::from_millis(8),
            queue_jobs_max: 50_000,
            queue_bytes_max: 32 * 1024 * 1024,
            checkpoint_age: Duration::from_secs(5),
            shadow_cache_bytes_max: 64 * 1024 * 1024,
            trace_buffer_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// The embedded engine.
pub struct Sqlite {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<std::fs::File>>,
}

/// What writer, flusher and callers share.
struct Shared {
    queue: Queue<Job>,
    live: Live,
    telemetry: Telemetry,
    readers: Readers,
    products: Products,
    /// When each run of the server began, the first one first; a device of an earlier run was
    /// lost when the next one began.
    runs: RwLock<Vec<Timestamp>>,
    vault: Vault,
    random: Random,
    linger: Duration,
    checkpoint_age: Duration,
    counters: Counters,
    closed: AtomicBool,
    flusher: Mutex<Option<JoinHandle<()>>>,
}

/// Measurements of the writer.
#[derive(Default)]
struct Counters {
    groups: AtomicU64,
    jobs: AtomicU64,
    failed_groups: AtomicU64,
    commit_us: AtomicU64,
    commit_us_max: AtomicU64,
    last_group: AtomicU64,
}

impl Counters {
    fn note_group(&self, jobs: usize, took: Duration, ok: bool) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.groups.fetch_add(1, Relaxed);
        self.jobs.fetch_add(jobs as u64, Relaxed);
        self.failed_groups.fetch_add(u64::from(!ok), Relaxed);
        self.commit_us.fetch_add(us, Relaxed);
        self.commit_us_max.fetch_max(us, Relaxed);
        self.last_group.store(jobs as u64, Relaxed);
    }
}

/// The state of the engine's named queues and buffers, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Queue `store.writer`: jobs that wait.
    pub queue_jobs: usize,
    /// Queue `store.writer`: bytes that wait.
    pub queue_bytes: usize,
    /// Queue `store.writer`: jobs refused with `Busy` since the start.
    pub queue_refused: u64,
    /// Groups written.
    pub groups: u64,
    /// Groups that failed as a whole.
    pub groups_failed: u64,
    /// Jobs written.
    pub jobs: u64,
    /// Jobs of the last group.
    pub last_group_jobs: u64,
    /// Time in groups, µs in total.
    pub group_us: u64,
    /// Longest group, µs.
    pub group_us_max: u64,
    /// Shadows in memory.
    pub shadows: usize,
    /// Shadows in memory that their table lacks (upper bound).
    pub shadows_dirty: usize,
    /// Buffer `store.trace`: bytes that wait.
    pub trace_bytes: usize,
    /// Buffer `store.trace`: failed attempts to write it.
    pub trace_failures: u64,
}

impl Sqlite {
    /// Returns the state of queues and buffers.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let depth = shared.queue.depth();
        let (shadows, shadows_dirty) = shared.live.len();
        let (trace_bytes, trace_failures) = shared.telemetry.load();
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Stats {
            queue_jobs: depth.items,
            queue_bytes: depth.bytes,
            queue_refused: depth.refused,
            groups: read(&shared.counters.groups),
            groups_failed: read(&shared.counters.failed_groups),
            jobs: read(&shared.counters.jobs),
            last_group_jobs: read(&shared.counters.last_group),
            group_us: read(&shared.counters.commit_us),
            group_us_max: read(&shared.counters.commit_us_max),
            shadows,
            shadows_dirty,
            trace_bytes,
            trace_failures,
        }
    }

    /// Writes everything in memory to its table and empties the journal, as before a backup.
    pub async fn checkpoint_now(&self) -> Result<(), StoreError> {
        self.shared.telemetry.flush().await?;
        self.empty_journal().await
    }

    /// Writes every dirty shadow, then deletes the journal rows that nobody needs any more.
    async fn empty_journal(&self) -> Result<(), StoreError> {
        // The first group writes the shadows; only after its commit the journal can go.
        for _ in 0..2 {
            let (reply, outcome) = oneshot::channel();
            self.shared.queue.put_control(Job::Checkpoint(reply));
            outcome.await.unwrap_or_else(|_| Err(write::stopped()))?;
        }
        Ok(())
    }

    /// Writes what waits, and ends the threads; later calls fail. Blocks until it is done.
    pub fn close(&self) {
        self.shared.queue.put_control(Job::Close);
        if let Some(thread) = self.writer.lock().take() {
            let _ = thread.join();
        }
        // Another store may open the folder from now on, even while this one is still referenced.
        drop(self.lock.lock().take());
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
