//! What gateways do with devices of their own, what bridges do with those they bring, and what both
//! are told.

use roadstead_core::exchange::{SubDevice, Uplink};
use roadstead_core::shadow::Values;
use serde_json::{Value, json};

use super::huawei::{METER, METER_SECRET, STAMP, password, world};
use super::*;
use crate::service::Rank;

const GATEWAY: &str = "lab_product_gw1";
const BRIDGE: &str = "lab_product_bridge01";

fn new_child(node: &str) -> Value {
    json!({"product_id": METER, "node_id": node, "name": node})
}

#[tokio::test]
async fn a_gateway_registers_and_deletes_its_own_only() {
    let world = world(|_| {}).await;
    world.meter("gw1", None).await;
    world.meter("gw2", None).await;
    world.meter("other", Some("lab_product_gw2")).await;
    world.meter("direct", None).await;
    let mut login = world.meter_in(GATEWAY, '0').await;
    let stray = json!({"product_id": "nosuch", "node_id": "n"});
    let lamp = json!({"product_id": PRODUCT, "node_id": "L1"});
    let asked = json!({"devices": [
        new_child("c1"), new_child("other"), new_child("direct"), stray, lamp]});
    let answer = world.manage(&mut login, "add_sub_device_request", asked).await.remove(0);
    assert_eq!(answer["successful_devices"][0]["device_id"], "lab_product_c1", "{answer}");
    assert_eq!(answer["successful_devices"].as_array().map(Vec::len), Some(1), "{answer}");
    let failed = answer["failed_devices"].as_array().expect("a list");
    let codes: Vec<_> = failed.iter().map(|one| one["error_code"].as_str()).collect();
    // Elsewhere, direct, no such product, a product of another vendor.
    let expected = ["IOTDA.014016", "IOTDA.014016", "IOTDA.013002", "IOTDA.013002"].map(Some);
    assert_eq!(codes, expected, "{answer}");
    let child = world.platform.device(world.space(), &"lab_product_c1".into()).await;
    let child = child.expect("registered").device;
    assert_eq!(child.gateway.as_ref().map(|id| id.as_str()), Some(GATEWAY));

    // The answer may have been lost: asking again is a success, and registers nothing.
    let again = json!({"devices": [new_child("c1")]});
    let answer = world.manage(&mut login, "add_sub_device_request", again).await.remove(0);
    assert_eq!(answer["successful_devices"][0]["device_id"], "lab_product_c1", "{answer}");
    let answer = world.manage(&mut login, "sub_device_sync_request", json!({"version": 0})).await;
    assert_eq!(answer[0]["devices"].as_array().map(Vec::len), Some(1), "{answer:?}");

    let gone = json!({"devices": ["lab_product_c1", "lab_product_other", "nobody"]});
    let answer = world.manage(&mut login, "delete_sub_device_request", gone).await.remove(0);
    assert_eq!(answer["successful_devices"], json!(["lab_product_c1"]), "{answer}");
    assert_eq!(answer["failed_devices"].as_array().map(Vec::len), Some(2), "{answer}");
    let other = world.platform.device(world.space(), &"lab_product_other".into()).await;
    assert!(other.is_ok(), "another gateway's child stays");
    let trace = world.trace(GATEWAY).await;
    assert!(trace.contains(&"sub_create subdevice.bound_elsewhere".to_owned()), "{trace:?}");
}

#[tokio::test]
async fn the_state_of_children_is_what_their_gateway_said_last() {
    let world = world(|_| {}).await;
    world.meter("gw1", None).await;
    world.meter("c1", Some(GATEWAY)).await;
    let mut login = world.meter_in(GATEWAY, '0').await;
    let online = json!({"device_statuses": [{"device_id": "lab_product_c1", "status": "ONLINE"}]});
    world.manage(&mut login, "sub_device_update_status", online).await;
    world.platform.logout(&login.account, login.epoch, Ending::Lost).await;
    assert!(!world.presence(GATEWAY).await.online);
    assert!(world.presence("lab_product_c1").await.online);
}

