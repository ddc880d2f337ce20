//! Binding: by a token of the device's, by a token of the phone's, with every loss.

use super::*;
use crate::alibaba::lan::{Maker, Resource};
use crate::alibaba::softap::{Network, Switch, ap_name};
use roadstead_wire::coap::{Code as Method, Kind, Message};

fn secrets() -> app::Secrets {
    app::Secrets { product: Some(PRODUCT_SECRET.into()), random: [7; 16] }
}

fn switch(token: Option<&str>) -> Switch {
    let network = Network { ssid: HOME.into(), password: HOME_KEY.into(), bssid: None };
    Switch { network, token: token.map(Secret::from), region: None }
}

fn soft_ap() -> Config {
    Config { start: Start::SoftAp, ..config() }
}

fn provision(world: &mut World, switch: Switch) -> usize {
    let machine = Provisioner::new(device_address(), switch, &secrets(), 9).expect("secrets");
    let network = ap_name(PRODUCT, "B0:F8:93:15:BF:21");
    world.phone(300, &network, Phone::Provisioner(machine))
}

#[test]
fn a_phone_gets_a_confirmed_token_and_the_next_phone_another() {
    for policy in [Policy::linkkit3(), Policy::living16()] {
        let mut world = World::new(config(), policy);
        let first = world.finder(3000);
        world.run(5000);
        assert!(world.bind_found(first));
        let second = world.finder(0);
        world.run(5000);
        assert!(world.bind_found(second), "each phone has a token of its own");
        assert_eq!(world.tokens.values().filter(|used| **used).count(), 2);
        assert!(world.failures.is_empty(), "{:?}", world.failures);
    }
}

#[test]
fn simultaneous_phones_are_all_bound() {
    for policy in [Policy::linkkit3(), Policy::living16()] {
        let mut world = World::new(config(), policy);
        let phones: Vec<usize> = (0..3).map(|_| world.finder(2500)).collect();
        let mut bound = [false; 3];
        for _ in 0..120 {
            world.run(500);
            for n in &phones {
                if !bound[*n] && world.bind_found(*n) {
                    bound[*n] = true;
                    // Its work is done.
                    world.phone_networks[*n] = "mobile".to_string();
                }
            }
        }
        assert_eq!(bound, [true; 3]);
    }
}

#[test]
fn any_single_datagram_or_message_may_be_lost() {
    for policy in [Policy::linkkit3(), Policy::living16()] {
        let mut whole = World::new(config(), policy);
        let phone = whole.finder(2000);
        whole.run(8000);
        assert!(whole.bind_found(phone));
        let count = whole.sent;
        assert!(count > 15, "{count}");
        for lose in 0..count {
            let mut world = World::new(config(), policy);
            world.lose = Some(lose);
            let phone = world.finder(2000);
            world.run(60_000);
            assert!(world.bind_found(phone), "{:?}: {lose} lost", policy.generation);
        }
    }
}

#[test]
fn a_phones_token_binds_without_the_lan_and_with_any_loss() {
    let mut count = 1;
    let mut lose = None;
    while lose.is_none_or(|n| n < count) {
        let mut world = World::new(soft_ap(), Policy::living16());
        world.lose = lose;
        provision(&mut world, switch(Some(PHONE_TOKEN)));
        world.run(60_000);
        assert_eq!(world.bind(&PHONE_TOKEN.into()), Ok(()), "{lose:?} lost");
        assert!(!world.store.contains_key(store::TOKEN), "it has done its work");
        if lose.is_none() {
            count = world.sent;
            let connect = &world.said("CONNECT ")[0].1;
            assert!(connect.contains(&format!("tokenType=1,token={PHONE_TOKEN}")), "{connect}");
            let expected = [
                Stage::ProvisioningStarted,
                Stage::CredentialsReceived,
                Stage::DeviceReplied,
                Stage::NetworkJoined,
                Stage::Connecting,
                Stage::Connected,
                Stage::TokenSent,
                Stage::FirstReport,
                Stage::TokenReported,
            ];
            assert_eq!(world.stages, expected);
        }
        lose = Some(lose.map_or(0, |n| n + 1));
    }
    assert!(count > 40);
}

