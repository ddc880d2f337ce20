//! Everything around the machine: performs its outputs, collects its inputs.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use roadstead_core::{Secret, Tick};
use roadstead_dialects::device::Fault;
use roadstead_dialects::gizwits::module::{
    ConnId, Event, Leds, Level, M2mAction, Name, Network, Outbox, Output, RadioEvent, RestartReason,
};
use roadstead_dialects::gizwits::serial::Status;
use roadstead_wire::airlink::Frame;
use roadstead_wire::http::Head;
use serde_json::json;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::m2m::{Action, Login, Results, Word};
use super::serial::SerialPort;
use super::sockets::Sockets;
use super::{Observer, Options, broadcast_address, http, m2m};
use crate::event::AgentEvent;
use crate::hal::Store as _;
use crate::hal::net::radio::Frames;
use crate::hal::net::{Clock, Files, udp};

/// Name of the record in the data directory.
pub(super) const RECORD: &str = "gizwits";
/// Name of installed firmware in the data directory.
const FIRMWARE: &str = "gizwits-firmware";
/// Name of its version there: what runs after the next start.
pub(super) const FIRMWARE_VERSION: &str = "gizwits-firmware-version";
/// Strength at which the simulated radio hears its network.
const STRENGTH: u8 = 75;
/// What a radio says when name or password of a network are wrong.
const WRONG_NETWORK: i32 = 2;
/// Actions that wait for the M2M connection; above it the connection is given up.
const ACTIONS_MAX: usize = 64;

/// A result on its way to the loop.
pub(super) enum Inbound {
    Radio(RadioEvent),
    Scanned,
    Udp {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Accepted {
        port: u16,
        stream: TcpStream,
    },
    /// Bytes of a phone; none when it is gone.
    Tcp {
        conn: ConnId,
        bytes: Vec<u8>,
    },
    Resolved {
        name: Name,
        address: Result<IpAddr, String>,
    },
    Http {
        id: u32,
        result: Result<(Head, Bytes), Fault>,
    },
    M2m {
        connection: u64,
        word: Word,
    },
    Air(Frame),
    Serial(Vec<u8>),
    Installed(bool),
}

/// The hardware of one life.
pub(super) struct Hardware {
    options: Arc<Options>,
    clock: Clock,
    observer: Observer,
    pub(super) files: Files,
    pub(super) sockets: Sockets,
    pub(super) inbox: mpsc::Sender<Inbound>,
    /// Counts M2M connections; words of former ones are dropped.
    pub(super) connection: u64,
    actions: Option<mpsc::Sender<Action>>,
    /// Bytes for the virtual MCU.
    pub(super) to_mcu: VecDeque<Vec<u8>>,
    pub(super) port: Option<Arc<SerialPort>>,
    joined: Option<Vec<u8>>,
    pub(super) restart: Option<RestartReason>,
    radio: Option<Radio>,
    /// It waits to be configured over its own access point.
    pub(super) waits: bool,
}

/// The simulated radio in monitor mode.
struct Radio {
    channel: watch::Sender<u8>,
    task: JoinHandle<()>,
}

impl Drop for Radio {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hardware {
    pub(super) fn new(
        options: &Arc<Options>,
        clock: Clock,
        observer: &Observer,
        files: Files,
        inbox: mpsc::Sender<Inbound>,
        port: Option<Arc<SerialPort>>,
    ) -> Self {
        Self {
            clock,
            observer: Arc::clone(observer),
            files,
            sockets: Sockets::new(options.lan, options.ports, inbox.clone()),
            options: Arc::clone(options),
            inbox,
            connection: 0,
            actions: None,
            to_mcu: VecDeque::new(),
            port,
            joined: None,
            restart: None,
            radio: None,
            waits: false,
        }
    }

    /// Returns the networks the simulated radio hears.
    pub(super) fn networks(&self) -> Vec<Network> {
        let given = self.options.network.as_ref().map(|(ssid, _)| ssid);
        let heard = given.or(self.joined.as_ref());
        heard.map(|ssid| Network { ssid: ssid.clone(), power: STRENGTH }).into_iter().collect()
    }

    pub(super) fn tell(&self, event: AgentEvent) {
        // A crash inside the observer ended a life, not what comes after it.
        let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        observer(event);
    }

