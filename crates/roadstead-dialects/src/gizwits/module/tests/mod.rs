//! A world in virtual time around one module: MCU, radio, resolver, API, M2M server, phones.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests look for one kind of happening")]

mod bad;
mod cloud;
mod lan;
mod modes;
mod replay;
mod serial;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::string::{String, ToString as _};
use std::vec::Vec;

use roadstead_core::{Secret, Tick};
use roadstead_wire::http::Head;

use super::super::lan::{Framer, Message, TCP_PORT};
use super::super::mcu::{self, Mcu, Panel};
use super::super::serial::Status;
use super::*;
use crate::device::{Fault, FaultKind};

pub(super) const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";
pub(super) const DID: &str = "GzwDemo0123456789ABCDE";
pub(super) const MAC: [u8; 6] = [0x02, 0x47, 0x49, 0x5A, 0x00, 0x01];
const PROVISION: &str = "host=m2m.gizwits.com&port=1883&server_ts=1795221644&log_host=&log_port=&";

/// Something the module did, in words and bytes of its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Did {
    Serial(Vec<u8>),
    OpenAp(String),
    Join(String),
    Channel(u8),
    RadioOff,
    Scan,
    Serve(bool, bool),
    Udp(SocketAddr, Vec<u8>),
    Broadcast(Vec<u8>),
    Tcp(ConnId, Vec<u8>),
    CloseTcp(ConnId),
    Resolve(Name, String),
    Http { id: u32, request: String },
    Connect(String),
    Subscribe(String),
    Publish(String, Vec<u8>),
    Ping,
    CloseM2m,
    Leds(Leds),
    Install(String, Vec<u8>),
    Log(Level, String),
    Status(u16),
    Event(String),
    Restart(RestartReason),
}

/// What the API does with a request.
pub(super) enum Api {
    Answer(u16, String),
    File(Vec<u8>, &'static str),
    Silent,
    Refused,
}

/// What the M2M server does with a log-in.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Server {
    Accepts,
    Refuses(u8),
    Silent,
    Closes,
    NoSubAck,
}

enum Due {
    Radio(RadioEvent),
    Scanned,
    Http(u32, Api),
    Resolved(Name),
    M2m(Words),
    Serial(Vec<u8>),
    McuSerial(Vec<u8>),
    Tcp(ConnId, Vec<u8>),
    TcpOpened(ConnId, u16),
    TcpClosed(ConnId),
    Udp(Vec<u8>),
    Power,
    Installed,
}

enum Words {
    Connected,
    Refused(u8),
    Subscribed(bool),
    Pong,
    Closed,
    Message(String, Vec<u8>),
}

#[derive(Default)]
struct Sink {
    did: Vec<Did>,
    flash: Vec<u8>,
    flash_fails: bool,
    writes: usize,
}

impl Outbox for Sink {
    fn put(&mut self, output: Output<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let did = match output {
            Output::Serial(bytes) => Did::Serial(bytes.to_vec()),
            Output::OpenAp { ssid, password } => Did::OpenAp(std::format!("{ssid} {password}")),
            Output::Join { ssid, password } => {
                Did::Join(std::format!("{} {}", text(ssid), text(password)))
            }
            Output::Monitor(channel) => Did::Channel(channel),
            Output::RadioOff => Did::RadioOff,
            Output::Scan => Did::Scan,
            Output::Serve { lan, web } => Did::Serve(lan, web),
            Output::Udp { to, bytes } => Did::Udp(to, bytes.to_vec()),
            Output::Broadcast(bytes) => Did::Broadcast(bytes.to_vec()),
            Output::Tcp { conn, bytes } => Did::Tcp(conn, bytes.to_vec()),
            Output::CloseTcp(conn) => Did::CloseTcp(conn),
            Output::Resolve { name, host } => Did::Resolve(name, host.to_string()),
            Output::Http { id, request, .. } => Did::Http { id, request: text(request) },
            Output::M2m(M2mAction::Connect { did, passcode, keep_alive, .. }) => {
                let seconds = keep_alive.as_secs();
                Did::Connect(std::format!("{did} {} {seconds}", text(passcode)))
            }
            Output::M2m(M2mAction::Subscribe(filter)) => Did::Subscribe(filter.to_string()),
            Output::M2m(M2mAction::Publish { topic, payload }) => {
                Did::Publish(topic.to_string(), payload.to_vec())
            }
            Output::M2m(M2mAction::Ping) => Did::Ping,
            Output::M2m(M2mAction::Close) => Did::CloseM2m,
            Output::Leds(leds) => Did::Leds(leds),
            Output::Install { version, image } => Did::Install(version.to_string(), image.to_vec()),
            Output::Watchdog => return,
            Output::Log { level, line } => Did::Log(level, line.to_string()),
            Output::Event(Event::Status(word)) => Did::Status(word),
            Output::Event(event) => Did::Event(std::format!("{event:?}")),
            Output::Restart(reason) => Did::Restart(reason),
        };
        self.did.push(did);
    }

