//! The MCU's side: seed §3_5, §7.6 to §7.8; GizWits §2.

use std::vec::Vec;

use super::super::super::mcu::Hand;
use super::super::super::serial::{BAUD, Command, Frame, encode};
use super::*;

/// The command bytes the module sent.
fn sent(bench: &Bench) -> Vec<(u64, u8, u8)> {
    let frame = |(ms, did): &(u64, Did)| match did {
        Did::Serial(bytes) => Some((*ms, bytes[4], bytes[5])),
        _ => None,
    };
    bench.said.iter().filter_map(frame).collect()
}

fn raw(cmd: u8, sn: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    encode(&Frame { cmd, sn, flags: 0, payload }, &mut wire);
    wire
}

#[test]
fn the_line_has_9600_baud() {
    assert_eq!(BAUD, 9600);
}

#[test]
fn a_silent_mcu_is_asked_thirty_times_then_the_module_restarts() {
    let mut bench = Bench::new(Policy::document());
    (bench.mcu, bench.restarts) = (None, false);
    bench.run(10_000);
    let asked = sent(&bench);
    let expected: Vec<(u64, u8, u8)> = (0..30).map(|n| (n * 200, 1, (n / 3) as u8)).collect();
    assert_eq!(asked, expected, "ten rounds of three, 200 ms apart, as recorded");
    assert_eq!(bench.restarts(), [RestartReason::McuSilent]);
    assert_eq!(bench.module.deadline(), None, "off");
    assert!(bench.count(|did| matches!(did, Did::Join(_) | Did::OpenAp(_))) == 0);
}

#[test]
fn heartbeat_after_55_seconds_of_silence_only() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.run(300_000);
    let beats: Vec<u64> = sent(&bench).iter().filter(|f| f.1 == 7).map(|f| f.0).collect();
    assert!(
        beats.windows(2).all(|pair| pair[1] - pair[0] >= 55_000) && beats.len() == 5,
        "{beats:?}"
    );
    // Traffic postpones it.
    bench.after(0, Due::Serial(raw(0x05, 200, &[4, 1])));
    bench.run(1);
    bench.forget();
    for _ in 0..10 {
        bench.run(40_000);
        bench.after(0, Due::Serial(raw(0x05, bench.count as u8, &[4, 1])));
    }
    assert_eq!(sent(&bench).iter().filter(|f| f.1 == 7).count(), 0);
}

#[test]
fn heartbeat_of_real_firmware_comes_regardless() {
    let mut bench = Bench::configured(Policy::firmware());
    bench.run(5_000);
    for _ in 0..11 {
        bench.run(20_000);
        bench.after(0, Due::Serial(raw(0x05, bench.count as u8, &[4, 1])));
    }
    assert_eq!(sent(&bench).iter().filter(|f| f.1 == 7).count(), 4);
}

#[test]
fn the_module_restarts_after_180_seconds_without_the_mcu() {
    for (policy, seconds) in [(Policy::document(), 180), (Policy::firmware(), 275)] {
        let mut bench = Bench::online(policy);
        bench.restarts = false;
        bench.mcu = None;
        let since = bench.module.uart_heard().as_millis();
        bench.run(seconds * 1000 + 1_000);
        let at = bench.times(|did| *did == Did::Restart(RestartReason::McuSilent));
        assert_eq!(at, [since + seconds * 1000]);
    }
}

#[test]
fn the_mcu_restarts_a_silent_module_after_180_seconds() {
    let mut mcu = Mcu::new(KEY, Panel::pet_house());
    mcu.handle(mcu::Input::Start, Tick::ZERO, &mut |_| {});
    let mut dead = Vec::new();
    while let Some(due) = mcu.deadline().filter(|due| due.as_millis() <= 200_000) {
        mcu.handle(mcu::Input::Timeout, due, &mut |output| {
            if matches!(output, mcu::Output::ModuleDead) {
                dead.push(due.as_millis());
            }
        });
    }
    assert_eq!(dead, [180_000]);
}

