//! Phones and enterprises of a vendor's cloud: the open API over vendor HTTP, who may call what,
//! live connections, pushed events.

use axum::body::{Body, to_bytes};
use http::Request;
use openssl::hash::{MessageDigest, hash};
use roadstead_core::product::Registration;
use roadstead_core::{DeviceId, Value};
use roadstead_dialects::cloud::Ports;
use serde_json::json;
use std::time::Duration;
use tower_service::Service as _;

use super::{Recorder, World};
use crate::service::{LiveConnection, NewApplication, NewDevice, NewProduct, import_model};
use crate::shell::Login;
use crate::vendor;

const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";
const PRODUCT_SECRET: &str = "067a83b650544d979bb3d4d147f32034";
const MAC: &str = "0247495A0001";
const DID: &str = "GzwDemo0123456789ABCDE";
const PASSCODE: &str = "SDGUVYIYYB";
const APP: &str = "1cc897ccdeb248a79a5bed9d1230c0eb";
const APP_SECRET: &str = "067a83b650544d979bb3d4d147f32034";

fn md5(text: &str) -> String {
    hex::encode(hash(MessageDigest::md5(), text.as_bytes()).expect("digest"))
}

/// A world with one module and two phones.
struct House {
    world: World,
    ann: Phone,
    bob: Phone,
}

#[derive(Clone)]
struct Phone {
    uid: String,
    token: String,
}

fn schema() -> Value {
    json!({
        "name": "pet", "packetVersion": "0x00000004", "protocolType": "standard",
        "entities": [{"id": 0, "name": "entity0", "attrs": [
            {"id": 0, "name": "LED", "type": "status_writable", "data_type": "bool",
             "position": {"byte_offset": 0, "bit_offset": 0, "len": 1, "unit": "bit"}},
            {"id": 1, "name": "Motor", "type": "status_writable", "data_type": "uint8",
             "uint_spec": {"min": 0, "max": 10, "ratio": 1, "addition": -5},
             "position": {"byte_offset": 1, "bit_offset": 0, "len": 1, "unit": "byte"}},
            {"id": 2, "name": "Broken", "type": "fault", "data_type": "bool",
             "position": {"byte_offset": 2, "bit_offset": 0, "len": 1, "unit": "bit"}},
        ]}],
    })
}

impl House {
    async fn new() -> Self {
        let world = World::new().await;
        let product = NewProduct {
            id: KEY.into(),
            dialect: "gizwits".into(),
            secret: Some(PRODUCT_SECRET.into()),
            registration: Registration::Open,
            model: import_model("gizwits", &schema()).expect("model"),
            ..NewProduct::default()
        };
        world.platform.create_product(world.space(), product).await.expect("product");
        let device = NewDevice {
            product: KEY.into(),
            node: MAC.into(),
            id: Some(DID.into()),
            secret: Some(PASSCODE.into()),
            ..NewDevice::default()
        };
        world.platform.create_device(world.space(), device).await.expect("device");
        let application = |id: &str, product: Option<&str>| NewApplication {
            id: Some(id.into()),
            secret: Some(APP_SECRET.into()),
            name: String::new(),
            product: product.map(Into::into),
        };
        let made = world.platform.create_application(world.space(), application(APP, None)).await;
        made.map_err(|e| e.code()).map(drop).expect("application");
        let push = application("push", Some(KEY));
        let made = world.platform.create_application(world.space(), push).await;
        made.map_err(|e| e.code()).map(drop).expect("application");
        let nobody = Phone { uid: String::new(), token: String::new() };
        let mut house = Self { world, ann: nobody.clone(), bob: nobody };
        house.ann = house.anonymous("phone of ann").await;
        house.bob = house.anonymous("phone of bob").await;
        house
    }

    async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let ports = Ports { mqtt: Some(1883), http: Some(8080), ..Ports::default() };
        let mut router = vendor::router(self.world.platform.clone(), ports.into());
        let response = router.call(request).await.expect("infallible");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    /// Calls without any header but those given.
    async fn bare(&self, call: &str, headers: &[(&str, &str)], body: Value) -> (u16, Value) {
        let (method, path) = call.split_once(' ').expect("method and path");
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", "api.gizwits.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(request.body(Body::from(body)).expect("request")).await
    }

    /// Calls as an application's user.
    async fn call(&self, phone: &Phone, call: &str, body: Value) -> (u16, Value) {
        let headers = [("X-Gizwits-Application-Id", APP), ("X-Gizwits-User-token", &*phone.token)];
        self.bare(call, &headers, body).await
    }

    /// Calls with the signature of the product, made so many seconds ago.
    async fn signed(&self, phone: &Phone, call: &str, body: Value, ago: i64) -> (u16, Value) {
        let stamp = (self.now_s() - ago).to_string();
        self.signed_with(phone, call, body, &stamp, &md5(&format!("{PRODUCT_SECRET}{stamp}"))).await
    }

