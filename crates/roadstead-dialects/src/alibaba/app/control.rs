//! Control of one device in the LAN, while the cloud is away.
//!
//! ```text
//! Start -> Authorizing --session--> Ready --ask--> Answer
//!            '--refused, silent--> Failed     '--heart-beat every 40 s; silence: Authorizing anew
//! ```
//!
//! Source: Alibaba §10; transcript v301_alcs_session.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use roadstead_core::{Code, Tick, Value};
use roadstead_wire::coap::{self, Endpoint, Query, option};
use serde_json::json;

use super::super::alcs::client::HEARTBEAT;
use super::super::alcs::{AccessKey, Client, ClientError, SESSION_OPTION, session_to_option};
use super::super::crypt::short_sha256;
use super::super::lan::{Answer, Ask, Resource};
use super::{Input, earliest, hasty};

/// How long an answer is waited for, milliseconds.
const ANSWER_LIFE_MS: u64 = 12_000;
/// How long the answer of an opening is waited for, milliseconds: devices acknowledge first and
/// send it once.
const AUTH_LIFE_MS: u64 = 3000;
/// Requests that wait for a session.
const QUEUE_MAX: usize = 16;
/// Sessions that are opened in a row without an answer in between.
const OPENINGS_MAX: u8 = 4;
/// Length of the phone's random text (§10).
const RANDOM_LEN: usize = 16;

/// Something to do or to know.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlOutput {
    /// Send this.
    Send {
        /// Receiver.
        to: SocketAddr,
        /// Datagram.
        bytes: bytes::Bytes,
    },
    /// A session is open.
    Ready,
    /// A request is answered.
    Answer {
        /// Of the request.
        id: String,
        /// 200 is success.
        code: i64,
        /// Result, in the vendor's coding.
        data: Value,
    },
    /// There is no session, and every waiting request is lost.
    Failed(ControlError),
}

/// Why a device is not controlled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It does not answer.
    #[error("the device does not answer")]
    Silent,
    /// It answers, and has no such resource: it is being given its network, or its firmware was
    /// built without.
    #[error("the device does not offer local control now")]
    NotOffered,
    /// It refuses, or what it says is wrong.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ControlError {
    /// Returns the stable code.
    pub fn code(self) -> Code {
        match self {
            Self::Silent => "local.silent",
            Self::NotOffered => "local.not_offered",
            Self::Client(error) => error.code(),
        }
    }
}

/// A request that waits or is under way.
struct Request {
    id: String,
    name: Box<str>,
    params: Value,
}

/// The machine.
pub struct Control {
    endpoint: Endpoint,
    device: SocketAddr,
    names: (Box<str>, Box<str>),
    key: AccessKey,
    seed: u64,
    opened: u64,
    client: Option<Client>,
    auth: Option<coap::Key>,
    openings: u8,
    beat: Option<Tick>,
    beating: Option<coap::Key>,
    queue: VecDeque<Request>,
    open: Vec<(coap::Key, Request)>,
    count: u64,
}

impl Control {
    /// Returns a phone without a session with the device of these names (product, device).
    pub fn new(device: SocketAddr, names: (&str, &str), key: AccessKey, seed: u64) -> Self {
        Self {
            endpoint: Endpoint::new(hasty(), seed),
            device,
            names: (names.0.into(), names.1.into()),
            key,
            seed,
            opened: 0,
            client: None,
            auth: None,
            openings: 0,
            beat: None,
            beating: None,
            queue: VecDeque::new(),
            open: Vec::new(),
            count: 0,
        }
    }

    /// Calls a service: `property/set`, `property/get`, or one of the thing model. Returns the id
    /// of its answer; it waits while there is no session.
    pub fn ask(
        &mut self,
        name: &str,
        params: Value,
        now: Tick,
        out: &mut Vec<ControlOutput>,
    ) -> String {
        self.count += 1;
        let id = self.count.to_string();
        if self.queue.len() == QUEUE_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(Request { id: id.clone(), name: name.into(), params });
        let mut effects = Vec::new();
        self.flush(now, &mut effects);
        self.perform(effects, now, out);
        id
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Tick, out: &mut Vec<ControlOutput>) {
        let mut effects = Vec::new();
        match input {
            Input::Start => self.authorize(now, &mut effects),
            Input::Datagram { from, bytes } => {
                self.endpoint.receive(from, bytes, now.as_millis(), &mut effects);
            }
            Input::Timeout => {
                self.endpoint.timeout(now.as_millis(), &mut effects);
                if self.beat.is_some_and(|beat| now >= beat) {
                    self.beat(now, &mut effects);
                }
            }
        }
        self.perform(effects, now, out);
    }

    /// Returns when [`Input::Timeout`] is due, and why.
    pub fn deadline(&self) -> Option<(Tick, &'static str)> {
        let coap = self.endpoint.deadline().map(|at| (Tick::from_millis(at), "CoAP"));
        earliest(coap, self.beat.map(|at| (at, "heart-beat")))
    }

    fn authorize(&mut self, now: Tick, effects: &mut Vec<coap::Output>) {
        self.openings += 1;
        self.opened += 1;
        let random = short_sha256(&[&self.seed.to_be_bytes(), &self.opened.to_be_bytes()]);
        let mut random = hex::encode_upper(random);
        random.truncate(RANDOM_LEN);
        let client = Client::new(self.key.clone(), random);
        let names = (&*self.names.0, &*self.names.1);
        let path = Resource::Auth.path(Some(names));
        let body = client.auth("1", names);
        self.client = Some(client);
        self.beat = None;
        self.auth = Some(self.query(&path, body.into_bytes(), None, now, effects));
    }

