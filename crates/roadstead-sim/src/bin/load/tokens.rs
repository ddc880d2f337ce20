//! Bind tokens: a fleet that comes out of provisioning at the same time, each device reporting the
//! token it made (Alibaba §5.1), and how long until its `match_reply` is there.

use std::time::{Duration, Instant};

use clap::Args;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use roadstead_wire::mqtt::packet::{Connect, Opaque, Packet, PacketId, Publish, QoS, Version};
use serde_json::{Value, json};
use tokio::sync::{Barrier, Semaphore};

use crate::cpu;
use crate::device::{Device, node};

/// ProductKey of the devices.
const PRODUCT: &str = "a1LOADLOAD0";
/// DeviceSecret of every device; a public test value.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Longest wait for one reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bind tokens.
#[derive(Args)]
pub(crate) struct Options {
    /// MQTT address of the platform
    #[arg(long)]
    address: String,
    /// Process id of the platform, to read its CPU time
    #[arg(long)]
    pid: Option<u32>,
    /// Devices
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// Seconds over which their reports are spread
    #[arg(long, default_value_t = 10)]
    secs: u64,
    /// Log-ins under way at the same time
    #[arg(long, default_value_t = 64)]
    ramp: usize,
    /// Address of the phones' API, such as http://127.0.0.1:8080; a phone then binds devices
    #[arg(long)]
    http: Option<String>,
    /// Devices that the phone binds as soon as their token is known, the first ones
    #[arg(long, default_value_t = 100)]
    bind: usize,
}

/// A signed-in phone.
struct Phone {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Phone {
    /// Makes an account of its own.
    async fn sign_up(http: &str) -> Result<Self, String> {
        let client = reqwest::Client::builder().tcp_nodelay(true).no_proxy().build();
        let client = client.map_err(|error| error.to_string())?;
        let name = format!("load-{}", std::process::id());
        let body = json!({"username": name, "password": format!("{name}-password")});
        let answer = client.post(format!("{http}/app/v1/users")).json(&body).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        let token = body["token"].as_str().ok_or_else(|| format!("no sign-up: {body}"))?;
        Ok(Self { client, url: format!("{http}/app/v1/bindings"), token: token.to_owned() })
    }

