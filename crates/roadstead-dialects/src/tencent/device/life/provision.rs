//! The way to a token: access point, comm service, join; and what follows a failure.

use alloc::format;
use core::net::Ipv4Addr;

use roadstead_core::attempt::Stage;
use roadstead_core::{Code, Secret};

use super::super::super::comm::{Progress, QrCode, Record, id, sub};
use super::super::beacon::Beacon;
use super::super::bind::PairTime;
use super::super::context::Context;
use super::super::listener::{Listener, Taken};
use super::super::{Start, store};
use super::{Attempt, Life, Next, Phase};
use crate::device::{Ear, Heard, MqttAction, Output, WifiAction};

/// The access point of the log service, as the vendor's app expects it (Tencent §5.1).
const LOG_AP: (&str, &str, u8) = ("ESP-LOG-QUERY", "86013388", 6);
/// Channel of the provisioning access point.
const AP_CHANNEL: u8 = 6;

impl Life {
    /// Opens provisioning; errors still waiting are of an earlier attempt from now on.
    pub(super) fn provision(&mut self, cx: &mut Context<'_>) {
        cx.memory.records.age();
        self.started = cx.now;
        self.attempt = None;
        match cx.memory.config.start.clone() {
            Start::SoftAp { ssid } => {
                cx.out.push(Output::Wifi(WifiAction::StartAp {
                    ssid,
                    password: None,
                    channel: AP_CHANNEL,
                }));
                self.phase = Phase::Listening(Listener::commands(cx));
            }
            Start::OnNetwork { .. } => self.phase = Phase::Listening(Listener::commands(cx)),
            Start::OverAir { bearer } => {
                cx.out.push(Output::Wifi(WifiAction::Listen(Some(Ear::of(bearer)))));
                self.phase = Phase::Radio;
            }
            Start::Camera => self.phase = Phase::Camera,
            Start::Direct => return self.connect_or_register(cx),
        }
        cx.log("provision", "started");
        let method = cx.memory.config.start.method();
        cx.stage(Stage::ProvisioningStarted, Some(method.into()));
    }

    /// The comm service has ended, or goes on when `taken` is `None`.
    pub(super) fn taken(&mut self, taken: Option<Taken>, cx: &mut Context<'_>) {
        let Some(taken) = taken else { return };
        if let Phase::Listening(listener) = &self.phase {
            listener.close(cx);
        }
        match taken {
            Taken::Network { ssid, password, token } => {
                cx.out.push(Output::Wifi(WifiAction::StopAp));
                self.take_network(&ssid, password, token, cx);
            }
            Taken::Token(token) => {
                self.take_token(token, cx);
                self.connect_or_register(cx);
            }
            Taken::Log | Taken::TimedOut => self.provision(cx),
        }
    }

    /// The camera read a code.
    pub(super) fn scanned(&mut self, text: &str, cx: &mut Context<'_>) {
        match QrCode::parse(text) {
            Ok(code) => {
                cx.stage(Stage::CredentialsReceived, None);
                self.take_network(&code.ssid, code.password, code.token, cx);
            }
            Err(error) => {
                cx.record(error.record());
                cx.failed("attempt.device_error", format!("QR code: {error}"));
            }
        }
    }

    /// Network, token or both came through the air, or by a page of the own access point. A phone whose password was wrong may send
    /// another one while the device rests.
    pub(super) fn heard(&mut self, heard: Heard, cx: &mut Context<'_>) {
        let Heard { network, token } = heard;
        let waits = match self.phase {
            Phase::Radio
            | Phase::LogService(_)
            | Phase::Pausing { next: Next::Provision, .. }
            | Phase::Joining { .. } => true,
            // In the own access point; at home it waits for a token.
            Phase::Listening(_) => self.network.is_none(),
            Phase::Off
            | Phase::Camera
            | Phase::Registering { .. }
            | Phase::Connecting { .. }
            | Phase::Binding(_)
            | Phase::Online(_)
            | Phase::Pausing { .. } => false,
        };
        match (network, token) {
            (Some((ssid, password)), token)
                if waits && self.attempt.is_none() && !self.is_bound =>
            {
                if let Phase::Listening(listener) | Phase::LogService(listener) = &self.phase {
                    listener.close(cx);
                    cx.out.push(Output::Wifi(WifiAction::StopAp));
                }
                cx.stage(Stage::CredentialsReceived, None);
                self.keep_network(&ssid, password, cx);
                self.awaits_token = token.is_none();
                if let Some(token) = token {
                    self.take_token(token, cx);
                }
                self.join(cx);
            }
            (None, Some(token)) if self.attempt.is_none() => match &self.phase {
                Phase::Joining { .. } => self.take_token(token, cx),
                Phase::Listening(listener) => {
                    listener.close(cx);
                    self.take_token(token, cx);
                    self.connect_or_register(cx);
                }
                Phase::Off
                | Phase::Camera
                | Phase::Radio
                | Phase::LogService(_)
                | Phase::Registering { .. }
                | Phase::Connecting { .. }
                | Phase::Binding(_)
                | Phase::Online(_)
                | Phase::Pausing { .. } => {}
            },
            // It has what it needs.
            (_, _) => {}
        }
    }

