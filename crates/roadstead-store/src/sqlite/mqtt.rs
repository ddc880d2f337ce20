//! Retained messages and parked sessions.

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_core::Timestamp;
use roadstead_core::mqtt::{Parked, Queued, Retained};
use roadstead_core::port::{MqttStore, StoreError};
use rusqlite::{Connection, params};

use super::Sqlite;
use super::error::OrEngine;
use super::read::{exists, rows};
use super::word::{get, json, of_json, text};
use crate::rule::QUEUE_PER_CLIENT_MAX;

/// What a message counts against the queue beside its payload, bytes.
const MESSAGE_BYTES: usize = 300;

#[async_trait]
impl MqttStore for Sqlite {
    async fn retain(&self, message: Retained) -> Result<(), StoreError> {
        self.submit(MESSAGE_BYTES + message.payload.len(), false, move |tx| {
            let Retained { topic, payload, qos } = message;
            let touched = match payload.is_empty() {
                true => tx.conn.execute("DELETE FROM retained WHERE topic = ?1", [topic]),
                false => tx.conn.execute(
                    "REPLACE INTO retained (topic, payload, qos) VALUES (?1, ?2, ?3)",
                    params![topic, &payload[..], qos],
                ),
            };
            touched.or_engine().map(drop)
        })
        .await
    }

    async fn retained(&self) -> Result<Vec<Retained>, StoreError> {
        let sql = "SELECT topic, payload, qos FROM retained ORDER BY topic";
        self.shared.readers.with(|conn| {
            rows(conn, sql, [], |row| {
                let payload = Bytes::from(get::<Vec<u8>>(row, 1)?);
                Ok(Retained { topic: text(row, 0)?, payload, qos: get(row, 2)? })
            })
        })
    }

    async fn park(&self, session: Parked) -> Result<(), StoreError> {
        self.write_one(move |tx| {
            let Parked { client, filters, next_packet_id, expires_at } = session;
            let sql = "REPLACE INTO parked (client, filters, next_packet_id, expires_at)
                       VALUES (?1, ?2, ?3, ?4)";
            let params = params![client, json(&filters)?, next_packet_id, expires_at.0];
            tx.conn.execute(sql, params).or_engine().map(drop)
        })
        .await
    }

    async fn unpark(&self, client: &str) -> Result<(), StoreError> {
        let client = client.to_owned();
        self.write(move |tx| {
            for sql in
                ["DELETE FROM parked WHERE client = ?1", "DELETE FROM queued WHERE client = ?1"]
            {
                tx.conn.execute(sql, [&client]).or_engine()?;
            }
            Ok(())
        })
        .await
    }

    async fn parked(&self, now: Timestamp) -> Result<Vec<Parked>, StoreError> {
        self.write(move |tx| {
            tx.conn.execute("DELETE FROM parked WHERE expires_at <= ?1", [now.0]).or_engine()?;
            let orphans = "DELETE FROM queued WHERE client NOT IN (SELECT client FROM parked)";
            tx.conn.execute(orphans, []).or_engine()?;
            let sql = "SELECT client, filters, next_packet_id, expires_at FROM parked
                       ORDER BY client";
            rows(tx.conn, sql, [], |row| {
                Ok(Parked {
                    client: text(row, 0)?,
                    filters: of_json(&get::<String>(row, 1)?)?,
                    next_packet_id: get(row, 2)?,
                    expires_at: Timestamp(get(row, 3)?),
                })
            })
        })
        .await
    }

    async fn enqueue(&self, messages: Vec<Queued>) -> Result<(), StoreError> {
        let bytes = messages.iter().map(|message| MESSAGE_BYTES + message.payload.len()).sum();
        self.submit(bytes, true, move |tx| {
            messages.iter().try_for_each(|message| enqueue(tx.conn, message))
        })
        .await
    }

    async fn take_queue(&self, client: &str) -> Result<Vec<Queued>, StoreError> {
        let client = client.to_owned();
        self.write(move |tx| {
            let sql = "SELECT topic, payload, qos FROM queued WHERE client = ?1 ORDER BY sequence";
            let taken = rows(tx.conn, sql, [&client], |row| {
                Ok(Queued {
                    client: client.as_str().into(),
                    topic: text(row, 0)?,
                    payload: Bytes::from(get::<Vec<u8>>(row, 1)?),
                    qos: get(row, 2)?,
                })
            })?;
            tx.conn.execute("DELETE FROM queued WHERE client = ?1", [&client]).or_engine()?;
            Ok(taken)
        })
        .await
    }
}

fn enqueue(conn: &Connection, message: &Queued) -> Result<(), StoreError> {
    let Queued { client, topic, payload, qos } = message;
    if !exists(conn, "SELECT 1 FROM parked WHERE client = ?1", client)? {
        return Ok(());
    }
    conn.prepare_cached("INSERT INTO queued (client, topic, payload, qos) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut insert| insert.execute(params![client, topic, &payload[..], qos]))
        .or_engine()?;
    conn.prepare_cached(
        "DELETE FROM queued WHERE client = ?1 AND sequence <= (
            SELECT sequence FROM queued WHERE client = ?1
            ORDER BY sequence DESC LIMIT 1 OFFSET ?2)",
    )
    .and_then(|mut delete| delete.execute(params![client, QUEUE_PER_CLIENT_MAX as i64]))
    .or_engine()
    .map(drop)
}
