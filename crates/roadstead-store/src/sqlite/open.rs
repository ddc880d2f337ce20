//! Opening a store: lock, key, schema, replay of the journal, threads.

use std::collections::{HashMap, VecDeque};
use std::fs::TryLockError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use roadstead_core::{DeviceId, Secret, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::error::{OrEngine, engine};
use super::journal::{Part, Record, decode_records, encode_changes, encode_trace};
use super::live::Live;
use super::product::Products;
use super::queue::Queue;
use super::read::Readers;
use super::telemetry::{self, Telemetry};
use super::writer::{self, Writer};
use super::{Counters, OpenError, Options, Shared, Sqlite, file};
use crate::crypt::{self, Place, Vault};
use crate::random::Random;

/// Trace waits longer than shadows: fewer, larger segments; in checkpoint ages.
const TRACE_AGES: u32 = 2;
/// What the key check seals; not a secret.
const KEY_CHECK: &str = "roadstead";
const KEY_CHECK_PLACE: Place<'static> = Place { table: "meta", row: "key_check", column: "value" };

impl Sqlite {
    /// Opens a store; makes it when the folder is empty.
    ///
    /// # Errors
    ///
    /// Every [`OpenError`]; nothing but missing files and schema steps has changed then.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let data_dir = &options.data_dir;
        std::fs::create_dir_all(data_dir).map_err(at(data_dir))?;
        let lock = lock(data_dir)?;
        let path = data_dir.join("registry.db");
        let conn = file::open_registry(&path)?;
        crypt::sync_folder(&path).map_err(at(&path))?;
        let vault = unlock(&conn, &options)?;
        let telemetry = Telemetry::open(
            telemetry::folder(data_dir),
            options.trace_buffer_bytes_max,
            options.checkpoint_age * TRACE_AGES,
        )?;
        let shared = Arc::new(Shared {
            queue: Queue::new(options.queue_jobs_max, options.queue_bytes_max),
            live: Live::new(options.shadow_cache_bytes_max),
            telemetry,
            readers: Readers::new(path),
            products: Products::default(),
            runs: RwLock::new(runs(&conn)?),
            vault,
            random: options.random,
            linger: options.linger,
            checkpoint_age: options.checkpoint_age,
            counters: Counters::default(),
            closed: AtomicBool::new(false),
            flusher: Mutex::default(),
        });
        let (next_id, journal) = replay(&conn, &shared)?;
        let writer = Writer::new(shared.clone(), conn, next_id, journal);
        let flushing = shared.clone();
        let flusher = spawn("store-trace", data_dir, move || flushing.telemetry.run())?;
        *shared.flusher.lock() = Some(flusher);
        let writer = spawn("store-writer", data_dir, move || writer.run())?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)), lock: Mutex::new(Some(lock)) })
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::File { path: path.clone(), source }
}

fn spawn(
    name: &str,
    data_dir: &Path,
    run: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.into()).spawn(run).map_err(at(data_dir))
}

