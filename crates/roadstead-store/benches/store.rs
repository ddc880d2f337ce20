//! What the SQLite engine costs: durable reports per second, CPU per report, latency, log-in
//! reads, and (with `--devices N`) the time to open a store of N devices.
//!
//! `cargo bench -p roadstead-store -- [--devices 1000000]`
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use roadstead_core::device::Device;
use roadstead_core::port::{AccessStore, DeviceStore, ProductStore, ShadowStore};
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::shadow::{Change, Values};
use roadstead_core::space::Space;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{DeviceId, Map, Secret, Timestamp, Value};
use roadstead_store::Sqlite;
use roadstead_store::sqlite::Options;
use serde_json::json;

const DEVICES: usize = 10_000;
const RUN: Duration = Duration::from_secs(6);
/// 2026-11-21.
const NOW: i64 = 1_795_219_200_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let wanted = args.iter().position(|arg| arg == "--devices");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(count) = wanted.and_then(|n| args.get(n + 1)).and_then(|n| n.parse().ok()) {
        return runtime.block_on(open_time(count));
    }
    let folder = std::env::temp_dir().join(format!("roadstead-bench-{}", std::process::id()));
    runtime.block_on(async {
        let store = prepare(&folder, DEVICES).await;
        println!("{DEVICES} devices; empty store and runtime: RSS {} kB", rss_kb());
        open_loop(&store, 5000).await;
        for in_flight in [1, 50, 1000] {
            closed_loop(&store, in_flight).await;
        }
        log_ins(&store).await;
        let start = Instant::now();
        store.checkpoint_now().await.unwrap();
        println!("checkpoint of all: {:.0} ms; RSS {} kB", ms(start.elapsed()), rss_kb());
    });
    std::fs::remove_dir_all(folder).unwrap();
}

async fn prepare(folder: &Path, count: usize) -> Arc<Sqlite> {
    std::fs::create_dir_all(folder).unwrap();
    let store = Arc::new(Sqlite::open(Options::new(folder)).unwrap());
    println!("open an empty store: RSS {} kB", rss_kb());
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
    let start = Instant::now();
    for first in (0..count).step_by(10_000) {
        let batch = (first..count.min(first + 10_000)).map(device).collect();
        assert!(store.import_devices(batch).await.unwrap().iter().all(Result::is_ok));
    }
    println!("import: {:.0} devices/s", count as f64 / start.elapsed().as_secs_f64());
    store
}

fn device(n: usize) -> Device {
    Device {
        id: id(n),
        space: "s".into(),
        product: "L4WG9V9M2M".into(),
        node: format!("node{n:08}").into(),
        name: format!("Lamp {n}").into(),
        secret: Some(Secret::from("MLvMhde65nKPk0Lx+ZThaA==")),
        fingerprint: None,
        gateway: None,
        frozen: false,
        info: Map::new(),
        created_at: Timestamp(NOW),
        activated_at: None,
        access: roadstead_core::device::Access::default(),
        tags: roadstead_core::device::Tags::new(),
        number: 0,
    }
}

fn id(n: usize) -> DeviceId {
    DeviceId::new(format!("L4WG9V9M2M_node{n:08}"))
}

async fn report(store: &Sqlite, n: u64) {
    let Value::Object(properties) =
        json!({"power_switch": n % 2, "brightness": n % 100, "color": "red", "name": "lamp"})
    else {
        unreachable!("an object")
    };
    let at = Timestamp(NOW + n as i64 / 10);
    let change = Change::Report { service: "default".into(), values: Values { properties, at } };
    let entry = Entry::new(
        at,
        Hop::Up,
        "report",
        "ok",
        "$thing/up/property/L4WG9V9M2M {\"method\":\"report\",\"clientToken\":\"123\",\"params\":{\"power_switch\":1}}",
    );
    let device = id((n as usize * 7919) % DEVICES);
    store.change_shadow(&device, vec![change], Some(entry)).await.unwrap();
}