#[test]
fn a_device_that_was_given_the_network_announces_itself() {
    let mut world = World::new(soft_ap(), Policy::linkkit3());
    let giver = provision(&mut world, switch(None));
    world.run(4000);
    let accepted = world.heard.iter().any(|(n, heard)| {
        *n == giver && matches!(heard, Heard::Provision(ProvisionerOutput::Accepted(_)))
    });
    assert!(accepted);
    // The same phone in the home network.
    let finder = world.finder(0);
    world.run(10_000);
    let joined = |heard: &(usize, Heard)| {
        heard.0 == finder && matches!(heard.1, Heard::Find(FinderOutput::Joined { .. }))
    };
    assert!(world.heard.iter().any(joined), "{:?}", world.heard);
    assert!(world.bind_found(finder));
}

#[test]
fn trap_2_only_the_newest_report_is_answered() {
    let mut world = World::new(config(), Policy::living16());
    world.script.silent_match = true;
    world.run(4000);
    let reports = world.said("enrollee/match").len();
    assert_eq!(reports, 2);
    // An answer to something that was never asked.
    world.tell("thing/awss/enrollee/match_reply", &json!({"id": "0", "code": 200, "data": {}}));
    world.run(500);
    assert!(!world.stages.contains(&Stage::TokenReported));
    world.tell("thing/awss/enrollee/match_reply", &json!({"id": 1, "code": 200, "data": {}}));
    world.run(500);
    assert!(world.stages.contains(&Stage::TokenReported));
}

#[test]
fn without_match_reply_the_token_is_reported_three_times_and_queries_get_none() {
    // v301_nomatch, l16_nomatch: 0, 3 and 6 s; the query stays unanswered.
    for (unconfirmed, told) in [(Unconfirmed::Silence, false), (Unconfirmed::WithoutToken, true)] {
        let query_wait = Duration::from_secs(1);
        let policy = Policy { unconfirmed, query_wait, ..Policy::living16() };
        let mut world = World::new(config(), policy);
        world.script.silent_match = true;
        let phone = world.finder(4000);
        world.run(12_000);
        let times: Vec<u64> = world.said("enrollee/match").iter().map(|(ms, _)| *ms).collect();
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.starts_with(&[3000, 3000]), "{gaps:?}");
        let tokens: Vec<&str> = world.said("enrollee/match").into_iter().map(|(_, t)| t).collect();
        let token =
            |text: &str| text.split("\"token\":\"").nth(1).map(|rest| rest[..32].to_string());
        assert_eq!(token(tokens[0]), token(tokens[2]), "the same token");
        assert!(world.failures.contains(&"attempt.not_confirmed"));
        let unconfirmed = world.heard.iter().any(|(n, heard)| {
            *n == phone && matches!(heard, Heard::Find(FinderOutput::Unconfirmed { .. }))
        });
        assert_eq!(unconfirmed, told);
        assert!(!world.bind_found(phone));
        // The platform is well again: the device recovers by itself.
        world.script.silent_match = false;
        world.run(60_000);
        assert!(world.bind_found(phone));
    }
}

#[test]
fn a_refused_report_is_believed() {
    let mut world = World::new(config(), Policy::living16());
    world.script.match_code = Some(6401);
    world.run(2000);
    assert!(world.failures.contains(&"attempt.not_confirmed"));
    assert!(!world.stages.contains(&Stage::TokenReported));
}

#[test]
fn an_expired_token_is_never_given_away() {
    let mut world = World::new(config(), Policy::linkkit3());
    world.run(100_000);
    let phone = world.finder(0);
    world.run(3000);
    let remaining = world.heard.iter().find_map(|(n, heard)| match heard {
        Heard::Find(FinderOutput::Found { info, .. }) if *n == phone => {
            info.token.as_ref().map(|token| token.remaining)
        }
        _ => None,
    });
    assert!(remaining.is_some_and(|left| left > Duration::from_secs(40)), "{remaining:?}");
    assert!(world.bind_found(phone));
}

