//! The hardware of a device on this machine: tokio sockets, OpenSSL, files.
//!
//! Its Wi-Fi is simulated by address: whatever network it opens or joins, it is reached at the
//! LAN address of its options. A phone on the same machine or LAN therefore finds it without
//! changing networks.

mod clock;
mod files;
mod http;
mod mqtt;
pub(crate) mod radio;
mod tls;
pub(crate) mod udp;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use roadstead_dialects::device::{
    Datagram, Fault, HttpCall, HttpReply, Input, MqttAction, MqttEvent, UdpAction, WifiAction,
    WifiEvent,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) use clock::Clock;
pub(crate) use files::Files;
#[cfg(all(feature = "dbus", target_os = "linux"))]
pub(in crate::hal) use radio::acknowledge;
use radio::{Join, Radio};
use roadstead_core::Secret;
use roadstead_dialects::air;
use roadstead_wire::softap::{Progress, Qr, Reason};
pub use tls::TlsError;
use tls::Trust;
use udp::Sockets;

use super::{Hal, Net, Store, StoreError, Wifi};
use crate::event::AgentEvent;
use crate::portal::{Portal, PortalOptions};

/// Results that wait for the device's loop; senders wait when it is full.
const INBOX_MAX: usize = 256;
/// Actions that wait for the connection's task; above it the connection is given up.
const ACTIONS_MAX: usize = 64;
/// Time the goodbye of a stopping device may take.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(1);
/// What a radio says when no network of that name answers.
const NO_NETWORK: i32 = 1;
/// What a radio says when the password of a network is wrong.
const WRONG_PASSWORD: i32 = 2;

/// Where a device lives on this machine.
#[derive(Clone)]
pub struct Options {
    /// Address at which it is reached; the port replaces the dialect's command port.
    pub lan: SocketAddr,
    /// The dialect's command port, which `lan`'s port replaces.
    pub command_port: u16,
    /// Where it sends to everybody; `None` for the usual address of the kind of `lan`.
    pub broadcast: Option<Ipv4Addr>,
    /// Hears what is sent to everybody at its ports.
    pub hears_everybody: bool,
    /// Where its simulated radio hears ([`air`]); `None` for the usual port of `lan`.
    pub air: Option<SocketAddr>,
    /// One file per stored value.
    pub data_dir: PathBuf,
    /// Authorities trusted for server certificates, PEM; `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// What it serves in its own access point besides its vendor's dialogue.
    pub portal: Option<PortalOptions>,
    /// The only network that can be joined, with its password; `None` lets every join succeed.
    pub network: Option<(String, Secret)>,
}

impl Options {
    /// Returns a device at `lan` that keeps its values in `data_dir`. Port 0 is the dialect's.
    pub fn new(lan: SocketAddr, command_port: u16, data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            lan,
            command_port,
            broadcast: None,
            hears_everybody: false,
            air: None,
            data_dir,
            ca_file: None,
            portal: None,
            network: None,
        }
    }

    fn air_address(&self) -> SocketAddr {
        self.air.unwrap_or(SocketAddr::new(self.lan.ip(), air::PORT))
    }

    fn broadcast_address(&self) -> Ipv4Addr {
        let usual = match self.lan.ip() {
            // Reaches every listener of this machine and nobody else.
            IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::new(127, 255, 255, 255),
            IpAddr::V4(_) | IpAddr::V6(_) => Ipv4Addr::BROADCAST,
        };
        self.broadcast.unwrap_or(usual)
    }
}

/// Why a device cannot be built on this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HardwareError {
    /// The data directory is not usable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authorities cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl HardwareError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Tls(_) => "tls.handshake",
        }
    }
}

/// A result on its way to the loop.
pub(crate) enum Inbound {
    Wifi(WifiEvent),
    Udp(Datagram),
    Http { id: u32, result: Result<HttpReply, Fault> },
    Mqtt { connection: u64, event: MqttEvent },
}

/// The hardware.
pub(crate) struct Hardware {
    options: Options,
    files: Files,
    sockets: Sockets,
    radio: Radio,
    portal: Option<Portal>,
    trust: Trust,
    inbox: mpsc::Sender<Inbound>,
    /// Counts connections; results of former ones are dropped.
    connection: u64,
    actions: Option<mpsc::Sender<MqttAction>>,
    task: Option<JoinHandle<()>>,
}

impl Hardware {
    /// Returns the hardware and the queue of its results.
    pub(crate) fn new(options: Options) -> Result<(Self, mpsc::Receiver<Inbound>), HardwareError> {
        let (inbox, results) = mpsc::channel(INBOX_MAX);
        let files = Files::open(&options.data_dir)?;
        let trust = Trust::load(options.ca_file.as_deref())?;
        let sockets = Sockets::new(inbox.clone());
        let radio = Radio::new(inbox.clone());
        let mut files = files;
        let portal = match options.portal.clone() {
            Some(portal) => Some(Portal::new(portal, &mut files, inbox.clone())?),
            None => None,
        };
        let hardware = Self {
            options,
            portal,
            files,
            sockets,
            radio,
            trust,
            inbox,
            connection: 0,
            actions: None,
            task: None,
        };
        Ok((hardware, results))
    }

    /// Turns a result into an input; `None` when it belongs to the past.
    pub(crate) fn accept(&self, inbound: Inbound) -> Option<Input> {
        match inbound {
            Inbound::Wifi(event) => Some(Input::Wifi(event)),
            Inbound::Udp(datagram) => {
                self.sockets.is_open(datagram.port).then_some(Input::Udp(datagram))
            }
            Inbound::Http { id, result } => Some(Input::Http { id, result }),
            Inbound::Mqtt { connection, event } => {
                (connection == self.connection).then_some(Input::Mqtt(event))
            }
        }
    }

