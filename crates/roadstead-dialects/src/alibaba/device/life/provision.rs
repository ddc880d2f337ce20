//! The way to a network: own access point or setup network, credentials, joining; and the way
//! back.
//!
//! Source: Alibaba §5.6, §7, §7.3, §7.4; transcripts l16_softap_*.

use alloc::string::String;
use core::net::Ipv4Addr;

use roadstead_core::Secret;
use roadstead_core::attempt::Stage;
use roadstead_wire::airlink::Scheme;

use super::super::super::softap::{Failure, Network, PHONE_AP, ROUTER_AP, Switch, ap_name};
use super::super::context::Context;
use super::super::lan::{Lan, Place as Whereabouts};
use super::super::{Start, store};
use super::{Life, Next, Phase};
use crate::air::Bearer;
use crate::device::{Ear, Event, Heard, MqttAction, Output, WifiAction};

/// Channel of the own access point.
const CHANNEL: u8 = 6;
/// What a radio says when no network of that name is there.
const NOT_FOUND: i32 = 1;
/// What a radio says when name or password are wrong.
const WRONG_PASSWORD: i32 = 2;
/// Kind of a reset at the device: the bindings go, shadow and data stay (§5.6).
const RESET_KIND: u8 = 0;

impl Life {
    /// Waits for a phone.
    pub(super) fn provision(&mut self, cx: &mut Context<'_>) {
        cx.stage(Stage::ProvisioningStarted, None);
        if cx.memory.config.start == Start::SmartConfig {
            let (bearer, key) =
                (Bearer::Sniffed(Scheme::SmartConfig), cx.memory.config.product_secret.clone());
            cx.out.push(Output::Wifi(WifiAction::Listen(Some(Ear { bearer, key }))));
            self.phase = Phase::Listening;
            return;
        }
        let setup = match cx.memory.config.start {
            Start::PhoneAp => Some(PHONE_AP),
            Start::RouterAp => Some(ROUTER_AP),
            Start::SoftAp | Start::SmartConfig | Start::OnNetwork | Start::Direct => None,
        };
        match setup {
            Some((ssid, password)) => {
                let (ssid, password) = (ssid.into(), Secret::from(password));
                cx.out.push(Output::Wifi(WifiAction::Join { ssid, password }));
                let due = cx.now + cx.policy().join_wait;
                self.phase = Phase::Joining { due, setup: true };
            }
            None => {
                cx.memory.ip = cx.memory.config.ip;
                let ssid = ap_name(&cx.memory.config.product, &cx.memory.config.mac);
                let action = WifiAction::StartAp { ssid, password: None, channel: CHANNEL };
                cx.out.push(Output::Wifi(action));
                self.phase = Phase::Listening;
            }
        }
    }

    /// The own access point is open.
    pub(super) fn open_setup(&mut self, cx: &mut Context<'_>) {
        if self.lan.is_none() {
            self.lan = Some(Lan::open(Whereabouts::OwnAp, cx));
        }
    }

    /// The own access point, or its port, could not be opened.
    pub(super) fn ap_failed(&mut self, code: i32, cx: &mut Context<'_>) {
        cx.failed("attempt.device_error", alloc::format!("access point or port: {code}"));
        self.close_lan(cx);
        cx.out.push(Output::Wifi(WifiAction::StopAp));
        self.pause(cx.policy().http_wait, Next::Provision, cx);
    }

    /// Network and token came; the answer is on its way.
    pub(super) fn switched(&mut self, switch: Switch, cx: &mut Context<'_>) {
        if !matches!(self.phase, Phase::Listening) {
            return;
        }
        let name = String::from_utf8_lossy(&switch.network.ssid).into_owned();
        cx.stage(Stage::CredentialsReceived, name);
        cx.stage(Stage::DeviceReplied, None);
        cx.out.push(store::set(store::WIFI, Some(store::network(&switch.network))));
        if let Some(token) = switch.token {
            cx.out.push(store::set(store::TOKEN, Some(token)));
        }
        if let Some(region) = switch.region {
            self.take_region(region, cx);
        }
        self.network = Some(switch.network);
        self.is_onboarding = true;
        self.phase = Phase::Switching { due: cx.now + cx.policy().switch_linger };
    }

    /// The network came through the air, or by a page of the own access point; without a token of the phone the device makes one.
    pub(super) fn heard(&mut self, heard: Heard, cx: &mut Context<'_>) {
        let Some((ssid, password)) = heard.network else { return };
        cx.stage(Stage::CredentialsReceived, ssid.clone());
        let network = Network { ssid: ssid.into_bytes(), password, bssid: None };
        cx.out.push(store::set(store::WIFI, Some(store::network(&network))));
        self.network = Some(network);
        self.is_onboarding = true;
        if let Some(token) = heard.token {
            cx.out.push(store::set(store::TOKEN, Some(token.clone())));
            self.tokens.take_phones(token);
        }
        self.close_lan(cx);
        if cx.memory.config.start == Start::SoftAp {
            cx.out.push(Output::Wifi(WifiAction::StopAp));
        }
        self.join(cx);
    }

