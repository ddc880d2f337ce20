//! Log-ins, registrations, addresses, redirects, resets, services.

use super::*;

fn direct(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    change(&mut config);
    config
}

#[test]
fn the_address_is_asked_for_once_and_kept() {
    // l16_ackbind: bootstrap, then MQTT; l16_ok: the second run has the address.
    let mut world = World::new(config(), Policy::living16());
    world.run(2000);
    assert_eq!(world.said("http POST /auth/bootstrap").len(), 1);
    assert!(world.said("CONNECT ")[0].1.contains("authtype=custom-ilop"));
    let mut again = World::restarted(config(), Policy::living16(), world.store.clone());
    again.run(2000);
    assert!(again.said("http").is_empty());
    assert_eq!(again.said("CONNECT 192.168.77.1:1883").len(), 1);
}

#[test]
fn an_address_that_fails_six_times_is_asked_for_anew() {
    let mut world = World::new(config(), Policy::living16());
    world.run(2000);
    let mut broken = World::restarted(config(), Policy::living16(), world.store.clone());
    broken.script.down = true;
    broken.run(120_000);
    let first_http = broken.said("http").first().map(|(ms, _)| *ms);
    let before = broken.said("CONNECT ").iter().filter(|(ms, _)| Some(*ms) < first_http).count();
    assert_eq!(before, 6);
    broken.script.down = false;
    broken.run(120_000);
    assert!(broken.events.contains(&Event::Online));
}

#[test]
fn registrations_bring_the_secret() {
    for (registration, sign) in [
        (Registration::Http, "http POST /auth/register/device"),
        (Registration::Mqtt, "authType=register"),
        (Registration::MqttOpen, "authType=regnwl"),
    ] {
        let config = direct(|config| {
            config.secret = None;
            config.registration = registration;
            config.mqtt = Endpoint::vendor("m", 1883).at("192.168.77.1", 1883);
        });
        let mut world = World::new(config.clone(), Policy::linkkit3());
        world.run(5000);
        assert_eq!(world.said(sign).len(), 1, "{registration:?}");
        assert!(world.stages.contains(&Stage::Registered));
        assert!(world.events.contains(&Event::Online), "{registration:?}");
        match registration {
            Registration::MqttOpen => {
                let connect = world.said("CONNECT ");
                let last = connect.last().expect("connected").1;
                assert!(last.contains("x9f8e7d6c5b4a3|securemode=-2,authType=connwl|"), "{last}");
            }
            Registration::Http | Registration::Mqtt => {
                assert!(world.store[store::SECRET].matches(SECRET.as_bytes()));
            }
        }
        // It registers once in its life.
        let mut again = World::restarted(config, Policy::linkkit3(), world.store.clone());
        again.run(5000);
        assert!(again.said(sign).is_empty());
        assert!(again.events.contains(&Event::Online));
    }
}

#[test]
fn a_guided_log_in_uses_what_it_was_given() {
    let config = direct(|config| config.address = Address::Guided);
    let mut world = World::new(config, Policy::linkkit3());
    world.run(3000);
    assert_eq!(world.said("http POST /auth/devicename").len(), 1);
    assert_eq!(world.said("CONNECT 192.168.77.1:1883 iot-id ").len(), 1);
    assert!(world.events.contains(&Event::Online));
}

