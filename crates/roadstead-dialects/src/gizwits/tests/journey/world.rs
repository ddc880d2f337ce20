//! The world of a journey: module, MCU, phone and cloud with the networks between them, in virtual
//! time. A share of all datagrams is lost; once a minute a TCP connection breaks.

use std::collections::BTreeMap;
use std::string::{String, ToString as _};
use std::vec::Vec;

use core::time::Duration;
use md5::{Digest as _, Md5};
use roadstead_core::exchange::Downlink;
use roadstead_core::{Tick, Timestamp};
use roadstead_wire::http::Head;

use super::super::lab::Lab;
use super::cloud::M2m;
use super::hardware::{Hardware, Todo, Up};
use super::phone::{Phone, Place, Wish};
use crate::cloud::Message;
use crate::device::{Fault, FaultKind, Random};
use crate::gizwits::app::TalkInput;
use crate::gizwits::lan::TCP_PORT;
use crate::gizwits::mcu::{self, Mcu};
use crate::gizwits::module::{
    Config, ConnId, Input, M2mEvent, Module, Name, Network, Policy, RadioEvent, TcpEvent,
};

pub(super) const SSID: &[u8] = b"Office";
pub(super) const PASSWORD: &str = "office-key";
pub(super) const MAC: [u8; 6] = [0x02, 0x47, 0x49, 0x5A, 0x00, 0x01];
/// Date at the start.
const DATE: i64 = 1_795_221_215_000;
/// One way through the air at home.
const AIR: u64 = 3;
/// One way to the cloud.
const INTERNET: u64 = 40;
/// Time to join a network.
const JOIN: u64 = 2_000;
/// Time from reset to the first instruction.
const BOOT: u64 = 300;
/// Longest wait of the platform for an answer.
const ANSWER: u64 = 5_000;

/// What travels, and what comes true.
enum Due {
    Power,
    Radio(RadioEvent),
    Scanned,
    Resolved(Name),
    /// A request is at the server.
    Http(u32, String),
    HttpDone(u32, Result<(Head, Vec<u8>), Fault>),
    Installed,
    Serial(Vec<u8>),
    McuSerial(Vec<u8>),
    ToModule(Place, Vec<u8>),
    ToPhone(Place, Vec<u8>),
    PhoneJoins,
    PhoneHome,
    LanOpen(ConnId),
    LanUp(ConnId, Vec<u8>),
    LanDown(ConnId, Vec<u8>),
    LanOver(ConnId),
    CloudUp(u64, Up),
    CloudDown(u64, Down),
    Break,
}

/// From the M2M server to the module.
enum Down {
    ConnAck(u8),
    SubAck(bool),
    Pong,
    Message(Message),
    Closed,
}

/// How bad the networks are.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    /// Datagrams lost, of 100.
    pub(super) loss: u64,
    /// Once a minute a TCP connection breaks.
    pub(super) breaks: bool,
}

/// The whole.
pub(super) struct World {
    pub(super) module: Module,
    hardware: Hardware,
    pub(super) mcu: Mcu,
    pub(super) phone: Phone,
    pub(super) cloud: M2m,
    /// Where the module's radio is.
    air: Place,
    serves: bool,
    /// Phones' connections that are open at the module.
    lan: Vec<ConnId>,
    /// The module's M2M connection; the second is false when it is dead without anybody's notice.
    m2m: Option<(u64, bool)>,
    conns: u64,
    /// The next packet to the module leaves then at the earliest (one packet per segment).
    paced: Tick,
    /// The next HTTP exchange breaks: before the server has it, or after.
    http_breaks: Option<bool>,
    now: Tick,
    due: BTreeMap<(Tick, u64), Due>,
    count: u64,
    dice: Random,
    weather: Weather,
    /// Calls and log-ins in order.
    pub(super) calls: Vec<String>,
    /// Datagrams lost and connections broken.
    pub(super) lost: u32,
    pub(super) broken: u32,
}

