//! One dialect's journey: a device is provisioned, its user owns it, hears its report, commands it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use roadstead_agent::AgentEvent;
use roadstead_agent::agent::Handle;
use roadstead_agent::module::{ModuleHandle, Press};
use roadstead_app::{Air, Event, Method, Options, alibaba, api, provision};
use roadstead_core::attempt::{Stage, Witness};
use roadstead_core::{Secret, Timestamp, Value};
use roadstead_dialects::air::Bearer;
use roadstead_wire::airlink::Scheme;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cable::Cable;
use super::cast::{Cast, Way};
use super::module;
use super::story::{Step, Teller};
use crate::client::Client;
use crate::cmd::app::{failed, progress_address};
use crate::cmd::cell;
use crate::failure::{Failure, Result};
use crate::firmware::{self, Address, Bootstrap, Flash, Pace, TlsMode, Via};
use crate::output::{Clock, parse_time};

/// The network that phone and device share.
pub(super) const SSID: &str = "Demo Wi-Fi";
/// Part of the frames that the device's simulated radio loses.
const LOSS: f64 = 0.05;
/// Pause between two questions to the platform.
pub(super) const POLL_GAP: Duration = Duration::from_millis(100);
/// Time after which a silent device is told again.
const SEND_GAP: Duration = Duration::from_millis(500);

/// Where the platform listens.
#[derive(Clone)]
pub(super) struct Platform {
    /// API, `http://HOST:PORT`.
    pub(super) base: String,
    /// MQTT over TLS.
    pub(super) mqtts: Address,
    /// Vendor HTTP.
    pub(super) vendor_http: Address,
    /// Its authority, as it is put into firmware.
    pub(super) ca_file: PathBuf,
    /// Between modules and its MQTT listener.
    pub(super) cable: Cable,
}

/// The hand at a device.
pub(super) enum Hand {
    /// Of a device with its vendor's SDK.
    Device(Handle),
    /// Of a module's MCU.
    Module(ModuleHandle),
}

impl Hand {
    /// Changes properties at the device itself; false when it has stopped.
    pub(super) async fn change(&self, properties: roadstead_core::Map<String, Value>) -> bool {
        match self {
            Self::Device(handle) => handle.change(properties).await,
            Self::Module(handle) => handle.press(Press::Change(properties)).await,
        }
    }
}

/// A device at work.
pub(super) struct Device {
    /// The hand at it.
    pub(super) handle: Hand,
    /// Its loop.
    pub(super) task: JoinHandle<Result<()>>,
}

