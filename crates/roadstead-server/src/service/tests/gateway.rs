//! Sub-devices: attached by proof, on line by the gateway's word, off line with it.

use roadstead_core::DeviceId;
use roadstead_core::exchange::{Answer, SubDevice, SubDevices, Uplink};
use roadstead_core::session::Ending;
use serde_json::{Value, json};

use super::{LAMP, NODE, PRODUCT, World};
use crate::shell::{Login, Services as _};

const SUB: &str = "L4WG9V9M2M_SUB1";
const SUB_SECRET: &str = "c2Vuc29yIHNlY3JldCAxIQ==";

impl World {
    async fn gateway(&self, login: &mut Login, kind: &str, device: Value) -> Value {
        let topic = format!("$gateway/operation/{PRODUCT}/{NODE}");
        let body = json!({"type": kind, "payload": {"devices": [device]}});
        let replies = self.publish(login, &topic, body).await;
        let [reply] = &replies[..] else { panic!("one reply, got {replies:?}") };
        reply["payload"]["devices"][0]["result"].clone()
    }

    async fn is_online(&self, device: &str) -> bool {
        let view = self.platform.device(self.space(), &device.into()).await.expect("device");
        view.presence.online
    }
}

/// Signs as the gateway does: `<product><device>;<random>;<timestamp>` under the sub-device's
/// secret text (Tencent §12).
fn proof(secret: &str) -> Value {
    use base64::Engine as _;
    let text = format!("{PRODUCT}SUB1;7;1611299964");
    let key = openssl::pkey::PKey::hmac(secret.as_bytes()).expect("key");
    let mut signer =
        openssl::sign::Signer::new(openssl::hash::MessageDigest::sha1(), &key).expect("signer");
    signer.update(text.as_bytes()).expect("text");
    let signature = signer.sign_to_vec().expect("signature");
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    json!({"product_id": PRODUCT, "device_name": "SUB1", "signature": signature, "random": 7,
           "timestamp": 1611299964, "signmethod": "hmacsha1", "authtype": "psk"})
}

#[tokio::test]
async fn a_sub_device_comes_and_goes_with_its_gateway() {
    let world = World::new().await;
    world.create("SUB1", Some(SUB_SECRET.into())).await;
    let mut login = world.log_in().await.expect("admitted");
    let sub = json!({"product_id": PRODUCT, "device_name": "SUB1"});
    assert_eq!(world.gateway(&mut login, "online", sub.clone()).await, -1, "not attached");
    assert_eq!(world.gateway(&mut login, "bind", proof("wrong")).await, -803);
    assert_eq!(world.gateway(&mut login, "bind", proof(SUB_SECRET)).await, 0);
    assert_eq!(world.gateway(&mut login, "bind", proof(SUB_SECRET)).await, 0, "twice is fine");
    let unknown = json!({"product_id": PRODUCT, "device_name": "NONE"});
    assert_eq!(world.gateway(&mut login, "online", unknown).await, -802);

    let gateway = &login.account;
    let named = SubDevice { product: PRODUCT.into(), node: "SUB1".into() };
    let account = world.platform.sub_account(gateway, &named).await.map(|a| a.device.id.clone());
    assert_eq!(account, Ok(SUB.into()));
    let list = Uplink::SubDevices(SubDevices::List);
    let listed = world.platform.clone().uplink(gateway.clone(), login.epoch, "t", 1, list).await;
    assert_eq!(listed, Answer::SubDevices(vec![(named, Ok(()))]));

    assert_eq!(world.gateway(&mut login, "online", sub.clone()).await, 0);
    assert!(world.is_online(SUB).await);
    assert_eq!(world.gateway(&mut login, "offline", sub.clone()).await, 0);
    assert!(!world.is_online(SUB).await);
    assert_eq!(world.gateway(&mut login, "online", sub.clone()).await, 0);
    world.platform.logout(&login.account, login.epoch, Ending::Lost).await;
    assert!(!world.is_online(SUB).await);
    let sub_id = DeviceId::from(SUB);
    let presence = world.platform.device(world.space(), &sub_id).await.expect("sub").presence;
    assert_eq!(presence.ending, Some(Ending::Gateway));
    assert_eq!(world.trace(SUB).await.last().expect("trace"), "logout session.gateway");

    let mut login = world.log_in().await.expect("admitted");
    assert_eq!(world.gateway(&mut login, "unbind", sub.clone()).await, 0);
    assert_eq!(world.gateway(&mut login, "unbind", sub).await, -1);
    assert!(world.trace(LAMP).await.contains(&"sub_devices subdevice.bad_signature".to_owned()));
}
