//! The device in the LAN: one CoAP port, open while it has a network.
//!
//! ```text
//! Setup (own network, or a setup network): switchap, errcode, description with proof
//! Home  (the router's network):            description with token, announcements, local control
//! ```
//!
//! A resource answers GET alone (trap 11). A query for the token waits until the platform has
//! confirmed one; a second query meanwhile is dropped, the phone asks again (§5.3).
//!
//! Source: Alibaba §5.2, §5.3, §7, §7.3, §7.4; transcripts v301_*, l16_*.

use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use roadstead_core::{Tick, Value};
use roadstead_wire::coap::{self, Code, Endpoint, Exchange, Message, Query, Reply, Style, option};
use serde_json::json;

use super::super::lan::{
    AWSS_INFO_NOTIFY, Answer, Ask, CONNECTAP_NOTIFY, DEVICE_INFO_NOTIFY, DISCOVERY_NOTIFY, IdStyle,
    InfoProof, PORT, Resource, TokenInfo,
};
use super::super::softap::{ErrorReport, Switch};
use super::context::Context;
use super::notifier::Notifier;
use super::policy::{Generation, Unconfirmed};
use super::token::{News, Tokens};
use crate::device::{Event, Output, UdpAction, earliest};

/// Everybody in the network.
const EVERYBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::BROADCAST), PORT);
/// How long an acknowledgement of an announcement is waited for, milliseconds.
const NOTIFY_LIFE_MS: u64 = 5000;
/// How long after joining the description without token is given (§7), milliseconds.
const CONNECTAP_LIFE_MS: u64 = 60_000;

/// Where the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In its own network.
    OwnAp,
    /// In a setup network of phone or router.
    SetupAp,
    /// In the router's network.
    Home,
}

/// What a datagram brought for the parent.
pub(super) enum Heard {
    /// Network and token.
    Switch(Switch),
    /// A request of a phone in local control, for the application.
    Question(Event),
}

/// The open port.
pub(super) struct Lan {
    endpoint: Endpoint,
    place: Place,
    /// Announces the joined network, or the setup.
    joined: Notifier,
    /// Announces the token.
    token: Notifier,
    /// A token was announced already on this connection.
    is_announced: bool,
    /// The query that waits for a token, and until when.
    waiting: Option<(Exchange, String, Tick)>,
    opened: Tick,
    notify_id: u64,
}

impl Lan {
    /// Opens the port.
    pub(super) fn open(place: Place, cx: &mut Context<'_>) -> Self {
        cx.out.push(Output::Udp(UdpAction::Bind(PORT)));
        let seed = cx.memory.random.bits();
        // Real firmware numbers from 1 after each boot; phones must stand that.
        let endpoint = Endpoint::new(coap::Policy::default(), seed).with_first_id(1);
        let mut lan = Self {
            endpoint,
            place,
            joined: Notifier::default(),
            token: Notifier::default(),
            is_announced: false,
            waiting: None,
            opened: cx.now,
            notify_id: 0,
        };
        if place != Place::OwnAp {
            lan.joined.begin(cx.policy(), cx.now);
        }
        if place == Place::Home {
            lan.announce_local_control(cx);
        }
        lan
    }

    /// Opens the port of a device that never had to be told its network.
    pub(super) fn at_home(cx: &mut Context<'_>) -> Self {
        let mut lan = Self::open(Place::Home, cx);
        lan.joined.end();
        lan
    }

    /// Closes the port.
    pub(super) fn close(&self, cx: &mut Context<'_>) {
        cx.out.push(Output::Udp(UdpAction::Close(PORT)));
    }

    /// A new log-in: its first token is announced.
    pub(super) fn connection_began(&mut self) {
        self.is_announced = false;
    }

    /// Takes a datagram.
    pub(super) fn datagram(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        tokens: &mut Tokens,
        cx: &mut Context<'_>,
    ) -> Option<Heard> {
        let mut effects = Vec::new();
        self.endpoint.receive(from, bytes, cx.now.as_millis(), &mut effects);
        self.perform(effects, tokens, cx)
    }

