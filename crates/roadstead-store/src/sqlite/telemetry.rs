//! The trace: one SQLite file per UTC day, written by a thread of its own.
//!
//! ```text
//! committed journal record --> filling --flush--> flushing --commit of each day--> segment rows
//! ```
//!
//! A flush covers every journal record up to its number `upto`; each day's file remembers the
//! last one it took part in, so that replaying the journal after a crash neither loses nor
//! doubles entries. Readers see segments up to the last *finished* flush and the memory above it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use roadstead_core::port::StoreError;
use roadstead_core::time::Civil;
use roadstead_core::trace::Entry;
use roadstead_core::{DeviceId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::error::{OrEngine, engine};
use super::journal::{Part, decode_entries};
use super::queue::Queue;
use super::{OpenError, file};
use crate::{crypt, rule};

/// Day files kept open for reading.
const READERS_MAX: usize = 4;
/// Day files kept open for writing: today and, around midnight, yesterday.
const WRITERS_MAX: usize = 2;
/// Memory of a buffered segment beside its body, bytes.
const SEGMENT_BYTES: usize = 160;
/// Segments of one device and day in memory: being flushed, being filled.
const MEMORY_SEGMENTS: i64 = 2;
/// Page cache of one day file, kB.
const CACHE_KB: u32 = 512;

mod search;

type Days = BTreeMap<i64, HashMap<DeviceId, Segment>>;

/// Buffered entries of one device and one day.
#[derive(Clone)]
struct Segment {
    first_at: Timestamp,
    last_at: Timestamp,
    body: Vec<u8>,
}

/// The buffer, the files, and the queue of the flushing thread.
pub(super) struct Telemetry {
    folder: PathBuf,
    buffer: Mutex<Buffer>,
    roomy: Condvar,
    readers: Mutex<Vec<(i64, Connection)>>,
    commands: Queue<Command>,
    bytes_max: usize,
    age: Duration,
}

#[derive(Default)]
struct Buffer {
    filling: Days,
    filling_bytes: usize,
    flushing: Arc<Days>,
    flushing_bytes: usize,
    flushing_upto: i64,
    /// Last journal record in `filling`.
    last: i64,
    /// Last journal record of a finished flush; segments up to here are for readers.
    flushed: i64,
    /// Every entry up to this journal record is in a file. Behind `flushed` while replayed
    /// entries wait for their first flush.
    safe: i64,
    /// Days that have a file.
    files: BTreeSet<i64>,
    failures: u64,
}

impl Buffer {
    fn append(&mut self, part: &Part) {
        let day = self.filling.entry(part.day).or_default();
        if let Some(segment) = day.get_mut(&part.device) {
            segment.first_at = segment.first_at.min(part.first_at);
            segment.last_at = segment.last_at.max(part.last_at);
            segment.body.extend_from_slice(&part.body);
        } else {
            let Part { first_at, last_at, .. } = *part;
            let segment = Segment { first_at, last_at, body: part.body.clone() };
            day.insert(part.device.clone(), segment);
            self.filling_bytes += SEGMENT_BYTES;
        }
        self.filling_bytes += part.body.len();
    }
}

enum Command {
    Flush(Option<oneshot::Sender<Result<(), StoreError>>>),
    Drop(Timestamp, oneshot::Sender<Result<u32, StoreError>>),
    Stop,
}

impl Telemetry {
    /// Opens the folder; nothing is read but file names.
    pub(super) fn open(
        folder: PathBuf,
        bytes_max: usize,
        age: Duration,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::File { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            files.extend(name.to_str().and_then(day_of_file));
        }
        let buffer = Mutex::new(Buffer { files, ..Buffer::default() });
        Ok(Self {
            folder,
            buffer,
            roomy: Condvar::new(),
            readers: Mutex::default(),
            commands: Queue::new(64, usize::MAX),
            bytes_max,
            age,
        })
    }

    /// Returns the last journal record that a day's file has taken part in.
    pub(super) fn watermark(&self, day: i64) -> Result<i64, StoreError> {
        let upto = self.reading(day, |conn| {
            let sql = "SELECT value FROM meta WHERE key = 'upto'";
            conn.query_row(sql, [], |row| row.get(0)).optional().or_engine()
        })?;
        Ok(upto.flatten().unwrap_or(0))
    }

    /// Returns the highest number any day's file has.
    pub(super) fn highest(&self) -> Result<i64, StoreError> {
        let days = self.buffer.lock().files.clone();
        days.into_iter().try_fold(0, |highest, day| Ok(self.watermark(day)?.max(highest)))
    }

    /// Ends the replay at start-up: every segment in the files has a number up to `last`. True
    /// when something was replayed; its segments will be numbered `last + 1`, so that readers can
    /// tell them from the ones they see already.
    pub(super) fn start_at(&self, last: i64) -> bool {
        let mut buffer = self.buffer.lock();
        let replayed = !buffer.filling.is_empty();
        buffer.flushed = last;
        buffer.safe = if replayed { 0 } else { last };
        buffer.last = last + i64::from(replayed);
        replayed
    }

    /// Takes all entries of a committed journal record at once: a flush covers whole records.
    pub(super) fn append<'a>(&self, id: i64, parts: impl Iterator<Item = &'a Part>) {
        let buffer = &mut *self.buffer.lock();
        for part in parts {
            buffer.append(part);
            buffer.last = id;
        }
    }

    /// Returns the journal record up to which all trace is in the files; `None` when nothing
    /// waits.
    pub(super) fn settled(&self) -> Option<i64> {
        let buffer = self.buffer.lock();
        let idle = buffer.filling.is_empty() && buffer.flushing.is_empty();
        (!idle).then_some(buffer.safe)
    }

    /// Asks for a flush when the buffer is half full.
    pub(super) fn nudge(&self) {
        let full = self.buffer.lock().filling_bytes > self.bytes_max / 2;
        if full && self.commands.len() == 0 {
            self.commands.put_control(Command::Flush(None));
        }
    }

    /// Waits a while for room; false when there is none.
    pub(super) fn wait_for_room(&self, patience: Duration) -> bool {
        let mut buffer = self.buffer.lock();
        while buffer.filling_bytes + buffer.flushing_bytes > self.bytes_max {
            if self.roomy.wait_for(&mut buffer, patience).timed_out() {
                return buffer.filling_bytes + buffer.flushing_bytes <= self.bytes_max;
            }
        }
        true
    }

    /// Returns bytes in memory and failed flushes.
    pub(super) fn load(&self) -> (usize, u64) {
        let buffer = self.buffer.lock();
        (buffer.filling_bytes + buffer.flushing_bytes, buffer.failures)
    }

    /// Writes all that is in memory.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let (reply, outcome) = oneshot::channel();
        self.commands.put_control(Command::Flush(Some(reply)));
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Drops days that end before `before`.
    pub(super) async fn drop_days(&self, before: Timestamp) -> Result<u32, StoreError> {
        let (reply, outcome) = oneshot::channel();
        self.commands.put_control(Command::Drop(before, reply));
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Ends the flushing thread after a last flush.
    pub(super) fn stop(&self) {
        self.commands.put_control(Command::Stop);
    }

    /// The flushing thread.
    pub(super) fn run(&self) {
        let mut writers = Vec::new();
        let mut commands = Vec::new();
        loop {
            if !self.commands.wait(Some(self.age)) {
                let _ = self.flush_now(&mut writers);
                continue;
            }
            self.commands.take(1, &mut commands);
            match commands.pop() {
                Some(Command::Flush(reply)) => {
                    let outcome = self.flush_now(&mut writers);
                    reply.map(|reply| reply.send(outcome));
                }
                Some(Command::Drop(before, reply)) => {
                    let outcome = self.flush_now(&mut writers);
                    let outcome = outcome.and_then(|()| self.drop_now(before, &mut writers));
                    let _ = reply.send(outcome);
                }
                Some(Command::Stop) => {
                    let _ = self.flush_now(&mut writers);
                    self.commands.close();
                    self.readers.lock().clear();
                    return;
                }
                None => {}
            }
        }
    }

    /// Writes the buffer; a failed flush is tried again as it was, under the same number.
    fn flush_now(&self, writers: &mut Vec<(i64, Connection)>) -> Result<(), StoreError> {
        // The second round takes what came while a failed flush was waiting.
        while let Some((days, upto)) = self.begin_flush() {
            let written = days.iter().try_for_each(|(day, devices)| {
                let conn = self.writing(*day, writers)?;
                write_day(conn, devices, upto).or_engine()?;
                self.buffer.lock().files.insert(*day);
                Ok(())
            });
            let mut buffer = self.buffer.lock();
            if let Err(error) = written {
                buffer.failures += 1;
                writers.clear();
                tracing::error!(%error, "the trace could not be written; it is kept in memory");
                return Err(error);
            }
            buffer.flushing = Arc::default();
            buffer.flushing_bytes = 0;
            buffer.flushed = upto;
            buffer.safe = upto;
            self.roomy.notify_all();
        }
        Ok(())
    }

    fn begin_flush(&self) -> Option<(Arc<Days>, i64)> {
        let buffer = &mut *self.buffer.lock();
        if buffer.flushing.is_empty() {
            if buffer.filling.is_empty() {
                return None;
            }
            buffer.flushing = Arc::new(std::mem::take(&mut buffer.filling));
            buffer.flushing_bytes = std::mem::take(&mut buffer.filling_bytes);
            buffer.flushing_upto = buffer.last;
        }
        Some((buffer.flushing.clone(), buffer.flushing_upto))
    }

    fn drop_now(
        &self,
        before: Timestamp,
        writers: &mut Vec<(i64, Connection)>,
    ) -> Result<u32, StoreError> {
        let mut readers = self.readers.lock();
        let over: Vec<i64> = {
            let mut buffer = self.buffer.lock();
            let over = buffer.files.iter().copied().filter(|day| rule::day_is_over(*day, before));
            let over: Vec<i64> = over.collect();
            buffer.files.retain(|day| !over.contains(day));
            over
        };
        writers.retain(|(day, _)| !over.contains(day));
        readers.retain(|(day, _)| !over.contains(day));
        for day in &over {
            for suffix in ["-wal", "-shm", ""] {
                let mut path = self.path(*day).into_os_string();
                path.push(suffix);
                match std::fs::remove_file(&path) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(engine("dropping a day of trace", &error)),
                }
            }
        }
        Ok(u32::try_from(over.len()).unwrap_or(u32::MAX))
    }

    /// Returns entries of a device, see the port.
    pub(super) fn trace(
        &self,
        device: &DeviceId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let range = Range { since, until };
        let (memory, files, flushed) = self.snapshot(device, &range);
        let days: BTreeSet<i64> = files.into_iter().chain(memory.keys().copied()).collect();
        let mut found: Vec<Entry> = Vec::new();
        for day in days.into_iter().rev() {
            if found.len() >= limit {
                break;
            }
            // (segment number, entries): sorted by number, entries of one date stay in order.
            let mut parts = self.segments(day, device, &range, flushed, limit)?;
            for (n, segment) in memory.get(&day).into_iter().flatten().enumerate() {
                parts.push((i64::MAX - MEMORY_SEGMENTS + n as i64, read(&segment.body, &range)?));
            }
            parts.sort_by_key(|(upto, _)| *upto);
            let mut of_day: Vec<Entry> = parts.into_iter().flat_map(|(_, part)| part).collect();
            of_day.sort_by_key(|entry| entry.at);
            of_day.append(&mut found);
            found = of_day;
        }
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }

    /// Copies what memory has of a device, and says up to where the files have the rest.
    fn snapshot(
        &self,
        device: &DeviceId,
        range: &Range,
    ) -> (BTreeMap<i64, Vec<Segment>>, Vec<i64>, i64) {
        let buffer = self.buffer.lock();
        let mut memory: BTreeMap<i64, Vec<Segment>> = BTreeMap::new();
        for days in [&*buffer.flushing, &buffer.filling] {
            for (day, devices) in days {
                let segment = devices.get(device).filter(|s| range.meets(s.first_at, s.last_at));
                memory.entry(*day).or_default().extend(segment.cloned());
            }
        }
        let files = buffer.files.iter().copied().filter(|day| {
            range.since.is_none_or(|since| *day >= rule::day_of(since))
                && range.until.is_none_or(|until| *day <= rule::day_of(until))
        });
        (memory, files.collect(), buffer.flushed)
    }

    /// Reads the newest segments of a day until they must hold the newest `limit` entries.
    fn segments(
        &self,
        day: i64,
        device: &DeviceId,
        range: &Range,
        flushed: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Vec<Entry>)>, StoreError> {
        let parts = self.reading(day, |conn| {
            let mut list = conn
                .prepare_cached(
                    "SELECT upto, first_at, last_at, row FROM segment
                     WHERE device = (SELECT number FROM device WHERE id = ?1) AND upto <= ?2
                     ORDER BY last_at DESC",
                )
                .or_engine()?;
            let mut body =
                conn.prepare_cached("SELECT body FROM segment WHERE row = ?1").or_engine()?;
            let rows = list
                .query_map(params![device.as_str(), flushed], |row| {
                    Ok((row.get(0)?, Timestamp(row.get(1)?), Timestamp(row.get(2)?), row.get(3)?))
                })
                .or_engine()?;
            let mut parts: Vec<(i64, Vec<Entry>)> = Vec::new();
            for row in rows {
                let (upto, first_at, last_at, row): (i64, _, _, i64) = row.or_engine()?;
                if !range.meets(first_at, last_at) {
                    continue;
                }
                let newer = parts.iter().flat_map(|(_, part)| part);
                if newer.filter(|entry| entry.at > last_at).count() >= limit {
                    break;
                }
                let body: Vec<u8> = body.query_row([row], |row| row.get(0)).or_engine()?;
                parts.push((upto, read(&body, range)?));
            }
            Ok(parts)
        })?;
        Ok(parts.unwrap_or_default())
    }

    /// Reads a day's file; `None` when there is none.
    fn reading<T>(
        &self,
        day: i64,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut readers = self.readers.lock();
        // Asked under the lock that dropping a day holds: a dropped file is never opened again.
        if !self.buffer.lock().files.contains(&day) {
            return Ok(None);
        }
        if let Some(n) = readers.iter().position(|(of, _)| *of == day) {
            readers[..=n].rotate_right(1);
        } else {
            let conn = file::open_reader(&self.path(day), CACHE_KB).or_engine()?;
            readers.insert(0, (day, conn));
            readers.truncate(READERS_MAX);
        }
        read(&readers[0].1).map(Some)
    }

    fn writing<'a>(
        &self,
        day: i64,
        writers: &'a mut Vec<(i64, Connection)>,
    ) -> Result<&'a mut Connection, StoreError> {
        let n = match writers.iter().position(|(of, _)| *of == day) {
            Some(n) => n,
            None => {
                let conn = open_day(&self.path(day))
                    .map_err(|error| engine("opening a day of trace", &file::with_cause(&error)))?;
                if writers.len() >= WRITERS_MAX {
                    writers.remove(0);
                }
                writers.push((day, conn));
                writers.len() - 1
            }
        };
        Ok(&mut writers[n].1)
    }

    fn path(&self, day: i64) -> PathBuf {
        self.folder.join(format!("trace-{}.db", day_name(day)))
    }
}

