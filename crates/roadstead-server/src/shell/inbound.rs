//! What a device says, from PUBLISH to PUBACK.
//!
//! A message waits here until everything it causes is durable. Messages are handed to the
//! platform in order of arrival (the first poll of their futures), take effect side by side, and
//! are acknowledged and answered in order again. A message about a sub-device waits until the
//! registry has confirmed the gateway, and holds back later ones about the same sub-device only.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use roadstead_core::Code;
use roadstead_core::exchange::{Answer, SubDevice, Uplink};
use roadstead_core::session::Ending;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::trust::Action;
use roadstead_dialects::cloud::{Account, Heard, Portion, Reply, Route};
use roadstead_wire::mqtt::packet::{Publish, QoS, Reason, Version};
use roadstead_wire::mqtt::session::Token;
use tokio::time::Instant;

use super::Connection;
use super::outbound::platform_message;
use super::work::Work;
use crate::broker::Published;

/// One message on its way.
pub(super) struct Inbound {
    /// Of the message; the portions of a divided one have none but the last.
    token: Option<Token>,
    arrived: Instant,
    is_acked: bool,
    stage: Stage,
}

enum Stage {
    /// Its sub-device is being looked up; the first of several has the future.
    Lookup {
        device: SubDevice,
        publish: Box<Publish>,
        lookup: Option<BoxFuture<'static, Result<Account, Code>>>,
    },
    /// The platform is at work.
    Running { account: Account, parts: Vec<Part> },
    /// The broker is at work.
    Relayed(BoxFuture<'static, Reason>),
    /// Nothing more to do.
    Decided(Reason),
}

/// One thing that was understood.
struct Part {
    progress: Progress,
    reply: Option<Reply>,
    /// It changes which sub-devices are attached.
    is_topology: bool,
}

enum Progress {
    Running(BoxFuture<'static, Answer>),
    Done(Answer),
}

impl Part {
    /// True when the platform could not do its part; nothing is durable then.
    fn failed(&self) -> bool {
        matches!(&self.progress, Progress::Done(Answer::Refused { code, .. })
            if code.starts_with("internal."))
    }
}

impl Inbound {
    /// Moves on; true when the message can be acknowledged.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.stage {
            Stage::Lookup { .. } => false,
            Stage::Running { parts, .. } => parts.iter_mut().fold(true, |all, part| {
                if let Progress::Running(future) = &mut part.progress {
                    match future.as_mut().poll(cx) {
                        Poll::Ready(answer) => part.progress = Progress::Done(answer),
                        Poll::Pending => return false,
                    }
                }
                all
            }),
            Stage::Relayed(future) => match future.as_mut().poll(cx) {
                Poll::Ready(reason) => {
                    self.stage = Stage::Decided(reason);
                    true
                }
                Poll::Pending => false,
            },
            Stage::Decided(_) => true,
        }
    }