impl World {
    pub(super) fn new(lab: Lab, mcu: Mcu, weather: Weather, seed: u64) -> Self {
        let mut world = Self {
            module: Module::new(Config::new(MAC), Policy::document()),
            hardware: Hardware::default(),
            mcu,
            phone: Phone::new(),
            cloud: M2m::new(lab),
            air: Place::Nowhere,
            serves: false,
            lan: Vec::new(),
            m2m: None,
            conns: 0,
            paced: Tick::ZERO,
            http_breaks: None,
            now: Tick::ZERO,
            due: BTreeMap::new(),
            count: 0,
            dice: Random::new(seed),
            weather,
            calls: Vec::new(),
            lost: 0,
            broken: 0,
        };
        world.after(0, Due::Power);
        world.next_break();
        world
    }

    pub(super) fn flash(&self) -> &[u8] {
        &self.hardware.flash
    }

    pub(super) fn log(&self) -> &[String] {
        self.hardware.log.get(self.hardware.log.len().saturating_sub(40)..).unwrap_or_default()
    }

    pub(super) fn now_s(&self) -> u64 {
        self.now.as_millis() / 1000
    }

    /// Another board behind the module; it is switched on and restarts the module.
    pub(super) fn exchange_mcu(&mut self, mcu: Mcu) {
        self.mcu = mcu;
        self.feed_mcu(mcu::Input::Start);
        self.hand(mcu::Hand::Restart);
    }

    /// A hand at the device.
    pub(super) fn hand(&mut self, hand: mcu::Hand<'_>) {
        self.feed_mcu(mcu::Input::Hand(hand));
    }

    /// The owner presses something on the phone.
    pub(super) fn act(&mut self, action: &[u8]) {
        let now = self.now;
        self.phone.act(action, now);
        self.serve_phone();
    }

    pub(super) fn refresh(&mut self) {
        let now = self.now;
        self.phone.refresh(now);
        self.serve_phone();
    }

    /// The owner adds the device.
    pub(super) fn configure(&mut self) {
        self.phone.configure();
        self.serve_phone();
    }

    /// The business side asks until the module has answered; returns how often.
    pub(super) fn ask(&mut self, request: &Downlink) -> u32 {
        let before = self.cloud.answered;
        for tries in 1..1_000 {
            if let Some((conn, messages)) = self.cloud.ask(request) {
                self.deliver(conn, messages);
            }
            self.run(ANSWER, |world| world.cloud.answered > before);
            if self.cloud.answered > before {
                return tries;
            }
        }
        panic!("never answered: {:#?}", self.log());
    }

    /// Runs until something is true, or panics after `ms`.
    pub(super) fn until(&mut self, what: &str, ms: u64, is_true: impl Fn(&Self) -> bool) {
        self.run(ms, &is_true);
        assert!(is_true(self), "{what}: not after {ms} ms\n{:#?}", self.log());
    }

    /// Runs for `ms`, or until something is true.
    pub(super) fn run(&mut self, ms: u64, is_true: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_millis(ms);
        while !is_true(self) {
            let due = self.due.first_key_value().map(|((tick, _), _)| *tick);
            let module = self.module.deadline().map(|(tick, _)| tick);
            let (mcu, phone) = (self.mcu.deadline(), self.phone.deadline());
            let next = [due, module, mcu, phone].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.cloud.lab.now = Timestamp(DATE + self.now.as_millis() as i64);
            if due == Some(next) {
                if let Some((_, due)) = self.due.pop_first() {
                    self.happen(due);
                }
            } else if module == Some(next) {
                self.feed(Input::Timeout);
            } else if mcu == Some(next) {
                self.feed_mcu(mcu::Input::Timeout);
            } else {
                let now = self.now;
                self.phone.timeout(now);
                self.serve_phone();
            }
        }
    }

    fn after(&mut self, ms: u64, due: Due) {
        self.count += 1;
        self.due.insert((self.now + Duration::from_millis(ms), self.count), due);
    }

    fn is_lost(&mut self) -> bool {
        let lost = self.dice.below(100) < self.weather.loss;
        self.lost += u32::from(lost);
        lost
    }

