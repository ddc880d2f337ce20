//! Bad input: the machine stays, or returns to a defined state, and says why.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;

#[test]
fn a_failing_flash_stops_registration_and_is_tried_again() {
    let mut bench = Bench::configured(Policy::document());
    bench.sink.flash_fails = true;
    bench.run(30_000);
    assert!(bench.requests().is_empty(), "nothing the module would forget");
    assert!(bench.logged("flash write failed"));
    assert!(bench.count(|did| matches!(did, Did::Event(e) if e.contains("module.flash"))) == 1);
    assert!(bench.sink.writes >= 6, "every five seconds");
    bench.sink.flash_fails = false;
    bench.run(10_000);
    assert!(bench.status().cloud && bench.logged("flash works again"));
}

#[test]
fn a_failing_flash_takes_no_configuration_and_no_reset() {
    let mut bench = Bench::new(Policy::document());
    bench.run(1_000);
    bench.sink.flash_fails = true;
    bench.datagram(&Message::Onboard { ssid: b"Office", password: b"x" });
    assert_eq!(bench.count(|did| matches!(did, Did::Udp(..))), 0, "not acknowledged");
    assert!(bench.status().onboarding && bench.restarts().is_empty());
    bench.sink.flash_fails = false;
    bench.run(6_000);
    bench.datagram(&Message::Onboard { ssid: b"Office", password: b"x" });
    bench.run(5_000);
    assert!(bench.status().router);
    bench.sink.flash_fails = true;
    bench.hand(mcu::Hand::Reset);
    assert!(bench.flash().network.is_some() && bench.module.did().is_some());
}

#[test]
fn power_may_fail_at_any_moment() {
    // Cut the power after every step of a journey; the flash is whole and the module recovers.
    for cut in (0..4_000).step_by(7) {
        let mut bench = Bench::new(Policy::document());
        bench.after(
            1_000,
            Due::Udp({
                let mut bytes = Vec::new();
                Message::Onboard { ssid: b"Office", password: b"office-key" }.emit(&mut bytes);
                bytes
            }),
        );
        bench.run(cut);
        let flash = bench.sink.flash.clone();
        assert!(flash.is_empty() || Flash::load(&flash).is_some(), "cut at {cut}");
        let old = Flash::load(&flash).and_then(|flash| flash.passcode);
        bench.due.clear();
        bench.power();
        bench.run(3_000);
        if bench.status().soft_ap {
            bench.datagram(&Message::Onboard { ssid: b"Office", password: b"office-key" });
            bench.run(5_000);
        }
        assert!(bench.status().cloud, "cut at {cut}: {:?}", bench.logs());
        assert!(old.is_none_or(|old| old == bench.passcode()), "one identity, cut at {cut}");
    }
}

#[test]
fn a_broken_record_starts_as_new() {
    let mut bench = Bench::new(Policy::document());
    bench.sink.flash = b"GZM\x01garbage and more of it".to_vec();
    bench.run(1_000);
    assert!(bench.logged("flash record is broken") && bench.status().soft_ap);
}

#[test]
fn provisions_cut_anywhere_end_in_the_cloud() {
    for len in 0..PROVISION.len() {
        let mut first = true;
        let mut bench = Bench::configured(Policy::document());
        bench.api = Box::new(move |request| {
            if request.starts_with("GET /dev/devices/") && core::mem::take(&mut first) {
                Api::Answer(200, PROVISION[..len].to_string())
            } else {
                good_api(request)
            }
        });
        bench.run(15_000);
        assert!(bench.status().cloud, "cut at {len}");
    }
}

/// A register answer that is cut is asked for again after ten seconds; a firmware check that is cut
/// is forgotten until the next start.
#[test]
fn registrations_and_checks_cut_anywhere_end_in_the_cloud() {
    let registered = std::format!("did={DID}");
    for len in 0..registered.len() {
        let mut first = Some(registered[..len].to_string());
        let mut bench = Bench::configured(Policy::document());
        bench.api = Box::new(move |request| match request.starts_with("POST /dev/devices ") {
            true => first.take().map_or_else(|| good_api(request), |body| Api::Answer(201, body)),
            false => good_api(request),
        });
        let ms = bench.run_until(15_000, |bench| bench.status().cloud);
        assert!((10_000..12_000).contains(&ms), "cut at {len}: {ms} ms");
        assert_eq!(&*bench.flash().did, DID);
    }
    let offer = "target_fid=1&soft_ver=00000002&download_url=http://fw.example/a.bin\r\n";
    for len in 0..=offer.len() {
        for policy in [Policy::document(), Policy::firmware()] {
            let mut bench = Bench::configured(policy);
            bench.api = Box::new(move |request| match request.contains("/dev/ota/") {
                true => Api::Answer(200, offer[..len].to_string()),
                false => good_api(request),
            });
            let ms = bench.run_until(3_000, |bench| bench.status().cloud);
            assert!(ms < 2_000, "cut at {len}: {ms} ms");
            assert!(bench.restarts().is_empty() && bench.mcu_firmware.is_empty());
        }
    }
}

