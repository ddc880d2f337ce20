//! The exchange machine: both roles at one UDP port.
//!
//! ```text
//! query --> Sent --ACK--> Waiting --response--> closed
//!            |  '--response (the ACK was lost)--> closed
//!            '--no ACK: again, 4 times--> Failed
//! request heard --> acknowledge? --> respond (ACK, NON or CON of our own)
//!     '-- the same datagram again --> what was said to it is said again
//! ```
//!
//! Tolerances that real firmware needs, none of which costs a correct peer anything:
//! - a response is found by its token, whatever its type and id (an ACK after an empty ACK, a NON
//!   with the id of the request; Alibaba §5.3, §7.3);
//! - a duplicate is the same datagram, not only the same id: a device starts its ids anew after
//!   each power cut, within the RFC's 145 s.
//!
//! Source: RFC 7252 §4, §5.

mod sent;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::message::path_options;
use super::{Code, Kind, Message, Opt, Token};
use sent::{Asked, Random, Seen, Sent, fingerprint};

/// Queries and own confirmable responses under way; the oldest is given up.
const OPEN_MAX: usize = 64;
/// Datagrams remembered as heard; the oldest is forgotten.
const SEEN_MAX: usize = 128;

/// Transmission parameters (RFC 7252 §4.8), milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Wait for the first acknowledgement; up to half as much again, at random; then doubling.
    pub ack_wait_ms: u64,
    /// Retransmissions of one message.
    pub retransmits_max: u8,
    /// How long a confirmable datagram is remembered.
    pub exchange_life_ms: u64,
    /// How long a non-confirmable datagram is remembered.
    pub non_life_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        let (exchange_life_ms, non_life_ms) = (247_000, 145_000);
        Self { ack_wait_ms: 2000, retransmits_max: 4, exchange_life_ms, non_life_ms }
    }
}

/// Names a query until it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u32);

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Query {
    /// CON instead of NON.
    pub confirmable: bool,
    /// Method.
    pub code: Code,
    /// Path and other options.
    pub options: Vec<Opt>,
    /// Payload.
    pub payload: Bytes,
    /// How long responses are waited for.
    pub life_ms: u64,
    /// Several peers may answer: a broadcast.
    pub many: bool,
}

impl Query {
    /// Returns a query of this path, waited for as long as retransmission may take.
    pub fn new(confirmable: bool, code: Code, path: &str, payload: impl Into<Bytes>) -> Self {
        let options = path_options(path).collect();
        let (payload, life_ms) = (payload.into(), 93_000);
        Self { confirmable, code, options, payload, life_ms, many: false }
    }

    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, number: u16, value: impl Into<Bytes>) -> Self {
        self.options.push(Opt { number, value: value.into() });
        self
    }
}

/// A heard request that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Who asked.
    pub peer: SocketAddr,
    kind: Kind,
    id: u16,
    token: Token,
}

/// A response to be sent.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Response code.
    pub code: Code,
    /// Options in their order.
    pub options: Vec<Opt>,
    /// Payload.
    pub payload: Bytes,
    /// How it travels.
    pub style: Style,
}

impl Reply {
    /// Returns a response without options that travels with the acknowledgement.
    pub fn new(code: Code, payload: impl Into<Bytes>) -> Self {
        Self { code, options: Vec::new(), payload: payload.into(), style: Style::Piggybacked }
    }

    /// Travels otherwise.
    #[must_use]
    pub fn with_style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, number: u16, value: impl Into<Bytes>) -> Self {
        self.options.push(Opt { number, value: value.into() });
        self
    }
}

/// How a response travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In the acknowledgement of a CON; a NON of its own for a NON.
    Piggybacked,
    /// A CON of its own, repeated until it is acknowledged.
    Confirmable,
    /// A NON of its own.
    NonConfirmable,
    /// A NON with the id of the request, as some firmware has it (Alibaba §5.3).
    Echoed,
    /// An ACK even for a NON, as some firmware wants it (Alibaba §5.2).
    Acknowledged,
}

