//! Clients that are not let in: reasons, delays, held sockets, first packets that are none.

use std::time::Duration;

use roadstead_wire::mqtt::packet::{Connect, Opaque, Reason, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::World;
use super::client::{Client, connect, report};

fn wrong() -> Connect {
    let password = Some(Opaque::new("00;hmacsha1"));
    Connect { password, ..connect(Version::V311) }
}

/// Returns the reason and how long the answer took.
async fn refused(client: &mut Client) -> (Reason, Duration) {
    let start = Instant::now();
    let ack = client.connect(wrong()).await.expect("CONNACK");
    (ack.reason, start.elapsed())
}

async fn closed_after(client: &mut Client) -> Duration {
    let start = Instant::now();
    let mut byte = [0];
    let _ = client.stream.read(&mut byte).await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn answers_come_ever_later_and_the_socket_stays_open() {
    let world = World::new().await;
    let mut delays = Vec::new();
    for _ in 0..9 {
        let mut client = world.open(4096);
        let (reason, delay) = refused(&mut client).await;
        assert_eq!(reason, Reason::BadUserNameOrPassword);
        delays.push(delay.as_millis());
    }
    assert_eq!(delays, [0, 0, 0, 250, 500, 1000, 2000, 4000, 4000]);
    let metrics = &world.shared.metrics;
    assert_eq!((metrics.refusals("auth.bad_password"), metrics.throttled.value()), (9, 6));
    let note = world.fake.noted("stranger auth.throttled").await;
    assert!(note.contains("auth.bad_password"), "{note}");
    let strangers = world.fake.notes().iter().filter(|n| n.starts_with("stranger")).count();
    assert_eq!(strangers, 1, "said once, not at every refusal");

    let mut client = world.open_from([192, 0, 2, 77], 4096);
    refused(&mut client).await;
    client.send(report("ignored", 1)).await;
    let hold = world.shared.throttle.hold_time();
    assert_eq!(closed_after(&mut client).await, hold);
    world.empty().await;
    assert_eq!(metrics.held.value(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_right_secret_is_never_slowed() {
    let world = World::new().await;
    for _ in 0..8 {
        refused(&mut world.open(4096)).await;
    }
    for _ in 0..20 {
        let start = Instant::now();
        let mut lamp = world.lamp().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        lamp.disconnect().await;
    }
    // And what it did wrong before is forgotten, seen from elsewhere.
    let (_, delay) = refused(&mut world.open_from([192, 0, 2, 9], 4096)).await;
    assert_eq!(delay, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn held_sockets_are_bounded() {
    let world = World::with(|config| config.throttle.held_max = 2).await;
    let mut clients = Vec::new();
    for n in 0..3 {
        let mut client = world.open_from([192, 0, 2, n], 4096);
        refused(&mut client).await;
        clients.push(client);
    }
    assert_eq!(closed_after(&mut clients[0]).await, Duration::ZERO);
    assert_eq!(closed_after(&mut clients[2]).await, world.shared.throttle.hold_time());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_frees_its_place() {
    let world = World::new().await;
    let mut client = world.open(4096);
    refused(&mut client).await;
    assert_eq!(world.shared.metrics.held.value(), 1);
    drop(client);
    world.empty().await;
    assert_eq!(world.shared.metrics.held.value(), 0);
}

#[tokio::test(start_paused = true)]
async fn half_open_sockets_end_at_the_deadline() {
    let world = World::new().await;
    let mut silent = world.open(4096);
    assert_eq!(closed_after(&mut silent).await, world.shared.limits.first_packet);
    let note = world.fake.noted("stranger mqtt.first_packet").await;
    assert!(note.ends_with("no CONNECT within 10 s, 0 bytes received"), "{note}");

    let mut slow = world.open(4096);
    let drip = async {
        for byte in [0x10, 90, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 80] {
            slow.stream.write_all(&[byte]).await.expect("open");
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
    };
    let start = Instant::now();
    let outcome = tokio::time::timeout(Duration::from_secs(60), async {
        drip.await;
    });
    let note = tokio::select! {
        note = world.fake.noted_times("stranger mqtt.first_packet", 2) => note,
        _ = outcome => world.fake.noted_times("stranger mqtt.first_packet", 2).await,
    };
    assert_eq!(start.elapsed(), world.shared.limits.first_packet);
    assert!(note.ends_with("12 bytes received"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn other_protocols_are_named() {
    let world = World::new().await;
    let mut count = 0;
    for (bytes, code, text) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], "mqtt.malformed", "TLS spoken to the plain port"),
        (b"GET / HTTP/1.1\r\n", "mqtt.malformed", "HTTP spoken to the MQTT port"),
        (b"\x10\xff\xff\xff\x7f", "mqtt.too_large", "limit 65536"),
        (b"\x10\x0c\0\x04MQTT\x07\x02\0\x3c\0\0", "mqtt.violation", "protocol level 7"),
        (b"\x10\x0e\0\x04AMQP\x04\x02\0\x3c\0\x02ab", "mqtt.malformed", "protocol name"),
    ] {
        // Each from elsewhere, so that the throttle has nothing to say.
        let mut client = world.open_from([192, 0, 2, count as u8], 4096);
        client.stream.write_all(bytes).await.expect("open");
        count += 1;
        let note = world.fake.noted_times("stranger", count).await;
        let head = format!("stranger {code} - tcp ");
        assert!(note.starts_with(&head) && note.contains(text), "{text}: {note}");
    }
    assert_eq!(world.shared.metrics.refusals("mqtt.malformed"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_nobody() {
    let world = World::new().await;
    drop(world.open(4096));
    world.empty().await;
    assert_eq!(world.fake.notes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn strangers_and_false_identities_get_the_vendors_code() {
    let world = World::new().await;
    let mut stranger = world.open(4096);
    let ack = stranger.connect(Connect::new(Version::V311, "mqttjs_1")).await.expect("CONNACK");
    assert!(ack.reason.is_error());
    let mut unknown = world.open(4096);
    let user = "L4WG9V9M2MNOBODY;21010406;5B1N0;92233720368547758";
    let hello = Connect { username: Some(user.into()), ..connect(Version::V311) };
    let hello = Connect { client_id: "L4WG9V9M2MNOBODY".into(), ..hello };
    let ack = unknown.connect(hello).await.expect("CONNACK");
    assert!(ack.reason.is_error());
    assert_eq!(world.fake.notes(), ["refused auth.malformed", "refused auth.unknown_device"]);
    let mut modern = world.open(4096);
    let hello = Connect { auth_method: Some("SCRAM".into()), ..connect(Version::V5) };
    let ack = modern.connect(hello).await.expect("CONNACK");
    assert_eq!(ack.reason, Reason::BadAuthenticationMethod);
}
