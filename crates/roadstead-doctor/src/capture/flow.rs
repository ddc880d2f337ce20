//! TCP connections: how each begins, what its first protocol says, how it ends.
//!
//! Streams are read in order; repeated segments are passed over, and a gap ends the reading of its
//! direction, not of the connection.

use std::collections::BTreeMap;

use super::Notes;
use super::mqtt::{self, Said};
use super::packet::{Peer, Segment};
use super::tls::{self, Record};
use crate::limit::FLOWS_MAX;

/// Bytes of a stream kept until a record is whole.
const STREAM_BYTES: usize = 20 * 1024;
/// A SYN or CONNECT without an answer for this long has failed, milliseconds.
const ANSWER_MS: i64 = 5_000;
/// PINGREQ without PINGRESP that show a dead session.
const PINGS_LOST: u32 = 2;
/// Ports on which the vendors' platforms listen.
const SERVER_PORTS: &[u16] =
    &[80, 443, 1883, 1443, 8883, 1884, 8080, 8443, 8900, 5683, 5684, 12416, 8266];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Unknown,
    Tls,
    Mqtt,
    Other,
}

/// One direction.
#[derive(Default)]
struct Stream {
    next: Option<u32>,
    data: Vec<u8>,
    skip: usize,
    lost: bool,
    /// This side encrypts now.
    sealed: bool,
    seen: bool,
}

impl Stream {
    /// Adds what is new in a segment.
    fn take(&mut self, segment: &Segment<'_>) {
        let begin = segment.sequence.wrapping_add(u32::from(segment.syn));
        let next = *self.next.get_or_insert(begin);
        let mut bytes = segment.payload;
        let old = next.wrapping_sub(begin) as usize;
        if old < u32::MAX as usize / 2 {
            bytes = bytes.get(old..).unwrap_or_default();
        } else {
            // A gap: segments are missing from the capture.
            self.lost = true;
        }
        if bytes.is_empty() {
            return;
        }
        self.seen = true;
        self.next = Some(next.wrapping_add(bytes.len() as u32));
        if self.lost {
            self.data.clear();
            return;
        }
        let passed = self.skip.min(bytes.len());
        self.skip -= passed;
        self.data.extend_from_slice(&bytes[passed..]);
        if self.data.len() > STREAM_BYTES {
            self.data.clear();
            self.lost = true;
        }
    }

    /// Drops a record; what has not arrived yet is dropped as it comes.
    fn drop_front(&mut self, length: usize) {
        let here = length.min(self.data.len());
        self.data.drain(..here);
        self.skip += length - here;
    }
}

struct Flow {
    client: Peer,
    server: Peer,
    /// The client's side, the server's side.
    sides: [Stream; 2],
    protocol: Protocol,
    syn: Option<(u64, i64)>,
    syns: u32,
    up: bool,
    /// The handshake of TLS: begun, answered, over.
    hello: bool,
    answered: bool,
    secured: bool,
    certificate: bool,
    /// CONNECT and what came of it.
    connect: Option<(u64, i64)>,
    connack: bool,
    pings: u32,
    /// Nothing more is said about this connection.
    told: bool,
    used: u64,
}

impl Flow {
    fn new(client: Peer, server: Peer) -> Self {
        Self {
            client,
            server,
            sides: [Stream::default(), Stream::default()],
            protocol: Protocol::Unknown,
            syn: None,
            syns: 0,
            up: false,
            hello: false,
            answered: false,
            secured: false,
            certificate: false,
            connect: None,
            connack: false,
            pings: 0,
            told: false,
            used: 0,
        }
    }

    fn key(&self) -> String {
        self.client.0.to_string()
    }

    fn line(&self, text: &str) -> String {
        let ((from, port), (to, service)) = (self.client, self.server);
        format!("tcp {from} port {port} to {to} port {service}: {text}")
    }

    fn say(&self, notes: &mut Notes<'_>, text: &str) {
        notes.add(&self.key(), &self.line(text));
    }

    /// Says the end of a connection, once.
    fn tell(&mut self, notes: &mut Notes<'_>, text: &str) {
        if !self.told {
            self.told = true;
            self.say(notes, text);
        }
    }

    fn segment(&mut self, segment: &Segment<'_>, notes: &mut Notes<'_>) {
        let own = segment.from == self.client;
        if segment.syn && !segment.ack {
            self.syns += 1;
            if self.syn.is_none() {
                self.syn = Some((notes.number, notes.ms));
                self.say(notes, "opens a connection");
            }
        } else if segment.syn && !self.up {
            self.up = true;
            self.say(notes, "connection accepted");
        }
        self.sides[usize::from(!own)].take(segment);
        self.read(own, notes);
        if segment.rst || segment.fin {
            self.end(own, segment.rst, notes);
        }
    }

