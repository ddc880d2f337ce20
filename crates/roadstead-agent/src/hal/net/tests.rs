//! The net hardware against small fakes on loopback: files, registration, MQTT plain and PSK,
//! UDP and broadcasts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use openssl::ssl::{Ssl, SslContext, SslMethod};
use roadstead_core::Secret;
use roadstead_dialects::tencent::comm::{COMMAND_PORT, Message, Protocol};
use roadstead_dialects::tencent::device::{Config, Device, Endpoint, Policy, Proof, Variant};
use roadstead_wire::mqtt::codec::{Decoder, encode};
use roadstead_wire::mqtt::packet::{Ack, ConnAck, Packet, Publish, QoS, Reason, SubAck, Version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

use super::files::Files;
use super::*;
use crate::agent::Agent;
use crate::app::Lamp;
use crate::event::AgentEvent;

const TOKEN: &str = "69f978dfbb48ec40cadb6d9af470d0f6";
const SECRET: &str = "MLvMHde65nKPk0Lx+ZThaA==";
/// Longest time one of these tests may take; they need about a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("roadstead-agent-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_keep_replace_erase_and_ignore_what_was_not_finished() {
    let folder = Folder::new("files");
    let mut files = Files::open(&folder.0).expect("folder");
    files.put("secret", Some(&"one".into())).expect("write");
    files.put("secret", Some(&"two".into())).expect("replace");
    files.put("token", Some(&"t".into())).expect("write");
    files.put("token", None).expect("erase");
    files.put("token", None).expect("erase nothing");
    std::fs::write(folder.0.join("wifi.tmp"), "half").expect("write");
    let all = Files::open(&folder.0).expect("folder").load().expect("read");
    assert_eq!(all.len(), 1);
    assert!(&*all[0].0 == "secret" && all[0].1.matches(b"two"));
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(folder.0.join("secret")).expect("metadata"),
    );
    assert_eq!(mode & 0o777, 0o600);
}

/// A broker for one device that accepts everything and binds every token.
async fn broker<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Option<Arc<str>> {
    let mut decoder = Decoder::new(64 * 1024);
    let (mut input, mut user) = (BytesMut::new(), None);
    loop {
        let Ok(Some(packet)) = decoder.decode(&mut input) else {
            match stream.read_buf(&mut input).await {
                Ok(1..) => continue,
                Ok(0) | Err(_) => return user,
            }
        };
        let mut answers = Vec::new();
        match packet {
            Packet::Connect(connect) => {
                user = connect.username.map(Into::into);
                answers.push(Packet::ConnAck(Box::new(ConnAck::new(Reason::Success))));
            }
            Packet::Subscribe(subscribe) => {
                let codes = vec![Reason::GrantedQoS1; subscribe.filters.len()];
                answers.push(Packet::SubAck(SubAck { id: subscribe.id, codes, properties: None }));
            }
            Packet::Publish(publish) => {
                if let Some(id) = publish.id {
                    answers.push(Packet::PubAck(Ack::new(id, Reason::Success)));
                }
                answers.extend(reply(&publish).map(Packet::Publish));
            }
            Packet::Disconnect(_) => return user,
            Packet::PingReq => answers.push(Packet::PingResp),
            Packet::PubAck(_) => {}
            other @ (Packet::ConnAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Auth(_)) => panic!("a device does not send {}", other.name()),
        }
        let mut output = BytesMut::new();
        for answer in answers {
            encode(&answer, Version::V311, &mut output).expect("encoding");
        }
        stream.write_all(&output).await.ok()?;
        stream.flush().await.ok()?;
    }
}

fn reply(publish: &Publish) -> Option<Publish> {
    let body: serde_json::Value = serde_json::from_slice(&publish.payload).ok()?;
    let method = match body["method"].as_str()? {
        "app_bind_token" => {
            assert_eq!(body["params"]["token"], TOKEN);
            "app_bind_token_reply"
        }
        "get_status" => "get_status_reply",
        "report" => "report_reply",
        _ => return None,
    };
    let body = serde_json::json!({"method": method, "clientToken": body["clientToken"], "code": 0});
    let topic = publish.topic.replace("/up/", "/down/");
    Some(Publish::new(topic, body.to_string(), QoS::AtMostOnce))
}

/// Answers one registration.
async fn registrar(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.expect("connection");
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert!(stream.read_buf(&mut request).await.expect("request") > 0);
    }
    let payload =
        "sf1gANtJCT/PRC4ZHOypfkLnO53otVR/oBAnD3vXhS2m8XkbQ08bTCD+I1Tz5Jjo7vhAnC6QE3RgWWZGg6pWGg==";
    let body = format!(r#"{{"code":0,"message":"success","len":53,"payload":"{payload}"}}"#);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.expect("answer");
    String::from_utf8(request).expect("text")
}