/// A time range, both ends exclusive.
struct Range {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Range {
    fn holds(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at > since) && self.until.is_none_or(|until| at < until)
    }

    fn meets(&self, first: Timestamp, last: Timestamp) -> bool {
        self.since.is_none_or(|since| last > since) && self.until.is_none_or(|until| first < until)
    }
}

fn read(body: &[u8], range: &Range) -> Result<Vec<Entry>, StoreError> {
    let mut entries = decode_entries(body).ok_or_else(|| engine("trace", &"damaged segment"))?;
    entries.retain(|entry| range.holds(entry.at));
    Ok(entries)
}

/// Opens a day's file for writing. A new one gets its name when it has its schema: after a crash
/// there is a whole file or none.
fn open_day(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        let failed = |source| OpenError::File { path: path.to_owned(), source };
        let draft = path.with_extension("new");
        let remove = |suffix: &str| {
            let mut name = draft.clone().into_os_string();
            name.push(suffix);
            // Leftovers of a crash; most often there are none.
            let _ = std::fs::remove_file(name);
        };
        ["", "-wal", "-shm"].into_iter().for_each(remove);
        drop(file::open_telemetry(&draft, CACHE_KB)?);
        std::fs::rename(&draft, path).map_err(failed)?;
        crypt::sync_folder(path).map_err(failed)?;
    }
    file::open_telemetry(path, CACHE_KB)
}