/// Switches a virtual device on.
pub(super) fn device(
    cast: &Cast,
    platform: &Platform,
    lan: SocketAddr,
    flash_folder: PathBuf,
    teller: Teller,
    mut stop: watch::Receiver<bool>,
) -> Result<Device> {
    if cast.way == Way::Module {
        return module::switch_on(cast, platform, lan, &flash_folder, teller, stop);
    }
    let (mqtts, pace) = (&platform.mqtts, Pace::Lab);
    let mut flash = Flash {
        product: cast.product.to_owned(),
        device: cast.device.to_owned(),
        secret: None,
        product_secret: Some(Secret::from(cast.product_secret)),
        certificate: None,
        server: Some(mqtts.clone()),
        registrar: Some(platform.vendor_http.clone()),
        bootstrap: None,
        tls: TlsMode::Psk,
        is_packed: false,
        via: match cast.way {
            Way::Phone => Via::Airkiss,
            Way::Coap => Via::Softap,
            Way::Service { .. } | Way::Module => Via::None,
        },
        pace,
        seed: u64::from(std::process::id()),
    };
    if let Way::Service { scope } = cast.way {
        let (address, scope) = (mqtts.clone(), Some(scope.to_owned()));
        flash.bootstrap = Some(Bootstrap { address, scope, keyword: None });
        flash.tls = TlsMode::Server;
    }
    if cast.way == Way::Coap {
        flash.tls = TlsMode::Server;
    }
    let (kind, way) = (firmware::find(cast.dialect)?, cast.way);
    let ca_file = Some(&*platform.ca_file);
    let (folder, air, portal, network) = (&*flash_folder, None, None, None);
    let home = firmware::Home { lan, folder, air, ca_file, portal, network };
    let agent = kind.device(&flash, home, move |event| tell(&teller, way, &event))?;
    let handle = Hand::Device(agent.handle());
    let task = tokio::spawn(async move {
        let stopped = async move {
            // A closed channel means that the demonstration is over, too.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        agent.run(stopped).await.map_err(|error| firmware::stopped(error.code(), &error))
    });
    Ok(Device { handle, task })
}

/// Tells what the device saw.
pub(super) fn tell(teller: &Teller, way: Way, event: &AgentEvent) {
    let mut detail = event.detail.clone().unwrap_or_default();
    if let Some(data) = &event.data {
        detail = module::status(data).unwrap_or_else(|| data.to_string());
    }
    if let Some(code) = event.code {
        detail = format!("{code}  {detail}");
    }
    let at = Timestamp(event.time_ms);
    teller.seen(at, Witness::Device, event.stage, &detail);
    if event.stage == Stage::Registered.name() {
        teller.done(match way {
            Way::Phone | Way::Coap | Way::Module => Step::Register,
            // It was told where to log in, and with what.
            Way::Service { .. } => Step::Provision,
        });
    }
}

/// Plays everybody but the device, from sign-up to command. The device must be on.
pub(super) async fn people(
    cast: &Cast,
    platform: &Platform,
    device: SocketAddr,
    operator: &Client,
    password: &str,
    teller: &Teller,
) -> Result<()> {
    let name = format!("demo-{}", cast.dialect);
    let mut phone = api::Client::new(&platform.base).map_err(|error| failed(&error))?;
    phone.create_user(&name, password).await.map_err(|error| failed(&error))?;
    teller.seen(Clock::now().0, Witness::Phone, "signed up", &format!("user {name}"));
    let journey = async {
        let id = match cast.way {
            Way::Phone => hand_over(&phone, device, teller).await?,
            Way::Coap => hand_over_by_coap(cast, &phone, device, teller).await?,
            Way::Service { .. } => give(cast, operator, &name, teller).await?,
            Way::Module => module::hand_over(&phone, device, teller).await?,
        };
        teller.done(Step::Bind);
        report(&phone, &id, teller).await?;
        command(cast, &phone, &id, teller).await?;
        match cast.way {
            Way::Module => module::without_cloud(platform, device, operator, &id, teller).await,
            Way::Phone | Way::Coap | Way::Service { .. } => Ok(()),
        }
    };
    tokio::select! {
        result = journey => result,
        failure = watch_cloud(operator, &name, teller) => Err(failure),
    }
}

/// The phone gives the device network and token; returns the device that is bound.
async fn hand_over(phone: &api::Client, device: SocketAddr, teller: &Teller) -> Result<String> {
    let radio = firmware::radio(None, device);
    let air = Air { bearer: Bearer::Sniffed(Scheme::AirKiss), radio, key: None, loss: LOSS };
    let (ssid, password) = (SSID.to_owned(), Secret::from("demo-password"));
    let method = Method::Air { air, ssid, password };
    let mut options = Options::new(method, device);
    options.progress = Some(progress_address(device));
    options.poll_gap = POLL_GAP;
    options.policy.send_gap = SEND_GAP;
    options.policy.sends_max = 20;
    let provisioned = provision(phone, options, |event| hear(teller, event));
    Ok(provisioned.await.map_err(|error| failed(&error))?.device_id)
}

/// As [`hand_over`], over CoAP.
async fn hand_over_by_coap(
    cast: &Cast,
    phone: &api::Client,
    device: SocketAddr,
    teller: &Teller,
) -> Result<String> {
    let mut options = alibaba::Options::new(device, SSID, Secret::from("demo-password"));
    options.product_secret = Some(Secret::from(cast.product_secret));
    options.poll_gap = POLL_GAP;
    let provisioned = alibaba::provision(phone, &options, |event| hear(teller, event));
    Ok(provisioned.await.map_err(|error| failed(&error))?.device_id)
}

/// The operator waits for the device that the provisioning service registers, and gives it to the
/// user; returns the device.
async fn give(cast: &Cast, operator: &Client, user: &str, teller: &Teller) -> Result<String> {
    let filter = [("product_id", cast.product), ("node_id", cast.device)];
    let id = loop {
        let listed = operator.list("/devices", "devices", &filter).await?;
        if let Some(device) = listed.first() {
            break cell(&device["device_id"]);
        }
        tokio::time::sleep(POLL_GAP).await;
    };
    teller.seen(Clock::now().0, Witness::Cloud, "registered", &id);
    teller.done(Step::Register);
    let body = serde_json::json!({"device_id": id, "username": user});
    operator.post("/bindings", &[], &body).await?;
    teller.seen(Clock::now().0, Witness::Cloud, "bound", &format!("by the operator to {user}"));
    Ok(id)
}

/// Tells what the phone saw.
pub(super) fn hear(teller: &Teller, event: Event) {
    match event {
        Event::Stage { stage, time_ms, detail } => {
            let at = Timestamp(time_ms);
            teller.seen(at, Witness::Phone, stage.name(), detail.as_deref().unwrap_or_default());
            if stage == Stage::DeviceReplied {
                teller.done(Step::Provision);
            }
        }
        Event::PreviousError { text } => {
            teller.seen(Clock::now().0, Witness::Phone, "earlier error", &text);
        }
        Event::Silent => {
            teller.seen(Clock::now().0, Witness::Phone, "device silent", "asking the platform");
        }
    }
}

/// Waits until the platform has a report of the device.
async fn report(phone: &api::Client, device: &str, teller: &Teller) -> Result<()> {
    loop {
        let devices = phone.devices().await.map_err(|error| failed(&error))?;
        let known = devices.iter().find(|known| known["device_id"] == device);
        let reported = known.and_then(|known| {
            let services = known["shadow"].as_array()?;
            let values = services.iter().map(|service| &service["reported"]["properties"]);
            values.filter_map(Value::as_object).find(|values| !values.is_empty())
        });
        if let Some(values) = reported {
            let text = Value::from(values.clone()).to_string();
            teller.seen(Clock::now().0, Witness::Phone, "report", &text);
            teller.done(Step::Report);
            return Ok(());
        }
        tokio::time::sleep(POLL_GAP).await;
    }
}

/// Tells the device something and waits for its answer.
async fn command(cast: &Cast, phone: &api::Client, device: &str, teller: &Teller) -> Result<()> {
    let wish = (cast.properties)(5);
    let text = Value::from(wish.clone()).to_string();
    teller.seen(Clock::now().0, Witness::Phone, "control", &text);
    let answer = phone.set_properties(device, &wish).await.map_err(|error| failed(&error))?;
    let code = answer["code"].as_i64();
    if code != Some(0) {
        let message = format!("The device refused the command: {answer}.");
        return Err(Failure::new("command.unsupported", message));
    }
    teller.seen(Clock::now().0, Witness::Phone, "answer", "done");
    teller.done(Step::Command);
    Ok(())
}

/// Tells what the platform itself saw of the attempts of a user; ends only with a failure.
async fn watch_cloud(operator: &Client, user: &str, teller: &Teller) -> Failure {
    match try_watch_cloud(operator, user, teller).await {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

async fn try_watch_cloud(operator: &Client, user: &str, teller: &Teller) -> Result<Infallible> {
    let user = operator.get(&format!("/users/{user}"), &[]).await?;
    let user = cell(&user["user_id"]);
    let mut told: Vec<(String, String)> = Vec::new();
    loop {
        let attempts = operator.get("/attempts", &[("user_id", user.as_str())]).await?;
        for attempt in attempts["attempts"].as_array().into_iter().flatten() {
            for mark in attempt["stages"].as_array().into_iter().flatten() {
                let key = (cell(&attempt["attempt_id"]), cell(&mark["stage"]));
                if mark["by"] != "cloud" || told.contains(&key) {
                    continue;
                }
                let at = parse_time(&mark["at"]).unwrap_or(Clock::now().0);
                let detail = mark["detail"].as_str().unwrap_or_default();
                teller.seen(at, Witness::Cloud, &key.1, detail);
                told.push(key);
            }
        }
        tokio::time::sleep(POLL_GAP).await;
    }
}

/// Returns an address of its own for the device number `n` of this process.
pub(super) fn lan(n: usize, way: Way) -> SocketAddr {
    let command_port = match way {
        Way::Coap => roadstead_dialects::alibaba::lan::PORT,
        Way::Phone | Way::Service { .. } => roadstead_dialects::tencent::comm::COMMAND_PORT,
        Way::Module => roadstead_dialects::gizwits::lan::UDP_PORT,
    };
    let process = std::process::id().to_be_bytes();
    let host = u8::try_from(n % 250).unwrap_or(0) + 2;
    let ip = Ipv4Addr::new(127, process[2] | 1, process[3], host);
    SocketAddr::from((ip, command_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_has_a_loopback_address_of_its_own() {
        let addresses: Vec<_> = (0..4).map(|n| lan(n, Way::Phone)).collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(addresses.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(addresses.iter().all(|address| address.ip() != Ipv4Addr::LOCALHOST));
    }
}
