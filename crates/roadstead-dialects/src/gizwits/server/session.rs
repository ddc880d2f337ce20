//! One admitted module: frames of the local network inside MQTT messages, in canonical words.
//!
//! | message | means |
//! |---|---|
//! | 0x0091 with a status | report; alerts and faults that changed are events as well |
//! | 0x0091 without | the MCU took a control that had no number |
//! | 0x0094 | the answer to the 0x0093 of that number |
//! | 0x0093 | control or read, numbered |
//!
//! The platform is one of the clients a module answers to; its name has the number of the
//! connection in it, so that an answer of an older one is not mistaken.
//!
//! Source: GizWits §3.5, §4; seed §7.4, §8.7.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Downlink, Occurrence, Response, Uplink, channel};
use roadstead_core::product::{Level, Product};
use roadstead_core::shadow::Values;
use roadstead_core::{Map, RequestId, Timestamp, Value};

use super::message::{FromModule, clients};
use crate::cloud::{Account, Grant, Heard, Message, Reply, Route, Session};
use crate::gizwits::point::{Action, Decoded, Kind, Layout, P0, PackError};
use crate::gizwits::topic::{Up, hears_controls, is_granted};
use crate::gizwits::{P0_CHANNEL, lan};

/// Largest packet a module takes: one read of 1024 bytes (GizWits §3.5).
const PACKET_BYTES_MAX: usize = 1024;
/// Bytes of a PUBLISH around topic and payload: fixed header of up to 3, length of the topic.
const PUBLISH_BYTES: usize = 5;
/// The channel of bytes that only the MCU understands.
const RAW: &str = "raw";
/// The fact about a device that names its alerts and faults that are on.
const SIGNALS: &str = "signals";
/// The only answer there is: how many clients are on line.
const REPLY_CLIENTS: u8 = 0;

/// A request that the module has not answered yet.
struct Pending {
    sn: u32,
    id: RequestId,
    /// What was asked for; `None` for a control.
    read: Option<(Box<str>, Vec<Box<str>>)>,
}

/// The layout of a product, or why it has none.
type Known = (Arc<Product>, Result<Layout, String>);

/// The cloud half of one connection.
pub(super) struct GizwitsSession {
    own: Account,
    connection: u32,
    sn: u32,
    pending: Vec<Pending>,
    /// Made at the first use; of this very product.
    layout: Option<Box<Known>>,
    /// Alerts and faults that are on, those of the last connection included.
    active: Vec<Box<str>>,
}

impl GizwitsSession {
    /// Opens the session of `own`.
    pub(super) fn new(own: Account, random: u64) -> Self {
        // Any half of the random number tells connections apart.
        let connection = (random >> 32) as u32;
        let active = own.device.info.get(SIGNALS).and_then(Value::as_array);
        let names = active.into_iter().flatten().filter_map(Value::as_str);
        let active = names.map(Box::from).collect();
        Self { own, connection, sn: 0, pending: Vec::new(), layout: None, active }
    }

    fn did(&self) -> &str {
        self.own.device.id.as_str()
    }

    /// The platform's name among the clients of a module.
    fn client(&self) -> String {
        format!("roadstead{:08x}", self.connection)
    }

    /// Returns the layout of the product as it is now.
    fn layout(&mut self, product: &Arc<Product>) -> Result<&Layout, &str> {
        if self.layout.as_ref().is_none_or(|known| !Arc::ptr_eq(&known.0, product)) {
            self.layout = Some(Box::new((product.clone(), Layout::of(&product.model))));
        }
        match &self.layout {
            Some(known) => known.1.as_ref().map_err(String::as_str),
            None => Err("no layout"),
        }
    }

    /// Understands a frame to phones and platform.
    fn frame(
        &mut self,
        account: &Account,
        client: Option<&str>,
        payload: &[u8],
        now: Timestamp,
        out: &mut Vec<Heard>,
    ) {
        let Some(frame) = lan::udp(payload) else {
            return out.push(malformed("payload.malformed", "no frame, or its length is wrong"));
        };
        match (frame.cmd, lan::Message::of(&frame)) {
            (_, lan::Message::Report([])) => out.push(ignored("control taken")),
            (_, lan::Message::Report(p0)) => {
                self.status(account, p0, now, out);
            }
            (_, lan::Message::ReportSn { sn, p0 }) if client == Some(&*self.client()) => {
                self.answered(account, sn, p0, now, out);
            }
            (lan::cmd::REPORT_SN, lan::Message::ReportSn { .. }) => {
                out.push(ignored("answer to another client"));
            }
            (cmd, _) => {
                let text = format!("frame {cmd:#06x} is cut, or not for the platform");
                out.push(malformed("payload.malformed", &text));
            }
        }
    }

