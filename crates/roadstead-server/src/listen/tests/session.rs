//! Log-in, reports, acknowledgements, endings.

use std::time::Duration;

use roadstead_core::exchange::Answer;
use roadstead_core::session::Ending;
use roadstead_wire::mqtt::packet::{Disconnect, Packet, Publish, QoS, Reason, Version};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::client::{connect, puback, publish, report};
use super::fake::account;
use super::{DOWN, NODE, UP, World};

#[tokio::test(start_paused = true)]
async fn a_report_is_acknowledged_and_answered_when_it_is_durable() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    assert_eq!(lamp.subscribe(DOWN, QoS::AtLeastOnce).await, Reason::GrantedQoS1);
    let durable = world.fake.hold_answer();
    lamp.send(report("t-1", 5)).await;
    world.fake.noted("uplink TEST2 report").await;
    lamp.send(Packet::PingReq).await;
    assert_eq!(lamp.next().await, Some(Packet::PingResp), "no acknowledgement before");
    let reads = lamp.reads;
    durable.send(Answer::Done).expect("waited for");
    assert_eq!(lamp.next().await, Some(puback(5)));
    let reply = lamp.next_publish().await;
    assert_eq!(lamp.reads, reads + 1, "both in one write");
    assert_eq!(&*reply.topic, DOWN);
    let body: serde_json::Value = serde_json::from_slice(&reply.payload).expect("JSON");
    assert_eq!((&body["method"], &body["clientToken"]), (&"report_reply".into(), &"t-1".into()));
    let metrics = &world.shared.metrics;
    assert_eq!((metrics.publishes_in.value(), metrics.publishes_out.value()), (1, 1));
    assert_eq!(metrics.ack_seconds.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_and_answers_keep_the_order_of_arrival() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    lamp.subscribe(DOWN, QoS::AtMostOnce).await;
    let first = world.fake.hold_answer();
    let second = world.fake.hold_answer();
    lamp.send_all(&[report("a", 1), report("b", 2), report("c", 3)]).await;
    world.fake.noted_times("uplink", 3).await;
    second.send(Answer::Done).expect("waited for");
    lamp.send(Packet::PingReq).await;
    assert_eq!(lamp.next().await, Some(Packet::PingResp), "the first holds the others back");
    first.send(Answer::Done).expect("waited for");
    for (n, token) in [(1, "a"), (2, "b"), (3, "c")] {
        assert_eq!(lamp.next().await, Some(puback(n)));
        let reply = String::from_utf8(lamp.next_publish().await.payload.to_vec()).expect("JSON");
        assert!(reply.contains(&format!("\"clientToken\":\"{token}\"")), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn reading_stops_at_inbound_max() {
    let world = World::with(|config| config.mqtt.inbound_max = 2).await;
    let mut lamp = world.lamp().await;
    let held: Vec<_> = (0..4).map(|_| world.fake.hold_answer()).collect();
    lamp.send_all(&[report("a", 1), report("b", 2), report("c", 3), report("d", 4)]).await;
    world.fake.noted_times("uplink", 2).await;
    // In virtual time a second passes only when nobody has anything to do.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let uplinks = || world.fake.notes().iter().filter(|n| n.starts_with("uplink")).count();
    assert_eq!(uplinks(), 2);
    for (n, held) in (1..).zip(held) {
        held.send(Answer::Done).expect("waited for");
        assert_eq!(lamp.next().await, Some(puback(n)));
    }
    assert_eq!(uplinks(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_lost_is_not_acknowledged() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    let answer = world.fake.hold_answer();
    lamp.send(report("a", 1)).await;
    answer
        .send(Answer::Refused { code: "internal.store", detail: "disk full".into() })
        .expect("waited for");
    assert_eq!(lamp.until_closed().await, []);
    assert_eq!(world.fake.noted("logout").await, "logout TEST2 1 session.lost");
}

#[tokio::test(start_paused = true)]
async fn the_newer_connection_takes_over() {
    let world = World::new().await;
    let mut first = world.open(4096);
    first.connect(connect(Version::V5)).await.expect("CONNACK");
    let mut second = world.lamp().await;
    let goodbye = Disconnect::new(Reason::SessionTakenOver);
    assert_eq!(first.until_closed().await, [Packet::Disconnect(goodbye)]);
    assert_eq!(world.fake.noted("logout").await, "logout TEST2 1 session.taken_over");
    second.send(Packet::PingReq).await;
    assert_eq!(second.next().await, Some(Packet::PingResp));
    assert_eq!(world.shared.directory.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_after_one_and_a_half_keep_alives() {
    let world = World::new().await;
    let mut lamp = world.open(4096);
    let mut hello = connect(Version::V311);
    hello.keep_alive_s = 10;
    lamp.connect(hello).await.expect("CONNACK");
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(9)).await;
    lamp.send(Packet::PingReq).await;
    assert_eq!(lamp.next().await, Some(Packet::PingResp));
    assert_eq!(lamp.until_closed().await, []);
    assert_eq!(start.elapsed().as_secs(), 9 + 15);
    assert_eq!(world.fake.noted("logout").await, "logout TEST2 1 session.keep_alive");
    world.empty().await;
    assert!(world.shared.directory.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_sender_is_silent() {
    let world = World::new().await;
    let mut lamp = world.open(4096);
    let mut hello = connect(Version::V311);
    hello.keep_alive_s = 10;
    lamp.connect(hello).await.expect("CONNACK");
    // A PUBLISH of 100 bytes, one byte a second: it never becomes a packet.
    let (mut reader, mut writer) = tokio::io::split(lamp.stream);
    let drip = tokio::spawn(async move {
        let mut bytes = vec![0x30, 98, 0, 4];
        bytes.extend([b'x'; 96]);
        for byte in bytes {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut rest).await;
    assert_eq!(start.elapsed().as_secs(), 15);
    assert_eq!(world.fake.noted("logout").await, "logout TEST2 1 session.keep_alive");
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_ends_a_session() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    lamp.disconnect().await;
    assert_eq!(lamp.until_closed().await, []);
    assert_eq!(world.fake.noted("logout").await, "logout TEST2 1 session.disconnected");
    drop(world.lamp().await);
    assert_eq!(world.fake.noted_times("logout", 2).await, "logout TEST2 2 session.lost");
}

#[tokio::test(start_paused = true)]
async fn what_was_received_takes_effect_before_the_end() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    let durable = world.fake.hold_answer();
    lamp.send(report("a", 1)).await;
    lamp.disconnect().await;
    world.fake.noted("uplink").await;
    tokio::task::yield_now().await;
    assert!(!world.fake.notes().iter().any(|note| note.starts_with("logout")));
    durable.send(Answer::Done).expect("still waited for");
    world.fake.noted("logout").await;
}

#[tokio::test(start_paused = true)]
async fn oversize_packets_end_the_session_with_the_reason() {
    let world = World::with(|config| config.mqtt.packet_bytes_max = 1000).await;
    let mut lamp = world.open(4096);
    lamp.connect(connect(Version::V5)).await.expect("CONNACK");
    lamp.send(publish(UP, vec![b'x'; 2000], 1)).await;
    let goodbye = Disconnect::new(Reason::PacketTooLarge);
    assert_eq!(lamp.until_closed().await, [Packet::Disconnect(goodbye)]);
    assert_eq!(world.fake.noted("logout").await, "logout TEST2 1 session.protocol");
    assert!(world.fake.notes().iter().any(|n| n.starts_with("trace disconnect mqtt.too_large")));
}

#[tokio::test(start_paused = true)]
async fn illegal_topics_are_traced_and_do_not_end_the_session() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    lamp.send(publish("$thing/up/nonsense", "{}", 1)).await;
    assert_eq!(lamp.next().await, Some(puback(1)), "3.1.1 has no refusal");
    assert_eq!(lamp.subscribe("somebody/else/#", QoS::AtMostOnce).await, Reason::UnspecifiedError);
    let traced = "trace subscribe mqtt.denied_topic somebody/else/#";
    assert_eq!(world.fake.noted("trace subscribe").await, traced);
    let mut modern = world.open(4096);
    modern.connect(connect(Version::V5)).await.expect("CONNACK");
    modern.send(publish("$thing/up/nonsense", "{}", 1)).await;
    match modern.next().await {
        Some(Packet::PubAck(ack)) => assert_eq!(ack.reason, Reason::NotAuthorized),
        other => panic!("{other:?}"),
    }
    assert_eq!(modern.subscribe("a/b", QoS::AtMostOnce).await, Reason::NotAuthorized);
    assert!(world.fake.notes().iter().all(|note| !note.starts_with("uplink")));
}

#[tokio::test(start_paused = true)]
async fn sub_devices_are_looked_up_once_and_keep_their_order() {
    let world = World::new().await;
    let gateway = account(NODE, None);
    let mut bulb = account("bulb", None);
    std::sync::Arc::make_mut(&mut bulb.device).gateway = Some(gateway.device.id.clone());
    world.fake.enter(bulb);
    world.fake.enter(account("stray", None));
    let mut lamp = world.lamp().await;
    let body = r#"{"method":"report","clientToken":"1","params":{"brightness":3}}"#;
    let of = |node: &str, n| publish(&format!("$thing/up/property/L4WG9V9M2M/{node}"), body, n);
    lamp.send_all(&[of("bulb", 1), of("TEST2", 2), of("bulb", 3), of("stray", 4)]).await;
    for n in 1..=4 {
        assert_eq!(lamp.next().await, Some(puback(n)));
    }
    let notes = world.fake.notes();
    let count = |head: &str| notes.iter().filter(|note| note.starts_with(head)).count();
    assert_eq!((count("sub bulb"), count("sub stray"), count("uplink bulb report")), (1, 1, 2));
    assert_eq!((count("uplink TEST2"), count("uplink stray")), (1, 0));
    assert_eq!(count("trace publish subdevice.not_attached"), 1);
    let filter = "$thing/down/property/L4WG9V9M2M/bulb";
    assert_eq!(lamp.subscribe(filter, QoS::AtLeastOnce).await, Reason::GrantedQoS1);
    let stray = "$thing/down/property/L4WG9V9M2M/stray";
    assert_eq!(lamp.subscribe(stray, QoS::AtLeastOnce).await, Reason::UnspecifiedError);
}

#[tokio::test(start_paused = true)]
async fn packets_may_come_in_any_pieces() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    let mut bytes = bytes::BytesMut::new();
    for n in 1..=3 {
        let packet = report("t", n);
        roadstead_wire::mqtt::codec::encode(&packet, Version::V311, &mut bytes).expect("valid");
    }
    for piece in bytes.chunks(7) {
        lamp.stream.write_all(piece).await.expect("open");
        tokio::task::yield_now().await;
    }
    for n in 1..=3 {
        assert_eq!(lamp.next().await, Some(puback(n)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_closed() {
    let world = World::new().await;
    let mut lamp = world.open(256);
    lamp.log_in().await;
    lamp.subscribe(DOWN, QoS::AtMostOnce).await;
    let start = Instant::now();
    for n in 0..20 {
        lamp.send(report("t", n + 1)).await;
    }
    let notes = world.fake.noted("logout").await;
    assert_eq!(notes, "logout TEST2 1 session.too_slow");
    let stall = world.shared.limits.write_stall;
    assert!(start.elapsed() >= stall && start.elapsed() < stall * 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_order_to_end_says_why() {
    let world = World::new().await;
    let mut lamp = world.open(4096);
    lamp.connect(connect(Version::V5)).await.expect("CONNACK");
    world.shared.directory.close_all(Ending::Revoked);
    let goodbye = Disconnect::new(Reason::AdministrativeAction);
    assert_eq!(lamp.until_closed().await, [Packet::Disconnect(goodbye)]);
    assert_eq!(world.fake.noted("logout").await, "logout TEST2 1 session.revoked");
}

#[tokio::test(start_paused = true)]
async fn packet_ids_of_a_new_connection_start_anywhere() {
    let world = World::new().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let mut lamp = world.lamp().await;
        lamp.subscribe(DOWN, QoS::AtLeastOnce).await;
        lamp.send(report("t", 1)).await;
        assert_eq!(lamp.next().await, Some(puback(1)));
        let Publish { id, qos, .. } = lamp.next_publish().await;
        match qos {
            QoS::AtMostOnce => return, // The dialect answers with QoS 0: nothing to remember.
            _ => seen.insert(id.expect("QoS 1")),
        };
    }
    assert!(seen.len() > 4, "{seen:?}");
}