    fn happen(&mut self, due: Due) {
        let now = self.now;
        match due {
            Due::Power => self.power(),
            Due::Radio(event) => {
                self.air = match event {
                    RadioEvent::ApStarted => Place::AtModule,
                    RadioEvent::Joined(_) => Place::Home,
                    RadioEvent::ApFailed | RadioEvent::JoinFailed(_) | RadioEvent::Lost => {
                        Place::Nowhere
                    }
                };
                self.feed(Input::Radio(event));
            }
            Due::Scanned => {
                let networks = [Network { ssid: SSID.to_vec(), power: 70 }];
                self.feed(Input::Scanned(&networks));
            }
            Due::Resolved(name) => {
                let address = Ok([10, 0, 0, 1].into());
                self.feed(Input::Resolved { name, address });
            }
            Due::Http(id, request) => self.serve_http(id, &request),
            Due::HttpDone(id, result) => {
                let result = result.as_ref().map(|(head, body)| (head, &body[..]));
                self.feed(Input::Http { id, result });
            }
            Due::Installed => self.feed(Input::Installed(true)),
            Due::Serial(bytes) => self.feed(Input::Serial(&bytes)),
            Due::McuSerial(bytes) => self.feed_mcu(mcu::Input::Serial(&bytes)),
            Due::ToModule(place, bytes) if place == self.air => {
                let from = ([192, 168, 1, 2], 40_001).into();
                self.feed(Input::Udp { from, bytes: &bytes });
            }
            Due::ToPhone(place, bytes) if place == self.phone.place => {
                self.phone.datagram(&bytes, now);
            }
            Due::ToModule(..) | Due::ToPhone(..) => {}
            Due::PhoneJoins if self.air == Place::AtModule => {
                self.phone.moved(Place::AtModule, now);
            }
            Due::PhoneJoins => self.after(1_000, Due::PhoneJoins),
            Due::PhoneHome => self.phone.moved(Place::Home, now),
            Due::LanOpen(conn) if self.air == Place::Home && self.serves => {
                self.lan.push(conn);
                self.feed(Input::Tcp { conn, event: TcpEvent::Opened(TCP_PORT) });
                self.phone.tcp(conn, TalkInput::Connected, now);
            }
            Due::LanOpen(conn) | Due::LanOver(conn) => {
                self.phone.tcp(conn, TalkInput::Closed, now);
            }
            Due::LanUp(conn, bytes) if self.lan.contains(&conn) => {
                self.feed(Input::Tcp { conn, event: TcpEvent::Data(&bytes) });
            }
            Due::LanUp(..) => {}
            Due::LanDown(conn, bytes) => self.phone.tcp(conn, TalkInput::Data(&bytes), now),
            Due::CloudUp(conn, up) => self.serve_m2m(conn, up),
            Due::CloudDown(conn, down) if self.m2m == Some((conn, true)) => {
                self.m2m_event(&down);
            }
            Due::CloudDown(..) => {}
            Due::Break => {
                self.break_one();
                self.next_break();
            }
        }
        self.serve_phone();
    }

    /// Switches the module on; nothing of its former life reaches it.
    fn power(&mut self) {
        let mut entropy = [0; 32];
        entropy.fill_with(|| self.dice.bits() as u8);
        let flash = self.hardware.flash.clone();
        self.feed(Input::Start { flash: &flash, entropy, date: None });
    }

    /// The module goes dark.
    fn restart(&mut self) {
        self.leave_air();
        self.serves = false;
        for conn in core::mem::take(&mut self.lan) {
            self.after(AIR, Due::LanOver(conn));
        }
        self.close_m2m();
        let is_others = |due: &Due| {
            matches!(
                due,
                Due::McuSerial(_)
                    | Due::ToPhone(..)
                    | Due::PhoneJoins
                    | Due::PhoneHome
                    | Due::LanDown(..)
                    | Due::LanOver(_)
                    | Due::CloudUp(..)
                    | Due::Break
            )
        };
        self.due.retain(|_, due| is_others(due));
        self.after(BOOT, Due::Power);
    }

    fn feed(&mut self, input: Input<'_>) {
        self.module.handle(input, self.now, &mut self.hardware);
        for todo in core::mem::take(&mut self.hardware.todo) {
            self.perform(todo);
        }
    }

