//! The recorded messages, byte for byte, from both ends; and the Tencent subset of BluFi.

use alloc::vec::Vec;

use serde_json::Value;
use zeroize::Zeroizing;

use super::*;
use crate::ble::blufi::{BluFiDevice, BluFiPhone};
use crate::ble::tests::{bytes, load, network};
use crate::ble::{Courier, Link, LinkState, Network, Order, Porter, Refusal, Report, Step};

fn pieces(value: &Value) -> Vec<Vec<u8>> {
    match value.as_array() {
        Some(list) => list.iter().map(bytes).collect(),
        None => [bytes(value)].to_vec(),
    }
}

fn size(vector: &Value) -> usize {
    vector["att_mtu"].as_u64().unwrap() as usize - 3
}

fn text(vector: &Value, name: &str) -> Vec<u8> {
    vector[name].as_str().unwrap().as_bytes().to_vec()
}

fn credentials(vector: &Value) -> Network {
    network(&text(vector, "ssid_utf8"), &text(vector, "password_utf8"))
}

fn recorded() -> impl Iterator<Item = Value> {
    load("llsync.json").into_iter().filter(|vector| vector["downlink"].is_object())
}

fn written(courier: &mut dyn Courier, order: &Order) -> Vec<Vec<u8>> {
    let mut writes = Vec::new();
    courier.send(order, &mut writes);
    writes
}

#[test]
fn the_published_example_is_split_and_joined() {
    let vector = &load("llsync.json")[0];
    let mut out = Vec::new();
    let payload = bytes(&vector["payload_hex"]);
    split(1, &payload, size(vector), &mut out);
    assert_eq!(out, pieces(&vector["frames"]));
    let mut joiner = Joiner::default();
    assert_eq!(joiner.take(&out[0]), Ok(None));
    assert_eq!(joiner.take(&out[1]), Ok(Some((1, payload))));
}

#[test]
fn orders_are_the_recorded_ones() {
    for vector in recorded() {
        let token = Zeroizing::new(text(&vector, "token_utf8"));
        let orders = [
            (Order::Open, "get_device_info"),
            (Order::Station, "set_mode_sta"),
            (Order::Network(credentials(&vector)), "set_wifi_info"),
            (Order::Connect, "connect"),
            (Order::Token(token), "token"),
            (Order::Log, "get_log"),
        ];
        let mut phone = LlSyncPhone::new(size(&vector));
        let mut device = LlSyncDevice::new(size(&vector));
        for (order, name) in orders {
            let writes = written(&mut phone, &order);
            assert_eq!(writes, pieces(&vector["downlink"][name]), "{name}");
            let mut heard = Vec::new();
            for write in &writes {
                device.write(write, &mut heard, &mut Vec::new()).unwrap();
            }
            assert!(heard == [order], "{name}: {heard:?}");
        }
    }
}

#[test]
fn reports_are_the_recorded_ones() {
    for vector in recorded() {
        let name = text(&vector, "device_name");
        let ssid = text(&vector, "ssid_utf8");
        let link =
            |state| Report::Link(Link { state, ssid: ssid.clone(), bssid: None, reason: None });
        let log = pieces(&vector["uplink"]["log"]);
        let log: Vec<u8> = log.iter().flat_map(|piece| piece[3..].to_vec()).collect();
        let reports = [
            (Report::Info { name }, "device_info"),
            (Report::Step(Step::Station, true), "mode_ok"),
            (Report::Step(Step::Network, true), "info_ok"),
            (link(LinkState::Connected), "connected"),
            (link(LinkState::Failed), "connect_failed"),
            (Report::Token(true), "token_ok"),
            (Report::Log(log), "log"),
        ];
        let mut device = LlSyncDevice::new(size(&vector));
        let mut phone = LlSyncPhone::new(size(&vector));
        for (report, name) in reports {
            let mut notes = Vec::new();
            device.tell(&report, &mut notes);
            assert_eq!(notes, pieces(&vector["uplink"][name]), "{name}");
            let mut heard = Vec::new();
            for note in &notes {
                phone.notified(note, &mut heard, &mut Vec::new()).unwrap();
            }
            assert_eq!(heard, [report], "{name}");
        }
    }
}

#[test]
fn the_combo_subset_is_blufi_without_security() {
    for vector in recorded() {
        let token = Zeroizing::new(text(&vector, "token_utf8"));
        let orders = [
            Order::Open,
            Order::Station,
            Order::Network(credentials(&vector)),
            Order::Connect,
            Order::Token(token),
        ];
        let mut phone = BluFiPhone::new(100, None);
        let writes: Vec<_> = orders.iter().flat_map(|order| written(&mut phone, order)).collect();
        let subset = vector["tencent_blufi_subset"].as_array().unwrap();
        let subset: Vec<_> = subset.iter().map(|it| bytes(&it["hex"])).collect();
        assert_eq!(writes, subset);
        let mut device = BluFiDevice::new(100, [1; 32], false);
        let mut heard = Vec::new();
        for write in &writes {
            device.write(write, &mut heard, &mut Vec::new()).unwrap();
        }
        assert!(heard == orders[1..], "{heard:?}");
    }
    let printed = load("llsync.json").pop().unwrap();
    let mut device = BluFiDevice::new(100, [1; 32], false);
    let (mut heard, mut notes) = (Vec::new(), Vec::new());
    for name in ["set_mode_sta", "ssid_tencent", "connect"] {
        let frame = match name {
            "connect" => [0x0C, 0, 2, 0].to_vec(),
            name => bytes(&printed[name]),
        };
        device.write(&frame, &mut heard, &mut notes).unwrap();
    }
    assert!(heard == [Order::Station, Order::Network(network(b"tencent", b"")), Order::Connect]);
    assert_eq!(notes.len(), 1, "the first frame wants an acknowledgement");
}

#[test]
fn a_long_write_may_come_in_two() {
    let mut joiner = Joiner::default();
    assert_eq!(joiner.take(&[0xE4, 0, 5, 1, 2]), Ok(None));
    assert_eq!(joiner.take(&[3]), Ok(None));
    assert_eq!(joiner.take(&[4, 5]), Ok(Some((0xE4, [1, 2, 3, 4, 5].to_vec()))));
    assert_eq!(joiner.take(&[0xE4, 0, 5, 1, 2]), Ok(None));
    assert_eq!(joiner.take(&[3, 4, 5, 6]), Err(Refusal::Malformed));
}

#[test]
fn pieces_out_of_order_are_refused() {
    for wrong in [
        &[][..],
        &[0xE2],
        &[0xE2, 0x80, 1, 0],
        &[0xE2, 0xC0, 1, 0],
        &[0xE2, 0x40, 2, 0],
        &[0xE2, 0, 1],
        &[0xE2, 0, 1, 0, 0],
        &[0xE2, 0x1F, 0xFF, 0],
    ] {
        assert!(Joiner::default().take(wrong).is_err(), "{wrong:?}");
    }
    let mut joiner = Joiner::default();
    assert_eq!(joiner.take(&[0xE2, 0x40, 1, 0]), Ok(None));
    assert_eq!(joiner.take(&[0xE4, 0xC0, 1, 0]), Err(Refusal::Malformed), "another type");
    let mut device = LlSyncDevice::new(20);
    for wrong in [&[0xE2, 0, 3, 0, 1, b'x'][..], &[0xE2, 0, 3, 1, b'a', 9], &[0xE2, 0, 1, 1]] {
        let refused = device.write(wrong, &mut Vec::new(), &mut Vec::new());
        assert!(refused.is_err(), "{wrong:?}");
    }
}
