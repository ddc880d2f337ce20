//! One admitted connection: routes topics and hands each family to its file.
//!
//! The session keeps no table: our requests carry their number in the token. It remembers only
//! how often the time was asked for and whether a bind token waits for its answer.
//!
//! Source: Tencent §3.6, §6.1, §11.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Downlink, SubDevice, Uplink};
use roadstead_core::{RequestId, Timestamp};

use super::message::{malformed, noted};
use super::reply::Kind;
use super::sys::TimeGuard;
use super::{action, channel, event, gateway, log, ota, property, service, sys};
use crate::cloud::{Account, Grant, Heard, Message, Reply, Route, Session};
use crate::tencent::settings::{CustomTopics, Settings};
use crate::tencent::topic::{Thing, Topic, Verb};

/// Highest QoS granted: the vendor has no QoS 2 (§3).
const QOS_MAX: u8 = 1;
/// Most answers kept back while a bind token waits for its own.
const HELD_MAX: usize = 4;

/// The cloud half of one connection.
pub(super) struct TencentSession {
    settings: Arc<Settings>,
    own: Account,
    connection: u32,
    time: TimeGuard,
    binding: Option<Box<Binding>>,
}

/// A bind token waits for its answer.
struct Binding {
    token: Box<str>,
    held: Vec<Message>,
}

/// What a message is about: everything that reading and writing needs to know.
pub(super) struct Scene<'a> {
    pub(super) account: &'a Account,
    pub(super) settings: &'a Settings,
    pub(super) connection: u32,
    pub(super) now: Timestamp,
}

impl<'a> Scene<'a> {
    /// Returns a topic of the device.
    pub(super) fn topic(&self, verb: Verb<'a>) -> Topic<'a> {
        Topic { verb, product: self.account.product.id.as_str(), node: &self.account.device.node }
    }

    pub(super) fn down_property(&self) -> Topic<'a> {
        self.topic(Verb::ThingDown(Thing::Property))
    }

    pub(super) fn down_action(&self) -> Topic<'a> {
        self.topic(Verb::ThingDown(Thing::Action))
    }

    fn down_gateway(&self) -> Topic<'a> {
        self.topic(Verb::GatewayDown)
    }

    pub(super) fn down_service(&self) -> Topic<'a> {
        self.topic(Verb::ThingDown(Thing::Service))
    }
}

impl TencentSession {
    /// Opens the session of `own`.
    pub(super) fn new(settings: Arc<Settings>, own: Account, random: u64) -> Self {
        // Any half of the random number tells connections apart.
        let connection = random as u32;
        Self { settings, own, connection, time: TimeGuard::default(), binding: None }
    }

    fn is_own(&self, topic: &Topic<'_>) -> bool {
        topic.product == self.own.product.id.as_str() && *topic.node == *self.own.device.node
    }

    fn may_publish_custom(&self, rest: &str) -> bool {
        match self.settings.custom_topics {
            CustomTopics::Any => true,
            CustomTopics::Vendor => matches!(rest, "event" | "data"),
        }
    }

    fn may_subscribe_custom(&self, rest: &str) -> bool {
        match self.settings.custom_topics {
            CustomTopics::Any => true,
            CustomTopics::Vendor => matches!(rest, "control" | "data"),
        }
    }

    /// Remembers a bind token until it is answered.
    fn await_binding(&mut self, token: &str) {
        let held = self.binding.take().map(|binding| binding.held).unwrap_or_default();
        self.binding = Some(Box::new(Binding { token: token.into(), held }));
    }

    /// Sends an answer with a `code` on the service topic, after the one to the bind token.
    fn after_binding(&mut self, message: Message, out: &mut Vec<Message>) {
        match &mut self.binding {
            Some(binding) if binding.held.len() < HELD_MAX => binding.held.push(message),
            Some(_) | None => out.push(message),
        }
    }

    fn end_binding(&mut self, token: &str, out: &mut Vec<Message>) {
        if self.binding.as_ref().is_some_and(|binding| *binding.token == *token)
            && let Some(binding) = self.binding.take()
        {
            out.extend(binding.held);
        }
    }
}

