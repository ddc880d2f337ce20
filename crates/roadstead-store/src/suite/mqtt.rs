//! Retained messages and parked sessions.

use bytes::Bytes;
use roadstead_core::Timestamp;
use roadstead_core::mqtt::{Parked, Queued, Retained};
use roadstead_core::port::Store;

use crate::rule::QUEUE_PER_CLIENT_MAX;

pub(super) async fn retained_messages_are_replaced(store: &dyn Store) {
    let message = |topic: &str, payload: &'static [u8], qos| Retained {
        topic: topic.into(),
        payload: Bytes::from_static(payload),
        qos,
    };
    assert_eq!(store.retained().await, Ok(vec![]));
    for (topic, payload, qos) in
        [("b", &b"1"[..], 0), ("a", b"\x00\xff", 1), ("c", b"3", 2), ("b", b"2", 2), ("c", b"", 0)]
    {
        store.retain(message(topic, payload, qos)).await.expect("retain");
    }
    store.retain(message("unknown", b"", 0)).await.expect("nothing to delete");
    let expected = vec![message("a", b"\x00\xff", 1), message("b", b"2", 2)];
    assert_eq!(store.retained().await, Ok(expected));
}

pub(super) async fn parked_sessions_expire(store: &dyn Store) {
    let session = |client: &str, expires_at| Parked {
        client: client.into(),
        filters: vec![("a/#".into(), 1), ("b/+".into(), 2)],
        next_packet_id: 65_535,
        expires_at: Timestamp(expires_at),
    };
    let (early, late) = (session("early", 100), session("late", 200));
    let older = Parked { filters: vec![], ..session("late", 50) };
    for parked in [&older, &early, &late] {
        store.park(parked.clone()).await.expect("park");
    }
    store.enqueue(vec![queued("early", 1), queued("late", 2)]).await.expect("enqueue");
    assert_eq!(store.parked(Timestamp(99)).await, Ok(vec![early.clone(), late.clone()]));
    assert_eq!(store.parked(Timestamp(100)).await, Ok(vec![late.clone()]));
    store.park(early.clone()).await.expect("park again");
    assert_eq!(store.take_queue("early").await, Ok(vec![]), "the queue went with the session");
    store.park(Parked { next_packet_id: 7, ..late.clone() }).await.expect("replace");
    assert_eq!(store.take_queue("late").await, Ok(vec![queued("late", 2)]), "the queue is kept");
    store.enqueue(vec![queued("late", 3)]).await.expect("enqueue");
    store.unpark("late").await.expect("unpark");
    store.unpark("late").await.expect("unpark again");
    assert_eq!(store.take_queue("late").await, Ok(vec![]));
    assert_eq!(store.parked(Timestamp(1)).await, Ok(vec![early]));
}

pub(super) async fn queues_are_ordered_and_bounded(store: &dyn Store) {
    let parked = Parked {
        client: "c".into(),
        filters: vec![],
        next_packet_id: 1,
        expires_at: Timestamp(100),
    };
    store.park(parked).await.expect("park");
    store.enqueue(vec![queued("nobody", 1), queued("c", 1), queued("c", 2)]).await.expect("keep");
    store.enqueue(vec![queued("c", 3)]).await.expect("keep");
    let taken = store.take_queue("c").await;
    assert_eq!(taken, Ok(vec![queued("c", 1), queued("c", 2), queued("c", 3)]));
    assert_eq!(store.take_queue("c").await, Ok(vec![]), "taken once");
    assert_eq!(store.take_queue("nobody").await, Ok(vec![]), "kept for parked sessions alone");
    let many = (0..QUEUE_PER_CLIENT_MAX + 5).map(|n| queued("c", n)).collect();
    store.enqueue(many).await.expect("keep");
    let taken = store.take_queue("c").await.expect("take");
    assert_eq!(taken.len(), QUEUE_PER_CLIENT_MAX);
    assert_eq!(taken[0], queued("c", 5), "the oldest are dropped");
}

fn queued(client: &str, n: usize) -> Queued {
    Queued {
        client: client.into(),
        topic: format!("t/{n}").into(),
        payload: Bytes::from(n.to_string()),
        qos: 1 + u8::try_from(n % 2).expect("small"),
    }
}
