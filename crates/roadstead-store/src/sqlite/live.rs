//! The shadows in memory: a bounded cache that the writer changes after each commit and readers
//! look into before the table.
//!
//! A slot is *dirty* while the table lacks some of its journal records; dirty slots are never
//! evicted. Only committed state is here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Instant;

use parking_lot::Mutex;
use roadstead_core::DeviceId;
use roadstead_core::shadow::{Change, Shadow};

/// Memory of a slot beside its values, bytes.
const SLOT_BYTES: usize = 400;
/// What changes may add to a shadow before it is measured again, bytes of JSON.
const NEW_BYTES: usize = 512;
/// Memory of parsed values per byte of JSON.
const MEMORY_PER_JSON_BYTE: usize = 4;

/// The cache.
pub(super) struct Live {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    slots: HashMap<DeviceId, Slot>,
    /// Dirty slots, the one with the oldest record first. An element counts only while its slot
    /// still says so.
    dirty: VecDeque<(i64, DeviceId)>,
    /// The same slots by row, for writing neighbours together.
    rows: BTreeMap<i64, DeviceId>,
    /// Row that was written last.
    swept: i64,
    bytes: usize,
    round: u64,
}

struct Slot {
    row: i64,
    shadow: Shadow,
    /// Upper bound of the shadow's JSON, bytes; every change adds to it.
    bound: usize,
    /// The shadow's JSON when it was last written or read, bytes.
    size: usize,
    /// Last journal record in `shadow`.
    applied: i64,
    /// First journal record that the table lacks, and since when.
    dirty: Option<(i64, Instant)>,
    round: u64,
}

/// A shadow as the writer loaded it from the table.
pub(super) struct Loaded {
    pub(super) row: i64,
    pub(super) shadow: Shadow,
    pub(super) bound: usize,
}

/// A dirty shadow to be written.
pub(super) struct Flush {
    pub(super) device: DeviceId,
    pub(super) row: i64,
    pub(super) applied: i64,
    pub(super) body: Vec<u8>,
}

impl Live {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), bytes_max }
    }

    /// Returns a copy of a shadow.
    pub(super) fn shadow(&self, device: &DeviceId) -> Option<Shadow> {
        self.inner.lock().slots.get(device).map(|slot| slot.shadow.clone())
    }

    /// Returns row and size bound of a shadow.
    pub(super) fn bound(&self, device: &DeviceId) -> Option<(i64, usize)> {
        self.inner.lock().slots.get(device).map(|slot| (slot.row, slot.bound))
    }

    /// Applies committed changes; `loaded` comes first when the cache lacks the device. Returns
    /// whether something is desired.
    pub(super) fn apply(
        &self,
        device: &DeviceId,
        loaded: Option<Loaded>,
        changes: &[Change],
        bound: usize,
        id: i64,
    ) -> bool {
        let inner = &mut *self.inner.lock();
        if let Some(Loaded { row, shadow, bound }) = loaded {
            let (size, round) = (bound, inner.round);
            let slot = Slot { row, shadow, bound, size, applied: id, dirty: None, round };
            inner.bytes += slot.memory();
            if let Some(old) = inner.slots.insert(device.clone(), slot) {
                inner.bytes -= old.memory();
            }
        }
        let Some(slot) = inner.slots.get_mut(device) else {
            return false;
        };
        changes.iter().for_each(|change| slot.shadow.apply(change));
        inner.bytes -= slot.memory();
        slot.bound = bound;
        inner.bytes += slot.memory();
        slot.applied = id;
        slot.round = inner.round;
        if slot.dirty.is_none() {
            slot.dirty = Some((id, Instant::now()));
            inner.dirty.push_back((id, device.clone()));
            inner.rows.insert(slot.row, device.clone());
        }
        slot.shadow.has_desired()
    }

    /// Forgets a deleted device.
    pub(super) fn remove(&self, device: &DeviceId) {
        let mut inner = self.inner.lock();
        if let Some(slot) = inner.slots.remove(device) {
            inner.bytes -= slot.memory();
            inner.rows.remove(&slot.row);
        }
    }

    /// True when a shadow is dirty since `before`.
    pub(super) fn is_due(&self, before: Instant) -> bool {
        let inner = &mut *self.inner.lock();
        inner.skip_stale();
        let oldest = inner.dirty.front().and_then(|(_, device)| inner.slots.get(device));
        oldest.and_then(|slot| slot.dirty).is_some_and(|(_, since)| since <= before)
    }

    /// Serializes up to `most` dirty shadows, going round in the order of their rows: neighbours
    /// share a page. They stay dirty until [`Live::flushed`].
    pub(super) fn dirty(&self, most: usize) -> Vec<Flush> {
        let inner = &mut *self.inner.lock();
        let after = inner.rows.range((Excluded(inner.swept), Unbounded));
        let before = inner.rows.range(..=inner.swept);
        let mut flushes = Vec::new();
        for (row, device) in after.chain(before).take(most) {
            let Some(slot) = inner.slots.get(device) else { continue };
            let body = serde_json::to_vec(&slot.shadow).expect("a shadow is JSON");
            let (device, applied) = (device.clone(), slot.applied);
            flushes.push(Flush { device, row: *row, applied, body });
        }
        inner.swept = flushes.last().map_or(inner.swept, |flush| flush.row);
        flushes
    }

    /// Notes that shadows are in the table.
    pub(super) fn flushed(&self, flushes: &[Flush]) {
        let inner = &mut *self.inner.lock();
        for flush in flushes {
            let Some(slot) = inner.slots.get_mut(&flush.device) else { continue };
            if slot.row == flush.row && slot.applied == flush.applied {
                slot.dirty = None;
                inner.rows.remove(&flush.row);
                inner.bytes -= slot.memory();
                slot.bound = flush.body.len();
                slot.size = flush.body.len();
                inner.bytes += slot.memory();
            }
        }
        inner.skip_stale();
    }

    /// Returns the oldest journal record that the table lacks.
    pub(super) fn oldest_dirty(&self) -> Option<i64> {
        let mut inner = self.inner.lock();
        inner.skip_stale();
        inner.dirty.front().map(|(id, _)| *id)
    }

    /// Evicts clean slots that were not used lately when the cache is too large; true when that
    /// was not enough, because too much is dirty.
    pub(super) fn evict(&self) -> bool {
        let inner = &mut *self.inner.lock();
        inner.round += 1;
        if inner.bytes <= self.bytes_max {
            return false;
        }
        let mut rounds: Vec<_> =
            inner.slots.values().filter(|slot| slot.dirty.is_none()).map(|s| s.round).collect();
        rounds.sort_unstable();
        // Half of the clean slots, the longest unused ones; ties may take all.
        let Some(&median) = rounds.get(rounds.len() / 2) else { return true };
        let mut freed = 0;
        inner.slots.retain(|_, slot| {
            let keep = slot.dirty.is_some() || slot.round > median;
            if !keep {
                freed += slot.memory();
            }
            keep
        });
        inner.bytes -= freed;
        inner.bytes > self.bytes_max
    }

    /// Returns the number of shadows and of dirty ones.
    pub(super) fn len(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.slots.len(), inner.rows.len())
    }
}

