//! The client's machine alone.

use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU16;

use super::{id, inbound, persistent, publish};
use crate::mqtt::packet::{
    Ack, ConnAck, Connect, Disconnect, Packet, QoS, Reason, SubAck, Subscription, Version,
};
use crate::mqtt::session::client::{Cause, Client, Config, Input, Output, RequestOutcome, Why};
use crate::mqtt::session::{Handle, Outgoing, PublishOutcome};

fn feed(client: &mut Client, input: Input, now: u64) -> Vec<Output> {
    let mut out = Vec::new();
    client.handle(input, now, &mut out);
    out
}

fn packet(client: &mut Client, packet: Packet, now: u64) -> Vec<Output> {
    feed(client, Input::Packet(packet), now)
}

fn connack(present: bool) -> Packet {
    let mut ack = ConnAck::new(Reason::Success);
    ack.session_present = present;
    Packet::ConnAck(ack.into())
}

fn online(config: Config) -> Client {
    let mut client = Client::new(config, 1);
    feed(&mut client, Input::Opened, 0);
    packet(&mut client, connack(false), 0);
    assert!(client.is_online());
    client
}

fn outgoing(number: u64, qos: QoS) -> Outgoing {
    Outgoing { handle: Some(Handle(number)), ..Outgoing::new(publish("t", qos, 0)) }
}

#[test]
fn every_wait_has_a_deadline_with_a_reason() {
    let mut client = Client::new(Config::new(Connect::new(Version::V311, "x")), 1);
    assert_eq!(client.deadline(), None);
    assert!(matches!(
        feed(&mut client, Input::Opened, 10).as_slice(),
        [Output::Send(Packet::Connect(_))]
    ));
    assert_eq!(client.deadline(), Some((5010, Why::ConnAck)));
    assert_eq!(feed(&mut client, Input::Timeout, 5010), [Output::Close(Cause::NoConnAck)]);
    feed(&mut client, Input::Opened, 6000);
    packet(&mut client, connack(false), 6001);
    assert_eq!(client.deadline(), Some((66_000, Why::Ping)), "60 s after the last packet sent");
    let ping = [Output::Send(Packet::PingReq)];
    assert_eq!(feed(&mut client, Input::Timeout, 66_000), ping);
    assert_eq!(client.deadline(), Some((71_000, Why::PingResp)));
    assert_eq!(feed(&mut client, Input::Timeout, 71_000), ping);
    packet(&mut client, Packet::PingResp, 71_500);
    assert_eq!(client.deadline(), Some((131_000, Why::Ping)));
    assert_eq!(feed(&mut client, Input::Timeout, 131_000), ping);
    assert_eq!(feed(&mut client, Input::Timeout, 136_000), ping);
    let given_up = feed(&mut client, Input::Timeout, 141_000);
    assert_eq!(given_up, [Output::Close(Cause::NoPingResp)]);
}

#[test]
fn refusals_and_dismissals_have_their_cause() {
    let cases = [
        (Packet::ConnAck(ConnAck::new(Reason::NotAuthorized).into()), "not_authorized"),
        (Packet::PingResp, "protocol_error"),
        (connack(true), "protocol_error"),
    ];
    for (answer, expected) in cases {
        let mut client = Client::new(Config::new(Connect::new(Version::V5, "x")), 1);
        feed(&mut client, Input::Opened, 0);
        let Some(Output::Close(cause)) = packet(&mut client, answer, 0).pop() else {
            panic!("still open")
        };
        assert_eq!(cause.name(), expected);
    }
    let cases = [
        (Packet::Disconnect(Disconnect::new(Reason::ServerBusy)), "server_busy"),
        (Packet::PingReq, "protocol_error"),
        (Packet::Connect(Connect::new(Version::V5, "x").into()), "protocol_error"),
    ];
    for (sent, expected) in cases {
        let mut client = online(Config::new(Connect::new(Version::V5, "x")));
        let Some(Output::Close(cause)) = packet(&mut client, sent, 0).pop() else {
            panic!("still open")
        };
        assert_eq!(cause.name(), expected);
        assert!(!client.is_online());
    }
}

