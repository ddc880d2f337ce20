//! The platform on the memory store, spoken to in a real dialect: what the device gets, what the
//! trace says, how the attempt ends.

mod admission;
mod api;
mod binding;
mod child;
mod enrol;
mod gateway;
mod huawei;
mod import;
mod login;
mod outbox;
mod own_token;
mod phone;
mod register;
mod runlog;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use roadstead_core::command::Outcome;
use roadstead_core::device::Fingerprint;
use roadstead_core::exchange::Downlink;
use roadstead_core::product::Registration;
use roadstead_core::session::Ending;
use roadstead_core::{DeviceId, Secret, SpaceId, Timestamp, Value};
use roadstead_dialects::cloud::{Heard, Hello, Message, Refusal, Tls};
use roadstead_store::Memory;

use super::password::{Cost, Passwords};
use super::{
    Caller, CertificateIssuer, IssueError, Issued, NewDevice, NewProduct, Parts, Platform, Random,
    import_model, open_clouds,
};
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::{Directory, Link, Order};
use crate::shell::{Login, Peer, Services};

/// Names and secrets of the recordings (Tencent §3.4, §4.1).
pub(super) const PRODUCT: &str = "L4WG9V9M2M";
const PRODUCT_SECRET: &str = "XoezQjzzMedF4lAr2CqCkVYK";
pub(super) const NODE: &str = "TEST2";
const SECRET: &str = "MLvMHde65nKPk0Lx+ZThaA==";
pub(super) const LAMP: &str = "L4WG9V9M2M_TEST2";
/// User name and password that a device of the vendor's SDK sent (Tencent §3.4, vector 1).
const USER: &str = "L4WG9V9M2MTEST2;21010406;5B1N0;92233720368547758";
const PASSWORD: &str = "f8bd3bc698a7f0500252c0dde84650c99162ba65;hmacsha1";
/// When the recorded registration was sent (Tencent §4.1).
const NOW: Timestamp = Timestamp(1_611_299_964_000);

/// Between two things that a device does, so that the trace has an order.
const MOMENT: Duration = Duration::from_millis(1);

/// A platform with one product of one lamp, an administrator and two phone users.
pub(super) struct World {
    pub(super) platform: Arc<Platform>,
    pub(super) admin: Caller,
    pub(super) ann: Caller,
    pub(super) bob: Caller,
}

struct Issuer;

impl CertificateIssuer for Issuer {
    fn issue(&self, common_name: &str) -> Result<Issued, IssueError> {
        Ok(Issued {
            certificate_pem: format!("certificate of {common_name}"),
            key_pem: "key".into(),
            sha1: Fingerprint::Sha1([1; 20]),
            sha256: Fingerprint::Sha256([2; 32]),
        })
    }
}

/// A connection that keeps what it is told and answers every request.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) sent: Mutex<Vec<Downlink>>,
    pub(super) closed: Mutex<Vec<Ending>>,
    pub(super) told: tokio::sync::Notify,
}