/// What the caller must do or know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram.
    Send {
        /// Receiver.
        to: SocketAddr,
        /// Datagram.
        bytes: Bytes,
    },
    /// Somebody asks; [`Endpoint::respond`] answers.
    Request {
        /// For the answer.
        exchange: Exchange,
        /// The request.
        message: Message,
    },
    /// A query is answered; without [`Query::many`] it is closed.
    Response {
        /// Of the query.
        key: Key,
        /// Who answered.
        from: SocketAddr,
        /// The response.
        message: Message,
    },
    /// A query is closed without any response.
    Failed {
        /// Of the query.
        key: Key,
        /// Why.
        cause: Cause,
    },
}

/// Why a query failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No acknowledgement or no response in time.
    #[error("no answer")]
    Silence,
    /// The peer does not know what it is about (RST).
    #[error("reset by the peer")]
    Reset,
    /// Too many queries at once; the oldest gave way.
    #[error("too many queries")]
    Dropped,
}

/// The machine of one port.
pub struct Endpoint {
    policy: Policy,
    random: Random,
    next_id: u16,
    next_key: u32,
    sent: Vec<Sent>,
    asked: Vec<Asked>,
    seen: VecDeque<Seen>,
}

impl Endpoint {
    /// Returns a machine; `seed` makes tokens, the first id and jitter differ between peers.
    pub fn new(policy: Policy, seed: u64) -> Self {
        let mut random = Random(seed);
        let next_id = random.bits() as u16;
        let (sent, asked, seen) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { policy, random, next_id, next_key: 0, sent, asked, seen }
    }

    /// Numbers messages from `id` on.
    #[must_use]
    pub fn with_first_id(self, id: u16) -> Self {
        Self { next_id: id, ..self }
    }

    /// Sends a request; `to` may be a broadcast or multicast address for a NON.
    pub fn query(&mut self, to: SocketAddr, query: Query, now: u64, out: &mut Vec<Output>) -> Key {
        if self.asked.len() == OPEN_MAX {
            let oldest = self.asked.remove(0);
            self.sent.retain(|sent| sent.key != Some(oldest.key));
            out.push(Output::Failed { key: oldest.key, cause: Cause::Dropped });
        }
        self.next_key = self.next_key.wrapping_add(1);
        let key = Key(self.next_key);
        let kind = if query.confirmable { Kind::Confirmable } else { Kind::NonConfirmable };
        let mut message = Message::new(kind, query.code, self.id());
        message.token = Token::new(&(self.random.bits() as u32).to_be_bytes()).unwrap_or_default();
        message.options = query.options;
        message.payload = query.payload;
        let host = (!query.many).then(|| to.ip());
        self.asked.push(Asked {
            key,
            host,
            id: message.id,
            token: message.token,
            until: now.saturating_add(query.life_ms),
            many: query.many,
            is_answered: false,
        });
        self.transmit(to, &message, Some(key), now, out);
        key
    }

    /// Forgets a query; nothing more is said about it.
    pub fn cancel(&mut self, key: Key) {
        self.asked.retain(|asked| asked.key != key);
        self.sent.retain(|sent| sent.key != Some(key));
    }

    /// Acknowledges a confirmable request whose response comes later.
    pub fn acknowledge(&mut self, exchange: &Exchange, out: &mut Vec<Output>) {
        if exchange.kind == Kind::Confirmable {
            let ack = Message::new(Kind::Acknowledgement, Code::EMPTY, exchange.id);
            self.say(exchange, ack.emit(), out);
        }
    }

