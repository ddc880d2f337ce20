//! One port for everything, old TLS, and the vendor's throttle (traps 6 to 10 and 15).

use std::pin::Pin;
use std::time::{Duration, Instant};

use openssl::ssl::{Ssl, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion};
use roadstead_server::config::Address;
use roadstead_wire::mqtt::codec::encode;
use roadstead_wire::mqtt::packet::{Packet, Version};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::{NODE, PRODUCT, connect, lamp, log_in, with_lamp};
use crate::mqtt::Device;

/// What Link Kit 3 offers, in its order: static RSA with CBC, then PSK; no SNI, no curves.
const SUITES: &str = "AES256-SHA256:AES256-SHA:AES128-SHA256:AES128-SHA:PSK-AES256-CBC-SHA384:\
                      PSK-AES256-CBC-SHA:PSK-AES128-CBC-SHA256:PSK-AES128-CBC-SHA:@SECLEVEL=0";
const BOOTSTRAP: &str = "productKey=a1RsKq9ZxTb&deviceName=lamp-0001&resources=mqtt";

async fn old_tls(address: &str) -> SslStream<TcpStream> {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client()).expect("a context");
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_max_proto_version(Some(SslVersion::TLS1_2)).expect("TLS 1.2");
    builder.set_cipher_list(SUITES).expect("suites");
    // As mbed TLS of those builds: it lists the PSK suites and has no key for them.
    builder.set_psk_client_callback(|_, _, _, _| Ok(0));
    let ssl = Ssl::new(&builder.build()).expect("a connection");
    let socket = TcpStream::connect(address).await.expect("connects");
    let mut stream = SslStream::new(ssl, socket).expect("a stream");
    Pin::new(&mut stream).connect().await.expect("the handshake of old firmware");
    let suite = stream.ssl().current_cipher().expect("a suite").name();
    assert!(!suite.starts_with("PSK") && suite.contains("SHA"), "{suite}");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_07_firmware_that_trusts_another_authority_leaves_its_reason() {
    let any = Address(Some(([127, 0, 0, 1], 0).into()));
    let platform = with_lamp(|config| config.listen.shared = any).await;
    let mut builder = SslContextBuilder::new(SslMethod::tls_client()).expect("a context");
    // Nothing but the vendor's authority is compiled in: this server's is not.
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_max_proto_version(Some(SslVersion::TLS1_2)).expect("TLS 1.2");
    builder.set_cipher_list(SUITES).expect("suites");
    let ssl = Ssl::new(&builder.build()).expect("a connection");
    let socket = TcpStream::connect(platform.address("shared")).await.expect("connects");
    let mut stream = SslStream::new(ssl, socket).expect("a stream");
    Pin::new(&mut stream).connect().await.expect_err("an authority that it does not know");
    drop(stream);
    let reason = async {
        loop {
            let list = platform.api.get("/strangers").await;
            if let Some(stranger) = list["strangers"].get(0) {
                return stranger["reason"].clone();
            }
        }
    };
    let reason = timeout(Duration::from_secs(20), reason).await.expect("it is noted");
    assert_eq!(reason["code"], "tls.handshake", "{reason}");
    assert!(reason.to_string().contains("unknown ca"), "{reason}");
    platform.stop().await;
}

fn request() -> String {
    format!(
        "POST /auth/bootstrap HTTP/1.1\r\nHost: iot-auth-global.aliyuncs.com\r\n\
         Content-Length: {}\r\n\r\n{BOOTSTRAP}",
        BOOTSTRAP.len()
    )
}

async fn answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let n = timeout(Duration::from_secs(10), stream.read(&mut bytes)).await.expect("in time");
    bytes.truncate(n.expect("read"));
    bytes
}

fn packet() -> bytes::BytesMut {
    let mut bytes = bytes::BytesMut::new();
    encode(&connect(""), Version::V311, &mut bytes).expect("legal");
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_06_09_10_one_port_speaks_mqtt_http_and_both_inside_old_tls() {
    let any = Address(Some(([127, 0, 0, 1], 0).into()));
    let platform = with_lamp(|config| config.listen.shared = any).await;
    let shared = platform.address("shared").to_owned();
    let is_bootstrap = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("head and body in one segment");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length"), "{head}");
        let json: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(json["data"]["resources"]["mqtt"]["host"], "iot-auth-global.aliyuncs.com");
    };
    let connack = [0x20, 2, 0, 0];

    let mut plain = TcpStream::connect(&shared).await.expect("connects");
    plain.write_all(request().as_bytes()).await.expect("written");
    is_bootstrap(&answer(&mut plain).await);

    let started = Instant::now();
    let device = log_in(&shared, "").await;
    assert!(started.elapsed() < Duration::from_secs(1), "trap 15: {:?}", started.elapsed());
    drop(device);

    let mut tls = old_tls(&shared).await;
    tls.write_all(request().as_bytes()).await.expect("written");
    is_bootstrap(&answer(&mut tls).await);

    let mut tls = old_tls(&shared).await;
    tls.write_all(&packet()).await.expect("written");
    assert_eq!(answer(&mut tls).await, connack);
    let path = format!("/devices/{}/presence", lamp());
    let presence = platform.api.get(&path).await;
    assert!(presence.to_string().contains("tls-legacy"), "{presence}");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_throttle_withholds_the_sixth_answer_and_why_names_it() {
    let platform = with_lamp(|config| {
        config.dialect = "[alibaba]\nconnects_per_minute = 5".parse().expect("TOML");
    })
    .await;
    for _ in 0..5 {
        drop(log_in(platform.address("mqtt"), "").await);
    }
    let mut sixth = Device::open(platform.address("mqtt"), NODE).await;
    sixth.send(&connect("")).await;
    let silence = timeout(Duration::from_millis(1500), sixth.next()).await;
    assert!(silence.is_err(), "neither an answer nor an end: {silence:?}");
    let why = platform.api.get(&format!("/devices/{}/why", lamp())).await;
    assert_eq!(why["code"], "auth.connect_rate", "{why}");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_secret_is_never_slowed_by_default() {
    let platform = with_lamp(|_| {}).await;
    for _ in 0..12 {
        let device = log_in(platform.address("mqtt"), ",_ss=1").await;
        drop(device);
    }
    let mut device = log_in(platform.address("mqtt"), ",_ss=1").await;
    let topic = format!("/sys/{PRODUCT}/{NODE}/thing/event/property/post");
    let report = br#"{"id":"1","params":{"Counter":1}}"#.to_vec();
    device.publish_bytes(&topic, report).await;
    assert_eq!(device.message().await["code"], 200);
    device.send(&Packet::PingReq).await;
    platform.stop().await;
}
