//! The writer: one thread, one connection, one transaction per group of jobs.
//!
//! ```text
//! take jobs -> BEGIN -> run each (savepoint) -> one journal row -> flush some shadows -> COMMIT
//!           -> change memory -> answer every job
//! ```
//!
//! Memory changes after the commit and never before it, so a failed commit needs no undoing:
//! every job of the group is answered with the failure. A lone job is committed at once; under
//! load the writer lingers a little, so that one fsync serves many.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use roadstead_core::DeviceId;
use roadstead_core::limit::SHADOW_BYTES_MAX;
use roadstead_core::port::StoreError;
use roadstead_core::shadow::{Change, Expected, Shadow};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::Shared;
use super::error::{OrEngine, engine};
use super::journal::{Changes, Part, put_record};
use super::live::{Flush, Loaded};
use crate::rule;

/// Jobs of one group.
const GROUP_JOBS_MAX: usize = 1000;
/// A group of at least this many jobs makes the writer linger before the next one.
const LOADED_GROUP_JOBS: usize = 3;
/// A lingering writer looks for new jobs this often.
const LINGER_STEP: Duration = Duration::from_millis(2);
/// Journal since the last checkpoint; past half of it shadows are flushed before their age,
/// past it all of them.
const JOURNAL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Shadows flushed along with one group.
const FLUSH_SLICE: usize = 128;
/// Same, when the journal is half full or the cache is full of dirty shadows.
const FLUSH_SLICE_LATE: usize = 1024;
/// Journal rows deleted at once, so that pruning is not a statement per group.
const PRUNE_ROWS: usize = 16;
/// How often an idle writer looks whether something is due.
const IDLE_STEP: Duration = Duration::from_millis(500);
/// How long reports wait for room in the trace buffer before they are refused.
const ROOM_PATIENCE: Duration = Duration::from_secs(2);

/// What the writer does.
pub(super) enum Job {
    /// Change a shadow and trace it.
    Report(Box<Report>),
    /// Append to the trace.
    Trace(Vec<Part>, oneshot::Sender<Result<(), StoreError>>),
    /// Run statements.
    Task(Box<dyn Task>),
    /// Write every dirty shadow and prune the journal.
    Checkpoint(oneshot::Sender<Result<(), StoreError>>),
    /// End.
    Close,
}

/// A change of a shadow.
pub(super) struct Report {
    pub(super) device: DeviceId,
    /// Versions that the change is based on; seldom any.
    pub(super) expected: Vec<Expected>,
    pub(super) changes: Vec<Change>,
    pub(super) encoded: Changes,
    pub(super) trace: Option<Part>,
    pub(super) reply: oneshot::Sender<Result<bool, StoreError>>,
}

/// Statements to run inside a group.
pub(super) trait Task: Send {
    /// True when the task needs a savepoint, because it runs more than one statement.
    fn savepoint(&self) -> bool;
    /// Runs; false when its statements must be undone.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers the caller after the commit, or with the failure of the group.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

type Hook = Box<dyn FnOnce(&Shared) + Send>;

/// The transaction as a task sees it.
pub(super) struct Tx<'a> {
    /// The connection.
    pub(super) conn: &'a Connection,
    /// The store around it.
    pub(super) shared: &'a Shared,
    hooks: Vec<Hook>,
    gone: Vec<DeviceId>,
}

impl Tx<'_> {
    /// Runs `hook` after the commit, before the caller is answered.
    pub(super) fn after_commit(&mut self, hook: impl FnOnce(&Shared) + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// Notes that a device was deleted.
    pub(super) fn gone(&mut self, device: &DeviceId) {
        self.gone.push(device.clone());
    }
}

/// A job that ran and waits for the commit.
enum Done {
    Report { report: Box<Report>, accepted: Result<usize, StoreError>, loaded: Option<Loaded> },
    Trace(Vec<Part>, oneshot::Sender<Result<(), StoreError>>),
    Task { task: Box<dyn Task>, hooks: Vec<Hook>, gone: Vec<DeviceId> },
    Checkpoint(oneshot::Sender<Result<(), StoreError>>),
}

