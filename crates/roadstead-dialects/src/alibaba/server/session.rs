//! One admitted connection: routes topics and hands each family to its file.
//!
//! Source: Alibaba §2, §8; trap 4.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Downlink, Standing, SubDevice};
use roadstead_core::{RequestId, Timestamp, Value};

use super::message::{
    answered, asked, bad_params, heard, ignored, malformed, message, noted, nothing, request,
    unreadable, verdict,
};
use super::pending::Pending;
use super::reply::{Kind, Mark};
use super::scene::Scene;
use super::{bind, channel, enrol, event, gateway, guide, info, property, service, shadow};
use crate::alibaba::client::{ClientId, Purpose};
use crate::alibaba::payload::Request;
use crate::alibaba::settings::Settings;
use crate::alibaba::topic::{Topic, Verb, sys};
use crate::cloud::{Account, Grant, Heard, Message, Portion, Reply, Route, Session};

/// Highest QoS granted: the vendor has no QoS 2 (§2).
const QOS_MAX: u8 = 1;

/// The cloud half of one connection.
pub(super) struct AlibabaSession {
    settings: Arc<Settings>,
    own: Account,
    purpose: Purpose,
    is_auto_subscribed: bool,
    has_ext_rrpc: bool,
    /// The client id, until the session began.
    hello: Option<Box<str>>,
    pending: Pending,
}

impl AlibabaSession {
    /// Opens the session of `own` with what its client id says.
    pub(super) fn new(
        settings: Arc<Settings>,
        own: Account,
        client_id: Option<&str>,
        random: u64,
    ) -> Self {
        let id = client_id.and_then(ClientId::parse);
        Self {
            settings,
            own,
            purpose: id.map_or(Purpose::Session, ClientId::purpose),
            is_auto_subscribed: id.is_some_and(ClientId::is_auto_subscribed),
            has_ext_rrpc: id.is_some_and(ClientId::has_ext_rrpc),
            hello: client_id.map(Box::from),
            pending: Pending::new(random),
        }
    }

    fn is_own(&self, product: &str, node: &str) -> bool {
        product == self.own.product.id.as_str() && *node == *self.own.device.node
    }

    fn is_registering(&self) -> bool {
        matches!(self.purpose, Purpose::Register | Purpose::RegisterOpen)
    }

    /// Understands a request on a topic of `/sys`.
    fn system(&mut self, scene: &Scene<'_>, rest: &str, payload: &Bytes, out: &mut Vec<Heard>) {
        match rest {
            sys::UP_RAW => return out.push(noted(channel::raw(payload))),
            "thing/model/down_raw_reply" => return out.push(noted(ignored(rest))),
            _ => {}
        }
        if let Some(number) = rest.strip_prefix(sys::RRPC_RESPONSE) {
            return out.push(service::rrpc(scene, &mut self.pending, number, payload));
        }
        if service::answered_service(rest).is_some() {
            return out.push(service::reply(scene, &mut self.pending, payload));
        }
        if rest.ends_with(sys::REPLY) {
            return out.push(noted(ignored(rest)));
        }
        let request = match Request::parse(payload) {
            Ok(request) => request,
            Err(error) => return out.push(noted(unreadable(&error))),
        };
        let said = match rest {
            sys::PROPERTY_POST => {
                return property::post(scene, &mut self.pending, rest, &request, out);
            }
            sys::PROPERTY_BATCH_POST => return property::batch(scene, rest, &request, out),
            sys::PROPERTY_HISTORY_POST => return property::history(scene, rest, &request, out),
            sys::DESIRED_GET => property::desired_get(rest, &request),
            sys::DESIRED_DELETE => property::desired_delete(scene, rest, &request),
            sys::INFO_UPDATE | sys::INFO_DELETE => info::attributes(rest, &request),
            sys::TSL_GET | sys::TEMPLATE_GET => {
                heard(asked("thing model"), Kind::Model, rest, &request)
            }
            sys::CONFIG_GET => {
                heard(roadstead_core::exchange::Uplink::Config, Kind::Config, rest, &request)
            }
            sys::LOG_CONFIG_GET => {
                heard(roadstead_core::exchange::Uplink::LogLevel, Kind::LogLevel, rest, &request)
            }
            sys::LOG_POST => info::logs(rest, &request),
            sys::LAN_PREFIX_GET => heard(asked("local key"), Kind::LocalKey, rest, &request),
            sys::MATCH => bind::token(scene, rest, &request),
            sys::RESET => bind::reset(&request),
            sys::FIRMWARE_GET => heard(asked("firmware"), Kind::Firmware, rest, &request),
            sys::FOUND => enrol::found(rest, &request),
            sys::CIPHER_GET => enrol::key_wanted(rest, &request),
            _ => match gateway::uplink(rest, &request) {
                Some(said) => said,
                None => match event_name(rest) {
                    Some(name) => return event::post(scene, name, rest, &request, out),
                    None => heard(ignored(rest), Kind::Plain, rest, &request),
                },
            },
        };
        out.push(said);
    }
}

