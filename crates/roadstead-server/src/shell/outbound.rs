//! What the platform says to a device: requests with and without an answer, what waited for it,
//! and free messages.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::exchange::{Downlink, Response, SubDevice};
use roadstead_core::message::Properties;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{DeviceId, RequestId};
use roadstead_dialects::cloud::{Account, Message};
use roadstead_wire::mqtt::packet::{Publish, PublishProperties, QoS, Reason};
use roadstead_wire::mqtt::session::{Class, Handle, Outgoing, PublishOutcome};
use roadstead_wire::mqtt::topic::Filter;
use tokio::sync::oneshot;

use super::Connection;
use super::mailbox::Letter;
use super::subscribe::Subscribing;
use super::work::Work;
use crate::directory::Order;
use crate::metrics::Queue;

/// Requests of one connection that wait for an answer or an acknowledgement.
const REQUESTS_MAX: usize = 64;
/// Sub-devices of one gateway whose registration is remembered.
const SUBS_MAX: usize = 128;
/// Confirmations of waiting requests on their way to the store.
const CONFIRMATIONS_MAX: usize = 64;

/// A request on its way.
pub(super) struct Request {
    id: RequestId,
    /// It is resolved by the device's answer, not by its acknowledgement.
    wants_answer: bool,
    due: u64,
    deadline_ms: u64,
    result: Waiter,
    acked: Option<oneshot::Sender<()>>,
}

/// Where the result of a request goes.
type Waiter = oneshot::Sender<Result<Outcome, CommandError>>;

impl Request {
    /// Hands the device's answer to whoever waits for it.
    pub(super) fn answer(self, response: Response) {
        let _ = self.result.send(Ok(Outcome::Answered(response)));
    }
}

/// Rarely needed parts of a connection.
#[derive(Default)]
pub(super) struct Side {
    /// What waited for the device is being fetched.
    fetch: Option<BoxFuture<'static, Vec<(u64, Downlink)>>>,
    /// Deliveries on their way to the store.
    confirmations: VecDeque<BoxFuture<'static, ()>>,
    pub(super) subscribing: Vec<Subscribing>,
    /// Known sub-devices, the latest last.
    subs: VecDeque<(SubDevice, Account)>,
}

impl Side {
    pub(super) fn is_empty(&self) -> bool {
        self.fetch.is_none()
            && self.confirmations.is_empty()
            && self.subscribing.is_empty()
            && self.subs.is_empty()
    }
}

/// What a handle of the session machine stands for.
enum Mark {
    Request(RequestId),
    Waited(u64),
}

impl Mark {
    fn handle(&self) -> Handle {
        match self {
            Self::Request(id) => Handle(id.0 << 1),
            Self::Waited(sequence) => Handle(sequence << 1 | 1),
        }
    }

    fn of(handle: Handle) -> Self {
        match handle.0 & 1 {
            0 => Self::Request(RequestId(handle.0 >> 1)),
            _ => Self::Waited(handle.0 >> 1),
        }
    }
}

impl Connection {
    /// Reads the mailbox, unless older messages are still being fetched.
    pub(super) fn take_letters(&mut self, now: u64, work: &mut Work) {
        if self.side.as_ref().is_some_and(|side| side.fetch.is_some()) {
            return;
        }
        for letter in self.mailbox.take() {
            match letter {
                Letter::Free(publish) => self.send_free(*publish, now, work),
                Letter::Order(Order::Downlink { account, request, deadline_ms, result, acked }) => {
                    let waiter = (deadline_ms, result, acked);
                    self.request(&account, &request, waiter, now, work);
                }
                Letter::Order(Order::Reload(account)) => self.reload(account),
                // Has its own place in the mailbox.
                Letter::Order(Order::Close(_)) => {}
            }
        }
    }

    fn reload(&mut self, account: Account) {
        if account.device.id == self.account.device.id {
            self.account = account;
        }
        self.forget_subs();
    }

    /// Sends a message of a free topic.
    pub(super) fn send_free(&mut self, publish: Publish, now: u64, work: &mut Work) {
        let before = self.server.dropped();
        let outgoing =
            Outgoing { publish, handle: None, class: Class::Telemetry, deadline_ms: None };
        self.server.publish(outgoing, now, &mut work.todo);
        let dropped = self.server.dropped().saturating_sub(before);
        self.shared.metrics.dropped(Queue::Outbound, dropped);
    }

    fn request(
        &mut self,
        account: &Account,
        request: &Downlink,
        (deadline_ms, result, acked): (u64, Waiter, Option<oneshot::Sender<()>>),
        now: u64,
        work: &mut Work,
    ) {
        if result.is_closed() {
            return;
        }
        // The result may have lost interest; then nobody needs it.
        if self.requests.len() >= REQUESTS_MAX {
            self.shared.metrics.dropped(Queue::Requests, 1);
            let _ = result.send(Err(CommandError::Busy));
            return;
        }
        if let Downlink::SubDevicesChanged { .. } | Downlink::SubDevicesStanding { .. } = request {
            self.forget_subs();
        }
        let id = self.shared.next_request();
        let wants_answer = request.deadline().is_some();
        let due = now.saturating_add(deadline_ms);
        // Entered first: without QoS the outcome is there before the call returns.
        self.requests.push(Request { id, wants_answer, due, deadline_ms, result, acked });
        let mark = Mark::Request(id);
        let asked = wants_answer.then_some(id);
        if let Err(error) = self.write(account, asked, request, (&mark, Some(due)), now, work) {
            self.resolve(id, Err(error));
        }
    }

