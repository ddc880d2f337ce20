//! Huawei devices over real sockets: the whole tour (Huawei §18) and the traps that concern
//! listeners and throttle (§17).

mod device;
mod library;
mod tour;
mod traps;

pub(crate) use device::stamp;
use reqwest::Method;
use roadstead_server::config::Config;
use serde_json::{Value, json};

use crate::platform::Platform;

/// Ids and secret of the recordings (public test values).
pub(crate) const PRODUCT: &str = "lab_product";
pub(crate) const DEVICE: &str = "lab_product_dev1";
pub(crate) const SECRET: &str = "lab-secret-0001";

/// A platform with one meter, made through the northbound API.
pub(crate) async fn with_meter(change: impl FnOnce(&mut Config)) -> Platform {
    let platform = Platform::start_with(change).await;
    let product = json!({"product_id": PRODUCT, "name": "Meter", "device_type": "Meter",
        "protocol_type": "MQTT", "data_format": "json", "service_capabilities": [meter()]});
    let (status, made) = platform.api.call(Method::POST, "/products", Some(product)).await;
    assert_eq!((status, &made["product_id"]), (201, &json!(PRODUCT)), "{made}");
    let device = json!({"product_id": PRODUCT, "node_id": "dev1",
        "auth_info": {"auth_type": "SECRET", "secret": SECRET}});
    let (status, made) = platform.api.call(Method::POST, "/devices", Some(device)).await;
    assert_eq!((status, &made["device_id"]), (201, &json!(DEVICE)), "{made}");
    platform
}

fn meter() -> Value {
    json!({"service_id": "meter", "service_type": "meter",
        "properties": [
            {"property_name": "level", "data_type": "int", "required": false,
             "min": "0", "max": "100", "step": 1, "method": "RWE"},
            {"property_name": "alarm", "data_type": "boolean", "required": false, "method": "RE"}],
        "commands": [{"command_name": "turn",
            "paras": [{"para_name": "to", "data_type": "string", "required": true,
                       "max_length": 8}],
            "responses": [{"response_name": "done", "paras": [
                {"para_name": "at", "data_type": "string", "required": false,
                 "max_length": 8}]}]}]})
}
