//! The module half: what a GAgent module does, without its hardware.
//!
//! ```text
//!            MCU                     phones                     cloud
//!   uart (serial, handshake)   clients (8), announce      chain: register, provision,
//!        |      file transfer      |   web page                 firmware, log-in, subscribe
//!        '-----------------> forward <------------------------- m2m
//!                               |
//!   mode: SoftAP | AirLink | station | test        status word, LEDs, log, flash, watchdog
//! ```
//! One machine, one file per concern; each is an `impl` of [`Module`] over its own part of the
//! state. Forwarding a frame allocates nothing once every peer has been heard.
//!
//! Numbers are in [`Policy`]: the document's, or those of the firmware in the field.
//!
//! Not here: Bluetooth, cellular modules, third-party clouds (the keyword is read and logged), TLS
//! to the M2M server, and the gateway extension of the serial protocol, whose numbers are unknown.
//!
//! Source: seed gizwits-gagent-specification (section numbers as `seed §n`); GizWits §7.

mod airlink;
mod announce;
mod bulk;
mod chain;
mod clients;
mod config;
mod flash;
mod forward;
mod io;
mod led;
mod m2m;
mod mode;
mod ota;
mod policy;
mod reply;
mod report;
mod reset;
mod signal;
mod test;
#[cfg(test)]
mod tests;
mod uart;
mod web;

use alloc::format;
use alloc::vec::Vec;

use roadstead_core::{Tick, Timestamp};

pub use config::{Config, ConfigError};
pub use flash::Flash;
pub use io::{
    ConnId, Event, Input, Level, M2mAction, M2mEvent, Name, Network, Outbox, Output, RadioEvent,
    RestartReason, TcpEvent,
};
pub use led::{Led, Leds, Sign};
pub use policy::{OtaRule, Policy};
pub use signal::Signal;
pub use web::{FormError, check_form};

use crate::device::Random;
use io::Cx;

/// The machine.
pub struct Module {
    config: Config,
    policy: Policy,
    flash: Flash,
    /// When to try a failed write of the flash again.
    flash_due: Option<Tick>,
    random: Random,
    entropy: [u8; 32],
    /// Date minus tick, milliseconds; `None` while the date is not known.
    clock_offset: Option<i64>,
    is_on: bool,
    restart: Option<(Tick, RestartReason)>,
    uart: uart::Uart,
    mode: mode::Mode,
    bindable: mode::Bindable,
    announcer: announce::Announcer,
    clients: clients::Clients,
    pages: web::Pages,
    test: Option<test::Test>,
    chain: chain::Chain,
    m2m: m2m::M2m,
    ota: ota::Ota,
    bulk: Option<bulk::Bulk>,
    report: report::Report,
    reset: Option<reset::Reset>,
    /// For frames under construction.
    scratch: Vec<u8>,
}

impl Module {
    /// Returns a module that is switched off.
    pub fn new(config: Config, policy: Policy) -> Self {
        Self {
            uart: uart::Uart::new(policy.link),
            chain: chain::Chain::default(),
            config,
            policy,
            flash: Flash::default(),
            flash_due: None,
            random: Random::new(0),
            entropy: [0; 32],
            clock_offset: None,
            is_on: false,
            restart: None,
            mode: mode::Mode::default(),
            bindable: mode::Bindable::default(),
            announcer: announce::Announcer::default(),
            clients: clients::Clients::default(),
            pages: web::Pages::default(),
            test: None,
            m2m: m2m::M2m::default(),
            ota: ota::Ota::default(),
            bulk: None,
            report: report::Report::default(),
            reset: None,
            scratch: Vec::with_capacity(4096),
        }
    }

    /// Feeds one input at `now`; the work it causes goes to `out`, in order.
    pub fn handle(&mut self, input: Input<'_>, now: Tick, out: &mut dyn Outbox) {
        let cx = &mut Cx { now, out };
        match input {
            Input::Start { flash, entropy, date } => self.start(flash, entropy, date, cx),
            _ if !self.is_on => return,
            Input::Timeout => self.timeout(cx),
            Input::Serial(bytes) => self.serial(bytes, cx),
            Input::Radio(event) => self.radio(event, cx),
            Input::Scanned(networks) => self.scanned(networks, cx),
            Input::Air(frame) => self.air(frame, cx),
            Input::Udp { from, bytes } => self.datagram(from, bytes, cx),
            Input::Tcp { conn, event } => self.tcp(conn, event, cx),
            Input::Resolved { name, address } => self.resolved(name, address, cx),
            Input::Http { id, result } => self.http(id, result, cx),
            Input::M2m(event) => self.m2m_event(event, cx),
            Input::Installed(done) => self.installed(done, cx),
        }
        if self.is_on {
            self.settle(cx);
        }
    }

