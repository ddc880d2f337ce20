//! `roadstead device failing`: devices that try to log in and are refused.

use clap::Args;
use serde_json::{Value, json};

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Lists the devices whose last log-in was refused, the latest first, each with the true reason.
#[derive(Args, Debug)]
pub(crate) struct Failing {
    /// Of this product.
    #[arg(long)]
    product: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Failing {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        block_on(async {
            let client = Client::connect(&self.server).await?;
            let query: Vec<_> = self.product.iter().map(|id| ("product_id", &**id)).collect();
            let mut devices = client.list("/failing-devices", "devices", &query).await?;
            // RFC 3339 dates of one zone sort as texts.
            let refused_at = |device: &Value| cell(&device["refused_at"]);
            devices.sort_by_key(|device| std::cmp::Reverse(refused_at(device)));
            out.answer(&json!({ "devices": devices }), |out| table(out, &devices))
        })
    }
}

fn table(out: &Out, devices: &[Value]) -> String {
    let mut table = Table::new(&["DEVICE", "CODE", "REASON", "REFUSED"]);
    for device in devices {
        let reason = &device["reason"];
        let refused = out.clock().ago(&device["refused_at"]);
        table.row([
            cell(&device["device_id"]),
            cell(&reason["code"]),
            cell(&reason["meaning"]),
            refused,
        ]);
    }
    let mut text = table.render(out.paint(), "No device is refused.");
    if !devices.is_empty() {
        text.push_str("`roadstead why DEVICE` shows evidence and remedy.\n");
    }
    text
}
