//! Idle connections: how fast a crowd gets its CONNACK, and what each connection costs in memory.
//!
//! With `--ramp` as large as `--count` all devices come at once: the storm after an outage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use roadstead_wire::mqtt::packet::{Packet, PacketId, QoS, Subscribe, Subscription};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::cpu;
use crate::device::{Device, PRODUCT, node};

/// Idle connections.
#[derive(Args)]
pub(crate) struct Options {
    /// MQTT address of the platform; the MQTTS address with --psk
    #[arg(long)]
    address: String,
    /// TLS-PSK instead of a password
    #[arg(long)]
    psk: bool,
    /// Process id of the platform, to read its memory and CPU time
    #[arg(long)]
    pid: Option<u32>,
    /// Connections
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// Log-ins under way at the same time
    #[arg(long, default_value_t = 64)]
    ramp: usize,
    /// Seconds between the last log-in and the reading of the memory
    #[arg(long, default_value_t = 15)]
    hold: u64,
}

pub(crate) async fn run(options: Options) -> Result<String, String> {
    let rss = |pid: Option<u32>| pid.and_then(cpu::rss_bytes);
    let (rss_before, cpu_before) = (rss(options.pid), options.pid.and_then(cpu::of_process));
    let places = Arc::new(Semaphore::new(options.ramp));
    let started = Instant::now();
    let mut logins = tokio::task::JoinSet::new();
    for n in 0..options.count {
        let (address, psk, places) = (options.address.clone(), options.psk, places.clone());
        logins.spawn(async move {
            // In a storm everybody starts at once, and waiting for the kernel counts.
            let _place = places.acquire().await.map_err(|error| error.to_string())?;
            let begun = Instant::now();
            let device = Device::login(&address, n, psk).await?;
            Ok::<_, String>((begun.elapsed(), n, device))
        });
    }
    let (mut times, mut devices, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(login) = logins.join_next().await {
        match login.map_err(|error| error.to_string())? {
            Ok((time, n, device)) => {
                times.push(time);
                devices.push((n, device));
            }
            Err(error) => failures.push(error),
        }
    }
    let wall = started.elapsed();
    let cpu = options.pid.and_then(cpu::of_process).zip(cpu_before).map(|(after, b)| after - b);
    for (n, device) in &mut devices {
        subscribe(device, *n).await?;
    }
    tokio::time::sleep(Duration::from_secs(options.hold)).await;
    let grown = rss(options.pid).zip(rss_before).map(|(after, b)| after.saturating_sub(b));
    times.sort();
    let at = |share: f64| {
        let n = ((times.len() as f64) * share) as usize;
        times.get(n.min(times.len().saturating_sub(1))).map(|t| t.as_secs_f64() * 1e3)
    };
    let each = |total: f64| total / times.len().max(1) as f64;
    Ok(json!({
        "task": if options.psk { "idle psk" } else { "idle plain" },
        "connected": times.len(), "failed": failures.len(), "failure": failures.first(),
        "per_second": times.len() as f64 / wall.as_secs_f64(),
        "connack_p50_ms": at(0.5), "connack_p99_ms": at(0.99), "connack_p999_ms": at(0.999),
        "rss_bytes_before": rss_before,
        "rss_bytes_each": grown.map(|bytes| each(bytes as f64)),
        "server_cpu_us_each": cpu.map(|cpu| each(cpu.as_secs_f64() * 1e6)),
    })
    .to_string())
}

/// Subscribes a device's property topic and waits for the SUBACK.
async fn subscribe(device: &mut Device, n: usize) -> Result<(), String> {
    let filter = format!("$thing/down/property/{PRODUCT}/{}", node(n));
    let filters = vec![Subscription::new(filter, QoS::AtLeastOnce)];
    let id = PacketId::MIN;
    device
        .send(&Packet::Subscribe(Subscribe {
            id,
            filters,
            subscription_id: None,
            user: Vec::new(),
        }))
        .await?;
    match device.next().await? {
        Packet::SubAck(_) => Ok(()),
        other => Err(format!("no SUBACK: {other:?}")),
    }
}