impl Session for TencentSession {
    fn publish_route(&self, topic: &str) -> Route {
        let Some(topic) = Topic::parse(topic) else { return Route::Denied };
        let own = self.is_own(&topic);
        let sub =
            || Route::Sub(SubDevice { product: topic.product.into(), node: topic.node.into() });
        match topic.verb {
            Verb::Custom(rest) if rest.contains(['+', '#']) => Route::Denied,
            Verb::Custom(rest) if !self.may_publish_custom(rest) => Route::Denied,
            Verb::Custom(_) if own => Route::Free,
            Verb::GatewayUp if !own => Route::Denied,
            Verb::ThingUp(_)
            | Verb::SysUp
            | Verb::LogUp
            | Verb::OtaUp
            | Verb::GatewayUp
            | Verb::ConfigUp
            | Verb::ResourceUp
            | Verb::ShadowUp
            | Verb::RrpcUp(_)
                if own =>
            {
                Route::Own
            }
            Verb::ThingUp(_)
            | Verb::SysUp
            | Verb::LogUp
            | Verb::OtaUp
            | Verb::GatewayUp
            | Verb::ConfigUp
            | Verb::ResourceUp
            | Verb::ShadowUp
            | Verb::RrpcUp(_)
            | Verb::Custom(_) => sub(),
            Verb::ThingDown(_)
            | Verb::SysDown
            | Verb::LogDown
            | Verb::OtaDown
            | Verb::GatewayDown
            | Verb::ConfigDown
            | Verb::ResourceDown
            | Verb::ShadowDown
            | Verb::BroadcastDown
            | Verb::RrpcDown(_) => Route::Denied,
        }
    }

    fn subscribe_grant(&self, filter: &str) -> Grant {
        let Some(topic) = Topic::parse(filter) else { return Grant::Denied };
        let own = self.is_own(&topic);
        match topic.verb {
            Verb::Custom(rest) if !self.may_subscribe_custom(rest) => Grant::Denied,
            Verb::Custom(_) if own => Grant::Free { qos_max: QOS_MAX },
            Verb::GatewayDown if !own => Grant::Denied,
            Verb::ThingDown(_)
            | Verb::SysDown
            | Verb::LogDown
            | Verb::OtaDown
            | Verb::GatewayDown
            | Verb::ConfigDown
            | Verb::ResourceDown
            | Verb::ShadowDown
            | Verb::BroadcastDown
            | Verb::RrpcDown(_)
            | Verb::Custom(_) => match own {
                true => Grant::Platform { qos_max: QOS_MAX },
                false => Grant::Sub {
                    device: SubDevice { product: topic.product.into(), node: topic.node.into() },
                    qos_max: QOS_MAX,
                },
            },
            Verb::ThingUp(_)
            | Verb::SysUp
            | Verb::LogUp
            | Verb::OtaUp
            | Verb::GatewayUp
            | Verb::ConfigUp
            | Verb::ResourceUp
            | Verb::ShadowUp
            | Verb::RrpcUp(_) => Grant::Denied,
        }
    }

    /// Each SDK client subscribes its own channel, so each of them may have waited.
    fn is_ready_after(&self, filter: &str) -> bool {
        Topic::parse(filter).is_some_and(|topic| {
            self.is_own(&topic) && matches!(topic.verb, Verb::ThingDown(_) | Verb::GatewayDown)
        })
    }

    fn uplink(
        &mut self,
        account: &Account,
        topic: &str,
        payload: &Bytes,
        now: Timestamp,
        out: &mut Vec<Heard>,
    ) {
        let Some(parsed) = Topic::parse(topic) else {
            return out.push(noted(malformed("mqtt.denied_topic", "not a topic of this vendor")));
        };
        let settings = &*self.settings.clone();
        let scene = Scene { account, settings, connection: self.connection, now };
        let heard = match parsed.verb {
            Verb::ThingUp(Thing::Property) => property::uplink(&scene, payload),
            Verb::ThingUp(Thing::Event) => return event::uplink(&scene, payload, out),
            Verb::ThingUp(Thing::Action) => action::uplink(&scene, payload),
            Verb::ThingUp(Thing::Service) => service::uplink(&scene, payload),
            Verb::ThingUp(Thing::Raw) => channel::raw(payload),
            Verb::Custom(rest) => channel::custom(rest, payload),
            Verb::RrpcUp(process) => channel::rrpc(&scene, process, payload),
            Verb::SysUp => sys::uplink(payload),
            Verb::LogUp => log::uplink(payload),
            Verb::OtaUp => ota::uplink(payload),
            Verb::GatewayUp => gateway::uplink(payload),
            Verb::ConfigUp => channel::config(payload),
            Verb::ResourceUp => noted(Uplink::Ignored { what: "resource".into() }),
            Verb::ShadowUp => noted(Uplink::Ignored { what: "shadow".into() }),
            Verb::ThingDown(_)
            | Verb::SysDown
            | Verb::LogDown
            | Verb::OtaDown
            | Verb::GatewayDown
            | Verb::ConfigDown
            | Verb::ResourceDown
            | Verb::ShadowDown
            | Verb::BroadcastDown
            | Verb::RrpcDown(_) => noted(malformed("mqtt.denied_topic", "a topic of the platform")),
        };
        match (&heard.uplink, &heard.reply) {
            (Uplink::Time, _) => self.time.count(now),
            (Uplink::BindToken { .. }, Some(reply)) => self.await_binding(&reply.token),
            _ => {}
        }
        out.push(heard);
    }

