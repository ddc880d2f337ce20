//! Notes that nobody waits for: trace entries and refused log-ins, written in batches.
//!
//! Bounded: what does not fit is dropped and counted, and the next batch says so. [`Recorder`]
//! keeps; [`super::Platform::flush_notes`] writes.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use roadstead_core::trace::{Entries, Entry};
use roadstead_core::{Code, DeviceId, Timestamp};
use tokio::sync::Notify;

use super::Platform;

/// Notes that wait to be written.
const NOTES_MAX: usize = 65_536;
/// Notes written in one go.
const BATCH_MAX: usize = 1000;

/// Notes that wait to be written.
#[derive(Default)]
pub(super) struct Recorder {
    notes: Mutex<VecDeque<(DeviceId, Note)>>,
    /// Held while a batch is written, so that batches keep their order.
    writing: tokio::sync::Mutex<()>,
    /// Wakes the task that writes.
    pub(super) woken: Notify,
}

enum Note {
    Trace(Entry),
    Refusal(Code, Timestamp),
}

impl Recorder {
    fn push(&self, device: &DeviceId, note: Note) -> bool {
        let mut notes = self.notes.lock();
        if notes.len() >= NOTES_MAX {
            return false;
        }
        notes.push_back((device.clone(), note));
        let first = notes.len() == 1;
        drop(notes);
        if first {
            self.woken.notify_one();
        }
        true
    }

    fn take(&self) -> Vec<(DeviceId, Note)> {
        let mut notes = self.notes.lock();
        let n = notes.len().min(BATCH_MAX);
        notes.drain(..n).collect()
    }
}

impl Platform {
    /// Notes a hop without waiting.
    pub(super) fn note(&self, device: &DeviceId, entry: Entry) {
        if !self.recorder.push(device, Note::Trace(entry)) {
            self.observer.count("trace_dropped", "internal.overload");
        }
    }

    /// Notes a refused log-in without waiting.
    pub(super) fn note_refusal(&self, device: &DeviceId, code: Code, at: Timestamp) {
        if !self.recorder.push(device, Note::Refusal(code, at)) {
            self.observer.count("trace_dropped", "internal.overload");
        }
    }

    /// Writes every note that was taken before the call.
    pub(super) async fn flush_notes(&self) {
        let _order = self.recorder.writing.lock().await;
        loop {
            let batch = self.recorder.take();
            if batch.is_empty() {
                return;
            }
            self.write_notes(batch).await;
        }
    }

    async fn write_notes(&self, batch: Vec<(DeviceId, Note)>) {
        let mut entries: Vec<Entries> = Vec::new();
        let mut place: HashMap<DeviceId, usize> = HashMap::new();
        let mut refusals: HashMap<DeviceId, (Code, Timestamp)> = HashMap::new();
        for (device, note) in batch {
            match note {
                Note::Trace(entry) => {
                    let at = *place.entry(device.clone()).or_insert_with(|| {
                        entries.push(Entries { device, entries: Vec::new() });
                        entries.len() - 1
                    });
                    entries[at].entries.push(entry);
                }
                Note::Refusal(code, at) => drop(refusals.insert(device, (code, at))),
            }
        }
        if !entries.is_empty()
            && let Err(error) = self.store.append_trace(entries).await
        {
            self.observer.count("trace_dropped", error.code());
            tracing::warn!(%error, "writing the trace");
        }
        for (device, (code, at)) in refusals {
            // A device that was deleted meanwhile has nothing to note.
            if let Err(error) = self.store.note_refusal(&device, code, at).await {
                tracing::debug!(%error, %device, "noting a refused log-in");
            }
        }
    }
}
