//! From an accepted socket to an admitted connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use openssl::ssl::SslContext;
use roadstead_dialects::cloud::{Hello, Refusal, Tls};
use roadstead_wire::mqtt::codec::{self, DecodeError, Decoder};
use roadstead_wire::mqtt::packet::{ConnAck, Connect, Packet, Reason, Version};
use roadstead_wire::mqtt::session::server::Opening;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::accept::{Door, Guard};
use super::refuse::Refused;
use super::share::{self, Rewound, ServeHttp, Spoken};
use crate::broker::Resumed;
use crate::directory::Link;
use crate::metrics::Transport;
use crate::shell::{Connection, Login, Mailbox, Peer, Shared, Socket, Start};
use crate::tls;

/// Largest CONNECT, bytes.
const CONNECT_BYTES_MAX: u32 = 64 * 1024;
/// First read of a CONNECT, bytes; most fit.
const CONNECT_BYTES: usize = 512;

/// An accepted socket.
pub(super) struct Arrival {
    pub(super) shared: Arc<Shared>,
    pub(super) socket: Socket,
    pub(super) door: Door,
    pub(super) http: Option<ServeHttp>,
    pub(super) peer: Peer,
}

/// What became of it.
enum Outcome {
    Admitted(Box<Connection>),
    Refused(Refused),
    /// A vendor call on the shared port.
    Http(BoxFuture<'static, ()>),
    Gone,
}

/// Serves one socket to its end. The phases are boxed, so that the task is as small as the one in
/// which a connection spends its life.
pub(super) async fn serve(arrival: Arrival, mut stopped: watch::Receiver<bool>, guard: Guard) {
    let outcome = Box::pin(welcome(arrival, stopped.clone())).await;
    match outcome {
        Outcome::Admitted(mut connection) => {
            drop(stopped);
            let ending = (&mut *connection).await;
            Box::pin(connection.finish(ending)).await;
        }
        Outcome::Refused(refused) => {
            let refused = Box::pin(refused.serve());
            tokio::select! {
                () = refused => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        }
        Outcome::Http(call) => {
            tokio::select! {
                () = call => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        }
        Outcome::Gone => {}
    }
    drop(guard);
}

async fn welcome(arrival: Arrival, mut stopped: watch::Receiver<bool>) -> Outcome {
    let accepted = Instant::now();
    let greeted = tokio::select! {
        greeted = greet(arrival, accepted) => greeted,
        _ = stopped.wait_for(|stopped| *stopped) => return Outcome::Gone,
    };
    // From here on it is never dropped half way: presence must not be left on line.
    match greeted {
        Ok(Greeted { shared, reader, connect, tls, peer }) => {
            log_in(shared, reader, connect, tls, peer, accepted).await
        }
        Err(outcome) => outcome,
    }
}

/// A client that has sent its CONNECT.
struct Greeted {
    shared: Arc<Shared>,
    reader: Reader,
    connect: Box<Connect>,
    tls: Tls,
    peer: Peer,
}

/// Reads up to the CONNECT.
async fn greet(arrival: Arrival, accepted: Instant) -> Result<Greeted, Outcome> {
    let Arrival { shared, socket, door, http, mut peer } = arrival;
    let deadline = accepted + shared.limits.first_packet;
    let is_shared = matches!(door, Door::Shared { .. });
    let (context, spoken) = match door {
        Door::Plain => (None, Spoken::Mqtt),
        Door::Tls { context, .. } => (Some(context), Spoken::Mqtt),
        Door::Shared { context } => match first_byte(&socket, deadline).await? {
            Spoken::Tls => {
                peer.transport = "tls-legacy";
                (Some(context), Spoken::Tls)
            }
            other @ (Spoken::Http | Spoken::Mqtt) => (None, other),
        },
    };
    let (socket, tls) = secure(&shared, socket, context, &mut peer, deadline).await?;
    let mut reader = Reader::new(socket);
    let spoken = match spoken {
        // What is inside.
        Spoken::Tls => timeout_at(deadline, reader.first()).await.unwrap_or(Spoken::Mqtt),
        other @ (Spoken::Http | Spoken::Mqtt) => other,
    };
    if is_shared
        && spoken == Spoken::Http
        && let Some(http) = http
    {
        let stream = Rewound { read: reader.buffer, socket: reader.socket };
        return Err(Outcome::Http(http(Box::new(stream), peer.address)));
    }
    match timeout_at(deadline, reader.connect()).await {
        Ok(Ok(connect)) => Ok(Greeted { shared, reader, connect, tls, peer }),
        Ok(Err(error)) => Err(reader.broken(shared, peer, error).await),
        Err(_) => {
            let detail = format!(
                "no CONNECT within {} s, {} bytes received",
                shared.limits.first_packet.as_secs(),
                reader.buffer.len()
            );
            let refusal = Refusal::new("mqtt.first_packet", detail);
            note(&shared, &peer, None, refusal).await;
            Err(Outcome::Gone)
        }
    }
}

/// Waits for the first byte of a client of the shared port.
async fn first_byte(socket: &Socket, deadline: Instant) -> Result<Spoken, Outcome> {
    let Socket::Plain(socket) = socket else { return Ok(Spoken::Mqtt) };
    match timeout_at(deadline, share::peek(socket)).await {
        Ok(Some(spoken)) => Ok(spoken),
        // A probe, or a port scan: nothing to tell anybody.
        Ok(None) | Err(_) => Err(Outcome::Gone),
    }
}

/// Performs the TLS handshake, if the listener has one.
async fn secure(
    shared: &Arc<Shared>,
    socket: Socket,
    context: Option<SslContext>,
    peer: &mut Peer,
    deadline: Instant,
) -> Result<(Socket, Tls), Outcome> {
    let (socket, context) = match (socket, context) {
        (Socket::Plain(socket), Some(context)) => (socket, context),
        (socket, _) => {
            shared.metrics.transport(Transport::Tcp);
            return Ok((socket, Tls::None));
        }
    };
    match timeout_at(deadline, tls::accept(&context, socket)).await {
        Ok(Ok(tls::Secured { stream, mut tls, chain, version })) => {
            if let Tls::Certificate { authority, .. } = &mut tls {
                *authority = shared.services.vouch(&chain);
            }
            shared.metrics.transport(version);
            peer.transport = transport(&tls, peer.transport);
            Ok((Socket::Tls(Box::new(stream)), tls))
        }
        Ok(Err(tls::Failed { refusal, identity, answer })) => {
            note(shared, peer, identity.as_deref(), refusal.clone()).await;
            let Some((socket, answer)) = answer else { return Err(Outcome::Gone) };
            let (shared, peer) = (shared.clone(), peer.clone());
            let socket = Socket::Plain(socket);
            Err(Outcome::Refused(Refused { shared, socket, peer, identity, answer, refusal }))
        }
        Err(_) => {
            let refusal = Refusal::new("tls.handshake", "the handshake took too long");
            note(shared, peer, None, refusal).await;
            Err(Outcome::Gone)
        }
    }
}

fn transport(tls: &Tls, listener: &'static str) -> &'static str {
    match (tls, listener) {
        (Tls::Psk { .. }, "tls-legacy") => "tls-psk-legacy",
        (Tls::Psk { .. }, _) => "tls-psk",
        (Tls::Certificate { .. }, "tls-legacy") => "tls-cert-legacy",
        (Tls::Certificate { .. }, _) => "tls-cert",
        (Tls::None | Tls::Server, listener) => listener,
    }
}

/// Records a client that did not get as far as a log-in.
async fn note(shared: &Arc<Shared>, peer: &Peer, identity: Option<&[u8]>, refusal: Refusal) {
    shared.metrics.refused(refusal.code);
    shared.services.stranger(peer, identity, refusal).await;
}

/// Reads the first packet.
struct Reader {
    socket: Socket,
    decoder: Decoder,
    buffer: BytesMut,
}

/// Why there is no CONNECT.
enum FirstPacket {
    /// The client closed.
    Closed,
    /// It sent something else.
    Broken(DecodeError),
}

impl Reader {
    fn new(socket: Socket) -> Self {
        Self { socket, decoder: Decoder::new(CONNECT_BYTES_MAX), buffer: BytesMut::new() }
    }

    /// Reads until there is a byte, and says what it means; nothing is MQTT, whose reader copes.
    async fn first(&mut self) -> Spoken {
        while self.buffer.is_empty() {
            self.buffer.reserve(CONNECT_BYTES);
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(n) if n > 0 => {}
                Ok(_) | Err(_) => return Spoken::Mqtt,
            }
        }
        Spoken::of(self.buffer[0])
    }

    async fn connect(&mut self) -> Result<Box<Connect>, FirstPacket> {
        loop {
            match self.decoder.decode(&mut self.buffer) {
                Ok(Some(Packet::Connect(connect))) => return Ok(connect),
                Ok(Some(_)) => {
                    let error = DecodeError::NotConnect { packet_type: 0 };
                    return Err(FirstPacket::Broken(error));
                }
                Ok(None) => {}
                Err(error) => return Err(FirstPacket::Broken(error)),
            }
            self.buffer.reserve(CONNECT_BYTES);
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(n) if n > 0 => {}
                Ok(_) | Err(_) => return Err(FirstPacket::Closed),
            }
        }
    }

    /// Ends a client whose first packet is no CONNECT.
    async fn broken(self, shared: Arc<Shared>, peer: Peer, error: FirstPacket) -> Outcome {
        let error = match error {
            // A probe of a load balancer, or a port scan: nothing to tell anybody.
            FirstPacket::Closed if self.buffer.is_empty() => return Outcome::Gone,
            FirstPacket::Closed => {
                let refusal =
                    Refusal::new("mqtt.first_packet", "closed before the CONNECT was complete");
                note(&shared, &peer, None, refusal).await;
                return Outcome::Gone;
            }
            FirstPacket::Broken(error) => error,
        };
        let refusal = Refusal::new(core_code(&error), describe(&error, &self.buffer));
        note(&shared, &peer, None, refusal.clone()).await;
        let mut answer = Vec::new();
        if let DecodeError::UnsupportedVersion { level } = error {
            // The nearest version that the client may understand (3.1.1 section 3.1.2.2).
            let version = if level < 5 { Version::V311 } else { Version::V5 };
            let ack = ConnAck::new(Reason::UnsupportedProtocolVersion);
            answer = encode(&Packet::ConnAck(Box::new(ack)), version);
        }
        let (socket, identity) = (self.socket, None);
        Outcome::Refused(Refused { shared, socket, peer, identity, answer, refusal })
    }
}

fn core_code(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::TooLarge { .. } => "mqtt.too_large",
        DecodeError::UnsupportedVersion { .. }
        | DecodeError::ClientId
        | DecodeError::Forbidden { .. }
        | DecodeError::TopicName => "mqtt.violation",
        DecodeError::NotConnect { .. }
        | DecodeError::NotMqtt
        | DecodeError::Malformed { .. }
        | _ => "mqtt.malformed",
    }
}

/// Says what the bytes look like when they are not MQTT.
fn describe(error: &DecodeError, bytes: &[u8]) -> String {
    match bytes {
        [0x16, 0x03, ..] => "TLS spoken to the plain port".to_owned(),
        [b'G' | b'P' | b'H' | b'O' | b'D', second, ..] if second.is_ascii_uppercase() => {
            format!("HTTP spoken to the MQTT port ({error})")
        }
        _ => error.to_string(),
    }
}

fn encode(packet: &Packet, version: Version) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    // A CONNACK without properties always has an encoding.
    let _ = codec::encode(packet, version, &mut bytes);
    bytes.to_vec()
}

