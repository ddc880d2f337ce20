//! The way to the cloud and back: seed §8, §9, §11.

use std::vec::Vec;

use super::*;

const HOUR: u64 = 3_600_000;

fn connects(bench: &Bench) -> Vec<u64> {
    bench.times(|did| matches!(did, Did::Connect(_)))
}

#[test]
fn register_provision_check_log_in_subscribe() {
    let mut bench = Bench::configured(Policy::document());
    bench.run(3_000);
    let mut chain = Vec::new();
    for (_, did) in &bench.said {
        match did {
            Did::Http { request, .. } => chain.push(request.lines().next().expect("line").into()),
            Did::Connect(login) => chain.push(std::format!("CONNECT {login}")),
            Did::Subscribe(filter) => chain.push(std::format!("SUBSCRIBE {filter}")),
            Did::Status(word) if Status::of(*word).cloud => chain.push("CLOUD".into()),
            _ => {}
        }
    }
    let passcode = String::from_utf8_lossy(bench.passcode().expose()).into_owned();
    let check = std::format!(
        "GET /dev/ota/target_fid?did={DID}&product_key={KEY}&type=1&hard_version=000LINUX\
         &soft_version=04020006&current_fid=1 HTTP/1.1"
    );
    assert_eq!(
        chain,
        [
            "POST /dev/devices HTTP/1.1".to_string(),
            std::format!("GET /dev/devices/{DID} HTTP/1.1"),
            check,
            std::format!("POST /dev/ota/v4.1/update_and_check/{DID} HTTP/1.1"),
            std::format!("CONNECT {DID} {passcode} 120"),
            std::format!("SUBSCRIBE ser2cli_noti/{KEY}"),
            std::format!("SUBSCRIBE ser2cli_res/{DID}"),
            std::format!("SUBSCRIBE app2dev/{DID}/#"),
            "CLOUD".to_string(),
        ]
    );
    assert_eq!(bench.flash().firmware_id, 0, "an id of 0 is sent as 1 and stays 0");
}

#[test]
fn a_registration_sends_key_mac_and_passcode_and_is_kept() {
    let mut bench = Bench::configured(Policy::document());
    bench.run(3_000);
    let request = bench
        .said
        .iter()
        .find_map(|(_, did)| match did {
            Did::Http { request, .. } if request.starts_with("POST /dev/devices ") => {
                Some(request.clone())
            }
            _ => None,
        })
        .expect("registered");
    let passcode = String::from_utf8_lossy(bench.passcode().expose()).into_owned();
    assert!(
        request.ends_with(&std::format!("passcode={passcode}&mac=0247495A0001&product_key={KEY}"))
    );
    assert_eq!(&*bench.flash().did, DID);
    bench.forget();
    bench.power();
    bench.run(3_000);
    let again = bench.requests();
    assert!(again[0].starts_with("GET /dev/devices/"), "each start provisions, none registers");
}

#[test]
fn without_a_did_nothing_else_is_asked() {
    let mut bench = Bench::configured(Policy::document());
    bench.api = Box::new(|_| Api::Answer(500, String::new()));
    bench.run(100_000);
    assert!(bench.requests().iter().all(|line| line.starts_with("POST /dev/devices ")));
    let times = bench.times(|did| matches!(did, Did::Http { .. }));
    let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1000).collect();
    assert_eq!(pauses, [10, 20, 30], "10 x n");
    assert!(connects(&bench).is_empty());
}

#[test]
fn without_a_place_there_is_no_log_in() {
    let mut bench = Bench::configured(Policy::document());
    bench.api = Box::new(|request| match request.starts_with("GET /dev/devices/") {
        true => Api::Answer(200, "host=&port=&".into()),
        false => good_api(request),
    });
    bench.run(60_000);
    assert!(connects(&bench).is_empty());
    assert!(!bench.requests().iter().any(|line| line.contains("ota")));
}

#[test]
fn a_silent_api_is_asked_after_5_15_25_seconds_as_recorded() {
    let mut bench = Bench::configured(Policy::document());
    bench.api = Box::new(|_| Api::Silent);
    bench.run(60_000);
    let times = bench.times(|did| matches!(did, Did::Http { .. }));
    let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1000).collect();
    assert_eq!(pauses, [6, 16, 26], "time-out and one second");
}

#[test]
fn error_9016_registers_anew_without_a_deregistration() {
    let refuse = |request: &str| match request.starts_with("GET /dev/devices/") {
        true => Api::Answer(400, r#"{"error_code":9016}"#.into()),
        false => good_api(request),
    };
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.api = Box::new(refuse);
    bench.power();
    bench.run(65_000);
    let lines = bench.requests();
    let words: Vec<&str> = lines.iter().map(|l| l.split(' ').next().expect("method")).collect();
    assert!(!words.contains(&"DELETE"));
    // Provision, then register and provision at once, then after 10, 20 … seconds.
    assert_eq!(words[..7], ["GET", "POST", "GET", "POST", "GET", "POST", "GET"], "{lines:?}");
    let times =
        bench.times(|did| matches!(did, Did::Http { request, .. } if request.starts_with("POST")));
    let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1000).collect();
    assert_eq!(pauses, [10, 20, 30], "no storm");
    bench.api = Box::new(good_api);
    bench.run(60_000);
    assert!(bench.status().cloud);

    let mut bench = Bench::online(Policy::firmware());
    bench.forget();
    bench.api = Box::new(refuse);
    bench.power();
    bench.run(65_000);
    assert!(bench.requests().iter().all(|line| line.starts_with("GET ")), "as recorded");
}

