//! The part of a journey that only communication modules have: a module with a virtual MCU, the
//! phone that gives it a network, and control in the LAN while the cloud is out of reach.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use roadstead_agent::module::ModuleAgent;
use roadstead_app::api;
use roadstead_app::module::{self, ModuleError, ModuleTalk};
use roadstead_core::attempt::Witness;
use roadstead_core::{Secret, Value};
use roadstead_dialects::gizwits::app::{TalkEvent, TalkRequest};
use tokio::sync::watch;

use super::cast::{Cast, Way};
use super::journey::{Device, Hand, POLL_GAP, Platform, SSID, hear, tell};
use super::story::Teller;
use crate::client::Client;
use crate::cmd::{cell, device_module};
use crate::failure::{Failure, Result, chain};
use crate::firmware::{Pace, Via, radio, stopped};
use crate::output::Clock;

/// The network's password.
const PASSWORD: &str = "demo-password";
/// Longest time from the network to the binding.
const LIFE: Duration = Duration::from_secs(25);
/// Longest wait for the module's answer in the LAN.
const TALK_WAIT: Duration = Duration::from_secs(10);
/// What the phone sets in the LAN: the action "LED_B is 200", and the same in words.
const LAN_ACTION: [u8; 7] = [0x01, 0b1_0000, 0, 0, 0, 200, 0];
const LAN_WISH: (&str, u64) = ("LED_B", 200);

/// Switches a module on; it opens its access point.
pub(super) fn switch_on(
    cast: &Cast,
    platform: &Platform,
    lan: SocketAddr,
    folder: &Path,
    teller: Teller,
    mut stop: watch::Receiver<bool>,
) -> Result<Device> {
    let mac = mac();
    let module = device_module::Module {
        product: cast.product,
        device: &mac,
        secret: None,
        server: Some(&platform.vendor_http),
        lan,
        data_dir: folder,
        serial: None,
        points: None,
        via: Via::Softap,
        air: radio(None, lan),
        pace: Pace::Lab,
    };
    let agent: ModuleAgent = module.build(move |event| tell(&teller, Way::Module, &event))?;
    let handle = Hand::Module(agent.handle());
    let task = tokio::spawn(async move {
        let stopped_by = async move {
            // A closed channel means that the demonstration is over, too.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        agent.run(stopped_by).await.map_err(|error| stopped(error.code(), &error))
    });
    Ok(Device { handle, task })
}

/// Returns the MAC address of this process's module: locally administered.
pub(super) fn mac() -> String {
    format!("0252{:08X}", std::process::id())
}

/// Returns where the phone listens and asks.
fn air(lan: SocketAddr) -> module::Air {
    let announce_port = lan.port() + 1;
    module::Air { ip: Ipv4Addr::LOCALHOST, ask: lan, announce_port }
}

fn failed(error: &ModuleError) -> Failure {
    Failure::new(error.code(), format!("The module was not reached: {}.", chain(error)))
}

/// The phone gives the module its network over the module's own access point, asks it for its
/// passcode at home, and binds it with that; returns the device.
pub(super) async fn hand_over(
    phone: &api::Client,
    lan: SocketAddr,
    teller: &Teller,
) -> Result<String> {
    let options = module::Options {
        way: module::Way::SoftAp(lan),
        lan: air(lan),
        tcp_port: tcp_port(lan),
        ssid: SSID.to_owned(),
        password: Secret::from(PASSWORD),
        mac: Some(mac()),
        gap: POLL_GAP,
        life: LIFE,
    };
    let provisioned = module::provision(phone, &options, |event| hear(teller, event)).await;
    Ok(provisioned.map_err(|error| crate::cmd::app::failed(&error))?.device_id)
}

/// Returns the port of the module's phones.
fn tcp_port(lan: SocketAddr) -> u16 {
    lan.port() + 2
}

/// The cable to the platform is pulled; the phone reads and controls all the same; plugged again,
/// the platform learns what the phone did.
pub(super) async fn without_cloud(
    platform: &Platform,
    lan: SocketAddr,
    operator: &Client,
    device: &str,
    teller: &Teller,
) -> Result<()> {
    let seen = |stage, detail: &str| teller.seen(Clock::now().0, Witness::Phone, stage, detail);
    platform.cable.pull();
    until_status(operator, device, "OFFLINE").await?;
    seen("cloud out of reach", "the cable is pulled");
    let talk = tokio::time::timeout(TALK_WAIT, control(lan, &seen)).await;
    let talked = talk.unwrap_or(Err(ModuleError::Timeout)).map_err(|error| failed(&error));
    platform.cable.plug();
    talked?;
    let read = read_back(operator, device).await?;
    let (name, value) = LAN_WISH;
    let known = &read["response"]["services"][0]["properties"][name];
    if *known != value {
        let text = format!("The platform does not know what the phone did: {read}.");
        return Err(Failure::new("client.answer", text));
    }
    let text = format!("{{\"{name}\":{known}}}");
    teller.seen(Clock::now().0, Witness::Cloud, "read after the outage", &text);
    Ok(())
}

/// Logs in with the passcode that the module gives, reads, controls.
async fn control(
    lan: SocketAddr,
    seen: &impl Fn(&'static str, &str),
) -> std::result::Result<(), ModuleError> {
    let tcp = SocketAddr::new(lan.ip(), tcp_port(lan));
    let mut talk = ModuleTalk::connect(tcp, None).await?;
    let mut events = talk.request(TalkRequest::Control(LAN_ACTION.into())).await?;
    loop {
        for event in events {
            match event {
                TalkEvent::Ready => {
                    let (name, value) = LAN_WISH;
                    seen("control in the LAN", &format!("{{\"{name}\":{value}}}"));
                }
                TalkEvent::Acknowledged => {
                    seen("answer in the LAN", "done");
                    return Ok(());
                }
                TalkEvent::Passcode(_)
                | TalkEvent::Status(_)
                | TalkEvent::Info(_)
                | TalkEvent::Hotspots(_)
                | TalkEvent::Log(..)
                | TalkEvent::TestDone
                | TalkEvent::Unanswered(_)
                | TalkEvent::Over(_) => {}
            }
        }
        events = talk.next().await?;
    }
}

/// Reads the properties as soon as the module is back and listens.
async fn read_back(operator: &Client, device: &str) -> Result<Value> {
    until_status(operator, device, "ONLINE").await?;
    let path = format!("/devices/{device}/properties");
    loop {
        match operator.get(&path, &[]).await {
            // It has logged in and not yet subscribed.
            Err(failure) if failure.code() == "command.not_listening" => {
                tokio::time::sleep(POLL_GAP).await;
            }
            answer => return answer,
        }
    }
}

/// Returns a status word for people: the word, and what is true.
pub(super) fn status(data: &Value) -> Option<String> {
    let word = data.get("word")?.as_str()?;
    let flags = data.as_object()?.iter().filter(|(_, on)| **on == Value::Bool(true));
    let names: Vec<&str> = flags.map(|(name, _)| name.as_str()).collect();
    Some(format!("{word}  {}, signal {}", names.join(" "), data["signal"]))
}

async fn until_status(operator: &Client, device: &str, status: &str) -> Result<()> {
    let path = format!("/devices/{device}");
    while cell(&operator.get(&path, &[]).await?["status"]) != status {
        tokio::time::sleep(POLL_GAP).await;
    }
    Ok(())
}
