//! Every transition and every timer, in virtual time.

use alloc::vec::Vec;

use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;
use serde_json::json;

use super::*;
use Status::{Canceled, Delivered, Expired, Failed, Pending, Sent, Successful, Timeout};

const HOUR: u32 = 3600;

fn queued(strategy: Strategy, expire_s: u32) -> Command {
    Command {
        id: "c1".into(),
        device: "lamp".into(),
        service: "s".into(),
        command: "blink".into(),
        params: Map::new(),
        strategy,
        expire_s,
        status: Pending,
        created_at: Timestamp(0),
        sent_at: None,
        delivered_at: None,
        answered_at: None,
        ended_at: None,
        due_at: Some(Timestamp(i64::from(expire_s) * 1000)),
        sends: 0,
        is_parked: false,
        answer: None,
        reason: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1000)
}

fn answer(code: i64) -> Input {
    let Value::Object(output) = json!({"seen": 1}) else { panic!("object") };
    Input::Answered(Answer { code, status: "ok".into(), output })
}

const TURN: Input = Input::Turn { jitter: 0 };
const TICK: Input = Input::Timeout { jitter: 0 };

/// Plays inputs at seconds; returns the states after each.
fn play(command: &mut Command, policy: &Policy, steps: Vec<(i64, Input)>) -> Vec<Status> {
    let states = steps.into_iter().map(|(second, input)| {
        command.handle(input, at(second), policy);
        command.status
    });
    states.collect()
}

#[test]
fn a_command_is_sent_acknowledged_and_answered() {
    let mut command = queued(Strategy::Delay, HOUR);
    let steps = alloc::vec![(1, TURN), (2, Input::Acked), (3, answer(0)), (4, answer(7))];
    let states = play(&mut command, &Policy::RELIABLE, steps);
    assert_eq!(states, [Sent, Delivered, Successful, Successful], "an ended one never changes");
    assert_eq!((command.sent_at, command.delivered_at), (Some(at(1)), Some(at(2))));
    assert_eq!((command.answered_at, command.ended_at), (Some(at(3)), Some(at(3))));
    assert_eq!((command.due_at, command.reason), (None, None));
}

#[test]
fn trap_18_an_answer_before_its_acknowledgement_counts() {
    let mut command = queued(Strategy::Delay, HOUR);
    let steps = alloc::vec![(1, TURN), (2, answer(0)), (3, Input::Acked)];
    let states = play(&mut command, &Policy::DATAGRAM, steps);
    assert_eq!(states, [Sent, Successful, Successful]);
    assert_eq!(command.delivered_at, Some(at(2)));
}

#[test]
fn an_answer_with_an_error_is_a_failure() {
    let mut command = queued(Strategy::Delay, HOUR);
    let states = play(
        &mut command,
        &Policy::RELIABLE,
        alloc::vec![(1, TURN), (2, Input::Acked), (3, answer(5))],
    );
    assert_eq!(states, [Sent, Delivered, Failed]);
    assert_eq!(command.reason.as_deref(), Some("command.refused"));
    assert_eq!(command.answer.map(|answer| answer.code), Some(5));
}

#[test]
fn a_pending_command_expires_to_the_second() {
    for expire in [60, 24 * HOUR, 48 * HOUR] {
        let mut command = queued(Strategy::Delay, expire);
        let last = i64::from(expire);
        assert_eq!(
            command.handle(TICK, Timestamp(last * 1000 - 1), &Policy::RELIABLE),
            Output::Nothing
        );
        assert_eq!(command.handle(TICK, at(last), &Policy::RELIABLE), Output::Changed);
        assert_eq!(command.status, Expired);
    }
    let mut late = queued(Strategy::Delay, 60);
    assert_eq!(late.handle(TURN, at(60), &Policy::RELIABLE), Output::Changed, "not sent too late");
    assert_eq!(late.status, Expired);
}

#[test]
fn only_a_pending_command_is_cancelled() {
    let mut command = queued(Strategy::Delay, HOUR);
    assert_eq!(command.handle(Input::Cancel, at(1), &Policy::RELIABLE), Output::Changed);
    assert_eq!(command.status, Canceled);
    let mut command = queued(Strategy::Delay, HOUR);
    let states = play(&mut command, &Policy::RELIABLE, alloc::vec![(1, TURN), (2, Input::Cancel)]);
    assert_eq!(states, [Sent, Sent]);
}

#[test]
fn over_a_reliable_transport_no_acknowledgement_is_a_timeout_after_20_s() {
    let mut command = queued(Strategy::Delay, HOUR);
    command.handle(TURN, at(1), &Policy::RELIABLE);
    assert_eq!(command.handle(TICK, Timestamp(20_999), &Policy::RELIABLE), Output::Nothing);
    assert_eq!(command.handle(TICK, at(21), &Policy::RELIABLE), Output::Changed);
    assert_eq!((command.status, command.reason.as_deref()), (Timeout, Some("command.no_ack")));
}

#[test]
fn over_datagrams_it_is_repeated_three_times() {
    for (jitter, repeats, end) in [(0, [10, 30, 70], 150), (255, [15, 45, 105], 285)] {
        let mut command = queued(Strategy::Delay, HOUR);
        let tick = Input::Timeout { jitter };
        command.handle(Input::Turn { jitter }, at(0), &Policy::DATAGRAM);
        for (n, repeat) in repeats.into_iter().enumerate() {
            let early = Timestamp(repeat * 1000 - 1);
            assert_eq!(command.handle(tick.clone(), early, &Policy::DATAGRAM), Output::Nothing);
            assert_eq!(command.handle(tick.clone(), at(repeat), &Policy::DATAGRAM), Output::Send);
            assert_eq!((usize::from(command.sends), command.status), (n + 2, Sent));
        }
        assert_eq!(
            command.handle(tick.clone(), Timestamp(end * 1000 - 1), &Policy::DATAGRAM),
            Output::Nothing
        );
        assert_eq!(command.handle(tick, at(end), &Policy::DATAGRAM), Output::Changed);
        assert_eq!(command.status, Timeout);
    }
}

