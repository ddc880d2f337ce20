//! Synchronous commands over the northbound API to devices that answer at once.
//!
//! Sent on schedule: a late answer does not delay the next request, and waiting counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use reqwest::Client;
use roadstead_wire::mqtt::packet::{Packet, PacketId, Publish, QoS, Subscribe, Subscription};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::cpu;
use crate::device::{Device, PRODUCT, node};

/// Commands.
#[derive(Args)]
pub(crate) struct Options {
    /// MQTT address of the platform
    #[arg(long)]
    address: String,
    /// Address of the northbound API, such as http://127.0.0.1:8080
    #[arg(long)]
    http: String,
    /// Password of the user `admin`
    #[arg(long, env = "ROADSTEAD_ADMIN_PASSWORD")]
    password: String,
    /// Process id of the platform, to read its CPU time
    #[arg(long)]
    pid: Option<u32>,
    /// Devices
    #[arg(long, default_value_t = 10)]
    devices: usize,
    /// Commands per second over all devices
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Seconds
    #[arg(long, default_value_t = 10)]
    secs: u64,
    /// Requests under way at the same time; beyond it requests are counted as skipped
    #[arg(long, default_value_t = 256)]
    in_flight_max: usize,
}

pub(crate) async fn run(options: Options) -> Result<String, String> {
    let client = Client::builder().tcp_nodelay(true).build().map_err(|e| e.to_string())?;
    let (token, project) = sign_in(&client, &options).await?;
    let mut responders = tokio::task::JoinSet::new();
    for n in 0..options.devices {
        let device = ready(&options.address, n).await?;
        responders.spawn(respond(device, n));
    }
    let url = |n: usize| {
        let base = &options.http;
        format!("{base}/v5/iot/{project}/devices/{PRODUCT}_{}/commands", node(n))
    };
    let urls: Vec<String> = (0..options.devices).map(url).collect();
    let (sender, mut results) = mpsc::channel(options.in_flight_max);
    let gate = Arc::new(Semaphore::new(options.in_flight_max));
    let total = options.rate * options.secs;
    let before = options.pid.and_then(cpu::of_process);
    let started = tokio::time::Instant::now();
    let schedule = tokio::spawn(async move {
        let mut skipped = 0_u64;
        for n in 0..total {
            let due = started + Duration::from_nanos(n * 1_000_000_000 / options.rate.max(1));
            tokio::time::sleep_until(due).await;
            let Ok(permit) = gate.clone().try_acquire_owned() else {
                skipped += 1;
                continue;
            };
            let request = client
                .post(&urls[n as usize % urls.len()])
                .header("X-Auth-Token", &token)
                .json(&json!({"service_id": "default", "command_name": "ping", "paras": {"n": n}}));
            let sender = sender.clone();
            tokio::spawn(async move {
                let ok = match request.send().await {
                    Ok(answer) => answer
                        .json::<Value>()
                        .await
                        .is_ok_and(|body| body["response"]["paras"]["n"] == n),
                    Err(_) => false,
                };
                let waited = due.into_std().elapsed();
                drop(permit);
                // The receiver lives until every sender is gone.
                let _ = sender.send((ok, waited)).await;
            });
        }
        skipped
    });
    let (mut times, mut failed) = (Vec::new(), 0_u64);
    while let Some((ok, waited)) = results.recv().await {
        if ok { times.push(waited) } else { failed += 1 }
    }
    let skipped = schedule.await.map_err(|e| e.to_string())?;
    let wall = Instant::now() - started.into_std();
    let cpu = options.pid.and_then(cpu::of_process).zip(before).map(|(after, b)| after - b);
    times.sort();
    let at = |share: f64| {
        let n = ((times.len() as f64) * share) as usize;
        times.get(n.min(times.len().saturating_sub(1))).map(|t| t.as_secs_f64() * 1e3)
    };
    Ok(json!({
        "task": "command",
        "answered": times.len(), "failed": failed, "skipped": skipped,
        "per_second": times.len() as f64 / wall.as_secs_f64(),
        "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999),
        "server_cpu_us_each": cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / times.len().max(1) as f64),
    })
    .to_string())
}

async fn sign_in(client: &Client, options: &Options) -> Result<(String, String), String> {
    let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "admin", "password": options.password, "domain": {"name": "local"}}}},
        "scope": {"project": {"name": "local"}}}});
    let url = format!("{}/v3/auth/tokens", options.http);
    let answer = client.post(url).json(&body).send().await.map_err(|e| e.to_string())?;
    let token = answer.headers().get("x-subject-token").and_then(|v| v.to_str().ok());
    let token = token.ok_or("the password is wrong")?.to_owned();
    let body: Value = answer.json().await.map_err(|e| e.to_string())?;
    let project = body["token"]["project"]["id"].as_str().ok_or("no project in the answer")?;
    Ok((token, project.to_owned()))
}

/// Logs a device in and subscribes its action topic.
async fn ready(address: &str, n: usize) -> Result<Device, String> {
    let mut device = Device::login(address, n, false).await?;
    let filter = format!("$thing/down/action/{PRODUCT}/{}", node(n));
    device
        .send(&Packet::Subscribe(Subscribe {
            id: PacketId::MIN,
            filters: vec![Subscription::new(filter, QoS::AtLeastOnce)],
            subscription_id: None,
            user: Vec::new(),
        }))
        .await?;
    match device.next().await? {
        Packet::SubAck(_) => Ok(device),
        other => Err(format!("SUBACK expected, got {other:?}")),
    }
}

/// Answers every action with the number that it carries.
async fn respond(mut device: Device, n: usize) -> Result<(), String> {
    let topic: Arc<str> = format!("$thing/up/action/{PRODUCT}/{}", node(n)).into();
    loop {
        let Packet::Publish(publish) = device.next().await? else { continue };
        if let Some(id) = publish.id {
            let ack = roadstead_wire::mqtt::packet::Ack::new(
                id,
                roadstead_wire::mqtt::packet::Reason::Success,
            );
            device.send(&Packet::PubAck(ack)).await?;
        }
        let body: Value = serde_json::from_slice(&publish.payload).map_err(|e| e.to_string())?;
        let reply = json!({"method": "action_reply", "clientToken": body["clientToken"], "code": 0,
            "status": "", "response": {"n": body["params"]["n"]}});
        let publish = Publish::new(topic.clone(), reply.to_string().into_bytes(), QoS::AtMostOnce);
        device.send(&Packet::Publish(publish)).await?;
    }
}
