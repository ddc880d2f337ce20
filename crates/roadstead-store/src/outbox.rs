//! What commands and messages have in common for an engine: a queue and a history per device.
//!
//! Not here: their decisions (core), finding and keeping (the engines).

use roadstead_core::command::queue::{Command, Input, Output, Policy};
use roadstead_core::limit::{COMMANDS_KEPT_MAX, MESSAGES_KEPT_MAX};
use roadstead_core::message::{self, Message};
use roadstead_core::port::{CommandFilter, Stepped, StoreError};
use roadstead_core::{DeviceId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One thing that waits for a device or did.
pub(crate) trait Item: Clone + Serialize + DeserializeOwned + Send + 'static {
    /// Which kind; part of the key.
    const KIND: i64;
    /// Ended ones kept per device.
    const KEPT_MAX: usize;
    /// What the limit of waiting ones is called.
    const WAITING: &'static str;

    fn id(&self) -> &str;
    fn device(&self) -> &DeviceId;
    fn name(&self) -> &str;
    fn status(&self) -> &'static str;
    fn is_open(&self) -> bool;
    /// It counts against the limit of waiting ones.
    fn is_pending(&self) -> bool;
    fn created_at(&self) -> Timestamp;
    fn due_at(&self) -> Option<Timestamp>;
}

impl Item for Command {
    const KIND: i64 = 0;
    const KEPT_MAX: usize = COMMANDS_KEPT_MAX;
    const WAITING: &'static str = "commands that wait for one device";

    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn device(&self) -> &DeviceId {
        &self.device
    }
    fn name(&self) -> &str {
        &self.command
    }
    fn status(&self) -> &'static str {
        self.status.name()
    }
    fn is_open(&self) -> bool {
        self.status.is_open()
    }
    fn is_pending(&self) -> bool {
        self.status == roadstead_core::command::queue::Status::Pending
    }
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
    fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }
}

impl Item for Message {
    const KIND: i64 = 1;
    const KEPT_MAX: usize = MESSAGES_KEPT_MAX;
    const WAITING: &'static str = "messages that wait for one device";

    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn device(&self) -> &DeviceId {
        &self.device
    }
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
    fn status(&self) -> &'static str {
        self.status.name()
    }
    fn is_open(&self) -> bool {
        self.is_pending()
    }
    fn is_pending(&self) -> bool {
        self.status == message::Status::Pending
    }
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
    fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }
}

/// True when a list with this filter shows the command.
pub(crate) fn matches(command: &Command, filter: &CommandFilter) -> bool {
    let CommandFilter { open, status, command: name, since, until } = filter;
    open.is_none_or(|open| command.status.is_open() == open)
        && status.is_none_or(|status| command.status == status)
        && name.as_ref().is_none_or(|name| command.command == *name)
        && since.is_none_or(|since| command.created_at >= since)
        && until.is_none_or(|until| command.created_at < until)
}

/// Gives the turn to the next of a device's open commands; returns those that changed, the one to
/// send last.
pub(crate) fn turn(
    mut queue: Vec<Command>,
    now: Timestamp,
    jitter: u8,
    policy: &Policy,
) -> Vec<Stepped> {
    let before = queue.clone();
    let sent = roadstead_core::command::queue::turn(&mut queue, now, jitter, policy);
    let changed = queue.into_iter().zip(before).enumerate().filter(|(_, (a, b))| a != b);
    let mut stepped: Vec<Stepped> = changed
        .map(|(n, (after, _))| {
            (after, if sent == Some(n) { Output::Send } else { Output::Changed })
        })
        .collect();
    stepped.sort_by_key(|(_, output)| *output == Output::Send);
    stepped
}

/// Feeds one input; `None` when nothing changed.
pub(crate) fn step(
    mut command: Command,
    input: Input,
    now: Timestamp,
    policy: &Policy,
) -> Option<Stepped> {
    match command.handle(input, now, policy) {
        Output::Nothing => None,
        output @ (Output::Changed | Output::Send) => Some((command, output)),
    }
}

/// The failure of one item too many.
pub(crate) fn full<I: Item>() -> StoreError {
    StoreError::Limit(I::WAITING)
}
