//! Messages and asynchronous commands: order, one in flight, every state, every timer.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::command::queue::{Command, Status, Strategy};
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::exchange::{Downlink, Response};
use roadstead_core::message::{self, Message};
use roadstead_core::port::{CommandFilter, Page};
use roadstead_core::session::{Ending, Epoch};
use roadstead_core::{CommandId, DeviceId, Map};
use serde_json::json;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{LAMP, World};
use crate::directory::{Link, Order};
use crate::service::{Error, NewCommand, NewMessage};
use crate::shell::{Login, Services as _};

/// A connection whose orders the test answers one by one.
struct Line {
    orders: mpsc::UnboundedSender<Order>,
    taken: Mutex<mpsc::UnboundedReceiver<Order>>,
}

impl Link for Line {
    fn send(&self, order: Order) -> Result<(), Box<Order>> {
        self.orders.send(order).map_err(|error| Box::new(error.0))
    }
}

/// A request that the test holds in its hands.
struct Held {
    request: Downlink,
    result: oneshot::Sender<Result<Outcome, CommandError>>,
    acked: Option<oneshot::Sender<()>>,
}

impl Held {
    fn ack(&mut self) {
        self.acked.take().expect("one acknowledgement").send(()).expect("somebody waits");
    }

    fn answer(self, code: i64) {
        let status = if code == 0 { "ok" } else { "no" }.into();
        let payload = bytes::Bytes::new();
        let response = Response { code, status, output: Map::new(), payload };
        assert!(self.result.send(Ok(Outcome::Answered(response))).is_ok(), "somebody waits");
    }

    fn take(self) {
        assert!(self.result.send(Ok(Outcome::Delivered)).is_ok(), "somebody waits");
    }

    fn fail(self, error: CommandError) {
        assert!(self.result.send(Err(error)).is_ok(), "somebody waits");
    }

    fn name(&self) -> String {
        if let Downlink::Command { command, .. } = &self.request {
            return (**command).into();
        }
        let Downlink::Message { payload, .. } = &self.request else { panic!("{:?}", self.request) };
        String::from_utf8_lossy(payload).into()
    }
}

impl Line {
    async fn next(&self) -> Held {
        match self.taken.lock().await.recv().await.expect("the platform lives") {
            Order::Downlink { request, result, acked, .. } => Held { request, result, acked },
            Order::Close(_) | Order::Reload(_) => panic!("a request"),
        }
    }

    /// True when nothing was ordered, once every task has had its turn.
    async fn is_quiet(&self) -> bool {
        settle().await;
        self.taken.lock().await.is_empty()
    }
}

/// Lets every task that can run do so; time is virtual and does not move.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

struct Bench {
    world: World,
    lamp: DeviceId,
}

impl Bench {
    async fn new() -> Self {
        // A model that says nothing: every command goes.
        let world = World::with(|product| product.model = Default::default()).await;
        Self { world, lamp: LAMP.into() }
    }

    /// Logs the lamp in and subscribes; what waits is sent.
    async fn arrive(&self) -> (Login, Arc<Line>) {
        let login = self.world.log_in().await.expect("admitted");
        let (orders, taken) = mpsc::unbounded_channel();
        let line = Arc::new(Line { orders, taken: Mutex::new(taken) });
        assert!(self.world.platform.directory.enter(&self.lamp, login.epoch, line.clone()));
        self.world.platform.clone().pending(&login.account, login.epoch).await;
        (login, line)
    }

    async fn leave(&self, epoch: Epoch, login: &Login) {
        self.world.platform.directory.leave(&self.lamp, epoch);
        self.world.platform.logout(&login.account, epoch, Ending::Lost).await;
    }

    async fn send(&self, new: NewMessage) -> Result<Message, Error> {
        self.world.platform.create_message(self.world.space(), &self.lamp, new).await
    }

    async fn message(&self, id: &str) -> Message {
        let found = self.world.platform.message(self.world.space(), &self.lamp, &id.into()).await;
        found.expect("kept")
    }

