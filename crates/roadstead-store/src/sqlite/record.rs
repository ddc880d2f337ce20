//! Records of the sides for phones: one table, bodies sealed.

use async_trait::async_trait;
use roadstead_core::limit::{PAGE_ITEMS_MAX, RECORD_BYTES_MAX};
use roadstead_core::port::{RecordFilter, RecordStore, StoreError};
use roadstead_core::record::{Record, RecordKind};
use roadstead_core::{DeviceId, Timestamp, UserId};
use rusqlite::{Row, params};

use super::Sqlite;
use super::access::{found, require_user};
use super::error::OrEngine;
use super::read::{exists, one, rows};
use super::word::{get, maybe, of_word, text, word};
use crate::crypt::{Place, Vault};

const RECORD: &str = "SELECT kind, id, space, user, device, body, created_at FROM record";

#[async_trait]
impl RecordStore for Sqlite {
    async fn put_record(&self, record: Record) -> Result<(), StoreError> {
        if record.body.expose().len() > RECORD_BYTES_MAX {
            return Err(StoreError::Limit("bytes of a record"));
        }
        self.write(move |tx| {
            if let Some(user) = &record.user {
                require_user(tx.conn, user)?;
            }
            if let Some(device) = &record.device
                && !exists(tx.conn, "SELECT 1 FROM device WHERE id = ?1", device.as_str())?
            {
                return Err(StoreError::Missing);
            }
            let kind = word(&record.kind)?;
            let body = tx.shared.vault.seal(place(&row_name(&kind, &record.id)), &record.body)?;
            tx.conn
                .execute(
                    "INSERT OR REPLACE INTO record
                     (kind, id, space, user, device, body, created_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        kind,
                        record.id,
                        record.space.as_str(),
                        record.user.as_ref().map(UserId::as_str),
                        record.device.as_ref().map(DeviceId::as_str),
                        body,
                        record.created_at.0
                    ],
                )
                .or_engine()
                .map(drop)
        })
        .await
    }

    async fn record(&self, kind: RecordKind, id: &str) -> Result<Option<Record>, StoreError> {
        let sql = format!("{RECORD} WHERE kind = ?1 AND id = ?2");
        let (kind, vault) = (word(&kind)?, &self.shared.vault);
        let of_row = |row: &Row<'_>| record_of(row, vault);
        self.shared.readers.with(|conn| one(conn, &sql, params![kind, id], of_row))
    }

    async fn records(
        &self,
        kind: RecordKind,
        filter: &RecordFilter,
        after: Option<Box<str>>,
    ) -> Result<Vec<Record>, StoreError> {
        let sql = format!(
            "{RECORD} WHERE kind = ?1 AND (?2 IS NULL OR space = ?2) AND (?3 IS NULL OR user = ?3)
             AND (?4 IS NULL OR device = ?4) AND (?5 IS NULL OR id > ?5) ORDER BY id LIMIT ?6"
        );
        let (kind, vault) = (word(&kind)?, &self.shared.vault);
        let space = filter.space.as_ref().map(|id| id.as_str());
        let user = filter.user.as_ref().map(UserId::as_str);
        let device = filter.device.as_ref().map(DeviceId::as_str);
        let limit = i64::try_from(PAGE_ITEMS_MAX).unwrap_or(i64::MAX);
        let params = params![kind, space, user, device, after, limit];
        let of_row = |row: &Row<'_>| record_of(row, vault);
        self.shared.readers.with(|conn| rows(conn, &sql, params, of_row))
    }

    async fn delete_record(&self, kind: RecordKind, id: &str) -> Result<(), StoreError> {
        let (kind, id) = (word(&kind)?, id.to_owned());
        self.write_one(move |tx| {
            let sql = "DELETE FROM record WHERE kind = ?1 AND id = ?2";
            found(tx.conn.execute(sql, params![kind, id]).or_engine()?)
        })
        .await
    }
}

/// Ids of two kinds may be the same text.
fn row_name(kind: &str, id: &str) -> String {
    format!("{kind}/{id}")
}

fn place(row: &str) -> Place<'_> {
    Place { table: "record", row, column: "body" }
}

fn record_of(row: &Row<'_>, vault: &Vault) -> Result<Record, StoreError> {
    let (kind, id): (String, Box<str>) = (get(row, 0)?, text(row, 1)?);
    Ok(Record {
        body: vault.open(place(&row_name(&kind, &id)), &get::<Vec<u8>>(row, 5)?)?,
        kind: of_word(kind)?,
        id,
        space: text(row, 2)?,
        user: maybe(row, 3)?,
        device: maybe(row, 4)?,
        created_at: Timestamp(get(row, 6)?),
    })
}
