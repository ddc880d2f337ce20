//! The alphabet between a machine and the hardware around it.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;
use roadstead_core::{Code, Secret};
use roadstead_wire::airlink::{Keys, Scheme};

use crate::air::Bearer;

/// Work for the radio.
pub enum WifiAction {
    /// Open an access point of the device's own, with DHCP. Ends a joined network.
    StartAp {
        /// Its name.
        ssid: String,
        /// Its password; `None` for an open one.
        password: Option<Secret>,
        /// Its channel, 1 to 13.
        channel: u8,
    },
    /// Close the own access point.
    StopAp,
    /// Join a network as a station.
    Join {
        /// Its name.
        ssid: String,
        /// Its password; empty for an open one.
        password: Secret,
    },
    /// Leave the joined network.
    Leave,
    /// Listen for credentials that come this way through the air, until told `None`.
    Listen(Option<Ear>),
}

/// What a radio listens for.
#[derive(Clone, PartialEq, Eq)]
pub struct Ear {
    /// How the credentials come.
    pub bearer: Bearer,
    /// What they are encrypted with, where the bearer has a key.
    pub key: Option<Secret>,
}

impl Ear {
    /// Listens for what needs no key.
    pub fn of(bearer: Bearer) -> Self {
        Self { bearer, key: None }
    }

    /// Returns the keys of a receiver.
    pub fn keys(&self) -> Keys {
        let mut keys = Keys::default();
        let Some(key) = self.key.as_ref().map(Secret::expose) else { return keys };
        let mut block = [0; 16];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        match self.bearer {
            Bearer::Sniffed(Scheme::AirKiss) => keys.airkiss = Some(block),
            Bearer::Sniffed(Scheme::EspTouch2) => keys.esptouch2 = Some(block),
            Bearer::Sniffed(Scheme::SimpleConfig) => keys.pin = Some(key.to_vec()),
            Bearer::Sniffed(Scheme::SmartConfig) => keys.product_secret = Some(key.to_vec()),
            Bearer::Sniffed(Scheme::EspTouch) | Bearer::BluFi | Bearer::Combo | Bearer::LlSync => {}
        }
        keys
    }
}

/// What the radio says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WifiEvent {
    /// The own access point is open.
    ApStarted,
    /// It could not be opened; the number is the driver's.
    ApFailed(i32),
    /// The network is joined and an address was given.
    Joined(Ipv4Addr),
    /// The network was not joined; the number is the driver's.
    JoinFailed(i32),
    /// The joined network is gone.
    Lost,
    /// Something came through the air.
    Heard(Heard),
}

/// What came through the air. Does not print secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Heard {
    /// A network to join, and its password.
    pub network: Option<(String, Secret)>,
    /// The bind token.
    pub token: Option<Secret>,
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ssid = self.network.as_ref().map(|(ssid, _)| ssid);
        let has_token = self.token.is_some();
        f.debug_struct("Heard").field("ssid", &ssid).field("token", &has_token).finish()
    }
}

/// Work for the LAN.
pub enum UdpAction {
    /// Listen on this port of all own addresses.
    Bind(u16),
    /// Stop listening.
    Close(u16),
    /// Send from a bound port.
    Send {
        /// Local port.
        port: u16,
        /// Receiver.
        to: SocketAddr,
        /// Payload.
        bytes: Bytes,
    },
    /// Send to everybody in the network.
    Broadcast {
        /// Remote port.
        port: u16,
        /// Payload.
        bytes: Bytes,
    },
}

/// A received datagram.
pub struct Datagram {
    /// Local port.
    pub port: u16,
    /// Sender.
    pub from: SocketAddr,
    /// Payload.
    pub bytes: Bytes,
}

/// One HTTP/1.1 exchange on a connection of its own.
pub struct HttpCall {
    /// Comes back with the result.
    pub id: u32,
    /// Where to connect: name or address.
    pub host: Box<str>,
    /// Where to connect.
    pub port: u16,
    /// TLS below HTTP; its server name is in the request's `Host`.
    pub tls: Tls,
    /// Name for TLS to send and to check.
    pub server_name: Box<str>,
    /// The whole request, head and body.
    pub request: Bytes,
    /// Longest time from the start to the whole answer.
    pub wait: Duration,
    /// Largest accepted body, bytes.
    pub body_bytes_max: usize,
}

