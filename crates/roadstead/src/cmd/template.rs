//! `roadstead template`: how devices with a trusted certificate register themselves.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{block_on, cell, fields, read_json};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Provisioning templates.
#[derive(Subcommand, Debug)]
pub(crate) enum Template {
    /// Lists templates.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one template.
    Show {
        /// Template id.
        template: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Creates a template; name it at an authority with `cert provision` to use it.
    Create {
        /// Name, unique in the space.
        name: String,
        /// Its body: `{"parameters", "resources"}`, JSON.
        file: PathBuf,
        /// Description.
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Replaces the body of a template; devices that it registered stay as they are.
    Update {
        /// Template id.
        template: String,
        /// The new body, JSON.
        file: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Deletes a template that no authority uses.
    Delete {
        /// Template id.
        template: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

const PATH: &str = "/provisioning-templates";

impl Template {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        block_on(async {
            match self {
                Self::List { server } => list(out, &server).await,
                Self::Show { template, server } => {
                    let client = Client::connect(&server).await?;
                    print(out, &client.get(&path(&template), &[]).await?)
                }
                Self::Create { name, file, description, server } => {
                    let body = json!({ "template_name": name, "description": description,
                        "template_body": read_json(&file)? });
                    let client = Client::connect(&server).await?;
                    print(out, &client.post(PATH, &[], &body).await?)
                }
                Self::Update { template, file, server } => {
                    let body = json!({ "template_body": read_json(&file)? });
                    let client = Client::connect(&server).await?;
                    print(out, &client.put(&path(&template), &body).await?)
                }
                Self::Delete { template, server } => {
                    let client = Client::connect(&server).await?;
                    client.delete(&path(&template)).await?;
                    let answer = json!({ "deleted": template });
                    out.answer(&answer, |_| format!("Deleted template `{template}`.\n"))
                }
            }
        })
    }
}

fn path(template: &str) -> String {
    format!("{PATH}/{template}")
}

async fn list(out: &Out, server: &ServerArgs) -> Result<()> {
    let client = Client::connect(server).await?;
    let templates = client.list(PATH, "templates", &[]).await?;
    out.answer(&json!({ "templates": templates }), |out| {
        let mut table = Table::new(&["TEMPLATE", "NAME", "DESCRIPTION", "CHANGED"]);
        for t in &templates {
            let changed = out.clock().ago(&t["update_time"]);
            let (id, name) = (cell(&t["template_id"]), cell(&t["template_name"]));
            table.row([id, name, cell(&t["description"]), changed]);
        }
        table.render(out.paint(), "There are no provisioning templates.")
    })
}

fn print(out: &Out, template: &Value) -> Result<()> {
    out.answer(template, |out| {
        let shown = [
            ("template", "/template_id"),
            ("name", "/template_name"),
            ("description", "/description"),
            ("created", "/create_time"),
            ("changed", "/update_time"),
        ];
        let mut text = fields(out, template, &shown);
        text.push_str(&format!("{:#}\n", template["template_body"]));
        text
    })
}