    async fn signed_with(
        &self,
        phone: &Phone,
        call: &str,
        body: Value,
        stamp: &str,
        signature: &str,
    ) -> (u16, Value) {
        let headers = [
            ("X-Gizwits-Application-Id", APP),
            ("X-Gizwits-User-token", &*phone.token),
            ("X-Gizwits-Timestamp", stamp),
            ("X-Gizwits-Signature", signature),
        ];
        self.bare(call, &headers, body).await
    }

    fn now_s(&self) -> i64 {
        self.world.platform.clock.now().as_millis() / 1000
    }

    async fn anonymous(&self, id: &str) -> Phone {
        let headers = [("X-Gizwits-Application-Id", APP)];
        let (status, user) = self.bare("POST /app/users", &headers, json!({"phone_id": id})).await;
        assert_eq!(status, 201, "{user}");
        assert_eq!(user["expire_at"], self.now_s() + 7 * 24 * 3600);
        let text = |key: &str| user[key].as_str().expect("text").to_owned();
        Phone { uid: text("uid"), token: text("token") }
    }

    async fn bind(&self, phone: &Phone) -> (u16, Value) {
        let body = json!({"product_key": KEY, "mac": MAC, "remark": "kitchen"});
        self.signed(phone, "POST /app/bind_mac", body, 0).await
    }

    /// Logs the module in.
    async fn log_in(&self) -> (Login, std::sync::Arc<Recorder>) {
        let login = self.world.hello(DID, DID, PASSCODE).await.expect("let in");
        let link = self.world.connect(&login);
        (login, link)
    }

    /// Lets the module report: LED, Motor as on the wire, Broken.
    async fn report(&self, login: &mut Login, led: u8, motor: u8, broken: u8) {
        let frame = [0, 0, 0, 3, 7, 0, 0, 0x91, 4, led, motor, broken];
        self.publish(login, &format!("dev2app/{DID}"), &frame).await;
    }

    async fn publish(&self, login: &mut Login, topic: &str, bytes: &[u8]) {
        self.world.platform.clock.advance(Duration::from_millis(1));
        let payload = bytes::Bytes::copy_from_slice(bytes);
        let now = self.world.platform.clock.now();
        let mut heard = Vec::new();
        login.session.uplink(&login.account, topic, &payload, now, &mut heard);
        assert!(!heard.is_empty());
        for heard in heard {
            let platform = self.world.platform.clone();
            let (account, epoch) = (login.account.clone(), login.epoch);
            use crate::shell::Services as _;
            let _ = platform.uplink(account, epoch, topic, payload.len(), heard.uplink).await;
        }
    }

    async fn socket(&self, phone: &Phone, change: Value) -> Client {
        let live = self.world.platform.live("/ws/app/v1", Ports::default());
        let mut client = Client(live.expect("a path").expect("room"));
        let mut data = json!({
            "appid": APP, "uid": phone.uid, "token": phone.token, "p0_type": "attrs_v4",
            "heartbeat_interval": 180, "auto_subscribe": true,
        });
        data.as_object_mut().expect("object").extend(change.as_object().cloned().expect("object"));
        let (said, close) = client.ask(json!({"cmd": "login_req", "data": data})).await;
        assert_eq!(said[0]["cmd"], "login_res");
        assert_eq!(close, said[0]["data"]["success"] != true, "{said:?}");
        client
    }

    fn line(&self) -> Client {
        Client(self.world.platform.push(Ports::default()).expect("a dialect"))
    }
}

/// The other end of a live connection.
struct Client(LiveConnection);

impl Client {
    async fn ask(&mut self, message: Value) -> (Vec<Value>, bool) {
        let said = self.0.hear(&message.to_string()).await;
        let texts = said.texts.iter().map(|text| serde_json::from_str(text).expect("JSON"));
        (texts.collect(), said.close)
    }

    /// Asks and returns the one answer.
    async fn one(&mut self, message: Value) -> Value {
        let (mut said, close) = self.ask(message).await;
        assert!(!close && said.len() == 1, "{said:?}");
        said.remove(0)
    }

    /// Returns what is told next; nothing waits in virtual time.
    async fn told(&mut self) -> Value {
        let heard = tokio::time::timeout(Duration::from_secs(1), self.0.next()).await;
        let said = self.0.tell(heard.expect("news").expect("open")).await;
        assert_eq!(said.texts.len(), 1);
        serde_json::from_str(&said.texts[0]).expect("JSON")
    }

    async fn hears_nothing(&mut self) {
        let waits = tokio::time::timeout(Duration::ZERO, self.0.next()).await;
        assert!(waits.is_err(), "nothing is told");
    }
}

fn number(answer: &(u16, Value)) -> (u16, u64) {
    (answer.0, answer.1["error_code"].as_u64().unwrap_or(0))
}

