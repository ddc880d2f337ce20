//! The device against the recordings: the same words, whatever the pauses.

use super::*;
use crate::alibaba::softap::{Network, Switch, ap_name};
use roadstead_wire::coap::Message;

/// Returns an exchange list of a recording.
fn recorded(name: &str) -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts/alibaba");
    let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect(name);
    serde_json::from_str::<Vec<Value>>(&text).expect(name)
}

fn datagrams(name: &str, direction: &str) -> Vec<Vec<u8>> {
    let run = recorded(name);
    let of = run.iter().filter(|x| x["direction"] == direction);
    of.filter_map(|x| hex::decode(x["datagram_hex"].as_str()?).ok()).collect()
}

/// Replaces what differs between runs: tokens, randoms, signs over them.
fn plain(bytes: &[u8]) -> String {
    let message = Message::parse(bytes).expect("message");
    let mut text = String::from_utf8_lossy(trim(&message.payload)).into_owned();
    for key in ["\"token\":\"", "\"random\":\"", "\"sign\":\""] {
        if let Some(at) = text.find(key) {
            let start = at + key.len();
            let end = text[start..].find('"').map_or(text.len(), |n| start + n);
            text.replace_range(start..end, "*");
        }
    }
    if let Some(at) = text.find("\"remainTime\":") {
        let start = at + "\"remainTime\":".len();
        let end = text[start..].find(',').map_or(text.len(), |n| start + n);
        text.replace_range(start..end, "*");
    }
    format!("{:?} {} {} {text}", message.kind, message.code, message.path())
}

/// Sends the recorded requests of a phone and compares the answers, word for word.
fn play(name: &str, world: &mut World, gap_ms: u64) {
    let network = world.network.clone().expect("a network");
    // Nobody's machine: the recording speaks for the phone.
    let silent = Finder::new(FinderPolicy { everybody: None, ..FinderPolicy::default() }, 1);
    world.phone(3_600_000, &network, Phone::Finder(silent));
    let mut ours = Vec::new();
    for request in datagrams(name, "phone->device") {
        let from = world.said.len();
        let bytes = Bytes::from(request);
        let (port, sender) = (crate::alibaba::lan::PORT, phone_address(0));
        let datagram = Datagram { port, from: sender, bytes };
        world.after(0, Due::ToDevice(Input::Udp(datagram)));
        world.run(20);
        let said: Vec<Vec<u8>> = world.said[from..]
            .iter()
            .filter_map(|(_, text)| hex::decode(text.strip_prefix("udp ")?).ok())
            .collect();
        ours.extend(said.iter().map(|bytes| plain(bytes)));
        world.run(gap_ms);
    }
    let theirs: Vec<String> = datagrams(name, "device->phone")
        .iter()
        .map(|bytes| plain(bytes))
        // Announcements go to everybody.
        .filter(|text| !text.starts_with("NonConfirmable 0.02"))
        .collect();
    assert_eq!(ours, theirs, "{name}");
}

fn soft_ap() -> World {
    let config = Config { start: Start::SoftAp, ..config() };
    let mut world = World::new(config, Policy { cut_password: true, ..Policy::living16() });
    world.run(200);
    world
}

#[test]
fn credentials_are_answered_as_recorded() {
    for name in
        ["l16_softap_legacy", "l16_softap_badrandom", "l16_softap_nossid", "l16_softap_token"]
    {
        play(name, &mut soft_ap(), 100);
    }
    let mut long = soft_ap();
    play("l16_softap_sec2_long", &mut long, 100);
    // Trap 14: the network is tried with what is left of the password.
    long.run(3000);
    assert_eq!(long.failures, ["attempt.network_not_joined"]);
}

#[test]
fn a_failed_join_is_explained_as_recorded() {
    let mut world = soft_ap();
    world.joinable = false;
    play("l16_softap_apfail", &mut world, 8000);
}

#[test]
fn the_phones_token_is_in_the_recorded_log_in() {
    let mut world = soft_ap();
    play("l16_softap_token", &mut world, 100);
    world.run(5000);
    let theirs = recorded("l16_softap_token");
    let connect = theirs.iter().find(|x| x["ev"] == "CONNECT").expect("CONNECT");
    let id = connect["client_id"].as_str().expect("client id");
    let ours = world.said("CONNECT 192.168.77.1:1883")[0].1;
    assert!(ours.ends_with(id), "{ours}\n{id}");
    let report = theirs
        .iter()
        .find(|x| x["topic"].as_str().is_some_and(|topic| topic.ends_with("enrollee/match")));
    let text = report.and_then(|x| x["payload_text"].as_str()).expect("report");
    assert!(world.said("enrollee/match")[0].1.ends_with(text));
}

#[test]
fn announcements_are_the_recorded_ones() {
    for (name, policy) in
        [("v301_ackbind", Policy::linkkit3()), ("l16_ackbind", Policy::living16())]
    {
        let mut config = config();
        if name == "v301_ackbind" {
            config.mac = "18:FE:34:12:33:44".into();
        }
        let mut world = World::new(config, policy);
        world.run(1000);
        let ours = world.said("broadcast");
        let is_info = |text: &str| text.contains("device.info.notify");
        let ours = ours
            .iter()
            .filter_map(|(_, text)| hex::decode(text.strip_prefix("broadcast ")?).ok())
            .map(|bytes| plain(&bytes))
            .find(|text| is_info(text));
        let theirs =
            datagrams(name, "device->phone").iter().map(|b| plain(b)).find(|text| is_info(text));
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn the_recorded_queries_get_the_recorded_answers() {
    for (name, policy, mac) in [
        ("v301_ok", Policy::linkkit3(), "18:FE:34:12:33:44"),
        ("l16_ok", Policy::living16(), "B0:F8:93:15:BF:21"),
    ] {
        let mut world = World::new(Config { mac: mac.into(), ..config() }, policy);
        world.run(3000);
        play(name, &mut world, 3000);
    }
    for (name, policy) in
        [("v301_nomatch", Policy::linkkit3()), ("l16_nomatch", Policy::living16())]
    {
        let mut world = World::new(config(), policy);
        world.script.silent_match = true;
        world.run(8000);
        play(name, &mut world, 1000);
    }
}

#[test]
fn the_recorded_phone_is_given_a_network() {
    // The other way round: our phone against the recorded device's answer.
    let answer = datagrams("l16_softap_legacy", "device->phone");
    let network = Network { ssid: HOME.into(), password: HOME_KEY.into(), bssid: None };
    let switch = Switch { network, token: None, region: None };
    let secrets = app::Secrets { product: Some(PRODUCT_SECRET.into()), random: [1; 16] };
    let mut phone = Provisioner::new(device_address(), switch, &secrets, 1).expect("possible");
    let mut out = Vec::new();
    phone.handle(app::Input::Start, Tick::ZERO, &mut out);
    let Some(ProvisionerOutput::Send { bytes, .. }) = out.pop() else { panic!("sent") };
    let request = Message::parse(&bytes).expect("message");
    for bytes in answer.iter().take(2) {
        let mut message = Message::parse(bytes).expect("message");
        message.id = request.id;
        if message.code.is_response() {
            message.token = request.token;
        }
        let bytes = message.emit_unsorted();
        let from = device_address();
        phone.handle(app::Input::Datagram { from, bytes: &bytes }, Tick::ZERO, &mut out);
    }
    assert!(matches!(&out[..], [ProvisionerOutput::Accepted(info)] if &*info.device == NODE));
    assert_eq!(ap_name(PRODUCT, "B0:F8:93:15:BF:21"), "adh_a1RsKq9ZxTb_15BF21");
}
