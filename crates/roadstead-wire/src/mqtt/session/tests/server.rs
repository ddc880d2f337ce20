//! The server's machine alone.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

use super::{id, inbound, persistent, publish, text};
use crate::mqtt::packet::{
    Ack, ConnAck, Connect, Disconnect, DisconnectProperties, Packet, Publish, PublishProperties,
    QoS, Reason, SubAck, Subscribe, SubscribeOptions, Subscription, Unsubscribe, Version, Will,
};
use crate::mqtt::session::server::{
    Cause, FILTERS_PER_PACKET_MAX, IDLE_BYTES_MAX, Input, Opening, Output, Policy, Server, Why,
};
use crate::mqtt::session::{Class, Handle, Outgoing, PublishOutcome, QueueLimits, Token};

struct Bench {
    server: Server,
    out: Vec<Output>,
    now: u64,
}

impl Bench {
    fn open(connect: &Connect, policy: Policy) -> Self {
        Self::resume(connect, policy, Opening { first_packet_id: 7, ..Opening::default() })
    }

    fn resume(connect: &Connect, policy: Policy, opening: Opening) -> Self {
        let mut out = Vec::new();
        let server = Server::open(connect, opening, Arc::new(policy), 0, &mut out);
        Self { server, out, now: 0 }
    }

    fn online(version: Version) -> Self {
        let mut bench = Self::open(&persistent(version), Policy::default());
        bench.out.clear();
        bench
    }

    fn feed(&mut self, packet: Packet) -> Vec<Output> {
        self.input(Input::Packet(packet))
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.server.handle(input, self.now, &mut self.out);
        core::mem::take(&mut self.out)
    }

    fn message(&mut self, packet: Packet) -> Token {
        match self.feed(packet).as_slice() {
            [Output::Message { token, .. }] => *token,
            other => panic!("{other:?}"),
        }
    }

    fn accept(&mut self, token: Token) -> Vec<String> {
        self.accept_with(token, Reason::Success)
    }

    fn accept_with(&mut self, token: Token, reason: Reason) -> Vec<String> {
        assert!(self.server.accept(token, reason, &mut self.out));
        lines(core::mem::take(&mut self.out))
    }

    fn send(&mut self, number: u64, qos: QoS, class: Class) -> Vec<String> {
        let outgoing = Outgoing {
            handle: Some(Handle(number)),
            class,
            ..Outgoing::new(publish(&format!("t{number}"), qos, 0))
        };
        self.send_as(outgoing)
    }

    fn send_as(&mut self, outgoing: Outgoing) -> Vec<String> {
        self.server.publish(outgoing, self.now, &mut self.out);
        lines(core::mem::take(&mut self.out))
    }
}

/// Outputs in short.
fn lines(outputs: Vec<Output>) -> Vec<String> {
    let line = |output| match output {
        Output::Send(Packet::Publish(p)) => {
            let dup = if p.dup { " dup" } else { "" };
            format!("PUBLISH {} {}{dup}", p.topic, p.id.map_or(0, |id| id.get()))
        }
        Output::Send(Packet::PubAck(ack)) => format!("PUBACK {} {:02x}", ack.id, ack.reason.byte()),
        Output::Send(Packet::PubRec(ack)) => format!("PUBREC {} {:02x}", ack.id, ack.reason.byte()),
        Output::Send(Packet::PubRel(ack)) => format!("PUBREL {} {:02x}", ack.id, ack.reason.byte()),
        Output::Send(Packet::PubComp(ack)) => {
            format!("PUBCOMP {} {:02x}", ack.id, ack.reason.byte())
        }
        Output::Send(Packet::Disconnect(d)) => format!("DISCONNECT {:02x}", d.reason.byte()),
        Output::Send(packet) => packet.name().to_string(),
        Output::Message { publish, .. } => format!("message {}", publish.topic),
        Output::Resolved { handle, outcome } => format!("{} {}", handle.0, outcome.name()),
        Output::Will(will) => format!("will {} {}", will.publish.topic, will.delay_s),
        Output::Close(cause) => format!("close {}", cause.name()),
        Output::Subscribe { filters, .. } => format!("subscribe {}", filters.len()),
        Output::Unsubscribe { filters, .. } => format!("unsubscribe {}", filters.len()),
    };
    outputs.into_iter().map(line).collect()
}

