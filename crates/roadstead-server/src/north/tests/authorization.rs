//! Every operation of the document, with every kind of wrong caller.

use std::collections::BTreeSet;

use super::*;
use crate::north::guard::{APP, NORTH};

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    /// Scheme and least role; `None` is public.
    who: Option<(String, Role)>,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&crate::openapi_json()).expect("JSON");
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("item") {
            let first = operation["security"][0].as_object().expect("security");
            let who = first.iter().next().map(|(scheme, scopes)| {
                (scheme.clone(), serde_json::from_value(scopes[0].clone()).expect("role"))
            });
            all.push(Operation { method: method.to_uppercase(), path: path.clone(), who });
        }
    }
    all
}

impl Operation {
    /// The path with the project and made-up ids.
    fn path(&self, project: &str) -> String {
        let segments = self.path.split('/').map(|segment| match segment {
            "{project_id}" => project,
            parameter if parameter.starts_with('{') => "made-up",
            fixed => fixed,
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// The least role as this test wants it, whatever the annotation says.
    fn expected(&self) -> Role {
        let path = self.path.replace("/v5/iot/{project_id}", "");
        let noun = path.split('/').nth(1).unwrap_or_default();
        // Searches whose filter does not fit into a query.
        let verb = path.rsplit('/').next().unwrap_or_default();
        if verb.starts_with("list-") {
            return Role::Viewer;
        }
        match (noun, &*self.method) {
            ("users" | "strangers" | "applications", _) => Role::Admin,
            ("access-keys", _) | (_, "GET") => Role::Viewer,
            // Counting is a question, whatever its method.
            _ if path.ends_with("/count") => Role::Viewer,
            // So are these.
            ("search", _) => Role::Viewer,
            _ if path.ends_with("/query-resources") => Role::Viewer,
            _ if path.ends_with("/list-device-group") => Role::Viewer,
            ("apps", _) => Role::Admin,
            _ => Role::Operator,
        }
    }
}

#[test]
fn the_public_operations_are_these() {
    let public: BTreeSet<String> = operations()
        .iter()
        .filter(|operation| operation.who.is_none())
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .collect();
    let expected = [
        "GET /healthz",
        "GET /metrics",
        "GET /openapi.json",
        "GET /readyz",
        "POST /app/v1/sessions",
        "POST /app/v1/users",
        "POST /v3/auth/tokens",
    ];
    assert_eq!(public, expected.into_iter().map(Into::into).collect());
}

#[test]
fn every_operation_asks_for_the_role_it_should() {
    for operation in operations() {
        let Some((scheme, role)) = &operation.who else { continue };
        let (expected_scheme, expected) = match operation.path.starts_with("/app/") {
            true => (APP, Role::Member),
            false => (NORTH, operation.expected()),
        };
        let name = format!("{} {}", operation.method, operation.path);
        assert_eq!((&**scheme, *role), (expected_scheme, expected), "{name}");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_credential() {
    let world = World::new().await;
    for operation in operations().iter().filter(|operation| operation.who.is_some()) {
        let path = operation.path(PROJECT);
        for token in [None, Some("made-up-token")] {
            let answer = world.call(&operation.method, &path, token, Some(json!({}))).await;
            // Huawei §9.10; the phone API follows RFC 9110 §15.5.2.
            let expected = match (path.starts_with("/app/"), token) {
                (true, _) => (401, "api.unauthenticated"),
                (false, None) => (400, "api.no_credentials"),
                (false, Some(_)) => (403, "api.unauthenticated"),
            };
            let code = answer.body["code"].as_str().unwrap_or_default();
            assert_eq!((answer.status.as_u16(), code), expected, "{} {path}", operation.method);
        }
    }
}

#[tokio::test]
async fn a_role_that_is_too_low_is_refused() {
    let world = World::new().await;
    let ladder = [Role::Member, Role::Viewer, Role::Operator, Role::Admin];
    for operation in operations() {
        let Some((_, role)) = operation.who else { continue };
        let path = operation.path(PROJECT);
        for lower in ladder.into_iter().filter(|&lower| lower < role) {
            let token = world.token(PROJECT, lower).await;
            let answer = world.call(&operation.method, &path, Some(&token), Some(json!({}))).await;
            assert_eq!(answer.status, 403, "{} {path} as {lower:?}", operation.method);
            assert_eq!(answer.body["code"], "api.forbidden");
        }
    }
}

#[tokio::test]
async fn the_least_role_suffices() {
    let world = World::new().await;
    for operation in operations() {
        let Some((_, role)) = operation.who else { continue };
        let (path, token) = (operation.path(PROJECT), world.token(PROJECT, role).await);
        let answer = world.call(&operation.method, &path, Some(&token), Some(json!({}))).await;
        assert!(
            answer.status != 401 && answer.status != 403 && !answer.status.is_server_error(),
            "{} {path}: {answer:?}",
            operation.method
        );
    }
}

#[tokio::test]
async fn another_space_is_closed() {
    let world = World::new().await;
    let token = world.token(OTHER, Role::Admin).await;
    for operation in operations() {
        if !operation.path.contains("{project_id}") {
            continue;
        }
        for project in [PROJECT, "00000000000000000000000000000000"] {
            let path = operation.path(project);
            let answer = world.call(&operation.method, &path, Some(&token), Some(json!({}))).await;
            assert_eq!(answer.status, 403, "{} {path}", operation.method);
            assert_eq!(answer.body["error_code"], "IOTDA.001002");
        }
    }
}

#[tokio::test]
async fn objects_of_another_space_do_not_exist() {
    let world = World::new().await;
    world.furnish().await;
    let token = world.token(OTHER, Role::Admin).await;
    let get = |path: String| {
        let (world, token) = (&world, token.clone());
        async move { world.call("GET", &format!("/v5/iot/{OTHER}{path}"), Some(&token), None).await }
    };
    let group = json!({"name": "Hall"});
    let group = world.admin("POST", "/device-group", group).await.body["group_id"].clone();
    let group = group.as_str().expect("id");
    for (method, path, body) in [
        ("GET", format!("/device-group/{group}"), json!({})),
        ("GET", format!("/device-group/{group}/devices"), json!({})),
        ("PUT", format!("/device-group/{group}"), json!({"name": "x"})),
        ("DELETE", format!("/device-group/{group}"), json!({})),
        (
            "POST",
            format!("/device-group/{group}/action?action_id=addDevice&device_id={LAMP}"),
            json!({}),
        ),
        (
            "POST",
            "/tags/bind-resource".into(),
            json!({
            "resource_type": "device", "resource_id": LAMP,
            "tags": [{"tag_key": "a", "tag_value": "b"}]}),
        ),
        (
            "POST",
            "/tags/unbind-resource".into(),
            json!({
            "resource_type": "device", "resource_id": LAMP, "tag_keys": ["a"]}),
        ),
        ("POST", format!("/devices/{LAMP}/freeze"), json!({})),
        ("POST", format!("/devices/{LAMP}/unfreeze"), json!({})),
        ("POST", format!("/devices/{LAMP}/action?action_id=resetSecret"), json!({})),
        ("POST", format!("/devices/{LAMP}/reset-fingerprint"), json!({})),
        ("POST", format!("/devices/{LAMP}/change-gateway"), json!({"gateway_id": LAMP})),
        ("POST", format!("/devices/{LAMP}/list-device-group"), json!({})),
        ("DELETE", format!("/devices/{LAMP}"), json!({})),
    ] {
        let path = format!("/v5/iot/{OTHER}{path}");
        let answer = world.call(method, &path, Some(&token), Some(body)).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
    }
    let found = world
        .call(
            "POST",
            &format!("/v5/iot/{OTHER}/search/query-devices"),
            Some(&token),
            Some(json!({"sql": "select * from device"})),
        )
        .await;
    assert_eq!(found.body, json!({"devices": [], "count": 0}));
    let tagged = world
        .call(
            "POST",
            &format!("/v5/iot/{OTHER}/tags/query-resources"),
            Some(&token),
            Some(json!({"resource_type": "device", "tags": [{"tag_key": "a"}]})),
        )
        .await;
    assert_eq!(tagged.body["page"]["count"], 0);
    for path in ["", "/shadow", "/trace", "/why", "/presence", "/properties"] {
        let answer = get(format!("/devices/{LAMP}{path}")).await;
        assert_eq!(answer.body["error_code"], "IOTDA.014000", "{path}: {}", answer.text);
    }
    assert_eq!(get(format!("/products/{PRODUCT}")).await.status, 404);
    assert_eq!(get(format!("/bindings?device_id={LAMP}")).await.status, 404);
    assert_eq!(get("/devices".into()).await.body["page"]["count"], 0);
    assert_eq!(get(format!("/devices?app_id={PROJECT}")).await.status, 403);
    assert_eq!(get("/apps".into()).await.body["applications"].as_array().map(Vec::len), Some(1));
    assert_eq!(get("/strangers".into()).await.status, 403);
    let member = world.token(OTHER, Role::Member).await;
    let path = format!("/app/v1/devices/{LAMP}");
    let answer = world.call("GET", &path, Some(&member), None).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (404, &json!("device.unknown")));
}

#[tokio::test]
async fn the_administrator_of_the_instance_enters_every_space() {
    let world = World::new().await;
    let made = world.admin("POST", "/apps", json!({"app_name": "garden"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let app = made.body["app_id"].as_str().expect("id").to_owned();
    let product = json!({"product_id": PRODUCT, "dialect": "tencent", "name": "P", "app_id": app});
    assert_eq!(world.admin("POST", "/products", product).await.status, 201);
    let found = world.admin("GET", &format!("/products/{PRODUCT}"), Value::Null).await;
    assert_eq!(found.body["app_id"], app, "found by id from the default project");
    let token = world.token(PROJECT, Role::Admin).await;
    let path = format!("/v5/iot/{app}/products");
    let inside = world.call("GET", &path, Some(&token), None).await;
    assert_eq!(inside.body["page"]["count"], 1);
    let operator = world.token(PROJECT, Role::Operator).await;
    assert_eq!(world.call("GET", &path, Some(&operator), None).await.status, 403);
    let busy = world.admin("DELETE", &format!("/apps/{app}"), Value::Null).await;
    assert_eq!((busy.status.as_u16(), &busy.body["code"]), (409, &json!("api.conflict")));
    world.admin("DELETE", &format!("/products/{PRODUCT}"), Value::Null).await;
    assert_eq!(world.admin("DELETE", &format!("/apps/{app}"), Value::Null).await.status, 204);
    let default = world.admin("DELETE", &format!("/apps/{PROJECT}"), Value::Null).await;
    assert_eq!(default.status, 409);
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_the_same_shape() {
    let world = World::new().await;
    for (method, path, status, code) in [
        ("GET", "/v5/iot/x/nothing", 404, "http.not_found"),
        ("PATCH", "/healthz", 405, "http.method"),
        ("PUT", "/v3/auth/tokens", 405, "http.method"),
    ] {
        let answer = world.call(method, path, None, None).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (status, &json!(code)));
        assert!(answer.body["error_code"].as_str().is_some_and(|c| c.starts_with("IOTDA.")));
        assert!(!answer.body["error_msg"].as_str().unwrap_or_default().is_empty());
        assert!(!answer.body["remedy"].as_str().unwrap_or_default().is_empty());
        assert_eq!(answer.headers["x-request-id"].len(), 32);
    }
    let answer = world.call("GET", "/app/v1/nothing", None, None).await;
    let keys: Vec<&str> = answer.body.as_object().expect("object").keys().map(|k| &**k).collect();
    assert_eq!((answer.status.as_u16(), keys), (404, vec!["code", "message", "remedy"]));
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let world = World::with(|config| config.north.body_bytes_max = 100).await;
    let token = world.token(PROJECT, Role::Admin).await;
    let body = json!({"app_name": "x".repeat(200)});
    let path = format!("/v5/iot/{PROJECT}/apps");
    let answer = world.call("POST", &path, Some(&token), Some(body)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!("api.too_large")));
}