    /// What became of the token: it is announced, or given to whoever waits for it.
    pub(super) fn news(&mut self, news: News, tokens: &mut Tokens, cx: &mut Context<'_>) {
        match (news, self.waiting.take()) {
            (News::Confirmed, Some((exchange, id, _))) => {
                let token = tokens.use_up(cx);
                self.describe(&exchange, &id, token, cx);
            }
            (News::Confirmed, None) if self.place == Place::Home && !self.is_announced => {
                self.is_announced = true;
                self.token.begin(cx.policy(), cx.now);
            }
            (News::Unconfirmed, Some((exchange, id, _))) => self.no_token(&exchange, &id, cx),
            (News::Confirmed | News::Unconfirmed, None) => {}
        }
    }

    /// Wakes up.
    pub(super) fn timeout(&mut self, tokens: &mut Tokens, cx: &mut Context<'_>) {
        let mut effects = Vec::new();
        self.endpoint.timeout(cx.now.as_millis(), &mut effects);
        // No queries of this side are answered with work for the parent.
        let _ = self.perform(effects, tokens, cx);
        if self.waiting.as_ref().is_some_and(|(.., until)| cx.now >= *until)
            && let Some((exchange, id, _)) = self.waiting.take()
        {
            self.no_token(&exchange, &id, cx);
        }
        if self.joined.is_due(cx.now) {
            let key = match self.place {
                Place::Home => self.notify(CONNECTAP_NOTIFY, cx.info(None).to_value(), cx),
                Place::OwnAp | Place::SetupAp => {
                    let params = proven(cx);
                    self.notify(AWSS_INFO_NOTIFY, params, cx)
                }
            };
            self.joined.sent(Some(key), &cx.memory.policy, cx.now);
        }
        if self.token.is_due(cx.now) {
            let key = match tokens.confirmed(cx) {
                Some(token) => {
                    let params = cx.info(Some(token)).to_value();
                    Some(self.notify(DEVICE_INFO_NOTIFY, params, cx))
                }
                None => {
                    // Its life is over: the next one is announced.
                    tokens.renew(cx);
                    None
                }
            };
            self.token.sent(key, &cx.memory.policy, cx.now);
        }
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        let coap = self.endpoint.deadline().map(|at| (Tick::from_millis(at), "CoAP"));
        let waiting = self.waiting.as_ref().map(|(.., until)| (*until, "a token for a phone"));
        let notifiers = earliest(self.joined.deadline(), self.token.deadline());
        earliest(earliest(coap, waiting), notifiers)
    }

    /// Answers a request of a phone in local control.
    pub(super) fn answer_local(
        &mut self,
        exchange: &Exchange,
        session: u32,
        answer: &Answer,
        cx: &mut Context<'_>,
    ) {
        let text = answer.emit(IdStyle::Quoted);
        let Ok(sealed) = cx.memory.local.seal(exchange.peer, session, text.as_bytes()) else {
            return;
        };
        let reply = Reply::new(Code::CONTENT, sealed)
            .with_style(Style::Confirmable)
            .with_option(option::CONTENT_FORMAT, vec![option::OCTETS as u8])
            .with_option(
                super::super::alcs::SESSION_OPTION,
                super::super::alcs::session_to_option(session),
            );
        self.respond(exchange, reply, cx);
    }

    fn perform(
        &mut self,
        effects: Vec<coap::Output>,
        tokens: &mut Tokens,
        cx: &mut Context<'_>,
    ) -> Option<Heard> {
        let mut heard = None;
        for effect in effects {
            match effect {
                coap::Output::Send { to, bytes } => send(to, bytes, cx),
                coap::Output::Request { exchange, message } => {
                    heard = self.request(&exchange, &message, tokens, cx).or(heard);
                }
                coap::Output::Response { key, message, .. } if message.code == Code::CONTENT => {
                    if self.token.is_own(key) {
                        self.token.end();
                        // The phone has this token; the next phone gets another.
                        let _ = tokens.use_up(cx);
                    } else if self.joined.is_own(key) {
                        self.joined.end();
                    }
                }
                coap::Output::Response { .. } | coap::Output::Failed { .. } => {}
            }
        }
        heard
    }