fn connack(bench: &mut Bench) -> ConnAck {
    match core::mem::take(&mut bench.out).into_iter().next() {
        Some(Output::Send(Packet::ConnAck(ack))) => *ack,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Server>() <= IDLE_BYTES_MAX, "{}", size_of::<Server>());
}

#[test]
fn acknowledgements_leave_in_order_of_arrival() {
    let mut bench = Bench::online(Version::V311);
    let first = bench.message(inbound("a", QoS::AtLeastOnce, 1));
    let second = bench.message(inbound("a", QoS::ExactlyOnce, 2));
    let third = bench.message(inbound("a", QoS::AtMostOnce, 0));
    let fourth = bench.message(inbound("a", QoS::AtLeastOnce, 4));
    assert_eq!(bench.accept(fourth), [""; 0]);
    assert_eq!(bench.accept(second), [""; 0]);
    assert_eq!(bench.accept(first), ["PUBACK 1 00", "PUBREC 2 00"]);
    assert_eq!(bench.accept(third), ["PUBACK 4 00"]);
    assert!(!bench.server.accept(third, Reason::Success, &mut bench.out), "only once");
}

#[test]
fn qos_2_is_delivered_once() {
    let mut bench = Bench::online(Version::V5);
    let token = bench.message(inbound("a", QoS::ExactlyOnce, 9));
    assert_eq!(lines(bench.feed(inbound("a", QoS::ExactlyOnce, 9))), [""; 0]);
    assert_eq!(bench.accept(token), ["PUBREC 9 00"]);
    assert_eq!(lines(bench.feed(inbound("a", QoS::ExactlyOnce, 9))), ["PUBREC 9 00"]);
    let release = || Packet::PubRel(Ack::new(id(9), Reason::Success));
    assert_eq!(lines(bench.feed(release())), ["PUBCOMP 9 00"]);
    assert_eq!(lines(bench.feed(release())), ["PUBCOMP 9 92"]);
    let refused = bench.message(inbound("a", QoS::ExactlyOnce, 9));
    assert_eq!(bench.accept_with(refused, Reason::NotAuthorized), ["PUBREC 9 87"]);
    bench.message(inbound("a", QoS::ExactlyOnce, 9));
}

/// What breaks the protocol, and the reason that the client is told.
#[test]
fn violations_close_with_their_reason() {
    let with = |change: fn(&mut PublishProperties)| {
        let mut properties = PublishProperties::default();
        change(&mut properties);
        let mut publish = publish("a", QoS::AtMostOnce, 0);
        publish.properties = Some(properties.into());
        publish
    };
    let mut unset = with(|p| p.topic_alias = NonZeroU16::new(3));
    unset.topic = "".into();
    let no_local = Subscription {
        filter: "$share/g/a".into(),
        options: SubscribeOptions { no_local: true, ..SubscribeOptions::default() },
    };
    let subscribe =
        Subscribe { id: id(1), filters: vec![no_local], subscription_id: None, user: Vec::new() };
    let suback = SubAck { id: id(1), codes: Vec::new(), properties: None };
    let mut retain = publish("a", QoS::AtMostOnce, 0);
    retain.retain = true;
    let cases: Vec<(Packet, &str)> = vec![
        (Packet::Connect(Connect::new(Version::V5, "x").into()), "protocol_error"),
        (Packet::ConnAck(ConnAck::new(Reason::Success).into()), "protocol_error"),
        (Packet::SubAck(suback.clone()), "protocol_error"),
        (Packet::UnsubAck(suback), "protocol_error"),
        (Packet::PingResp, "protocol_error"),
        (Packet::Subscribe(subscribe), "protocol_error"),
        (Packet::Publish(unset), "protocol_error"),
        (Packet::Publish(with(|p| p.topic_alias = NonZeroU16::new(17))), "topic_alias_invalid"),
        (Packet::Publish(with(|p| p.subscription_ids = vec![NonZeroU32::MIN])), "protocol_error"),
        (inbound("a", QoS::ExactlyOnce, 1), "qos_not_supported"),
        (Packet::Publish(retain), "retain_not_supported"),
    ];
    for (n, (packet, expected)) in cases.into_iter().enumerate() {
        for version in [Version::V311, Version::V5] {
            let policy =
                Policy { max_qos: QoS::AtLeastOnce, retain_available: false, ..Policy::default() };
            let mut bench = Bench::open(&persistent(version), policy);
            bench.out.clear();
            let got = lines(bench.feed(packet.clone()));
            assert_eq!(got.last().unwrap(), &format!("close {expected}"), "case {n} {version:?}");
            let told = got.iter().any(|line| line.starts_with("DISCONNECT"));
            assert_eq!(told, version == Version::V5, "case {n} {version:?}");
            assert_eq!(lines(bench.feed(Packet::PingReq)), [""; 0], "closed once");
        }
    }
}