#[tokio::test]
async fn the_gateway_is_told_what_the_api_changes_behind_it() {
    let world = world(|_| {}).await;
    let platform = &world.platform;
    world.meter("gw1", None).await;
    world.meter("gw2", None).await;
    let login = world.meter_in(GATEWAY, '0').await;
    let link = world.connect(&login);
    let new = |node: &str| NewDevice {
        product: METER.into(),
        node: node.into(),
        gateway: Some(GATEWAY.into()),
        ..NewDevice::default()
    };
    for node in ["c1", "c2"] {
        platform.add_device(world.space(), new(node)).await.expect("created");
    }
    platform.remove_device(world.space(), &"lab_product_c1".into()).await.expect("deleted");
    let second = DeviceId::from("lab_product_gw2");
    let moved = platform.move_device(world.space(), &"lab_product_c2".into(), &second).await;
    moved.expect("moved");
    let told: Vec<(bool, String)> = link.sent.lock().iter().map(change).collect();
    let expected = [(true, "c1"), (true, "c2"), (false, "c1"), (false, "c2")];
    assert_eq!(told, expected.map(|(attached, node)| (attached, node.to_owned())), "in order");

    // Nothing is told to a gateway that is off line, or about devices of nobody.
    link.sent.lock().clear();
    let direct = NewDevice { gateway: None, ..new("direct") };
    platform.add_device(world.space(), direct).await.expect("created");
    platform.remove_device(world.space(), &"lab_product_direct".into()).await.expect("deleted");
    platform.remove_device(world.space(), &"lab_product_c2".into()).await.expect("deleted");
    assert_eq!(*link.sent.lock(), []);
}

/// What a gateway was told: attached or not, and which.
fn change(request: &Downlink) -> (bool, String) {
    let Downlink::SubDevicesChanged { attached, devices, facts } = request else {
        panic!("{request:?}")
    };
    assert_eq!(devices.len(), facts.len());
    assert_eq!(devices[0], facts[0].device);
    (*attached, devices[0].node.to_string())
}

/// The bridge lets a meter in.
async fn enter(world: &World, login: &mut Login, device: &str, secret: &str) -> Value {
    let topic = format!("$oc/bridges/{BRIDGE}/devices/{device}/sys/login/request_id=1");
    let body = json!({"sign_type": 0, "timestamp": STAMP, "password": password(secret)});
    world.publish(login, &topic, body).await.remove(0)
}

async fn with_bridge() -> (World, Login) {
    let world = world(|_| {}).await;
    for node in ["bridge01", "d1", "d2"] {
        world.meter(node, None).await;
    }
    let login = world.meter_in(BRIDGE, '3').await;
    (world, login)
}

#[tokio::test]
async fn a_bridge_brings_devices_by_their_own_proof() {
    let (world, mut login) = with_bridge().await;
    let d1 = SubDevice::of_id("lab_product_d1");
    let stranger = world.platform.sub_account(&login.account, &d1).await;
    assert_eq!(stranger.map(|a| a.device.id.clone()), Err("subdevice.not_attached"));
    for (device, secret, code) in [
        ("lab_product_d1", "wrong-secret", "subdevice.bad_signature"),
        ("nobody", METER_SECRET, "subdevice.unknown"),
    ] {
        let answer = enter(&world, &mut login, device, secret).await;
        assert_eq!(answer, json!({"result_code": 1, "result_desc": code}), "{device}");
    }
    assert_eq!(enter(&world, &mut login, "lab_product_d1", METER_SECRET).await["result_code"], 0);
    let presence = world.presence("lab_product_d1").await;
    assert_eq!((presence.online, presence.peer.as_deref()), (true, Some(BRIDGE)));
    let account = world.platform.sub_account(&login.account, &d1).await.expect("it is let in");

    // It reports through the bridge, and is asked through it.
    let level =
        Values { properties: serde_json::Map::from_iter([("level".into(), 3.into())]), at: NOW };
    let services = vec![("meter".into(), level)];
    let report = Uplink::Report { services, rejected: vec![] };
    let platform = world.platform.clone();
    platform.uplink(account, login.epoch, "t", 1, report).await;
    let shadow = world.platform.shadow(world.space(), &"lab_product_d1".into()).await;
    assert_eq!(shadow.expect("shadow").services["meter"].reported.properties["level"], 3);
    let link = world.connect(&login);
    let get = Downlink::GetProperties { service: "meter".into(), properties: vec![] };
    let id = DeviceId::from("lab_product_d1");
    let asked = world.platform.request(world.space(), &id, get.clone(), None);
    assert!(asked.await.is_ok());
    assert_eq!(*link.sent.lock(), [get]);

    // It is on line while the bridge is.
    world.platform.logout(&login.account, login.epoch, Ending::Lost).await;
    let presence = world.presence("lab_product_d1").await;
    assert_eq!((presence.online, presence.ending), (false, Some(Ending::Gateway)));
}

