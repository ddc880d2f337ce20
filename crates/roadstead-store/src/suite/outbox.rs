//! Asynchronous commands and messages.

use roadstead_core::command::queue::{Answer, Command, Input, Output, Policy, Status, Strategy};
use roadstead_core::limit::{COMMANDS_KEPT_MAX, MESSAGES_KEPT_MAX};
use roadstead_core::message::{self, Encoding, Format, Message, Target};
use roadstead_core::port::{CommandFilter, Page, Store, StoreError};
use roadstead_core::{DeviceId, Map, Timestamp};
use serde_json::json;

use super::fixture::{page, seed_devices};

const POLICY: Policy = Policy::RELIABLE;

fn lamp() -> DeviceId {
    "lamp".into()
}

fn command(id: &str, at: i64) -> Command {
    Command {
        id: id.into(),
        device: lamp(),
        service: "s".into(),
        command: format!("blink{}", at % 2).into(),
        params: Map::from_iter([("times".into(), json!(3))]),
        strategy: Strategy::Delay,
        expire_s: 60,
        status: Status::Pending,
        created_at: Timestamp(at),
        sent_at: None,
        delivered_at: None,
        answered_at: None,
        ended_at: None,
        due_at: Some(Timestamp(at + 60_000)),
        sends: 0,
        is_parked: false,
        answer: None,
        reason: None,
    }
}

/// The same for any device.
#[cfg(test)]
pub(super) fn command_of(device: &DeviceId, id: &str, at: i64) -> Command {
    Command { device: device.clone(), ..command(id, at) }
}

fn message(id: &str, at: i64) -> Message {
    Message {
        id: id.into(),
        device: lamp(),
        name: Some("greeting".into()),
        content: json!({"text": "hello"}),
        encoding: Encoding::None,
        format: Format::Raw,
        target: Target::Topic("alarm".into()),
        properties: None,
        ttl_s: 300,
        status: message::Status::Pending,
        error: None,
        created_at: Timestamp(at),
        finished_at: None,
        due_at: Some(Timestamp(at + 300_000)),
    }
}

async fn ids(store: &dyn Store, filter: CommandFilter, page: Page) -> (Vec<String>, u64) {
    let listed = store.commands(&lamp(), &filter, &page).await.expect("list");
    (listed.items.iter().map(|command| command.id.to_string()).collect(), listed.total)
}

async fn step(store: &dyn Store, id: &str, input: Input, at: i64) -> (Status, Output) {
    let stepped = store.step_command(&lamp(), &id.into(), input, Timestamp(at), POLICY).await;
    let (command, output) = stepped.expect("step");
    (command.status, output)
}

pub(super) async fn commands_queue_one_at_a_time(store: &dyn Store) {
    seed_devices(store, &["lamp", "other"]).await;
    for (n, id) in ["a", "b", "c"].into_iter().enumerate() {
        store.create_command(command(id, n as i64), 3).await.expect("create");
    }
    assert_eq!(store.create_command(command("a", 9), 9).await, Err(StoreError::Exists));
    let full = store.create_command(command("d", 9), 3).await;
    assert!(matches!(full, Err(StoreError::Limit(_))), "{full:?}");
    let mut stranger = command("e", 9);
    stranger.device = "nobody".into();
    assert_eq!(store.create_command(stranger, 9).await, Err(StoreError::Missing));
    let kept = store.command(&lamp(), &"b".into()).await;
    assert_eq!(kept, Ok(Some(command("b", 1))));
    assert_eq!(store.command(&"other".into(), &"b".into()).await, Ok(None));

    let next = store.next_command(&lamp(), Timestamp(5), 0, POLICY).await.expect("next");
    let [(sent, Output::Send)] = &next[..] else { panic!("{next:?}") };
    assert_eq!(
        (sent.id.as_str(), sent.status, sent.sent_at),
        ("a", Status::Sent, Some(Timestamp(5)))
    );
    assert_eq!(store.next_command(&lamp(), Timestamp(6), 0, POLICY).await, Ok(vec![]), "in flight");
    assert_eq!(step(store, "a", Input::Acked, 7).await, (Status::Delivered, Output::Changed));
    assert_eq!(step(store, "a", Input::Acked, 8).await, (Status::Delivered, Output::Nothing));
    let answer = Answer { code: 0, status: "ok".into(), output: Map::new() };
    assert_eq!(step(store, "a", Input::Answered(answer), 9).await.0, Status::Successful);
    assert_eq!(step(store, "b", Input::Cancel, 10).await.0, Status::Canceled);
    let missing =
        store.step_command(&lamp(), &"x".into(), Input::Acked, Timestamp(1), POLICY).await;
    assert_eq!(missing, Err(StoreError::Missing));
    let next = store.next_command(&lamp(), Timestamp(60_005), 0, POLICY).await.expect("next");
    let [(expired, Output::Changed)] = &next[..] else { panic!("{next:?}") };
    assert_eq!((expired.id.as_str(), expired.status), ("c", Status::Expired));
    assert_eq!(store.next_command(&"x".into(), Timestamp(1), 0, POLICY).await, Ok(vec![]));
}

