//! Requests to devices: checked against the model, sent to the live connection, traced both ways.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::code::StoreFailure;
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::exchange::Downlink;
use roadstead_core::limit::{COMMAND_DEADLINE, COMMAND_DEADLINE_MAX};
use roadstead_core::port::StoreError;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{DeviceId, Map, SpaceId, Tick, Value};
use roadstead_dialects::cloud::Account;
use tokio::sync::oneshot;

use super::Platform;
use super::child::BRIDGE;
use super::model::{check_get, check_input, check_set};
use crate::directory::{Link, Order};

/// Kind of a waiting message that tells a device that its owner gave it up; the store writes it
/// in the transaction that ends the binding.
const KIND_UNBOUND: &str = "unbound";

impl Platform {
    /// Sends a request to a device of the space and waits for its answer, at most for `deadline`
    /// (by default [`COMMAND_DEADLINE`]). For a sub-device it goes to the gateway's connection.
    ///
    /// # Errors
    ///
    /// `command.*`, `device.unknown`; nothing was sent after `command.model`, `command.offline`,
    /// `command.unsupported`, `command.too_large`.
    pub async fn request(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        request: Downlink,
        deadline: Option<Duration>,
    ) -> Result<Outcome, CommandError> {
        let sent = self.hand_over(space, device, request, deadline).await?;
        self.settle(sent).await
    }

    /// Sends something that nobody waits for. What is sent by one caller one after the other
    /// arrives in that order; the trace has the results.
    pub(super) async fn post(
        self: &Arc<Self>,
        space: &SpaceId,
        device: &DeviceId,
        request: Downlink,
    ) {
        if let Ok(sent) = self.hand_over(space, device, request, None).await {
            let platform = self.clone();
            tokio::spawn(async move { drop(platform.settle(sent).await) });
        }
    }

    /// Hands a request to the live connection.
    async fn hand_over(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        request: Downlink,
        deadline: Option<Duration>,
    ) -> Result<Sent, CommandError> {
        let account = self.account_in(space, device).await?;
        let asked = deadline.or(request.deadline()).unwrap_or(COMMAND_DEADLINE);
        let deadline = asked.min(COMMAND_DEADLINE_MAX);
        let what = request.name();
        let mark = self.trace_mark();
        let shown = show(&request);
        let shown = format!("{}{mark}", cut(&shown));
        let started = self.clock.tick();
        let link = match self.checked_link(&account, &request).await {
            Ok(link) => link,
            Err(error) => {
                let now = self.clock.now();
                let text = format!("{error}: {shown}");
                self.note(device, Entry::new(now, Hop::Api, what, error.code(), &text));
                self.observer.count(what, error.code());
                return Err(error);
            }
        };
        self.note(device, Entry::new(self.clock.now(), Hop::Down, what, "ok", &shown));
        let answer = order(link.as_ref(), account, request, deadline);
        Ok(Sent { device: device.clone(), what, mark, started, deadline, answer })
    }

    /// Waits for the result of a request and notes it.
    async fn settle(&self, sent: Sent) -> Result<Outcome, CommandError> {
        let Sent { device, what, mark, started, deadline, answer } = sent;
        let result = match answer {
            Ok(answer) => wait(answer, deadline).await,
            Err(error) => Err(error),
        };
        let spent = self.clock.tick().since(started).as_millis();
        let (hop, code, text) = match &result {
            Ok(Outcome::Answered(answer)) => {
                let text = format!("{what}: code {} {}, {spent} ms", answer.code, answer.status);
                (Hop::Up, "ok", text)
            }
            Ok(Outcome::Delivered) => (Hop::Up, "ok", format!("{what}: delivered, {spent} ms")),
            Err(error) => (Hop::Cloud, error.code(), format!("{what}: {error}, {spent} ms")),
        };
        let text = format!("{text}{mark}");
        self.note(&device, Entry::new(self.clock.now(), hop, "result", code, &text));
        self.observer.count(what, code);
        result
    }