impl Done {
    /// Returns the trace that went into the journal with this job.
    fn trace(&self) -> &[Part] {
        match self {
            Self::Report { accepted: Err(StoreError::Busy), .. } => &[],
            Self::Report { report, .. } => report.trace.as_slice(),
            Self::Trace(parts, _) => parts,
            Self::Task { .. } | Self::Checkpoint(_) => &[],
        }
    }
}

/// What a group has done so far.
#[derive(Default)]
struct Group {
    done: Vec<Done>,
    /// Row and size bound of the shadows it touches.
    staged: HashMap<DeviceId, (i64, usize)>,
    /// Devices it deleted; what memory says about them is stale.
    gone: HashSet<DeviceId>,
    journal: Vec<u8>,
    flush_all: bool,
}

/// The thread's state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    conn: Connection,
    /// Number of the next journal row.
    next_id: i64,
    /// Journal rows that are in the table: number and bytes.
    journal: VecDeque<(i64, usize)>,
    journal_bytes: usize,
    last_group: usize,
    /// Dirty shadows alone exceed the cache.
    pressed: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        conn: Connection,
        next_id: i64,
        journal: VecDeque<(i64, usize)>,
    ) -> Self {
        let journal_bytes = journal.iter().map(|(_, bytes)| bytes).sum();
        Self { shared, conn, next_id, journal, journal_bytes, last_group: 0, pressed: false }
    }

    /// The thread.
    pub(super) fn run(mut self) {
        let _closes = CloseOnDrop(self.shared.clone());
        let mut jobs = Vec::with_capacity(GROUP_JOBS_MAX);
        loop {
            let idle_step = (!self.journal.is_empty()).then_some(IDLE_STEP);
            if self.shared.queue.wait(idle_step) {
                self.linger();
            }
            self.shared.queue.take(GROUP_JOBS_MAX, &mut jobs);
            let close = jobs.iter().position(|job| matches!(job, Job::Close));
            let late = close.map(|n| jobs.split_off(n));
            self.last_group = jobs.len();
            if !jobs.is_empty() || self.is_due() {
                self.group(std::mem::take(&mut jobs), false);
            }
            if late.is_some() {
                return self.close();
            }
        }
    }

    /// Waits for company under load, as long as somebody comes.
    fn linger(&self) {
        if self.last_group < LOADED_GROUP_JOBS {
            return;
        }
        let start = Instant::now();
        let mut before = self.shared.queue.len();
        while before < GROUP_JOBS_MAX && start.elapsed() < self.shared.linger {
            std::thread::sleep(LINGER_STEP.min(self.shared.linger));
            let waiting = self.shared.queue.len();
            if waiting == before {
                return;
            }
            before = waiting;
        }
    }

    fn is_due(&self) -> bool {
        self.shadows_due() || self.prunable(PRUNE_ROWS).is_some()
    }

    fn shadows_due(&self) -> bool {
        let before = Instant::now().checked_sub(self.shared.checkpoint_age);
        before.is_some_and(|before| self.shared.live.is_due(before))
    }

    /// Runs one group; with `flush_all` every dirty shadow is written.
    fn group(&mut self, jobs: Vec<Job>, flush_all: bool) {
        let start = Instant::now();
        let count = jobs.len();
        let mut group = Group { flush_all, ..Group::default() };
        let room = self.make_room(&jobs);
        let outcome = self.run_group(jobs, room, &mut group);
        let outcome = match outcome {
            Ok((flushes, pruned)) => {
                self.committed(&group, &flushes, pruned);
                Ok(())
            }
            Err(error) => {
                if !self.conn.is_autocommit() {
                    let _ = self.conn.execute_batch("ROLLBACK");
                }
                tracing::error!(%error, jobs = count, "a group of writes was not committed");
                Err(error)
            }
        };
        self.shared.counters.note_group(count, start.elapsed(), outcome.is_ok());
        let id = self.next_id - 1;
        for done in group.done {
            self.answer(done, &outcome, id);
        }
        self.pressed = self.shared.live.evict();
        self.shared.telemetry.nudge();
    }

    /// Waits for room in the trace buffer when the group brings trace.
    fn make_room(&self, jobs: &[Job]) -> bool {
        let brings = jobs.iter().any(|job| matches!(job, Job::Report(_) | Job::Trace(..)));
        !brings || self.shared.telemetry.wait_for_room(ROOM_PATIENCE)
    }

    fn run_group(
        &mut self,
        jobs: Vec<Job>,
        room: bool,
        group: &mut Group,
    ) -> Result<(Vec<Flush>, Option<i64>), StoreError> {
        let begun = self.run_cached("BEGIN IMMEDIATE");
        for job in jobs {
            self.run_job(job, room && begun.is_ok(), group);
        }
        begun?;
        if self.conn.is_autocommit() {
            return Err(engine("writing", &"the engine gave the transaction up"));
        }
        if !group.journal.is_empty() {
            self.conn
                .prepare_cached("INSERT INTO journal (id, body) VALUES (?1, ?2)")
                .and_then(|mut insert| insert.execute(params![self.next_id, group.journal]))
                .or_engine()?;
        }
        let flushes = self.flush(group).or_engine()?;
        let pruned = self.prunable(if group.flush_all { 1 } else { PRUNE_ROWS });
        if let Some(upto) = pruned {
            self.prune(upto).or_engine()?;
        }
        self.run_cached("COMMIT")?;
        Ok((flushes, pruned))
    }

    fn run_cached(&self, sql: &str) -> Result<(), StoreError> {
        self.conn.prepare_cached(sql).and_then(|mut s| s.execute([])).or_engine().map(drop)
    }

    fn run_job(&mut self, job: Job, room: bool, group: &mut Group) {
        let done = match job {
            Job::Report(report) => {
                let (accepted, loaded) = match room {
                    true => self.stage(&report, group),
                    false => (Err(StoreError::Busy), None),
                };
                if room {
                    let row = group.staged.get(&report.device).map_or(0, |(row, _)| *row);
                    let changes = accepted.is_ok().then_some((row, &report.encoded));
                    if changes.is_some() || report.trace.is_some() {
                        put_record(&mut group.journal, changes, report.trace.as_ref());
                    }
                }
                Done::Report { report, accepted, loaded }
            }
            Job::Trace(_, reply) if !room => {
                let _ = reply.send(Err(StoreError::Busy));
                return;
            }
            Job::Trace(parts, reply) => {
                parts.iter().for_each(|part| put_record(&mut group.journal, None, Some(part)));
                Done::Trace(parts, reply)
            }
            Job::Task(task) => self.run_task(task, group),
            Job::Checkpoint(reply) => {
                group.flush_all = true;
                Done::Checkpoint(reply)
            }
            Job::Close => return,
        };
        group.done.push(done);
    }

    fn run_task(&self, mut task: Box<dyn Task>, group: &mut Group) -> Done {
        let (hooks, gone) = (Vec::new(), Vec::new());
        let mut tx = Tx { conn: &self.conn, shared: &self.shared, hooks, gone };
        // After a lost transaction the group fails as a whole; its tasks must not commit alone.
        if self.conn.is_autocommit() {
            return Done::Task { task, hooks: Vec::new(), gone: Vec::new() };
        }
        let savepoint = task.savepoint();
        if savepoint && self.run_cached("SAVEPOINT job").is_err() {
            return Done::Task { task, hooks: Vec::new(), gone: Vec::new() };
        }
        let keep = task.run(&mut tx);
        let Tx { mut hooks, mut gone, .. } = tx;
        if savepoint {
            if !keep {
                let _ = self.run_cached("ROLLBACK TO job");
            }
            let _ = self.run_cached("RELEASE job");
        }
        if !keep {
            hooks.clear();
            gone.clear();
        }
        for device in &gone {
            group.staged.remove(device);
            group.gone.insert(device.clone());
        }
        Done::Task { task, hooks, gone }
    }

    /// Checks a report against the shadow it will change; the change itself comes after the
    /// commit. Returns the size bound after the change.
    fn stage(
        &self,
        report: &Report,
        group: &mut Group,
    ) -> (Result<usize, StoreError>, Option<Loaded>) {
        let device = &report.device;
        let known = group.staged.get(device).copied();
        let known = known.or_else(|| match group.gone.contains(device) {
            true => None,
            false => self.shared.live.bound(device),
        });
        let (row, bound, loaded) = match known {
            Some((row, bound)) => (row, bound, None),
            None => match load(&self.conn, device) {
                Ok(Some(loaded)) => (loaded.row, loaded.bound, Some(loaded)),
                Ok(None) => return (Err(StoreError::Missing), None),
                Err(error) => return (Err(error), None),
            },
        };
        let accepted = self.fits(report, row, bound, loaded.as_ref(), group);
        group.staged.insert(device.clone(), (row, *accepted.as_ref().unwrap_or(&bound)));
        // What was loaded goes to the cache even after a refusal: `staged` names it as known.
        (accepted, loaded)
    }

    /// Returns the size bound after a report, unless it grows the shadow too far or is based on
    /// another version.
    fn fits(
        &self,
        report: &Report,
        row: i64,
        bound: usize,
        loaded: Option<&Loaded>,
        group: &Group,
    ) -> Result<usize, StoreError> {
        let after = bound + report.encoded.growth;
        if after <= SHADOW_BYTES_MAX && report.expected.is_empty() {
            return Ok(after);
        }
        let mut shadow = self.staged_shadow(report, row, loaded, group);
        rule::check_versions(&shadow, &report.expected)?;
        if after <= SHADOW_BYTES_MAX {
            return Ok(after);
        }
        report.changes.iter().for_each(|change| shadow.apply(change));
        match rule::shadow_bytes(&shadow) {
            exact if exact <= SHADOW_BYTES_MAX => Ok(exact),
            _ => Err(StoreError::Limit("shadow bytes")),
        }
    }

    /// Returns the shadow that a report will find, with what the group did before.
    fn staged_shadow(
        &self,
        report: &Report,
        row: i64,
        loaded: Option<&Loaded>,
        group: &Group,
    ) -> Shadow {
        let mut shadow = loaded.map(|loaded| loaded.shadow.clone());
        for done in &group.done {
            let Done::Report { report: earlier, accepted, loaded } = done else { continue };
            if earlier.device != report.device {
                continue;
            }
            if let Some(loaded) = loaded.as_ref().filter(|loaded| loaded.row == row) {
                shadow = Some(loaded.shadow.clone());
            }
            if accepted.is_ok() && (shadow.is_some() || !group.gone.contains(&report.device)) {
                let shadow = shadow.get_or_insert_with(|| self.live_shadow(&report.device));
                earlier.changes.iter().for_each(|change| shadow.apply(change));
            }
        }
        shadow.unwrap_or_else(|| self.live_shadow(&report.device))
    }

    fn live_shadow(&self, device: &DeviceId) -> Shadow {
        self.shared.live.shadow(device).unwrap_or_default()
    }

    /// Writes some dirty shadows to their table.
    fn flush(&self, group: &Group) -> rusqlite::Result<Vec<Flush>> {
        let most = if group.flush_all || self.journal_bytes > JOURNAL_BYTES_MAX {
            usize::MAX
        } else if self.pressed || self.journal_bytes > JOURNAL_BYTES_MAX / 2 {
            FLUSH_SLICE_LATE
        } else if self.shadows_due() {
            FLUSH_SLICE
        } else {
            return Ok(Vec::new());
        };
        let mut flushes = self.shared.live.dirty(most);
        flushes.retain(|flush| !group.gone.contains(&flush.device));
        if flushes.is_empty() {
            return Ok(flushes);
        }
        let mut upsert = self.conn.prepare_cached(
            "INSERT INTO shadow (device, applied, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (device) DO UPDATE SET applied = excluded.applied, body = excluded.body",
        )?;
        for flush in &flushes {
            upsert.execute(params![flush.row, flush.applied, flush.body])?;
        }
        Ok(flushes)
    }

    /// Returns up to where the journal is not needed any more, when that is `least` rows or all.
    fn prunable(&self, least: usize) -> Option<i64> {
        let (first, _) = self.journal.front()?;
        let (last, _) = self.journal.back()?;
        let shadows = self.shared.live.oldest_dirty().map_or(*last, |id| id - 1);
        let upto = self.shared.telemetry.settled().unwrap_or(*last).min(shadows).min(*last);
        let rows = self.journal.iter().take_while(|(id, _)| *id <= upto).count();
        (upto >= *first && (rows >= least || upto == *last)).then_some(upto)
    }

    fn prune(&self, upto: i64) -> rusqlite::Result<()> {
        self.conn.prepare_cached("DELETE FROM journal WHERE id <= ?1")?.execute([upto])?;
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO meta (key, value) VALUES ('journal_floor', ?1)",
            )?
            .execute([upto])
            .map(drop)
    }

    fn committed(&mut self, group: &Group, flushes: &[Flush], pruned: Option<i64>) {
        if !group.journal.is_empty() {
            self.journal.push_back((self.next_id, group.journal.len()));
            self.journal_bytes += group.journal.len();
            self.next_id += 1;
        }
        // The whole record before any answer, and before the flusher can see a part of it.
        self.shared.telemetry.append(self.next_id - 1, group.done.iter().flat_map(Done::trace));
        self.shared.live.flushed(flushes);
        while let Some((_, bytes)) = self.journal.front().filter(|(id, _)| pruned >= Some(*id)) {
            self.journal_bytes -= bytes;
            self.journal.pop_front();
        }
    }

    /// Changes memory after a commit and answers a job.
    fn answer(&self, done: Done, outcome: &Result<(), StoreError>, id: i64) {
        match (done, outcome) {
            (Done::Report { report, accepted, loaded }, Ok(())) => {
                let Report { device, changes, reply, .. } = *report;
                let answer = match accepted {
                    Ok(bound) => Ok(self.shared.live.apply(&device, loaded, &changes, bound, id)),
                    Err(error) => {
                        if let Some(loaded) = loaded {
                            let bound = loaded.bound;
                            self.shared.live.apply(&device, Some(loaded), &[], bound, id);
                        }
                        Err(error)
                    }
                };
                let _ = reply.send(answer);
            }
            (Done::Report { report, .. }, Err(error)) => {
                let _ = report.reply.send(Err(error.clone()));
            }
            (Done::Trace(_, reply), outcome) => {
                let _ = reply.send(outcome.clone());
            }
            (Done::Task { task, hooks, gone }, outcome) => {
                if outcome.is_ok() {
                    gone.iter().for_each(|device| self.shared.live.remove(device));
                    hooks.into_iter().for_each(|hook| hook(&self.shared));
                }
                task.finish(outcome.clone());
            }
            (Done::Checkpoint(reply), outcome) => {
                let _ = reply.send(outcome.clone());
            }
        }
    }

    /// Writes everything and leaves a database without a journal.
    fn close(mut self) {
        self.shared.telemetry.stop();
        if let Some(thread) = self.shared.flusher.lock().take() {
            let _ = thread.join();
        }
        self.group(Vec::new(), true);
        self.group(Vec::new(), true);
        let _ = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// Reads a device's shadow from its table; `None` when there is no such device.
pub(super) fn load(conn: &Connection, device: &DeviceId) -> Result<Option<Loaded>, StoreError> {
    let found: Option<(i64, Option<Vec<u8>>)> = conn
        .prepare_cached(
            "SELECT d.row, s.body FROM device d LEFT JOIN shadow s ON s.device = d.row
             WHERE d.id = ?1",
        )
        .and_then(|mut select| {
            select.query_row([device.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .or_engine()?;
    let Some((row, body)) = found else { return Ok(None) };
    let shadow = body.as_deref().map(decode).transpose()?.unwrap_or_default();
    // An empty shadow is `{}`.
    let bound = body.map_or(2, |body| body.len());
    Ok(Some(Loaded { row, shadow, bound }))
}

/// Decodes a shadow's body.
pub(super) fn decode(body: &[u8]) -> Result<Shadow, StoreError> {
    serde_json::from_slice(body).map_err(|error| engine("shadow", &error))
}

/// Refuses further jobs when the thread ends, whatever ends it.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.telemetry.stop();
        self.0.closed.store(true, Relaxed);
        drop(self.0.queue.close());
    }
}