#[test]
fn wrong_acknowledgements_are_violations_unknown_ones_are_not() {
    let mut bench = Bench::online(Version::V311);
    let ack = |number| Ack::new(id(number), Reason::Success);
    assert_eq!(lines(bench.feed(Packet::PubAck(ack(1)))), [""; 0]);
    assert_eq!(lines(bench.feed(Packet::PubRec(ack(1)))), ["PUBREL 1 92"]);
    assert_eq!(lines(bench.feed(Packet::PubComp(ack(1)))), [""; 0]);
    assert_eq!(bench.send(1, QoS::ExactlyOnce, Class::Command), ["PUBLISH t1 7"]);
    assert_eq!(lines(bench.feed(Packet::PubComp(ack(7)))), ["close protocol_error"]);
    let mut bench = Bench::online(Version::V311);
    bench.send(1, QoS::ExactlyOnce, Class::Command);
    assert_eq!(lines(bench.feed(Packet::PubAck(ack(7)))), ["close protocol_error"]);
}

#[test]
fn receive_maximum_is_enforced_and_reading_stops() {
    let policy = Policy {
        receive_max: NonZeroU16::new(2).unwrap(),
        inbound_max: NonZeroU16::new(2).unwrap(),
        ..Policy::default()
    };
    let mut bench = Bench::open(&persistent(Version::V5), policy);
    assert_eq!(connack(&mut bench).receive_max, NonZeroU16::new(2));
    let first = bench.message(inbound("a", QoS::AtLeastOnce, 1));
    assert!(bench.server.wants_read());
    bench.message(inbound("a", QoS::ExactlyOnce, 2));
    assert!(!bench.server.wants_read());
    bench.accept(first);
    assert!(bench.server.wants_read());
    bench.message(inbound("a", QoS::AtLeastOnce, 3));
    assert_eq!(
        lines(bench.feed(inbound("a", QoS::AtLeastOnce, 4))),
        ["DISCONNECT 93", "close receive_maximum_exceeded"]
    );
}

#[test]
fn the_window_holds_back_and_order_is_kept() {
    let policy = Policy { window_max: NonZeroU16::new(2).unwrap(), ..Policy::default() };
    let mut bench = Bench::open(&persistent(Version::V311), policy);
    bench.out.clear();
    assert_eq!(bench.send(1, QoS::AtLeastOnce, Class::Command), ["PUBLISH t1 7"]);
    assert_eq!(bench.send(2, QoS::ExactlyOnce, Class::Command), ["PUBLISH t2 8"]);
    assert_eq!(bench.send(3, QoS::AtLeastOnce, Class::Command), [""; 0]);
    assert_eq!(bench.send(4, QoS::AtMostOnce, Class::Command), [""; 0]);
    let rec = bench.feed(Packet::PubRec(Ack::new(id(8), Reason::Success)));
    assert_eq!(lines(rec), ["PUBREL 8 00"]);
    let comp = bench.feed(Packet::PubComp(Ack::new(id(8), Reason::Success)));
    assert_eq!(lines(comp), ["2 publish_acked", "PUBLISH t3 9", "PUBLISH t4 0", "4 publish_sent"]);
    let refused = bench.feed(Packet::PubAck(Ack::new(id(7), Reason::QuotaExceeded)));
    assert_eq!(lines(refused), ["1 quota_exceeded"]);
}

