//! One admitted connection: routes topics and hands each family to its file.
//!
//! Platform topics reach the device without a SUBSCRIBE (T1); only the product's own topics need
//! one. Requests carry their number in the request id; the session remembers only which service a
//! pending query of properties asked for.
//!
//! Source: Huawei §2.4, §3, §3.9; T1, T12.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{
    Answer, Downlink, SubDevice, SubDeviceProof, SubDevices, TokenText, Uplink,
};
use roadstead_core::{RequestId, Secret, Timestamp};

use super::channel::Use;
use super::message::{malformed, noted};
use super::reply::{Kind, heard, texts};
use super::scene::{Role, Scene};
use super::{bootstrap, channel, child, command, event, property, shadow, token};
use crate::cloud::{Account, Grant, Heard, Message, Portion, Reply, Route, Session, Vouched};
use crate::huawei::settings::Settings;
use crate::huawei::topic::{self, Leaf, Scope, Topic, Way};

/// Highest QoS granted: the vendor has no QoS 2 (§2.4).
const QOS_MAX: u8 = 1;
/// Most queries of properties that wait at the same time.
const QUERIES_MAX: usize = 64;

/// The cloud half of one connection.
pub(super) struct HuaweiSession {
    settings: Arc<Settings>,
    own: Account,
    role: Role,
    connection: u64,
    /// The authority of the client certificate, for provisioning policies.
    authority: Option<Box<str>>,
    queries: Vec<(RequestId, Box<str>)>,
    /// New secrets of devices behind the bridge that are being kept, by request id.
    resets: Vec<(Box<str>, Secret)>,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not named is not for devices")]
impl HuaweiSession {
    /// Opens the session of `own`.
    pub(super) fn new(settings: Arc<Settings>, own: Account, role: Role, connection: u64) -> Self {
        Self {
            settings,
            own,
            role,
            connection,
            authority: None,
            queries: Vec::new(),
            resets: Vec::new(),
        }
    }

    /// Notes the authority of the client certificate.
    pub(super) fn with_authority(mut self, authority: Option<&Vouched>) -> Self {
        self.authority = authority.map(|found| found.authority.clone());
        self
    }

    fn own_id(&self) -> &str {
        self.own.device.id.as_str()
    }

    fn may_use(&self, rest: &str, wanted: Use) -> bool {
        channel::is_allowed(&self.settings, &self.own.product.attributes, rest, wanted)
    }

    fn take_query(&mut self, id: Option<RequestId>) -> Option<Box<str>> {
        let at = self.queries.iter().position(|(query, _)| Some(*query) == id)?;
        Some(self.queries.swap_remove(at).1)
    }

    /// Remembers the new secret of a request, because its answer repeats it.
    fn note_reset(&mut self, rid: &str, payload: &[u8]) {
        if let Ok((_, new)) = child::bridge_reset(payload) {
            if self.resets.len() >= QUERIES_MAX {
                self.resets.remove(0);
            }
            self.resets.push((rid.into(), new));
        }
    }

    fn take_reset(&mut self, rid: &str) -> Option<Secret> {
        let at = self.resets.iter().position(|(known, _)| **known == *rid)?;
        Some(self.resets.remove(at).1)
    }

    fn own_route(&self, leaf: Leaf<'_>) -> Route {
        match leaf {
            Leaf::User(rest) if self.may_use(rest, Use::Publish) => Route::Own,
            Leaf::BootstrapUp => Route::Own,
            // The Python SDK reports its start there, too.
            Leaf::EventsUp if self.role == Role::Member => Route::Own,
            _ if self.role == Role::Member => Route::Denied,
            Leaf::MessagesUp { .. }
            | Leaf::GatewayReport { .. }
            | Leaf::EventsUp
            | Leaf::ShadowGet(_) => Route::Mixed,
            Leaf::Report { .. }
            | Leaf::SetResponse(_)
            | Leaf::GetResponse(_)
            | Leaf::CommandResponse(_) => Route::Own,
            _ => Route::Denied,
        }
    }