    /// Understands a P0 payload of the MCU; returns what a read wants to know.
    fn status(
        &mut self,
        account: &Account,
        payload: &[u8],
        now: Timestamp,
        out: &mut Vec<Heard>,
    ) -> Option<Decoded> {
        let product = &account.product;
        let Some(p0) = P0::parse(payload) else {
            let text = format!("P0 action {:#04x} is not known", payload.first().unwrap_or(&0));
            out.push(malformed("payload.malformed", &text));
            return None;
        };
        match p0.action {
            Action::Answer | Action::Report if product.model.is_empty() => {
                out.push(message(P0_CHANNEL, payload));
                None
            }
            Action::Answer | Action::Report => {
                let decoded = match self.layout(product) {
                    Ok(layout) => layout.decode(&product.model, &p0).map_err(|e| e.to_string()),
                    Err(why) => Err(why.to_string()),
                };
                match decoded {
                    Ok(decoded) => {
                        self.tell(&decoded, now, out);
                        Some(decoded)
                    }
                    Err(why) => {
                        out.push(malformed("model.violation", &why));
                        None
                    }
                }
            }
            Action::FromDevice => {
                out.push(message(RAW, p0.body));
                None
            }
            Action::Gateway => {
                out.push(ignored("sub-device of a light gateway (0x72)"));
                None
            }
            Action::Control | Action::Read | Action::ToDevice => {
                out.push(malformed("payload.malformed", "a P0 action for the device, from it"));
                None
            }
        }
    }

    /// Says what a status means: values, and what has just begun or ended.
    fn tell(&mut self, decoded: &Decoded, now: Timestamp, out: &mut Vec<Heard>) {
        let values =
            |properties: &Map<String, Value>| Values { properties: properties.clone(), at: now };
        let services = decoded.services.iter().map(|(id, map)| (id.clone(), values(map))).collect();
        let report = Uplink::Report { services, rejected: decoded.rejected.clone() };
        out.push(Heard { uplink: report, reply: None });
        let mut events = Vec::new();
        for (kind, service, name, is_on) in &decoded.signals {
            let known = self.active.iter().position(|active| active == name);
            match (known, is_on) {
                (None, true) => self.active.push(name.clone()),
                (Some(at), false) => drop(self.active.swap_remove(at)),
                (None, false) | (Some(_), true) => continue,
            }
            let level = if *kind == Kind::Fault { Level::Fault } else { Level::Alert };
            let params = [("value".to_string(), Value::Bool(*is_on))].into_iter().collect();
            events.push(Occurrence {
                service: service.clone(),
                event: name.clone(),
                level,
                at: now,
                params,
            });
        }
        if !events.is_empty() {
            out.push(Heard { uplink: Uplink::Events(events), reply: None });
            // After the events: what the next connection must not repeat, or end unheard.
            let active = self.active.iter().map(|name| Value::from(&**name)).collect();
            let fact = (SIGNALS.to_string(), Value::Array(active));
            out.push(Heard { uplink: Uplink::Info(Map::from_iter([fact])), reply: None });
        }
    }

    fn answered(
        &mut self,
        account: &Account,
        sn: u32,
        p0: &[u8],
        now: Timestamp,
        out: &mut Vec<Heard>,
    ) {
        let found = self.pending.iter().position(|pending| pending.sn == sn);
        let pending = found.map(|at| self.pending.swap_remove(at));
        let decoded = if p0.is_empty() { None } else { self.status(account, p0, now, out) };
        let mut response =
            Response { code: 0, status: "".into(), output: Map::new(), payload: Bytes::new() };
        let read = pending.as_ref().and_then(|pending| pending.read.as_ref());
        match (read, decoded) {
            (Some((service, names)), Some(decoded)) => {
                let found = decoded.services.into_iter().find(|(id, _)| id == service);
                response.output = found.map(|(_, values)| values).unwrap_or_default();
                response
                    .output
                    .retain(|key, _| names.is_empty() || names.iter().any(|name| **name == **key));
            }
            (Some(_), None) => {
                response.code = 1;
                response.status = "the answer has no status that fits the model".into();
            }
            (None, _) => response.payload = Bytes::copy_from_slice(p0),
        }
        let request = pending.map(|pending| pending.id);
        out.push(Heard { uplink: Uplink::Response { request, response }, reply: None });
    }

    /// Writes a P0 payload for the MCU.
    fn ask(
        &mut self,
        id: Option<RequestId>,
        p0: &[u8],
        read: Option<(Box<str>, Vec<Box<str>>)>,
    ) -> Result<Message, CommandError> {
        let mut payload = Vec::with_capacity(16 + p0.len());
        let sn = self.sn.wrapping_add(1);
        match id {
            Some(_) => lan::Message::ControlSn { sn, p0 }.emit(&mut payload),
            None => lan::Message::Control(p0).emit(&mut payload),
        }
        let topic = format!("app2dev/{}/{}", self.did(), self.client());
        let size = PUBLISH_BYTES + topic.len() + payload.len();
        if size > PACKET_BYTES_MAX {
            return Err(CommandError::TooLarge { size, limit: PACKET_BYTES_MAX });
        }
        if let Some(id) = id {
            self.sn = sn;
            self.pending.push(Pending { sn, id, read });
        }
        Ok(Message { topic: topic.into(), payload: payload.into(), qos: 0 })
    }
}

