//! A gateway and what is behind it, against the product's own cloud half.

use roadstead_core::exchange::{Downlink, Standing, SubDevice};
use roadstead_core::product::{DEFAULT_SERVICE, Rebind};

use super::platform::Platform;
use super::*;
use crate::alibaba::tests::{account, lamp};
use crate::device::SubDeviceAction;

const BULB: &str = "a1SubDevKey";

fn bulb() -> SubDevice {
    SubDevice { product: BULB.into(), node: "bulb-1".into() }
}

fn world(policy: Policy) -> World {
    let mut world = World::new(config(), policy);
    let mut platform = Platform::new(Rebind::Refuse);
    platform.subs.push((account(BULB, "bulb-1", lamp()), false, false));
    world.platform = Some(platform);
    world.run(3000);
    world
}

fn platform(world: &mut World) -> &mut Platform {
    world.platform.as_mut().expect("platform")
}

fn order(world: &mut World, action: SubDeviceAction) {
    let request = Request::SubDevice { device: bulb(), action };
    world.after(0, Due::ToDevice(Input::App(request)));
    world.run(1000);
}

fn result(world: &World, name: &str) -> Option<i64> {
    world.events.iter().rev().find_map(|event| match event {
        Event::SubDevice { device, what, result } if *device == bulb() && &**what == name => {
            Some(*result)
        }
        _ => None,
    })
}

fn attach(world: &mut World) {
    order(world, SubDeviceAction::Bind { secret: SECRET.into() });
    assert_eq!(result(world, "thing/topo/add"), Some(0));
    order(world, SubDeviceAction::Online);
    assert_eq!(result(world, "combine/login"), Some(0));
}

#[test]
fn a_sub_device_is_attached_logs_in_reports_and_obeys() {
    for policy in [Policy::linkkit3(), Policy::living16()] {
        let mut world = world(policy);
        attach(&mut world);
        let values = json!({"LightSwitch": 1}).as_object().cloned().expect("object");
        let report = Request::Report {
            node: Some(bulb()),
            service: DEFAULT_SERVICE.into(),
            properties: values.clone(),
        };
        world.after(0, Due::ToDevice(Input::App(report)));
        world.run(1000);
        let wanted = json!({"LightSwitch": true}).as_object().cloned().expect("object");
        assert_eq!(platform(&mut world).sub_reported, [(bulb(), wanted.clone())]);
        let (service, properties) = (DEFAULT_SERVICE.into(), wanted);
        let set = Downlink::SetProperties { service, properties };
        let messages = platform(&mut world).ask_sub(&bulb(), &set);
        world.deliver(messages);
        world.run(1000);
        let asked = world
            .events
            .iter()
            .any(|event| matches!(event, Event::Set { node: Some(node), .. } if *node == bulb()));
        assert!(asked, "{:?}", world.events);
        let answered = [(roadstead_core::RequestId(77), 0)];
        assert_eq!(platform(&mut world).responses, answered);
        order(&mut world, SubDeviceAction::Offline);
        assert_eq!(result(&world, "combine/logout"), Some(0));
        assert!(!platform(&mut world).subs[0].2);
    }
}

#[test]
fn a_wrong_secret_an_unknown_one_and_silence_are_told() {
    let mut world = world(Policy::living16());
    order(&mut world, SubDeviceAction::Online);
    let unsupported = |event: &Event| {
        matches!(event, Event::Rejected { what, code: "command.unsupported", .. }
            if &**what == "combine/login")
    };
    assert!(world.events.iter().any(unsupported), "{:?}", world.events);
    order(&mut world, SubDeviceAction::Bind { secret: "another".into() });
    assert_eq!(result(&world, "thing/topo/add"), Some(6287));
    world.lose = Some(world.sent);
    order(&mut world, SubDeviceAction::Bind { secret: SECRET.into() });
    assert_eq!(result(&world, "thing/topo/add"), Some(6287), "still waiting");
    world.run(20_000);
    assert_eq!(result(&world, "thing/topo/add"), Some(-1));
    attach(&mut world);
}

#[test]
fn what_the_operator_does_reaches_the_application() {
    for policy in [Policy::linkkit3(), Policy::living16()] {
        let mut world = world(policy);
        attach(&mut world);
        let now = world.now;
        let tell = |world: &mut World, request: &Downlink| {
            let messages = platform(world).ask(5, request, now);
            world.deliver(messages);
            world.run(100);
        };
        tell(&mut world, &Downlink::InviteSubDevices(std::vec![bulb()]));
        tell(&mut world, &Downlink::SearchSubDevices { start: true });
        let attached = Event::SubDeviceChanged { device: bulb(), attached: true };
        assert!(world.events.contains(&attached));
        assert!(world.events.contains(&Event::SearchSubDevices { start: true }));
        let frozen = platform(&mut world).ask_sub(&bulb(), &Downlink::Standing(Standing::Frozen));
        world.deliver(frozen);
        world.run(100);
        assert_eq!(result(&world, "thing/disable"), Some(0));
        order(&mut world, SubDeviceAction::Online);
        let (attached, facts) = (false, std::vec![]);
        let gone = Downlink::SubDevicesChanged { attached, devices: std::vec![bulb()], facts };
        tell(&mut world, &gone);
        assert!(
            world.events.contains(&Event::SubDeviceChanged { device: bulb(), attached: false })
        );
    }
}
