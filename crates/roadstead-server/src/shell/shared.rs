//! What all connections of a server share.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roadstead_core::RequestId;
use roadstead_wire::mqtt::session::QueueLimits;
use roadstead_wire::mqtt::session::server::Policy;

use super::Services;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::throttle::Throttle;

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) services: Arc<dyn Services>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) limits: config::Mqtt,
    pub(crate) policy: Arc<Policy>,
    pub(crate) last_request: AtomicU64,
}

impl Shared {
    /// Returns the id of a new request to a device.
    pub(super) fn next_request(&self) -> RequestId {
        RequestId(self.last_request.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Returns the monotonic time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.tick().as_millis()
    }
}

/// Returns the session machine's limits as configured.
pub(crate) fn policy(limits: &config::Mqtt) -> Policy {
    let window = |n: u16| NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN);
    let seconds = |s: u64| u32::try_from(s).unwrap_or(u32::MAX);
    let ceiling_ms = u32::try_from(limits.keep_alive_ceiling.as_millis()).unwrap_or(u32::MAX);
    Policy {
        idle_max_ms: NonZeroU32::new(ceiling_ms),
        receive_max: window(limits.inbound_max),
        inbound_max: window(limits.inbound_max),
        inbound_bytes_max: limits.packet_bytes_max.saturating_mul(2),
        max_packet_size: u32::try_from(limits.packet_bytes_max).ok().and_then(NonZeroU32::new),
        window_max: window(limits.outbound_window),
        queue: QueueLimits {
            messages_max: limits.outbound_queue,
            size_bytes_max: limits.outbound_bytes,
        },
        subscriptions_max: limits.subscriptions_max,
        session_expiry_max_s: seconds(limits.session_expiry_max.as_secs()),
        ..Policy::default()
    }
}