/// As many reports as possible with so many unanswered at a time.
async fn closed_loop(store: &Arc<Sqlite>, in_flight: u64) {
    let (next, before, cpu) = (Arc::new(AtomicU64::new(0)), store.stats(), cpu_now());
    let start = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (store, next) = (store.clone(), next.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                while start.elapsed() < RUN {
                    let begun = Instant::now();
                    report(&store, next.fetch_add(1, Relaxed)).await;
                    took.push(begun.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    show(&format!("{in_flight} in flight"), store, &mut took, before.groups, cpu, start);
}

/// So many reports per second, whatever the answers.
async fn open_loop(store: &Arc<Sqlite>, per_second: u64) {
    let (before, cpu, start) = (store.stats(), cpu_now(), Instant::now());
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let (mut n, mut tasks) = (0, Vec::new());
    while start.elapsed() < RUN {
        tick.tick().await;
        let due = (start.elapsed().as_secs_f64() * per_second as f64) as u64;
        while n < due {
            let (store, number) = (store.clone(), n);
            tasks.push(tokio::spawn(async move {
                let begun = Instant::now();
                report(&store, number).await;
                begun.elapsed()
            }));
            n += 1;
        }
    }
    let mut took = Vec::new();
    for task in tasks {
        took.push(task.await.unwrap());
    }
    show(&format!("{per_second}/s offered"), store, &mut took, before.groups, cpu, start);
}

fn show(
    what: &str,
    store: &Sqlite,
    took: &mut [Duration],
    groups: u64,
    cpu: (f64, f64),
    start: Instant,
) {
    let (wall, all, own) =
        (start.elapsed().as_secs_f64(), cpu_seconds() - cpu.0, store_seconds() - cpu.1);
    let groups = store.stats().groups - groups;
    took.sort_unstable();
    let at = |part: f64| ms(took[((took.len() - 1) as f64 * part) as usize]);
    println!(
        "{what}: {:.0} reports/s, {:.1} us CPU each, {:.1} in the store's threads, {:.0} per group, p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms",
        took.len() as f64 / wall,
        all * 1e6 / took.len() as f64,
        own * 1e6 / took.len() as f64,
        took.len() as f64 / groups as f64,
        at(0.5),
        at(0.99),
        at(1.0),
    );
}

async fn log_ins(store: &Sqlite) {
    let (product, rounds) = ("L4WG9V9M2M".into(), 100_000);
    let start = cpu_seconds();
    for n in 0..rounds {
        let node = format!("node{:08}", (n * 7919) % DEVICES);
        assert!(store.device_by_node(&product, &node).await.unwrap().is_some());
    }
    println!("device_by_node: {:.2} us CPU", (cpu_seconds() - start) * 1e6 / rounds as f64);
    let start = cpu_seconds();
    for _ in 0..rounds {
        assert!(store.product(&product).await.unwrap().is_some());
    }
    println!("product: {:.2} us CPU", (cpu_seconds() - start) * 1e6 / rounds as f64);
}

async fn open_time(count: usize) {
    let folder = PathBuf::from(format!("/var/tmp/roadstead-bench-{count}"));
    drop(prepare(&folder, count).await);
    let start = Instant::now();
    let store = Sqlite::open(Options::new(&folder)).unwrap();
    store.recover_presence(Timestamp(NOW)).await.unwrap();
    println!("open with {count} devices: {:.1} ms, RSS {} kB", ms(start.elapsed()), rss_kb());
    let start = Instant::now();
    let counts = store.count_devices(&"s".into()).await.unwrap();
    println!("count_devices {counts:?}: {:.1} ms", ms(start.elapsed()));
    drop(store);
    let bytes = std::fs::metadata(folder.join("registry.db")).unwrap().len();
    println!("registry: {} bytes per device", bytes / count as u64);
    std::fs::remove_dir_all(folder).unwrap();
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn cpu_now() -> (f64, f64) {
    (cpu_seconds(), store_seconds())
}

/// User and system time of the process; the kernel counts in 1/100 s.
fn cpu_seconds() -> f64 {
    seconds(Path::new("/proc/self/stat"))
}

/// Same of the engine's own threads.
fn store_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    threads
        .filter(|path| std::fs::read_to_string(path.join("comm")).unwrap().starts_with("store-"))
        .map(|path| seconds(&path.join("stat")))
        .sum()
}

fn seconds(stat: &Path) -> f64 {
    let stat = std::fs::read_to_string(stat).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
