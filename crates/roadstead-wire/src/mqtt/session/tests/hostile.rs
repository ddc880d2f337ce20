//! Peers that send any legal packet at any time.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU16;

use proptest::prelude::*;

use super::{persistent, publish};
use crate::mqtt::packet::{Packet, QoS, Reason, Version};
use crate::mqtt::sample;
use crate::mqtt::session::client::{self, Client, Config};
use crate::mqtt::session::server::{self, Opening, Policy, Server};
use crate::mqtt::session::{Handle, Outgoing};

#[derive(Clone, Debug)]
enum Step {
    Feed(Packet),
    Publish(QoS),
    /// Accept the newest open message.
    Accept(Reason),
    Wait(u64),
    Break,
}

fn steps() -> impl Strategy<Value = (Version, Vec<Step>)> {
    prop::sample::select(&[Version::V31, Version::V311, Version::V5][..]).prop_flat_map(|version| {
        let reason = prop::sample::select(&[Reason::Success, Reason::NotAuthorized][..]);
        // Small ids, so that answers meet questions.
        let small = sample::packet(version).prop_map(with_small_id);
        let step = prop_oneof![
            8 => small.prop_map(Step::Feed),
            4 => sample::qos().prop_map(Step::Publish),
            3 => reason.prop_map(Step::Accept),
            1 => (0..100_000_u64).prop_map(Step::Wait),
            1 => Just(Step::Break),
        ];
        prop::collection::vec(step, 0..60).prop_map(move |steps| (version, steps))
    })
}

fn with_small_id(mut packet: Packet) -> Packet {
    let small = |id: &mut NonZeroU16| *id = NonZeroU16::new(id.get() % 4 + 1).unwrap();
    match &mut packet {
        Packet::Publish(publish) => publish.id.iter_mut().for_each(small),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            small(&mut ack.id);
        }
        Packet::Subscribe(subscribe) => small(&mut subscribe.id),
        Packet::Unsubscribe(unsubscribe) => small(&mut unsubscribe.id),
        Packet::SubAck(ack) | Packet::UnsubAck(ack) => small(&mut ack.id),
        Packet::Connect(_)
        | Packet::ConnAck(_)
        | Packet::PingReq
        | Packet::PingResp
        | Packet::Disconnect(_)
        | Packet::Auth(_) => {}
    }
    packet
}

fn outgoing(number: &mut u64, qos: QoS) -> Outgoing {
    *number += 1;
    Outgoing { handle: Some(Handle(*number)), ..Outgoing::new(publish("t", qos, 0)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// The server survives, resolves each handle once and closes each connection once.
    #[test]
    fn the_server_survives_any_client((version, steps) in steps()) {
        let policy = Arc::new(Policy {
            receive_max: NonZeroU16::new(3).unwrap(),
            window_max: NonZeroU16::new(2).unwrap(),
            ..Policy::default()
        });
        let connect = persistent(version);
        let (mut out, mut now, mut number) = (Vec::new(), 0, 0);
        let open = |parked, now, out: &mut Vec<server::Output>| {
            let opening = Opening { parked, ..Opening::default() };
            Server::open(&connect, opening, Arc::clone(&policy), now, out)
        };
        let mut server = open(None, now, &mut out);
        let (mut tokens, mut resolved) = (Vec::new(), Vec::new());
        for step in steps.into_iter().chain([Step::Break]) {
            let mut closes = usize::from(server.is_closed());
            match step {
                Step::Feed(packet) => server.handle(server::Input::Packet(packet), now, &mut out),
                Step::Publish(qos) => server.publish(outgoing(&mut number, qos), now, &mut out),
                Step::Accept(reason) => {
                    if let Some(token) = tokens.pop() {
                        server.accept(token, reason, &mut out);
                    }
                }
                Step::Wait(ms) => {
                    now += ms;
                    server.handle(server::Input::Timeout, now, &mut out);
                }
                Step::Break => server.handle(server::Input::Closed, now, &mut out),
            }
            for output in out.drain(..) {
                match output {
                    server::Output::Message { token, publish } => {
                        prop_assert!(!publish.topic.is_empty());
                        tokens.push(token);
                    }
                    server::Output::Resolved { handle, .. } => resolved.push(handle),
                    server::Output::Close(_) => closes += 1,
                    server::Output::Send(_)
                    | server::Output::Subscribe { .. }
                    | server::Output::Unsubscribe { .. }
                    | server::Output::Will(_) => {}
                }
            }
            prop_assert_eq!(closes, usize::from(server.is_closed()));
            if server.is_closed() {
                let parked = server.into_parked();
                if parked.is_none() { tokens.clear(); }
                server = open(parked, now, &mut out);
            }
        }
        server.close(Reason::ServerShuttingDown, now, &mut out);
        if let Some(parked) = server.into_parked() {
            parked.end(&mut out);
        }
        for output in out {
            if let server::Output::Resolved { handle, .. } = output { resolved.push(handle); }
        }
        resolved.sort_unstable();
        prop_assert_eq!(resolved, (1..=number).map(Handle).collect::<Vec<_>>());
    }

    /// The client survives and resolves each handle at most once.
    #[test]
    fn the_client_survives_any_server((version, steps) in steps()) {
        let mut config = Config::new(persistent(version));
        config.connect.topic_alias_max = 3;
        config.remember_ids = true;
        let mut client = Client::new(config, u16::MAX);
        let (mut out, mut now, mut number) = (Vec::new(), 0, 0);
        let (mut tokens, mut resolved) = (Vec::new(), Vec::new());
        for step in steps {
            if !client.is_online() {
                client.handle(client::Input::Opened, now, &mut out);
                let ack = crate::mqtt::packet::ConnAck::new(Reason::Success);
                client.handle(client::Input::Packet(Packet::ConnAck(ack.into())), now, &mut out);
                prop_assert!(client.is_online());
            }
            match step {
                Step::Feed(packet) => client.handle(client::Input::Packet(packet), now, &mut out),
                Step::Publish(qos) => client.publish(outgoing(&mut number, qos), now, &mut out),
                Step::Accept(reason) => {
                    if let Some(token) = tokens.pop() {
                        client.accept(token, reason, &mut out);
                    }
                }
                Step::Wait(ms) => {
                    now += ms;
                    client.handle(client::Input::Timeout, now, &mut out);
                }
                Step::Break => client.handle(client::Input::Closed, now, &mut out),
            }
            for output in out.drain(..) {
                match output {
                    client::Output::Message { token, .. } => tokens.push(token),
                    client::Output::Resolved { handle, .. } => resolved.push(handle),
                    client::Output::Send(_)
                    | client::Output::Connected(_)
                    | client::Output::Answered { .. }
                    | client::Output::Close(_) => {}
                }
            }
        }
        let count = resolved.len();
        resolved.sort_unstable();
        resolved.dedup();
        prop_assert_eq!(resolved.len(), count);
        prop_assert!(count + client.outgoing() >= usize::try_from(number).unwrap());
    }
}
