//! The platform under examination, and the verdicts so far.

use std::time::Duration;

use reqwest::Method;
use roadstead_sim::password;
use roadstead_wire::mqtt::packet::{Connect, Opaque, Packet, QoS, Reason, Version};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::api::Phone;
use crate::mqtt::{Device, connect, topic};
use crate::platform::{DEVICE_SECRET, PRODUCT, PRODUCT_SECRET, Platform, lamp_model};

/// A test waits this long for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Another secret of the right shape.
pub(super) const WRONG: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
/// A product whose devices must be known before they register.
pub(super) const STRICT: &str = "STRICTPROD";
/// A product that registers nobody.
pub(super) const CLOSED: &str = "CLOSEDPROD";
/// A product of another vendor, its device secret.
pub(super) const KEY: &str = "a1RsKq9ZxTb";
pub(super) const KEY_SECRET: &str = "Zq3tJ8vYp0Zq3tJ8vYp0Zq3tJ8vYp012";
/// A product of the third one, its device secret.
pub(super) const METER: &str = "meter_product";
pub(super) const METER_SECRET: &str = "lab-secret-0001";

/// Id of a lamp.
pub(super) fn id(node: &str) -> String {
    format!("{PRODUCT}_{node}")
}

/// A running platform and what was found wrong with it.
pub(super) struct Clinic {
    pub(super) platform: Platform,
    pub(super) mqtt: String,
    next: usize,
    seen: usize,
    wrong: Vec<String>,
}

impl Clinic {
    pub(super) async fn open() -> Self {
        let platform = Platform::start_with(|config| {
            config.mqtt.packet_bytes_max = 16 * 1024;
            config.mqtt.first_packet = Duration::from_millis(500);
            config.throttle.free = 10_000;
            config.downlink.command_answer_wait = Duration::from_millis(200);
        })
        .await;
        platform.import(&[]).await;
        let product = |id: &str, registration: &str| {
            json!({"dialect": "tencent", "product": id, "name": id, "secret": PRODUCT_SECRET,
                "auth": "secret", "dynamic_registration": registration, "model": lamp_model()})
        };
        let others = json!({"version": 1, "devices": [], "products": [
            product(STRICT, "preregistered"), product(CLOSED, "off"),
            {"dialect": "alibaba", "product": KEY, "name": "Switch", "secret": PRODUCT_SECRET,
             "auth": "secret", "dynamic_registration": "off"},
        ]});
        let report = platform.api.import(others).await;
        assert_eq!(report["errors"], json!([]), "{report}");
        let meter = json!({"product_id": METER, "name": "Meter", "device_type": "Meter",
            "protocol_type": "MQTT", "data_format": "json", "service_capabilities": [
            {"service_id": "meter", "service_type": "meter", "commands": [], "properties": [
                {"property_name": "level", "data_type": "int", "required": false, "min": "0",
                 "max": "100", "step": 1, "method": "RWE"}]}]});
        let (status, body) = platform.api.call(Method::POST, "/products", Some(meter)).await;
        assert_eq!(status, 201, "{body}");
        let mqtt = platform.address("mqtt").to_owned();
        Self { platform, mqtt, next: 0, seen: 0, wrong: Vec::new() }
    }

    /// Registers a fresh lamp and returns its node.
    pub(super) async fn lamp(&mut self) -> String {
        self.next += 1;
        let node = format!("LAMP{}", self.next);
        self.platform.import(&[(&node, Some(DEVICE_SECRET))]).await;
        node
    }

    /// Registers a fresh device of another product and returns its node.
    pub(super) async fn device(&mut self, product: &str, secret: &str) -> String {
        self.next += 1;
        let node = format!("dev{}", self.next);
        let auth = json!({"auth_type": "SECRET", "secret": secret});
        let device = json!({"product_id": product, "node_id": node, "auth_info": auth});
        let (status, body) = self.platform.api.call(Method::POST, "/devices", Some(device)).await;
        assert_eq!(status, 201, "{body}");
        node
    }

    /// Logs a fresh lamp in, listening on all its topics.
    pub(super) async fn online(&mut self) -> (String, Device) {
        let node = self.lamp().await;
        let mut device = Device::login(&self.mqtt, &node, DEVICE_SECRET).await;
        for kind in ["$thing/down/property", "$thing/down/service", "$thing/down/event"] {
            device.subscribe(&topic(kind, &node), QoS::AtMostOnce).await;
        }
        (node, device)
    }

