//! Phones in the local network: seed §7.1 to §7.5, §13.

use std::vec::Vec;

use super::super::super::lan::{cmd, udp};
use super::super::super::mcu::Hand;
use super::super::clients::CLIENTS_MAX;
use super::*;

#[test]
fn thirty_announcements_after_power_on_then_silence() {
    let mut bench = Bench::configured(Policy::document());
    bench.run(120_000);
    let times = bench.times(|did| matches!(did, Did::Broadcast(_)));
    assert_eq!(times.len(), 30);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 1_000));
    assert!(times[29] < 30_500);
}

#[test]
fn discovery_is_answered_at_once_to_the_asker() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.datagram(&Message::Discover);
    let Some((_, Did::Udp(to, bytes))) = bench.said.first() else { panic!("at once") };
    assert_eq!(*to, phone());
    let Message::Found(block) = Message::of(&udp(bytes).expect("frame")) else { panic!("found") };
    assert_eq!((block.did, block.mac), (DID.as_bytes(), &MAC[..]));
    assert_eq!(block.product_key, KEY.as_bytes());
    // Without these node-ph803w never ends.
    assert_eq!(block.api_server, Some(&b"api.gizwits.com:80"[..]));
    assert!(block.version.is_some());
    assert_eq!(block.firmware, b"", "the module's firmware version is not burnt in");
    // Real firmware leaves the texts out.
    let mut bench = Bench::online(Policy::firmware());
    bench.forget();
    bench.datagram(&Message::Discover);
    let Some((_, Did::Udp(_, bytes))) = bench.said.first() else { panic!("at once") };
    assert_eq!(bytes.len(), 84);
}

#[test]
fn passcode_has_ten_random_characters_and_is_given_while_bindable() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut bench = Bench::configured(Policy::document());
        bench.dice = Random::new(seed);
        bench.run(1_000);
        bench.connect(1);
        bench.say(1, &Message::PasscodeRequest);
        let answer = bench.heard(1).pop().expect("answered");
        assert_eq!(answer[..3], [7, 0, 10]);
        assert!(answer[3..].iter().all(u8::is_ascii_alphanumeric));
        assert_eq!(&answer[3..], bench.passcode().expose());
        seen.insert(answer);
    }
    assert!(seen.len() > 15, "one of each module");
}

#[test]
fn the_passcode_is_empty_outside_of_the_window() {
    let mut bench = Bench::configured(Policy::document());
    let mut info = Mcu::new(KEY, Panel::pet_house()).info().clone();
    info.bindable_s = 5;
    bench.mcu = Some(Mcu::with_info(info, Panel::pet_house()));
    bench.run(4_000);
    assert!(bench.status().binding, "from the start on");
    bench.run(2_000);
    assert!(!bench.status().binding);
    bench.connect(1);
    bench.say(1, &Message::PasscodeRequest);
    assert_eq!(bench.heard(1), [std::vec![7, 0, 0]]);
    assert!(bench.closed(1));
    bench.hand(Hand::Bindable);
    assert!(bench.status().binding, "opened by the MCU");
    bench.run(6_000);
    assert!(!bench.status().binding);
    bench.hand(Hand::SoftAp);
    assert!(bench.status().binding, "opened by configuration");
}

#[test]
fn only_the_right_passcode_lets_in() {
    let mut bench = Bench::online(Policy::document());
    bench.connect(1);
    bench.say(1, &Message::Login(b"WRONGCODE0"));
    assert_eq!(bench.heard(1), [std::vec![9, 1]]);
    assert!(bench.closed(1) && !bench.status().app);
    bench.log_in(2);
    assert!(bench.status().app && bench.mcu_status.is_some());
    for (n, message) in [
        Message::Heartbeat,
        Message::Control(&[2]),
        Message::VersionRequest,
        Message::ControlSn { sn: 1, p0: &[2] },
        Message::LogSwitch { on: true, level: 4 },
    ]
    .into_iter()
    .enumerate()
    {
        let conn = 10 + n as u32;
        bench.connect(conn);
        bench.say(conn, &message);
        assert!(bench.closed(conn) && bench.heard(conn).is_empty(), "{message:?}");
    }
    // What may be asked before.
    bench.connect(30);
    bench.say(30, &Message::InfoRequest);
    bench.say(30, &Message::PasscodeRequest);
    assert!(!bench.closed(30) && bench.heard(30).len() == 2);
}

