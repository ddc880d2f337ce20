//! `roadstead cert`: certificate authorities of device makers.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::cert_client::ClientCert;
use super::{block_on, cell, fields};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table};

/// Certificate authorities whose devices may log in.
#[derive(Subcommand, Debug)]
pub(crate) enum Cert {
    /// Lists authorities.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one authority.
    Show {
        /// Certificate id.
        certificate: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Uploads an authority; prove its key with `verify` before devices use it.
    Add {
        /// Certificate of the authority, PEM.
        file: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Proves an authority with a certificate it signed for its verify code.
    Verify {
        /// Certificate id.
        certificate: String,
        /// Certificate with the verify code as common name, PEM.
        file: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Says whether unknown devices of an authority register themselves, and by which template.
    Provision {
        /// Certificate id.
        certificate: String,
        /// Template id.
        #[arg(required_unless_present = "off", conflicts_with = "off")]
        template: Option<String>,
        /// They do not any more.
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Certificates that devices showed, signed by a trusted authority.
    #[command(subcommand)]
    Client(ClientCert),
    /// Forgets an authority; its devices do not log in again.
    Delete {
        /// Certificate id.
        certificate: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Cert {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        block_on(async {
            match self {
                Self::Client(command) => command.run(out).await,
                Self::List { server } => list(out, &server).await,
                Self::Show { certificate, server } => {
                    let client = Client::connect(&server).await?;
                    print(out, &client.get(&path(&certificate), &[]).await?)
                }
                Self::Add { file, server } => {
                    let body = json!({ "content": read(&file)? });
                    let client = Client::connect(&server).await?;
                    print(out, &client.post("/certificates", &[], &body).await?)
                }
                Self::Verify { certificate, file, server } => {
                    let body = json!({ "verify_content": read(&file)? });
                    let client = Client::connect(&server).await?;
                    let path = format!("{}/action", path(&certificate));
                    print(out, &client.post(&path, &[("action_id", "verify")], &body).await?)
                }
                Self::Provision { certificate, template, off, server } => {
                    let body = json!({ "provision_enable": !off, "template_id": template });
                    let client = Client::connect(&server).await?;
                    print(out, &client.put(&path(&certificate), &body).await?)
                }
                Self::Delete { certificate, server } => {
                    let client = Client::connect(&server).await?;
                    client.delete(&path(&certificate)).await?;
                    let answer = json!({ "deleted": certificate });
                    out.answer(&answer, |_| format!("Deleted authority `{certificate}`.\n"))
                }
            }
        })
    }
}

async fn list(out: &Out, server: &ServerArgs) -> Result<()> {
    let client = Client::connect(server).await?;
    let certificates = client.list("/certificates", "certificates", &[]).await?;
    out.answer(&json!({ "certificates": certificates }), |out| {
        let mut table = Table::new(&["CERTIFICATE", "NAME", "OWNER", "STATE", "ENDS"]);
        for c in &certificates {
            let state = state(c).to_owned();
            let (id, name) = (cell(&c["certificate_id"]), cell(&c["cn_name"]));
            table.row([id, name, cell(&c["owner"]), state, cell(&c["expiry_date"])]);
        }
        table.render(out.paint(), "There are no authorities. Add one with `roadstead cert add`.")
    })
}

fn print(out: &Out, certificate: &Value) -> Result<()> {
    out.answer(certificate, |out| {
        let mut text = fields(
            out,
            certificate,
            &[
                ("certificate", "/certificate_id"),
                ("name", "/cn_name"),
                ("owner", "/owner"),
                ("from", "/effective_date"),
                ("to", "/expiry_date"),
                ("template", "/template_id"),
            ],
        );
        text.push_str(&format!("state        {}\n", state(certificate)));
        if certificate["status"] != true {
            let code = cell(&certificate["verify_code"]);
            text.push_str(&format!(
                "Sign a certificate with the common name `{code}` with the authority's key, then \
                 `roadstead cert verify {} FILE`.\n",
                cell(&certificate["certificate_id"])
            ));
        }
        text
    })
}

fn state(certificate: &Value) -> &'static str {
    if certificate["status"] == true { "trusted" } else { "not proved" }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::file("Reading", path, &error))
}

fn path(certificate: &str) -> String {
    format!("/certificates/{certificate}")
}
