//! Local control: with the cloud, without it, with every loss, by strangers.

use super::*;
use crate::alibaba::alcs::{AuthError, ClientError, KeyPair};
use crate::alibaba::app::ControlError;

fn pair() -> KeyPair {
    KeyPair::new("Mine@iot", "own-secret".into()).expect("pair")
}

fn control(world: &mut World, key: &KeyPair) -> usize {
    let names = (PRODUCT, NODE);
    let machine = Control::new(device_address(), names, key.access_key(1), 11);
    world.phone(1000, HOME, Phone::Control(machine))
}

/// Orders a phone to call a service.
fn order(world: &mut World, n: usize, name: &str, params: Value) {
    let mut out = Vec::new();
    if let Some(Phone::Control(machine)) = world.phones.get_mut(n) {
        machine.ask(name, params, world.now, &mut out);
    }
    for output in out {
        world.phone_output(n, Heard::Control(output));
    }
}

fn answers(world: &World) -> Vec<(i64, Value)> {
    let of = |(_, heard): &(usize, Heard)| match heard {
        Heard::Control(ControlOutput::Answer { code, data, .. }) => Some((*code, data.clone())),
        _ => None,
    };
    world.heard.iter().filter_map(of).collect()
}

fn failed(world: &World) -> Vec<ControlError> {
    let of = |(_, heard): &(usize, Heard)| match heard {
        Heard::Control(ControlOutput::Failed(error)) => Some(*error),
        _ => None,
    };
    world.heard.iter().filter_map(of).collect()
}

#[test]
fn a_phone_controls_the_device_when_the_cloud_is_away() {
    // The device got its keys while the cloud was there; now it starts without it.
    let mut first = World::new(config(), Policy::living16());
    first.run(2000);
    assert!(first.store.contains_key(store::KEYS));
    let mut world = World::restarted(config(), Policy::living16(), first.store.clone());
    world.script.down = true;
    let phone = control(&mut world, &pair());
    world.run(2000);
    order(&mut world, phone, "property/set", json!({"LightSwitch": 1}));
    world.run(1000);
    order(&mut world, phone, "property/get", json!(["LightSwitch"]));
    order(&mut world, phone, "Custom", json!({"transparency": 7}));
    world.run(1000);
    let expected =
        [(200, json!({})), (200, json!({"LightSwitch": 1})), (200, json!({"transparency": 8}))];
    assert_eq!(answers(&world), expected);
    let set = world.events.iter().filter(|event| matches!(event, Event::Set { .. })).count();
    assert_eq!(set, 1);
    assert!(!world.events.contains(&Event::Online), "no cloud");
}

#[test]
fn any_single_datagram_may_be_lost() {
    let mut count = 1;
    let mut lose = None;
    while lose.is_none_or(|n| n < count) {
        let mut world = World::new(config(), Policy::linkkit3());
        world.run(5000);
        let before = world.sent;
        world.lose = lose.map(|n| before + n);
        let phone = control(&mut world, &pair());
        order(&mut world, phone, "property/set", json!({"LightSwitch": 1}));
        world.run(30_000);
        if lose.is_none() {
            count = world.sent - before;
        }
        assert_eq!(answers(&world), [(200, json!({}))], "{lose:?} lost");
        let set = world.events.iter().filter(|event| matches!(event, Event::Set { .. })).count();
        assert_eq!(set, 1, "done once: {lose:?} lost");
        lose = Some(lose.map_or(0, |n| n + 1));
    }
    assert!(count >= 7, "{count}");
}

#[test]
fn heart_beats_keep_a_session_and_a_restarted_device_gets_a_new_one() {
    let mut world = World::new(config(), Policy::linkkit3());
    world.run(2000);
    let phone = control(&mut world, &pair());
    world.run(600_000);
    order(&mut world, phone, "property/set", json!({"LightSwitch": 1}));
    world.run(5000);
    assert_eq!(answers(&world).len(), 1);
    let ready = |world: &World| {
        let is = |heard: &&(usize, Heard)| matches!(heard.1, Heard::Control(ControlOutput::Ready));
        world.heard.iter().filter(is).count()
    };
    assert_eq!(ready(&world), 1, "ten minutes in one session");
    // The device forgets its sessions with its power.
    world.device = Device::new(config(), Policy::linkkit3());
    let stored = world.store.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
    world.after(0, Due::ToDevice(Input::Start { stored, clock: None }));
    world.run(1000);
    order(&mut world, phone, "property/set", json!({"LightSwitch": 0}));
    world.run(10_000);
    assert_eq!(answers(&world).len(), 2, "{:?}", world.heard);
    assert_eq!(ready(&world), 2);
}

#[test]
fn strangers_are_refused_once_the_device_has_its_own_keys() {
    let mut world = World::new(config(), Policy::linkkit3());
    world.run(2000);
    let stranger = control(&mut world, &KeyPair::factory());
    order(&mut world, stranger, "property/set", json!({"LightSwitch": 1}));
    let guesser = KeyPair::new("Mine@iot", "guess".into()).expect("pair");
    control(&mut world, &guesser);
    world.run(5000);
    let refused = |error| ControlError::Client(ClientError::Refused(error));
    assert_eq!(failed(&world), [refused(AuthError::Prefix), refused(AuthError::Sign)]);
    assert!(answers(&world).is_empty());
    assert!(!world.events.iter().any(|event| matches!(event, Event::Set { .. })));
}

#[test]
fn a_revoked_key_ends_its_session() {
    let mut world = World::new(config(), Policy::linkkit3());
    world.run(2000);
    let phone = control(&mut world, &pair());
    world.run(3000);
    let revoke = json!({"id": "5", "version": "1.0", "params": {"blacklist": "001"}});
    world.tell("thing/lan/blacklist/update", &revoke);
    world.run(100);
    order(&mut world, phone, "property/set", json!({"LightSwitch": 1}));
    world.run(10_000);
    let refused = ControlError::Client(ClientError::Refused(AuthError::Revoked));
    assert_eq!(failed(&world), [refused]);
    assert_eq!(world.said("blacklist/update_reply").len(), 1);
}

#[test]
fn a_device_without_a_network_says_that_it_offers_no_control() {
    let mut world = World::new(Config { start: Start::SoftAp, ..config() }, Policy::living16());
    world.run(1000);
    let own = world.network.clone().expect("its own network");
    let machine = Control::new(device_address(), (PRODUCT, NODE), pair().access_key(0), 9);
    let phone = world.phone(0, &own, Phone::Control(machine));
    world.run(1);
    order(&mut world, phone, "property/get", Value::Null);
    world.run(5000);
    assert_eq!(failed(&world), [ControlError::NotOffered]);
    assert_eq!(ControlError::NotOffered.code(), "local.not_offered");
}

#[test]
fn nobody_there_is_silence() {
    let mut world = World::new(Config { start: Start::Direct, ..config() }, Policy::living16());
    world.network = None;
    control(&mut world, &pair());
    world.run(60_000);
    assert_eq!(failed(&world), [ControlError::Silent]);
    assert_eq!(ControlError::Silent.code(), "local.silent");
}

#[test]
fn what_does_not_fit_is_answered_with_its_reason() {
    let mut world = World::new(config(), Policy::living16());
    world.run(2000);
    let phone = control(&mut world, &pair());
    order(&mut world, phone, "property/set", json!([1]));
    world.run(5000);
    assert_eq!(answers(&world), [(460, json!({"error": "params is no object"}))]);
}
