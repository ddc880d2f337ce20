//! The whole life of a module against the dialect's own cloud half, in virtual time: configured by
//! a phone, registered, provisioned, upgraded, logged in, reporting, controlled from near and far,
//! reset, and turned into another product; in bad weather, with the phone in the LAN all the time.
//! Every journey ends in the same state.
//!
//! Source: seed §6 to §9; GizWits §7.

mod cloud;
mod hardware;
mod phone;
mod world;

use std::string::String;
use std::vec::Vec;

use roadstead_core::exchange::Downlink;
use roadstead_core::{Map, Value};
use serde_json::json;

use super::lab::Lab;
use super::login::{KEY, product};
use super::session::pet_house;
use crate::gizwits::mcu::{Hand, Mcu, Panel};
use crate::gizwits::module::Flash;
use world::{SSID, Weather, World};

/// The product of the MCU that comes last.
const OTHER_KEY: &str = "1e2d3c4b5a69788796a5b4c3d2e1f00f";
/// Virtual time in which everything becomes true: the longest silence of a dead connection, the
/// longest pause of the module, and some bad luck.
const PATIENCE: u64 = 30 * 60_000;
/// Journeys in bad weather.
const SEEDS: u64 = 200;

/// Firmware of the MCU.
fn firmware() -> &'static [u8] {
    &[0xA5; 1500]
}

/// What a journey leaves.
#[derive(Clone, Debug, PartialEq)]
struct End {
    product: String,
    network: Vec<u8>,
    mcu: Vec<u8>,
    phone: Option<Vec<u8>>,
    shadow: Map<String, Value>,
    /// Everything on the way that is the same for everybody.
    on_the_way: Vec<Value>,
    devices: usize,
}

/// What a journey went through.
struct Travelled {
    end: End,
    lost: u32,
    broken: u32,
    seconds: u64,
}

fn platform() -> Lab {
    let package = json!({"product": KEY, "type": 2, "hard_version": "00000001",
        "version": "00000003", "url": "http://fw.example/mcu.bin", "size": firmware().len()});
    let other = roadstead_core::product::Product { id: OTHER_KEY.into(), ..product(pet_house()) };
    Lab::new(&json!({"packages": [package]}), Vec::from([product(pet_house()), other]))
}

fn values(value: Value) -> Map<String, Value> {
    let Value::Object(values) = value else { panic!("an object") };
    values
}

/// The module that is on line is registered under its own passcode and no other.
fn check_registered(world: &World, key: &str) -> String {
    let did: String = world.cloud.online().expect("on line").into();
    let flash = Flash::load(world.flash()).expect("a whole record");
    assert_eq!(world.module.did(), Some(&*did), "what is on line is the module");
    assert_eq!((&*flash.did, &*flash.product_key), (&*did, key));
    let device = world.cloud.lab.device(&did).expect("registered");
    assert_eq!(device.product.as_str(), key);
    assert!(device.secret == flash.passcode, "one passcode");
    did
}

/// Both phones and the cloud see what the MCU has. What was lost is asked for again.
fn agree(world: &mut World, did: &str) {
    for _ in 0..10 {
        world.refresh();
        let read = Downlink::GetProperties { service: "default".into(), properties: Vec::new() };
        world.ask(&read);
        world.run(60_000, |world| sees(world, did));
        if sees(world, did) {
            return;
        }
    }
    let (mcu, phone) = (world.mcu.panel().status(), &world.phone.status);
    panic!("MCU {mcu:?}, phone {phone:?}, cloud {:?}\n{:#?}", world.cloud.shadow(did), world.log());
}

fn sees(world: &World, did: &str) -> bool {
    let (panel, shadow) = (world.mcu.panel(), world.cloud.shadow(did));
    let is_same = |(name, wire): (&String, &Value)| match (&shadow.get(name), name.as_str()) {
        (Some(Value::Bool(on)), _) => u64::from(*on) == wire.as_u64().unwrap_or(9),
        (Some(Value::String(text)), "LED_Color") => {
            ["Customize", "Yellow", "Purple", "Pink"].iter().position(|c| c == text)
                == wire.as_u64().map(|n| n as usize)
        }
        // Ratio 1 with an addition, as the schema has it.
        (Some(shown), "Motor_Speed") => shown.as_i64() == wire.as_i64().map(|n| n - 5),
        (Some(shown), "Temperature") => shown.as_i64() == wire.as_i64().map(|n| n - 13),
        (shown, _) => shown.is_some_and(|shown| shown == wire),
    };
    world.phone.status.as_deref() == Some(panel.status()) && panel.values().iter().all(is_same)
}

