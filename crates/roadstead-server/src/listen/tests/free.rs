//! Free topics: fan-out, retained messages, persistent sessions, wills.

use bytes::Bytes;
use roadstead_wire::mqtt::packet::{ConnAck, Connect, Packet, Publish, QoS, Reason, Version, Will};

use super::client::{Client, connect, puback, publish};
use super::{FREE, World};

fn retained(payload: &'static str, n: u16) -> Packet {
    match publish(FREE, payload, n) {
        Packet::Publish(publish) => Packet::Publish(Publish { retain: true, ..publish }),
        other => other,
    }
}

fn persistent(version: Version) -> Connect {
    Connect { clean_start: false, session_expiry_s: 600, ..connect(version) }
}

async fn back(world: &World, hello: Connect) -> (Client, ConnAck) {
    let mut client = world.open(64 * 1024);
    let ack = client.connect(hello).await.expect("CONNACK");
    (client, ack)
}

async fn log_out(world: &World, mut client: Client, nth: usize) {
    client.disconnect().await;
    client.until_closed().await;
    world.fake.noted_times("logout", nth).await;
}

/// The dialect lets a device publish and subscribe its own custom topics only.
async fn listen(client: &mut Client, filter: &str) {
    assert_eq!(client.subscribe(filter, QoS::AtLeastOnce).await, Reason::GrantedQoS1);
}

#[tokio::test(start_paused = true)]
async fn free_messages_reach_who_subscribed() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    listen(&mut lamp, FREE).await;
    lamp.send(publish(FREE, "hello", 4)).await;
    let mut packets = vec![lamp.next().await.expect("open"), lamp.next().await.expect("open")];
    packets.sort_by_key(|packet| packet.name());
    assert_eq!(packets[0], puback(4));
    let Packet::Publish(message) = &packets[1] else { panic!("{packets:?}") };
    assert_eq!((&message.payload, message.qos), (&Bytes::from("hello"), QoS::AtLeastOnce));
    assert!(world.fake.notes().iter().all(|note| !note.starts_with("uplink")));
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_the_chosen_of_those_who_listen() {
    use crate::service::Fanout as _;

    let world = World::new().await;
    let mut lamp = world.lamp().await;
    let broker = &world.shared.broker;
    assert_eq!(broker.subscribers(FREE), []);
    listen(&mut lamp, FREE).await;
    let listeners = broker.subscribers(FREE);
    assert_eq!(listeners.len(), 1);
    assert_eq!(broker.send(FREE, &Bytes::from("to others"), &["other".into()]), 0);
    assert_eq!(broker.send(FREE, &Bytes::from("to all"), &listeners), 1);
    let message = lamp.next_publish().await;
    assert_eq!((&*message.topic, &message.payload), (FREE, &Bytes::from("to all")));
    assert_eq!(broker.subscribers("another/topic"), []);
}

