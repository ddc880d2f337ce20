//! The way to the cloud: what is the next thing to ask the HTTP API.
//!
//! ```text
//! network -> address of the API -> DID? register -> provision -> firmware checks -> (M2M)
//!              ^ 10 x n s             ^ 10 x n s     ^ 10 x n s     once each, 3 s
//! ```
//! [`Module::advance`] looks at what is missing, so that any failure, at any step, ends in the
//! right next try. Nothing is asked while the flash does not work: what the cloud learns must be
//! known after a power cut.
//!
//! Source: seed §8.2, §8.4, §8.9_5, §9, §11; GizWits §3.1, §3.2, §7.10, §7.11; transcripts
//! first_boot, reset_pk, cloud_9016, api_silent, api_down.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use roadstead_core::{Secret, Tick};
use roadstead_wire::http::Head;

use super::Module;
use super::io::{Cx, Event, Level, Name, Output, RestartReason};
use super::ota::Kind;
use super::policy::OtaRule;
use super::reply::{self, Place, ReplyError};
use crate::device::{Fault, FaultKind};

/// Largest answer of the API, bytes.
const ANSWER_MAX: usize = 4096;
/// Pause after an answer did not come in time.
const SILENCE_PAUSE: Duration = Duration::from_secs(1);
/// A resolver that says nothing for this long has failed.
const RESOLVE_WAIT: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Register,
    Provision,
    Check(Kind),
    Fetch(Kind),
    Latest,
    Delete,
}

/// The state of asking.
#[derive(Default)]
pub(super) struct Chain {
    api: Option<SocketAddr>,
    /// The resolver works on the API's name until then.
    resolving: Option<Tick>,
    /// What is asked, and until when an answer is waited for.
    pub(super) asking: Option<(Ask, Tick)>,
    id: u32,
    /// Nothing is asked before.
    hold: Option<Tick>,
    failures: u32,
    /// Registrations anew since the cloud was last reached.
    pub(super) renewals: u32,
    pub(super) place: Option<Place>,
    /// Firmware checks that are due.
    pub(super) checks: VecDeque<Kind>,
    /// Trying to reach the cloud since then.
    pub(super) trying_since: Option<Tick>,
}

impl Module {
    /// There is a network: everything begins anew.
    pub(super) fn go_to_cloud(&mut self, cx: &Cx<'_>) {
        self.chain = Chain {
            id: self.chain.id,
            trying_since: Some(cx.now),
            checks: VecDeque::from([Kind::Wifi, Kind::Mcu]),
            ..Chain::default()
        };
    }

    /// There is none any longer: what is under way is forgotten.
    pub(super) fn leave_chain(&mut self) {
        self.chain = Chain { id: self.chain.id.wrapping_add(1), ..Chain::default() };
    }

    /// Does the next thing that can be done.
    pub(super) fn advance(&mut self, cx: &mut Cx<'_>) {
        let is_testing = self.test.as_ref().is_some_and(|test| test.network().is_some());
        let blocked = !self.mode.is_joined() || is_testing || self.reset.is_some();
        if blocked || self.restart.is_some() || self.flash_due.is_some() {
            return;
        }
        if self.chain.asking.is_none() && self.chain.hold.is_none_or(|at| cx.now >= at) {
            self.chain.hold = None;
            self.ask_next(cx);
        }
        self.advance_m2m(cx);
    }

    fn ask_next(&mut self, cx: &mut Cx<'_>) {
        if self.chain.api.is_none() {
            if self.chain.resolving.is_none() {
                self.chain.resolving = Some(cx.now + RESOLVE_WAIT);
                cx.put(Output::Resolve { name: Name::Api, host: &self.config.api_host });
            }
        } else if self.flash.did.is_empty() {
            self.register(cx);
        } else if self.chain.place.is_none() {
            self.provision(cx);
        } else if self.ota.wants_fetch() {
            self.fetch(cx);
        } else if let Some(kind) = self.chain.checks.pop_front() {
            self.check(kind, cx);
        } else if self.flash.former.is_some() {
            self.delete_former(cx);
        }
    }

