//! Tags: as JSON in the device's row for whoever reads the device, and in a table of their own
//! for whoever looks for devices. Both are written together.

use std::sync::Arc;

use async_trait::async_trait;
use roadstead_core::DeviceId;
use roadstead_core::device::{Device, Tags};
use roadstead_core::port::{StoreError, TagStore};
use rusqlite::params;

use super::Sqlite;
use super::device::find;
use super::error::OrEngine;
use super::word::json;
use super::writer::Tx;
use crate::rule;

#[async_trait]
impl TagStore for Sqlite {
    async fn bind_tags(
        &self,
        device: &DeviceId,
        tags: Tags,
        max: usize,
    ) -> Result<Arc<Device>, StoreError> {
        self.change_tags(device, move |device| rule::bind_tags(device, tags, max)).await
    }

    async fn unbind_tags(
        &self,
        device: &DeviceId,
        keys: Vec<Box<str>>,
    ) -> Result<Arc<Device>, StoreError> {
        self.change_tags(device, move |device| {
            device.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }
}

impl Sqlite {
    async fn change_tags(
        &self,
        id: &DeviceId,
        change: impl FnOnce(&mut Device) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Arc<Device>, StoreError> {
        let id = id.clone();
        self.write(move |tx| {
            let found = find(tx.conn, &tx.shared.vault, &id)?;
            let mut device = found.ok_or(StoreError::Missing)?;
            change(&mut device)?;
            put(tx, &id, &device.tags)?;
            Ok(Arc::new(device))
        })
        .await
    }
}

/// Writes the tags of a device in place of those that it had.
pub(super) fn put(tx: &Tx<'_>, id: &DeviceId, tags: &Tags) -> Result<(), StoreError> {
    let text = (!tags.is_empty()).then(|| json(tags)).transpose()?;
    for (sql, text) in [
        ("UPDATE device SET tags = ?2 WHERE id = ?1", Some(text)),
        ("DELETE FROM tag WHERE device = (SELECT row FROM device WHERE id = ?1)", None),
    ] {
        let mut statement = tx.conn.prepare_cached(sql).or_engine()?;
        match text {
            Some(text) => statement.execute(params![id.as_str(), text]),
            None => statement.execute([id.as_str()]),
        }
        .or_engine()?;
    }
    let sql = "INSERT INTO tag (device, key, value) SELECT row, ?2, ?3 FROM device WHERE id = ?1";
    for (key, value) in tags {
        let put = tx.conn.prepare_cached(sql);
        put.and_then(|mut put| put.execute(params![id.as_str(), key, value])).or_engine()?;
    }
    Ok(())
}
