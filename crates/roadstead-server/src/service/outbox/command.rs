//! Asynchronous commands: create, list, cancel, and the worker that sends them one by one.

use std::sync::Arc;

use roadstead_core::command::queue::{Answer, Command, Input, Output, Status, Strategy};
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::exchange::{Downlink, Response};
use roadstead_core::limit::{
    COMMAND_EXPIRE_MAX, COMMAND_PARAMS_BYTES_MAX, ID_BYTES_MAX, PAGE_ITEMS_MAX,
};
use roadstead_core::port::{CommandFilter, Listing, Page, Stepped, StoreError};
use roadstead_core::product::DEFAULT_SERVICE;
use roadstead_core::{CommandId, DeviceId, Map, SpaceId, Timestamp, Value};
use tokio::sync::oneshot;

use super::{DUE_MAX, Error, Key, Lane, Platform, Signal};
use crate::directory::Order;

/// Name of its hops in the trace.
const WHAT: &str = "async_command";

/// An asynchronous command to create.
#[derive(Clone, Debug)]
pub struct NewCommand {
    /// The service; the first one that has the command when absent.
    pub service: Option<String>,
    /// The command of the thing model.
    pub command: String,
    /// Canonical parameters.
    pub params: Map<String, Value>,
    /// When it leaves.
    pub strategy: Strategy,
    /// How long it may wait, seconds; 0 and absent mean the default.
    pub expire_s: Option<u64>,
}

impl Platform {
    /// Keeps a command for a device and sends it when its turn comes. The answer is the command
    /// as it stands a moment later.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `command.model`, `command.too_large`, `api.bad_request`, `api.quota`
    /// when too many wait, `command.offline` for one that must leave immediately.
    pub async fn create_command(
        self: &Arc<Self>,
        space: &SpaceId,
        device: &DeviceId,
        new: NewCommand,
    ) -> Result<Command, Error> {
        let account = self.account_in(space, device).await?;
        let checked = self.checked_command(&account.product.model, device, new);
        let command = checked.inspect_err(|error| {
            self.note_step(device, WHAT, error.code(), &error.to_string());
        })?;
        let is_reachable = self.link_of(&account).await?.is_some();
        if command.strategy == Strategy::Immediately && !is_reachable {
            let text = format!("{} {}: not on line", command.id, command.command);
            self.note_step(device, WHAT, "command.offline", &text);
            return Err(CommandError::Offline.into());
        }
        let pending_max = self.config.downlink.commands_pending_max;
        let key: Key = (device.clone(), Lane::Commands);
        let id = command.id.clone();
        let watcher = self.outbox.watch(&key, id.as_str());
        self.outbox.awaited.lock().insert(device.clone());
        self.note_step(device, WHAT, "ok", &format!("{id} {}: PENDING", command.command));
        if let Err(error) = self.store.create_command(command, pending_max).await {
            self.outbox.tell(&key, id.as_str());
            self.note_step(device, WHAT, error.code(), &format!("{id}: {error}"));
            return Err(error.into());
        }
        if is_reachable {
            self.poke(device, Lane::Commands);
            self.first_news(watcher, &key, id.as_str()).await;
        } else {
            self.outbox.tell(&key, id.as_str());
        }
        self.command(space, device, &id).await
    }

    fn checked_command(
        &self,
        model: &roadstead_core::product::Model,
        device: &DeviceId,
        new: NewCommand,
    ) -> Result<Command, Error> {
        let NewCommand { service, command, params, strategy, expire_s } = new;
        if command.is_empty() || command.len() > ID_BYTES_MAX {
            return Err(Error::Invalid(format!("command_name: 1 to {ID_BYTES_MAX} bytes")));
        }
        let size = serde_json::to_vec(&params).map_or(usize::MAX, |json| json.len());
        if size > COMMAND_PARAMS_BYTES_MAX {
            return Err(CommandError::TooLarge { size, limit: COMMAND_PARAMS_BYTES_MAX }.into());
        }
        let most = COMMAND_EXPIRE_MAX.as_secs();
        let expire_s = match expire_s.unwrap_or(0) {
            0 => self.config.downlink.command_expire.as_secs(),
            asked if asked > most => {
                return Err(Error::Invalid(format!("expire_time: at most {most} seconds")));
            }
            asked => asked,
        };
        let expire_s = u32::try_from(expire_s.min(most)).unwrap_or(u32::MAX);
        let found = model.command(&command).map(|(service, _)| (*service.id).to_owned());
        let service = service.or(found).unwrap_or_else(|| DEFAULT_SERVICE.to_owned());
        crate::service::model::check_input(model, &service, &command, &params)?;
        let now = self.clock.now();
        let id = self.random.id();
        let mut command = Command {
            id: id.as_str().into(),
            device: device.clone(),
            service: service.into(),
            command: command.into(),
            params,
            strategy,
            expire_s,
            status: Status::Pending,
            created_at: now,
            sent_at: None,
            delivered_at: None,
            answered_at: None,
            ended_at: None,
            due_at: None,
            sends: 0,
            is_parked: false,
            answer: None,
            reason: None,
        };
        command.due_at = Some(now + command.expire());
        Ok(command)
    }

