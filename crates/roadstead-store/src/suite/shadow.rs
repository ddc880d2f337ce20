//! Shadows and pending messages.

use roadstead_core::limit::{PENDING_PER_DEVICE_MAX, SHADOW_BYTES_MAX};
use roadstead_core::port::{Store, StoreError};
use roadstead_core::shadow::{Change, Expected, Shadow};
use roadstead_core::{DeviceId, Timestamp, Value};
use serde_json::json;

use super::fixture::{desire, entry, report, seed_devices};
use crate::rule::shadow_bytes;

pub(super) async fn shadows_apply_changes_in_order(store: &dyn Store) {
    seed_devices(store, &["lamp", "other"]).await;
    let lamp = DeviceId::from("lamp");
    assert_eq!(store.shadow(&lamp).await, Ok(Shadow::default()));
    assert_eq!(store.shadow(&"x".into()).await, Ok(Shadow::default()));
    let unknown = store.change_shadow(&"x".into(), vec![report(json!({"a": 1}), 1)], None).await;
    assert_eq!(unknown, Err(StoreError::Missing));

    let other = Change::Report {
        service: "second".into(),
        values: roadstead_core::shadow::Values::default(),
    };
    let steps = [
        (vec![desire(json!({"on": true, "level": 3}), 10)], true),
        (vec![report(json!({"on": true, "deep": {"a": [1, null]}}), 20)], true),
        (vec![desire(json!({"level": null}), 30), other], false),
        (vec![report(json!({"n": 1}), 40), report(json!({"n": 2.5}), 50)], false),
        (vec![desire(json!({"x": 1}), 60), Change::ClearDesired { service: None }], false),
        (vec![], false),
    ];
    let mut expected = Shadow::default();
    for (n, (changes, desired)) in steps.into_iter().enumerate() {
        changes.iter().for_each(|change| expected.apply(change));
        let got = store.change_shadow(&lamp, changes, None).await;
        assert_eq!(got, Ok(desired), "step {n}");
        assert_eq!(store.shadow(&lamp).await.as_ref(), Ok(&expected), "step {n}");
    }
    assert_eq!(store.shadow(&"other".into()).await, Ok(Shadow::default()));
}

pub(super) async fn shadows_are_bounded(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let lamp = DeviceId::from("lamp");
    let sized = |key: &str, bytes: usize| {
        report(Value::Object([(key.into(), json!("x".repeat(bytes)))].into_iter().collect()), 7)
    };
    let mut full = Shadow::default();
    full.apply(&sized("k", 0));
    let room = SHADOW_BYTES_MAX - shadow_bytes(&full);
    // Many small steps must not wear the limit down: the same property is written again.
    for n in 0..200 {
        let got = store.change_shadow(&lamp, vec![sized("k", 1000 + n)], None).await;
        assert_eq!(got, Ok(false), "step {n}");
    }
    // The version has three digits by now, two more than in `full`.
    let exact = room - 2;
    assert_eq!(store.change_shadow(&lamp, vec![sized("k", exact)], None).await, Ok(false));
    let before = store.shadow(&lamp).await.expect("read");
    assert_eq!(shadow_bytes(&before), SHADOW_BYTES_MAX);
    let limit = Err(StoreError::Limit("shadow bytes"));
    let trace = Some(entry(9, "too large"));
    let changes = vec![sized("a", 1), sized("k", exact)];
    assert_eq!(store.change_shadow(&lamp, changes, trace).await, limit);
    assert_eq!(store.change_shadow(&lamp, vec![sized("k", exact + 1)], None).await, limit);
    assert_eq!(store.shadow(&lamp).await, Ok(before), "nothing is changed");
    let trace = store.trace(&lamp, None, None, 9).await.expect("read");
    assert_eq!(trace, [entry(9, "too large")], "the trace is kept");
    assert_eq!(store.change_shadow(&lamp, vec![sized("k", 10)], None).await, Ok(false));
}

