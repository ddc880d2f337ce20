//! Two endpoints in virtual time, with every single datagram lost once, repeated, and delayed.

use std::collections::BTreeMap;
use std::vec;

use super::*;
use crate::coap::option;

const PHONE: usize = 0;
const DEVICE: usize = 1;

/// How the device answers.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Piggybacked,
    /// Empty ACK, then after this time a response of this style.
    Later(u64, Style),
    Never,
}

struct World {
    ends: [Endpoint; 2],
    manner: Manner,
    now: u64,
    queue: BTreeMap<(u64, u64), Due>,
    count: u64,
    sent: usize,
    /// Number of the datagram that is lost; of the one that comes twice.
    lose: Option<usize>,
    repeat: Option<usize>,
    requests: usize,
    heard: Vec<Output>,
}

enum Due {
    Datagram { to: usize, bytes: Bytes },
    Answer(Exchange, Style),
}

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + end as u8], 5683))
}

impl World {
    fn new(manner: Manner) -> Self {
        Self {
            ends: [Endpoint::new(Policy::default(), 1), Endpoint::new(Policy::default(), 2)],
            manner,
            now: 0,
            queue: BTreeMap::new(),
            count: 0,
            sent: 0,
            lose: None,
            repeat: None,
            requests: 0,
            heard: Vec::new(),
        }
    }

    fn later(&mut self, ms: u64, due: Due) {
        self.count += 1;
        self.queue.insert((self.now + ms, self.count), due);
    }

    fn perform(&mut self, end: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send { to, bytes } => {
                    let receiver = usize::from(to == address(DEVICE));
                    if self.lose != Some(self.sent) {
                        self.later(5, Due::Datagram { to: receiver, bytes: bytes.clone() });
                    }
                    if self.repeat == Some(self.sent) {
                        self.later(400, Due::Datagram { to: receiver, bytes });
                    }
                    self.sent += 1;
                }
                Output::Request { exchange, message } => {
                    assert_eq!(message.path(), "/a/b");
                    self.requests += 1;
                    self.answer(exchange);
                }
                other @ (Output::Response { .. } | Output::Failed { .. }) => {
                    assert_eq!(end, PHONE);
                    self.heard.push(other);
                }
            }
        }
    }

    fn answer(&mut self, exchange: Exchange) {
        let mut out = Vec::new();
        match self.manner {
            Manner::Piggybacked => {
                let reply = Reply::new(Code::CONTENT, "yes");
                self.ends[DEVICE].respond(&exchange, reply, self.now, &mut out);
            }
            Manner::Later(ms, style) => {
                self.ends[DEVICE].acknowledge(&exchange, &mut out);
                self.later(ms, Due::Answer(exchange, style));
            }
            Manner::Never => self.ends[DEVICE].acknowledge(&exchange, &mut out),
        }
        self.perform(DEVICE, out);
    }

    fn ask(&mut self, confirmable: bool) {
        let query = Query::new(confirmable, Code::GET, "/a/b", "x")
            .with_option(option::CONTENT_FORMAT, vec![50]);
        let mut out = Vec::new();
        self.ends[PHONE].query(address(DEVICE), query, self.now, &mut out);
        self.perform(PHONE, out);
    }

    fn run(&mut self, until: u64) {
        loop {
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let ends = self.ends.iter().filter_map(Endpoint::deadline).min();
            let Some(next) = queued.into_iter().chain(ends).min().filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(next);
            let mut out = Vec::new();
            if queued.is_some_and(|at| at <= next) {
                match self.queue.pop_first() {
                    Some((_, Due::Datagram { to, bytes })) => {
                        self.ends[to].receive(address(1 - to), &bytes, self.now, &mut out);
                        self.perform(to, out);
                    }
                    Some((_, Due::Answer(exchange, style))) => {
                        let reply = Reply::new(Code::CONTENT, "yes").with_style(style);
                        self.ends[DEVICE].respond(&exchange, reply, self.now, &mut out);
                        self.perform(DEVICE, out);
                    }
                    None => {}
                }
                continue;
            }
            for end in [PHONE, DEVICE] {
                let mut out = Vec::new();
                self.ends[end].timeout(self.now, &mut out);
                self.perform(end, out);
            }
            let later = self.ends.iter().filter_map(Endpoint::deadline).all(|at| at > self.now);
            assert!(later, "a deadline must move");
        }
    }

    fn answers(&self) -> usize {
        self.heard.iter().filter(|o| matches!(o, Output::Response { .. })).count()
    }
}

