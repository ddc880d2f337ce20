//! A client that speaks packets, for tests.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use roadstead_wire::mqtt::codec::{self, Decoder};
use roadstead_wire::mqtt::packet::{
    Ack, ConnAck, Connect, Disconnect, Opaque, Packet, PacketId, Publish, QoS, Reason, Subscribe,
    Subscription, Version,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{CLIENT, PASSWORD, USER};

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(super) struct Client {
    pub(super) stream: Box<dyn Stream>,
    version: Version,
    decoder: Decoder,
    buffer: BytesMut,
    /// Reads from the stream so far.
    pub(super) reads: usize,
}

pub(super) fn id(n: u16) -> PacketId {
    NonZeroU16::new(n).expect("not zero")
}

/// The CONNECT of the lamp.
pub(super) fn connect(version: Version) -> Connect {
    Connect {
        username: Some(USER.into()),
        password: Some(Opaque::new(PASSWORD)),
        ..Connect::new(version, CLIENT)
    }
}

impl Client {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        let version = Version::V311;
        let decoder = Decoder::with_version(version, 1 << 20);
        Self { stream: Box::new(stream), version, decoder, buffer: BytesMut::new(), reads: 0 }
    }

    pub(super) async fn send(&mut self, packet: Packet) {
        self.send_all(&[packet]).await;
    }

    /// Sends packets in one write.
    pub(super) async fn send_all(&mut self, packets: &[Packet]) {
        let mut bytes = BytesMut::new();
        for packet in packets {
            codec::encode(packet, self.version, &mut bytes).expect("has an encoding");
        }
        // The server may have closed: what it said is read afterwards.
        let _ = self.stream.write_all(&bytes).await;
    }

    pub(super) async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.buffer).expect("valid packets") {
                return Some(packet);
            }
            self.reads += 1;
            self.buffer.reserve(64 * 1024);
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(n) if n > 0 => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// Returns what the server says before it closes.
    pub(super) async fn until_closed(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(packet) = self.next().await {
            packets.push(packet);
        }
        packets
    }

    pub(super) async fn connect(&mut self, connect: Connect) -> Option<ConnAck> {
        self.version = connect.version;
        self.decoder = Decoder::with_version(connect.version, 1 << 20);
        self.send(Packet::Connect(Box::new(connect))).await;
        match self.next().await? {
            Packet::ConnAck(ack) => Some(*ack),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn log_in(&mut self) {
        let ack = self.connect(connect(Version::V311)).await.expect("CONNACK");
        assert_eq!(ack.reason, Reason::Success);
    }

    pub(super) async fn subscribe(&mut self, filter: &str, qos: QoS) -> Reason {
        let filters = vec![Subscription::new(filter, qos)];
        let subscribe = Subscribe { id: id(900), filters, subscription_id: None, user: Vec::new() };
        self.send(Packet::Subscribe(subscribe)).await;
        match self.next().await {
            Some(Packet::SubAck(ack)) => ack.codes[0],
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn next_publish(&mut self) -> Publish {
        match self.next().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn puback(&mut self, publish: &Publish) {
        self.send(Packet::PubAck(Ack::new(publish.id.expect("QoS 1"), Reason::Success))).await;
    }

    pub(super) async fn disconnect(&mut self) {
        self.send(Packet::Disconnect(Disconnect::new(Reason::Success))).await;
    }
}

/// A PUBLISH with packet id `n`; QoS 0 when it is 0.
pub(super) fn publish(topic: &str, payload: impl Into<Bytes>, n: u16) -> Packet {
    let qos = if n == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    Packet::Publish(Publish { id: PacketId::new(n), ..Publish::new(topic, payload, qos) })
}

/// A report of the lamp with `token`.
pub(super) fn report(token: &str, n: u16) -> Packet {
    let body = format!(
        r#"{{"method":"report","clientToken":"{token}","timestamp":1,"params":{{"brightness":3}}}}"#
    );
    publish(super::UP, body, n)
}

pub(super) fn puback(n: u16) -> Packet {
    Packet::PubAck(Ack::new(id(n), Reason::Success))
}
