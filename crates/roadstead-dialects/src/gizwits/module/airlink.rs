//! AirLink and AirKiss: network and password through the air.
//!
//! The seed leaves the coding to the module's maker; here every scheme of
//! [`roadstead_wire::airlink`] is heard at once.
//!
//! Source: seed §6.4, §6.5; GizWits §7.6.

use alloc::boxed::Box;
use core::time::Duration;

use roadstead_core::Tick;
use roadstead_wire::airlink::{Event as Heard, Frame, Hopper, Keys, Plan, Scheme};

use super::Module;
use super::io::{Cx, Event, Level, Output};
use super::mode::{Former, Mode};

/// Listening to the air.
pub(super) struct AirLink {
    pub(super) former: Former,
    until: Tick,
    hopper: Box<Hopper>,
    channel: u8,
}

impl AirLink {
    pub(super) fn deadline(&self) -> Tick {
        self.until.min(Tick::from_millis(self.hopper.deadline().as_millis() as u64 + 1))
    }
}

fn clock(now: Tick) -> Duration {
    Duration::from_millis(now.as_millis())
}

impl Module {
    pub(super) fn enter_airlink(&mut self, former: Former, cx: &mut Cx<'_>) {
        self.leave_network("listening to the air", cx);
        let keys = Keys { airkiss: self.config.airkiss_key, ..Keys::default() };
        let hopper = Hopper::new(Plan::default(), &Scheme::ALL, &keys, clock(cx.now));
        let channel = hopper.channel();
        cx.put(Output::Monitor(channel));
        let until = cx.now + self.policy.airlink_for;
        self.mode = Mode::AirLink(AirLink { former, until, hopper: Box::new(hopper), channel });
        cx.event(Event::Configuring("airlink"));
    }

    pub(super) fn air(&mut self, frame: &Frame, cx: &mut Cx<'_>) {
        let Mode::AirLink(airlink) = &mut self.mode else { return };
        let heard = airlink.hopper.hear(frame);
        airlink.tune(cx);
        match heard {
            Some((_, Heard::Complete(found))) => {
                if self.keep_network(&found.ssid, &found.password, "airlink", cx) {
                    self.leave_configuration(cx);
                }
            }
            Some((_, Heard::Rejected(reason))) => {
                self.log(Level::Debug, &alloc::format!("airlink: {reason:?}"), cx);
            }
            Some((_, Heard::Stay | Heard::Locked { .. } | Heard::Progress { .. })) | None => {}
        }
    }

    pub(super) fn airlink_timeout(&mut self, cx: &mut Cx<'_>) {
        let Mode::AirLink(airlink) = &mut self.mode else { return };
        if cx.now < airlink.until {
            airlink.hopper.tick(clock(cx.now));
            return airlink.tune(cx);
        }
        let former = airlink.former;
        let why = airlink.hopper.reason();
        self.log(Level::Warning, &alloc::format!("AirLink heard no network in time: {why:?}"), cx);
        cx.event(Event::Failed("module.not_configured", "nothing was heard in time"));
        match former {
            _ if !self.policy.airlink_restores => {
                self.open_window(cx);
                self.open_soft_ap(true, cx);
            }
            Former::SoftAp => self.open_soft_ap(true, cx),
            Former::Station => self.join(cx),
            Former::Nowhere => {
                cx.put(Output::RadioOff);
                self.mode = Mode::Nowhere;
            }
        }
    }
}

impl AirLink {
    fn tune(&mut self, cx: &mut Cx<'_>) {
        let channel = self.hopper.channel();
        if channel != self.channel {
            self.channel = channel;
            cx.put(Output::Monitor(channel));
        }
    }
}
