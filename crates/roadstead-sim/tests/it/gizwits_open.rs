//! A phone and an enterprise of a vendor's cloud, over real sockets: a module of ours comes home,
//! a phone finds and binds it over the open API, controls it, and hears its reports by WebSocket;
//! an enterprise hears the same over its push line and controls it, too.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::time::Duration;

use openssl::hash::{MessageDigest, hash};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode};
use reqwest::Method;
use roadstead_agent::module::{Line, ModuleAgent, Options, Ports};
use roadstead_dialects::gizwits::mcu::Panel;
use roadstead_dialects::gizwits::module::{Config, Flash, Policy};
use roadstead_wire::ws;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use crate::platform::{Folder, Platform};

const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";
const SECRET: &str = "067a83b650544d979bb3d4d147f32034";
const MAC: [u8; 6] = [0x02, 0x47, 0x49, 0x5a, 0x00, 0x01];
const APP: &str = "1cc897ccdeb248a79a5bed9d1230c0eb";
const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A port that modules of this test have for themselves.
const LAN_PORT: u16 = 21_400;
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

async fn patient<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within a minute"))
}

fn md5(text: &str) -> String {
    let digest = hash(MessageDigest::md5(), text.as_bytes()).expect("digest");
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An application on a phone.
struct Phone {
    base: String,
    client: reqwest::Client,
    uid: String,
    token: String,
}

impl Phone {
    async fn sign_up(platform: &Platform) -> Self {
        let base = format!("http://{}", platform.address("vendor_http"));
        let client = reqwest::Client::new();
        let mut phone = Self { base, client, uid: String::new(), token: String::new() };
        let user = phone.call(Method::POST, "/app/users", json!({"phone_id": "0001"})).await;
        phone.uid = user["uid"].as_str().expect("uid").to_owned();
        phone.token = user["token"].as_str().expect("token").to_owned();
        phone
    }

    async fn answer(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let stamp = now.expect("a clock").as_secs().to_string();
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .header("X-Gizwits-Application-Id", APP)
            .header("X-Gizwits-User-token", &self.token)
            .header("X-Gizwits-Timestamp", &stamp)
            .header("X-Gizwits-Signature", md5(&format!("{SECRET}{stamp}")))
            .json(&body);
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("JSON"))
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.answer(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }
}

/// The phone's WebSocket.
struct Socket {
    stream: TcpStream,
    reader: ws::Reader,
}

impl Socket {
    async fn connect(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let request = format!(
            "GET /ws/app/v1 HTTP/1.1\r\nHost: {address}\r\nConnection: keep-alive, Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("the answer"));
        }
        let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Self { stream, reader: ws::Reader::new(ws::Role::Client, 1 << 20) }
    }

    async fn send(&mut self, message: Value) {
        let mut bytes = Vec::new();
        let text = ws::Message::Text(message.to_string());
        ws::write(&text, Some([1, 2, 3, 4]), &mut bytes);
        self.stream.write_all(&bytes).await.expect("write");
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some(ws::Message::Text(text)) = self.reader.read().expect("frames") {
                return serde_json::from_str(&text).expect("JSON");
            }
            let mut bytes = [0; 2048];
            let count = self.stream.read(&mut bytes).await.expect("read");
            assert!(count > 0, "the server closed the socket");
            self.reader.feed(&bytes[..count]);
        }
    }

    /// Reads on until a message fits.
    async fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        patient(what, async {
            loop {
                let message = self.next().await;
                if fits(&message) {
                    return message;
                }
            }
        })
        .await
    }
}

/// The enterprise's push line.
struct Enterprise(BufReader<SslStream<TcpStream>>);

impl Enterprise {
    async fn connect(address: &str) -> Self {
        let mut context = SslContext::builder(SslMethod::tls_client()).expect("context");
        context.set_verify(SslVerifyMode::NONE);
        let socket = TcpStream::connect(address).await.expect("connect");
        let ssl = Ssl::new(&context.build()).expect("TLS");
        let mut stream = SslStream::new(ssl, socket).expect("TLS");
        Pin::new(&mut stream).connect().await.expect("handshake");
        Self(BufReader::new(stream))
    }

    async fn send(&mut self, message: Value) {
        self.0.get_mut().write_all(format!("{message}\n").as_bytes()).await.expect("write");
    }

    async fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        patient(what, async {
            loop {
                let mut line = String::new();
                assert!(self.0.read_line(&mut line).await.expect("read") > 0, "closed");
                let message: Value = serde_json::from_str(&line).expect("JSON");
                if message["cmd"] == "event_push" {
                    let ack = json!({"cmd": "event_ack", "msg_id": message["msg_id"],
                        "delivery_id": message["delivery_id"]});
                    self.send(ack).await;
                }
                if fits(&message) {
                    return message;
                }
            }
        })
        .await
    }
}

fn module(platform: &Platform, folder: &Folder) -> ModuleAgent {
    let mut config = Config::new(MAC);
    let (host, port) = platform.address("vendor_http").split_once(':').expect("host and port");
    config.api_host = host.into();
    config.api_port = port.parse().expect("port");
    ModuleAgent::new(Options {
        config,
        policy: Policy::document().fast(),
        lan: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports: Ports::around(LAN_PORT),
        broadcast: None,
        data_dir: folder.path().to_owned(),
        factory: Flash { network: Some((b"virtual"[..].into(), "".into())), ..Flash::default() },
        line: Line::Virtual { product_key: KEY.into(), panel: Panel::pet_house(), bindable_s: 0 },
        network: None,
        air: ([127, 0, 0, 1], LAN_PORT + 50).into(),
        key: None,
        watchdog: None,
    })
}