    /// Answers a request.
    pub fn respond(&mut self, exchange: &Exchange, reply: Reply, now: u64, out: &mut Vec<Output>) {
        let (kind, id) = match (reply.style, exchange.kind) {
            (Style::Piggybacked, Kind::Confirmable) | (Style::Acknowledged, _) => {
                (Kind::Acknowledgement, exchange.id)
            }
            (Style::Confirmable, _) => (Kind::Confirmable, self.id()),
            (Style::Echoed, _) => (Kind::NonConfirmable, exchange.id),
            (Style::Piggybacked | Style::NonConfirmable, _) => (Kind::NonConfirmable, self.id()),
        };
        let mut message = Message::new(kind, reply.code, id);
        message.token = exchange.token;
        message.options = reply.options;
        message.payload = reply.payload;
        match kind {
            Kind::Confirmable => self.transmit(exchange.peer, &message, None, now, out),
            Kind::NonConfirmable | Kind::Acknowledgement | Kind::Reset => {
                self.say(exchange, message.emit(), out);
            }
        }
    }

    /// Takes a datagram.
    pub fn receive(&mut self, from: SocketAddr, bytes: &[u8], now: u64, out: &mut Vec<Output>) {
        let Ok(message) = Message::parse(bytes) else { return reject(from, bytes, out) };
        match message.kind {
            Kind::Acknowledgement => self.acknowledged(from, message, out),
            Kind::Reset => self.reset(from, message.id, out),
            Kind::Confirmable | Kind::NonConfirmable => {
                if !self.is_repeated(from, &message, bytes, now, out) {
                    self.heard(from, message, out);
                }
            }
        }
    }

    /// Repeats what is due and gives up what is over.
    pub fn timeout(&mut self, now: u64, out: &mut Vec<Output>) {
        let max = self.policy.retransmits_max;
        let mut lost = Vec::new();
        self.sent.retain_mut(|sent| {
            if now < sent.due {
                return true;
            }
            if sent.repeats == max {
                lost.extend(sent.key);
                return false;
            }
            sent.repeats += 1;
            sent.wait = sent.wait.saturating_mul(2);
            sent.due = now.saturating_add(sent.wait);
            out.push(Output::Send { to: sent.to, bytes: sent.bytes.clone() });
            true
        });
        let over = |asked: &Asked| now >= asked.until || lost.contains(&asked.key);
        for asked in self.asked.extract_if(.., |asked| over(asked)) {
            self.sent.retain(|sent| sent.key != Some(asked.key));
            if !asked.is_answered {
                out.push(Output::Failed { key: asked.key, cause: Cause::Silence });
            }
        }
    }

    /// Returns when [`Self::timeout`] is due.
    pub fn deadline(&self) -> Option<u64> {
        let sent = self.sent.iter().map(|sent| sent.due);
        sent.chain(self.asked.iter().map(|asked| asked.until)).min()
    }

