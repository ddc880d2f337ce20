//! Records of the sides for phones.

use roadstead_core::limit::RECORD_BYTES_MAX;
use roadstead_core::port::{RecordFilter, Store, StoreError};
use roadstead_core::record::{Record, RecordKind};
use roadstead_core::{Secret, Timestamp};

use super::fixture::{seed, seed_devices, user};

fn record(kind: RecordKind, id: &str, user: Option<&str>, device: Option<&str>) -> Record {
    Record {
        kind,
        id: id.into(),
        space: "s".into(),
        user: user.map(Into::into),
        device: device.map(Into::into),
        body: Secret::from(format!("{{\"of\":\"{id}\"}}")),
        created_at: Timestamp(7),
    }
}

async fn ids(store: &dyn Store, filter: &RecordFilter, after: Option<&str>) -> Vec<Box<str>> {
    let found = store.records(RecordKind::Alias, filter, after.map(Into::into)).await;
    found.expect("list").into_iter().map(|record| record.id).collect()
}

pub(super) async fn records_are_replaced_and_listed(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let kind = RecordKind::Alias;
    assert!(store.record(kind, "a").await.expect("read").is_none());
    for (id, user, device) in
        [("b", Some("ann"), Some("lamp")), ("a", Some("ann"), None), ("c", Some("bob"), None)]
    {
        store.put_record(record(kind, id, user, device)).await.expect("put");
    }
    store.put_record(record(RecordKind::Profile, "a", Some("bob"), None)).await.expect("put");
    let mut changed = record(kind, "b", Some("ann"), Some("lamp"));
    changed.body = Secret::from("{\"remark\":\"new\"}");
    store.put_record(changed).await.expect("replace");
    let read = store.record(kind, "b").await.expect("read").expect("kept");
    assert_eq!(read.body.expose_text(), Some("{\"remark\":\"new\"}"));
    assert_eq!((read.user, read.device), (Some("ann".into()), Some("lamp".into())));
    let other = store.record(RecordKind::Profile, "a").await.expect("read").expect("kept");
    assert_eq!(other.user, Some("bob".into()), "the same id of another kind");

    let ann = RecordFilter { user: Some("ann".into()), ..RecordFilter::default() };
    assert_eq!(ids(store, &ann, None).await, ["a".into(), "b".into()]);
    assert_eq!(ids(store, &ann, Some("a")).await, ["b".into()]);
    let lamp = RecordFilter { device: Some("lamp".into()), ..RecordFilter::default() };
    assert_eq!(ids(store, &lamp, None).await, ["b".into()]);
    let other = RecordFilter { space: Some("t".into()), ..RecordFilter::default() };
    assert!(ids(store, &other, None).await.is_empty());

    let mut large = record(kind, "large", None, None);
    large.body = Secret::from("x".repeat(RECORD_BYTES_MAX + 1));
    let refused = store.put_record(large).await;
    assert_eq!(refused, Err(StoreError::Limit("bytes of a record")));
    for (user, device) in [(Some("nobody"), None), (None, Some("nothing"))] {
        let refused = store.put_record(record(kind, "d", user, device)).await;
        assert_eq!(refused, Err(StoreError::Missing));
    }
    store.delete_record(kind, "c").await.expect("delete");
    assert_eq!(store.delete_record(kind, "c").await, Err(StoreError::Missing));
}

pub(super) async fn records_end_with_their_owner(store: &dyn Store) {
    seed_devices(store, &["lamp", "fan"]).await;
    for (id, user, device) in
        [("1", "ann", "lamp"), ("2", "ann", "fan"), ("3", "bob", "lamp"), ("4", "bob", "fan")]
    {
        let put = store.put_record(record(RecordKind::Alias, id, Some(user), Some(device))).await;
        put.expect("put");
    }
    let all = RecordFilter::default();
    store.delete_device(&"lamp".into()).await.expect("delete");
    assert_eq!(ids(store, &all, None).await, ["2".into(), "4".into()]);
    store.delete_user(&"ann".into()).await.expect("delete");
    assert_eq!(ids(store, &all, None).await, ["4".into()]);
}

pub(super) async fn users_are_renamed(store: &dyn Store) {
    seed(store).await;
    let mut ann = user("ann", "s");
    ann.name = "bob@example.com".into();
    assert_eq!(store.update_user(ann.clone()).await, Err(StoreError::Exists));
    ann.name = "ann".into();
    store.update_user(ann).await.expect("rename");
    assert!(store.user_by_name("ann@example.com").await.expect("read").is_none());
    let found = store.user_by_name("ann").await.expect("read").expect("renamed");
    assert_eq!(found.id, "ann".into());
}
