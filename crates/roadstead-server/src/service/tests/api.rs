//! What the APIs call: users, commands, wishes, devices.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::command::Outcome;
use roadstead_core::exchange::Downlink;
use roadstead_core::session::Ending;
use roadstead_core::user::Role;
use roadstead_core::{DeviceId, Map, Secret, Value};
use serde_json::json;

use super::{LAMP, PRODUCT, World};
use crate::directory::{Link, Order};
use crate::service::Rank;
use crate::service::{NewUser, ProductPatch};

const LIFE: Duration = Duration::from_secs(3600);

fn object(json: Value) -> Map<String, Value> {
    let Value::Object(map) = json else { panic!("object") };
    map
}

fn set(json: Value) -> Downlink {
    Downlink::SetProperties { service: "default".into(), properties: object(json) }
}

/// Takes every order and never answers.
struct Mute(parking_lot::Mutex<Vec<Order>>);

impl Link for Mute {
    fn send(&self, order: Order) -> Result<(), Box<Order>> {
        self.0.lock().push(order);
        Ok(())
    }
}

#[tokio::test]
async fn signing_in_counts_wrong_passwords_and_names_nobody() {
    let world = World::new().await;
    let platform = &world.platform;
    let sign_in = async |name: &str, password: &str| {
        platform.sign_in(name, &password.into(), LIFE).await.map_err(|error| error.code())
    };
    let signed = sign_in("ann", "ann's password").await.expect("signed in");
    let token = signed.token.expose_text().expect("text").to_owned();
    assert_eq!(platform.authenticate(&token).await.expect("caller"), world.ann);
    platform.sign_out(&token).await.expect("signed out");
    assert_eq!(
        platform.authenticate(&token).await.expect_err("ended").code(),
        "api.unauthenticated"
    );
    for name in ["ann", "nobody"] {
        for _ in 0..10 {
            assert_eq!(sign_in(name, "wrong password").await.err(), Some("user.bad_password"));
        }
        assert_eq!(sign_in(name, "wrong password").await.err(), Some("user.too_many_failures"));
    }
    assert_eq!(sign_in("ann", "ann's password").await.err(), Some("user.too_many_failures"));
    platform.clock.advance(Duration::from_secs(60));
    let signed = sign_in("ann", "ann's password").await.expect("signed in");
    platform.clock.advance(LIFE);
    let over = platform.authenticate(signed.token.expose_text().expect("text")).await;
    assert_eq!(over.expect_err("over").code(), "api.unauthenticated");
}

