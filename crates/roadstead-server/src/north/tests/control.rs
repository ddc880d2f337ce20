//! Products, devices, properties, commands, shadow, diagnosis.

use super::*;

#[tokio::test]
async fn a_product_lives_through_the_api() {
    let world = World::new().await;
    world.furnish().await;
    let shown = world.admin("GET", &format!("/products/{PRODUCT}"), Value::Null).await;
    assert_eq!(shown.body["name"], "Lamp");
    assert_eq!(shown.body["dynamic_registration"], "open");
    assert_eq!(shown.body["app_name"], "default");
    assert_eq!(shown.body["create_time"], "20261121T003820Z");
    let property = &shown.body["service_capabilities"][0]["properties"][1];
    assert_eq!((&property["min"], &property["max"]), (&json!("0"), &json!("100")));
    let again = json!({"product_id": PRODUCT, "dialect": "tencent", "name": "x"});
    let again = world.admin("POST", "/products", again).await;
    assert_eq!((again.status.as_u16(), &again.body["code"]), (409, &json!("api.conflict")));
    let patch = json!({"name": "Lamp 2", "description": "better", "rebind": "transfer",
        "service_capabilities": [{"service_id": "other"}]});
    let changed = world.admin("PUT", &format!("/products/{PRODUCT}"), patch).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.body["service_capabilities"][0]["service_id"], "other");
    assert_eq!(changed.body["device_type"], "Lamp", "absent fields stay");
    let listed = world.admin("GET", "/products?limit=1&product_name=Lamp%202", Value::Null).await;
    assert_eq!(listed.body["page"], json!({"count": 1, "marker": PRODUCT}));
    assert_eq!(listed.body["products"][0]["description"], "better");
    let busy = world.admin("DELETE", &format!("/products/{PRODUCT}"), Value::Null).await;
    assert_eq!(busy.status, 409);
    for (body, code) in [
        (json!({"dialect": "klingon"}), "api.bad_request"),
        (json!({"dialect": "tencent", "model": {"odd": 1}}), "import.bad_model"),
        (
            json!({"dialect": "tencent", "service_capabilities": [{"service_id": ""}]}),
            "import.bad_model",
        ),
        (json!({"dialect": 7}), "api.bad_request"),
        (json!([]), "api.bad_request"),
    ] {
        let refused = world.admin("POST", "/products", body).await;
        assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!(code)));
    }
}

#[tokio::test]
async fn a_device_lives_through_the_api() {
    let world = World::new().await;
    world.furnish().await;
    let path = format!("/devices/{LAMP}");
    let shown = world.admin("GET", &path, Value::Null).await;
    assert_eq!(shown.body["status"], "INACTIVE");
    assert_eq!(shown.body["node_type"], "GATEWAY");
    assert_eq!(shown.body["gateway_id"], LAMP);
    let secret = shown.body["auth_info"]["secret"].as_str().expect("made").to_owned();
    let viewer = world.token(PROJECT, Role::Viewer).await;
    let full = format!("/v5/iot/{PROJECT}{path}");
    let seen = world.call("GET", &full, Some(&viewer), None).await;
    assert_eq!(seen.body["auth_info"]["auth_type"], "SECRET");
    assert_eq!(seen.body["auth_info"]["secret"], Value::Null, "no secret for viewers");
    let listed = world.admin("GET", "/devices?node_id=lamp1&limit=50", Value::Null).await;
    assert_eq!(listed.body["page"]["count"], 1);
    assert_eq!(listed.body["devices"][0]["dialect"], "tencent");
    assert!(!listed.text.contains(&secret), "no secrets in lists");
    for (query, count) in [
        (format!("product_id={PRODUCT}"), 1),
        ("product_id=other".into(), 0),
        ("device_name=Kitchen".into(), 1),
        ("gateway_id=gw".into(), 0),
        ("marker=ffffffffffffffffffffffff&offset=0".into(), 1),
    ] {
        let listed = world.admin("GET", &format!("/devices?{query}"), Value::Null).await;
        assert_eq!(listed.body["page"]["count"], count, "{query}");
    }
    let bad = world.admin("GET", "/devices?limit=zero", Value::Null).await;
    assert_eq!((bad.status.as_u16(), &bad.body["code"]), (400, &json!("api.bad_request")));

    let patch = json!({"device_name": "Hall", "description": "d", "extension_info": {"floor": 1}});
    let changed = world.admin("PUT", &path, patch).await;
    assert_eq!(changed.body["device_name"], "Hall");
    assert_eq!(changed.body["extension_info"]["floor"], 1);
    assert_eq!(world.admin("POST", &format!("{path}/freeze"), Value::Null).await.status, 204);
    assert_eq!(world.admin("GET", &path, Value::Null).await.body["status"], "FROZEN");
    assert_eq!(world.admin("POST", &format!("{path}/unfreeze"), Value::Null).await.status, 204);
    let reset = format!("{path}/action?action_id=resetSecret");
    let fresh = world.admin("POST", &reset, Value::Null).await;
    assert_eq!(fresh.status, 200, "{}", fresh.text);
    assert_ne!(fresh.body["secret"], secret.as_str());
    let odd = world.admin("POST", &format!("{path}/action?action_id=explode"), Value::Null).await;
    assert_eq!(odd.status, 400);
    let print = json!({"fingerprint": "dc0f1016f495157344ac5f1296335cff725ef22f"});
    let printed = world.admin("POST", &format!("{path}/reset-fingerprint"), print.clone()).await;
    assert_eq!(printed.body["fingerprint"], print["fingerprint"]);
    let again = json!({"product_id": PRODUCT, "node_id": "lamp1"});
    let again = world.admin("POST", "/devices", again).await;
    assert_eq!((again.status.as_u16(), &again.body["error_code"]), (400, &json!("IOTDA.014031")));
    assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 204);
    let gone = world.admin("GET", &path, Value::Null).await;
    assert_eq!((gone.status.as_u16(), &gone.body["error_code"]), (404, &json!("IOTDA.014000")));
}