    fn beat(&mut self, now: Tick, effects: &mut Vec<coap::Output>) {
        self.beat = Some(now + HEARTBEAT);
        let path = Resource::HeartBeat.path(None);
        let ask = Ask::new("0", "core/service/heartBeat", json!({}));
        if let Some((session, sealed)) = self.sealed(&ask) {
            self.beating = Some(self.query(&path, sealed, Some(session), now, effects));
        }
    }

    fn sealed(&self, ask: &Ask) -> Option<(u32, Vec<u8>)> {
        let client = self.client.as_ref()?;
        client.session().zip(client.seal(ask))
    }

    /// Sends what waits, when there is a session.
    fn flush(&mut self, now: Tick, effects: &mut Vec<coap::Output>) {
        while let Some(request) = self.queue.pop_front() {
            let method = alloc::format!("thing.service.{}", request.name.replace('/', "."));
            let ask = Ask::new(request.id.as_str(), &method, request.params.clone());
            let Some((session, sealed)) = self.sealed(&ask) else {
                return self.queue.push_front(request);
            };
            let names = (&*self.names.0, &*self.names.1);
            let path = Resource::Service(&request.name).path(Some(names));
            let key = self.query(&path, sealed, Some(session), now, effects);
            self.open.push((key, request));
        }
    }

    fn query(
        &mut self,
        path: &str,
        payload: Vec<u8>,
        session: Option<u32>,
        now: Tick,
        effects: &mut Vec<coap::Output>,
    ) -> coap::Key {
        let query = Query::new(true, coap::Code::GET, path, payload);
        let mut query = query.with_option(option::CONTENT_FORMAT, vec![option::JSON as u8]);
        if let Some(session) = session {
            query = query.with_option(SESSION_OPTION, session_to_option(session));
        }
        query.life_ms = if session.is_some() { ANSWER_LIFE_MS } else { AUTH_LIFE_MS };
        self.endpoint.query(self.device, query, now.as_millis(), effects)
    }

    fn perform(&mut self, effects: Vec<coap::Output>, now: Tick, out: &mut Vec<ControlOutput>) {
        for effect in effects {
            match effect {
                coap::Output::Send { to, bytes } => out.push(ControlOutput::Send { to, bytes }),
                coap::Output::Response { key, message, .. } if self.auth == Some(key) => {
                    self.auth = None;
                    match message.code {
                        coap::Code::NOT_FOUND => self.fail(ControlError::NotOffered, out),
                        _ => self.authorized(&message.payload, now, out),
                    }
                }
                coap::Output::Response { key, message, .. } => {
                    self.answered(key, &message, now, out);
                }
                coap::Output::Failed { key, .. } => self.silent(key, now, out),
                coap::Output::Request { .. } => {}
            }
        }
    }

    fn authorized(&mut self, payload: &[u8], now: Tick, out: &mut Vec<ControlOutput>) {
        let Some(client) = &mut self.client else { return };
        match client.opened(payload) {
            Ok(()) => {
                self.beat = Some(now + HEARTBEAT);
                out.push(ControlOutput::Ready);
                let mut effects = Vec::new();
                self.flush(now, &mut effects);
                self.perform(effects, now, out);
            }
            Err(error) => self.fail(error.into(), out),
        }
    }

    fn answered(
        &mut self,
        key: coap::Key,
        message: &coap::Message,
        now: Tick,
        out: &mut Vec<ControlOutput>,
    ) {
        if message.code == coap::Code::UNAUTHORIZED {
            // The session is over: the device was switched off, or has new keys.
            return self.again(key, now, out);
        }
        if self.beating == Some(key) {
            self.beating = None;
            return;
        }
        let Some(at) = self.open.iter().position(|(open, _)| *open == key) else { return };
        let (_, request) = self.open.remove(at);
        self.openings = 0;
        let answer = self.client.as_ref().map(|client| client.open(&message.payload));
        match answer {
            Some(Ok(Answer { code, data, .. })) => {
                out.push(ControlOutput::Answer { id: request.id, code, data });
            }
            Some(Err(error)) => self.fail(error.into(), out),
            None => {}
        }
    }

    /// Opens another session for what is not answered.
    fn again(&mut self, key: coap::Key, now: Tick, out: &mut Vec<ControlOutput>) {
        if let Some(at) = self.open.iter().position(|(open, _)| *open == key) {
            let (_, request) = self.open.remove(at);
            self.queue.push_front(request);
        }
        if self.auth.is_some() {
            return;
        }
        if self.openings >= OPENINGS_MAX {
            return self.fail(ControlError::Silent, out);
        }
        let mut effects = Vec::new();
        self.authorize(now, &mut effects);
        self.perform(effects, now, out);
    }

    fn silent(&mut self, key: coap::Key, now: Tick, out: &mut Vec<ControlOutput>) {
        if self.auth == Some(key) {
            self.auth = None;
        }
        self.again(key, now, out);
    }

    fn fail(&mut self, error: ControlError, out: &mut Vec<ControlOutput>) {
        (self.client, self.beat, self.beating) = (None, None, None);
        self.queue.clear();
        for (key, _) in self.open.drain(..) {
            self.endpoint.cancel(key);
        }
        out.push(ControlOutput::Failed(error));
    }
}