    fn bridged_route(&self, device: &str, leaf: Leaf<'_>) -> Route {
        match leaf {
            // Before its log-in a device is nobody's.
            Leaf::Login(_) | Leaf::Logout(_) | Leaf::ResetSecret(_) => Route::Own,
            Leaf::GatewayReport { .. } => Route::Mixed,
            leaf if leaf.way() == Way::Up => Route::Sub(SubDevice::of_id(device)),
            _ => Route::Denied,
        }
    }

    fn bridged(&self, scene: &Scene<'_>, device: &str, leaf: Leaf<'_>, payload: &[u8]) -> Heard {
        let sub = SubDevice::of_id(device);
        match leaf {
            Leaf::Login(rid) => match child::bridge_proof(payload) {
                Ok(proof) => {
                    let said = SubDevices::Enter(SubDeviceProof { device: sub, proof });
                    heard(Uplink::SubDevices(said), Kind::BridgeLogin, &[rid, device])
                }
                Err(heard) => *heard,
            },
            Leaf::Logout(rid) => {
                let said = SubDevices::Offline(Vec::from([sub]));
                heard(Uplink::SubDevices(said), Kind::BridgeLogout, &[rid, device])
            }
            Leaf::ResetSecret(rid) => match child::bridge_reset(payload) {
                Ok((old, new)) => {
                    let (old, new) = (TokenText(old), TokenText(new));
                    let said = SubDevices::ResetSecret { device: sub, old, new };
                    heard(Uplink::SubDevices(said), Kind::ResetSecret, &[rid, device])
                }
                Err(heard) => *heard,
            },
            _ => child::batch_error(scene, payload, false),
        }
    }
}

/// Understands one message of a device about itself.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others were denied by their route")]
fn own_uplink(
    scene: &Scene<'_>,
    (leaf, asked): (Leaf<'_>, Option<&str>),
    authority: Option<&str>,
    payload: &Bytes,
    out: &mut Vec<Heard>,
) {
    let ours = |rid| token::decode(scene.connection, rid);
    let heard = match leaf {
        Leaf::MessagesUp { gzip } => channel::uplink(scene, payload, gzip),
        Leaf::User(rest) => channel::custom(rest, payload),
        Leaf::Report { gzip } => property::report(scene, payload, gzip),
        Leaf::GatewayReport { gzip } => child::batch_error(scene, payload, gzip),
        Leaf::SetResponse(rid) => property::set_response(ours(rid), payload),
        Leaf::GetResponse(rid) => property::get_response(scene, ours(rid), asked, payload),
        Leaf::CommandResponse(rid) => command::response(ours(rid), payload),
        Leaf::ShadowGet(rid) => shadow::uplink(rid, payload),
        Leaf::EventsUp => return event::uplink(scene, payload, out),
        Leaf::BootstrapUp => bootstrap::uplink(scene, authority, payload),
        _ => noted(malformed("mqtt.denied_topic", "not a topic that devices send on")),
    };
    out.push(heard);
}

impl Session for HuaweiSession {
    fn publish_route(&self, name: &str) -> Route {
        match Topic::parse(name) {
            Some(Topic::Device { device, leaf }) if device == self.own_id() => self.own_route(leaf),
            Some(Topic::V3 { device, .. })
                if device == self.own_id() && self.role == Role::Device =>
            {
                Route::Own
            }
            Some(Topic::Bridged { bridge, device, leaf })
                if bridge == self.own_id() && self.role == Role::Bridge =>
            {
                self.bridged_route(device, leaf)
            }
            Some(Topic::Device { .. } | Topic::V3 { .. } | Topic::Bridged { .. }) | None => {
                Route::Denied
            }
        }
    }

    fn split(&self, name: &str, payload: &Bytes, out: &mut Vec<Portion>) {
        match Topic::parse(name) {
            Some(Topic::Device { leaf, .. } | Topic::Bridged { leaf, .. }) => {
                child::split(self.own_id(), &self.settings, (name, leaf), payload, out);
            }
            Some(Topic::V3 { .. }) | None => {}
        }
    }

    fn subscribe_grant(&self, filter: &str) -> Grant {
        let granted = match topic::filter_scope(filter) {
            Some((Scope::Device, device)) => device == self.own_id(),
            Some((Scope::Bridge, bridge)) => bridge == self.own_id() && self.role == Role::Bridge,
            None => false,
        };
        let custom = match Topic::parse(filter) {
            Some(Topic::Device { leaf: Leaf::User(rest), .. }) => {
                self.may_use(rest, Use::Subscribe)
            }
            Some(_) | None => true,
        };
        match granted && custom {
            true => Grant::Platform { qos_max: QOS_MAX },
            false => Grant::Denied,
        }
    }

    fn is_implicit(&self) -> bool {
        true
    }

    fn needs_subscription(&self, name: &str) -> bool {
        match Topic::parse(name) {
            Some(Topic::Device { leaf, .. } | Topic::Bridged { leaf, .. }) => {
                leaf.way() == Way::Both
            }
            Some(Topic::V3 { .. }) | None => true,
        }
    }

    /// What waited for one of the product's own topics could not be sent at the log-in.
    fn is_ready_after(&self, filter: &str) -> bool {
        matches!(topic::filter_scope(filter), Some((Scope::Device, _))) && filter.contains("/user/")
    }

    fn uplink(
        &mut self,
        account: &Account,
        name: &str,
        payload: &Bytes,
        now: Timestamp,
        out: &mut Vec<Heard>,
    ) {
        let asked = match Topic::parse(name) {
            Some(Topic::Device { leaf: Leaf::GetResponse(rid), .. })
            | Some(Topic::Bridged { leaf: Leaf::GetResponse(rid), .. }) => {
                self.take_query(token::decode(self.connection, rid))
            }
            Some(_) | None => None,
        };
        if let Some(Topic::Bridged { leaf: Leaf::ResetSecret(rid), .. }) = Topic::parse(name) {
            self.note_reset(rid, payload);
        }
        let settings = &*self.settings.clone();
        let scene = Scene {
            own: &self.own,
            account,
            role: self.role,
            settings,
            connection: self.connection,
            now,
        };
        match Topic::parse(name) {
            Some(Topic::Bridged { device, leaf, .. }) if !scene.is_about_child() => {
                out.push(self.bridged(&scene, device, leaf, payload));
            }
            Some(Topic::Device { leaf, .. } | Topic::Bridged { leaf, .. }) => {
                let about = (leaf, asked.as_deref());
                own_uplink(&scene, about, self.authority.as_deref(), payload, out);
            }
            Some(Topic::V3 { is_json: true, .. }) => out.push(property::v3(&scene, payload)),
            Some(Topic::V3 { is_json: false, .. }) => {
                let payload = payload.clone();
                out.push(noted(Uplink::Message { channel: "binary".into(), payload }));
            }
            None => {
                out.push(noted(malformed("mqtt.denied_topic", "not a topic of this vendor")));
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
        let Some(kind) = Kind::parse(reply.kind) else { return };
        let [first, second, third] = texts(&reply.token);
        let is_reset = kind == Kind::ResetSecret;
        let new_secret = if is_reset { self.take_reset(first) } else { None };
        let scene = Scene {
            own: &self.own,
            account,
            role: self.role,
            settings: &self.settings,
            connection: self.connection,
            now,
        };
        let bridged = |leaf| Topic::Bridged { bridge: self.own_id(), device: second, leaf };
        let message = match kind {
            Kind::Shadow => shadow::reply(&scene, first, second, answer),
            Kind::Time => event::time(&scene, first, second, answer),
            Kind::SubStatus => child::statuses_reply(&scene, first, second, answer),
            Kind::SubCreate => child::create_reply(&scene, first, answer),
            Kind::SubDelete => child::delete_reply(&scene, first, answer),
            Kind::SubSync => return child::sync_reply(&scene, first, answer, out),
            Kind::FileUrl => Some(event::file_url(&scene, first, second, third)),
            Kind::Bootstrap => Some(bootstrap::reply(&scene, self.authority.as_deref(), first)),
            Kind::BridgeLogin => {
                Some(child::bridge_reply(&bridged(Leaf::LoginResponse(first)), answer, None))
            }
            Kind::BridgeLogout => {
                Some(child::bridge_reply(&bridged(Leaf::LogoutResponse(first)), answer, None))
            }
            Kind::ResetSecret => {
                let topic = bridged(Leaf::ResetSecretResponse(first));
                Some(child::bridge_reply(&topic, answer, new_secret.as_ref()))
            }
        };
        out.extend(message);
    }

    fn downlink(
        &mut self,
        account: &Account,
        id: Option<RequestId>,
        request: &Downlink,
        now: Timestamp,
        out: &mut Vec<Message>,
    ) -> Result<(), CommandError> {
        if self.role == Role::Member {
            return Err(CommandError::Unsupported("the device is at the provisioning service"));
        }
        let rid: String = token::encode(self.connection, id);
        let scene = Scene {
            own: &self.own,
            account,
            role: self.role,
            settings: &self.settings,
            connection: self.connection,
            now,
        };
        let message = match request {
            Downlink::SetProperties { service, properties } => {
                property::set(&scene, &rid, service, properties)?
            }
            Downlink::GetProperties { service, .. } => {
                let message = property::get(&scene, &rid, service);
                if self.queries.len() >= QUERIES_MAX {
                    return Err(CommandError::Busy);
                }
                self.queries.extend(id.map(|id| (id, service.clone())));
                message
            }
            Downlink::Command { service, command, params } => {
                command::command(&scene, &rid, service, command, params)?
            }
            Downlink::Message { channel, payload, envelope, properties: _ } => {
                channel::downlink(&scene, channel, payload, envelope.as_deref())?
            }
            Downlink::LogLevel(level) => event::log_level(&scene, *level),
            Downlink::SubDevicesChanged { attached, devices, .. } if self.role == Role::Bridge => {
                if *attached {
                    return Err(CommandError::Unsupported("a bridge brings its devices itself"));
                }
                let gone = devices.iter().filter_map(SubDevice::id);
                out.extend(gone.map(|device| child::bridge_disconnect(self.own_id(), device)));
                return Ok(());
            }
            Downlink::SubDevicesChanged { attached, devices: _, facts } => {
                child::notify(&scene, "", *attached, facts, out);
                return Ok(());
            }
            Downlink::Standing(_)
            | Downlink::SubDevicesStanding { .. }
            | Downlink::InviteSubDevices(_)
            | Downlink::Admit(_) => {
                return Err(CommandError::Unsupported(
                    "devices of this vendor are refused, not told",
                ));
            }
            Downlink::SearchSubDevices { start: true } => child::scan(&scene),
            Downlink::SearchSubDevices { start: false } => {
                return Err(CommandError::Unsupported("a scan ends by itself"));
            }
            Downlink::Call(_) => {
                return Err(CommandError::Unsupported("opaque calls; use a command"));
            }
            Downlink::Moved => {
                return Err(CommandError::Unsupported(
                    "devices of this vendor are not told to move",
                ));
            }
            Downlink::Unbound => {
                return Err(CommandError::Unsupported("this vendor's devices know no owner"));
            }
            Downlink::Config(_) => {
                return Err(CommandError::Unsupported("remote configuration"));
            }
        };
        out.push(message);
        Ok(())
    }

    fn forget(&mut self, id: RequestId) {
        self.queries.retain(|(query, _)| *query != id);
    }
}