    fn request(
        &mut self,
        exchange: &Exchange,
        message: &Message,
        tokens: &mut Tokens,
        cx: &mut Context<'_>,
    ) -> Option<Heard> {
        let path = message.path();
        let (product, device) = cx.names();
        let Some(resource) = Resource::parse(&path, product, device) else {
            // Announcements of other devices arrive here, too.
            if message.kind == coap::Kind::Confirmable {
                self.respond(exchange, Reply::new(Code::NOT_FOUND, ""), cx);
            }
            return None;
        };
        if message.code != Code::GET {
            self.respond(exchange, Reply::new(Code::METHOD_NOT_ALLOWED, ""), cx);
            return None;
        }
        if let Some(session) = message.option(super::super::alcs::SESSION_OPTION) {
            return self.controlled(exchange, resource, session, &message.payload, cx);
        }
        let Ok(ask) = Ask::parse(&message.payload) else {
            self.respond(exchange, Reply::new(Code::BAD_REQUEST, ""), cx);
            return None;
        };
        self.open_request(exchange, resource, &ask, tokens, cx)
    }

    fn open_request(
        &mut self,
        exchange: &Exchange,
        resource: Resource<'_>,
        ask: &Ask,
        tokens: &mut Tokens,
        cx: &mut Context<'_>,
    ) -> Option<Heard> {
        let is_setup = self.place != Place::Home;
        match resource {
            Resource::DeviceInfo => self.query(exchange, ask, tokens, cx),
            Resource::ConnectAp if !is_setup && !self.is_long_home(cx) => {
                self.acknowledge(exchange, cx);
                self.describe(exchange, &ask.id, None, cx);
            }
            Resource::AwssInfo => {
                self.acknowledge(exchange, cx);
                let answer = Answer::ok(&ask.id, proven(cx));
                self.reply(exchange, &answer, IdStyle::Digits, Style::Echoed, cx);
            }
            Resource::ErrorCode => {
                self.acknowledge(exchange, cx);
                let answer = Answer::ok(&ask.id, error_report(cx));
                self.reply(exchange, &answer, IdStyle::Digits, Style::Piggybacked, cx);
            }
            Resource::WifiList => {
                // The radio of this hardware abstraction does not scan.
                let data = json!({"awssVer": {"smartconfig": "2.0"}, "wifiList": []});
                self.acknowledge(exchange, cx);
                let answer = Answer::ok(&ask.id, data);
                self.reply(exchange, &answer, IdStyle::Digits, Style::Echoed, cx);
            }
            Resource::SoftApSwitch | Resource::Switch if is_setup => {
                return self.switch(exchange, ask, resource, tokens, cx);
            }
            Resource::Discovery => {
                self.acknowledge(exchange, cx);
                let answer = Answer::ok(&ask.id, json!({"devices": presence(cx)}));
                self.reply(exchange, &answer, IdStyle::Quoted, Style::Confirmable, cx);
            }
            Resource::Auth | Resource::AuthSelect | Resource::Setup if !is_setup => {
                self.acknowledge(exchange, cx);
                let answer = self.authorize(exchange, resource, ask, cx);
                self.reply(exchange, &answer, IdStyle::Quoted, Style::Piggybacked, cx);
            }
            // Local control without a session.
            Resource::HeartBeat | Resource::Service(_) => {
                self.respond(exchange, Reply::new(Code::UNAUTHORIZED, ""), cx);
            }
            // Not here and now.
            Resource::ConnectAp
            | Resource::SoftApSwitch
            | Resource::Switch
            | Resource::Auth
            | Resource::AuthSelect
            | Resource::Setup => self.respond(exchange, Reply::new(Code::NOT_FOUND, ""), cx),
        }
        None
    }

    fn query(&mut self, exchange: &Exchange, ask: &Ask, tokens: &mut Tokens, cx: &mut Context<'_>) {
        self.acknowledge(exchange, cx);
        if self.place != Place::Home {
            return self.no_token(exchange, &ask.id, cx);
        }
        // The phone came by itself.
        self.token.end();
        if tokens.confirmed(cx).is_some() {
            let token = tokens.use_up(cx);
            return self.describe(exchange, &ask.id, token, cx);
        }
        tokens.renew(cx);
        match tokens.is_reporting() {
            true if self.waiting.is_none() => {
                let until = cx.now + cx.policy().query_wait;
                self.waiting = Some((*exchange, ask.id.clone(), until));
            }
            // A second query meanwhile: the phone asks again.
            true | false => self.no_token(exchange, &ask.id, cx),
        }
    }