    pub(super) fn tell_data(&self, stage: &'static str, data: serde_json::Value) {
        let event = AgentEvent::new(self.clock.date(), stage);
        self.tell(AgentEvent { data: Some(data), ..event });
    }

    fn tell_text(&self, stage: &'static str, detail: &str) {
        let event = AgentEvent::new(self.clock.date(), stage);
        self.tell(AgentEvent { detail: Some(detail.to_owned()), ..event });
    }

    fn later(&self, inbound: Inbound) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let _ = inbox.send(inbound).await;
        });
    }

    fn join(&mut self, ssid: &[u8], password: &[u8]) {
        let fits = self.options.network.as_ref().is_none_or(|(s, p)| s == ssid && p == password);
        self.joined = fits.then(|| ssid.to_vec());
        let event = match fits {
            true => RadioEvent::Joined(self.options.lan),
            false => RadioEvent::JoinFailed(WRONG_NETWORK),
        };
        self.later(Inbound::Radio(event));
    }

    /// Listens on a channel of the simulated air ([`roadstead_dialects::air`]), or not at all.
    fn monitor(&mut self, channel: Option<u8>) {
        let Some(channel) = channel else {
            self.radio.take().inspect(|radio| radio.task.abort());
            return;
        };
        if let Some(radio) = &self.radio {
            // A task that has ended hears nothing more, whatever the channel.
            let _ = radio.channel.send(channel);
            return;
        }
        let at = self.options.air;
        let socket = udp::bind(at).and_then(UdpSocket::from_std);
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!(%at, %error, "the simulated radio has no port"),
        };
        let (sender, tuned) = watch::channel(channel);
        let (inbox, start) = (self.inbox.clone(), self.clock.instant(Tick::ZERO));
        let task = tokio::spawn(async move {
            let mut frames = Frames::new(&socket, start);
            // An error is a broken socket: nothing more is heard.
            while let Ok(frame) = frames.next().await {
                let is_heard = frame.channel == *tuned.borrow();
                if is_heard && inbox.send(Inbound::Air(frame)).await.is_err() {
                    return;
                }
            }
        });
        self.radio = Some(Radio { channel: sender, task });
    }

    fn resolve(&self, name: Name, host: &str) {
        let (inbox, host) = (self.inbox.clone(), host.to_owned());
        tokio::spawn(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let address = match found.map(|mut all| all.next()) {
                Ok(Some(address)) => Ok(address.ip()),
                Ok(None) => Err(format!("`{host}` has no address")),
                Err(error) => Err(format!("`{host}`: {error}")),
            };
            let _ = inbox.send(Inbound::Resolved { name, address }).await;
        });
    }

    fn m2m(&mut self, action: M2mAction<'_>) {
        let action = match action {
            M2mAction::Connect { to, did, passcode, keep_alive, wait } => {
                self.connection += 1;
                let (sender, actions) = mpsc::channel(ACTIONS_MAX);
                self.actions = Some(sender);
                let (did, passcode) = (did.to_owned(), passcode.to_vec());
                let login = Login { to, did, passcode, keep_alive, wait };
                let inbox = self.inbox.clone();
                let results = Results { connection: self.connection, inbox };
                tokio::spawn(m2m::run(login, actions, results));
                return;
            }
            M2mAction::Close => {
                self.connection += 1;
                self.actions = None;
                return;
            }
            M2mAction::Subscribe(filter) => Action::Subscribe(filter.to_owned()),
            M2mAction::Publish { topic, payload } => {
                Action::Publish(topic.to_owned(), Bytes::copy_from_slice(payload))
            }
            M2mAction::Ping => Action::Ping,
        };
        // A task that is stuck or gone says so itself.
        let stuck = self.actions.as_ref().is_some_and(|actions| actions.try_send(action).is_err());
        if stuck {
            self.actions = None;
        }
    }

    fn event(&mut self, event: Event<'_>) {
        let at = self.clock.date();
        match event {
            Event::McuReady(key) => self.tell_text("mcu_ready", key),
            Event::Configuring(way) => {
                self.waits = way == "softap";
                self.tell_text("provisioning_started", way);
            }
            Event::Configured(way) => self.tell_text("credentials_received", way),
            Event::Joined => self.tell(AgentEvent::new(at, "network_joined")),
            Event::Registered(did) => self.tell_text("registered", did),
            Event::Online => self.tell(AgentEvent::new(at, "online")),
            Event::Offline => self.tell(AgentEvent::new(at, "offline")),
            Event::Status(word) => self.tell_data("status", status(word)),
            Event::Failed(code, detail) => {
                self.tell(AgentEvent::of_failure(at, code, detail.to_owned()));
            }
        }
    }
}

