//! Kill -9 at seeded moments: every acknowledged effect is there, nothing is half done.
//!
//! The child is this test binary, run again with a folder in the environment; it prints one line
//! per acknowledgement.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use roadstead_core::binding::{BindingRole, TokenState};
use roadstead_core::port::{BindReport, BindingStore, DeviceStore, ShadowStore, TraceStore};
use roadstead_core::{DeviceId, Timestamp};

use super::super::Sqlite;
use super::{Folder, device, digest, entry, open, open_eager, report, seed, token};

const FOLDER: &str = "ROADSTEAD_STORE_CRASH_FOLDER";
const START: &str = "ROADSTEAD_STORE_CRASH_START";
const NAME: &str = "sqlite::tests::crash::killed_at_any_moment_nothing_acknowledged_is_lost";
const ROUNDS: u64 = 20;
/// Acknowledgements of a round before the kill, at the most.
const LINES_MAX: u64 = 120;

#[tokio::test]
async fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    if let Ok(folder) = std::env::var(FOLDER) {
        let start = std::env::var(START).expect("start").parse().expect("number");
        return child(&open_eager(folder.as_ref()), start).await;
    }
    let folder = Folder::new();
    let store = open(&folder.0);
    seed(&store).await;
    drop(store);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut acknowledged = Vec::new();
    let mut next = 0;
    for round in 0..ROUNDS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let lines = 1 + random % LINES_MAX;
        let seen = run_and_kill(&folder, next, lines);
        next = seen.last().copied().unwrap_or(next) + 1000;
        acknowledged.extend(seen);
        let store = open(&folder.0);
        for n in &acknowledged {
            check(&store, *n).await;
        }
        whole(&store).await;
        assert!(!acknowledged.is_empty(), "round {round}");
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
}

/// Runs a child until it has printed `lines` lines, kills it, and returns all it printed.
fn run_and_kill(folder: &Folder, start: u64, lines: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args([NAME, "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, &folder.0)
        .env(START, start.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("child");
    let mut seen = Vec::new();
    let output = BufReader::new(child.stdout.take().expect("piped"));
    for line in output.lines() {
        let Ok(line) = line else { break };
        let Some(n) = line.rsplit_once("ack ").and_then(|(_, n)| n.parse().ok()) else { continue };
        seen.push(n);
        if seen.len() as u64 == lines {
            child.kill().expect("SIGKILL");
        }
    }
    child.wait().expect("ended");
    seen
}

/// Everything about device `n` in concurrent calls, several devices at a time.
async fn child(store: &Sqlite, start: u64) {
    for base in (start..).step_by(8) {
        tokio::join!(
            life(store, base),
            life(store, base + 1),
            life(store, base + 2),
            life(store, base + 3),
            life(store, base + 4),
            life(store, base + 5),
            life(store, base + 6),
            life(store, base + 7),
        );
    }
}

async fn life(store: &Sqlite, n: u64) {
    let lamp = DeviceId::new(format!("lamp{n}"));
    store.create_device(device(lamp.as_str())).await.expect("device");
    for step in 0..3 {
        let traced = Some(entry(step));
        store.change_shadow(&lamp, vec![report(step)], traced).await.expect("report");
    }
    // The newest of its user's tokens; used at once, so the limit is never near.
    store.create_token(token(n)).await.expect("token");
    let reported =
        BindReport { digest: digest(n), device: lamp, now: Timestamp(20), own_life: None };
    store.report_token(reported).await.expect("store").expect("bound");
    println!("ack {n}");
}

async fn check(store: &Sqlite, n: u64) {
    let lamp = DeviceId::new(format!("lamp{n}"));
    assert!(store.device(&lamp).await.expect("read").is_some(), "device {n}");
    let shadow = store.shadow(&lamp).await.expect("read");
    assert_eq!(shadow.services["default"].version, 3, "shadow {n}");
    let trace = store.trace(&lamp, None, None, 100).await.expect("read");
    assert_eq!(trace, [entry(0), entry(1), entry(2)], "trace {n}");
    let view = store.token(&digest(n)).await.expect("read").expect("token");
    assert_eq!((view.token.state, view.binding.is_some()), (TokenState::Bound, true), "{n}");
}

/// A binding without its bound token, or the reverse, would be half a decision.
async fn whole(store: &Sqlite) {
    let bindings = store.bindings_of_user(&"ann".into()).await.expect("read");
    for binding in bindings {
        assert_eq!(binding.role, BindingRole::Owner);
        let n = binding.device.as_str().strip_prefix("lamp").expect("name").parse().expect("n");
        let view = store.token(&digest(n)).await.expect("read").expect("token");
        assert_eq!((view.token.state, view.binding), (TokenState::Bound, Some(binding)));
    }
}