    fn no_token(&mut self, exchange: &Exchange, id: &str, cx: &mut Context<'_>) {
        match cx.policy().unconfirmed {
            Unconfirmed::Silence => {}
            Unconfirmed::WithoutToken => self.describe(exchange, id, None, cx),
        }
    }

    fn switch(
        &mut self,
        exchange: &Exchange,
        ask: &Ask,
        resource: Resource<'_>,
        tokens: &mut Tokens,
        cx: &mut Context<'_>,
    ) -> Option<Heard> {
        self.acknowledge(exchange, cx);
        let secret = cx.memory.config.cipher_secret();
        match Switch::from_params(&ask.params, &secret, cx.policy().cut_password) {
            Ok(switch) => {
                if let Some(token) = &switch.token {
                    tokens.take_phones(token.clone());
                }
                let data = match resource == Resource::Switch {
                    true => "success".into(),
                    false => self.accepted(tokens, cx),
                };
                let answer = Answer::ok(&ask.id, data);
                self.reply(exchange, &answer, IdStyle::Digits, Style::Piggybacked, cx);
                Some(Heard::Switch(switch))
            }
            Err(error) => {
                cx.failed(error.code(), error.to_string());
                let answer = Answer::refusal(&ask.id, error.number(), &error.to_string());
                self.reply(exchange, &answer, IdStyle::Digits, Style::Piggybacked, cx);
                None
            }
        }
    }

    /// Returns the description that answers `switchap`: with the token that will be reported.
    fn accepted(&self, tokens: &mut Tokens, cx: &mut Context<'_>) -> Value {
        let token = (cx.policy().generation == Generation::Living16).then(|| {
            let (token, maker) = tokens.for_login(cx);
            TokenInfo { token, maker: Some(maker), remaining: core::time::Duration::ZERO }
        });
        cx.info(token).to_value()
    }

    fn controlled(
        &mut self,
        exchange: &Exchange,
        resource: Resource<'_>,
        session: &[u8],
        payload: &[u8],
        cx: &mut Context<'_>,
    ) -> Option<Heard> {
        let session = super::super::alcs::session_from_option(session)?;
        let now = cx.now;
        // Some phones leave the heart-beat plain (§10).
        let is_plain = resource == Resource::HeartBeat && Ask::parse(payload).is_ok();
        let plain = match is_plain {
            true => Ok(payload.to_vec()),
            false => cx.memory.local.open(exchange.peer, session, payload, now),
        };
        let ask = plain.ok().and_then(|plain| Ask::parse(&plain).ok());
        let Some(ask) = ask else {
            self.respond(exchange, Reply::new(Code::UNAUTHORIZED, ""), cx);
            return None;
        };
        self.acknowledge(exchange, cx);
        let question = if let Resource::Service(name) = resource {
            super::local::ask(name, ask, exchange, session, cx)
        } else if resource == Resource::HeartBeat {
            let delay = super::super::alcs::server::HEARTBEAT.as_secs();
            Err(Answer::ok(&ask.id, json!({ "delayTime": delay })))
        } else {
            Err(Answer::refusal(&ask.id, 460, "no such service"))
        };
        match question {
            Ok(event) => Some(Heard::Question(event)),
            Err(answer) => {
                self.answer_local(exchange, session, &answer, cx);
                None
            }
        }
    }

    fn authorize(
        &mut self,
        exchange: &Exchange,
        resource: Resource<'_>,
        ask: &Ask,
        cx: &mut Context<'_>,
    ) -> Answer {
        let result = if resource == Resource::AuthSelect {
            cx.memory.local.select(&ask.params)
        } else if resource == Resource::Setup {
            super::local::set_up(&ask.params, cx)
        } else {
            let random = cx.memory.random.alphanumeric(15);
            let (local, now) = (&mut cx.memory.local, cx.now);
            local.auth(exchange.peer, &ask.version, &ask.params, &random, now)
        };
        match result {
            Ok(data) => Answer::ok(&ask.id, data),
            Err(error) => Answer { id: ask.id.clone(), code: error.number(), data: json!({}) },
        }
    }

    fn announce_local_control(&mut self, cx: &mut Context<'_>) {
        let params = json!({"devices": presence(cx)});
        let ask = Ask::new("0", "core.service.dev.notify", params);
        let query = Query {
            many: true,
            life_ms: 0,
            ..Query::new(false, Code::POST, DISCOVERY_NOTIFY, ask.emit())
        };
        self.broadcast(query.with_option(option::CONTENT_FORMAT, format(cx)), cx);
    }

