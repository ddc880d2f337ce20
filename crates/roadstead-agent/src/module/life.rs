//! One life of a module: from power-on to a restart.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use roadstead_core::Tick;
use roadstead_dialects::gizwits::mcu::{self, Hand, Mcu};
use roadstead_dialects::gizwits::module::{Flash, Input, M2mEvent, Module, TcpEvent};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::hardware::{FIRMWARE_VERSION, Hardware, Inbound, RECORD};
use super::m2m::Word;
use super::serial::SerialPort;
use super::{Board, Line, ModuleError, Observer, Options, Press};
use crate::hal::Store as _;
use crate::hal::net::{Clock, Files};

/// Results that wait for the loop; senders wait when it is full.
const INBOX_MAX: usize = 256;
/// Bytes read from the serial port at once.
const READ_BYTES: usize = 1024;
/// Time a module is dark between two lives.
const DARK: Duration = Duration::from_millis(100);

/// A module that is on.
pub(super) struct Life {
    module: Module,
    mcu: Option<Mcu>,
    /// Where the MCU is afterwards: it has its own supply.
    board: Board,
    hardware: Hardware,
    inbox: mpsc::Receiver<Inbound>,
    clock: Clock,
    factory: Vec<u8>,
    key: Option<Press>,
}

impl Life {
    pub(super) fn new(
        options: &Arc<Options>,
        clock: Clock,
        observer: &Observer,
        board: &Board,
    ) -> Result<Self, ModuleError> {
        let mut files = Files::open(&options.data_dir)?;
        let mut config = options.config.clone();
        if let Some(version) = installed(&mut files)? {
            config.software = version;
        }
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let (mcu, port) = match &options.line {
            Line::Virtual { product_key, panel, bindable_s } => {
                let kept = board.lock().unwrap_or_else(PoisonError::into_inner).take();
                let mcu = kept.unwrap_or_else(|| {
                    let mut info = Mcu::new(product_key, panel.clone()).info().clone();
                    info.bindable_s = *bindable_s;
                    Mcu::with_info(info, panel.clone())
                });
                (Some(mcu), None)
            }
            Line::Port(path) => {
                let port = Arc::new(SerialPort::open(path)?);
                let (weak, sender) = (Arc::downgrade(&port), sender.clone());
                tokio::task::spawn_blocking(move || read(&weak, &sender));
                (None, Some(port))
            }
        };
        let module = Module::new(config, options.policy.clone());
        let hardware = Hardware::new(options, clock, observer, files, sender, port);
        let factory = match options.factory == Flash::default() {
            true => Vec::new(),
            false => options.factory.store(),
        };
        let (board, key) = (Arc::clone(board), options.key.clone());
        Ok(Self { module, mcu, board, hardware, inbox, clock, factory, key })
    }

    /// Runs until the module wants to restart.
    pub(super) async fn run(
        mut self,
        orders: &mut mpsc::Receiver<Press>,
    ) -> Result<(), ModuleError> {
        self.power_on()?;
        while self.hardware.restart.is_none() {
            let module = self.module.deadline().map(|(tick, _)| tick);
            let mcu = self.mcu.as_ref().and_then(Mcu::deadline);
            let module_at = module.map(|tick| self.clock.instant(tick));
            let mcu_at = mcu.map(|tick| self.clock.instant(tick));
            tokio::select! {
                biased;
                Some(inbound) = self.inbox.recv() => self.accept(inbound),
                Some(press) = orders.recv() => self.press(press),
                () = sleep(module_at) => self.feed(Input::Timeout),
                () = sleep(mcu_at) => self.feed_mcu(mcu::Input::Timeout),
            }
            if std::mem::take(&mut self.hardware.waits)
                && let Some(key) = self.key.clone()
            {
                self.press(key);
            }
        }
        drop(self);
        tokio::time::sleep(DARK).await;
        Ok(())
    }

    fn power_on(&mut self) -> Result<(), ModuleError> {
        let stored = self.hardware.files.load()?;
        let record = stored.into_iter().find(|(key, _)| **key == *RECORD);
        let record =
            record.map_or_else(|| self.factory.clone(), |(_, value)| value.expose().to_vec());
        let mut entropy = [0; 32];
        if getrandom::fill(&mut entropy).is_err() {
            tracing::error!("no entropy: the passcode would not be a secret");
        }
        self.feed_mcu(mcu::Input::Start);
        let date = Some(self.clock.date());
        self.feed(Input::Start { flash: &record, entropy, date });
        Ok(())
    }

    fn now(&self) -> Tick {
        self.clock.tick()
    }

    /// Feeds the module, and the virtual MCU with what came of it, until both are quiet.
    fn feed(&mut self, input: Input<'_>) {
        let now = self.now();
        self.module.handle(input, now, &mut self.hardware);
        while let Some(bytes) = self.hardware.to_mcu.pop_front() {
            self.mcu_step(mcu::Input::Serial(&bytes));
        }
    }

    fn feed_mcu(&mut self, input: mcu::Input<'_>) {
        self.mcu_step(input);
        while let Some(bytes) = self.hardware.to_mcu.pop_front() {
            self.mcu_step(mcu::Input::Serial(&bytes));
        }
    }