/// Refused, reset and silent answers of the API cost ten, ten and six seconds, whichever call they
/// hit, and then everything goes on.
#[test]
fn every_call_that_fails_once_is_asked_again_in_time() {
    for call in ["POST /dev/devices ", "GET /dev/devices/"] {
        for (api, seconds) in
            [(Api::Refused, 10), (Api::Silent, 6), (Api::Answer(500, String::new()), 10)]
        {
            let mut first = Some(api);
            let mut bench = Bench::configured(Policy::document());
            bench.api = Box::new(move |request| match request.starts_with(call) {
                true => first.take().unwrap_or_else(|| good_api(request)),
                false => good_api(request),
            });
            bench.run_until(15_000, |bench| bench.status().cloud);
            let is_call =
                |did: &Did| matches!(did, Did::Http { request, .. } if request.starts_with(call));
            let times = bench.times(is_call);
            assert_eq!(times.len(), 2, "{call}");
            assert_eq!((times[1] - times[0]) / 1000, seconds, "{call}");
        }
    }
}

#[test]
fn an_mcu_that_acknowledges_nothing_costs_the_phone_an_answer_only() {
    let mut bench = Bench::online(Policy::document());
    bench.log_in(1);
    bench.mcu = None;
    bench.forget();
    bench.say(1, &Message::ControlSn { sn: 7, p0: &[1, 1, 1, 0, 0, 0, 0] });
    bench.run(1_000);
    let sends = bench.times(|did| matches!(did, Did::Serial(b) if b[4] == 3));
    assert_eq!(
        sends.windows(2).map(|p| p[1] - p[0]).collect::<Vec<_>>(),
        [200, 200],
        "as recorded"
    );
    assert!(bench.heard(1).is_empty() && bench.logged("did not answer"));
    assert!(bench.status().cloud);
}

#[test]
fn a_flood_of_actions_is_bounded() {
    let mut bench = Bench::online(Policy::document());
    bench.log_in(1);
    bench.mcu = None;
    for sn in 0..1000 {
        bench.say(1, &Message::ControlSn { sn, p0: &[2] });
    }
    assert!(bench.logged("too slow"));
    bench.mcu = Some(Mcu::new(KEY, Panel::pet_house()));
    bench.run(5_000);
    assert!(bench.status().cloud);
}

#[test]
fn silence_refusal_and_reset_of_the_cloud_end_in_the_cloud() {
    for server in [Server::Silent, Server::Closes, Server::Refuses(3), Server::NoSubAck] {
        let mut bench = Bench::configured(Policy::document());
        bench.server = server;
        bench.run(60_000);
        assert!(!bench.status().cloud && bench.status().router);
        let said = bench.logs().iter().any(|line| line.contains("ERROR"));
        assert!(said, "{:?}", bench.logs());
        bench.server = Server::Accepts;
        bench.run(60_000);
        assert!(bench.status().cloud);
    }
}

#[test]
fn messages_that_are_none_are_dropped() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    let app = std::format!("app2dev/{DID}/app");
    for (topic, payload) in [
        (&*app, &b""[..]),
        (&app, &[0, 0, 0, 3]),
        (&app, &[0, 0, 0, 3, 0x80, 0x80, 0x80, 0x80, 1, 0, 0, 0x90]),
        (&app, &[0, 0, 0, 3, 3, 0, 0, 0x90]),
        (&app, &[0, 0, 0, 3, 5, 0, 0, 0x93, 0, 0]),
        ("app2dev/other/app", &[0, 0, 0, 3, 4, 0, 0, 0x90, 2]),
        ("app2dev/GzwDemo0123456789ABCDE", &[0, 0, 0, 3, 4, 0, 0, 0x90, 2]),
        ("app2dev/GzwDemo0123456789ABCDE/", &[0, 0, 0, 3, 4, 0, 0, 0x90, 2]),
        ("ser2cli_res/x", &[0, 0, 0, 3, 2]),
        ("ser2cli_res/x", &[0, 0, 0, 3, 2, 0x0E, 1, 0, 0, 0, 9, 0xFF, 0xFF]),
        ("", &[]),
    ] {
        bench.cloud_says(topic, payload);
    }
    bench.run(1_000);
    assert_eq!(bench.count(|did| matches!(did, Did::Serial(b) if b[4] == 3)), 0);
    assert!(bench.status().cloud);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_on_every_door_leave_the_module_alive(
        noise in proptest::collection::vec((0_u8..6, proptest::collection::vec(any::<u8>(), 0..120)), 1..40),
    ) {
        let mut bench = Bench::online(Policy::document());
        bench.log_in(1);
        for (door, bytes) in noise {
            match door {
                0 => bench.after(0, Due::Serial(bytes)),
                1 => bench.after(0, Due::Udp(bytes)),
                2 => bench.after(0, Due::Tcp(1, bytes)),
                3 => {
                    bench.after(0, Due::TcpOpened(9, TCP_PORT));
                    bench.after(0, Due::Tcp(9, bytes));
                }
                4 => {
                    let topic = std::format!("app2dev/{DID}/noise");
                    bench.after(0, Due::M2m(Words::Message(topic, bytes)));
                }
                _ => {
                    let topic = std::format!("ser2cli_res/{DID}");
                    bench.after(0, Due::M2m(Words::Message(topic, bytes)));
                }
            }
            bench.run(3);
        }
        bench.run(120_000);
        prop_assert!(bench.status().cloud);
    }
}
