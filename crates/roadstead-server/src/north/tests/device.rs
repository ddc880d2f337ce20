//! `/devices` with everything a device may be created with, listed by and refused for.

use proptest::prelude::*;

use super::*;

const SECRET: &str = "MLvMHde65nKPk0Lx+ZThaA==";
const SECOND: &str = "c2Vuc29yIHNlY3JldCAxIQ==";

impl World {
    async fn lamp(&self, node: &str, more: Value) -> Answer {
        let mut body = json!({"product_id": PRODUCT, "node_id": node});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.admin("POST", "/devices", body).await
    }

    async fn ids(&self, query: &str) -> (String, Value) {
        let listed = self.admin("GET", &format!("/devices?{query}"), Value::Null).await;
        assert_eq!(listed.status, 200, "{query}: {}", listed.text);
        let devices = listed.body["devices"].as_array().expect("list").iter();
        let nodes: Vec<_> = devices.map(|d| d["node_id"].as_str().expect("id")).collect();
        (nodes.join(" "), listed.body["page"].clone())
    }
}

#[tokio::test]
async fn a_device_is_created_with_everything() {
    let world = World::new().await;
    world.furnish().await;
    let sha1 = "AB".repeat(20);
    let made = world
        .lamp(
            "lamp2",
            json!({"device_id": "my-lamp_2", "device_name": "Desk", "description": "by the desk",
                "auth_info": {"auth_type": "SECRET", "secret": SECRET, "secondary_secret": SECOND,
                    "fingerprint": sha1, "secure_access": true, "timeout": 300},
                "extension_info": {"shelf": [1, 2]}, "gateway_id": LAMP,
                "shadow": [{"service_id": "default", "desired": {"level": 30}}]}),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let expected = json!({
        "app_id": PROJECT, "app_name": "default", "device_id": "my-lamp_2", "node_id": "lamp2",
        "gateway_id": LAMP, "device_name": "Desk", "node_type": "ENDPOINT",
        "description": "by the desk", "fw_version": "", "sw_version": "",
        "device_sdk_version": "", "product_id": PRODUCT, "product_name": "Lamp",
        "auth_info": {"auth_type": "SECRET", "secret": SECRET, "secondary_secret": SECOND,
            "fingerprint": "ab".repeat(20), "secure_access": true, "timeout": 300},
        "status": "INACTIVE", "create_time": "20261121T003820Z",
        "connection_status_update_time": null, "active_time": null, "tags": [], "modules": [],
        "extension_info": {"shelf": [1, 2]}, "dialect": "tencent"});
    assert_eq!(made.body, expected);
    let shown = world.admin("GET", "/devices/my-lamp_2", Value::Null).await;
    assert_eq!(shown.body, expected, "the secret is in the single read");
    let shadow = world.admin("GET", "/devices/my-lamp_2/shadow", Value::Null).await;
    assert_eq!(shadow.body["shadow"][0]["desired"]["properties"]["level"], 30);
    let listed = world.admin("GET", "/devices?node_id=lamp2", Value::Null).await;
    assert!(!listed.text.contains(SECRET) && !listed.text.contains("auth_info"));

    let change =
        json!({"device_name": "Shelf", "auth_info": {"timeout": 0, "secure_access": false}});
    let changed = world.admin("PUT", "/devices/my-lamp_2", change).await;
    assert_eq!((changed.status.as_u16(), &changed.body["device_name"]), (200, &json!("Shelf")));
    let auth = &changed.body["auth_info"];
    assert_eq!((&auth["timeout"], &auth["secure_access"]), (&json!(0), &json!(false)));
    assert_eq!(auth["secondary_secret"], SECOND, "what is not named stays");
    let viewer = world.token(PROJECT, Role::Viewer).await;
    let path = format!("/v5/iot/{PROJECT}/devices/my-lamp_2");
    let seen = world.call("GET", &path, Some(&viewer), None).await;
    assert!(!seen.text.contains(SECRET) && !seen.text.contains(SECOND), "{}", seen.text);
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let world = World::with(|config| config.quota.children = 1).await;
    world.furnish().await;
    let sub = world.lamp("sub", json!({"gateway_id": LAMP})).await;
    assert_eq!(sub.status, 201, "{}", sub.text);
    for (node, more, status, code) in [
        ("lamp1", json!({}), 400, "device.exists"),
        ("n", json!({"device_id": LAMP}), 400, "device.exists"),
        ("n", json!({"device_id": "a b"}), 400, "api.bad_request"),
        ("n", json!({"device_id": ""}), 400, "api.bad_request"),
        ("n", json!({"device_id": "x".repeat(129)}), 400, "api.bad_request"),
        ("", json!({}), 400, "api.bad_request"),
        ("n", json!({"node_id": 5}), 400, "api.bad_request"),
        ("a node", json!({}), 400, "import.bad_row"),
        ("n", json!({"product_id": "NOPRODUCT1"}), 404, "api.not_found"),
        ("n", json!({"surprise": 1}), 400, "api.bad_request"),
        ("n", json!({"device_name": "x".repeat(257)}), 400, "api.bad_request"),
        ("n", json!({"description": "x".repeat(2049)}), 400, "api.bad_request"),
        ("n", json!({"extension_info": {"x": "y".repeat(1024)}}), 400, "api.bad_request"),
        ("n", json!({"gateway_id": LAMP}), 403, "api.quota"),
        ("n", json!({"gateway_id": "none"}), 404, "device.unknown"),
        ("n", json!({"app_id": "none"}), 403, "api.forbidden"),
        ("n", json!({"auth_info": {"auth_type": "TOKEN"}}), 400, "api.bad_request"),
        ("n", json!({"auth_info": {"secret": "?"}}), 400, "import.bad_row"),
        ("n", json!({"auth_info": {"secondary_secret": "?"}}), 400, "import.bad_row"),
        ("n", json!({"auth_info": {"fingerprint": "abc"}}), 400, "api.bad_request"),
        ("n", json!({"auth_info": {"timeout": -1}}), 400, "api.bad_request"),
        ("n", json!({"auth_info": {"timeout": 2_147_483_648_u32}}), 400, "api.bad_request"),
        ("n", json!({"auth_info": {"surprise": 1}}), 400, "api.bad_request"),
        (
            "n",
            json!({"shadow": [{"service_id": "none", "desired": {"level": 1}}]}),
            400,
            "command.model",
        ),
        (
            "n",
            json!({"shadow": [{"service_id": "default", "desired": {"level": 101}}]}),
            400,
            "command.model",
        ),
        (
            "n",
            json!({"shadow": [{"service_id": "default", "desired": {"level": 1}},
            {"service_id": "default", "desired": {"level": 2}}]}),
            400,
            "api.bad_request",
        ),
    ] {
        let refused = world.lamp(node, more.clone()).await;
        let got = (refused.status.as_u16(), refused.body["code"].as_str().unwrap_or("none"));
        assert_eq!(got, (status, code), "{node} {more}: {}", refused.text);
        let (nodes, page) = world.ids("").await;
        assert_eq!((&*nodes, &page["count"]), ("sub lamp1", &json!(2)), "{more}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first() {
    let world = World::new().await;
    world.furnish().await;
    for (n, more) in [
        json!({"device_name": "Hall 1"}),
        json!({"device_name": "Hall 2", "gateway_id": LAMP}),
        json!({"gateway_id": format!("{PRODUCT}_b")}),
    ]
    .into_iter()
    .enumerate()
    {
        world.platform.clock().advance(Duration::from_secs(1));
        let node = ["a", "b", "c"][n];
        let made = world.lamp(node, more).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    for (query, nodes, count) in [
        ("", "c b a lamp1", 4),
        ("limit=2", "c b", 4),
        ("limit=2&offset=1", "b a", 4),
        ("marker=ffffffffffffffffffffffff&limit=1", "c", 4),
        ("device_name=Hall", "b a", 2),
        ("device_name=Hall%202", "b", 1),
        ("node_id=a", "a", 1),
        (&format!("gateway_id={LAMP}"), "c b", 2),
        (&format!("gateway_id={LAMP}&is_cascade_query=false"), "b", 1),
        (&format!("product_id={PRODUCT}"), "c b a lamp1", 4),
        ("product_id=NOPRODUCT1", "", 0),
        ("start_time=20261121T003822Z", "c b", 2),
        ("start_time=20261121T003821Z&end_time=20261121T003822Z", "b a", 2),
        (&format!("app_id={PROJECT}&end_time=20261121T003820Z"), "lamp1", 1),
    ] {
        let (found, page) = world.ids(query).await;
        assert_eq!((&*found, &page["count"]), (nodes, &json!(count)), "{query}");
    }
    let (first, page) = world.ids("limit=3").await;
    assert_eq!(first, "c b a");
    let marker = page["marker"].as_str().expect("marker");
    assert!(marker.len() == 24 && marker.bytes().all(|b| b.is_ascii_hexdigit()), "{marker}");
    assert_eq!(world.ids(&format!("limit=3&marker={marker}")).await.0, "lamp1");
    for query in [
        "limit=0",
        "limit=51",
        "limit=x",
        "offset=501",
        "offset=-1",
        "marker=abc",
        "marker=zzzzzzzzzzzzzzzzzzzzzzzz",
        "start_time=yesterday",
        "is_cascade_query=maybe",
        "start_time=20261121T003822Z&end_time=20261121T003822Z",
    ] {
        let bad = world.admin("GET", &format!("/devices?{query}"), Value::Null).await;
        assert_eq!(
            (bad.status.as_u16(), &bad.body["code"]),
            (400, &json!("api.bad_request")),
            "{query}"
        );
    }
}

#[tokio::test]
async fn credentials_are_reset_and_connections_kept_or_ended() {
    let world = World::new().await;
    world.furnish().await;
    let path = format!("/devices/{LAMP}");
    let action = format!("{path}/action?action_id=resetSecret");
    let made = world.admin("POST", &action, Value::Null).await;
    assert_eq!((made.status.as_u16(), &made.body["secret_type"]), (200, &json!("PRIMARY")));
    let given = json!({"secret": SECOND, "secret_type": "SECONDARY", "force_disconnect": true});
    let second = world.admin("POST", &action, given).await;
    let expected = json!({"device_id": LAMP, "secret": SECOND, "secret_type": "SECONDARY"});
    assert_eq!(second.body, expected);
    let shown = world.admin("GET", &path, Value::Null).await;
    let auth = &shown.body["auth_info"];
    assert_eq!(
        (&auth["secret"], &auth["secondary_secret"]),
        (&made.body["secret"], &json!(SECOND))
    );

    let reset = format!("{path}/reset-fingerprint");
    let sha256 = "0F".repeat(32);
    let body = json!({"fingerprint": sha256, "fingerprint_type": "SECONDARY"});
    let answer = world.admin("POST", &reset, body).await;
    let expected = json!({"device_id": LAMP, "fingerprint": "0f".repeat(32),
        "fingerprint_type": "SECONDARY"});
    assert_eq!(answer.body, expected);
    let shown = world.admin("GET", &path, Value::Null).await;
    assert_eq!(shown.body["auth_info"]["secondary_fingerprint"], "0f".repeat(32));
    let cleared = world.admin("POST", &reset, json!({"fingerprint_type": "SECONDARY"})).await;
    assert_eq!(cleared.body["fingerprint"], Value::Null);
    let shown = world.admin("GET", &path, Value::Null).await;
    assert!(!shown.text.contains("secondary_fingerprint"), "{}", shown.text);
    for (path, body) in [
        (&action, json!({"secret_type": "THIRD"})),
        (&action, json!({"secret": "?"})),
        (&action, json!({"surprise": 1})),
        (&reset, json!({"fingerprint": "12"})),
        (&reset, json!({"fingerprint_type": "x"})),
        (&format!("{path}/action?action_id=explode"), json!({})),
        (&format!("{path}/action"), json!({})),
    ] {
        let bad = world.admin("POST", path, body.clone()).await;
        assert_eq!(bad.status, 400, "{path} {body}: {}", bad.text);
    }
    let after = world.admin("GET", &format!("/devices/{LAMP}"), Value::Null).await;
    assert_eq!(after.body, shown.body, "nothing has changed");
}

/// What the vendor's document leaves open is the operator's choice.
#[tokio::test]
async fn guesses_about_the_vendors_api_are_settings() {
    for guess in [true, false] {
        let world = World::with(|config| {
            config.north.is_cascade_query = guess;
            config.north.empty_object = guess;
        })
        .await;
        world.furnish().await;
        for (node, gateway) in [("sub", LAMP), ("leaf", "L4WG9V9M2M_sub")] {
            let made = world.lamp(node, json!({"gateway_id": gateway})).await;
            assert_eq!(made.status, 201, "{}", made.text);
        }
        let all = if guess { "leaf sub" } else { "sub" };
        assert_eq!(world.ids(&format!("gateway_id={LAMP}")).await.0, all);
        let asked = format!("gateway_id={LAMP}&is_cascade_query=true");
        assert_eq!(world.ids(&asked).await.0, "leaf sub", "who asks gets what he asks for");
        let body = json!({"gateway_id": LAMP});
        let moved = world.admin("POST", "/devices/L4WG9V9M2M_leaf/change-gateway", body).await;
        let expected = if guess { (200, "{}") } else { (204, "") };
        assert_eq!((moved.status.as_u16(), &*moved.text), expected);
    }
}

#[tokio::test]
async fn gateways_keep_their_children() {
    let world = World::new().await;
    world.furnish().await;
    for (node, gateway) in [("hub", None), ("sub", Some(LAMP)), ("leaf", Some("L4WG9V9M2M_sub"))] {
        let more = gateway.map_or(json!({}), |gateway| json!({"gateway_id": gateway}));
        assert_eq!(world.lamp(node, more).await.status, 201, "{node}");
    }
    let deep = world.lamp("deep", json!({"gateway_id": "L4WG9V9M2M_leaf"})).await;
    assert_eq!((deep.status.as_u16(), &deep.body["code"]), (403, &json!("api.quota")));
    let refused = world.admin("DELETE", &format!("/devices/{LAMP}"), Value::Null).await;
    let expected = (400, json!("device.has_children"), json!("IOTDA.014961"));
    let body = &refused.body;
    assert_eq!(
        (refused.status.as_u16(), body["code"].clone(), body["error_code"].clone()),
        expected
    );
    let change = async |device: &str, gateway: &str| {
        let path = format!("/devices/L4WG9V9M2M_{device}/change-gateway");
        let gateway = format!("L4WG9V9M2M_{gateway}");
        let answer = world.admin("POST", &path, json!({"gateway_id": gateway})).await;
        (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(change("sub", "hub").await, (200, String::new()));
    assert_eq!(change("sub", "hub").await, (200, String::new()), "twice is fine");
    assert_eq!(change("sub", "leaf").await, (403, "api.quota".into()), "a ring");
    assert_eq!(change("sub", "none").await, (404, "device.unknown".into()));
    assert_eq!(change("hub", "lamp1").await, (400, "api.bad_request".into()), "connects directly");
    assert_eq!(world.admin("DELETE", &format!("/devices/{LAMP}"), Value::Null).await.status, 204);
    assert_eq!(world.ids("gateway_id=L4WG9V9M2M_hub").await.0, "leaf sub");
}

#[tokio::test]
async fn a_device_that_never_comes_is_deleted() {
    let world = World::new().await;
    world.furnish().await;
    for (node, timeout) in [("soon", 60), ("late", 120), ("ever", 0)] {
        let made = world.lamp(node, json!({"auth_info": {"timeout": timeout}})).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let clock = world.platform.clock();
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(world.platform.sweep_unregistered().await.expect("sweep"), 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(world.platform.sweep_unregistered().await.expect("sweep"), 1);
    assert_eq!(world.ids("").await.0, "ever late lamp1");
    let presence = Presence { online: true, online_at: Some(NOW), ..Presence::default() };
    let change =
        roadstead_core::port::PresenceChange { device: "L4WG9V9M2M_late".into(), presence };
    world.platform.store().set_presence(vec![change]).await.expect("log in");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(world.platform.sweep_unregistered().await.expect("sweep"), 0, "it has come");
    assert_eq!(world.ids("").await.0, "ever late lamp1");
}

/// Any JSON of small size.
fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(Value::from(LAMP)),
        Just(Value::from(PRODUCT)),
        Just(Value::from("x".repeat(3000))),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Requests with bodies that are almost right: the names of a model, any values.
fn requests() -> impl Strategy<Value = (&'static str, String, Value)> {
    let models: [(&str, &str, &[&str]); 12] = [
        (
            "POST",
            "/devices",
            &[
                "device_id",
                "node_id",
                "device_name",
                "product_id",
                "auth_info",
                "description",
                "gateway_id",
                "app_id",
                "extension_info",
                "shadow",
                "surprise",
            ],
        ),
        ("PUT", "/devices/ID", &["device_name", "description", "extension_info", "auth_info"]),
        (
            "POST",
            "/devices/ID/action?action_id=resetSecret",
            &["secret", "force_disconnect", "secret_type"],
        ),
        (
            "POST",
            "/devices/ID/reset-fingerprint",
            &["fingerprint", "force_disconnect", "fingerprint_type"],
        ),
        ("POST", "/devices/ID/change-gateway", &["gateway_id"]),
        (
            "POST",
            "/device-group",
            &[
                "name",
                "description",
                "super_group_id",
                "app_id",
                "group_type",
                "dynamic_group_rule",
            ],
        ),
        ("PUT", "/device-group/ID", &["name", "description"]),
        ("POST", "/tags/bind-resource", &["resource_type", "resource_id", "tags"]),
        ("POST", "/tags/unbind-resource", &["resource_type", "resource_id", "tag_keys"]),
        ("POST", "/tags/query-resources", &["resource_type", "tags"]),
        ("POST", "/search/query-devices", &["sql"]),
        ("POST", "/apps", &["app_name"]),
    ];
    (0..models.len()).prop_flat_map(move |n| {
        let (method, path, fields) = models[n];
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let field = proptest::sample::select(fields);
        let body = prop_oneof![
            4 => proptest::collection::btree_map(field, json_values(), 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            1 => json_values(),
        ];
        let id = proptest::sample::select(vec![LAMP, "none", "%00", "a%2Fb"]);
        (body, id).prop_map(move |(body, id)| (method, path.replace("ID", id), body))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_body_is_too_strange((method, path, body) in requests()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("runtime").block_on(async {
            let world = World::new().await;
            world.furnish().await;
            let lamp = format!("/devices/{LAMP}");
            let state = async || [
                world.admin("GET", &lamp, Value::Null).await.text,
                world.admin("GET", "/devices", Value::Null).await.text,
                world.admin("GET", "/device-group", Value::Null).await.text,
                world.admin("GET", "/apps", Value::Null).await.text,
            ];
            let before = state().await;
            let answer = world.admin(method, &path, body.clone()).await;
            let shown = format!("{method} {path} {body}: {}", answer.text);
            prop_assert!(!answer.status.is_server_error(), "{}", shown);
            if answer.status.is_client_error() {
                prop_assert!(answer.body["code"].as_str().is_some_and(|code| !code.is_empty()));
                prop_assert_eq!(before, state().await, "{}", shown);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn failing_devices_are_listed_with_the_reason_that_they_cannot_see() {
    let world = World::new().await;
    world.furnish().await;
    let path = "/failing-devices";
    assert_eq!(world.admin("GET", path, Value::Null).await.body["page"]["count"], 0);
    let noted = world.platform.store().note_refusal(&LAMP.into(), "auth.bad_password", NOW).await;
    noted.expect("refusal");
    let listed = world.admin("GET", path, Value::Null).await;
    let device = &listed.body["devices"][0];
    assert_eq!(
        (&device["device_id"], &device["reason"]["code"], &listed.body["page"]["count"]),
        (&json!(LAMP), &json!("auth.bad_password"), &json!(1)),
        "{}",
        listed.text
    );
    assert_eq!(device["refused_at"], NOW.to_string());
    assert!(device["reason"]["diagnosis"]["remedy"].is_string(), "{}", listed.text);
    let other = world.admin("GET", "/failing-devices?product_id=another", Value::Null).await;
    assert_eq!(other.body["devices"], json!([]));
}