#[test]
fn connack_4_registers_anew_and_other_codes_wait() {
    for code in 1..=5 {
        let mut bench = Bench::online(Policy::document());
        bench.forget();
        bench.server = Server::Refuses(code);
        bench.after(0, Due::M2m(Words::Closed));
        bench.run(120_000);
        let registered = bench.requests().iter().any(|line| line.starts_with("POST /dev/devices "));
        assert_eq!(registered, code == 4, "code {code}");
        assert!(!bench.requests().iter().any(|line| line.starts_with("DELETE")));
        let times = connects(&bench);
        let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1000).collect();
        assert!(pauses.is_sorted() && pauses[0] >= 10, "code {code}: {pauses:?}");
        assert!(times.len() <= 6, "no storm: {times:?}");
        bench.server = Server::Accepts;
        bench.run(120_000);
        assert!(bench.status().cloud, "code {code}");
    }
}

#[test]
fn reconnection_at_once_then_ten_seconds_more_each_time_then_provision() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.server = Server::Closes;
    bench.after(0, Due::M2m(Words::Closed));
    bench.run(560_000);
    let times = connects(&bench);
    let start = 5_000;
    let pauses: Vec<u64> = std::iter::once(start).chain(times.iter().copied()).collect();
    let pauses: Vec<u64> = pauses.windows(2).map(|pair| (pair[1] - pair[0] + 500) / 1000).collect();
    assert_eq!(pauses[..11], [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    let provisions = bench.times(|did| {
        matches!(did, Did::Http { request, .. }
        if request.starts_with("GET /dev/devices/"))
    });
    assert_eq!(provisions.len(), 1, "after ten failures");
    assert!(provisions[0] >= times[9] && provisions[0] <= times[10]);
}

#[test]
fn two_hours_without_the_server_restart_the_module() {
    let mut bench = Bench::online(Policy::document());
    bench.restarts = false;
    bench.server = Server::Closes;
    bench.after(0, Due::M2m(Words::Closed));
    bench.run(2 * HOUR + 1_000);
    assert_eq!(bench.restarts(), [RestartReason::CloudLost]);
    let at = bench.times(|did| *did == Did::Restart(RestartReason::CloudLost));
    assert_eq!(at, [5_000 + 2 * HOUR]);
    // After the restart it begins without a pause.
    bench.server = Server::Accepts;
    bench.power();
    bench.run(1_000);
    assert!(bench.status().cloud);
}

#[test]
fn ping_after_55_seconds_of_silence_and_dead_after_120() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.run(230_000);
    let pings = bench.times(|did| *did == Did::Ping);
    assert_eq!(pings.len(), 4);
    assert!(pings.windows(2).all(|pair| pair[1] - pair[0] == 55_001), "one ms for the answer");
    bench.server = Server::Silent;
    bench.forget();
    bench.run(130_000);
    let dead = bench.times(|did| *did == Did::CloseM2m);
    assert_eq!(connects(&bench)[0], dead[0], "the same address, at once");
    assert_eq!(bench.count(|did| matches!(did, Did::Resolve(..))), 0);
}

#[test]
fn cloud_is_told_after_the_last_subscription_only() {
    let mut bench = Bench::configured(Policy::document());
    bench.server = Server::NoSubAck;
    bench.run(8_000);
    assert_eq!(bench.count(|did| matches!(did, Did::Subscribe(_))), 1, "one after the other");
    assert!(!bench.status().cloud);
    bench.run(10_000);
    assert!(bench.logged("no SUBACK in time"));
}

#[test]
fn clients_of_the_cloud_are_counted_and_answered() {
    let mut bench = Bench::online(Policy::document());
    let topic = std::format!("ser2cli_res/{DID}");
    bench.cloud_says(&topic, &[0, 0, 0, 3, 2, 0x10, 0, 2]);
    assert!(bench.status().app);
    bench.cloud_says(&topic, &[0, 0, 0, 3, 2, 0x10, 0, 0]);
    assert!(!bench.status().app);
    bench.forget();
    let to = std::format!("app2dev/{DID}/appclient0001");
    bench.cloud_says(&to, &hex::decode("00000003080000930000002a02").expect("hex"));
    bench.cloud_says(&to, &hex::decode("000000030400009002").expect("hex"));
    bench.run(20);
    let publishes: Vec<_> = bench
        .said
        .iter()
        .filter_map(|(_, did)| match did {
            Did::Publish(topic, payload) => Some((topic.clone(), hex::encode(payload))),
            _ => None,
        })
        .collect();
    let status = hex::encode(bench.mcu.as_ref().expect("MCU").panel().status());
    assert_eq!(
        publishes,
        [
            (
                std::format!("dev2app/{DID}/appclient0001"),
                std::format!("00000003120000940000002a03{status}")
            ),
            (std::format!("dev2app/{DID}"), std::format!("000000030e00009103{status}")),
        ]
    );
}