    /// The phone has heard the answer: goes to the router's network.
    pub(super) fn leave_setup(&mut self, cx: &mut Context<'_>) {
        self.close_lan(cx);
        cx.out.push(Output::Wifi(match cx.memory.config.start {
            Start::PhoneAp | Start::RouterAp => WifiAction::Leave,
            Start::SoftAp | Start::SmartConfig | Start::OnNetwork | Start::Direct => {
                WifiAction::StopAp
            }
        }));
        self.join(cx);
    }

    /// Joins the router's network.
    pub(super) fn join(&mut self, cx: &mut Context<'_>) {
        let Some(network) = &self.network else { return self.provision(cx) };
        let ssid = String::from_utf8_lossy(&network.ssid).into_owned();
        let password = network.password.clone();
        cx.out.push(Output::Wifi(WifiAction::Join { ssid, password }));
        self.phase = Phase::Joining { due: cx.now + cx.policy().join_wait, setup: false };
    }

    /// A network is joined.
    pub(super) fn joined(&mut self, address: Ipv4Addr, setup: bool, cx: &mut Context<'_>) {
        cx.memory.ip = address;
        if setup {
            self.lan = Some(Lan::open(Whereabouts::SetupAp, cx));
            self.phase = Phase::Listening;
            return;
        }
        if self.is_onboarding {
            cx.stage(Stage::NetworkJoined, alloc::format!("{address}"));
            cx.memory.failure = None;
            self.lan = Some(Lan::open(Whereabouts::Home, cx));
        } else {
            self.lan = Some(Lan::at_home(cx));
        }
        self.connect_or_register(cx);
    }

    /// A network was not joined: the phone told a wrong one, or it is gone for now.
    pub(super) fn join_failed(&mut self, code: i32, setup: bool, cx: &mut Context<'_>) {
        if setup {
            let wait = cx.policy().backoff_first;
            return self.pause(wait, Next::Provision, cx);
        }
        let failure = match code {
            NOT_FOUND => Failure::NetworkNotFound,
            WRONG_PASSWORD => Failure::NetworkPassword,
            _ => Failure::NoAddress,
        };
        let name = self.network.as_ref().map(|n| String::from_utf8_lossy(&n.ssid).into_owned());
        cx.failed_at(failure, name.unwrap_or_default());
        if self.is_onboarding {
            // The own network comes back, so that the phone can ask why (§7.3).
            self.forget_network(cx);
            return self.provision(cx);
        }
        let wait = self.next_wait(cx);
        self.pause(wait, Next::Join, cx);
    }

    /// The user at the device gives it up (§5.6).
    pub(super) fn factory_reset(&mut self, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Off) {
            return;
        }
        cx.out.push(store::set(store::RESET, Some(Secret::from("0"))));
        self.reset = Some(RESET_KIND);
        self.leave_session(cx);
        self.close_lan(cx);
        if matches!(cx.memory.config.start, Start::SoftAp) {
            cx.out.push(Output::Wifi(WifiAction::StopAp));
        }
        self.forget_network(cx);
        self.tokens.clear();
        cx.tell(Event::Unbound);
        self.begin(cx);
    }

    /// Erases network and token.
    fn forget_network(&mut self, cx: &mut Context<'_>) {
        if self.network.take().is_some() {
            cx.out.push(Output::Wifi(WifiAction::Leave));
            cx.out.push(store::set(store::WIFI, None));
        }
        cx.out.push(store::set(store::TOKEN, None));
        self.tokens.clear();
        self.is_onboarding = false;
    }

    /// Closes the port.
    pub(super) fn close_lan(&mut self, cx: &mut Context<'_>) {
        if let Some(lan) = self.lan.take() {
            lan.close(cx);
        }
    }

    /// Closes a connection that may be open.
    pub(super) fn leave_session(&mut self, cx: &mut Context<'_>) {
        let is_online = matches!(self.phase, Phase::Online(_));
        if is_online || matches!(self.phase, Phase::Connecting { .. } | Phase::Registering { .. }) {
            cx.out.push(Output::Mqtt(MqttAction::Disconnect));
        }
        if is_online {
            cx.tell(Event::Offline);
        }
        cx.memory.questions.forget_cloud();
        self.tokens.offline();
        self.phase = Phase::Off;
    }
}
