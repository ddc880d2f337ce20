//! The push line of enterprises: events of a product, one JSON object a line, and controls.
//!
//! A connection logs in with what was registered for a product (id, secret) and a subkey; the
//! connections of one subkey share a queue. The queue itself is the server's.
//!
//! Source: GizWits §6.4.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use roadstead_core::product::Level;
use roadstead_core::{Map, SpaceId, Value};
use serde_json::json;

use super::device;
use super::message::{Envelope, FORBIDDEN, INVALID, Wrong, text, write, wrong};
use super::socket::p0_of;
use super::values::{self, Coding};
use crate::cloud::{Desk, Happening, Join, Live, News, QueueName, Turn};

/// Silence after which the other side is gone: it pings within five minutes.
const SILENCE_MAX: Duration = Duration::from_secs(6 * 60);
/// Deliveries without an acknowledgement when the client names no number, and at most.
const PREFETCH: u64 = 50;
const PREFETCH_MAX: u64 = 32_767;
/// Products of one connection.
const PRODUCTS_MAX: usize = 50;
/// Controls in one request.
const CONTROLS_MAX: usize = 100;
/// Longest subkey, characters.
const SUBKEY_MAX: usize = 32;

/// Names of events: at the log-in, and in a push; sorted.
const EVENTS: [(&str, &str); 17] = [
    ("center_control.sub_device_added", "sub_device_added"),
    ("center_control.sub_device_deleted", "sub_device_deleted"),
    ("datapoints.changed", "datapoints_changed"),
    ("device.app2dev.kv", "device_app2dev_kv"),
    ("device.app2dev.raw", "device_app2dev_raw"),
    ("device.attr_alert", "attr_alert"),
    ("device.attr_fault", "attr_fault"),
    ("device.bind", "device_bind"),
    ("device.file.download", "device_file_download"),
    ("device.gps.kv", "device_gps_kv"),
    ("device.lbs.kv", "device_lbs_kv"),
    ("device.offline", "device_offline"),
    ("device.online", "device_online"),
    ("device.reset", "device_reset"),
    ("device.status.kv", "device_status_kv"),
    ("device.status.raw", "device_status_raw"),
    ("device.unbind", "device_unbind"),
];

/// Returns the name of an event in a push.
pub(super) fn kind_of(news: &News) -> &'static str {
    match &news.what {
        Happening::Online { .. } => "device_online",
        Happening::Offline => "device_offline",
        Happening::Report(_) => "device_status_kv",
        Happening::Message { .. } => "device_status_raw",
        Happening::Event(event) if event.level == Level::Fault => "attr_fault",
        Happening::Event(_) => "attr_alert",
        Happening::Bound(_) => "device_bind",
        Happening::Unbound(_) => "device_unbind",
    }
}

/// One enterprise.
#[derive(Default)]
pub(super) struct Line {
    joined: Vec<(SpaceId, QueueName)>,
    window: u16,
}

impl Line {
    /// Reads what a connection wants to hear, and checks that it may.
    async fn wanted(&self, desk: &dyn Desk, asked: &Envelope) -> Result<Wanted, Wrong> {
        let mut wanted = Vec::new();
        for row in asked.rows(PRODUCTS_MAX)? {
            let (key, secret) = (text(row, "product_key")?, text(row, "auth_secret")?);
            let application = desk.application(text(row, "auth_id")?).await?;
            let application = application.filter(|application| {
                application.product.as_ref().is_some_and(|product| product.as_str() == key)
                    && application.secret.matches(secret.as_bytes())
            });
            let Some(application) = application else {
                return Err(wrong(FORBIDDEN, "product_key, auth_id or auth_secret is wrong"));
            };
            let product = desk.product(&application.space, key).await?;
            let product = product.ok_or_else(|| wrong(9002, "product_key invalid!"))?;
            let queue = QueueName { product: product.id.clone(), key: subkey(row)?.into() };
            let kinds = kinds(row)?;
            wanted.push((application.space, queue, kinds));
        }
        Ok(wanted)
    }

    fn join(&mut self, wanted: Wanted, turn: &mut Turn) {
        for (space, queue, kinds) in wanted {
            turn.join.push(Join { queue: queue.clone(), kinds, window: self.window });
            self.joined.retain(|(_, other)| *other != queue);
            self.joined.push((space, queue));
        }
    }

