//! Real sockets, real OpenSSL on both ends: PSK, certificates, versions, alerts, shutdown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use roadstead_core::session::Epoch;
use roadstead_store::Memory;
use roadstead_wire::mqtt::packet::{Connect, Disconnect, Packet, QoS, Reason, Version};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

use super::client::{Client, connect, puback, report};
use super::fake::{Fake, account};
use super::{CLIENT, DOWN, NODE, SECRET};
use crate::clock::Clock;
use crate::config::{Address, Config};
use crate::directory::Directory;
use crate::listen::{Access, Addresses};
use crate::metrics::Metrics;
use crate::tls::DeviceCa;

/// A serving platform with its own data folder.
struct Platform {
    fake: Arc<Fake>,
    metrics: Arc<Metrics>,
    addresses: Addresses,
    folder: Folder,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("roadstead-access-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Platform {
    async fn new() -> Self {
        let folder = Folder::new();
        let any = Address(Some(SocketAddr::from(([127, 0, 0, 1], 0))));
        let mut config = Config { data_dir: folder.0.clone(), ..Config::default() };
        (config.listen.mqtt, config.listen.mqtts) = (any, any);
        config.listen.mqtts_legacy = any;
        config.tls.names = vec!["iot.example.com".to_owned(), "192.0.2.10".to_owned()];
        let directory = Arc::new(Directory::new(Epoch(0)));
        let fake = Arc::new(Fake::new(directory.clone()));
        let metrics = Arc::new(Metrics::new());
        let (services, store) = (fake.clone(), Arc::new(Memory::new()));
        let clock = Clock::system();
        let access = Access::bind(&config, services, directory, store, clock, metrics.clone());
        let access = access.await.expect("binds");
        let addresses = access.addresses();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(access.serve(async {
            let _ = stopped.await;
        }));
        Self { fake, metrics, addresses, folder, stop: Some(stop), served }
    }

    async fn plain(&self) -> Client {
        Client::new(TcpStream::connect(self.addresses.mqtt.expect("on")).await.expect("connects"))
    }

    /// Returns a TLS client, or OpenSSL's reason why there is none.
    async fn secure(&self, context: &SslContext) -> Result<Secured, String> {
        secure(self.addresses.mqtts.expect("on"), context, None).await
    }
}

struct Secured {
    client: Client,
    version: SslVersion,
    suite: &'static str,
}

async fn secure(
    address: SocketAddr,
    context: &SslContext,
    host: Option<&str>,
) -> Result<Secured, String> {
    let mut ssl = Ssl::new(context).expect("a connection");
    if let Some(host) = host {
        ssl.set_hostname(host).expect("a name");
        ssl.param_mut().set_host(host).expect("a name");
    }
    let socket = TcpStream::connect(address).await.expect("connects");
    let mut stream = SslStream::new(ssl, socket).expect("a stream");
    Pin::new(&mut stream).connect().await.map_err(|error| {
        let stack = error.ssl_error().map(|stack| stack.errors().to_vec()).unwrap_or_default();
        stack.first().and_then(|first| first.reason()).unwrap_or("closed").to_owned()
    })?;
    let version = stream.ssl().version2().expect("a version");
    let suite = stream.ssl().current_cipher().expect("a suite").name();
    Ok(Secured { client: Client::new(stream), version, suite })
}

fn builder() -> SslContextBuilder {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client()).expect("a context");
    builder.set_verify(SslVerifyMode::NONE);
    builder
}

/// A client as the vendor's SDK configures it: the given suites and a key.
fn psk(identity: &'static str, secret: &str, suites: &str) -> SslContextBuilder {
    let key = base64::engine::general_purpose::STANDARD.decode(secret).expect("base64");
    let mut builder = builder();
    builder.set_cipher_list(&format!("{suites}:@SECLEVEL=0")).expect("suites");
    builder.set_psk_client_callback(move |_, _, to_identity, to_key| {
        to_identity[..identity.len()].copy_from_slice(identity.as_bytes());
        to_identity[identity.len()] = 0;
        to_key[..key.len()].copy_from_slice(&key);
        Ok(key.len())
    });
    builder
}

/// The SDK sends no password over TLS-PSK (Tencent §3.2).
fn bare() -> Connect {
    Connect { password: None, ..connect(Version::V311) }
}

async fn report_once(client: &mut Client) {
    client.subscribe(DOWN, QoS::AtLeastOnce).await;
    client.send(report("t", 7)).await;
    assert_eq!(client.next().await, Some(puback(7)));
    client.next_publish().await;
}

#[tokio::test]
async fn plain_log_in_report_and_goodbye() {
    let platform = Platform::new().await;
    let mut lamp = platform.plain().await;
    lamp.log_in().await;
    report_once(&mut lamp).await;
    assert_eq!(platform.fake.noted("login").await, "login TEST2 tcp 1");
    lamp.disconnect().await;
    platform.fake.noted("logout TEST2 1 session.disconnected").await;
}

