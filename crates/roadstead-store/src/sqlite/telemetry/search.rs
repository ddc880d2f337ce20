//! Searching the trace of all devices, newest first.
//!
//! Flushes follow each other in time, so a day is read backwards, flush by flush, until enough is
//! found and the flush it was found in is read to its end. The work is bounded: what lies behind
//! [`SEGMENTS_MAX`] segments is not looked at, and the answer says so.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use roadstead_core::DeviceId;
use roadstead_core::port::{Found, StoreError, TraceFilter};
use roadstead_core::trace::Entry;
use rusqlite::{Connection, params};

use super::{Range, Segment, Telemetry, read};
use crate::rule;
use crate::sqlite::error::OrEngine;

/// Segments that one search decodes.
const SEGMENTS_MAX: usize = 100_000;

/// What memory has, by day; of one device the younger segment first.
type Buffered = BTreeMap<i64, Vec<(DeviceId, Segment)>>;

/// A search on its way.
struct Search<'a> {
    filter: &'a TraceFilter,
    range: Range,
    limit: usize,
    /// What is known of devices: of the space or not.
    devices: HashMap<DeviceId, bool>,
    found: Vec<(DeviceId, Entry)>,
    segments: usize,
}

impl Telemetry {
    /// Searches; `is_of_space` asks the registry once per device.
    pub(in crate::sqlite) fn search(
        &self,
        filter: &TraceFilter,
        limit: usize,
        is_of_space: impl Fn(&DeviceId) -> Result<bool, StoreError>,
    ) -> Result<Found, StoreError> {
        let range = Range { since: filter.since, until: filter.until };
        let (devices, found) = (HashMap::new(), Vec::new());
        let mut search = Search { filter, range, limit, devices, found, segments: 0 };
        let (memory, files, flushed) = self.buffered(filter);
        let days: BTreeSet<i64> = files.into_iter().chain(memory.keys().copied()).collect();
        for day in days.into_iter().rev() {
            if search.found.len() >= limit || search.segments >= SEGMENTS_MAX {
                break;
            }
            for (device, segment) in memory.get(&day).into_iter().flatten() {
                search.take(device, &segment.body, &is_of_space)?;
            }
            self.reading(day, |conn| search.file(conn, flushed, &is_of_space))?;
        }
        let Search { mut found, segments, .. } = search;
        found.sort_by_key(|(_, entry)| Reverse(entry.at));
        found.truncate(limit);
        Ok(Found { hops: found, complete: segments < SEGMENTS_MAX })
    }

    /// Copies what memory has, and says up to where the files have the rest.
    fn buffered(&self, filter: &TraceFilter) -> (Buffered, Vec<i64>, i64) {
        let range = Range { since: filter.since, until: filter.until };
        let buffer = self.buffer.lock();
        let mut memory = Buffered::new();
        // The younger ones first: of one moment the later hop comes first.
        for days in [&buffer.filling, &*buffer.flushing] {
            for (day, devices) in days {
                let wanted = devices.iter().filter(|(device, segment)| {
                    filter.device.as_ref().is_none_or(|wanted| wanted == *device)
                        && range.meets(segment.first_at, segment.last_at)
                });
                let copies = wanted.map(|(device, segment)| (device.clone(), segment.clone()));
                memory.entry(*day).or_default().extend(copies);
            }
        }
        let files = buffer.files.iter().copied().filter(|day| {
            range.since.is_none_or(|since| *day >= rule::day_of(since))
                && range.until.is_none_or(|until| *day <= rule::day_of(until))
        });
        (memory, files.collect(), buffer.flushed)
    }
}

impl Search<'_> {
    /// Reads a day's file backwards.
    fn file(
        &mut self,
        conn: &Connection,
        flushed: i64,
        is_of_space: &impl Fn(&DeviceId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let narrow = match &self.filter.device {
            Some(_) => "s.device = (SELECT number FROM device WHERE id = ?2) AND",
            None => "?2 IS NULL AND",
        };
        let sql = format!(
            "SELECT d.id, s.upto, s.first_at, s.last_at, s.body FROM segment s
             JOIN device d ON d.number = s.device
             WHERE {narrow} s.upto <= ?1 ORDER BY s.row DESC"
        );
        let device = self.filter.device.as_ref().map(DeviceId::as_str);
        let mut select = conn.prepare_cached(&sql).or_engine()?;
        let mut rows = select.query(params![flushed, device]).or_engine()?;
        let mut enough_at = None;
        while let Some(row) = rows.next().or_engine()? {
            let upto: i64 = row.get(1).or_engine()?;
            if enough_at.is_some_and(|enough| upto < enough) || self.segments >= SEGMENTS_MAX {
                break;
            }
            let (first, last): (i64, i64) = (row.get(2).or_engine()?, row.get(3).or_engine()?);
            if !self.range.meets(roadstead_core::Timestamp(first), roadstead_core::Timestamp(last))
            {
                continue;
            }
            let device = DeviceId::new(row.get::<_, String>(0).or_engine()?);
            let body = row.get_ref(4).or_engine()?.as_blob().unwrap_or_default();
            self.take(&device, body, is_of_space)?;
            if self.found.len() >= self.limit {
                enough_at.get_or_insert(upto);
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        device: &DeviceId,
        body: &[u8],
        is_of_space: &impl Fn(&DeviceId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let is_ours = match self.devices.get(device) {
            Some(known) => *known,
            None => {
                let asked = is_of_space(device)?;
                self.devices.insert(device.clone(), asked);
                asked
            }
        };
        if !is_ours {
            return Ok(());
        }
        self.segments += 1;
        let mut entries = read(body, &self.range)?;
        entries.reverse();
        entries.retain(|entry| self.filter.matches(entry));
        self.found.extend(entries.into_iter().map(|entry| (device.clone(), entry)));
        Ok(())
    }
}
