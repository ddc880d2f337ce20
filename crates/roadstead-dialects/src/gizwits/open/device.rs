//! Devices of the user: show, latest values, what went over the wire, control; and finding a
//! device that has just registered.
//!
//! Source: GizWits §6.1, §1.7, §4.6.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use roadstead_core::exchange::Downlink;
use roadstead_core::record::RecordKind;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{Map, Timestamp, Value};
use serde_json::json;

use super::ask::{Answer, Ask, alias_id, seconds};
use super::fault::{Fault, fault, form};
use super::values::{self, Coding};
use super::view;
use crate::cloud::{Desk, Thing};
use crate::gizwits::P0_CHANNEL;

/// Values older than this are not shown (GizWits §6.1).
const LATEST_MAX: Duration = Duration::from_secs(24 * 3600);
/// Widest window of a log, seconds (GizWits §6.1: less than 48 h).
const WINDOW_S: i64 = 48 * 3600;
/// Rows of a log at once, by default and at most, and how far back one may go.
const ROWS: u64 = 20;
const ROWS_MAX: u64 = 1000;
const REACH_MAX: u64 = 5000;
/// Codes looked for in one call.
const CODES_MAX: usize = 16;

/// `GET /app/devices/{did}`.
pub(super) async fn show(ask: &Ask<'_>, did: &str) -> Answer {
    let (_, person) = ask.person().await?;
    let (thing, role) = ask.own(&person, did).await?;
    let id = alias_id(&person, &thing.account.device.id);
    let alias = ask.desk.note(RecordKind::Alias, &id).await?.map(|note| note.body);
    Ok((200, view::device(ask, &thing, role, alias.as_ref())))
}

/// `GET /app/devdata/{did}/latest`.
pub(super) async fn latest(ask: &Ask<'_>, did: &str) -> Answer {
    let (_, person) = ask.person().await?;
    let (thing, _) = ask.own(&person, did).await?;
    let shadow = ask.desk.shadow(&thing.account.device.id).await?;
    let now = ask.desk.now();
    let fresh = |at: Timestamp| now.since(at) < LATEST_MAX;
    let reported: Vec<_> = shadow
        .services
        .values()
        .map(|state| &state.reported)
        .filter(|values| !values.properties.is_empty() && fresh(values.at))
        .collect();
    let model = &thing.account.product.model;
    let maps = reported.iter().map(|values| &values.properties);
    let attr = values::write(model, maps, Coding::Hex);
    let updated_at = reported.iter().map(|values| seconds(values.at)).max();
    Ok((200, json!({"did": did, "updated_at": updated_at, "attr": attr})))
}

/// `POST /app/control/{did}`: attributes, or bytes behind the command word.
pub(super) async fn control(ask: &Ask<'_>, did: &str) -> Answer {
    let (_, person) = ask.person().await?;
    let body = ask.body()?;
    let (thing, _) = ask.own(&person, did).await?;
    let coding = Coding::parse(body.get("binary_coding").and_then(Value::as_str));
    let coding = coding.ok_or_else(|| form("binary_coding: hex or base64"))?;
    match (body.get("attrs"), body.get("raw")) {
        (Some(Value::Object(attrs)), None) if !attrs.is_empty() => {
            set(ask.desk, &thing, attrs, coding).await?;
        }
        (None, Some(raw)) => {
            let bytes = values::raw(raw, coding).ok_or_else(|| form("raw: 1 to 1000 bytes"))?;
            send(ask.desk, &thing, bytes).await?;
        }
        _ => return Err(form("either attrs or raw")),
    }
    Ok((200, json!({})))
}

/// Sets attributes and waits until the device has taken them.
pub(super) async fn set(
    desk: &dyn Desk,
    thing: &Thing,
    attrs: &Map<String, Value>,
    coding: Coding,
) -> Result<(), Fault> {
    let device = &thing.account.device;
    let refused = |detail| Fault { number: 9025, detail: Some(detail) };
    let sorted = values::read(&thing.account.product.model, attrs, coding).map_err(refused)?;
    if device.frozen {
        return Err(fault(9023));
    }
    for (service, properties) in sorted {
        let request = Downlink::SetProperties { service, properties };
        desk.request(&device.space, &device.id, request).await?;
    }
    Ok(())
}

/// Sends bytes as they stand behind the command word of a frame.
pub(super) async fn send(desk: &dyn Desk, thing: &Thing, bytes: Vec<u8>) -> Result<(), Fault> {
    let device = &thing.account.device;
    if device.frozen {
        return Err(fault(9023));
    }
    let request = Downlink::Message {
        channel: P0_CHANNEL.into(),
        payload: Bytes::from(bytes),
        envelope: None,
        properties: Default::default(),
    };
    desk.request(&device.space, &device.id, request).await?;
    Ok(())
}