    fn save(&mut self, record: &[u8]) -> bool {
        self.writes += 1;
        if !self.flash_fails {
            self.flash = record.to_vec();
        }
        !self.flash_fails
    }
}

type ApiScript = Box<dyn FnMut(&str) -> Api>;

pub(super) struct Bench {
    module: Module,
    sink: Sink,
    now: Tick,
    due: BTreeMap<(Tick, u64), Due>,
    count: u64,
    said: Vec<(u64, Did)>,
    mcu: Option<Mcu>,
    mcu_status: Option<Status>,
    mcu_set: Vec<String>,
    mcu_firmware: Vec<u8>,
    networks: Vec<Network>,
    join: Result<(), i32>,
    api: ApiScript,
    server: Server,
    resolver: Option<IpAddr>,
    /// Datagrams lost, of 100.
    loss: u64,
    dice: Random,
    /// After a restart power comes back by itself.
    restarts: bool,
}

/// The recorded cloud: registers, provisions, has no firmware.
pub(super) fn good_api(request: &str) -> Api {
    if request.starts_with("POST /dev/devices ") {
        Api::Answer(201, std::format!("did={DID}"))
    } else if request.starts_with("GET /dev/devices/") {
        Api::Answer(200, PROVISION.to_string())
    } else if request.starts_with("DELETE ") {
        Api::Answer(200, String::new())
    } else {
        Api::Answer(404, r#"{"error_code":9027}"#.to_string())
    }
}

impl Bench {
    pub(super) fn new(policy: Policy) -> Self {
        let mut config = Config::new(MAC);
        config.hardware = *b"000LINUX";
        config.software = *b"04020006";
        config.check().expect("a module of the rules");
        let mut bench = Self {
            module: Module::new(config, policy),
            sink: Sink::default(),
            now: Tick::ZERO,
            due: BTreeMap::new(),
            count: 0,
            said: Vec::new(),
            mcu: Some(Mcu::new(KEY, Panel::pet_house())),
            mcu_status: None,
            mcu_set: Vec::new(),
            mcu_firmware: Vec::new(),
            networks: std::vec![network("Office", 87), network("Lab-2G", 45)],
            join: Ok(()),
            api: Box::new(good_api),
            server: Server::Accepts,
            resolver: Some([10, 0, 0, 1].into()),
            loss: 0,
            dice: Random::new(1),
            restarts: true,
        };
        bench.after(0, Due::Power);
        bench
    }

    /// A module that was configured earlier.
    pub(super) fn configured(policy: Policy) -> Self {
        Self::new(policy).with_flash(Flash {
            network: Some((b"Office"[..].into(), "office-key".into())),
            ..Flash::default()
        })
    }

    pub(super) fn with_flash(mut self, flash: Flash) -> Self {
        self.sink.flash = flash.store();
        self
    }

    /// Runs a configured module until it is in the cloud.
    pub(super) fn online(policy: Policy) -> Self {
        let mut bench = Self::configured(policy);
        bench.run(5_000);
        assert!(bench.module.status().cloud, "{:?}", bench.logs());
        bench
    }

    pub(super) fn flash(&self) -> Flash {
        Flash::load(&self.sink.flash).expect("a whole record")
    }

    pub(super) fn passcode(&self) -> Secret {
        self.flash().passcode.expect("made at the first start")
    }

    fn after(&mut self, ms: u64, due: Due) {
        self.count += 1;
        self.due.insert((self.now + Duration::from_millis(ms), self.count), due);
    }

    pub(super) fn status(&self) -> Status {
        self.module.status()
    }

    /// Runs the world for this long.
    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let due = self.due.first_key_value().map(|((tick, _), _)| *tick);
            let module = self.module.deadline();
            let mcu = self.mcu.as_ref().and_then(Mcu::deadline);
            let next = [due, module.map(|d| d.0), mcu].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next.max(self.now);
            if due == Some(next) {
                if let Some((_, due)) = self.due.pop_first() {
                    self.happen(due);
                }
            } else if module.is_some_and(|d| d.0 == next) {
                self.feed(Input::Timeout);
                let later = self.module.deadline();
                let later = later.is_none_or(|(at, _)| at > self.now);
                assert!(later, "asks for the past: {:?}", self.module.deadline());
            } else {
                self.mcu_input(mcu::Input::Timeout);
            }
        }
        self.now = end;
    }

    /// Runs until something is true, or panics after this long.
    pub(super) fn run_until(&mut self, ms: u64, what: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now.as_millis();
        while !what(self) {
            assert!(self.now.as_millis() - start < ms, "never happened: {:#?}", self.logs());
            self.run(10);
        }
        self.now.as_millis() - start
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Radio(event) => self.feed(Input::Radio(event)),
            Due::Scanned => {
                let networks = self.networks.clone();
                self.feed(Input::Scanned(&networks));
            }
            Due::Http(id, api) => self.answer(id, api),
            Due::Resolved(name) => {
                let address = self.resolver.ok_or("no such name");
                self.feed(Input::Resolved { name, address });
            }
            Due::M2m(words) => self.m2m(words),
            Due::Serial(bytes) => self.feed(Input::Serial(&bytes)),
            Due::McuSerial(bytes) => self.mcu_input(mcu::Input::Serial(&bytes)),
            Due::Tcp(conn, bytes) => {
                self.feed(Input::Tcp { conn, event: TcpEvent::Data(&bytes) });
            }
            Due::TcpOpened(conn, port) => {
                self.feed(Input::Tcp { conn, event: TcpEvent::Opened(port) });
            }
            Due::TcpClosed(conn) => self.feed(Input::Tcp { conn, event: TcpEvent::Closed }),
            Due::Udp(bytes) => self.feed(Input::Udp { from: phone(), bytes: &bytes }),
            Due::Power => self.power(),
            Due::Installed => self.feed(Input::Installed(true)),
        }
    }

    /// Switches the module on; what it had going on is gone.
    pub(super) fn power(&mut self) {
        self.due.retain(|_, due| matches!(due, Due::McuSerial(_) | Due::Power));
        let flash = self.sink.flash.clone();
        let entropy = [self.dice.below(256) as u8; 32];
        self.feed(Input::Start { flash: &flash, entropy, date: None });
    }

    fn answer(&mut self, id: u32, api: Api) {
        let head = |status, headers| Head { status, headers, length: None };
        match api {
            Api::Answer(status, body) => {
                let head = head(status, Vec::new());
                self.feed(Input::Http { id, result: Ok((&head, body.as_bytes())) });
            }
            Api::File(body, name) => {
                let name = std::format!("attachment; filename=\"{name}\"").into_bytes();
                let headers = std::vec![("Content-Disposition".into(), name.into())];
                let head = head(200, headers);
                self.feed(Input::Http { id, result: Ok((&head, &body)) });
            }
            Api::Silent => {}
            Api::Refused => {
                let fault = Fault::new(FaultKind::Connect, "connection refused");
                self.feed(Input::Http { id, result: Err(&fault) });
            }
        }
    }

    fn m2m(&mut self, words: Words) {
        let event = match &words {
            Words::Connected => M2mEvent::Connected,
            Words::Refused(code) => M2mEvent::Refused(*code),
            Words::Subscribed(done) => M2mEvent::Subscribed(*done),
            Words::Pong => M2mEvent::Pong,
            Words::Closed => M2mEvent::Closed("connection reset"),
            Words::Message(topic, payload) => M2mEvent::Message { topic, payload },
        };
        self.feed(Input::M2m(event));
    }

    fn feed(&mut self, input: Input<'_>) {
        self.module.handle(input, self.now, &mut self.sink);
        for did in core::mem::take(&mut self.sink.did) {
            self.said.push((self.now.as_millis(), did.clone()));
            self.perform(did);
        }
    }

    fn mcu_input(&mut self, input: mcu::Input<'_>) {
        let Some(mcu) = &mut self.mcu else { return };
        let mut wire = Vec::new();
        let (set, status, firmware) =
            (&mut self.mcu_set, &mut self.mcu_status, &mut self.mcu_firmware);
        mcu.handle(input, self.now, &mut |output| match output {
            mcu::Output::Serial(bytes) => wire.push(bytes.to_vec()),
            mcu::Output::Status(now) => *status = Some(now),
            mcu::Output::Set(values) => set.extend(values.keys().cloned()),
            mcu::Output::Firmware(bytes) => *firmware = bytes.to_vec(),
            mcu::Output::Raw(_) | mcu::Output::Time(_) | mcu::Output::ModuleDead => {}
        });
        for bytes in wire {
            self.after(1, Due::Serial(bytes));
        }
    }

    fn is_lost(&mut self) -> bool {
        self.dice.below(100) < self.loss
    }

    fn perform(&mut self, did: Did) {
        match did {
            Did::Serial(bytes) => self.after(1, Due::McuSerial(bytes)),
            Did::OpenAp(_) => self.after(5, Due::Radio(RadioEvent::ApStarted)),
            Did::Join(_) => {
                let event = match self.join {
                    Ok(()) => RadioEvent::Joined([192, 168, 1, 23].into()),
                    Err(code) => RadioEvent::JoinFailed(code),
                };
                self.after(20, Due::Radio(event));
            }
            Did::Scan => self.after(0, Due::Scanned),
            Did::Resolve(name, _) => self.after(1, Due::Resolved(name)),
            Did::Http { id, request } => {
                let api = (self.api)(&request);
                self.after(2, Due::Http(id, api));
            }
            Did::Connect(_) => match self.server {
                Server::Accepts | Server::NoSubAck => self.after(2, Due::M2m(Words::Connected)),
                Server::Refuses(code) => self.after(2, Due::M2m(Words::Refused(code))),
                Server::Closes => self.after(2, Due::M2m(Words::Closed)),
                Server::Silent => {}
            },
            Did::Subscribe(_) if self.server != Server::NoSubAck => {
                self.after(1, Due::M2m(Words::Subscribed(true)));
            }
            Did::Ping if self.server == Server::Accepts => self.after(1, Due::M2m(Words::Pong)),
            Did::Restart(_) if self.restarts => self.after(50, Due::Power),
            Did::Install(..) => self.after(1, Due::Installed),
            _ => {}
        }
    }

    /// Opens a phone's connection.
    pub(super) fn connect(&mut self, conn: ConnId) {
        self.after(0, Due::TcpOpened(conn, TCP_PORT));
        self.run(0);
    }

    pub(super) fn say(&mut self, conn: ConnId, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        self.after(0, Due::Tcp(conn, bytes));
        self.run(0);
    }

    /// Connects and logs in.
    pub(super) fn log_in(&mut self, conn: ConnId) {
        self.connect(conn);
        let passcode = self.passcode();
        self.say(conn, &Message::Login(passcode.expose()));
        assert_eq!(self.heard(conn).last(), Some(&std::vec![9, 0]), "log-in");
    }

    /// Command and body, joined, of every frame a phone was sent.
    pub(super) fn heard(&self, conn: ConnId) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for (_, did) in &self.said {
            if let Did::Tcp(to, bytes) = did
                && *to == conn
            {
                let (mut framer, mut input) = (Framer::new(), &bytes[..]);
                while let Some(frame) = framer.next(&mut input).expect("frames") {
                    found.push([&[frame.cmd as u8], frame.body].concat());
                }
            }
        }
        found
    }

    pub(super) fn datagram(&mut self, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        if !self.is_lost() {
            self.after(0, Due::Udp(bytes));
        }
        self.run(0);
    }

    /// Lets a client of the cloud speak.
    pub(super) fn cloud_says(&mut self, topic: &str, payload: &[u8]) {
        self.after(0, Due::M2m(Words::Message(topic.to_string(), payload.to_vec())));
        self.run(0);
    }

    pub(super) fn hand(&mut self, hand: mcu::Hand<'_>) {
        self.mcu_input(mcu::Input::Hand(hand));
        self.run(10);
    }

    pub(super) fn closed(&self, conn: ConnId) -> bool {
        self.said.iter().any(|(_, did)| *did == Did::CloseTcp(conn))
    }

    pub(super) fn count(&self, what: impl Fn(&Did) -> bool) -> usize {
        self.said.iter().filter(|(_, did)| what(did)).count()
    }

    /// When things of a kind happened, milliseconds.
    pub(super) fn times(&self, what: impl Fn(&Did) -> bool) -> Vec<u64> {
        self.said.iter().filter(|(_, did)| what(did)).map(|(ms, _)| *ms).collect()
    }

    pub(super) fn requests(&self) -> Vec<String> {
        let line = |did: &Did| match did {
            Did::Http { request, .. } => request.lines().next().map(String::from),
            _ => None,
        };
        self.said.iter().filter_map(|(_, did)| line(did)).collect()
    }

    pub(super) fn logs(&self) -> Vec<String> {
        let line = |(ms, did): &(u64, Did)| match did {
            Did::Log(level, line) => Some(std::format!("{ms} {}{line}", level.prefix())),
            _ => None,
        };
        self.said.iter().filter_map(line).collect()
    }

    pub(super) fn logged(&self, part: &str) -> bool {
        self.logs().iter().any(|line| line.contains(part))
    }

    pub(super) fn restarts(&self) -> Vec<RestartReason> {
        let reason = |did: &Did| match did {
            Did::Restart(reason) => Some(*reason),
            _ => None,
        };
        self.said.iter().filter_map(|(_, did)| reason(did)).collect()
    }

    pub(super) fn leds(&self) -> Leds {
        let leds = |did: &Did| match did {
            Did::Leds(leds) => Some(*leds),
            _ => None,
        };
        self.said.iter().rev().find_map(|(_, did)| leds(did)).unwrap_or_default()
    }

    pub(super) fn forget(&mut self) {
        self.said.clear();
    }
}

pub(super) fn network(ssid: &str, power: u8) -> Network {
    Network { ssid: ssid.as_bytes().to_vec(), power }
}

fn phone() -> SocketAddr {
    "10.10.100.2:40001".parse().expect("address")
}
