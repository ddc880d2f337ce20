//! The device against the phone's dialogue: loss, duplicates, wrong commands, failures, restarts.

use roadstead_core::exchange::SubDevice;
use roadstead_core::product::Level;

use super::*;
use crate::air::{Bearer, lossy};
use crate::device::{Ear, SubDeviceAction};
use crate::tencent::app::Output as Heard;
use crate::tencent::comm::Progress;

#[test]
fn thirty_percent_loss_is_survived_by_every_seed() {
    for protocol in [Policy::v2(), Policy::v3()] {
        for seed in 0..40 {
            let mut bench = Bench::new(soft_ap(), protocol.clone());
            bench.loss = 30;
            bench.random = Random::new(seed);
            bench.phone(500, task());
            bench.run(40_000);
            assert!(bench.stages.contains(&Stage::Bound), "seed {seed}");
            assert!(bench.stages.contains(&Stage::FirstReport), "seed {seed}");
            let replies = bench.said("udp").len();
            assert_eq!(replies, 3, "seed {seed}: repeated commands are not answered again");
            let first = bench.heard.first();
            let answered = matches!(first, Some(Heard::Found { .. } | Heard::Silent));
            assert!(
                answered || matches!(first, Some(Heard::Progress(_))),
                "seed {seed}: {first:?}"
            );
        }
    }
}

#[test]
fn progress_of_protocol_3_reaches_the_phone_in_order() {
    let mut bench = Bench::new(soft_ap(), Policy::v3());
    bench.phone(500, task());
    bench.run(20_000);
    let seen: Vec<Progress> = bench
        .heard
        .iter()
        .filter_map(|heard| {
            let Heard::Progress(progress) = heard else { return None };
            Some(*progress)
        })
        .collect();
    assert_eq!(
        seen,
        [Progress::Joining, Progress::Connecting, Progress::Reporting, Progress::Reported]
    );
    assert!(bench.device.deadline().is_none_or(|(_, why)| why != "progress broadcast"));
}

