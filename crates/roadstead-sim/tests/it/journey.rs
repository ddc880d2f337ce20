//! A device comes home: the phone library provisions the device library over real UDP, the device
//! registers over HTTP, logs in, is bound, reports and obeys.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use reqwest::Method;
use roadstead_agent::AgentEvent;
use roadstead_agent::agent::{Agent, Handle};
use roadstead_agent::app::Lamp;
use roadstead_agent::hal::net;
use roadstead_app::{Air, Options, api, provision};
use roadstead_core::Secret;
use roadstead_dialects::air::{self, Bearer};
use roadstead_dialects::device::{Setup, TlsMode};
use roadstead_dialects::tencent;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::platform::{Folder, PRODUCT, PRODUCT_SECRET, Platform};

/// A test waits this long for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running device.
struct Device {
    lan: SocketAddr,
    events: mpsc::UnboundedReceiver<AgentEvent>,
    handle: Handle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    _folder: Folder,
}

/// Everything a device needs to know of a platform.
fn setup(platform: &Platform, device: &str, tls: TlsMode, protocol: &str) -> Setup {
    let address = |listener| {
        let (host, port) = platform.address(listener).rsplit_once(':').expect("host and port");
        (host.to_owned(), port.parse().expect("port"))
    };
    let mut setup = Setup::new(PRODUCT, device);
    setup.product_secret = Some(Secret::from(PRODUCT_SECRET));
    setup.server = Some(address(if tls == TlsMode::Off { "mqtt" } else { "mqtts" }));
    setup.vendor_http = Some(address("vendor_http"));
    setup.tls = tls;
    setup.protocol = Some(protocol.into());
    setup.fast = true;
    setup.seed = 7;
    setup
}

impl Device {
    fn start(mut setup: Setup) -> Self {
        // A loopback address of its own for each device: they all use the vendor's fixed port.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let host = Ipv4Addr::new(
            127,
            77,
            (std::process::id() % 250) as u8,
            NEXT.fetch_add(1, Ordering::Relaxed),
        );
        let lan = SocketAddr::from((host, tencent::comm::COMMAND_PORT));
        let folder = Folder::new();
        let lamp = Lamp::sample(&setup.device);
        setup.model = Some(Arc::new(lamp.model().clone()));
        let machine = tencent::device::build(&setup).expect("a valid setup");
        let options = net::Options::new(lan, tencent::comm::COMMAND_PORT, folder.path());
        let (seen, events) = mpsc::unbounded_channel();
        let agent = Agent::new(Box::new(machine), Box::new(lamp), options)
            .expect("the folder is usable")
            .with_observer(move |event| drop(seen.send(event)));
        let handle = agent.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            agent.run(async { drop(stopped.await) }).await.expect("the device runs");
        });
        Self { lan, events, handle, stop, task, _folder: folder }
    }

    /// Waits for a stage of the device.
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

/// A phone whose user is called `name`.
async fn phone(platform: &Platform, name: &str) -> api::Client {
    let mut client =
        api::Client::new(&format!("http://{}", platform.address("http"))).expect("URL");
    client.create_user(name, "a long enough password").await.expect("sign-up");
    client.sign_in(name, "a long enough password").await.expect("sign-in");
    client
}

fn options(device: &Device, auto_bind: bool) -> Options {
    let ssid = "Home".to_owned();
    let method = roadstead_app::Method::SoftAp { ssid, password: Secret::from("home-password") };
    let mut options = Options::new(method, device.lan);
    options.policy.send_gap = Duration::from_millis(500);
    options.poll_gap = Duration::from_millis(50);
    options.auto_bind = auto_bind;
    options
}