#[tokio::test]
async fn every_psk_suite_of_real_firmware_logs_in() {
    let platform = Platform::new().await;
    for (n, suite) in [
        "PSK-AES128-CBC-SHA",
        "PSK-AES256-CBC-SHA",
        "PSK-AES128-CBC-SHA256",
        "PSK-AES128-GCM-SHA256",
        "PSK-AES128-CCM8",
        // TLS 1.3 suites come along; the server must not take them (see the module text).
        "PSK",
    ]
    .into_iter()
    .enumerate()
    {
        let mut secured =
            platform.secure(&psk(CLIENT, SECRET, suite).build()).await.expect("a handshake");
        assert_eq!(secured.version, SslVersion::TLS1_2, "{suite}");
        assert!(secured.suite == suite || suite == "PSK", "{suite}: {}", secured.suite);
        let ack = secured.client.connect(bare()).await.expect("CONNACK");
        assert_eq!(ack.reason, Reason::Success, "{suite}");
        report_once(&mut secured.client).await;
        let login = format!("login TEST2 tls-psk {}", n + 1);
        assert_eq!(platform.fake.noted(&login).await, login);
    }
}

#[tokio::test]
async fn a_wrong_key_gets_an_alert_and_is_named() {
    let platform = Platform::new().await;
    let context = psk(CLIENT, "AAAAAAAAAAAAAAAAAAAAAA==", "PSK-AES128-CBC-SHA").build();
    let alert = platform.secure(&context).await.err();
    assert!(alert.as_deref().is_some_and(|alert| alert.contains("bad record mac")), "{alert:?}");
    let note = platform.fake.noted("stranger").await;
    assert!(note.starts_with("stranger auth.psk_mismatch L4WG9V9M2MTEST2 tls "), "{note}");
    assert_eq!(platform.metrics.refusals("auth.psk_mismatch"), 1);
}

#[tokio::test]
async fn an_unknown_identity_gets_an_alert_and_is_named() {
    let platform = Platform::new().await;
    let context = psk("L4WG9V9M2MNOBODY", SECRET, "PSK-AES128-CBC-SHA").build();
    let alert = platform.secure(&context).await.err();
    assert!(
        alert.as_deref().is_some_and(|alert| alert.contains("unknown psk identity")),
        "{alert:?}"
    );
    let note = platform.fake.noted("stranger").await;
    assert!(note.starts_with("stranger auth.unknown_device L4WG9V9M2MNOBODY tls "), "{note}");
}

#[tokio::test]
async fn server_certificates_cover_the_configured_names() {
    let platform = Platform::new().await;
    let mut builder = builder();
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_ca_file(platform.folder.0.join("tls/ca.pem")).expect("the authority");
    let context = builder.build();
    let address = platform.addresses.mqtts.expect("on");
    for host in ["iot.example.com", "localhost"] {
        let mut secured = secure(address, &context, Some(host)).await.expect("trusted");
        assert_eq!(secured.version, SslVersion::TLS1_3);
        let ack = secured.client.connect(connect(Version::V311)).await.expect("CONNACK");
        assert_eq!(ack.reason, Reason::Success);
    }
    assert_eq!(platform.fake.noted("login").await, "login TEST2 tls 1");
    let other = secure(address, &context, Some("other.example.com")).await.err();
    assert!(other.is_some_and(|reason| reason.contains("certificate verify failed")));
}

#[tokio::test]
async fn a_device_certificate_is_judged_by_its_fingerprint() {
    let platform = Platform::new().await;
    let authority = DeviceCa::open(&platform.folder.0).expect("an authority");
    let (known, stolen) =
        (authority.issue("TEST2").expect("issues"), authority.issue("TEST2").expect("issues"));
    assert_ne!(known.sha1, stolen.sha1);
    platform.fake.enter(account(NODE, Some(known.sha256.clone())));
    for (issued, version, reason) in [
        (&known, SslVersion::TLS1_2, Reason::Success),
        (&known, SslVersion::TLS1_3, Reason::Success),
        (&stolen, SslVersion::TLS1_3, Reason::BadUserNameOrPassword),
    ] {
        let mut builder = builder();
        builder.set_max_proto_version(Some(version)).expect("a version");
        let certificate = X509::from_pem(issued.certificate.as_bytes()).expect("PEM");
        let key = PKey::private_key_from_pem(issued.key.expose()).expect("PEM");
        builder.set_certificate(&certificate).expect("a certificate");
        builder.set_private_key(&key).expect("a key");
        let mut secured = platform.secure(&builder.build()).await.expect("a handshake");
        let ack = secured.client.connect(bare()).await.expect("CONNACK");
        assert_eq!(ack.reason.is_error(), reason.is_error(), "{:?}", ack.reason);
    }
    let notes = platform.fake.notes();
    let logins: Vec<_> = notes.iter().filter(|note| note.starts_with("login")).collect();
    assert_eq!(logins, ["login TEST2 tls-cert 1", "login TEST2 tls-cert 2"]);
    assert!(notes.iter().any(|note| note.starts_with("refused auth.certificate")), "{notes:?}");
}