const RELIABLE: [Manner; 2] = [Manner::Piggybacked, Manner::Later(50, Style::Confirmable)];

#[test]
fn any_single_datagram_may_be_lost() {
    for manner in RELIABLE {
        for lose in 0..6 {
            let mut world = World::new(manner);
            world.lose = Some(lose);
            world.ask(true);
            world.run(120_000);
            assert_eq!(world.answers(), 1, "{manner:?}, datagram {lose} lost");
            assert_eq!(world.heard.len(), 1, "{manner:?}, datagram {lose} lost");
            assert_eq!(world.requests, 1, "the request is heard once: {manner:?}, {lose}");
        }
    }
}

#[test]
fn any_single_datagram_may_come_twice() {
    let unreliable = [Manner::Later(50, Style::Echoed), Manner::Later(50, Style::NonConfirmable)];
    for manner in RELIABLE.into_iter().chain(unreliable) {
        for repeat in 0..5 {
            for confirmable in [true, false] {
                let mut world = World::new(manner);
                world.repeat = Some(repeat);
                world.ask(confirmable);
                world.run(120_000);
                assert_eq!((world.answers(), world.requests), (1, 1), "{manner:?} {repeat}");
            }
        }
    }
}

#[test]
fn silence_is_told_after_the_rfcs_time() {
    let mut world = World::new(Manner::Piggybacked);
    world.ends[DEVICE] = Endpoint::new(Policy::default(), 3);
    let mut out = Vec::new();
    let nobody = SocketAddr::from(([10, 0, 0, 9], 5683));
    let query = Query::new(true, Code::GET, "/a", "");
    let key = world.ends[PHONE].query(nobody, query, 0, &mut out);
    let mut sends = 1;
    let mut end = 0;
    while let Some(at) = world.ends[PHONE].deadline() {
        let mut out = Vec::new();
        world.ends[PHONE].timeout(at, &mut out);
        for output in out {
            match output {
                Output::Send { .. } => sends += 1,
                Output::Failed { key: failed, cause } => {
                    assert_eq!((failed, cause), (key, Cause::Silence));
                    end = at;
                }
                Output::Request { .. } | Output::Response { .. } => panic!("nobody is there"),
            }
        }
    }
    // MAX_TRANSMIT_WAIT is 93 s (§4.8.2).
    assert_eq!(sends, 5);
    assert!((62_000..=93_000).contains(&end), "{end}");
}

#[test]
fn an_acknowledged_query_without_response_ends_too() {
    let mut world = World::new(Manner::Never);
    world.ask(true);
    world.run(100_000);
    assert!(matches!(world.heard[..], [Output::Failed { cause: Cause::Silence, .. }]));
    assert_eq!(world.sent, 2, "an acknowledged query is not repeated");
}

#[test]
fn a_response_in_a_second_acknowledgement_is_taken() {
    // Alibaba smart-living 1.6.0 (transcript l16_softap_legacy): ACK 0.00, then ACK 2.05.
    let mut phone = Endpoint::new(Policy::default(), 1);
    let mut out = Vec::new();
    phone.query(address(DEVICE), Query::new(true, Code::GET, "/a", ""), 0, &mut out);
    let Some(Output::Send { bytes, .. }) = out.pop() else { panic!("sent") };
    let request = Message::parse(&bytes).expect("message");
    let empty = Message::new(Kind::Acknowledgement, Code::EMPTY, request.id);
    phone.receive(address(DEVICE), &empty.emit(), 1, &mut out);
    assert!(out.is_empty());
    let full = Message { code: Code::CONTENT, token: request.token, ..empty };
    phone.receive(address(DEVICE), &full.emit(), 2, &mut out);
    assert!(matches!(out[..], [Output::Response { .. }]));
}

