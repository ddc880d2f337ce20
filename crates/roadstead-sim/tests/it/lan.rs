//! A device that speaks CoAP, over real sockets: given a network and a phone's token, found and
//! bound by its own token, controlled while the platform is away, queried by libcoap and aiocoap.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use roadstead_agent::AgentEvent;
use roadstead_agent::agent::Agent;
use roadstead_agent::app::Lamp;
use roadstead_agent::hal::net;
use roadstead_app::{alibaba, api};
use roadstead_core::Secret;
use roadstead_dialects::alibaba::alcs::KeyPair;
use roadstead_dialects::alibaba::device as firmware;
use roadstead_dialects::alibaba::lan::PORT;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::platform::{Folder, Platform};

/// A test waits this long for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);
const PRODUCT: &str = "a1RsKq9ZxTb";
const PRODUCT_SECRET: &str = "pS9dK2mQ7xWv4LtZ";
const NODE: &str = "lamp-0001";
const SECRET: &str = "Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E";
const ID: &str = "a1RsKq9ZxTb_lamp-0001";

/// A running device.
struct Device {
    lan: SocketAddr,
    events: mpsc::UnboundedReceiver<AgentEvent>,
    seen: Vec<String>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    folder: Folder,
}

/// A platform with the lamp's product; with the device or without.
async fn platform(is_registered: bool) -> Platform {
    let platform = Platform::start().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../roadstead/src/cmd/demo/alibaba/lamp.json");
    let model: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("model")).expect("JSON");
    let devices = match is_registered {
        true => json!([
            {"dialect": "alibaba", "product": PRODUCT, "device": NODE, "secret": SECRET}
        ]),
        false => json!([]),
    };
    let fleet = json!({
        "version": 1,
        "products": [{
            "dialect": "alibaba", "product": PRODUCT, "name": "Lamp", "secret": PRODUCT_SECRET,
            "auth": "secret", "dynamic_registration": "open", "model": model,
        }],
        "devices": devices,
    });
    let report = platform.api.import(fleet).await;
    assert_eq!(report["errors"], json!([]), "{report}");
    platform
}

fn address(platform: &Platform, listener: &str) -> (String, u16) {
    let (host, port) = platform.address(listener).rsplit_once(':').expect("host and port");
    (host.to_owned(), port.parse().expect("port"))
}

fn config(platform: &Platform, start: firmware::Start) -> firmware::Config {
    let mut config = firmware::Config::new(PRODUCT, NODE);
    let (host, port) = address(platform, "mqtt");
    config.mqtt = firmware::Endpoint::vendor(&host, port);
    config.tls = false;
    config.address = firmware::Address::Direct;
    let (host, port) = address(platform, "vendor_http");
    config.http = config.http.at(&host, port);
    config.https = false;
    config.product_secret = Some(PRODUCT_SECRET.into());
    config.start = start;
    config.seed = 7;
    config
}

impl Device {
    fn start(mut config: firmware::Config, policy: firmware::Policy) -> Self {
        // A loopback address of its own for each device: they all use the vendor's fixed port.
        // Broadcasts go to 127.255.255.255, so the port differs, too, or tests hear each other.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = (std::process::id() % 250) as u8;
        let ip = Ipv4Addr::new(127, 78, process, n);
        let port = 25_200 + u16::from(process % 4) * 64 + u16::from(n % 64);
        let lan = SocketAddr::from((ip, port));
        config.ip = ip;
        let folder = Folder::new();
        let lamp = Lamp::sample(NODE);
        config.model = Some(Arc::new(lamp.model().clone()));
        let mut options = net::Options::new(lan, PORT, folder.path());
        options.hears_everybody = true;
        let (seen, events) = mpsc::unbounded_channel();
        let machine = Box::new(firmware::Device::new(config, policy));
        let agent = Agent::new(machine, Box::new(lamp), options)
            .expect("the folder is usable")
            .with_observer(move |event| drop(seen.send(event)));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            agent.run(async { drop(stopped.await) }).await.expect("the device runs");
        });
        Self { lan, events, seen: Vec::new(), stop, task, folder }
    }

    /// Waits for a stage of the device.
    async fn stage(&mut self, name: &str) -> AgentEvent {
        let wait = async {
            while let Some(event) = self.events.recv().await {
                let line = format!("{} {:?} {:?}", event.stage, event.code, event.detail);
                self.seen.push(line);
                if event.stage == name {
                    return Some(event);
                }
            }
            None
        };
        let found = timeout(PATIENCE, wait).await.ok().flatten();
        found.unwrap_or_else(|| panic!("no stage `{name}` after {:#?}", self.seen))
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.expect("the device ends in order");
    }
}

