//! The WebSocket of phones: `/ws/app/v1`.
//!
//! ```text
//! open --login_req--> logged in --subscribe_req, c2s_*--> answers, s2c_noti, s2c_online_status
//!   '-- anything else --> s2c_invalid_msg
//! ```
//!
//! What a client asks is performed one after the other. Every request about a device is checked
//! against the bindings as they are then; a user who is unbound hears nothing more.
//!
//! Source: GizWits §6.2.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use async_trait::async_trait;
use roadstead_core::command::Outcome;
use roadstead_core::exchange::Downlink;
use roadstead_core::{DeviceId, Map, Value};
use serde_json::json;

use super::device;
use super::message::{Envelope, FORBIDDEN, INVALID, Wrong, text, write, wrong};
use super::values::{self, Coding};
use crate::cloud::{Desk, Happening, Live, News, Person, Thing, Turn, Watch};
use crate::gizwits::lan;

/// Where phones connect.
pub(super) const PATH: &str = "/ws/app/v1";
/// Longest heartbeat (GizWits §6.2).
const HEARTBEAT_MAX_S: u64 = 180;
/// Silence that is allowed behind the heartbeat: a message may be late.
const GRACE: Duration = Duration::from_secs(15);
/// Devices in one request.
const DEVICES_MAX: usize = 200;

/// One phone.
pub(super) struct Socket {
    silence: Duration,
    session: Option<Session>,
}

/// A phone that has logged in.
struct Session {
    person: Person,
    /// Only whole frames are exchanged.
    is_custom: bool,
    auto_subscribe: bool,
    subscribed: BTreeSet<DeviceId>,
}

impl Socket {
    /// Returns a connection before its log-in.
    pub(super) fn new() -> Self {
        Self { silence: Duration::from_secs(HEARTBEAT_MAX_S) + GRACE, session: None }
    }

    async fn log_in(
        &mut self,
        desk: &dyn Desk,
        data: &Map<String, Value>,
        turn: &mut Turn,
    ) -> Result<(), Wrong> {
        let application = desk.application(text(data, "appid")?).await?;
        let application = application.filter(|application| application.product.is_none());
        let application = application.ok_or_else(|| wrong(9003, "appid invalid!"))?;
        let person = desk.who(text(data, "token")?).await?;
        let is_right =
            person.space == application.space && text(data, "uid")? == person.user.as_str();
        if !is_right {
            return Err(wrong(9004, "token invalid!"));
        }
        let is_custom = match text(data, "p0_type")? {
            "attrs_v4" => false,
            "custom" => true,
            _ => return Err(wrong(INVALID, "p0_type: attrs_v4 or custom")),
        };
        let heartbeat = data.get("heartbeat_interval").map(|value| value.as_u64());
        let heartbeat = heartbeat.unwrap_or(Some(HEARTBEAT_MAX_S));
        let heartbeat = heartbeat.filter(|s| (1..=HEARTBEAT_MAX_S).contains(s));
        let heartbeat =
            heartbeat.ok_or_else(|| wrong(INVALID, "heartbeat_interval: 1 to 180 seconds"))?;
        let auto_subscribe = data.get("auto_subscribe").and_then(Value::as_bool).unwrap_or(true);
        let mut subscribed = BTreeSet::new();
        if auto_subscribe {
            let ties = desk.ties(&person).await?;
            subscribed.extend(ties.into_iter().map(|tie| tie.thing.account.device.id.clone()));
        }
        self.silence = Duration::from_secs(heartbeat) + GRACE;
        turn.user = Some(person.user.clone());
        let session = Session { person, is_custom, auto_subscribe, subscribed };
        turn.watch = Some(session.watches());
        self.session = Some(session);
        Ok(())
    }
}

impl Session {
    fn watches(&self) -> Vec<Watch> {
        self.subscribed.iter().cloned().map(Watch::Device).collect()
    }

    /// Returns a device that the user is bound to.
    async fn own(&self, desk: &dyn Desk, data: &Map<String, Value>) -> Result<Thing, Wrong> {
        let did = text(data, "did")?;
        let thing = desk.thing(&self.person.space, did).await?;
        let thing = thing.ok_or_else(|| wrong(9014, "device not found!"))?;
        match desk.role(&self.person, &thing.account.device.id).await? {
            Some(_) => Ok(thing),
            None => Err(wrong(9017, "device not bound!")),
        }
    }

