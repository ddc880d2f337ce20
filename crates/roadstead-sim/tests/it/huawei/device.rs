//! A device of bare packets over plain TCP or TLS, so that a test sees every message and decides
//! when to answer it.
//!
//! It subscribes nothing, as the Python SDK does (Huawei T1).

use std::collections::VecDeque;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use roadstead_core::Timestamp;
use roadstead_sim::huawei;
use roadstead_wire::mqtt::codec::{Decoder, encode};
use roadstead_wire::mqtt::packet::{
    Ack, ConnAck, Connect, Disconnect, Opaque, Packet, PacketId, Publish, QoS, Reason, Version,
};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

/// A test waits this long for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest packet taken, bytes.
const PACKET_BYTES_MAX: u32 = 1 << 20;
/// Seconds between two signs of life, as the SDKs ask for.
const KEEP_ALIVE_S: u16 = 120;

/// Any byte stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens TLS to `address`, trusting the authorities of `ca` alone. The host name is not checked,
/// as in the C and Python SDKs (T7).
///
/// # Errors
///
/// The handshake's words.
pub(super) async fn tls(address: &str, ca: &Path) -> Result<SslStream<TcpStream>, String> {
    let mut context = SslConnector::builder(SslMethod::tls_client()).expect("a TLS context");
    context.set_ca_file(ca).expect("a readable root");
    context.set_verify(SslVerifyMode::PEER);
    let mut one = context.build().configure().expect("a TLS session");
    one.set_verify_hostname(false);
    let ssl = one.into_ssl("iot-mqtts.example").expect("a TLS session");
    let tcp = TcpStream::connect(address).await.expect("the port is open");
    tcp.set_nodelay(true).expect("TCP_NODELAY");
    let mut stream = SslStream::new(ssl, tcp).expect("a TLS session");
    Pin::new(&mut stream).connect().await.map_err(|error| error.to_string())?;
    Ok(stream)
}

/// Opens plain TCP.
pub(super) async fn tcp(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the port is open");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    stream
}

/// The time stamp of a log-in made now, UTC.
pub(crate) fn stamp() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let ms = i64::try_from(now.as_millis()).expect("before 2262");
    let digits = Timestamp(ms).to_string();
    digits.chars().filter(char::is_ascii_digit).take(10).collect()
}

/// A log-in by secret: `sign` is the digit of the client id.
pub(super) fn connect(device: &str, secret: &str, sign: u8, stamp: &str) -> Connect {
    let client_id = format!("{device}_0_{sign}_{stamp}");
    let mut connect = Connect::new(Version::V311, &client_id);
    connect.username = Some(device.into());
    let password = huawei::password(sign, stamp, secret).expect("a known sign type");
    connect.password = Some(Opaque::new(password.into_bytes()));
    connect.keep_alive_s = KEEP_ALIVE_S;
    connect
}

/// One connection.
pub(super) struct Device {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: BytesMut,
    version: Version,
    next_id: u16,
    base: String,
    /// Messages that came before they were asked for.
    inbox: VecDeque<(String, Value)>,
}

impl Device {
    /// Sends a CONNECT and returns the connection with the CONNACK.
    pub(super) async fn greet(stream: impl Stream + 'static, connect: Connect) -> (Self, ConnAck) {
        let version = connect.version;
        let user = connect.username.clone().unwrap_or_default();
        let mut device = Self {
            stream: Box::new(stream),
            decoder: Decoder::with_version(version, PACKET_BYTES_MAX),
            buffer: BytesMut::new(),
            version,
            next_id: 0,
            base: format!("$oc/devices/{user}/"),
            inbox: VecDeque::new(),
        };
        device.send(&Packet::Connect(Box::new(connect))).await;
        match device.next().await {
            Some(Packet::ConnAck(ack)) => (device, *ack),
            other => panic!("CONNACK expected, got {other:?}"),
        }
    }

    /// Logs in and must be let in.
    pub(super) async fn login(stream: impl Stream + 'static, connect: Connect) -> Self {
        let (device, ack) = Self::greet(stream, connect).await;
        assert_eq!(ack.reason, Reason::Success);
        device
    }

