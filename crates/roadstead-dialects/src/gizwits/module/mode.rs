//! Where the radio is: own access point, through the air, station, or nowhere; and the window in
//! which a phone may bind.
//!
//! ```text
//!            no network stored             MCU: SoftAP           MCU: AirLink (not connected)
//! start ------------------------> SoftAp <------------ any ---------------------> AirLink
//!   | network stored                | configured: store, restart       | configured: store
//!   v                               | 10 min                           | 60 s: the former mode
//! Station <--> retry for ever       v                                  v
//!                                Nowhere (serial line only)         Station
//! ```
//! Source: seed §6.2, §6.4, §7.2, §12_2; GizWits §7.6.

use core::net::IpAddr;

use alloc::format;
use roadstead_core::{Secret, Tick};

use super::super::lan::{CREDENTIAL_MAX, SOFTAP_IP, SOFTAP_PASSWORD};
use super::super::serial::ConfigMode;
use super::Module;
use super::airlink::AirLink;
use super::io::{Cx, Event, Level, Network, Output, RadioEvent, RestartReason};
use super::test::Test;

/// The radio.
#[derive(Default)]
pub(super) enum Mode {
    /// Off: only the serial line is served.
    #[default]
    Nowhere,
    /// The own access point.
    SoftAp {
        /// It is open.
        is_open: bool,
        /// Configuration is over then; `None` without configuration.
        until: Option<Tick>,
        /// Next scan for the phone's list.
        scan: Tick,
    },
    /// Listening to the air.
    AirLink(AirLink),
    /// A network's station.
    Station(Station),
}

/// A network's station.
pub(super) enum Station {
    /// Asked to be let in.
    Joining,
    /// Connected with this address.
    Joined {
        /// Own address.
        address: IpAddr,
        /// Next look at the signal.
        look: Tick,
    },
    /// Waiting for another try.
    Waiting(Tick),
}

/// The former mode, to return to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Former {
    Nowhere,
    SoftAp,
    Station,
}

impl Mode {
    /// Returns the address in the joined network or the own one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Station(Station::Joined { address, .. }) => Some(*address),
            Self::SoftAp { is_open: true, .. } => Some(IpAddr::V4(SOFTAP_IP)),
            Self::SoftAp { .. } | Self::AirLink(_) | Self::Station(_) | Self::Nowhere => None,
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        matches!(self, Self::Station(Station::Joined { .. }))
    }

    pub(super) fn is_soft_ap(&self) -> bool {
        matches!(self, Self::SoftAp { .. })
    }

    /// Returns whether phones may configure over the own access point.
    pub(super) fn takes_credentials(&self) -> bool {
        matches!(self, Self::SoftAp { is_open: true, until: Some(_), .. })
    }

    fn former(&self) -> Former {
        match self {
            Self::Nowhere => Former::Nowhere,
            Self::SoftAp { .. } => Former::SoftAp,
            Self::AirLink(airlink) => airlink.former,
            Self::Station(_) => Former::Station,
        }
    }
}

/// When a phone may ask for the passcode.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Bindable {
    /// Not now.
    #[default]
    Closed,
    /// Until then.
    Until(Tick),
    /// Always.
    Always,
}

impl Bindable {
    pub(super) fn is_open(self) -> bool {
        self != Self::Closed
    }

    pub(super) fn deadline(self) -> Option<Tick> {
        match self {
            Self::Until(at) => Some(at),
            Self::Closed | Self::Always => None,
        }
    }
}

impl Module {
    /// Opens the bindable window for the time the MCU named; 0 is for ever (seed §7.2_3).
    pub(super) fn open_window(&mut self, cx: &Cx<'_>) {
        let seconds = self.uart.info.as_ref().map_or(0, |info| info.bindable_s);
        self.bindable = match seconds {
            0 => Bindable::Always,
            s => Bindable::Until(cx.now + core::time::Duration::from_secs(u64::from(s))),
        };
    }

    /// The MCU is known: go where the flash says.
    pub(super) fn begin_mode(&mut self, cx: &mut Cx<'_>) {
        match &self.flash.network {
            Some(_) => self.join(cx),
            None => self.open_soft_ap(true, cx),
        }
    }

