//! What waits for devices: asynchronous commands and messages, with their history.
//!
//! Decisions are [`crate::command::queue`] and [`crate::message`]; every method that feeds an
//! input does so inside the transaction that keeps the outcome, so two callers never both send
//! one command. Everything dies with its device.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::{Listing, Page, StoreError};
use crate::command::queue::{self, Command, Output, Policy};
use crate::message::{self, Message};
use crate::{CommandId, DeviceId, MessageId, Timestamp};

/// Which commands a list shows; all given conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandFilter {
    /// In the queue, or in the history.
    pub open: Option<bool>,
    /// In this state.
    pub status: Option<queue::Status>,
    /// With this name.
    pub command: Option<Box<str>>,
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
}

/// A command that changed, and what follows.
pub type Stepped = (Command, Output);

/// Asynchronous commands.
#[async_trait]
pub trait CommandStore: Send + Sync {
    /// Keeps a new command. `Exists` when its id is taken on this device, `Limit` when
    /// `pending_max` wait already, `Missing` without the device. The oldest ended ones past
    /// [`crate::limit::COMMANDS_KEPT_MAX`] are forgotten.
    async fn create_command(&self, command: Command, pending_max: usize) -> Result<(), StoreError>;

    /// Returns a command.
    async fn command(
        &self,
        device: &DeviceId,
        id: &CommandId,
    ) -> Result<Option<Command>, StoreError>;

    /// Lists commands of a device, newest first; `page.after` is the id of a command.
    async fn commands(
        &self,
        device: &DeviceId,
        filter: &CommandFilter,
        page: &Page,
    ) -> Result<Listing<Command>, StoreError>;

    /// Feeds one input ([`Command::handle`]); returns the command after it. `Missing` without it.
    async fn step_command(
        &self,
        device: &DeviceId,
        id: &CommandId,
        input: queue::Input,
        now: Timestamp,
        policy: Policy,
    ) -> Result<Stepped, StoreError>;

    /// Gives the turn to a device's next command ([`queue::turn`]); returns all that changed, the
    /// one to send last.
    async fn next_command(
        &self,
        device: &DeviceId,
        now: Timestamp,
        jitter: u8,
        policy: Policy,
    ) -> Result<Vec<Stepped>, StoreError>;

    /// Feeds a time-out to the commands of all devices that are due, earliest first, at most
    /// `limit`; returns all that changed.
    async fn due_commands(
        &self,
        now: Timestamp,
        jitter: u8,
        policy: Policy,
        limit: usize,
    ) -> Result<Vec<Stepped>, StoreError>;

    /// After a start: every command that was on its way without an acknowledgement lost its
    /// connection. Returns how many.
    async fn recover_commands(&self, now: Timestamp, policy: Policy) -> Result<u64, StoreError>;
}

/// Messages.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Keeps a new message. `Exists` when its id is taken on this device, `Limit` when
    /// `pending_max` wait already, `Missing` without the device. The oldest finished ones past
    /// [`crate::limit::MESSAGES_KEPT_MAX`] are forgotten.
    async fn create_message(&self, message: Message, pending_max: usize) -> Result<(), StoreError>;

    /// Returns a message.
    async fn message(
        &self,
        device: &DeviceId,
        id: &MessageId,
    ) -> Result<Option<Message>, StoreError>;

    /// Lists messages of a device, newest first; `page.after` is the id of a message.
    async fn messages(
        &self,
        device: &DeviceId,
        page: &Page,
    ) -> Result<Listing<Message>, StoreError>;

    /// Returns the messages that wait for a device, oldest first.
    async fn waiting_messages(&self, device: &DeviceId) -> Result<Vec<Message>, StoreError>;

    /// Feeds one input ([`Message::handle`]); returns the message after it and whether it
    /// changed. `Missing` without it.
    async fn step_message(
        &self,
        device: &DeviceId,
        id: &MessageId,
        input: message::Input,
        now: Timestamp,
    ) -> Result<(Message, bool), StoreError>;

    /// Feeds a time-out to the messages of all devices that are due, earliest first, at most
    /// `limit`; returns those that changed.
    async fn due_messages(&self, now: Timestamp, limit: usize) -> Result<Vec<Message>, StoreError>;

    /// Forgets a message. `Missing` without it.
    async fn delete_message(&self, device: &DeviceId, id: &MessageId) -> Result<(), StoreError>;

    /// Returns every device with a command in its queue or a message that waits.
    async fn awaited_devices(&self) -> Result<Vec<DeviceId>, StoreError>;
}
