//! What fails before CONNECT: TLS by pre-shared key, and dynamic registration.

use std::pin::Pin;

use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::clinic::{CLOSED, Clinic, STRICT, WRONG, id};
use crate::platform::{PRODUCT, PRODUCT_SECRET};

/// Tries a handshake and returns whether it succeeded.
async fn shake(address: &str, identity: String, secret: &str) -> bool {
    let key = openssl::base64::decode_block(secret).expect("base64");
    let mut context = SslContext::builder(SslMethod::tls_client()).expect("a TLS context");
    context.set_max_proto_version(Some(SslVersion::TLS1_2)).expect("TLS 1.2");
    context.set_cipher_list("PSK-AES128-CBC-SHA:@SECLEVEL=0").expect("a PSK suite");
    context.set_psk_client_callback(move |_, _, identity_out, key_out| {
        identity_out[..identity.len()].copy_from_slice(identity.as_bytes());
        identity_out[identity.len()] = 0;
        key_out[..key.len()].copy_from_slice(&key);
        Ok(key.len())
    });
    let ssl = Ssl::new(&context.build()).expect("a TLS session");
    let tcp = TcpStream::connect(address).await.expect("the port is open");
    let mut stream = SslStream::new(ssl, tcp).expect("a TLS session");
    Pin::new(&mut stream).connect().await.is_ok()
}

pub(super) async fn psk(clinic: &mut Clinic) {
    let mqtts = clinic.platform.address("mqtts").to_owned();
    let node = clinic.lamp().await;
    assert!(!shake(&mqtts, format!("{PRODUCT}{node}"), WRONG).await);
    clinic.until(&id(&node), "state", "refused").await;
    clinic.expect("another key", &id(&node), "auth.psk_mismatch", "tls.psk_mismatch").await;

    assert!(!shake(&mqtts, format!("{PRODUCT}GHOST"), WRONG).await);
    let log = "mqtt.client_id_rejected";
    clinic.until(&id("GHOST"), "state", "refused").await;
    clinic.expect("unknown identity", &id("GHOST"), "auth.unknown_device", log).await;
}

/// Posts a registration and returns the answer.
async fn register(clinic: &Clinic, body: String) -> Value {
    let url = format!("http://{}/register/dev", clinic.platform.address("vendor_http"));
    let request = reqwest::Client::new()
        .post(url)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Host", "gateway.tencentdevices.com")
        .body(body);
    request.send().await.expect("the vendor port answers").json().await.expect("JSON")
}

pub(super) async fn registration(clinic: &mut Clinic) {
    let sign = |product: &str, secret: &str, node: &str, nonce: u32, time: i64| {
        roadstead_sim::registration(product, secret, node, nonce, time)
    };
    clinic.platform.import(&[("NEW1", None), ("NEW2", None), ("NEW3", None)]).await;
    for (fault, node, body, code, log) in [
        (
            "another product secret",
            "NEW1",
            sign(PRODUCT, WRONG, "NEW1", 1, 0),
            "register.bad_signature",
            "dynreg.signature_rejected",
        ),
        (
            "a clock years off",
            "NEW2",
            sign(PRODUCT, PRODUCT_SECRET, "NEW2", 2, 1_000_000_000),
            "register.timestamp",
            "dynreg.time_window",
        ),
    ] {
        assert_ne!(register(clinic, body).await["code"], 0);
        clinic.expect(fault, &id(node), code, log).await;
    }
    for (fault, product, node, code, log) in [
        ("not announced", STRICT, "NEW4", "register.unknown_device", "dynreg.device_unknown"),
        ("registration is off", CLOSED, "NEW5", "register.off", "dynreg.disabled"),
    ] {
        assert_ne!(register(clinic, sign(product, PRODUCT_SECRET, node, 3, 0)).await["code"], 0);
        clinic.expect(fault, &format!("{product}_{node}"), code, log).await;
    }
    let body = sign("AAAAAAAAAA", PRODUCT_SECRET, "NEW6", 4, 0);
    assert_ne!(register(clinic, body).await["code"], 0);
    let (code, log) = ("register.unknown_product", "dynreg.product_unknown");
    clinic.expect("no such product", "AAAAAAAAAA_NEW6", code, log).await;
}
