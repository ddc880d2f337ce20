//! What a device keeps in flash.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use roadstead_core::{Map, Secret, Value};

use super::super::alcs::KeyPair;
use super::super::softap::Network;
use crate::device::Output;

/// Device secret from registration.
pub(super) const SECRET: &str = "secret";
/// Client id and token of an open registration: JSON `{client, token}`.
pub(super) const TOKEN_LOGIN: &str = "token_login";
/// The joined network: JSON `{ssid, password}`, the name in hexadecimal.
pub(super) const WIFI: &str = "wifi";
/// A phone's token that was not confirmed yet; it survives a power cut.
pub(super) const TOKEN: &str = "token";
/// Where to log in: `host:port`, from bootstrap, phone or platform.
pub(super) const ADDRESS: &str = "mqtt_url";
/// A factory reset that the platform has not confirmed yet.
pub(super) const RESET: &str = "reset";
/// Prefix and secret of local control: JSON `{prefix, secret}`.
pub(super) const KEYS: &str = "alcs_keys";

/// Returns the output that keeps or erases a value.
pub(super) fn set(key: &'static str, value: Option<Secret>) -> Output {
    Output::Store { key, value }
}

/// Writes two texts.
fn pair(names: [&str; 2], values: [String; 2]) -> Secret {
    let map: Map<String, Value> =
        names.map(String::from).into_iter().zip(values.map(Value::from)).collect();
    Value::Object(map).to_string().into()
}

/// Reads two texts; `None` when they are damaged.
fn read_pair(names: [&str; 2], bytes: &Secret) -> Option<(String, String)> {
    let value: Value = serde_json::from_slice(bytes.expose()).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(ToString::to_string);
    text(names[0]).zip(text(names[1]))
}

const NETWORK: [&str; 2] = ["ssid", "password"];
const LOGIN: [&str; 2] = ["client", "token"];
const LOCAL: [&str; 2] = ["prefix", "secret"];

fn text(secret: &Secret) -> String {
    secret.expose_text().unwrap_or_default().to_string()
}

/// Writes the joined network.
pub(super) fn network(network: &Network) -> Secret {
    pair(NETWORK, [hex::encode(&network.ssid), text(&network.password)])
}

/// Reads the joined network.
pub(super) fn read_network(bytes: &Secret) -> Option<Network> {
    let (ssid, password) = read_pair(NETWORK, bytes)?;
    let ssid: Vec<u8> = hex::decode(ssid).ok()?;
    Some(Network { ssid, password: password.into(), bssid: None })
}

/// Writes the client id and token of an open registration.
pub(super) fn token_login(client: &str, token: &Secret) -> Secret {
    pair(LOGIN, [client.to_string(), text(token)])
}

/// Reads the client id and token of an open registration.
pub(super) fn read_token_login(bytes: &Secret) -> Option<(String, Secret)> {
    read_pair(LOGIN, bytes).map(|(client, token)| (client, token.into()))
}

/// Writes the keys of local control.
pub(super) fn keys(pair_: &KeyPair) -> Secret {
    pair(LOCAL, [pair_.prefix.to_string(), text(&pair_.secret)])
}

/// Reads the keys of local control.
pub(super) fn read_keys(bytes: &Secret) -> Option<KeyPair> {
    let (prefix, secret) = read_pair(LOCAL, bytes)?;
    KeyPair::new(&prefix, secret.into())
}