#[tokio::test]
async fn users_sign_up_in_and_get_a_name() {
    let house = House::new().await;
    assert_eq!(house.anonymous("phone of ann").await.uid, house.ann.uid, "the same phone");
    let app = [("X-Gizwits-Application-Id", APP)];
    let auth = md5(&format!("{APP}{APP_SECRET}"));
    let headers = [app[0], ("X-Gizwits-Application-Auth", &*auth)];
    let (status, token) = house.bare("POST /app/request_token", &headers, Value::Null).await;
    assert_eq!((status, token["token"].as_str().map(str::len)), (200, Some(32)));
    let headers = [app[0], ("X-Gizwits-Application-Auth", "00")];
    let refused = house.bare("POST /app/request_token", &headers, Value::Null).await;
    assert_eq!(number(&refused), (400, 9038));

    let user = json!({"username": "carl", "password": "carl's password"});
    assert_eq!(house.bare("POST /app/users", &app, user.clone()).await.0, 201);
    let email = json!({"email": "dora@example.com", "password": "dora's password"});
    assert_eq!(house.bare("POST /app/users", &app, email.clone()).await.0, 201);
    for (body, refusal) in [
        (user.clone(), (400, 9019)),
        (email, (400, 9022)),
        (json!({"username": "eve", "password": "short"}), (400, 9015)),
        (json!({"username": "anonymous:x", "password": "long enough"}), (400, 9015)),
        (json!({"email": "no at", "password": "long enough"}), (400, 9015)),
        (json!({"phone": "1", "password": "long enough", "code": "1"}), (400, 9037)),
        (json!({"authData": {"src": "qq", "uid": "1", "token": "t"}}), (400, 9026)),
        (json!({}), (400, 9015)),
        (json!([]), (400, 9015)),
    ] {
        let answer = house.bare("POST /app/users", &app, body.clone()).await;
        assert_eq!(number(&answer), refusal, "{body}");
    }
    let (status, session) = house.bare("POST /app/login", &app, user).await;
    assert_eq!(status, 200);
    assert!(session["token"].is_string() && session["uid"].is_string());
    let wrong = json!({"username": "carl", "password": "another one"});
    assert_eq!(number(&house.bare("POST /app/login", &app, wrong).await), (400, 9020));

    // The anonymous user gets a name and stays the same user, also for its phone.
    let named = json!({"username": "ann at home", "password": "ann's password"});
    let (status, body) = house.call(&house.ann, "PUT /app/users", named.clone()).await;
    assert_eq!(status, 200, "{body}");
    let (_, session) = house.bare("POST /app/login", &app, named).await;
    assert_eq!(session["uid"], house.ann.uid);
    let again = house.anonymous("phone of ann").await;
    assert_eq!(again.uid, house.ann.uid);
    let profile = json!({"name": "Ann", "lang": "en"});
    assert_eq!(house.call(&again, "PUT /app/users", profile).await.0, 200);
    let (_, shown) = house.call(&again, "GET /app/users", Value::Null).await;
    assert_eq!((&shown["name"], &shown["username"]), (&json!("Ann"), &json!("ann at home")));
    assert_eq!((&shown["is_anonymous"], &shown["gender"]), (&json!(false), &Value::Null));
    let change = json!({"old_pwd": "ann's password", "new_pwd": "a new password"});
    assert_eq!(house.call(&again, "PUT /app/users", change.clone()).await.0, 200);
    let ended = house.call(&again, "PUT /app/users", change).await;
    assert_eq!(number(&ended), (400, 9004), "another password ends the sign-ins");
}

#[tokio::test]
async fn nothing_opens_without_application_and_user() {
    let house = House::new().await;
    assert_eq!(house.bind(&house.ann).await.0, 201);
    let calls = [
        "GET /app/users",
        "PUT /app/users",
        "POST /app/bind_mac",
        "POST /app/bind_latest",
        "GET /app/bindings",
        "POST /app/bindings",
        "DELETE /app/bindings",
        &format!("PUT /app/bindings/{DID}"),
        &format!("GET /app/{DID}/bindings"),
        &format!("DELETE /app/{DID}/bindings?uid=1"),
        &format!("GET /app/devices/{DID}"),
        &format!("GET /app/devices/{DID}/raw_data"),
        &format!("GET /app/devdata/{DID}/latest"),
        &format!("POST /app/control/{DID}"),
        "GET /app/device_register?random_codes=1",
        "GET /app/sharing",
        "POST /app/sharing",
        "PUT /app/sharing/1?status=1",
        "DELETE /app/sharing/1",
    ];
    let old = house.anonymous("an old phone").await;
    house.world.platform.clock.advance(Duration::from_secs(7 * 24 * 3600));
    for call in calls {
        let app = ("X-Gizwits-Application-Id", APP);
        for (headers, refusal) in [
            (vec![], (400, 9003)),
            (vec![("X-Gizwits-Application-Id", "unknown")], (400, 9003)),
            (vec![("X-Gizwits-Application-Id", "push")], (400, 9003)),
            (vec![app], (400, 9004)),
            (vec![app, ("X-Gizwits-User-token", "0123")], (400, 9004)),
            (vec![app, ("X-Gizwits-User-token", &*old.token)], (400, 9006)),
        ] {
            let answer = house.bare(call, &headers, json!({})).await;
            assert_eq!(number(&answer), refusal, "{call} {headers:?}");
        }
    }
    // An application of another space has no users here.
    let other = house.world.platform.create_space("other").await.expect("space");
    let new = NewApplication {
        id: Some("other".into()),
        secret: None,
        name: String::new(),
        product: None,
    };
    let made = house.world.platform.create_application(&other.id, new).await;
    made.map_err(|e| e.code()).map(drop).expect("application");
    let ann = house.anonymous("phone of ann").await;
    let headers = [("X-Gizwits-Application-Id", "other"), ("X-Gizwits-User-token", &*ann.token)];
    let answer = house.bare("GET /app/bindings", &headers, Value::Null).await;
    assert_eq!(number(&answer), (400, 9004));
}

