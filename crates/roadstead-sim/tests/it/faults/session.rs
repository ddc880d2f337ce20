//! Sessions that end: by the device, by the network, by the platform.

use roadstead_wire::mqtt::packet::{Disconnect, Packet, Reason, Version};

use super::clinic::{Clinic, id};
use crate::mqtt::{Device, connect};
use crate::platform::DEVICE_SECRET;

pub(super) async fn endings(clinic: &mut Clinic) {
    let (node, mut lamp) = clinic.online().await;
    lamp.send(&Packet::Disconnect(Disconnect::new(Reason::Success))).await;
    assert_eq!(lamp.next().await, None);
    let log = "offline.device_disconnect";
    clinic.expect("it said goodbye", &id(&node), "session.disconnected", log).await;

    let (node, lamp) = clinic.online().await;
    drop(lamp);
    clinic.offline(&id(&node)).await;
    clinic.expect("the network went", &id(&node), "session.lost", "offline.peer_closed").await;

    let node = clinic.lamp().await;
    let mut hello = connect(Version::V311, &node, DEVICE_SECRET);
    hello.keep_alive_s = 1;
    let mut lamp = Device::open(&clinic.mqtt, &node).await;
    lamp.send(&Packet::Connect(hello.into())).await;
    assert!(matches!(lamp.next().await, Some(Packet::ConnAck(_))));
    assert_eq!(lamp.next().await, None, "closed after one and a half keep-alives");
    clinic.offline(&id(&node)).await;
    clinic
        .expect("it fell asleep", &id(&node), "session.keep_alive", "mqtt.keepalive_expired")
        .await;

    let log = "offline.server_closed";
    let (node, mut lamp) = clinic.online().await;
    let again = connect(Version::V311, &node, DEVICE_SECRET);
    lamp.send(&Packet::Connect(again.into())).await;
    assert_eq!(lamp.next().await, None);
    clinic.offline(&id(&node)).await;
    clinic.expect("CONNECT twice", &id(&node), "session.protocol", log).await;

    let (node, mut lamp) = clinic.online().await;
    lamp.send_bytes(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).await;
    assert_eq!(lamp.next().await, None);
    clinic.offline(&id(&node)).await;
    clinic.expect("no MQTT any more", &id(&node), "session.protocol", log).await;

    // A PUBLISH that announces 1 MiB; its body never comes.
    let (node, mut lamp) = clinic.online().await;
    lamp.send_bytes(&[0x30, 0x80, 0x80, 0x40]).await;
    assert_eq!(lamp.next().await, None);
    clinic.offline(&id(&node)).await;
    clinic.expect("too much at once", &id(&node), "session.protocol", log).await;

    let (node, mut lamp) = clinic.online().await;
    clinic.new_secret(&id(&node)).await;
    assert_eq!(lamp.next().await, None);
    clinic.offline(&id(&node)).await;
    clinic.expect("the operator changed the secret", &id(&node), "session.revoked", log).await;
}
