//! The whole router on a memory store: who may call what, recorded SDK calls, shapes.

mod app;
mod authorization;
mod control;
mod device;
mod fleet;
mod group;
mod product;
mod queue;
mod recorded;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use parking_lot::Mutex;
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::device::Fingerprint;
use roadstead_core::exchange::{Downlink, Response};
use roadstead_core::session::{Epoch, Presence};
use roadstead_core::space::Space;
use roadstead_core::user::{AccessKey, Role, User};
use roadstead_core::{Map, Timestamp};
use roadstead_store::Memory;
use serde_json::{Value, json};
use tower_service::Service as _;

use super::{Probes, router};
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::{Directory, Link, Order};
use crate::service::{CertificateIssuer, IssueError, Issued, Parts, Platform, Random, open_clouds};

/// The project of the recorded calls; here the default space.
pub(super) const PROJECT: &str = "0123456789abcdef0123456789abcdef";
/// Another tenant.
const OTHER: &str = "ffffffffffffffffffffffffffffffff";
/// When the recorded calls were made.
const NOW: Timestamp = Timestamp(1_795_221_500_000);
/// Ids that the vendor's rules allow.
const PRODUCT: &str = "L4WG9V9M2M";
const LAMP: &str = "L4WG9V9M2M_lamp1";

/// A server and its callers.
pub(super) struct World {
    pub(super) platform: Arc<Platform>,
    router: Router,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Value,
    text: String,
}

struct NoIssuer;

impl CertificateIssuer for NoIssuer {
    fn issue(&self, _: &str) -> Result<Issued, IssueError> {
        Ok(Issued {
            certificate_pem: String::new(),
            key_pem: "".into(),
            sha1: Fingerprint::Sha1([1; 20]),
            sha256: Fingerprint::Sha256([2; 32]),
        })
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let config = Arc::new(config);
        let platform = Platform::new(Parts {
            store: Arc::new(Memory::new()),
            directory: Arc::new(Directory::new(Epoch(0))),
            clouds: open_clouds(&config).expect("default settings"),
            clock: Clock::manual(NOW),
            config,
            issuer: Arc::new(NoIssuer),
            random: Random::os(),
            observer: Arc::new(()),
        });
        let probes = Probes { ready: Box::new(|| true), metrics: Box::new(|| "up 1\n".into()) };
        let world = Self { router: router(platform.clone(), probes), platform };
        world.space(PROJECT, "default", true).await;
        world.space(OTHER, "other", false).await;
        for role in [Role::Member, Role::Viewer, Role::Operator, Role::Admin] {
            world.user(PROJECT, role).await;
            world.user(OTHER, role).await;
        }
        world
    }

    async fn space(&self, id: &str, name: &str, is_default: bool) {
        let space = Space { id: id.into(), name: name.into(), is_default, created_at: NOW };
        self.platform.store().create_space(space).await.expect("space");
    }

    async fn user(&self, space: &str, role: Role) {
        let name = user_name(space, role);
        let user = User {
            id: name.as_str().into(),
            space: space.into(),
            name: name.into(),
            role,
            password_hash: "none matches".into(),
            created_at: NOW,
        };
        self.platform.store().create_user(user).await.expect("user");
    }

    /// Returns a token of the user of that role in that space.
    pub(super) async fn token(&self, space: &str, role: Role) -> String {
        let user = user_name(space, role);
        let life = Duration::from_secs(3600);
        let (token, _) =
            self.platform.grant_token(&user.as_str().into(), life).await.expect("token");
        token.expose_text().expect("text").into()
    }

    /// Makes an access key of an administrator.
    async fn access_key(&self, id: &str, secret: &str) {
        let key = AccessKey {
            id: id.into(),
            secret: secret.into(),
            user: user_name(PROJECT, Role::Admin).as_str().into(),
            created_at: NOW,
        };
        self.platform.store().create_access_key(key).await.expect("key");
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().call(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("body");
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body, text }
    }

    /// Calls with a token as both APIs take it.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = match path.starts_with("/app/") {
                true => request.header("authorization", format!("Bearer {token}")),
                false => request.header("x-auth-token", token),
            };
        }
        let body = body.map_or_else(Body::empty, |json| Body::from(json.to_string()));
        self.send(request.body(body).expect("request")).await
    }

    /// Calls the northbound API as the administrator of the default space.
    async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        let token = self.token(PROJECT, Role::Admin).await;
        let body = (!body.is_null()).then_some(body);
        self.call(method, &format!("/v5/iot/{PROJECT}{path}"), Some(&token), body).await
    }

    /// Makes a product with one lamp, through the API.
    async fn furnish(&self) {
        let product = json!({
            "product_id": PRODUCT, "name": "Lamp", "dialect": "tencent", "device_type": "Lamp",
            "protocol_type": "MQTT", "data_format": "json", "dynamic_registration": "open",
            "service_capabilities": [{"service_id": "default", "properties": [
                {"property_name": "power", "data_type": "boolean", "method": "RWE"},
                {"property_name": "level", "data_type": "int", "min": "0", "max": "100",
                 "method": "RWE"}],
              "commands": [{"command_name": "blink", "paras": [
                {"para_name": "times", "data_type": "int", "required": true}]}]}]});
        let made = self.admin("POST", "/products", product).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let lamp = json!({"product_id": PRODUCT, "node_id": "lamp1", "device_name": "Kitchen"});
        let made = self.admin("POST", "/devices", lamp).await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(made.body["device_id"], LAMP);
    }

    /// Connects the lamp; it answers every request with `answer`.
    async fn connect(&self, answer: Result<Outcome, CommandError>) -> Arc<Wire> {
        let wire = Arc::new(Wire { answer, sent: Mutex::default() });
        let epoch = self.platform.directory().next_epoch();
        assert!(self.platform.directory().enter(&LAMP.into(), epoch, wire.clone()));
        let presence = Presence {
            online: true,
            epoch,
            online_at: Some(NOW),
            peer: Some("192.0.2.7:4711".into()),
            transport: Some("tcp".into()),
            ..Presence::default()
        };
        let change = roadstead_core::port::PresenceChange { device: LAMP.into(), presence };
        self.platform.store().set_presence(vec![change]).await.expect("presence");
        wire
    }
}

/// A connection that answers every request the same.
struct Wire {
    answer: Result<Outcome, CommandError>,
    sent: Mutex<Vec<Downlink>>,
}

impl Link for Wire {
    fn send(&self, order: Order) -> Result<(), Box<Order>> {
        if let Order::Downlink { request, result, .. } = order {
            self.sent.lock().push(request);
            drop(result.send(self.answer.clone()));
        }
        Ok(())
    }
}

fn user_name(space: &str, role: Role) -> String {
    let role = serde_json::to_value(role).expect("JSON");
    format!("{}-{}", role.as_str().expect("text"), &space[..4])
}

/// An answer of a device.
fn answered(code: i64, status: &str, output: Value) -> Result<Outcome, CommandError> {
    let Value::Object(output) = output else { panic!("object") };
    let output: Map<String, Value> = output;
    let payload = bytes::Bytes::new();
    Ok(Outcome::Answered(Response { code, status: status.into(), output, payload }))
}
