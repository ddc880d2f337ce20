//! Log-in, refusals, take-over, reports.

use std::time::Duration;

use roadstead_core::DeviceId;
use roadstead_core::session::Ending;
use roadstead_dialects::cloud::{Hello, Refusal, Tls};
use serde_json::json;

use super::{LAMP, NODE, PASSWORD, PRODUCT, USER, World, peer};
use crate::service::State;
use crate::service::login::RETRY_LIFE;
use crate::shell::Services as _;

#[tokio::test]
async fn the_recorded_device_logs_in_reports_and_leaves() {
    let world = World::new().await;
    let mut login = world.log_in().await.expect("admitted");
    let id = DeviceId::from(LAMP);
    let view = world.platform.device(world.space(), &id).await.expect("device");
    assert!(view.presence.online && view.device.activated_at.is_some());

    let topic = format!("$thing/up/property/{PRODUCT}/{NODE}");
    let report = json!({"method": "report", "clientToken": "1", "params": {"power_switch": 1}});
    let replies = world.publish(&mut login, &topic, report).await;
    assert_eq!(replies[0]["code"], 0);
    let shadow = world.platform.shadow(world.space(), &id).await.expect("shadow");
    assert_eq!(shadow.services["default"].reported.properties["power_switch"], true);

    let report = json!({"method": "report", "clientToken": "2",
                        "params": {"power_switch": 0, "brightness": 101}});
    let replies = world.publish(&mut login, &topic, report).await;
    assert_ne!(replies[0]["code"], 0, "the firmware hears that something was left out");
    let shadow = world.platform.shadow(world.space(), &id).await.expect("shadow");
    let reported = &shadow.services["default"].reported.properties;
    assert_eq!(
        (reported.get("power_switch"), reported.get("brightness")),
        (Some(&json!(false)), None)
    );

    world.platform.clock.advance(Duration::from_secs(360));
    world.platform.logout(&login.account, login.epoch, Ending::KeepAlive).await;
    let verdict = world.platform.why(world.space(), &id).await.expect("verdict");
    assert_eq!((verdict.state, &*verdict.code), (State::Offline, "session.keep_alive"));
    let trace = world.trace(LAMP).await;
    let told = ["create ok", "login ok", "report ok", "report model.violation"];
    assert_eq!(trace[..4], told);
    assert_eq!(trace[4], "logout session.keep_alive");
}

#[tokio::test]
async fn every_refusal_says_its_cause_to_device_and_operator() {
    let world = World::new().await;
    let platform = &world.platform;
    let wrong = PASSWORD.replace('f', "0");
    let refusal = world.hello("L4WG9V9M2MTEST2", USER, &wrong).await.err().expect("refused");
    assert_eq!((refusal.0.code, refusal.1), ("auth.bad_password", 4));

    let unknown = USER.replace("TEST2", "TEST3");
    let refusal = world.hello("L4WG9V9M2MTEST3", &unknown, PASSWORD).await.err().expect("refused");
    assert_eq!((refusal.0.code, refusal.1), ("auth.unknown_device", 2));
    let unknown = USER.replace(PRODUCT, "AAAAAAAAAA");
    let refusal = world.hello("AAAAAAAAAATEST2", &unknown, PASSWORD).await.err().expect("refused");
    assert_eq!((refusal.0.code, refusal.1), ("auth.unknown_product", 2));
    let refusal = world.hello("mqttx", "someone", "pass").await.err().expect("refused");
    assert_eq!((refusal.0.code, refusal.1), ("auth.malformed", 4));
    let codes: Vec<_> = platform.strangers(10).iter().map(|stranger| stranger.code).collect();
    assert_eq!(codes, ["auth.malformed", "auth.unknown_product", "auth.unknown_device"]);

    for (id, code) in [
        ("L4WG9V9M2M_TEST3", Some("auth.unknown_device")),
        ("AAAAAAAAAA_TEST2", Some("auth.unknown_product")),
        ("L4WG9V9M2M_NOBODY", None),
    ] {
        let verdict = platform.why(world.space(), &id.into()).await.ok();
        assert_eq!(verdict.map(|verdict| verdict.code).as_deref(), code, "{id}");
    }
    let elsewhere = platform.why(&"another".into(), &"L4WG9V9M2M_TEST3".into()).await;
    assert_eq!(elsewhere.expect_err("not its product").code(), "device.unknown");

    let id = DeviceId::from(LAMP);
    let verdict = platform.why(world.space(), &id).await.expect("verdict");
    assert_eq!((verdict.state, &*verdict.code), (State::Refused, "auth.bad_password"));
    platform.clock.advance(Duration::from_secs(2));
    platform.freeze_device(world.space(), &id, true).await.expect("frozen");
    assert_eq!(world.refused().await, ("auth.frozen", 5));
    assert_eq!(platform.why(world.space(), &id).await.expect("verdict").state, State::Frozen);
    platform.freeze_device(world.space(), &id, false).await.expect("thawed");
    assert!(world.log_in().await.is_ok());
    let trace = world.trace(LAMP).await;
    let told = ["login auth.bad_password", "freeze ok", "login auth.frozen", "thaw ok", "login ok"];
    assert_eq!(trace[1..], told);
}