    /// Waits for the effects; nobody is left to answer.
    pub(super) async fn complete(&mut self) {
        if !matches!(self.stage, Stage::Lookup { .. }) {
            poll_fn(|cx| if self.poll(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        }
    }

    fn waits_for(&self, wanted: &SubDevice) -> bool {
        matches!(&self.stage, Stage::Lookup { device, .. } if device == wanted)
    }
}

impl Connection {
    /// Takes a message in.
    pub(super) fn arrive(&mut self, token: Token, publish: Publish, work: &mut Work) {
        self.shared.metrics.publishes_in.increment();
        let is_acked = publish.qos != QoS::AtMostOnce;
        let topic = &publish.topic;
        let stage = match self.session.publish_route(topic) {
            Route::Own | Route::Sub(_) | Route::Mixed | Route::Free
                if !self.shared.services.permits(&self.account, Action::Publish, topic) =>
            {
                self.denied(topic, "policy.denied")
            }
            Route::Own => self.start(self.account.clone(), &publish, work),
            Route::Mixed => return self.arrive_divided(token, &publish, work),
            Route::Sub(device) => self.start_sub(device, publish, work),
            Route::Free => match self.shared.broker.publish(&self.account.device.id, publish) {
                Published::Done(reason) => Stage::Decided(reason),
                Published::Waits(future) => Stage::Relayed(future),
            },
            Route::Denied => self.denied(&publish.topic, "mqtt.denied_topic"),
        };
        let (token, arrived) = (Some(token), Instant::now());
        self.inbound.push_back(Inbound { token, arrived, is_acked, stage });
    }

    /// Performs what the log-in itself said, and sends what the client waits for.
    pub(super) fn begin(&mut self, now: u64, work: &mut Work) {
        let account = self.account.clone();
        let date = self.shared.clock.now();
        let mut messages = std::mem::take(&mut work.messages);
        self.session.begin(&account, date, &mut work.heard, &mut messages);
        if !work.heard.is_empty() {
            let (arrived, stage) = (Instant::now(), self.run(account, "CONNECT", 0, work));
            self.inbound.push_back(Inbound { token: None, arrived, is_acked: false, stage });
        }
        for message in messages.drain(..) {
            if let Some(qos) = self.listening(&message.topic) {
                self.deliver(platform_message(message, qos), None, None, now, work);
            }
        }
        work.messages = messages;
    }

    /// Takes a message in that speaks for several devices: its portions are handled like messages
    /// of their own, and the last one acknowledges it.
    fn arrive_divided(&mut self, token: Token, publish: &Publish, work: &mut Work) {
        let (arrived, is_acked) = (Instant::now(), publish.qos != QoS::AtMostOnce);
        let mut portions = Vec::new();
        self.session.split(&publish.topic, &publish.payload, &mut portions);
        let mut token = Some(token);
        let last = portions.len().saturating_sub(1);
        for (n, Portion { device, topic, payload }) in portions.into_iter().enumerate() {
            let part = Publish { topic: (&*topic).into(), payload, ..publish.clone() };
            let stage = match device {
                None => self.start(self.account.clone(), &part, work),
                Some(device) => self.start_sub(device, part, work),
            };
            let token = if n == last { token.take() } else { None };
            self.inbound.push_back(Inbound { token, arrived, is_acked, stage });
        }
        if token.is_some() {
            let stage = Stage::Decided(Reason::Success);
            self.inbound.push_back(Inbound { token, arrived, is_acked, stage });
        }
    }

    /// Real firmware does not recover from a disconnection here: it is told in MQTT 5, and
    /// acknowledged and traced in 3.x, which has no refusal.
    fn denied(&self, topic: &str, code: Code) -> Stage {
        self.trace(Hop::Up, "publish", code, topic);
        Stage::Decided(match self.server.version() {
            Version::V31 | Version::V311 => Reason::Success,
            Version::V5 => Reason::NotAuthorized,
        })
    }

    fn start_sub(&mut self, device: SubDevice, publish: Publish, work: &mut Work) -> Stage {
        let is_first = !self.inbound.iter().any(|other| other.waits_for(&device));
        if is_first && let Some(account) = self.known_sub(&device) {
            return self.start(account, &publish, work);
        }
        let lookup = is_first.then(|| self.look_up(device.clone()));
        // The payload may share the thread's read buffer, and this may take a while.
        let payload = bytes::Bytes::copy_from_slice(&publish.payload);
        let publish = Box::new(Publish { payload, ..publish });
        Stage::Lookup { device, publish, lookup }
    }

    /// Asks the registry for a sub-device of this gateway.
    pub(super) fn look_up(&self, device: SubDevice) -> BoxFuture<'static, Result<Account, Code>> {
        let (services, gateway) = (self.shared.services.clone(), self.account.clone());
        Box::pin(async move { services.sub_account(&gateway, &device).await })
    }

    /// Lets the dialect understand a message and hands it to the platform.
    fn start(&mut self, account: Account, publish: &Publish, work: &mut Work) -> Stage {
        let now = self.shared.clock.now();
        let (topic, payload) = (&publish.topic, &publish.payload);
        self.session.uplink(&account, topic, payload, now, &mut work.heard);
        self.run(account, topic, payload.len(), work)
    }

    /// Hands what was understood to the platform.
    fn run(&mut self, account: Account, topic: &str, size: usize, work: &mut Work) -> Stage {
        let mut parts = Vec::with_capacity(work.heard.len());
        for Heard { uplink, reply } in work.heard.drain(..) {
            let is_topology = matches!(uplink, Uplink::SubDevices(_));
            let progress = match self.take_response(&account, topic, uplink) {
                None => Progress::Done(Answer::Done),
                Some(uplink) => Progress::Running(Arc::clone(&self.shared.services).uplink(
                    account.clone(),
                    self.epoch,
                    topic,
                    size,
                    uplink,
                )),
            };
            parts.push(Part { progress, reply, is_topology });
        }
        Stage::Running { account, parts }
    }

    /// Resolves the request that `uplink` answers; returns it when it answers none of ours.
    fn take_response(&mut self, account: &Account, topic: &str, uplink: Uplink) -> Option<Uplink> {
        let Uplink::Response { request: Some(id), response } = uplink else { return Some(uplink) };
        let Some(request) = self.take_request(id) else {
            return Some(Uplink::Response { request: Some(id), response });
        };
        let code = response.code;
        request.answer(response);
        let now = self.shared.clock.now();
        let text = format!("{topic} code {code}");
        let entry = Entry::new(now, Hop::Up, "response", "ok", &text);
        self.shared.services.trace(&account.device.id, entry);
        None
    }

    /// Moves messages on and acknowledges those at the front; true when one was.
    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>, now: u64, work: &mut Work) -> bool {
        if self.inbound.is_empty() {
            return false;
        }
        self.poll_lookups(cx, work);
        // From the front: the first poll hands a message over.
        let mut ready = 0;
        let mut is_front = true;
        for inbound in &mut self.inbound {
            is_front &= inbound.poll(cx);
            ready += usize::from(is_front);
        }
        for _ in 0..ready {
            if let Some(inbound) = self.inbound.pop_front() {
                self.acknowledge(inbound, now, work);
            }
        }
        ready > 0
    }

