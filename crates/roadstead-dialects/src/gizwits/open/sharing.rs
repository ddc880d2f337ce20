//! Sharing: an owner offers a device to another user, who accepts or declines; the owner takes
//! it back.
//!
//! States: 0 offered, 1 accepted, 2 declined, 3 taken back. An offer that is never answered ends.
//!
//! Source: GizWits §6.1 (paths, 9080 to 9095); fields and states as the vendor's public
//! documentation has them, not run. Codes for QR pictures are not given out.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::record::RecordKind;
use roadstead_core::{Map, Value};
use serde_json::json;

use super::ask::{Answer, Ask, date, needed, text};
use super::binding::owned;
use super::fault::{Fault, fault, form};
use crate::cloud::{Note, Person};

/// How long an offer waits for an answer.
const OFFER_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Offers that wait for one user.
const OFFERS_MAX: usize = 100;

const OFFERED: u64 = 0;
const ACCEPTED: u64 = 1;
const DECLINED: u64 = 2;
const TAKEN_BACK: u64 = 3;

/// `POST /app/sharing`: `{type: 0, did, uid | username | email}`.
pub(super) async fn offer(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let body = ask.body()?;
    let did = needed(&body, "did")?;
    let thing = owned(ask, &person, did).await?;
    if body.get("type").and_then(Value::as_u64).unwrap_or(0) != 0 {
        return Err(form("type: 0; codes for QR pictures are not given out"));
    }
    let name = ["uid", "username", "email"].iter().find_map(|key| text(&body, key));
    let name = name.ok_or_else(|| form("uid, username or email: missing"))?;
    let guest = ask.desk.person(&person.space, name).await?.ok_or(fault(9005))?;
    let device = &thing.account.device;
    if ask.desk.role(&guest, &device.id).await?.is_some() {
        return Err(fault(9082));
    }
    let kind = RecordKind::Invitation;
    if ask.desk.notes(kind, Some(&guest.user), None).await?.len() >= OFFERS_MAX {
        return Err(fault(9083));
    }
    let id: Box<str> = hex::encode(&ask.desk.random()[..16]).into();
    let (since, mut body) = (ask.desk.now(), Map::new());
    body.insert("status".into(), OFFERED.into());
    body.insert("from".into(), person.user.as_str().into());
    body.insert("updated_at".into(), date(since));
    let note = Note {
        kind,
        id: id.clone(),
        user: Some(guest.user),
        device: Some(device.id.clone()),
        body,
        since,
    };
    ask.desk.keep(&person.space, note).await?;
    Ok((201, json!({"id": &*id})))
}

/// `GET /app/sharing?sharing_type=0|1&did=`: 0 what the caller shares, 1 what is shared with it.
pub(super) async fn list(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let kind = RecordKind::Invitation;
    let mut notes: Vec<Note> = Vec::new();
    if ask.number("sharing_type", 0, 1)? == 1 {
        notes = ask.desk.notes(kind, Some(&person.user), None).await?;
    } else {
        for tie in ask.desk.ties(&person).await? {
            let device = &tie.thing.account.device.id;
            let all = ask.desk.notes(kind, None, Some(device)).await?;
            notes.extend(all.into_iter().filter(|note| from(note) == person.user.as_str()));
        }
    }
    let did = ask.query.get("did");
    let mut shown = Vec::new();
    for note in &notes {
        if did.is_none_or(|did| note.device.as_ref().is_some_and(|id| id.as_str() == did)) {
            shown.extend(write(ask, &person, note).await?);
        }
    }
    Ok((200, json!({"objects": shown})))
}