    /// Whether the device came by its network through the air, or by a page of its own access
    /// point, and has no token yet.
    fn lacks_token(&self, cx: &Context<'_>) -> bool {
        let over_air = matches!(cx.memory.config.start, Start::OverAir { .. });
        (over_air || self.awaits_token) && self.attempt.is_none() && !self.is_bound
    }

    fn keep_network(&mut self, ssid: &str, password: Secret, cx: &mut Context<'_>) {
        cx.out.push(store::set(store::WIFI, Some(store::wifi(ssid, &password))));
        self.network = Some((ssid.into(), password));
    }

    fn take_network(&mut self, ssid: &str, password: Secret, token: Secret, cx: &mut Context<'_>) {
        self.keep_network(ssid, password, cx);
        self.take_token(token, cx);
        self.join(cx);
    }

    fn take_token(&mut self, token: Secret, cx: &mut Context<'_>) {
        cx.out.push(store::set(store::TOKEN, Some(token.clone())));
        self.begin_attempt(token, cx);
    }

    /// Starts the clock of an attempt.
    pub(super) fn begin_attempt(&mut self, token: Secret, cx: &Context<'_>) {
        let now = cx.now.as_millis();
        let times = PairTime {
            start: self.started.as_millis(),
            got_ssid: now,
            got_token: now,
            ..PairTime::default()
        };
        self.attempt = Some(Attempt { token, times, due: cx.now + cx.policy().attempt_life });
        self.backoff_ms = 0;
    }

    /// Joins the known network.
    pub(super) fn join(&mut self, cx: &mut Context<'_>) {
        let Some((ssid, password)) = self.network.clone() else { return self.provision(cx) };
        cx.log("join", "started");
        if self.attempt.is_some() {
            Beacon::set(&mut self.beacon, Progress::Joining, cx);
        }
        cx.out.push(Output::Wifi(WifiAction::Join { ssid, password }));
        self.phase = Phase::Joining { due: cx.now + cx.policy().join_wait };
    }

    /// The network is joined.
    pub(super) fn joined(&mut self, address: Ipv4Addr, cx: &mut Context<'_>) {
        cx.log("join", "done");
        if let Some(attempt) = &mut self.attempt {
            attempt.times.joined = cx.now.as_millis();
            cx.stage(Stage::NetworkJoined, Some(format!("{address}")));
        } else if self.lacks_token(cx) {
            cx.stage(Stage::NetworkJoined, Some(format!("{address}")));
            self.phase = Phase::Listening(Listener::commands(cx));
            return;
        }
        self.connect_or_register(cx);
    }

    /// The network was not joined. A device with an owner tries for ever.
    pub(super) fn join_failed(&mut self, code: i32, cx: &mut Context<'_>) {
        let detail = format!("the radio driver said {code}");
        if self.attempt.is_none() && !self.lacks_token(cx) {
            cx.failed("attempt.network_not_joined", detail);
            let due = cx.now + cx.policy().backoff_rest;
            self.phase = Phase::Pausing { due, next: Next::Join };
            return;
        }
        let id = match cx.memory.config.start {
            Start::SoftAp { .. } => id::AP_STA,
            Start::OnNetwork { .. } | Start::OverAir { .. } | Start::Camera | Start::Direct => {
                id::WIFI_CONNECT
            }
        };
        cx.record(Record { id, sub: code });
        self.fail("attempt.network_not_joined", &detail, cx);
    }