#[test]
fn a_full_queue_drops_telemetry_and_refuses_commands() {
    let queue = QueueLimits { messages_max: 3, size_bytes_max: 1000 };
    let mut bench = Bench::open(&persistent(Version::V311), Policy { queue, ..Policy::default() });
    bench.input(Input::Blocked);
    bench.send(1, QoS::AtLeastOnce, Class::Telemetry);
    bench.send(2, QoS::AtLeastOnce, Class::Command);
    bench.send(3, QoS::AtLeastOnce, Class::Telemetry);
    assert_eq!(bench.send(4, QoS::AtMostOnce, Class::Telemetry), ["1 publish_dropped"]);
    assert_eq!(bench.send(5, QoS::AtLeastOnce, Class::Command), ["3 publish_dropped"]);
    assert_eq!(bench.send(6, QoS::AtLeastOnce, Class::Command), ["4 publish_dropped"]);
    assert_eq!(bench.send(7, QoS::AtLeastOnce, Class::Command), ["7 quota_exceeded"]);
    assert_eq!(bench.send(8, QoS::AtLeastOnce, Class::Telemetry), ["8 publish_dropped"]);
    let mut big = publish("big", QoS::AtLeastOnce, 0);
    big.payload = vec![0; 900].into();
    let big = Outgoing { handle: Some(Handle(9)), ..Outgoing::new(big) };
    assert_eq!(bench.send_as(big), ["9 quota_exceeded"]);
    assert_eq!(bench.server.dropped(), 4);
    let sent = lines(bench.input(Input::Unblocked));
    assert_eq!(sent, ["PUBLISH t2 7", "PUBLISH t5 8", "PUBLISH t6 9"]);
}

#[test]
fn deadlines_have_reasons_and_resolve() {
    let mut bench = Bench::online(Version::V311);
    assert_eq!(bench.server.deadline(), Some((90_000, Why::KeepAlive)));
    let late = |number, deadline| Outgoing {
        handle: Some(Handle(number)),
        deadline_ms: Some(deadline),
        ..Outgoing::new(publish("t", QoS::AtLeastOnce, 0))
    };
    bench.send_as(late(1, 5000));
    bench.input(Input::Blocked);
    bench.send_as(late(2, 4000));
    assert_eq!(bench.server.deadline(), Some((4000, Why::MessageDeadline)));
    bench.now = 4000;
    assert_eq!(lines(bench.input(Input::Timeout)), ["2 publish_expired"]);
    assert_eq!(bench.server.deadline(), Some((5000, Why::MessageDeadline)));
    bench.now = 5000;
    assert_eq!(lines(bench.input(Input::Timeout)), ["1 publish_expired"]);
    let ack = bench.feed(Packet::PubAck(Ack::new(id(7), Reason::Success)));
    assert_eq!(lines(ack), [""; 0], "resolved exactly once");
    assert_eq!(bench.send_as(late(3, 5000)), ["3 publish_expired"]);
    bench.now = 94_999;
    assert_eq!(lines(bench.input(Input::Timeout)), [""; 0]);
    bench.now = 95_000;
    assert_eq!(lines(bench.input(Input::Timeout)), ["close keep_alive_timeout"]);
    assert_eq!(bench.server.deadline(), None);
}

#[test]
fn keep_alive_has_a_ceiling_where_the_client_can_be_told() {
    let cases = [
        (Version::V5, 120, None, Some(60), Some(90_000)),
        (Version::V5, 0, None, Some(60), Some(90_000)),
        (Version::V5, 10, None, None, Some(15_000)),
        (Version::V311, 120, None, None, Some(180_000)),
        (Version::V311, 0, None, None, None),
        (Version::V311, 0, NonZeroU32::new(7000), None, Some(7000)),
    ];
    for (version, keep_alive_s, idle_max_ms, told, silence) in cases {
        let policy =
            Policy { keep_alive_max_s: NonZeroU16::new(60), idle_max_ms, ..Policy::default() };
        let mut connect = Connect::new(version, "x");
        connect.keep_alive_s = keep_alive_s;
        let mut bench = Bench::open(&connect, policy);
        assert_eq!(connack(&mut bench).server_keep_alive_s, told, "{version:?} {keep_alive_s}");
        assert_eq!(bench.server.deadline().map(|(due, _)| due), silence);
    }
}

