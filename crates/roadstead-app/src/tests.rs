//! Onboardings against a small platform and a small device, both on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roadstead_core::Value;
use roadstead_dialects::tencent::app::Policy;
use roadstead_dialects::tencent::comm::{Command, Message, Progress, Protocol, Record};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use crate::api::Client;
use crate::{AppError, Event, Method, Options, provision, read_log};

const TOKEN: &str = "69f978dfbb48ec40cadb6d9af470d0f6";

/// A platform that plays a list of token states and notes what it is told.
#[derive(Clone, Default)]
struct Platform {
    states: Arc<Mutex<Vec<Value>>>,
    told: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Platform {
    /// Starts it; the last state repeats.
    async fn start(&self, states: Vec<Value>) -> String {
        *self.states.lock().expect("lock") = states;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let platform = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(platform.clone().serve(stream));
            }
        });
        base
    }

    async fn serve(self, mut stream: tokio::net::TcpStream) {
        let mut input = Vec::new();
        while let Some((line, body, len)) = request(&mut stream, &mut input).await {
            input.drain(..len);
            let (status, answer) = self.answer(&line, &body);
            self.told.lock().expect("lock").push((line, body));
            let text = answer.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", text.len());
            let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
        }
    }

    fn answer(&self, line: &str, body: &Value) -> (u16, Value) {
        match line.split_once(" /app/v1/").expect("path") {
            ("POST", "sessions") if body["password"] == "wrong" => {
                (401, json!({"code": "user.bad_password", "message": "no", "remedy": ""}))
            }
            ("POST", "users" | "sessions") => (201, json!({"token": "session"})),
            ("POST", "bind-tokens") => {
                (201, json!({"token": TOKEN, "expires_at": "", "attempt_id": "a1"}))
            }
            ("GET", path) if path == format!("bind-tokens/{TOKEN}") => {
                let mut states = self.states.lock().expect("lock");
                let state = if states.len() > 1 { states.remove(0) } else { states[0].clone() };
                (200, state)
            }
            ("POST", "bindings") => {
                (201, json!({"binding_id": "b1", "device_id": "P_D", "role": "owner"}))
            }
            ("POST", "attempts/a1/stages" | "attempts/a1/failure") => (200, json!({})),
            (_, other) => panic!("unexpected call: {other}"),
        }
    }

    fn bodies(&self, path: &str) -> Vec<Value> {
        let told = self.told.lock().expect("lock");
        told.iter().filter(|(line, _)| line.ends_with(path)).map(|(_, body)| body.clone()).collect()
    }
}

/// Reads one request: method and path, JSON body, length in bytes.
async fn request(
    stream: &mut tokio::net::TcpStream,
    input: &mut Vec<u8>,
) -> Option<(String, Value, usize)> {
    loop {
        let text = String::from_utf8_lossy(input).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let header = |line: &str| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            };
            let len: usize = head.lines().find_map(header).unwrap_or(0);
            if rest.len() >= len {
                let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_string();
                let body = serde_json::from_str(&rest[..len]).unwrap_or(Value::Null);
                return Some((line, body, head.len() + 4 + len));
            }
        }
        match stream.read_buf(input).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return None,
        }
    }
}

/// A device that answers every command with these messages.
async fn device(messages: Vec<Message>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let address = socket.local_addr().expect("address");
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            assert!(Command::parse(&buffer[..len]).is_ok(), "the phone sends good commands");
            for message in &messages {
                let bytes = message.emit(Protocol::V3);
                socket.send_to(&bytes, from).await.expect("send");
            }
        }
    });
    address
}

fn identity() -> Message {
    Message::Identity { product: "P".into(), device: "D".into(), protocol: Protocol::V3 }
}

fn options(device: SocketAddr) -> Options {
    let method = Method::SoftAp { ssid: "home".into(), password: "pw".into() };
    let policy = Policy { send_gap: Duration::from_millis(30), sends_max: 3 };
    let poll_gap = Duration::from_millis(20);
    Options {
        policy,
        poll_gap,
        poll_life: Duration::from_millis(300),
        ..Options::new(method, device)
    }
}

