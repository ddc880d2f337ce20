//! Retained messages and parked sessions.

use async_trait::async_trait;
use roadstead_core::Timestamp;
use roadstead_core::mqtt::{Parked, Queued, Retained};
use roadstead_core::port::{MqttStore, StoreError};

use super::Memory;
use crate::rule::QUEUE_PER_CLIENT_MAX;

#[async_trait]
impl MqttStore for Memory {
    async fn retain(&self, message: Retained) -> Result<(), StoreError> {
        let mut state = self.lock();
        if message.payload.is_empty() {
            state.retained.remove(&message.topic);
        } else {
            state.retained.insert(message.topic.clone(), message);
        }
        Ok(())
    }

    async fn retained(&self) -> Result<Vec<Retained>, StoreError> {
        Ok(self.lock().retained.values().cloned().collect())
    }

    async fn park(&self, session: Parked) -> Result<(), StoreError> {
        self.lock().parked.insert(session.client.clone(), session);
        Ok(())
    }

    async fn unpark(&self, client: &str) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.parked.remove(client);
        state.queues.remove(client);
        Ok(())
    }

    async fn parked(&self, now: Timestamp) -> Result<Vec<Parked>, StoreError> {
        let state = &mut *self.lock();
        state.parked.retain(|_, session| now < session.expires_at);
        state.queues.retain(|client, _| state.parked.contains_key(client));
        Ok(state.parked.values().cloned().collect())
    }

    async fn enqueue(&self, messages: Vec<Queued>) -> Result<(), StoreError> {
        let state = &mut *self.lock();
        for message in messages {
            if !state.parked.contains_key(&message.client) {
                continue;
            }
            let queue = state.queues.entry(message.client.clone()).or_default();
            queue.push_back(message);
            if queue.len() > QUEUE_PER_CLIENT_MAX {
                queue.pop_front();
            }
        }
        Ok(())
    }

    async fn take_queue(&self, client: &str) -> Result<Vec<Queued>, StoreError> {
        Ok(self.lock().queues.remove(client).unwrap_or_default().into())
    }
}