/// Returns the name in `thing/event/{name}/post`.
fn event_name(rest: &str) -> Option<&str> {
    rest.strip_prefix(sys::EVENT)?.strip_suffix(sys::POST).filter(|name| !name.is_empty())
}

impl Session for AlibabaSession {
    fn publish_route(&self, topic: &str) -> Route {
        let Some(topic) = Topic::parse(topic) else { return Route::Denied };
        let (product, node, verb) = match topic {
            Topic::Device { product, node, verb } => (product, node, verb),
            Topic::ExtRrpc { .. } if !self.is_registering() => return Route::Own,
            Topic::ExtRrpc { .. }
            | Topic::Broadcast { .. }
            | Topic::Register
            | Topic::RegisterOpen => return Route::Denied,
        };
        let own = self.is_own(product, node);
        match verb {
            _ if self.is_registering() => Route::Denied,
            Verb::Custom(rest) if rest.contains(['+', '#']) => Route::Denied,
            Verb::Custom(_) if own => Route::Free,
            Verb::Sys(sys::PROPERTY_HISTORY_POST) if own => Route::Mixed,
            Verb::Sys(rest) if sys::way(rest) == sys::Way::Down => Route::Denied,
            Verb::OtaUpgrade | Verb::NtpResponse | Verb::Error | Verb::ShadowGet => Route::Denied,
            Verb::Combine(rest) if !own || rest.ends_with(sys::REPLY) => Route::Denied,
            Verb::Custom(_)
            | Verb::Sys(_)
            | Verb::OtaInform
            | Verb::OtaRequest
            | Verb::OtaProgress
            | Verb::NtpRequest
            | Verb::Combine(_)
            | Verb::ShadowUpdate => match own {
                true => Route::Own,
                false => Route::Sub(SubDevice { product: product.into(), node: node.into() }),
            },
        }
    }

    /// Divides a report of the past by whom it is about; the own part comes last and is answered.
    fn split(&self, topic: &str, payload: &Bytes, out: &mut Vec<Portion>) {
        let own = |payload| Portion { device: None, topic: topic.into(), payload };
        let Ok(request) = Request::parse(payload) else { return out.push(own(payload.clone())) };
        let Value::Array(parts) = request.params else { return out.push(own(payload.clone())) };
        let mut ours = Vec::new();
        for part in parts {
            let name = |key| part.get("identity")?.get(key)?.as_str();
            match (name("productKey"), name("deviceName")) {
                (Some(product), Some(node)) if !self.is_own(product, node) => {
                    let device = SubDevice { product: product.into(), node: node.into() };
                    let rest = Verb::Sys(sys::PROPERTY_HISTORY_POST);
                    let topic = Topic::Device { product, node, verb: rest };
                    let body = serde_json::json!({"params": [&part]});
                    let Message { topic, payload, .. } = message(topic, &body, 0);
                    out.push(Portion { device: Some(device), topic, payload });
                }
                _ => ours.push(part),
            }
        }
        let body = serde_json::json!({"id": request.id, "method": request.method, "params": ours});
        out.push(own(message("", &body, 0).payload));
    }

    fn subscribe_grant(&self, filter: &str) -> Grant {
        let Some(topic) = Topic::parse(filter) else { return Grant::Denied };
        let platform = Grant::Platform { qos_max: QOS_MAX };
        let (product, node, verb) = match topic {
            Topic::Device { product, node, verb } => (product, node, verb),
            Topic::Broadcast { product, .. } if product == self.own.product.id.as_str() => {
                return platform;
            }
            Topic::ExtRrpc { .. } | Topic::Register | Topic::RegisterOpen => return platform,
            Topic::Broadcast { .. } => return Grant::Denied,
        };
        match (self.is_own(product, node), verb) {
            (true, Verb::Custom(_)) => Grant::Free { qos_max: QOS_MAX },
            (true, _) => platform,
            // The npm client subscribes the log-in topics of its sub-devices too.
            (false, _) => Grant::Sub {
                device: SubDevice { product: product.into(), node: node.into() },
                qos_max: QOS_MAX,
            },
        }
    }

