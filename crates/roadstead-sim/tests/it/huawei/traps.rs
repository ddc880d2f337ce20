//! The interop traps of Huawei §17 that only a real server shows: T5 to T7 and T13.

use std::time::{Duration, Instant};

use roadstead_server::config::Config;
use roadstead_wire::mqtt::packet::{Connect, Reason, Version};
use serde_json::json;

use super::device::{Device, connect, stamp, tcp, tls};
use super::{DEVICE, SECRET, with_meter};
use crate::platform::{Folder, Platform};

/// The C SDK repeats a refused log-in in MQTT 3.1: the same answer, and one refusal, not two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t05_a_log_in_repeated_in_mqtt_31_counts_once() {
    let platform = with_meter(|_| {}).await;
    let stamp = stamp();
    let mut answers = Vec::new();
    for version in [Version::V311, Version::V31] {
        let wrong = Connect { version, ..connect(DEVICE, "not-the-secret", 0, &stamp) };
        let (_, ack) = Device::greet(tcp(platform.address("mqtt")).await, wrong).await;
        answers.push(ack.reason);
    }
    assert_eq!(answers, [Reason::BadUserNameOrPassword; 2]);
    let trace = platform.api.trace(DEVICE).await;
    let refused = trace.iter().filter(|entry| *entry == "login:auth.bad_password").count();
    assert_eq!(refused, 1, "{trace:?}");
    platform.stop().await;
}

/// The C SDK tells plain from TLS by a text search in the port, the Python SDK takes no other
/// ports: the defaults are exactly these, and each speaks what firmware expects of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t06_firmware_finds_plain_on_1883_and_tls_on_8883() {
    let listen = Config::default().listen;
    let port = |at: roadstead_server::config::Address| at.0.map(|at| at.port());
    assert_eq!((port(listen.mqtt), port(listen.mqtts)), (Some(1883), Some(8883)));
    let platform = with_meter(|config| {
        config.mqtt.first_packet = Duration::from_millis(500);
        config.throttle.hold = Duration::from_millis(100);
    })
    .await;
    let ca = platform.folder.path().join("tls/ca.pem");
    let plain = tcp(platform.address("mqtt")).await;
    Device::login(plain, connect(DEVICE, SECRET, 0, &stamp())).await.leave().await;
    let secured = tls(platform.address("mqtts"), &ca).await.expect("TLS");
    Device::login(secured, connect(DEVICE, SECRET, 0, &stamp())).await.leave().await;
    assert!(tls(platform.address("mqtt"), &ca).await.is_err(), "plain is plain");
    platform.stop().await;
}

/// Firmware verifies the chain against the root it was built with, and no host name: the root of
/// the data folder is enough, another platform's is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t07_the_root_of_the_data_folder_is_all_that_firmware_needs() {
    let platform = with_meter(|_| {}).await;
    let other = Platform::start().await;
    let address = platform.address("mqtts");
    // What is put into the firmware as `conf/rootcert.pem`.
    let firmware = Folder::new();
    let root = firmware.path().join("rootcert.pem");
    std::fs::copy(platform.folder.path().join("tls/ca.pem"), &root).expect("copied");
    let stream = tls(address, &root).await.expect("a trusted chain");
    Device::login(stream, connect(DEVICE, SECRET, 1, &stamp())).await.leave().await;
    std::fs::copy(other.folder.path().join("tls/ca.pem"), &root).expect("copied");
    let refused = tls(address, &root).await.expect_err("another root");
    assert!(refused.contains("certificate verify failed"), "{refused}");
    for platform in [platform, other] {
        platform.stop().await;
    }
}

/// The Python SDK with paho 2 tries for ever with a wrong password. It is answered later and
/// later, whatever time stamp and address it uses; why it is out is shown; the right password is
/// let in at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t13_a_wrong_password_for_ever_is_slowed_down_and_explained() {
    let first = Duration::from_millis(200);
    let platform = with_meter(|config| {
        config.throttle.free = 2;
        config.throttle.delay_first = first;
        config.throttle.delay_max = first * 2;
    })
    .await;
    let mut took = Vec::new();
    for attempt in 0..5 {
        // A new hour, a new client id: the device is the same.
        let stamp = format!("20261121{attempt:02}");
        let wrong = connect(DEVICE, "not-the-secret", 0, &stamp);
        let started = Instant::now();
        let (_, ack) = Device::greet(tcp(platform.address("mqtt")).await, wrong).await;
        assert_eq!(ack.reason, Reason::BadUserNameOrPassword);
        took.push(started.elapsed());
    }
    assert!(took[2] >= first && took[3] >= first * 2 && took[4] >= first * 2, "{took:?}");
    let why = platform.api.get(&format!("/devices/{DEVICE}/why")).await.to_string();
    assert!(why.contains("auth.bad_password"), "{why}");
    let trace = platform.api.trace(DEVICE).await;
    assert!(trace.contains(&"login:auth.bad_password".to_owned()), "{trace:?}");
    assert!(trace.contains(&"login:auth.throttled".to_owned()), "{trace:?}");

    let started = Instant::now();
    let stream = tcp(platform.address("mqtt")).await;
    Device::login(stream, connect(DEVICE, SECRET, 0, &stamp())).await.leave().await;
    assert!(started.elapsed() < first, "the right secret is never delayed");
    assert_eq!(platform.api.get(&format!("/devices/{DEVICE}")).await["status"], json!("OFFLINE"));
    platform.stop().await;
}