/// Returns a status word as a document.
pub(super) fn status(word: u16) -> serde_json::Value {
    let s = Status::of(word);
    json!({
        "word": format!("{word:04x}"), "soft_ap": s.soft_ap, "station": s.station,
        "onboarding": s.onboarding, "binding": s.binding, "router": s.router, "cloud": s.cloud,
        "signal": s.signal, "app": s.app, "test": s.test,
    })
}

fn leds(leds: Leds) -> serde_json::Value {
    json!({ "red": leds.red.name(), "green": leds.green.name() })
}

impl Outbox for Hardware {
    fn put(&mut self, output: Output<'_>) {
        if matches!(output, Output::OpenAp { .. } | Output::Join { .. } | Output::RadioOff) {
            self.monitor(None);
        }
        match output {
            Output::Serial(bytes) => match &self.port {
                None => self.to_mcu.push_back(bytes.to_vec()),
                Some(port) => {
                    if let Err(error) = port.write(bytes) {
                        tracing::warn!(%error, "serial port does not take bytes");
                    }
                }
            },
            Output::OpenAp { ssid, .. } => {
                self.joined = None;
                tracing::info!(ssid, "own access point");
                self.later(Inbound::Radio(RadioEvent::ApStarted));
            }
            Output::Join { ssid, password } => self.join(ssid, password),
            Output::Monitor(channel) => {
                self.joined = None;
                self.monitor(Some(channel));
            }
            Output::RadioOff => self.joined = None,
            Output::Scan => self.later(Inbound::Scanned),
            Output::Serve { lan, web } => self.sockets.serve(lan, web),
            Output::Udp { to, bytes } => self.sockets.datagram(to, bytes),
            Output::Broadcast(bytes) => {
                self.sockets.broadcast(broadcast_address(&self.options), bytes);
            }
            Output::Tcp { conn, bytes } => self.sockets.send(conn, bytes),
            Output::CloseTcp(conn) => self.sockets.close(conn),
            Output::Resolve { name, host } => self.resolve(name, host),
            Output::Http { id, to, request, wait, body_bytes_max } => {
                let (inbox, request) = (self.inbox.clone(), request.to_vec());
                tokio::spawn(async move {
                    let result = http::exchange(to, &request, wait, body_bytes_max).await;
                    let _ = inbox.send(Inbound::Http { id, result }).await;
                });
            }
            Output::M2m(action) => self.m2m(action),
            Output::Leds(now) => self.tell_data("leds", leds(now)),
            Output::Install { version, image } => {
                let mut keep = |key, bytes| self.files.put(key, Some(&Secret::new(bytes))).is_ok();
                let kept = keep(FIRMWARE, image) && keep(FIRMWARE_VERSION, version.as_bytes());
                self.tell_text("firmware", version);
                self.later(Inbound::Installed(kept));
            }
            Output::Watchdog => {
                if let Some(watchdog) = &self.options.watchdog {
                    watchdog.feed();
                }
            }
            Output::Log { level, line } => match level {
                Level::Critical | Level::Error => tracing::error!("{line}"),
                Level::Warning => tracing::warn!("{line}"),
                Level::Info => tracing::info!("{line}"),
                Level::Debug => tracing::debug!("{line}"),
            },
            Output::Event(event) => self.event(event),
            Output::Restart(reason) => {
                self.tell_text("restarted", &reason.to_string());
                self.restart = Some(reason);
            }
        }
    }

    fn save(&mut self, record: &[u8]) -> bool {
        let kept = self.files.put(RECORD, Some(&Secret::new(record)));
        if let Err(error) = &kept {
            tracing::error!(%error, "flash");
        }
        kept.is_ok()
    }
}
