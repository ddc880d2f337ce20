//! Devices and bindings as the open API shows them.
//!
//! Source: GizWits §6.1, device object.

use alloc::string::ToString as _;

use roadstead_core::Value;
use roadstead_core::binding::BindingRole;
use serde_json::{Map, json};

use super::ask::Ask;
use crate::cloud::Thing;

/// Version of the P0 protocol that all modules here speak.
const PROTO_VER: &str = "04";

/// Returns the name of what somebody is to a device.
pub(super) fn role(role: BindingRole) -> &'static str {
    match role {
        BindingRole::Owner => "owner",
        BindingRole::Guest => "guest",
    }
}

/// Writes a device; `alias` is how the user calls it.
pub(super) fn device(
    ask: &Ask<'_>,
    thing: &Thing,
    bound: BindingRole,
    alias: Option<&Map<alloc::string::String, Value>>,
) -> Value {
    let device = &thing.account.device;
    let fact = |key: &str| device.info.get(key).and_then(Value::as_str).unwrap_or_default();
    let called = |key: &str| alias.and_then(|alias| alias.get(key)?.as_str()).unwrap_or_default();
    let is_gateway = device.info.get("is_gateway").and_then(Value::as_bool) == Some(true);
    let kind = match (is_gateway, &device.gateway) {
        (true, _) => "center_control",
        (false, Some(_)) => "sub_dev",
        (false, None) => "normal",
    };
    let ports = ask.desk.ports();
    let host = match &*ask.settings.m2m_host {
        "" => ask.http.host,
        host => host,
    };
    json!({
        "product_key": device.product.as_str(),
        "did": device.id.as_str(),
        "mac": device.node.to_ascii_lowercase(),
        "is_online": thing.online,
        "passcode": device.secret.as_ref().and_then(|secret| secret.expose_text()).unwrap_or_default(),
        "host": host,
        "port": ports.mqtt,
        "port_s": ports.mqtts,
        "ws_port": ports.http,
        "wss_port": ports.https,
        "remark": called("remark"),
        "is_disabled": device.frozen,
        "type": kind,
        "dev_alias": called("dev_alias"),
        "dev_label": [],
        "proto_ver": PROTO_VER,
        "wifi_soft_version": fact("fw_version"),
        "is_sandbox": false,
        "role": role(bound),
        "product_name": (*thing.account.product.name).to_string(),
    })
}