    fn head(&self, line: &str) -> String {
        let port = match self.config.api_port {
            80 => String::new(),
            port => format!(":{port}"),
        };
        format!("{line} HTTP/1.1\r\nHost: {}{port}\r\n", self.config.api_host)
    }

    fn form(&self, line: &str, body: &str) -> String {
        format!(
            "{}Content-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
            self.head(line),
            body.len()
        )
    }

    fn register(&mut self, cx: &mut Cx<'_>) {
        let mut body = String::from("passcode=");
        let passcode = self.flash.passcode.as_ref().map_or(&[][..], Secret::expose);
        reply::form(passcode, &mut body);
        body.push_str(&format!("&mac={}", hex::encode_upper(self.config.mac)));
        body.push_str(&format!("&product_key={}", self.flash.product_key));
        let request = self.form("POST /dev/devices", &body);
        self.send(Ask::Register, &request, self.api_wait(), cx);
    }

    fn provision(&mut self, cx: &mut Cx<'_>) {
        let line = format!("GET /dev/devices/{}", self.flash.did);
        let request = format!(
            "{}Cache-Control: no-cache\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n",
            self.head(&line)
        );
        self.send(Ask::Provision, &request, self.api_wait(), cx);
    }

    fn check(&mut self, kind: Kind, cx: &mut Cx<'_>) {
        let (hardware, software) = match (kind, &self.uart.info) {
            (Kind::Wifi, _) => (self.config.hardware, self.config.software),
            (Kind::Mcu, Some(info)) => (info.hardware, info.software),
            (Kind::Mcu, None) => return,
        };
        let mut versions = format!("type={}&hard_version=", kind.number());
        reply::form(&hardware, &mut versions);
        versions.push_str("&soft_version=");
        reply::form(&software, &mut versions);
        let request = match (self.policy.ota, kind) {
            // The firmware id is the module's own (seed §9_8: the MCU's is not ruled).
            (OtaRule::FirmwareId, Kind::Wifi) => self.fid_check(&versions),
            (OtaRule::FirmwareId, Kind::Mcu) | (OtaRule::Version, _) => {
                self.version_check(&versions)
            }
        };
        self.send(Ask::Check(kind), &request, self.policy.ota_wait, cx);
    }

    /// API 4.0, GizWits §3.1 row 7; an id of 0 is sent as 1 (seed §9_4).
    fn fid_check(&self, versions: &str) -> String {
        let line = format!(
            "GET /dev/ota/target_fid?did={}&product_key={}&{versions}&current_fid={}",
            self.flash.did,
            self.flash.product_key,
            self.flash.firmware_id.max(1)
        );
        format!("{}Content-Type: application/text\r\n\r\n", self.head(&line))
    }

    fn version_check(&self, versions: &str) -> String {
        let mut body = String::from("passcode=");
        reply::form(self.flash.passcode.as_ref().map_or(&[][..], Secret::expose), &mut body);
        body.push('&');
        body.push_str(versions);
        let line = format!("POST /dev/ota/v4.1/update_and_check/{}", self.flash.did);
        // GAgent writes these two header fields without a blank.
        self.form(&line, &body).replacen("Host: ", "Host:", 1).replacen("Length: ", "Length:", 1)
    }

    /// Asks to delete a former DID; false when it cannot be asked now.
    pub(super) fn delete_former(&mut self, cx: &mut Cx<'_>) -> bool {
        let (Some((did, passcode)), Some(_)) = (&self.flash.former, self.chain.api) else {
            return false;
        };
        let mut body = format!("did={did}&passcode=");
        reply::form(passcode.expose(), &mut body);
        let request = self.form("DELETE /dev/devices", &body);
        self.send(Ask::Delete, &request, self.policy.http_wait, cx);
        true
    }

    /// Asks for the newest firmware of a product; false when it cannot be asked now.
    pub(super) fn latest_request(&mut self, line: &str, cx: &mut Cx<'_>) -> bool {
        let request = format!("{}\r\n", self.head(line));
        let wait = self.policy.ota_wait;
        self.send(Ask::Latest, &request, wait, cx);
        self.chain.asking.is_some()
    }