#[tokio::test]
async fn requests_to_a_device_return_its_answer() {
    let world = World::new().await;
    world.furnish().await;
    let (set, command) =
        (format!("/devices/{LAMP}/properties"), format!("/devices/{LAMP}/commands"));
    let wish = json!({"services": [{"service_id": "default", "properties": {"power": true}}]});
    let blink = json!({"service_id": "default", "command_name": "blink", "paras": {"times": 3}});
    for (path, method, body) in [(&set, "PUT", &wish), (&command, "POST", &blink)] {
        let offline = world.admin(method, path, body.clone()).await;
        assert_eq!(offline.status, 404);
        assert_eq!(offline.body["error_code"], "IOTDA.014016");
        assert_eq!(offline.body["code"], "command.offline");
    }
    let wire = world.connect(answered(0, "done", json!({"seen": 1}))).await;
    let done = world.admin("PUT", &set, wish).await;
    assert_eq!(done.body["response"], json!({"result_code": 0, "result_desc": "done"}));
    let done = world.admin("POST", &command, blink.clone()).await;
    let expected = json!({"result_code": 0, "response_name": "blink_RSP", "result_desc": "done",
        "paras": {"seen": 1}});
    assert_eq!(done.body["response"], expected);
    assert!(done.body["command_id"].is_string());
    let unnamed = json!({"command_name": "blink", "paras": {"times": 3}});
    assert_eq!(world.admin("POST", &command, unnamed).await.status, 200, "the service is found");
    let values = world.admin("GET", &set, Value::Null).await;
    assert_eq!(values.body["response"]["source"], "device");
    assert_eq!(values.body["response"]["services"][0]["properties"], json!({"seen": 1}));
    let names: Vec<_> = wire.sent.lock().iter().map(Downlink::name).collect();
    assert_eq!(names, ["set_properties", "command", "command", "get_properties"]);
    for (method, path, body) in [
        ("PUT", &set, json!({"services": [{"service_id": "default", "properties": {"x": 1}}]})),
        (
            "PUT",
            &set,
            json!({"services": [{"service_id": "default", "properties": {"level": 101}}]}),
        ),
        ("POST", &command, json!({"command_name": "blink", "paras": {}})),
    ] {
        let refused = world.admin(method, path, body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["code"]),
            (400, &json!("command.model"))
        );
    }
    assert_eq!(wire.sent.lock().len(), 4, "what does not fit the model is not sent");
}

