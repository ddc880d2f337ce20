//! The device half against the product's own cloud half, with phones: every loss, several phones,
//! used, foreign and expired tokens, reset, another region, requests.

use roadstead_core::binding::TokenState;
use roadstead_core::exchange::Downlink;
use roadstead_core::product::{DEFAULT_SERVICE, Rebind};

use roadstead_wire::airlink::Scheme;

use super::platform::Platform;
use super::*;
use crate::air::{Bearer, lossy};
use crate::alibaba::alcs::KeyPair;
use crate::alibaba::softap::{Network, Switch, ap_name};
use crate::device::Ear;

fn world(config: Config, policy: Policy, rebind: Rebind) -> World {
    let mut world = World::new(config, policy);
    world.platform = Some(Platform::new(rebind));
    world
}

fn platform(world: &mut World) -> &mut Platform {
    world.platform.as_mut().expect("platform")
}

/// Returns what a phone found, newest first.
fn found(world: &World, n: usize) -> Vec<String> {
    let token = |(phone, heard): &(usize, Heard)| match heard {
        Heard::Find(FinderOutput::Found { info, .. }) if *phone == n => {
            info.token.as_ref()?.token.expose_text().map(ToString::to_string)
        }
        _ => None,
    };
    world.heard.iter().rev().filter_map(token).collect()
}

/// A user's app binds with whatever its phone has found.
fn bind(world: &mut World, n: usize, user: &str) -> Result<(), &'static str> {
    let now = world.now;
    let mut last = Err("attempt.device_silent");
    for token in found(world, n) {
        last = platform(world).bind(&token, user, now).map_err(|error| error.code());
        if last.is_ok() {
            break;
        }
    }
    last
}

const GENERATIONS: [fn() -> Policy; 2] = [Policy::linkkit3, Policy::living16];

#[test]
fn a_devices_token_binds_whatever_single_message_is_lost() {
    for policy in GENERATIONS {
        let mut count = 1;
        let mut lose = None;
        while lose.is_none_or(|n| n < count) {
            let mut world = world(config(), policy(), Rebind::Refuse);
            world.lose = lose;
            let phone = world.finder(2000);
            world.run(60_000);
            assert_eq!(bind(&mut world, phone, "ann"), Ok(()), "{lose:?} lost");
            assert_eq!(platform(&mut world).owner, Some("ann".into()));
            if lose.is_none() {
                count = world.sent;
            }
            lose = Some(lose.map_or(0, |n| n + 1));
        }
        assert!(count > 20, "{count}");
    }
}

#[test]
fn a_phones_token_binds_whatever_single_message_is_lost() {
    let mut count = 1;
    let mut lose = None;
    while lose.is_none_or(|n| n < count) {
        let config = Config { start: Start::SoftAp, ..config() };
        let mut world = world(config, Policy::living16(), Rebind::Refuse);
        world.lose = lose;
        platform(&mut world).create(PHONE_TOKEN, "ann", Tick::ZERO);
        let network = Network { ssid: HOME.into(), password: HOME_KEY.into(), bssid: None };
        let switch = Switch { network, token: Some(PHONE_TOKEN.into()), region: None };
        let secrets = app::Secrets { product: None, random: [9; 16] };
        let machine = Provisioner::new(device_address(), switch, &secrets, 2).expect("possible");
        let own = ap_name(PRODUCT, "B0:F8:93:15:BF:21");
        world.phone(200, &own, Phone::Provisioner(machine));
        world.run(60_000);
        assert_eq!(platform(&mut world).state(PHONE_TOKEN), Some(TokenState::Reported));
        let now = world.now;
        assert!(platform(&mut world).bind(PHONE_TOKEN, "ann", now).is_ok(), "{lose:?} lost");
        if lose.is_none() {
            count = world.sent;
        }
        lose = Some(lose.map_or(0, |n| n + 1));
    }
    assert!(count > 40, "{count}");
}

#[test]
fn a_network_through_a_lossy_air_ends_bound_by_the_devices_token() {
    let ear =
        Ear { bearer: Bearer::Sniffed(Scheme::SmartConfig), key: Some(PRODUCT_SECRET.into()) };
    for (loss, seed) in [(0.0, 1), (0.05, 2), (0.2, 3), (0.4, 4)] {
        let (heard, at) = lossy::hear(&ear, (HOME, HOME_KEY, ""), loss, seed);
        let at = at.as_millis() as u64 + 10;
        let sniffing = || Config { start: Start::SmartConfig, ..config() };
        let mut world = world(sniffing(), Policy::living16(), Rebind::Refuse);
        world.after(at, Due::ToDevice(Input::Wifi(WifiEvent::Heard(heard))));
        // A datagram is lost besides.
        world.lose = Some(seed as usize * 3);
        let phone = world.finder(at + 2000);
        world.run(at + 60_000);
        assert_eq!(world.network.as_deref(), Some(HOME), "{loss}");
        assert_eq!(bind(&mut world, phone, "ann"), Ok(()), "{loss}");
        // It keeps the network over a power cut, and does not listen again.
        let mut again = World::restarted(sniffing(), Policy::living16(), world.store);
        again.platform = Some(Platform::new(Rebind::Refuse));
        again.run(5000);
        assert_eq!(again.network.as_deref(), Some(HOME));
    }
}

