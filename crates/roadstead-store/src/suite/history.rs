//! Trace and attempts.

use roadstead_core::attempt::{Mark, Outcome, Stage, Witness};
use roadstead_core::limit::ATTEMPT_LIFE;
use roadstead_core::port::{AttemptFilter, Store, StoreError, TraceFilter};
use roadstead_core::trace::{Category, Entries, Entry, Hop};
use roadstead_core::{AttemptId, DeviceId, Timestamp};
use serde_json::json;

use super::fixture::{attempt, entry, report, seed, seed_devices};

const DAY_MS: i64 = 86_400_000;

async fn texts(
    store: &dyn Store,
    device: &str,
    since: Option<i64>,
    until: Option<i64>,
    limit: u32,
) -> String {
    let (since, until) = (since.map(Timestamp), until.map(Timestamp));
    let entries = store.trace(&device.into(), since, until, limit).await.expect("read");
    entries.iter().map(|entry| &*entry.text).collect::<Vec<_>>().join(" ")
}

pub(super) async fn trace_ranges_are_exclusive(store: &dyn Store) {
    // A trace needs no registered device: a refused log-in has one as well.
    let of = |device: &str, entries| Entries { device: device.into(), entries };
    let day2 = 2 * DAY_MS;
    store
        .append_trace(vec![
            of("lamp", vec![entry(10, "a"), entry(20, "b")]),
            of("plug", vec![entry(15, "x")]),
            of("lamp", vec![entry(day2, "e")]),
        ])
        .await
        .expect("append");
    let late = of("lamp", vec![entry(30, "c"), entry(30, "d"), entry(day2 + 5, "f")]);
    store.append_trace(vec![late, of("plug", vec![])]).await.expect("append");
    store.append_trace(vec![]).await.expect("nothing");
    for (since, until, limit, expected) in [
        (None, None, 10, "a b c d e f"),
        (Some(10), None, 10, "b c d e f"),
        (None, Some(day2), 10, "a b c d"),
        (Some(10), Some(30), 10, "b"),
        (Some(29), Some(31), 10, "c d"),
        (Some(30), Some(30), 10, ""),
        (None, None, 3, "d e f"),
        (None, Some(day2), 2, "c d"),
        (None, None, 0, ""),
        (Some(day2 + 5), None, 10, ""),
    ] {
        let got = texts(store, "lamp", since, until, limit).await;
        assert_eq!(got, expected, "{since:?} {until:?} {limit}");
    }
    assert_eq!(texts(store, "plug", None, None, 9).await, "x");
    assert_eq!(texts(store, "none", None, None, 9).await, "");
    let whole = Entry {
        at: Timestamp(77),
        hop: Hop::Phone,
        what: "bind".into(),
        code: "bind.expired".into(),
        text: "设备 \u{1f4a1}".into(),
    };
    for hop in [Hop::Up, Hop::Down, Hop::Cloud, Hop::Phone, Hop::Api] {
        let entries = vec![Entry { hop, ..whole.clone() }];
        store.append_trace(vec![of("each", entries)]).await.expect("append");
        let last = store.trace(&"each".into(), None, None, 1).await.expect("read");
        assert_eq!(last, [Entry { hop, ..whole.clone() }]);
    }
}

