//! Bindings: by MAC address or QR code with the product's signature, by DID and passcode; list,
//! name, end; an owner's guests.
//!
//! Who shows the product's signature or the device's passcode holds the device, as a device's
//! report of a bind token says of its owner; the same rules decide. What becomes of the second
//! user is the setting `second_user`.
//!
//! Source: GizWits §6.1.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::binding::BindingRole;
use roadstead_core::record::RecordKind;
use roadstead_core::{DeviceId, Map, Secret, Value};
use serde_json::json;

use super::ask::{Answer, Ask, alias_id, date, needed, text};
use super::fault::{Fault, fault, form};
use super::view;
use crate::cloud::{Note, Person, Thing};
use crate::gizwits::http::Form;
use crate::gizwits::settings::SecondUser;
use crate::gizwits::{KEY_LEN, is_hex, is_mac};

/// Devices named in one call.
const DEVICES_MAX: usize = 100;
/// Longest name that a user gives a device, bytes.
const ALIAS_BYTES_MAX: usize = 256;
/// Devices shown at once: by default, and at most.
const SHOWN: u64 = 20;
const SHOWN_MAX: u64 = 1000;

/// `POST /app/bind_mac`.
pub(super) async fn bind_mac(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let body = ask.body()?;
    let key = needed(&body, "product_key")?;
    if !is_hex(key, KEY_LEN) {
        return Err(fault(9002));
    }
    let product = ask.signed_product(&person, key).await?;
    let mac = needed(&body, "mac")?;
    if !is_mac(mac) {
        return Err(form("mac: 12 hex digits"));
    }
    let thing = ask.desk.thing_at(&person.space, &product.id, mac).await?.ok_or(fault(9014))?;
    let role = bind(ask, &person, &thing).await?;
    let alias = rename(ask, &person, &thing.account.device.id, &body).await?;
    Ok((201, view::device(ask, &thing, role, Some(&alias))))
}

/// `POST /app/bind_latest`: the QR code on a device names product, DID and passcode.
pub(super) async fn bind_latest(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let body = ask.body()?;
    let content = needed(&body, "qr_content")?;
    let content = content.split_once('?').map_or(content, |(_, query)| query);
    let code = Form::parse(content.as_bytes());
    let (Some(key), Some(did), Some(passcode)) =
        (code.get("product_key"), code.get("did"), code.get("passcode"))
    else {
        let detail = "expected product_key=…&did=…&passcode=…".to_string();
        return Err(Fault { number: 9040, detail: Some(detail) });
    };
    ask.signed_product(&person, key).await?;
    let thing = known(ask, &person, did, passcode).await?;
    if thing.account.product.id.as_str() != key {
        return Err(fault(9040));
    }
    let role = bind(ask, &person, &thing).await?;
    let alias = rename(ask, &person, &thing.account.device.id, &body).await?;
    Ok((201, view::device(ask, &thing, role, Some(&alias))))
}

/// `POST /app/bindings`: by DID and passcode, several at once.
pub(super) async fn bind_passcode(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let body = ask.body()?;
    let (mut success, mut failed) = (Vec::new(), Vec::new());
    for row in rows(&body)? {
        let did = needed(row, "did")?;
        let bound = async {
            let thing = known(ask, &person, did, text(row, "passcode").unwrap_or_default()).await?;
            bind(ask, &person, &thing).await?;
            rename(ask, &person, &thing.account.device.id, row).await
        };
        match bound.await {
            Ok(_) => success.push(Value::from(did)),
            Err(Fault { number: 9008, .. }) => return Err(fault(9008)),
            Err(_) => failed.push(Value::from(did)),
        }
    }
    Ok((200, json!({"success": success, "failed": failed})))
}

/// `GET /app/bindings`.
pub(super) async fn list(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let limit = ask.number("limit", SHOWN, SHOWN_MAX)?;
    let skip = ask.number("skip", 0, u64::MAX)?;
    let show_disabled = ask.number("show_disabled", 0, 1)? == 1;
    let notes = ask.desk.notes(RecordKind::Alias, Some(&person.user), None).await?;
    let ties = ask.desk.ties(&person).await?;
    let shown = ties
        .iter()
        .filter(|tie| show_disabled || !tie.thing.account.device.frozen)
        .skip(usize::try_from(skip).unwrap_or(usize::MAX))
        .take(usize::try_from(limit).unwrap_or(usize::MAX));
    let devices: Vec<Value> = shown
        .map(|tie| {
            let id = &tie.thing.account.device.id;
            let alias = notes.iter().find(|note| note.device.as_ref() == Some(id));
            view::device(ask, &tie.thing, tie.binding.role, alias.map(|note| &note.body))
        })
        .collect();
    Ok((200, json!({"devices": devices})))
}

/// `PUT /app/bindings/{did}`: how the user calls the device.
pub(super) async fn name(ask: &Ask<'_>, did: &str) -> Answer {
    let (_, person) = ask.person().await?;
    let body = ask.body()?;
    let (thing, role) = ask.own(&person, did).await?;
    let alias = rename(ask, &person, &thing.account.device.id, &body).await?;
    Ok((200, view::device(ask, &thing, role, Some(&alias))))
}

