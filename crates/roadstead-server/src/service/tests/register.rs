//! Dynamic registration over vendor HTTP, with the recorded request.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::Request;
use roadstead_core::Value;
use roadstead_core::product::{Auth, Registration};
use roadstead_dialects::cloud::Ports;
use tower_service::Service as _;

use super::{NODE, NOW, PRODUCT, World};
use crate::service::State;
use crate::vendor;

/// What the firmware of the seed sent (Tencent §4.1).
const RECORDED: &str = r#"{"deviceName":"TEST2","nonce":1005258070,"productId":"L4WG9V9M2M","timestamp":1611299964,"signature":"YWM2ZjM1MDZlYzE4N2M1NGNiYjIwZTcwY2E1YTY5NzIyMWM0Mjg2NA=="}"#;
const LAMP: &str = super::LAMP;

impl World {
    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let request = Request::post(path)
            .header("host", "gateway.tencentdevices.com:80")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .expect("request");
        let ports = Ports { mqtt: Some(1883), ..Ports::default() };
        let response = vendor::router(self.platform.clone(), ports.into()).call(request).await;
        let response = response.expect("infallible");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 4096).await.expect("body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    /// Returns the vendor's number that answers the recorded request.
    async fn register(&self) -> i64 {
        let (status, body) = self.post("/register/dev", RECORDED).await;
        assert_eq!(status, 200);
        body["code"].as_i64().expect("code")
    }
}

/// A world where the lamp must register: it does not exist, or has no secret.
async fn world(registration: Registration, preregistered: bool) -> World {
    let world = World::with(|product| product.registration = registration).await;
    world.platform.delete_device(world.space(), &LAMP.into()).await.expect("deleted");
    if preregistered {
        world.create(NODE, None).await;
    }
    world
}

#[tokio::test]
async fn the_recorded_request_registers_once() {
    for (registration, preregistered) in [
        (Registration::Open, false),
        (Registration::Open, true),
        (Registration::Preregistered, true),
    ] {
        let world = world(registration, preregistered).await;
        assert_eq!(world.register().await, 0);
        let device = world.platform.device(world.space(), &LAMP.into()).await.expect("device");
        assert!(device.device.secret.is_some() && device.device.activated_at.is_none());
        let verdict = world.platform.why(world.space(), &LAMP.into()).await.expect("verdict");
        assert_eq!(
            (verdict.state, &*verdict.code),
            (State::NeverConnected, "device.never_connected")
        );
        assert_eq!(world.register().await, 1009, "replayed");
        assert_eq!(world.trace(LAMP).await.last().expect("trace"), "register register.replayed");
    }
}

#[tokio::test]
async fn every_refused_registration_has_its_number_and_reason() {
    let off = world(Registration::Off, true).await;
    assert_eq!(off.register().await, 1005);
    assert_eq!(off.trace(LAMP).await.last().expect("trace"), "register register.off");

    let strict = world(Registration::Preregistered, false).await;
    assert_eq!(strict.register().await, 1006);
    assert_eq!(strict.platform.strangers(1)[0].code, "register.unknown_device");

    let late = world(Registration::Open, false).await;
    late.platform.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(late.register().await, 1008);
    assert_eq!(late.platform.strangers(1)[0].code, "register.timestamp");

    let active = World::new().await;
    let login = active.log_in().await;
    assert!(login.is_ok());
    assert_eq!(active.register().await, 1021);
    assert_eq!(active.trace(LAMP).await.last().expect("trace"), "register register.activated");

    let forged = RECORDED.replace("YWM2", "YWM3");
    let (_, body) = off.post("/register/dev", &forged).await;
    assert!(matches!(body["code"].as_i64(), Some(1005 | 1007)), "{body}");
    let open = world(Registration::Open, true).await;
    let (_, body) = open.post("/register/dev", &forged).await;
    assert_eq!(body["code"], 1007);
    assert_eq!(open.trace(LAMP).await.last().expect("trace"), "register register.bad_signature");
    let (_, body) = open.post("/register/dev", "{").await;
    assert_eq!(body["code"], 1001);
    let (_, body) = open.post("/register/dev", &RECORDED.replace(PRODUCT, "AAAAAAAAAA")).await;
    assert_eq!(body["code"], 1004);
}

#[tokio::test]
async fn a_certificate_product_hands_out_a_certificate() {
    let world = World::with(|product| product.auth = Auth::Certificate).await;
    assert_eq!(world.register().await, 0);
    let device = world.platform.device(world.space(), &LAMP.into()).await.expect("device").device;
    assert_eq!(device.fingerprint.as_ref().expect("kept").to_string(), "02".repeat(32));
}

#[tokio::test]
async fn a_registration_joins_the_attempt_that_comes_later() {
    let world = world(Registration::Open, false).await;
    assert_eq!(world.register().await, 0);
    let made = world.platform.create_bind_token(&world.ann, true).await.expect("token");
    let device = Some((PRODUCT, NODE));
    let attempt = world.platform.mark_attempt(&world.ann, &made.attempt, vec![], device, None);
    let attempt = attempt.await.expect("marked");
    let last = attempt.stages.last().expect("a mark");
    assert_eq!((last.stage.name(), last.at), ("registered", NOW));
}

#[tokio::test]
async fn paths_of_nobody_and_large_bodies_are_answered_in_json() {
    let world = World::new().await;
    let (status, body) = world.post("/no/such/call", "").await;
    assert_eq!((status, &body["error_code"]), (404, &Value::from("http.not_found")));
    assert!(body["error_msg"].as_str().expect("text").contains("tencent"));
    let (status, body) = world.post("/register/dev", &"x".repeat(64 * 1024 + 1)).await;
    assert_eq!((status, &body["error_code"]), (413, &Value::from("api.too_large")));
}