    fn is_implicit(&self) -> bool {
        self.is_auto_subscribed || self.is_registering()
    }

    fn needs_subscription(&self, topic: &str) -> bool {
        match Topic::parse(topic) {
            Some(Topic::Register | Topic::RegisterOpen) => false,
            None | Some(Topic::Device { verb: Verb::Custom(_), .. } | Topic::Broadcast { .. }) => {
                true
            }
            Some(Topic::Device { .. } | Topic::ExtRrpc { .. }) => !self.is_auto_subscribed,
        }
    }

    fn is_ready_after(&self, filter: &str) -> bool {
        matches!(Topic::parse(filter), Some(Topic::Device { product, node, .. })
            if self.is_own(product, node))
    }

    /// What the log-in itself said, and the answer to a registration.
    fn begin(
        &mut self,
        account: &Account,
        now: Timestamp,
        heard: &mut Vec<Heard>,
        messages: &mut Vec<Message>,
    ) {
        let Some(hello) = self.hello.take() else { return };
        let settings = &*self.settings.clone();
        let scene = Scene { account, settings, now };
        if !self.is_registering() {
            let mut said = Vec::new();
            bind::announced(&scene, &hello, &mut said);
            return heard.extend(said.into_iter().map(noted));
        }
        let (product, node) = scene.names();
        let Some(secret) = account.device.secret.as_ref() else { return };
        let (topic, body) = match self.purpose {
            Purpose::RegisterOpen => {
                let (client, token) = guide::device_token(secret.expose(), product, node);
                let body = serde_json::json!({
                    "productKey": product, "deviceName": node, "clientId": client,
                    "deviceToken": token,
                });
                (Topic::RegisterOpen, body)
            }
            _ => {
                let secret = secret.expose_text().unwrap_or_default();
                let body = serde_json::json!({
                    "productKey": product, "deviceName": node, "deviceSecret": secret,
                });
                (Topic::Register, body)
            }
        };
        messages.push(message(topic, &body, 0));
    }

    fn uplink(
        &mut self,
        account: &Account,
        topic: &str,
        payload: &Bytes,
        now: Timestamp,
        out: &mut Vec<Heard>,
    ) {
        let settings = &*self.settings.clone();
        let scene = Scene { account, settings, now };
        let verb = match Topic::parse(topic) {
            Some(Topic::Device { verb, .. }) => verb,
            Some(Topic::ExtRrpc { id, .. }) => {
                return out.push(service::ext_rrpc(&scene, &mut self.pending, id, payload));
            }
            Some(Topic::Broadcast { .. } | Topic::Register | Topic::RegisterOpen) | None => {
                let uplink = malformed("mqtt.denied_topic", "not a topic that devices use");
                return out.push(noted(uplink));
            }
        };
        match verb {
            Verb::Sys(rest) => self.system(&scene, rest, payload, out),
            Verb::Custom(rest) => out.push(noted(channel::custom(rest, payload))),
            Verb::OtaInform => out.push(info::version(payload)),
            Verb::OtaProgress => out.push(info::progress(payload)),
            Verb::OtaRequest => out.push(info::wants_version(payload)),
            Verb::NtpRequest => out.push(info::time(payload)),
            Verb::ShadowUpdate => shadow::uplink(&scene, payload, out),
            Verb::Combine(rest) => out.push(match Request::parse(payload) {
                Ok(request) => gateway::combine(rest, &request),
                Err(error) => noted(unreadable(&error)),
            }),
            Verb::OtaUpgrade | Verb::NtpResponse | Verb::Error | Verb::ShadowGet => {
                out.push(noted(bad_params("a topic of the platform")));
            }
        }
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
        let scene = Scene { account, settings, now };
        let Some(kind) = Kind::parse(reply.kind) else { return };
        match kind {
            Kind::Time => return out.extend(info::time_reply(&scene, &reply.token, answer)),
            Kind::Shadow => return out.push(shadow::reply(&scene, answer)),
            _ => {}
        }
        let Some(mark) = Mark::parse(&reply.token) else { return };
        let plain = |answer: &Answer, data: &Value| answered(&scene, &mark, verdict(answer), data);
        let is_refused = matches!(answer, Answer::Refused { .. });
        out.push(match kind {
            _ if is_refused && !matches!(kind, Kind::Reset | Kind::FirmwareOld) => {
                plain(answer, &nothing())
            }
            Kind::Plain | Kind::Time | Kind::Shadow | Kind::Firmware => plain(answer, &nothing()),
            Kind::Report => property::report_reply(&scene, &mark, answer),
            Kind::Reset => plain(bind::reset_answer(answer), &nothing()),
            Kind::Desired => property::desired_reply(&scene, &mark, answer),
            Kind::Config => info::config_reply(&scene, &mark, answer),
            Kind::LogLevel => {
                let level = if let Answer::LogLevel(level) = answer { *level } else { 0 };
                plain(answer, &info::log_level(level))
            }
            Kind::LocalKey => info::local_key_reply(&scene, &mark),
            Kind::Model => info::model_reply(&scene, &mark),
            Kind::FirmwareOld => info::no_version(&scene, &mark, answer),
            Kind::SubList | Kind::SubOne | Kind::SubSecrets | Kind::SubSplit => {
                gateway::reply(&scene, kind, &mark, answer)
            }
            Kind::Enrollees | Kind::PasswordKey => enrol::reply(&scene, kind, &mark, answer),
        });
    }