    fn api_wait(&self) -> Duration {
        self.policy.http_wait + self.policy.back_off * self.chain.failures.min(100)
    }

    fn send(&mut self, ask: Ask, request: &str, wait: Duration, cx: &mut Cx<'_>) {
        if let Some(to) = self.chain.api {
            self.exchange(ask, to, request, wait, ANSWER_MAX, cx);
        }
    }

    /// Starts an exchange; its answer comes to [`Self::http`].
    pub(super) fn exchange(
        &mut self,
        ask: Ask,
        to: SocketAddr,
        request: &str,
        wait: Duration,
        body_bytes_max: usize,
        cx: &mut Cx<'_>,
    ) {
        self.chain.id = self.chain.id.wrapping_add(1);
        self.chain.asking = Some((ask, cx.now + wait));
        let (id, request) = (self.chain.id, request.as_bytes());
        cx.put(Output::Http { id, to, request, wait, body_bytes_max });
    }

    pub(super) fn http(
        &mut self,
        id: u32,
        result: Result<(&Head, &[u8]), &Fault>,
        cx: &mut Cx<'_>,
    ) {
        if id != self.chain.id {
            return;
        }
        let Some((ask, _)) = self.chain.asking.take() else { return };
        match (ask, result) {
            (Ask::Register, Ok((head, body))) => self.registered(head.status, body, cx),
            (Ask::Provision, Ok((head, body))) => self.provisioned(head.status, body, cx),
            (Ask::Check(kind), Ok((head, body))) => self.checked(kind, head.status, body, cx),
            (Ask::Fetch(kind), Ok((head, body))) => self.fetched(kind, head, body, cx),
            (Ask::Latest, Ok((head, body))) => self.latest(head.status, body),
            (Ask::Delete, Ok((head, body))) => self.deleted(head.status, body, cx),
            (ask, Err(fault)) => self.unanswered_call(ask, fault, cx),
        }
    }

    fn unanswered_call(&mut self, ask: Ask, fault: &Fault, cx: &mut Cx<'_>) {
        let line = format!("{ask:?}: {fault}");
        self.log(Level::Error, &line, cx);
        match ask {
            Ask::Register | Ask::Provision => {
                let silent = fault.kind == FaultKind::Timeout;
                self.call_failed(&line, silent, cx);
            }
            // One try (seed §9_2).
            Ask::Check(_) => {}
            Ask::Fetch(kind) => self.fetch_failed(kind, cx),
            Ask::Latest => self.answer_transaction(&[2, 0]),
            Ask::Delete => {
                if !self.reset_deleted(cx) {
                    self.chain.hold = Some(cx.now + self.policy.back_off);
                }
            }
        }
    }

    /// A needed answer did not come, or was a refusal.
    fn call_failed(&mut self, why: &str, silent: bool, cx: &mut Cx<'_>) {
        self.chain.failures += 1;
        cx.event(Event::Failed("attempt.never_connected", why));
        let pause = match silent {
            true => SILENCE_PAUSE,
            false => self.policy.back_off * self.chain.failures,
        };
        self.chain.hold = Some(cx.now + pause);
        // The name may have moved.
        if self.chain.failures.is_multiple_of(self.policy.provision_after.max(1)) {
            self.chain.api = None;
        }
    }

    fn refused(&mut self, ask: Ask, error: ReplyError, cx: &mut Cx<'_>) {
        let line = format!("{ask:?}: {error}");
        self.log(Level::Error, &line, cx);
        if error == ReplyError::Unknown && self.policy.registers_anew {
            return self.register_anew(cx);
        }
        self.call_failed(&line, false, cx);
    }