fn config(mqtt: SocketAddr) -> Config {
    let mut config = Config::new("L4WG9V9M2M", "TEST2");
    config.mqtt = Endpoint { port: mqtt.port(), ..config.mqtt };
    config.mqtt.host = mqtt.ip().to_string().into();
    config
}

fn policy() -> Policy {
    Policy { time_sync: false, ..Policy::v2().lab() }
}

/// Runs a device until `last` is told; returns everything it told.
async fn run(config: Config, policy: Policy, options: Options, last: &str) -> Vec<AgentEvent> {
    let (sender, mut told) = mpsc::unbounded_channel();
    let device = Box::new(Device::new(config, policy));
    let agent = Agent::new(device, Box::new(Lamp::sample("TEST2")), options).expect("agent");
    let agent = agent.with_observer(move |event| drop(sender.send(event)));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(agent.run(async { drop(stopped.await) }));
    let mut events = Vec::new();
    loop {
        let next = tokio::time::timeout(PATIENCE, told.recv()).await;
        let Ok(Some(event)) = next else { panic!("no `{last}` in {events:?}") };
        let is_last = event.stage == last;
        events.push(event);
        if is_last {
            break;
        }
    }
    drop(stop);
    task.await.expect("task").expect("agent");
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_registers_binds_and_reports_over_real_sockets() {
    let folder = Folder::new("softap");
    let mqtt = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let http = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let mut config = config(mqtt.local_addr().expect("address"));
    config.proof = Proof::Sha1 { tls: false };
    config.product_secret = Some("XoezQjzzMedF4lAr2CqCkVYK".into());
    let port = http.local_addr().expect("address").port();
    config = config.with_registrar("localhost", port, false, Variant::One);
    let registrar = tokio::spawn(registrar(http));
    let brokers = tokio::spawn(async move {
        for _ in 0..2 {
            let (stream, _) = mqtt.accept().await.expect("connection");
            let user = broker(stream).await.expect("user name");
            assert!(user.starts_with("L4WG9V9M2MTEST2;21010406;"), "{user}");
        }
    });
    let phone = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let lan: SocketAddr = "127.0.0.21:28266".parse().expect("address");
    let command = format!(r#"{{"cmdType":1,"ssid":"home","password":"pw","token":"{TOKEN}"}}"#);
    let talk = tokio::spawn(async move {
        let mut buffer = [0; 1024];
        loop {
            phone.send_to(command.as_bytes(), lan).await.expect("send");
            let answer = phone.recv_from(&mut buffer);
            let Ok(Ok((len, from))) = tokio::time::timeout(Duration::from_millis(50), answer).await
            else {
                continue;
            };
            assert_eq!(from, lan);
            return Message::parse(&buffer[..len]).expect("message");
        }
    });
    let options = Options::new(lan, COMMAND_PORT, &folder.0);
    let events = run(config, policy(), options, "first_report").await;
    let stages: Vec<&str> = events.iter().map(|event| event.stage).collect();
    for stage in ["provisioning_started", "registered", "bound", "online"] {
        assert!(stages.contains(&stage), "{stage} is missing in {stages:?}");
    }
    let identity = talk.await.expect("phone");
    assert!(matches!(identity, Message::Identity { protocol: Protocol::V2, .. }));
    let request = registrar.await.expect("registrar");
    assert!(request.contains("\r\nHost: gateway.tencentdevices.com\r\n"));
    brokers.await.expect("brokers");
    let stored = Files::open(&folder.0).expect("folder").load().expect("read");
    let secret = stored.iter().find(|(key, _)| &**key == "secret").expect("secret");
    assert!(secret.1.matches(SECRET.as_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_logs_in_with_a_pre_shared_key_of_real_firmware() {
    let folder = Folder::new("psk");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let mut config = config(listener.local_addr().expect("address"));
    config.secret = Some(SECRET.into());
    config.start = roadstead_dialects::tencent::device::Start::Direct;
    let server = tokio::spawn(async move {
        let mut builder = SslContext::builder(SslMethod::tls_server()).expect("context");
        builder.set_cipher_list("PSK-AES128-CBC-SHA:@SECLEVEL=0").expect("suite");
        builder.set_psk_server_callback(|_, identity, key_out| {
            assert_eq!(identity, Some(&b"L4WG9V9M2MTEST2"[..]));
            let key = hex_key();
            key_out[..key.len()].copy_from_slice(&key);
            Ok(key.len())
        });
        let ssl = Ssl::new(&builder.build()).expect("session");
        let (stream, _) = listener.accept().await.expect("connection");
        let mut stream = tokio_openssl::SslStream::new(ssl, stream).expect("stream");
        std::pin::Pin::new(&mut stream).accept().await.expect("handshake");
        let name = stream.ssl().servername(openssl::ssl::NameType::HOST_NAME).map(str::to_string);
        assert_eq!(name.as_deref(), Some("L4WG9V9M2M.iotcloud.tencentdevices.com"));
        broker(stream).await
    });
    let lan = "127.0.0.22:0".parse().expect("address");
    let options = Options::new(lan, COMMAND_PORT, &folder.0);
    run(config, policy(), options, "first_report").await;
    let user = server.await.expect("server").expect("user name");
    assert!(user.starts_with("L4WG9V9M2MTEST2;"));
}

fn hex_key() -> [u8; 16] {
    0x30bb_cc1d_d7ba_e672_8f93_42f1_f994_e168_u128.to_be_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_told_with_its_cause() {
    let folder = Folder::new("refused");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let mut config = config(listener.local_addr().expect("address"));
    drop(listener);
    config.secret = Some(SECRET.into());
    config.start = roadstead_dialects::tencent::device::Start::Direct;
    let lan = "127.0.0.23:0".parse().expect("address");
    let options = Options::new(lan, COMMAND_PORT, &folder.0);
    let events = run(config, policy(), options, "failed").await;
    let failed = events.last().expect("event");
    assert_eq!(failed.code, Some("attempt.never_connected"));
    assert!(failed.detail.as_deref().is_some_and(|text| text.contains("connection")), "{failed:?}");
}

#[tokio::test]
async fn broadcasts_reach_the_listeners_of_this_machine() {
    let (inbox, _results) = mpsc::channel(8);
    let sockets = Sockets::new(inbox);
    let listener = UdpSocket::bind("127.255.255.255:0").await.expect("bind");
    let to = listener.local_addr().expect("address");
    sockets.broadcast(9, Ipv4Addr::new(127, 0, 0, 24), to, &bytes::Bytes::from_static(b"hello"));
    let mut buffer = [0; 16];
    let received = tokio::time::timeout(PATIENCE, listener.recv_from(&mut buffer)).await;
    let (len, from) = received.expect("in time").expect("datagram");
    assert_eq!(&buffer[..len], b"hello");
    assert_eq!(from.ip().to_string(), "127.0.0.24");
}

#[test]
fn the_network_of_the_options_decides_who_joins() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("rt");
    runtime.block_on(async {
        let folder = Folder::new("network");
        let lan = "127.0.0.25:0".parse().expect("address");
        let mut options = Options::new(lan, COMMAND_PORT, &folder.0);
        options.network = Some(("home".into(), Secret::from("right")));
        let (mut hardware, mut inbox) = Hardware::new(options).expect("hardware");
        for (password, joins) in [("right", true), ("wrong", false)] {
            let action = WifiAction::Join { ssid: "home".into(), password: password.into() };
            hardware.wifi().perform(action);
            let Some(Inbound::Wifi(event)) = inbox.recv().await else { panic!("radio") };
            assert_eq!(matches!(event, WifiEvent::Joined(_)), joins, "{password}");
        }
    });
}

#[tokio::test]
async fn what_is_sent_to_everybody_is_heard_and_answered_from_the_same_port() {
    let (inbox, mut results) = mpsc::channel(8);
    let mut sockets = Sockets::new(inbox);
    let everybody = Ipv4Addr::new(127, 255, 255, 255);
    let phone = UdpSocket::bind("127.0.0.27:0").await.expect("bind");
    // Any free port: the dialect's number of it is 9.
    let port = UdpSocket::bind("127.0.0.26:0").await.expect("bind").local_addr().expect("address");
    sockets.bind(9, port, Some(everybody)).expect("bind");
    // Closed and opened again at once, as a device does that changes networks.
    sockets.close(9);
    assert!(!sockets.is_open(9));
    sockets.bind(9, port, Some(everybody)).expect("bind again");
    assert!(sockets.is_open(9));
    phone.set_broadcast(true).expect("broadcast");
    phone.send_to(b"who?", (everybody, port.port())).await.expect("sent");
    let heard = tokio::time::timeout(PATIENCE, results.recv()).await.expect("in time");
    let Some(Inbound::Udp(heard)) = heard else { panic!("datagram") };
    assert_eq!((&heard.bytes[..], heard.port), (&b"who?"[..], 9));
    assert_eq!(heard.from, phone.local_addr().expect("address"));
    let to = phone.local_addr().expect("address");
    sockets.broadcast(9, Ipv4Addr::LOCALHOST, to, &bytes::Bytes::from_static(b"me"));
    let mut buffer = [0; 16];
    let answer = tokio::time::timeout(PATIENCE, phone.recv_from(&mut buffer)).await;
    assert_eq!(answer.expect("in time").expect("datagram").1, port);
}