    fn poll_lookups(&mut self, cx: &mut Context<'_>, work: &mut Work) {
        for at in 0..self.inbound.len() {
            let Some(Stage::Lookup { device, lookup: Some(lookup), .. }) =
                self.inbound.get_mut(at).map(|inbound| &mut inbound.stage)
            else {
                continue;
            };
            let Poll::Ready(found) = lookup.as_mut().poll(cx) else { continue };
            let device = device.clone();
            if let Ok(account) = &found {
                self.remember_sub(device.clone(), account.clone());
            }
            self.start_waiting(&device, &found, work);
        }
    }

    /// Starts every message that waited for `device`.
    fn start_waiting(
        &mut self,
        device: &SubDevice,
        found: &Result<Account, Code>,
        work: &mut Work,
    ) {
        let mut waiting = std::mem::take(&mut self.inbound);
        for inbound in waiting.iter_mut().filter(|inbound| inbound.waits_for(device)) {
            let stage = std::mem::replace(&mut inbound.stage, Stage::Decided(Reason::Success));
            let Stage::Lookup { publish, .. } = stage else { continue };
            inbound.stage = match found {
                Ok(account) => self.start(account.clone(), &publish, work),
                Err(code) => self.denied(&publish.topic, code),
            };
        }
        self.inbound = waiting;
    }

    fn acknowledge(&mut self, inbound: Inbound, now: u64, work: &mut Work) {
        let reason = match &inbound.stage {
            Stage::Decided(reason) => *reason,
            Stage::Running { parts, .. } if parts.iter().any(Part::failed) => {
                Reason::UnspecifiedError
            }
            Stage::Running { .. } | Stage::Lookup { .. } | Stage::Relayed(_) => Reason::Success,
        };
        let is_v5 = self.server.version() == Version::V5;
        if inbound.is_acked && reason == Reason::UnspecifiedError && !is_v5 {
            // 3.x cannot refuse, and an acknowledgement would promise what the store did not
            // keep: the device sends it again after the reconnect.
            self.trace(Hop::Up, "publish", "internal.store", "not acknowledged");
            self.close(Ending::Lost, now, work);
            return;
        }
        match inbound.token {
            Some(token) => {
                if inbound.is_acked {
                    self.shared.metrics.ack_seconds.observe(inbound.arrived.elapsed());
                }
                self.server.accept(token, reason, &mut work.todo);
            }
            // The acknowledgement of the whole must not hide that a portion was not kept.
            None if reason == Reason::UnspecifiedError => {
                self.close(Ending::Lost, now, work);
                return;
            }
            None => {}
        }
        let Stage::Running { account, parts } = inbound.stage else { return };
        if parts.iter().any(|part| part.is_topology) {
            self.forget_subs();
        }
        for part in parts {
            if let (Some(reply), Progress::Done(answer)) = (part.reply, part.progress) {
                self.answer(&account, &reply, &answer, now, work);
            }
        }
    }

    fn answer(
        &mut self,
        account: &Account,
        reply: &Reply,
        answer: &Answer,
        now: u64,
        work: &mut Work,
    ) {
        let date = self.shared.clock.now();
        let mut messages = std::mem::take(&mut work.messages);
        self.session.answer(account, reply, answer, date, &mut messages);
        for message in messages.drain(..) {
            let Some(qos) = self.listening(&message.topic) else {
                // Once: a device that never listens would fill its trace with this.
                if !std::mem::replace(&mut self.is_deafness_noted, true) {
                    let code = "command.not_listening";
                    let entry = Entry::new(date, Hop::Down, "answer", code, &message.topic);
                    self.shared.services.trace(&account.device.id, entry);
                }
                continue;
            };
            self.deliver(platform_message(message, qos), None, None, now, work);
        }
        work.messages = messages;
    }
}
