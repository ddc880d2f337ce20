//! A Huawei product beside the lamp: what the tests of gateways, bridges and groups speak.

use roadstead_core::product::Auth;
use serde_json::json;

use super::*;

/// The product of the recordings, its group secret and its devices' secret (public test values).
pub(super) const METER: &str = "lab_product";
pub(super) const GROUP_SECRET: &str = "Z3JvdXAtc2VjcmV0LTAwMDAwMDAwMDAwMDAwMDAwMDAx";
pub(super) const METER_SECRET: &str = "lab-secret-0001";
pub(super) const SCOPE: &str = "scope_1234";
pub(super) const STAMP: &str = "2026112100";

/// Hex of an HMAC-SHA256, computed with OpenSSL.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> String {
    let key = openssl::pkey::PKey::hmac(key).expect("key");
    let digest = openssl::hash::MessageDigest::sha256();
    let mut signer = openssl::sign::Signer::new(digest, &key).expect("signer");
    hex::encode(signer.sign_oneshot_to_vec(message).expect("digest"))
}

/// The password of a secret.
pub(super) fn password(secret: &str) -> String {
    hmac(STAMP.as_bytes(), secret.as_bytes())
}

/// A platform whose registration group hands out members of the meter product.
pub(super) async fn world(change: impl FnOnce(&mut NewProduct)) -> World {
    let settings = toml::toml! {
        address = "iot-mqtts.example:8883"
        verify_chain = false
        groups = { scope_1234 = "lab_product", scope_none = "nosuch" }
    };
    let mut config = Config::default();
    config.dialect.insert("huawei".into(), settings.into());
    let world = World::with_config(config, |_| {}).await;
    let model = json!({"service_capabilities": [{"service_id": "meter", "properties": [
        {"property_name": "level", "data_type": "int", "min": "0", "max": "100", "method": "RWE"}
    ]}]});
    let mut product = NewProduct {
        dialect: "huawei".into(),
        id: METER.into(),
        secret: Some(GROUP_SECRET.into()),
        auth: Auth::Secret,
        registration: Registration::Open,
        model: import_model("huawei", &model).expect("model"),
        ..NewProduct::default()
    };
    change(&mut product);
    world.platform.create_product(world.space(), product).await.expect("product");
    world
}

impl World {
    /// Creates a meter with the well-known secret.
    pub(super) async fn meter(&self, node: &str, gateway: Option<&str>) -> DeviceId {
        let (product, node) = (METER.into(), node.into());
        let (secret, gateway) = (Some(METER_SECRET.into()), gateway.map(Into::into));
        let new = NewDevice { product, node, secret, gateway, ..NewDevice::default() };
        self.platform.create_device(self.space(), new).await.expect("device").id.clone()
    }

    /// Logs a meter in; `kind` is `0`, or `3` for a bridge.
    pub(super) async fn meter_in(&self, device: &str, kind: char) -> Login {
        let client_id = format!("{device}_{kind}_0_{STAMP}");
        let login = self.hello(&client_id, device, &password(METER_SECRET)).await;
        login.map_err(|(refusal, _)| refusal).expect("admitted")
    }

    /// Sends an event of a gateway and returns the parameters of the answers.
    pub(super) async fn manage(&self, login: &mut Login, kind: &str, paras: Value) -> Vec<Value> {
        let topic = format!("$oc/devices/{}/sys/events/up", login.account.device.id);
        let event = json!({"services": [{
            "service_id": "$sub_device_manager", "event_type": kind, "paras": paras}]});
        let answers = self.publish(login, &topic, event).await;
        answers.into_iter().map(|answer| answer["services"][0]["paras"].clone()).collect()
    }

    pub(super) async fn presence(&self, device: &str) -> roadstead_core::session::Presence {
        self.platform.store.presence(&device.into()).await.expect("presence")
    }
}
