//! What a registry of a million devices costs: import, lists, single reads, opening again.
//!
//! `cargo bench -p roadstead-store --bench registry -- [DEVICES]`
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::time::{Duration, Instant};

use roadstead_core::device::{Access, Device, Tags};
use roadstead_core::port::{AccessStore, DeviceFilter, DeviceStore, Page, ProductStore, marker};
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::space::Space;
use roadstead_core::{DeviceId, Map, Secret, Timestamp, search};
use roadstead_store::Sqlite;
use roadstead_store::sqlite::Options;

const DEVICES: usize = 1_000_000;
const BATCH: usize = 1000;
/// 2026-11-21.
const NOW: i64 = 1_795_219_200_000;

#[tokio::main]
async fn main() {
    let count = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(DEVICES);
    let folder = std::env::temp_dir().join(format!("roadstead-registry-{}", std::process::id()));
    let store = Sqlite::open(Options::new(&folder)).unwrap();
    prepare(&store).await;
    let start = Instant::now();
    for first in (0..count).step_by(BATCH) {
        let batch = (first..count.min(first + BATCH)).map(device).collect();
        assert!(store.import_devices(batch).await.unwrap().iter().all(Result::is_ok));
    }
    println!("import of {count}: {:.1} s", start.elapsed().as_secs_f64());
    drop(store);
    let start = Instant::now();
    let store = Sqlite::open(Options::new(&folder)).unwrap();
    println!("open again: {:.1} ms", ms(start.elapsed()));
    reads(&store, count).await;
    drop(store);
    std::fs::remove_dir_all(folder).unwrap();
}

async fn reads(store: &Sqlite, count: usize) {
    let all = DeviceFilter::default;
    let of_product = DeviceFilter { product: Some("L4WG9V9M2M".into()), ..all() };
    let rule = search::condition("status = 'INACTIVE' and node_id like 'node0%'").unwrap();
    let searched = DeviceFilter { condition: Some(rule), ..all() };
    let named = DeviceFilter { name: Some("Lamp 77".into()), ..all() };
    for (what, filter, rounds) in [
        ("list of 50", all(), 500),
        ("list of 50 of a product", of_product, 500),
        ("search", searched, 50),
        ("list by part of a name", named, 10),
    ] {
        let mut took = Vec::new();
        for n in 0..rounds {
            // Pages from everywhere, as somebody turns them.
            let after = Some(marker((1 + n * count / rounds) as u64 + 50).into());
            let page = Page { after, offset: 0, limit: 50 };
            let start = Instant::now();
            let listing = store.devices(&"s".into(), &filter, &page).await.unwrap();
            took.push(start.elapsed());
            assert!(listing.total > 0);
        }
        print(what, took);
    }
    let mut took = Vec::new();
    for n in 0..2000 {
        let node = format!("node{:08}", n * (count / 2000).max(1) % count);
        let filter = DeviceFilter { node: Some(node.into()), ..all() };
        let start = Instant::now();
        let listing = store.devices(&"s".into(), &filter, &Page::default()).await.unwrap();
        took.push(start.elapsed());
        assert_eq!(listing.total, 1);
    }
    print("list by node id", took);
    let mut took = Vec::new();
    for n in 0..2000 {
        let id = id(n * (count / 2000).max(1) % count);
        let start = Instant::now();
        assert!(store.device(&id).await.unwrap().is_some());
        store.presence(&id).await.unwrap();
        took.push(start.elapsed());
    }
    print("one device with its presence", took);
    let start = Instant::now();
    assert_eq!(store.count_devices(&"s".into()).await.unwrap().0, count as u64);
    println!("count of all: {:.3} ms", ms(start.elapsed()));
}

fn print(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |share: f64| ms(took[((took.len() - 1) as f64 * share) as usize]);
    println!("{what}: p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

async fn prepare(store: &Sqlite) {
    let created_at = Timestamp(NOW);
    let space = Space { id: "s".into(), name: "s".into(), is_default: true, created_at };
    store.create_space(space).await.unwrap();
    let product = Product {
        id: "L4WG9V9M2M".into(),
        space: "s".into(),
        dialect: "tencent".into(),
        name: "Lamp".into(),
        secret: None,
        auth: Auth::Secret,
        registration: Registration::Off,
        rebind: Rebind::Refuse,
        model: Model::default(),
        attributes: Map::new(),
        created_at,
    };
    store.create_product(product).await.unwrap();
}

fn device(n: usize) -> Device {
    Device {
        id: id(n),
        space: "s".into(),
        product: "L4WG9V9M2M".into(),
        node: format!("node{n:08}").into(),
        name: format!("Lamp {n}").into(),
        secret: Some(Secret::from("MLvMHde65nKPk0Lx+ZThaA==")),
        fingerprint: None,
        gateway: None,
        frozen: false,
        info: Map::new(),
        created_at: Timestamp(NOW),
        activated_at: None,
        access: Access::default(),
        tags: Tags::new(),
        number: 0,
    }
}

fn id(n: usize) -> DeviceId {
    DeviceId::new(format!("L4WG9V9M2M_node{n:08}"))
}
