//! Log-ins that change the registry: registration groups, first certificates.

use roadstead_core::product::Auth;

use super::huawei::{GROUP_SECRET, METER, METER_SECRET, SCOPE, STAMP, hmac, password, world};
use super::*;

/// The password of a group's member: the group's key signs the device id, that signs the stamp.
fn member_password(device: &str, group_secret: &str) -> String {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.decode(group_secret).expect("base64");
    hmac(STAMP.as_bytes(), hmac(device.as_bytes(), &key).as_bytes())
}

async fn member(world: &World, device: &str, scope: &str) -> Result<Login, (Refusal, u8)> {
    let client_id = format!("{device}_0_{scope}_0_{STAMP}");
    world.hello(&client_id, device, &member_password(device, GROUP_SECRET)).await
}

fn code<T>(result: Result<T, (Refusal, u8)>) -> &'static str {
    result.err().map_or("ok", |(refusal, _)| refusal.code)
}

#[tokio::test]
async fn first_contact_of_a_member_registers_it() {
    let world = world(|_| {}).await;
    let login = member(&world, "lab_product_n1", SCOPE).await.map_err(|(r, _)| r).expect("member");
    let registered = login.account.device.clone();
    assert_eq!((&*registered.node, registered.product.as_str()), ("n1", METER));
    let secret = registered.secret.clone().expect("the platform made it");
    assert_eq!(secret.expose_text().map(str::len), Some(32));
    // It is at the provisioning service: neither on line nor activated.
    assert!(!world.presence("lab_product_n1").await.online);
    world.platform.logout(&login.account, login.epoch, Ending::Disconnected).await;
    let trace = world.trace("lab_product_n1").await;
    assert_eq!(trace, ["register ok", "provision ok", "provision_end ok"]);

    // The answer may have been lost: it gets the same again, until it has used it.
    let again = member(&world, "lab_product_n1", SCOPE).await.map_err(|(r, _)| r).expect("member");
    assert!(again.account.device.secret.as_ref() == Some(&secret), "the same again");
    let text = secret.expose_text().expect("text");
    let client_id = format!("lab_product_n1_0_0_{STAMP}");
    let own = world.hello(&client_id, "lab_product_n1", &password(text)).await;
    let own = own.map_err(|(refusal, _)| refusal).expect("its own secret");
    assert!(world.presence("lab_product_n1").await.online);
    assert!(own.account.device.id.as_str() == "lab_product_n1");

    // A name that does not begin with the product is a device id of its own.
    let free = member(&world, "free-name", SCOPE).await.map_err(|(r, _)| r).expect("member");
    assert_eq!(free.account.device.id.as_str(), "free-name");
}

#[tokio::test]
async fn a_group_lets_in_whom_it_may() {
    let world = world(|_| {}).await;
    world.meter("known", None).await;
    let forged = member_password("lab_product_n1", "AAAA");
    let client_id = format!("lab_product_n1_0_{SCOPE}_0_{STAMP}");
    assert_eq!(code(world.hello(&client_id, "lab_product_n1", &forged).await), "auth.bad_password");
    assert!(world.platform.device(world.space(), &"lab_product_n1".into()).await.is_err());
    assert_eq!(code(member(&world, "n1", "scope_wrong").await), "auth.unknown_product");
    assert_eq!(code(member(&world, "n1", "scope_none").await), "auth.unknown_product");
    // A lamp of another product does not become a meter.
    assert_eq!(code(member(&world, LAMP, SCOPE).await), "auth.identity_mismatch");
    // A device that has a secret of the operator's keeps it.
    let known =
        member(&world, "lab_product_known", SCOPE).await.map_err(|(r, _)| r).expect("known");
    let secret = known.account.device.secret.clone();
    assert!(secret == Some(METER_SECRET.into()), "the operator's");
    let id = DeviceId::from("lab_product_known");
    world.platform.freeze_device(world.space(), &id, true).await.expect("frozen");
    assert_eq!(code(member(&world, "lab_product_known", SCOPE).await), "auth.frozen");
}

#[tokio::test]
async fn a_closed_group_takes_only_those_that_are_expected() {
    let world = world(|product| product.registration = Registration::Preregistered).await;
    assert_eq!(code(member(&world, "lab_product_n1", SCOPE).await), "register.unknown_device");
    let (product, node) = (METER.into(), "n1".into());
    let expected = NewDevice { product, node, ..NewDevice::default() };
    world.platform.create_device(world.space(), expected).await.expect("pre-registered");
    let login = member(&world, "lab_product_n1", SCOPE).await.map_err(|(r, _)| r).expect("member");
    assert!(login.account.device.secret.is_some());
    let off = huawei::world(|product| product.registration = Registration::Off).await;
    assert_eq!(code(member(&off, "lab_product_n1", SCOPE).await), "register.off");
}

/// A log-in by certificate number `n`.
async fn shown(world: &World, n: u8) -> Result<Login, (Refusal, u8)> {
    let tls = Tls::Certificate {
        sha1: Fingerprint::Sha1([n; 20]),
        sha256: Fingerprint::Sha256([n; 32]),
        common_name: None,
        authority: None,
    };
    let client_id = format!("lab_product_dev1_0_0_{STAMP}");
    let hello = Hello {
        level: 4,
        client_id: &client_id,
        user: Some("lab_product_dev1"),
        password: None,
        keep_alive_s: 120,
        tls: &tls,
    };
    world.platform.login(hello, &peer()).await
}

async fn with_certificates() -> World {
    let world = world(|product| product.auth = Auth::Certificate).await;
    let (product, node) = (METER.into(), "dev1".into());
    let new = NewDevice { product, node, ..NewDevice::default() };
    world.platform.create_device(world.space(), new).await.expect("device");
    world
}

#[tokio::test]
async fn the_first_certificate_is_kept_and_a_second_one_refused() {
    let world = with_certificates().await;
    let login = shown(&world, 1).await.map_err(|(refusal, _)| refusal).expect("the first one");
    assert_eq!(login.account.device.fingerprint, Some(Fingerprint::Sha256([1; 32])));
    let refused = shown(&world, 2).await.map(drop).expect_err("another one");
    assert_eq!((refused.0.code, refused.1), ("auth.certificate_mismatch", 4));
    assert_eq!(code(shown(&world, 1).await), "ok");
    let trace = world.trace("lab_product_dev1").await;
    assert!(trace.contains(&"set_fingerprint ok".to_owned()), "{trace:?}");
    assert!(trace.contains(&"login auth.certificate_mismatch".to_owned()), "{trace:?}");
    // Forgetting it lets the next one be the first.
    let id = DeviceId::from("lab_product_dev1");
    let rank = crate::service::Rank::Primary;
    let forgotten = world.platform.set_fingerprint(world.space(), &id, None, rank, true).await;
    forgotten.expect("forgotten");
    assert_eq!(code(shown(&world, 2).await), "ok");
    assert_eq!(code(shown(&world, 1).await), "auth.certificate_mismatch");
}

#[tokio::test]
async fn of_two_first_certificates_at_once_one_is_first() {
    let world = with_certificates().await;
    let results = futures_util::future::join_all((1..=4).map(|n| shown(&world, n))).await;
    let codes: Vec<_> = results.into_iter().map(code).collect();
    assert_eq!(codes.iter().filter(|code| **code == "ok").count(), 1, "{codes:?}");
    let others = codes.iter().filter(|code| **code == "auth.certificate_mismatch").count();
    assert_eq!(others, 3, "{codes:?}");
}