    fn answer(
        &mut self,
        account: &Account,
        reply: &Reply,
        answer: &Answer,
        now: Timestamp,
        out: &mut Vec<Message>,
    ) {
        let settings = &*self.settings.clone();
        let scene = Scene { account, settings, connection: self.connection, now };
        let Some(kind) = Kind::parse(reply.kind) else { return };
        let token = &*reply.token;
        match kind {
            Kind::Report => out.push(property::plain(&scene, "report_reply", token, answer)),
            Kind::ReportInfo => {
                out.push(property::plain(&scene, "report_info_reply", token, answer))
            }
            Kind::ClearControl => {
                out.push(property::plain(&scene, "clear_control_reply", token, answer))
            }
            Kind::GetStatus => out.push(property::status_reply(&scene, token, answer)),
            Kind::Event | Kind::EventPartly => {
                let topic = scene.topic(Verb::ThingDown(Thing::Event));
                out.push(event::reply(topic, kind, token, answer));
            }
            Kind::Bind => {
                out.push(service::reply(
                    scene.down_service(),
                    "app_bind_token_reply",
                    token,
                    answer,
                ));
                self.end_binding(token, out);
            }
            Kind::Unbind => {
                // The device wants to be unbound and is: C SDK 3.2.1 reports everything but 0 as a
                // failure to the user.
                let is_so = matches!(answer, Answer::Refused { code: "bind.not_bound", .. });
                let answer = if is_so { &Answer::Done } else { answer };
                let topic = scene.down_service();
                let message = service::reply(topic, "unbind_device_reply", token, answer);
                self.after_binding(message, out);
            }
            Kind::Time => {
                if let Answer::Time { received, sent } = answer {
                    out.push(sys::reply(scene.topic(Verb::SysDown), *received, *sent));
                }
                if self.time.take_alarm() {
                    out.push(log::level(scene.topic(Verb::LogDown), 0, "", now));
                }
            }
            Kind::LogLevel => {
                let asked = if let Answer::LogLevel(level) = answer { *level } else { 0 };
                let level = if self.time.is_silenced() { 0 } else { asked };
                out.push(log::level(scene.topic(Verb::LogDown), level, token, now));
            }
            Kind::Config => out.push(channel::config_reply(scene.topic(Verb::ConfigDown), answer)),
            Kind::Version => out.push(ota::reply(scene.topic(Verb::OtaDown), answer)),
            Kind::SubOnline => gateway::reply(scene.down_gateway(), "online", token, answer, out),
            Kind::SubOffline => gateway::reply(scene.down_gateway(), "offline", token, answer, out),
            Kind::SubBind => gateway::reply(scene.down_gateway(), "bind", token, answer, out),
            Kind::SubUnbind => gateway::reply(scene.down_gateway(), "unbind", token, answer, out),
            Kind::SubList => gateway::list(scene.down_gateway(), answer, out),
        }
    }

    fn downlink(
        &mut self,
        account: &Account,
        id: Option<RequestId>,
        request: &Downlink,
        now: Timestamp,
        out: &mut Vec<Message>,
    ) -> Result<(), CommandError> {
        let settings = &*self.settings.clone();
        let scene = Scene { account, settings, connection: self.connection, now };
        let message = match request {
            Downlink::SetProperties { service, properties } => {
                property::control(&scene, id, service, properties)?
            }
            Downlink::GetProperties { .. } => {
                return Err(CommandError::Unsupported("devices report on their own"));
            }
            Downlink::Command { service, command, params } => {
                action::action(&scene, id, service, command, params)?
            }
            Downlink::Message { channel, payload, envelope: _, properties: _ } => {
                channel::send(&scene, channel, payload)?
            }
            Downlink::Call(payload) => channel::call(&scene, id, payload)?,
            Downlink::Unbound => service::unbind(&scene),
            Downlink::Moved => {
                return Err(CommandError::Unsupported(
                    "devices of this vendor are not told to move",
                ));
            }
            Downlink::LogLevel(level) => {
                let level = if self.time.is_silenced() { 0 } else { *level };
                log::level(scene.topic(Verb::LogDown), level, "", now)
            }
            Downlink::Config(config) => channel::config_push(&scene, config)?,
            Downlink::SubDevicesChanged { attached, devices, facts: _ } => {
                return gateway::changed(scene.down_gateway(), *attached, devices, out);
            }
            Downlink::Standing(_)
            | Downlink::SubDevicesStanding { .. }
            | Downlink::InviteSubDevices(_)
            | Downlink::Admit(_) => {
                return Err(CommandError::Unsupported(
                    "devices of this vendor are refused, not told",
                ));
            }
            Downlink::SearchSubDevices { start } => gateway::search(scene.down_gateway(), *start),
        };
        out.push(message);
        Ok(())
    }

    /// Nothing to forget: the token carries the request.
    fn forget(&mut self, _id: RequestId) {}
}
