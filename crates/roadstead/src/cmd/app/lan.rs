//! `roadstead app discover` and `roadstead app local`: devices of the home network that speak
//! CoAP, found and controlled without the platform.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use roadstead_app::alibaba::{self, Found, Lan};
use roadstead_core::{Secret, Value};
use roadstead_dialects::alibaba::alcs::{AccessKey, KeyPair};
use roadstead_dialects::alibaba::lan::PORT;
use serde_json::json;

use super::{failed, local_key};
use crate::client::ServerArgs;
use crate::cmd::{Pair, SecretArg, block_on, object};
use crate::failure::Result;
use crate::firmware;
use crate::output::{Out, Tone};

/// Looks for devices of the home network (Alibaba).
#[derive(Args, Debug)]
pub(crate) struct Discover {
    /// Address to ask besides everybody, `IP` or `IP:PORT`; on this machine `127.0.0.1`.
    #[arg(long, value_name = "ADDRESS", value_parser = firmware::lan)]
    lan: Option<SocketAddr>,
    /// Seconds to look.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    wait: u64,
}

/// Sets or reads properties of a device in the home network, without the platform (Alibaba).
///
/// Without NAME=VALUE all properties are read. Values are in the vendor's coding. Run it once while
/// the platform answers: the key is kept, and later the platform may be away.
#[derive(Args, Debug)]
pub(crate) struct Local {
    /// Address of the device, `IP` or `IP:PORT`.
    #[arg(long, value_name = "ADDRESS", value_parser = firmware::lan)]
    lan: SocketAddr,
    /// ProductKey.
    #[arg(long)]
    product: String,
    /// DeviceName.
    #[arg(long)]
    device: String,
    /// Access key; without one the platform is asked for the user's own, and the one that it gave
    /// last is used while it does not answer.
    #[arg(long, requires = "access_token")]
    access_key: Option<String>,
    /// Token of the access key.
    #[arg(long, requires = "access_key")]
    access_token: Option<SecretArg>,
    /// Uses the public pair that is built into every device that has no better one yet.
    #[arg(long, conflicts_with = "access_key")]
    factory_key: bool,
    /// Runs this service instead of setting properties.
    #[arg(long, value_name = "SERVICE")]
    command: Option<String>,
    /// Properties to set, or parameters of the service.
    #[arg(value_name = "NAME=VALUE")]
    values: Vec<Pair>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Gives an address its usual port.
pub(super) fn with_port(mut address: SocketAddr) -> SocketAddr {
    if address.port() == 0 {
        address.set_port(PORT);
    }
    address
}

/// Returns where a device is looked for.
pub(super) fn places(address: Option<SocketAddr>) -> Lan {
    let device = address.map(with_port);
    let mut lan = Lan { device, ..Lan::default() };
    if let Some(device) = device {
        lan.everybody = Some(alibaba::everybody(device));
    }
    lan
}

impl Discover {
    pub(super) fn run(self, out: &Out) -> Result<()> {
        let lan = Lan { life: Duration::from_secs(self.wait), ..places(self.lan) };
        let mut told: Vec<Found> = Vec::new();
        block_on(async {
            let seen = |found: Found| told.push(found);
            alibaba::search(&lan, seen).await.map_err(|error| failed(&error))
        })?;
        // The newest word of each device is told.
        let mut devices: Vec<&Found> = Vec::new();
        for found in told.iter().rev() {
            let same = |other: &&Found| {
                other.info.product == found.info.product && other.info.device == found.info.device
            };
            if !devices.iter().any(same) {
                devices.push(found);
            }
        }
        devices.reverse();
        for found in &devices {
            show(out, found)?;
        }
        if devices.is_empty() {
            out.text("No device answers. Is it in this network, and switched on?\n")?;
        }
        Ok(())
    }
}

fn show(out: &Out, found: &Found) -> Result<()> {
    let info = &found.info;
    let remaining = info.token.as_ref().map(|token| token.remaining.as_millis() as u64);
    out.event(&json!({
        "event": "device", "product": &*info.product, "device": &*info.device,
        "address": found.from.to_string(), "mac": &*info.mac,
        "bindable": info.token.is_some(), "remaining_ms": remaining,
    }))?;
    let name = format!("{}/{}", info.product, info.device);
    let name = out.paint().tone(Tone::Name, &name);
    let state = match remaining {
        Some(ms) => format!("can be bound for {} s", ms / 1000),
        None => "does not reach the platform yet".to_owned(),
    };
    out.text(&format!("{name}  {}  {state}\n", found.from))
}

impl Local {
    pub(super) fn run(self, out: &Out) -> Result<()> {
        let values = object(&self.values, None)?;
        let (service, params) = match (&self.command, values.is_empty()) {
            (Some(command), _) => (command.as_str(), Value::Object(values)),
            (None, false) => ("property/set", Value::Object(values)),
            (None, true) => ("property/get", Value::Null),
        };
        let (device, names) = (with_port(self.lan), (&*self.product, &*self.device));
        let data = block_on(async {
            let key = match (&self.access_key, &self.access_token) {
                (Some(key), Some(token)) => {
                    AccessKey { key: key.as_str().into(), token: Secret::from(token.text()) }
                }
                (_, _) if self.factory_key => KeyPair::factory().access_key(0),
                (_, _) => {
                    let found = local_key::find(&self.server, names.0, names.1).await?;
                    if found.is_kept {
                        tracing::warn!(
                            "the platform does not answer; the key that it gave last is used"
                        );
                    }
                    found.key
                }
            };
            let answer = alibaba::control(device, names, key, service, params).await;
            answer.map_err(|error| failed(&error))
        })?;
        let is_empty = data.as_object().is_none_or(serde_json::Map::is_empty);
        let done = |out: &Out| out.paint().tone(Tone::Good, "Done.");
        out.answer(&json!({ "data": data }), |out| match is_empty {
            true => format!("{}\n", done(out)),
            false => format!("{data:#}\n"),
        })
    }
}
