//! The alphabet between the module and the hardware around it.
//!
//! Both sides lend: bytes of inputs and outputs belong to whoever speaks, so that forwarding a
//! frame needs no memory of its own.
//!
//! It is not the alphabet of [`crate::device`]: a module has a serial line, servers and a radio to
//! hop with, and no application but its MCU.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use roadstead_core::{Code, Timestamp};
use roadstead_wire::{airlink, http};

use super::led::Leds;
use crate::device::{Fault, Random};

/// A TCP connection, as the hardware names it.
pub type ConnId = u32;

/// Something that happened.
pub enum Input<'a> {
    /// Power on, first or again after [`Output::Restart`].
    Start {
        /// The record last given to [`Outbox::save`]; empty on the first start.
        flash: &'a [u8],
        /// Unguessable bytes; the passcode is made of them.
        entropy: [u8; 32],
        /// The date, when the hardware keeps it.
        date: Option<Timestamp>,
    },
    /// The deadline has passed.
    Timeout,
    /// Bytes from the MCU.
    Serial(&'a [u8]),
    /// The radio.
    Radio(RadioEvent),
    /// The end of [`Output::Scan`], strongest first.
    Scanned(&'a [Network]),
    /// A frame heard in monitor mode.
    Air(&'a airlink::Frame),
    /// A datagram on port 12414.
    Udp {
        /// Sender.
        from: SocketAddr,
        /// Payload.
        bytes: &'a [u8],
    },
    /// A TCP connection to one of the own ports.
    Tcp {
        /// Which.
        conn: ConnId,
        /// What.
        event: TcpEvent<'a>,
    },
    /// The end of [`Output::Resolve`].
    Resolved {
        /// Which name.
        name: Name,
        /// Its address, or the resolver's words.
        address: Result<IpAddr, &'a str>,
    },
    /// The end of [`Output::Http`].
    Http {
        /// Of the call.
        id: u32,
        /// Head and body, or why there is none.
        result: Result<(&'a http::Head, &'a [u8]), &'a Fault>,
    },
    /// The connection to the M2M server.
    M2m(M2mEvent<'a>),
    /// The end of [`Output::Install`].
    Installed(bool),
}

/// What the radio says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioEvent {
    /// The own access point is open.
    ApStarted,
    /// It could not be opened.
    ApFailed,
    /// The network is joined.
    Joined(IpAddr),
    /// The network was not joined; the number is the driver's.
    JoinFailed(i32),
    /// The joined network is gone.
    Lost,
}

/// A network that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub ssid: alloc::vec::Vec<u8>,
    /// Strength, 0 to 100.
    pub power: u8,
}

/// What happened on a TCP connection.
#[derive(Clone, Copy, Debug)]
pub enum TcpEvent<'a> {
    /// A phone or browser connected to this port.
    Opened(u16),
    /// It sent bytes.
    Data(&'a [u8]),
    /// It is gone.
    Closed,
}

/// A name to resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Of the HTTP API.
    Api,
    /// Of the M2M server.
    M2m,
    /// Of a firmware file.
    Firmware,
}

/// What the M2M connection says.
#[derive(Clone, Copy, Debug)]
pub enum M2mEvent<'a> {
    /// CONNACK 0.
    Connected,
    /// CONNACK with this return code.
    Refused(u8),
    /// SUBACK of the one outstanding subscription; false when refused.
    Subscribed(bool),
    /// A message.
    Message {
        /// Topic.
        topic: &'a str,
        /// Payload.
        payload: &'a [u8],
    },
    /// PINGRESP.
    Pong,
    /// The connection did not come up, or ended; the system's words.
    Closed(&'a str),
}

/// Work for the M2M connection; there is one at a time. MQTT 3.1, clean session, QoS 0.
#[derive(Clone, Copy, Debug)]
pub enum M2mAction<'a> {
    /// Connect and log in. An open connection is dropped first.
    Connect {
        /// Where.
        to: SocketAddr,
        /// Client identifier and user name.
        did: &'a str,
        /// Password.
        passcode: &'a [u8],
        /// Named in CONNECT; pings are the module's.
        keep_alive: Duration,
        /// Longest time to CONNACK.
        wait: Duration,
    },
    /// Subscribe one filter.
    Subscribe(&'a str),
    /// Publish.
    Publish {
        /// Topic.
        topic: &'a str,
        /// Payload.
        payload: &'a [u8],
    },
    /// PINGREQ.
    Ping,
    /// Close without a word. No event of this connection follows.
    Close,
}

/// Why the module restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestartReason {
    /// The MCU answered nothing at the start, or has been silent for too long.
    #[error("the MCU is silent")]
    McuSilent,
    /// The M2M server was not reached for two hours.
    #[error("the M2M server was not reached for two hours")]
    CloudLost,
    /// The MCU wished so.
    #[error("asked by the MCU")]
    Asked,
    /// Network name and password were stored.
    #[error("configured")]
    Configured,
    /// The configuration was cleared.
    #[error("reset")]
    Reset,
    /// New firmware was installed.
    #[error("new firmware")]
    Upgraded,
}

