//! State of free MQTT topics.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::StoreError;
use crate::Timestamp;
use crate::mqtt::{Parked, Queued, Retained};

/// Retained messages and parked sessions.
#[async_trait]
pub trait MqttStore: Send + Sync {
    /// Sets a retained message; an empty payload deletes it.
    async fn retain(&self, message: Retained) -> Result<(), StoreError>;

    /// Returns all retained messages, at start-up.
    async fn retained(&self) -> Result<Vec<Retained>, StoreError>;

    /// Parks a session, replacing an older one of the client; its queue is kept.
    async fn park(&self, session: Parked) -> Result<(), StoreError>;

    /// Forgets a parked session with its queue; an unknown one succeeds.
    async fn unpark(&self, client: &str) -> Result<(), StoreError>;

    /// Returns all parked sessions that live at `now`, at start-up; forgets the others.
    async fn parked(&self, now: Timestamp) -> Result<Vec<Parked>, StoreError>;

    /// Keeps messages for parked sessions.
    async fn enqueue(&self, messages: Vec<Queued>) -> Result<(), StoreError>;

    /// Takes all messages kept for a client, oldest first.
    async fn take_queue(&self, client: &str) -> Result<Vec<Queued>, StoreError>;
}