#[test]
fn a_network_that_was_misheard_is_told_and_another_one_heard() {
    let config = Config { start: Start::SmartConfig, ..config() };
    let mut world = world(config, Policy::living16(), Rebind::Refuse);
    let heard = |password: &str| {
        let network = Some((HOME.to_string(), password.into()));
        Due::ToDevice(Input::Wifi(WifiEvent::Heard(crate::device::Heard { network, token: None })))
    };
    world.after(100, heard("wrong-password"));
    world.run(3000);
    assert_eq!(world.failures, ["attempt.network_not_joined"]);
    world.after(0, heard(HOME_KEY));
    let phone = world.finder(2000);
    world.run(30_000);
    assert_eq!(bind(&mut world, phone, "ann"), Ok(()));
}

#[test]
fn several_phones_at_once_end_as_the_product_allows() {
    for (rebind, second) in
        [(Rebind::Refuse, Err("bind.bound_to_other")), (Rebind::Transfer, Ok(()))]
    {
        let mut world = world(config(), Policy::living16(), rebind);
        let phones = [world.finder(2000), world.finder(2000)];
        world.run(30_000);
        assert_eq!(bind(&mut world, phones[0], "ann"), Ok(()));
        assert_eq!(bind(&mut world, phones[1], "bob"), second);
    }
}

#[test]
fn two_phones_that_heard_one_announcement_do_not_share_its_token() {
    let mut world = world(config(), Policy::linkkit3(), Rebind::Transfer);
    let listen = FinderPolicy { everybody: None, ..FinderPolicy::default() };
    let phones = [1, 2].map(|seed| world.phone(0, HOME, Phone::Finder(Finder::new(listen, seed))));
    world.run(1000);
    let shared = found(&world, phones[0]);
    assert_eq!(shared, found(&world, phones[1]));
    assert_eq!(bind(&mut world, phones[0], "ann"), Ok(()));
    assert_eq!(bind(&mut world, phones[1], "bob"), Err("bind.already_used"));
    // The second one asks, and gets a token of its own.
    let again = world.finder(0);
    world.run(5000);
    assert_eq!(bind(&mut world, again, "bob"), Ok(()));
}

#[test]
fn used_foreign_and_expired_tokens_are_refused_with_their_reason() {
    let mut world = world(config(), Policy::living16(), Rebind::Refuse);
    let phone = world.finder(2000);
    world.run(5000);
    let token = found(&world, phone).pop().expect("token");
    let now = world.now;
    let foreign = platform(&mut world).bind(PHONE_TOKEN, "ann", now);
    assert_eq!(foreign.map_err(|e| e.code()), Err("bind.unknown_token"));
    let late = now + Duration::from_secs(121);
    let expired = platform(&mut world).bind(&token, "ann", late);
    assert_eq!(expired.map_err(|e| e.code()), Err("bind.expired"));
    assert!(platform(&mut world).bind(&token, "ann", now).is_ok());
    let used = platform(&mut world).bind(&token, "bob", now);
    assert_eq!(used.map_err(|e| e.code()), Err("bind.already_used"));
    // Another account's token of the platform's making.
    platform(&mut world).create(PHONE_TOKEN, "carl", now);
    let other = platform(&mut world).bind(PHONE_TOKEN, "ann", now);
    assert_eq!(other.map_err(|e| e.code()), Err("bind.other_account"));
}

#[test]
fn requests_are_answered_and_reports_arrive() {
    for policy in GENERATIONS {
        let mut world = world(config(), policy(), Rebind::Refuse);
        world.run(3000);
        let service: std::boxed::Box<str> = DEFAULT_SERVICE.into();
        let properties = json!({"LightSwitch": true}).as_object().cloned().expect("object");
        let set = Downlink::SetProperties { service: service.clone(), properties };
        let messages = platform(&mut world).ask(41, &set, Tick::from_millis(3000));
        world.deliver(messages);
        world.run(1000);
        let platform = platform(&mut world);
        let ok = [(roadstead_core::RequestId(41), 0)];
        assert_eq!(platform.responses, ok);
        assert_eq!(platform.reported.get("LightSwitch"), Some(&Value::Bool(true)));
        for expected in ["report", "bind_token", "time", "info"] {
            assert!(platform.heard.iter().any(|name| name == expected), "{:?}", platform.heard);
        }
        assert!(world.failures.is_empty(), "{:?}", world.failures);
    }
}

