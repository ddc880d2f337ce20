//! Shadows, pending messages, and the way of a report to the writer.

use async_trait::async_trait;
use roadstead_core::limit::PENDING_PER_DEVICE_MAX;
use roadstead_core::port::{PendingStore, ShadowStore, StoreError};
use roadstead_core::shadow::{Change, Expected, Shadow};
use roadstead_core::trace::Entry;
use roadstead_core::{DeviceId, Timestamp};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::Sqlite;
use super::error::OrEngine;
use super::journal::{encode_changes, encode_trace};
use super::read::{one, rows};
use super::word::{get, text};
use super::write::stopped;
use super::writer::{self, Job, Report};

/// What a report counts against the queue beside its payload, bytes.
const REPORT_BYTES: usize = 400;
/// Memory of parsed changes per byte of their encoding.
const MEMORY_PER_BYTE: usize = 4;

#[async_trait]
impl ShadowStore for Sqlite {
    async fn shadow(&self, device: &DeviceId) -> Result<Shadow, StoreError> {
        if let Some(shadow) = self.shared.live.shadow(device) {
            return Ok(shadow);
        }
        let loaded = self.shared.readers.with(|conn| writer::load(conn, device))?;
        Ok(loaded.map(|loaded| loaded.shadow).unwrap_or_default())
    }

    async fn change_shadow_if(
        &self,
        device: &DeviceId,
        expected: Vec<Expected>,
        changes: Vec<Change>,
        trace: Option<Entry>,
    ) -> Result<bool, StoreError> {
        // Encoded here, on the caller's thread: the writer only copies.
        let encoded = encode_changes(&changes);
        let trace = encode_trace(device, trace.as_slice()).pop();
        let traced = trace.as_ref().map_or(0, |part| part.body.len());
        let bytes = REPORT_BYTES + encoded.body.len() * MEMORY_PER_BYTE + traced;
        let (reply, answer) = oneshot::channel();
        let report = Report { device: device.clone(), expected, changes, encoded, trace, reply };
        self.put(bytes, Job::Report(Box::new(report)))?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

#[async_trait]
impl PendingStore for Sqlite {
    async fn push_pending(
        &self,
        device: &DeviceId,
        kind: &str,
        body: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (device, kind, body) = (device.clone(), kind.to_owned(), body.to_owned());
        self.submit(REPORT_BYTES + body.len(), true, move |tx| {
            push_pending(tx.conn, &device, &kind, &body, Some(at))
        })
        .await
    }

    async fn pending(
        &self,
        device: &DeviceId,
    ) -> Result<Vec<(u64, Box<str>, Box<str>)>, StoreError> {
        let sql = "SELECT p.sequence, p.kind, p.body FROM pending p
                   JOIN device d ON d.row = p.device WHERE d.id = ?1 ORDER BY p.sequence";
        self.shared.readers.with(|conn| {
            rows(conn, sql, [device.as_str()], |row| {
                Ok((get::<i64>(row, 0)?.unsigned_abs(), text(row, 1)?, text(row, 2)?))
            })
        })
    }

    async fn pop_pending(&self, device: &DeviceId, sequence: u64) -> Result<(), StoreError> {
        let device = device.clone();
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        self.write_one(move |tx| {
            let sql = "DELETE FROM pending WHERE sequence = ?1
                       AND device = (SELECT row FROM device WHERE id = ?2)";
            let params = params![sequence, device.as_str()];
            tx.conn.prepare_cached(sql).and_then(|mut s| s.execute(params)).or_engine().map(drop)
        })
        .await
    }
}

/// Keeps a message and drops the oldest ones past the limit.
pub(super) fn push_pending(
    conn: &Connection,
    device: &DeviceId,
    kind: &str,
    body: &str,
    at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let sql = "SELECT row FROM device WHERE id = ?1";
    let row: i64 =
        one(conn, sql, [device.as_str()], |row| get(row, 0))?.ok_or(StoreError::Missing)?;
    conn.prepare_cached("INSERT INTO pending (device, kind, body, at) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut insert| insert.execute(params![row, kind, body, at.map(|at| at.0)]))
        .or_engine()?;
    conn.prepare_cached(
        "DELETE FROM pending WHERE device = ?1 AND sequence <= (
            SELECT sequence FROM pending WHERE device = ?1
            ORDER BY sequence DESC LIMIT 1 OFFSET ?2)",
    )
    .and_then(|mut delete| delete.execute(params![row, PENDING_PER_DEVICE_MAX as i64]))
    .or_engine()
    .map(drop)
}
