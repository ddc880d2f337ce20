//! `roadstead app module`: the phone and communication modules in its own network, without a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{Args, Subcommand};
use roadstead_app::module::{Air, ModuleError, ModuleTalk, onboard, search};
use roadstead_dialects::gizwits::app::{Found, TalkEvent, TalkRequest};
use roadstead_dialects::gizwits::lan::{TCP_PORT, UDP_PORT};
use serde_json::{Value, json};

use crate::cmd::{SecretArg, block_on};
use crate::failure::{Failure, Result, chain};
use crate::output::Out;

/// Modules in the phone's own network (GizWits), with the cloud or without.
#[derive(Subcommand, Debug)]
pub(crate) enum Module {
    /// Looks for modules.
    Search {
        #[command(flatten)]
        air: AirArgs,
        /// For how many seconds.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// Gives a module a network while its own access point is open, and waits until it is in it.
    Onboard {
        /// The module, `IP` or `IP:PORT`.
        #[arg(long, default_value = "10.10.100.254", value_parser = udp)]
        module: SocketAddr,
        /// Network name.
        #[arg(long)]
        ssid: String,
        /// Its password.
        #[arg(long, default_value = "")]
        password: SecretArg,
        /// MAC address of the module that is meant; the first that is configured when missing.
        #[arg(long)]
        mac: Option<String>,
        #[command(flatten)]
        air: AirArgs,
    },
    /// Reads the status of the MCU.
    Read(Target),
    /// Sends a P0 action to the MCU, such as 0101010000000000, and waits for its acknowledgement.
    Control {
        #[command(flatten)]
        target: Target,
        /// The action, hexadecimal.
        action: String,
    },
    /// Asks for the versions of module and MCU.
    Info(Target),
    /// Lists the networks that the module hears in its own access point.
    Hotspots(Target),
    /// Shows the module's log until it is interrupted.
    Log(Target),
}

/// A module.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// The module, `IP` or `IP:PORT`.
    #[arg(value_parser = tcp)]
    module: SocketAddr,
    /// Its passcode; the module is asked for it when missing.
    #[arg(long)]
    passcode: Option<SecretArg>,
}

/// Where modules are.
#[derive(Args, Debug)]
pub(crate) struct AirArgs {
    /// Own address.
    #[arg(long, default_value = "0.0.0.0")]
    ip: Ipv4Addr,
    /// Where questions go; everybody when missing.
    #[arg(long, value_parser = udp)]
    ask: Option<SocketAddr>,
    /// Port of announcements; 0 for not to listen.
    #[arg(long, default_value_t = 2415)]
    announce_port: u16,
}

impl AirArgs {
    fn air(&self) -> Air {
        let air = Air::of(self.ip);
        Air { ask: self.ask.unwrap_or(air.ask), announce_port: self.announce_port, ..air }
    }
}

fn with_port(text: &str, port: u16) -> std::result::Result<SocketAddr, String> {
    let address = text.parse::<std::net::IpAddr>().map(|ip| SocketAddr::new(ip, port));
    address.or_else(|_| text.parse()).map_err(|_| "write it as `IP` or `IP:PORT`".to_owned())
}

fn udp(text: &str) -> std::result::Result<SocketAddr, String> {
    with_port(text, UDP_PORT)
}

fn tcp(text: &str) -> std::result::Result<SocketAddr, String> {
    with_port(text, TCP_PORT)
}

fn failed(error: &ModuleError) -> Failure {
    Failure::new(error.code(), format!("The module was not reached: {}.", chain(error)))
}

fn found(module: &Found, from: Option<SocketAddr>) -> Value {
    json!({
        "mac": module.mac, "did": module.did, "product_key": module.product_key,
        "gateway": module.is_gateway, "configured": module.is_fresh,
        "api_server": module.api_server, "address": from.map(|from| from.ip().to_string()),
    })
}

