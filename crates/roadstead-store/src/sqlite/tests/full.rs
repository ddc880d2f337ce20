//! A full disk: nothing acknowledged is lost, nothing unacknowledged is seen, and it recovers.

use roadstead_core::DeviceId;
use roadstead_core::port::{DeviceStore, ShadowStore, StoreError, TraceStore};

use super::super::Sqlite;
use super::{Folder, copy, device, entry, open, report, seed};

/// Limits the registry to so many pages more; `None` lifts the limit.
async fn limit_pages(store: &Sqlite, more: Option<i64>) {
    let set = store.write_one(move |tx| {
        let used: i64 =
            tx.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("pages");
        let most = more.map_or(i64::from(u32::MAX - 1), |more| used + more);
        let sql = format!("PRAGMA max_page_count = {most}");
        let _: i64 = tx.conn.query_row(&sql, [], |row| row.get(0)).expect("limit");
        Ok(())
    });
    set.await.expect("limit");
}

#[tokio::test]
async fn a_full_disk_fails_whole_groups_and_recovers() {
    let folder = Folder::new();
    let store = open(&folder.0);
    seed(&store).await;
    let lamp = DeviceId::from("lamp");
    store.create_device(device("lamp")).await.expect("device");
    limit_pages(&store, Some(2)).await;
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for n in 0..40 {
        let mut traced = entry(n);
        traced.text = "x".repeat(500).into();
        match store.change_shadow(&lamp, vec![report(n)], Some(traced)).await {
            Ok(_) => acknowledged.push(n),
            Err(StoreError::Engine(failure)) => {
                assert!(failure.0.contains("full"), "{failure}");
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(!acknowledged.is_empty() && refused > 0, "{acknowledged:?} {refused}");
    assert!(matches!(store.create_device(device("b")).await, Ok(()) | Err(StoreError::Engine(_))));
    see(&store, &lamp, &acknowledged).await;
    let crashed = Folder::new();
    copy(&folder.0, &crashed.0);
    see(&open(&crashed.0), &lamp, &acknowledged).await;
    assert!(store.stats().groups_failed > 0);

    limit_pages(&store, None).await;
    for n in 40..50 {
        store.change_shadow(&lamp, vec![report(n)], Some(entry(n))).await.expect("space again");
        acknowledged.push(n);
    }
    see(&store, &lamp, &acknowledged).await;
    store.checkpoint_now().await.expect("checkpoint");
    drop(store);
    see(&open(&folder.0), &lamp, &acknowledged).await;
}

async fn see(store: &Sqlite, lamp: &DeviceId, acknowledged: &[u64]) {
    let shadow = store.shadow(lamp).await.expect("read");
    let state = &shadow.services["default"];
    assert_eq!(state.version, acknowledged.len() as u64);
    assert_eq!(state.reported.properties["n"], *acknowledged.last().expect("some"));
    let trace = store.trace(lamp, None, None, 1000).await.expect("read");
    let dates: Vec<u64> = trace.iter().map(|entry| entry.at.0 as u64).collect();
    assert_eq!(dates, acknowledged);
}

#[tokio::test]
async fn trace_that_cannot_be_written_stays_in_memory() {
    let folder = Folder::new();
    let store = open(&folder.0);
    seed(&store).await;
    let lamp = DeviceId::from("lamp");
    store.create_device(device("lamp")).await.expect("device");
    // A folder in the place of the day's file: it cannot be opened.
    let obstacle = folder.0.join("telemetry/trace-19700101.db");
    std::fs::create_dir(&obstacle).expect("obstacle");
    let mut written = Vec::new();
    for n in 0..5 {
        store.change_shadow(&lamp, vec![report(n)], Some(entry(n))).await.expect("report");
        written.push(n);
        assert!(matches!(store.checkpoint_now().await, Err(StoreError::Engine(_))));
        see(&store, &lamp, &written).await;
    }
    assert!(store.stats().trace_failures >= 5);
    std::fs::remove_dir(&obstacle).expect("remove");
    store.checkpoint_now().await.expect("checkpoint");
    see(&store, &lamp, &written).await;
    assert_eq!(store.stats().trace_bytes, 0);
    drop(store);
    see(&open(&folder.0), &lamp, &written).await;
}
