//! The phone's way: sign up, token, bind, control, share, transfer, give up.

use roadstead_core::port::BindReport;

use super::*;

impl World {
    async fn sign_up(&self, name: &str) -> String {
        let body = json!({"username": name, "password": "correct horse"});
        let answer = self.call("POST", "/app/v1/users", None, Some(body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body["token"].as_str().expect("token").into()
    }

    async fn app(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        let body = (!body.is_null()).then_some(body);
        self.call(method, &format!("/app/v1{path}"), Some(token), body).await
    }

    /// The lamp reports a token.
    async fn report(&self, token: &str) {
        let digest = openssl::sha::sha256(token.as_bytes());
        let report = BindReport { digest, device: LAMP.into(), now: NOW, own_life: None };
        self.platform.store().report_token(report).await.expect("store").expect("reported");
    }
}

#[tokio::test]
async fn a_phone_binds_controls_shares_and_gives_up() {
    let world = World::new().await;
    world.furnish().await;
    let (ann, bob) = (world.sign_up("ann").await, world.sign_up("bob").await);

    let two_steps = json!({"auto_bind": false});
    let made = world.app("POST", "/bind-tokens", &ann, two_steps).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let token = made.body["token"].as_str().expect("token").to_owned();
    let attempt = made.body["attempt_id"].as_str().expect("attempt").to_owned();
    let poll = format!("/bind-tokens/{token}");
    let state = world.app("GET", &poll, &ann, Value::Null).await;
    assert_eq!(state.body["state"], "new", "{}", state.text);
    let other = world.app("GET", &poll, &bob, Value::Null).await;
    assert_eq!((other.status.as_u16(), &other.body["code"]), (403, &json!("bind.other_account")));

    let marks = json!({"stages": [{"stage": "device_found"}, {"stage": "credentials_sent"}],
        "product": PRODUCT, "device": "lamp1", "method": "softap"});
    let marked = world.app("POST", &format!("/attempts/{attempt}/stages"), &ann, marks).await;
    assert_eq!(marked.body["method"], "softap", "{}", marked.text);
    let early = world.app("POST", "/bindings", &ann, json!({"token": token})).await;
    assert_eq!((early.status.as_u16(), &early.body["code"]), (409, &json!("bind.not_reported")));

    world.report(&token).await;
    let state = world.app("GET", &poll, &ann, Value::Null).await;
    assert_eq!(
        (&state.body["state"], &state.body["device_id"]),
        (&json!("reported"), &json!(LAMP))
    );
    let bound = world.app("POST", "/bindings", &ann, json!({"token": token})).await;
    assert_eq!(bound.status, 201, "{}", bound.text);
    assert_eq!((&bound.body["device_id"], &bound.body["role"]), (&json!(LAMP), &json!("owner")));
    let binding = bound.body["binding_id"].as_str().expect("id").to_owned();
    assert_eq!(world.app("GET", &poll, &ann, Value::Null).await.body["state"], "bound");

    let devices = world.app("GET", "/devices", &ann, Value::Null).await;
    let lamp = &devices.body["devices"][0];
    assert_eq!((&lamp["name"], &lamp["online"]), (&json!("Kitchen"), &json!(false)));
    assert_eq!(lamp["model"][0]["properties"][0]["property_name"], "power");
    let nothing = world.app("GET", "/devices", &bob, Value::Null).await;
    assert_eq!(nothing.body["devices"], json!([]));
    let hidden = world.app("GET", &format!("/devices/{LAMP}"), &bob, Value::Null).await;
    assert_eq!((hidden.status.as_u16(), &hidden.body["code"]), (404, &json!("bind.not_bound")));

    let (set, on) = (format!("/devices/{LAMP}/properties"), json!({"properties": {"power": true}}));
    let offline = world.app("PUT", &set, &ann, on.clone()).await;
    assert_eq!((offline.status.as_u16(), &offline.body["code"]), (409, &json!("command.offline")));
    world.connect(answered(0, "ok", json!({}))).await;
    let done = world.app("PUT", &set, &ann, on.clone()).await;
    assert_eq!(done.body, json!({"code": 0, "status": "ok", "output": {}}));
    let blink = json!({"command": "blink", "params": {"times": 2}});
    let command = format!("/devices/{LAMP}/commands");
    assert_eq!(world.app("POST", &command, &ann, blink.clone()).await.status, 200);
    assert_eq!(world.app("PUT", &set, &bob, on.clone()).await.status, 404);
    assert_eq!(world.app("POST", &command, &bob, blink).await.status, 404);

    let guests = format!("/bindings/{binding}/guests");
    let forbidden = world.app("POST", &guests, &bob, json!({"username": "bob"})).await;
    assert_eq!(forbidden.status, 404, "only the owner shares");
    let shared = world.app("POST", &guests, &ann, json!({"username": "bob"})).await;
    assert_eq!((shared.status.as_u16(), &shared.body["role"]), (201, &json!("guest")));
    let own = world.app("GET", &format!("/bindings/{binding}"), &ann, Value::Null).await;
    assert_eq!(own.body["guests"][0]["username"], "bob");
    assert_eq!(world.app("PUT", &set, &bob, on.clone()).await.status, 200);
    let ended = world.app("DELETE", &format!("{guests}/bob"), &ann, Value::Null).await;
    assert_eq!(ended.status, 204, "{}", ended.text);
    assert_eq!(world.app("PUT", &set, &bob, on).await.status, 404);

    let moved = json!({"username": "bob"});
    let moved = world.app("POST", &format!("/bindings/{binding}/transfer"), &ann, moved).await;
    assert_eq!((moved.status.as_u16(), &moved.body["username"]), (200, &json!("bob")));
    let of_bob = world.app("GET", "/bindings", &bob, Value::Null).await;
    let id = of_bob.body["bindings"][0]["binding_id"].as_str().expect("id").to_owned();
    let unbound = world.app("DELETE", &format!("/bindings/{id}"), &bob, Value::Null).await;
    assert_eq!(unbound.status, 204);
    assert_eq!(world.app("GET", "/bindings", &bob, Value::Null).await.body["bindings"], json!([]));
}

#[tokio::test]
async fn an_attempt_ends_with_the_phones_reason() {
    let world = World::new().await;
    let (ann, bob) = (world.sign_up("ann").await, world.sign_up("bob").await);
    let made = world.app("POST", "/bind-tokens", &ann, Value::Null).await;
    let attempt = made.body["attempt_id"].as_str().expect("attempt").to_owned();
    let path = format!("/attempts/{attempt}");
    let shown = world.app("GET", &path, &ann, Value::Null).await;
    assert_eq!((&shown.body["result"], &shown.body["reason"]), (&json!("running"), &Value::Null));
    assert_eq!(shown.body["stages"][0]["stage"], "token_created");
    assert_eq!(world.app("GET", &path, &bob, Value::Null).await.status, 404);
    let odd = json!({"stages": [{"stage": "teleported"}]});
    assert_eq!(world.app("POST", &format!("{path}/stages"), &ann, odd).await.status, 400);
    let failure = json!({"code": "attempt.network_not_joined", "detail": "no answer"});
    let ended = world.app("POST", &format!("{path}/failure"), &ann, failure).await;
    assert_eq!(ended.body["result"], "failure", "{}", ended.text);
    assert_eq!(ended.body["reason"]["code"], "attempt.network_not_joined");
    assert!(ended.body["reason"]["remedy"].as_str().is_some_and(|text| text.contains("2.4 GHz")));
    let listed = world.app("GET", "/attempts?open=true", &ann, Value::Null).await;
    assert_eq!(listed.body["attempts"], json!([]));
    let north = world.admin("GET", &path, Value::Null).await;
    assert_eq!(north.body["attempt_id"], attempt.as_str(), "operators see it too");
}

#[tokio::test]
async fn sessions_begin_and_end() {
    let world = World::new().await;
    world.sign_up("ann").await;
    let login = |password: &str| Some(json!({"username": "ann", "password": password}));
    let wrong = world.call("POST", "/app/v1/sessions", None, login("wrong horse")).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["code"]), (401, &json!("user.bad_password")));
    let right = world.call("POST", "/app/v1/sessions", None, login("correct horse")).await;
    assert_eq!(right.status, 201);
    let token = right.body["token"].as_str().expect("token");
    assert_eq!(world.app("GET", "/bindings", token, Value::Null).await.status, 200);
    assert_eq!(world.app("DELETE", "/sessions", token, Value::Null).await.status, 204);
    assert_eq!(world.app("GET", "/bindings", token, Value::Null).await.status, 401);
}

#[tokio::test]
async fn signing_up_can_be_closed() {
    let world = World::with(|config| config.app.sign_up = false).await;
    let body = Some(json!({"username": "ann", "password": "correct horse"}));
    let answer = world.call("POST", "/app/v1/users", None, body).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (403, &json!("user.sign_up_off")));
}

#[tokio::test]
async fn a_token_binds_by_itself_unless_told_otherwise() {
    let world = World::new().await;
    world.furnish().await;
    let ann = world.sign_up("ann").await;
    let made = world.app("POST", "/bind-tokens", &ann, Value::Null).await;
    let token = made.body["token"].as_str().expect("token").to_owned();
    world.report(&token).await;
    let state = world.app("GET", &format!("/bind-tokens/{token}"), &ann, Value::Null).await;
    assert_eq!(state.body["state"], "bound", "{}", state.text);
    let again = world.app("POST", "/bindings", &ann, json!({"token": token})).await;
    assert_eq!((again.status.as_u16(), &again.body["device_id"]), (201, &json!(LAMP)));
}