#[tokio::test]
async fn a_phone_and_an_enterprise_share_a_module() {
    let any = "127.0.0.1:0".parse().expect("address");
    let platform = Platform::start_with(|config| config.listen.push.0 = Some(any)).await;
    let model: Value = serde_json::from_str(include_str!("../clients/gizwits_pet_house.json"))
        .expect("the vendor's document");
    let report = platform.api.import(json!({
        "version": 1, "devices": [],
        "products": [{"dialect": "gizwits", "product": KEY, "name": "Pet house", "auth": "secret",
            "secret": SECRET, "dynamic_registration": "open", "model": model}],
    }));
    assert_eq!(report.await["errors"], json!([]));
    for (id, product) in [(APP, Value::Null), ("factory", json!(KEY))] {
        let body = json!({"application_id": id, "secret": APP_SECRET, "product_id": product});
        let made = platform.api.call(Method::POST, "/applications", Some(body)).await;
        assert_eq!(made.0, 201, "{made:?}");
    }

    let mut enterprise = Enterprise::connect(platform.address("push")).await;
    enterprise
        .send(json!({"cmd": "login_req", "prefetch_count": 10, "data": [{
            "product_key": KEY, "auth_id": "factory", "auth_secret": APP_SECRET, "subkey": "it",
            "events": ["device.online", "device.status.kv", "device.bind"]}]}))
        .await;
    enterprise.until("log-in", |m| m["cmd"] == "login_res" && m["data"]["result"] == true).await;

    let folder = Folder::new();
    let (off, switched_off) = oneshot::channel::<()>();
    let module = module(&platform, &folder);
    let running = tokio::spawn(module.run(async { drop(switched_off.await) }));
    let online = enterprise.until("on line", |m| m["event_type"] == "device_online").await;
    let did = online["did"].as_str().expect("did").to_owned();

    let phone = Phone::sign_up(&platform).await;
    let bind = json!({"product_key": KEY, "mac": "0247495a0001"});
    let device = phone.call(Method::POST, "/app/bind_mac", bind).await;
    assert_eq!((&device["did"], &device["is_online"]), (&json!(did), &json!(true)));
    enterprise.until("bound", |m| m["event_type"] == "device_bind").await;

    let ws_port = device["ws_port"].as_u64().expect("ws_port");
    let mut socket = Socket::connect(&format!("127.0.0.1:{ws_port}")).await;
    socket
        .send(json!({"cmd": "login_req", "data": {"appid": APP, "uid": phone.uid,
            "token": phone.token, "p0_type": "attrs_v4", "heartbeat_interval": 180,
            "auto_subscribe": true}}))
        .await;
    socket.until("log-in", |m| m["cmd"] == "login_res" && m["data"]["success"] == true).await;

    // Over HTTP: the MCU takes it and reports, and both hear it.
    let control = format!("/app/control/{did}");
    // It has logged in, but hears controls only when it has subscribed.
    let on = json!({"attrs": {"LED_R": 77}});
    let taken = async {
        let mut again = tokio::time::interval(Duration::from_millis(50));
        while let (400, refused) = phone.answer(Method::POST, &control, on.clone()).await {
            assert_eq!(refused["error_code"], 9042, "{refused}");
            again.tick().await;
        }
    };
    patient("subscribed", taken).await;
    let says = |m: &Value, key: &str, value: u64| m["data"]["attrs"][key] == value;
    socket.send(json!({"cmd": "c2s_read", "req_sn": 1, "data": {"did": did}})).await;
    socket.until("77", |m| m["cmd"] == "s2c_noti" && says(m, "LED_R", 77)).await;
    enterprise.until("77", |m| m["data"]["LED_R"] == 77).await;

    // Over the socket, with a number.
    let write = json!({"did": did, "attrs": {"LED_R": 78}});
    socket.send(json!({"cmd": "c2s_write", "req_sn": 2, "data": write})).await;
    socket.until("acknowledged", |m| m["cmd"] == "s2c_ack" && m["res_sn"] == 2).await;

    // Over the push line.
    enterprise
        .send(json!({"cmd": "remote_control_v2_req", "msg_id": "m", "data": [{
            "cmd": "write_attrs", "source": "noti", "data": {"did": did, "mac": "0247495a0001",
                "product_key": KEY, "attrs": {"LED_R": 79}}}]}))
        .await;
    let done = enterprise.until("control", |m| m["cmd"] == "remote_control_v2_res").await;
    assert_eq!(done["result"]["succeed"], json!([{"did": did}]), "{done}");
    socket.send(json!({"cmd": "c2s_read", "req_sn": 3, "data": {"did": did}})).await;
    socket.until("79", |m| m["res_sn"] == 3 && says(m, "LED_R", 79)).await;
    let latest = phone.call(Method::GET, &format!("/app/devdata/{did}/latest"), json!({})).await;
    assert_eq!(latest["attr"]["LED_R"], 79);

    // Switched off: everybody knows.
    drop(off);
    patient("the module ends", running).await.expect("no panic").expect("no failure");
    socket.until("off line", |m| m["data"]["online"] == false).await;
    let (status, refused) =
        phone.answer(Method::POST, &control, json!({"attrs": {"LED_R": 1}})).await;
    assert_eq!((status, &refused["error_code"]), (400, &json!(9042)));
    drop(platform.stop().await);
}
