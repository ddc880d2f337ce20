//! Asynchronous commands and messages.

use async_trait::async_trait;
use roadstead_core::command::queue::{Command, Input, Output, Policy, Status};
use roadstead_core::message::{self, Message};
use roadstead_core::port::{
    CommandFilter, CommandStore, Listing, MessageStore, Page, Stepped, StoreError,
};
use roadstead_core::{CommandId, DeviceId, MessageId, Timestamp};

use super::{Held, Memory};
use crate::outbox::{self, Item};
use crate::rule;

/// Keeps one more and forgets what is too old.
fn keep<I: Item>(items: &mut Vec<I>, item: I, pending_max: usize) -> Result<(), StoreError> {
    if items.iter().any(|known| known.id() == item.id()) {
        return Err(StoreError::Exists);
    }
    if items.iter().filter(|known| known.is_pending()).count() >= pending_max {
        return Err(outbox::full::<I>());
    }
    items.push(item);
    let mut surplus =
        items.iter().filter(|item| !item.is_open()).count().saturating_sub(I::KEPT_MAX);
    items.retain(|item| {
        let drop = surplus > 0 && !item.is_open();
        surplus -= usize::from(drop);
        !drop
    });
    Ok(())
}

/// Cuts a page out of a list, newest first.
fn page<I: Item>(items: &[I], page: &Page, shows: impl Fn(&I) -> bool) -> Listing<I> {
    let total = items.iter().filter(|item| shows(item)).count() as u64;
    let from = match &page.after {
        None => items.len(),
        Some(after) => items.iter().position(|item| item.id() == &**after).unwrap_or(0),
    };
    let newest = items[..from].iter().rev().filter(|item| shows(item));
    let items = newest.skip(page.offset as usize).take(rule::page_items(page)).cloned().collect();
    Listing { items, total }
}

#[async_trait]
impl CommandStore for Memory {
    async fn create_command(&self, command: Command, pending_max: usize) -> Result<(), StoreError> {
        let mut state = self.lock();
        let held = state.devices.get_mut(&command.device).ok_or(StoreError::Missing)?;
        keep(&mut held.commands, command, pending_max)
    }

    async fn command(
        &self,
        device: &DeviceId,
        id: &CommandId,
    ) -> Result<Option<Command>, StoreError> {
        let state = self.lock();
        let held = state.devices.get(device);
        Ok(held.and_then(|held| held.commands.iter().find(|known| known.id == *id).cloned()))
    }

    async fn commands(
        &self,
        device: &DeviceId,
        filter: &CommandFilter,
        wanted: &Page,
    ) -> Result<Listing<Command>, StoreError> {
        let state = self.lock();
        let commands = state.devices.get(device).map_or(&[][..], |held| &held.commands);
        Ok(page(commands, wanted, |command| outbox::matches(command, filter)))
    }

    async fn step_command(
        &self,
        device: &DeviceId,
        id: &CommandId,
        input: Input,
        now: Timestamp,
        policy: Policy,
    ) -> Result<Stepped, StoreError> {
        let mut state = self.lock();
        let held = state.devices.get_mut(device).ok_or(StoreError::Missing)?;
        let command = held.commands.iter_mut().find(|known| known.id == *id);
        let command = command.ok_or(StoreError::Missing)?;
        let output = command.handle(input, now, &policy);
        Ok((command.clone(), output))
    }

    async fn next_command(
        &self,
        device: &DeviceId,
        now: Timestamp,
        jitter: u8,
        policy: Policy,
    ) -> Result<Vec<Stepped>, StoreError> {
        let mut state = self.lock();
        let Some(held) = state.devices.get_mut(device) else { return Ok(Vec::new()) };
        let open = held.commands.iter().filter(|command| command.is_open()).cloned().collect();
        let stepped = outbox::turn(open, now, jitter, &policy);
        held.replace(&stepped);
        Ok(stepped)
    }