fn write_day(
    conn: &mut Connection,
    devices: &HashMap<DeviceId, Segment>,
    upto: i64,
) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    let done: Option<i64> = tx
        .prepare_cached("SELECT value FROM meta WHERE key = 'upto'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    // A flush that failed at another day is done again; this day has it already.
    if done >= Some(upto) {
        return Ok(());
    }
    {
        let mut find = tx.prepare_cached("SELECT number FROM device WHERE id = ?1")?;
        let mut name = tx.prepare_cached("INSERT INTO device (id) VALUES (?1)")?;
        let mut insert = tx.prepare_cached(
            "INSERT INTO segment (device, upto, first_at, last_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut sorted: Vec<_> = devices.iter().collect();
        sorted.sort_unstable_by_key(|(device, _)| *device);
        for (device, segment) in sorted {
            let Segment { first_at, last_at, body } = segment;
            let number = match find.query_row([device.as_str()], |row| row.get(0)).optional()? {
                Some(number) => number,
                None => name.insert([device.as_str()])?,
            };
            insert.execute(params![number, upto, first_at.0, last_at.0, body])?;
        }
        tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('upto', ?1)", [upto])?;
    }
    tx.commit()
}

fn closed() -> StoreError {
    engine("trace", &"the store is closed")
}

fn day_of_file(name: &str) -> Option<i64> {
    parse_day(name.strip_prefix("trace-")?.strip_suffix(".db")?)
}

/// Returns `YYYYMMDD` of a day.
fn day_name(day: i64) -> String {
    let civil = Timestamp(day * rule::DAY_MS).civil();
    format!("{:04}{:02}{:02}", civil.year, civil.month, civil.day)
}

/// Returns the day called `YYYYMMDD`.
fn parse_day(name: &str) -> Option<i64> {
    let digits = name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_digit());
    let number =
        |range: std::ops::Range<usize>| name.get(range).filter(|_| digits)?.parse::<u16>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    let civil = Civil { year: year.into(), month, day, hour: 0, minute: 0, second: 0, milli: 0 };
    let found = rule::day_of(Timestamp::from_civil(civil));
    (day_name(found) == name).then_some(found)
}

/// Returns the folder of telemetry files inside a data folder.
pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("telemetry")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names() {
        for (day, name) in [(0, "19700101"), (20_778, "20261121"), (2_932_896, "99991231")] {
            assert_eq!((&*day_name(day), parse_day(name)), (name, Some(day)));
        }
        for bad in ["", "2026112", "20261131", "2026-1-1", "00000000", "+0261121"] {
            assert_eq!(parse_day(bad), None, "{bad}");
        }
    }
}
