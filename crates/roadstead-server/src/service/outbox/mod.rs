//! What waits for devices: asynchronous commands and messages, sent by one worker per device and
//! kind while there is something to send.
//!
//! ```text
//! create --durable--> poke          device ready (log-in, subscription) -> poke
//! timers: a sweep each second asks the store for what is due  -> poke
//! worker: store gives the turn -> connection -> acknowledgement, answer -> store -> next
//! ```
//!
//! Queues, timers and decisions are in the store and in core, so a restart loses nothing; what is
//! here in memory only says who is at work, and whom a log-in need not ask the store about.
//!
//! Source: Huawei §8.2, §8.4.

mod broadcast;
mod command;
mod message;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use roadstead_core::command::queue::Policy;
use roadstead_core::session::Epoch;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{Code, DeviceId, Timestamp};
use tokio::sync::{Notify, oneshot};

use super::{Error, Platform};

pub use broadcast::{Broadcast, Fanout, NewBroadcast};
pub use command::NewCommand;
pub use message::NewMessage;

/// How long the creator of a command or message waits to hear more than that it is kept.
const FIRST_NEWS: Duration = Duration::from_secs(1);
/// A device that logged in less than this ago may still be about to subscribe.
const SUBSCRIBE_GRACE: Duration = Duration::from_secs(10);
/// Timers that one sweep serves; the next one goes on.
const DUE_MAX: usize = 1000;
/// Devices that are tried again after [`SUBSCRIBE_GRACE`].
const RETRIES_MAX: usize = 100_000;

/// Which queue of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Commands,
    Messages,
}

/// One queue of one device.
type Key = (DeviceId, Lane);

/// Who waits for news of what.
type Watchers = HashMap<(Key, Box<str>), oneshot::Sender<()>>;

/// Tells a worker that something changed.
#[derive(Default)]
struct Signal {
    changed: Notify,
    /// Somebody poked since the worker looked last; guarded by the lock of the lanes.
    again: Mutex<bool>,
}

/// Who is at work.
#[derive(Default)]
pub(super) struct Outbox {
    lanes: Mutex<HashMap<Key, Arc<Signal>>>,
    /// Devices that may have something waiting; the others are not asked about.
    awaited: Mutex<HashSet<DeviceId>>,
    /// Who is tried again, and when.
    retries: Mutex<Vec<(Timestamp, Key)>>,
    /// Creators that wait for first news, by queue and id.
    watchers: Mutex<Watchers>,
    /// Sessions to which what is desired was sent.
    pushed: Mutex<HashMap<DeviceId, Epoch>>,
    /// Free topics, once there are listeners.
    fanout: OnceLock<Arc<dyn Fanout>>,
}

impl Outbox {
    /// Notes a session; false when it was noted before.
    pub(super) fn is_first_of(&self, device: &DeviceId, epoch: Epoch) -> bool {
        self.pushed.lock().insert(device.clone(), epoch) != Some(epoch)
    }

    /// Forgets a session that ended.
    pub(super) fn leave(&self, device: &DeviceId, epoch: Epoch) {
        let mut pushed = self.pushed.lock();
        if pushed.get(device) == Some(&epoch) {
            pushed.remove(device);
        }
    }

    fn watch(&self, key: &Key, id: &str) -> oneshot::Receiver<()> {
        let (news, watcher) = oneshot::channel();
        self.watchers.lock().insert((key.clone(), id.into()), news);
        watcher
    }

    fn tell(&self, key: &Key, id: &str) {
        if let Some(news) = self.watchers.lock().remove(&(key.clone(), id.into())) {
            let _ = news.send(());
        }
    }

    fn retry(&self, at: Timestamp, key: Key) {
        let mut retries = self.retries.lock();
        if retries.len() < RETRIES_MAX && !retries.iter().any(|(_, known)| *known == key) {
            retries.push((at, key));
        }
    }