    /// The same, and it has reported.
    pub(super) async fn reporting(&mut self) -> (String, Device) {
        let (node, mut device) = self.online().await;
        let report = json!({"method": "report", "clientToken": "r", "params": {"brightness": 1}});
        device.publish("$thing/up/property", &report).await;
        assert_eq!(device.message().await["code"], 0);
        (node, device)
    }

    /// The same, and it is bound: all is well.
    pub(super) async fn well(&mut self, owner: &Phone) -> (String, Device) {
        let (node, mut device) = self.reporting().await;
        assert_eq!(bind(&mut device, &owner.bind_token().await).await["code"], 0);
        let why = self.why(&id(&node)).await;
        assert_eq!(why["code"], "ok", "{why}");
        (node, device)
    }

    /// Sends a CONNECT and waits for the answer, whatever it is.
    pub(super) async fn refused(&self, connect: Connect) {
        let mut device = Device::open(&self.mqtt, "x").await;
        device.set_version(connect.version);
        device.send(&Packet::Connect(connect.into())).await;
        match device.next().await {
            Some(Packet::ConnAck(ack)) => assert_ne!(ack.reason, Reason::Success),
            None => {}
            other => panic!("a refusal expected, got {other:?}"),
        }
    }

    pub(super) async fn freeze(&self, device: &str) {
        let path = format!("/devices/{device}/freeze");
        assert_eq!(self.platform.api.call(Method::POST, &path, None).await.0, 204);
    }

    pub(super) async fn why(&self, device: &str) -> Value {
        let (_, body) =
            self.platform.api.call(Method::GET, &format!("/devices/{device}/why"), None).await;
        body
    }

    /// Waits until a connection that ended is written down.
    pub(super) async fn offline(&self, device: &str) {
        let path = format!("/devices/{device}/presence");
        let waited = timeout(PATIENCE, async {
            while self.platform.api.get(&path).await["online"] == true {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{device} stays on line");
    }

    /// Waits until the verdict has this value: some ends the device cannot see.
    pub(super) async fn until(&self, device: &str, field: &str, value: &str) {
        let waited = timeout(PATIENCE, async {
            while self.why(device).await[field] != value {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{}", self.why(device).await);
    }

    /// Gives a device another secret, which ends its session.
    pub(super) async fn new_secret(&self, device: &str) {
        let path = format!("/devices/{device}/action?action_id=resetSecret");
        let body = json!({"secret": "QUFBQUFBQUFBQUFBQUFBQQ==", "force_disconnect": true});
        let (status, body) = self.platform.api.call(Method::POST, &path, Some(body)).await;
        assert_eq!(status / 100, 2, "{body}");
    }

    /// Asks why, and compares both names of the cause. The remedy is the catalogue's own text.
    pub(super) async fn expect(&mut self, fault: &str, device: &str, code: &str, log: &str) {
        self.seen += 1;
        let why = self.why(device).await;
        let told = (why["code"].as_str(), why["diagnosis"]["code"].as_str());
        let entry = roadstead_doctor::catalogue::entry(log);
        let remedy = entry.is_some_and(|entry| why["diagnosis"]["remedy"] == entry.en);
        let evidence = why["evidence"].as_array().is_some_and(|list| !list.is_empty());
        if told != (Some(code), Some(log)) || !remedy || !evidence {
            self.wrong.push(format!("{fault}: {code} ({log}) expected, got {why}"));
        }
    }

    /// Ends the examination; returns how many faults were looked at.
    pub(super) async fn close(self) -> usize {
        self.platform.stop().await;
        let wrong = self.wrong;
        assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), self.seen, wrong.join("\n"));
        self.seen
    }
}

/// Reports a bind token and returns the answer.
pub(super) async fn bind(device: &mut Device, token: &str) -> Value {
    let body = json!({"method": "app_bind_token", "clientToken": "b", "params": {"token": token}});
    device.publish("$thing/up/service", &body).await;
    device.message().await
}

/// CONNECT of a lamp with another user name, signed with the right secret.
pub(super) fn signed(node: &str, user: &str) -> Connect {
    let mut hello = connect(Version::V311, node, DEVICE_SECRET);
    hello.username = Some(user.into());
    let text = password(DEVICE_SECRET, user).expect("the secret is base64");
    hello.password = Some(Opaque::new(text.into_bytes()));
    hello
}