#[tokio::test(start_paused = true)]
async fn retained_messages_come_with_the_subscription() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    lamp.send_all(&[retained("old", 1), retained("new", 2)]).await;
    assert_eq!(lamp.next().await, Some(puback(1)));
    assert_eq!(lamp.next().await, Some(puback(2)));
    listen(&mut lamp, FREE).await;
    let message = lamp.next_publish().await;
    assert!(message.retain);
    assert_eq!(message.payload, Bytes::from("new"));
    lamp.puback(&message).await;
    lamp.send(retained("", 3)).await;
    assert_eq!(world.shared.metrics.retained.value(), 1);
    loop {
        match lamp.next().await.expect("open") {
            Packet::PubAck(_) => break,
            Packet::Publish(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.shared.metrics.retained.value(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_persistent_session_keeps_what_arrives_meanwhile() {
    let world = World::new().await;
    let (mut lamp, ack) = back(&world, persistent(Version::V5)).await;
    assert!(!ack.session_present);
    listen(&mut lamp, FREE).await;
    log_out(&world, lamp, 1).await;
    assert_eq!(world.shared.metrics.parked.value(), 1);
    let device = super::fake::account(super::NODE, None).device.id.clone();
    for text in ["one", "two"] {
        let publish = Publish::new(FREE, text, QoS::AtLeastOnce);
        let crate::broker::Published::Waits(kept) = world.shared.broker.publish(&device, publish)
        else {
            panic!("must be durable first")
        };
        assert_eq!(kept.await, Reason::Success);
    }
    let (mut lamp, ack) = back(&world, persistent(Version::V5)).await;
    assert!(ack.session_present);
    let (first, second) = (lamp.next_publish().await, lamp.next_publish().await);
    assert_eq!((&first.payload, &second.payload), (&Bytes::from("one"), &Bytes::from("two")));
    let last = second.id.expect("QoS 1").get();
    lamp.puback(&first).await;
    lamp.puback(&second).await;
    log_out(&world, lamp, 2).await;
    // Packet ids go on, even into a clean session.
    let (mut lamp, ack) = back(&world, connect(Version::V5)).await;
    assert!(!ack.session_present && world.shared.metrics.parked.value() == 0);
    listen(&mut lamp, FREE).await;
    lamp.send(publish(FREE, "three", 1)).await;
    let message = loop {
        match lamp.next().await.expect("open") {
            Packet::Publish(message) => break message,
            Packet::PubAck(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(message.id.expect("QoS 1").get(), last % u16::MAX + 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_handed_over_at_a_take_over() {
    let world = World::new().await;
    let (mut first, _) = back(&world, persistent(Version::V311)).await;
    listen(&mut first, FREE).await;
    first.send(publish(FREE, "unanswered", 1)).await;
    let sent = loop {
        match first.next().await.expect("open") {
            Packet::Publish(message) => break message,
            Packet::PubAck(_) => {}
            other => panic!("{other:?}"),
        }
    };
    let (mut second, ack) = back(&world, persistent(Version::V311)).await;
    assert!(ack.session_present);
    let again = second.next_publish().await;
    assert_eq!((again.id, again.dup), (sent.id, true));
    second.puback(&again).await;
    second.send(publish(FREE, "later", 2)).await;
    let mut later = 0;
    while later < 2 {
        match second.next().await.expect("open") {
            Packet::Publish(message) => {
                assert_eq!(message.payload, Bytes::from("later"));
                later += 1;
            }
            Packet::PubAck(_) => later += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wills_are_published_for_lost_clients_only() {
    let world = World::new().await;
    let will = |delay_s| {
        let publish = Publish { retain: true, ..Publish::new(FREE, "gone", QoS::AtLeastOnce) };
        Some(Box::new(Will { publish, delay_s }))
    };
    let (lamp, _) = back(&world, Connect { will: will(0), ..connect(Version::V5) }).await;
    log_out(&world, lamp, 1).await;
    assert_eq!(world.shared.metrics.retained.value(), 0, "it said goodbye");
    let (lamp, _) = back(&world, Connect { will: will(60), ..persistent(Version::V5) }).await;
    drop(lamp);
    world.fake.noted_times("logout", 2).await;
    let (lamp, _) = back(&world, persistent(Version::V5)).await;
    tokio::time::sleep(std::time::Duration::from_secs(50)).await;
    assert_eq!(world.shared.metrics.retained.value(), 0, "it came back in time");
    drop(lamp);
    world.fake.noted_times("logout", 3).await;
    let (lamp, _) = back(&world, Connect { will: will(60), ..persistent(Version::V5) }).await;
    drop(lamp);
    world.fake.noted_times("logout", 4).await;
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!(world.shared.metrics.retained.value(), 1);
    let denied = Publish::new("$thing/up/property/L4WG9V9M2M/TEST2", "x", QoS::AtMostOnce);
    let will = Some(Box::new(Will { publish: denied, delay_s: 0 }));
    let (lamp, _) = back(&world, Connect { will, ..connect(Version::V311) }).await;
    world.fake.noted("trace connect mqtt.denied_topic").await;
    drop(lamp);
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_costs_a_bounded_amount() {
    let world = World::with(|config| {
        config.mqtt.outbound_queue = 4;
        config.mqtt.outbound_window = 2;
    })
    .await;
    let mut lamp = world.lamp().await;
    listen(&mut lamp, FREE).await;
    let device = super::fake::account(super::NODE, None).device.id.clone();
    for n in 0..20 {
        let text = n.to_string();
        world.shared.broker.publish(&device, Publish::new(FREE, text, QoS::AtLeastOnce));
    }
    let mut got = Vec::new();
    for _ in 0..6 {
        let message = lamp.next_publish().await;
        got.push(String::from_utf8(message.payload.to_vec()).expect("text"));
        lamp.puback(&message).await;
    }
    assert_eq!(got, ["0", "1", "16", "17", "18", "19"], "the oldest in the queue give way");
    let dropped = world.shared.metrics.drops(crate::metrics::Queue::Outbound);
    assert_eq!(dropped, 14);
}