    /// The cloud does not know DID and passcode: another registration, without a deregistration
    /// (seed §8.4_5, §8.9_5). From the second time on it waits.
    pub(super) fn register_anew(&mut self, cx: &mut Cx<'_>) {
        self.log(Level::Warning, "registering anew", cx);
        self.flash.did = "".into();
        self.save(cx);
        self.chain.place = None;
        let pause = self.policy.back_off * self.chain.renewals;
        self.chain.renewals += 1;
        self.chain.hold = Some(cx.now + pause);
    }

    fn registered(&mut self, status: u16, body: &[u8], cx: &mut Cx<'_>) {
        match reply::registered(status, body) {
            Err(error) => self.refused(Ask::Register, error, cx),
            Ok(did) => {
                self.flash.did = did.into();
                self.chain.failures = 0;
                self.save(cx);
                self.log(Level::Info, "registered", cx);
                cx.event(Event::Registered(did));
            }
        }
    }

    fn provisioned(&mut self, status: u16, body: &[u8], cx: &mut Cx<'_>) {
        match reply::provisioned(status, body) {
            Err(error) => self.refused(Ask::Provision, error, cx),
            Ok(place) => {
                self.chain.failures = 0;
                if let Some(seconds) = place.seconds {
                    let now_ms = cx.now.as_millis() as i64;
                    self.clock_offset = Some(seconds.saturating_mul(1000).saturating_sub(now_ms));
                }
                if let Some(keyword) = &place.third_party {
                    self.log(Level::Info, &format!("third-party cloud `{keyword}`: none here"), cx);
                }
                self.chain.place = Some(place);
            }
        }
    }

    fn deleted(&mut self, status: u16, body: &[u8], cx: &mut Cx<'_>) {
        // Whatever the cloud says of a DID it does not want to delete, asking again is no use.
        if status != 200 {
            let line = format!("deregistration: status {status}, {} bytes", body.len());
            self.log(Level::Warning, &line, cx);
        }
        if (200..500).contains(&status) {
            self.flash.former = None;
            self.save(cx);
        } else {
            self.chain.hold = Some(cx.now + self.policy.back_off);
        }
        self.reset_deleted(cx);
    }

    /// The resolver has spoken.
    pub(super) fn resolved(&mut self, name: Name, address: Result<IpAddr, &str>, cx: &mut Cx<'_>) {
        match (name, address) {
            (Name::Api, Ok(address)) => {
                self.chain.resolving = None;
                self.chain.api = Some(SocketAddr::new(address, self.config.api_port));
            }
            (Name::Api, Err(why)) => {
                self.chain.resolving = None;
                let line = format!("name of the API: {why}");
                self.log(Level::Error, &line, cx);
                self.call_failed(&line, false, cx);
            }
            (Name::Firmware, address) => self.firmware_resolved(address.ok(), cx),
            (Name::M2m, address) => self.m2m_resolved(address, cx),
        }
    }

    pub(super) fn chain_timeout(&mut self, cx: &mut Cx<'_>) {
        let lost = |since: Tick| cx.now.since(since) >= self.policy.cloud_lost;
        if self.chain.trying_since.is_some_and(lost) {
            return self.restart_now(RestartReason::CloudLost, cx);
        }
        self.chain.hold.take_if(|at| cx.now >= *at);
        if self.chain.resolving.is_some_and(|at| cx.now >= at) {
            self.resolved(Name::Api, Err("no answer"), cx);
        }
        // The hardware should have said so; the machine does not depend on it.
        if self.chain.asking.is_some_and(|(_, at)| cx.now >= at) {
            let fault = Fault::new(FaultKind::Timeout, "no answer");
            self.http(self.chain.id, Err(&fault), cx);
        }
    }

    pub(super) fn chain_deadline(&self) -> Option<(Tick, &'static str)> {
        let lost = self.chain.trying_since.map(|since| since + self.policy.cloud_lost);
        let asking = self.chain.asking.map(|(_, at)| at);
        [
            (self.chain.hold, "next try"),
            (self.chain.resolving, "name of the API"),
            (asking, "answer of the API"),
            (lost, "restart without cloud"),
        ]
        .into_iter()
        .filter_map(|(at, why)| Some((at?, why)))
        .min_by_key(|d| d.0)
    }
}
