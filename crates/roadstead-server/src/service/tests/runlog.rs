//! The run log, the message trace, and why the device went off line.

use std::time::Duration;

use roadstead_core::port::TraceFilter;
use roadstead_core::session::Ending;
use roadstead_core::trace::Category;
use serde_json::json;

use super::{LAMP, NODE, PRODUCT, World};
use crate::shell::Services as _;

#[tokio::test]
async fn every_end_of_a_session_keeps_its_reason() {
    let world = World::new().await;
    let (platform, lamp) = (&world.platform, LAMP.into());
    for ending in [Ending::KeepAlive, Ending::Lost, Ending::Revoked] {
        let login = world.log_in().await.expect("admitted");
        platform.clock.advance(Duration::from_secs(60));
        platform.logout(&login.account, login.epoch, ending).await;
        platform.clock.advance(Duration::from_secs(5));
    }
    let outages = platform.outages(world.space(), &lamp, None).await.expect("outages");
    let codes: Vec<_> = outages.iter().map(|outage| &*outage.code).collect();
    assert_eq!(codes, ["session.revoked", "session.lost", "session.keep_alive"], "latest first");
    assert!(outages[0].back_at.is_none() && outages[1].back_at.is_some());
    let lasted = outages[1].online_at.map(|at| outages[1].offline_at.since(at));
    assert_eq!(lasted, Some(Duration::from_secs(60)));
    assert!(outages[1].peer.as_deref().is_some_and(|peer| peer.starts_with("192.0.2.7")));
    let since = Some(outages[1].offline_at);
    assert_eq!(platform.outages(world.space(), &lamp, since).await.expect("outages").len(), 1);
    let stranger = platform.outages(&"other".into(), &lamp, None).await;
    assert_eq!(stranger.expect_err("another space").code(), "device.unknown");
    let why = platform.why(world.space(), &lamp).await.expect("verdict");
    assert_eq!(&*why.code, "session.revoked");
}

#[tokio::test]
async fn a_message_trace_shows_what_was_said_until_it_ends() {
    let world = World::new().await;
    let (platform, lamp) = (&world.platform, LAMP.into());
    let texts = async || {
        let filter = TraceFilter { whats: &["report"], ..TraceFilter::new(world.space().clone()) };
        let found = platform.run_log(&filter, 10).await.expect("log");
        found.hops.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>()
    };
    let say = async |login: &mut _, level: i32| {
        let topic = format!("$thing/up/property/{PRODUCT}/{NODE}");
        let body = json!({"method": "report", "clientToken": "t", "params": {"brightness": level}});
        world.publish(login, &topic, body).await;
    };
    let mut login = world.log_in().await.expect("admitted");
    say(&mut login, 11).await;
    assert!(!texts().await[0].text.contains("11"), "off unless switched on");
    for minutes in [0, 24 * 60 + 1] {
        let life = Duration::from_secs(minutes * 60);
        let odd = platform.start_trace(world.space(), &lamp, life).await;
        assert_eq!(odd.expect_err("no such time").code(), "api.bad_request");
    }
    let half = Duration::from_secs(1800);
    let until = platform.start_trace(world.space(), &lamp, half).await.expect("on");
    assert_eq!(platform.traced_until(world.space(), &lamp).await.expect("state"), Some(until));
    // The connection learns of the switch as it learns of every change.
    login.account.device = platform.store.device(&lamp).await.expect("read").expect("there");
    say(&mut login, 22).await;
    let traced = texts().await.remove(0);
    assert!(traced.text.contains("\"brightness\":22"), "{}", traced.text);
    assert!(traced.trace_id().is_some(), "{}", traced.text);
    platform.clock.advance(half);
    say(&mut login, 33).await;
    assert!(!texts().await[0].text.contains("33"), "it ends by itself");
    assert_eq!(platform.traced_until(world.space(), &lamp).await.expect("state"), None);
    platform.start_trace(world.space(), &lamp, half).await.expect("on");
    platform.stop_trace(world.space(), &lamp).await.expect("off");
    assert_eq!(platform.traced_until(world.space(), &lamp).await.expect("state"), None);
}

#[tokio::test]
async fn the_run_log_is_filtered_and_hops_of_a_request_share_an_id() {
    let world = World::new().await;
    let platform = &world.platform;
    let login = world.log_in().await.expect("admitted");
    world.connect(&login);
    let request = roadstead_core::exchange::Downlink::Unbound;
    let sent = platform.request(world.space(), &LAMP.into(), request, None).await;
    assert!(sent.is_ok());
    let all = || TraceFilter::new(world.space().clone());
    let find = async |filter: TraceFilter| platform.run_log(&filter, 100).await.expect("log").hops;
    let hops = find(TraceFilter { whats: &["unbound", "result"], ..all() }).await;
    assert_eq!(hops.len(), 2);
    let ids: Vec<_> = hops.iter().map(|(_, entry)| entry.trace_id().expect("an id")).collect();
    assert_eq!(ids[0], ids[1]);
    let status = find(TraceFilter { category: Some(Category::Status), ..all() }).await;
    assert!(status.iter().all(|(_, entry)| &*entry.what == "login"), "{status:?}");
    assert_eq!(find(TraceFilter { failed: Some(true), ..all() }).await, []);
    assert_eq!(find(TraceFilter::new("other".into())).await, []);
}