#[tokio::test]
async fn old_stacks_are_served_where_they_are_allowed_only() {
    let platform = Platform::new().await;
    let old = |suites: &str| {
        let mut builder = builder();
        builder.set_cipher_list(&format!("{suites}:@SECLEVEL=0")).expect("suites");
        builder.set_min_proto_version(Some(SslVersion::TLS1)).expect("a version");
        builder.set_max_proto_version(Some(SslVersion::TLS1)).expect("a version");
        builder.build()
    };
    let alert = platform.secure(&old("AES128-SHA")).await.err();
    assert!(alert.as_deref().is_some_and(|alert| alert.contains("alert")), "{alert:?}");
    let note = platform.fake.noted("stranger tls.handshake").await;
    assert!(note.contains("unsupported protocol"), "{note}");
    let legacy = platform.addresses.mqtts_legacy.expect("on");
    let mut secured = secure(legacy, &old("AES128-SHA"), None).await.expect("a handshake");
    assert_eq!((secured.version, secured.suite), (SslVersion::TLS1, "AES128-SHA"));
    secured.client.connect(connect(Version::V311)).await.expect("CONNACK");
    assert_eq!(platform.fake.noted("login").await, "login TEST2 tls-legacy 1");
}

#[tokio::test]
async fn plain_bytes_on_the_tls_port_are_a_failed_handshake() {
    let platform = Platform::new().await;
    let address = platform.addresses.mqtts.expect("on");
    let mut socket = TcpStream::connect(address).await.expect("connects");
    socket.write_all(b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02ab").await.expect("open");
    let note = platform.fake.noted("stranger tls.handshake").await;
    assert!(note.contains("wrong version number"), "{note}");
    // No TLS alert for what is not TLS; the socket is held, as for every refused client.
    let mut byte = [0];
    let read = socket.try_read(&mut byte).map_err(|error| error.kind());
    assert_eq!(read, Err(std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn keys_are_private_and_survive_a_restart() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let first = DeviceCa::open(&folder.0).expect("made").issue("a").expect("issues");
    let again = DeviceCa::open(&folder.0).expect("loaded").issue("b").expect("issues");
    let issuer = |pem: &str| X509::from_pem(pem.as_bytes()).expect("PEM");
    let (first, again) = (issuer(&first.certificate), issuer(&again.certificate));
    assert_eq!(first.issuer_name().to_der().ok(), again.issuer_name().to_der().ok());
    let pem = std::fs::read(folder.0.join("tls/device-ca.pem")).expect("written");
    let authority = X509::from_pem(&pem).expect("PEM").public_key().expect("a key");
    assert!(first.verify(&authority).expect("runs") && again.verify(&authority).expect("runs"));
    let key = std::fs::metadata(folder.0.join("tls/device-ca.key")).expect("written");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn shutdown_says_goodbye_and_leaves_nobody_on_line() {
    let mut platform = Platform::new().await;
    let mut modern = platform.plain().await;
    modern.connect(connect(Version::V5)).await.expect("CONNACK");
    let mut greeting = platform.plain().await;
    platform.stop.take().expect("once").send(()).expect("serving");
    let goodbye = Disconnect::new(Reason::ServerShuttingDown);
    assert_eq!(modern.until_closed().await, [Packet::Disconnect(goodbye)]);
    assert_eq!(greeting.until_closed().await, []);
    drop((modern, greeting));
    platform.served.await.expect("ends");
    assert!(platform.fake.notes().contains(&"logout TEST2 1 session.shutdown".to_owned()));
    assert_eq!(platform.metrics.connections.value(), 0);
    assert!(TcpStream::connect(platform.addresses.mqtt.expect("on")).await.is_err());
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let platform = Platform::new().await;
    let folder = Folder::new();
    let mut config = Config { data_dir: folder.0.clone(), ..Config::default() };
    config.listen.mqtt = Address(platform.addresses.mqtt);
    let directory = Arc::new(Directory::new(Epoch(0)));
    let fake = Arc::new(Fake::new(directory.clone()));
    let (store, metrics) = (Arc::new(Memory::new()), Arc::new(Metrics::new()));
    let second =
        Access::bind(&config, fake, directory, store, Clock::system(), metrics).await.err();
    let text = second.expect("taken").to_string();
    let taken = platform.addresses.mqtt.expect("on").to_string();
    assert!(text.contains(&taken), "{text}");
}
