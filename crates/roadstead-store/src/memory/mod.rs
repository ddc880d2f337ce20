//! The engine without durability: ordered maps behind one lock. For fast tests and the
//! demonstration.
//!
//! Same semantics as every engine, see the conformance suite. One file per port; each call takes
//! the lock once and never waits while holding it.

mod access;
mod binding;
mod device;
mod group;
mod history;
mod mqtt;
mod outbox;
mod product;
mod record;
mod shadow;
mod tag;
mod trust;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use roadstead_core::attempt::Attempt;
use roadstead_core::binding::{BindToken, Binding};
use roadstead_core::command::queue::Command;
use roadstead_core::device::Device;
use roadstead_core::group::Group;
use roadstead_core::message::Message;
use roadstead_core::mqtt::{Parked, Queued, Retained};
use roadstead_core::product::Product;
use roadstead_core::record::{Record, RecordKind};
use roadstead_core::session::{Epoch, Presence};
use roadstead_core::shadow::Shadow;
use roadstead_core::space::Space;
use roadstead_core::trace::Entry;
use roadstead_core::trust::{Target, TrustObject};
use roadstead_core::user::{AccessKey, Login, User};
use roadstead_core::{AttemptId, BindingId, DeviceId, GroupId, ProductId, SpaceId, UserId};

use crate::random::Random;

/// Trace entries kept per device; the oldest are forgotten. Durable engines keep days instead.
const TRACE_PER_DEVICE_MAX: usize = 10_000;

/// The engine without durability.
#[derive(Default)]
pub struct Memory {
    random: Random,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spaces: BTreeMap<SpaceId, Space>,
    users: BTreeMap<UserId, User>,
    keys: BTreeMap<Box<str>, AccessKey>,
    logins: BTreeMap<[u8; 32], Login>,
    products: BTreeMap<ProductId, Arc<Product>>,
    devices: BTreeMap<DeviceId, Held>,
    nodes: BTreeMap<(ProductId, Box<str>), DeviceId>,
    sub_devices: BTreeMap<DeviceId, BTreeSet<DeviceId>>,
    /// Numbers given to devices and groups so far.
    numbers: u64,
    groups: BTreeMap<GroupId, Group>,
    members: BTreeSet<(GroupId, DeviceId)>,
    epoch_max: Epoch,
    tokens: BTreeMap<[u8; 32], BindToken>,
    bindings: BTreeMap<BindingId, Binding>,
    bindings_of_device: BTreeSet<(DeviceId, BindingId)>,
    bindings_of_user: BTreeSet<(UserId, BindingId)>,
    attempts: BTreeMap<AttemptId, Attempt>,
    trace: BTreeMap<DeviceId, VecDeque<Entry>>,
    retained: BTreeMap<Box<str>, Retained>,
    parked: BTreeMap<Box<str>, Parked>,
    queues: BTreeMap<Box<str>, VecDeque<Queued>>,
    /// In order of creation.
    trust: Vec<TrustObject>,
    records: BTreeMap<(RecordKind, Box<str>), Record>,
    policy_targets: BTreeSet<(Box<str>, Target)>,
}

/// A device with everything that dies with it.
struct Held {
    device: Arc<Device>,
    presence: Presence,
    shadow: Shadow,
    pending: VecDeque<(u64, Box<str>, Box<str>)>,
    next_pending: u64,
    /// Oldest first.
    commands: Vec<Command>,
    messages: Vec<Message>,
}

impl Memory {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an empty store that makes its ids from `random`.
    pub fn with_random(random: Random) -> Self {
        Self { random, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Memory;
    use crate::suite::Fixture;

    crate::store_suite!(Fixture::new(Arc::new(Memory::new())));
}
