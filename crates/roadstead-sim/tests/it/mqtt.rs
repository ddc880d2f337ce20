//! A device of bare packets, so that a test can do what no library does.

use std::time::Duration;

use bytes::BytesMut;
use roadstead_wire::mqtt::codec::{Decoder, encode};
use roadstead_wire::mqtt::packet::{
    Ack, ConnAck, Connect, Packet, PacketId, Publish, QoS, Reason, SubAck, Subscribe, Subscription,
    Version,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::platform::PRODUCT;

/// A test waits this long for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub(crate) struct Device {
    stream: TcpStream,
    decoder: Decoder,
    buffer: BytesMut,
    version: Version,
    next_id: u16,
    node: String,
}

/// Topic of this device.
pub(crate) fn topic(kind: &str, node: &str) -> String {
    format!("{kind}/{PRODUCT}/{node}")
}

/// CONNECT as the vendor's plain build sends it.
pub(crate) fn connect(version: Version, node: &str, secret: &str) -> Connect {
    let client_id = format!("{PRODUCT}{node}");
    let user = format!("{client_id};21010406;5B1N0;92233720368547758");
    let password = roadstead_sim::password(secret, &user).expect("the secret is base64");
    let mut connect = Connect::new(version, &client_id);
    connect.username = Some(user.as_str().into());
    connect.password = Some(roadstead_wire::mqtt::packet::Opaque::new(password.into_bytes()));
    connect
}

impl Device {
    /// Opens a socket without saying anything.
    pub(crate) async fn open(address: &str, node: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the port is open");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self {
            stream,
            decoder: Decoder::with_version(Version::V311, 1 << 20),
            buffer: BytesMut::new(),
            version: Version::V311,
            next_id: 0,
            node: node.to_owned(),
        }
    }

    /// Logs in; returns the connection and the CONNACK.
    pub(crate) async fn try_login(
        address: &str,
        version: Version,
        node: &str,
        secret: &str,
    ) -> (Self, ConnAck) {
        let mut device = Self::open(address, node).await;
        device.version = version;
        device.decoder = Decoder::with_version(version, 1 << 20);
        device.send(&Packet::Connect(connect(version, node, secret).into())).await;
        match device.next().await {
            Some(Packet::ConnAck(ack)) => (device, *ack),
            other => panic!("CONNACK expected, got {other:?}"),
        }
    }

    /// Logs in and must be let in.
    pub(crate) async fn login(address: &str, node: &str, secret: &str) -> Self {
        let (device, ack) = Self::try_login(address, Version::V311, node, secret).await;
        assert_eq!(ack.reason, Reason::Success);
        device
    }

    /// Speaks this version from now on.
    pub(crate) fn set_version(&mut self, version: Version) {
        self.version = version;
        self.decoder = Decoder::with_version(version, 1 << 20);
    }

    pub(crate) async fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).expect("a legal packet");
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the peer reads");
    }

    /// The next packet, `None` when the peer closed.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
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

    fn id(&mut self) -> PacketId {
        self.next_id = self.next_id.wrapping_add(1).max(1);
        PacketId::new(self.next_id).expect("not zero")
    }

    /// Subscribes one of its own down topics and returns the granted code.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) -> Reason {
        let id = self.id();
        let packet = Packet::Subscribe(Subscribe {
            id,
            filters: vec![Subscription::new(filter, qos)],
            subscription_id: None,
            user: Vec::new(),
        });
        self.send(&packet).await;
        match self.next().await {
            Some(Packet::SubAck(SubAck { id: got, codes, .. })) if got == id => codes[0],
            other => panic!("SUBACK expected, got {other:?}"),
        }
    }

    /// Publishes with QoS 1 and returns the packet id.
    pub(crate) async fn publish(&mut self, kind: &str, payload: &Value) -> PacketId {
        let topic = topic(kind, &self.node);
        self.publish_bytes(&topic, payload.to_string().into_bytes()).await
    }

    pub(crate) async fn publish_bytes(&mut self, topic: &str, payload: Vec<u8>) -> PacketId {
        let id = self.id();
        let mut publish = Publish::new(topic, payload, QoS::AtLeastOnce);
        publish.id = Some(id);
        self.send(&Packet::Publish(publish)).await;
        id
    }

    /// Waits for a message; acknowledgements before it are passed over, QoS 1 is acknowledged.
    pub(crate) async fn message(&mut self) -> Value {
        serde_json::from_slice(&self.publication().await.payload).expect("JSON")
    }

    /// The same, as the whole packet.
    pub(crate) async fn publication(&mut self) -> Publish {
        loop {
            match self.next().await {
                Some(Packet::Publish(publish)) => {
                    if let Some(id) = publish.id {
                        self.send(&Packet::PubAck(Ack::new(id, Reason::Success))).await;
                    }
                    return publish;
                }
                Some(Packet::PubAck(_)) => {}
                other => panic!("a message expected, got {other:?}"),
            }
        }
    }

    /// Waits for the acknowledgement of `id`; messages before it are returned.
    pub(crate) async fn acknowledged(&mut self, id: PacketId) -> Vec<Value> {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                Some(Packet::PubAck(ack)) if ack.id == id => return before,
                Some(Packet::Publish(publish)) => {
                    before.push(serde_json::from_slice(&publish.payload).expect("JSON"));
                }
                other => panic!("PUBACK expected, got {other:?}"),
            }
        }
    }
}