impl Inner {
    fn skip_stale(&mut self) {
        while let Some((id, device)) = self.dirty.front() {
            let slot = self.slots.get(device);
            if slot.and_then(|slot| slot.dirty).is_some_and(|(first, _)| first == *id) {
                return;
            }
            self.dirty.pop_front();
        }
    }
}

impl Slot {
    /// Estimates memory, bytes. Most changes replace values, so the bound alone would say too much.
    fn memory(&self) -> usize {
        let json_bytes = self.bound.min(self.size * 2 + NEW_BYTES);
        SLOT_BYTES + json_bytes * MEMORY_PER_JSON_BYTE
    }
}

#[cfg(test)]
mod tests {
    use roadstead_core::Timestamp;
    use roadstead_core::shadow::Values;
    use serde_json::json;

    use super::*;

    fn load(live: &Live, name: &str, id: i64) {
        let serde_json::Value::Object(properties) = json!({"n": id}) else { panic!("object") };
        let values = Values { properties, at: Timestamp(id) };
        let change = Change::Report { service: "s".into(), values };
        let loaded = Loaded { row: id, shadow: Shadow::default(), bound: 2 };
        live.apply(&name.into(), Some(loaded), &[change], 100, id);
    }

    #[test]
    fn dirty_shadows_are_flushed_in_order_and_never_evicted() {
        let live = Live::new(0);
        for (name, id) in [("a", 1), ("b", 2), ("c", 3)] {
            load(&live, name, id);
        }
        assert!(live.evict(), "all is dirty");
        assert_eq!((live.len(), live.oldest_dirty()), ((3, 3), Some(1)));
        let flushes = live.dirty(2);
        let names: Vec<_> = flushes.iter().map(|flush| flush.device.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        // A change between serialization and commit keeps the slot dirty.
        live.apply(&"b".into(), None, &[], 100, 4);
        live.flushed(&flushes);
        assert_eq!(live.oldest_dirty(), Some(2));
        live.evict();
        assert_eq!(live.shadow(&"a".into()), None);
        assert!(live.shadow(&"b".into()).is_some());
        live.remove(&"b".into());
        assert_eq!(live.oldest_dirty(), Some(3));
        live.flushed(&live.dirty(9));
        assert_eq!(live.oldest_dirty(), None);
        live.evict();
        assert_eq!(live.len(), (0, 0));
        assert!(!live.evict());
    }

    #[test]
    fn flushing_goes_round_in_row_order() {
        let live = Live::new(0);
        let names = |most| {
            live.dirty(most)
                .iter()
                .map(|flush| flush.device.as_str().to_owned())
                .collect::<String>()
        };
        for (name, id) in [("d", 4), ("a", 1), ("c", 3), ("b", 2)] {
            load(&live, name, id);
        }
        assert_eq!((names(3), names(3), names(9)), ("abc".into(), "dab".into(), "cdab".into()));
    }

    #[test]
    fn only_old_ones_are_due() {
        let live = Live::new(1000);
        let start = Instant::now();
        assert!(!live.is_due(start));
        load(&live, "a", 1);
        assert!(!live.is_due(start - std::time::Duration::from_secs(1)));
        assert!(live.is_due(Instant::now()));
        live.flushed(&live.dirty(1));
        assert!(!live.is_due(Instant::now()));
    }
}