#[test]
fn thirty_announcements_with_growing_gaps() {
    // l16_ok: 100, 200, 300 ms …
    let mut world = World::new(config(), Policy::living16());
    world.run(60_000);
    let path = hex::encode("notify");
    let times: Vec<u64> = world
        .said("broadcast")
        .into_iter()
        .filter(|(_, text)| {
            text.contains(&path) && text.contains(&hex::encode("device.info.notify"))
        })
        .map(|(ms, _)| ms)
        .collect();
    assert_eq!(times.len(), 30);
    for (n, pair) in times.windows(2).enumerate() {
        assert_eq!(pair[1] - pair[0], 100 * (n as u64 + 1), "gap {n}");
    }
}

#[test]
fn an_acknowledgement_ends_the_announcements_and_renews_the_token() {
    // v301_ackbind, l16_ackbind.
    for policy in [Policy::linkkit3(), Policy::living16()] {
        let mut world = World::new(config(), policy);
        let finder = Finder::new(FinderPolicy { everybody: None, ..FinderPolicy::default() }, 5);
        let phone = world.phone(0, HOME, Phone::Finder(finder));
        world.run(30_000);
        let announced = hex::encode("device.info.notify");
        let count = world.said("broadcast").iter().filter(|(_, t)| t.contains(&announced)).count();
        assert_eq!(count, 1);
        let reports = world.said("enrollee/match 1 ");
        assert_eq!(reports.len(), 2, "a new token is reported: {reports:?}");
        assert!(world.bind_found(phone));
    }
}

#[test]
fn trap_11_post_is_refused() {
    let mut world = World::new(config(), Policy::linkkit3());
    world.run(1000);
    let mut post = Message::new(Kind::Confirmable, Method::POST, 77)
        .with_path(&Resource::DeviceInfo.path(Some((PRODUCT, NODE))));
    post.payload = Bytes::from_static(b"{}");
    let datagram = |message: &Message| Datagram {
        port: crate::alibaba::lan::PORT,
        from: phone_address(0),
        bytes: message.emit().into(),
    };
    world.after(0, Due::ToDevice(Input::Udp(datagram(&post))));
    world.run(10);
    let answer = world.said("udp")[0].1.strip_prefix("udp ").map(hex::decode);
    let answer = Message::parse(&answer.expect("prefix").expect("hex")).expect("message");
    assert_eq!(answer.code, Method::METHOD_NOT_ALLOWED);
    assert_eq!((answer.kind, answer.id), (Kind::Acknowledgement, 77));
    // Broken JSON, an unknown path.
    let mut broken = post;
    (broken.code, broken.id) = (Method::GET, 78);
    broken.payload = Bytes::from_static(b"{");
    world.after(0, Due::ToDevice(Input::Udp(datagram(&broken))));
    let unknown = Message::new(Kind::Confirmable, Method::GET, 79).with_path("/nothing");
    world.after(1, Due::ToDevice(Input::Udp(datagram(&unknown))));
    world.run(10);
    let codes: Vec<Method> = world
        .said("udp")
        .iter()
        .filter_map(|(_, text)| hex::decode(text.strip_prefix("udp ")?).ok())
        .filter_map(|bytes| Message::parse(&bytes).ok())
        .map(|message| message.code)
        .collect();
    assert_eq!(codes[1..], [Method::BAD_REQUEST, Method::NOT_FOUND]);
}

#[test]
fn old_firmware_makes_its_own_token_whatever_the_phone_sends() {
    let mut world = World::new(soft_ap(), Policy::linkkit3());
    provision(&mut world, switch(Some(PHONE_TOKEN)));
    world.run(20_000);
    assert_eq!(world.bind(&PHONE_TOKEN.into()), Err("bind.unknown_token"));
    assert_eq!(world.tokens.len(), 1);
    assert!(!world.said("CONNECT ")[0].1.contains("token="));
}

#[test]
fn a_power_cut_does_not_lose_a_phones_token() {
    let mut world = World::new(soft_ap(), Policy::living16());
    provision(&mut world, switch(Some(PHONE_TOKEN)));
    // The answer is given, the own network still open.
    world.run(1000);
    assert!(world.tokens.is_empty());
    let mut again = World::restarted(soft_ap(), Policy::living16(), world.store.clone());
    again.run(10_000);
    assert_eq!(again.bind(&PHONE_TOKEN.into()), Ok(()));
    let maker = again.said("CONNECT ")[0].1.contains("tokenType=1");
    assert!(maker && Maker::Phone.number() == 1);
}
