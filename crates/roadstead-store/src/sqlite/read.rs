//! Read-only connections to the registry.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use roadstead_core::port::StoreError;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::error::OrEngine;
use super::file;

/// Connections kept; readers beyond wait for one, a read takes microseconds.
const CONNECTIONS_MAX: usize = 4;
/// Page cache of one connection, kB.
const CACHE_KB: u32 = 768;

/// The connections, opened when they are needed.
pub(super) struct Readers {
    path: PathBuf,
    slots: [Mutex<Option<Connection>>; CONNECTIONS_MAX],
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, slots: Default::default() }
    }

    /// Runs `read` on a connection. It sees every commit before it.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.slot(|conn| read(conn))
    }

    fn slot<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let free = self.slots.iter().find_map(|slot| slot.try_lock());
        let mut slot = free.unwrap_or_else(|| self.slots[0].lock());
        if slot.is_none() {
            *slot = Some(file::open_reader(&self.path, CACHE_KB).or_engine()?);
        }
        read(slot.as_mut().expect("opened above"))
    }
}

/// Steps between two looks at a budget.
const STEPS_BETWEEN: i32 = 100_000;

impl Readers {
    /// Same with a budget of steps of SQLite's machine; `TooBroad` when it is spent.
    pub(super) fn with_budget<T>(
        &self,
        steps: u64,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let spent = Arc::new(AtomicBool::new(false));
        let note = spent.clone();
        let mut left = steps / u64::from(STEPS_BETWEEN.unsigned_abs());
        let watch = move || {
            left = left.saturating_sub(1);
            note.store(left == 0, Relaxed);
            left == 0
        };
        let result = self.slot(|conn| {
            conn.progress_handler(STEPS_BETWEEN, Some(watch)).or_engine()?;
            let result = read(conn);
            conn.progress_handler(0, None::<fn() -> bool>).or_engine()?;
            result
        });
        match spent.load(Relaxed) {
            true if result.is_err() => Err(StoreError::TooBroad),
            true | false => result,
        }
    }
}

/// True when a query of one text parameter finds a row.
pub(super) fn exists(conn: &Connection, sql: &str, key: &str) -> Result<bool, StoreError> {
    conn.prepare_cached(sql).and_then(|mut select| select.exists([key])).or_engine()
}

/// Returns the row that a query finds.
pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    of_row: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    conn.prepare_cached(sql)
        .and_then(|mut select| select.query_row(params, |row| Ok(of_row(row))).optional())
        .or_engine()?
        .transpose()
}

/// Returns all rows that a query finds.
pub(super) fn rows<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut of_row: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut select = conn.prepare_cached(sql).or_engine()?;
    let mut rows = select.query(params).or_engine()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().or_engine()? {
        found.push(of_row(row)?);
    }
    Ok(found)
}

/// Returns the number that a query counts.
pub(super) fn count(conn: &Connection, sql: &str, params: impl Params) -> Result<u64, StoreError> {
    let count: i64 = conn
        .prepare_cached(sql)
        .and_then(|mut select| select.query_row(params, |row| row.get(0)))
        .or_engine()?;
    Ok(count.try_into().unwrap_or(0))
}