/// `GET /app/devices/{did}/raw_data`: what the trace of the platform knows. It keeps no frames:
/// `payload_bin` is empty.
pub(super) async fn log(ask: &Ask<'_>, did: &str) -> Answer {
    let (_, person) = ask.person().await?;
    let (thing, _) = ask.own(&person, did).await?;
    let (start, end, skip, limit) = window(ask)?;
    let is_cmd = match ask.query.get("type") {
        Some("cmd") | None => true,
        Some("online") => false,
        Some(_) => return Err(form("type: cmd or online")),
    };
    let newest_first = match ask.query.get("sort") {
        Some("desc") | None => true,
        Some("asc") => false,
        Some(_) => return Err(form("sort: asc or desc")),
    };
    let whats: &'static [&'static str] = match is_cmd {
        true => &["report", "set_properties", "get_properties", "message", "call"],
        false => &["login", "logout"],
    };
    let device = &thing.account.device;
    let since = Timestamp(start.saturating_mul(1000).saturating_sub(1));
    let until = Timestamp(end.saturating_add(1).saturating_mul(1000));
    let mut hops = ask.desk.trace(&device.space, &device.id, whats, since, until).await?;
    hops.reverse();
    let mut rows: Vec<Value> = Vec::new();
    let mut online = false;
    for hop in hops {
        rows.extend(row(&hop, &mut online));
    }
    if newest_first {
        rows.reverse();
    }
    let total = rows.len();
    let page: Vec<Value> = rows.into_iter().skip(skip).take(limit).collect();
    let meta = json!({
        "did": did, "type": if is_cmd { "cmd" } else { "online" }, "start_time": start,
        "end_time": end, "skip": skip, "limit": limit, "total": total,
        "sort": if newest_first { "desc" } else { "asc" },
    });
    Ok((200, json!({"meta": meta, "objects": page})))
}

/// Reads the window of a log: start, end, skip, limit.
fn window(ask: &Ask<'_>) -> Result<(i64, i64, usize, usize), Fault> {
    let now = u64::try_from(seconds(ask.desk.now())).unwrap_or(0);
    let max = u64::try_from(i64::MAX / 1000).unwrap_or(u64::MAX) - 1;
    let end = ask.number("end_time", now, max)?;
    let start = ask.number("start_time", end.saturating_sub(24 * 3600), max)?;
    let (skip, limit) = (ask.number("skip", 0, REACH_MAX)?, ask.number("limit", ROWS, ROWS_MAX)?);
    if skip + limit > REACH_MAX {
        return Err(form("skip and limit: at most 5000 together"));
    }
    let (start, end) = (start as i64, end as i64);
    if start > end || end - start >= WINDOW_S {
        return Err(form("start_time, end_time: less than 48 h"));
    }
    Ok((start, end, skip as usize, limit as usize))
}

/// Writes a row; a log-in while the device is on line is one more.
fn row(hop: &Entry, online: &mut bool) -> Option<Value> {
    if hop.is_failure() && &*hop.what != "logout" {
        return None;
    }
    let kind = match (&*hop.what, hop.hop) {
        ("login", _) => match core::mem::replace(online, true) {
            true => "dev_re_online",
            false => "dev_online",
        },
        ("logout", _) => {
            *online = false;
            "dev_offline"
        }
        (_, Hop::Down) => "app2dev",
        (_, Hop::Up) => "dev2app",
        (_, Hop::Cloud | Hop::Phone | Hop::Api) => return None,
    };
    let peer = hop.text.split(' ').next().unwrap_or_default();
    let ip = peer.rsplit_once(':').map_or("", |(ip, _)| ip);
    let ip = if &*hop.what == "login" { ip } else { "" };
    Some(json!({
        "type": kind, "ip": ip, "timestamp": hop.at.as_millis() as f64 / 1000.0, "payload_bin": "",
    }))
}

/// `GET /app/device_register?random_codes=`: devices that told one of these codes when they
/// registered. The caller may bind them by MAC address then.
pub(super) async fn registered(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let codes = ask.query.get("random_codes").ok_or_else(|| form("random_codes: missing"))?;
    let mut found: Vec<Value> = Vec::new();
    for code in codes.split(',').filter(|code| !code.is_empty()).take(CODES_MAX) {
        let code = code.to_ascii_lowercase();
        for thing in ask.desk.things_called(&person.space, &code).await? {
            let device = &thing.account.device;
            found.push(json!({
                "mac": device.node.to_ascii_lowercase(),
                "product_key": device.product.as_str(),
                "did": device.id.to_string(),
                "random_code": code,
                "is_online": thing.online,
            }));
        }
    }
    Ok((200, Value::Array(found)))
}
