//! Cost of a sniffed frame with all schemes listening, and of encoding a round.
//!
//! `cargo bench -p roadstead-wire --bench airlink`; budget: 200 ns per frame, 50 µs per round.

use std::time::Duration;

use divan::counter::ItemsCount;
use roadstead_wire::airlink::air::{Air, Dice, Weather, noise};
use roadstead_wire::airlink::{Frame, Hopper, Keys, Mac, Plan, Request, Scheme};

fn main() {
    divan::main();
}

fn request(scheme: Scheme) -> Request<'static> {
    Request {
        ssid: b"TP-LINK_2F3A",
        password: b"12345678",
        bssid: Mac([2, 0, 0, 0, 0, 1]),
        phone_ip: [192, 168, 1, 100],
        phone_mac: Mac([2, 0, 0, 0, 0, 2]),
        key: (scheme == Scheme::SmartConfig).then_some(b"a1ProductSecretA1"),
        extra: &[],
        omit_ssid: false,
        port_mark: 0,
        zero_iv: false,
        multicast: false,
        random: [7; 20],
    }
}

fn hopper() -> Hopper {
    let keys = Keys { product_secret: Some(b"a1ProductSecretA1".to_vec()), ..Keys::default() };
    let plan = Plan { channels: vec![6], ..Plan::default() };
    Hopper::new(plan, &Scheme::ALL, &keys, Duration::ZERO)
}

fn feed(bencher: divan::Bencher<'_, '_>, frames: Vec<Frame>) {
    bencher.counter(ItemsCount::new(frames.len())).with_inputs(hopper).bench_local_refs(|hopper| {
        for frame in &frames {
            divan::black_box(hopper.hear(frame));
        }
    });
}

/// 5000 foreign frames.
#[divan::bench]
fn foreign_traffic(bencher: divan::Bencher<'_, '_>) {
    let mut dice = Dice::new(1);
    feed(bencher, (0..5000).map(|n| noise(&mut dice, n * 200, 6)).collect());
}

/// A sender of each scheme at 40 % loss, 5000 frames.
#[divan::bench(args = Scheme::ALL)]
fn sender(bencher: divan::Bencher<'_, '_>, scheme: Scheme) {
    let request = request(scheme);
    let round = scheme.encode(&request).expect("the request fits");
    let weather = Weather { loss: 0.4, ..Weather::default() };
    let air = Air::new(&round, weather, request.phone_mac, request.bssid, 1);
    feed(bencher, air.take(5000).collect());
}

#[divan::bench(args = Scheme::ALL)]
fn encode(bencher: divan::Bencher<'_, '_>, scheme: Scheme) {
    let request = request(scheme);
    bencher.bench_local(|| scheme.encode(divan::black_box(&request)));
}
