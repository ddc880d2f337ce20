//! `kill -9` at any point of 200 binds: nothing acknowledged is missing, nothing is half-bound.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::api::{Api, Phone};
use crate::child::ServerProcess;
use crate::mqtt::Device;
use crate::platform::{DEVICE_SECRET, Folder, fleet};

/// Binds in the script.
const BINDS: usize = 200;
/// Times the server is killed.
const KILLS: u64 = 8;
/// Devices that are being bound at the same time.
const PARALLEL: usize = 8;

/// Longest time between a broken connection and the word that the server was killed.
const DEAD_WORD_MAX: Duration = Duration::from_secs(5);

/// What the script knows of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The device has the platform's word that it is bound.
    Acknowledged,
    /// The connection broke before the word came.
    Unsure,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_acknowledged_bind() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_121);
    println!("SEED={seed}");
    let mut random = Random(seed);
    let folder = Folder::new();
    let nodes: Vec<String> = (0..BINDS).map(|n| format!("BIND{n:03}")).collect();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut left: Vec<String> = nodes.clone();
    let mut kills = 0;
    let mut first = true;

    while !left.is_empty() {
        let mut server = ServerProcess::start(folder.path()).await;
        let api = Api::sign_in(&server.addresses["http"]).await;
        if first {
            let rows: Vec<_> = nodes.iter().map(|n| (n.as_str(), Some(DEVICE_SECRET))).collect();
            let report = api.import(fleet(&rows)).await;
            assert_eq!(report["devices"]["created"], json!(BINDS), "{report}");
            first = false;
        }
        let mqtt = server.addresses["mqtt"].clone();
        let mut phones = Vec::new();
        for lane in 0..PARALLEL {
            let name = format!("owner-{kills}-{lane}");
            phones.push(Phone::new(&server.addresses["http"], &name).await);
        }
        let (killed, dead) = watch::channel(false);
        let script = tokio::spawn(bind_all(mqtt, phones, left.clone(), dead));
        if kills < KILLS {
            // Anywhere inside the run: between log-in, report, commit and answer.
            tokio::time::sleep(Duration::from_millis(5 + random.below(95))).await;
            server.kill();
            killed.send_replace(true);
            kills += 1;
        }
        for (node, state) in script.await.expect("the script ends") {
            let entry = known.entry(node).or_insert(state);
            if state == Known::Acknowledged {
                *entry = state;
            }
        }
        left.retain(|node| known.get(node) != Some(&Known::Acknowledged));
        server.kill();
    }
    assert_eq!(kills, KILLS, "the script was over before the kills were");
    check(&folder, &nodes).await;
}

/// Binds every node with a fresh token each; stops at the first broken connection after a kill.
async fn bind_all(
    mqtt: String,
    phones: Vec<Phone>,
    nodes: Vec<String>,
    dead: watch::Receiver<bool>,
) -> Vec<(String, Known)> {
    // Shared, because what a lane has seen must survive its panic.
    let results = Arc::new(Mutex::new(Vec::new()));
    let mut lanes = tokio::task::JoinSet::new();
    for (lane, phone) in phones.into_iter().enumerate() {
        let mine: Vec<String> = nodes.iter().skip(lane).step_by(PARALLEL).cloned().collect();
        let (mqtt, results, mut killed) = (mqtt.clone(), results.clone(), dead.clone());
        lanes.spawn(async move {
            let know = |node: &str, state| {
                results.lock().expect("nobody panics here").push((node.to_owned(), state));
            };
            let run = async {
                for node in &mine {
                    know(node, Known::Unsure);
                    let token = phone.bind_token().await;
                    if bind(&mqtt, node, &token).await {
                        know(node, Known::Acknowledged);
                    }
                }
            };
            tokio::select! {
                () = run => {}
                _ = killed.wait_for(|&is_dead| is_dead) => {}
            }
        });
    }
    while let Some(done) = lanes.join_next().await {
        let Err(error) = done else { continue };
        // A call that was under way when the server died has panicked: nothing was promised. The
        // word of the kill may come a moment after the broken connection.
        let mut dead = dead.clone();
        let killed = timeout(DEAD_WORD_MAX, dead.wait_for(|&is_dead| is_dead)).await;
        assert!(matches!(killed, Ok(Ok(_))), "{error}");
    }
    let results = results.lock().expect("nobody panics here");
    results.clone()
}

/// One device: log in, subscribe, present the token, wait for the word.
async fn bind(mqtt: &str, node: &str, token: &str) -> bool {
    let mut device = Device::login(mqtt, node, DEVICE_SECRET).await;
    let down = crate::mqtt::topic("$thing/down/service", node);
    device.subscribe(&down, roadstead_wire::mqtt::packet::QoS::AtMostOnce).await;
    let body = json!({"method": "app_bind_token", "clientToken": node, "params": {"token": token}});
    device.publish("$thing/up/service", &body).await;
    let answer = device.message().await;
    assert_eq!(answer["method"], "app_bind_token_reply");
    // A device whose bind was durable but unanswered before the kill belongs to the owner of that
    // round already: refused for everybody else, which is what must be.
    match answer["code"].as_i64() {
        Some(0) => true,
        Some(_) => answer["status"].as_str().is_some_and(|s| s.contains("another user")),
        None => false,
    }
}

/// After the last kill: every device has exactly one owner, and its token, binding and attempt
/// agree.
async fn check(folder: &Folder, nodes: &[String]) {
    let server = ServerProcess::start(folder.path()).await;
    let api = Api::sign_in(&server.addresses["http"]).await;
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let body = api.get(&format!("/bindings?limit=50&marker={after}")).await;
        let rows = body["bindings"].as_array().expect("bindings").clone();
        let Some(last) = rows.last() else { break };
        after = last["binding_id"].as_str().expect("id").to_owned();
        for row in &rows {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            assert_eq!(text("role"), "owner", "{row}");
            owners.entry(text("device_id")).or_default().push(text("user_id"));
        }
    }
    for node in nodes {
        let device = format!("{}_{node}", crate::platform::PRODUCT);
        let of_device = owners.get(&device);
        assert_eq!(of_device.map(Vec::len), Some(1), "{device}: {of_device:?}");
    }
    assert_eq!(owners.len(), nodes.len());
}

/// SplitMix64; the seed is printed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
