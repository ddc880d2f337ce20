//! Hot paths of the MQTT layer: `cargo bench -p roadstead-wire --features codec`.
#![allow(missing_docs, reason = "a benchmark has no readers")]

use std::sync::Arc;

use bytes::BytesMut;
use divan::{Bencher, black_box};
use roadstead_wire::mqtt::codec::{Decoder, encode};
use roadstead_wire::mqtt::packet::{
    Ack, Connect, Packet, PacketId, Publish, PublishProperties, QoS, Reason, Version,
};
use roadstead_wire::mqtt::session::Outgoing;
use roadstead_wire::mqtt::session::server::{Input, Opening, Output, Policy, Server};
use roadstead_wire::mqtt::topic::Filter;
use roadstead_wire::mqtt::trie::{Hit, Trie};

fn main() {
    divan::main();
}

const TOPIC: &str = "$thing/up/property/L4WG9V9M2M/TEST2";

/// A QoS 1 PUBLISH with 200 bytes of payload.
fn publish() -> Publish {
    let mut publish = Publish::new(TOPIC, vec![b'x'; 200], QoS::AtLeastOnce);
    publish.id = PacketId::new(1);
    publish
}

fn wire(publish: Publish, version: Version) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(512);
    encode(&Packet::Publish(publish), version, &mut buffer).expect("a legal packet");
    buffer
}

#[divan::bench(args = [Version::V311, Version::V5])]
fn decode_publish_200(bencher: Bencher<'_, '_>, version: Version) {
    let bytes = wire(publish(), version);
    bencher
        .with_inputs(|| {
            let mut buffer = BytesMut::with_capacity(512);
            buffer.extend_from_slice(&bytes);
            buffer
        })
        .bench_values(|mut buffer| {
            Decoder::with_version(version, 4096).decode(&mut buffer).expect("a legal packet")
        });
}

/// The path through `rmqtt-codec`, for comparison.
#[divan::bench]
fn decode_publish_200_with_properties(bencher: Bencher<'_, '_>) {
    let mut message = publish();
    let properties =
        PublishProperties { content_type: Some("json".into()), ..PublishProperties::default() };
    message.properties = Some(Box::new(properties));
    let bytes = wire(message, Version::V5);
    bencher
        .with_inputs(|| {
            let mut buffer = BytesMut::with_capacity(512);
            buffer.extend_from_slice(&bytes);
            buffer
        })
        .bench_values(|mut buffer| {
            Decoder::with_version(Version::V5, 4096).decode(&mut buffer).expect("a legal packet")
        });
}

#[divan::bench]
fn encode_publish_200(bencher: Bencher<'_, '_>) {
    let packet = Packet::Publish(publish());
    let mut buffer = BytesMut::with_capacity(512);
    bencher.bench_local(|| {
        buffer.clear();
        encode(black_box(&packet), Version::V311, &mut buffer).expect("a legal packet");
    });
}

fn server() -> Server {
    let connect = Connect::new(Version::V311, "lamp");
    let policy = Arc::new(Policy::default());
    Server::open(&connect, Opening::default(), policy, 0, &mut Vec::new())
}

/// PUBLISH in, durable, PUBACK out.
#[divan::bench]
fn session_message_and_accept(bencher: Bencher<'_, '_>) {
    let (mut server, mut out, message) = (server(), Vec::new(), publish());
    bencher.bench_local(|| {
        out.clear();
        server.handle(Input::Packet(Packet::Publish(message.clone())), 1, &mut out);
        let Some(Output::Message { token, .. }) = out.pop() else { unreachable!("a message") };
        assert!(server.accept(token, Reason::Success, &mut out));
        black_box(&out);
    });
}

/// A command out, PUBACK in.
#[divan::bench]
fn session_publish_and_ack(bencher: Bencher<'_, '_>) {
    let (mut server, mut out, message) = (server(), Vec::new(), publish());
    bencher.bench_local(|| {
        out.clear();
        server.publish(Outgoing::new(message.clone()), 1, &mut out);
        let Some(Output::Send(Packet::Publish(sent))) = out.pop() else { unreachable!("sent") };
        let ack = Ack::new(sent.id.expect("QoS 1"), Reason::Success);
        server.handle(Input::Packet(Packet::PubAck(ack)), 1, &mut out);
        black_box(&out);
    });
}

/// One match among 100 000 devices with one wildcard subscriber beside.
#[divan::bench]
fn trie_match(bencher: Bencher<'_, '_>) {
    let mut trie: Trie<u64, u32> = Trie::new();
    for n in 0..100_000_u64 {
        let filter = format!("$thing/down/property/L4WG9V9M2M/dev{n:06}");
        trie.insert(Filter::parse(&filter).expect("a valid filter"), n, 0);
    }
    trie.insert(Filter::parse("$thing/down/property/+/#").expect("a valid filter"), 0, 0);
    bencher.bench_local(|| {
        let mut hits = 0;
        let name = black_box("$thing/down/property/L4WG9V9M2M/dev054321");
        trie.matches(name, |hit| hits += usize::from(matches!(hit, Hit::One(..))));
        assert_eq!(hits, 2);
    });
}
