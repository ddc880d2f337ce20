//! Log-ins that are refused: three vendors, each with its own proof.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use reqwest::Method;
use roadstead_sim::huawei;
use roadstead_wire::mqtt::packet::{Connect, Opaque, Version};

use super::clinic::{Clinic, KEY, KEY_SECRET, METER, METER_SECRET, WRONG, id, signed};
use crate::huawei::stamp;
use crate::mqtt::{Device, connect};
use crate::platform::{DEVICE_SECRET, PRODUCT};

type Twist = fn(&str) -> Connect;

fn with_password(node: &str, text: Option<&str>) -> Connect {
    let mut hello = connect(Version::V311, node, DEVICE_SECRET);
    hello.password = text.map(|text| Opaque::new(text.as_bytes().to_vec()));
    hello
}

fn user(node: &str, end: &str) -> String {
    format!("{PRODUCT}{node};21010406;5B1N0;{end}")
}

/// What can be wrong with the log-in of a registered lamp.
const TENCENT: &[(&str, Twist, &str, &str)] = &[
    (
        "another secret",
        |n| connect(Version::V311, n, WRONG),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "another secret, MQTT 3.1",
        |n| connect(Version::V31, n, WRONG),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "another secret, MQTT 5",
        |n| connect(Version::V5, n, WRONG),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    ("no password", |n| with_password(n, None), "auth.bad_password", "mqtt.bad_credentials"),
    (
        "an empty password",
        |n| with_password(n, Some("")),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "the secret itself as password",
        |n| with_password(n, Some(DEVICE_SECRET)),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "a digest of another length",
        |n| with_password(n, Some("00ff;hmacsha1")),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "a password of another user name",
        |n| {
            let mut hello = signed(n, &user(n, "1893456000"));
            hello.username = Some(user(n, "1893456001").as_str().into());
            hello
        },
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    ("an expired user name", |n| signed(n, &user(n, "1000000000")), "auth.expired", "clock.wrong"),
];

pub(super) async fn tencent(clinic: &mut Clinic) {
    for (fault, twist, code, log) in TENCENT {
        let node = clinic.lamp().await;
        clinic.refused(twist(&node)).await;
        clinic.expect(fault, &id(&node), code, log).await;
    }
    clinic.refused(connect(Version::V311, "NOBODY", DEVICE_SECRET)).await;
    let nobody = id("NOBODY");
    clinic.expect("unregistered", &nobody, "auth.unknown_device", "mqtt.client_id_rejected").await;

    let mut foreign = connect(Version::V311, "LAMP", DEVICE_SECRET);
    foreign.client_id = "NOPRODUCT1LAMP".into();
    foreign.username = Some("NOPRODUCT1LAMP;21010406;5B1N0;92233720368547758".into());
    clinic.refused(foreign).await;
    let device = "NOPRODUCT1_LAMP";
    clinic.expect("no product", device, "auth.unknown_product", "mqtt.client_id_rejected").await;

    let node = clinic.lamp().await;
    clinic.freeze(&id(&node)).await;
    clinic.refused(connect(Version::V311, &node, DEVICE_SECRET)).await;
    clinic.expect("frozen", &id(&node), "auth.frozen", "cloud.device_disabled").await;

    let (node, mut lamp) = clinic.online().await;
    clinic.freeze(&id(&node)).await;
    assert_eq!(lamp.next().await, None);
    clinic.expect("frozen on line", &id(&node), "auth.frozen", "cloud.device_disabled").await;

    let node = clinic.lamp().await;
    let path = format!("/devices/{}", id(&node));
    assert_eq!(clinic.platform.api.call(Method::DELETE, &path, None).await.0, 204);
    clinic.refused(connect(Version::V311, &node, DEVICE_SECRET)).await;
    let log = "mqtt.client_id_rejected";
    clinic.expect("deleted", &id(&node), "auth.unknown_device", log).await;

    clinic.platform.import(&[("BARE", None)]).await;
    clinic.expect("no secret, silent", &id("BARE"), "auth.no_credential", "identity.missing").await;
    clinic.refused(connect(Version::V311, "BARE", DEVICE_SECRET)).await;
    clinic.expect("no secret", &id("BARE"), "auth.no_credential", "identity.missing").await;

    // It had been in before: the last refusal counts.
    let node = clinic.lamp().await;
    drop(Device::login(&clinic.mqtt, &node, DEVICE_SECRET).await);
    clinic.refused(connect(Version::V311, &node, WRONG)).await;
    let (code, log) = ("auth.bad_password", "mqtt.bad_credentials");
    clinic.expect("a secret that changed", &id(&node), code, log).await;
}

fn meter(device: &str, secret: &str, sign: u8, stamp: &str) -> Connect {
    let mut hello = Connect::new(Version::V311, &format!("{device}_0_{sign}_{stamp}"));
    hello.username = Some(device.into());
    let text = huawei::password(sign, stamp, secret).expect("a known sign type");
    hello.password = Some(Opaque::new(text.into_bytes()));
    hello.keep_alive_s = 120;
    hello
}

type MeterTwist = fn(&str, &str) -> Connect;

const HUAWEI: &[(&str, MeterTwist, &str, &str)] = &[
    (
        "meter: another secret",
        |d, s| meter(d, "not-the-secret", 0, s),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "meter: another secret, checked time",
        |d, s| meter(d, "not-the-secret", 1, s),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "meter: another secret, SM3",
        |d, s| meter(d, "not-the-secret", 2, s),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "meter: another time in the password",
        |d, s| {
            let mut hello = meter(d, METER_SECRET, 0, s);
            hello.password = meter(d, METER_SECRET, 0, "2020010100").password;
            hello
        },
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "meter: a clock years off",
        |d, _| meter(d, METER_SECRET, 1, "2020010100"),
        "auth.expired",
        "clock.wrong",
    ),
    (
        "meter: no date",
        |d, _| meter(d, METER_SECRET, 1, "2026139900"),
        "auth.expired",
        "clock.wrong",
    ),
];

pub(super) async fn huawei(clinic: &mut Clinic) {
    let now = stamp();
    for (fault, twist, code, log) in HUAWEI {
        let node = clinic.device(METER, METER_SECRET).await;
        let device = format!("{METER}_{node}");
        clinic.refused(twist(&device, &now)).await;
        clinic.expect(fault, &device, code, log).await;
    }
    let device = format!("{METER}_nobody");
    clinic.refused(meter(&device, METER_SECRET, 0, &now)).await;
    let log = "mqtt.client_id_rejected";
    clinic.expect("meter: unregistered", &device, "auth.unknown_device", log).await;

    let device = format!("{METER}_{}", clinic.device(METER, METER_SECRET).await);
    clinic.freeze(&device).await;
    clinic.refused(meter(&device, METER_SECRET, 0, &now)).await;
    clinic.expect("meter: frozen", &device, "auth.frozen", "cloud.device_disabled").await;
}

/// CONNECT of a switch: the HMAC of its names (Alibaba §2).
fn switch(node: &str, secret: &str, digest: MessageDigest, method: &str) -> Connect {
    let base = format!("{KEY}.{node}");
    let signed = format!("clientId{base}deviceName{node}productKey{KEY}");
    let key = PKey::hmac(secret.as_bytes()).expect("a key");
    let mut signer = Signer::new(digest, &key).expect("a digest");
    let code = signer.sign_oneshot_to_vec(signed.as_bytes()).expect("signed");
    let text: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("{base}|securemode=3,signmethod={method}|");
    let mut hello = Connect::new(Version::V311, &id);
    hello.username = Some(format!("{node}&{KEY}").as_str().into());
    hello.password = Some(Opaque::new(text.into_bytes()));
    hello
}

type SwitchTwist = fn(&str) -> Connect;

const ALIBABA: &[(&str, SwitchTwist, &str, &str)] = &[
    (
        "switch: another secret",
        |n| switch(n, "x", MessageDigest::sha1(), "hmacsha1"),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "switch: another method than named",
        |n| switch(n, KEY_SECRET, MessageDigest::md5(), "hmacsha1"),
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
    (
        "switch: an unknown method",
        |n| switch(n, KEY_SECRET, MessageDigest::sha1(), "hmacsha9"),
        "auth.malformed",
        "mqtt.client_id_rejected",
    ),
    (
        "switch: no password",
        |n| {
            let mut hello = switch(n, KEY_SECRET, MessageDigest::sha1(), "hmacsha1");
            hello.password = None;
            hello
        },
        "auth.bad_password",
        "mqtt.bad_credentials",
    ),
];

pub(super) async fn alibaba(clinic: &mut Clinic) {
    for (fault, twist, code, log) in ALIBABA {
        let node = clinic.device(KEY, KEY_SECRET).await;
        clinic.refused(twist(&node)).await;
        clinic.expect(fault, &format!("{KEY}_{node}"), code, log).await;
    }
    let right = |node: &str| switch(node, KEY_SECRET, MessageDigest::sha1(), "hmacsha1");
    clinic.refused(right("nobody")).await;
    let (device, log) = (format!("{KEY}_nobody"), "mqtt.client_id_rejected");
    clinic.expect("switch: unregistered", &device, "auth.unknown_device", log).await;

    let node = clinic.device(KEY, KEY_SECRET).await;
    let device = format!("{KEY}_{node}");
    clinic.freeze(&device).await;
    clinic.refused(right(&node)).await;
    clinic.expect("switch: frozen", &device, "auth.frozen", "cloud.device_disabled").await;
}
