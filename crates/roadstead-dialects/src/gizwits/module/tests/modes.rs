//! Configuration, production test, LEDs, signal, status: seed §4, §5, §6.

use std::string::ToString as _;
use std::vec::Vec;

use roadstead_wire::airlink::air::{Air, Weather};
use roadstead_wire::airlink::{Mac, Request, Scheme};

use super::super::super::lan::{SOFTAP_PASSWORD, WEB_PORT, cmd};
use super::super::super::mcu::Hand;
use super::*;

fn credentials<'a>(ssid: &'a [u8], password: &'a [u8]) -> Message<'a> {
    Message::Onboard { ssid, password }
}

fn announcements(bench: &Bench, command: u16) -> Vec<u64> {
    bench.times(
        |did| matches!(did, Did::Broadcast(bytes) if bytes[7] == command as u8 && bytes[6] == 0),
    )
}

#[test]
fn softap_opens_without_a_network_with_name_and_password() {
    let mut bench = Bench::new(Policy::document());
    bench.run(1_000);
    let ssid = std::format!("XPG-GAgent-0001 {SOFTAP_PASSWORD}");
    assert_eq!(bench.count(|did| *did == Did::OpenAp(ssid.clone())), 1);
    assert_eq!(bench.count(|did| *did == Did::Serve(true, true)), 1);
    let status = bench.status();
    assert!(status.soft_ap && status.onboarding && status.binding && !status.station);
    assert_eq!(bench.mcu_status, Some(status), "pushed to the MCU");
    assert_eq!(bench.leds(), Sign::SoftAp.leds());
}