    /// Reads what came from one side.
    fn read(&mut self, own: bool, notes: &mut Notes<'_>) {
        let side = usize::from(!own);
        if self.protocol == Protocol::Unknown {
            let begin = &self.sides[0].data;
            if begin.len() < 3 {
                return;
            }
            self.protocol = match begin {
                begin if tls::is_start(begin) => Protocol::Tls,
                begin if begin.len() < 12 && begin[0] == 0x10 => return,
                begin if mqtt::is_connect(begin) => Protocol::Mqtt,
                _ => Protocol::Other,
            };
        }
        match self.protocol {
            Protocol::Tls => self.read_tls(own, side, notes),
            Protocol::Mqtt => self.read_mqtt(own, side, notes),
            Protocol::Unknown | Protocol::Other => self.sides[side].data.clear(),
        }
    }

    fn read_tls(&mut self, own: bool, side: usize, notes: &mut Notes<'_>) {
        loop {
            let stream = &self.sides[side];
            if stream.data.len() < 5 {
                return;
            }
            if !tls::is_start(&stream.data) {
                if !own && !self.answered {
                    self.tell(notes, "tls: the server answers something that is no TLS");
                }
                self.sides[side].lost = true;
                self.sides[side].data.clear();
                return;
            }
            let Some((record, length)) = tls::record(&stream.data, stream.sealed) else { return };
            self.sides[side].drop_front(length);
            self.tls(own, side, record, notes);
        }
    }

    fn tls(&mut self, own: bool, side: usize, record: Record, notes: &mut Notes<'_>) {
        let by = if own { "the device" } else { "the server" };
        match record {
            Record::ClientHello { name, psk } => {
                self.hello = true;
                let name = if name.is_empty() { "no name".to_owned() } else { name };
                let kind = if psk { "pre-shared keys" } else { "certificates" };
                self.say(notes, &format!("tls: ClientHello for {name}, {kind}"));
            }
            Record::ServerHello => {
                self.answered = true;
                self.say(notes, "tls: ServerHello");
            }
            Record::Certificate if own => self.certificate = true,
            Record::Alert(_, 0) | Record::Certificate | Record::Other => {}
            Record::Alert(_, description) if !self.secured => {
                let proof = if self.certificate { "after its certificate " } else { "" };
                let name = tls::alert_name(description);
                self.answered = true;
                self.tell(notes, &format!("tls: {by} sends alert {name} ({description}) {proof}"));
            }
            Record::Alert(..) => {}
            Record::CipherChange => self.sides[side].sealed = true,
            Record::Sealed => {
                let both = self.sides.iter().all(|side| side.sealed);
                if own && both && !self.secured {
                    self.secured = true;
                    self.say(notes, "tls: handshake done");
                }
            }
        }
    }

    fn read_mqtt(&mut self, own: bool, side: usize, notes: &mut Notes<'_>) {
        loop {
            let data = &self.sides[side].data;
            if !own && !self.connack && tls::is_start(data) {
                return self.tell(notes, "mqtt: plain CONNECT on a port of TLS");
            }
            let (head, body) = match mqtt::frame(data) {
                None => return,
                Some(Err(())) => {
                    self.sides[side].lost = true;
                    self.sides[side].data.clear();
                    return;
                }
                Some(Ok(lengths)) => lengths,
            };
            let look = body.min(mqtt::LOOK_BYTES);
            let Some(content) = data.get(head..head + look) else { return };
            let said = mqtt::say(data[0], content);
            self.sides[side].drop_front(head + body);
            self.mqtt(own, said, notes);
        }
    }

    fn mqtt(&mut self, own: bool, said: Said, notes: &mut Notes<'_>) {
        match said {
            Said::Connect(who) if own => {
                self.connect = Some((notes.number, notes.ms));
                self.say(notes, &format!("mqtt: CONNECT {who}"));
            }
            Said::Connack(code) if !own => {
                self.connack = true;
                self.told |= code != 0;
                self.say(notes, &format!("mqtt: CONNACK {code}"));
            }
            Said::Suback { refused } if !own => {
                self.say(
                    notes,
                    if refused { "mqtt: SUBACK refuses" } else { "mqtt: SUBACK grants" },
                );
            }
            Said::Publish(what) => {
                let way = if own { "publishes" } else { "receives" };
                self.say(notes, &format!("mqtt: {way} {what}"));
            }
            Said::Ping if own => {
                self.pings += 1;
                if self.pings == PINGS_LOST {
                    self.say(notes, "mqtt: PINGREQ without PINGRESP, again");
                }
            }
            Said::Pong if !own => {
                self.pings = 0;
                self.say(notes, "mqtt: PINGRESP");
            }
            Said::Disconnect if own => self.told = true,
            // What comes from the wrong side means nothing.
            Said::Connect(_)
            | Said::Connack(_)
            | Said::Suback { .. }
            | Said::Ping
            | Said::Pong
            | Said::Disconnect
            | Said::Other => {}
        }
    }

