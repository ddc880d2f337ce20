//! Which device is connected where. The higher epoch wins.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use roadstead_core::DeviceId;
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::exchange::Downlink;
use roadstead_core::session::{Ending, Epoch};
use roadstead_dialects::cloud::Account;
use tokio::sync::oneshot;

/// Something told to a live connection.
pub enum Order {
    /// Send a request to the connection's device, or to a sub-device behind it.
    Downlink {
        /// Whom it is for.
        account: Account,
        /// What.
        request: Downlink,
        /// Milliseconds the device gets to answer; requests that are never answered resolve when
        /// the device has acknowledged the message (QoS 1) or it was written (QoS 0).
        deadline_ms: u64,
        /// Where the result goes; a dropped receiver cancels the request.
        result: oneshot::Sender<Result<Outcome, CommandError>>,
        /// Told when the device has acknowledged a request that it will answer later.
        acked: Option<oneshot::Sender<()>>,
    },
    /// End the connection.
    Close(Ending),
    /// The device or its product changed; use this from now on.
    Reload(Account),
}

/// The mailbox of a live connection. Sending never blocks: a full mailbox refuses.
pub trait Link: Send + Sync {
    /// Hands an order over.
    ///
    /// # Errors
    ///
    /// The order, when the mailbox is full or the connection has ended.
    fn send(&self, order: Order) -> Result<(), Box<Order>>;
}

/// The newest connection of each device.
type Links = HashMap<DeviceId, (Epoch, Arc<dyn Link>)>;

/// Device to connection, for this process.
pub struct Directory {
    links: RwLock<Links>,
    epoch: AtomicU64,
}

impl Directory {
    /// Returns an empty directory whose epochs continue after `last`.
    pub fn new(last: Epoch) -> Self {
        Self { links: RwLock::default(), epoch: AtomicU64::new(last.0) }
    }

    /// Returns the next epoch.
    pub fn next_epoch(&self) -> Epoch {
        Epoch(self.epoch.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Enters a connection and tells an older one of the same device to close. Returns false,
    /// changing nothing, when a connection with a higher epoch is there.
    pub fn enter(&self, device: &DeviceId, epoch: Epoch, link: Arc<dyn Link>) -> bool {
        let mut links = self.links.write();
        if links.get(device).is_some_and(|(other, _)| *other > epoch) {
            return false;
        }
        let before = links.insert(device.clone(), (epoch, link));
        drop(links);
        if let Some((_, older)) = before {
            // A full or dead mailbox means that the connection is ending anyway.
            drop(older.send(Order::Close(Ending::TakenOver)));
        }
        true
    }

    /// Removes a connection; returns false when a newer one has taken its place.
    pub fn leave(&self, device: &DeviceId, epoch: Epoch) -> bool {
        let mut links = self.links.write();
        match links.get(device) {
            Some((current, _)) if *current == epoch => links.remove(device).is_some(),
            Some(_) | None => false,
        }
    }

    /// Returns the live connection of a device.
    pub fn find(&self, device: &DeviceId) -> Option<Arc<dyn Link>> {
        self.links.read().get(device).map(|(_, link)| link.clone())
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.links.read().len()
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells every connection to close.
    pub fn close_all(&self, ending: Ending) {
        let links: Vec<_> = self.links.read().values().map(|(_, link)| link.clone()).collect();
        for link in links {
            drop(link.send(Order::Close(ending)));
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<Ending>>);

    impl Link for Recorder {
        fn send(&self, order: Order) -> Result<(), Box<Order>> {
            if let Order::Close(ending) = order {
                self.0.lock().push(ending);
            }
            Ok(())
        }
    }

    #[test]
    fn the_higher_epoch_wins() {
        let directory = Directory::new(Epoch(7));
        let lamp = DeviceId::from("lamp");
        let (first, second) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
        let (low, high) = (directory.next_epoch(), directory.next_epoch());
        assert_eq!((low, high), (Epoch(8), Epoch(9)));
        assert!(directory.enter(&lamp, low, first.clone()));
        assert!(directory.enter(&lamp, high, second.clone()));
        assert!(!directory.enter(&lamp, low, first.clone()), "a late older log-in loses");
        assert_eq!(*first.0.lock(), [Ending::TakenOver]);
        assert!(!directory.leave(&lamp, low), "the older one cannot remove the newer one");
        assert!(directory.find(&lamp).is_some());
        assert!(directory.leave(&lamp, high));
        assert!(directory.is_empty() && second.0.lock().is_empty());
    }
}
