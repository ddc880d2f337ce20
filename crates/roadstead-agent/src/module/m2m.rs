//! The connection to the M2M server: MQTT 3.1 packets in and out, nothing more. What is said, and
//! when, is the module's own decision.
//!
//! Source: GizWits §3.3 to §3.5.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use roadstead_wire::mqtt::codec::{Decoder, encode};
use roadstead_wire::mqtt::packet::{
    Connect, Opaque, Packet, PacketId, Publish, QoS, Reason, Subscribe, Subscription, Version,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::hardware::Inbound;

/// Largest packet the module takes, bytes.
const PACKET_BYTES_MAX: u32 = 64 * 1024;

/// A log-in.
pub(super) struct Login {
    pub(super) to: SocketAddr,
    pub(super) did: String,
    pub(super) passcode: Vec<u8>,
    pub(super) keep_alive: Duration,
    pub(super) wait: Duration,
}

/// What the module wants of an open connection.
pub(super) enum Action {
    Subscribe(String),
    Publish(String, Bytes),
    Ping,
}

/// What happened.
pub(super) enum Word {
    Connected,
    Refused(u8),
    Subscribed(bool),
    Message(String, Bytes),
    Pong,
    Closed(String),
}

/// Where words go.
pub(super) struct Results {
    pub(super) connection: u64,
    pub(super) inbox: mpsc::Sender<Inbound>,
}

impl Results {
    async fn send(&self, word: Word) -> bool {
        let connection = self.connection;
        self.inbox.send(Inbound::M2m { connection, word }).await.is_ok()
    }
}

/// Serves one connection until it ends, or until nobody wants it any longer.
pub(super) async fn run(login: Login, mut actions: mpsc::Receiver<Action>, results: Results) {
    let why = match tokio::time::timeout(login.wait, TcpStream::connect(login.to)).await {
        Ok(Ok(stream)) => match serve(&login, stream, &mut actions, &results).await {
            Ok(()) => return,
            Err(why) => why,
        },
        Ok(Err(error)) => format!("{}: {error}", login.to),
        Err(_) => format!("{}: no connection in time", login.to),
    };
    results.send(Word::Closed(why)).await;
}

async fn serve(
    login: &Login,
    mut stream: TcpStream,
    actions: &mut mpsc::Receiver<Action>,
    results: &Results,
) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    stream.set_nodelay(true).map_err(text)?;
    let mut packet = Connect::new(Version::V31, &login.did);
    packet.keep_alive_s = login.keep_alive.as_secs().min(65_535) as u16;
    packet.username = Some(login.did.as_str().into());
    packet.password = Some(Opaque::new(login.passcode.clone()));
    let mut decoder = Decoder::with_version(Version::V31, PACKET_BYTES_MAX);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    write(&mut stream, &mut output, &Packet::Connect(Box::new(packet))).await?;
    let mut id = PacketId::MIN;
    loop {
        tokio::select! {
            read = stream.read_buf(&mut input) => {
                if read.map_err(text)? == 0 {
                    return Err("closed by the server".into());
                }
                while let Some(packet) =
                    decoder.decode(&mut input).map_err(|error| error.to_string())?
                {
                    if let Some(word) = word(packet) && !results.send(word).await {
                        return Ok(());
                    }
                }
            }
            action = actions.recv() => {
                let packet = match action {
                    // Closed without a word, as the document has it.
                    None => return Ok(()),
                    Some(Action::Ping) => Packet::PingReq,
                    Some(Action::Publish(topic, payload)) => {
                        Packet::Publish(Publish::new(topic, payload, QoS::AtMostOnce))
                    }
                    Some(Action::Subscribe(filter)) => {
                        id = id.checked_add(1).unwrap_or(PacketId::MIN);
                        let filters = vec![Subscription::new(filter, QoS::AtMostOnce)];
                        let user = roadstead_wire::mqtt::packet::UserProperties::default();
                        Packet::Subscribe(Subscribe { id, filters, subscription_id: None, user })
                    }
                };
                write(&mut stream, &mut output, &packet).await?;
            }
        }
    }
}

async fn write(
    stream: &mut TcpStream,
    output: &mut BytesMut,
    packet: &Packet,
) -> Result<(), String> {
    output.clear();
    encode(packet, Version::V31, output).map_err(|error| error.to_string())?;
    stream.write_all(output).await.map_err(|error| error.to_string())
}

fn word(packet: Packet) -> Option<Word> {
    match packet {
        Packet::ConnAck(ack) if ack.reason == Reason::Success => Some(Word::Connected),
        Packet::ConnAck(ack) => Some(Word::Refused(return_code(ack.reason))),
        Packet::SubAck(ack) => {
            let granted = [Reason::Success, Reason::GrantedQoS1, Reason::GrantedQoS2];
            Some(Word::Subscribed(ack.codes.iter().all(|code| granted.contains(code))))
        }
        Packet::Publish(publish) => Some(Word::Message(publish.topic.to_string(), publish.payload)),
        Packet::PingResp => Some(Word::Pong),
        // Nothing a server of 3.1 says at QoS 0.
        Packet::Connect(_)
        | Packet::PubAck(_)
        | Packet::PubRec(_)
        | Packet::PubRel(_)
        | Packet::PubComp(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::UnsubAck(_)
        | Packet::PingReq
        | Packet::Disconnect(_)
        | Packet::Auth(_) => None,
    }
}

/// Returns the CONNACK return code that a reason came from.
fn return_code(reason: Reason) -> u8 {
    if reason == Reason::UnsupportedProtocolVersion {
        1
    } else if reason == Reason::ClientIdentifierNotValid {
        2
    } else if reason == Reason::ServerUnavailable {
        3
    } else if reason == Reason::BadUserNameOrPassword {
        4
    } else {
        5
    }
}