    fn id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }

    /// Sends a message of our own; a confirmable one is repeated until it is acknowledged.
    fn transmit(
        &mut self,
        to: SocketAddr,
        message: &Message,
        key: Option<Key>,
        now: u64,
        out: &mut Vec<Output>,
    ) {
        let bytes = Bytes::from(message.emit());
        if message.kind == Kind::Confirmable {
            if self.sent.len() == OPEN_MAX {
                self.sent.remove(0);
            }
            let jitter = self.random.bits() % (self.policy.ack_wait_ms / 2 + 1);
            let wait = self.policy.ack_wait_ms + jitter;
            let due = now.saturating_add(wait);
            let (id, bytes) = (message.id, bytes.clone());
            self.sent.push(Sent { to, id, key, bytes, repeats: 0, wait, due });
        }
        out.push(Output::Send { to, bytes });
    }

    /// Sends something that belongs to a heard request, and remembers it for its duplicates.
    fn say(&mut self, exchange: &Exchange, bytes: Vec<u8>, out: &mut Vec<Output>) {
        let bytes = Bytes::from(bytes);
        let is_it = |seen: &&mut Seen| seen.peer == exchange.peer && seen.id == exchange.id;
        if let Some(seen) = self.seen.iter_mut().rev().find(is_it) {
            seen.answers.push(bytes.clone());
        }
        out.push(Output::Send { to: exchange.peer, bytes });
    }

    /// Remembers a datagram; a known one is answered as before.
    fn is_repeated(
        &mut self,
        peer: SocketAddr,
        message: &Message,
        bytes: &[u8],
        now: u64,
        out: &mut Vec<Output>,
    ) -> bool {
        while self.seen.front().is_some_and(|seen| now >= seen.until) {
            self.seen.pop_front();
        }
        let print = fingerprint(bytes);
        let known = self
            .seen
            .iter()
            .find(|s| s.peer == peer && s.id == message.id && s.print == print && now < s.until);
        if let Some(seen) = known {
            let again = |bytes: &Bytes| Output::Send { to: peer, bytes: bytes.clone() };
            out.extend(seen.answers.iter().map(again));
            return true;
        }
        let life = match message.kind {
            Kind::Confirmable => self.policy.exchange_life_ms,
            Kind::NonConfirmable | Kind::Acknowledgement | Kind::Reset => self.policy.non_life_ms,
        };
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        let (id, until) = (message.id, now.saturating_add(life));
        self.seen.push_back(Seen { peer, id, print, until, answers: Vec::new() });
        false
    }

    /// A request, a separate response or a ping.
    fn heard(&mut self, from: SocketAddr, message: Message, out: &mut Vec<Output>) {
        let exchange =
            Exchange { peer: from, kind: message.kind, id: message.id, token: message.token };
        let confirmable = message.kind == Kind::Confirmable;
        if message.code.is_request() {
            out.push(Output::Request { exchange, message });
        } else if message.code.is_response() {
            match self.answered(from, message, out) {
                true => self.acknowledge(&exchange, out),
                false if confirmable => self.refuse(&exchange, out),
                false => {}
            }
        } else if confirmable {
            // A ping (§4.3), or a code of a reserved class (§4.2).
            self.refuse(&exchange, out);
        }
    }

    fn refuse(&mut self, exchange: &Exchange, out: &mut Vec<Output>) {
        self.say(exchange, Message::new(Kind::Reset, Code::EMPTY, exchange.id).emit(), out);
    }

    fn acknowledged(&mut self, from: SocketAddr, message: Message, out: &mut Vec<Output>) {
        self.sent.retain(|sent| !(sent.id == message.id && same_host(sent.to, from)));
        if message.code.is_response() {
            self.answered(from, message, out);
        }
    }

    fn reset(&mut self, from: SocketAddr, id: u16, out: &mut Vec<Output>) {
        self.sent.retain(|sent| !(sent.id == id && same_host(sent.to, from)));
        let is_it = |a: &Asked| a.id == id && a.host == Some(from.ip());
        for asked in self.asked.extract_if(.., |asked| is_it(asked)) {
            out.push(Output::Failed { key: asked.key, cause: Cause::Reset });
        }
    }

    /// Gives a response to its query; false when there is none.
    fn answered(&mut self, from: SocketAddr, message: Message, out: &mut Vec<Output>) -> bool {
        let is_it = |a: &Asked| {
            a.token == message.token && a.host.is_none_or(|host: IpAddr| host == from.ip())
        };
        let Some(at) = self.asked.iter().position(is_it) else { return false };
        let Some(asked) = self.asked.get_mut(at) else { return false };
        let (key, many) = (asked.key, asked.many);
        asked.is_answered = true;
        // The response says that the request arrived; its acknowledgement may be lost.
        self.sent.retain(|sent| sent.key != Some(key));
        if !many {
            self.asked.remove(at);
        }
        out.push(Output::Response { key, from, message });
        true
    }
}

/// A broken confirmable message is reset, anything else ignored (§4.2, §4.3).
fn reject(from: SocketAddr, bytes: &[u8], out: &mut Vec<Output>) {
    if let Some((Kind::Confirmable, id)) = Message::id_of(bytes) {
        let bytes = Message::new(Kind::Reset, Code::EMPTY, id).emit().into();
        out.push(Output::Send { to: from, bytes });
    }
}

/// A multicast request is acknowledged by somebody else.
fn same_host(to: SocketAddr, from: SocketAddr) -> bool {
    to.ip() == from.ip()
}