    /// Understands a message after the log-in.
    async fn hear(
        &mut self,
        desk: &dyn Desk,
        asked: &Envelope,
        turn: &mut Turn,
    ) -> Result<(), Wrong> {
        match &*asked.cmd {
            "subscribe_req" => self.subscribe(desk, asked, turn).await?,
            "c2s_raw" => self.raw(desk, asked, turn).await?,
            "c2s_ack" => {}
            "c2s_read" | "c2s_write" if self.is_custom => {
                return Err(wrong(INVALID, "p0_type is custom: c2s_raw alone"));
            }
            "c2s_read" => self.read(desk, asked, turn).await?,
            "c2s_write" => {
                let data = asked.object()?;
                let thing = self.own(desk, data).await?;
                let attrs = data.get("attrs").and_then(Value::as_object);
                let attrs = attrs.filter(|attrs| !attrs.is_empty());
                let attrs = attrs.ok_or_else(|| wrong(INVALID, "attrs: missing"))?;
                device::set(desk, &thing, attrs, Coding::List).await?;
                turn.say.extend(asked.req_sn.map(|sn| acknowledge(sn, &thing)));
            }
            other => return Err(wrong(INVALID, &format!("cmd `{other}` is not known"))),
        }
        Ok(())
    }

    async fn subscribe(
        &mut self,
        desk: &dyn Desk,
        asked: &Envelope,
        turn: &mut Turn,
    ) -> Result<(), Wrong> {
        let (mut success, mut failed) = (Vec::new(), Vec::new());
        for row in asked.rows(DEVICES_MAX)? {
            match self.own(desk, row).await {
                Ok(thing) => {
                    success.push(json!({"did": thing.account.device.id.as_str()}));
                    self.subscribed.insert(thing.account.device.id.clone());
                }
                Err(wrong) => failed.push(json!({
                    "did": row.get("did"), "error_code": wrong.number, "msg": wrong.text,
                })),
            }
        }
        turn.watch = Some(self.watches());
        turn.say.push(write("subscribe_res", json!({"success": success, "failed": failed})));
        Ok(())
    }

    /// Asks the device. Its answer is a report to everybody who watches; whoever numbered the
    /// request gets one with that number.
    async fn read(&self, desk: &dyn Desk, asked: &Envelope, turn: &mut Turn) -> Result<(), Wrong> {
        let data = asked.object()?;
        let thing = self.own(desk, data).await?;
        let names = data.get("names").and_then(Value::as_array);
        let names: Vec<Box<str>> =
            names.into_iter().flatten().filter_map(Value::as_str).map(Box::from).collect();
        let account = &thing.account;
        let model = &account.product.model;
        for service in &model.services {
            let known = |name: &str| service.property(name).is_some();
            let properties: Vec<Box<str>> =
                names.iter().filter(|name| known(name)).cloned().collect();
            if properties.is_empty() && !names.is_empty() {
                return Err(wrong(9025, "attr invalid!"));
            }
            let service = service.id.clone();
            let request = Downlink::GetProperties { service, properties };
            let device = &account.device;
            let outcome = desk.request(&device.space, &device.id, request).await;
            let outcome = outcome.map_err(super::fault::Fault::from)?;
            if let (Some(sn), Outcome::Answered(answer)) = (asked.req_sn, outcome) {
                let attrs = values::write(model, [&answer.output], Coding::List);
                let data = json!({"did": device.id.as_str(), "attrs": attrs});
                let noti = json!({"cmd": "s2c_noti", "res_sn": sn, "data": data});
                turn.say.push(noti.to_string());
            }
        }
        Ok(())
    }

    /// Sends what is in a whole frame.
    async fn raw(&self, desk: &dyn Desk, asked: &Envelope, turn: &mut Turn) -> Result<(), Wrong> {
        let data = asked.object()?;
        let thing = self.own(desk, data).await?;
        let bytes = data.get("raw").and_then(|raw| values::raw(raw, Coding::List));
        let bytes = bytes.ok_or_else(|| wrong(INVALID, "raw: a frame of at most 1000 bytes"))?;
        let Some(frame) = lan::udp(&bytes) else {
            return Err(wrong(INVALID, "raw: no frame, or its length is wrong"));
        };
        let (sn, p0) = match (frame.cmd, lan::Message::of(&frame)) {
            (lan::cmd::CONTROL, lan::Message::Control(p0)) => (None, p0.to_vec()),
            (lan::cmd::CONTROL_SN, lan::Message::ControlSn { sn, p0 }) => (Some(sn), p0.to_vec()),
            (_, _) => return Err(wrong(INVALID, "raw: the command is not 0x0090 or 0x0093")),
        };
        device::send(desk, &thing, p0).await?;
        if let Some(sn) = sn {
            let mut answer = Vec::new();
            lan::Message::ReportSn { sn, p0: &[] }.emit(&mut answer);
            turn.say.push(raw_message(&thing.account.device.id, &answer));
        }
        turn.say.extend(asked.req_sn.map(|sn| acknowledge(sn, &thing)));
        Ok(())
    }