impl Session for GizwitsSession {
    fn publish_route(&self, topic: &str) -> Route {
        match Up::parse(topic) {
            Some(Up::Server) => Route::Own,
            Some(Up::App { did, .. } | Up::Other { did }) if did == self.did() => Route::Own,
            Some(Up::App { .. } | Up::Other { .. }) | None => Route::Denied,
        }
    }

    fn subscribe_grant(&self, filter: &str) -> Grant {
        match is_granted(filter, self.own.product.id.as_str(), self.did()) {
            true => Grant::Platform { qos_max: 0 },
            false => Grant::Denied,
        }
    }

    fn is_ready_after(&self, filter: &str) -> bool {
        hears_controls(filter, self.did())
    }

    fn uplink(
        &mut self,
        account: &Account,
        topic: &str,
        payload: &Bytes,
        now: Timestamp,
        out: &mut Vec<Heard>,
    ) {
        match Up::parse(topic) {
            Some(Up::App { client, .. }) => self.frame(account, client, payload, now, out),
            Some(Up::Server) => match FromModule::parse(payload) {
                Some(FromModule::Clients) => {
                    let reply = Some(Reply { kind: REPLY_CLIENTS, token: "".into() });
                    let what = "number of clients".into();
                    out.push(Heard { uplink: Uplink::Ignored { what }, reply });
                }
                Some(FromModule::Other(what)) => {
                    out.push(Heard { uplink: Uplink::Ignored { what }, reply: None });
                }
                None => out.push(malformed("payload.malformed", "no server request")),
            },
            Some(Up::Other { .. }) => out.push(ignored("request of a newer device")),
            None => out.push(malformed("payload.malformed", "no topic of a module")),
        }
    }

    fn answer(
        &mut self,
        _account: &Account,
        reply: &Reply,
        _answer: &Answer,
        _now: Timestamp,
        out: &mut Vec<Message>,
    ) {
        if reply.kind == REPLY_CLIENTS {
            // The platform itself is always there; phones come through it.
            let topic = format!("ser2cli_res/{}", self.did()).into();
            out.push(Message { topic, payload: clients(1).into(), qos: 0 });
        }
    }

    fn downlink(
        &mut self,
        account: &Account,
        id: Option<RequestId>,
        request: &Downlink,
        _now: Timestamp,
        out: &mut Vec<Message>,
    ) -> Result<(), CommandError> {
        let model = &account.product.model;
        let unfit = |why: &str| CommandError::Model(why.into());
        let packed = |error: PackError| unfit(&error.to_string());
        let message = match request {
            Downlink::SetProperties { service, properties } => {
                let layout = self.layout(&account.product).map_err(unfit)?;
                let p0 = layout.control(model, service, properties).map_err(packed)?;
                self.ask(id, &p0, None)?
            }
            Downlink::GetProperties { service, properties } => {
                let layout = self.layout(&account.product).map_err(unfit)?;
                let p0 = layout.read(model, service, properties).map_err(packed)?;
                self.ask(id, &p0, Some((service.clone(), properties.clone())))?
            }
            Downlink::Message { channel, payload, .. } => match &**channel {
                RAW | channel::DEFAULT => self.ask(None, &raw(payload), None)?,
                P0_CHANNEL => self.ask(None, payload, None)?,
                _ => return Err(CommandError::Unsupported("a channel beside `raw` and `p0`")),
            },
            Downlink::Call(payload) => self.ask(id, &raw(payload), None)?,
            Downlink::Command { .. } => {
                return Err(CommandError::Unsupported("commands; set properties"));
            }
            Downlink::Unbound => {
                return Err(CommandError::Unsupported("a module does not know its owner"));
            }
            Downlink::Moved => {
                return Err(CommandError::Unsupported("a module is not told to move"));
            }
            Downlink::LogLevel(_) => return Err(CommandError::Unsupported("log levels")),
            Downlink::Config(_) => {
                return Err(CommandError::Unsupported("remote configuration"));
            }
            Downlink::Standing(_) => {
                return Err(CommandError::Unsupported("a module is refused, not told"));
            }
            Downlink::SubDevicesChanged { .. }
            | Downlink::SubDevicesStanding { .. }
            | Downlink::InviteSubDevices(_)
            | Downlink::Admit(_)
            | Downlink::SearchSubDevices { .. } => {
                return Err(CommandError::Unsupported("sub-devices; the gateway adds them"));
            }
        };
        out.push(message);
        Ok(())
    }

    fn forget(&mut self, id: RequestId) {
        self.pending.retain(|pending| pending.id != id);
    }
}

/// Puts the action of bytes for the MCU before them.
fn raw(payload: &[u8]) -> Vec<u8> {
    [&[0x05], payload].concat()
}

fn message(channel: &str, payload: &[u8]) -> Heard {
    let payload = Bytes::copy_from_slice(payload);
    Heard { uplink: Uplink::Message { channel: channel.into(), payload }, reply: None }
}

fn ignored(what: &str) -> Heard {
    Heard { uplink: Uplink::Ignored { what: what.into() }, reply: None }
}

fn malformed(code: roadstead_core::Code, detail: &str) -> Heard {
    Heard { uplink: Uplink::Malformed { code, detail: detail.into() }, reply: None }
}