#[test]
fn a_delivered_command_waits_for_its_answer_for_a_time() {
    let mut command = queued(Strategy::Delay, HOUR);
    play(&mut command, &Policy::RELIABLE, alloc::vec![(0, TURN), (1, Input::Acked)]);
    assert_eq!(command.handle(TICK, Timestamp(180_999), &Policy::RELIABLE), Output::Nothing);
    assert_eq!(command.handle(TICK, at(181), &Policy::RELIABLE), Output::Changed);
    assert_eq!((command.status, command.reason.as_deref()), (Timeout, Some("command.no_answer")));
    assert_eq!(command.handle(answer(0), at(182), &Policy::RELIABLE), Output::Nothing, "too late");
    assert_eq!(command.status, Timeout);
}

#[test]
fn a_lost_connection_parks_a_delayed_command_and_ends_an_immediate_one() {
    let mut command = queued(Strategy::Delay, HOUR);
    play(&mut command, &Policy::RELIABLE, alloc::vec![(0, TURN), (1, Input::Lost)]);
    assert!(command.is_parked && !command.is_in_flight());
    assert_eq!((command.status, command.due_at), (Sent, Some(at(3600))));
    assert_eq!(command.handle(TURN, at(50), &Policy::RELIABLE), Output::Send, "sent again");
    assert_eq!(command.sent_at, Some(at(50)));
    command.handle(Input::Lost, at(51), &Policy::RELIABLE);
    assert_eq!(command.handle(TICK, at(3600), &Policy::RELIABLE), Output::Changed);
    assert_eq!(command.status, Timeout, "it was sent, so it has not expired");
    let mut command = queued(Strategy::Immediately, HOUR);
    let steps = alloc::vec![(0, TURN), (1, Input::Lost)];
    assert_eq!(play(&mut command, &Policy::RELIABLE, steps), [Sent, Timeout]);
}

#[test]
fn what_cannot_be_sent_fails_with_its_reason() {
    let mut command = queued(Strategy::Immediately, HOUR);
    command.handle(Input::Unsendable("command.offline".into()), at(1), &Policy::RELIABLE);
    assert_eq!((command.status, command.reason.as_deref()), (Failed, Some("command.offline")));
}

#[test]
fn one_command_is_in_flight_and_the_oldest_leaves_first() {
    let mut queue: Vec<Command> = (0..3).map(|_| queued(Strategy::Delay, HOUR)).collect();
    queue[0].expire_s = 1;
    let policy = Policy::RELIABLE;
    assert_eq!(turn(&mut queue, at(5), 0, &policy), Some(1), "the first one has expired");
    assert_eq!(turn(&mut queue, at(6), 0, &policy), None, "one is on its way");
    queue[1].handle(Input::Acked, at(7), &policy);
    assert_eq!(turn(&mut queue, at(8), 0, &policy), None, "it is not answered");
    queue[1].handle(answer(0), at(9), &policy);
    assert_eq!(turn(&mut queue, at(10), 0, &policy), Some(2));
    queue[2].handle(Input::Lost, at(11), &policy);
    assert_eq!(turn(&mut queue, at(12), 0, &policy), Some(2), "its turn comes again");
    let states: Vec<_> = queue.iter().map(|queued| queued.status).collect();
    assert_eq!(states, [Expired, Successful, Sent]);
}

#[test]
fn names_read_back() {
    for status in Status::ALL {
        assert_eq!(Status::parse(status.name()), Some(status));
        assert_eq!(serde_json::to_value(status).expect("word"), status.name());
    }
    assert_eq!(Status::parse("pending"), None);
}

fn input() -> impl Generator<Value = Input> {
    prop_oneof![
        any::<u8>().prop_map(|jitter| Input::Turn { jitter }),
        Just(Input::Acked),
        (0..2i64).prop_map(answer),
        Just(Input::Unsendable("command.unsupported".into())),
        Just(Input::Lost),
        Just(Input::Cancel),
        any::<u8>().prop_map(|jitter| Input::Timeout { jitter }),
    ]
}

proptest! {
    /// Whatever happens in whatever order: an open command always has a deadline, an ended one
    /// has none and never changes, and without further news every command ends.
    #[test]
    fn every_command_ends(
        steps in prop::collection::vec((input(), 0..4000i64), 0..30),
        delay: bool,
        datagram: bool,
    ) {
        let strategy = if delay { Strategy::Delay } else { Strategy::Immediately };
        let policy = if datagram { Policy::DATAGRAM } else { Policy::RELIABLE };
        let mut command = queued(strategy, HOUR);
        let mut now = 0;
        for (input, pause) in steps {
            now += pause;
            let before = command.clone();
            let output = command.handle(input, at(now), &policy);
            if !before.status.is_open() || output == Output::Nothing {
                prop_assert_eq!(&before, &command);
            }
            prop_assert_eq!(command.status.is_open(), command.due_at.is_some());
            prop_assert_eq!(command.status.is_open(), command.ended_at.is_none());
            prop_assert!(output != Output::Send || command.is_in_flight());
            prop_assert!(command.sends <= policy.sends_max);
        }
        for _ in 0..6 {
            now += 7200;
            command.handle(TICK, at(now), &policy);
        }
        prop_assert!(!command.status.is_open(), "{:?}", command.status);
    }
}