    fn due_retries(&self, now: Timestamp) -> Vec<Key> {
        let mut retries = self.retries.lock();
        let due = retries.extract_if(.., |(at, _)| *at <= now).map(|(_, key)| key);
        due.collect()
    }
}

impl Platform {
    /// Recalls what waits, after a start.
    pub(super) async fn recall_outbox(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let lost = self.store.recover_commands(now, self.command_policy()).await?;
        let awaited = self.store.awaited_devices().await?;
        if lost > 0 || !awaited.is_empty() {
            tracing::info!(lost, devices = awaited.len(), "commands and messages wait");
        }
        self.outbox.awaited.lock().extend(awaited);
        Ok(())
    }

    /// A device can take what waits for it: it logged in, or subscribed.
    pub(super) fn device_ready(self: &Arc<Self>, device: &DeviceId) {
        let is_awaited = self.outbox.awaited.lock().contains(device);
        if is_awaited {
            self.poke(device, Lane::Messages);
            self.poke(device, Lane::Commands);
        }
    }

    /// Serves the timers that are due.
    pub(super) async fn sweep_outbox(self: &Arc<Self>) -> Result<(), Error> {
        let now = self.clock.now();
        for (device, lane) in self.outbox.due_retries(now) {
            self.poke(&device, lane);
        }
        self.sweep_commands(now).await?;
        self.sweep_messages(now).await
    }

    /// Starts a worker, or tells the one at work to look again.
    fn poke(self: &Arc<Self>, device: &DeviceId, lane: Lane) {
        let key = (device.clone(), lane);
        let mut lanes = self.outbox.lanes.lock();
        if let Some(signal) = lanes.get(&key) {
            *signal.again.lock() = true;
            signal.changed.notify_one();
            return;
        }
        let signal = Arc::new(Signal::default());
        lanes.insert(key.clone(), signal.clone());
        drop(lanes);
        tokio::spawn(self.clone().work(key, signal));
    }

    async fn work(self: Arc<Self>, key: Key, signal: Arc<Signal>) {
        let (device, lane) = &key;
        loop {
            let worked = match lane {
                Lane::Commands => self.work_commands(device, &signal).await,
                Lane::Messages => self.work_messages(device).await,
            };
            if let Err(error) = worked {
                // The next poke, sweep or log-in goes on.
                tracing::warn!(%error, %device, ?lane, "serving what waits for a device");
            }
            let mut lanes = self.outbox.lanes.lock();
            if !std::mem::take(&mut *signal.again.lock()) {
                lanes.remove(&key);
                return;
            }
        }
    }

    /// Waits a moment for more news of what was just created.
    async fn first_news(&self, watcher: oneshot::Receiver<()>, key: &Key, id: &str) {
        drop(tokio::time::timeout(FIRST_NEWS, watcher).await);
        self.outbox.watchers.lock().remove(&(key.clone(), id.into()));
    }

    /// True when the device logged in so lately that it may still be subscribing.
    async fn may_subscribe_yet(&self, device: &DeviceId) -> Result<bool, Error> {
        let presence = self.store.presence(device).await?;
        let since = presence.online_at.map(|at| self.clock.now().since(at));
        Ok(presence.online && since.is_some_and(|since| since < SUBSCRIBE_GRACE))
    }

    /// Notes a change of a command or a message.
    fn note_step(&self, device: &DeviceId, what: &'static str, code: &str, text: &str) {
        let now = self.clock.now();
        self.note(device, Entry::new(now, Hop::Cloud, what, code, text));
        let known: Code = roadstead_core::code::info(code).map_or("ok", |info| info.code);
        self.observer.count(what, known);
    }

    fn command_policy(&self) -> Policy {
        Policy { answer_wait: self.config.downlink.command_answer_wait, ..Policy::RELIABLE }
    }

    fn jitter(&self) -> u8 {
        let [jitter] = self.random.bytes();
        jitter
    }
}