async fn comes_home(tls: TlsMode, protocol: &str, auto_bind: bool) {
    let platform = Platform::start().await;
    platform.import(&[]).await;
    let mut device = Device::start(setup(&platform, "LAMP", tls, protocol));
    device.stage("provisioning_started").await;
    let ann = phone(&platform, "ann").await;
    let provisioned = provision(&ann, options(&device, auto_bind), |_| {}).await.expect("bound");
    let id = format!("{PRODUCT}_LAMP");
    assert_eq!(provisioned.device_id, id);
    device.stage("online").await;
    device.stage("first_report").await;

    // The phone controls the lamp, the lamp reports what it did.
    let properties = json!({"power_switch": true, "brightness": 42});
    let Value::Object(properties) = properties else { unreachable!("an object") };
    ann.set_properties(&id, &properties).await.expect("the lamp answers");
    device.stage("property_set").await;
    let reported = json!({"brightness": 43});
    let Value::Object(reported) = reported else { unreachable!("an object") };
    assert!(device.handle.change(reported).await);
    let path = format!("/devices/{id}/shadow");
    let shadow = timeout(PATIENCE, async {
        loop {
            let shadow = platform.api.get(&path).await;
            if shadow["shadow"][0]["reported"]["properties"]["brightness"] == 43 {
                return shadow;
            }
            tokio::task::yield_now().await;
        }
    });
    let shadow = shadow.await.expect("the report arrives");
    assert_eq!(shadow["shadow"][0]["reported"]["properties"]["power_switch"], true);

    // The attempt has the whole story, seen by three parties, and one ending.
    let attempt = platform.api.get(&format!("/attempts/{}", provisioned.attempt_id)).await;
    let stages = attempt["stages"].as_array().expect("stages");
    let by = |who: &str, stage: &str| stages.iter().any(|m| m["by"] == who && m["stage"] == stage);
    for (who, stage) in [
        ("cloud", "token_created"),
        ("phone", "credentials_sent"),
        ("phone", "device_replied"),
        ("cloud", "registered"),
        ("cloud", "connected"),
        ("cloud", "token_reported"),
        ("cloud", "bound"),
        ("cloud", "first_report"),
    ] {
        assert!(by(who, stage), "{who} {stage}: {attempt:#}");
    }
    if protocol == "3.0" {
        assert!(by("device", "network_joined"), "pairTime: {attempt:#}");
    }
    assert!(attempt.to_string().contains("success"), "{attempt:#}");
    let why = platform.api.get(&format!("/devices/{id}/why")).await;
    assert!(why.to_string().contains("online"), "{why:#}");

    // The owner gives it up: the device is told at once and erases what is the owner's.
    let bindings = ann.bindings().await.expect("bindings");
    ann.unbind(&bindings[0].binding_id).await.expect("unbound");
    device.stage("unbound").await;
    let path = format!("/bindings?device_id={id}");
    let (status, left) = platform.api.call(Method::GET, &path, None).await;
    assert_eq!((status, left["bindings"].as_array().map(Vec::len)), (200, Some(0)), "{left}");
    device.stop().await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_psk_with_protocol_2() {
    comes_home(TlsMode::Psk, "2.0", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_plain_tcp_with_protocol_3_in_two_steps() {
    comes_home(TlsMode::Off, "3.0", false).await;
}

/// A device keeps its secret and its owner over a restart of the platform.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_restarts_and_the_device_comes_back() {
    let platform = Platform::start().await;
    platform.import(&[]).await;
    let mut device = Device::start(setup(&platform, "LAMP", TlsMode::Psk, "2.0"));
    device.stage("provisioning_started").await;
    let ann = phone(&platform, "ann").await;
    provision(&ann, options(&device, true), |_| {}).await.expect("bound");
    device.stage("online").await;
    let platform = platform.restart().await;
    device.stage("online").await;
    let presence = platform.api.get(&format!("/devices/{PRODUCT}_LAMP/presence")).await;
    assert_eq!(presence["online"], true, "{presence}");
    device.stop().await;
    platform.stop().await;
}

/// Network and token come through the simulated air, with losses; the device ends bound.
async fn comes_through_the_air(via: &str, loss: f64) {
    let platform = Platform::start().await;
    platform.import(&[]).await;
    let mut setup = setup(&platform, "LAMP", TlsMode::Off, "3.0");
    setup.via = via.into();
    let mut device = Device::start(setup);
    device.stage("provisioning_started").await;
    let ann = phone(&platform, "ann").await;
    let bearer: Bearer = via.parse().expect("a bearer");
    let radio = SocketAddr::new(device.lan.ip(), air::PORT);
    let mut options = options(&device, true);
    options.method = roadstead_app::Method::Air {
        air: Air { bearer, radio, key: None, loss },
        ssid: "Zuhause 5 \u{5ba2}".to_owned(),
        password: Secret::from("home-password"),
    };
    // The device joins while the phone asks already.
    options.policy.sends_max = 20;
    let provisioned = provision(&ann, options, |_| {}).await.expect("bound");
    assert_eq!(provisioned.device_id, format!("{PRODUCT}_LAMP"));
    device.stage("credentials_received").await;
    device.stage("network_joined").await;
    device.stage("online").await;
    let attempt = platform.api.get(&format!("/attempts/{}", provisioned.attempt_id)).await;
    assert!(attempt.to_string().contains("success"), "{attempt:#}");
    device.stop().await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_airkiss_with_loss() {
    comes_through_the_air("airkiss", 0.2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_esptouch() {
    comes_through_the_air("esptouch", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_esptouch2_with_the_token_in_its_message() {
    comes_through_the_air("esptouch2", 0.05).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_simpleconfig_with_loss() {
    comes_through_the_air("simpleconfig", 0.2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_blufi() {
    comes_through_the_air("blufi", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_combo_subset_of_blufi() {
    comes_through_the_air("combo", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_llsync() {
    comes_through_the_air("llsync", 0.0).await;
}
