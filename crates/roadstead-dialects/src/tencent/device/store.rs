//! What a device keeps in flash.

use alloc::string::{String, ToString};

use roadstead_core::{Map, Secret, Value};

use crate::device::Output;

/// The queue of error records.
pub(super) const ERRORS: &str = "errors";
/// Device secret from registration.
pub(super) const SECRET: &str = "secret";
/// Certificate chain from registration.
pub(super) const CERTIFICATE: &str = "certificate";
/// Key of that certificate.
pub(super) const CERTIFICATE_KEY: &str = "certificate_key";
/// The joined network: JSON `{ssid, password}`.
pub(super) const WIFI: &str = "wifi";
/// The token of a binding that has not ended; it survives a power cut.
pub(super) const TOKEN: &str = "token";
/// Present while the device has an owner.
pub(super) const BOUND: &str = "bound";

/// Returns the output that keeps or erases a value.
pub(super) fn set(key: &'static str, value: Option<Secret>) -> Output {
    Output::Store { key, value }
}

/// Writes the joined network.
pub(super) fn wifi(ssid: &str, password: &Secret) -> Secret {
    let mut map = Map::new();
    map.insert("ssid".into(), ssid.into());
    map.insert("password".into(), password.expose_text().unwrap_or_default().into());
    Value::Object(map).to_string().into()
}

/// Reads the joined network; `None` when it is damaged.
pub(super) fn read_wifi(bytes: &Secret) -> Option<(String, Secret)> {
    let value: Value = serde_json::from_slice(bytes.expose()).ok()?;
    Some((value.get("ssid")?.as_str()?.into(), value.get("password")?.as_str()?.into()))
}