pub(super) async fn commands_are_filtered_and_paged(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    for n in 0..6 {
        store.create_command(command(&format!("c{n}"), n), 9).await.expect("create");
    }
    for id in ["c1", "c4"] {
        step(store, id, Input::Cancel, 50).await;
    }
    let all = CommandFilter::default;
    let first = page(None, 0, 10);
    let expected = ["c5", "c4", "c3", "c2", "c1", "c0"].map(str::to_owned).to_vec();
    assert_eq!(ids(store, all(), first.clone()).await, (expected, 6));
    let second = ids(store, all(), page(Some("c4"), 1, 2)).await;
    assert_eq!(second, (vec!["c2".into(), "c1".into()], 6));
    assert_eq!(ids(store, all(), page(Some("gone"), 0, 9)).await, (vec![], 6));
    let cases: [(CommandFilter, &[&str]); 5] = [
        (CommandFilter { open: Some(true), ..all() }, &["c5", "c3", "c2", "c0"]),
        (CommandFilter { open: Some(false), ..all() }, &["c4", "c1"]),
        (CommandFilter { status: Some(Status::Canceled), ..all() }, &["c4", "c1"]),
        (CommandFilter { command: Some("blink0".into()), ..all() }, &["c4", "c2", "c0"]),
        (
            CommandFilter { since: Some(Timestamp(1)), until: Some(Timestamp(3)), ..all() },
            &["c2", "c1"],
        ),
    ];
    for (filter, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|id| (*id).to_owned()).collect();
        let total = expected.len() as u64;
        assert_eq!(
            ids(store, filter.clone(), first.clone()).await,
            (expected, total),
            "{filter:?}"
        );
    }
}

pub(super) async fn command_timers_fire_once(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    store.create_command(command("a", 0), 9).await.expect("create");
    store.create_command(command("b", 1000), 9).await.expect("create");
    store.next_command(&lamp(), Timestamp(10_000), 0, POLICY).await.expect("next");
    let due = |at: i64, limit| store.due_commands(Timestamp(at), 0, POLICY, limit);
    assert_eq!(due(29_999, 9).await, Ok(vec![]));
    let ended = due(30_000, 9).await.expect("due");
    assert_eq!(
        ended.iter().map(|(c, _)| (c.id.as_str(), c.status)).collect::<Vec<_>>(),
        [("a", Status::Timeout)]
    );
    assert_eq!(due(30_000, 9).await, Ok(vec![]), "once");
    assert_eq!(due(61_000, 0).await, Ok(vec![]), "bounded");
    let ended = due(61_000, 9).await.expect("due");
    assert_eq!(ended[0].0.status, Status::Expired);
    assert_eq!(store.awaited_devices().await, Ok(vec![]));
}

pub(super) async fn sent_commands_are_recovered(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    let now = Command { strategy: Strategy::Immediately, ..command("now", 0) };
    store.create_command(now, 9).await.expect("create");
    store.next_command(&lamp(), Timestamp(1), 0, POLICY).await.expect("next");
    assert_eq!(store.recover_commands(Timestamp(2), POLICY).await, Ok(1));
    let lost = store.command(&lamp(), &"now".into()).await.expect("read").expect("kept");
    assert_eq!((lost.status, lost.reason.as_deref()), (Status::Timeout, Some("command.lost")));
    store.create_command(command("late", 3), 9).await.expect("create");
    store.next_command(&lamp(), Timestamp(4), 0, POLICY).await.expect("next");
    assert_eq!(store.recover_commands(Timestamp(5), POLICY).await, Ok(1));
    assert_eq!(store.recover_commands(Timestamp(6), POLICY).await, Ok(0), "once");
    assert_eq!(store.awaited_devices().await, Ok(vec![lamp()]));
    let next = store.next_command(&lamp(), Timestamp(7), 0, POLICY).await.expect("next");
    assert_eq!(next[0].0.id.as_str(), "late", "its turn comes again");
}