#[test]
fn wills_follow_abnormal_ends_only() {
    let end = |input: Input, version| {
        let mut connect = persistent(version);
        connect.session_expiry_s = if version == Version::V5 { 10 } else { 0 };
        let publish = publish("will", QoS::AtMostOnce, 0);
        connect.will = Some(Will { publish, delay_s: 30 }.into());
        let mut bench = Bench::open(&connect, Policy::default());
        bench.out.clear();
        lines(bench.input(input))
    };
    let bye = |reason| Input::Packet(Packet::Disconnect(Disconnect::new(reason)));
    assert_eq!(end(bye(Reason::Success), Version::V5), ["close disconnected"]);
    let with_will = end(bye(Reason::DisconnectWithWill), Version::V5);
    assert_eq!(with_will, ["will will 10", "close disconnected"], "session expiry is less");
    assert_eq!(end(Input::Closed, Version::V5), ["will will 10", "close connection_lost"]);
    assert_eq!(
        end(Input::Malformed(Reason::MalformedPacket), Version::V5),
        ["DISCONNECT 81", "will will 10", "close malformed_packet"]
    );
}

#[test]
fn a_goodbye_may_shorten_the_session_but_not_create_one() {
    let bye = |expiry| {
        let properties =
            DisconnectProperties { session_expiry_s: Some(expiry), ..Default::default() };
        Packet::Disconnect(Disconnect {
            reason: Reason::Success,
            properties: Some(properties.into()),
        })
    };
    let mut bench = Bench::online(Version::V5);
    bench.feed(bye(5));
    assert_eq!(bench.server.into_parked().unwrap().session_expiry_s(), 5);
    let mut bench = Bench::open(&Connect::new(Version::V5, "x"), Policy::default());
    bench.out.clear();
    assert_eq!(lines(bench.feed(bye(5))), ["DISCONNECT 82", "close protocol_error"]);
}

#[test]
fn aliases_work_both_ways() {
    let mut connect = persistent(Version::V5);
    connect.topic_alias_max = 1;
    let mut bench = Bench::open(&connect, Policy::default());
    bench.out.clear();
    let mut first = publish("long/topic", QoS::AtMostOnce, 0);
    let properties =
        PublishProperties { topic_alias: NonZeroU16::new(2), ..PublishProperties::default() };
    first.properties = Some(properties.into());
    let again = Publish { topic: "".into(), ..first.clone() };
    for packet in [first, again] {
        match bench.feed(Packet::Publish(packet)).as_slice() {
            [Output::Message { publish, .. }] => {
                assert_eq!(text(&publish.topic), "long/topic");
                assert_eq!(publish.properties, None);
            }
            other => panic!("{other:?}"),
        }
    }
    let mut topics = Vec::new();
    for topic in ["down", "down", "other"] {
        bench.server.publish(Outgoing::new(publish(topic, QoS::AtMostOnce, 0)), 0, &mut bench.out);
        for output in core::mem::take(&mut bench.out) {
            if let Output::Send(Packet::Publish(p)) = output {
                let alias = p.properties.as_ref().and_then(|p| p.topic_alias);
                topics.push((p.topic.to_string(), alias.map_or(0, |alias| alias.get())));
            }
        }
    }
    let expected = [("down", 1), ("", 1), ("other", 0)];
    assert_eq!(topics, expected.map(|(topic, alias)| (topic.to_string(), alias)));
}

#[test]
fn message_expiry_counts_down_in_the_queue() {
    let mut bench = Bench::online(Version::V5);
    bench.input(Input::Blocked);
    for (number, expiry) in [(1, 2), (2, 10)] {
        let mut message = publish("t", QoS::AtLeastOnce, 0);
        let properties = PublishProperties {
            message_expiry_s: NonZeroU32::new(expiry),
            ..PublishProperties::default()
        };
        message.properties = Some(properties.into());
        bench.send_as(Outgoing { handle: Some(Handle(number)), ..Outgoing::new(message) });
    }
    bench.now = 3500;
    let sent = bench.input(Input::Unblocked);
    let [Output::Resolved { handle, outcome }, Output::Send(Packet::Publish(second))] =
        sent.as_slice()
    else {
        panic!("{sent:?}")
    };
    assert_eq!((*handle, *outcome), (Handle(1), PublishOutcome::Expired));
    assert_eq!(second.properties.as_ref().unwrap().message_expiry_s, NonZeroU32::new(7));
}