impl Module {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        block_on(self.act(out))
    }

    async fn act(self, out: &Out) -> Result<()> {
        let (target, request) = match self {
            Self::Search { air, seconds } => return look(out, &air.air(), seconds).await,
            Self::Onboard { module, ssid, password, mac, air } => {
                let done = onboard(&air.air(), module, ssid.as_bytes(), password.0, mac).await;
                let document = found(&done.map_err(|error| failed(&error))?, None);
                return out
                    .answer(&document, |_| format!("The module is in the network: {document}\n"));
            }
            Self::Read(target) => (target, TalkRequest::Read),
            Self::Control { target, action } => {
                let text = "an action is hexadecimal digits".to_owned();
                let action = hex::decode(action).map_err(|_| Failure::Usage(text))?;
                (target, TalkRequest::Control(action.into()))
            }
            Self::Info(target) => (target, TalkRequest::Info),
            Self::Hotspots(target) => (target, TalkRequest::Hotspots),
            Self::Log(target) => (target, TalkRequest::Log(Some(5))),
        };
        talk(out, target, request).await.map_err(|error| failed(&error))?
    }
}

async fn look(out: &Out, air: &Air, seconds: u64) -> Result<()> {
    let modules = search(air, Duration::from_secs(seconds)).await.map_err(|e| failed(&e))?;
    let list: Vec<Value> = modules.iter().map(|(m, from)| found(m, Some(*from))).collect();
    out.answer(&json!({ "modules": list }), |_| match list.is_empty() {
        true => "No module answered.\n".to_owned(),
        false => list.iter().map(|module| format!("{module}\n")).collect(),
    })
}

/// Asks one thing and prints what comes until it is answered; a log goes on for ever.
async fn talk(
    out: &Out,
    target: Target,
    request: TalkRequest,
) -> std::result::Result<Result<()>, ModuleError> {
    let passcode = target.passcode.map(|passcode| passcode.0);
    let needs_no_login = matches!(request, TalkRequest::Info | TalkRequest::Hotspots);
    let mut talk = match needs_no_login {
        true => ModuleTalk::guest(target.module).await?,
        false => ModuleTalk::connect(target.module, passcode).await?,
    };
    let is_log = matches!(request, TalkRequest::Log(_));
    let mut events = talk.request(request).await?;
    loop {
        for event in events {
            if let Some((document, is_last)) = told(&event) {
                if let Err(failure) = out.event(&document) {
                    return Ok(Err(failure));
                }
                if let Err(failure) = out.text(&format!("{document}\n")) {
                    return Ok(Err(failure));
                }
                if is_last && !is_log {
                    return Ok(Ok(()));
                }
            }
            if let TalkEvent::Unanswered(_) = event {
                let text = "The MCU behind the module did not answer.".to_owned();
                return Ok(Err(Failure::new("module.mcu_silent", text)));
            }
        }
        events = talk.next().await?;
    }
}

/// Returns an event as a document, and whether it ends a request.
fn told(event: &TalkEvent) -> Option<(Value, bool)> {
    Some(match event {
        TalkEvent::Ready | TalkEvent::Over(_) | TalkEvent::Unanswered(_) => return None,
        // It belongs to whoever runs this command.
        TalkEvent::Passcode(passcode) => {
            (json!({ "event": "passcode", "passcode": passcode }), false)
        }
        TalkEvent::Status(p0) => (json!({ "event": "status", "p0": hex::encode(p0) }), true),
        TalkEvent::Acknowledged => (json!({ "event": "acknowledged" }), true),
        TalkEvent::Info([wifi_hardware, wifi_software, mcu_hardware, mcu_software, key]) => {
            let document = json!({
                "event": "info", "wifi_hardware": wifi_hardware, "wifi_software": wifi_software,
                "mcu_hardware": mcu_hardware, "mcu_software": mcu_software, "product_key": key,
            });
            (document, true)
        }
        TalkEvent::Hotspots(list) => {
            let list: Vec<Value> =
                list.iter().map(|h| json!({ "ssid": h.ssid, "power": h.power })).collect();
            (json!({ "event": "hotspots", "hotspots": list }), true)
        }
        TalkEvent::Log(level, line) => {
            (json!({ "event": "log", "level": level, "line": line }), false)
        }
        TalkEvent::TestDone => (json!({ "event": "test_done" }), true),
    })
}
