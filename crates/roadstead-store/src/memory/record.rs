//! Records of the sides for phones.

use async_trait::async_trait;
use roadstead_core::limit::{PAGE_ITEMS_MAX, RECORD_BYTES_MAX};
use roadstead_core::port::{RecordFilter, RecordStore, StoreError};
use roadstead_core::record::{Record, RecordKind};

use super::Memory;

#[async_trait]
impl RecordStore for Memory {
    async fn put_record(&self, record: Record) -> Result<(), StoreError> {
        if record.body.expose().len() > RECORD_BYTES_MAX {
            return Err(StoreError::Limit("bytes of a record"));
        }
        let mut state = self.lock();
        let user = record.user.as_ref().is_none_or(|user| state.users.contains_key(user));
        let device = record.device.as_ref().is_none_or(|id| state.devices.contains_key(id));
        if !user || !device {
            return Err(StoreError::Missing);
        }
        state.records.insert((record.kind, record.id.clone()), record);
        Ok(())
    }

    async fn record(&self, kind: RecordKind, id: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.lock().records.get(&(kind, id.into())).cloned())
    }

    async fn records(
        &self,
        kind: RecordKind,
        filter: &RecordFilter,
        after: Option<Box<str>>,
    ) -> Result<Vec<Record>, StoreError> {
        let state = self.lock();
        let found = state.records.values().filter(|record| {
            record.kind == kind
                && after.as_ref().is_none_or(|after| record.id > *after)
                && filter.matches(record)
        });
        Ok(found.take(PAGE_ITEMS_MAX).cloned().collect())
    }

    async fn delete_record(&self, kind: RecordKind, id: &str) -> Result<(), StoreError> {
        let removed = self.lock().records.remove(&(kind, id.into()));
        removed.map(drop).ok_or(StoreError::Missing)
    }
}