    fn mcu_step(&mut self, input: mcu::Input<'_>) {
        let now = self.now();
        let Some(mcu) = &mut self.mcu else { return };
        let (mut wire, mut set, mut image, mut dead) = (Vec::new(), None, None, false);
        mcu.handle(input, now, &mut |output| match output {
            mcu::Output::Serial(bytes) => wire.push(bytes.to_vec()),
            mcu::Output::Set(values) => set = Some(values.clone()),
            mcu::Output::Firmware(bytes) => image = Some(bytes.len()),
            mcu::Output::ModuleDead => dead = true,
            mcu::Output::Status(_) | mcu::Output::Raw(_) | mcu::Output::Time(_) => {}
        });
        if let Some(set) = set {
            let values = mcu.panel().values();
            self.hardware.tell_data("property_set", json!(set));
            self.hardware.tell_data("data_points", json!(values));
        }
        if let Some(bytes) = image {
            let version = String::from_utf8_lossy(&mcu.info().software);
            self.hardware.tell_data("mcu_firmware", json!({"version": version, "bytes": bytes}));
        }
        for bytes in wire {
            self.module.handle(Input::Serial(&bytes), now, &mut self.hardware);
        }
        if dead {
            self.hardware
                .restart
                .get_or_insert(roadstead_dialects::gizwits::module::RestartReason::Asked);
        }
    }

    fn press(&mut self, press: Press) {
        let hand = match &press {
            Press::Change(values) => Hand::Change(values),
            Press::SoftAp => Hand::SoftAp,
            Press::AirLink => Hand::AirLink,
            Press::Reset => Hand::Reset,
            Press::Bindable => Hand::Bindable,
        };
        self.feed_mcu(mcu::Input::Hand(hand));
        if let (Press::Change(_), Some(mcu)) = (&press, &self.mcu) {
            self.hardware.tell_data("data_points", json!(mcu.panel().values()));
        }
    }

    fn accept(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Radio(event) => self.feed(Input::Radio(event)),
            Inbound::Scanned => {
                let networks = self.hardware.networks();
                self.feed(Input::Scanned(&networks));
            }
            Inbound::Udp { from, bytes } => self.feed(Input::Udp { from, bytes: &bytes }),
            Inbound::Accepted { port, stream } => {
                if let Some(conn) = self.hardware.sockets.accept(stream) {
                    self.feed(Input::Tcp { conn, event: TcpEvent::Opened(port) });
                }
            }
            Inbound::Tcp { conn, bytes } if bytes.is_empty() => {
                self.hardware.sockets.close(conn);
                self.feed(Input::Tcp { conn, event: TcpEvent::Closed });
            }
            Inbound::Tcp { conn, bytes } => {
                if self.hardware.sockets.is_open(conn) {
                    self.feed(Input::Tcp { conn, event: TcpEvent::Data(&bytes) });
                }
            }
            Inbound::Resolved { name, address } => {
                let address = address.as_ref().map(|ip| *ip).map_err(String::as_str);
                self.feed(Input::Resolved { name, address });
            }
            Inbound::Http { id, result } => {
                let result = result.as_ref().map(|(head, body)| (head, &body[..]));
                self.feed(Input::Http { id, result });
            }
            Inbound::M2m { connection, word } if connection == self.hardware.connection => {
                self.word(&word);
            }
            Inbound::M2m { .. } => {}
            Inbound::Air(frame) => self.feed(Input::Air(&frame)),
            Inbound::Serial(bytes) => self.feed(Input::Serial(&bytes)),
            Inbound::Installed(done) => self.feed(Input::Installed(done)),
        }
    }

    fn word(&mut self, word: &Word) {
        let event = match word {
            Word::Connected => M2mEvent::Connected,
            Word::Refused(code) => M2mEvent::Refused(*code),
            Word::Subscribed(done) => M2mEvent::Subscribed(*done),
            Word::Message(topic, payload) => M2mEvent::Message { topic, payload },
            Word::Pong => M2mEvent::Pong,
            Word::Closed(why) => M2mEvent::Closed(why),
        };
        self.feed(Input::M2m(event));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = self.mcu.take();
    }
}

/// Returns the version of the firmware that was installed last, when it is one (seed §2.2.2).
fn installed(files: &mut Files) -> Result<Option<[u8; 8]>, ModuleError> {
    let stored = files.load()?.into_iter().find(|(key, _)| **key == *FIRMWARE_VERSION);
    let version: Option<[u8; 8]> = stored.and_then(|(_, v)| v.expose().try_into().ok());
    Ok(version.filter(|version| version.iter().all(u8::is_ascii_digit)))
}

async fn sleep(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Reads the port until the life that opened it is over.
fn read(port: &std::sync::Weak<SerialPort>, inbox: &mpsc::Sender<Inbound>) {
    let mut buffer = vec![0; READ_BYTES];
    while let Some(open) = port.upgrade() {
        let read = open.read(&mut buffer);
        drop(open);
        let len = match read {
            Ok(len) => len,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return tracing::error!(%error, "serial port is gone"),
        };
        let bytes = buffer.get(..len).unwrap_or_default().to_vec();
        if len > 0 && inbox.blocking_send(Inbound::Serial(bytes)).is_err() {
            return;
        }
    }
}
