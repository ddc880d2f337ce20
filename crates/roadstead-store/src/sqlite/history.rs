//! Trace and attempts.

use async_trait::async_trait;
use roadstead_core::attempt::{Attempt, Mark, Outcome};
use roadstead_core::limit::{ATTEMPT_LIFE, PAGE_ITEMS_MAX};
use roadstead_core::port::{
    AttemptFilter, AttemptStore, Found, StoreError, TraceFilter, TraceStore,
};
use roadstead_core::trace::{Entries, Entry};
use roadstead_core::{AttemptId, DeviceId, SpaceId, Timestamp, UserId};
use rusqlite::{Connection, Row, params};
use tokio::sync::oneshot;

use super::Sqlite;
use super::error::OrEngine;
use super::journal::encode_trace;
use super::read::{exists, one, rows};
use super::word::{get, json, of_json};
use super::write::stopped;
use super::writer::Job;
use crate::rule;

/// What one batch of trace counts against the queue beside its payload, bytes.
const TRACE_BYTES: usize = 200;

#[async_trait]
impl TraceStore for Sqlite {
    async fn append_trace(&self, entries: Vec<Entries>) -> Result<(), StoreError> {
        let parts: Vec<_> =
            entries.iter().flat_map(|of| encode_trace(&of.device, &of.entries)).collect();
        if parts.is_empty() {
            return Ok(());
        }
        let bytes = parts.iter().map(|part| TRACE_BYTES + part.body.len()).sum();
        let (reply, answer) = oneshot::channel();
        self.put(bytes, Job::Trace(parts, reply))?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn trace(
        &self,
        device: &DeviceId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.shared.telemetry.trace(device, since, until, limit as usize)
    }

    async fn search_trace(&self, filter: &TraceFilter, limit: u32) -> Result<Found, StoreError> {
        let sql = "SELECT 1 FROM device d JOIN space s ON s.row = d.space
                   WHERE d.id = ?1 AND s.id = ?2";
        let is_of_space = |device: &DeviceId| {
            let params = params![device.as_str(), filter.space.as_str()];
            let found = self.shared.readers.with(|conn| one(conn, sql, params, |_| Ok(())))?;
            Ok(found.is_some())
        };
        self.shared.telemetry.search(filter, limit as usize, is_of_space)
    }

    async fn drop_trace(&self, before: Timestamp) -> Result<u32, StoreError> {
        let dropped = self.shared.telemetry.drop_days(before).await?;
        if dropped > 0 {
            // Or a replay after a crash would bring the youngest entries back.
            self.empty_journal().await?;
        }
        Ok(dropped)
    }
}

#[async_trait]
impl AttemptStore for Sqlite {
    async fn create_attempt(&self, attempt: Attempt) -> Result<(), StoreError> {
        self.write(move |tx| {
            if exists(tx.conn, "SELECT 1 FROM attempt WHERE id = ?1", attempt.id.as_str())? {
                return Err(StoreError::Exists);
            }
            put(tx.conn, &attempt)
        })
        .await
    }

    async fn attempt(&self, id: &AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.shared.readers.with(|conn| find(conn, id))
    }

    async fn extend_attempt(
        &self,
        id: &AttemptId,
        device: Option<DeviceId>,
        method: Option<Box<str>>,
        marks: Vec<Mark>,
        ending: Option<(Outcome, Timestamp)>,
    ) -> Result<Attempt, StoreError> {
        let id = id.clone();
        self.write(move |tx| {
            let mut attempt = find(tx.conn, &id)?.ok_or(StoreError::Missing)?;
            rule::extend_attempt(&mut attempt, device, method, marks, ending);
            put(tx.conn, &attempt)?;
            Ok(attempt)
        })
        .await
    }

    async fn attempts(
        &self,
        space: &SpaceId,
        filter: &AttemptFilter,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError> {
        let AttemptFilter { device, user, open } = filter;
        // `+space` keeps the planner on the narrower index of the other conditions.
        let narrow = device.is_some() || user.is_some() || *open;
        let space_column = if narrow { "+space" } else { "space" };
        let mut sql = format!("SELECT body FROM attempt WHERE {space_column} = ?1");
        sql.push_str(if device.is_some() { " AND device = ?2" } else { " AND ?2 IS NULL" });
        sql.push_str(if user.is_some() { " AND user = ?3" } else { " AND ?3 IS NULL" });
        sql.push_str(if *open { " AND open = 1" } else { "" });
        sql.push_str(" ORDER BY started_at DESC, id DESC LIMIT ?4");
        let (device, user) =
            (device.as_ref().map(DeviceId::as_str), user.as_ref().map(UserId::as_str));
        let limit = (limit as usize).min(PAGE_ITEMS_MAX) as i64;
        let params = params![space.as_str(), device, user, limit];
        self.shared.readers.with(|conn| rows(conn, &sql, params, of_row))
    }

    async fn end_overdue_attempts(&self, now: Timestamp) -> Result<Vec<Attempt>, StoreError> {
        let sql = "SELECT body FROM attempt WHERE open = 1 AND started_at <= ?1
                   ORDER BY started_at, id";
        let begun = (now - ATTEMPT_LIFE).0;
        // Asked often, true seldom: the writer is not troubled for nothing.
        if self.shared.readers.with(|conn| one(conn, sql, [begun], |_| Ok(())))?.is_none() {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            let mut ended = rows(tx.conn, sql, [begun], of_row)?;
            ended.retain_mut(|attempt| match attempt.overdue(now) {
                Some(outcome) => attempt.end(outcome, now),
                None => false,
            });
            ended.iter().try_for_each(|attempt| put(tx.conn, attempt))?;
            Ok(ended)
        })
        .await
    }
}

fn find(conn: &Connection, id: &AttemptId) -> Result<Option<Attempt>, StoreError> {
    one(conn, "SELECT body FROM attempt WHERE id = ?1", [id.as_str()], of_row)
}

fn put(conn: &Connection, attempt: &Attempt) -> Result<(), StoreError> {
    let sql = "REPLACE INTO attempt (id, space, user, device, started_at, open, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let params = params![
        attempt.id.as_str(),
        attempt.space.as_str(),
        attempt.user.as_ref().map(UserId::as_str),
        attempt.device.as_ref().map(DeviceId::as_str),
        attempt.started_at.0,
        attempt.ending.is_none(),
        json(attempt)?,
    ];
    conn.prepare_cached(sql).and_then(|mut put| put.execute(params)).or_engine().map(drop)
}

fn of_row(row: &Row<'_>) -> Result<Attempt, StoreError> {
    of_json(&get::<String>(row, 0)?)
}