#[tokio::test]
async fn a_device_behind_a_bridge_resets_its_secret_by_its_old_one() {
    let (world, mut login) = with_bridge().await;
    let topic =
        format!("$oc/bridges/{BRIDGE}/devices/lab_product_d1/sys/reset_secret/request_id=5");
    let body = |old: &str, new: &str| json!({"old_secret": old, "new_secret": new});
    let early = world.publish(&mut login, &topic, body(METER_SECRET, "new-secret-01")).await;
    assert_eq!(early[0]["result_desc"], "subdevice.not_attached", "not let in yet");
    enter(&world, &mut login, "lab_product_d1", METER_SECRET).await;
    let wrong = world.publish(&mut login, &topic, body("not-the-old", "new-secret-01")).await;
    assert_eq!(wrong[0]["result_desc"], "auth.bad_password");
    let bad = world.publish(&mut login, &topic, body(METER_SECRET, "short")).await;
    assert_eq!((&bad[0]["result_code"], bad[0].get("paras")), (&json!(1), None));
    let done = world.publish(&mut login, &topic, body(METER_SECRET, "new-secret-01")).await;
    assert_eq!(done[0]["paras"], json!({"new_secret": "new-secret-01"}), "{done:?}");
    assert_eq!(enter(&world, &mut login, "lab_product_d1", METER_SECRET).await["result_code"], 1);
    let entered = enter(&world, &mut login, "lab_product_d1", "new-secret-01").await;
    assert_eq!(entered["result_code"], 0);
}

#[tokio::test]
async fn the_bridge_lets_go_of_a_device_that_may_no_longer_be_connected() {
    let (world, mut login) = with_bridge().await;
    let (platform, link) = (&world.platform, world.connect(&login));
    let (d1, d2) = (DeviceId::from("lab_product_d1"), DeviceId::from("lab_product_d2"));
    let kicked = |id: &DeviceId| Downlink::SubDevicesChanged {
        attached: false,
        devices: vec![SubDevice::of_id(id.as_str())],
        facts: vec![],
    };
    enter(&world, &mut login, "lab_product_d1", METER_SECRET).await;
    platform.freeze_device(world.space(), &d1, true).await.expect("frozen");
    assert_eq!(*link.sent.lock(), [kicked(&d1)]);
    let presence = world.presence("lab_product_d1").await;
    assert_eq!((presence.online, presence.ending), (false, Some(Ending::Revoked)));
    let refused = enter(&world, &mut login, "lab_product_d1", METER_SECRET).await;
    assert_eq!(refused["result_desc"], "auth.frozen");
    platform.freeze_device(world.space(), &d1, false).await.expect("thawed");

    enter(&world, &mut login, "lab_product_d1", METER_SECRET).await;
    enter(&world, &mut login, "lab_product_d2", METER_SECRET).await;
    link.sent.lock().clear();
    let kept = platform.reset_secret(world.space(), &d1, None, Rank::Primary, false).await;
    kept.expect("reset");
    assert_eq!(*link.sent.lock(), [], "the operator let it stay");
    let reset = platform.reset_secret(world.space(), &d1, None, Rank::Primary, true).await;
    reset.expect("reset");
    platform.remove_device(world.space(), &d2).await.expect("deleted");
    assert_eq!(*link.sent.lock(), [kicked(&d1), kicked(&d2)]);
    assert_eq!(*link.closed.lock(), [], "the bridge itself stays");
}