#[test]
fn the_device_gets_its_own_keys_and_its_owners_phone_has_the_same() {
    let mut world = world(config(), Policy::living16(), Rebind::Refuse);
    world.run(3000);
    let secret = Secret::from(SECRET);
    let (prefix, local) = crate::alibaba::auth::local_key(secret.expose(), PRODUCT, NODE);
    let pair = KeyPair::new(&prefix, local.into()).expect("a pair");
    let machine = Control::new(device_address(), (PRODUCT, NODE), pair.access_key(0), 3);
    let phone = world.phone(0, HOME, Phone::Control(machine));
    // The cloud goes away.
    world.script.down = true;
    world.later_mqtt(0, MqttEvent::Closed(Fault::new(FaultKind::Closed, "gone")));
    world.run(1000);
    let mut out = Vec::new();
    if let Some(Phone::Control(machine)) = world.phones.get_mut(phone) {
        machine.ask("property/set", json!({"LightSwitch": 1}), world.now, &mut out);
    }
    for output in out {
        world.phone_output(phone, Heard::Control(output));
    }
    world.run(2000);
    let done = |(_, heard): &(usize, Heard)| {
        matches!(heard, Heard::Control(ControlOutput::Answer { code: 200, .. }))
    };
    assert!(world.heard.iter().any(done), "{:?}", world.heard);
}

#[test]
fn a_reset_frees_the_device_and_the_next_owner_binds_it() {
    for policy in GENERATIONS {
        let mut world = world(config(), policy(), Rebind::Refuse);
        let phone = world.finder(2000);
        world.run(5000);
        assert_eq!(bind(&mut world, phone, "ann"), Ok(()));
        world.after(0, Due::ToDevice(Input::App(Request::Reset)));
        world.run(5000);
        assert_eq!(platform(&mut world).owner, None);
        let next = world.finder(0);
        world.run(5000);
        assert_eq!(bind(&mut world, next, "bob"), Ok(()));
    }
}

#[test]
fn a_moved_device_asks_for_its_place_and_binds_there() {
    let mut world = world(config(), Policy::living16(), Rebind::Refuse);
    world.run(3000);
    let there = json!({"resources": {"mqtt": {"host": "10.9.9.9", "port": 1884}}});
    world.script.http = Some((200, json!({"code": 200, "data": there}).to_string()));
    let now = world.now;
    let messages = platform(&mut world).ask(1, &Downlink::Moved, now);
    world.deliver(messages);
    // The other instance knows the device, too.
    world.platform = Some(Platform::new(Rebind::Refuse));
    world.run(3000);
    assert_eq!(world.said("CONNECT 10.9.9.9:1884").len(), 1);
    let phone = world.finder(0);
    world.run(5000);
    assert_eq!(bind(&mut world, phone, "ann"), Ok(()));
}

#[test]
fn a_moved_device_is_bound_there_whatever_single_message_is_lost() {
    const THERE: &str = "10.9.9.9";
    let mut count = 1;
    let mut lose = None;
    while lose.is_none_or(|n| n < count) {
        let mut world = world(config(), Policy::living16(), Rebind::Refuse);
        world.lose = lose;
        world.run(3000);
        let place = json!({"resources": {"mqtt": {"host": THERE, "port": 1884}}});
        world.script.http = Some((200, json!({"code": 200, "data": place}).to_string()));
        world.there = Some((THERE, Platform::new(Rebind::Refuse)));
        let now = world.now;
        platform(&mut world).is_moved = true;
        let messages = platform(&mut world).ask(1, &Downlink::Moved, now);
        world.deliver(messages);
        world.run(20_000);
        if world.there.is_some() {
            // On a connection a message is lost only with all that follows: it ends, and the
            // next log-in is told again.
            assert!(lose.is_some(), "nothing was lost, and the device did not move");
            world.later_mqtt(0, MqttEvent::Closed(Fault::new(FaultKind::Closed, "lost")));
            world.run(60_000);
        }
        assert!(world.there.is_none(), "{lose:?} lost: never logged in there");
        let phone = world.finder(0);
        world.run(60_000);
        assert_eq!(bind(&mut world, phone, "ann"), Ok(()), "{lose:?} lost");
        if lose.is_none() {
            count = world.sent;
        }
        lose = Some(lose.map_or(0, |n| n + 1));
    }
    assert!(count > 20, "{count}");
}

#[test]
fn an_unbound_device_is_told_and_a_wrong_secret_refused() {
    let mut world = world(config(), Policy::living16(), Rebind::Refuse);
    world.run(3000);
    let now = world.now;
    let messages = platform(&mut world).ask(1, &Downlink::Unbound, now);
    world.deliver(messages);
    world.run(100);
    assert!(world.events.contains(&Event::Unbound));
    let wrong = Config { secret: Some("another-secret".into()), ..config() };
    let mut refused = World::new(wrong, Policy::living16());
    refused.platform = Some(Platform::new(Rebind::Refuse));
    refused.run(2000);
    assert_eq!(refused.failures.first(), Some(&"auth.bad_password"));
}