impl RestartReason {
    /// Returns the stable code; `None` when nothing is wrong.
    pub fn code(self) -> Option<Code> {
        match self {
            Self::McuSilent => Some("module.mcu_silent"),
            Self::CloudLost => Some("module.cloud_lost"),
            Self::Asked | Self::Configured | Self::Reset | Self::Upgraded => None,
        }
    }
}

/// Levels of the log, GizWits §7.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// The module cannot do its work.
    Critical = 0,
    /// Something failed.
    Error = 1,
    /// Something was refused.
    Warning = 2,
    /// Something happened.
    Info = 3,
    /// How.
    Debug = 4,
}

impl Level {
    /// Returns the prefix of a line, as GAgent writes it.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL ",
            Self::Error => "ERROR ",
            Self::Warning => "WARNING ",
            Self::Info => "INFO ",
            Self::Debug => "DEBUG ",
        }
    }
}

/// Something to do, at once and in order.
pub enum Output<'a> {
    /// Bytes for the MCU.
    Serial(&'a [u8]),
    /// Open the own access point; a joined network is left.
    OpenAp {
        /// Its name.
        ssid: &'a str,
        /// Its password.
        password: &'a str,
    },
    /// Join a network; the own access point is closed.
    Join {
        /// Its name.
        ssid: &'a [u8],
        /// Its password.
        password: &'a [u8],
    },
    /// Listen on this channel for frames of others; everything else is closed.
    Monitor(u8),
    /// Neither access point, nor station, nor monitor.
    RadioOff,
    /// Which networks are there?
    Scan,
    /// Serve UDP 12414 and TCP 12416, and TCP 80 when asked for; replaces what is served.
    Serve {
        /// The two ports of the phone.
        lan: bool,
        /// The port of the page.
        web: bool,
    },
    /// Send a datagram from port 12414.
    Udp {
        /// Receiver.
        to: SocketAddr,
        /// Payload.
        bytes: &'a [u8],
    },
    /// Send to everybody on port 2415.
    Broadcast(&'a [u8]),
    /// Send on a TCP connection, as one segment.
    Tcp {
        /// Which.
        conn: ConnId,
        /// What.
        bytes: &'a [u8],
    },
    /// Close a TCP connection after all has been sent. No event follows.
    CloseTcp(ConnId),
    /// Find the address of a name.
    Resolve {
        /// Which of the names.
        name: Name,
        /// Its text.
        host: &'a str,
    },
    /// One HTTP/1.1 exchange on a connection of its own.
    Http {
        /// Comes back with the result.
        id: u32,
        /// Where.
        to: SocketAddr,
        /// Head and body.
        request: &'a [u8],
        /// Longest time to the whole answer.
        wait: Duration,
        /// Largest accepted body, bytes.
        body_bytes_max: usize,
    },
    /// On the M2M connection.
    M2m(M2mAction<'a>),
    /// Show this.
    Leds(Leds),
    /// Keep this firmware and run it after the next start; the answer is [`Input::Installed`].
    Install {
        /// Its version.
        version: &'a str,
        /// The image.
        image: &'a [u8],
    },
    /// The main loop lives: wind the watchdog up.
    Watchdog,
    /// A line for people; never a secret.
    Log {
        /// How bad.
        level: Level,
        /// Without prefix.
        line: &'a str,
    },
    /// Something an observer may act on.
    Event(Event<'a>),
    /// Close everything and feed [`Input::Start`]: nothing else is accepted until then.
    Restart(RestartReason),
}

/// What an observer of the module sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The MCU has said who it is; its product key.
    McuReady(&'a str),
    /// Phones can configure it now.
    Configuring(&'static str),
    /// Network name and password arrived by this way and are stored.
    Configured(&'static str),
    /// The router is there.
    Joined,
    /// The cloud knows it under this DID.
    Registered(&'a str),
    /// Logged in and subscribed.
    Online,
    /// No longer.
    Offline,
    /// The status word changed.
    Status(u16),
    /// Something failed; the stable code and words for people.
    Failed(Code, &'a str),
}

/// Performs the module's work.
pub trait Outbox {
    /// Does it, at once. May not call the module.
    fn put(&mut self, output: Output<'_>);

    /// Keeps the record durably in place of the former one; a power cut leaves one of the two.
    /// False when the flash failed.
    fn save(&mut self, record: &[u8]) -> bool;
}

/// The work of one input.
pub(super) struct Cx<'a> {
    pub(super) now: roadstead_core::Tick,
    pub(super) out: &'a mut dyn Outbox,
}

impl Cx<'_> {
    pub(super) fn put(&mut self, output: Output<'_>) {
        self.out.put(output);
    }

    pub(super) fn event(&mut self, event: Event<'_>) {
        self.put(Output::Event(event));
    }
}

/// Returns a generator for what must differ but is no secret.
pub(super) fn dice(entropy: &[u8; 32]) -> Random {
    let (seed, _) = entropy.split_first_chunk().unwrap_or((&[0; 8], &[]));
    Random::new(u64::from_le_bytes(*seed))
}