    /// Returns when [`Input::Timeout`] is due, and why; `None` while switched off.
    pub fn deadline(&self) -> Option<(Tick, &'static str)> {
        if !self.is_on {
            return None;
        }
        let due = |at: Option<Tick>, why| at.map(|at| (at, why));
        [
            due(self.restart.map(|(at, _)| at), "restart"),
            due(self.flash_due, "flash"),
            self.uart_deadline(),
            self.mode_deadline(),
            due(self.bindable.deadline(), "bindable window"),
            due(self.announcer.deadline(), "announcement"),
            due(self.clients.deadline(self.lan_idle()), "phone"),
            due(self.pages.deadline(), "browser"),
            due(self.test.as_ref().map(test::Test::deadline), "production test"),
            self.chain_deadline(),
            self.m2m_deadline(),
            due(self.bulk.as_ref().map(bulk::Bulk::deadline), "piece of a file"),
            self.report_deadline(),
            due(self.reset.as_ref().map(reset::Reset::deadline), "deregistration"),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Returns the status word as it is now.
    pub fn status(&self) -> super::serial::Status {
        self.status_now()
    }

    /// Returns the device id, once registered.
    pub fn did(&self) -> Option<&str> {
        (!self.flash.did.is_empty()).then_some(&*self.flash.did)
    }

    fn start(
        &mut self,
        record: &[u8],
        entropy: [u8; 32],
        date: Option<Timestamp>,
        cx: &mut Cx<'_>,
    ) {
        *self = Self::new(self.config.clone(), self.policy.clone());
        self.is_on = true;
        self.entropy = entropy;
        self.random = io::dice(&entropy);
        let now_ms = cx.now.as_millis() as i64;
        self.clock_offset = date.map(|date| date.as_millis() - now_ms);
        match Flash::load(record) {
            Some(flash) => self.flash = flash,
            None if record.is_empty() => {}
            None => self.log(Level::Error, "flash record is broken: starting as new", cx),
        }
        self.announcer.arm(self.flash.is_fresh, self.policy.announcements);
        cx.put(Output::Watchdog);
        self.start_uart(cx);
        self.start_report(cx);
    }

    fn timeout(&mut self, cx: &mut Cx<'_>) {
        cx.put(Output::Watchdog);
        if let Some((_, reason)) = self.restart.filter(|(at, _)| cx.now >= *at) {
            return self.restart_now(reason, cx);
        }
        if self.flash_due.is_some_and(|at| cx.now >= at) {
            self.save(cx);
        }
        self.uart_timeout(cx);
        if !self.is_on {
            return;
        }
        self.mode_timeout(cx);
        self.announce_timeout(cx);
        self.clients_timeout(cx);
        self.pages_timeout(cx);
        self.test_timeout(cx);
        self.bulk_timeout(cx);
        self.reset_timeout(cx);
        self.chain_timeout(cx);
        if self.is_on {
            self.m2m_timeout(cx);
        }
    }

    /// After every input: what follows from the state as a whole.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        self.advance(cx);
        if self.is_on {
            self.show(cx);
            self.pump(cx);
        }
    }

    /// Writes the flash; false when it failed, and the write is tried again later.
    fn save(&mut self, cx: &mut Cx<'_>) -> bool {
        let kept = cx.out.save(&self.flash.store());
        match (kept, self.flash_due) {
            (true, Some(_)) => self.log(Level::Info, "flash works again", cx),
            (true, None) | (false, Some(_)) => {}
            (false, None) => {
                self.log(
                    Level::Critical,
                    "flash write failed: nothing is registered until it works",
                    cx,
                );
                cx.event(Event::Failed("module.flash", "the record was not kept"));
            }
        }
        self.flash_due = (!kept).then(|| cx.now + self.policy.flash_retry);
        kept
    }

    fn restart_now(&mut self, reason: RestartReason, cx: &mut Cx<'_>) {
        let level = if reason.code().is_some() { Level::Critical } else { Level::Info };
        self.log(level, &format!("restart: {reason}"), cx);
        if let Some(code) = reason.code() {
            cx.event(Event::Failed(code, &format!("{reason}")));
        }
        self.is_on = false;
        cx.put(Output::Restart(reason));
    }

    fn date(&self, now: Tick) -> Option<Timestamp> {
        self.clock_offset.map(|offset| Timestamp(offset + now.as_millis() as i64))
    }

    /// Writes a line for people and for the phones that asked.
    fn log(&mut self, level: Level, line: &str, cx: &mut Cx<'_>) {
        cx.put(Output::Log { level, line });
        self.log_to_phones(level, line, cx);
    }
}