#[tokio::test]
async fn another_ones_device_stays_shut() {
    let house = House::new().await;
    assert_eq!(house.bind(&house.ann).await.0, 201);
    for (call, body) in [
        (format!("PUT /app/bindings/{DID}"), json!({"remark": "mine"})),
        (format!("GET /app/{DID}/bindings"), Value::Null),
        (format!("DELETE /app/{DID}/bindings?uid={}", house.ann.uid), Value::Null),
        (format!("GET /app/devices/{DID}"), Value::Null),
        (format!("GET /app/devices/{DID}/raw_data"), Value::Null),
        (format!("GET /app/devdata/{DID}/latest"), Value::Null),
        (format!("POST /app/control/{DID}"), json!({"attrs": {"LED": 1}})),
        ("POST /app/sharing".into(), json!({"type": 0, "did": DID, "uid": house.bob.uid})),
    ] {
        let answer = house.call(&house.bob, &call, body).await;
        assert_eq!(number(&answer), (401, 9017), "{call}");
        let unknown =
            house.call(&house.bob, &call.replace(DID, "nothing"), json!({"did": "x"})).await;
        assert!(!matches!(unknown.0, 200 | 201), "{call}");
    }
    let body = json!({"devices": [{"did": DID}]});
    let (_, ended) = house.call(&house.bob, "DELETE /app/bindings", body).await;
    assert_eq!(ended, json!({"success": [], "failed": [DID]}));
    let (_, list) = house.call(&house.bob, "GET /app/bindings", Value::Null).await;
    assert_eq!(list, json!({"devices": []}));
    let (_, list) = house.call(&house.ann, "GET /app/bindings", Value::Null).await;
    assert_eq!(list["devices"][0]["did"], DID);
    // The device of another vendor is not here at all.
    let lamp = format!("GET /app/devices/{}", super::LAMP);
    let answer = house.call(&house.ann, &lamp, Value::Null).await;
    assert_eq!(number(&answer), (404, 9014));
}

#[tokio::test]
async fn binding_needs_the_product_or_the_passcode() {
    let house = House::new().await;
    let body = json!({"product_key": KEY, "mac": MAC});
    let call = "POST /app/bind_mac";
    for ago in [301, -301] {
        let answer = house.signed(&house.ann, call, body.clone(), ago).await;
        assert_eq!(number(&answer), (400, 9043), "{ago}");
    }
    let stamp = house.now_s().to_string();
    for (stamp, signature, refusal) in [
        (&*stamp, "00".into(), (400, 9044)),
        (&*stamp, md5(&format!("{stamp}{PRODUCT_SECRET}")), (400, 9044)),
        ("soon", md5(&format!("{PRODUCT_SECRET}soon")), (400, 9043)),
    ] {
        let answer = house.signed_with(&house.ann, call, body.clone(), stamp, &signature).await;
        assert_eq!(number(&answer), refusal, "{stamp} {signature}");
    }
    assert_eq!(number(&house.call(&house.ann, call, body.clone()).await), (400, 9043));
    for (body, refusal) in [
        (json!({"product_key": "x", "mac": MAC}), (400, 9002)),
        (json!({"product_key": KEY.replace('6', "7"), "mac": MAC}), (400, 9002)),
        (json!({"product_key": KEY, "mac": "0247495A0002"}), (404, 9014)),
        (json!({"product_key": KEY, "mac": "x"}), (400, 9015)),
        (json!({"product_key": KEY}), (400, 9015)),
    ] {
        let answer = house.signed(&house.ann, call, body.clone(), 0).await;
        assert_eq!(number(&answer), refusal, "{body}");
    }
    let lower = json!({"product_key": KEY, "mac": MAC.to_lowercase(), "dev_alias": "light"});
    let (status, device) = house.signed(&house.ann, call, lower, 299).await;
    assert_eq!(status, 201, "{device}");
    let expected = [
        ("did", json!(DID)),
        ("mac", json!(MAC.to_lowercase())),
        ("role", json!("owner")),
        ("is_online", json!(false)),
        ("passcode", json!(PASSCODE)),
        ("port", json!(1883)),
        ("ws_port", json!(8080)),
        ("dev_alias", json!("light")),
        ("type", json!("normal")),
        ("host", json!("api.gizwits.com")),
        ("is_disabled", json!(false)),
    ];
    for (key, value) in expected {
        assert_eq!(device[key], value, "{key}");
    }
    assert_eq!(house.bind(&house.ann).await.0, 201, "twice is no error");
    assert_eq!(number(&house.bind(&house.bob).await), (400, 9092), "it has an owner");
    // DID and passcode, one right, one wrong; the owner is the same.
    let rows =
        json!({"devices": [{"did": DID, "passcode": PASSCODE}, {"did": DID, "passcode": "x"}]});
    let (_, bound) = house.call(&house.ann, "POST /app/bindings", rows.clone()).await;
    assert_eq!(bound, json!({"success": [DID], "failed": [DID]}));
    let (_, bound) = house.call(&house.bob, "POST /app/bindings", rows).await;
    assert_eq!(bound, json!({"success": [], "failed": [DID, DID]}));
    let ended = json!({"devices": [{"did": DID}]});
    let (_, ended) = house.call(&house.ann, "DELETE /app/bindings", ended).await;
    assert_eq!(ended, json!({"success": [DID], "failed": []}));
    // The code on the device.
    let code = |did: &str, pass: &str| json!({"qr_content": format!("http://x/?product_key={KEY}&did={did}&passcode={pass}")});
    for (body, refusal) in [
        (code(DID, "wrong"), (400, 9016)),
        (code("nothing", PASSCODE), (400, 9016)),
        (json!({"qr_content": "hello"}), (400, 9040)),
    ] {
        let answer = house.signed(&house.bob, "POST /app/bind_latest", body, 0).await;
        assert_eq!(number(&answer), refusal);
    }
    let bound = house.signed(&house.bob, "POST /app/bind_latest", code(DID, PASSCODE), 0).await;
    assert_eq!((bound.0, &bound.1["role"]), (201, &json!("owner")));
    let trace = house.world.trace(DID).await;
    assert!(
        trace.contains(&"bind ok".into()) && trace.contains(&"bind bind.bound_to_other".into())
    );
}

