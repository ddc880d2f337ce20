//! What happened: trace and attempts.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::StoreError;
use crate::attempt::{Attempt, Mark, Outcome};
use crate::trace::{Entries, Entry};
use crate::{AttemptId, DeviceId, SpaceId, Timestamp, UserId};

/// The trace of every device, partitioned by day; old days are dropped whole.
#[async_trait]
pub trait TraceStore: Send + Sync {
    /// Appends entries; returns when they are durable.
    async fn append_trace(&self, entries: Vec<Entries>) -> Result<(), StoreError>;

    /// Returns up to `limit` entries of a device after `since` and before `until` (both
    /// exclusive), newest last; with more than `limit` in range, the newest ones.
    async fn trace(
        &self,
        device: &DeviceId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Drops days that end before `before`; returns how many.
    async fn drop_trace(&self, before: Timestamp) -> Result<u32, StoreError>;
}

/// Which attempts a list shows; all given conditions hold. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// About this device.
    pub device: Option<DeviceId>,
    /// By this user's phone.
    pub user: Option<UserId>,
    /// Only those without an ending.
    pub open: bool,
}

/// Onboarding attempts.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Stores a new attempt.
    async fn create_attempt(&self, attempt: Attempt) -> Result<(), StoreError>;

    /// Returns an attempt.
    async fn attempt(&self, id: &AttemptId) -> Result<Option<Attempt>, StoreError>;

    /// Adds marks, learns device and method, and ends the attempt, in one step; returns it after
    /// the change. Marks and endings follow [`Attempt::mark`] and [`Attempt::end`].
    async fn extend_attempt(
        &self,
        id: &AttemptId,
        device: Option<DeviceId>,
        method: Option<Box<str>>,
        marks: Vec<Mark>,
        ending: Option<(Outcome, Timestamp)>,
    ) -> Result<Attempt, StoreError>;

    /// Lists attempts, newest first.
    async fn attempts(
        &self,
        space: &SpaceId,
        filter: &AttemptFilter,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError>;

    /// Ends every attempt that [`Attempt::overdue`] says is over; returns them.
    async fn end_overdue_attempts(&self, now: Timestamp) -> Result<Vec<Attempt>, StoreError>;
}