pub(super) async fn trace_is_searched_by_space(store: &dyn Store) {
    seed_devices(store, &["lamp", "plug"]).await;
    let hop = |at, what: &str, code: &str| Entry::new(Timestamp(at), Hop::Up, what, code, "");
    let of = |device: &str, entries| Entries { device: device.into(), entries };
    store
        .append_trace(vec![
            of("lamp", vec![hop(10, "login", "ok"), hop(30, "report", "model.violation")]),
            of("plug", vec![hop(20, "login", "ok"), hop(DAY_MS + 5, "command", "command.lost")]),
            of("stranger", vec![hop(25, "login", "ok")]),
        ])
        .await
        .expect("append");
    store
        .append_trace(vec![of("lamp", vec![hop(DAY_MS + 9, "logout", "session.lost")])])
        .await
        .expect("append");
    let all = || TraceFilter::new("s".into());
    let find = async |filter: TraceFilter, limit| {
        let found = store.search_trace(&filter, limit).await.expect("search");
        assert!(found.complete);
        let shown = found.hops.iter().map(|(device, e)| format!("{device}/{}", e.what));
        shown.collect::<Vec<_>>().join(" ")
    };
    let whole = "lamp/logout plug/command lamp/report plug/login lamp/login";
    assert_eq!(find(all(), 9).await, whole);
    assert_eq!(find(all(), 2).await, "lamp/logout plug/command");
    assert_eq!(find(TraceFilter::new("other".into()), 9).await, "");
    for (filter, expected) in [
        (
            TraceFilter { device: Some("lamp".into()), ..all() },
            "lamp/logout lamp/report lamp/login",
        ),
        (
            TraceFilter { category: Some(Category::Status), ..all() },
            "lamp/logout plug/login lamp/login",
        ),
        (TraceFilter { failed: Some(true), ..all() }, "lamp/logout plug/command lamp/report"),
        (TraceFilter { failed: Some(false), ..all() }, "plug/login lamp/login"),
        (TraceFilter { whats: &["login"], ..all() }, "plug/login lamp/login"),
        (
            TraceFilter { since: Some(Timestamp(10)), until: Some(Timestamp(30)), ..all() },
            "plug/login",
        ),
        (TraceFilter { since: Some(Timestamp(DAY_MS)), ..all() }, "lamp/logout plug/command"),
    ] {
        assert_eq!(find(filter.clone(), 9).await, expected, "{filter:?}");
    }
}

pub(super) async fn trace_days_are_dropped(store: &dyn Store) {
    let entries = vec![entry(5, "a"), entry(DAY_MS - 1, "b"), entry(DAY_MS, "c")];
    let today = vec![entry(3 * DAY_MS, "d")];
    store
        .append_trace(vec![
            Entries { device: "lamp".into(), entries },
            Entries { device: "plug".into(), entries: today },
        ])
        .await
        .expect("append");
    assert_eq!(store.drop_trace(Timestamp(DAY_MS - 1)).await, Ok(0), "the day is not over");
    assert_eq!(store.drop_trace(Timestamp(DAY_MS)).await, Ok(1));
    assert_eq!(texts(store, "lamp", None, None, 9).await, "c");
    assert_eq!(store.drop_trace(Timestamp(3 * DAY_MS + 1)).await, Ok(1));
    assert_eq!(texts(store, "lamp", None, None, 9).await, "");
    assert_eq!(texts(store, "plug", None, None, 9).await, "d");
    // A dropped day may come back: clocks differ.
    let entries = vec![entry(6, "z")];
    store.append_trace(vec![Entries { device: "lamp".into(), entries }]).await.expect("append");
    assert_eq!(texts(store, "lamp", None, None, 9).await, "z");
}

pub(super) async fn trace_of_a_report_is_kept(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let lamp = DeviceId::from("lamp");
    for n in 0..5 {
        let trace = (n != 3).then(|| entry(n, &n.to_string()));
        store.change_shadow(&lamp, vec![report(json!({"n": n}), n)], trace).await.expect("change");
    }
    assert_eq!(texts(store, "lamp", None, None, 9).await, "0 1 2 4");
    let unknown = store.change_shadow(&"x".into(), vec![], Some(entry(9, "lost"))).await;
    assert_eq!(unknown, Err(StoreError::Missing));
    assert_eq!(texts(store, "x", None, None, 9).await, "lost", "the trace is kept");
}

