//! Our own module against our own platform over real sockets, with the phone in the LAN: its whole
//! life with connections that break, and firmware for both of its parts.
//!
//! Between module and platform are two relays that lose calls and break connections as a seeded
//! die says. Whatever they do, every journey ends in the same state.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use roadstead_agent::AgentEvent;
use roadstead_agent::module::{Line, ModuleAgent, ModuleHandle, Options, Ports, Press};
use roadstead_app::module::{Air, ModuleTalk, onboard};
use roadstead_dialects::device::Random;
use roadstead_dialects::gizwits::app::{TalkEvent, TalkRequest};
use roadstead_dialects::gizwits::mcu::Panel;
use roadstead_dialects::gizwits::module::{Config, Flash, OtaRule, Policy};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{KEY, fleet};
use crate::platform::Platform;

/// The product of the MCU that comes last.
const OTHER_KEY: &str = "1e2d3c4b5a69788796a5b4c3d2e1f00f";
const MAC: [u8; 6] = [0x02, 0x47, 0x49, 0x5A, 0x00, 0x02];
const NODE: &str = "0247495A0002";
const SSID: &[u8] = b"Office";
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a relay does to a connection.
#[derive(Clone, Copy)]
enum Fate {
    /// Nothing arrives.
    Refused,
    /// The server does what it is asked, and its answer is lost.
    Unanswered,
}

/// A relay between module and platform.
struct Relay {
    port: u16,
    /// What happens to the next connections; afterwards they are carried.
    fates: Arc<Mutex<VecDeque<Fate>>>,
    cut: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens; `to` is named by [`Self::carry`].
    async fn new() -> (Self, TcpListener) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        let task = tokio::spawn(async {});
        let fates = Arc::default();
        (Self { port, fates, cut: watch::Sender::new(0), task }, listener)
    }

    fn carry(&mut self, listener: TcpListener, to: &str) {
        let (to, fates, cut) = (to.to_owned(), self.fates.clone(), self.cut.clone());
        self.task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.expect("a module");
                let fate = fates.lock().expect("fates").pop_front();
                tokio::spawn(relay(near, to.clone(), fate, cut.subscribe()));
            }
        });
    }

    /// Breaks what is open.
    fn cut(&self) {
        self.cut.send_modify(|n| *n += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut near: TcpStream, to: String, fate: Option<Fate>, mut cut: watch::Receiver<u64>) {
    let mut buffer = [0; 4096];
    match fate {
        Some(Fate::Refused) => drop(near.read(&mut buffer).await),
        Some(Fate::Unanswered) => {
            let Ok(len) = near.read(&mut buffer).await else { return };
            let mut far = TcpStream::connect(to).await.expect("the platform");
            far.write_all(&buffer[..len]).await.expect("sent");
            drop(far.read(&mut buffer).await);
        }
        None => {
            // At the end of a journey the platform goes first.
            let Ok(mut far) = TcpStream::connect(to).await else { return };
            near.set_nodelay(true).and(far.set_nodelay(true)).expect("sockets");
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = cut.changed() => {}
            }
        }
    }
}

/// A module that runs.
struct Running {
    events: mpsc::UnboundedReceiver<AgentEvent>,
    hand: ModuleHandle,
    ports: Ports,
    task: JoinHandle<()>,
}

impl Running {
    fn start(folder: &Path, key: &str, api_port: u16, policy: Policy, ports: Ports) -> Self {
        let mut config = Config::new(MAC);
        (config.api_host, config.api_port) = ("127.0.0.1".into(), api_port);
        let panel = Panel::pet_house();
        let options = Options {
            config,
            policy,
            lan: Ipv4Addr::LOCALHOST.into(),
            ports,
            broadcast: None,
            data_dir: folder.to_owned(),
            factory: Flash::default(),
            line: Line::Virtual { product_key: key.to_owned(), panel, bindable_s: 0 },
            network: Some((SSID.to_vec(), b"office-key".to_vec())),
            air: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            key: None,
            watchdog: None,
        };
        let (sender, events) = mpsc::unbounded_channel();
        let agent = ModuleAgent::new(options).with_observer(move |event| drop(sender.send(event)));
        let hand = agent.handle();
        let task = tokio::spawn(async move {
            agent.run(std::future::pending()).await.expect("the module runs");
        });
        Self { events, hand, ports, task }
    }

    async fn wait(&mut self, stage: &str) -> AgentEvent {
        let mut seen = Vec::new();
        let find = async {
            loop {
                let event = self.events.recv().await.expect("the module runs");
                if event.stage == stage {
                    return event;
                }
                seen.push(format!("{} {:?}", event.stage, event.detail));
            }
        };
        let found = tokio::time::timeout(PATIENCE, find).await;
        found.unwrap_or_else(|_| panic!("no `{stage}`: {seen:#?}"))
    }

