//! Messages, asynchronous commands and versions of the shadow, through the router.

use proptest::prelude::{Just, any, prop, prop_assert, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;

use super::*;

fn path(end: &str) -> String {
    format!("/devices/{LAMP}/{end}")
}

#[tokio::test(start_paused = true)]
async fn a_message_lives_through_the_api() {
    let world = World::new().await;
    world.furnish().await;
    let body = json!({"message_id": "m1", "name": "greeting", "message": "hello", "ttl": 60,
        "properties": {"correlation_data": "c", "response_topic": "r",
            "user_properties": [{"prop_key": "k", "prop_value": "v"}]}});
    let made = world.admin("POST", &path("messages"), body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let expected = json!({"message_id": "m1",
        "result": {"status": "PENDING", "created_time": "20261121T003820Z"}});
    assert_eq!(made.body, expected);
    let again = world.admin("POST", &path("messages"), body.clone()).await;
    assert_eq!((again.status.as_u16(), &again.body["code"]), (409, &json!("message.exists")));
    let shown = world.admin("GET", &path("messages/m1"), Value::Null).await;
    for field in ["name", "message", "properties", "message_id"] {
        assert_eq!(shown.body[field], body[field], "{field}");
    }
    assert_eq!(
        (&shown.body["encoding"], &shown.body["payload_format"]),
        (&json!("none"), &json!("standard"))
    );
    let raw = json!({"message": "AP8=", "encoding": "base64", "payload_format": "raw",
        "topic": "alarm"});
    let made = world.admin("POST", &path("messages"), raw).await;
    assert_eq!(made.body["message_id"].as_str().map(str::len), Some(32), "{}", made.text);
    let listed = world.admin("GET", &path("messages?limit=1"), Value::Null).await;
    assert_eq!(listed.body["device_id"], LAMP);
    assert_eq!(listed.body["page"]["count"], 2);
    assert_eq!(listed.body["messages"][0]["topic"], "alarm", "newest first");
    let next = format!(
        "messages?limit=1&marker={}",
        listed.body["page"]["marker"].as_str().expect("marker")
    );
    let listed = world.admin("GET", &path(&next), Value::Null).await;
    assert_eq!(listed.body["messages"][0]["message_id"], "m1");

    let wire = world.connect(Ok(Outcome::Delivered)).await;
    let done = world.admin("POST", &path("messages"), json!({"message": {"a": 1}})).await;
    assert_eq!(done.body["result"]["status"], "DELIVERED", "{}", done.text);
    assert_eq!(done.body["result"]["finished_time"], "20261121T003820Z");
    let channels: Vec<_> = wire
        .sent
        .lock()
        .iter()
        .map(|request| {
            let Downlink::Message { channel, payload, envelope, .. } = request else {
                panic!("{request:?}")
            };
            (channel.to_string(), payload.to_vec(), envelope.is_some())
        })
        .collect();
    let expected = [
        ("default".to_owned(), b"hello".to_vec(), true),
        ("topic/alarm".to_owned(), vec![0, 255], false),
        ("default".to_owned(), b"{\"a\":1}".to_vec(), true),
    ];
    assert_eq!(channels, expected);
    assert_eq!(world.admin("DELETE", &path("messages/m1"), Value::Null).await.status, 204);
    let gone = world.admin("GET", &path("messages/m1"), Value::Null).await;
    assert_eq!((gone.status.as_u16(), &gone.body["code"]), (404, &json!("api.not_found")));
}

#[tokio::test(start_paused = true)]
async fn one_message_too_many_is_refused_or_takes_the_oldest_place() {
    use crate::config::Full;

    for full in [Full::Refuse, Full::DropOldest] {
        let world = World::with(|config| {
            config.downlink.messages_pending_max = 2;
            config.downlink.messages_full = full;
        })
        .await;
        world.furnish().await;
        let mut answers = Vec::new();
        for id in ["m1", "m2", "m3"] {
            let body = json!({"message_id": id, "message": "hello"});
            let made = world.admin("POST", &path("messages"), body).await;
            answers.push((made.status.as_u16(), made.body["code"].clone()));
        }
        let last = match full {
            Full::Refuse => (403, json!("api.quota")),
            Full::DropOldest => (201, Value::Null),
        };
        assert_eq!(answers, [(201, Value::Null), (201, Value::Null), last]);
        let state = async |id: &str| {
            let shown = world.admin("GET", &path(&format!("messages/{id}")), Value::Null).await;
            shown.body["status"].as_str().unwrap_or("none").to_owned()
        };
        let states = [state("m1").await, state("m2").await, state("m3").await];
        match full {
            Full::Refuse => assert_eq!(states, ["PENDING", "PENDING", "none"]),
            Full::DropOldest => assert_eq!(states, ["FAILED", "PENDING", "PENDING"]),
        }
        if full == Full::DropOldest {
            let shown = world.admin("GET", &path("messages/m1"), Value::Null).await;
            let error = &shown.body["error_info"];
            assert!(error.to_string().contains("took its place"), "{}", shown.text);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_topic_nobody_subscribed_says_so() {
    let world = World::new().await;
    world.furnish().await;
    world.connect(Err(CommandError::NotListening)).await;
    world.platform.clock().advance(Duration::from_secs(60));
    let made = world
        .admin("POST", &path("messages"), json!({"message": "x", "topic_full_name": "a/b"}))
        .await;
    assert_eq!(made.body["result"]["status"], "FAILED", "{}", made.text);
    let id = made.body["message_id"].as_str().expect("id");
    let shown = world.admin("GET", &path(&format!("messages/{id}")), Value::Null).await;
    assert_eq!(shown.body["error_info"]["error_code"], "IOTDA.014112");
}

#[tokio::test(start_paused = true)]
async fn an_asynchronous_command_lives_through_the_api() {
    let world = World::new().await;
    world.furnish().await;
    let body = json!({"service_id": "default", "command_name": "blink", "paras": {"times": 3},
        "expire_time": 3600, "send_strategy": "delay"});
    let made = world.admin("POST", &path("async-commands"), body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.body["command_id"].as_str().expect("id").to_owned();
    let mut expected = body.clone();
    expected["command_id"] = id.as_str().into();
    expected["device_id"] = LAMP.into();
    expected["status"] = "PENDING".into();
    expected["created_time"] = "20261121T003820Z".into();
    let (mut got, mut want) = (made.body, expected);
    got.sort_all_objects();
    want.sort_all_objects();
    assert_eq!(got, want);
    for (end, count) in [
        ("async-commands", 1),
        ("async-commands?status=PENDING&command_name=blink", 1),
        ("async-commands?command_name=other", 0),
        ("async-commands?start_time=20261121T003821Z", 0),
        ("async-commands-history", 0),
    ] {
        let listed = world.admin("GET", &path(end), Value::Null).await;
        assert_eq!(listed.body["page"]["count"], count, "{end}: {}", listed.text);
    }
    let now =
        json!({"command_name": "blink", "paras": {"times": 1}, "send_strategy": "immediately"});
    let away = world.admin("POST", &path("async-commands"), now.clone()).await;
    assert_eq!((away.status.as_u16(), &away.body["error_code"]), (404, &json!("IOTDA.014016")));

    world.connect(answered(0, "done", json!({"seen": 1}))).await;
    let done = world.admin("POST", &path("async-commands"), now).await;
    assert_eq!(done.status, 201, "{}", done.text);
    // The connection answers at once; both are over when the tasks have run.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let shown = world.admin("GET", &path(&format!("async-commands/{id}")), Value::Null).await;
    assert_eq!(shown.body["status"], "SUCCESSFUL", "{}", shown.text);
    let result = json!({"result_code": 0, "result_desc": "done", "paras": {"seen": 1}});
    assert_eq!(shown.body["result"], result);
    for time in ["sent_time", "delivered_time", "response_time"] {
        assert_eq!(shown.body[time], "20261121T003820Z", "{time}");
    }
    let counted = world.admin("POST", &path("async-commands-history/count"), Value::Null).await;
    assert_eq!(counted.body, json!({"count": 2}));
    let history = world.admin("GET", &path("async-commands-history?limit=1"), Value::Null).await;
    assert_eq!(history.body["commands"].as_array().map(Vec::len), Some(1));
    assert_eq!(history.body["commands"][0].get("paras"), None, "lists are short");
    let late = world.admin("DELETE", &path(&format!("async-commands/{id}")), Value::Null).await;
    assert_eq!((late.status.as_u16(), &late.body["code"]), (409, &json!("api.conflict")));
    for (query, word) in [
        ("status=DONE", "status"),
        ("start_time=soon", "start_time"),
        ("start_time=2&end_time=1", "start_time"),
    ] {
        let odd = world.admin("GET", &path(&format!("async-commands?{query}")), Value::Null).await;
        assert_eq!(odd.status, 400, "{query}");
        assert!(odd.body["error_msg"].as_str().expect("text").contains(word), "{}", odd.text);
    }
}

#[tokio::test]
async fn of_writers_that_read_the_same_version_one_wins() {
    let world = World::new().await;
    world.furnish().await;
    let shadow = path("shadow");
    let want = |level: u64, version: u64| {
        json!({"shadow": [{"service_id": "default", "desired": {"level": level},
            "version": version}]})
    };
    let calls = (0..8).map(|level| world.admin("PUT", &shadow, want(level, 0)));
    let answers = futures_util::future::join_all(calls).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    let lost = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((won, lost), (1, 7));
    let twice = json!({"shadow": [
        {"service_id": "default", "desired": {"level": 1}},
        {"service_id": "default", "desired": {"level": 2}}]});
    assert_eq!(world.admin("PUT", &shadow, twice).await.status, 400);
    for key in ["a.b", "$a", "a\u{0}", ""] {
        let odd = json!({"shadow": [{"service_id": "default", "desired": {key: null}}]});
        let odd = world.admin("PUT", &shadow, odd).await;
        assert_eq!((odd.status.as_u16(), &odd.body["code"]), (400, &json!("api.bad_request")));
    }
    // One service that does not fit leaves the other alone.
    let half = json!({"shadow": [
        {"service_id": "default", "desired": {"level": 9}},
        {"service_id": "other", "desired": {"x": 1}}]});
    assert_eq!(world.admin("PUT", &shadow, half).await.body["code"], "command.model");
    let shown = world.admin("GET", &shadow, Value::Null).await;
    assert_eq!(shown.body["shadow"][0]["version"], 1, "{}", shown.text);
    assert_eq!(world.admin("DELETE", &shadow, Value::Null).await.status, 204);
    let shown = world.admin("GET", &shadow, Value::Null).await;
    assert_eq!(shown.body["shadow"], json!([]));
    assert_eq!(world.admin("PUT", &shadow, want(3, 0)).await.status, 200, "starts at 0 again");
}

#[tokio::test]
async fn a_broadcast_without_listeners_reaches_nobody() {
    let world = World::new().await;
    let body = json!({"topic_full_name": "$oc/broadcast/x", "message": "aGk="});
    let made = world.admin("POST", "/broadcast-messages", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((&made.body["receivers"], &made.body["app_id"]), (&json!(0), &json!(PROJECT)));
    for (field, value) in [("message", "%"), ("topic_full_name", "a/#"), ("app_id", "nobody")] {
        let mut odd = body.clone();
        odd[field] = value.into();
        let odd = world.admin("POST", "/broadcast-messages", odd).await;
        assert!(odd.status.is_client_error(), "{field}: {}", odd.text);
    }
}

/// Any small JSON value.
fn value() -> impl Generator<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_.$]{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A body with the fields of all models here, each absent, right or anything.
fn body() -> impl Generator<Value = Value> {
    let fields = [
        ("message_id", json!("m")),
        ("message", json!("x")),
        ("encoding", json!("none")),
        ("payload_format", json!("raw")),
        ("topic", json!("a")),
        ("topic_full_name", json!("a/b")),
        ("ttl", json!(5)),
        ("properties", json!({"user_properties": []})),
        ("service_id", json!("default")),
        ("command_name", json!("blink")),
        ("paras", json!({"times": 1})),
        ("expire_time", json!(60)),
        ("send_strategy", json!("delay")),
        ("services", json!([{"service_id": "default", "properties": {"level": 1}}])),
        ("shadow", json!([{"service_id": "default", "desired": {"level": 1}, "version": 0}])),
        ("app_id", json!(PROJECT)),
    ];
    let pick = |(name, right): (&'static str, Value)| {
        let some = prop_oneof![3 => Just(right), 1 => value()];
        prop::option::weighted(0.7, some).prop_map(move |value| (name.to_owned(), value))
    };
    fields.map(pick).to_vec().prop_map(|fields| {
        let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Value::Object(given.collect())
    })
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever is sent to any of these calls: an answer with a code, never a failure of ours,
    /// and a refused call leaves everything as it was.
    #[test]
    fn any_body_is_answered(bodies in prop::collection::vec(body(), 1..4)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().expect("runtime");
        runtime.block_on(async {
            let world = World::new().await;
            world.furnish().await;
            for body in bodies {
                for (method, end) in [
                    ("POST", path("messages")),
                    ("POST", path("async-commands")),
                    ("POST", path("commands")),
                    ("PUT", path("properties")),
                    ("PUT", path("shadow")),
                    ("POST", "/broadcast-messages".to_owned()),
                ] {
                    let before = look(&world).await;
                    let answer = world.admin(method, &end, body.clone()).await;
                    let status = answer.status;
                    prop_assert!(!status.is_server_error(), "{} {}: {}", method, end, answer.text);
                    if status.is_client_error() {
                        prop_assert!(answer.body["error_code"].is_string(), "{}", answer.text);
                        prop_assert!(before == look(&world).await, "{} {}", method, end);
                    }
                }
            }
            Ok(())
        })?;
    }
}

/// What these calls could change.
async fn look(world: &World) -> Vec<String> {
    let mut seen = Vec::new();
    for end in ["messages?limit=50", "async-commands?limit=50", "shadow"] {
        seen.push(world.admin("GET", &path(end), Value::Null).await.text);
    }
    seen
}