#[test]
fn refusals_are_told_with_their_codes_and_tried_again() {
    for (connack, code) in [(4, "auth.bad_password"), (5, "auth.frozen"), (3, "internal.overload")]
    {
        let mut world = World::new(config(), Policy::living16());
        world.script.refuse = Some(connack);
        world.run(30_000);
        assert_eq!(world.failures.first(), Some(&code));
        let tries = world.said("CONNECT ").len();
        assert!((3..=8).contains(&tries), "{tries}");
        world.script.refuse = None;
        world.run(60_000);
        assert!(world.events.contains(&Event::Online));
    }
    // l16_http403.
    let mut world = World::new(config(), Policy::living16());
    world.script.http = Some((200, r#"{"code":403,"message":"forbidden"}"#.into()));
    world.run(10_000);
    assert_eq!(world.failures.first(), Some(&"auth.unknown_device"));
    assert!(world.said("CONNECT ").is_empty());
    world.script.http = Some((502, "<html>".into()));
    world.run(60_000);
    assert!(world.failures.contains(&"attempt.never_connected"));
    world.script.http = None;
    world.run(120_000);
    assert!(world.events.contains(&Event::Online));
}

#[test]
fn a_redirected_device_goes_to_the_other_region_and_binds_there() {
    // l16_redirect, seed 001.
    let mut world = World::new(config(), Policy::living16());
    world.run(3000);
    let there = json!({"resources": {"mqtt": {"host": "10.9.9.9", "port": 1884}}});
    world.script.http = Some((200, json!({"code": 200, "data": there}).to_string()));
    let notify = json!({
        "id": "78", "version": "1.0", "method": "thing.bootstrap.notify", "params": {"cmd": 0},
    });
    world.tell("thing/bootstrap/notify", &notify);
    world.run(3000);
    assert_eq!(world.said("CONNECT 10.9.9.9:1884").len(), 1);
    assert_eq!(world.said("DISCONNECT").len(), 1);
    let phone = world.finder(0);
    world.run(5000);
    assert!(world.bind_found(phone));
    // The older way names the place at once (§4).
    let push = json!({
        "id": "77", "version": "1.0", "method": "thing.bootstrap.config.push",
        "params": {"endpoint": {"mqtt": {"host": "10.8.8.8", "port": 1885}}},
    });
    world.tell("thing/bootstrap/config/push", &push);
    world.run(3000);
    assert_eq!(world.said("CONNECT 10.8.8.8:1885").len(), 1);
    assert!(world.store[store::ADDRESS].matches(b"10.8.8.8:1885"));
}

#[test]
fn a_factory_reset_is_told_until_it_is_confirmed_and_only_then_a_token() {
    let mut world = World::new(config(), Policy::living16());
    world.run(3000);
    let reports = world.said("enrollee/match").len();
    world.script.resets_ignored = 2;
    world.after(0, Due::ToDevice(Input::App(Request::Reset)));
    world.run(4000);
    assert!(world.events.contains(&Event::Unbound));
    assert!(world.said("CONNECT ").last().expect("again").1.contains(",reset=0,"));
    assert_eq!(world.said("enrollee/match").len(), reports, "no token before the confirmation");
    let phone = world.finder(0);
    world.run(2000);
    assert!(world.heard.is_empty(), "a device that was reset keeps quiet");
    world.run(10_000);
    let times: Vec<u64> = world.said("thing/reset").iter().map(|(ms, _)| *ms).collect();
    assert_eq!(times.len(), 3);
    assert_eq!(times[1] - times[0], 3000);
    assert!(world.said("thing/reset")[0].1.contains(r#""params":{"resetKey":{"devReset":"0"}}"#));
    assert!(!world.store.contains_key(store::RESET));
    assert!(world.bind_found(phone));
    // A power cut in between forgets nothing.
    let mut cut = World::new(config(), Policy::living16());
    cut.run(2000);
    cut.after(0, Due::ToDevice(Input::App(Request::Reset)));
    cut.run(1);
    let mut again = World::restarted(config(), Policy::living16(), cut.store.clone());
    again.run(5000);
    assert_eq!(again.said("thing/reset").len(), 1);
}

#[test]
fn services_and_properties_are_asked_answered_and_reported() {
    // l16_full.
    let mut world = World::new(config(), Policy::living16());
    world.run(1500);
    let set = json!({
        "method": "thing.service.property.set", "id": "2001", "params": {"LightSwitch": 1},
        "version": "1.0.0",
    });
    world.tell("thing/service/property/set", &set);
    let get = json!({
        "method": "thing.service.property.get", "id": "2002", "params": ["LightSwitch"],
    });
    world.run(500);
    world.tell("thing/service/property/get", &get);
    let call =
        json!({"method": "thing.service.Custom", "id": "2003", "params": {"transparency": 7}});
    world.tell("thing/service/Custom", &call);
    let sync =
        json!({"method": "thing.service.Custom", "id": "2004", "params": {"transparency": 8}});
    world.tell("rrpc/request/1234567890", &sync);
    world.run(500);
    let prefix = format!("PUBLISH /sys/{PRODUCT}/{NODE}/");
    for (rest, body) in [
        ("thing/service/property/set_reply 0 ", r#"{"id":"2001","code":200,"data":{}}"#),
        (
            "thing/service/property/get_reply 0 ",
            r#"{"id":"2002","code":200,"data":{"LightSwitch":1}}"#,
        ),
        ("thing/service/Custom_reply 0 ", r#"{"id":"2003","code":200,"data":{"transparency":8}}"#),
        ("rrpc/response/1234567890 0 ", r#"{"id":"2004","code":200,"data":{"transparency":9}}"#),
    ] {
        assert_eq!(world.said(&format!("{prefix}{rest}{body}")).len(), 1, "{rest}");
    }
    assert_eq!(
        world.said(r#""params":{"LightSwitch":1},"method":"thing.event.property.post"}"#).len(),
        1
    );
    // Trap 3: an opaque id comes back as it is.
    let odd = json!({"method": "thing.service.Custom", "id": "1|exp-topic|/sys", "params": {}});
    world.tell("thing/service/Custom", &odd);
    world.run(500);
    assert_eq!(world.said(r#"{"id":"1|exp-topic|/sys","code":200"#).len(), 1);
}

#[test]
fn a_call_on_an_own_topic_is_answered_there() {
    let mut world = World::new(config(), Policy::living16());
    world.run(1500);
    let call = json!({"method": "thing.service.Custom", "id": "9", "params": {}}).to_string();
    world.down(1, "/ext/rrpc/77/my/topic", &call);
    world.down(1, "/ext/rrpc/78/my/topic", "no JSON");
    world.run(500);
    assert_eq!(world.said(r#"PUBLISH /ext/rrpc/77/my/topic 0 {"id":"9","code":200"#).len(), 1);
    assert_eq!(world.said(r#"PUBLISH /ext/rrpc/78/my/topic 0 {"id":"","code":460"#).len(), 1);
}

#[test]
fn events_wait_for_a_session_and_refusals_are_told() {
    let mut world = World::new(config(), Policy::living16());
    let params = json!({"ErrorCode": 0}).as_object().cloned().expect("object");
    let post = Request::Post {
        node: None,
        service: "default".into(),
        event: "Error".into(),
        level: roadstead_core::product::Level::Info,
        params,
    };
    world.after(1, Due::ToDevice(Input::App(post)));
    world.run(2000);
    assert_eq!(world.said("thing/event/Error/post").len(), 1);
    let last = world.said("thing/event/property/post").last().expect("report").1.to_string();
    let body = last.splitn(4, ' ').nth(3).expect("body").to_string();
    let id = serde_json::from_str::<Value>(&body).expect("JSON")["id"].clone();
    assert!(world.failures.is_empty());
    world.after(0, Due::ToDevice(Input::App(report(json!({"x": 1})))));
    world.script.down = false;
    world.run(1);
    let _ = id;
    let next = world.said(r#""params":{"x":1}"#)[0].1.to_string();
    let body = next.splitn(4, ' ').nth(3).expect("body").to_string();
    let id = serde_json::from_str::<Value>(&body).expect("JSON")["id"].clone();
    let refusal = json!({"code": 6307, "data": {}, "id": id, "message": "no such property"});
    world.tell("thing/event/property/post_reply", &refusal);
    world.run(2);
    let rejected = |event: &Event| matches!(event, Event::Rejected { code: "command.refused", .. });
    assert!(world.events.iter().any(rejected), "{:?}", world.events);
}

#[test]
fn the_date_and_a_disabled_device() {
    let mut world = World::new(config(), Policy::living16());
    world.run(1500);
    assert!(world.events.iter().any(|event| matches!(event, Event::Clock(_))));
    world.tell("thing/disable", &json!({"id": "2006", "params": {}, "method": "thing.disable"}));
    world.run(10);
    let call = json!({"method": "thing.service.Custom", "id": "1", "params": {}});
    world.tell("thing/service/Custom", &call);
    world.run(10);
    assert_eq!(world.said("thing/disable_reply").len(), 1);
    assert_eq!(world.said(r#"{"id":"1","code":400,"data":"disabled"}"#).len(), 1);
}

#[test]
fn a_lost_connection_comes_back_and_everything_is_opened_again() {
    // l16_kicked.
    let mut world = World::new(config(), Policy::living16());
    world.run(3000);
    world.later_mqtt(0, MqttEvent::Closed(Fault::new(FaultKind::Closed, "kicked")));
    world.run(3000);
    assert_eq!(world.said("CONNECT ").len(), 2);
    let times: Vec<u64> = world.said("CONNECT ").iter().map(|(ms, _)| *ms).collect();
    assert!((3900..4400).contains(&times[1]), "{times:?}");
    let onlines = world.events.iter().filter(|event| **event == Event::Online).count();
    assert_eq!(onlines, 2);
    assert!(world.events.contains(&Event::Offline));
}

#[test]
fn a_refused_subscription_is_told_and_done_without() {
    // v301_subfail.
    let mut world = World::new(config(), Policy::linkkit3());
    world.script.refuse_filter = Some("match_reply");
    world.run(3000);
    assert!(world.failures.contains(&"mqtt.denied_topic"));
    assert!(world.events.contains(&Event::Online));
}
