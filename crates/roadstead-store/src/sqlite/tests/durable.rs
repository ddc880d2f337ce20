//! What is there after a close, after a crash, after an upgrade; how groups form.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::port::{
    BindReport, BindingStore, DeviceStore, PendingStore, ProductStore, ShadowStore, StoreError,
    TraceStore,
};
use roadstead_core::trace::Entries;
use roadstead_core::{DeviceId, Timestamp};
use rusqlite::Connection;

use super::super::migrate::{self, REGISTRY};
use super::super::{OpenError, Options, Sqlite};
use super::{Folder, copy, device, digest, entry, open, open_eager, report, seed, token};

const LAMPS: [&str; 3] = ["a", "b", "c"];

async fn write(store: &Sqlite, from: u64, to: u64) {
    for n in from..to {
        let lamp = DeviceId::from(LAMPS[n as usize % LAMPS.len()]);
        store.change_shadow(&lamp, vec![report(n)], Some(entry(n))).await.expect("report");
    }
}

/// Compares with what [`write`] wrote from 0 on.
async fn check(store: &Sqlite, to: u64) {
    for (n, name) in (0..).zip(LAMPS) {
        let lamp = DeviceId::from(name);
        let written: Vec<u64> = (n..to).step_by(LAMPS.len()).collect();
        let shadow = store.shadow(&lamp).await.expect("read");
        let state = &shadow.services["default"];
        assert_eq!(state.version, written.len() as u64, "{name}");
        assert_eq!(state.reported.properties["n"], *written.last().expect("some"));
        let trace = store.trace(&lamp, None, None, 10_000).await.expect("read");
        let texts: Vec<u64> = trace.iter().map(|e| e.text.parse().expect("number")).collect();
        assert_eq!(texts, written, "{name}");
    }
}

async fn seeded(folder: &Folder) -> Sqlite {
    let store = open(&folder.0);
    seed(&store).await;
    for name in LAMPS {
        store.create_device(device(name)).await.expect("device");
    }
    store
}

#[tokio::test]
async fn a_close_leaves_an_empty_journal() {
    let folder = Folder::new();
    let store = seeded(&folder).await;
    write(&store, 0, 30).await;
    store.close();
    let late = store.change_shadow(&"a".into(), vec![], None).await;
    assert!(matches!(late, Err(StoreError::Engine(_))), "{late:?}");
    let raw = Connection::open(folder.0.join("registry.db")).expect("open");
    let count = |table: &str| -> i64 {
        raw.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .expect("count")
    };
    assert_eq!((count("journal"), count("shadow")), (0, 3));
    drop((raw, store));
    let store = open(&folder.0);
    check(&store, 30).await;
    write(&store, 30, 60).await;
    check(&store, 60).await;
}

/// Copies the files at every stage between report and checkpoint and opens each copy.
#[tokio::test]
async fn a_crash_neither_loses_nor_doubles() {
    let folder = Folder::new();
    let store = seeded(&folder).await;
    let mut copies = Vec::new();
    let mut keep = |to| {
        let at = Folder::new();
        copy(&folder.0, &at.0);
        copies.push((at, to));
    };
    write(&store, 0, 10).await;
    keep(10);
    // Trace is in its file, the journal still has it.
    store.shared.telemetry.flush().await.expect("flush");
    keep(10);
    write(&store, 10, 20).await;
    keep(20);
    store.checkpoint_now().await.expect("checkpoint");
    keep(20);
    write(&store, 20, 33).await;
    keep(33);
    for (n, (at, to)) in copies.into_iter().enumerate() {
        // Also when it crashes again before it has flushed what it replayed.
        let twice = Folder::new();
        let store = open(&at.0);
        store.create_device(device("more")).await.expect("a group");
        store.empty_journal().await.expect("prune");
        copy(&at.0, &twice.0);
        drop(store);
        check(&open(&twice.0), to).await;
        // Twice: the replay itself must survive a crash.
        for round in 0..2 {
            let again = Folder::new();
            copy(&at.0, &again.0);
            let store = open(&again.0);
            check(&store, to).await;
            if round == 1 {
                write(&store, to, to + 9).await;
                check(&store, to + 9).await;
                drop(store);
                check(&open(&again.0), to + 9).await;
            }
            assert!(n < 5);
        }
    }
}