pub(super) async fn shadows_change_on_the_expected_version(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let lamp = DeviceId::from("lamp");
    let on = |service: &str, version| Expected { service: service.into(), version };
    let set = |value, expected: Vec<Expected>| {
        let lamp = lamp.clone();
        async move { store.change_shadow_if(&lamp, expected, vec![desire(value, 5)], None).await }
    };
    assert_eq!(set(json!({"a": 1}), vec![on("default", 0)]).await, Ok(true), "starts at 0");
    let stale = set(json!({"a": 2}), vec![on("default", 0)]).await;
    assert_eq!(stale, Err(StoreError::Stale("default: the shadow has version 1".into())));
    let half = set(json!({"a": 2}), vec![on("default", 1), on("other", 1)]).await;
    assert!(matches!(half, Err(StoreError::Stale(_))), "all or nothing");
    assert_eq!(store.shadow(&lamp).await.expect("read").version("default"), 1);
    // Of many writers that read the same version exactly one wins.
    let race: Vec<_> = (0..20).map(|n| set(json!({"a": n}), vec![on("default", 1)])).collect();
    let won = futures_join(race).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((won, store.shadow(&lamp).await.expect("read").version("default")), (1, 2));
    let forget = vec![Change::Forget];
    let stale = store.change_shadow_if(&lamp, vec![on("default", 9)], forget.clone(), None).await;
    assert!(stale.is_err());
    assert_eq!(store.change_shadow(&lamp, forget, None).await, Ok(false));
    assert_eq!(store.shadow(&lamp).await, Ok(Shadow::default()));
    assert_eq!(set(json!({"a": 1}), vec![on("default", 0)]).await, Ok(true), "begins anew");
}

/// Polls every future once in order, then waits for all.
async fn futures_join<T, F: Future<Output = T>>(futures: Vec<F>) -> Vec<T> {
    use std::task::Poll;

    let mut running: Vec<_> = futures.into_iter().map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, done) in running.iter_mut().filter(|(_, done)| done.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(value) => *done = Some(value),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().map(|(_, done)| done.expect("finished")).collect()
}

pub(super) async fn pending_is_ordered_and_bounded(store: &dyn Store) {
    seed_devices(store, &["lamp", "other"]).await;
    let lamp = DeviceId::from("lamp");
    assert_eq!(store.pending(&lamp).await, Ok(vec![]));
    for n in 0..PENDING_PER_DEVICE_MAX + 2 {
        store.push_pending(&lamp, "kind", &n.to_string(), Timestamp(1)).await.expect("push");
    }
    store.push_pending(&"other".into(), "k", "b", Timestamp(1)).await.expect("push");
    let waiting = store.pending(&lamp).await.expect("read");
    let bodies: Vec<_> = waiting.iter().map(|(_, _, body)| body.to_string()).collect();
    let expected: Vec<_> = (2..PENDING_PER_DEVICE_MAX + 2).map(|n| n.to_string()).collect();
    assert_eq!(bodies, expected, "the oldest are dropped");
    assert!(waiting.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(waiting.iter().all(|(_, kind, _)| &**kind == "kind"));
    let delivered = waiting[1].0;
    store.pop_pending(&lamp, delivered).await.expect("pop");
    store.pop_pending(&lamp, delivered).await.expect("pop again");
    let left = store.pending(&lamp).await.expect("read");
    assert_eq!(left.len(), PENDING_PER_DEVICE_MAX - 1);
    assert!(left.iter().all(|(n, _, _)| *n != delivered));
    let last = left.last().expect("some").0;
    store.pop_pending(&lamp, last).await.expect("pop");
    store.push_pending(&lamp, "kind", "new", Timestamp(2)).await.expect("push");
    let newest = store.pending(&lamp).await.expect("read").pop().expect("some");
    assert!(newest.0 > last, "a sequence number is not used twice");
    assert_eq!(store.pending(&"other".into()).await.expect("read").len(), 1);
}
