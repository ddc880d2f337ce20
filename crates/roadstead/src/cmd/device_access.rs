//! `roadstead device`: what lets a device in, what is behind it, finding it by a search.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::device::table;
use super::{SecretArg, block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table};

/// Sub-commands of `device` beside the plain ones.
#[derive(Subcommand, Debug)]
pub(crate) enum Access {
    /// Ends a device's connection and refuses it until it is thawed.
    Freeze {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lets a frozen device log in again.
    #[command(visible_alias = "unfreeze")]
    Thaw {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Gives a device another secret and prints it; ends its connection.
    ResetSecret {
        /// Device id.
        device: String,
        /// The secret; a random one when missing.
        #[arg(long)]
        secret: Option<SecretArg>,
        /// Which of its two secrets.
        #[arg(long, value_enum, default_value = "primary")]
        rank: Rank,
        /// Leave the connection that the old one opened.
        #[arg(long)]
        keep_connection: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Registers the certificate of a device; ends its connection.
    ResetFingerprint {
        /// Device id.
        device: String,
        /// SHA-1 or SHA-256, hex; that of the next log-in is kept when missing.
        #[arg(long)]
        fingerprint: Option<String>,
        /// Which of its two certificates.
        #[arg(long, value_enum, default_value = "primary")]
        rank: Rank,
        /// Leave the connection that the old one opened.
        #[arg(long)]
        keep_connection: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lists the sub-devices behind a gateway.
    Children {
        /// Device id of the gateway.
        device: String,
        /// Only those directly behind it.
        #[arg(long)]
        direct: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Moves a sub-device behind another gateway.
    ChangeGateway {
        /// Device id.
        device: String,
        /// Device id of the gateway.
        gateway: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lists the groups of a device.
    Groups {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Finds devices, such as `status = 'ONLINE' and tags['room'] = 'hall' limit 50`.
    Search {
        /// What stands after `where` in `select * from device where …`.
        condition: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Imports devices; the same as `roadstead import`.
    Import(super::import::Import),
}

/// Which of two credentials.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Rank {
    /// The first one.
    Primary,
    /// The second one, with the same power.
    Secondary,
}

impl Rank {
    fn name(self) -> &'static str {
        match self {
            Self::Primary => "PRIMARY",
            Self::Secondary => "SECONDARY",
        }
    }
}

impl Access {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Freeze { device, server } => block_on(act(out, server, device, "freeze")),
            Self::Thaw { device, server } => block_on(act(out, server, device, "unfreeze")),
            Self::ResetSecret { device, secret, rank, keep_connection, server } => {
                let mut body =
                    json!({ "force_disconnect": !keep_connection, "secret_type": rank.name() });
                if let Some(secret) = secret {
                    body["secret"] = secret.text().into();
                }
                block_on(reset_secret(out, server, device, body))
            }
            Self::ResetFingerprint { device, fingerprint, rank, keep_connection, server } => {
                let mut body = json!({
                    "force_disconnect": !keep_connection, "fingerprint_type": rank.name(),
                });
                if let Some(fingerprint) = fingerprint {
                    body["fingerprint"] = fingerprint.into();
                }
                block_on(reset_fingerprint(out, server, device, body))
            }
            Self::Children { device, direct, server } => {
                block_on(children(out, server, device, direct))
            }
            Self::ChangeGateway { device, gateway, server } => {
                block_on(change_gateway(out, server, device, gateway))
            }
            Self::Groups { device, server } => block_on(groups(out, server, device)),
            Self::Search { condition, server } => block_on(search(out, server, condition)),
            Self::Import(import) => import.run(out),
        }
    }
}

fn path(device: &str) -> String {
    format!("/devices/{device}")
}

async fn act(out: &Out, server: ServerArgs, device: String, action: &str) -> Result<()> {
    let client = Client::connect(&server).await?;
    client.post(&format!("{}/{action}", path(&device)), &[], &json!({})).await?;
    out.answer(&json!({ "device_id": device, "frozen": action == "freeze" }), |_| match action {
        "freeze" => format!("Froze device `{device}`. `roadstead device thaw` lets it back in.\n"),
        _ => format!("Thawed device `{device}`; it may log in again.\n"),
    })
}

async fn reset_secret(out: &Out, server: ServerArgs, device: String, body: Value) -> Result<()> {
    let client = Client::connect(&server).await?;
    let query = [("action_id", "resetSecret")];
    let answer = client.post(&format!("{}/action", path(&device)), &query, &body).await?;
    out.answer(&answer, |_| format!("{}\n", cell(&answer["secret"])))
}

async fn reset_fingerprint(
    out: &Out,
    server: ServerArgs,
    device: String,
    body: Value,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let answer = client.post(&format!("{}/reset-fingerprint", path(&device)), &[], &body).await?;
    out.answer(&answer, |_| match answer["fingerprint"].as_str() {
        Some(digest) => format!("Device `{device}` logs in with certificate {digest}.\n"),
        None => format!("The certificate of the next log-in of `{device}` will be kept.\n"),
    })
}

async fn children(out: &Out, server: ServerArgs, device: String, direct: bool) -> Result<()> {
    let client = Client::connect(&server).await?;
    let cascade = if direct { "false" } else { "true" };
    let query = [("gateway_id", device.as_str()), ("is_cascade_query", cascade)];
    let devices = client.list("/devices", "devices", &query).await?;
    out.answer(&json!({ "devices": devices }), |out| {
        table(out, &devices, "Nothing is behind this device.")
    })
}

async fn change_gateway(
    out: &Out,
    server: ServerArgs,
    device: String,
    gateway: String,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let body = json!({ "gateway_id": gateway });
    client.post(&format!("{}/change-gateway", path(&device)), &[], &body).await?;
    out.answer(&json!({ "device_id": device, "gateway_id": gateway }), |_| {
        format!("Device `{device}` is behind `{gateway}`.\n")
    })
}

async fn groups(out: &Out, server: ServerArgs, device: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let path = format!("{}/list-device-group", path(&device));
    let answer = client.post(&path, &[], &json!({})).await?;
    out.answer(&answer, |out| {
        let mut table = Table::new(&["GROUP", "NAME", "KIND"]);
        for g in answer["device_groups"].as_array().into_iter().flatten() {
            let kind = cell(&g["group_type"]).to_lowercase();
            table.row([cell(&g["group_id"]), cell(&g["name"]), kind]);
        }
        table.render(out.paint(), "The device is in no group.")
    })
}

/// Shows the search below the sentence, with a mark under the character that it names.
fn point_at(failure: Failure, sql: &str) -> Failure {
    let message = failure.message().trim_end_matches('.').to_owned();
    let at = message.rsplit_once("at character ").and_then(|(_, at)| at.parse::<usize>().ok());
    match at {
        Some(at) if failure.code() == "search.syntax" => {
            let mark = " ".repeat(at.saturating_sub(1));
            Failure::new("search.syntax", format!("{message}:\n  {sql}\n  {mark}^"))
        }
        _ => failure,
    }
}

async fn search(out: &Out, server: ServerArgs, condition: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let sql = format!("select * from device where {condition}");
    let found = client.post("/search/query-devices", &[], &json!({ "sql": sql })).await;
    let answer = found.map_err(|failure| point_at(failure, &sql))?;
    out.answer(&answer, |out| {
        let devices = answer["devices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut text = table(out, devices, "No device is like that.");
        let count = answer["count"].as_u64().unwrap_or(0);
        if count > devices.len() as u64 {
            text.push_str(&format!("{count} devices match; end the search with `limit 50`.\n"));
        }
        text
    })
}