    /// The MCU wants to be configured.
    pub(super) fn configure(&mut self, mode: ConfigMode<'_>, cx: &mut Cx<'_>) {
        if self.reset.is_some() {
            return;
        }
        match mode {
            ConfigMode::SoftAp => {
                self.open_window(cx);
                self.open_soft_ap(true, cx);
            }
            ConfigMode::AirLink => {
                if self.policy.airlink_needs_absence && self.mode.is_joined() {
                    return self.log(Level::Info, "AirLink refused: connected to the router", cx);
                }
                self.open_window(cx);
                self.enter_airlink(self.mode.former(), cx);
            }
            ConfigMode::Direct { ssid, password } => {
                if self.keep_network(ssid, password, "direct", cx) {
                    self.leave_configuration(cx);
                }
            }
        }
    }

    pub(super) fn open_soft_ap(&mut self, configures: bool, cx: &mut Cx<'_>) {
        self.leave_network("own access point opened", cx);
        let ssid = self.config.softap_ssid();
        cx.put(Output::OpenAp { ssid: &ssid, password: SOFTAP_PASSWORD });
        let until = configures.then(|| cx.now + self.policy.softap_for);
        self.mode = Mode::SoftAp { is_open: false, until, scan: cx.now };
        if configures {
            cx.event(Event::Configuring("softap"));
        }
    }

    /// Closes every connection of the network that is left.
    pub(super) fn leave_network(&mut self, why: &str, cx: &mut Cx<'_>) {
        self.drop_clients(cx);
        self.drop_pages(cx);
        self.go_offline(why, cx);
        self.leave_chain();
        cx.put(Output::Serve { lan: false, web: false });
    }

    /// Nothing but the serial line is left.
    pub(super) fn go_nowhere(&mut self, why: &str, cx: &mut Cx<'_>) {
        self.log(Level::Warning, why, cx);
        self.leave_network(why, cx);
        cx.put(Output::RadioOff);
        self.mode = Mode::Nowhere;
    }

    /// Joins the stored network.
    pub(super) fn join(&mut self, cx: &mut Cx<'_>) {
        self.leave_network("joining a network", cx);
        let stored = self.flash.network.as_ref().map(|(ssid, key)| (&**ssid, key.expose()));
        let Some((ssid, password)) = self.test.as_ref().and_then(Test::network).or(stored) else {
            self.mode = Mode::Nowhere;
            return;
        };
        cx.put(Output::Join { ssid, password });
        self.mode = Mode::Station(Station::Joining);
    }

    /// Keeps a network durably; false when it was refused or the flash failed.
    pub(super) fn keep_network(
        &mut self,
        ssid: &[u8],
        password: &[u8],
        way: &'static str,
        cx: &mut Cx<'_>,
    ) -> bool {
        let limit = if way == "airlink" { 64 } else { CREDENTIAL_MAX };
        if ssid.is_empty() || ssid.len() > CREDENTIAL_MAX || password.len() > limit {
            let line = format!("{way}: network name or password is too long, or there is no name");
            self.log(Level::Warning, &line, cx);
            cx.event(Event::Failed("module.bad_credentials", &line));
            return false;
        }
        let former = (self.flash.network.take(), self.flash.is_fresh);
        self.flash.network = Some((ssid.into(), Secret::new(password)));
        self.flash.is_fresh = true;
        if !self.save(cx) {
            (self.flash.network, self.flash.is_fresh) = former;
            return false;
        }
        self.log(Level::Info, &format!("configured by {way}"), cx);
        cx.event(Event::Configured(way));
        true
    }

    /// A network was stored: restart, or join at once where the policy says so.
    pub(super) fn leave_configuration(&mut self, cx: &mut Cx<'_>) {
        let restarts = self.mode.is_soft_ap();
        self.announcer.arm(true, self.policy.announcements);
        match self.policy.config_restart.filter(|_| restarts) {
            Some(pause) => {
                if let Mode::SoftAp { until, .. } = &mut self.mode {
                    *until = None;
                }
                self.restart = Some((cx.now + pause, RestartReason::Configured));
            }
            None => self.join(cx),
        }
    }