#[test]
fn names_are_resolved_once_and_the_server_every_hour() {
    let mut bench = Bench::configured(Policy::document());
    bench.run(3_000);
    let resolved = |bench: &Bench| {
        bench
            .said
            .iter()
            .filter_map(|(_, did)| match did {
                Did::Resolve(name, host) => Some((*name, host.clone())),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        resolved(&bench),
        [(Name::Api, "api.gizwits.com".to_string()), (Name::M2m, "m2m.gizwits.com".to_string()),]
    );
    bench.forget();
    bench.run(3 * HOUR);
    assert_eq!(resolved(&bench).len(), 3);
    bench.forget();
    bench.resolver = Some([10, 0, 0, 9].into());
    bench.run(HOUR);
    assert!(bench.logged("another address") && bench.status().cloud, "not disturbed");
    // An hour that fails changes nothing.
    bench.resolver = None;
    bench.run(HOUR);
    assert!(bench.status().cloud);
}

#[test]
fn a_name_that_does_not_resolve_stops_only_what_needs_it() {
    let mut bench = Bench::configured(Policy::document());
    bench.resolver = None;
    bench.run(30_000);
    assert!(bench.requests().is_empty() && bench.status().router);
    bench.log_in(1);
    bench.resolver = Some([10, 0, 0, 1].into());
    bench.run(60_000);
    assert!(bench.status().cloud);
}

#[test]
fn own_firmware_is_installed_and_its_id_kept() {
    let offers = |request: &str| {
        if request.starts_with("GET /dev/ota/target_fid") && request.contains("current_fid=1 ") {
            let url = "http://fw.gizwits.com:8080/dev/ota/download/5";
            Api::Answer(200, std::format!("target_fid=8&download_url={url}&"))
        } else if request.starts_with("GET /dev/ota/download/5 ") {
            assert!(request.contains("Host: fw.gizwits.com:8080\r\n"));
            Api::File(std::vec![7; 5000], "GAgent_RSVIRT01_04000002.bin")
        } else {
            good_api(request)
        }
    };
    let mut bench = Bench::configured(Policy::document());
    bench.api = Box::new(offers);
    bench.run(10_000);
    assert_eq!(bench.count(|did| matches!(did, Did::Install(_, image) if image.len() == 5000)), 1);
    assert_eq!(bench.restarts(), [RestartReason::Upgraded]);
    assert_eq!(bench.flash().firmware_id, 8);
    assert!(bench.status().cloud, "checked before the log-in, once");
}

#[test]
fn a_firmware_check_is_tried_once_for_three_seconds() {
    let mut bench = Bench::configured(Policy::document());
    bench.api = Box::new(|request| match request.contains("ota") {
        true => Api::Silent,
        false => good_api(request),
    });
    bench.run(20_000);
    let checks =
        bench.times(|did| matches!(did, Did::Http { request, .. } if request.contains("ota")));
    assert_eq!(checks.len(), 2, "the module's and the MCU's");
    assert_eq!(checks[1] - checks[0], 3_000);
    assert_eq!(connects(&bench)[0] - checks[1], 3_001, "and the name");
    assert!(bench.status().cloud);
}

#[test]
fn the_router_is_joined_for_ever() {
    let mut bench = Bench::online(Policy::document());
    bench.forget();
    bench.join = Err(7);
    bench.after(0, Due::Radio(RadioEvent::Lost));
    bench.run(24 * HOUR);
    assert!(bench.count(|did| matches!(did, Did::Join(_))) > 8_000);
    assert!(bench.restarts().is_empty() && !bench.status().cloud);
    bench.join = Ok(());
    bench.run(15_000);
    assert!(bench.status().cloud);
}

#[test]
fn the_watchdog_is_wound_up_by_every_wake_up() {
    struct Count(usize);
    impl Outbox for Count {
        fn put(&mut self, output: Output<'_>) {
            self.0 += usize::from(matches!(output, Output::Watchdog));
        }
        fn save(&mut self, _: &[u8]) -> bool {
            true
        }
    }
    let mut module = Module::new(Config::new(MAC), Policy::document());
    let mut count = Count(0);
    module.handle(
        Input::Start { flash: &[], entropy: [0; 32], date: None },
        Tick::ZERO,
        &mut count,
    );
    let mut wakes = 1;
    while let Some((due, _)) = module.deadline() {
        module.handle(Input::Timeout, due, &mut count);
        wakes += 1;
    }
    assert_eq!(count.0, wakes);
    // Something is always due well within the five minutes of the watchdog.
    let mut bench = Bench::online(Policy::document());
    for _ in 0..200 {
        let (due, _) = bench.module.deadline().expect("on");
        assert!(due.since(bench.now) < Duration::from_secs(300));
        bench.run(due.since(bench.now).as_millis() as u64);
    }
}
