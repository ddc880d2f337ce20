//! A module on real loopback sockets and a real pseudo-terminal.

mod cloud;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use roadstead_dialects::gizwits::lan::{Framer, Message, udp};
use roadstead_dialects::gizwits::mcu::{Input, Mcu, Output, Panel};
use roadstead_dialects::gizwits::module::Flash;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::*;

const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("roadstead-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options(folder: &Folder, line: Line) -> Options {
    let mut config = Config::new([2, 0, 0, 0, 0, 1]);
    (config.api_host, config.api_port) = ("127.0.0.1".into(), 9);
    Options {
        config,
        policy: Policy::document().fast(),
        lan: Ipv4Addr::LOCALHOST.into(),
        ports: Ports::free(Ipv4Addr::LOCALHOST.into()).expect("free ports"),
        broadcast: None,
        data_dir: folder.0.clone(),
        factory: Flash { network: Some((b"lab"[..].into(), "lab".into())), ..Flash::default() },
        line,
        network: None,
        air: SocketAddr::from(([127, 0, 0, 1], 0)),
        key: None,
        watchdog: None,
    }
}

fn virtual_line() -> Line {
    let panel = Panel::pet_house();
    Line::Virtual { product_key: KEY.to_owned(), panel, bindable_s: 0 }
}

/// Runs a module; returns its events and what stops it.
fn start(
    options: Options,
) -> (mpsc::UnboundedReceiver<AgentEvent>, tokio::sync::oneshot::Sender<()>) {
    let (sender, events) = mpsc::unbounded_channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let agent = ModuleAgent::new(options).with_observer(move |event| {
        let _ = sender.send(event);
    });
    tokio::spawn(async move {
        agent.run(async { drop(stopped.await) }).await.expect("runs");
    });
    (events, stop)
}