async fn log_in(
    shared: Arc<Shared>,
    reader: Reader,
    connect: Box<Connect>,
    tls: Tls,
    peer: Peer,
    accepted: Instant,
) -> Outcome {
    let outcome = if connect.auth_method.is_some() {
        let refusal = Refusal::new("auth.malformed", "extended authentication is not supported");
        note(&shared, &peer, None, refusal.clone()).await;
        Err((refusal, Reason::BadAuthenticationMethod))
    } else {
        let hello = Hello {
            level: connect.version.level(),
            client_id: &connect.client_id,
            user: connect.username.as_deref(),
            password: connect.password.as_ref().map(|password| password.expose()),
            keep_alive_s: connect.keep_alive_s,
            tls: &tls,
        };
        shared.services.login(hello, &peer).await.map_err(|(refusal, code)| {
            if !refusal.is_retry {
                shared.metrics.refused(refusal.code);
            }
            (refusal, reason(code))
        })
    };
    let identity = identity(&connect, &tls);
    match outcome {
        Ok(login) => {
            shared.throttle.admitted(&identity);
            shared.throttle.admitted(login.account.device.id.as_str().as_bytes());
            shared.metrics.logins.increment();
            let took: Duration = accepted.elapsed();
            shared.metrics.login_seconds.observe(took);
            admit(shared, reader, connect, login).await
        }
        Err((refusal, reason)) => {
            let answer = match refusal.is_silent {
                true => Vec::new(),
                false => encode(&Packet::ConnAck(Box::new(ConnAck::new(reason))), connect.version),
            };
            let (socket, identity) = (reader.socket, Some(identity));
            Outcome::Refused(Refused { shared, socket, peer, identity, answer, refusal })
        }
    }
}

