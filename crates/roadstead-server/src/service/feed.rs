//! News of devices for those who listen now: live connections and push queues.
//!
//! Nobody waits for anybody: a connection that does not take its news in time is closed
//! (`feed_lost` in the metrics), a queue that is full loses its oldest. While nobody listens, the
//! hot path costs one relaxed load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use roadstead_core::{Code, DeviceId, UserId};
use roadstead_dialects::cloud::{Account, Happening, Join, News, QueueName, Watch};
use tokio::sync::mpsc;

use super::Platform;
use super::push::{Delivery, Queue};

/// Live connections in total.
const LIVE_MAX: usize = 10_000;
/// Live connections of one user at the same time.
pub(super) const LIVE_PER_USER_MAX: usize = 16;
/// Devices that one live connection may watch.
const WATCHES_MAX: usize = 1000;
/// News that wait for one live connection.
const NEWS_WAITING_MAX: usize = 256;
/// Push queues of one product (GizWits §6.4).
const QUEUES_PER_PRODUCT_MAX: usize = 5;
/// Push queues in total.
const QUEUES_MAX: usize = 1000;

/// Who listens to what.
#[derive(Default)]
pub(super) struct Feed {
    inner: Mutex<Inner>,
    /// Watches and queues; nothing is made while it is 0.
    listeners: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    next: u64,
    next_delivery: u64,
    live: BTreeMap<u64, Live>,
    watchers: BTreeMap<Watch, BTreeSet<u64>>,
    queues: BTreeMap<QueueName, Queue>,
}

struct Live {
    news: mpsc::Sender<Arc<News>>,
    pushes: mpsc::UnboundedSender<Delivery>,
    watched: Vec<Watch>,
    joined: BTreeSet<QueueName>,
    user: Option<UserId>,
}

/// What one connection hears through.
pub(super) struct Ears {
    pub(super) id: u64,
    pub(super) news: mpsc::Receiver<Arc<News>>,
    pub(super) pushes: mpsc::UnboundedReceiver<Delivery>,
}

impl Feed {
    /// Enters a connection; `None` when there are too many.
    pub(super) fn enter(&self) -> Option<Ears> {
        let (news_in, news) = mpsc::channel(NEWS_WAITING_MAX);
        // Bounded by the windows of the queues that the connection joins.
        let (pushes_in, pushes) = mpsc::unbounded_channel();
        let mut inner = self.inner.lock();
        if inner.live.len() >= LIVE_MAX {
            return None;
        }
        inner.next += 1;
        let id = inner.next;
        let (watched, joined) = (Vec::new(), BTreeSet::new());
        let live = Live { news: news_in, pushes: pushes_in, watched, joined, user: None };
        inner.live.insert(id, live);
        Some(Ears { id, news, pushes })
    }

    /// Says whose a connection is.
    ///
    /// # Errors
    ///
    /// `app.too_many` when the user has too many.
    pub(super) fn belongs(&self, id: u64, user: UserId) -> Result<(), Code> {
        let mut inner = self.inner.lock();
        let others = inner
            .live
            .iter()
            .filter(|(other, live)| **other != id && live.user.as_ref() == Some(&user));
        if others.count() >= LIVE_PER_USER_MAX {
            return Err("app.too_many");
        }
        if let Some(live) = inner.live.get_mut(&id) {
            live.user = Some(user);
        }
        Ok(())
    }

    /// Replaces what a connection watches.
    ///
    /// # Errors
    ///
    /// `app.too_many`; nothing is changed.
    pub(super) fn watch(&self, id: u64, watches: Vec<Watch>) -> Result<(), Code> {
        if watches.len() > WATCHES_MAX {
            return Err("app.too_many");
        }
        let mut inner = self.inner.lock();
        inner.unwatch(id);
        for watch in &watches {
            inner.watchers.entry(watch.clone()).or_default().insert(id);
        }
        if let Some(live) = inner.live.get_mut(&id) {
            live.watched = watches;
        }
        self.listeners.store(inner.listeners(), Ordering::Relaxed);
        Ok(())
    }

    /// Joins a queue, made at the first time; it is kept from then on.
    ///
    /// # Errors
    ///
    /// `app.too_many` when the product has too many queues.
    pub(super) fn join(&self, id: u64, join: Join) -> Result<(), Code> {
        let mut inner = self.inner.lock();
        let Inner { queues, live, .. } = &mut *inner;
        if !queues.contains_key(&join.queue) {
            let of_product = queues.keys().filter(|name| name.product == join.queue.product);
            if of_product.count() >= QUEUES_PER_PRODUCT_MAX || queues.len() >= QUEUES_MAX {
                return Err("app.too_many");
            }
        }
        let Some(live) = live.get_mut(&id) else { return Ok(()) };
        live.joined.insert(join.queue.clone());
        let queue = queues.entry(join.queue).or_default();
        queue.join(id, join.window, join.kinds, live.pushes.clone());
        self.listeners.store(inner.listeners(), Ordering::Relaxed);
        Ok(())
    }

