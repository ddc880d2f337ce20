//! The phone's dialogue alone; `device::tests` lets it talk to the device.

use std::string::ToString;
use std::vec;

use super::*;
use crate::tencent::comm::Record;

const TOKEN: &str = "69f978dfbb48ec40cadb6d9af470d0f6";

fn dialogue() -> Dialogue {
    Dialogue::new(Task::TokenOnly { token: TOKEN.into() }, Policy::default())
}

fn feed(dialogue: &mut Dialogue, input: Input<'_>, ms: u64) -> Vec<Output> {
    let mut out = Vec::new();
    dialogue.handle(input, Tick::from_millis(ms), &mut out);
    out
}

fn identity(device: &str) -> Vec<u8> {
    let protocol = Protocol::V3;
    Message::Identity { product: "P".into(), device: device.into(), protocol }.emit(protocol)
}

#[test]
fn silence_is_told_after_five_sends_and_ten_seconds() {
    let mut phone = dialogue();
    let sent = Output::Send(std::format!(r#"{{"cmdType":0,"token":"{TOKEN}"}}"#).into_bytes());
    assert_eq!(feed(&mut phone, Input::Start, 0), std::slice::from_ref(&sent));
    assert_eq!(feed(&mut phone, Input::Timeout, 1999), []);
    for n in 1..5 {
        assert_eq!(
            feed(&mut phone, Input::Timeout, 2000 * n),
            std::slice::from_ref(&sent),
            "send {n}"
        );
    }
    assert_eq!(feed(&mut phone, Input::Timeout, 10_000), [Output::Silent]);
    assert_eq!(phone.deadline(), None);
    let late = feed(&mut phone, Input::Datagram(&identity("D")), 11_000);
    assert!(matches!(&late[..], [Output::Found { .. }]), "a late answer still counts");
}

#[test]
fn replies_are_deduplicated_and_old_errors_are_passed_over() {
    let mut phone = dialogue();
    feed(&mut phone, Input::Start, 0);
    let text = RecordText::from(Record { id: 10, sub: 2 });
    let old = Message::Record { previous: true, text: text.clone() }.emit(Protocol::V2);
    let told = Output::PreviousError(text);
    assert_eq!(feed(&mut phone, Input::Datagram(&old), 1), [told]);
    assert_eq!(feed(&mut phone, Input::Datagram(&old), 2), []);
    assert_eq!(feed(&mut phone, Input::Datagram(b"noise"), 3), []);
    assert!(matches!(
        &feed(&mut phone, Input::Datagram(&identity("D")), 4)[..],
        [Output::Found { .. }]
    ));
    assert_eq!(feed(&mut phone, Input::Datagram(&identity("D")), 5), []);
}

#[test]
fn an_error_of_this_attempt_ends_it_with_its_cause() {
    for (record, code) in [
        (Record { id: 10, sub: 2 }, "attempt.network_not_joined"),
        (Record { id: 1, sub: -1001 }, "attempt.never_connected"),
        (Record { id: 2, sub: 204 }, "attempt.device_error"),
        (Record { id: 24, sub: 1029 }, "bind.unknown_token"),
    ] {
        let mut phone = dialogue();
        feed(&mut phone, Input::Start, 0);
        let bytes = Message::Record { previous: false, text: record.into() }.emit(Protocol::V2);
        let out = feed(&mut phone, Input::Datagram(&bytes), 1);
        let [Output::Failed(error)] = &out[..] else { panic!("{out:?}") };
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(record.cause()), "{error}");
        assert_eq!(feed(&mut phone, Input::Datagram(&identity("D")), 2), []);
        assert_eq!(phone.deadline(), None);
    }
}

#[test]
fn progress_of_the_own_device_is_followed_once_each() {
    let mut phone = dialogue();
    feed(&mut phone, Input::Start, 0);
    feed(&mut phone, Input::Datagram(&identity("D")), 1);
    let progress = |device: &str, state| {
        Message::Progress { product: "P".into(), device: device.into(), state }.emit(Protocol::V3)
    };
    let connecting = progress("D", Progress::Connecting);
    let foreign = progress("E", Progress::ConnectFailed);
    assert_eq!(feed(&mut phone, Input::Datagram(&foreign), 2), []);
    let told = vec![Output::Progress(Progress::Connecting)];
    assert_eq!(feed(&mut phone, Input::Datagram(&connecting), 3), told);
    assert_eq!(feed(&mut phone, Input::Datagram(&connecting), 4), []);
    let failed = progress("D", Progress::ReportFailed);
    let out = feed(&mut phone, Input::Datagram(&failed), 5);
    let [Output::Progress(Progress::ReportFailed), Output::Failed(error)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(error.code(), "attempt.token_not_reported");
}

#[test]
fn a_log_query_shows_the_log_without_secrets_or_nothing() {
    let mut phone = Dialogue::new(Task::ReadLog, Policy::default());
    assert_eq!(feed(&mut phone, Input::Start, 0), [Output::Send(br#"{"cmdType":3}"#.to_vec())]);
    let log = b"5|join(1): SSID:a|PSW:b|TOKEN:c\r\n";
    let lines = vec!["5|join(1): SSID:a|PSW:***|TOKEN:***".to_string()];
    assert_eq!(feed(&mut phone, Input::Datagram(log), 1), [Output::Log(lines)]);
    assert_eq!(feed(&mut phone, Input::Datagram(log), 2), [], "the second copy");

    let mut phone = Dialogue::new(Task::ReadLog, Policy::default());
    feed(&mut phone, Input::Start, 0);
    for n in 1..5 {
        feed(&mut phone, Input::Timeout, 2000 * n);
    }
    assert_eq!(feed(&mut phone, Input::Timeout, 10_000), [Output::Log(Vec::new())]);
}