#[test]
fn packets_above_the_clients_maximum_are_refused() {
    let mut connect = persistent(Version::V5);
    connect.max_packet_size = NonZeroU32::new(20);
    let mut bench = Bench::open(&connect, Policy::default());
    bench.out.clear();
    assert_eq!(bench.send(1, QoS::AtLeastOnce, Class::Command), ["PUBLISH t1 7"]);
    let mut big = publish("t", QoS::AtLeastOnce, 0);
    big.payload = vec![0; 13].into();
    let exact = Outgoing { handle: Some(Handle(2)), ..Outgoing::new(big.clone()) };
    assert_eq!(exact.publish.encoded_len(Version::V5), 21);
    assert_eq!(bench.send_as(exact), ["2 packet_too_large"]);
    big.payload = vec![0; 12].into();
    assert_eq!(bench.send_as(Outgoing::new(big)), ["PUBLISH t 8"]);
}

#[test]
fn subscriptions_are_checked_granted_and_given_back() {
    let policy = Policy { subscriptions_max: 2, ..Policy::default() };
    let mut bench = Bench::open(&persistent(Version::V5), policy);
    bench.out.clear();
    let filters = ["a/#", "a#b", "b/+", "c"].map(|f| Subscription::new(f, QoS::ExactlyOnce));
    let packet = Subscribe {
        id: id(3),
        filters: filters.to_vec(),
        subscription_id: NonZeroU32::new(5),
        user: Vec::new(),
    };
    let asked = bench.feed(Packet::Subscribe(packet));
    let [Output::Subscribe { id: asked_id, filters: asked, .. }] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    assert_eq!(asked.iter().map(|s| text(&s.filter)).collect::<Vec<_>>(), ["a/#", "b/+"]);
    bench.server.subscribed(
        *asked_id,
        &[Reason::GrantedQoS1, Reason::NotAuthorized],
        &mut bench.out,
    );
    let expected = [
        Reason::GrantedQoS1,
        Reason::TopicFilterInvalid,
        Reason::NotAuthorized,
        Reason::QuotaExceeded,
    ];
    let suback = SubAck { id: id(3), codes: expected.to_vec(), properties: None };
    assert_eq!(core::mem::take(&mut bench.out), [Output::Send(Packet::SubAck(suback))]);
    let [granted] = bench.server.subscriptions() else { panic!("one is granted") };
    assert_eq!((text(&granted.filter), granted.options.qos), ("a/#", QoS::AtLeastOnce));
    assert_eq!(granted.subscription_id, NonZeroU32::new(5));
    let filters = vec!["a/#".into(), "zz".into()];
    bench.feed(Packet::Unsubscribe(Unsubscribe { id: id(4), filters, user: Vec::new() }));
    bench.server.unsubscribed(id(4), &mut bench.out);
    let codes = vec![Reason::Success, Reason::NoSubscriptionExisted];
    let unsuback = SubAck { id: id(4), codes, properties: None };
    assert_eq!(bench.out, [Output::Send(Packet::UnsubAck(unsuback))]);
    assert!(bench.server.subscriptions().is_empty());
}

#[test]
fn invalid_filters_alone_are_answered_without_the_shell() {
    let mut bench = Bench::online(Version::V311);
    let filters = vec![Subscription::new("a#", QoS::AtMostOnce)];
    let packet = Subscribe { id: id(3), filters, subscription_id: None, user: Vec::new() };
    assert_eq!(lines(bench.feed(Packet::Subscribe(packet))), ["SUBACK"]);
}

#[test]
fn a_session_continues_where_it_was() {
    let mut bench = Bench::online(Version::V311);
    bench.send(1, QoS::AtLeastOnce, Class::Command);
    bench.send(2, QoS::ExactlyOnce, Class::Command);
    bench.feed(Packet::PubRec(Ack::new(id(8), Reason::Success)));
    let open = bench.message(inbound("up", QoS::ExactlyOnce, 5));
    let lost = bench.message(inbound("up", QoS::AtLeastOnce, 6));
    assert_eq!(lines(bench.input(Input::Closed)), ["close connection_lost"]);
    let mut parked = bench.server.into_parked().unwrap();
    let mut out = Vec::new();
    parked.publish(Outgoing::new(publish("t3", QoS::AtLeastOnce, 0)), 0, &mut out);
    assert!(parked.accept(open, Reason::Success), "the commit finished late");
    assert!(!parked.accept(lost, Reason::Success), "QoS 1 comes again");
    let opening = Opening { parked: Some(parked), first_packet_id: 1, ..Opening::default() };
    let mut bench = Bench::resume(&persistent(Version::V311), Policy::default(), opening);
    assert_eq!(
        lines(core::mem::take(&mut bench.out)),
        ["CONNACK", "PUBREC 5 00", "PUBLISH t1 7 dup", "PUBREL 8 00", "PUBLISH t3 9"]
    );
    assert_eq!(lines(bench.feed(inbound("up", QoS::ExactlyOnce, 5))), ["PUBREC 5 00"]);
    assert_eq!(lines(bench.feed(inbound("up", QoS::AtLeastOnce, 6))), ["message up"]);
    assert_eq!(bench.server.next_packet_id(), 10);
}