    async fn log_in(
        &mut self,
        desk: &dyn Desk,
        asked: &Envelope,
        turn: &mut Turn,
    ) -> Result<(), Wrong> {
        let window = asked.rest.get("prefetch_count").map_or(Some(PREFETCH), Value::as_u64);
        let window = window.filter(|window| (1..=PREFETCH_MAX).contains(window));
        let window = window.and_then(|window| u16::try_from(window).ok());
        let window = window.ok_or_else(|| wrong(INVALID, "prefetch_count: 1 to 32767"))?;
        let wanted = self.wanted(desk, asked).await?;
        self.window = window;
        self.join(wanted, turn);
        Ok(())
    }

    async fn control(&self, desk: &dyn Desk, asked: &Envelope) -> Result<Value, Wrong> {
        let (mut succeed, mut failed) = (Vec::new(), Vec::new());
        for row in asked.rows(CONTROLS_MAX)? {
            let empty = Map::new();
            let data = row.get("data").and_then(Value::as_object).unwrap_or(&empty);
            let did = data.get("did").and_then(Value::as_str).unwrap_or_default();
            match self.control_one(desk, row, data, did).await {
                Ok(()) => succeed.push(json!({"did": did})),
                Err(wrong) => failed.push(json!({"did": did, "reason": wrong.text})),
            }
        }
        Ok(json!({
            "cmd": "remote_control_v2_res", "msg_id": asked.rest.get("msg_id"),
            "result": {"succeed": succeed, "failed": failed},
        }))
    }

    async fn control_one(
        &self,
        desk: &dyn Desk,
        row: &Map<String, Value>,
        data: &Map<String, Value>,
        did: &str,
    ) -> Result<(), Wrong> {
        let key = text(data, "product_key")?;
        let joined = self.joined.iter().find(|(_, queue)| queue.product.as_str() == key);
        let (space, _) = joined.ok_or_else(|| wrong(FORBIDDEN, "not logged in for the product"))?;
        let thing = desk.thing(space, did).await?;
        let thing = thing.filter(|thing| thing.account.product.id.as_str() == key);
        let thing = thing.ok_or_else(|| wrong(9014, "device not found!"))?;
        let coding = Coding::parse(data.get("binary_coding").and_then(Value::as_str));
        let coding = coding.ok_or_else(|| wrong(INVALID, "binary_coding: hex or base64"))?;
        match text(row, "cmd")? {
            "write_attrs" => {
                let attrs = data.get("attrs").and_then(Value::as_object);
                let attrs = attrs.filter(|attrs| !attrs.is_empty());
                let attrs = attrs.ok_or_else(|| wrong(INVALID, "attrs: missing"))?;
                Ok(device::set(desk, &thing, attrs, coding).await?)
            }
            "write" | "write_v1" => {
                let raw = data.get("raw").and_then(|raw| values::raw(raw, coding));
                let raw = raw.ok_or_else(|| wrong(INVALID, "raw: 1 to 1000 bytes"))?;
                Ok(device::send(desk, &thing, raw).await?)
            }
            _ => Err(wrong(INVALID, "cmd: write_attrs, write or write_v1")),
        }
    }

    fn leave(&mut self, asked: &Envelope, turn: &mut Turn) -> Result<(), Wrong> {
        for row in asked.rows(PRODUCTS_MAX)? {
            let (key, subkey) = (text(row, "product_key")?, subkey(row)?);
            let queue = QueueName { product: key.into(), key: subkey.into() };
            self.joined.retain(|(_, other)| *other != queue);
            turn.leave.push(queue);
        }
        Ok(())
    }
}

type Wanted = Vec<(SpaceId, QueueName, Vec<Box<str>>)>;

fn subkey(row: &Map<String, Value>) -> Result<&str, Wrong> {
    let subkey = text(row, "subkey")?;
    let is_plain = subkey.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match is_plain && subkey.len() <= SUBKEY_MAX {
        true => Ok(subkey),
        false => Err(wrong(INVALID, "subkey: 1 to 32 letters, digits or `_`")),
    }
}

