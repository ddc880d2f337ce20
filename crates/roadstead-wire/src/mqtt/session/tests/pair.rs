//! The two machines against each other over a transport that breaks at any packet.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU16;

use proptest::prelude::*;

use super::{persistent, publish};
use crate::mqtt::packet::{Packet, QoS, Reason, Version};
use crate::mqtt::session::client::{self, Client, Config};
use crate::mqtt::session::server::{self, Opening, Parked, Policy, Server};
use crate::mqtt::session::{Handle, Outgoing, PublishOutcome, Token};

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    ToServer,
    ToClient,
    PublishUp(QoS),
    PublishDown(QoS),
    /// The shell decides about the n-th open message.
    AcceptUp(usize),
    AcceptDown(usize),
    /// The connection breaks; everything on the way is gone.
    Break,
    /// The driver connects again.
    Connect,
}

fn step() -> impl Strategy<Value = Step> {
    let qos = crate::mqtt::sample::qos;
    prop_oneof![
        8 => Just(Step::ToServer),
        8 => Just(Step::ToClient),
        3 => qos().prop_map(Step::PublishUp),
        3 => qos().prop_map(Step::PublishDown),
        5 => (0..4_usize).prop_map(Step::AcceptUp),
        5 => (0..4_usize).prop_map(Step::AcceptDown),
        1 => Just(Step::Break),
        2 => Just(Step::Connect),
    ]
}

/// One direction's books.
#[derive(Default)]
struct Books {
    next: u64,
    qos: BTreeMap<u64, QoS>,
    outcomes: BTreeMap<u64, PublishOutcome>,
    /// How often each message was handed to the receiver's user.
    delivered: BTreeMap<String, u32>,
    order: Vec<(QoS, u64)>,
    open: Vec<Token>,
}

impl Books {
    fn outgoing(&mut self, qos: QoS) -> Outgoing {
        let number = self.next;
        self.next += 1;
        self.qos.insert(number, qos);
        let message = publish(&format!("{number}"), qos, 0);
        Outgoing { handle: Some(Handle(number)), ..Outgoing::new(message) }
    }

    fn resolved(&mut self, handle: Handle, outcome: PublishOutcome) {
        let old = self.outcomes.insert(handle.0, outcome);
        assert_eq!(old, None, "a handle is resolved once");
    }

    fn message(&mut self, token: Token, topic: &str, dup: bool) {
        let count = self.delivered.entry(topic.to_string()).or_default();
        *count += 1;
        let number: u64 = topic.parse().expect("a number");
        if *count == 1 {
            self.order.push((self.qos[&number], number));
        } else {
            assert!(dup && self.qos[&number] == QoS::AtLeastOnce, "{topic} came twice");
        }
        self.open.push(token);
    }

    /// After everything has settled.
    fn check(&self) {
        for (number, qos) in &self.qos {
            let count = self.delivered.get(&number.to_string()).copied().unwrap_or(0);
            let outcome = self.outcomes.get(number);
            match qos {
                QoS::AtMostOnce => assert!(count <= 1),
                QoS::AtLeastOnce => {
                    assert_eq!(outcome, Some(&PublishOutcome::Acked), "message {number}");
                    assert!(count >= 1, "message {number} was acknowledged and lost");
                }
                QoS::ExactlyOnce => {
                    assert_eq!(outcome, Some(&PublishOutcome::Acked), "message {number}");
                    assert_eq!(count, 1, "message {number}");
                }
            }
        }
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let order: Vec<_> = self.order.iter().filter(|(q, _)| *q == qos).collect();
            assert!(order.is_sorted(), "first deliveries keep their order");
        }
    }
}

struct World {
    version: Version,
    policy: Arc<Policy>,
    client: Client,
    server: Option<Server>,
    parked: Option<Parked>,
    /// Packets on the way.
    up: VecDeque<Packet>,
    down: VecDeque<Packet>,
    up_books: Books,
    down_books: Books,
    now: u64,
}

impl World {
    fn new(version: Version) -> Self {
        let window_max = NonZeroU16::new(3).unwrap();
        let policy = Arc::new(Policy { window_max, ..Policy::default() });
        let mut config = Config::new(persistent(version));
        config.window_max = window_max;
        Self {
            version,
            policy,
            client: Client::new(config, 1),
            server: None,
            parked: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            up_books: Books::default(),
            down_books: Books::default(),
            now: 0,
        }
    }