pub(super) async fn attempts_are_extended(store: &dyn Store) {
    seed(store).await;
    let id = AttemptId::from("a1");
    let first = attempt("a1", Some("ann"), 10);
    store.create_attempt(first.clone()).await.expect("create");
    assert_eq!(store.create_attempt(first.clone()).await, Err(StoreError::Exists));
    assert_eq!(store.attempt(&id).await, Ok(Some(first.clone())));
    assert_eq!(store.attempt(&"x".into()).await, Ok(None));
    let missing = store.extend_attempt(&"x".into(), None, None, vec![], None).await;
    assert_eq!(missing, Err(StoreError::Missing));

    let mark = |stage, by, at| Mark { stage, by, at: Timestamp(at), detail: Some("why".into()) };
    let connected = mark(Stage::Connected, Witness::Cloud, 30);
    let repeated = mark(Stage::Connected, Witness::Cloud, 31);
    let marks = vec![mark(Stage::Connecting, Witness::Device, 20), connected.clone(), repeated];
    let device = Some(DeviceId::from("lamp"));
    let got = store.extend_attempt(&id, device.clone(), Some("softap".into()), marks, None).await;
    let got = got.expect("extend");
    assert_eq!(got.stages, [mark(Stage::Connecting, Witness::Device, 20), connected]);
    assert_eq!((&got.device, got.method.as_deref()), (&device, Some("softap")));
    assert_eq!(store.attempt(&id).await, Ok(Some(got)));

    let failure = Outcome::Failure { code: "attempt.abandoned".into(), detail: "left".into() };
    let late = vec![mark(Stage::FirstReport, Witness::Cloud, 40)];
    let ending = Some((failure.clone(), Timestamp(50)));
    let other = Some(DeviceId::from("other"));
    let ended = store.extend_attempt(&id, other, None, late, ending).await.expect("end");
    assert_eq!(ended.device, device, "the first device counts");
    assert_eq!((&ended.ending, ended.ended_at), (&Some(failure), Some(Timestamp(50))));
    assert_eq!(ended.stages.len(), 3);
    let again = Some((Outcome::Success, Timestamp(60)));
    let marks = vec![mark(Stage::Bound, Witness::Cloud, 60)];
    let after = store.extend_attempt(&id, None, None, marks, again).await.expect("extend");
    assert_eq!(after, ended, "the first ending counts");
    assert_eq!(store.attempt(&id).await, Ok(Some(ended)));
}

pub(super) async fn attempts_are_filtered(store: &dyn Store) {
    seed(store).await;
    for (id, user, at) in [("a", Some("ann"), 30), ("b", Some("bob"), 10), ("c", None, 20)] {
        store.create_attempt(attempt(id, user, at)).await.expect("create");
    }
    store.create_attempt(attempt("d", Some("ann"), 10)).await.expect("create");
    let lamp = Some(DeviceId::from("lamp"));
    store.extend_attempt(&"c".into(), lamp.clone(), None, vec![], None).await.expect("extend");
    let success = Some((Outcome::Success, Timestamp(40)));
    store.extend_attempt(&"a".into(), lamp.clone(), None, vec![], success).await.expect("end");
    let all = AttemptFilter::default;
    for (filter, limit, expected) in [
        (all(), 9, "acdb"),
        (all(), 2, "ac"),
        (AttemptFilter { user: Some("ann".into()), ..all() }, 9, "ad"),
        (AttemptFilter { device: lamp.clone(), ..all() }, 9, "ac"),
        (AttemptFilter { open: true, ..all() }, 9, "cdb"),
        (AttemptFilter { open: true, device: lamp, user: None }, 9, "c"),
        (AttemptFilter { open: true, user: Some("bob".into()), device: None }, 0, ""),
    ] {
        let found = store.attempts(&"s".into(), &filter, limit).await.expect("list");
        let ids: String = found.iter().map(|attempt| attempt.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?} {limit}");
    }
    assert_eq!(store.attempts(&"t".into(), &all(), 9).await, Ok(vec![]));
}

pub(super) async fn overdue_attempts_end(store: &dyn Store) {
    seed(store).await;
    for (id, at) in [("late", 20), ("early", 10), ("bound", 15), ("new", 1000), ("done", 5)] {
        store.create_attempt(attempt(id, None, at)).await.expect("create");
    }
    let mark = Mark { stage: Stage::Bound, by: Witness::Cloud, at: Timestamp(16), detail: None };
    store.extend_attempt(&"bound".into(), None, None, vec![mark], None).await.expect("mark");
    let done = Some((Outcome::Success, Timestamp(6)));
    store.extend_attempt(&"done".into(), None, None, vec![], done).await.expect("end");
    assert_eq!(store.end_overdue_attempts(Timestamp(9) + ATTEMPT_LIFE).await, Ok(vec![]));
    let now = Timestamp(20) + ATTEMPT_LIFE;
    let ended = store.end_overdue_attempts(now).await.expect("end");
    let ids: Vec<_> = ended.iter().map(|attempt| attempt.id.as_str()).collect();
    assert_eq!(ids, ["early", "bound", "late"]);
    assert_eq!(ended[1].ending, Some(Outcome::Success));
    assert!(matches!(&ended[0].ending, Some(Outcome::Failure { code, .. })
        if &**code == "attempt.device_silent"));
    for attempt in &ended {
        assert_eq!(attempt.ended_at, Some(now));
        assert_eq!(store.attempt(&attempt.id).await.as_ref(), Ok(&Some(attempt.clone())));
    }
    assert_eq!(store.end_overdue_attempts(now).await, Ok(vec![]));
}
