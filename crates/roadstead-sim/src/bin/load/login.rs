//! Log-ins: connect, prove, CONNACK, close; one after the other on each worker.

use std::time::{Duration, Instant};

use clap::Args;
use roadstead_wire::mqtt::packet::{Disconnect, Packet, Reason};
use serde_json::json;

use crate::cpu;
use crate::device::Device;

/// Log-ins.
#[derive(Args)]
pub(crate) struct Options {
    /// MQTT address of the platform; the MQTTS address with --psk
    #[arg(long)]
    address: String,
    /// TLS-PSK instead of a password
    #[arg(long)]
    psk: bool,
    /// Process id of the platform, to read its CPU time
    #[arg(long)]
    pid: Option<u32>,
    /// Devices that log in at the same time
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// Devices in turn
    #[arg(long, default_value_t = 1000)]
    devices: usize,
    /// Seconds
    #[arg(long, default_value_t = 8)]
    secs: u64,
}

pub(crate) async fn run(options: Options) -> Result<String, String> {
    let before = options.pid.and_then(cpu::of_process);
    let started = Instant::now();
    let end = started + Duration::from_secs(options.secs);
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..options.workers {
        let (address, psk) = (options.address.clone(), options.psk);
        let mine: Vec<usize> = (worker..options.devices).step_by(options.workers).collect();
        workers.spawn(async move {
            let mut times = Vec::new();
            for n in mine.into_iter().cycle() {
                let begun = Instant::now();
                if begun >= end {
                    break;
                }
                let mut device = Device::login(&address, n, psk).await?;
                times.push(begun.elapsed());
                device.send(&Packet::Disconnect(Disconnect::new(Reason::Success))).await?;
            }
            Ok::<_, String>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = workers.join_next().await {
        times.extend(done.map_err(|e| e.to_string())??);
    }
    let wall = started.elapsed();
    let cpu = options.pid.and_then(cpu::of_process).zip(before).map(|(after, b)| after - b);
    times.sort();
    let at = |share: f64| {
        let n = ((times.len() as f64) * share) as usize;
        times.get(n.min(times.len().saturating_sub(1))).map(|t| t.as_secs_f64() * 1e3)
    };
    Ok(json!({
        "task": if options.psk { "login psk" } else { "login plain" },
        "logins": times.len(),
        "per_second": times.len() as f64 / wall.as_secs_f64(),
        "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999),
        "server_cpu_us_each": cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / times.len().max(1) as f64),
    })
    .to_string())
}