    /// Lets the dialect write a request and sends it.
    fn write(
        &mut self,
        account: &Account,
        id: Option<RequestId>,
        request: &Downlink,
        (mark, due): (&Mark, Option<u64>),
        now: u64,
        work: &mut Work,
    ) -> Result<(), CommandError> {
        let date = self.shared.clock.now();
        let mut messages = std::mem::take(&mut work.messages);
        messages.clear();
        let mut outcome = self.session.downlink(account, id, request, date, &mut messages);
        let mut grants = [QoS::AtMostOnce; 4];
        if outcome.is_ok() {
            // All or nothing, and more than four messages for one request do not exist.
            let listening = messages.len() <= grants.len()
                && messages.iter().zip(&mut grants).all(|(message, grant)| {
                    self.listening(&message.topic).inspect(|qos| *grant = *qos).is_some()
                });
            if !listening {
                if let Some(id) = id {
                    self.session.forget(id);
                }
                outcome = Err(CommandError::NotListening);
            }
        }
        let code = outcome.as_ref().map_or_else(CommandError::code, |()| "ok");
        let topic = messages.first().map_or("", |message| &*message.topic);
        let entry = Entry::new(date, Hop::Down, request.name(), code, topic);
        self.shared.services.trace(&account.device.id, entry);
        if outcome.is_ok() {
            let last = messages.len();
            let beside = if let Downlink::Message { properties, .. } = request {
                properties.as_deref()
            } else {
                None
            };
            for (n, (message, qos)) in messages.drain(..).zip(grants).enumerate() {
                let handle = (n + 1 == last).then(|| mark.handle());
                let mut publish = platform_message(message, qos);
                publish.properties = beside.map(|beside| Box::new(publish_properties(beside)));
                self.deliver(publish, handle, due, now, work);
            }
        }
        work.messages = messages;
        outcome
    }

    /// Returns the QoS of the client's subscription of `topic`; `None` when it does not listen.
    pub(super) fn listening(&self, topic: &str) -> Option<QoS> {
        if !self.session.needs_subscription(topic) {
            return Some(QoS::AtLeastOnce);
        }
        let matches = |filter: &str| {
            filter == topic || Filter::parse(filter).is_ok_and(|filter| filter.matches(topic))
        };
        let granted = self.server.subscriptions().iter();
        granted.filter(|granted| matches(&granted.filter)).map(|granted| granted.options.qos).max()
    }

    /// Sends a platform message.
    pub(super) fn deliver(
        &mut self,
        publish: Publish,
        handle: Option<Handle>,
        deadline_ms: Option<u64>,
        now: u64,
        work: &mut Work,
    ) {
        let outgoing = Outgoing { publish, handle, class: Class::Command, deadline_ms };
        self.server.publish(outgoing, now, &mut work.todo);
    }

    /// Takes note of what became of a message.
    pub(super) fn resolved(&mut self, handle: Handle, outcome: PublishOutcome) {
        match Mark::of(handle) {
            Mark::Waited(sequence) => {
                if matches!(outcome, PublishOutcome::Sent | PublishOutcome::Acked) {
                    self.confirm(sequence);
                }
            }
            Mark::Request(id) => {
                let found = self.requests.iter_mut().find(|request| request.id == id);
                let Some(request) = found else { return };
                let result = match outcome {
                    PublishOutcome::Sent | PublishOutcome::Acked if request.wants_answer => {
                        if let Some(acked) = request.acked.take() {
                            let _ = acked.send(());
                        }
                        return;
                    }
                    PublishOutcome::Sent | PublishOutcome::Acked => Ok(Outcome::Delivered),
                    PublishOutcome::Lost => Err(CommandError::Lost),
                    PublishOutcome::Expired => Err(CommandError::Timeout(request.deadline_ms)),
                    PublishOutcome::Dropped | PublishOutcome::Refused(Reason::QuotaExceeded) => {
                        Err(CommandError::Busy)
                    }
                    PublishOutcome::Refused(Reason::PacketTooLarge) => {
                        let limit = self.shared.limits.packet_bytes_max;
                        Err(CommandError::TooLarge { size: limit + 1, limit })
                    }
                    PublishOutcome::Refused(_) => Err(CommandError::NotListening),
                };
                self.resolve(id, result);
            }
        }
    }

    /// Takes out the request that a device's answer belongs to, if it is still open.
    pub(super) fn take_request(&mut self, id: RequestId) -> Option<Request> {
        let at = self.requests.iter().position(|request| request.id == id)?;
        Some(self.requests.swap_remove(at))
    }