    /// The owner's phone gives it the network over its access point.
    async fn configure(&mut self) {
        let event = self.wait("provisioning_started").await;
        assert_eq!(event.detail.as_deref(), Some("softap"));
        let ask = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.udp));
        let air = Air { ip: Ipv4Addr::LOCALHOST, ask, announce_port: self.ports.announce };
        let found = onboard(&air, ask, SSID, "office-key".into(), Some(NODE.to_owned())).await;
        assert_eq!(found.expect("configured").mac, NODE);
    }

    /// The phone sets something in the LAN, and hears of it.
    async fn control(&self, action: &[u8]) {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.tcp));
        let mut talk = ModuleTalk::connect(to, None).await.expect("in the LAN");
        let mut events = talk.request(TalkRequest::Control(action.into())).await.expect("sent");
        while !events.contains(&TalkEvent::Acknowledged) {
            let next = tokio::time::timeout(PATIENCE, talk.next()).await;
            events = next.expect("in time").expect("an answer");
        }
    }

    async fn stop(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "it ran until now");
    }
}

fn free_ports() -> Ports {
    Ports::free(Ipv4Addr::LOCALHOST.into()).expect("free ports")
}

fn flash(folder: &Path) -> Flash {
    let record = std::fs::read(folder.join("gizwits")).expect("a record");
    Flash::load(&record).expect("a whole record")
}

/// Sets a property; again after the connection is back when it broke under the command.
async fn set(platform: &Platform, module: &mut Running, did: &str, red: u64, cut: Option<&Relay>) {
    let path = format!("/devices/{did}/properties");
    let wanted = json!({"services": [{"service_id": "default",
        "properties": {"LED_OnOff": true, "LED_R": red}}]});
    let put = platform.api.call(Method::PUT, &path, Some(wanted.clone()));
    let (mut status, mut body) = match cut {
        None => put.await,
        Some(relay) => tokio::join!(put, async { relay.cut() }).0,
    };
    if cut.is_some() {
        module.wait("online").await;
    }
    if status != 200 || body["response"]["result_code"] != 0 {
        assert!(cut.is_some(), "{status} {body}");
        (status, body) = platform.api.call(Method::PUT, &path, Some(wanted)).await;
    }
    assert_eq!((status, &body["response"]["result_code"]), (200, &json!(0)), "{body}");
}

async fn read(platform: &Platform, did: &str) -> Value {
    let body = platform.api.get(&format!("/devices/{did}/properties")).await;
    body["response"]["services"][0]["properties"].clone()
}

/// The devices of a product: id and whether it is on line.
async fn devices(platform: &Platform, key: &str) -> Vec<(String, String)> {
    let body = platform.api.get(&format!("/devices?product_id={key}")).await;
    let text = |device: &Value, key: &str| device[key].as_str().unwrap_or_default().to_owned();
    let devices = body["devices"].as_array().expect("devices").iter();
    devices.map(|device| (text(device, "device_id"), text(device, "status"))).collect()
}