/// A phone whose user is called `name`.
async fn phone(platform: &Platform, name: &str) -> api::Client {
    let base = format!("http://{}", platform.address("http"));
    let mut client = api::Client::new(&base).expect("URL");
    client.create_user(name, "a long enough password").await.expect("sign-up");
    client
}

fn lan(device: SocketAddr) -> alibaba::Lan {
    alibaba::Lan {
        device: None,
        everybody: Some(alibaba::everybody(device)),
        wanted: Some((PRODUCT.to_owned(), NODE.to_owned())),
        gap: Duration::from_millis(300),
        life: PATIENCE,
    }
}

fn properties(value: Value) -> serde_json::Map<String, Value> {
    let Value::Object(properties) = value else { unreachable!("an object") };
    properties
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phones_token_brings_the_device_home() {
    let platform = platform(false).await;
    let config = config(&platform, firmware::Start::SoftAp);
    let mut device = Device::start(config, firmware::Policy::living16().lab());
    device.stage("provisioning_started").await;
    let ann = phone(&platform, "ann").await;
    let mut options = alibaba::Options::new(device.lan, "Home", Secret::from("home-password"));
    options.product_secret = Some(PRODUCT_SECRET.into());
    options.poll_gap = Duration::from_millis(50);
    let provisioned = alibaba::provision(&ann, &options, |_| {}).await.expect("bound");
    assert_eq!(provisioned.device_id, ID);
    device.stage("first_report").await;
    ann.set_properties(ID, &properties(json!({"power_switch": true}))).await.expect("answered");
    device.stage("property_set").await;
    let attempt = platform.api.get(&format!("/attempts/{}", provisioned.attempt_id)).await;
    let stages = attempt["stages"].as_array().expect("stages");
    let by = |who: &str, stage: &str| stages.iter().any(|m| m["by"] == who && m["stage"] == stage);
    for (who, stage) in [
        ("phone", "credentials_sent"),
        ("phone", "device_replied"),
        ("cloud", "registered"),
        ("cloud", "connected"),
        ("cloud", "token_reported"),
        ("cloud", "bound"),
    ] {
        assert!(by(who, stage), "{who} {stage}: {attempt:#}");
    }
    // The owner gives it up: a device that is on line is told.
    let bindings = ann.bindings().await.expect("bindings");
    ann.unbind(&bindings[0].binding_id).await.expect("unbound");
    device.stage("unbound").await;
    device.stop().await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_devices_own_token_binds_for_the_first_phone_and_not_for_the_second() {
    for policy in [firmware::Policy::living16(), firmware::Policy::linkkit3()] {
        let platform = platform(true).await;
        let mut config = config(&platform, firmware::Start::OnNetwork);
        config.secret = Some(SECRET.into());
        let mut device = Device::start(config, policy);
        device.stage("token_reported").await;
        let (ann, bob) = (phone(&platform, "ann").await, phone(&platform, "bob").await);
        let lan = lan(device.lan);
        let bound = alibaba::bind(&ann, &lan, |_| {}).await.expect("ann's");
        assert_eq!(bound.device_id, ID);
        let refused = alibaba::bind(&bob, &lan, |_| {}).await.expect_err("somebody has it");
        assert_eq!(refused.code(), "bind.bound_to_other");
        // Given up, it can be bound again without anything done at the device.
        ann.unbind(bound.binding_id.as_deref().expect("binding")).await.expect("unbound");
        let bound = alibaba::bind(&bob, &lan, |_| {}).await.expect("bob's");
        assert_eq!(bound.device_id, ID);
        device.stop().await;
        platform.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_controls_the_device_while_the_platform_is_away() {
    let platform = platform(true).await;
    let mut config = config(&platform, firmware::Start::OnNetwork);
    config.secret = Some(SECRET.into());
    let mut device = Device::start(config, firmware::Policy::living16().lab());
    device.stage("token_reported").await;
    // The keys are kept before they are used.
    let path = device.folder.path().join("alcs_keys");
    let keys = timeout(PATIENCE, async {
        loop {
            if let Ok(text) = std::fs::read_to_string(&path) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    });
    let keys: BTreeMap<String, String> =
        serde_json::from_str(&keys.await.expect("keys")).expect("JSON");
    let pair = KeyPair::new(&keys["prefix"], keys["secret"].as_str().into()).expect("a pair");
    platform.stop().await;
    let call =
        |key, service, params| alibaba::control(device.lan, (PRODUCT, NODE), key, service, params);
    let set = json!({"power_switch": 1, "brightness": 30});
    call(pair.access_key(0), "property/set", set.clone()).await.expect("set");
    let state = call(pair.access_key(0), "property/get", Value::Null).await.expect("read");
    assert_eq!((&state["power_switch"], &state["brightness"]), (&json!(1), &json!(30)));
    let stranger = KeyPair::factory().access_key(0);
    let refused = call(stranger, "property/set", set).await.expect_err("a stranger");
    assert_eq!(refused.code(), "local.refused");
    device.stage("property_set").await;
    device.stop().await;
}

/// A CoAP client from outside: program and arguments for a GET with this payload.
async fn query(name: &str, program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    match timeout(PATIENCE, output).await.expect("in time") {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{name}: {said}");
            Some(String::from_utf8(output.stdout).expect("text"))
        }
        Err(error) => {
            // `none`: the distribution has no package of it.
            let required = program != "none"
                && std::env::var("ROADSTEAD_TEST_CLIENTS").is_ok_and(|value| value == "required");
            assert!(!required, "{name} is not there: {error}");
            println!("SKIPPED: `{program}` does not start: {error}");
            None
        }
    }
}

/// libcoap's and aiocoap's clients ask the device for its token, and the token binds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_from_outside_get_the_token() {
    let platform = platform(true).await;
    let mut config = config(&platform, firmware::Start::OnNetwork);
    config.secret = Some(SECRET.into());
    let mut device = Device::start(config, firmware::Policy::living16());
    device.stage("token_reported").await;
    let ann = phone(&platform, "ann").await;
    let uri = format!("coap://{}/sys/{PRODUCT}/{NODE}/device/info/get", device.lan);
    let body = r#"{"id":123,"version":"1.0","method":"device.info.get","params":{}}"#;
    let libcoap = std::env::var("ROADSTEAD_TEST_COAP_CLIENT")
        .unwrap_or_else(|_| "coap-client-notls".to_owned());
    let python = std::env::var("ROADSTEAD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests/clients/coap_get.py"].iter().collect();
    let script = script.to_str().expect("text");
    let has_aiocoap = Command::new(&python).args(["-c", "import aiocoap"]).output().await;
    let has_aiocoap = has_aiocoap.is_ok_and(|output| output.status.success());
    let nothing = "no-such-client".to_owned();
    let clients = [
        ("libcoap", &libcoap, vec!["-m", "get", "-B", "20", "-e", body, &uri]),
        ("aiocoap", if has_aiocoap { &python } else { &nothing }, vec![script, &uri, body]),
    ];
    for (name, program, args) in clients {
        let Some(answer) = query(name, program, &args).await else { continue };
        let answer: Value = serde_json::from_str(answer.trim()).expect(name);
        assert_eq!((&answer["id"], &answer["code"]), (&json!(123), &json!(200)), "{answer}");
        assert_eq!(answer["data"]["deviceName"], NODE);
        let token = answer["data"]["token"].as_str().expect("token");
        let bound = ann.bind_device(PRODUCT, NODE, token).await.expect(name);
        assert_eq!(bound.device_id, ID);
        ann.unbind(&bound.binding_id).await.expect("unbound");
        device.stage("token_reported").await;
    }
    device.stop().await;
    platform.stop().await;
}
