//! Opening database files: pragmas, permissions, migrations.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::OpenError;
use super::migrate::{self, Failure, REGISTRY, Step, TELEMETRY};

/// How long a connection waits for a lock of another one.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection.
const STATEMENTS: usize = 64;
/// Page cache of the registry's writer, kB.
const REGISTRY_CACHE_KB: u32 = 3072;
/// The write-ahead log is cut to this after a checkpoint, bytes.
const WAL_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Opens the registry for writing and brings its schema up to date.
pub(super) fn open_registry(path: &Path) -> Result<Connection, OpenError> {
    open_writer(path, REGISTRY_CACHE_KB, REGISTRY)
}

/// Opens a day of trace for writing; makes it when it is new.
pub(super) fn open_telemetry(path: &Path, cache_kb: u32) -> Result<Connection, OpenError> {
    open_writer(path, cache_kb, TELEMETRY)
}

/// Opens a database that exists for reading alone.
pub(super) fn open_reader(path: &Path, cache_kb: u32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.execute_batch(&format!("PRAGMA cache_size = -{cache_kb}; PRAGMA query_only = ON;"))?;
    tune(&conn)?;
    Ok(conn)
}

/// Keeps prepared statements, and keeps them prepared: without the stability guarantee SQLite
/// plans a statement again whenever a value is bound that might change its plan.
fn tune(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn open_writer(path: &Path, cache_kb: u32, steps: &[Step]) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    conn.busy_timeout(BUSY_WAIT).map_err(failed)?;
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = {WAL_BYTES_MAX};
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{cache_kb};"
    ))
    .map_err(failed)?;
    tune(&conn).map_err(failed)?;
    migrate::migrate(&mut conn, steps).map_err(|failure| match failure {
        Failure::Sqlite(error) => failed(error),
        Failure::Schema(error) => error,
    })?;
    Ok(conn)
}

/// Returns an error with its cause, for a log line.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