#[tokio::test]
async fn a_storm_of_refusals_writes_once_a_second() {
    let world = World::new().await;
    let wrong = PASSWORD.replace('f', "0");
    for _ in 0..250 {
        let refused = world.hello("L4WG9V9M2MTEST2", USER, &wrong).await;
        assert!(refused.is_err());
        world.platform.clock.advance(Duration::from_millis(10));
    }
    let id = DeviceId::from(LAMP);
    let trace = world.platform.trace_of(world.space(), &id, None, None, 1000).await.expect("trace");
    let written: Vec<_> = trace.iter().filter(|entry| &*entry.what == "login").collect();
    assert_eq!(written.len(), 3, "at 0, 1 and 2 seconds");
    assert!(written[1].text.contains("99 more before this one"), "{}", written[1].text);
    let presence = world.platform.device(world.space(), &id).await.expect("device").presence;
    assert_eq!(&*presence.refusal.expect("noted").0, "auth.bad_password");
}

#[tokio::test]
async fn a_second_log_in_wins_and_the_first_leaves_without_a_trace_in_presence() {
    let world = World::new().await;
    let first = world.log_in().await.expect("admitted");
    let link = world.connect(&first);
    let second = world.log_in().await.expect("admitted");
    assert!(second.epoch > first.epoch);
    world.connect(&second);
    assert_eq!(*link.closed.lock(), [Ending::TakenOver]);
    world.platform.logout(&first.account, first.epoch, Ending::TakenOver).await;
    let id = DeviceId::from(LAMP);
    let presence = world.platform.device(world.space(), &id).await.expect("device").presence;
    assert!(presence.online && presence.epoch == second.epoch);
    assert!(world.trace(LAMP).await.contains(&"logout session.taken_over".to_owned()));
}

#[tokio::test]
async fn a_broken_handshake_is_traced_to_the_device_it_named() {
    let world = World::new().await;
    let refusal = || Refusal::new("auth.psk_mismatch", "bad record MAC");
    let key = world.platform.psk(b"L4WG9V9M2MTEST2").expect("a key");
    assert_eq!(key.expose(), hex::decode("30bbcc1dd7bae6728f9342f1f994e168").expect("hex"));
    assert!(world.platform.psk(b"L4WG9V9M2MNOBODY").is_none());
    world.platform.stranger(&peer(), Some(b"L4WG9V9M2MTEST2"), refusal()).await;
    world.platform.stranger(&peer(), Some(b"L4WG9V9M2MNOBODY"), refusal()).await;
    world.platform.stranger(&peer(), None, refusal()).await;
    assert_eq!(world.trace(LAMP).await[1..], ["handshake auth.psk_mismatch"]);
    let nodes: Vec<_> = world.platform.strangers(9).into_iter().map(|s| s.node).collect();
    assert_eq!(nodes, [None, Some("NOBODY".into())]);
}

/// One library repeats a refused log-in in MQTT 3.1 by itself (Huawei T5): the same answer, and
/// nothing is counted or written a second time.
#[tokio::test]
async fn a_refused_log_in_repeated_in_mqtt_31_counts_once() {
    let world = World::new().await;
    let wrong = PASSWORD.replace('f', "0");
    let refuse = async |level| {
        let hello = Hello {
            level,
            client_id: "L4WG9V9M2MTEST2",
            user: Some(USER),
            password: Some(wrong.as_bytes()),
            keep_alive_s: 120,
            tls: &Tls::None,
        };
        let refused = world.platform.login(hello, &peer()).await.map(drop).expect_err("refused");
        // Beyond the gap between two written refusals.
        world.platform.clock.advance(Duration::from_secs(2));
        (refused.0.code, refused.1, refused.0.is_retry)
    };
    let written = async || {
        let trace = world.trace(LAMP).await;
        trace.iter().filter(|entry| *entry == "login auth.bad_password").count()
    };
    let (first, retry) = (("auth.bad_password", 4, false), ("auth.bad_password", 4, true));
    assert_eq!((refuse(4).await, refuse(3).await), (first, retry));
    assert_eq!(written().await, 1);
    // One repetition belongs to one refusal; a device that speaks only 3.1 counts every time.
    assert_eq!((refuse(3).await, refuse(3).await), (first, first));
    assert_eq!(written().await, 3);
    // Later it is no repetition any more.
    assert_eq!(refuse(4).await, first);
    world.platform.clock.advance(RETRY_LIFE);
    assert_eq!(refuse(3).await, first);
    assert_eq!(written().await, 5);
}