#[test]
fn softap_configuration_is_kept_acknowledged_and_followed_by_a_restart() {
    let mut bench = Bench::new(Policy::document());
    bench.run(1_000);
    bench.datagram(&credentials(b"Office", b"p@s s\xc3\xb6"));
    assert_eq!(bench.count(|did| matches!(did, Did::Udp(_, b) if b[7] == 2)), 1);
    let kept = bench.flash().network.expect("kept");
    assert!(*kept.0 == *b"Office" && kept.1.expose() == b"p@s s\xc3\xb6", "bytes as they came");
    // The acknowledgement may be lost: the phone asks again.
    bench.datagram(&credentials(b"Office", b"p@s s\xc3\xb6"));
    assert_eq!(bench.count(|did| matches!(did, Did::Udp(_, b) if b[7] == 2)), 2);
    assert!(!bench.status().onboarding);
    bench.run(40_000);
    assert_eq!(bench.restarts(), [RestartReason::Configured]);
    for command in [cmd::ANNOUNCE, cmd::CONFIGURED] {
        let mut times = announcements(&bench, command);
        times.retain(|ms| *ms > 1_540);
        assert_eq!(times.len(), 30, "{command:#x}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 1_000));
    }
    assert!(!bench.flash().is_fresh, "said once");
    bench.forget();
    bench.power();
    bench.run(40_000);
    assert_eq!(announcements(&bench, cmd::ANNOUNCE).len(), 30);
    assert_eq!(announcements(&bench, cmd::CONFIGURED).len(), 0, "plain power-on");
}

#[test]
fn softap_refuses_what_is_too_long_and_what_comes_at_another_time() {
    let mut bench = Bench::new(Policy::document());
    bench.run(1_000);
    for (ssid, password) in [(&[b'S'; 33][..], &b"x"[..]), (b"S", &[b'x'; 33]), (b"", b"x")] {
        bench.datagram(&credentials(ssid, password));
        assert!(bench.flash().network.is_none());
    }
    assert_eq!(bench.count(|did| matches!(did, Did::Udp(..))), 0);
    bench.datagram(&credentials(&[b'S'; 32], &[b'x'; 32]));
    assert!(bench.flash().network.is_some());

    let mut bench = Bench::online(Policy::document());
    bench.datagram(&credentials(b"Other", b"x"));
    assert_eq!(*bench.flash().network.expect("kept").0, *b"Office");
}

#[test]
fn softap_ends_after_ten_minutes_with_the_serial_line_only() {
    for (policy, minutes) in [(Policy::document(), 10), (Policy::firmware(), 5)] {
        let mut bench = Bench::new(policy);
        bench.run(minutes * 60_000 - 1_000);
        assert!(bench.status().soft_ap);
        bench.run(3_000);
        assert!(bench.logged("serial line only"), "{:?}", bench.logs());
        let status = bench.status();
        assert!(!status.soft_ap && !status.onboarding && !status.station);
        assert_eq!(
            bench.said.iter().rev().find_map(|(_, did)| match did {
                Did::Serve(lan, web) => Some((*lan, *web)),
                _ => None,
            }),
            Some((false, false))
        );
        assert_eq!(bench.leds(), Sign::NoNetwork.leds());
        // The MCU is still heard, and can start again.
        bench.hand(Hand::SoftAp);
        bench.run(1_000);
        assert!(bench.status().soft_ap);
    }
}

#[test]
fn softap_scans_every_15_seconds_and_answers_at_once() {
    let mut bench = Bench::new(Policy::document());
    bench.run(46_000);
    let scans = bench.times(|did| *did == Did::Scan);
    assert_eq!(scans.len(), 4);
    assert!(scans.windows(2).all(|pair| pair[1] - pair[0] == 15_000));
    bench.connect(1);
    bench.say(1, &Message::HotspotsRequest);
    let list = bench.heard(1).pop().expect("at once");
    assert_eq!(list, b"\x0d\x00\x06Office\x57\x00\x06Lab-2G\x2d");
    bench.run(150);
    assert!(bench.closed(1), "100 ms later");
}

fn browse(bench: &mut Bench, conn: ConnId, target: &str) -> String {
    bench.after(0, Due::TcpOpened(conn, WEB_PORT));
    let request = std::format!("GET {target} HTTP/1.1\r\nHost: 10.10.100.254\r\n\r\n");
    // A browser may send its head in pieces.
    let (a, b) = request.as_bytes().split_at(9);
    bench.after(0, Due::Tcp(conn, a.to_vec()));
    bench.after(1, Due::Tcp(conn, b.to_vec()));
    bench.run(2);
    assert!(bench.closed(conn));
    let sent = bench.said.iter().rev().find_map(|(_, did)| match did {
        Did::Tcp(to, bytes) if *to == conn => Some(bytes.clone()),
        _ => None,
    });
    String::from_utf8(sent.expect("answered")).expect("text")
}

#[test]
fn webconfig_shows_a_form_checks_it_and_restarts() {
    let mut bench = Bench::new(Policy::document());
    bench.run(1_000);
    let form = browse(&mut bench, 1, "/");
    assert!(form.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html;charset=gb2312\r\n"));
    assert!(form.contains("action=\"web_config.cgi\"") && form.contains("name=ssid"));
    for (n, (query, error)) in [
        ("ssid=&pass=x", FormError::NoName),
        ("pass=x", FormError::NoName),
        ("ssid=a%20b&pass=x", FormError::Character),
        ("ssid=a&pass=x+y", FormError::Character),
        ("ssid=a&pass=%E4", FormError::Character),
        ("ssid=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&pass=x", FormError::TooLong),
        ("ssid=a&pass=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", FormError::TooLong),
    ]
    .into_iter()
    .enumerate()
    {
        let page = browse(&mut bench, 10 + n as u32, &std::format!("/web_config.cgi?{query}"));
        assert!(page.contains(&error.to_string()), "{query}: {page}");
        assert!(bench.flash().network.is_none());
    }
    assert!(browse(&mut bench, 30, "/favicon.ico").starts_with("HTTP/1.1 404 "));
    let page = browse(&mut bench, 31, "/web_config.cgi?ssid=Office_1&pass=abc-123.x");
    assert!(page.starts_with("HTTP/1.1 200 OK"));
    let kept = bench.flash().network.expect("kept");
    assert!(*kept.0 == *b"Office_1" && kept.1.expose() == b"abc-123.x");
    bench.run(5_000);
    assert_eq!(bench.restarts(), [RestartReason::Configured]);
    assert!(bench.status().router);
    // Outside of SoftAP nobody is served there.
    bench.after(0, Due::TcpOpened(40, WEB_PORT));
    bench.run(0);
    assert!(bench.closed(40));
}

#[test]
fn a_form_has_letters_digits_minus_underscore_and_full_stop() {
    for byte in 0..=255_u8 {
        let text = std::format!("ssid=x{}x&pass=", char::from(byte));
        let allowed = byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // An ampersand ends the field instead.
        if byte != b'&' {
            assert_eq!(check_form(&text).is_ok(), allowed, "{byte:#x}");
        }
    }
}

/// What a phone sends, as a module in monitor mode hears it.
fn sing(bench: &mut Bench, scheme: Scheme, loss: f64, ms: u64) {
    let request = Request {
        ssid: b"Office",
        password: b"office-key",
        bssid: Mac([0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC]),
        phone_ip: [192, 168, 1, 7],
        phone_mac: Mac([2, 0, 0, 0, 0, 7]),
        key: None,
        extra: b"",
        omit_ssid: false,
        port_mark: 0,
        zero_iv: false,
        multicast: false,
        random: [0x41; 20],
    };
    let round = scheme.encode(&request).expect("fits");
    let source = Mac([2, 0, 0, 0, 0, 7]);
    let weather = Weather { loss, ..Weather::default() };
    let bssid = Mac([0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC]);
    let start = bench.now.as_millis();
    let mut channel = 1;
    for mut frame in Air::new(&round, weather, source, bssid, 7) {
        let at = start + frame.at_us.unwrap_or_default() / 1000;
        if at > start + ms || !bench.status().onboarding {
            return;
        }
        frame.at_us = Some(at * 1000);
        let wait = at.saturating_sub(bench.now.as_millis());
        bench.run(wait);
        for (_, did) in &bench.said {
            if let Did::Channel(tuned) = did {
                channel = *tuned;
            }
        }
        if frame.channel == channel {
            bench.feed(Input::Air(&frame));
        }
    }
}

#[test]
fn airlink_and_airkiss_configure_without_a_restart() {
    let schemes = [Scheme::AirKiss, Scheme::EspTouch, Scheme::EspTouch2, Scheme::SimpleConfig];
    let airs = schemes.map(|scheme| [0.0, 0.1, 0.2].map(|loss| (scheme, loss)));
    for (scheme, loss) in airs.into_iter().flatten() {
        let mut bench = Bench::new(Policy::document());
        bench.run(1_000);
        bench.hand(Hand::AirLink);
        let status = bench.status();
        assert!(status.onboarding && !status.soft_ap && status.binding);
        assert_eq!(bench.mcu_status.map(|s| s.onboarding), Some(true), "pushed on entry");
        assert_eq!(bench.leds(), Sign::AirLink.leds());
        sing(&mut bench, scheme, loss, 59_000);
        let kept = bench.flash().network.expect("heard");
        assert!(*kept.0 == *b"Office" && kept.1.expose() == b"office-key", "{scheme}");
        bench.run(35_000);
        let status = bench.status();
        assert!(status.router && !status.onboarding && bench.restarts().is_empty());
        assert_eq!(announcements(&bench, cmd::CONFIGURED).len(), 30);
    }
}

#[test]
fn airlink_ends_after_60_seconds_in_the_former_state() {
    let mut bench = Bench::configured(Policy::document());
    bench.join = Err(2);
    bench.run(1_000);
    assert!(bench.status().station && !bench.status().router);
    bench.hand(Hand::AirLink);
    bench.run(59_000);
    assert!(bench.status().onboarding);
    bench.join = Ok(());
    bench.run(2_000);
    let status = bench.status();
    assert!(!status.onboarding && status.station && status.router, "restored");

    let mut bench = Bench::new(Policy::document());
    bench.run(1_000);
    bench.hand(Hand::AirLink);
    bench.run(61_000);
    assert!(bench.status().soft_ap && bench.status().onboarding, "SoftAP again");

    // Real firmware goes to SoftAP whatever was before.
    let mut bench = Bench::configured(Policy::firmware());
    bench.run(3_000);
    bench.hand(Hand::AirLink);
    bench.run(62_000);
    assert!(bench.status().soft_ap);
}

#[test]
fn airlink_is_refused_while_connected() {
    let mut bench = Bench::online(Policy::document());
    bench.hand(Hand::AirLink);
    assert!(!bench.status().onboarding && bench.status().cloud);
    assert!(bench.logged("AirLink refused"));
}

#[test]
fn softap_by_the_key_leaves_the_network() {
    let mut bench = Bench::online(Policy::document());
    bench.hand(Hand::SoftAp);
    bench.run(100);
    let status = bench.status();
    assert!(status.soft_ap && status.onboarding && !status.router && !status.cloud);
    assert_eq!(bench.count(|did| *did == Did::CloseM2m), 1);
}

#[test]
fn leds_of_the_table() {
    use Led::{Fast, Off, On, Slow, SlowOther};
    for (sign, red, green) in [
        (Sign::SoftAp, Fast, Off),
        (Sign::AirLink, Off, Fast),
        (Sign::NoMcu, Fast, Fast),
        (Sign::Searching, Off, On),
        (Sign::NoNetwork, On, Slow),
        (Sign::NoCloud, On, On),
        (Sign::Cloud, Slow, SlowOther),
        (Sign::Dark, Off, Off),
    ] {
        assert_eq!(sign.leds(), Leds { red, green }, "{sign:?}");
    }
    for ms in (0..8_000).step_by(50) {
        let since = Duration::from_millis(ms);
        assert_eq!(Fast.is_lit(since), ms / 100 % 2 == 0);
        assert_ne!(Slow.is_lit(since), SlowOther.is_lit(since), "crosswise");
    }
}

#[test]
fn leds_follow_the_state_and_go_dark_after_ten_minutes() {
    let mut bench = Bench::configured(Policy::document());
    bench.join = Err(1);
    bench.mcu = None;
    bench.run(1_000);
    assert_eq!(bench.leds(), Sign::NoMcu.leds());
    bench.mcu = Some(Mcu::new(KEY, Panel::pet_house()));
    bench.run(1_000);
    assert_eq!(bench.leds(), Sign::Searching.leds());
    bench.join = Ok(());
    bench.server = Server::Silent;
    bench.run(10_500);
    assert_eq!(bench.leds(), Sign::NoCloud.leds());
    bench.server = Server::Accepts;
    bench.run_until(60_000, |bench| bench.status().cloud);
    assert_eq!(bench.leds(), Sign::Cloud.leds());
    bench.run(599_000);
    assert_eq!(bench.leds(), Sign::Cloud.leds());
    bench.run(2_000);
    assert_eq!(bench.leds(), Sign::Dark.leds());
    bench.after(0, Due::M2m(Words::Closed));
    bench.server = Server::Silent;
    bench.run(1);
    assert_eq!(bench.leds(), Sign::NoCloud.leds(), "lit again when something is wrong");
}

#[test]
fn signal_hysteresis_of_the_vectors() {
    let vectors: roadstead_core::Value =
        serde_json::from_str(include_str!("../../../../vectors/gizwits.json")).expect("JSON");
    let rule = &vectors["rssi_hysteresis"];
    let mut signal = Signal::default();
    signal.hear(rule["start"].as_u64().expect("start") as u8, true);
    for step in rule["steps"].as_array().expect("steps") {
        signal.hear(step["rssi"].as_u64().expect("rssi") as u8, true);
        assert_eq!(u64::from(signal.level()), step["level"].as_u64().expect("level"), "{step}");
    }
    for level in rule["levels"].as_array().expect("levels") {
        let number = level["level"].as_u64().expect("level") as u8;
        assert_eq!(u64::from(Signal::shown(number)), level["shown"].as_u64().expect("shown"));
        let mut signal = Signal::default();
        signal.hear(level["max"].as_u64().expect("max") as u8, true);
        assert_eq!(signal.level(), number, "{level}");
    }
}

#[test]
fn the_signal_is_looked_at_every_three_minutes_and_reported_on_change() {
    let mut bench = Bench::online(Policy::document());
    assert_eq!(bench.status().signal, 6);
    bench.networks = std::vec![network("Office", 55)];
    bench.forget();
    bench.run(360_000);
    let scans = bench.times(|did| *did == Did::Scan);
    assert_eq!(scans.len(), 2);
    assert_eq!(scans[1] - scans[0], 180_000);
    assert_eq!(bench.status().signal, 4);
    assert_eq!(bench.count(|did| matches!(did, Did::Status(_))), 1);
    assert_eq!(bench.mcu_status.map(|status| status.signal), Some(4));
}

#[test]
fn status_is_forced_every_ten_minutes() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.run(1_801_000);
    let told = bench.times(|did| matches!(did, Did::Serial(bytes) if bytes[4] == 0x0D));
    assert_eq!(told.len(), 3);
    assert!(told.windows(2).all(|pair| pair[1] - pair[0] == 600_000));
    assert_eq!(bench.count(|did| matches!(did, Did::Status(_))), 0, "no change");
}

#[test]
fn production_test_joins_a_test_router_without_the_cloud() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.hand(Hand::Test);
    bench.run(35_000);
    let scans = bench.times(|did| *did == Did::Scan);
    assert!(scans.windows(2).all(|pair| pair[1] - pair[0] == 10_000) && scans.len() == 4);
    assert!(bench.status().test && bench.status().cloud, "untouched so far");
    bench.networks = std::vec![network("GIZWITS_TEST_2", 60), network("GIZWITS_TEST_1", 70)];
    bench.run(10_000);
    let joined = bench.count(|did| {
        matches!(did, Did::Join(to)
        if to.starts_with("GIZWITS_TEST_") && to.ends_with(" GIZWITS_TEST_PASS"))
    });
    assert_eq!(joined, 1);
    let status = bench.status();
    assert!(status.station && status.router && status.binding && status.test);
    assert!(!status.soft_ap && !status.onboarding && !status.cloud);
    assert_eq!(*bench.flash().network.expect("kept").0, *b"Office", "not stored");
    bench.connect(1);
    bench.say(1, &Message::TestDone);
    assert_eq!(bench.heard(1), [std::vec![0x18]]);
    bench.run(100);
    let status = bench.status();
    assert!(status.soft_ap && !status.station && !status.onboarding && !status.binding);
}

#[test]
fn production_test_picks_either_router() {
    let mut chosen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut bench = Bench::new(Policy::document());
        bench.dice = Random::new(seed);
        bench.networks = std::vec![network("GIZWITS_TEST_2", 60), network("GIZWITS_TEST_1", 70)];
        bench.run(100);
        bench.hand(Hand::Test);
        bench.run(1_000);
        chosen.extend(bench.said.iter().filter_map(|(_, did)| match did {
            Did::Join(to) => Some(to.clone()),
            _ => None,
        }));
    }
    assert_eq!(chosen.len(), 2, "{chosen:?}");
}

#[test]
fn production_test_ends_after_three_minutes_without_a_trace() {
    let mut bench = Bench::online(Policy::document());
    let before = bench.status();
    bench.hand(Hand::Test);
    bench.run(179_000);
    assert!(bench.status().test);
    bench.run(2_000);
    assert_eq!(bench.status(), before);
}