#[tokio::test]
async fn a_phone_controls_its_device() {
    let house = House::new().await;
    house.bind(&house.ann).await;
    let control = format!("POST /app/control/{DID}");
    let on = json!({"attrs": {"LED": 1, "Motor": -5}});
    let offline = house.call(&house.ann, &control, on.clone()).await;
    assert_eq!(number(&offline), (400, 9042));
    let (mut login, link) = house.log_in().await;
    assert_eq!(house.call(&house.ann, &control, on).await, (200, json!({})));
    let raw = json!({"raw": [5, 1, 255]});
    assert_eq!(house.call(&house.ann, &control, raw).await, (200, json!({})));
    let raw = json!({"raw": "BQH/", "binary_coding": "base64"});
    assert_eq!(house.call(&house.ann, &control, raw).await, (200, json!({})));
    let sent = link.sent.lock().clone();
    assert_eq!(sent.len(), 3, "{sent:?}");
    for (body, refusal) in [
        (json!({"attrs": {"Broken": 1}}), (400, 9025)),
        (json!({"attrs": {"Motor": "fast"}}), (400, 9025)),
        (json!({"attrs": {"Motor": 6}}), (400, 9025)),
        (json!({"attrs": {}}), (400, 9015)),
        (json!({"attrs": {"LED": 1}, "raw": [1]}), (400, 9015)),
        (json!({"raw": [256]}), (400, 9015)),
        (json!({"raw": "BQH/", "binary_coding": "rot13"}), (400, 9015)),
    ] {
        let answer = house.call(&house.ann, &control, body.clone()).await;
        assert_eq!(number(&answer), refusal, "{body}");
    }
    house.report(&mut login, 1, 3, 1).await;
    let (_, latest) =
        house.call(&house.ann, &format!("GET /app/devdata/{DID}/latest"), Value::Null).await;
    assert_eq!(latest["attr"]["Motor"], -2);
    assert_eq!(latest["attr"]["LED"], true);
    let log = format!("GET /app/devices/{DID}/raw_data");
    let (status, rows) = house.call(&house.ann, &format!("{log}?type=online"), Value::Null).await;
    assert_eq!((status, &rows["objects"][0]["type"]), (200, &json!("dev_online")), "{rows}");
    assert_eq!(rows["objects"][0]["ip"], "192.0.2.7");
    let (_, rows) = house.call(&house.ann, &format!("{log}?type=cmd&sort=asc"), Value::Null).await;
    let kinds: Vec<_> =
        rows["objects"].as_array().expect("rows").iter().map(|r| &r["type"]).collect();
    assert_eq!(kinds, ["app2dev", "app2dev", "app2dev", "dev2app"]);
    for bad in ["?limit=1001", "?skip=4999&limit=20", "?start_time=1&end_time=172801", "?type=x"] {
        let answer = house.call(&house.ann, &format!("{log}{bad}"), Value::Null).await;
        assert_eq!(number(&answer), (400, 9015), "{bad}");
    }
    house.world.platform.clock.advance(Duration::from_secs(24 * 3600));
    let (_, latest) =
        house.call(&house.ann, &format!("GET /app/devdata/{DID}/latest"), Value::Null).await;
    assert_eq!(latest["attr"], json!({}), "a day later");
    let id: DeviceId = DID.into();
    house.world.platform.freeze_device(house.world.space(), &id, true).await.expect("frozen");
    let frozen = house.call(&house.ann, &control, json!({"attrs": {"LED": 1}})).await;
    assert_eq!(number(&frozen), (400, 9023));
}

