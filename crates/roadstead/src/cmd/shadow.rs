//! `roadstead shadow`: reported and desired state of a device.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Pair, block_on, cell, object};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Reported and desired state.
#[derive(Subcommand, Debug)]
pub(crate) enum Shadow {
    /// Shows what the device reported and what is wished for.
    Show {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Wishes for a state; a device that is offline gets it when it comes back.
    Desire {
        /// Device id.
        device: String,
        /// Wished properties; `null` takes a wish back.
        #[arg(value_name = "NAME=VALUE", required = true)]
        properties: Vec<Pair>,
        /// Service of the thing model; the first one when missing.
        #[arg(long)]
        service: Option<String>,
        /// Refuse when the service has another version by now.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Takes every wish for a service back.
    Clear {
        /// Device id.
        device: String,
        /// Service of the thing model; the first one when missing.
        #[arg(long)]
        service: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Forgets what the device reported and what is wished for.
    Delete {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Shadow {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Show { device, server } => block_on(show(out, server, device)),
            Self::Desire { device, properties, service, if_version, server } => {
                let wish = Value::Object(object(&properties, None)?);
                block_on(desire(out, server, device, service, (wish, if_version)))
            }
            Self::Clear { device, service, server } => {
                block_on(desire(out, server, device, service, (json!({}), None)))
            }
            Self::Delete { device, server } => block_on(async {
                let client = Client::connect(&server).await?;
                client.delete(&path(&device)).await?;
                let deleted = json!({ "device_id": device, "deleted": true });
                out.answer(&deleted, |_| "Forgot the shadow.\n".to_owned())
            }),
        }
    }
}

async fn show(out: &Out, server: ServerArgs, device: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let shadow = client.get(&path(&device), &[]).await?;
    print(out, &shadow)
}

async fn desire(
    out: &Out,
    server: ServerArgs,
    device: String,
    service: Option<String>,
    (wish, version): (Value, Option<u64>),
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let service = match service {
        Some(service) => service,
        None => first_service(&client, &device).await?,
    };
    let mut body = json!({ "shadow": [{ "service_id": service, "desired": wish }] });
    if let Some(version) = version {
        body["shadow"][0]["version"] = version.into();
    }
    let shadow = client.put(&path(&device), &body).await?;
    print(out, &shadow)
}

/// Returns the first service of the device's thing model.
pub(super) async fn first_service(client: &Client, device: &str) -> Result<String> {
    let device = client.get(&format!("/devices/{device}"), &[]).await?;
    let product = cell(&device["product_id"]);
    let product = client.get(&format!("/products/{product}"), &[]).await?;
    let service = product["service_capabilities"][0]["service_id"].as_str();
    Ok(service.unwrap_or(roadstead_core::product::DEFAULT_SERVICE).to_owned())
}

fn print(out: &Out, shadow: &Value) -> Result<()> {
    out.answer(shadow, |out| {
        let mut table = Table::new(&["SERVICE", "PROPERTY", "REPORTED", "DESIRED", "REPORTED AT"]);
        for part in shadow["shadow"].as_array().into_iter().flatten() {
            let (reported, desired) = (&part["reported"], &part["desired"]);
            let at = out.clock().ago(&reported["event_time"]);
            for name in names(&reported["properties"], &desired["properties"]) {
                let (is, wish) = (&reported["properties"][&name], &desired["properties"][&name]);
                let service = cell(&part["service_id"]);
                let at = if is.is_null() { "-".to_owned() } else { at.clone() };
                table.row([service, name, cell(is), cell(wish), at]);
            }
        }
        table.render(out.paint(), "The device has reported nothing yet.")
    })
}

/// Returns the names of both objects, those of the first one first.
fn names(reported: &Value, desired: &Value) -> Vec<String> {
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().map_or_else(Vec::new, |object| object.keys().cloned().collect())
    };
    let mut names = keys(reported);
    let more = keys(desired).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>();
    names.extend(more);
    names
}

fn path(device: &str) -> String {
    format!("/devices/{device}/shadow")
}