#[tokio::test]
async fn eager_flushing_changes_nothing() {
    let folder = Folder::new();
    drop(seeded(&folder).await);
    let store = open_eager(&folder.0);
    write(&store, 0, 200).await;
    check(&store, 200).await;
    drop(store);
    check(&open(&folder.0), 200).await;
}

#[tokio::test]
async fn a_device_made_again_starts_empty_after_a_crash() {
    let folder = Folder::new();
    let store = seeded(&folder).await;
    write(&store, 0, 9).await;
    let lamp = DeviceId::from("a");
    // One group: report, delete, create, report.
    let gate = Gate::close(&store);
    let (first, deleted, created, second) = tokio::join!(
        store.change_shadow(&lamp, vec![report(100)], None),
        store.delete_device(&lamp),
        store.create_device(device("a")),
        store.change_shadow(&lamp, vec![report(200)], None),
        gate.open_when(&store, 4),
    )
    .into_answers();
    assert_eq!((first, deleted, created, second), (Ok(false), Ok(()), Ok(()), Ok(false)));
    let crashed = Folder::new();
    copy(&folder.0, &crashed.0);
    for store in [store, open(&crashed.0)] {
        let shadow = store.shadow(&lamp).await.expect("read");
        let state = &shadow.services["default"];
        assert_eq!((state.version, &state.reported.properties["n"]), (1, &200.into()));
    }
}