#[test]
fn everybody_may_answer_a_broadcast() {
    let mut phone = Endpoint::new(Policy::default(), 1);
    let mut out = Vec::new();
    let everybody = SocketAddr::from(([255, 255, 255, 255], 5683));
    let query = Query { many: true, life_ms: 3000, ..Query::new(false, Code::GET, "/a", "") };
    phone.query(everybody, query, 0, &mut out);
    let Some(Output::Send { bytes, .. }) = out.pop() else { panic!("sent") };
    let request = Message::parse(&bytes).expect("message");
    let mut answer = Message::new(Kind::NonConfirmable, Code::CONTENT, 7);
    answer.token = request.token;
    for host in 2..5 {
        let from = SocketAddr::from(([10, 0, 0, host], 5683));
        phone.receive(from, &answer.emit(), 10, &mut out);
    }
    assert_eq!(out.len(), 3);
    out.clear();
    phone.timeout(3000, &mut out);
    assert!(out.is_empty() && phone.deadline().is_none(), "answered, then closed in silence");
    phone.receive(address(DEVICE), &answer.emit(), 3001, &mut out);
    assert!(out.is_empty(), "a late answer belongs to nobody");
}

#[test]
fn a_device_that_starts_anew_is_heard() {
    // Ids begin at 1 after each power cut; the token inside the payload differs.
    let mut phone = Endpoint::new(Policy::default(), 1);
    let mut out = Vec::new();
    for text in ["first", "first", "second"] {
        let mut notify = Message::new(Kind::NonConfirmable, Code::POST, 1);
        notify.payload = Bytes::from(text);
        phone.receive(address(DEVICE), &notify.emit(), 0, &mut out);
    }
    assert_eq!(out.len(), 2);
}

#[test]
fn pings_and_broken_messages_are_reset() {
    let mut end = Endpoint::new(Policy::default(), 1);
    let mut out = Vec::new();
    let reset = |bytes: &[u8], out: &mut Vec<Output>, end: &mut Endpoint| {
        end.receive(address(PHONE), bytes, 0, out);
        match out.pop() {
            Some(Output::Send { bytes, .. }) => Message::parse(&bytes).ok().map(|m| m.kind),
            _ => None,
        }
    };
    assert_eq!(reset(&[0x40, 0, 0, 1], &mut out, &mut end), Some(Kind::Reset), "ping");
    assert_eq!(reset(&[0x40, 1, 0, 2, 0xFF], &mut out, &mut end), Some(Kind::Reset), "cut");
    assert_eq!(reset(&[0x50, 1, 0, 3, 0xFF], &mut out, &mut end), None, "a broken NON");
    assert_eq!(reset(&[0x40, 0x45, 0, 4], &mut out, &mut end), Some(Kind::Reset), "no query");
    assert_eq!(reset(b"GET /", &mut out, &mut end), Some(Kind::Reset), "looks like one");
    assert_eq!(reset(&[0x60, 0, 0, 5], &mut out, &mut end), None, "an ACK of nothing");
}

#[test]
fn a_reset_ends_a_query() {
    let mut phone = Endpoint::new(Policy::default(), 1).with_first_id(9);
    let mut out = Vec::new();
    let key = phone.query(address(DEVICE), Query::new(true, Code::GET, "/a", ""), 0, &mut out);
    out.clear();
    let reset = Message::new(Kind::Reset, Code::EMPTY, 9).emit();
    phone.receive(SocketAddr::from(([10, 0, 0, 7], 5683)), &reset, 1, &mut out);
    assert!(out.is_empty(), "a stranger cannot end it");
    phone.receive(address(DEVICE), &reset, 1, &mut out);
    assert_eq!(out, [Output::Failed { key, cause: Cause::Reset }]);
    assert_eq!(phone.deadline(), None);
}

#[test]
fn the_oldest_of_too_many_queries_gives_way() {
    let mut phone = Endpoint::new(Policy::default(), 1);
    let mut out = Vec::new();
    let ask = |phone: &mut Endpoint, out: &mut Vec<Output>| {
        phone.query(address(DEVICE), Query::new(true, Code::GET, "/a", ""), 0, out)
    };
    let first = ask(&mut phone, &mut out);
    for _ in 0..OPEN_MAX {
        ask(&mut phone, &mut out);
    }
    assert!(out.contains(&Output::Failed { key: first, cause: Cause::Dropped }));
}