    fn notify(&mut self, path: &str, params: Value, cx: &mut Context<'_>) -> coap::Key {
        self.notify_id += 1;
        let method = path.trim_start_matches("/sys/").replace('/', ".");
        let ask = Ask::new(self.notify_id.to_string(), &method, params);
        let query = Query {
            many: true,
            life_ms: NOTIFY_LIFE_MS,
            ..Query::new(false, Code::POST, path, ask.emit())
        };
        self.broadcast(query.with_option(option::CONTENT_FORMAT, format(cx)), cx)
    }

    fn broadcast(&mut self, query: Query, cx: &mut Context<'_>) -> coap::Key {
        let mut effects = Vec::new();
        let key = self.endpoint.query(EVERYBODY, query, cx.now.as_millis(), &mut effects);
        flush(effects, cx);
        key
    }

    fn describe(
        &mut self,
        exchange: &Exchange,
        id: &str,
        token: Option<TokenInfo>,
        cx: &mut Context<'_>,
    ) {
        let answer = Answer::ok(id, cx.info(token).to_value());
        self.reply(exchange, &answer, IdStyle::Digits, Style::Echoed, cx);
    }

    fn reply(
        &mut self,
        exchange: &Exchange,
        answer: &Answer,
        id: IdStyle,
        style: Style,
        cx: &mut Context<'_>,
    ) {
        let reply = Reply::new(Code::CONTENT, answer.emit(id)).with_style(style);
        self.respond(exchange, reply.with_option(option::CONTENT_FORMAT, format(cx)), cx);
    }

    fn acknowledge(&mut self, exchange: &Exchange, cx: &mut Context<'_>) {
        let mut effects = Vec::new();
        self.endpoint.acknowledge(exchange, &mut effects);
        flush(effects, cx);
    }

    fn respond(&mut self, exchange: &Exchange, reply: Reply, cx: &mut Context<'_>) {
        let mut effects = Vec::new();
        self.endpoint.respond(exchange, reply, cx.now.as_millis(), &mut effects);
        flush(effects, cx);
    }

    fn is_long_home(&self, cx: &Context<'_>) -> bool {
        cx.now.since(self.opened).as_millis() as u64 > CONNECTAP_LIFE_MS
    }
}

/// Sends what an endpoint wants to send; it wants nothing else here.
fn flush(effects: Vec<coap::Output>, cx: &mut Context<'_>) {
    for effect in effects {
        if let coap::Output::Send { to, bytes } = effect {
            send(to, bytes, cx);
        }
    }
}

fn send(to: SocketAddr, bytes: bytes::Bytes, cx: &mut Context<'_>) {
    cx.out.push(Output::Udp(match to == EVERYBODY {
        true => UdpAction::Broadcast { port: PORT, bytes },
        false => UdpAction::Send { port: PORT, to, bytes },
    }));
}

/// Returns the content format as the generation writes it: JSON, or none at all.
fn format(cx: &Context<'_>) -> Vec<u8> {
    match cx.policy().generation {
        Generation::LinkKit3 => vec![option::JSON as u8],
        Generation::Living16 => Vec::new(),
    }
}

/// Returns the description with a proof of identity.
fn proven(cx: &mut Context<'_>) -> Value {
    let random = cx.secret_bytes();
    let secret = cx.memory.config.cipher_secret();
    let mut info = cx.info(None);
    let proof = InfoProof::new(secret.expose(), random, &info.product, &info.device);
    info.proof = Some(proof);
    info.to_value()
}

fn error_report(cx: &Context<'_>) -> Value {
    let config = &cx.memory.config;
    let nobody = roadstead_core::Secret::from("");
    let secret = config.secret.as_ref().unwrap_or(&nobody);
    let (failure, what) = match &cx.memory.failure {
        Some((failure, what)) => (Some(*failure), what.as_str()),
        None => (None, ""),
    };
    ErrorReport::new(failure, what, cx.names(), secret).to_value()
}

fn presence(cx: &Context<'_>) -> Value {
    let (product, device) = cx.names();
    json!({
        "addr": cx.memory.ip.to_string(), "port": PORT, "pal": "linkkit-ica",
        "profile": [{"productKey": product, "deviceName": device}],
    })
}