#[tokio::test]
async fn owners_share_and_take_back() {
    let house = House::new().await;
    house.bind(&house.ann).await;
    let offer = json!({"type": 0, "did": DID, "uid": house.bob.uid});
    let (status, made) = house.call(&house.ann, "POST /app/sharing", offer.clone()).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("id").to_owned();
    let (_, mine) = house.call(&house.bob, "GET /app/sharing?sharing_type=1", Value::Null).await;
    assert_eq!(
        (&mine["objects"][0]["id"], &mine["objects"][0]["status"]),
        (&made["id"], &json!(0))
    );
    let carl = house.anonymous("phone of carl").await;
    let accept = format!("PUT /app/sharing/{id}?status=1");
    assert_eq!(number(&house.call(&carl, &accept, Value::Null).await), (400, 9080));
    assert_eq!(number(&house.call(&house.ann, &accept, Value::Null).await), (400, 9080));
    assert_eq!(house.call(&house.bob, &accept, Value::Null).await.0, 200);
    assert_eq!(number(&house.call(&house.bob, &accept, Value::Null).await), (400, 9081));
    let (_, shown) = house.call(&house.bob, &format!("GET /app/devices/{DID}"), Value::Null).await;
    assert_eq!(shown["role"], "guest");
    assert_eq!(number(&house.call(&house.ann, "POST /app/sharing", offer).await), (400, 9082));
    // A guest neither shares nor sees the others.
    let further = json!({"type": 0, "did": DID, "uid": carl.uid});
    assert_eq!(
        number(&house.call(&house.bob, "POST /app/sharing", further.clone()).await),
        (400, 9093)
    );
    let guests = format!("GET /app/{DID}/bindings");
    assert_eq!(number(&house.call(&house.bob, &guests, Value::Null).await), (400, 9093));
    let (_, all) = house.call(&house.ann, &guests, Value::Null).await;
    assert_eq!((&all[0]["role"], &all[1]["uid"]), (&json!("owner"), &json!(house.bob.uid)));
    let own = format!("DELETE /app/{DID}/bindings?uid={}", house.ann.uid);
    assert_eq!(number(&house.call(&house.ann, &own, Value::Null).await), (400, 9095));
    let back = format!("DELETE /app/sharing/{id}");
    assert_eq!(number(&house.call(&carl, &back, Value::Null).await), (400, 9080));
    assert_eq!(house.call(&house.ann, &back, Value::Null).await.0, 200);
    let gone = house.call(&house.bob, &format!("GET /app/devices/{DID}"), Value::Null).await;
    assert_eq!(number(&gone), (401, 9017));
    let (_, list) = house.call(&house.ann, "GET /app/sharing?sharing_type=0", Value::Null).await;
    assert_eq!(list["objects"][0]["status"], 3);
    // An offer that waits too long, and one of somebody who owns the device no longer.
    let (_, made) = house.call(&house.ann, "POST /app/sharing", further.clone()).await;
    house.world.platform.clock.advance(Duration::from_secs(24 * 3600));
    let late = format!("PUT /app/sharing/{}?status=1", made["id"].as_str().expect("id"));
    assert_eq!(number(&house.call(&carl, &late, Value::Null).await), (400, 9084));
    let (_, made) = house.call(&house.ann, "POST /app/sharing", further).await;
    let void = format!("PUT /app/sharing/{}?status=1", made["id"].as_str().expect("id"));
    let all = json!({"devices": [{"did": DID}]});
    house.call(&house.ann, "DELETE /app/bindings", all).await;
    house.bind(&house.bob).await;
    assert_eq!(number(&house.call(&carl, &void, Value::Null).await), (400, 9080));
}

#[tokio::test]
async fn a_fresh_device_is_found_by_its_code() {
    let house = House::new().await;
    let code = "89e346e3557a1cb598189434b2f5ebba";
    let find = format!("GET /app/device_register?random_codes=00,{code}");
    assert_eq!(house.call(&house.ann, &find, Value::Null).await, (200, json!([])));
    let form = format!("passcode=ABCDEFGHIJ&mac=0247495A0009&product_key={KEY}&random_code={code}");
    let request = Request::builder().method("POST").uri("/dev/devices").header("host", "h");
    let request = request.body(Body::from(form)).expect("request");
    let mut router = vendor::router(house.world.platform.clone(), Ports::default().into());
    assert_eq!(router.call(request).await.expect("infallible").status().as_u16(), 201);
    let (_, found) = house.call(&house.ann, &find, Value::Null).await;
    assert_eq!(found[0]["mac"], "0247495a0009");
    assert_eq!(found[0]["passcode"], Value::Null, "it is nobody's yet");
    house.world.platform.clock.advance(Duration::from_secs(900));
    assert_eq!(house.call(&house.ann, &find, Value::Null).await, (200, json!([])));
}