#[tokio::test]
async fn users_keep_the_rules() {
    let world = World::new().await;
    let platform = &world.platform;
    let create = async |name: &str, password: &str| {
        let new = NewUser { name, password: &password.into(), role: Role::Viewer };
        platform.create_user(world.space(), new).await.map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(create("eve", "12345678").await, "ok");
    assert_eq!(create("eve", "12345678").await, "user.exists");
    assert_eq!(create("short", "1234567").await, "user.bad_password");
    assert_eq!(create(" blank", "12345678").await, "api.bad_request");
    let demoted = platform.update_user(world.space(), "admin", Some(Role::Viewer), None).await;
    assert_eq!(demoted.err().expect("the last one").code(), "api.conflict");
    let again = platform.ensure_admin(None).await.expect("second start");
    assert!(!again.created && again.access_key.is_none());
    let key = platform.create_access_key(&world.admin).await.expect("key");
    assert_eq!(platform.access_key(&key.id).await.expect("found").1, world.admin);
    let foreign = platform.delete_access_key(&world.ann, &key.id).await;
    assert_eq!(foreign.expect_err("not hers").code(), "api.not_found");
    assert_eq!(
        platform.create_access_key(&world.ann).await.err().expect("a member").code(),
        "api.forbidden"
    );
}

#[tokio::test]
async fn a_request_is_checked_sent_and_traced() {
    let world = World::new().await;
    let lamp = DeviceId::from(LAMP);
    let request = async |space: &_, request| {
        world.platform.request(space, &lamp, request, None).await.map_err(|error| error.code())
    };
    assert_eq!(
        request(world.space(), set(json!({"power_switch": true}))).await,
        Err("command.offline")
    );
    let login = world.log_in().await.expect("admitted");
    let link = world.connect(&login);
    assert_eq!(request(world.space(), set(json!({"brightness": 101}))).await, Err("command.model"));
    assert_eq!(request(world.space(), set(json!({"colour": 1}))).await, Err("command.model"));
    assert_eq!(request(&"another".into(), set(json!({}))).await, Err("device.unknown"));
    let sent = request(world.space(), set(json!({"power_switch": true}))).await;
    assert_eq!(sent, Ok(Outcome::Delivered));
    assert_eq!(*link.sent.lock(), [set(json!({"power_switch": true}))]);
    let trace = world.trace(LAMP).await;
    assert_eq!(trace[trace.len() - 2..], ["set_properties ok", "result ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_answer_times_out() {
    let world = World::new().await;
    let lamp = DeviceId::from(LAMP);
    let mute = Arc::new(Mute(parking_lot::Mutex::default()));
    let epoch = world.platform.directory.next_epoch();
    world.platform.directory.enter(&lamp, epoch, mute.clone());
    let deadline = Some(Duration::from_secs(3600));
    let before = tokio::time::Instant::now();
    let result = world.platform.request(world.space(), &lamp, Downlink::Unbound, deadline).await;
    assert_eq!(result.expect_err("no answer").code(), "command.timeout");
    assert_eq!(before.elapsed().as_secs(), 60, "nobody may wait longer");
    assert!(matches!(&mute.0.lock()[..], [Order::Downlink { deadline_ms: 60_000, .. }]));
    assert_eq!(world.trace(LAMP).await.last().expect("trace"), "result command.timeout");
}

#[tokio::test]
async fn a_wish_waits_for_the_device() {
    let world = World::new().await;
    let lamp = DeviceId::from(LAMP);
    let wish = object(json!({"power_switch": true}));
    let desired = world.platform.desire(world.space(), &lamp, "default", wish).await.expect("kept");
    assert!(!desired.pushed);
    let shadow = world.platform.shadow(world.space(), &lamp).await.expect("shadow");
    assert_eq!(shadow.services["default"].desired.properties["power_switch"], true);

    let login = world.log_in().await.expect("admitted");
    let link = world.connect(&login);
    let wish = object(json!({"brightness": 5, "power_switch": null}));
    let desired = world.platform.desire(world.space(), &lamp, "default", wish).await.expect("kept");
    assert!(desired.pushed);
    link.told.notified().await;
    assert_eq!(*link.sent.lock(), [set(json!({"brightness": 5}))]);
    let shadow = world.platform.shadow(world.space(), &lamp).await.expect("shadow");
    let state = &shadow.services["default"];
    assert_eq!(Value::Object(state.desired.properties.clone()), json!({"brightness": 5}));
}

#[tokio::test]
async fn whoever_loses_its_right_loses_its_connection() {
    let world = World::new().await;
    let lamp = DeviceId::from(LAMP);
    let login = world.log_in().await.expect("admitted");
    let link = world.connect(&login);
    let secret = world
        .platform
        .reset_secret(world.space(), &lamp, None, Rank::Primary, true)
        .await
        .expect("reset");
    assert_eq!(*link.closed.lock(), [Ending::Revoked]);
    assert_eq!(world.refused().await, ("auth.bad_password", 4), "the old secret is worth nothing");
    assert_ne!(secret.expose(), super::SECRET.as_bytes());
    let bad = world
        .platform
        .reset_secret(world.space(), &lamp, Some(Secret::from("?")), Rank::Primary, true)
        .await;
    assert_eq!(bad.err().expect("not base64").code(), "import.bad_row");
    let product = PRODUCT.into();
    let deleted = world.platform.delete_product(world.space(), &product).await;
    assert_eq!(deleted.expect_err("in use").code(), "api.conflict");
    let attributes = Some(object(json!({"industry": "home"})));
    let patch = ProductPatch { attributes, ..ProductPatch::default() };
    let product = world.platform.update_product(world.space(), &product, patch).await;
    assert_eq!(product.expect("updated").attributes["industry"], "home");
    world.platform.delete_device(world.space(), &lamp).await.expect("deleted");
    assert_eq!(link.closed.lock().len(), 2);
    assert_eq!(world.refused().await.0, "auth.unknown_device");
}

#[tokio::test]
async fn a_log_level_is_told_and_remembered_and_devices_cannot_set_it() {
    let world = World::new().await;
    let lamp = DeviceId::from(LAMP);
    world.platform.set_log_level(world.space(), &lamp, 3).await.expect("set");
    let mut login = world.log_in().await.expect("admitted");
    let topic = format!("$log/operation/{PRODUCT}/{}", super::NODE);
    let ask = json!({"type": "get_log_level", "clientToken": "1"});
    assert_eq!(world.publish(&mut login, &topic, ask.clone()).await[0]["log_level"], 3);
    let topic_info = format!("$thing/up/property/{PRODUCT}/{}", super::NODE);
    let info = json!({"method": "report_info", "clientToken": "2",
                      "params": {"$settings": {"log_level": 4}, "fw_ver": "1.2"}});
    assert_eq!(world.publish(&mut login, &topic_info, info).await[0]["code"], 0);
    let mut login = world.log_in().await.expect("admitted");
    assert_eq!(world.publish(&mut login, &topic, ask).await[0]["log_level"], 3);
    let too_high = world.platform.set_log_level(world.space(), &lamp, 5).await;
    assert_eq!(too_high.expect_err("0 to 4").code(), "api.bad_request");
}
