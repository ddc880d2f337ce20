//! Heap cost of subscriptions and idle sessions, measured with a counting allocator.
//!
//! A test binary of its own, because the allocator is global. It counts per thread, so that the
//! test harness does not disturb the numbers.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use roadstead_wire::mqtt::packet::{Connect, QoS, Reason, Subscribe, Subscription, Version};
use roadstead_wire::mqtt::packet::{Packet, PacketId, Publish};
use roadstead_wire::mqtt::session::Outgoing;
use roadstead_wire::mqtt::session::server::{Input, Opening, Output, Policy, Server};
use roadstead_wire::mqtt::topic::Filter;
use roadstead_wire::mqtt::trie::Trie;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    LIVE.with(|live| live.set(live.get() + bytes));
}

struct Counting;

/// What glibc takes for a request: 8 bytes of header, steps of 16, at least 32.
fn cost(size: usize) -> isize {
    isize::try_from((size + 8).div_ceil(16).max(2) * 16).expect("no such allocation")
}

// SAFETY: forwards to the system allocator unchanged and only counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(cost(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-cost(layout.size()));
        // SAFETY: `at` came from `alloc` above with the same layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COUNT: isize = 20_000;

/// Returns the heap bytes per item that `build` leaves alive, and drops them.
fn per_item<T>(build: impl FnOnce() -> T) -> isize {
    let before = LIVE.get();
    let kept = build();
    let bytes = (LIVE.get() - before) / COUNT;
    drop(kept);
    assert_eq!(LIVE.get(), before, "everything is freed");
    bytes
}

fn subscriptions(pattern: impl Fn(isize) -> String) -> isize {
    per_item(|| {
        let mut trie: Trie<u64, u32> = Trie::new();
        for n in 0..COUNT {
            let filter = pattern(n);
            let filter = Filter::parse(&filter).expect("a valid filter");
            trie.insert(filter, u64::try_from(n).expect("positive"), 0);
        }
        trie
    })
}

/// A session after login with one subscription and one message each way, then idle.
fn idle_session(policy: &Arc<Policy>, n: isize) -> Server {
    let (mut out, id) = (Vec::new(), PacketId::MIN);
    let connect = Connect::new(Version::V311, "lamp");
    let mut server = Server::open(&connect, Opening::default(), Arc::clone(policy), 0, &mut out);
    let topic = format!("$thing/down/property/L4WG9V9M2M/dev{n:06}");
    let filters = vec![Subscription::new(topic.as_str(), QoS::AtLeastOnce)];
    let subscribe = Subscribe { id, filters, subscription_id: None, user: Vec::new() };
    server.handle(Input::Packet(Packet::Subscribe(subscribe)), 1, &mut out);
    server.subscribed(id, &[Reason::GrantedQoS1], &mut out);
    let mut up = Publish::new(topic.as_str(), "{}", QoS::AtLeastOnce);
    up.id = Some(id);
    server.handle(Input::Packet(Packet::Publish(up)), 2, &mut out);
    for output in std::mem::take(&mut out) {
        if let Output::Message { token, .. } = output {
            assert!(server.accept(token, Reason::Success, &mut out));
        }
    }
    server.publish(Outgoing::new(Publish::new(topic.as_str(), "{}", QoS::AtMostOnce)), 3, &mut out);
    server.trim();
    server
}

#[test]
fn costs_stay_below_their_limits() {
    let tencent = subscriptions(|n| format!("$thing/down/property/L4WG9V9M2M/dev{n:06}"));
    let gizwits = subscriptions(|n| format!("app2dev/abcdefghij0123456789{n:06}/#"));
    let huawei = subscriptions(|n| format!("$oc/devices/5fdb75cccbfe2f02_{n:06}/sys/commands/#"));
    let policy = Arc::new(Policy::default());
    let session = per_item(|| {
        let sessions = (0..COUNT).map(|n| Box::new(idle_session(&policy, n)));
        sessions.collect::<Vec<_>>()
    });
    let rows = [
        ("subscription, Tencent", tencent, 300),
        ("subscription, GizWits", gizwits, 400),
        ("subscription, Huawei", huawei, 700),
        // The machine (250), its box, one filter with its text (112).
        ("idle session with one filter", session, 450),
    ];
    for (name, bytes, limit) in rows {
        println!("{name}: {bytes} bytes (limit {limit})");
        assert!(bytes <= limit, "{name}: {bytes} bytes, limit {limit}");
        assert!(bytes > 50, "{name}: {bytes} bytes cannot be right");
    }
}