    async fn due_commands(
        &self,
        now: Timestamp,
        jitter: u8,
        policy: Policy,
        limit: usize,
    ) -> Result<Vec<Stepped>, StoreError> {
        let mut state = self.lock();
        let mut due: Vec<Command> = state
            .devices
            .values()
            .flat_map(|held| &held.commands)
            .filter(|command| command.due_at.is_some_and(|due| due <= now))
            .cloned()
            .collect();
        due.sort_by(|a, b| (a.due_at, &a.device, &a.id).cmp(&(b.due_at, &b.device, &b.id)));
        due.truncate(limit);
        let stepped: Vec<Stepped> = due
            .into_iter()
            .filter_map(|command| outbox::step(command, Input::Timeout { jitter }, now, &policy))
            .collect();
        for step in &stepped {
            if let Some(held) = state.devices.get_mut(&step.0.device) {
                held.replace(std::slice::from_ref(step));
            }
        }
        Ok(stepped)
    }

    async fn recover_commands(&self, now: Timestamp, policy: Policy) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let sent = state.devices.values_mut().flat_map(|held| &mut held.commands);
        let lost = sent
            .filter(|command| command.status == Status::Sent)
            .map(|command| command.handle(Input::Lost, now, &policy))
            .filter(|output| *output != Output::Nothing)
            .count();
        Ok(lost as u64)
    }
}

#[async_trait]
impl MessageStore for Memory {
    async fn create_message(&self, message: Message, pending_max: usize) -> Result<(), StoreError> {
        let mut state = self.lock();
        let held = state.devices.get_mut(&message.device).ok_or(StoreError::Missing)?;
        keep(&mut held.messages, message, pending_max)
    }

    async fn message(
        &self,
        device: &DeviceId,
        id: &MessageId,
    ) -> Result<Option<Message>, StoreError> {
        let state = self.lock();
        let held = state.devices.get(device);
        Ok(held.and_then(|held| held.messages.iter().find(|known| known.id == *id).cloned()))
    }

    async fn messages(
        &self,
        device: &DeviceId,
        wanted: &Page,
    ) -> Result<Listing<Message>, StoreError> {
        let state = self.lock();
        let messages = state.devices.get(device).map_or(&[][..], |held| &held.messages);
        Ok(page(messages, wanted, |_| true))
    }

    async fn waiting_messages(&self, device: &DeviceId) -> Result<Vec<Message>, StoreError> {
        let state = self.lock();
        let messages = state.devices.get(device).map_or(&[][..], |held| &held.messages);
        Ok(messages.iter().filter(|message| message.is_open()).cloned().collect())
    }

    async fn step_message(
        &self,
        device: &DeviceId,
        id: &MessageId,
        input: message::Input,
        now: Timestamp,
    ) -> Result<(Message, bool), StoreError> {
        let mut state = self.lock();
        let held = state.devices.get_mut(device).ok_or(StoreError::Missing)?;
        let message = held.messages.iter_mut().find(|known| known.id == *id);
        let message = message.ok_or(StoreError::Missing)?;
        let changed = message.handle(input, now);
        Ok((message.clone(), changed))
    }

    async fn due_messages(&self, now: Timestamp, limit: usize) -> Result<Vec<Message>, StoreError> {
        let mut state = self.lock();
        let messages = state.devices.values_mut().flat_map(|held| &mut held.messages);
        let mut due: Vec<&mut Message> =
            messages.filter(|message| message.due_at.is_some_and(|due| due <= now)).collect();
        due.sort_by(|a, b| (a.due_at, &a.device, &a.id).cmp(&(b.due_at, &b.device, &b.id)));
        due.truncate(limit);
        let ended = due.into_iter().filter_map(|message| {
            message.handle(message::Input::Timeout, now).then(|| message.clone())
        });
        Ok(ended.collect())
    }

    async fn delete_message(&self, device: &DeviceId, id: &MessageId) -> Result<(), StoreError> {
        let mut state = self.lock();
        let held = state.devices.get_mut(device).ok_or(StoreError::Missing)?;
        let before = held.messages.len();
        held.messages.retain(|message| message.id != *id);
        if held.messages.len() < before { Ok(()) } else { Err(StoreError::Missing) }
    }

    async fn awaited_devices(&self) -> Result<Vec<DeviceId>, StoreError> {
        let state = self.lock();
        let awaited = state.devices.iter().filter(|(_, held)| {
            held.commands.iter().any(Item::is_open) || held.messages.iter().any(Item::is_open)
        });
        Ok(awaited.map(|(id, _)| id.clone()).collect())
    }
}

impl Held {
    fn replace(&mut self, stepped: &[Stepped]) {
        for (after, _) in stepped {
            if let Some(known) = self.commands.iter_mut().find(|known| known.id == after.id) {
                *known = after.clone();
            }
        }
    }
}