    async fn bind(&self, n: usize) -> Result<(), String> {
        let body = json!({"token": token(n), "product": PRODUCT, "device": node(n)});
        let call = self.client.post(&self.url).bearer_auth(&self.token).json(&body).send();
        let answer = call.await.map_err(|error| error.to_string())?;
        if answer.status().as_u16() == 201 {
            return Ok(());
        }
        Err(format!("not bound: {}", answer.text().await.unwrap_or_default()))
    }
}

/// The token that a device makes.
fn token(n: usize) -> String {
    format!("{n:032X}")
}

/// A fleet file of `count` devices.
pub(crate) fn fleet(count: usize) -> String {
    let devices: Vec<_> = (0..count)
        .map(|n| {
            json!({"dialect": "alibaba", "product": PRODUCT, "device": node(n), "secret": SECRET})
        })
        .collect();
    json!({"version": 1,
        "products": [{"dialect": "alibaba", "product": PRODUCT, "name": "Load", "auth": "secret",
                      "dynamic_registration": "off"}],
        "devices": devices})
    .to_string()
}

pub(crate) async fn run(options: Options) -> Result<String, String> {
    let everybody = std::sync::Arc::new(Barrier::new(options.count + 1));
    let places = std::sync::Arc::new(Semaphore::new(options.ramp));
    let phone = match &options.http {
        Some(http) => Some(std::sync::Arc::new(Phone::sign_up(http).await?)),
        None => None,
    };
    let mut reports = tokio::task::JoinSet::new();
    for n in 0..options.count {
        let (address, everybody, places) =
            (options.address.clone(), everybody.clone(), places.clone());
        let phone = phone.clone().filter(|_| n < options.bind);
        let slot = Duration::from_secs(options.secs).mul_f64(n as f64 / options.count as f64);
        reports.spawn(async move {
            let place = places.acquire_owned().await.map_err(|error| error.to_string())?;
            let device = Device::login_as(&address, connect(n)?).await;
            drop(place);
            everybody.wait().await;
            let mut device = device?;
            tokio::time::sleep(slot).await;
            let begun = Instant::now();
            let replied = tokio::time::timeout(PATIENCE, report(&mut device, n)).await;
            replied.map_err(|_| "no match_reply".to_owned())??;
            let replied = begun.elapsed();
            let Some(phone) = phone else { return Ok((replied, None)) };
            phone.bind(n).await?;
            Ok::<_, String>((replied, Some(begun.elapsed())))
        });
    }
    everybody.wait().await;
    let cpu_before = options.pid.and_then(cpu::of_process);
    let (mut times, mut bound, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(report) = reports.join_next().await {
        match report.map_err(|error| error.to_string())? {
            Ok((replied, binding)) => {
                times.push(replied);
                bound.extend(binding);
            }
            Err(error) => failures.push(error),
        }
    }
    let cpu = options.pid.and_then(cpu::of_process).zip(cpu_before).map(|(after, b)| after - b);
    times.sort();
    bound.sort();
    Ok(json!({
        "task": "tokens", "replied": times.len(), "failed": failures.len(),
        "failure": failures.first(), "secs": options.secs,
        "reply_p50_ms": at(&times, 0.5), "reply_p99_ms": at(&times, 0.99),
        "reply_max_ms": at(&times, 1.0),
        "bound": bound.len(), "bound_p50_ms": at(&bound, 0.5), "bound_p99_ms": at(&bound, 0.99),
        "server_cpu_us_each": cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / times.len().max(1) as f64),
    })
    .to_string())
}

/// The time, ms, that this share of the sorted times is not above.
fn at(times: &[Duration], share: f64) -> Option<f64> {
    let n = ((times.len() as f64) * share) as usize;
    times.get(n.min(times.len().saturating_sub(1))).map(|time| time.as_secs_f64() * 1e3)
}

/// CONNECT of a device that expects system topics without subscribing them (Alibaba §2).
fn connect(n: usize) -> Result<Connect, String> {
    let (node, show) = (node(n), |error: openssl::error::ErrorStack| error.to_string());
    let text = format!("clientId{node}deviceName{node}productKey{PRODUCT}");
    let key = PKey::hmac(SECRET.as_bytes()).map_err(show)?;
    let mut signer = Signer::new(MessageDigest::sha1(), &key).map_err(show)?;
    signer.update(text.as_bytes()).map_err(show)?;
    let digest = signer.sign_to_vec().map_err(show)?;
    let password: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let client_id = format!("{node}|securemode=3,signmethod=hmacsha1,_ss=1|");
    let mut connect = Connect::new(Version::V311, &client_id);
    connect.username = Some(format!("{node}&{PRODUCT}").as_str().into());
    connect.password = Some(Opaque::new(password.into_bytes()));
    Ok(connect)
}

/// Reports a token and waits for the reply.
async fn report(device: &mut Device, n: usize) -> Result<(), String> {
    let topic = format!("/sys/{PRODUCT}/{}/thing/awss/enrollee/match", node(n));
    let payload = json!({"id": "1", "version": "1.0", "method": "thing.awss.enrollee.match",
        "params": {"token": token(n)}});
    let reply = format!("{topic}_reply");
    let mut publish = Publish::new(topic.as_str(), payload.to_string(), QoS::AtLeastOnce);
    publish.id = Some(PacketId::MIN);
    device.send(&Packet::Publish(publish)).await?;
    loop {
        match device.next().await? {
            Packet::Publish(publish) if *publish.topic == *reply => return Ok(()),
            Packet::Publish(_) | Packet::PubAck(_) => {}
            other => return Err(format!("no match_reply: {other:?}")),
        }
    }
}