    /// The own access point did not open.
    pub(super) fn ap_failed(&mut self, code: i32, cx: &mut Context<'_>) {
        if let Phase::Listening(listener) = &self.phase {
            listener.close(cx);
        }
        cx.record(Record { id: id::AP_INIT, sub: code });
        self.fail("attempt.device_error", &format!("no access point: {code}"), cx);
    }

    /// The attempt took too long.
    pub(super) fn attempt_timed_out(&mut self, cx: &mut Context<'_>) {
        let code = match &self.phase {
            Phase::Joining { .. } => "attempt.network_not_joined",
            Phase::Binding(_) => "attempt.token_not_reported",
            Phase::Off
            | Phase::Listening(_)
            | Phase::Camera
            | Phase::Radio
            | Phase::LogService(_)
            | Phase::Registering { .. }
            | Phase::Connecting { .. }
            | Phase::Online(_)
            | Phase::Pausing { .. } => "attempt.never_connected",
        };
        cx.record(Record { id: id::STOPPED, sub: sub::TIMED_OUT });
        self.fail(code, "the attempt took too long", cx);
    }

    /// Ends the attempt with one reason; the way is free for the next.
    pub(super) fn fail(&mut self, code: Code, detail: &str, cx: &mut Context<'_>) {
        cx.failed(code, detail);
        self.forget_owner(cx);
        match cx.policy().log_life.is_zero() {
            true => self.pause_before_provisioning(cx),
            false => {
                let (ssid, password, channel) = LOG_AP;
                cx.out.push(Output::Wifi(WifiAction::StartAp {
                    ssid: ssid.into(),
                    password: Some(password.into()),
                    channel,
                }));
                self.phase = Phase::LogService(Listener::log(cx));
            }
        }
    }

    /// The log service goes on, or has ended.
    pub(super) fn log_read(&mut self, is_over: bool, cx: &mut Context<'_>) {
        let Phase::LogService(listener) = &self.phase else { return };
        if is_over {
            listener.close(cx);
            cx.out.push(Output::Wifi(WifiAction::StopAp));
            self.pause_before_provisioning(cx);
        }
    }

    /// Erases what is the owner's and starts provisioning.
    pub(super) fn reset(&mut self, cx: &mut Context<'_>) {
        match &self.phase {
            Phase::Listening(listener) | Phase::LogService(listener) => {
                listener.close(cx);
                cx.out.push(Output::Wifi(WifiAction::StopAp));
            }
            Phase::Radio => cx.out.push(Output::Wifi(WifiAction::Listen(None))),
            Phase::Off
            | Phase::Camera
            | Phase::Joining { .. }
            | Phase::Registering { .. }
            | Phase::Connecting { .. }
            | Phase::Binding(_)
            | Phase::Online(_)
            | Phase::Pausing { .. } => {}
        }
        self.forget_owner(cx);
        self.pause_before_provisioning(cx);
    }

    /// Closes the session, leaves the network and erases network, token and owner.
    pub(super) fn forget_owner(&mut self, cx: &mut Context<'_>) {
        self.leave_session(cx);
        self.awaits_token = false;
        if self.network.take().is_some() {
            cx.out.push(Output::Wifi(WifiAction::Leave));
            cx.out.push(store::set(store::WIFI, None));
        }
        if self.attempt.take().is_some() {
            cx.out.push(store::set(store::TOKEN, None));
        }
        if core::mem::take(&mut self.is_bound) {
            cx.out.push(store::set(store::BOUND, None));
        }
    }

    /// Closes a connection that may be open.
    pub(super) fn leave_session(&mut self, cx: &mut Context<'_>) {
        let is_online = matches!(self.phase, Phase::Online(_));
        if is_online || matches!(self.phase, Phase::Binding(_) | Phase::Connecting { .. }) {
            cx.out.push(Output::Mqtt(MqttAction::Disconnect));
        }
        if is_online {
            cx.tell(crate::device::Event::Offline);
        }
        self.phase = Phase::Off;
    }

    fn pause_before_provisioning(&mut self, cx: &Context<'_>) {
        let due = cx.now + cx.policy().retry_gap;
        self.phase = Phase::Pausing { due, next: Next::Provision };
    }
}