fn lock(data_dir: &Path) -> Result<std::fs::File, OpenError> {
    let path = data_dir.join("store.lock");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: data_dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

/// Reads or makes the master key, and compares it with the one the store was written with.
fn unlock(conn: &Connection, options: &Options) -> Result<Vault, OpenError> {
    let path = options.key_file.clone().unwrap_or_else(|| options.data_dir.join("master.key"));
    let sealed: Option<Vec<u8>> = conn
        .query_row("SELECT value FROM meta WHERE key = 'key_check'", [], |row| row.get(0))
        .optional()
        .or_engine()?;
    let key = match (crypt::read_key(&path).map_err(at(&path))?, &sealed) {
        (Some(key), _) => key,
        (None, Some(_)) => return Err(OpenError::MissingKey { path }),
        (None, None) => crypt::create_key(&path, &Random::os()).map_err(at(&path))?,
    };
    let vault = Vault::new(key, options.random.clone())?;
    match sealed {
        Some(sealed) => {
            vault
                .open(KEY_CHECK_PLACE, &sealed)
                .ok()
                .filter(|text| text.matches(KEY_CHECK.as_bytes()))
                .ok_or(OpenError::WrongKey { path })?;
        }
        None => {
            let sealed = vault.seal(KEY_CHECK_PLACE, &Secret::from(KEY_CHECK))?;
            conn.execute("INSERT INTO meta (key, value) VALUES ('key_check', ?1)", [sealed])
                .or_engine()?;
        }
    }
    Ok(vault)
}

fn runs(conn: &Connection) -> Result<Vec<Timestamp>, OpenError> {
    let mut select = conn.prepare("SELECT started_at FROM run ORDER BY number").or_engine()?;
    let rows = select.query_map([], |row| Ok(Timestamp(row.get(0)?))).or_engine()?;
    Ok(rows.collect::<rusqlite::Result<_>>().or_engine()?)
}

/// Brings the journal back to memory; returns the next number and what the journal holds.
fn replay(conn: &Connection, shared: &Shared) -> Result<(i64, VecDeque<(i64, usize)>), OpenError> {
    let sql = "SELECT max(value) FROM meta WHERE key IN ('journal_floor', 'id_floor')";
    let floor: Option<i64> = conn.query_row(sql, [], |row| row.get(0)).or_engine()?;
    // A registry restored from a backup may be older than the telemetry beside it.
    let mut last = floor.unwrap_or(0).max(shared.telemetry.highest()?);
    let mut journal = VecDeque::new();
    let mut replay = Replay { conn, shared, rows: HashMap::new(), watermarks: HashMap::new() };
    let mut select = conn.prepare("SELECT id, body FROM journal ORDER BY id").or_engine()?;
    let mut rows = select.query([]).or_engine()?;
    while let Some(row) = rows.next().or_engine()? {
        let id: i64 = row.get(0).or_engine()?;
        let body = row.get_ref(1).and_then(|body| Ok(body.as_blob()?)).or_engine()?;
        journal.push_back((id, body.len()));
        let mut parts = Vec::new();
        for record in decode_records(body).ok_or(OpenError::Journal { id })? {
            replay.record(id, record, &mut parts)?;
        }
        shared.telemetry.append(id, parts.iter());
        last = last.max(id);
    }
    if shared.telemetry.start_at(last) {
        // The flush of what was replayed takes a number of its own, for good.
        last += 1;
        conn.execute("REPLACE INTO meta (key, value) VALUES ('id_floor', ?1)", [last])
            .or_engine()?;
    }
    Ok((last + 1, journal))
}

struct Replay<'a> {
    conn: &'a Connection,
    shared: &'a Shared,
    /// Device of a row and the last record in its table; `None` when it was deleted.
    rows: HashMap<i64, Option<(DeviceId, i64)>>,
    watermarks: HashMap<i64, i64>,
}

impl Replay<'_> {
    fn record(&mut self, id: i64, record: Record, parts: &mut Vec<Part>) -> Result<(), OpenError> {
        if let Some((row, changes)) = record.changes {
            self.changes(id, row, &changes)?;
        }
        let Some((device, entries)) = record.trace else { return Ok(()) };
        for part in encode_trace(&device, &entries) {
            let watermark = match self.watermarks.get(&part.day) {
                Some(watermark) => *watermark,
                None => {
                    let watermark = self.shared.telemetry.watermark(part.day)?;
                    *self.watermarks.entry(part.day).or_insert(watermark)
                }
            };
            if id > watermark {
                parts.push(part);
            }
        }
        Ok(())
    }

    fn changes(
        &mut self,
        id: i64,
        row: i64,
        changes: &[roadstead_core::shadow::Change],
    ) -> Result<(), OpenError> {
        if !self.rows.contains_key(&row) {
            let found = self.find(row)?;
            self.rows.insert(row, found);
        }
        let Some((device, applied)) = self.rows.get(&row).and_then(Option::as_ref) else {
            return Ok(());
        };
        if id <= *applied {
            return Ok(());
        }
        let (loaded, bound) = match self.shared.live.bound(device) {
            Some((_, bound)) => (None, bound),
            None => {
                let loaded = writer::load(self.conn, device)?;
                let bound = loaded.as_ref().map_or(0, |loaded| loaded.bound);
                (loaded, bound)
            }
        };
        let bound = bound + encode_changes(changes).growth;
        self.shared.live.apply(device, loaded, changes, bound, id);
        Ok(())
    }

    fn find(&self, row: i64) -> Result<Option<(DeviceId, i64)>, OpenError> {
        let found: Option<(String, Option<i64>)> = self
            .conn
            .prepare_cached(
                "SELECT d.id, s.applied FROM device d LEFT JOIN shadow s ON s.device = d.row
                 WHERE d.row = ?1",
            )
            .and_then(|mut select| {
                select.query_row([row], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(|error| engine("replaying the journal", &error))?;
        Ok(found.map(|(id, applied)| (DeviceId::new(id), applied.unwrap_or(0))))
    }
}