#[test]
fn the_mcu_is_told_time_module_and_what_it_said_wrong() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.after(0, Due::Serial(raw(0x17, 5, &[])));
    bench.after(1, Due::Serial(raw(0x21, 6, &[0])));
    let mut bad = raw(0x05, 8, &[4, 5]);
    *bad.last_mut().expect("sum") ^= 1;
    bench.after(2, Due::Serial(bad));
    bench.after(3, Due::Serial(raw(0x56, 10, &[1, 2])));
    bench.run(10);
    let answers: Vec<Vec<u8>> = bench
        .said
        .iter()
        .filter_map(|(_, did)| match did {
            Did::Serial(bytes) => Some(bytes.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(&answers[0][4..6], &[0x18, 5]);
    assert_eq!(&answers[0][8..10], &2026_u16.to_be_bytes(), "after the provision");
    assert_eq!(&answers[1][4..6], &[0x22, 6]);
    let info = &answers[1][8..answers[1].len() - 1];
    assert_eq!(info.len(), 65);
    assert_eq!(&info[1..25], b"00000004000LINUX04020006");
    assert_eq!(&info[25..37], b"0247495A0001");
    assert!(info[41..].starts_with(b"192.168.1.23\0"));
    assert_eq!(answers[2], hex::decode("ffff0006110800000120").expect("hex"), "checksum");
    assert_eq!(answers[3][4..9], [0x11, 10, 0, 0, 2], "unknown command");
}

#[test]
fn the_mcu_may_restart_the_module() {
    let mut bench = Bench::online(Policy::document());
    bench.hand(Hand::Restart);
    bench.run(200);
    assert_eq!(bench.restarts(), [RestartReason::Asked]);
    bench.run(5_000);
    assert!(bench.status().cloud);
}

#[test]
fn reset_clears_all_but_the_firmware_id() {
    let mut bench = Bench::online(Policy::document());
    let old = bench.passcode();
    let mut flash = bench.flash();
    flash.firmware_id = 7;
    bench.sink.flash = flash.store();
    bench.power();
    bench.run(5_000);
    bench.forget();
    bench.hand(Hand::Reset);
    bench.run(50);
    let acked = sent(&bench).iter().any(|(_, cmd, _)| *cmd == 0x0C);
    assert!(acked && bench.requests() == ["DELETE /dev/devices HTTP/1.1"]);
    assert_eq!(bench.restarts(), [RestartReason::Reset]);
    bench.run(2_000);
    let flash = bench.flash();
    assert!(flash.did.is_empty() && flash.network.is_none() && flash.former.is_none());
    assert!(flash.passcode.is_some_and(|new| new != old), "a new passcode");
    assert_eq!(flash.firmware_id, 7);
    assert!(bench.status().soft_ap && bench.status().onboarding);
}

#[test]
fn reset_without_the_cloud_still_owes_the_deregistration() {
    let mut bench = Bench::online(Policy::document());
    bench.api = Box::new(|_| Api::Silent);
    bench.hand(Hand::Reset);
    assert!(bench.flash().network.is_none() && bench.flash().did.is_empty(), "before the answer");
    bench.run(2_500);
    assert_eq!(bench.restarts(), [RestartReason::Reset]);
    assert!(bench.flash().former.is_some());
    bench.api = Box::new(good_api);
    bench.forget();
    bench.run(1_000);
    bench.datagram(&Message::Onboard { ssid: b"Office", password: b"office-key" });
    bench.run(5_000);
    assert!(bench.requests().contains(&"DELETE /dev/devices HTTP/1.1".into()));
    assert!(bench.flash().former.is_none());
}

#[test]
fn another_product_key_makes_another_device() {
    let mut bench = Bench::online(Policy::document());
    let old = bench.passcode();
    let mut flash = bench.flash();
    (flash.firmware_id, flash.firmware) = (7, "14112521".into());
    bench.sink.flash = flash.store();
    bench.mcu = Some(Mcu::new("b4953ca374724b66b3686fbfb9d7c57a", Panel::pet_house()));
    bench.forget();
    let mut ids = std::vec!["GzwDemo2222222222ABCDE"].into_iter();
    bench.api = Box::new(move |request| {
        if request.starts_with("POST /dev/devices ") {
            Api::Answer(201, std::format!("did={}", ids.next().expect("once")))
        } else {
            good_api(request)
        }
    });
    bench.power();
    bench.run(5_000);
    let lines = bench.requests();
    let words: Vec<&str> = lines.iter().map(|l| l.split(' ').next().expect("method")).collect();
    // Register, provision, two firmware checks, then the old one goes: as recorded.
    assert_eq!(words, ["POST", "GET", "GET", "POST", "DELETE"], "{lines:?}");
    let flash = bench.flash();
    assert_eq!(&*flash.did, "GzwDemo2222222222ABCDE");
    assert!(flash.passcode.is_some_and(|new| new != old));
    assert!(flash.firmware_id == 0 && flash.firmware.is_empty() && flash.former.is_none());
    assert!(flash.network.is_some(), "the network stays");
}

#[test]
fn firmware_of_the_mcu_goes_over_the_line() {
    for push in [false, true] {
        let image: Vec<u8> = (0..780_u32).map(|n| n as u8).collect();
        let copy = image.clone();
        let mut bench = Bench::configured(Policy::document());
        let mut offers = if push { 0 } else { 1 };
        if push {
            bench.run(5_000);
            offers = 1;
        }
        bench.api = Box::new(move |request| {
            if request.contains("type=2") && offers > 0 {
                offers -= 1;
                let url = "http://fw.gizwits.com/dev/ota/v4.1/download/9?x=1";
                Api::Answer(200, std::format!("soft_ver=00000003&download_url={url}\r\n"))
            } else if request.starts_with("GET /dev/ota/v4.1/download/9?x=1 ") {
                Api::File(copy.clone(), "mcu.bin")
            } else {
                good_api(request)
            }
        });
        if push {
            bench.cloud_says(&std::format!("ser2cli_res/{DID}"), &[0, 0, 0, 3, 2, 0x11, 2]);
        }
        bench.run(10_000);
        assert_eq!(bench.mcu_firmware, image);
        assert_eq!(bench.restarts(), [RestartReason::Asked], "the MCU wants to be asked again");
    }
}

#[test]
fn an_mcu_that_stops_taking_firmware_costs_only_that() {
    let mut bench = Bench::configured(Policy::document());
    bench.api = Box::new(|request| {
        if request.contains("type=2") {
            Api::Answer(200, "soft_ver=00000003&download_url=http://fw/f\r\n".into())
        } else if request.starts_with("GET /f ") {
            Api::File(std::vec![1; 2000], "mcu.bin")
        } else {
            good_api(request)
        }
    });
    bench.run_until(5_000, |bench| sent(bench).iter().any(|(_, cmd, _)| *cmd == 0x1D));
    bench.mcu = None;
    bench.run(12_000);
    let pieces: Vec<u64> = sent(&bench).iter().filter(|f| f.1 == 0x1D).map(|f| f.0).collect();
    let last = &pieces[pieces.len() - 3..];
    assert!(last.windows(2).all(|pair| pair[1] - pair[0] == 3_000), "{pieces:?}");
    assert!(sent(&bench).iter().any(|(_, cmd, _)| *cmd == 0x1F), "cancelled");
    assert!(bench.status().cloud);
}

#[test]
fn a_file_of_the_mcu_becomes_one_message() {
    let mut bench = Bench::online(Policy::document());
    let file: Vec<u8> = (0..600_u32).map(|n| (n * 7) as u8).collect();
    let md5 = hex::encode(<md5::Md5 as md5::Digest>::digest(&file));
    let mut offer = 600_u32.to_be_bytes().to_vec();
    offer.extend_from_slice(&[0, 32]);
    offer.extend_from_slice(md5.as_bytes());
    bench.after(0, Due::Serial(raw(Command::FileOffer as u8, 1, &offer)));
    bench.run(5);
    assert!(sent(&bench).iter().any(|(_, cmd, _)| *cmd == Command::FileReady as u8));
    for (n, data) in file.chunks(256).enumerate() {
        let head = [0, n as u8 + 1, 0, 3];
        for _ in 0..2 {
            let piece = [&head[..], data].concat();
            bench.after(n as u64, Due::Serial(raw(Command::FilePiece as u8, n as u8, &piece)));
        }
    }
    bench.run(50);
    let topic = std::format!("dev2ser/{DID}");
    assert_eq!(bench.count(|did| *did == Did::Publish(topic.clone(), file.clone())), 1);
    // Another one that stops.
    bench.after(0, Due::Serial(raw(Command::FileOffer as u8, 9, &offer)));
    bench.run(15_500);
    assert!(sent(&bench).iter().any(|(_, cmd, _)| *cmd == Command::ReceiverCancels as u8));
}