#[test]
fn requests_are_answered_expire_or_are_lost() {
    let mut client = online(Config::new(Connect::new(Version::V311, "x")));
    let mut out = Vec::new();
    let filters = || vec![Subscription::new("a", QoS::AtLeastOnce)];
    client.subscribe(filters(), Handle(1), 0, &mut out);
    client.subscribe(filters(), Handle(2), 100, &mut out);
    client.unsubscribe(vec!["a".into()], Handle(3), 200, &mut out);
    client.subscribe(Vec::new(), Handle(4), 0, &mut out);
    assert_eq!(
        out.pop(),
        Some(Output::Answered { handle: Handle(4), outcome: RequestOutcome::Refused })
    );
    let suback = |number, codes| SubAck { id: id(number), codes, properties: None };
    let codes = vec![Reason::UnspecifiedError];
    assert_eq!(
        packet(&mut client, Packet::SubAck(suback(1, codes.clone())), 1),
        [Output::Answered { handle: Handle(1), outcome: RequestOutcome::Answered(codes) }]
    );
    assert_eq!(client.deadline(), Some((5100, Why::Request)));
    assert_eq!(
        feed(&mut client, Input::Timeout, 5100),
        [Output::Answered { handle: Handle(2), outcome: RequestOutcome::Expired }]
    );
    let late = Packet::SubAck(suback(2, vec![Reason::Success]));
    assert_eq!(packet(&mut client, late, 5101), [], "too late is ignored");
    assert_eq!(
        feed(&mut client, Input::Closed, 5102),
        [
            Output::Answered { handle: Handle(3), outcome: RequestOutcome::Lost },
            Output::Close(Cause::Lost)
        ]
    );
}

#[test]
fn the_last_ten_ids_are_remembered_across_connections() {
    let mut config = Config::new(Connect::new(Version::V311, "x"));
    config.remember_ids = true;
    let mut client = online(config);
    let is_delivered = |client: &mut Client, number| {
        let out = packet(client, inbound("down", QoS::AtLeastOnce, number), 0);
        match out.as_slice() {
            [Output::Message { token, .. }] => {
                let mut acks = Vec::new();
                client.accept(*token, Reason::Success, &mut acks);
                assert_eq!(acks.len(), 1);
                true
            }
            [Output::Send(Packet::PubAck(ack))] => {
                assert_eq!(ack.id, id(number));
                false
            }
            other => panic!("{other:?}"),
        }
    };
    for number in 1..=10 {
        assert!(is_delivered(&mut client, number));
    }
    feed(&mut client, Input::Closed, 0);
    feed(&mut client, Input::Opened, 0);
    packet(&mut client, connack(false), 0);
    assert!(!is_delivered(&mut client, 1), "a server that starts its ids again loses a message");
    assert!(is_delivered(&mut client, 11));
    assert!(is_delivered(&mut client, 1), "1 was forgotten for 11");
}

#[test]
fn a_lost_session_loses_what_was_in_flight() {
    let mut client = online(Config::new(persistent(Version::V5)));
    let mut out = Vec::new();
    client.publish(outgoing(1, QoS::AtLeastOnce), 0, &mut out);
    feed(&mut client, Input::Closed, 0);
    out.clear();
    client.publish(outgoing(2, QoS::AtLeastOnce), 0, &mut out);
    assert_eq!(out, []);
    feed(&mut client, Input::Opened, 0);
    let out = packet(&mut client, connack(false), 0);
    let lost = Output::Resolved { handle: Handle(1), outcome: PublishOutcome::Lost };
    assert_eq!(out.first(), Some(&lost));
    assert!(matches!(
        out.as_slice(),
        [_, Output::Connected(_), Output::Send(Packet::Publish(p))] if p.id == Some(id(2)) && !p.dup
    ));
}

#[test]
fn a_clean_session_loses_at_once_and_queues_the_next() {
    let mut client = online(Config::new(Connect::new(Version::V311, "x")));
    let mut out = Vec::new();
    client.publish(outgoing(1, QoS::ExactlyOnce), 0, &mut out);
    let out = feed(&mut client, Input::Closed, 0);
    assert_eq!(
        out,
        [
            Output::Resolved { handle: Handle(1), outcome: PublishOutcome::Lost },
            Output::Close(Cause::Lost)
        ]
    );
}

#[test]
fn the_servers_limits_are_honoured() {
    let mut client = Client::new(Config::new(persistent(Version::V5)), 1);
    feed(&mut client, Input::Opened, 0);
    let mut ack = ConnAck::new(Reason::Success);
    ack.receive_max = NonZeroU16::new(1);
    ack.server_keep_alive_s = Some(7);
    packet(&mut client, Packet::ConnAck(ack.into()), 0);
    assert_eq!(client.deadline(), Some((7000, Why::Ping)));
    let mut out = Vec::new();
    client.publish(outgoing(1, QoS::AtLeastOnce), 0, &mut out);
    client.publish(outgoing(2, QoS::AtLeastOnce), 0, &mut out);
    assert_eq!(out.len(), 1, "{out:?}");
    let next = packet(&mut client, Packet::PubAck(Ack::new(id(1), Reason::Success)), 0);
    assert!(matches!(next.as_slice(), [Output::Resolved { .. }, Output::Send(_)]));
}
