//! What the module says of itself without being asked: status word and LEDs.
//!
//! Source: seed §4; GizWits §2.4, §7.2, §7.4.

use roadstead_core::Tick;

use super::super::serial::{Command, Status};
use super::Module;
use super::io::{Cx, Event, Output};
use super::led::{Leds, Sign};
use super::mode::{Mode, Station};
use super::signal::Signal;
use super::uart::Tag;

/// The last word, the LEDs, the signal.
#[derive(Default)]
pub(super) struct Report {
    pub(super) signal: Signal,
    told: Option<u16>,
    /// A change waits until then for others.
    settles: Option<Tick>,
    forced: Option<Tick>,
    leds: Option<Leds>,
    /// In the cloud since then.
    cloud_since: Option<Tick>,
}

impl Module {
    pub(super) fn start_report(&mut self, cx: &Cx<'_>) {
        self.report.forced = Some(cx.now + self.policy.status_every);
    }

    pub(super) fn status_now(&self) -> Status {
        let router = self.mode.is_joined();
        let mode = &self.mode;
        let configures = match mode {
            Mode::SoftAp { until, .. } => until.is_some(),
            Mode::AirLink(_) => true,
            Mode::Nowhere | Mode::Station(_) => false,
        };
        Status {
            soft_ap: mode.is_soft_ap(),
            station: matches!(mode, Mode::Station(_)),
            onboarding: configures,
            binding: self.bindable.is_open(),
            router,
            cloud: self.m2m.is_running(),
            signal: if router { self.report.signal.level() } else { 0 },
            app: self.clients.logged_in() > 0 || self.m2m.clients > 0,
            test: self.test.is_some(),
        }
    }

    fn sign(&self, cx: &Cx<'_>) -> Sign {
        if self.uart.info.is_none() {
            return Sign::NoMcu;
        }
        match &self.mode {
            Mode::SoftAp { .. } => Sign::SoftAp,
            Mode::AirLink(_) => Sign::AirLink,
            Mode::Nowhere => Sign::NoNetwork,
            Mode::Station(Station::Joining | Station::Waiting(_)) => Sign::Searching,
            Mode::Station(Station::Joined { .. }) => match self.report.cloud_since {
                None => Sign::NoCloud,
                Some(since) if cx.now.since(since) >= self.policy.leds_for => Sign::Dark,
                Some(_) => Sign::Cloud,
            },
        }
    }

    /// Shows and tells what has changed.
    pub(super) fn show(&mut self, cx: &mut Cx<'_>) {
        self.report.cloud_since = match self.m2m.is_running() {
            true => self.report.cloud_since.or(Some(cx.now)),
            false => None,
        };
        let leds = self.sign(cx).leds();
        if self.report.leds != Some(leds) {
            self.report.leds = Some(leds);
            cx.put(Output::Leds(leds));
        }
        if self.uart.info.is_some() {
            self.tell_status(cx);
        }
    }

    fn tell_status(&mut self, cx: &mut Cx<'_>) {
        let word = self.status_now().word();
        let is_forced = self.report.forced.is_some_and(|at| cx.now >= at);
        if self.report.told == Some(word) && !is_forced {
            self.report.settles = None;
            return;
        }
        let settles = *self.report.settles.get_or_insert(cx.now + self.policy.status_settle);
        if cx.now < settles && !is_forced {
            return;
        }
        self.report.settles = None;
        self.report.forced = Some(cx.now + self.policy.status_every);
        if self.report.told.replace(word) != Some(word) {
            cx.event(Event::Status(word));
        }
        self.uart.link.push_latest(Command::Status, &word.to_be_bytes(), Tag::Own);
    }

    pub(super) fn report_deadline(&self) -> Option<(Tick, &'static str)> {
        let dark = self.report.cloud_since.map(|since| since + self.policy.leds_for);
        // Once dark, there is nothing more to switch off.
        let dark = dark.filter(|_| self.report.leds != Some(Sign::Dark.leds()));
        let status = self.uart.info.as_ref().and(self.report.forced);
        [(self.report.settles, "status"), (status, "forced status"), (dark, "LEDs")]
            .into_iter()
            .filter_map(|(at, why)| Some((at?, why)))
            .min_by_key(|d| d.0)
    }
}