fn journey(weather: Weather, seed: u64) -> Travelled {
    let mut world = World::new(platform(), Mcu::new(KEY, Panel::pet_house()), weather, seed);
    let mut on_the_way = Vec::new();

    // Registered, provisioned, checked for firmware, logged in, subscribed.
    world.configure();
    world.until("on line", PATIENCE, |w| w.cloud.online().is_some());
    let first = check_registered(&world, KEY);
    let at = |call: &str| world.calls.iter().position(|c| c.starts_with(call)).expect(call);
    assert!(at("POST /dev/devices") < at("GET /dev/devices/"));
    assert!(at("GET /dev/devices/") < at("GET /dev/ota/target_fid"));
    assert!(at("GET /dev/ota/target_fid") < at("log-in"), "own firmware before the log-in");
    assert!(at("POST /dev/ota/v4.1/update_and_check") < at("log-in"), "the MCU's, too");

    // The MCU has its new firmware; if the download broke, after the next power-on.
    for _ in 0..10 {
        world.run(120_000, |w| w.mcu.info().software == *b"00000003");
        if world.mcu.info().software == *b"00000003" {
            break;
        }
        world.hand(Hand::Restart);
    }
    assert_eq!(world.mcu.info().software, *b"00000003", "{:#?}", world.log());
    world.until("on line", PATIENCE, |w| w.cloud.online().is_some());
    assert_eq!(check_registered(&world, KEY), first, "a restart changes nobody");

    // Reports, alerts, controls from the cloud and from the phone.
    world.until("phone in", PATIENCE, |w| w.phone.is_in);
    for round in 0..3_u64 {
        let change = values(json!({"Temperature": 20 + round, "Alert_1": round % 2}));
        world.hand(Hand::Change(&change));
        agree(&mut world, &first);
        on_the_way.push(world.cloud.events(&first).into());
        let properties =
            values(json!({"LED_OnOff": round % 2 == 0, "LED_Color": "Purple", "LED_R": round}));
        world.ask(&Downlink::SetProperties { service: "default".into(), properties });
        world.act(&[1, 0b1000, 0, 0, 10 + round as u8, 0, 0]);
        world.until("phone's control", PATIENCE, |w| w.phone.actions.is_empty());
        agree(&mut world, &first);
        on_the_way.push(world.cloud.shadow(&first).into());
        world.run(150_000, |_| false);
    }

    // Reset: another DID; the former one is nobody's.
    world.hand(Hand::Reset);
    world.configure();
    world.until("on line after a reset", PATIENCE, |w| {
        w.cloud.online().is_some_and(|did| did != first)
    });
    let second = check_registered(&world, KEY);
    world.until("deregistered", PATIENCE, |w| {
        Flash::load(w.flash()).is_some_and(|flash| flash.former.is_none())
    });
    assert!(world.cloud.lab.device(&first).is_none(), "the old DID is nobody's");
    world.until("phone in with the new passcode", PATIENCE, |w| w.phone.is_in);
    agree(&mut world, &second);

    // Another MCU behind the same module: another product, another device; the network stays.
    world.exchange_mcu(Mcu::new(OTHER_KEY, Panel::pet_house()));
    world.until("on line as another product", PATIENCE, |w| {
        w.cloud.online().is_some_and(|did| did != second)
    });
    let third = check_registered(&world, OTHER_KEY);
    world.until("deregistered", PATIENCE, |w| {
        Flash::load(w.flash()).is_some_and(|flash| flash.former.is_none())
    });
    let retired = world.cloud.lab.device(&second).expect("of the other product");
    assert!(retired.secret.as_ref().is_some_and(|secret| secret.matches(b"00000000")), "retired");
    world.until("phone in again", PATIENCE, |w| w.phone.is_in);
    world.act(&[1, 0b1000, 0, 0, 77, 0, 0]);
    world.until("phone's last control", PATIENCE, |w| w.phone.actions.is_empty());
    agree(&mut world, &third);

    assert_eq!(world.cloud.wrong, Vec::<String>::new());
    let flash = Flash::load(world.flash()).expect("a whole record");
    let end = End {
        product: flash.product_key.into(),
        network: flash.network.map_or_else(Vec::new, |(ssid, _)| ssid.to_vec()),
        mcu: world.mcu.panel().status().to_vec(),
        phone: world.phone.status.clone(),
        shadow: world.cloud.shadow(&third),
        on_the_way,
        devices: world.cloud.lab.devices.len(),
    };
    Travelled { end, lost: world.lost, broken: world.broken, seconds: world.now_s() }
}

#[test]
fn every_journey_ends_in_the_same_state_whatever_the_weather() {
    let calm = journey(Weather { loss: 0, breaks: false }, 0);
    assert_eq!((calm.lost, calm.broken), (0, 0));
    assert_eq!((&*calm.end.product, &calm.end.network[..]), (OTHER_KEY, SSID));
    assert_eq!(calm.end.mcu[2], 77, "green is what the phone said last");
    assert_eq!(calm.end.shadow["LED_G"], 77);
    let (mut lost, mut broken) = (0, 0);
    for seed in 1..=SEEDS {
        let travelled = journey(Weather { loss: 20, breaks: true }, seed);
        assert_eq!(travelled.end, calm.end, "seed {seed}");
        assert!(travelled.lost > 0, "seed {seed}");
        // One a minute, of which some hit nobody.
        assert!(u64::from(travelled.broken) <= travelled.seconds / 60, "seed {seed}");
        lost += travelled.lost;
        broken += travelled.broken;
    }
    assert!(lost > 20 * SEEDS as u32 && broken > 5 * SEEDS as u32, "{lost} lost, {broken} broken");
}
