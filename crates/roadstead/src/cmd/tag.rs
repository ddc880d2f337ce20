//! `roadstead tag`: marks on devices, and finding devices by their marks.

use clap::Subcommand;
use serde_json::json;

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Tags of devices.
#[derive(Subcommand, Debug)]
pub(crate) enum Tag {
    /// Adds tags to a device; a key that it has gets the new value.
    Bind {
        /// Device id.
        device: String,
        /// Tags.
        #[arg(value_name = "KEY=VALUE", required = true)]
        tags: Vec<Mark>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Takes tags from a device.
    Unbind {
        /// Device id.
        device: String,
        /// Keys.
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Finds the devices that have all of these tags.
    Find {
        /// Tags; a key alone finds any value.
        #[arg(value_name = "KEY[=VALUE]", required = true)]
        tags: Vec<Mark>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// A tag as written on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    key: String,
    value: Option<String>,
}

impl std::str::FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        match key.is_empty() {
            true => Err("write it as `key=value`".to_owned()),
            false => Ok(Self { key: key.to_owned(), value }),
        }
    }
}

impl Tag {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Bind { device, tags, server } => block_on(bind(out, server, device, tags)),
            Self::Unbind { device, keys, server } => block_on(unbind(out, server, device, keys)),
            Self::Find { tags, server } => block_on(find(out, server, tags)),
        }
    }
}

fn rows(tags: &[Mark]) -> Vec<serde_json::Value> {
    let row = |Mark { key, value }: &Mark| match value {
        Some(value) => json!({ "tag_key": key, "tag_value": value }),
        None => json!({ "tag_key": key }),
    };
    tags.iter().map(row).collect()
}

async fn bind(out: &Out, server: ServerArgs, device: String, tags: Vec<Mark>) -> Result<()> {
    let client = Client::connect(&server).await?;
    let body = json!({ "resource_type": "device", "resource_id": device, "tags": rows(&tags) });
    client.post("/tags/bind-resource", &[], &body).await?;
    out.answer(&json!({ "device_id": device, "bound": rows(&tags) }), |_| {
        format!("Tagged device `{device}`.\n")
    })
}

async fn unbind(out: &Out, server: ServerArgs, device: String, keys: Vec<String>) -> Result<()> {
    let client = Client::connect(&server).await?;
    let body = json!({ "resource_type": "device", "resource_id": device, "tag_keys": keys });
    client.post("/tags/unbind-resource", &[], &body).await?;
    out.answer(&json!({ "device_id": device, "unbound": keys }), |_| {
        format!("Took the tags from device `{device}`.\n")
    })
}

async fn find(out: &Out, server: ServerArgs, tags: Vec<Mark>) -> Result<()> {
    let client = Client::connect(&server).await?;
    let body = json!({ "resource_type": "device", "tags": rows(&tags) });
    let found = client.list_by("/tags/query-resources", "resources", &body).await?;
    out.answer(&json!({ "resources": found }), |out| {
        let mut table = Table::new(&["DEVICE"]);
        for resource in &found {
            table.row([cell(&resource["resource_id"])]);
        }
        table.render(out.paint(), "No device has these tags.")
    })
}