#[test]
fn a_length_that_lies_does_not_lock_a_phone_out() {
    let mut bench = Bench::online(Policy::document());
    bench.connect(1);
    let passcode = bench.passcode();
    // The inner length says 32: real modules never look.
    let bytes = [&[0, 0, 0, 3, 15, 0, 0, 8, 0, 32][..], passcode.expose()].concat();
    bench.after(0, Due::Tcp(1, bytes));
    bench.run(0);
    assert_eq!(bench.heard(1), [std::vec![9, 0]]);
    // The outer length says more than comes.
    bench.connect(2);
    let bytes = [&[0, 0, 0, 3, 40, 0, 0, 8, 0, 10][..], passcode.expose()].concat();
    bench.after(0, Due::Tcp(2, bytes));
    bench.run(600);
    assert_eq!(bench.heard(2), [std::vec![9, 0]]);
}

#[test]
fn eight_phones_and_no_ninth() {
    let mut bench = Bench::online(Policy::document());
    for conn in 0..CLIENTS_MAX as u32 {
        bench.log_in(conn);
    }
    bench.connect(100);
    assert!(bench.closed(100));
    assert!((0..CLIENTS_MAX as u32).all(|conn| !bench.closed(conn)));
    bench.after(0, Due::TcpClosed(3));
    bench.run(0);
    bench.log_in(101);
}

#[test]
fn a_phone_is_dropped_after_12_seconds_of_silence() {
    for (policy, seconds) in [(Policy::document(), 12), (Policy::firmware(), 13)] {
        let mut bench = Bench::online(policy);
        bench.log_in(1);
        bench.connect(2);
        for _ in 0..5 {
            bench.run(4_000);
            bench.say(1, &Message::Heartbeat);
        }
        assert!(!bench.closed(1) && bench.closed(2), "also before the log-in");
        assert_eq!(bench.heard(1).iter().filter(|m| m[0] == 0x16).count(), 5);
        let since = bench.now.as_millis();
        bench.run(20_000);
        assert_eq!(bench.times(|did| *did == Did::CloseTcp(1)), [since + seconds * 1000]);
        assert!(!bench.status().app);
    }
}

fn serial_payloads(bench: &Bench, cmd: u8) -> Vec<Vec<u8>> {
    bench
        .said
        .iter()
        .filter_map(|(_, did)| match did {
            Did::Serial(bytes) if bytes[4] == cmd => Some(bytes[8..bytes.len() - 1].to_vec()),
            _ => None,
        })
        .collect()
}