    /// Returns what waits for a device.
    pub(super) async fn waiting(&self, device: &DeviceId) -> Vec<(u64, Downlink)> {
        let rows = match self.store.pending(device).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, %device, "reading what waits for a device");
                return Vec::new();
            }
        };
        let read = |(sequence, kind, _): (u64, Box<str>, Box<str>)| {
            let request = read_waiting(&kind);
            if request.is_none() {
                tracing::warn!(%device, kind, "a waiting message cannot be read");
            }
            Some((sequence, request?))
        };
        rows.into_iter().filter_map(read).collect()
    }

    /// Delivers what waits for a device if it is on line now.
    pub(super) fn deliver_waiting(self: &Arc<Self>, device: &DeviceId) {
        let (platform, device) = (self.clone(), device.clone());
        tokio::spawn(async move {
            let Ok(Some(known)) = platform.store.device(&device).await else { return };
            for (sequence, request) in platform.waiting(&device).await {
                // Off line or not listening: it is delivered after the next log-in.
                if platform.request(&known.space, &device, request, None).await.is_err() {
                    return;
                }
                if let Err(error) = platform.store.pop_pending(&device, sequence).await {
                    return tracing::warn!(%error, %device, "forgetting a delivered message");
                }
            }
        });
    }

    /// Returns a device with its product, if it is in the space.
    pub(super) async fn account_in(
        &self,
        space: &SpaceId,
        device: &DeviceId,
    ) -> Result<Account, CommandError> {
        let unknown = || CommandError::UnknownDevice(device.as_str().into());
        let found = self.store.device(device).await.map_err(failed)?;
        let device = found.filter(|found| found.space == *space).ok_or_else(unknown)?;
        let product = self.store.product(&device.product).await.map_err(failed)?;
        Ok(Account { product: product.ok_or_else(unknown)?, device })
    }

    pub(super) async fn checked_link(
        &self,
        account: &Account,
        request: &Downlink,
    ) -> Result<Arc<dyn Link>, CommandError> {
        let model = &account.product.model;
        match request {
            Downlink::SetProperties { service, properties } => {
                check_set(model, service, properties)?;
            }
            Downlink::GetProperties { service, properties } => {
                check_get(model, service, properties)?;
            }
            Downlink::Command { service, command, params } => {
                check_input(model, service, command, params)?;
            }
            Downlink::Message { .. }
            | Downlink::Call(_)
            | Downlink::Unbound
            | Downlink::Moved
            | Downlink::LogLevel(_)
            | Downlink::Config(_)
            | Downlink::SubDevicesChanged { .. }
            | Downlink::Standing(_)
            | Downlink::SubDevicesStanding { .. }
            | Downlink::InviteSubDevices(_)
            | Downlink::Admit(_)
            | Downlink::SearchSubDevices { .. } => {}
        }
        self.link_of(account).await?.ok_or(CommandError::Offline)
    }

    /// Returns the connection of a device, or of the gateway behind which it is on line.
    pub(super) async fn link_of(
        &self,
        account: &Account,
    ) -> Result<Option<Arc<dyn Link>>, CommandError> {
        if let Some(link) = self.directory.find(&account.device.id) {
            return Ok(Some(link));
        }
        let presence = self.store.presence(&account.device.id).await.map_err(failed)?;
        let is_bridged = presence.transport.as_deref() == Some(BRIDGE);
        let bridge = presence.peer.as_deref().filter(|_| is_bridged).map(DeviceId::from);
        match bridge.as_ref().or(account.device.gateway.as_ref()) {
            Some(through) if presence.online => Ok(self.directory.find(through)),
            Some(_) | None => Ok(None),
        }
    }
}

type Waiting = oneshot::Receiver<Result<Outcome, CommandError>>;

/// A request that was handed over.
struct Sent {
    device: DeviceId,
    what: &'static str,
    mark: String,
    started: Tick,
    deadline: Duration,
    answer: Result<Waiting, CommandError>,
}

/// Puts a request into the mailbox of a connection.
pub(super) fn order(
    link: &dyn Link,
    account: Account,
    request: Downlink,
    deadline: Duration,
) -> Result<Waiting, CommandError> {
    let deadline_ms = millis(deadline);
    let (result, answer) = oneshot::channel();
    let order = Order::Downlink { account, request, deadline_ms, result, acked: None };
    link.send(order).map(|()| answer).map_err(|_| CommandError::Busy)
}

async fn wait(answer: Waiting, deadline: Duration) -> Result<Outcome, CommandError> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(CommandError::Lost),
        Err(_) => Err(CommandError::Timeout(millis(deadline))),
    }
}

fn millis(deadline: Duration) -> u64 {
    u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)
}

fn read_waiting(kind: &str) -> Option<Downlink> {
    (kind == KIND_UNBOUND).then_some(Downlink::Unbound)
}

/// Leaves room for the mark behind a text that the trace would cut.
pub(super) fn cut(text: &str) -> &str {
    const ROOM: usize = roadstead_core::limit::TRACE_TEXT_BYTES_MAX - 160;
    let end = text.char_indices().map(|(n, _)| n).take_while(|n| *n <= ROOM).last();
    match text.len() > ROOM {
        true => &text[..end.unwrap_or(0)],
        false => text,
    }
}

/// Returns the line of the trace.
pub(super) fn show(request: &Downlink) -> String {
    let json = |values: &Map<String, Value>| {
        serde_json::to_string(values).unwrap_or_else(|error| error.to_string())
    };
    match request {
        Downlink::SetProperties { service, properties } => {
            format!("{service} {}", json(properties))
        }
        Downlink::GetProperties { service, properties } => {
            format!("{service} [{}]", properties.join(", "))
        }
        Downlink::Command { service, command, params } => {
            format!("{service}/{command} {}", json(params))
        }
        Downlink::Message { channel, payload, envelope, properties: _ } => {
            let id = envelope.as_ref().map_or("", |envelope| &*envelope.id);
            format!("{channel} {id} {} B", payload.len())
        }
        Downlink::Call(payload) => format!("{} B", payload.len()),
        Downlink::LogLevel(level) => format!("level {level}"),
        Downlink::SubDevicesChanged { attached, devices, facts: _ } => {
            format!("{} sub-devices, attached: {attached}", devices.len())
        }
        Downlink::SearchSubDevices { start } => format!("start: {start}"),
        Downlink::SubDevicesStanding { standing, devices } => {
            format!("{} sub-devices, {standing:?}", devices.len())
        }
        Downlink::Admit(device) => format!("{}/{}", device.product, device.node),
        Downlink::InviteSubDevices(devices) => format!("{} sub-devices", devices.len()),
        Downlink::Unbound | Downlink::Moved | Downlink::Config(_) | Downlink::Standing(_) => {
            String::new()
        }
    }
}

fn failed(error: StoreError) -> CommandError {
    let text = || StoreFailure(error.to_string().into());
    CommandError::Store(if let StoreError::Engine(failure) = &error {
        failure.clone()
    } else {
        text()
    })
}