/// An HTTP answer.
pub struct HttpReply {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: Bytes,
}

/// Protection of a connection.
#[derive(Clone)]
pub enum Tls {
    /// None: plain TCP.
    Off,
    /// The server proves itself by a certificate; which authorities are trusted is a setting of
    /// the hardware.
    Server,
    /// As `Server`, and the device proves itself likewise. Both texts are PEM.
    Certificate {
        /// Certificate chain.
        chain: Box<[u8]>,
        /// Private key.
        key: Secret,
    },
    /// A shared key proves both; TLS 1.2 with PSK-AES-CBC-SHA suites.
    Psk {
        /// Identity.
        identity: Box<str>,
        /// Key bytes.
        key: Secret,
    },
}

/// A log-in to an MQTT 3.1.1 server with a clean session.
pub struct Login {
    /// Where to connect: name or address.
    pub host: Box<str>,
    /// Where to connect.
    pub port: u16,
    /// Protection.
    pub tls: Tls,
    /// Name for TLS to send and to check.
    pub server_name: Box<str>,
    /// Client identifier.
    pub client_id: Box<str>,
    /// User name.
    pub user: Option<Box<str>>,
    /// Password.
    pub password: Option<Secret>,
    /// Longest silence.
    pub keep_alive: Duration,
    /// Longest time from the start to CONNACK.
    pub wait: Duration,
}

/// Work for the MQTT connection; there is one at a time.
pub enum MqttAction {
    /// Connect and log in. An open connection is dropped first.
    Connect(Box<Login>),
    /// Subscribe one filter.
    Subscribe {
        /// Filter.
        filter: Box<str>,
        /// Highest QoS wanted: 0 or 1.
        qos: u8,
    },
    /// Publish a message.
    Publish {
        /// Topic.
        topic: Box<str>,
        /// Payload.
        payload: Bytes,
        /// 0 or 1.
        qos: u8,
        /// Comes back in [`MqttEvent::Published`] for QoS 1.
        mark: u32,
    },
    /// Say goodbye and close. No event of this connection follows.
    Disconnect,
}

/// What the MQTT connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MqttEvent {
    /// Logged in.
    Connected,
    /// The log-in was refused with this CONNACK return code.
    Refused(u8),
    /// The connection did not come up, or broke; [`MqttAction::Connect`] starts anew.
    Closed(Fault),
    /// SUBACK.
    Subscribed {
        /// Of the request.
        filter: Box<str>,
        /// Granted QoS; `None` when refused.
        granted: Option<u8>,
    },
    /// PUBACK.
    Published {
        /// Of the message.
        mark: u32,
    },
    /// A message of the platform.
    Message {
        /// Topic.
        topic: Box<str>,
        /// Payload.
        payload: Bytes,
    },
}

/// Why a connection failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Fault {
    /// At which step.
    pub kind: FaultKind,
    /// The system's words; never a secret.
    pub detail: Box<str>,
}

impl Fault {
    /// Returns a fault.
    pub fn new(kind: FaultKind, detail: impl Into<Box<str>>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self.kind {
            FaultKind::Tls => "tls.handshake",
            FaultKind::Name
            | FaultKind::Connect
            | FaultKind::Timeout
            | FaultKind::Closed
            | FaultKind::Protocol => "attempt.never_connected",
        }
    }
}

/// The step at which a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The name did not resolve.
    #[error("name resolution")]
    Name,
    /// TCP was refused or unreachable.
    #[error("connection")]
    Connect,
    /// TLS did not come up.
    #[error("TLS")]
    Tls,
    /// Nothing came in time.
    #[error("time-out")]
    Timeout,
    /// The peer closed.
    #[error("closed")]
    Closed,
    /// The peer broke the protocol.
    #[error("protocol")]
    Protocol,
}