    /// Returns an asynchronous command of a device of the space.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.not_found`.
    pub async fn command(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        id: &CommandId,
    ) -> Result<Command, Error> {
        self.device_in(space, device).await?;
        let found = self.store.command(device, id).await?;
        found.ok_or(Error::NotFound("asynchronous command"))
    }

    /// Lists asynchronous commands of a device of the space, newest first.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn commands(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        filter: &CommandFilter,
        page: &Page,
    ) -> Result<Listing<Command>, Error> {
        self.device_in(space, device).await?;
        Ok(self.store.commands(device, filter, page).await?)
    }

    /// Takes a command back that was not sent yet.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.not_found`, `api.conflict` when it is past that.
    pub async fn cancel_command(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        id: &CommandId,
    ) -> Result<Command, Error> {
        self.device_in(space, device).await?;
        match self.step(device, id, Input::Cancel).await {
            Ok((command, Output::Nothing)) => Err(Error::Conflict(format!(
                "only a pending command can be cancelled, this one is {}",
                command.status.name()
            ))),
            Ok((command, Output::Changed | Output::Send)) => Ok(command),
            Err(Error::Store(StoreError::Missing)) => Err(Error::NotFound("asynchronous command")),
            Err(error) => Err(error),
        }
    }

    /// Ends what is due and wakes the queues behind it.
    pub(super) async fn sweep_commands(self: &Arc<Self>, now: Timestamp) -> Result<(), Error> {
        let (jitter, policy) = (self.jitter(), self.command_policy());
        for step in self.store.due_commands(now, jitter, policy, DUE_MAX).await? {
            self.stepped(&step);
            self.poke(&step.0.device, Lane::Commands);
        }
        Ok(())
    }

    /// Sends commands of a device as long as there is one to send.
    pub(super) async fn work_commands(
        &self,
        device: &DeviceId,
        signal: &Signal,
    ) -> Result<(), Error> {
        loop {
            let Some(known) = self.store.device(device).await? else { return Ok(()) };
            let account = self.account_in(&known.space, device).await?;
            if self.link_of(&account).await?.is_none() {
                return self.nobody_there(device).await;
            }
            let (now, jitter) = (self.clock.now(), self.jitter());
            let policy = self.command_policy();
            let stepped = self.store.next_command(device, now, jitter, policy).await?;
            stepped.iter().for_each(|step| self.stepped(step));
            let Some((command, Output::Send)) = stepped.into_iter().next_back() else {
                return self.look_whether_awaited(device).await;
            };
            if !self.perform(&command, signal).await? {
                return Ok(());
            }
        }
    }

    /// What had to leave at once and cannot has failed.
    async fn nobody_there(&self, device: &DeviceId) -> Result<(), Error> {
        let status = Some(Status::Pending);
        let filter = CommandFilter { status, ..CommandFilter::default() };
        let limit = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
        let page = Page { limit, ..Page::default() };
        let pending = self.store.commands(device, &filter, &page).await?.items;
        for command in pending.iter().rev().filter(|c| c.strategy == Strategy::Immediately) {
            self.step(device, &command.id, Input::Unsendable("command.offline".into())).await?;
        }
        Ok(())
    }

    /// Forgets a device for which nothing waits.
    pub(super) async fn look_whether_awaited(&self, device: &DeviceId) -> Result<(), Error> {
        let filter = CommandFilter { open: Some(true), ..CommandFilter::default() };
        let page = Page { limit: 1, ..Page::default() };
        let commands = self.store.commands(device, &filter, &page).await?.total;
        if commands == 0 && self.store.waiting_messages(device).await?.is_empty() {
            self.outbox.awaited.lock().remove(device);
            // One that was created meanwhile entered the set before the store.
            if self.store.commands(device, &filter, &page).await?.total > 0
                || !self.store.waiting_messages(device).await?.is_empty()
            {
                self.outbox.awaited.lock().insert(device.clone());
            }
        }
        Ok(())
    }

    /// Sends one command and follows it to its answer, its loss or its end by a timer; true when
    /// the next one may have its turn.
    async fn perform(&self, command: &Command, signal: &Signal) -> Result<bool, Error> {
        let Command { device, id, .. } = command;
        let request = Downlink::Command {
            service: command.service.clone(),
            command: command.command.clone(),
            params: command.params.clone(),
        };
        let Some(known) = self.store.device(device).await? else { return Ok(false) };
        let account = self.account_in(&known.space, device).await?;
        let link = match self.checked_link(&account, &request).await {
            Ok(link) => link,
            Err(error) => return self.unsent(command, &error).await,
        };
        let policy = self.command_policy();
        let wait = policy.ack_wait(1, u8::MAX) + policy.answer_wait;
        let deadline_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let (result, mut answer) = oneshot::channel();
        let (acked, mut ack) = oneshot::channel();
        let order = Order::Downlink { account, request, deadline_ms, result, acked: Some(acked) };
        if link.send(order).is_err() {
            return self.unsent(command, &CommandError::Busy).await;
        }
        let mut waits_for_ack = true;
        loop {
            tokio::select! {
                biased;
                acked = &mut ack, if waits_for_ack => {
                    waits_for_ack = false;
                    if acked.is_ok() {
                        self.step(device, id, Input::Acked).await?;
                    }
                }
                result = &mut answer => {
                    let result = result.unwrap_or(Err(CommandError::Lost));
                    return self.answered(command, result).await;
                }
                () = signal.changed.notified() => {
                    let now = self.store.command(device, id).await?;
                    if now.is_none_or(|command| !command.is_in_flight()) {
                        // A timer ended it, or its device is gone: nobody waits any longer.
                        return Ok(true);
                    }
                }
            }
        }
    }

    async fn answered(
        &self,
        command: &Command,
        result: Result<Outcome, CommandError>,
    ) -> Result<bool, Error> {
        let Command { device, id, .. } = command;
        let input = match result {
            Ok(Outcome::Answered(response)) => Input::Answered(Answer::from(response)),
            // This kind is never answered: taken is done.
            Ok(Outcome::Delivered) => Input::Answered(Answer::from(Response {
                code: 0,
                status: "delivered".into(),
                output: Map::new(),
                payload: bytes::Bytes::new(),
            })),
            // Its timer ends it and wakes the queue.
            Err(CommandError::Timeout(_)) => return Ok(false),
            Err(error) => return self.unsent(command, &error).await,
        };
        self.step(device, id, input).await?;
        Ok(true)
    }

    /// A delayed command waits for the next time where there may be one. It must not get its turn
    /// again at once: that would be a busy loop.
    async fn unsent(&self, command: &Command, error: &CommandError) -> Result<bool, Error> {
        let delayed = command.strategy == Strategy::Delay;
        let passes = matches!(
            error,
            CommandError::Offline
                | CommandError::NotListening
                | CommandError::Busy
                | CommandError::Store(_)
        );
        let input = match matches!(error, CommandError::Lost) || (delayed && passes) {
            true => Input::Lost,
            false => Input::Unsendable(error.code().into()),
        };
        if matches!(error, CommandError::Busy) {
            let key = (command.device.clone(), Lane::Commands);
            self.outbox.retry(self.clock.now() + super::FIRST_NEWS, key);
        }
        let text = format!("{} {}: {error}", command.id, command.command);
        self.note_step(&command.device, WHAT, error.code(), &text);
        let (after, _) = self.step(&command.device, &command.id, input).await?;
        Ok(!after.status.is_open())
    }

    async fn step(
        &self,
        device: &DeviceId,
        id: &CommandId,
        input: Input,
    ) -> Result<Stepped, Error> {
        let (now, policy) = (self.clock.now(), self.command_policy());
        let step = self.store.step_command(device, id, input, now, policy).await?;
        if step.1 != Output::Nothing {
            self.stepped(&step);
        }
        Ok(step)
    }

    /// Notes a change of a command and tells its creator.
    fn stepped(&self, (command, _): &Stepped) {
        let code = command.reason.as_deref().unwrap_or("ok");
        let parked = if command.is_parked { ", connection lost, waits" } else { "" };
        let text = format!("{} {}: {}{parked}", command.id, command.command, command.status.name());
        self.note_step(&command.device, WHAT, code, &text);
        self.outbox.tell(&(command.device.clone(), Lane::Commands), command.id.as_str());
    }
}