#[tokio::test]
async fn a_socket_hears_what_happens_to_its_devices() {
    let house = House::new().await;
    house.bind(&house.ann).await;
    let mut ann = house.socket(&house.ann, json!({})).await;
    let mut bob = house.socket(&house.bob, json!({})).await;
    let (mut login, link) = house.log_in().await;
    let online = ann.told().await;
    assert_eq!(
        (&online["cmd"], &online["data"]["online"]),
        (&json!("s2c_online_status"), &json!(true))
    );
    house.report(&mut login, 1, 3, 0).await;
    let noti = ann.told().await;
    assert_eq!((&noti["cmd"], &noti["data"]["attrs"]["Motor"]), (&json!("s2c_noti"), &json!(-2)));
    let write = json!({"cmd": "c2s_write", "req_sn": 9, "data": {"did": DID, "attrs": {"LED": 1}}});
    let ack = ann.one(write.clone()).await;
    assert_eq!(
        (&ack["cmd"], &ack["res_sn"], &ack["data"]["did"]),
        (&json!("s2c_ack"), &json!(9), &json!(DID))
    );
    let frame = json!([0, 0, 0, 3, 9, 0, 0, 0x93, 0, 0, 0, 5, 5, 1]);
    let raw = ann.one(json!({"cmd": "c2s_raw", "data": {"did": DID, "raw": frame}})).await;
    assert_eq!(raw["cmd"], "s2c_raw");
    assert_eq!(link.sent.lock().len(), 2);
    assert_eq!(ann.one(json!({"cmd": "ping"})).await, json!({"cmd": "pong"}));
    // Bob is bound to nothing.
    bob.hears_nothing().await;
    let refused = bob.one(write).await;
    assert_eq!(
        (&refused["cmd"], &refused["data"]["error_code"]),
        (&json!("s2c_invalid_msg"), &json!(9017))
    );
    let none = bob.one(json!({"cmd": "subscribe_req", "data": [{"did": DID}, {"did": "x"}]})).await;
    assert_eq!(none["data"]["success"], json!([]));
    assert_eq!(none["data"]["failed"][0]["error_code"], 9017);
    // The device is given up: nothing more is told.
    house.call(&house.ann, "DELETE /app/bindings", json!({"devices": [{"did": DID}]})).await;
    let gone = ann.told().await;
    assert_eq!(
        (&gone["cmd"], &gone["data"]["bind"]),
        (&json!("s2c_binding_changed"), &json!(false))
    );
    house.report(&mut login, 0, 3, 0).await;
    ann.hears_nothing().await;
    house.bind(&house.bob).await;
    assert_eq!(bob.told().await["data"]["bind"], true);
    house.report(&mut login, 1, 3, 0).await;
    assert_eq!(bob.told().await["cmd"], "s2c_noti");
}

#[tokio::test]
async fn a_socket_is_shut_to_strangers_and_nonsense() {
    let house = House::new().await;
    for change in [
        json!({"appid": "unknown"}),
        json!({"token": "0"}),
        json!({"uid": house.bob.uid}),
        json!({"p0_type": "x"}),
        json!({"heartbeat_interval": 181}),
        json!({"appid": "push"}),
    ] {
        house.socket(&house.ann, change).await;
    }
    let live = house.world.platform.live("/ws/app/v1", Ports::default());
    let mut client = Client(live.expect("a path").expect("room"));
    for (message, code) in [
        (json!({"cmd": "c2s_write", "data": {}}), 1011),
        (json!([]), 1009),
        (json!({"data": {}}), 1010),
    ] {
        assert_eq!(client.one(message).await["data"]["error_code"], code);
    }
    assert!(house.world.platform.live("/ws/app/v2", Ports::default()).is_none());
    let mut custom = house.socket(&house.ann, json!({"p0_type": "custom"})).await;
    let read = custom.one(json!({"cmd": "c2s_read", "req_sn": 3, "data": {"did": DID}})).await;
    assert_eq!((&read["data"]["error_code"], &read["res_sn"]), (&json!(1010), &json!(3)));
    // So many connections, and no more.
    let mut open = vec![custom];
    for _ in 1..super::super::feed::LIVE_PER_USER_MAX {
        open.push(house.socket(&house.ann, json!({})).await);
    }
    let live = house.world.platform.live("/ws/app/v1", Ports::default());
    let mut one_more = Client(live.expect("a path").expect("room"));
    let data =
        json!({"appid": APP, "uid": house.ann.uid, "token": house.ann.token, "p0_type": "custom"});
    assert!(one_more.ask(json!({"cmd": "login_req", "data": data.clone()})).await.1, "closed");
    open.pop();
    assert!(!one_more.ask(json!({"cmd": "login_req", "data": data})).await.1);
}

fn line_login(subkey: &str, events: Value) -> Value {
    json!({"cmd": "login_req", "prefetch_count": 2, "data": [{
        "product_key": KEY, "auth_id": "push", "auth_secret": APP_SECRET, "subkey": subkey,
        "events": events,
    }]})
}