    fn downlink(
        &mut self,
        account: &Account,
        id: Option<RequestId>,
        asked: &Downlink,
        now: Timestamp,
        out: &mut Vec<Message>,
    ) -> Result<(), CommandError> {
        if self.is_registering() {
            return Err(CommandError::Unsupported("the connection only registers a device"));
        }
        let settings = &*self.settings.clone();
        let scene = Scene { account, settings, now };
        let pending = &mut self.pending;
        out.push(match asked {
            Downlink::SetProperties { service, properties } => {
                property::set(&scene, pending, id, service, properties)?
            }
            Downlink::GetProperties { service, properties } => {
                property::get(&scene, pending, id, service, properties)?
            }
            Downlink::Command { service, command, params } => {
                let ext = self.has_ext_rrpc;
                service::call(&scene, pending, id, (service, command), params, ext)?
            }
            Downlink::Message { channel, payload, .. } => channel::send(&scene, channel, payload)?,
            Downlink::Call(payload) => service::opaque(&scene, pending, id, payload)?,
            Downlink::Unbound => {
                // The identifier is UNVERIFIED (§5.5); older firmware does not subscribe it.
                let value = serde_json::json!({"Operation": "Unbind"});
                let params = serde_json::json!({"identifier": "awss.BindNotify", "value": value});
                request(&scene, sys::EVENT_NOTIFY, &pending.number(), &params)?
            }
            Downlink::Moved => {
                let params = serde_json::json!({"cmd": 0});
                request(&scene, sys::BOOTSTRAP_NOTIFY, &pending.number(), &params)?
            }
            Downlink::LogLevel(level) => {
                let params = info::log_level(*level);
                request(&scene, sys::LOG_CONFIG_PUSH, &pending.number(), &params)?
            }
            Downlink::Config(config) => info::config_push(&scene, &pending.number(), config)?,
            Downlink::SubDevicesChanged { attached, devices, facts: _ } => {
                let change = match attached {
                    true => gateway::Change::Attached,
                    false => gateway::Change::Detached,
                };
                gateway::changed(&scene, &pending.number(), change, devices)?
            }
            Downlink::Standing(standing) => {
                let rest = match standing {
                    Standing::Frozen => sys::DISABLE,
                    Standing::Thawed => sys::ENABLE,
                    Standing::Deleted => sys::DELETE,
                };
                request(&scene, rest, &pending.number(), &nothing())?
            }
            Downlink::SubDevicesStanding { standing, devices } => {
                let change = match standing {
                    Standing::Frozen => gateway::Change::Disabled,
                    Standing::Thawed => gateway::Change::Enabled,
                    Standing::Deleted => gateway::Change::Detached,
                };
                gateway::changed(&scene, &pending.number(), change, devices)?
            }
            Downlink::InviteSubDevices(devices) => {
                gateway::invited(&scene, &pending.number(), devices)?
            }
            Downlink::Admit(device) => {
                request(&scene, sys::CHECKIN, &pending.number(), &enrol::checkin(device))?
            }
            Downlink::SearchSubDevices { start } => {
                gateway::search(&scene, &pending.number(), *start)?
            }
        });
        Ok(())
    }

    fn forget(&mut self, id: RequestId) {
        self.pending.forget(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_names() {
        for (rest, name) in [
            ("thing/event/Error/post", Some("Error")),
            ("thing/event/block:Error/post", Some("block:Error")),
            ("thing/event//post", None),
            ("thing/event/post", None),
        ] {
            assert_eq!(event_name(rest), name, "{rest}");
        }
    }
}