    fn perform(&mut self, todo: Todo) {
        match todo {
            Todo::Serial(bytes) => self.after(1, Due::McuSerial(bytes)),
            Todo::OpenAp => {
                self.leave_air();
                self.after(JOIN, Due::Radio(RadioEvent::ApStarted));
            }
            Todo::RadioOff => self.leave_air(),
            Todo::Join => {
                self.leave_air();
                self.after(JOIN, Due::Radio(RadioEvent::Joined([192, 168, 1, 23].into())));
            }
            Todo::Scan => self.after(0, Due::Scanned),
            Todo::Serve(lan) => self.serves = lan,
            Todo::Datagram(bytes) => {
                if !self.is_lost() {
                    let air = self.air;
                    self.after(AIR, Due::ToPhone(air, bytes));
                }
            }
            Todo::Tcp(conn, bytes) => {
                if self.lan.contains(&conn) {
                    self.after(AIR, Due::LanDown(conn, bytes));
                }
            }
            Todo::CloseTcp(conn) => {
                self.lan.retain(|open| *open != conn);
                self.after(AIR, Due::LanOver(conn));
            }
            Todo::Resolve(name) => self.after(INTERNET, Due::Resolved(name)),
            Todo::Http(id, request) => match self.http_breaks.take_if(|is_late| !*is_late) {
                Some(_) => self.http_broken(id),
                None => self.after(INTERNET, Due::Http(id, request)),
            },
            Todo::Connect(did, passcode) => {
                self.close_m2m();
                self.conns += 1;
                self.m2m = Some((self.conns, true));
                self.calls.push("log-in".to_string());
                self.send_up(Up::Connect(did, passcode));
            }
            Todo::Cloud(Up::Closed) => self.close_m2m(),
            Todo::Cloud(up) => self.send_up(up),
            Todo::Install => self.after(50, Due::Installed),
            Todo::Restart => self.restart(),
        }
    }

    /// The module's own network, or its place in one, is gone; whoever was in it notices.
    fn leave_air(&mut self) {
        self.air = Place::Nowhere;
        let now = self.now;
        if self.phone.place == Place::AtModule {
            self.phone.moved(Place::Nowhere, now);
        }
    }

    fn feed_mcu(&mut self, input: mcu::Input<'_>) {
        let (mut wire, mut firmware, mut is_dead) = (Vec::new(), false, false);
        self.mcu.handle(input, self.now, &mut |output| match output {
            mcu::Output::Serial(bytes) => wire.push(bytes.to_vec()),
            mcu::Output::Firmware(image) => {
                assert_eq!(image, super::firmware());
                firmware = true;
            }
            mcu::Output::ModuleDead => is_dead = true,
            mcu::Output::Status(_)
            | mcu::Output::Set(_)
            | mcu::Output::Raw(_)
            | mcu::Output::Time(_) => {}
        });
        if firmware {
            self.mcu.set_software(*b"00000003");
        }
        for bytes in wire {
            self.after(1, Due::Serial(bytes));
        }
        assert!(!is_dead, "the module was silent");
    }

    fn serve_phone(&mut self) {
        for wish in core::mem::take(&mut self.phone.wishes) {
            match wish {
                Wish::Udp(place, bytes) => {
                    if !self.is_lost() {
                        self.after(AIR, Due::ToModule(place, bytes));
                    }
                }
                Wish::Join => self.after(JOIN, Due::PhoneJoins),
                Wish::GoHome => {
                    self.phone.place = Place::Nowhere;
                    self.after(JOIN, Due::PhoneHome);
                }
                Wish::Connect(conn) => self.after(AIR, Due::LanOpen(conn)),
                Wish::Send(conn, bytes) => self.after(AIR, Due::LanUp(conn, bytes)),
                Wish::Close(conn) => self.close_lan(conn),
            }
        }
    }

    /// A phone's connection ends at the module.
    fn close_lan(&mut self, conn: ConnId) {
        if self.lan.contains(&conn) {
            self.lan.retain(|open| *open != conn);
            self.feed(Input::Tcp { conn, event: TcpEvent::Closed });
        }
    }

    fn http_broken(&mut self, id: u32) {
        self.broken += 1;
        let fault = Fault::new(FaultKind::Closed, "connection reset");
        self.after(INTERNET, Due::HttpDone(id, Err(fault)));
    }