#[tokio::test]
async fn jobs_that_wait_share_a_commit_and_a_failing_one_leaves_the_others() {
    let folder = Folder::new();
    let store = Arc::new(seeded(&folder).await);
    let gate = Gate::close(&store);
    let before = store.stats();
    let mut tasks = Vec::new();
    for n in 0..50u64 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            // Every fifth one fails after its first statement.
            let node = format!("new{}", n % 45);
            match n % 5 {
                0 => store.create_device(device(&node)).await.map(|()| false),
                _ => store.change_shadow(&"a".into(), vec![report(n)], None).await,
            }
        }));
    }
    let ((),) = tokio::join!(gate.open_when(&store, 50));
    let mut failed = 0;
    for task in tasks {
        match task.await.expect("task") {
            Ok(false) => {}
            Err(StoreError::Exists) => failed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(failed, 1, "n = 45 repeats the node of n = 0");
    let after = store.stats();
    assert_eq!(after.groups - before.groups, 2, "the gate's group and one for all");
    assert_eq!(after.last_group_jobs, 50);
    assert_eq!(store.shadow(&"a".into()).await.expect("read").services["default"].version, 40);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let folder = Folder::new();
    drop(seeded(&folder).await);
    let options = Options { queue_jobs_max: 2, ..Options::new(&folder.0) };
    let store = Sqlite::open(options).expect("open");
    let gate = Gate::close(&store);
    let lamp = DeviceId::from("a");
    let answers = tokio::join!(
        store.change_shadow(&lamp, vec![report(1)], None),
        store.change_shadow(&lamp, vec![report(2)], None),
        store.change_shadow(&lamp, vec![report(3)], None),
        gate.open_when(&store, 2),
    );
    assert_eq!((answers.0, answers.1, answers.2), (Ok(false), Ok(false), Err(StoreError::Busy)));
    assert_eq!(store.stats().queue_refused, 1);
}

#[tokio::test]
async fn an_old_schema_is_upgraded_and_a_newer_one_refused() {
    let folder = Folder::new();
    let path = folder.0.join("registry.db");
    let mut old = Connection::open(&path).expect("open");
    assert!(matches!(migrate::migrate(&mut old, &REGISTRY[..1]), Ok(1)));
    old.execute_batch(
        "INSERT INTO space VALUES (1, 's', 'Space', 1, 1);
         INSERT INTO product VALUES ('p', 's', 'tencent', 'Lamp', NULL, 'secret', 'off', 'refuse',
            '{\"services\":[]}', '{}', 1);
         INSERT INTO device VALUES (7, 'a', 1, 'p', 'a', 'Lamp', NULL, NULL, NULL, 0, '{}', 1, NULL);
         INSERT INTO shadow VALUES (7, 3, CAST('{\"default\":{\"reported\":{\"properties\":{\"n\":1},\"at\":5},\"version\":4}}' AS BLOB));",
    )
    .expect("rows of an old version");
    drop(old);
    let store = open(&folder.0);
    assert_eq!(store.shadow(&"a".into()).await.expect("read").services["default"].version, 4);
    assert_eq!(store.change_shadow(&"a".into(), vec![report(9)], None).await, Ok(false));
    assert!(store.product(&"p".into()).await.expect("read").is_some());
    drop(store);
    let raw = Connection::open(&path).expect("open");
    raw.execute("INSERT INTO schema_version VALUES (99, 'future', x'00')", []).expect("insert");
    drop(raw);
    let refused = Sqlite::open(Options::new(&folder.0)).expect_err("newer");
    let last = REGISTRY.last().expect("some").number;
    let is_newer = matches!(refused, OpenError::Newer { found: 99, known } if known == last);
    assert!(is_newer, "{refused}");
    assert_eq!(refused.code(), "internal.store");
    assert!(refused.to_string().contains("run the later version again"), "{refused}");
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let folder = Folder::new();
    let store = open(&folder.0);
    let refused = Sqlite::open(Options::new(&folder.0)).expect_err("in use");
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    drop(store);
    open(&folder.0);
}

#[tokio::test]
async fn bindings_and_presence_survive() {
    let folder = Folder::new();
    let store = seeded(&folder).await;
    store.create_token(token(1)).await.expect("token");
    let now = Timestamp(20);
    let reported = BindReport { digest: digest(1), device: "a".into(), now, own_life: None };
    store.report_token(reported).await.expect("store").expect("bound");
    store.push_pending(&"a".into(), "k", "b", now).await.expect("pending");
    let entries = vec![entry(5)];
    store.append_trace(vec![Entries { device: "x".into(), entries }]).await.expect("trace");
    let crashed = Folder::new();
    copy(&folder.0, &crashed.0);
    let store = open(&crashed.0);
    assert_eq!(store.bindings_of_device(&"a".into()).await.expect("read").len(), 1);
    assert_eq!(store.pending(&"a".into()).await.expect("read").len(), 1);
    assert_eq!(store.trace(&"x".into(), None, None, 9).await.expect("read"), [entry(5)]);
}

/// Holds the writer inside a job, so that the next jobs form one group.
struct Gate(std::sync::mpsc::Sender<()>);

impl Gate {
    fn close(store: &Sqlite) -> Self {
        let (entered, wait) = std::sync::mpsc::channel();
        let (open, opened) = std::sync::mpsc::channel();
        let held = store.write_one(move |_| {
            entered.send(()).expect("test waits");
            opened.recv().expect("gate opens");
            Ok(())
        });
        // Polled once, the job is in the queue; nobody waits for its answer.
        let mut held = std::pin::pin!(held);
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(held.as_mut().poll(&mut context).is_pending());
        wait.recv_timeout(Duration::from_secs(10)).expect("the writer takes the job");
        Self(open)
    }

    /// Opens when so many jobs wait.
    async fn open_when(self, store: &Sqlite, jobs: usize) {
        while store.stats().queue_jobs < jobs {
            tokio::task::yield_now().await;
        }
        self.0.send(()).expect("writer waits");
    }
}

/// Drops the gate's answer of a join.
trait IntoAnswers<A> {
    fn into_answers(self) -> A;
}

impl<A, B, C, D> IntoAnswers<(A, B, C, D)> for (A, B, C, D, ()) {
    fn into_answers(self) -> (A, B, C, D) {
        (self.0, self.1, self.2, self.3)
    }
}