#[test]
fn wrong_commands_are_answered_and_change_nothing() {
    let mut bench = Bench::new(soft_ap(), Policy::v2());
    for (ms, text) in [
        (100, "hello"),
        (200, r#"{"ssid":"x"}"#),
        (300, r#"{"cmdType":1,"ssid":"a","password":"b"}"#),
        (400, r#"{"cmdType":6}"#),
        (500, r#"{"cmdType":4}"#),
    ] {
        bench.datagram(ms, text);
    }
    bench.run(1000);
    let answers: Vec<&str> = bench.said.iter().map(|line| &*line.text).collect();
    let expected: Vec<bool> = answers.iter().map(|text| text.contains("Current_Error")).collect();
    assert_eq!(expected, [true; 4], "{answers:?}");
    assert!(answers[2].contains("(2, 204)") && answers[3].contains("(2, 201)"));
    bench.phone(0, task());
    bench.run(25_000);
    assert!(bench.stages.contains(&Stage::Bound), "the service kept running");
}

#[test]
fn an_empty_log_is_silence_and_a_full_one_comes_twice() {
    let mut bench = Bench::new(soft_ap(), Policy::v2());
    bench.datagram(100, r#"{"cmdType":3}"#);
    bench.run(1000);
    assert_eq!(bench.said("provision(0): started").len(), 2, "{:?}", bench.said);
    let pause = bench.said[1].ms - bench.said[0].ms;
    assert_eq!(pause, 500);
    let starts = bench.stages.iter().filter(|stage| **stage == Stage::ProvisioningStarted);
    assert_eq!(starts.count(), 2, "a log query ends the service; provisioning opens again");
}

#[test]
fn a_failed_join_is_told_to_the_next_phone_even_after_a_power_cut() {
    let mut bench = Bench::new(soft_ap(), Policy::v2());
    bench.join = Err(2);
    bench.phone(100, task());
    bench.run(6000);
    assert_eq!(bench.failures, ["attempt.network_not_joined"]);
    assert!(!bench.store.contains_key(store::WIFI) && !bench.store.contains_key(store::TOKEN));
    let mut bench = Bench::restarted(soft_ap(), Policy::v2(), bench.store);
    bench.phone(100, task());
    bench.run(25_000);
    let Some(Heard::PreviousError(text)) = bench.heard.first() else { panic!("{:?}", bench.heard) };
    assert_eq!(text.to_string(), "WIFI AP STA error! (12, 2)");
    assert!(bench.stages.contains(&Stage::Bound));
    assert!(!bench.store.contains_key(store::ERRORS), "told once");
}

#[test]
fn a_power_cut_at_any_moment_resumes_and_binds_once() {
    let moments = (0..24_000).step_by(250);
    for cut in moments {
        let mut bench = Bench::new(soft_ap(), Policy::v2());
        bench.phone(1000, task());
        bench.run(cut);
        let had_token = bench.store.contains_key(store::TOKEN);
        let was_bound = bench.store.contains_key(store::BOUND);
        let mut bench = Bench::restarted(soft_ap(), Policy::v2(), bench.store);
        bench.run(25_000);
        let online = bench.events.contains(&Event::Online);
        assert_eq!(online, had_token || was_bound, "cut at {cut} ms");
        assert_eq!(bench.stages.contains(&Stage::Bound), had_token, "cut at {cut} ms");
    }
}

#[test]
fn the_token_alone_is_enough_on_the_network() {
    let mut config = soft_ap();
    config.start = Start::OnNetwork { method: Method::SmartConfig };
    let mut bench = Bench::new(config, Policy::v3());
    bench.phone(500, app::Task::TokenOnly { token: TOKEN.into() });
    bench.run(20_000);
    assert!(bench.stages.contains(&Stage::Bound));
    assert_eq!(bench.said(r#""type":"SmartConfig""#).len(), 1);
    let replies: Vec<u64> = bench.said("udp").iter().map(|line| line.ms).collect();
    assert_eq!(replies, [501, 1501, 2501]);
}

/// What came through the air.
fn heard(network: Option<&str>, token: Option<&str>) -> Due {
    let network = network.map(|ssid| (ssid.into(), "home-password".into()));
    let heard = crate::device::Heard { network, token: token.map(Into::into) };
    Due::ToDevice(Input::Wifi(WifiEvent::Heard(heard)))
}

fn over_air(scheme: &str) -> Config {
    let mut config = soft_ap();
    config.start = Start::OverAir { bearer: scheme.parse().expect("a bearer") };
    config
}

#[test]
fn the_network_comes_through_the_air_and_the_token_after_it() {
    let mut bench = Bench::new(over_air("airkiss"), Policy::v3());
    bench.after(500, heard(Some("home"), None));
    bench.phone(2000, app::Task::TokenOnly { token: TOKEN.into() });
    bench.run(20_000);
    assert!(bench.stages.contains(&Stage::Bound), "{:?}", bench.failures);
    assert_eq!(bench.said(r#""type":"AirKiss""#).len(), 1);
    let stage = |stage| bench.stages.iter().position(|known| *known == stage);
    assert!(stage(Stage::NetworkJoined) < stage(Stage::DeviceReplied));
    let mut bench = Bench::restarted(over_air("airkiss"), Policy::v3(), bench.store);
    bench.run(20_000);
    assert!(bench.events.contains(&Event::Online), "it keeps network and owner");
}

#[test]
fn every_bearer_ends_bound_whatever_the_air_loses() {
    let network = ("Zuhause 5", "home-password", TOKEN);
    let bearers = ["airkiss", "esptouch", "esptouch2", "simpleconfig", "blufi", "combo", "llsync"];
    for bearer in bearers.map(|name| name.parse::<Bearer>().expect("a bearer")) {
        for (loss, seed) in [(0.0, 1), (0.05, 2), (0.2, 3), (0.4, 4)] {
            let (heard, at) = lossy::hear(&Ear::of(bearer), network, loss, seed);
            let told = heard.network.as_ref().map(|(s, p)| (&**s, p.expose_text()));
            assert_eq!(told, Some(("Zuhause 5", Some("home-password"))), "{bearer}");
            let (has_token, at) = (heard.token.is_some(), at.as_millis() as u64 + 10);
            let mut bench = Bench::new(over_air(bearer.name()), Policy::v3());
            bench.loss = (loss * 100.0) as u64;
            bench.after(at, Due::ToDevice(Input::Wifi(WifiEvent::Heard(heard))));
            if !has_token {
                bench.phone(at + 1500, app::Task::TokenOnly { token: TOKEN.into() });
            }
            bench.run(at + 60_000);
            assert!(bench.stages.contains(&Stage::Bound), "{bearer} {loss}: {:?}", bench.stages);
            assert_eq!(bench.failures, [] as [&str; 0], "{bearer} {loss}");
        }
    }
}

#[test]
fn a_page_of_the_own_access_point_gives_a_network_with_a_token_or_without() {
    for token in [Some(TOKEN), None] {
        let mut bench = Bench::new(soft_ap(), Policy::v3());
        bench.after(500, heard(Some("home"), token));
        // Told again by an impatient finger: it has what it needs.
        bench.after(505, heard(Some("elsewhere"), token));
        if token.is_none() {
            bench.phone(3000, app::Task::TokenOnly { token: TOKEN.into() });
        }
        bench.run(20_000);
        assert!(bench.stages.contains(&Stage::Bound), "{token:?}: {:?}", bench.failures);
        let joined = bench.stages.iter().filter(|stage| **stage == Stage::NetworkJoined).count();
        assert_eq!(joined, 1, "{token:?}");
    }
    // A wrong password is told, and the next one taken.
    let mut bench = Bench::new(soft_ap(), Policy::v3());
    bench.join = Err(2);
    bench.after(500, heard(Some("home"), Some(TOKEN)));
    bench.run(3000);
    assert_eq!(bench.failures, ["attempt.network_not_joined"]);
    bench.join = Ok(());
    bench.after(0, heard(Some("home"), Some(TOKEN)));
    bench.run(20_000);
    assert!(bench.stages.contains(&Stage::Bound), "{:?}", bench.stages);
}

#[test]
fn the_token_may_come_through_the_air_with_the_network_or_at_any_time_after_it() {
    for token_ms in [500, 505, 1500] {
        let mut bench = Bench::new(over_air("llsync"), Policy::v3());
        match token_ms {
            500 => bench.after(500, heard(Some("home"), Some(TOKEN))),
            later => {
                bench.after(500, heard(Some("home"), None));
                bench.after(later, heard(None, Some(TOKEN)));
            }
        }
        bench.run(20_000);
        assert!(bench.stages.contains(&Stage::Bound), "{token_ms}: {:?}", bench.failures);
        // What comes later is not heard: the device has an owner.
        bench.after(1, heard(Some("elsewhere"), Some(TOKEN)));
        bench.run(5000);
        assert_eq!(bench.stages.iter().filter(|stage| **stage == Stage::Bound).count(), 1);
    }
}

#[test]
fn a_network_that_cannot_be_joined_is_told_and_another_one_heard() {
    let mut bench = Bench::new(over_air("esptouch"), Policy::v3());
    bench.join = Err(2);
    bench.after(500, heard(Some("home"), None));
    bench.run(60_000);
    assert_eq!(bench.failures, ["attempt.network_not_joined"]);
    bench.join = Ok(());
    bench.after(500, heard(Some("home"), Some(TOKEN)));
    bench.run(20_000);
    assert!(bench.stages.contains(&Stage::Bound), "{:?}", bench.failures);
}

#[test]
fn a_silent_cloud_fails_a_strict_device_and_a_refusal_leaves_its_code() {
    for (verdict, code, published) in [
        (Verdict::Silence, "attempt.not_confirmed", 3),
        (Verdict::Garbage, "bind.unknown_token", 1),
        (Verdict::Code(410, "expired"), "bind.expired", 1),
    ] {
        let mut bench = Bench::new(soft_ap(), Policy::v2());
        bench.verdict = verdict;
        bench.phone(500, task());
        bench.run(60_000);
        assert_eq!(bench.failures, [code]);
        assert_eq!(bench.said("app_bind_token").len(), published, "{code}");
        let started = bench.stages.iter().filter(|s| **s == Stage::ProvisioningStarted).count();
        assert_eq!(started, 2, "{code}: the next phone finds the device");
    }
}

#[test]
fn reconnects_wait_longer_each_time_and_rest_after_giving_up() {
    let mut config = soft_ap();
    config.start = Start::Direct;
    let mut bench = Bench::new(config, Policy::v2());
    bench.refuse = Some(4);
    bench.run(300_000);
    let at: Vec<u64> = bench.said("CONNECT").iter().map(|line| line.ms).collect();
    let waits: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((1000..=2001).contains(&waits[0]), "{waits:?}");
    for pair in waits.windows(2).take(4) {
        assert!(pair[1].abs_diff(pair[0] * 2) <= 2, "{waits:?}");
    }
    assert!(waits.iter().all(|wait| *wait <= 60_001), "{waits:?}");
    assert!(bench.failures.iter().all(|code| *code == "auth.bad_password"));
}

#[test]
fn an_attempt_that_never_connects_ends_and_says_so() {
    let mut bench = Bench::new(soft_ap(), Policy::v3());
    bench.refuse = Some(2);
    bench.phone(500, task());
    bench.run(320_000);
    assert_eq!(bench.failures.last(), Some(&"auth.unknown_device"));
    assert!(
        bench.heard.iter().any(|heard| matches!(heard, Heard::Progress(Progress::ConnectFailed)))
    );
    assert!(bench.store.contains_key(store::ERRORS));
}

#[test]
fn an_unbound_device_erases_its_owner_and_can_be_provisioned_again() {
    let mut bench = Bench::new(soft_ap(), Policy::v2());
    bench.phone(500, task());
    bench.run(25_000);
    let unbind = r#"{"method":"unbind_device","clientToken":"x"}"#;
    bench.message(0, "$thing/down/service/L4WG9V9M2M/TEST2", unbind);
    bench.run(2000);
    assert!(bench.events.contains(&Event::Unbound));
    assert_eq!(bench.store.len(), 0, "owner, network and token are erased");
    bench.phone(500, task());
    bench.run(25_000);
    assert_eq!(bench.stages.iter().filter(|stage| **stage == Stage::Bound).count(), 2);
}

#[test]
fn a_lost_session_comes_back_with_state_and_kept_events() {
    let mut config = soft_ap();
    config.start = Start::Direct;
    let mut bench = Bench::new(config, Policy::v2());
    bench.run(5000);
    let fault = crate::device::Fault::new(crate::device::FaultKind::Closed, "peer");
    bench.after(0, Due::ToDevice(Input::Mqtt(MqttEvent::Closed(fault))));
    let params = roadstead_core::Map::new();
    let post = Request::Post {
        node: None,
        service: "default".into(),
        event: "hot".into(),
        level: Level::Alert,
        params,
    };
    bench.after(10, Due::ToDevice(Input::App(post)));
    bench.run(10_000);
    let on_off: Vec<&Event> =
        bench.events.iter().filter(|e| matches!(e, Event::Online | Event::Offline)).collect();
    assert_eq!(on_off, [&Event::Online, &Event::Offline, &Event::Online]);
    assert_eq!(bench.said(r#""method":"report""#).len(), 2);
    assert_eq!(bench.said(r#""type":"alert""#).len(), 1);
}

#[test]
fn a_gateway_binds_and_brings_its_sub_devices_on_line() {
    let mut config = Config::new("GWPROD0001", "gw1");
    config.secret = Some(SECRET.into());
    config.start = Start::Direct;
    config.gateway = true;
    let mut bench = Bench::new(config, Policy::v2());
    let sub = SubDevice { product: "WPDA0S6S08".into(), node: "dev001".into() };
    for action in [SubDeviceAction::Bind { secret: "KEY".into() }, SubDeviceAction::Online] {
        let request = Request::SubDevice { device: sub.clone(), action };
        bench.after(4000, Due::ToDevice(Input::App(request)));
    }
    bench.run(6000);
    let results: Vec<(&str, i64)> = bench
        .events
        .iter()
        .filter_map(|event| {
            let Event::SubDevice { what, result, .. } = event else { return None };
            Some((&**what, *result))
        })
        .collect();
    assert_eq!(results, [("bind", 0), ("online", 0)]);
    assert_eq!(bench.said("SUBSCRIBE $thing/down/property/WPDA0S6S08/dev001 0").len(), 1);
    let control = r#"{"method":"control","clientToken":"c","params":{"power_switch":1}}"#;
    bench.message(0, "$thing/down/property/WPDA0S6S08/dev001", control);
    bench.message(0, "$gateway/operation/result/GWPROD0001/gw1", r#"{"type":"unbind_all"}"#);
    bench.run(1000);
    let reply = "PUBLISH $thing/up/property/WPDA0S6S08/dev001 0";
    assert_eq!(bench.said(reply).len(), 2, "reply and report go out on the sub-device's topic");
    let gone = Event::SubDeviceChanged { device: sub, attached: false };
    assert!(bench.events.contains(&gone));
    assert_eq!(bench.said(r#""type":"unbind_all""#).len(), 1);
}

#[test]
fn arbitrary_messages_never_panic() {
    let mut config = soft_ap();
    config.start = Start::Direct;
    config.gateway = true;
    let mut bench = Bench::new(config, Policy::v2());
    bench.run(50);
    let bodies = [
        "",
        "null",
        "[]",
        "1",
        "{}",
        r#"{"method":1}"#,
        r#"{"method":"control"}"#,
        r#"{"method":"control","clientToken":"x","params":[]}"#,
        r#"{"method":"action","clientToken":"x","actionId":"a","timestamp":1}"#,
        r#"{"method":"get_status_reply","data":{"control":7}}"#,
        r#"{"type":"change"}"#,
        r#"{"type":"bind","payload":{"devices":{}}}"#,
        r#"{"type":"get","ntptime1":9223372036854775807,"ntptime2":9223372036854775807}"#,
        r#"{"type":"get","ntptime1":-9223372036854775808,"ntptime2":-9223372036854775808}"#,
    ];
    for prefix in [
        "thing/down/property",
        "thing/down/action",
        "thing/down/service",
        "thing/down/event",
        "sys/operation/result",
        "gateway/operation/result",
        "nowhere",
    ] {
        for body in bodies {
            bench.message(1, &format!("${prefix}/L4WG9V9M2M/TEST2"), body);
            bench.run(5);
        }
    }
    bench.run(10_000);
    assert!(bench.failures.is_empty(), "{:?}", bench.failures);
}