    fn serve_http(&mut self, id: u32, request: &str) {
        let call = request.split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ");
        self.calls.push(call);
        let (status, headers, body) = match self.cloud.lab.raw(request) {
            Some(response) => (response.status, Vec::new(), response.body),
            None => {
                assert!(request.starts_with("GET /mcu.bin "), "{request}");
                let sum = hex::encode(Md5::digest(super::firmware())).into_bytes();
                let headers = [("Firmware-MD5".into(), sum.into_boxed_slice())];
                (200, headers.into(), super::firmware().to_vec())
            }
        };
        // The server has done it, and the module does not know.
        if self.http_breaks.take_if(|is_late| *is_late).is_some() {
            return self.http_broken(id);
        }
        let head = Head { status, headers, length: None };
        self.after(INTERNET, Due::HttpDone(id, Ok((head, body))));
    }

    fn send_up(&mut self, up: Up) {
        if let Some((conn, true)) = self.m2m {
            self.after(INTERNET, Due::CloudUp(conn, up));
        }
    }

    /// The module has closed its connection.
    fn close_m2m(&mut self) {
        self.send_up(Up::Closed);
        self.m2m = None;
    }

    fn serve_m2m(&mut self, conn: u64, up: Up) {
        let down = match up {
            Up::Connect(did, passcode) => {
                let random = self.dice.bits();
                Down::ConnAck(self.cloud.connect(conn, &did, &passcode, random))
            }
            Up::Subscribe(filter) => match self.cloud.subscribe(conn, &filter) {
                Some(is_granted) => Down::SubAck(is_granted),
                None => Down::Closed,
            },
            Up::Publish(topic, payload) => {
                let messages = self.cloud.publish(conn, &topic, &payload);
                return self.deliver(conn, messages);
            }
            Up::Ping => Down::Pong,
            Up::Closed => return self.cloud.closed(conn),
        };
        self.after(INTERNET, Due::CloudDown(conn, down));
    }

    /// Sends messages to the module, one packet at a time.
    fn deliver(&mut self, conn: u64, messages: Vec<Message>) {
        for message in messages {
            let gap = self.cloud.lab.cloud.pace().unwrap_or_default();
            let at = self.paced.max(self.now);
            self.paced = at + gap;
            let wait = at.since(self.now).as_millis() as u64;
            self.after(wait + INTERNET, Due::CloudDown(conn, Down::Message(message)));
        }
    }

    fn m2m_event(&mut self, down: &Down) {
        let event = match down {
            Down::ConnAck(0) => M2mEvent::Connected,
            Down::ConnAck(code) => M2mEvent::Refused(*code),
            Down::SubAck(is_granted) => M2mEvent::Subscribed(*is_granted),
            Down::Pong => M2mEvent::Pong,
            Down::Message(Message { topic, payload, .. }) => M2mEvent::Message { topic, payload },
            Down::Closed => {
                self.m2m = None;
                M2mEvent::Closed("connection reset")
            }
        };
        self.feed(Input::M2m(event));
    }

    fn next_break(&mut self) {
        if self.weather.breaks {
            // Once in every minute, at any moment of it.
            let minute = self.now.as_millis() / 60_000 + 1;
            let at = minute * 60_000 + self.dice.below(60_000);
            self.after(at - self.now.as_millis(), Due::Break);
        }
    }

    /// Breaks one TCP connection: the M2M one with or without notice, a phone's, or the next
    /// HTTP exchange before or after the server has done its part.
    fn break_one(&mut self) {
        match (self.dice.below(8), self.m2m, self.lan.first().copied()) {
            (0..3, Some((conn, true)), _) => {
                self.broken += 1;
                self.cloud.closed(conn);
                self.after(0, Due::CloudDown(conn, Down::Closed));
            }
            (3, Some((conn, true)), _) => {
                self.broken += 1;
                self.m2m = Some((conn, false));
            }
            (4..6, _, Some(conn)) => {
                self.broken += 1;
                self.close_lan(conn);
                self.after(0, Due::LanOver(conn));
            }
            (side, ..) => self.http_breaks = Some(side % 2 == 1),
        }
    }
}
