//! `roadstead group`: named sets of devices, listed or described by a rule.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{block_on, cell, fields};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Groups of devices.
#[derive(Subcommand, Debug)]
pub(crate) enum Group {
    /// Lists groups, newest first.
    List {
        /// Only those with this text in the name.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one group.
    Show {
        /// Group id.
        group: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Creates a group.
    Create {
        /// Name, unique in the space.
        name: String,
        /// Description.
        #[arg(long)]
        description: Option<String>,
        /// The group above it.
        #[arg(long)]
        parent: Option<String>,
        /// Makes it dynamic: its members are the devices for which this holds.
        #[arg(long, value_name = "CONDITION")]
        rule: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Changes name or description.
    Update {
        /// Group id.
        group: String,
        /// New name.
        #[arg(long)]
        name: Option<String>,
        /// New description.
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Deletes a group; its devices stay.
    Delete {
        /// Group id.
        group: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lists the devices of a group.
    Devices {
        /// Group id.
        group: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Puts a device into a group.
    Add {
        /// Group id.
        group: String,
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Takes a device out of a group.
    Remove {
        /// Group id.
        group: String,
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Group {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { name, server } => block_on(list(out, server, name)),
            Self::Show { group, server } => block_on(show(out, server, group)),
            Self::Create { name, description, parent, rule, server } => {
                let mut body = json!({ "name": name });
                put(&mut body, "description", description);
                put(&mut body, "super_group_id", parent);
                if rule.is_some() {
                    body["group_type"] = "DYNAMIC".into();
                }
                put(&mut body, "dynamic_group_rule", rule);
                block_on(create(out, server, body))
            }
            Self::Update { group, name, description, server } => {
                let mut body = json!({});
                put(&mut body, "name", name);
                put(&mut body, "description", description);
                block_on(update(out, server, group, body))
            }
            Self::Delete { group, server } => block_on(delete(out, server, group)),
            Self::Devices { group, server } => block_on(devices(out, server, group)),
            Self::Add { group, device, server } => {
                block_on(act(out, server, group, device, "addDevice"))
            }
            Self::Remove { group, device, server } => {
                block_on(act(out, server, group, device, "removeDevice"))
            }
        }
    }
}

fn put(body: &mut Value, name: &str, value: Option<String>) {
    if let Some(value) = value {
        body[name] = value.into();
    }
}

fn path(group: &str) -> String {
    format!("/device-group/{group}")
}

async fn list(out: &Out, server: ServerArgs, name: Option<String>) -> Result<()> {
    let client = Client::connect(&server).await?;
    let query: Vec<(&str, &str)> = name.as_deref().map(|name| ("name", name)).into_iter().collect();
    let groups = client.list("/device-group", "device_groups", &query).await?;
    out.answer(&json!({ "device_groups": groups }), |out| {
        let mut table = Table::new(&["GROUP", "NAME", "KIND", "PARENT"]);
        for g in &groups {
            let kind = cell(&g["group_type"]).to_lowercase();
            table.row([cell(&g["group_id"]), cell(&g["name"]), kind, cell(&g["super_group_id"])]);
        }
        table.render(out.paint(), "There are no groups. Make one with `roadstead group create`.")
    })
}

fn print(out: &Out, group: &Value) -> Result<()> {
    out.answer(group, |out| {
        fields(
            out,
            group,
            &[
                ("group", "/group_id"),
                ("name", "/name"),
                ("description", "/description"),
                ("parent", "/super_group_id"),
                ("kind", "/group_type"),
                ("rule", "/dynamic_group_rule"),
            ],
        )
    })
}

async fn show(out: &Out, server: ServerArgs, group: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    print(out, &client.get(&path(&group), &[]).await?)
}

async fn create(out: &Out, server: ServerArgs, body: Value) -> Result<()> {
    let client = Client::connect(&server).await?;
    print(out, &client.post("/device-group", &[], &body).await?)
}

async fn update(out: &Out, server: ServerArgs, group: String, body: Value) -> Result<()> {
    let client = Client::connect(&server).await?;
    print(out, &client.put(&path(&group), &body).await?)
}

async fn delete(out: &Out, server: ServerArgs, group: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    client.delete(&path(&group)).await?;
    out.answer(&json!({ "deleted": group }), |_| format!("Deleted group `{group}`.\n"))
}

async fn devices(out: &Out, server: ServerArgs, group: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let devices = client.list(&format!("{}/devices", path(&group)), "devices", &[]).await?;
    out.answer(&json!({ "devices": devices }), |out| {
        let mut table = Table::new(&["DEVICE", "NODE", "PRODUCT", "NAME"]);
        for d in &devices {
            let (device, node) = (cell(&d["device_id"]), cell(&d["node_id"]));
            table.row([device, node, cell(&d["product_id"]), cell(&d["device_name"])]);
        }
        table.render(out.paint(), "The group has no devices.")
    })
}

async fn act(
    out: &Out,
    server: ServerArgs,
    group: String,
    device: String,
    action: &str,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let query = [("action_id", action), ("device_id", device.as_str())];
    client.post(&format!("{}/action", path(&group)), &query, &json!({})).await?;
    let added = action == "addDevice";
    let document = json!({ "group_id": group, "device_id": device, "member": added });
    out.answer(&document, |_| match added {
        true => format!("Device `{device}` is in the group.\n"),
        false => format!("Device `{device}` is no longer in the group.\n"),
    })
}