#[test]
fn answers_go_to_the_asker_and_reports_to_everybody() {
    let mut bench = Bench::online(Policy::document());
    bench.log_in(1);
    bench.log_in(2);
    bench.forget();
    bench.say(1, &Message::Control(&[2]));
    bench.run(5);
    assert_eq!(serial_payloads(&bench, 3), [std::vec![2]], "the head was changed, nothing else");
    let status = bench.mcu.as_ref().map(|mcu| mcu.panel().status().to_vec()).expect("MCU");
    assert_eq!(bench.heard(1), [[&[0x91, 3][..], &status].concat()]);
    assert!(bench.heard(2).is_empty());
    assert_eq!(bench.count(|did| matches!(did, Did::Publish(..))), 0);

    bench.forget();
    bench.say(2, &Message::ControlSn { sn: 0xFFFF_FFFE, p0: &[1, 1, 1, 0, 0, 0, 0] });
    bench.run(3);
    assert_eq!(bench.heard(2)[0], [0x94, 0xFF, 0xFF, 0xFF, 0xFE], "the MCU's acknowledgement");
    assert_eq!(bench.mcu_set, ["LED_OnOff"]);
    bench.run(10);
    // The report that follows goes everywhere.
    let report = [&[0x91, 4][..], bench.mcu.as_ref().expect("MCU").panel().status()].concat();
    assert_eq!(bench.heard(1), std::slice::from_ref(&report));
    assert_eq!(bench.heard(2)[1], report);
    let publishes: Vec<_> = bench
        .said
        .iter()
        .filter_map(|(_, did)| match did {
            Did::Publish(topic, payload) => Some((topic.clone(), payload[8..].to_vec())),
            _ => None,
        })
        .collect();
    assert_eq!(publishes, [(std::format!("dev2app/{DID}"), report[1..].to_vec())]);
    // First the acknowledgement to the MCU, then the phones, then the cloud.
    let order: Vec<usize> = [
        bench.said.iter().position(|(_, d)| matches!(d, Did::Serial(b) if b[4] == 6)),
        bench.said.iter().position(|(_, d)| matches!(d, Did::Tcp(1, b) if b[7] == 0x91)),
        bench.said.iter().position(|(_, d)| matches!(d, Did::Publish(..))),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(order.len() == 3 && order.is_sorted());
}

#[test]
fn a_control_without_number_is_answered_by_the_report_alone() {
    for (policy, frames) in [(Policy::document(), 1), (Policy::firmware(), 2)] {
        let mut bench = Bench::online(policy);
        bench.log_in(1);
        bench.forget();
        bench.say(1, &Message::Control(&[1, 1, 1, 0, 0, 0, 0]));
        bench.run(20);
        assert_eq!(bench.heard(1).len(), frames, "real firmware adds an empty one");
    }
}

#[test]
fn transparent_data_passes_both_ways() {
    let mut bench = Bench::online(Policy::document());
    bench.log_in(1);
    bench.forget();
    let data: Vec<u8> = (0..=255).collect();
    bench.say(1, &Message::Control(&[&[5][..], &data].concat()));
    bench.run(5);
    let wire = bench.said.iter().find_map(|(_, did)| match did {
        Did::Serial(bytes) if bytes[4] == 3 => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(wire.expect("forwarded").len(), 9 + 257 + 1, "one FF escaped");
    let mut up = Vec::new();
    let p0 = [&[6][..], &data].concat();
    super::super::super::serial::encode(
        &super::super::super::serial::Frame { cmd: 5, sn: 9, flags: 0, payload: &p0 },
        &mut up,
    );
    bench.after(0, Due::Serial(up));
    bench.run(0);
    let heard = bench.heard(1).pop().expect("forwarded");
    assert_eq!((heard[0], &heard[1..]), (0x91, &p0[..]));
}

#[test]
fn a_repeated_report_is_acknowledged_twice_and_told_once() {
    let mut bench = Bench::online(Policy::document());
    bench.log_in(1);
    bench.forget();
    for ms in [0, 200, 400] {
        let mut up = Vec::new();
        let frame =
            super::super::super::serial::Frame { cmd: 5, sn: 9, flags: 0, payload: &[4, 1] };
        super::super::super::serial::encode(&frame, &mut up);
        bench.after(ms, Due::Serial(up));
    }
    bench.run(500);
    assert_eq!(serial_payloads(&bench, 6).len(), 3);
    assert_eq!(bench.heard(1).len(), 1);
}

#[test]
fn module_information_has_a_true_length() {
    let mut bench = Bench::online(Policy::document());
    bench.connect(1);
    bench.say(1, &Message::InfoRequest);
    let sent = bench
        .said
        .iter()
        .find_map(|(_, did)| match did {
            Did::Tcp(1, bytes) => Some(bytes.clone()),
            _ => None,
        })
        .expect("answered");
    assert_eq!((sent[4], sent.len()), (0x57, 92));
    assert_eq!(&sent[8..24], b"000LINUX04020006");
}

#[test]
fn the_log_is_off_until_a_phone_wants_it() {
    let mut bench = Bench::online(Policy::document());
    bench.log_in(1);
    bench.log_in(2);
    bench.connect(3);
    bench.say(3, &Message::Login(b"WRONGCODE0"));
    let lines = |bench: &Bench, conn| {
        bench.heard(conn).into_iter().filter(|m| m[0] == cmd::LOG_LINE as u8).collect::<Vec<_>>()
    };
    assert!(lines(&bench, 1).is_empty());
    bench.say(1, &Message::LogSwitch { on: true, level: 2 });
    bench.connect(4);
    bench.say(4, &Message::Login(b"WRONGCODE0"));
    assert_eq!(
        lines(&bench, 1),
        [[&[0x12, 2][..], b"WARNING phone closed: wrong passcode"].concat()]
    );
    assert!(lines(&bench, 2).is_empty());
    bench.say(1, &Message::LogSwitch { on: false, level: 0 });
    bench.connect(5);
    bench.say(5, &Message::Login(b"WRONGCODE0"));
    assert_eq!(lines(&bench, 1).len(), 1);

    // In SoftAP as well.
    let mut bench = Bench::new(Policy::document());
    bench.run(1_000);
    bench.log_in(1);
    bench.say(1, &Message::LogSwitch { on: true, level: 5 });
    bench.datagram(&Message::Onboard { ssid: b"", password: b"" });
    assert!(!lines(&bench, 1).is_empty());
}

#[test]
fn the_small_loop_works_without_the_cloud() {
    let mut bench = Bench::configured(Policy::document());
    bench.resolver = None;
    bench.api = Box::new(|_| Api::Refused);
    bench.run(60_000);
    assert!(!bench.status().cloud && bench.status().router);
    bench.log_in(1);
    bench.say(1, &Message::ControlSn { sn: 7, p0: &[1, 1, 1, 0, 0, 0, 0] });
    bench.run(20);
    assert_eq!(bench.heard(1)[1], [0x94, 0, 0, 0, 7]);
}