    pub(super) fn radio(&mut self, event: RadioEvent, cx: &mut Cx<'_>) {
        match (event, &mut self.mode) {
            (RadioEvent::ApStarted, Mode::SoftAp { is_open, until, .. }) => {
                *is_open = true;
                let web = until.is_some();
                cx.put(Output::Serve { lan: true, web });
                self.announcer.start(cx.now);
            }
            (RadioEvent::ApFailed, Mode::SoftAp { .. }) => {
                self.go_nowhere("the own access point could not be opened", cx);
            }
            (RadioEvent::Joined(address), Mode::Station(station)) => {
                *station = Station::Joined { address, look: cx.now };
                cx.put(Output::Serve { lan: true, web: false });
                cx.event(Event::Joined);
                self.announcer.start(cx.now);
                self.go_to_cloud(cx);
            }
            (RadioEvent::JoinFailed(code), Mode::Station(station)) => {
                *station = Station::Waiting(cx.now + self.policy.rejoin);
                let line = format!("the network was not joined: {code}");
                self.log(Level::Error, &line, cx);
                cx.event(Event::Failed("attempt.network_not_joined", &line));
            }
            (RadioEvent::Lost, Mode::Station(_)) => {
                self.log(Level::Warning, "the router is gone: joining again", cx);
                self.join(cx);
            }
            // Late words of a mode that was left.
            (
                RadioEvent::ApStarted
                | RadioEvent::ApFailed
                | RadioEvent::Joined(_)
                | RadioEvent::JoinFailed(_)
                | RadioEvent::Lost,
                _,
            ) => {}
        }
    }

    /// The radio has looked around.
    pub(super) fn scanned(&mut self, networks: &[Network], cx: &mut Cx<'_>) {
        if self.test_scanned(networks, cx) {
            return;
        }
        self.clients.keep_hotspots(networks);
        if !self.mode.is_joined() {
            return;
        }
        let Some((ssid, _)) = &self.flash.network else { return };
        let own = networks.iter().find(|network| *network.ssid == **ssid);
        self.report.signal.hear(own.map_or(0, |own| own.power), self.policy.signal_falls);
    }

    pub(super) fn mode_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.bindable.deadline().is_some_and(|at| cx.now >= at) {
            self.bindable = Bindable::Closed;
            self.log(Level::Info, "bindable window closed", cx);
        }
        match &mut self.mode {
            Mode::SoftAp { until: Some(until), .. } if cx.now >= *until => {
                cx.event(Event::Failed("module.not_configured", "no phone came in time"));
                self.go_nowhere("no configuration in time: serial line only", cx);
            }
            Mode::SoftAp { is_open: true, scan, .. } if cx.now >= *scan => {
                *scan = cx.now + self.policy.hotspot_every;
                cx.put(Output::Scan);
            }
            Mode::Station(Station::Joined { look, .. }) if cx.now >= *look => {
                *look = cx.now + self.policy.signal_every;
                cx.put(Output::Scan);
            }
            Mode::Station(Station::Waiting(at)) if cx.now >= *at => self.join(cx),
            Mode::AirLink(_) => self.airlink_timeout(cx),
            Mode::Nowhere | Mode::SoftAp { .. } | Mode::Station(_) => {}
        }
    }

    pub(super) fn mode_deadline(&self) -> Option<(Tick, &'static str)> {
        match &self.mode {
            Mode::Nowhere | Mode::Station(Station::Joining) => None,
            Mode::SoftAp { is_open, until, scan } => {
                let scan = is_open.then_some((*scan, "scan"));
                let until = until.map(|at| (at, "end of SoftAP"));
                scan.into_iter().chain(until).min_by_key(|d| d.0)
            }
            Mode::AirLink(airlink) => Some((airlink.deadline(), "AirLink")),
            Mode::Station(Station::Joined { look, .. }) => Some((*look, "signal")),
            Mode::Station(Station::Waiting(at)) => Some((*at, "joining")),
        }
    }
}