pub(super) async fn histories_are_bounded(store: &dyn Store) {
    seed_devices(store, &["lamp"]).await;
    for n in 0..COMMANDS_KEPT_MAX as i64 + 3 {
        let id = format!("c{n}");
        store.create_command(command(&id, n), 9).await.expect("create");
        step(store, &id, Input::Cancel, n).await;
    }
    store.create_command(command("open", 1), 9).await.expect("create");
    let filter = CommandFilter { open: Some(false), ..CommandFilter::default() };
    let (newest, total) = ids(store, filter, page(None, 0, 1)).await;
    assert_eq!(total, COMMANDS_KEPT_MAX as u64);
    assert_eq!(newest, [format!("c{}", COMMANDS_KEPT_MAX + 2)]);
    for n in 0..MESSAGES_KEPT_MAX as i64 + 2 {
        let id = format!("m{n}");
        store.create_message(message(&id, n), 9).await.expect("create");
        let input = message::Input::Delivered;
        store.step_message(&lamp(), &id.as_str().into(), input, Timestamp(n)).await.expect("step");
    }
    store.create_message(message("open", 1), 9).await.expect("create");
    let listed = store.messages(&lamp(), &page(None, 0, 1)).await.expect("list");
    assert_eq!(listed.total, MESSAGES_KEPT_MAX as u64 + 1);
}

pub(super) async fn messages_wait_in_order(store: &dyn Store) {
    seed_devices(store, &["lamp", "other"]).await;
    for (n, id) in ["z", "a", "k"].into_iter().enumerate() {
        store.create_message(message(id, n as i64), 3).await.expect("create");
    }
    assert_eq!(store.create_message(message("z", 5), 9).await, Err(StoreError::Exists));
    assert!(matches!(store.create_message(message("x", 5), 3).await, Err(StoreError::Limit(_))));
    let elsewhere = Message { device: "other".into(), ..message("z", 5) };
    store.create_message(elsewhere, 3).await.expect("ids are per device");
    let waiting = store.waiting_messages(&lamp()).await.expect("read");
    assert_eq!(waiting.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), ["z", "a", "k"]);
    assert_eq!(waiting[1], message("a", 1));
    let done = message::Input::Delivered;
    let (after, changed) =
        store.step_message(&lamp(), &"z".into(), done.clone(), Timestamp(9)).await.expect("step");
    assert!(changed && after.status == message::Status::Delivered);
    assert_eq!(store.message(&lamp(), &"z".into()).await, Ok(Some(after)));
    let again = store.step_message(&lamp(), &"z".into(), done, Timestamp(10)).await;
    assert!(!again.expect("step").1);
    assert_eq!(store.due_messages(Timestamp(300_000), 9).await, Ok(vec![]), "the first is done");
    let due = store.due_messages(Timestamp(300_001), 9).await.expect("due");
    assert_eq!(due[0].id.as_str(), "a");
    assert_eq!(store.due_messages(Timestamp(300_001), 9).await, Ok(vec![]), "once");
    store.delete_message(&lamp(), &"k".into()).await.expect("delete");
    assert_eq!(store.delete_message(&lamp(), &"k".into()).await, Err(StoreError::Missing));
    assert_eq!(store.waiting_messages(&lamp()).await, Ok(vec![]));
    let listed = store.messages(&lamp(), &page(None, 0, 9)).await.expect("list");
    assert_eq!(listed.items.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), ["a", "z"]);
    assert_eq!(store.awaited_devices().await, Ok(vec!["other".into()]));
    store.delete_device(&"other".into()).await.expect("delete");
    assert_eq!(store.awaited_devices().await, Ok(vec![]), "they die with their device");
}