    fn happened(&mut self, news: &News, turn: &mut Turn) {
        let device = &news.account.device;
        if let Happening::Bound(user) | Happening::Unbound(user) = &news.what {
            if *user != self.person.user {
                return;
            }
            let bind = matches!(news.what, Happening::Bound(_));
            match bind {
                true if self.auto_subscribe => drop(self.subscribed.insert(device.id.clone())),
                true => {}
                false => drop(self.subscribed.remove(&device.id)),
            }
            turn.watch = Some(self.watches());
            let data = json!({"did": device.id.as_str(), "bind": bind});
            return turn.say.push(write("s2c_binding_changed", data));
        }
        if !self.subscribed.contains(&device.id) {
            return;
        }
        match &news.what {
            Happening::Online { .. } | Happening::Offline => {
                let online = !matches!(news.what, Happening::Offline);
                let passcode = device.secret.as_ref().and_then(|secret| secret.expose_text());
                let data = json!({
                    "did": device.id.as_str(), "passcode": passcode,
                    "mac": device.node.to_ascii_lowercase(), "online": online,
                });
                turn.say.push(write("s2c_online_status", data));
            }
            Happening::Report(services) if !self.is_custom => {
                let maps = services.iter().map(|(_, values)| values);
                let attrs = values::write(&news.account.product.model, maps, Coding::List);
                let data = json!({"did": device.id.as_str(), "attrs": attrs});
                turn.say.push(write("s2c_noti", data));
            }
            Happening::Message { channel, payload } => {
                let mut frame = Vec::new();
                lan::Message::Report(&p0_of(channel, payload)).emit(&mut frame);
                turn.say.push(raw_message(&device.id, &frame));
            }
            Happening::Report(_)
            | Happening::Event(_)
            | Happening::Bound(_)
            | Happening::Unbound(_) => {}
        }
    }
}

/// Returns the P0 payload of a message of a device: bytes for people who know them carry an
/// action before them, a whole payload stands for itself.
pub(super) fn p0_of(channel: &str, payload: &[u8]) -> Vec<u8> {
    const FROM_DEVICE: u8 = 0x06;
    match channel == crate::gizwits::P0_CHANNEL {
        true => payload.to_vec(),
        false => [&[FROM_DEVICE], payload].concat(),
    }
}

fn acknowledge(sn: u64, thing: &Thing) -> String {
    let did = thing.account.device.id.as_str();
    json!({"cmd": "s2c_ack", "res_sn": sn, "data": {"did": did}}).to_string()
}

fn raw_message(did: &DeviceId, frame: &[u8]) -> String {
    write("s2c_raw", json!({"did": did.as_str(), "raw": frame}))
}

#[async_trait]
impl Live for Socket {
    async fn hear(&mut self, desk: &dyn Desk, text: &str, turn: &mut Turn) {
        let asked = match Envelope::parse(text) {
            Ok(asked) => asked,
            Err(wrong) => return refuse(&wrong, None, turn),
        };
        match (&*asked.cmd, &mut self.session) {
            ("ping", _) => turn.say.push(r#"{"cmd":"pong"}"#.to_string()),
            ("login_req", _) => {
                let done = match asked.object() {
                    Ok(data) => self.log_in(desk, data, turn).await,
                    Err(wrong) => Err(wrong),
                };
                turn.close = done.is_err();
                let data = match done {
                    Ok(()) => json!({"success": true}),
                    Err(wrong) => json!({
                        "success": false, "msg": wrong.text, "error_code": wrong.number,
                    }),
                };
                turn.say.push(write("login_res", data));
            }
            (_, None) => refuse(&wrong(FORBIDDEN, "log in first"), asked.req_sn, turn),
            (_, Some(session)) => {
                if let Err(wrong) = session.hear(desk, &asked, turn).await {
                    refuse(&wrong, asked.req_sn, turn);
                }
            }
        }
    }

    async fn happened(
        &mut self,
        _desk: &dyn Desk,
        news: &News,
        _delivery: Option<u64>,
        turn: &mut Turn,
    ) {
        if let Some(session) = &mut self.session {
            session.happened(news, turn);
        }
    }

    fn silence_max(&self) -> Duration {
        self.silence
    }
}

fn refuse(wrong: &Wrong, sn: Option<u64>, turn: &mut Turn) {
    let data = json!({"error_code": wrong.number, "msg": wrong.text});
    let mut message = json!({"cmd": "s2c_invalid_msg", "data": data});
    if let (Some(sn), Some(object)) = (sn, message.as_object_mut()) {
        object.insert("res_sn".into(), sn.into());
    }
    turn.say.push(message.to_string());
}
