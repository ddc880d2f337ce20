//! Devices that make their own secret: registration over vendor HTTP, again, after a reset, and
//! its end; with the recorded requests of GAgent 04020006.

use axum::body::{Body, to_bytes};
use http::Request;
use roadstead_core::product::Registration;
use roadstead_core::{DeviceId, ProductId, Secret};
use roadstead_dialects::cloud::Ports;
use tower_service::Service as _;

use super::{LAMP, World};
use crate::service::{NewDevice, NewProduct};
use crate::vendor;

const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";
const MAC: &str = "0247495A0001";
const DID: &str = "GzwDemo0123456789ABCDE";

impl World {
    async fn module(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "api.gizwits.com")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .expect("request");
        let ports = Ports { mqtt: Some(1883), ..Ports::default() };
        let response = vendor::router(self.platform.clone(), ports.into()).call(request).await;
        let response = response.expect("infallible");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1024).await.expect("body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    /// Registers and returns the DID.
    async fn enrol(&self, mac: &str, passcode: &str) -> String {
        let body = format!("passcode={passcode}&mac={mac}&product_key={KEY}");
        let (status, body) = self.module("POST", "/dev/devices", &body).await;
        assert_eq!(status, 201, "{body}");
        body.strip_prefix("did=").expect("did=").to_owned()
    }
}

async fn world(registration: Registration) -> World {
    let world = World::new().await;
    let product = NewProduct {
        id: KEY.into(),
        dialect: "gizwits".into(),
        name: Some("Lab".into()),
        registration,
        ..NewProduct::default()
    };
    world.platform.create_product(world.space(), product).await.expect("created");
    world
}

#[tokio::test]
async fn the_did_is_the_device_id_and_stays() {
    let world = world(Registration::Open).await;
    let did = world.enrol(MAC, "SDGUVYIYYB").await;
    assert_eq!(world.enrol(MAC, "SDGUVYIYYB").await, did, "a lost answer");
    assert_eq!(world.enrol("0247495a0001", "SDGUVYIYYB").await, did, "another generation");
    let id = DeviceId::new(did.as_str());
    let shown = world.platform.device(world.space(), &id).await.expect("there").device;
    assert_eq!((shown.product.as_str(), &*shown.node), (KEY, MAC));
    assert_eq!(shown.info["mac"], "0247495a0001", "as it was said last");
    let (status, body) = world.module("GET", &format!("/dev/devices/{did}"), "").await;
    assert_eq!(status, 200);
    assert!(body.starts_with("host=api.gizwits.com&port=1883&server_ts=1611299964&"), "{body}");
    let check = format!("/dev/ota/v4.1/update_and_check/{did}");
    let body = "passcode=SDGUVYIYYB&type=1&hard_version=000LINUX&soft_version=04020006";
    let (status, body) = world.module("POST", &check, body).await;
    assert!(status == 404 && body.contains("9027"), "{body}");
    let shown = world.platform.device(world.space(), &id).await.expect("there").device;
    assert_eq!(shown.info["fw_version"], "04020006");
}

#[tokio::test]
async fn a_reset_module_gets_a_new_did_and_loses_its_owner() {
    let world = world(Registration::Open).await;
    let old = world.enrol(MAC, "SDGUVYIYYB").await;
    let body = format!("did={old}&passcode=SDGUVYIYYB");
    assert_eq!(world.module("DELETE", "/dev/devices", &body).await, (200, String::new()));
    let (status, body) = world.module("DELETE", "/dev/devices", &body).await;
    assert!(status == 400 && body.contains("9016"), "{body}");
    let new = world.enrol(MAC, "ARRFUVMQUB").await;
    assert_ne!(new, old);
    let (space, id) = (world.space(), DeviceId::new(old.as_str()));
    assert!(world.platform.device(space, &id).await.is_err(), "the old one is gone");
    let (status, body) = world.module("GET", &format!("/dev/devices/{old}"), "").await;
    assert!(status == 400 && body.contains("9016"), "{body}");
}

#[tokio::test]
async fn an_imported_device_keeps_its_did() {
    let world = world(Registration::Preregistered).await;
    let new = |node: &str, id: Option<&str>, secret: Option<&str>| NewDevice {
        product: KEY.into(),
        node: node.into(),
        id: id.map(Into::into),
        secret: secret.map(Secret::from),
        name: Some("the lamp".into()),
        ..NewDevice::default()
    };
    let create = |device| world.platform.create_device(world.space(), device);
    create(new(MAC, Some(DID), Some("SDGUVYIYYB"))).await.expect("created");
    create(new("0247495A0002", Some("GzwDemo2222222222ABCDE"), None)).await.expect("created");
    create(new("0247495A0003", None, None)).await.expect("created");
    assert_eq!(world.enrol(MAC, "SDGUVYIYYB").await, DID);
    assert_eq!(world.enrol("0247495A0002", "ARRFUVMQUB").await, "GzwDemo2222222222ABCDE");
    let third = world.enrol("0247495A0003", "ARRFUVMQUB").await;
    assert_eq!(third.len(), 22, "a DID takes the place of a name without one");
    let third = DeviceId::new(third.as_str());
    let third = world.platform.device(world.space(), &third).await.expect("there").device;
    assert_eq!(&*third.name, "the lamp");
    let body = format!("passcode=ARRFUVMQUB&mac=0247495A0004&product_key={KEY}");
    let (status, _) = world.module("POST", "/dev/devices", &body).await;
    assert_eq!(status, 400, "nobody entered it");
    // Products of other vendors are not there for this one.
    assert!(world.platform.product(world.space(), &ProductId::new(KEY)).await.is_ok());
    let (status, _) = world.module("GET", &format!("/dev/devices/{LAMP}"), "").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_passcode_binds_whoever_was_told_it() {
    let world = world(Registration::Open).await;
    let did = world.enrol(MAC, "SDGUVYIYYB").await;
    let bind = |caller, word| world.platform.bind(caller, word, Some((KEY, MAC)));
    for wrong in ["SDGUVYIYYC", "", "SDGUVYIYY"] {
        let refused = bind(&world.ann, wrong).await.expect_err("wrong");
        assert_eq!(refused.code(), "bind.unknown_token", "{wrong}");
    }
    let unnamed = world.platform.bind(&world.ann, "SDGUVYIYYB", None).await.expect_err("of none");
    assert_eq!(unnamed.code(), "bind.unknown_token");
    let attempt = world.platform.create_bind_token(&world.ann, true).await.expect("made").attempt;
    let binding = bind(&world.ann, "SDGUVYIYYB").await.expect("bound");
    assert_eq!((binding.device.as_str(), &binding.user), (did.as_str(), &world.ann.user));
    world.platform.complete_attempt(&world.ann, &attempt, &binding).await.expect("ended");
    let ended = world.platform.attempt(&world.ann, &attempt).await.expect("there").ending;
    assert_eq!(ended, Some(roadstead_core::attempt::Outcome::Success));
    let strange = world.platform.complete_attempt(&world.bob, &attempt, &binding).await;
    assert!(strange.is_err(), "somebody else's attempt");
    // Again is no error; another user's phone is refused, as the product says.
    assert_eq!(bind(&world.ann, "SDGUVYIYYB").await.expect("bound").id, binding.id);
    let taken = bind(&world.bob, "SDGUVYIYYB").await.expect_err("owned");
    assert_eq!(taken.code(), "bind.bound_to_other");
}