async fn run(
    platform: &Platform,
    states: Vec<Value>,
    device: SocketAddr,
) -> (Result<crate::Provisioned, AppError>, Vec<Event>) {
    let base = platform.start(states).await;
    let mut client = Client::new(&base).expect("client");
    client.create_user("ann", "correct horse").await.expect("user");
    let mut events = Vec::new();
    let result = provision(&client, options(device), |event| events.push(event)).await;
    (result, events)
}

fn stage_names(bodies: &[Value]) -> Vec<String> {
    let stages = bodies.iter().flat_map(|body| body["stages"].as_array().expect("list").clone());
    stages.map(|stage| stage["stage"].as_str().expect("name").to_string()).collect()
}

#[tokio::test]
async fn a_device_is_bound_and_every_stage_is_told() {
    let platform = Platform::default();
    let old = Record { id: 10, sub: 2 };
    let device =
        device(vec![Message::Record { previous: true, text: old.into() }, identity()]).await;
    let states = vec![json!({"state": "new"}), json!({"state": "reported", "device_id": "P_D"})];
    let (result, events) = run(&platform, states, device).await;
    let done = result.expect("bound");
    assert_eq!((&*done.device_id, done.binding_id.as_deref()), ("P_D", Some("b1")));
    assert!(events.contains(&Event::PreviousError { text: "WIFI connect error! (10, 2)".into() }));
    let told = platform.bodies("/stages");
    let names = ["token_created", "credentials_sent", "device_replied", "token_reported", "bound"];
    assert_eq!(stage_names(&told), names);
    assert_eq!((&told[0]["device"], &told[0]["method"]), (&json!("D"), &json!("softap")));
    assert_eq!(platform.bodies("/bindings"), [json!({"token": TOKEN})]);
    assert!(platform.bodies("/failure").is_empty());
}

#[tokio::test]
async fn every_failure_has_one_code_and_is_told_once() {
    let error = |id, sub| Message::Record { previous: false, text: Record { id, sub }.into() };
    let failed = Message::Progress {
        product: "P".into(),
        device: "D".into(),
        state: Progress::ConnectFailed,
    };
    let new = || vec![json!({"state": "new"})];
    let expired = vec![json!({"state": "expired", "reason": "bind.already_used"})];
    for (messages, states, code) in [
        (vec![], new(), "attempt.device_silent"),
        (vec![identity()], new(), "attempt.never_connected"),
        (vec![error(10, 2)], new(), "attempt.network_not_joined"),
        (vec![identity(), failed], new(), "attempt.never_connected"),
        (vec![identity()], expired, "bind.already_used"),
    ] {
        let platform = Platform::default();
        let (result, _) = run(&platform, states, device(messages).await).await;
        let failure = result.expect_err("refused");
        assert_eq!(failure.code(), code);
        let told = platform.bodies("/failure");
        assert_eq!(told.len(), 1, "{code}");
        assert_eq!(told[0]["code"], code);
        assert!(roadstead_core::code::info(code).is_some(), "{code}");
    }
}

#[tokio::test]
async fn a_silent_device_that_comes_nevertheless_is_bound() {
    let platform = Platform::default();
    let (result, events) =
        run(&platform, vec![json!({"state": "bound", "device_id": "P_D"})], device(vec![]).await)
            .await;
    assert_eq!(result.expect("bound").device_id, "P_D");
    assert!(events.contains(&Event::Silent));
}

#[tokio::test]
async fn refusals_of_the_platform_keep_their_code() {
    let platform = Platform::default();
    let base = platform.start(vec![json!({})]).await;
    let mut client = Client::new(&base).expect("client");
    let error = client.sign_in("ann", "wrong").await.expect_err("refused");
    assert_eq!(error.code(), "user.bad_password");
    let mut nowhere = Client::new("http://127.0.0.1:1").expect("client");
    let error = nowhere.sign_in("ann", "right").await.expect_err("unreachable");
    assert!(roadstead_core::code::info(error.code()).is_some(), "{}", error.code());
}

#[tokio::test]
async fn a_log_is_read_and_masked() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let address = socket.local_addr().expect("address");
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        let (len, from) = socket.recv_from(&mut buffer).await.expect("query");
        assert_eq!(&buffer[..len], br#"{"cmdType":3}"#);
        socket.send_to(b"1|join(2): PSW:secret\r\n", from).await.expect("send");
    });
    let lines = read_log(address, Policy::default()).await.expect("log");
    assert_eq!(lines, ["1|join(2): PSW:***"]);
}
