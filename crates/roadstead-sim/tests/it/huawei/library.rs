//! The device library as a Huawei device with a certificate: the maker's authority is uploaded and
//! proved, the registration group lets the device in, the provisioning service sends it to the
//! platform, its first certificate is kept.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Name};
use reqwest::Method;
use roadstead_agent::AgentEvent;
use roadstead_agent::agent::Agent;
use roadstead_agent::app::Lamp;
use roadstead_agent::hal::net::Options;
use roadstead_core::Secret;
use roadstead_dialects::capability;
use roadstead_dialects::device::Tls;
use roadstead_dialects::huawei::device::{Bootstrap, Config, Device};
use roadstead_server::config::Address;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::PRODUCT;
use crate::platform::{Folder, Platform};

/// A test waits this long for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);
const SCOPE: &str = "scope_1234";

/// A certificate and its key.
struct Signed {
    certificate: X509,
    key: PKey<Private>,
}

impl Signed {
    /// Makes a certificate; without an issuer it is an authority of its own.
    fn new(name: &str, issuer: Option<&Self>, serial: u32) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("curve");
        let key = PKey::from_ec_key(EcKey::generate(&group).expect("key")).expect("key");
        let mut subject = X509Name::builder().expect("name");
        subject.append_entry_by_nid(Nid::COMMONNAME, name).expect("name");
        let subject = subject.build();
        let mut builder = X509::builder().expect("builder");
        builder.set_version(2).expect("version");
        let serial = BigNum::from_u32(serial).and_then(|n| n.to_asn1_integer()).expect("serial");
        builder.set_serial_number(&serial).expect("serial");
        builder.set_subject_name(&subject).expect("subject");
        let by = issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name());
        builder.set_issuer_name(by).expect("issuer");
        let (start, end) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(30));
        builder.set_not_before(&start.expect("date")).expect("start");
        builder.set_not_after(&end.expect("date")).expect("end");
        builder.set_pubkey(&key).expect("key");
        if issuer.is_none() {
            let authority = BasicConstraints::new().critical().ca().build().expect("extension");
            builder.append_extension(authority).expect("extension");
        }
        let signer = issuer.map_or(&key, |issuer| &issuer.key);
        builder.sign(signer, MessageDigest::sha256()).expect("signed");
        Self { certificate: builder.build(), key }
    }

    fn pem(&self) -> String {
        String::from_utf8(self.certificate.to_pem().expect("PEM")).expect("text")
    }

    /// What the device shows.
    fn tls(&self) -> Tls {
        let key = Secret::new(self.key.private_key_to_pem_pkcs8().expect("PEM"));
        Tls::Certificate { chain: self.pem().into_bytes().into(), key }
    }

    fn fingerprint(&self) -> String {
        let digest = self.certificate.digest(MessageDigest::sha256()).expect("digest");
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A running device.
struct Running {
    events: mpsc::UnboundedReceiver<AgentEvent>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Switches on; it shows `tls` everywhere and trusts the platform's authority.
    fn start(platform: &Platform, service: Option<&str>, tls: Tls, flash: PathBuf, n: u8) -> Self {
        let lamp = Lamp::sample("lamp");
        let mut config = Config::new(PRODUCT, "dev1");
        config.model = Some(lamp.model().clone().into());
        config.haste = 20;
        config.is_packed = true;
        config.tls = tls.clone();
        let split = |address: &str| {
            let (host, port) = address.rsplit_once(':').expect("host and port");
            (Box::<str>::from(host), port.parse().expect("port"))
        };
        match service {
            Some(address) => {
                let (host, port) = split(address);
                let scope = Some(SCOPE.into());
                config.bootstrap = Some(Bootstrap { tls, scope, ..Bootstrap::new(&host, port) });
            }
            None => (config.host, config.port) = split(platform.address("mqtts")),
        }
        let host = Ipv4Addr::new(127, 78, (std::process::id() % 250) as u8, n);
        let mut options = Options::new(SocketAddr::from((host, 0)), 8266, flash);
        options.ca_file = Some(platform.folder.path().join("tls/ca.pem"));
        let (seen, events) = mpsc::unbounded_channel();
        let agent = Agent::new(Box::new(Device::new(config)), Box::new(lamp), options)
            .expect("the folder is usable")
            .with_observer(move |event| drop(seen.send(event)));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            agent.run(async { drop(stopped.await) }).await.expect("the device runs");
        });
        Self { events, stop, task }
    }

    async fn stage(&mut self, name: &str) -> AgentEvent {
        let mut before = Vec::new();
        let wait = async {
            while let Some(event) = self.events.recv().await {
                if event.stage == name {
                    return Some(event);
                }
                before.push(format!("{} {:?} {:?}", event.stage, event.code, event.detail));
            }
            None
        };
        let found = timeout(PATIENCE, wait).await.ok().flatten();
        found.unwrap_or_else(|| panic!("no stage `{name}` after {before:#?}"))
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.expect("the device ends in order");
    }
}

