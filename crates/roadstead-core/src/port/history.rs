//! What happened: trace and attempts.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::StoreError;
use crate::attempt::{Attempt, Mark, Outcome};
use crate::trace::{Category, Entries, Entry};
use crate::{AttemptId, DeviceId, SpaceId, Timestamp, UserId};

/// Which hops of a space a search finds; all given conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFilter {
    /// Of devices of this space, which exist now.
    pub space: SpaceId,
    /// Of this device.
    pub device: Option<DeviceId>,
    /// About this.
    pub category: Option<Category>,
    /// Of one of these operations; empty means all.
    pub whats: &'static [&'static str],
    /// Only failures, or only successes.
    pub failed: Option<bool>,
    /// After this date, exclusive.
    pub since: Option<Timestamp>,
    /// Before this date, exclusive.
    pub until: Option<Timestamp>,
}

impl TraceFilter {
    /// Returns a filter that finds every hop of a space.
    pub fn new(space: SpaceId) -> Self {
        let (device, category, failed) = (None, None, None);
        Self { space, device, category, whats: &[], failed, since: None, until: None }
    }

    /// True when a hop fits; space and device are the engine's to check.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.at > since)
            && self.until.is_none_or(|until| entry.at < until)
            && self.failed.is_none_or(|failed| entry.is_failure() == failed)
            && self.category.is_none_or(|category| entry.category() == category)
            && (self.whats.is_empty() || self.whats.contains(&&*entry.what))
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Newest first.
    pub hops: Vec<(DeviceId, Entry)>,
    /// False when the engine stopped looking before the start of the range.
    pub complete: bool,
}

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

    /// Searches the trace of a space, newest first, for up to `limit` hops. An engine may stop
    /// after a bounded amount of work and says so.
    async fn search_trace(&self, filter: &TraceFilter, limit: u32) -> Result<Found, StoreError>;

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