    fn run(&mut self, step: Step) {
        self.now += 1;
        let now = self.now;
        let (mut client_out, mut server_out) = (Vec::new(), Vec::new());
        match step {
            Step::ToServer => self.arrive_at_server(&mut server_out),
            Step::ToClient => {
                if let Some(packet) = self.down.pop_front() {
                    self.client.handle(client::Input::Packet(packet), now, &mut client_out);
                }
            }
            Step::PublishUp(qos) => {
                let outgoing = self.up_books.outgoing(qos);
                self.client.publish(outgoing, now, &mut client_out);
            }
            Step::PublishDown(qos) => {
                let outgoing = self.down_books.outgoing(qos);
                match (&mut self.server, &mut self.parked) {
                    (Some(server), _) => server.publish(outgoing, now, &mut server_out),
                    (None, Some(parked)) => parked.publish(outgoing, now, &mut server_out),
                    // Nobody has ever connected: the shell keeps it for itself.
                    (None, None) => {
                        self.down_books.qos.retain(|n, _| Some(Handle(*n)) != outgoing.handle)
                    }
                }
            }
            Step::AcceptUp(n) => self.accept_up(n, &mut server_out),
            Step::AcceptDown(n) if n < self.down_books.open.len() => {
                let token = self.down_books.open.remove(n);
                self.client.accept(token, Reason::Success, &mut client_out);
            }
            Step::AcceptDown(_) => {}
            Step::Break => self.cut(&mut client_out, &mut server_out),
            Step::Connect => {
                if self.server.is_none() && !self.client.is_online() && self.up.is_empty() {
                    self.client.handle(client::Input::Opened, now, &mut client_out);
                }
            }
        }
        self.client_outputs(client_out);
        self.server_outputs(server_out);
    }

    fn arrive_at_server(&mut self, out: &mut Vec<server::Output>) {
        match (self.up.pop_front(), &mut self.server) {
            (Some(Packet::Connect(connect)), None) => {
                let opening = Opening { parked: self.parked.take(), ..Opening::default() };
                let policy = Arc::clone(&self.policy);
                self.server = Some(Server::open(&connect, opening, policy, self.now, out));
            }
            (Some(packet), Some(server)) => {
                server.handle(server::Input::Packet(packet), self.now, out);
            }
            (Some(packet), None) => panic!("{packet:?} without connection"),
            (None, _) => {}
        }
    }

    fn accept_up(&mut self, n: usize, out: &mut Vec<server::Output>) {
        if n >= self.up_books.open.len() {
            return;
        }
        let token = self.up_books.open.remove(n);
        match (&mut self.server, &mut self.parked) {
            (Some(server), _) => server.accept(token, Reason::Success, out),
            (None, Some(parked)) => parked.accept(token, Reason::Success),
            (None, None) => panic!("a token without session"),
        };
    }

    fn cut(&mut self, to_client: &mut Vec<client::Output>, to_server: &mut Vec<server::Output>) {
        self.up.clear();
        self.down.clear();
        self.client.handle(client::Input::Closed, self.now, to_client);
        if let Some(mut server) = self.server.take() {
            server.handle(server::Input::Closed, self.now, to_server);
            self.parked = server.into_parked();
            assert!(self.parked.is_some());
        }
    }

    fn client_outputs(&mut self, outputs: Vec<client::Output>) {
        for output in outputs {
            match output {
                client::Output::Send(packet) => self.up.push_back(packet),
                client::Output::Message { token, publish } => {
                    self.down_books.message(token, &publish.topic, publish.dup);
                }
                client::Output::Resolved { handle, outcome } => {
                    self.up_books.resolved(handle, outcome);
                }
                client::Output::Close(client::Cause::Lost) | client::Output::Connected(_) => {}
                client::Output::Answered { .. } | client::Output::Close(_) => {
                    panic!("{output:?} in {:?}", self.version)
                }
            }
        }
    }

    fn server_outputs(&mut self, outputs: Vec<server::Output>) {
        for output in outputs {
            match output {
                server::Output::Send(packet) => self.down.push_back(packet),
                server::Output::Message { token, publish } => {
                    self.up_books.message(token, &publish.topic, publish.dup);
                }
                server::Output::Resolved { handle, outcome } => {
                    self.down_books.resolved(handle, outcome);
                }
                server::Output::Close(server::Cause::Lost) => {}
                server::Output::Subscribe { .. }
                | server::Output::Unsubscribe { .. }
                | server::Output::Will(_)
                | server::Output::Close(_) => panic!("{output:?} in {:?}", self.version),
            }
        }
    }

    /// Lets everything come to its end.
    fn settle(&mut self) {
        self.run(Step::Connect);
        for _ in 0..4000 {
            let idle = self.up.is_empty() && self.down.is_empty();
            let accepted = self.up_books.open.is_empty() && self.down_books.open.is_empty();
            if idle && accepted && self.client.is_online() {
                return;
            }
            for step in [
                Step::ToServer,
                Step::ToClient,
                Step::AcceptUp(0),
                Step::AcceptDown(0),
                Step::Connect,
            ] {
                self.run(step);
            }
        }
        panic!("does not settle");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    /// No acknowledged QoS 1 message is lost, QoS 2 arrives exactly once, order is kept.
    #[test]
    fn nothing_is_lost_or_doubled(
        version in prop::sample::select(&[Version::V31, Version::V311, Version::V5][..]),
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let mut world = World::new(version);
        for step in steps {
            world.run(step);
        }
        world.settle();
        world.up_books.check();
        world.down_books.check();
        prop_assert_eq!(world.client.outgoing(), 0);
        prop_assert_eq!(world.server.as_ref().unwrap().outgoing(), 0);
    }
}
