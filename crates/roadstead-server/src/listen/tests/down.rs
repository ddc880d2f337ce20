//! Requests to a device: answers, deadlines, losses, what waited.

use std::time::Duration;

use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::exchange::Downlink;
use roadstead_core::{DeviceId, Map};
use roadstead_wire::mqtt::packet::{Packet, Publish, QoS};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::client::{Client, puback, publish};
use super::fake::account;
use super::{DOWN, NODE, UP, World};
use crate::directory::Order;

type Waiting = oneshot::Receiver<Result<Outcome, CommandError>>;

fn device() -> DeviceId {
    account(NODE, None).device.id.clone()
}

fn set(brightness: i32) -> Downlink {
    let mut properties = Map::new();
    properties.insert("brightness".into(), json!(brightness));
    let service = roadstead_core::product::DEFAULT_SERVICE;
    Downlink::SetProperties { service: service.into(), properties }
}

/// Orders a request with 5 s to answer.
fn order(world: &World, request: Downlink) -> Waiting {
    let (result, waiting) = oneshot::channel();
    let account = account(NODE, None);
    let order = Order::Downlink { account, request, deadline_ms: 5_000, result, acked: None };
    let link = world.shared.directory.find(&device()).expect("on line");
    assert!(link.send(order).is_ok());
    waiting
}

fn token(publish: &Publish) -> String {
    let body: Value = serde_json::from_slice(&publish.payload).expect("JSON");
    assert_eq!(body["method"], "control");
    body["clientToken"].as_str().expect("a token").to_owned()
}

async fn reply(lamp: &mut Client, token: &str, n: u16) {
    let body = json!({"method": "control_reply", "clientToken": token, "code": 0, "status": "ok"});
    lamp.send(publish(UP, body.to_string(), n)).await;
}

async fn listening(world: &World) -> Client {
    let mut lamp = world.lamp().await;
    lamp.subscribe(DOWN, QoS::AtLeastOnce).await;
    lamp
}