fn kinds(row: &Map<String, Value>) -> Result<Vec<Box<str>>, Wrong> {
    let named = row.get("events").and_then(Value::as_array);
    let named = named.ok_or_else(|| wrong(INVALID, "events: missing"))?;
    let mut kinds: Vec<Box<str>> = Vec::new();
    for name in named {
        let name = name.as_str().unwrap_or_default();
        let found = EVENTS.iter().find(|row| row.0 == name);
        let found = found.ok_or_else(|| wrong(INVALID, &format!("event `{name}` is not known")))?;
        kinds.push(found.1.into());
    }
    Ok(kinds)
}

/// Writes what an event is about.
fn data(news: &News) -> Value {
    match &news.what {
        Happening::Report(services) => {
            let maps = services.iter().map(|(_, values)| values);
            Value::Object(values::write(&news.account.product.model, maps, Coding::Hex))
        }
        Happening::Message { channel, payload } => STANDARD.encode(p0_of(channel, payload)).into(),
        Happening::Event(event) => {
            let model = &news.account.product.model;
            let display = model.property(&event.event).map(|(_, property)| &*property.name);
            let is_on = event.params.get("value").and_then(Value::as_bool) == Some(true);
            // The same for the beginning and the end.
            let id = Md5::new().chain_update(news.account.device.id.as_str());
            let id = hex::encode(id.chain_update(&*event.event).finalize());
            json!({
                "event_id": id, "attr_name": &*event.event, "attr_displayname": display,
                "value": u8::from(is_on),
            })
        }
        Happening::Bound(user) | Happening::Unbound(user) => json!({"uid": user.as_str()}),
        Happening::Online { .. } | Happening::Offline => json!({}),
    }
}

fn result(cmd: &str, done: &Result<(), Wrong>) -> String {
    let (result, msg) = match done {
        Ok(()) => (true, "ok"),
        Err(wrong) => (false, &*wrong.text),
    };
    write(cmd, json!({"result": result, "msg": msg}))
}

#[async_trait]
impl Live for Line {
    async fn hear(&mut self, desk: &dyn Desk, text: &str, turn: &mut Turn) {
        let refused = |wrong: Wrong| {
            json!({"cmd": "invalid_msg", "error_code": wrong.number, "msg": wrong.text}).to_string()
        };
        let asked = match Envelope::parse(text) {
            Ok(asked) => asked,
            Err(wrong) => return turn.say.push(refused(wrong)),
        };
        match &*asked.cmd {
            "ping" => turn.say.push(r#"{"cmd":"pong"}"#.to_string()),
            "login_req" => {
                let done = self.log_in(desk, &asked, turn).await;
                turn.close = done.is_err();
                turn.say.push(result("login_res", &done));
            }
            _ if self.joined.is_empty() => {
                turn.say.push(refused(wrong(FORBIDDEN, "log in first")));
            }
            "event_ack" => {
                let delivery = asked.rest.get("delivery_id").and_then(Value::as_u64);
                match delivery {
                    Some(delivery) => turn.acks.push(delivery),
                    None => turn.say.push(refused(wrong(INVALID, "delivery_id: missing"))),
                }
            }
            "remote_control_v2_req" => match self.control(desk, &asked).await {
                Ok(answer) => turn.say.push(answer.to_string()),
                Err(wrong) => turn.say.push(refused(wrong)),
            },
            "subscribe_req" => {
                let done = self.wanted(desk, &asked).await.map(|wanted| self.join(wanted, turn));
                turn.say.push(result("subscribe_res", &done));
            }
            "unsubscribe_req" => {
                let done = self.leave(&asked, turn);
                turn.say.push(result("unsubscribe_res", &done));
            }
            other => {
                turn.say.push(refused(wrong(INVALID, &format!("cmd `{other}` is not known"))));
            }
        }
    }

    async fn happened(
        &mut self,
        _desk: &dyn Desk,
        news: &News,
        delivery: Option<u64>,
        turn: &mut Turn,
    ) {
        let Some(delivery) = delivery else { return };
        let device = &news.account.device;
        let at = news.at.as_millis();
        let push = json!({
            "cmd": "event_push",
            "delivery_id": delivery,
            "msg_id": format!("{at}-{delivery}"),
            "event_type": kind_of(news),
            "product_key": device.product.as_str(),
            "did": device.id.as_str(),
            "mac": device.node.to_ascii_lowercase(),
            "group_id": Value::Null,
            "created_at": at as f64 / 1000.0,
            "data": data(news),
        });
        turn.say.push(push.to_string());
    }

    fn silence_max(&self) -> Duration {
        SILENCE_MAX
    }
}