/// Uploads an authority and proves that its key is ours.
async fn trust(platform: &Platform, authority: &Signed) {
    let body = json!({"content": authority.pem()});
    let (status, made) = platform.api.call(Method::POST, "/certificates", Some(body)).await;
    assert_eq!(status, 201, "{made}");
    let proof = Signed::new(made["verify_code"].as_str().expect("code"), Some(authority), 2);
    let id = made["certificate_id"].as_str().expect("id");
    let path = format!("/certificates/{id}/action?action_id=verify");
    let body = json!({"verify_content": proof.pem()});
    let (status, proved) = platform.api.call(Method::POST, &path, Some(body)).await;
    assert_eq!(status, 200, "{proved}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_brings_a_member_to_its_platform() {
    // The provisioning service must know the platform's address before anything listens there.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
    let mqtts = free.expect("a free port");
    let platform = Platform::start_with(|config| {
        config.listen.mqtts = Address(Some(mqtts));
        config.throttle.free = 100;
        let settings = [
            format!("dialect.huawei.address={mqtts}"),
            format!("dialect.huawei.groups={{{SCOPE} = \"{PRODUCT}\"}}"),
        ];
        let loaded = roadstead_server::config::load(None, std::iter::empty(), &settings);
        config.dialect = loaded.expect("settings").dialect;
    })
    .await;
    let model = capability::export(Lamp::sample("lamp").model());
    let product = json!({"dialect": "huawei", "product": PRODUCT, "name": "Lamp",
        "auth": "certificate", "dynamic_registration": "open", "model": model});
    let fleet = json!({"version": 1, "products": [product], "devices": []});
    let report = platform.api.import(fleet).await;
    assert_eq!(report["errors"], json!([]), "{report}");
    let maker = Signed::new("Maker CA", None, 1);
    trust(&platform, &maker).await;

    let (own, flash) = (Signed::new("dev1", Some(&maker), 3), Folder::new());
    let (service, folder) = (mqtts.to_string(), flash.path().to_owned());
    let mut device = Running::start(&platform, Some(&service), own.tls(), folder.clone(), 1);
    assert_eq!(device.stage("registered").await.detail, Some(service));
    device.stage("online").await;
    let id = format!("{PRODUCT}_dev1");
    let shown = platform.api.get(&format!("/devices/{id}")).await;
    assert_eq!((&shown["status"], &shown["node_id"]), (&json!("ONLINE"), &json!("dev1")));
    let fingerprint = shown["auth_info"]["fingerprint"].as_str().expect("kept");
    assert_eq!(fingerprint.to_ascii_lowercase(), own.fingerprint(), "{shown}");
    // The lamp's packed report arrives.
    let arrives = async {
        loop {
            let shadow = platform.api.get(&format!("/devices/{id}/shadow")).await;
            if shadow["shadow"][0]["reported"]["properties"]["name"] == "lamp" {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, arrives).await.expect("the report arrives");
    device.stop().await;

    // A stranger's certificate opens nothing, another one of the maker's not this device.
    let strange = Signed::new("dev1", None, 4);
    let other = Signed::new("dev1", Some(&maker), 5);
    for (n, (signed, answer)) in
        [(strange, "CONNACK 5"), (other, "CONNACK 4")].into_iter().enumerate()
    {
        let empty = Folder::new();
        let n = u8::try_from(n).expect("few") + 2;
        let mut device = Running::start(&platform, None, signed.tls(), empty.path().to_owned(), n);
        assert_eq!(device.stage("failed").await.detail.as_deref(), Some(answer));
        device.stop().await;
    }
    let trace = platform.api.trace(&id).await;
    assert!(trace.contains(&"login:auth.certificate_authority".to_owned()), "{trace:?}");
    // What the service said is kept: the next start goes straight to the platform.
    let mut device = Running::start(&platform, Some("127.0.0.1:1"), own.tls(), folder, 4);
    device.stage("online").await;
    device.stop().await;
    platform.stop().await;
}
