//! A device of Alibaba Link Kit against the platform.

mod bind;
mod clients;
mod door;
mod enrol;
mod region;
mod standing;

use roadstead_server::config::Config;
use roadstead_wire::mqtt::packet::{Connect, Opaque, Packet, Reason, Version};
use serde_json::{Value, json};

use crate::mqtt::Device;
use crate::platform::Platform;

pub(super) const PRODUCT: &str = "a1RsKq9ZxTb";
pub(super) const SUB_PRODUCT: &str = "a1SubDevKey";
pub(super) const NODE: &str = "lamp-0001";
pub(super) const SECRET: &str = "Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E";
pub(super) const PRODUCT_SECRET: &str = "pS9dK2mQ7xWv4LtZ";
pub(super) const SUB_SECRET: &str = "subSecret000000000000000000000001";

/// A platform with the lamp, a gateway's sub-device, and names that may register.
pub(super) async fn with_lamp(change: impl FnOnce(&mut Config)) -> Platform {
    let platform = Platform::start_with(change).await;
    let model: Value =
        serde_json::from_str(include_str!("../../clients/alibaba-lamp.json")).expect("JSON");
    let device = |product: &str, device: &str, secret: Option<&str>| json!({"dialect": "alibaba", "product": product, "device": device, "secret": secret});
    let fleet = json!({
        "version": 1,
        "products": [
            {"dialect": "alibaba", "product": PRODUCT, "name": "Lamp", "secret": PRODUCT_SECRET,
             "auth": "secret", "dynamic_registration": "open", "model": model},
            {"dialect": "alibaba", "product": SUB_PRODUCT, "name": "Bulb", "secret": PRODUCT_SECRET,
             "auth": "secret", "dynamic_registration": "open"}],
        "devices": [
            device(PRODUCT, NODE, Some(SECRET)),
            device(PRODUCT, "py-1", None),
            device(PRODUCT, "js-1", None),
            device(SUB_PRODUCT, "sub-1", Some(SUB_SECRET))],
    });
    let report = platform.api.import(fleet).await;
    assert_eq!(report["errors"], json!([]), "{report}");
    platform
}

/// CONNECT of the lamp; `keys` are further keys of its client id.
pub(super) fn connect(keys: &str) -> Packet {
    let (client_id, user, password) = roadstead_sim::alibaba::login(PRODUCT, NODE, SECRET, keys);
    let mut connect = Connect::new(Version::V311, &client_id);
    connect.username = Some(user.as_str().into());
    connect.password = Some(Opaque::new(password.into_bytes()));
    Packet::Connect(connect.into())
}

/// Logs the lamp in.
pub(super) async fn log_in(address: &str, keys: &str) -> Device {
    let mut device = Device::open(address, NODE).await;
    device.send(&connect(keys)).await;
    match device.next().await {
        Some(Packet::ConnAck(ack)) => assert_eq!(ack.reason, Reason::Success),
        other => panic!("CONNACK expected, got {other:?}"),
    }
    device
}

pub(super) fn sys(rest: &str) -> String {
    format!("/sys/{PRODUCT}/{NODE}/{rest}")
}

/// Id of the lamp.
pub(super) fn lamp() -> String {
    format!("{PRODUCT}_{NODE}")
}