    async fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).expect("a legal packet");
        self.stream.write_all(&bytes).await.expect("the peer reads");
        self.stream.flush().await.expect("the peer reads");
    }

    /// The next packet, `None` when the peer closed.
    async fn next(&mut self) -> Option<Packet> {
        timeout(PATIENCE, async {
            loop {
                if let Some(packet) = self.decoder.decode(&mut self.buffer).expect("legal packets")
                {
                    return Some(packet);
                }
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
        .expect("the platform answers in time")
    }

    /// Publishes below `$oc/devices/{device_id}/` and waits until the platform has it.
    pub(super) async fn say(&mut self, leaf: &str, body: &Value) {
        self.say_bytes(leaf, body.to_string().into_bytes()).await;
    }

    pub(super) async fn say_bytes(&mut self, leaf: &str, payload: Vec<u8>) {
        self.next_id = self.next_id.wrapping_add(1).max(1);
        let id = PacketId::new(self.next_id).expect("not zero");
        let topic = format!("{}{leaf}", self.base);
        let mut publish = Publish::new(&*topic, payload, QoS::AtLeastOnce);
        publish.id = Some(id);
        self.send(&Packet::Publish(publish)).await;
        loop {
            match self.next().await {
                Some(Packet::PubAck(ack)) if ack.id == id => return,
                Some(Packet::Publish(publish)) => self.keep(publish).await,
                other => panic!("PUBACK expected, got {other:?}"),
            }
        }
    }

    async fn keep(&mut self, publish: Publish) {
        if let Some(id) = publish.id {
            self.send(&Packet::PubAck(Ack::new(id, Reason::Success))).await;
        }
        let leaf = publish.topic.strip_prefix(&*self.base).expect("a topic of its own").to_owned();
        let body = serde_json::from_slice(&publish.payload).expect("JSON");
        self.inbox.push_back((leaf, body));
    }

    /// Waits for the next message whose topic begins with `leaf`; returns the rest of the topic
    /// behind it and the body. Other messages keep.
    pub(super) async fn hear(&mut self, leaf: &str) -> (String, Value) {
        loop {
            if let Some(at) = self.inbox.iter().position(|(topic, _)| topic.starts_with(leaf)) {
                let (topic, body) = self.inbox.remove(at).expect("found");
                return (topic[leaf.len()..].to_owned(), body);
            }
            match self.next().await {
                Some(Packet::Publish(publish)) => self.keep(publish).await,
                other => panic!("`{leaf}` expected, got {other:?} and {:?}", self.inbox),
            }
        }
    }

    /// Waits for a request, answers it, and returns it.
    pub(super) async fn obey(&mut self, what: &str, answer: &Value) -> Value {
        let (rid, body) = self.hear(&format!("sys/{what}/request_id=")).await;
        self.say(&format!("sys/{what}/response/request_id={rid}"), answer).await;
        body
    }

    /// Sends one event.
    pub(super) async fn event(&mut self, service: &str, kind: &str, paras: Value) {
        let body = serde_json::json!({"services": [{
            "service_id": service, "event_type": kind, "event_id": "e1",
            "event_time": "20261121T003249Z", "paras": paras}]});
        self.say("sys/events/up", &body).await;
    }

    /// Waits for an event of this type and returns its parameters.
    pub(super) async fn told(&mut self, kind: &str) -> Value {
        loop {
            let (_, body) = self.hear("sys/events/down").await;
            let events = body["services"].as_array().expect("services");
            assert_eq!(events.len(), 1, "T11: {body}");
            if events[0]["event_type"] == kind {
                return events[0]["paras"].clone();
            }
        }
    }

    /// Says goodbye; nothing may be left unread.
    pub(super) async fn leave(mut self) {
        assert!(self.inbox.is_empty(), "unexpected: {:?}", self.inbox);
        self.send(&Packet::Disconnect(Disconnect::new(Reason::Success))).await;
        assert!(self.next().await.is_none(), "the platform closes");
    }
}