    /// Leaves a queue; what was on its way goes to others, or waits.
    pub(super) fn leave_queue(&self, id: u64, name: &QueueName) {
        let mut inner = self.inner.lock();
        if let Some(queue) = inner.queues.get_mut(name) {
            queue.leave(id);
        }
        if let Some(live) = inner.live.get_mut(&id) {
            live.joined.remove(name);
        }
    }

    /// A client has confirmed a delivery.
    pub(super) fn confirm(&self, id: u64, delivery: u64) {
        let mut inner = self.inner.lock();
        let Inner { queues, live, .. } = &mut *inner;
        let joined = live.get(&id).map(|live| live.joined.clone()).unwrap_or_default();
        for name in joined {
            if queues.get_mut(&name).is_some_and(|queue| queue.confirm(id, delivery)) {
                return;
            }
        }
    }

    /// Removes a connection.
    pub(super) fn leave(&self, id: u64) {
        let mut inner = self.inner.lock();
        inner.unwatch(id);
        let Some(live) = inner.live.remove(&id) else { return };
        for name in &live.joined {
            if let Some(queue) = inner.queues.get_mut(name) {
                queue.leave(id);
            }
        }
        self.listeners.store(inner.listeners(), Ordering::Relaxed);
    }

    /// True while nobody listens to anything.
    pub(super) fn is_idle(&self) -> bool {
        self.listeners.load(Ordering::Relaxed) == 0
    }

    /// Tells everybody who listens. Returns how many connections and queued news were lost.
    pub(super) fn tell(&self, news: News, kind: &'static str) -> (usize, usize) {
        let news = Arc::new(news);
        let mut inner = self.inner.lock();
        let mut ears = BTreeSet::new();
        ears.extend(inner.watchers.get(&Watch::Device(news.account.device.id.clone())));
        if let Happening::Bound(user) | Happening::Unbound(user) = &news.what {
            ears.extend(inner.watchers.get(&Watch::User(user.clone())));
        }
        let ears: BTreeSet<u64> = ears.into_iter().flatten().copied().collect();
        let mut lost = 0;
        for id in ears {
            let full =
                inner.live.get(&id).is_some_and(|live| live.news.try_send(news.clone()).is_err());
            if full {
                // Dropping the sender ends the connection after what it has.
                inner.unwatch(id);
                inner.live.remove(&id);
                lost += 1;
            }
        }
        let product = &news.account.product.id;
        let Inner { queues, next_delivery, .. } = &mut *inner;
        let mut dropped = 0;
        for (_, queue) in queues.iter_mut().filter(|(name, _)| name.product == *product) {
            dropped += usize::from(queue.offer(next_delivery, kind, &news));
        }
        (lost, dropped)
    }
}

impl Inner {
    fn unwatch(&mut self, id: u64) {
        let watched = self.live.get_mut(&id).map(|live| std::mem::take(&mut live.watched));
        for watch in watched.unwrap_or_default() {
            if let Some(ears) = self.watchers.get_mut(&watch) {
                ears.remove(&id);
                if ears.is_empty() {
                    self.watchers.remove(&watch);
                }
            }
        }
    }

    fn listeners(&self) -> usize {
        self.watchers.len() + self.queues.len()
    }
}

impl Platform {
    /// Tells those who listen what happened to a device.
    pub(super) fn spread(&self, account: &Account, what: impl FnOnce() -> Happening) {
        if self.feed.is_idle() {
            return;
        }
        let news = News { at: self.clock.now(), account: account.clone(), what: what() };
        let cloud = self.cloud(&account.product.dialect);
        let kind = cloud.map_or("", |cloud| cloud.kind_of(&news));
        let (lost, dropped) = self.feed.tell(news, kind);
        (0..lost).for_each(|_| self.observer.count("feed_lost", "app.too_many"));
        (0..dropped).for_each(|_| self.observer.count("push_dropped", "api.quota"));
    }

    /// The same where the account is not at hand.
    pub(super) async fn spread_of(&self, device: &DeviceId, what: Happening) {
        if self.feed.is_idle() {
            return;
        }
        let found = self.store.device(device).await;
        let Ok(Some(device)) = found else { return };
        if let Ok(Some(product)) = self.store.product(&device.product).await {
            self.spread(&Account { product, device }, || what);
        }
    }
}