impl Link for Recorder {
    fn send(&self, order: Order) -> Result<(), Box<Order>> {
        match order {
            Order::Downlink { request, result, .. } => {
                self.sent.lock().push(request);
                drop(result.send(Ok(Outcome::Delivered)));
                self.told.notify_one();
            }
            Order::Close(ending) => self.closed.lock().push(ending),
            Order::Reload(_) => {}
        }
        Ok(())
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut NewProduct)) -> Self {
        Self::with_config(Config::default(), change).await
    }

    pub(super) async fn with_config(config: Config, change: impl FnOnce(&mut NewProduct)) -> Self {
        let config = Arc::new(config);
        let counter = AtomicU64::new(1);
        let random = Random::from_fn(move |bytes| {
            let n = counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            bytes.iter_mut().zip(n.iter().rev().cycle()).for_each(|(byte, n)| *byte = *n);
        });
        let parts = Parts {
            store: Arc::new(Memory::new()),
            directory: Arc::new(Directory::new(roadstead_core::session::Epoch(0))),
            clouds: open_clouds(&config).expect("default settings"),
            clock: Clock::manual(NOW),
            config,
            issuer: Arc::new(Issuer),
            random,
            observer: Arc::new(()),
        };
        let mut platform = Platform::new(parts);
        Arc::get_mut(&mut platform).expect("fresh").passwords = Passwords::new(Cost::LEAST);
        platform.ensure_admin(Some("admin password".into())).await.expect("first start");
        let admin = platform.store.user_by_name("admin").await.expect("store").expect("admin");
        let admin = Caller::of(&admin);
        let ann = platform.sign_up("ann", &"ann's password".into()).await.expect("ann");
        let bob = platform.sign_up("bob", &"bob's password".into()).await.expect("bob");
        let world = Self { platform, admin, ann, bob };
        world.furnish(change).await;
        world
    }

    async fn furnish(&self, change: impl FnOnce(&mut NewProduct)) {
        let mut product = NewProduct {
            dialect: "tencent".into(),
            id: PRODUCT.into(),
            secret: Some(PRODUCT_SECRET.into()),
            registration: Registration::Open,
            model: import_model("tencent", &model()).expect("model"),
            ..NewProduct::default()
        };
        change(&mut product);
        self.platform.create_product(self.space(), product).await.expect("product");
        self.create(NODE, Some(SECRET.into())).await;
    }

    pub(super) async fn create(&self, node: &str, secret: Option<Secret>) -> DeviceId {
        let (product, node) = (PRODUCT.into(), node.into());
        let new = NewDevice { product, node, secret, ..NewDevice::default() };
        self.platform.create_device(self.space(), new).await.expect("device").id.clone()
    }

    /// Returns the lamp with its product.
    pub(super) async fn account(&self) -> roadstead_dialects::cloud::Account {
        self.platform.account_in(self.space(), &LAMP.into()).await.expect("the lamp")
    }

    pub(super) fn space(&self) -> &SpaceId {
        &self.admin.space
    }

    /// Logs the lamp in as its firmware did, a moment later.
    pub(super) async fn log_in(&self) -> Result<Login, (Refusal, u8)> {
        self.platform.clock.advance(MOMENT);
        self.hello("L4WG9V9M2MTEST2", USER, PASSWORD).await
    }

    pub(super) async fn hello(
        &self,
        client_id: &str,
        user: &str,
        password: &str,
    ) -> Result<Login, (Refusal, u8)> {
        let password = Some(password.as_bytes());
        let (user, tls, keep_alive_s) = (Some(user), &Tls::None, 120);
        let hello = Hello { level: 4, client_id, user, password, keep_alive_s, tls };
        self.platform.login(hello, &peer()).await
    }

    /// Returns the code and the CONNACK return code of a refused log-in.
    pub(super) async fn refused(&self) -> (&'static str, u8) {
        self.log_in()
            .await
            .err()
            .map(|(refusal, connack)| (refusal.code, connack))
            .expect("refused")
    }

    /// Returns what the trace of a device says: hop by hop, `what code`.
    pub(super) async fn trace(&self, device: &str) -> Vec<String> {
        let id = device.into();
        let entries = self.platform.trace_of(self.space(), &id, None, None, 100).await;
        entries.expect("trace").iter().map(|e| format!("{} {}", e.what, e.code)).collect()
    }

    pub(super) fn connect(&self, login: &Login) -> Arc<Recorder> {
        let link = Arc::new(Recorder::default());
        let device = &login.account.device.id;
        assert!(self.platform.directory.enter(device, login.epoch, link.clone()));
        link
    }

    /// Publishes a message as the device and returns what it gets back, as JSON.
    pub(super) async fn publish(&self, login: &mut Login, topic: &str, json: Value) -> Vec<Value> {
        self.platform.clock.advance(MOMENT);
        let payload = Bytes::from(json.to_string());
        let now = self.platform.clock.now();
        let mut heard = Vec::new();
        login.session.uplink(&login.account, topic, &payload, now, &mut heard);
        let mut messages: Vec<Message> = Vec::new();
        for Heard { uplink, reply } in heard {
            let (account, epoch) = (login.account.clone(), login.epoch);
            let platform = self.platform.clone();
            let answer = platform.uplink(account, epoch, topic, payload.len(), uplink).await;
            if let Some(reply) = reply {
                login.session.answer(&login.account, &reply, &answer, now, &mut messages);
            }
        }
        let read = |message: &Message| serde_json::from_slice(&message.payload).expect("JSON");
        messages.iter().map(read).collect()
    }

    /// Presents a bind token as the device and returns the code of the reply.
    pub(super) async fn present(&self, login: &mut Login, token: &Secret) -> i64 {
        let token = token.expose_text().expect("text");
        let node = login.account.device.node.clone();
        let body = serde_json::json!({
            "method": "app_bind_token", "clientToken": "c-1", "params": {"token": token},
        });
        let topic = format!("$thing/up/service/{PRODUCT}/{node}");
        let replies = self.publish(login, &topic, body).await;
        let [reply] = &replies[..] else { panic!("one reply, got {replies:?}") };
        assert_eq!(reply["method"], "app_bind_token_reply");
        reply["code"].as_i64().expect("code")
    }
}

pub(super) fn peer() -> Peer {
    let address = SocketAddr::from(([192, 0, 2, 7], 50_000));
    Peer { address, transport: "tcp" }
}

/// Returns a data template of a lamp: a switch and a brightness.
fn model() -> Value {
    serde_json::json!({
        "version": "1.0",
        "profile": {"ProductId": PRODUCT, "CategoryId": "1"},
        "properties": [
            {"id": "power_switch", "name": "Power", "desc": "", "mode": "rw", "required": true,
             "define": {"type": "bool", "mapping": {"0": "off", "1": "on"}}},
            {"id": "brightness", "name": "Brightness", "desc": "", "mode": "rw",
             "define": {"type": "int", "min": "0", "max": "100", "start": "0", "step": "1", "unit": "%"}},
        ],
        "events": [], "actions": [],
    })
}
