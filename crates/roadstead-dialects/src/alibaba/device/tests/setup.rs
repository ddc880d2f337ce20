//! Credentials: both securities, refusals, failed joins, setup networks, regions.

use super::*;
use crate::alibaba::app::ProvisionerError;
use crate::alibaba::softap::{Failure, Network, Region, Switch, SwitchError, ap_name};

fn own_network() -> String {
    ap_name(PRODUCT, "B0:F8:93:15:BF:21")
}

fn network(password: &str) -> Switch {
    let network = Network { ssid: HOME.into(), password: password.into(), bssid: None };
    Switch { network, token: None, region: None }
}

fn world(policy: Policy) -> World {
    World::new(Config { start: Start::SoftAp, ..config() }, policy)
}

fn give(world: &mut World, switch: Switch, product: Option<&str>) -> usize {
    let secrets = app::Secrets { product: product.map(Secret::from), random: [3; 16] };
    let machine = Provisioner::new(device_address(), switch, &secrets, 4).expect("possible");
    world.phone(200, &own_network(), Phone::Provisioner(machine))
}

fn answers(world: &World, n: usize) -> Vec<ProvisionerOutput> {
    let of = |(phone, heard): &(usize, Heard)| match heard {
        Heard::Provision(output) if *phone == n => Some(output.clone()),
        _ => None,
    };
    world.heard.iter().filter_map(of).collect()
}

#[test]
fn both_securities_reach_the_network() {
    for product in [Some(PRODUCT_SECRET), None] {
        let mut world = world(Policy::living16());
        let phone = give(&mut world, network(HOME_KEY), product);
        world.run(5000);
        let answers = answers(&world, phone);
        let [ProvisionerOutput::Accepted(info)] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((&*info.product, &*info.device), (PRODUCT, NODE));
        assert_eq!(world.network.as_deref(), Some(HOME));
        assert!(world.stages.contains(&Stage::NetworkJoined));
    }
}

#[test]
fn a_wrong_product_secret_falls_back_and_a_long_password_needs_the_right_one() {
    let mut wrong = world(Policy::living16());
    // The secret of another product is refused with -3; security 2.0 needs none.
    let phone = give(&mut wrong, network(HOME_KEY), Some("another-product1"));
    wrong.run(5000);
    assert!(matches!(answers(&wrong, phone)[..], [ProvisionerOutput::Accepted(_)]));
    let long = "a-longer-passphrase-of-32-chars!";
    let none = app::Secrets { product: None, random: [3; 16] };
    let refused = Provisioner::new(device_address(), network(long), &none, 4).err();
    assert_eq!(refused, Some(ProvisionerError::NeedsSecret), "trap 14");
    let mut other = world(Policy::living16());
    let phone = give(&mut other, network(long), Some("another-product1"));
    other.run(5000);
    let failed = ProvisionerError::Refused(SwitchError::PasswordContent);
    assert_eq!(failed.code(), "attempt.credentials_not_readable");
    assert_eq!(answers(&other, phone), [ProvisionerOutput::Failed(failed)]);
    assert_eq!(other.network, Some(own_network()), "the network stays open for another try");
}

#[test]
fn a_failed_join_brings_the_own_network_back_with_the_cause() {
    for (joinable, key, failure) in [
        (false, HOME_KEY, Failure::NetworkNotFound),
        (true, "wrong-password", Failure::NetworkPassword),
    ] {
        let mut world = world(Policy::living16());
        world.joinable = joinable;
        give(&mut world, network(key), Some(PRODUCT_SECRET));
        world.run(5000);
        assert_eq!(world.network, Some(own_network()));
        assert_eq!(world.failures, ["attempt.network_not_joined"]);
        let cause = Provisioner::cause(device_address(), 6);
        let phone = world.phone(0, &own_network(), Phone::Provisioner(cause));
        world.run(1000);
        let answers = answers(&world, phone);
        let [ProvisionerOutput::Cause(report)] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(report.number, u64::from(failure.number()));
        assert!(report.words.ends_with("HomeNet not found") || failure != Failure::NetworkNotFound);
        assert!(report.is_valid((PRODUCT, NODE), &SECRET.into()));
        assert!(!world.store.contains_key(store::WIFI), "a wrong network is not kept");
        // A second try with the right words works.
        world.joinable = true;
        give(&mut world, network(HOME_KEY), Some(PRODUCT_SECRET));
        world.run(5000);
        assert_eq!(world.network.as_deref(), Some(HOME));
    }
}

#[test]
fn a_lost_answer_looks_like_silence_and_the_device_has_everything() {
    let mut world = world(Policy::living16());
    let phone = give(&mut world, network(HOME_KEY), Some(PRODUCT_SECRET));
    // The phone leaves the network before the answer comes.
    world.run(201);
    world.phone_networks[phone] = "mobile".to_string();
    world.run(30_000);
    assert_eq!(answers(&world, phone), [ProvisionerOutput::Silent]);
    assert_eq!(world.network.as_deref(), Some(HOME));
}

#[test]
fn setup_networks_of_phone_and_router_work_alike() {
    for (start, name) in [(Start::PhoneAp, "aha"), (Start::RouterAp, "adha")] {
        let mut world = World::new(Config { start, ..config() }, Policy::living16());
        world.run(1000);
        assert_eq!(world.network.as_deref(), Some(name));
        let announced = hex::encode("awss.device.info.notify");
        assert!(world.said("broadcast").iter().any(|(_, text)| text.contains(&announced)));
        let secrets = app::Secrets { product: Some(PRODUCT_SECRET.into()), random: [3; 16] };
        let machine = Provisioner::new(device_address(), network(HOME_KEY), &secrets, 4);
        world.phone(0, name, Phone::Provisioner(machine.expect("possible")));
        world.run(6000);
        assert_eq!(world.network.as_deref(), Some(HOME));
        assert!(world.stages.contains(&Stage::TokenSent));
    }
}

#[test]
fn the_phone_chooses_the_region() {
    for (region, host) in [
        (Region::Endpoint("10.1.2.3:1884".into()), "CONNECT 10.1.2.3:1884"),
        (Region::Number(1), "CONNECT a1RsKq9ZxTb.iot-as-mqtt.ap-southeast-1.aliyuncs.com:443"),
    ] {
        let mut world = world(Policy::living16());
        let switch = Switch { region: Some(region), ..network(HOME_KEY) };
        give(&mut world, switch, Some(PRODUCT_SECRET));
        world.run(5000);
        assert_eq!(world.said(host).len(), 1, "{:?}", world.said("CONNECT "));
    }
    // A number without a built-in host is asked for over HTTP (§4).
    let mut world = world(Policy::living16());
    let switch = Switch { region: Some(Region::Number(9)), ..network(HOME_KEY) };
    give(&mut world, switch, Some(PRODUCT_SECRET));
    world.run(5000);
    assert_eq!(world.said("http GET /auth/bootstrap/regionId/9").len(), 1);
    assert_eq!(world.said("CONNECT 192.168.77.1:1883").len(), 1);
}