    /// FIN or RST.
    fn end(&mut self, own: bool, reset: bool, notes: &mut Notes<'_>) {
        let how = if reset { "resets" } else { "closes" };
        if self.syn.is_some() && !self.up {
            if !own && reset {
                self.tell(notes, "connection refused");
            }
            return;
        }
        let waiting = self.connect.is_some() && !self.connack;
        let text = match self.protocol {
            Protocol::Tls if self.hello && !self.secured && !own => {
                format!("tls: the server {how} in the handshake")
            }
            Protocol::Tls if self.hello && !self.secured => {
                format!("tls: the device {how} in the handshake")
            }
            Protocol::Mqtt if waiting && !own => format!("mqtt: the server {how} after CONNECT"),
            Protocol::Mqtt if waiting => "mqtt: no CONNACK, the device gives up".to_owned(),
            Protocol::Mqtt if self.connack && !own => format!("mqtt: the server {how} the session"),
            Protocol::Unknown | Protocol::Other if reset && !own && self.sides[0].seen => {
                "connection reset".to_owned()
            }
            Protocol::Unknown | Protocol::Tls | Protocol::Mqtt | Protocol::Other => return,
        };
        self.tell(notes, &text);
    }

    /// The capture ends: what waits for too long has failed.
    fn finish(&mut self, notes: &mut Notes<'_>) {
        if self.told {
            return;
        }
        let now = notes.ms;
        let late = |mark: Option<(u64, i64)>| mark.filter(|(_, ms)| now - ms >= ANSWER_MS);
        let (mark, text) = if !self.up && self.syns > 0 && !self.sides[1].seen {
            (late(self.syn), format!("no answer to {} SYN", self.syns))
        } else if self.connect.is_some() && !self.connack {
            (late(self.connect), "mqtt: no CONNACK until the end of the capture".to_owned())
        } else if self.hello && !self.answered {
            (late(self.syn), "tls: no answer to ClientHello".to_owned())
        } else if self.connack {
            return self.say(notes, "still open at the end of the capture");
        } else {
            return;
        };
        if let Some((number, ms)) = mark {
            notes.add_at(number, ms, &self.key(), &self.line(&text));
        }
    }
}

/// Every connection that is watched.
#[derive(Default)]
pub(super) struct Flows {
    known: BTreeMap<(Peer, Peer), Flow>,
}

impl Flows {
    /// Takes one segment.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, notes: &mut Notes<'_>) {
        let (from, to) = (segment.from, segment.to);
        let pair = match self.known.contains_key(&(to, from)) {
            true => (to, from),
            false if self.known.contains_key(&(from, to)) => (from, to),
            false => self.open(segment, notes),
        };
        let fresh = segment.syn && !segment.ack;
        if let Some(flow) = self.known.get_mut(&pair) {
            // The same ports again: a new connection takes the old one's place.
            if fresh && flow.client == from && (flow.up || flow.told) {
                *flow = Flow::new(flow.client, flow.server);
            }
            flow.used = notes.number;
            flow.segment(segment, notes);
        }
    }

    fn open(&mut self, segment: &Segment<'_>, notes: &mut Notes<'_>) -> (Peer, Peer) {
        if self.known.len() >= FLOWS_MAX {
            let oldest = self.known.iter().min_by_key(|(_, flow)| flow.used).map(|(pair, _)| *pair);
            if let Some(mut flow) = oldest.and_then(|pair| self.known.remove(&pair)) {
                flow.finish(notes);
            }
        }
        let (from, to) = (segment.from, segment.to);
        let served = |peer: Peer| SERVER_PORTS.contains(&peer.1);
        let answer = match (segment.syn, segment.ack) {
            (true, answer) => answer,
            (false, _) => {
                served(from) && !served(to) || (served(from) == served(to) && from.1 < to.1)
            }
        };
        let pair = if answer { (to, from) } else { (from, to) };
        self.known.insert(pair, Flow::new(pair.0, pair.1));
        pair
    }

    /// ICMP says that a segment did not arrive.
    pub(super) fn unreachable(&mut self, from: Peer, to: Peer, notes: &mut Notes<'_>) {
        if let Some(flow) = self.known.get_mut(&(from, to)).filter(|flow| !flow.up) {
            flow.tell(notes, "destination unreachable");
        }
    }

    /// Ends every connection with the capture.
    pub(super) fn finish(&mut self, notes: &mut Notes<'_>) {
        self.known.values_mut().for_each(|flow| flow.finish(notes));
    }
}