/// A module's life; returns what the platform reads of it at the end of each part.
async fn journey(seed: u64) -> Vec<Value> {
    let mut dice = Random::new(seed);
    let ((mut api, api_near), (mut m2m, m2m_near)) = (Relay::new().await, Relay::new().await);
    let port = m2m.port;
    let platform = Platform::start_with(|config| {
        let settings = format!("[gizwits]\nm2m_host = \"127.0.0.1\"\nm2m_port = {port}");
        config.dialect = settings.parse().expect("TOML");
    })
    .await;
    api.carry(api_near, platform.address("vendor_http"));
    m2m.carry(m2m_near, platform.address("mqtt"));
    let mut document = fleet(&json!([]));
    let mut other = document["products"][0].clone();
    other["product"] = OTHER_KEY.into();
    other["model"]["product_key"] = OTHER_KEY.into();
    document["products"].as_array_mut().expect("products").push(other);
    let report = platform.api.import(document).await;
    assert_eq!(report["errors"], json!([]), "{report}");
    let fate = |dice: &mut Random| match dice.below(3) {
        0 => Some(Fate::Refused),
        1 => Some(Fate::Unanswered),
        _ => None,
    };
    let folder = platform.folder.path().join("module");
    let mut ends = Vec::new();

    // Out of the box: registered whatever answer is lost.
    api.fates
        .lock()
        .expect("fates")
        .extend([fate(&mut dice), fate(&mut dice)].into_iter().flatten());
    let ports = free_ports();
    let policy = Policy::document().fast();
    let mut module = Running::start(&folder, KEY, api.port, policy.clone(), ports);
    module.configure().await;
    module.wait("online").await;
    let [(first, online)] = &devices(&platform, KEY).await[..] else { panic!("one device") };
    assert_eq!((&*flash(&folder).did, &**online), (&**first, "ONLINE"));

    // Near and far in turns; the connection breaks between and under commands.
    for round in 0..3 {
        let red = 10 + round;
        let cut = (dice.below(2) == 0).then_some(&m2m);
        set(&platform, &mut module, first, red, cut).await;
        module.control(&[1, 0b1000, 0, 0, red as u8, 0, 0]).await;
        if dice.below(2) == 0 {
            m2m.cut();
            module.wait("online").await;
        }
        let change = [("Temperature".to_owned(), json!(20 + round))].into_iter().collect();
        assert!(module.hand.press(Press::Change(change)).await);
        module.wait("data_points").await;
        ends.push(read(&platform, first).await);
    }

    // Reset: another passcode, another DID.
    api.fates.lock().expect("fates").extend(fate(&mut dice));
    assert!(module.hand.press(Press::Reset).await);
    module.configure().await;
    module.wait("online").await;
    let second = flash(&folder).did;
    assert_ne!(*second, **first);
    let listed = devices(&platform, KEY).await;
    assert_eq!(listed, [(second.to_string(), "ONLINE".to_owned())], "the old DID is nobody's");
    set(&platform, &mut module, &second, 77, None).await;
    ends.push(read(&platform, &second).await);
    module.stop().await;

    // Another MCU: another product; the former DID is retired.
    let mut module = Running::start(&folder, OTHER_KEY, api.port, policy, ports);
    module.wait("online").await;
    let third = flash(&folder).did;
    set(&platform, &mut module, &third, 99, Some(&m2m)).await;
    ends.push(read(&platform, &third).await);
    assert_eq!(devices(&platform, OTHER_KEY).await, [(third.to_string(), "ONLINE".to_owned())]);
    assert!(flash(&folder).former.is_none(), "deregistered");
    assert!(devices(&platform, KEY).await.iter().all(|(_, status)| status != "ONLINE"));
    module.stop().await;
    platform.stop().await;
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_journey_over_sockets_ends_in_the_same_state() {
    let first = journey(1).await;
    assert_eq!((&first[4]["LED_R"], &first[4]["LED_OnOff"]), (&json!(99), &json!(true)));
    for seed in 2..=4 {
        assert_eq!(journey(seed).await, first, "seed {seed}");
    }
}

fn md5(bytes: &[u8]) -> String {
    let sum = openssl::hash::hash(openssl::hash::MessageDigest::md5(), bytes).expect("MD5");
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serves these files as a package server does.
async fn serve_files(listener: TcpListener, files: Vec<(&'static str, &'static str, Vec<u8>)>) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a module");
        let mut buffer = [0; 1024];
        let len = stream.read(&mut buffer).await.expect("a request");
        let asked = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let path = asked.split(' ').nth(1).expect("a path");
        let (_, version, image) = files.iter().find(|(known, ..)| *known == path).expect("a file");
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"x.bin\"\r\n\
             Firmware-MD5: {}\r\nSoft-Version: {version}\r\nContent-Length: {}\r\n\r\n",
            md5(image),
            image.len()
        );
        stream.write_all(&[head.as_bytes(), image].concat()).await.expect("sent");
    }
}

/// A package assigned by hand reaches module and MCU, by version and by firmware id, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_assigned_by_hand_reaches_module_and_mcu() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let files = format!("http://{}", listener.local_addr().expect("address"));
    let image = |version: &str| [&[0xA5; 2000], version.as_bytes()].concat();
    let package = |part: u8, hard: &str, version: &str, path: &str| {
        format!(
            "[[gizwits.packages]]\nproduct = \"{KEY}\"\ntype = {part}\nhard_version = \"{hard}\"\n\
             version = \"{version}\"\nurl = \"{files}{path}\"\nsize = 2008\n"
        )
    };
    let mcu = package(2, "00000001", "00000003", "/mcu.bin");
    let own = |version| package(1, "RSVIRT01", version, "/own.bin");
    let _files = tokio::spawn(serve_files(
        listener,
        vec![
            ("/own.bin", "04000002", image("04000002")),
            ("/mcu.bin", "00000003", image("00000003")),
        ],
    ));
    for (rule, packages) in [
        (OtaRule::Version, [mcu.clone(), own("04000002")].concat()),
        // The second package of one version is number 2.
        (OtaRule::FirmwareId, [mcu, own("04000001"), own("04000001")].concat()),
    ] {
        let platform = Platform::start_with(|config| {
            config.dialect = packages.parse().expect("TOML");
        })
        .await;
        assert_eq!(platform.api.import(fleet(&json!([]))).await["errors"], json!([]));
        let folder = platform.folder.path().join("module");
        let port = platform.address("vendor_http").rsplit_once(':').expect("port").1;
        let policy = Policy { ota: rule, ..Policy::document().fast() };
        let port = port.parse().expect("a port");
        let mut module = Running::start(&folder, KEY, port, policy, free_ports());
        module.configure().await;
        let own = module.wait("firmware").await;
        assert_eq!(own.detail.as_deref(), Some("04000002"), "{rule:?}");
        let restarted = module.wait("restarted").await;
        assert_eq!(restarted.detail.as_deref(), Some("new firmware"));
        let told = module.wait("mcu_firmware").await.data.expect("data");
        assert_eq!(told, json!({"version": "00000003", "bytes": 2008}));
        module.wait("restarted").await;
        module.wait("online").await;
        assert_eq!(flash(&folder).firmware, "04000002".into());
        let did = flash(&folder).did;
        let device = platform.api.get(&format!("/devices/{did}")).await;
        assert_eq!(device["sw_version"], "00000003", "{device}");
        if rule == OtaRule::Version {
            assert_eq!(device["fw_version"], "04000002", "{device}");
        }
        module.stop().await;
        platform.stop().await;
    }
}
