//! Who is let in: the recorded log-in, wrong passcodes, other vendors' log-ins.

use std::boxed::Box;
use std::sync::Arc;

use roadstead_core::device::{Access, Device, Tags};
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::{DeviceId, Map, Secret, Timestamp, Value};

use crate::Dialect as _;
use crate::cloud::{Account, Claim, Cloud, Hello, Tls};
use crate::gizwits::Gizwits;

pub(super) const DID: &str = "GzwDemo0123456789ABCDE";
pub(super) const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";
pub(super) const PASSCODE: &str = "SDGUVYIYYB";

pub(super) fn cloud() -> Box<dyn Cloud> {
    Gizwits.cloud(&Value::Null).expect("defaults")
}

pub(super) fn account(model: Model) -> Account {
    Account { product: Arc::new(product(model)), device: Arc::new(device(Some(PASSCODE))) }
}

pub(super) fn product(model: Model) -> Product {
    Product {
        id: KEY.into(),
        space: "s".into(),
        dialect: "gizwits".into(),
        name: "Lab".into(),
        secret: None,
        auth: Auth::Secret,
        registration: Registration::Open,
        rebind: Rebind::Refuse,
        model,
        attributes: Map::new(),
        created_at: Timestamp(0),
    }
}

pub(super) fn device(secret: Option<&str>) -> Device {
    Device {
        id: DID.into(),
        space: "s".into(),
        product: KEY.into(),
        node: "0247495a0001".into(),
        name: "".into(),
        secret: secret.map(Secret::from),
        fingerprint: None,
        gateway: None,
        frozen: false,
        info: Map::new(),
        created_at: Timestamp(0),
        activated_at: None,
        access: Access::default(),
        tags: Tags::new(),
        number: 0,
    }
}

fn hello<'a>(client_id: &'a str, user: Option<&'a str>, password: Option<&'a [u8]>) -> Hello<'a> {
    Hello { level: 3, client_id, user, password, keep_alive_s: 120, tls: &Tls::None }
}

#[test]
fn the_recorded_log_in_is_let_in() {
    let (cloud, account) = (cloud(), account(Model::default()));
    let hello = hello(DID, Some(DID), Some(PASSCODE.as_bytes()));
    assert!(cloud.recognizes(&hello));
    assert_eq!(cloud.identify(&hello), Ok(Claim::Device(DeviceId::new(DID))));
    assert_eq!(cloud.admit(&hello, &account, Timestamp(0)), Ok(()));
}

#[test]
fn everybody_else_is_told_why() {
    let cloud = cloud();
    for (secret, password, expected) in [
        (Some(PASSCODE), Some(&b"SDGUVYIYYC"[..]), "auth.bad_password"),
        (Some(PASSCODE), Some(b"SDGUVYIYY"), "auth.bad_password"),
        (Some(PASSCODE), Some(b""), "auth.bad_password"),
        (Some(PASSCODE), None, "auth.bad_password"),
        (None, Some(b"SDGUVYIYYB"), "auth.no_credential"),
        (None, Some(b""), "auth.no_credential"),
    ] {
        let mut account = account(Model::default());
        account.device = Arc::new(device(secret));
        let refusal = cloud.admit(&hello(DID, Some(DID), password), &account, Timestamp(0));
        let refusal = refusal.expect_err(expected);
        assert_eq!(refusal.code, expected);
        assert!(!refusal.detail.contains(PASSCODE));
        // A new registration mends it.
        assert_eq!(cloud.connack(refusal.code), 4);
    }
    let other = "GzwDemo0123456789ABCDF";
    let mismatch = cloud.identify(&hello(DID, Some(other), Some(b"x"))).expect_err("two DIDs");
    assert_eq!((mismatch.code, cloud.connack(mismatch.code)), ("auth.identity_mismatch", 2));
}

#[test]
fn other_vendors_are_left_alone() {
    let cloud = cloud();
    for (client_id, user) in [
        ("L4WG9V9M2MTEST2", Some("L4WG9V9M2MTEST2;21010406;12365;1700000000")),
        ("5f58768785edc002bc69cbf2_n_0_0_2026112110", Some("5f58768785edc002bc69cbf2_n")),
        ("GzwDemo0123456789ABCDE", None),
        ("GzwDemo0123456789ABCDE", Some("lamp&a1RsKq9ZxTb")),
        ("GzwDemo0123456789ABCD_", Some("GzwDemo0123456789ABCD_")),
    ] {
        assert!(!cloud.recognizes(&hello(client_id, user, Some(b"x"))), "{client_id}");
    }
    for dialect in crate::ALL.iter().filter(|dialect| dialect.id() != "gizwits") {
        let theirs = dialect.cloud(&Value::Null).expect("defaults");
        let ours = hello(DID, Some(DID), Some(PASSCODE.as_bytes()));
        assert!(!theirs.recognizes(&ours), "{}", dialect.id());
    }
}

#[test]
fn fresh_names_have_the_vendors_shape() {
    let cloud = cloud();
    for random in [[0; 32], [255; 32], core::array::from_fn(|n| (n * 7) as u8)] {
        let id = cloud.new_device_id(random).expect("this vendor makes ids");
        assert!(crate::gizwits::is_did(id.as_str()), "{id}");
        let secret = cloud.new_secret(random);
        assert!(crate::gizwits::is_passcode(secret.expose_text().expect("text")));
    }
    assert_ne!(cloud.new_device_id([1; 32]), cloud.new_device_id([2; 32]));
}