    fn resolve(&mut self, id: RequestId, result: Result<Outcome, CommandError>) {
        let Some(request) = self.take_request(id) else { return };
        if request.wants_answer {
            self.session.forget(id);
        }
        let _ = request.result.send(result);
    }

    /// Returns when the next request is overdue.
    pub(super) fn requests_due(&self) -> Option<u64> {
        self.requests.iter().map(|request| request.due).min()
    }

    /// Fails overdue requests.
    pub(super) fn expire_requests(&mut self, now: u64) {
        while let Some(request) = self.requests.iter().find(|request| now >= request.due) {
            let (id, deadline_ms) = (request.id, request.deadline_ms);
            self.resolve(id, Err(CommandError::Timeout(deadline_ms)));
        }
    }

    /// Fails every request: the connection is over.
    pub(super) fn lose_requests(&mut self) {
        for request in self.requests.drain(..) {
            let _ = request.result.send(Err(CommandError::Lost));
        }
    }

    /// Fetches what waited for the device.
    pub(super) fn fetch_waiting(&mut self) {
        let services = self.shared.services.clone();
        let (account, epoch) = (self.account.clone(), self.epoch);
        let side = self.side.get_or_insert_default();
        side.fetch = Some(Box::pin(async move { services.pending(&account, epoch).await }));
    }

    fn confirm(&mut self, sequence: u64) {
        let services = self.shared.services.clone();
        let device: DeviceId = self.account.device.id.clone();
        let side = self.side.get_or_insert_default();
        if side.confirmations.len() < CONFIRMATIONS_MAX {
            let confirm = async move { services.delivered(&device, sequence).await };
            side.confirmations.push_back(Box::pin(confirm));
        }
    }

    /// Moves the rarely needed parts on; true when something was done.
    pub(super) fn poll_side(&mut self, cx: &mut Context<'_>, now: u64, work: &mut Work) -> bool {
        self.poll_cancelled(cx);
        let Some(side) = &mut self.side else { return false };
        side.confirmations.retain_mut(|confirm| confirm.as_mut().poll(cx).is_pending());
        let mut again = self.poll_subscribing(cx, now, work);
        let fetch = self.side.as_mut().and_then(|side| side.fetch.as_mut());
        if let Some(Poll::Ready(waiting)) = fetch.map(|fetch| fetch.as_mut().poll(cx)) {
            if let Some(side) = &mut self.side {
                side.fetch = None;
            }
            for (sequence, request) in waiting {
                if sequence > self.sent_through {
                    self.send_waiting(sequence, &request, now, work);
                }
            }
            again = true;
        }
        again
    }

    fn send_waiting(&mut self, sequence: u64, request: &Downlink, now: u64, work: &mut Work) {
        let account = self.account.clone();
        let mark = Mark::Waited(sequence);
        match self.write(&account, None, request, (&mark, None), now, work) {
            Ok(()) => self.sent_through = sequence,
            // It may listen later.
            Err(CommandError::NotListening | CommandError::Busy) => {}
            // It never can; the trace has the reason.
            Err(_) => {
                self.sent_through = sequence;
                self.confirm(sequence);
            }
        }
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while let Some(request) = self.requests.get_mut(at) {
            if request.result.poll_closed(cx).is_ready() {
                let request = self.requests.swap_remove(at);
                self.session.forget(request.id);
            } else {
                at += 1;
            }
        }
    }

    /// Returns a sub-device that the registry has confirmed before.
    pub(super) fn known_sub(&self, device: &SubDevice) -> Option<Account> {
        let side = self.side.as_ref()?;
        side.subs.iter().find(|(known, _)| known == device).map(|(_, account)| account.clone())
    }

    /// Remembers a confirmed sub-device; the longest known one is forgotten.
    pub(super) fn remember_sub(&mut self, device: SubDevice, account: Account) {
        let subs = &mut self.side.get_or_insert_default().subs;
        subs.retain(|(known, _)| *known != device);
        if subs.len() >= SUBS_MAX {
            subs.pop_front();
        }
        subs.push_back((device, account));
    }

    /// Asks the registry again from now on.
    pub(super) fn forget_subs(&mut self) {
        if let Some(side) = &mut self.side {
            side.subs = VecDeque::new();
        }
    }
}

/// Returns a message of the platform in the QoS that the client takes.
pub(super) fn platform_message(message: Message, granted: QoS) -> Publish {
    let wanted = if message.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    Publish::new(&*message.topic, message.payload, wanted.min(granted))
}

/// Returns what goes beside the payload (MQTT 5 §3.3.2.3); lower versions leave it out.
fn publish_properties(properties: &Properties) -> PublishProperties {
    PublishProperties {
        correlation_data: properties
            .correlation_data
            .as_ref()
            .map(|data| Bytes::copy_from_slice(data.as_bytes())),
        response_topic: properties.response_topic.clone(),
        user: properties.user_properties.clone(),
        ..PublishProperties::default()
    }
}

/// Tells the sender of an unread letter that the connection is over.
pub(super) fn lose(letter: Letter) {
    if let Letter::Order(Order::Downlink { result, .. }) = letter {
        let _ = result.send(Err(CommandError::Lost));
    }
}
