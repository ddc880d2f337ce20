//! The HTTP calls of a module: register, provision, firmware check, deregister, schema; plain and
//! encrypted.
//!
//! Modules are particular (GizWits §3.1): the status code between two spaces, every value of the
//! provisioning answer followed by `&`, the firmware answer by CRLF, everything in one segment of
//! at most 1024 bytes. What breaks a rule crashes them, so the bodies are made here byte by byte
//! and tested as such.
//!
//! | call | file |
//! |---|---|
//! | `POST /dev/devices`, `POST /dev/{product_key}/device` | `register` |
//! | `DELETE /dev/devices` | `deregister` |
//! | `GET /dev/devices/{did}`, `GET /dev/{product_key}/device` | `provision` |
//! | `…/dev/ota/…` | `firmware` |
//! | `GET /app/datapoint` | `schema` |
//!
//! Not here: the firmware files, which any web server delivers; calls of the JD cloud.
//!
//! Source: GizWits §3.1, §3.2, §5; transcripts first_boot, reset_pk, cloud_9016, small_fw.

mod cipher;
mod deregister;
mod firmware;
mod form;
mod provision;
mod register;
mod reply;
mod schema;

pub(super) use form::Form;

use alloc::boxed::Box;
use alloc::sync::Arc;

use roadstead_core::Value;
use roadstead_core::device::Device;

use super::settings::Settings;
use crate::cloud::{Call, HttpRequest};

/// Fact about a device that registered with encryption: its plain calls are refused.
const REGISTRATION: &str = "registration";
/// The value of [`REGISTRATION`].
const ENCRYPTED: &str = "encrypted";

/// Recognises a call by path and method.
pub(super) fn recognize(
    request: &HttpRequest<'_>,
    settings: &Arc<Settings>,
) -> Option<Box<dyn Call>> {
    let rest = request.path.strip_prefix("/dev/").unwrap_or("");
    let mut parts = rest.split('/');
    let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    match (request.method, parts) {
        ("POST", [Some("devices"), None, ..]) => Some(register::plain(request, settings)),
        ("DELETE", [Some("devices"), None, ..]) => Some(deregister::plain(request)),
        ("GET", [Some("devices"), Some(did), None, ..]) => {
            Some(provision::plain(request, did, settings))
        }
        ("POST", [Some("ota"), Some("v4.1"), Some("update_and_check"), Some(did), None]) => {
            Some(firmware::check(request, did, settings))
        }
        ("GET", [Some("ota"), Some("v4.1"), Some("latest"), None, _]) => {
            Some(firmware::latest(request, settings))
        }
        ("GET", [Some("ota"), Some("target_fid"), None, ..]) => {
            Some(firmware::target(request, settings))
        }
        ("POST", [Some(key), Some("device"), None, ..]) if super::is_hex(key, super::KEY_LEN) => {
            Some(register::encrypted(request, key, settings))
        }
        ("GET", [Some(key), Some("device"), None, ..]) if super::is_hex(key, super::KEY_LEN) => {
            Some(provision::encrypted(request, key, settings))
        }
        ("GET", _) if request.path == "/app/datapoint" => Some(schema::read(request)),
        _ => None,
    }
}

/// Returns whether a device registered with encryption.
fn is_encrypted(device: &Device) -> bool {
    device.info.get(REGISTRATION).and_then(Value::as_str) == Some(ENCRYPTED)
}
