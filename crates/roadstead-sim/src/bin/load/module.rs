//! `load module`: controls in the LAN, phone → module → MCU → phone, without a platform.
//!
//! Module and phone are the libraries on loopback sockets; the MCU is virtual and answers at once.
//! What a serial line of 9600 baud adds is computed of the frames' sizes and told apart.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Args;
use roadstead_agent::module::{Line, ModuleAgent, Options as ModuleOptions, Ports};
use roadstead_app::module::{ModuleError, ModuleTalk};
use roadstead_dialects::gizwits::app::{TalkEvent, TalkRequest};
use roadstead_dialects::gizwits::mcu::Panel;
use roadstead_dialects::gizwits::module::{Config, Flash, Policy};
use serde_json::json;

/// Controls that are not counted.
const WARM_UP: usize = 100;
/// Longest wait for one answer.
const WAIT: Duration = Duration::from_secs(5);
/// A control of the sample product: flags, then the writable part.
const ACTION: [u8; 7] = [0x01, 0b100, 0, 1, 0, 0, 0];
/// Bytes of a serial frame around its payload.
const FRAME: usize = 9;
/// Bits on the line for a byte: start, eight, stop.
const BITS: usize = 10;
const BAUD: f64 = 9600.0;

/// How much.
#[derive(Args)]
pub(crate) struct Options {
    /// Controls, one after the other
    #[arg(long, default_value_t = 5000)]
    count: usize,
    /// Address of the module
    #[arg(long, default_value = "127.0.0.1")]
    ip: Ipv4Addr,
    /// First of its four ports
    #[arg(long, default_value_t = 12414)]
    port: u16,
}

pub(crate) async fn run(options: Options) -> Result<String, String> {
    let folder = std::env::temp_dir().join(format!("roadstead-load-{}", std::process::id()));
    let ports = Ports::around(options.port);
    let (sender, mut joined) = tokio::sync::mpsc::unbounded_channel();
    let agent = ModuleAgent::new(module(&options, ports, folder.clone()));
    let agent = agent.with_observer(move |event| {
        if event.stage == "network_joined" {
            let _ = sender.send(());
        }
    });
    let task = tokio::spawn(agent.run(std::future::pending()));
    let started = tokio::time::timeout(WAIT, joined.recv()).await;
    let result = match started {
        Ok(Some(())) => measure(&options, ports).await,
        Ok(None) | Err(_) => Err("the module did not start".to_owned()),
    };
    task.abort();
    let _ = task.await;
    let _ = std::fs::remove_dir_all(folder);
    result
}

fn module(options: &Options, ports: Ports, data_dir: std::path::PathBuf) -> ModuleOptions {
    let mut config = Config::new([2, 0, 0, 0, 0, 1]);
    // There is no platform: the module goes on without.
    (config.api_host, config.api_port) = ("127.0.0.1".into(), 9);
    ModuleOptions {
        config,
        policy: Policy::document(),
        lan: IpAddr::V4(options.ip),
        ports,
        broadcast: None,
        data_dir,
        factory: Flash { network: Some((b"load"[..].into(), "".into())), ..Flash::default() },
        line: Line::Virtual {
            product_key: "6f3074fe43894547a4f1314bd7e3ae0b".to_owned(),
            panel: Panel::pet_house(),
            bindable_s: 0,
        },
        network: None,
        air: SocketAddr::from((options.ip, 0)),
        key: None,
        watchdog: None,
    }
}

async fn measure(options: &Options, ports: Ports) -> Result<String, String> {
    let failed = |error: ModuleError| error.to_string();
    let to = SocketAddr::from((options.ip, ports.tcp));
    let mut talk = ModuleTalk::connect(to, None).await.map_err(failed)?;
    let mut times = Vec::with_capacity(options.count);
    for n in 0..WARM_UP + options.count {
        let start = Instant::now();
        let mut events = talk.request(TalkRequest::Control(ACTION.into())).await.map_err(failed)?;
        while !events.contains(&TalkEvent::Acknowledged) {
            let next = tokio::time::timeout(WAIT, talk.next()).await;
            events = next.map_err(|_| "no answer".to_owned())?.map_err(failed)?;
        }
        if n >= WARM_UP {
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    let at = |share: f64| {
        let n = (times.len() as f64 * share) as usize;
        times.get(n.min(times.len().saturating_sub(1))).map_or(0, Duration::as_micros)
    };
    // The control to the MCU and its empty acknowledgement; nothing in them needs stuffing.
    let bytes = FRAME + ACTION.len() + FRAME;
    let serial_ms = (bytes * BITS) as f64 * 1000.0 / BAUD;
    let document = json!({
        "controls": times.len(), "p50_us": at(0.5), "p99_us": at(0.99), "max_us": at(1.0),
        "serial_bytes": bytes, "serial_9600_ms": (serial_ms * 10.0).round() / 10.0,
    });
    Ok(document.to_string())
}