    async fn order(&self, name: &str, strategy: Strategy) -> Result<Command, Error> {
        let new = NewCommand {
            service: None,
            command: name.into(),
            params: Map::new(),
            strategy,
            expire_s: Some(3600),
        };
        self.world.platform.create_command(self.world.space(), &self.lamp, new).await
    }

    async fn delayed(&self, name: &str) -> CommandId {
        self.order(name, Strategy::Delay).await.expect("kept").id
    }

    async fn command(&self, id: &CommandId) -> Command {
        let found = self.world.platform.command(self.world.space(), &self.lamp, id).await;
        found.expect("kept")
    }

    async fn status(&self, id: &CommandId) -> Status {
        settle().await;
        self.command(id).await.status
    }

    /// Moves time and serves the timers.
    async fn pass(&self, time: Duration) {
        self.world.platform.clock.advance(time);
        self.world.platform.sweep_outbox().await.expect("sweep");
        settle().await;
    }
}

fn text(id: &str) -> NewMessage {
    NewMessage { id: Some(id.into()), content: json!(id), ..NewMessage::default() }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(start_paused = true)]
async fn messages_wait_and_leave_in_order_each_after_the_acknowledgement_before() {
    let bench = Bench::new().await;
    for id in ["first", "second"] {
        assert_eq!(bench.send(text(id)).await.expect("kept").status, message::Status::Pending);
    }
    assert_eq!(bench.send(text("first")).await.expect_err("taken").code(), "message.exists");
    let (_, line) = bench.arrive().await;
    let first = line.next().await;
    assert_eq!(first.name(), "first");
    let Downlink::Message { envelope: Some(envelope), channel, .. } = &first.request else {
        panic!("{:?}", first.request)
    };
    assert_eq!(&**channel, "default");
    assert_eq!((&*envelope.id, &envelope.content), ("first", &json!("first")));
    assert!(line.is_quiet().await, "the second one waits for the acknowledgement");
    first.take();
    let second = line.next().await;
    assert_eq!(bench.message("first").await.status, message::Status::Delivered);
    assert_eq!(bench.message("second").await.status, message::Status::Pending);
    // A message sent meanwhile does not overtake.
    let third = tokio::spawn({
        let (platform, space) = (bench.world.platform.clone(), bench.world.space().clone());
        let (lamp, new) = (bench.lamp.clone(), text("third"));
        async move { platform.create_message(&space, &lamp, new).await }
    });
    settle().await;
    second.take();
    line.next().await.take();
    let third = third.await.expect("task").expect("kept");
    assert_eq!(third.status, message::Status::Delivered, "the creator hears of it");
    assert!(line.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_acknowledged_is_delivered_again() {
    let bench = Bench::new().await;
    bench.send(text("a")).await.expect("kept");
    let (login, line) = bench.arrive().await;
    line.next().await.fail(CommandError::Lost);
    settle().await;
    assert_eq!(bench.message("a").await.status, message::Status::Pending, "nothing is lost");
    bench.leave(login.epoch, &login).await;
    let (_, line) = bench.arrive().await;
    line.next().await.take();
    settle().await;
    assert_eq!(bench.message("a").await.status, message::Status::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_message_times_out_after_its_life_and_one_without_a_life_fails_at_once() {
    let bench = Bench::new().await;
    bench.send(text("day")).await.expect("kept");
    let short = NewMessage { ttl: Some(Duration::from_secs(300)), ..text("short") };
    bench.send(short).await.expect("kept");
    let none = NewMessage { ttl: Some(Duration::ZERO), ..text("none") };
    bench.send(none).await.expect("kept");
    settle().await;
    let none = bench.message("none").await;
    let code = none.error.expect("why").0;
    assert_eq!((none.status, &*code), (message::Status::Failed, "command.offline"));
    bench.pass(Duration::from_secs(300) - Duration::from_millis(1)).await;
    assert_eq!(bench.message("short").await.status, message::Status::Pending);
    bench.pass(Duration::from_millis(1)).await;
    assert_eq!(bench.message("short").await.status, message::Status::Timeout);
    bench.pass(DAY - Duration::from_secs(301)).await;
    assert_eq!(bench.message("day").await.status, message::Status::Pending);
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(bench.message("day").await.status, message::Status::Timeout);
    let (_, line) = bench.arrive().await;
    assert!(line.is_quiet().await, "what timed out is not delivered");
}

#[tokio::test(start_paused = true)]
async fn a_topic_nobody_subscribed_fails_after_a_grace_for_subscribing() {
    let bench = Bench::new().await;
    bench.send(text("a")).await.expect("kept");
    let (_, line) = bench.arrive().await;
    line.next().await.fail(CommandError::NotListening);
    settle().await;
    assert_eq!(bench.message("a").await.status, message::Status::Pending, "it just logged in");
    bench.pass(Duration::from_secs(10)).await;
    line.next().await.fail(CommandError::NotListening);
    settle().await;
    let failed = bench.message("a").await;
    let code = failed.error.expect("why").0;
    assert_eq!((failed.status, &*code), (message::Status::Failed, "command.not_listening"));
}

#[tokio::test(start_paused = true)]
async fn messages_that_break_a_rule_change_nothing() {
    let bench = Bench::new().await;
    let base64 = message::Encoding::Base64;
    let minutes = |n: u64| Some(Duration::from_secs(n * 60));
    for (new, code) in [
        (NewMessage { id: Some("x".repeat(101)), ..text("a") }, "api.bad_request"),
        (NewMessage { id: Some("a b".into()), ..text("a") }, "api.bad_request"),
        (NewMessage { name: Some("n".repeat(129)), ..text("a") }, "api.bad_request"),
        (NewMessage { content: json!([1]), ..text("a") }, "api.bad_request"),
        (NewMessage { content: json!("%"), encoding: base64, ..text("a") }, "api.bad_request"),
        (NewMessage { content: json!({}), encoding: base64, ..text("a") }, "api.bad_request"),
        (NewMessage { ttl: minutes(7), ..text("a") }, "api.bad_request"),
        (NewMessage { ttl: minutes(1445), ..text("a") }, "api.bad_request"),
        (
            NewMessage { target: message::Target::Topic("a/+".into()), ..text("a") },
            "api.bad_request",
        ),
        (NewMessage { content: json!("x".repeat(300_000)), ..text("a") }, "command.too_large"),
    ] {
        let shown = format!("{:?}", new.ttl);
        assert_eq!(bench.send(new).await.expect_err(&shown).code(), code, "{shown}");
    }
    for n in 0..20 {
        bench.send(text(&format!("m{n}"))).await.expect("kept");
    }
    assert_eq!(bench.send(text("m20")).await.expect_err("full").code(), "api.quota");
    let (platform, space) = (&bench.world.platform, bench.world.space());
    let page = Page { limit: 50, ..Page::default() };
    let listed = platform.messages(space, &bench.lamp, &page).await.expect("list");
    assert_eq!((listed.total, listed.items[0].id.as_str()), (20, "m19"), "newest first");
    platform.delete_message(space, &bench.lamp, &"m3".into()).await.expect("deleted");
    let gone = platform.delete_message(space, &bench.lamp, &"m3".into()).await;
    assert_eq!(gone.expect_err("gone").code(), "api.not_found");
    let stranger = platform.messages(&"other".into(), &bench.lamp, &page).await;
    assert_eq!(stranger.expect_err("another space").code(), "device.unknown");
}

#[tokio::test(start_paused = true)]
async fn three_commands_leave_one_by_one() {
    let bench = Bench::new().await;
    let ids = [bench.delayed("a").await, bench.delayed("b").await, bench.delayed("c").await];
    for id in &ids {
        assert_eq!(bench.status(id).await, Status::Pending);
    }
    let (_, line) = bench.arrive().await;
    let mut first = line.next().await;
    assert_eq!(first.name(), "a");
    assert_eq!(bench.status(&ids[0]).await, Status::Sent);
    first.ack();
    assert_eq!(bench.status(&ids[0]).await, Status::Delivered);
    assert!(line.is_quiet().await, "one in flight");
    first.answer(0);
    let second = line.next().await;
    assert_eq!(bench.status(&ids[0]).await, Status::Successful);
    // Trap T18: the answer comes before the acknowledgement.
    second.answer(3);
    let third = line.next().await;
    let failed = bench.command(&ids[1]).await;
    assert_eq!(
        (failed.status, failed.reason.as_deref()),
        (Status::Failed, Some("command.refused"))
    );
    assert_eq!(failed.answer.expect("answer").code, 3);
    third.answer(0);
    assert_eq!(bench.status(&ids[2]).await, Status::Successful);
    let trace = bench.world.trace(LAMP).await;
    assert!(trace.contains(&"async_command command.refused".to_owned()), "{trace:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_without_acknowledgement_or_answer_times_out_and_the_next_one_leaves() {
    let bench = Bench::new().await;
    let ids = [bench.delayed("a").await, bench.delayed("b").await, bench.delayed("c").await];
    let (_, line) = bench.arrive().await;
    let _unacknowledged = line.next().await;
    settle().await;
    bench.pass(Duration::from_secs(20) - Duration::from_millis(1)).await;
    assert_eq!(bench.status(&ids[0]).await, Status::Sent);
    bench.pass(Duration::from_millis(1)).await;
    let mut unanswered = line.next().await;
    let over = bench.command(&ids[0]).await;
    assert_eq!((over.status, over.reason.as_deref()), (Status::Timeout, Some("command.no_ack")));
    unanswered.ack();
    settle().await;
    bench.pass(Duration::from_secs(180) - Duration::from_millis(1)).await;
    assert_eq!(bench.status(&ids[1]).await, Status::Delivered);
    bench.pass(Duration::from_millis(1)).await;
    let third = line.next().await;
    let over = bench.command(&ids[1]).await;
    assert_eq!((over.status, over.reason.as_deref()), (Status::Timeout, Some("command.no_answer")));
    third.answer(0);
    assert_eq!(bench.status(&ids[2]).await, Status::Successful);
}

#[tokio::test(start_paused = true)]
async fn a_pending_command_expires_or_is_cancelled() {
    let bench = Bench::new().await;
    let (kept, taken_back) = (bench.delayed("a").await, bench.delayed("b").await);
    let (platform, space) = (&bench.world.platform, bench.world.space());
    let cancelled = platform.cancel_command(space, &bench.lamp, &taken_back).await;
    assert_eq!(cancelled.expect("cancelled").status, Status::Canceled);
    let again = platform.cancel_command(space, &bench.lamp, &taken_back).await;
    assert_eq!(again.expect_err("over").code(), "api.conflict");
    let unknown = platform.cancel_command(space, &bench.lamp, &"x".into()).await;
    assert_eq!(unknown.expect_err("unknown").code(), "api.not_found");
    bench.pass(Duration::from_secs(3600) - Duration::from_millis(1)).await;
    assert_eq!(bench.status(&kept).await, Status::Pending);
    bench.pass(Duration::from_millis(1)).await;
    assert_eq!(bench.status(&kept).await, Status::Expired);
    let (_, line) = bench.arrive().await;
    assert!(line.is_quiet().await);
    let history = CommandFilter { open: Some(false), ..CommandFilter::default() };
    let page = Page { limit: 9, ..Page::default() };
    let listed = platform.commands(space, &bench.lamp, &history, &page).await.expect("list");
    assert_eq!(listed.total, 2);
}

#[tokio::test(start_paused = true)]
async fn the_default_life_is_a_day_and_two_days_are_the_most() {
    let bench = Bench::new().await;
    let (platform, space) = (&bench.world.platform, bench.world.space());
    let new = |expire_s| NewCommand {
        service: Some("s".into()),
        command: "a".into(),
        params: Map::new(),
        strategy: Strategy::Delay,
        expire_s,
    };
    for (asked, kept) in [(None, 86_400), (Some(0), 86_400), (Some(172_800), 172_800)] {
        let made = platform.create_command(space, &bench.lamp, new(asked)).await.expect("kept");
        assert_eq!(made.expire_s, kept);
    }
    let long = platform.create_command(space, &bench.lamp, new(Some(172_801))).await;
    assert_eq!(long.expect_err("too long").code(), "api.bad_request");
    let mut large = new(None);
    large.params.insert("x".into(), json!("x".repeat(40_000)));
    let large = platform.create_command(space, &bench.lamp, large).await;
    assert_eq!(large.expect_err("too large").code(), "command.too_large");
    for _ in 3..20 {
        bench.delayed("more").await;
    }
    let full = bench.order("one more", Strategy::Delay).await;
    assert_eq!(full.expect_err("20 wait").code(), "api.quota");
    bench.pass(DAY).await;
    bench.pass(DAY).await;
    let page = Page { limit: 50, ..Page::default() };
    let expired = CommandFilter { status: Some(Status::Expired), ..CommandFilter::default() };
    let listed = platform.commands(space, &bench.lamp, &expired, &page).await.expect("list");
    assert_eq!(listed.total, 20);
}

#[tokio::test(start_paused = true)]
async fn an_immediate_command_needs_the_device() {
    let bench = Bench::new().await;
    let refused = bench.order("a", Strategy::Immediately).await;
    assert_eq!(refused.expect_err("away").code(), "command.offline");
    let (_, line) = bench.arrive().await;
    let made = tokio::spawn({
        let (platform, space) = (bench.world.platform.clone(), bench.world.space().clone());
        let lamp = bench.lamp.clone();
        async move {
            let new = NewCommand {
                service: None,
                command: "b".into(),
                params: Map::new(),
                strategy: Strategy::Immediately,
                expire_s: None,
            };
            platform.create_command(&space, &lamp, new).await
        }
    });
    let held = line.next().await;
    let made = made.await.expect("task").expect("made");
    assert_eq!(made.status, Status::Sent, "the creator hears of it");
    // Another one waits for its turn; when that comes nobody is there.
    let next = bench.order("c", Strategy::Immediately).await.expect("kept").id;
    assert_eq!(bench.status(&next).await, Status::Pending);
    bench.world.platform.directory.leave(&bench.lamp, bench.world.platform.directory.next_epoch());
    let epoch = bench.world.platform.store.presence(&bench.lamp).await.expect("presence").epoch;
    bench.world.platform.directory.leave(&bench.lamp, epoch);
    held.fail(CommandError::Lost);
    assert_eq!(bench.status(&made.id).await, Status::Timeout);
    let failed = bench.command(&next).await;
    assert_eq!(
        (failed.status, failed.reason.as_deref()),
        (Status::Failed, Some("command.offline"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_delayed_command_whose_connection_was_lost_is_sent_again() {
    let bench = Bench::new().await;
    let id = bench.delayed("a").await;
    let (login, line) = bench.arrive().await;
    let lost = line.next().await;
    bench.leave(login.epoch, &login).await;
    lost.fail(CommandError::Lost);
    assert_eq!(bench.status(&id).await, Status::Sent, "as the device may have it");
    assert!(bench.command(&id).await.is_parked);
    let (_, line) = bench.arrive().await;
    line.next().await.answer(0);
    assert_eq!(bench.status(&id).await, Status::Successful);
}

#[tokio::test]
async fn what_is_desired_is_sent_once_per_session() {
    let outbox = crate::service::outbox::Outbox::default();
    let lamp = DeviceId::from(LAMP);
    assert!(outbox.is_first_of(&lamp, Epoch(1)));
    assert!(!outbox.is_first_of(&lamp, Epoch(1)), "however often it subscribes");
    assert!(outbox.is_first_of(&lamp, Epoch(2)), "it is back");
    outbox.leave(&lamp, Epoch(1));
    assert!(!outbox.is_first_of(&lamp, Epoch(2)), "an older session ended late");
    outbox.leave(&lamp, Epoch(2));
    assert!(outbox.is_first_of(&lamp, Epoch(2)), "and nothing is remembered for ever");
}

#[tokio::test(start_paused = true)]
async fn a_restart_sends_again_what_was_on_its_way() {
    let bench = Bench::new().await;
    let id = bench.delayed("a").await;
    let (_, line) = bench.arrive().await;
    let _held = line.next().await;
    settle().await;
    // What memory knew is gone; the store knows.
    bench.world.platform.recall_outbox().await.expect("recalled");
    let parked = bench.command(&id).await;
    assert!(parked.is_parked && parked.status == Status::Sent);
}