#[test]
fn a_clean_start_ends_the_parked_session_but_ids_run_on() {
    let mut bench = Bench::online(Version::V311);
    bench.send(1, QoS::AtLeastOnce, Class::Command);
    bench.input(Input::Closed);
    let parked = bench.server.into_parked();
    let opening = Opening { parked, first_packet_id: 1, ..Opening::default() };
    let mut bench = Bench::resume(&Connect::new(Version::V311, "lamp"), Policy::default(), opening);
    assert!(!connack(&mut bench).session_present);
    assert_eq!(bench.send(2, QoS::AtLeastOnce, Class::Command), ["PUBLISH t2 8"]);
    let over = lines(bench.input(Input::Closed));
    assert_eq!(over, ["2 publish_lost", "close connection_lost"]);
    assert!(bench.server.into_parked().is_none());
}

#[test]
fn an_expired_command_is_not_repeated() {
    let mut bench = Bench::online(Version::V311);
    for (number, qos) in [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce)] {
        bench.send_as(Outgoing {
            handle: Some(Handle(number)),
            deadline_ms: Some(100),
            ..Outgoing::new(publish("t", qos, 0))
        });
    }
    bench.input(Input::Closed);
    let parked = bench.server.into_parked();
    let opening = Opening { parked, ..Opening::default() };
    let mut out = Vec::new();
    let policy = Arc::new(Policy::default());
    Server::open(&persistent(Version::V311), opening, policy, 100, &mut out);
    assert_eq!(
        lines(out),
        ["CONNACK", "1 publish_expired", "2 publish_expired", "PUBLISH t 8 dup"]
    );
}

#[test]
fn trimming_keeps_open_work_and_token_numbers() {
    let mut bench = Bench::online(Version::V311);
    let first = bench.message(inbound("a", QoS::AtLeastOnce, 1));
    bench.server.trim();
    assert_eq!(bench.accept(first), ["PUBACK 1 00"]);
    bench.server.trim();
    let second = bench.message(inbound("a", QoS::AtLeastOnce, 1));
    assert!(second > first);
}

#[test]
fn take_over_tells_only_mqtt_5() {
    for (version, told) in [(Version::V311, 0), (Version::V5, 1)] {
        let mut bench = Bench::online(version);
        bench.server.close(Reason::SessionTakenOver, 0, &mut bench.out);
        let got = core::mem::take(&mut bench.out);
        assert_eq!(got.len(), 1 + told);
        assert_eq!(got.last(), Some(&Output::Close(Cause::Server(Reason::SessionTakenOver))));
    }
}

#[test]
fn requests_are_bounded() {
    let subscribe = |number, count| {
        let filters = vec![Subscription::new("a", QoS::AtMostOnce); count];
        Packet::Subscribe(Subscribe {
            id: id(number),
            filters,
            subscription_id: None,
            user: Vec::new(),
        })
    };
    let policy = Policy { subscriptions_max: 1000, ..Policy::default() };
    let mut bench = Bench::open(&persistent(Version::V311), policy);
    bench.out.clear();
    let most = lines(bench.feed(subscribe(1, FILTERS_PER_PACKET_MAX)));
    assert_eq!(most, [format!("subscribe {FILTERS_PER_PACKET_MAX}")]);
    let more = lines(bench.feed(subscribe(2, FILTERS_PER_PACKET_MAX + 1)));
    assert_eq!(more, ["close quota_exceeded"]);
    let mut bench =
        Bench::open(&persistent(Version::V5), Policy { requests_max: 1, ..Policy::default() });
    bench.out.clear();
    assert_eq!(lines(bench.feed(subscribe(1, 1))), ["subscribe 1"]);
    let more = lines(bench.feed(subscribe(2, 1)));
    assert_eq!(more, ["DISCONNECT 97", "close quota_exceeded"]);
}
