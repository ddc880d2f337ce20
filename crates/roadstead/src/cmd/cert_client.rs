//! `roadstead cert client`: certificates that devices showed, signed by a trusted authority.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{cell, fields};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Certificates of devices.
#[derive(Subcommand, Debug)]
pub(crate) enum ClientCert {
    /// Lists the certificates that devices showed.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one certificate and the devices that use it.
    Show {
        /// Certificate id.
        certificate: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lets its devices log in again.
    Enable {
        /// Certificate id.
        certificate: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Refuses its devices and ends their connections.
    Disable {
        /// Certificate id.
        certificate: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Forgets a disabled certificate; shown again, it counts as new.
    Delete {
        /// Certificate id.
        certificate: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

const PATH: &str = "/device-certificates";

impl ClientCert {
    pub(crate) async fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { server } => list(out, &server).await,
            Self::Show { certificate, server } => {
                let client = Client::connect(&server).await?;
                let mut shown = client.get(&path(&certificate), &[]).await?;
                let devices = format!("{}/list-device", path(&certificate));
                shown["devices"] = client.list_by(&devices, "devices", &json!({})).await?.into();
                print(out, &shown)
            }
            Self::Enable { certificate, server } => set(out, &server, &certificate, "ACTIVE").await,
            Self::Disable { certificate, server } => {
                set(out, &server, &certificate, "INACTIVE").await
            }
            Self::Delete { certificate, server } => {
                let client = Client::connect(&server).await?;
                client.delete(&path(&certificate)).await?;
                let answer = json!({ "deleted": certificate });
                out.answer(&answer, |_| format!("Forgot certificate `{certificate}`.\n"))
            }
        }
    }
}

fn path(certificate: &str) -> String {
    format!("{PATH}/{certificate}")
}

async fn set(out: &Out, server: &ServerArgs, certificate: &str, status: &str) -> Result<()> {
    let client = Client::connect(server).await?;
    print(out, &client.put(&path(certificate), &json!({ "status": status })).await?)
}

async fn list(out: &Out, server: &ServerArgs) -> Result<()> {
    let client = Client::connect(server).await?;
    let certificates = client.list(PATH, "device_certificates", &[]).await?;
    out.answer(&json!({ "device_certificates": certificates }), |out| {
        let mut table = Table::new(&["CERTIFICATE", "NAME", "STATE", "ENDS", "SHA-256"]);
        for c in &certificates {
            let state = cell(&c["status"]).to_lowercase();
            let (id, name) = (cell(&c["certificate_id"]), cell(&c["common_name"]));
            table.row([id, name, state, cell(&c["expiry_date"]), cell(&c["fingerprint"])]);
        }
        table.render(out.paint(), "No device has shown a certificate of a trusted authority yet.")
    })
}

fn print(out: &Out, certificate: &Value) -> Result<()> {
    out.answer(certificate, |out| {
        let shown = [
            ("certificate", "/certificate_id"),
            ("name", "/common_name"),
            ("state", "/status"),
            ("to", "/expiry_date"),
            ("sha-256", "/fingerprint"),
        ];
        let mut text = fields(out, certificate, &shown);
        for device in certificate["devices"].as_array().into_iter().flatten() {
            text.push_str(&format!("device       {}\n", cell(&device["device_id"])));
        }
        text
    })
}
