//! `roadstead device`: the registered devices of a server; `run` starts a virtual one here.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::device_access::Access;
use super::device_run::Run;
use super::shadow::first_service;
use super::{Pair, SecretArg, block_on, cell, fields, object};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table, Tone};

/// Devices: registered ones on a server, or a virtual one on this machine.
#[derive(Subcommand, Debug)]
pub(crate) enum Device {
    /// Lists devices.
    List {
        /// Only those of this product.
        #[arg(long)]
        product: Option<String>,
        /// Only the one with this DeviceName, node id or MAC.
        #[arg(long)]
        node: Option<String>,
        /// Only those behind this gateway.
        #[arg(long)]
        gateway: Option<String>,
        /// Only those with this text in the display name.
        #[arg(long)]
        name: Option<String>,
        /// Only those created then or later, such as 20261121T003818Z.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only those created then or earlier.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Only those of this space.
        #[arg(long)]
        space: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one device.
    Show {
        /// Device id.
        device: String,
        /// Show the device secret too.
        #[arg(long)]
        secret: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Registers a device.
    Create {
        #[command(flatten)]
        device: NewDevice,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Deletes a device with its bindings and state.
    Delete {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Says when and why the sessions of a device ended, the latest first.
    OfflineAnalysis(super::device_offline::OfflineAnalysis),
    Failing(super::device_failing::Failing),
    /// Sets how much a device logs and uploads; it learns it now or when it asks.
    LogLevel {
        /// Device id.
        device: String,
        /// 0 off, 1 error, 2 warning, 3 information, 4 debug.
        #[arg(value_parser = clap::value_parser!(u8).range(0..=4))]
        level: u8,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Moves a device to another region's instance: it is told to connect there, now or when it
    /// asks where to connect. The other instance must know it (`roadstead export`, `import`).
    Move {
        /// Device id.
        device: String,
        /// A region of the server's `[region]` section; its own name brings the device back.
        #[arg(long)]
        region: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Sets the remote configuration of a device; it learns it now or when it asks.
    Config {
        /// Device id.
        device: String,
        /// JSON that the firmware understands.
        config: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows the connection: since when, from where, how the last one ended.
    Presence {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Asks the device for its properties and waits for the answer.
    GetProperties {
        /// Device id.
        device: String,
        /// Service of the thing model; the first one when missing.
        #[arg(long)]
        service: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Sets properties on the device and waits for the answer.
    SetProperties {
        /// Device id.
        device: String,
        /// Properties to set.
        #[arg(value_name = "NAME=VALUE", required = true)]
        properties: Vec<Pair>,
        /// Service of the thing model; the first one when missing.
        #[arg(long)]
        service: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    #[command(flatten)]
    Access(Access),
    Run(Box<Run>),
}

/// A device to register.
#[derive(clap::Args, Debug)]
pub(crate) struct NewDevice {
    /// DeviceName, node id or MAC.
    node: String,
    /// Its product.
    #[arg(long)]
    product: String,
    /// Device id, only where the vendor assigns one.
    #[arg(long)]
    device_id: Option<String>,
    /// Device secret, as the vendor shows it; a random one when missing.
    #[arg(long)]
    secret: Option<SecretArg>,
    /// Display name.
    #[arg(long)]
    name: Option<String>,
    /// Gateway it is attached to.
    #[arg(long)]
    gateway: Option<String>,
}

impl Device {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { product, node, gateway, name, since, until, space, server } => {
                let filters = [
                    ("product_id", product),
                    ("node_id", node),
                    ("gateway_id", gateway),
                    ("device_name", name),
                    ("start_time", since),
                    ("end_time", until),
                    ("app_id", space),
                ];
                block_on(list(out, server, filters))
            }
            Self::Show { device, secret, server } => block_on(show(out, server, device, secret)),
            Self::Create { device, server } => block_on(create(out, server, device)),
            Self::Delete { device, server } => block_on(delete(out, server, device)),
            Self::LogLevel { device, level, server } => {
                let body = json!({ "level": level });
                block_on(put(out, server, device, "log-level", body))
            }
            Self::Move { device, region, server } => {
                block_on(put(out, server, device, "region", json!({ "region": region })))
            }
            Self::Config { device, config, server } => {
                let config: Value = serde_json::from_str(&config)
                    .map_err(|error| Failure::Usage(format!("The config is no JSON: {error}.")))?;
                block_on(put(out, server, device, "config", json!({ "config": config })))
            }
            Self::Presence { device, server } => block_on(presence(out, server, device)),
            Self::GetProperties { device, service, server } => {
                block_on(get_properties(out, server, device, service))
            }
            Self::SetProperties { device, properties, service, server } => {
                let properties = object(&properties, None)?;
                block_on(set_properties(out, server, device, service, properties))
            }
            Self::OfflineAnalysis(analysis) => analysis.run(out),
            Self::Failing(failing) => failing.run(out),
            Self::Access(access) => access.run(out),
            Self::Run(run) => run.run(out),
        }
    }
}

async fn list(out: &Out, server: ServerArgs, filters: [(&str, Option<String>); 7]) -> Result<()> {
    let client = Client::connect(&server).await?;
    let query: Vec<(&str, &str)> =
        filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let devices = client.list("/devices", "devices", &query).await?;
    out.answer(&json!({ "devices": devices }), |out| {
        table(out, &devices, "There are no devices. Import some with `roadstead import`.")
    })
}

/// Returns devices as a table, or a text when there are none.
pub(super) fn table(out: &Out, devices: &[Value], none: &str) -> String {
    let mut table = Table::new(&["DEVICE", "NODE", "PRODUCT", "STATUS", "FIRMWARE", "NAME"]);
    for d in devices {
        table.row([
            cell(&d["device_id"]),
            cell(&d["node_id"]),
            cell(&d["product_id"]),
            status(out, &d["status"]),
            cell(&d["fw_version"]),
            cell(&d["device_name"]),
        ]);
    }
    table.render(out.paint(), none)
}

/// Paints a status of the API.
pub(super) fn status(out: &Out, status: &Value) -> String {
    let text = cell(status);
    let tone = match text.as_str() {
        "ONLINE" => Tone::Good,
        "FROZEN" => Tone::Warn,
        "OFFLINE" | "ABNORMAL" => Tone::Bad,
        _ => Tone::Dim,
    };
    out.paint().tone(tone, &text)
}

async fn show(out: &Out, server: ServerArgs, device: String, secret: bool) -> Result<()> {
    let client = Client::connect(&server).await?;
    let mut device = client.get(&path(&device), &[]).await?;
    if !secret {
        mask(&mut device);
    }
    print(out, &device)
}

/// Hides secrets of a device document; `--secret` shows them.
fn mask(device: &mut Value) {
    if let Some(auth) = device["auth_info"].as_object_mut() {
        for name in ["secret", "secondary_secret"] {
            if let Some(secret) = auth.get_mut(name).filter(|secret| !secret.is_null()) {
                *secret = "***".into();
            }
        }
    }
}

fn print(out: &Out, device: &Value) -> Result<()> {
    out.answer(device, |out| {
        let mut device = device.clone();
        // v5 calls a device that connects directly its own gateway.
        if device["gateway_id"] == device["device_id"] {
            device["gateway_id"] = Value::Null;
        }
        let mut text = fields(
            out,
            &device,
            &[
                ("device", "/device_id"),
                ("node", "/node_id"),
                ("product", "/product_id"),
                ("name", "/device_name"),
                ("gateway", "/gateway_id"),
                ("status", "/status"),
                ("secret", "/auth_info/secret"),
                ("fingerprint", "/auth_info/fingerprint"),
                ("firmware", "/fw_version"),
                ("SDK", "/device_sdk_version"),
                ("created", "/create_time"),
                ("activated", "/active_time"),
            ],
        );
        if device["status"] == "OFFLINE" {
            let id = cell(&device["device_id"]);
            text.push_str(&format!("Ask `roadstead why {id}` for the reason.\n"));
        }
        text
    })
}

async fn create(out: &Out, server: ServerArgs, new: NewDevice) -> Result<()> {
    let client = Client::connect(&server).await?;
    let mut body = json!({ "node_id": new.node, "product_id": new.product });
    for (name, value) in
        [("device_id", new.device_id), ("device_name", new.name), ("gateway_id", new.gateway)]
    {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    if let Some(secret) = new.secret {
        body["auth_info"] = json!({ "auth_type": "SECRET", "secret": secret.text() });
    }
    let device = client.post("/devices", &[], &body).await?;
    print(out, &device)
}

async fn delete(out: &Out, server: ServerArgs, device: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    client.delete(&path(&device)).await?;
    out.answer(&json!({ "deleted": device }), |_| format!("Deleted device `{device}`.\n"))
}

async fn put(out: &Out, server: ServerArgs, device: String, what: &str, body: Value) -> Result<()> {
    let client = Client::connect(&server).await?;
    let answer = client.put(&format!("{}/{what}", path(&device)), &body).await?;
    out.answer(&answer, |_| format!("Set the {what} of device `{device}`.\n"))
}

async fn presence(out: &Out, server: ServerArgs, device: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let presence = client.get(&format!("{}/presence", path(&device)), &[]).await?;
    out.answer(&presence, |out| every_field(out, &presence))
}

/// Returns every top-level field of a document as aligned lines.
fn every_field(out: &Out, document: &Value) -> String {
    let names: Vec<(String, String)> = document
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| (name.replace('_', " "), format!("/{name}")))
        .collect();
    let names: Vec<(&str, &str)> = names.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    fields(out, document, &names)
}

async fn get_properties(
    out: &Out,
    server: ServerArgs,
    device: String,
    service: Option<String>,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let service = service_of(&client, &device, service).await?;
    let path = format!("{}/properties", path(&device));
    let answer = client.get(&path, &[("service_id", &service)]).await?;
    out.answer(&answer, |out| {
        let mut table = Table::new(&["SERVICE", "PROPERTY", "VALUE"]);
        for part in answer["response"]["services"].as_array().into_iter().flatten() {
            for (name, value) in part["properties"].as_object().into_iter().flatten() {
                table.row([cell(&part["service_id"]), name.clone(), cell(value)]);
            }
        }
        table.render(out.paint(), "The device answered with no properties.")
    })
}

async fn set_properties(
    out: &Out,
    server: ServerArgs,
    device: String,
    service: Option<String>,
    properties: Map<String, Value>,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let service = service_of(&client, &device, service).await?;
    let body = json!({ "services": [{ "service_id": service, "properties": properties }] });
    let answer = client.put(&format!("{}/properties", path(&device)), &body).await?;
    out.answer(&answer, |out| {
        let code = answer["response"]["result_code"].as_i64().unwrap_or(0);
        format!("{} Result code {code}.\n", out.paint().tone(Tone::Good, "Answered."))
    })
}

async fn service_of(client: &Client, device: &str, given: Option<String>) -> Result<String> {
    match given {
        Some(service) => Ok(service),
        None => first_service(client, device).await,
    }
}

fn path(device: &str) -> String {
    format!("/devices/{device}")
}