    /// Returns what the QR code of the device says, if it has one.
    pub(crate) fn qr(&self) -> Option<&Qr> {
        self.portal.as_ref().and_then(Portal::qr)
    }

    /// Takes what the device saw, for phones in its own access point.
    pub(crate) fn note(&mut self, event: &AgentEvent) {
        if let Some(portal) = &mut self.portal {
            portal.note(event);
        }
    }

    /// Opens the portal with the own access point; a port that is taken ends neither.
    fn open_portal(&mut self) {
        let Some(portal) = &mut self.portal else { return };
        if let Err(error) = portal.open() {
            tracing::warn!(%error, "nothing is served in the own access point");
        }
    }

    /// Tries a network: the driver's number says why it was not joined.
    fn join(&mut self, ssid: &str, password: &Secret) -> WifiEvent {
        let known = self.options.network.as_ref();
        let failure = match known {
            Some((name, _)) if name != ssid => Some((NO_NETWORK, Reason::NotFound)),
            Some((_, key)) if key != password => Some((WRONG_PASSWORD, Reason::WrongPassword)),
            Some(_) | None => None,
        };
        let (join, event, progress) = match failure {
            None => (Join::Done(self.lan_ip()), WifiEvent::Joined(self.lan_ip()), Progress::Joined),
            Some((number, _)) => (Join::Failed, WifiEvent::JoinFailed(number), Progress::Joining),
        };
        self.radio.joined(join);
        if let Some(portal) = &self.portal {
            portal.set(progress, failure.map(|(_, reason)| reason));
        }
        event
    }

    /// Says goodbye on an open connection and closes it.
    pub(crate) async fn close(&mut self) {
        self.mqtt(MqttAction::Disconnect);
        if let Some(task) = self.task.take() {
            let _ = tokio::time::timeout(GOODBYE, task).await;
        }
    }

    fn lan_ip(&self) -> Ipv4Addr {
        match self.options.lan.ip() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
        }
    }

    /// Returns the socket address of one of the dialect's ports.
    fn local(&self, port: u16) -> SocketAddr {
        let given = self.options.lan.port();
        let port = if port == self.options.command_port && given != 0 { given } else { port };
        SocketAddr::new(self.options.lan.ip(), port)
    }

    fn send_later(&self, inbound: Inbound) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let _ = inbox.send(inbound).await;
        });
    }
}

impl Hal for Hardware {
    fn wifi(&mut self) -> &mut dyn Wifi {
        self
    }

    fn store(&mut self) -> &mut dyn Store {
        &mut self.files
    }

    fn net(&mut self) -> &mut dyn Net {
        self
    }
}

impl Wifi for Hardware {
    fn perform(&mut self, action: WifiAction) {
        let event = match action {
            WifiAction::StartAp { .. } => {
                self.open_portal();
                WifiEvent::ApStarted
            }
            WifiAction::StopAp | WifiAction::Leave => return,
            WifiAction::Listen(None) => return self.radio.stop(),
            WifiAction::Listen(Some(ear)) => {
                let at = self.options.air_address();
                let broadcast = self.options.broadcast_address();
                let Err(error) = self.radio.listen(ear, at, broadcast) else { return };
                tracing::warn!(%at, %error, "the simulated radio has no port");
                WifiEvent::ApFailed(error.raw_os_error().unwrap_or(-1))
            }
            WifiAction::Join { ssid, password } => self.join(&ssid, &password),
        };
        self.send_later(Inbound::Wifi(event));
    }
}

impl Net for Hardware {
    fn udp(&mut self, action: UdpAction) {
        match action {
            UdpAction::Bind(port) => {
                let local = self.local(port);
                let everybody =
                    self.options.hears_everybody.then(|| self.options.broadcast_address());
                if let Err(error) = self.sockets.bind(port, local, everybody) {
                    tracing::warn!(%local, %error, "UDP port is not free");
                    let code = error.raw_os_error().unwrap_or(-1);
                    self.send_later(Inbound::Wifi(WifiEvent::ApFailed(code)));
                }
            }
            UdpAction::Close(port) => self.sockets.close(port),
            UdpAction::Send { port, to, bytes } => self.sockets.send(port, to, &bytes),
            UdpAction::Broadcast { port, bytes } => {
                let to = (self.options.broadcast_address(), self.local(port).port());
                self.sockets.broadcast(port, self.lan_ip(), to.into(), &bytes);
            }
        }
    }

    fn http(&mut self, call: HttpCall) {
        let (inbox, trust) = (self.inbox.clone(), self.trust.clone());
        tokio::spawn(async move {
            let id = call.id;
            let result = http::exchange(call, &trust).await;
            let _ = inbox.send(Inbound::Http { id, result }).await;
        });
    }

    fn mqtt(&mut self, action: MqttAction) {
        match action {
            MqttAction::Connect(login) => {
                self.connection += 1;
                let (sender, actions) = mpsc::channel(ACTIONS_MAX);
                self.actions = Some(sender);
                let results =
                    mqtt::Results { connection: self.connection, inbox: self.inbox.clone() };
                self.task =
                    Some(tokio::spawn(mqtt::run(*login, self.trust.clone(), actions, results)));
            }
            MqttAction::Disconnect => {
                self.connection += 1;
                if let Some(actions) = self.actions.take() {
                    let _ = actions.try_send(MqttAction::Disconnect);
                }
            }
            action @ (MqttAction::Subscribe { .. } | MqttAction::Publish { .. }) => {
                let Some(actions) = &self.actions else { return };
                if actions.try_send(action).is_err() {
                    // The task is stuck or gone: it will say so, or is told by its closed queue.
                    self.actions = None;
                }
            }
        }
    }
}