/// What the throttle knows a client by that names no known device.
fn identity(connect: &Connect, tls: &Tls) -> Box<[u8]> {
    match tls {
        Tls::Psk { identity } => identity.clone(),
        Tls::None | Tls::Server | Tls::Certificate { .. } => connect.client_id.as_bytes().into(),
    }
}

/// Returns the reason for a CONNACK return code (MQTT 3.1.1 table 3.1).
fn reason(code: u8) -> Reason {
    match code {
        1 => Reason::UnsupportedProtocolVersion,
        2 => Reason::ClientIdentifierNotValid,
        3 => Reason::ServerUnavailable,
        4 => Reason::BadUserNameOrPassword,
        _ => Reason::NotAuthorized,
    }
}

async fn admit(
    shared: Arc<Shared>,
    reader: Reader,
    connect: Box<Connect>,
    login: Login,
) -> Outcome {
    let device = login.account.device.id.clone();
    let mailbox = Arc::new(Mailbox::new(shared.limits.outbound_bytes, shared.metrics.clone()));
    let has_older = shared.directory.find(&device).is_some();
    let handover = shared.broker.announce(&device, has_older, connect.clean_start);
    let link: Arc<dyn Link> = mailbox.clone();
    if !shared.directory.enter(&device, login.epoch, link) {
        // A newer connection of the device was faster.
        let ending = roadstead_core::session::Ending::TakenOver;
        shared.services.logout(&login.account, login.epoch, ending).await;
        return Outcome::Gone;
    }
    let resumed = shared.broker.attach(&device, &mailbox, handover, connect.clean_start).await;
    let Resumed { parked, waited, next_packet_id } = resumed;
    let first_packet_id = next_packet_id.unwrap_or_else(random_id);
    let opening = Opening { assigned_client_id: None, first_packet_id, parked };
    let Reader { socket, decoder, buffer } = reader;
    let start = Start { shared, socket, decoder, rest: buffer, connect, login, mailbox, opening };
    let mut connection = Box::new(Connection::open(start));
    connection.resume(waited);
    Outcome::Admitted(connection)
}

/// Devices remember the last packet ids they have seen, even across a reconnect (Tencent §3.5).
fn random_id() -> u16 {
    getrandom::u32().map_or(1, |random| (random >> 16) as u16)
}