async fn wait(events: &mut mpsc::UnboundedReceiver<AgentEvent>, stage: &str) -> AgentEvent {
    let find = async {
        loop {
            let event = events.recv().await.expect("the module runs");
            if event.stage == stage {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, find).await.expect(stage)
}

struct Phone(TcpStream, Framer, std::collections::VecDeque<(u16, Vec<u8>)>);

impl Phone {
    async fn say(&mut self, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        self.0.write_all(&bytes).await.expect("sent");
    }

    /// Returns command and body of the next frame.
    async fn hear(&mut self) -> (u16, Vec<u8>) {
        let mut buffer = [0; 1024];
        while self.2.is_empty() {
            let len = self.0.read(&mut buffer).await.expect("read");
            assert!(len > 0, "closed");
            let mut input = &buffer[..len];
            while let Some(frame) = self.1.next(&mut input).expect("frames") {
                self.2.push_back((frame.cmd, frame.body.to_vec()));
            }
        }
        self.2.pop_front().expect("a frame")
    }

    async fn log_in(ports: Ports) -> Self {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.tcp));
        let stream = TcpStream::connect(to).await.expect("connected");
        let mut phone = Self(stream, Framer::new(), std::collections::VecDeque::new());
        phone.0.set_nodelay(true).expect("socket");
        phone.say(&Message::PasscodeRequest).await;
        let (_, body) = phone.hear().await;
        phone.say(&Message::Login(&body[2..])).await;
        assert_eq!(phone.hear().await, (9, vec![0]));
        phone
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_finds_the_module_and_controls_the_virtual_mcu() {
    let folder = Folder::new("module-lan");
    let options = options(&folder, virtual_line());
    let ports = options.ports;
    let (mut events, _stop) = start(options);
    wait(&mut events, "network_joined").await;

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("socket");
    let mut question = Vec::new();
    Message::Discover.emit(&mut question);
    socket.send_to(&question, (Ipv4Addr::LOCALHOST, ports.udp)).await.expect("sent");
    let mut buffer = [0; 512];
    let got = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (len, _) = got.expect("in time").expect("received");
    let frame = udp(&buffer[..len]).expect("frame");
    assert!(matches!(Message::of(&frame), Message::Found(b) if b.product_key == KEY.as_bytes()));

    let mut phone = Phone::log_in(ports).await;
    let mut times = Vec::new();
    for sn in 0..50 {
        let on = u8::from(sn % 2 == 0);
        let start = Instant::now();
        phone.say(&Message::ControlSn { sn, p0: &[1, 1, on, 0, 0, 0, 0] }).await;
        loop {
            let (command, body) = phone.hear().await;
            if command == 0x94 {
                assert_eq!(body, sn.to_be_bytes());
                break;
            }
        }
        times.push(start.elapsed());
    }
    times.sort();
    println!("LAN control round trip: median {:?}, worst {:?}", times[25], times[49]);
    // The bar is 5 ms for a release build on a quiet machine; a busy one must not fail it.
    assert!(times[25] < Duration::from_millis(50), "median {:?}", times[25]);
    let set = wait(&mut events, "property_set").await;
    assert_eq!(set.data, Some(serde_json::json!({"LED_OnOff": 1})));
}

/// An MCU at the far end of a pseudo-terminal, in a thread of its own.
fn attach(mut far: File, near: &std::path::Path) -> std::thread::JoinHandle<()> {
    let near = near.to_owned();
    std::thread::spawn(move || {
        // Keeps the terminal alive until the module has opened it.
        let _near = File::open(near);
        let mut mcu = Mcu::new(KEY, Panel::pet_house());
        let (start, mut buffer) = (Instant::now(), [0; 256]);
        while let Ok(len @ 1..) = far.read(&mut buffer) {
            let now = roadstead_core::Tick::from_millis(start.elapsed().as_millis() as u64);
            let mut wire = Vec::new();
            mcu.handle(Input::Serial(&buffer[..len]), now, &mut |output| {
                if let Output::Serial(bytes) = output {
                    wire.extend_from_slice(bytes);
                }
            });
            if far.write_all(&wire).is_err() {
                return;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mcu_at_a_serial_port_is_read() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&far).and_then(|()| unlockpt(&far)).expect("ours");
    let name = ptsname(&far, Vec::new()).expect("name").into_string().expect("text");
    let near = PathBuf::from(name);
    // Bytes before the module opens the port would be echoed: set it raw first.
    drop(SerialPort::open(&near).expect("set up"));
    let _thread = attach(File::from(far), &near);
    let folder = Folder::new("module-serial");
    let options = options(&folder, Line::Port(near));
    let ports = options.ports;
    let (mut events, _stop) = start(options);
    let ready = wait(&mut events, "mcu_ready").await;
    assert_eq!(ready.detail.as_deref(), Some(KEY));
    wait(&mut events, "network_joined").await;
    let mut phone = Phone::log_in(ports).await;
    phone.say(&Message::Control(&[2])).await;
    let (command, body) = phone.hear().await;
    assert_eq!((command, body[0]), (0x91, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_module_has_its_passcode_and_opens_softap_after_a_reset() {
    let folder = Folder::new("module-flash");
    let first = options(&folder, virtual_line());
    let ports = first.ports;
    let (mut events, stop) = start(first);
    wait(&mut events, "network_joined").await;
    let passcode = |folder: &Folder| {
        let record = std::fs::read(folder.0.join(hardware::RECORD)).expect("record");
        Flash::load(&record).expect("whole").passcode
    };
    let before = passcode(&folder);
    drop((stop, events));
    let mut second = options(&folder, virtual_line());
    second.ports = ports;
    let agent = ModuleAgent::new(second);
    let hand = agent.handle();
    let (sender, mut events) = mpsc::unbounded_channel();
    let agent = agent.with_observer(move |event| drop(sender.send(event)));
    let task = tokio::spawn(agent.run(std::future::pending()));
    wait(&mut events, "network_joined").await;
    assert!(passcode(&folder) == before, "kept");
    assert!(hand.press(Press::Reset).await);
    wait(&mut events, "restarted").await;
    let way = wait(&mut events, "provisioning_started").await;
    assert_eq!(way.detail.as_deref(), Some("softap"));
    assert!(passcode(&folder) != before, "another one");
    task.abort();
}

/// Seed §12_3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_restarts_the_module_at_once() {
    let folder = Folder::new("module-crash");
    let options = options(&folder, virtual_line());
    let ports = options.ports;
    let (sender, mut events) = mpsc::unbounded_channel();
    let mut crashes = 0;
    let agent = ModuleAgent::new(options).with_observer(move |event| {
        let is_joined = event.stage == "network_joined";
        drop(sender.send(event));
        if is_joined && crashes < 3 {
            crashes += 1;
            panic!("crash {crashes} inside the module's task");
        }
    });
    let start = Instant::now();
    let task = tokio::spawn(agent.run(std::future::pending()));
    for _ in 0..4 {
        wait(&mut events, "network_joined").await;
    }
    assert!(start.elapsed() < PATIENCE, "at once");
    // The fourth life has the sockets of the first, and answers.
    let mut phone = Phone::log_in(ports).await;
    phone.say(&Message::ControlSn { sn: 1, p0: &[1, 1, 1, 0, 0, 0, 0] }).await;
    wait(&mut events, "property_set").await;
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_ends_with_whoever_runs_it() {
    let folder = Folder::new("module-dropped");
    let options = options(&folder, virtual_line());
    let ports = options.ports;
    let (sender, mut events) = mpsc::unbounded_channel();
    let agent = ModuleAgent::new(options).with_observer(move |event| drop(sender.send(event)));
    let task = tokio::spawn(agent.run(std::future::pending()));
    wait(&mut events, "network_joined").await;
    let mut phone = Phone::log_in(ports).await;
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    let mut rest = [0; 64];
    let closed = async { while phone.0.read(&mut rest).await.is_ok_and(|len| len > 0) {} };
    tokio::time::timeout(PATIENCE, closed).await.expect("its connections end");
    let all = async { while events.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, all).await.expect("its observer is gone");
}

#[tokio::test]
async fn the_watchdog_bites_a_loop_that_hangs_and_no_other() {
    let (bitten, bites) = std::sync::mpsc::channel();
    let dog =
        Watchdog::with_patience(Duration::from_millis(20), move || bitten.send(()).expect("heard"));
    let dog = dog.expect("a thread");
    // Nobody feeds it.
    bites.recv_timeout(PATIENCE).expect("bites");
    drop(dog);
    // A module that is gone is not waited for.
    let (bitten, bites) = std::sync::mpsc::channel();
    drop(Watchdog::with_patience(Duration::from_millis(20), move || {
        bitten.send(()).expect("heard");
    }));
    assert_eq!(bites.recv_timeout(PATIENCE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

/// The status of a pH meter as published with the package: pH 7.32, redox 205 mV.
const PH_METER: [u8; 9] = [0x00, 0x02, 0xDC, 0x08, 0x9D, 0x00, 0x00, 0x00, 0x00];

/// npm's `node-ph803w`, installed in `ROADSTEAD_TEST_PH803W_MODULES`. Missing, the test says so and
/// passes, unless `ROADSTEAD_TEST_CLIENTS=required`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_independent_lan_client_discovers_logs_in_and_reads() {
    let modules = std::env::var("ROADSTEAD_TEST_PH803W_MODULES").unwrap_or_default();
    if !std::path::Path::new(&modules).join("node-ph803w").is_dir() {
        let required = std::env::var("ROADSTEAD_TEST_CLIENTS").is_ok_and(|v| v == "required");
        assert!(!required, "`{modules}` has no node-ph803w; see tests/clients/package.json");
        println!("SKIPPED: `{modules}` has no node-ph803w; see tests/clients/package.json");
        return;
    }
    let folder = Folder::new("module-node");
    let panel = Panel::raw(&PH_METER);
    let line = Line::Virtual { product_key: KEY.to_owned(), panel, bindable_s: 0 };
    let options = options(&folder, line);
    let ports = options.ports;
    let (mut events, _stop) = start(options);
    wait(&mut events, "network_joined").await;
    let script = format!("{}/tests/clients/ph803w.cjs", env!("CARGO_MANIFEST_DIR"));
    let output = tokio::process::Command::new("node")
        .arg(script)
        .args(["127.0.0.1", &ports.udp.to_string(), &ports.tcp.to_string()])
        .env("NODE_PATH", modules)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE * 2, output).await.expect("ends").expect("node");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let event = |name: &str| lines.iter().find(|line| line["event"] == name).expect(name);
    assert_eq!(event("discovered")["data3"], KEY);
    assert_eq!(event("discovered")["data1"], "020000000001");
    assert_eq!(event("login")["result"], true);
    assert_eq!(event("data")["ph"], 7.32);
    assert_eq!(event("connected")["still"], true, "heartbeats are answered");
    assert!(!lines.iter().any(|line| line["event"] == "error"), "{text}");
}