/// `PUT /app/sharing/{id}?status=1|2`: the invited user accepts or declines.
pub(super) async fn answer(ask: &Ask<'_>, id: &str) -> Answer {
    let (application, person) = ask.person().await?;
    let body = ask.body()?;
    let status = match ask.query.get("status") {
        Some(text) => text.parse().ok(),
        None => body.get("status").and_then(Value::as_u64),
    };
    let status = status.filter(|status| [ACCEPTED, DECLINED].contains(status));
    let status = status.ok_or_else(|| form("status: 1 accepts, 2 declines"))?;
    let note = ask.desk.note(RecordKind::Invitation, id).await?;
    let note = note.filter(|note| note.user.as_ref() == Some(&person.user)).ok_or(fault(9080))?;
    if state(&note) != OFFERED {
        return Err(fault(9081));
    }
    if ask.desk.now() >= note.since + OFFER_LIFE {
        return Err(fault(9084));
    }
    let device = note.device.clone().ok_or(fault(9080))?;
    if status == ACCEPTED {
        // Who offered it may own it no longer.
        let bindings = ask.desk.bindings(&device).await?;
        let owner = bindings.first().filter(|owner| owner.user.as_str() == from(&note));
        owner.ok_or(fault(9080))?;
        ask.desk.admit_guest(&person, &device).await.map_err(|code| match code {
            "api.quota" => fault(9083),
            code => Fault::from(code),
        })?;
    }
    set(ask, &application.space, note, status).await?;
    Ok((200, json!({"id": id})))
}

/// `DELETE /app/sharing/{id}`: the owner takes the offer or the device back; the invited user
/// gives it back.
pub(super) async fn take_back(ask: &Ask<'_>, id: &str) -> Answer {
    let (application, person) = ask.person().await?;
    let note = ask.desk.note(RecordKind::Invitation, id).await?.ok_or(fault(9080))?;
    let device = note.device.clone().ok_or(fault(9080))?;
    let is_guest = note.user.as_ref() == Some(&person.user);
    if !is_guest {
        owned(ask, &person, device.as_str()).await.map_err(|_| fault(9080))?;
    }
    let bindings = ask.desk.bindings(&device).await?;
    let guest = bindings.iter().find(|binding| Some(&binding.user) == note.user.as_ref());
    if let (ACCEPTED, Some(guest)) = (state(&note), guest) {
        ask.desk.end(&person, &guest.id).await?;
    }
    set(ask, &application.space, note, TAKEN_BACK).await?;
    Ok((200, json!({"id": id})))
}

fn state(note: &Note) -> u64 {
    note.body.get("status").and_then(Value::as_u64).unwrap_or(OFFERED)
}

fn from(note: &Note) -> &str {
    note.body.get("from").and_then(Value::as_str).unwrap_or_default()
}

async fn set(
    ask: &Ask<'_>,
    space: &roadstead_core::SpaceId,
    mut note: Note,
    status: u64,
) -> Result<(), Fault> {
    note.body.insert("status".into(), status.into());
    note.body.insert("updated_at".into(), date(ask.desk.now()));
    Ok(ask.desk.keep(space, note).await?)
}

async fn write(ask: &Ask<'_>, person: &Person, note: &Note) -> Result<Option<Value>, Fault> {
    let Some(device) = &note.device else { return Ok(None) };
    let Some(thing) = ask.desk.thing(&person.space, device.as_str()).await? else {
        return Ok(None);
    };
    let uid = note.user.as_ref().map(|user| user.as_str()).unwrap_or_default();
    let guest = ask.desk.person(&person.space, uid).await?;
    let account = &thing.account;
    let mut row = Map::<String, Value>::new();
    for (key, value) in [
        ("id", Value::from(&*note.id)),
        ("type", 0.into()),
        ("uid", uid.into()),
        ("username", guest.map(|guest| guest.name.into_string()).into()),
        ("did", device.as_str().into()),
        ("mac", account.device.node.to_ascii_lowercase().into()),
        ("product_name", (*account.product.name).into()),
        ("status", state(note).into()),
        ("created_at", date(note.since)),
        ("updated_at", note.body.get("updated_at").cloned().unwrap_or_default()),
        ("expired_at", date(note.since + OFFER_LIFE)),
    ] {
        row.insert(key.into(), value);
    }
    Ok(Some(Value::Object(row)))
}