#[tokio::test(start_paused = true)]
async fn an_answer_resolves_its_own_request() {
    let world = World::new().await;
    let mut lamp = listening(&world).await;
    let (first, second) = (order(&world, set(1)), order(&world, set(2)));
    let tokens = [token(&lamp.next_publish().await), token(&lamp.next_publish().await)];
    reply(&mut lamp, &tokens[1], 1).await;
    assert_eq!(lamp.next().await, Some(puback(1)));
    assert!(matches!(second.await, Ok(Ok(Outcome::Answered(answer))) if answer.code == 0));
    reply(&mut lamp, &tokens[0], 2).await;
    assert!(matches!(first.await, Ok(Ok(Outcome::Answered(_)))));
    // A late or repeated answer is somebody else's matter.
    assert_eq!(lamp.next().await, Some(puback(2)));
    reply(&mut lamp, &tokens[0], 3).await;
    assert_eq!(world.fake.noted("uplink").await, "uplink TEST2 response");
    let traced = world.fake.notes().iter().filter(|n| n.starts_with("trace response ok")).count();
    assert_eq!(traced, 2);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_is_told_before_the_answer() {
    let world = World::new().await;
    let mut lamp = listening(&world).await;
    let (result, mut waiting) = oneshot::channel();
    let (told, mut acked) = oneshot::channel();
    let (account, request) = (account(NODE, None), set(1));
    let order = Order::Downlink { account, request, deadline_ms: 5_000, result, acked: Some(told) };
    let link = world.shared.directory.find(&device()).expect("on line");
    assert!(link.send(order).is_ok());
    let message = lamp.next_publish().await;
    let is_acked = message.qos == QoS::AtLeastOnce;
    if is_acked {
        assert!(acked.try_recv().is_err(), "sent is not acknowledged");
        lamp.puback(&message).await;
    }
    assert_eq!((&mut acked).await, Ok(()));
    assert!(waiting.try_recv().is_err(), "acknowledged is not answered");
    reply(&mut lamp, &token(&message), 1).await;
    assert!(matches!(waiting.await, Ok(Ok(Outcome::Answered(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_deaf_device_is_said_to_be_deaf() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    assert_eq!(order(&world, set(1)).await, Ok(Err(CommandError::NotListening)));
    lamp.subscribe(DOWN, QoS::AtLeastOnce).await;
    let later = order(&world, set(1));
    let token = token(&lamp.next_publish().await);
    reply(&mut lamp, &token, 1).await;
    assert!(matches!(later.await, Ok(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_timeout() {
    let world = World::new().await;
    let mut lamp = listening(&world).await;
    let start = Instant::now();
    let waiting = order(&world, set(1));
    let token = token(&lamp.next_publish().await);
    assert_eq!(waiting.await, Ok(Err(CommandError::Timeout(5_000))));
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    reply(&mut lamp, &token, 1).await;
    assert_eq!(world.fake.noted("uplink").await, "uplink TEST2 response", "too late");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_loses_requests() {
    let world = World::new().await;
    let mut lamp = listening(&world).await;
    let waiting = order(&world, set(1));
    lamp.next_publish().await;
    drop(lamp);
    assert_eq!(waiting.await, Ok(Err(CommandError::Lost)));
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_are_bounded() {
    let world = World::new().await;
    let _lamp = listening(&world).await;
    let waiting: Vec<_> = (0..65).map(|_| order(&world, set(1))).collect();
    let mut busy = 0;
    for waiting in waiting {
        match waiting.await {
            Ok(Err(CommandError::Busy)) => busy += 1,
            Ok(Err(CommandError::Timeout(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(busy, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_done_when_it_is_taken() {
    let world = World::new().await;
    let mut lamp = world.lamp().await;
    let filter = "$thing/down/service/L4WG9V9M2M/TEST2";
    lamp.subscribe(filter, QoS::AtLeastOnce).await;
    let mut waiting = order(&world, Downlink::Unbound);
    let message = lamp.next_publish().await;
    if message.qos == QoS::AtLeastOnce {
        lamp.send(Packet::PingReq).await;
        assert_eq!(lamp.next().await, Some(Packet::PingResp));
        assert!(waiting.try_recv().is_err(), "not yet acknowledged");
        lamp.puback(&message).await;
    }
    assert_eq!(waiting.await, Ok(Ok(Outcome::Delivered)));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_frees_its_place() {
    let world = World::new().await;
    let mut lamp = listening(&world).await;
    for _ in 0..3 {
        let waiting: Vec<_> = (0..60).map(|_| order(&world, set(1))).collect();
        for _ in &waiting {
            let message = lamp.next_publish().await;
            if message.qos == QoS::AtLeastOnce {
                lamp.puback(&message).await;
            }
        }
        drop(waiting);
        lamp.send(Packet::PingReq).await;
        assert_eq!(lamp.next().await, Some(Packet::PingResp));
    }
    assert_eq!(world.shared.metrics.drops(crate::metrics::Queue::Requests), 0);
    let last = order(&world, set(2));
    let token = token(&lamp.next_publish().await);
    reply(&mut lamp, &token, 1).await;
    assert!(matches!(last.await, Ok(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn what_waited_comes_after_the_subscription_in_order() {
    let world = World::new().await;
    *world.fake.waiting.lock() = vec![(3, set(30)), (7, set(70))];
    let mut lamp = world.lamp().await;
    lamp.send(Packet::PingReq).await;
    assert_eq!(lamp.next().await, Some(Packet::PingResp), "nothing before it listens");
    lamp.subscribe(DOWN, QoS::AtLeastOnce).await;
    let live = order(&world, set(99));
    let mut values = Vec::new();
    for _ in 0..3 {
        let message = lamp.next_publish().await;
        let body: Value = serde_json::from_slice(&message.payload).expect("JSON");
        values.push(body["params"]["brightness"].as_i64().expect("a number"));
        if message.qos == QoS::AtLeastOnce {
            lamp.puback(&message).await;
        }
    }
    assert_eq!(values, [30, 70, 99], "the newest last");
    world.fake.noted("delivered 3").await;
    world.fake.noted("delivered 7").await;
    // Another ready subscription does not repeat them.
    lamp.subscribe(DOWN, QoS::AtLeastOnce).await;
    lamp.send(Packet::PingReq).await;
    assert_eq!(lamp.next().await, Some(Packet::PingResp));
    drop(live);
}
