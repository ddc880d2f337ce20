//! Trace and attempts.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use async_trait::async_trait;
use roadstead_core::attempt::{Attempt, Mark, Outcome};
use roadstead_core::limit::PAGE_ITEMS_MAX;
use roadstead_core::port::{
    AttemptFilter, AttemptStore, Found, StoreError, TraceFilter, TraceStore,
};
use roadstead_core::trace::{Entries, Entry};
use roadstead_core::{AttemptId, DeviceId, SpaceId, Timestamp};

use super::{Memory, State, TRACE_PER_DEVICE_MAX};
use crate::rule;

#[async_trait]
impl TraceStore for Memory {
    async fn append_trace(&self, entries: Vec<Entries>) -> Result<(), StoreError> {
        let mut state = self.lock();
        entries.into_iter().for_each(|entries| state.append(entries));
        Ok(())
    }

    async fn trace(
        &self,
        device: &DeviceId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let state = self.lock();
        let mut entries: Vec<Entry> = state
            .trace
            .get(device)
            .into_iter()
            .flatten()
            .filter(|entry| since.is_none_or(|since| entry.at > since))
            .filter(|entry| until.is_none_or(|until| entry.at < until))
            .cloned()
            .collect();
        entries.sort_by_key(|entry| entry.at);
        Ok(entries.split_off(entries.len().saturating_sub(limit as usize)))
    }

    async fn search_trace(&self, filter: &TraceFilter, limit: u32) -> Result<Found, StoreError> {
        let state = self.lock();
        let devices = state.trace.iter().filter(|(id, _)| {
            filter.device.as_ref().is_none_or(|wanted| wanted == *id)
                && state.devices.get(*id).is_some_and(|held| held.device.space == filter.space)
        });
        let mut hops = Vec::new();
        for (id, entries) in devices {
            // Newest first, also of those of one moment.
            let fitting = entries.iter().rev().filter(|entry| filter.matches(entry));
            hops.extend(fitting.map(|entry| (id.clone(), entry.clone())));
        }
        hops.sort_by_key(|(_, entry)| Reverse(entry.at));
        hops.truncate(limit as usize);
        Ok(Found { hops, complete: true })
    }

    async fn drop_trace(&self, before: Timestamp) -> Result<u32, StoreError> {
        let mut state = self.lock();
        let mut dropped = BTreeSet::new();
        for entries in state.trace.values_mut() {
            entries.retain(|entry| {
                let day = rule::day_of(entry.at);
                let over = rule::day_is_over(day, before);
                if over {
                    dropped.insert(day);
                }
                !over
            });
        }
        state.trace.retain(|_, entries| !entries.is_empty());
        Ok(u32::try_from(dropped.len()).unwrap_or(u32::MAX))
    }
}

#[async_trait]
impl AttemptStore for Memory {
    async fn create_attempt(&self, attempt: Attempt) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.attempts.contains_key(&attempt.id) {
            return Err(StoreError::Exists);
        }
        state.attempts.insert(attempt.id.clone(), attempt);
        Ok(())
    }

    async fn attempt(&self, id: &AttemptId) -> Result<Option<Attempt>, StoreError> {
        Ok(self.lock().attempts.get(id).cloned())
    }

    async fn extend_attempt(
        &self,
        id: &AttemptId,
        device: Option<DeviceId>,
        method: Option<Box<str>>,
        marks: Vec<Mark>,
        ending: Option<(Outcome, Timestamp)>,
    ) -> Result<Attempt, StoreError> {
        let mut state = self.lock();
        let attempt = state.attempts.get_mut(id).ok_or(StoreError::Missing)?;
        rule::extend_attempt(attempt, device, method, marks, ending);
        Ok(attempt.clone())
    }

    async fn attempts(
        &self,
        space: &SpaceId,
        filter: &AttemptFilter,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError> {
        let AttemptFilter { device, user, open } = filter;
        let state = self.lock();
        let mut attempts: Vec<_> = state
            .attempts
            .values()
            .filter(|attempt| attempt.space == *space)
            .filter(|attempt| device.is_none() || attempt.device == *device)
            .filter(|attempt| user.is_none() || attempt.user == *user)
            .filter(|attempt| !open || attempt.ending.is_none())
            .cloned()
            .collect();
        attempts.sort_by_key(|attempt| Reverse((attempt.started_at, attempt.id.clone())));
        attempts.truncate((limit as usize).min(PAGE_ITEMS_MAX));
        Ok(attempts)
    }

    async fn end_overdue_attempts(&self, now: Timestamp) -> Result<Vec<Attempt>, StoreError> {
        let mut state = self.lock();
        let mut ended = Vec::new();
        for attempt in state.attempts.values_mut() {
            if let Some(outcome) = attempt.overdue(now) {
                attempt.end(outcome, now);
                ended.push(attempt.clone());
            }
        }
        ended.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        Ok(ended)
    }
}

impl State {
    /// Appends entries of one device.
    pub(super) fn append(&mut self, Entries { device, entries }: Entries) {
        if entries.is_empty() {
            return;
        }
        let kept = self.trace.entry(device).or_default();
        kept.extend(entries);
        kept.drain(..kept.len().saturating_sub(TRACE_PER_DEVICE_MAX));
    }
}