#[tokio::test]
async fn a_timeout_is_a_success_with_an_error_in_it() {
    let world = World::new().await;
    world.furnish().await;
    world.connect(Err(CommandError::Timeout(20_000))).await;
    let blink = json!({"command_name": "blink", "paras": {"times": 3}});
    let command = world.admin("POST", &format!("/devices/{LAMP}/commands"), blink).await;
    let wish = json!({"services": [{"service_id": "default", "properties": {"power": true}}]});
    let set = world.admin("PUT", &format!("/devices/{LAMP}/properties"), wish).await;
    for answer in [&command, &set] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["error_code"], "IOTDA.014111");
        assert_eq!(answer.body["code"], "command.timeout");
        assert!(answer.body.get("response").is_none());
    }
    let app = world.token(PROJECT, Role::Operator).await;
    let path = format!("/app/v1/devices/{LAMP}/properties");
    let body = Some(json!({"properties": {"power": true}}));
    let answer = world.call("PUT", &path, Some(&app), body).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (504, &json!("command.timeout")));
}

#[tokio::test]
async fn values_are_shown_from_the_shadow_where_the_dialect_cannot_ask() {
    let world = World::new().await;
    world.furnish().await;
    world.connect(Err(CommandError::Unsupported("no such request"))).await;
    let report = roadstead_core::shadow::Change::Report {
        service: "default".into(),
        values: roadstead_core::shadow::Values {
            properties: json!({"level": 7}).as_object().cloned().expect("object"),
            at: NOW,
        },
    };
    world.platform.store().change_shadow(&LAMP.into(), vec![report], None).await.expect("report");
    let shown = world.admin("GET", &format!("/devices/{LAMP}/properties"), Value::Null).await;
    let expected = json!({"source": "shadow", "services": [{"service_id": "default",
        "properties": {"level": 7}, "event_time": "20261121T003820Z"}]});
    let mut got = shown.body["response"].clone();
    got.sort_all_objects();
    let mut expected = expected;
    expected.sort_all_objects();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_shadow_has_versions() {
    let world = World::new().await;
    world.furnish().await;
    let path = format!("/devices/{LAMP}/shadow");
    let want = |desired: Value, version: Option<u64>| json!({"shadow": [{"service_id": "default", "desired": desired, "version": version}]});
    let first = world.admin("PUT", &path, want(json!({"level": 5}), Some(0))).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let service = &first.body["shadow"][0];
    assert_eq!(service["desired"]["properties"], json!({"level": 5}));
    assert_eq!((&service["version"], &service["service_id"]), (&json!(1), &json!("default")));
    let stale = world.admin("PUT", &path, want(json!({"level": 6}), Some(0))).await;
    assert_eq!((stale.status.as_u16(), &stale.body["code"]), (409, &json!("api.conflict")));
    let back = world.admin("PUT", &path, want(json!({}), None)).await;
    assert_eq!(back.body["shadow"][0]["desired"]["properties"], json!({}), "all taken back");
    let odd = world.admin("PUT", &path, want(json!({"level": "high"}), None)).await;
    assert_eq!(odd.body["code"], "command.model");
}

#[tokio::test]
async fn diagnosis_says_what_happened_and_why() {
    let world = World::new().await;
    world.furnish().await;
    let never = world.admin("GET", &format!("/devices/{LAMP}/why"), Value::Null).await;
    assert_eq!(never.body["state"], "never_seen", "{}", never.text);
    world.connect(answered(0, "ok", json!({}))).await;
    let wish = json!({"services": [{"service_id": "default", "properties": {"power": true}}]});
    world.admin("PUT", &format!("/devices/{LAMP}/properties"), wish).await;
    let trace = world.admin("GET", &format!("/devices/{LAMP}/trace?limit=50"), Value::Null).await;
    let whats: Vec<_> = trace.body["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| (entry["hop"].as_str().expect("hop"), entry["what"].as_str().expect("what")))
        .collect();
    assert!(whats.contains(&("down", "set_properties")), "{whats:?}");
    let none = format!("/devices/{LAMP}/trace?since=2100-01-01T00:00:00Z");
    assert_eq!(world.admin("GET", &none, Value::Null).await.body["entries"], json!([]));
    let odd = format!("/devices/{LAMP}/trace?since=yesterday");
    assert_eq!(world.admin("GET", &odd, Value::Null).await.status, 400);
    let presence = world.admin("GET", &format!("/devices/{LAMP}/presence"), Value::Null).await;
    assert_eq!(presence.body["status"], "ONLINE");
    assert_eq!(presence.body["transport"], "tcp");
    assert_eq!(presence.body["online_at"], "2026-11-21T00:38:20.000Z");
    let silent = world.admin("GET", &format!("/devices/{LAMP}/why"), Value::Null).await;
    assert_eq!(silent.body["state"], "silent");
    assert_eq!(silent.body["code"], "device.silent");
    assert!(silent.body["remedy"].as_str().is_some_and(|text| !text.is_empty()));
}

#[tokio::test]
async fn the_run_log_and_the_message_trace_answer() {
    let world = World::new().await;
    world.furnish().await;
    world.connect(answered(0, "ok", json!({}))).await;
    let blink = json!({"command_name": "blink", "paras": {"times": 3}});
    world.admin("POST", &format!("/devices/{LAMP}/commands"), blink).await;
    let log = world.admin("GET", "/run-logs?category=command", Value::Null).await;
    assert_eq!(log.status, 200, "{}", log.text);
    let logs = log.body["logs"].as_array().expect("logs");
    let shown: Vec<_> = logs.iter().map(|hop| hop["operation"].as_str().expect("text")).collect();
    assert_eq!(shown, ["result", "command"], "newest first: {}", log.text);
    assert_eq!(logs[0]["trace_id"], logs[1]["trace_id"]);
    assert_eq!((&logs[0]["device_id"], &logs[0]["result"]), (&json!(LAMP), &json!("success")));
    let none = world.admin("GET", "/run-logs?result=failure", Value::Null).await;
    assert_eq!(none.body, json!({"logs": [], "complete": true}));
    let first = world.admin("GET", "/run-logs?limit=1", Value::Null).await;
    assert!(first.body["next_end_time"].is_string(), "{}", first.text);
    for query in ["category=odd", "result=maybe", "start_time=x", "start_time=2&end_time=1"] {
        let odd = world.admin("GET", &format!("/run-logs?{query}"), Value::Null).await;
        assert_eq!((odd.status.as_u16(), &odd.body["code"]), (400, &json!("api.bad_request")));
    }
    let unknown = world.admin("GET", "/run-logs?device_id=nobody", Value::Null).await;
    assert_eq!(unknown.status, 404);
    let switch = format!("/devices/{LAMP}/message-trace");
    let off = json!({"device_id": LAMP, "enabled": false});
    assert_eq!(world.admin("GET", &switch, Value::Null).await.body, off);
    let on = world.admin("PUT", &switch, json!({"minutes": 5})).await;
    assert_eq!(on.body["end_time"], "2026-11-21T00:43:20.000Z", "{}", on.text);
    assert_eq!(world.admin("GET", &switch, Value::Null).await.body, on.body);
    assert_eq!(world.admin("PUT", &switch, json!({"minutes": 0})).await.status, 400);
    assert_eq!(world.admin("DELETE", &switch, Value::Null).await.status, 204);
    assert_eq!(world.admin("GET", &switch, Value::Null).await.body, off);
    let outages = format!("/devices/{LAMP}/offline-analysis");
    let outages = world.admin("GET", &outages, Value::Null).await;
    assert_eq!(outages.body, json!({"device_id": LAMP, "count": 0, "outages": []}));
}

#[tokio::test]
async fn reference_lists_are_complete() {
    let world = World::new().await;
    let errors = world.admin("GET", "/errors", Value::Null).await;
    let count = errors.body["errors"].as_array().map(Vec::len);
    assert_eq!(count, Some(roadstead_core::code::ALL.len()));
    let dialects = world.admin("GET", "/dialects", Value::Null).await;
    let count = dialects.body["dialects"].as_array().map(Vec::len);
    assert_eq!(count, Some(roadstead_dialects::ALL.len()));
}

#[tokio::test]
async fn probes_answer() {
    let world = World::new().await;
    for path in ["/healthz", "/readyz"] {
        let answer = world.call("GET", path, None, None).await;
        assert_eq!((answer.status.as_u16(), answer.body), (200, json!({"status": "ok"})));
    }
    assert_eq!(world.call("GET", "/metrics", None, None).await.text, "up 1\n");
    let document = world.call("GET", "/openapi.json", None, None).await;
    assert_eq!(document.body, serde_json::from_str::<Value>(&crate::openapi_json()).expect("JSON"));
    let down = Probes { ready: Box::new(|| false), metrics: Box::new(String::new) };
    let world = World { router: router(world.platform.clone(), down), ..world };
    let answer = world.call("GET", "/healthz", None, None).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (503, &json!("internal.overload")));
}

#[tokio::test]
async fn pages_are_served_with_a_strict_policy() {
    let world = World::new().await;
    for path in ["/", "/docs", "/console/console.js"] {
        let answer = world.call("GET", path, None, None).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}