/// `DELETE /app/bindings`: an owner's ends those of all guests.
pub(super) async fn end(ask: &Ask<'_>) -> Answer {
    let (_, person) = ask.person().await?;
    let body = ask.body()?;
    let (mut success, mut failed) = (Vec::new(), Vec::new());
    for row in rows(&body)? {
        let did = needed(row, "did")?;
        let ended = async {
            let (thing, _) = ask.own(&person, did).await?;
            let device = &thing.account.device.id;
            let bindings = ask.desk.bindings(device).await?;
            let own = bindings.iter().find(|binding| binding.user == person.user);
            ask.desk.end(&person, &own.ok_or(fault(9017))?.id).await?;
            // It may not be there, and then nothing is left to forget.
            let _ = ask.desk.forget(RecordKind::Alias, &alias_id(&person, device)).await;
            Ok(())
        };
        match ended.await {
            Ok(()) => success.push(Value::from(did)),
            Err(Fault { number: 9008, .. }) => return Err(fault(9008)),
            Err(_) => failed.push(Value::from(did)),
        }
    }
    Ok((200, json!({"success": success, "failed": failed})))
}

/// `GET /app/{did}/bindings`: who shares a device, to its owner.
pub(super) async fn guests(ask: &Ask<'_>, did: &str) -> Answer {
    let (_, person) = ask.person().await?;
    let thing = owned(ask, &person, did).await?;
    let mut shown = Vec::new();
    for binding in ask.desk.bindings(&thing.account.device.id).await? {
        let user = ask.desk.person(&person.space, binding.user.as_str()).await?;
        shown.push(json!({
            "uid": binding.user.as_str(),
            "username": user.map(|user| user.name.into_string()),
            "role": view::role(binding.role),
            "created_at": date(binding.created_at),
        }));
    }
    Ok((200, Value::Array(shown)))
}

/// `DELETE /app/{did}/bindings?uid=`: the owner ends a guest's binding.
pub(super) async fn remove_guest(ask: &Ask<'_>, did: &str) -> Answer {
    let (_, person) = ask.person().await?;
    let thing = owned(ask, &person, did).await?;
    let body = ask.body()?;
    let uid = ask.query.get("uid").or(text(&body, "uid"));
    let uid = uid.ok_or_else(|| form("uid: missing"))?;
    if uid == person.user.as_str() {
        return Err(fault(9095));
    }
    let bindings = ask.desk.bindings(&thing.account.device.id).await?;
    let guest = bindings.iter().find(|binding| binding.user.as_str() == uid);
    ask.desk.end(&person, &guest.ok_or(fault(9017))?.id).await?;
    Ok((200, json!({})))
}

/// Returns a device that the user owns.
pub(super) async fn owned(ask: &Ask<'_>, person: &Person, did: &str) -> Result<Thing, Fault> {
    match ask.own(person, did).await? {
        (thing, BindingRole::Owner) => Ok(thing),
        (_, BindingRole::Guest) => Err(fault(9093)),
    }
}

/// Binds whoever has proved to hold the device.
async fn bind(ask: &Ask<'_>, person: &Person, thing: &Thing) -> Result<BindingRole, Fault> {
    let device = &thing.account.device;
    if device.frozen {
        return Err(fault(9023));
    }
    if let Some(role) = ask.desk.role(person, &device.id).await? {
        return Ok(role);
    }
    match ask.desk.claim(person, &device.id).await {
        Ok(binding) => Ok(binding.role),
        Err("bind.bound_to_other") if ask.settings.second_user == SecondUser::Guest => {
            Ok(ask.desk.admit_guest(person, &device.id).await?.role)
        }
        Err(code) => Err(code.into()),
    }
}

/// Returns the device whose passcode was shown; who guesses learns nothing.
async fn known(ask: &Ask<'_>, person: &Person, did: &str, passcode: &str) -> Result<Thing, Fault> {
    let thing = ask.desk.thing(&person.space, did).await?.ok_or(fault(9016))?;
    let secret = thing.account.device.secret.as_ref();
    match secret.is_some_and(|secret: &Secret| secret.matches(passcode.as_bytes())) {
        true => Ok(thing),
        false => Err(fault(9016)),
    }
}

/// Keeps how the user calls a device, and returns it.
async fn rename(
    ask: &Ask<'_>,
    person: &Person,
    device: &DeviceId,
    body: &Map<String, Value>,
) -> Result<Map<String, Value>, Fault> {
    let id: Box<str> = alias_id(person, device);
    let kind = RecordKind::Alias;
    let mut alias = ask.desk.note(kind, &id).await?.map(|note| note.body).unwrap_or_default();
    let before = alias.clone();
    for key in ["remark", "dev_alias"] {
        match body.get(key) {
            Some(Value::String(text)) if text.len() <= ALIAS_BYTES_MAX => {
                alias.insert(key.into(), text.as_str().into());
            }
            None | Some(Value::Null) => {}
            Some(_) => return Err(form("remark, dev_alias: texts of at most 256 bytes")),
        }
    }
    if alias != before {
        let (user, device) = (Some(person.user.clone()), Some(device.clone()));
        let (body, since) = (alias.clone(), ask.desk.now());
        ask.desk.keep(&person.space, Note { kind, id, user, device, body, since }).await?;
    }
    Ok(alias)
}

/// Returns the devices that a body names.
fn rows(body: &Map<String, Value>) -> Result<Vec<&Map<String, Value>>, Fault> {
    let rows = body.get("devices").and_then(Value::as_array);
    let rows = rows.filter(|rows| (1..=DEVICES_MAX).contains(&rows.len()));
    let rows = rows.ok_or_else(|| form("devices: a list of 1 to 100"))?;
    let row = |row: &'_ Value| -> Option<()> { row.as_object().map(drop) };
    if rows.iter().any(|value| row(value).is_none()) {
        return Err(form("devices: objects with `did`"));
    }
    Ok(rows.iter().filter_map(Value::as_object).collect())
}