#[tokio::test]
async fn an_enterprise_gets_every_event_and_controls() {
    let house = House::new().await;
    let events = json!(["device.online", "device.status.kv", "device.attr_fault", "device.bind"]);
    let mut one = house.line();
    let login_res = one.one(line_login("a", events.clone())).await;
    assert_eq!(login_res["data"]["result"], true, "{login_res}");
    let (mut login, link) = house.log_in().await;
    house.report(&mut login, 1, 3, 1).await;
    house.bind(&house.ann).await;
    let online = one.told().await;
    assert_eq!((&online["event_type"], &online["did"]), (&json!("device_online"), &json!(DID)));
    let status = one.told().await;
    assert_eq!(
        (&status["event_type"], &status["data"]["Motor"]),
        (&json!("device_status_kv"), &json!(-2))
    );
    one.hears_nothing().await;
    let ack = json!({"cmd": "event_ack", "msg_id": online["msg_id"], "delivery_id": online["delivery_id"]});
    assert!(one.ask(ack).await.0.is_empty());
    let fault = one.told().await;
    assert_eq!(
        (&fault["event_type"], &fault["data"]["attr_name"]),
        (&json!("attr_fault"), &json!("Broken"))
    );
    assert_eq!(fault["data"]["value"], 1);
    // It goes away; what it has not confirmed comes to the next one, in order.
    drop(one);
    let mut two = house.line();
    two.one(line_login("a", events.clone())).await;
    assert_eq!(two.told().await["delivery_id"], status["delivery_id"]);
    assert_eq!(two.told().await["delivery_id"], fault["delivery_id"]);
    let ack = json!({"cmd": "event_ack", "msg_id": "", "delivery_id": status["delivery_id"]});
    two.ask(ack).await;
    assert_eq!(two.told().await["event_type"], "device_bind");
    // Another subkey has a copy of what happens from now on.
    let mut copy = house.line();
    copy.one(line_login("b", events.clone())).await;
    let ack = json!({"cmd": "event_ack", "msg_id": "", "delivery_id": fault["delivery_id"]});
    two.ask(ack).await;
    house.report(&mut login, 0, 3, 1).await;
    assert_eq!(copy.told().await["data"]["LED"], false);
    assert_eq!(two.told().await["data"]["LED"], false);
    // Controls.
    let control = |did: &str, attrs: Value| {
        json!({"cmd": "write_attrs", "source": "noti", "data": {
        "did": did, "mac": MAC, "product_key": KEY, "attrs": attrs}})
    };
    let asked = json!({"cmd": "remote_control_v2_req", "msg_id": "m1", "data": [
        control(DID, json!({"LED": true})), control("x", json!({"LED": true})),
        control(DID, json!({"Broken": 1})),
        {"cmd": "write_v1", "data": {"did": DID, "product_key": KEY, "raw": [5, 7]}},
    ]});
    let answer = copy.one(asked).await;
    assert_eq!(
        (&answer["cmd"], &answer["msg_id"]),
        (&json!("remote_control_v2_res"), &json!("m1"))
    );
    assert_eq!(answer["result"]["succeed"], json!([{"did": DID}, {"did": DID}]));
    assert_eq!(answer["result"]["failed"].as_array().map(Vec::len), Some(2));
    assert_eq!(link.sent.lock().len(), 2);
    assert_eq!(copy.one(json!({"cmd": "ping"})).await, json!({"cmd": "pong"}));
    let left =
        copy.one(json!({"cmd": "unsubscribe_req", "data": [{"product_key": KEY, "subkey": "b"}]}));
    assert_eq!(left.await["data"]["result"], true);
    assert_eq!(copy.one(json!({"cmd": "event_ack"})).await["cmd"], "invalid_msg", "logged out");
}

#[tokio::test]
async fn an_enterprise_without_its_secret_gets_nothing() {
    let house = House::new().await;
    let good = line_login("a", json!(["device.online"]));
    let change = |key: &str, value: Value| {
        let mut login = good.clone();
        login["data"][0][key] = value;
        login
    };
    for bad in [
        change("auth_secret", json!("wrong")),
        change("auth_id", json!(APP)),
        change("product_key", json!(super::PRODUCT)),
        change("subkey", json!("a b")),
        change("subkey", json!("x".repeat(33))),
        change("events", json!(["device.nothing"])),
        change("events", Value::Null),
        json!({"cmd": "login_req", "data": []}),
        json!({"cmd": "login_req", "prefetch_count": 0, "data": good["data"]}),
    ] {
        let (said, close) = house.line().ask(bad.clone()).await;
        assert!(close && said[0]["data"]["result"] == false, "{bad}");
    }
    let mut line = house.line();
    for message in [json!({"cmd": "event_ack", "delivery_id": 1}), json!({"cmd": "x"}), json!(1)] {
        assert_eq!(line.one(message).await["cmd"], "invalid_msg");
    }
    // Five subkeys, and no sixth.
    let mut open = Vec::new();
    for subkey in ["1", "2", "3", "4", "5"] {
        let mut line = house.line();
        assert!(!line.ask(line_login(subkey, json!(["device.online"]))).await.1);
        open.push(line);
    }
    assert!(house.line().ask(line_login("6", json!(["device.online"]))).await.1);
}
