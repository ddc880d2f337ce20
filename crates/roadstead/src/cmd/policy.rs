//! `roadstead policy`: which topics devices may publish and subscribe.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{block_on, cell, fields, read_json};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table};

/// Rules for the topics of devices.
#[derive(Subcommand, Debug)]
pub(crate) enum Policy {
    /// Lists policies.
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one policy with its statements and what it is bound to.
    Show {
        /// Policy id.
        policy: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Creates a policy; it holds nowhere until it is bound.
    Create {
        /// Name, unique in the space.
        name: String,
        /// Its statements: a JSON array of `{"effect", "actions", "resources"}`.
        file: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Replaces the statements of a policy, everywhere at once.
    Update {
        /// Policy id.
        policy: String,
        /// The new statements, a JSON array.
        file: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lets a policy hold for devices, products or spaces.
    Bind {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Ends that.
    Unbind {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Deletes a policy that is bound to nothing.
    Delete {
        /// Policy id.
        policy: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What a policy is bound to, or unbound from.
#[derive(clap::Args, Debug)]
pub(crate) struct Targets {
    /// Policy id.
    policy: String,
    /// Kind of the ids.
    #[arg(value_enum)]
    kind: Kind,
    /// Their ids, at most 10.
    #[arg(required = true, num_args = 1..=10)]
    ids: Vec<String>,
}

/// Kind of a target.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    /// A device.
    Device,
    /// All devices of a product.
    Product,
    /// All devices of a space.
    #[value(name = "space")]
    App,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Product => "product",
            Self::App => "app",
        }
    }
}

impl Policy {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        block_on(async {
            match self {
                Self::List { server } => list(out, &server).await,
                Self::Show { policy, server } => show(out, &server, &policy).await,
                Self::Create { name, file, server } => {
                    let body = json!({ "policy_name": name, "statement": read_json(&file)? });
                    let client = Client::connect(&server).await?;
                    print(out, &client.post(PATH, &[], &body).await?)
                }
                Self::Update { policy, file, server } => {
                    let body = json!({ "statement": read_json(&file)? });
                    let client = Client::connect(&server).await?;
                    print(out, &client.put(&path(&policy), &body).await?)
                }
                Self::Bind { targets, server } => bind(out, &server, targets, "bind").await,
                Self::Unbind { targets, server } => bind(out, &server, targets, "unbind").await,
                Self::Delete { policy, server } => {
                    let client = Client::connect(&server).await?;
                    client.delete(&path(&policy)).await?;
                    let answer = json!({ "deleted": policy });
                    out.answer(&answer, |_| format!("Deleted policy `{policy}`.\n"))
                }
            }
        })
    }
}

const PATH: &str = "/device-policies";

fn path(policy: &str) -> String {
    format!("{PATH}/{policy}")
}

async fn list(out: &Out, server: &ServerArgs) -> Result<()> {
    let client = Client::connect(server).await?;
    let policies = client.list(PATH, "policies", &[]).await?;
    out.answer(&json!({ "policies": policies }), |out| {
        let mut table = Table::new(&["POLICY", "NAME", "CHANGED"]);
        for p in &policies {
            let changed = out.clock().ago(&p["update_time"]);
            table.row([cell(&p["policy_id"]), cell(&p["policy_name"]), changed]);
        }
        table.render(out.paint(), "There are no policies; every device may use its own topics.")
    })
}

async fn show(out: &Out, server: &ServerArgs, policy: &str) -> Result<()> {
    let client = Client::connect(server).await?;
    let mut shown = client.get(&path(policy), &[]).await?;
    let targets = format!("{}/list-targets", path(policy));
    shown["targets"] = client.list_by(&targets, "targets", &json!({})).await?.into();
    print(out, &shown)
}

fn print(out: &Out, policy: &Value) -> Result<()> {
    out.answer(policy, |out| {
        let shown = [
            ("policy", "/policy_id"),
            ("name", "/policy_name"),
            ("created", "/create_time"),
            ("changed", "/update_time"),
        ];
        let mut text = fields(out, policy, &shown);
        for rule in policy["statement"].as_array().into_iter().flatten() {
            let words = |name: &str| {
                let words = rule[name].as_array().into_iter().flatten();
                words.map(cell).collect::<Vec<_>>().join(", ")
            };
            let (actions, resources) = (words("actions"), words("resources"));
            text.push_str(&format!("{} {actions} on {resources}\n", cell(&rule["effect"])));
        }
        for target in policy["targets"].as_array().into_iter().flatten() {
            let kind = match cell(&target["target_type"]).as_str() {
                "app" => "space".to_owned(),
                kind => kind.to_owned(),
            };
            text.push_str(&format!("holds for {kind} {}\n", cell(&target["target_id"])));
        }
        text
    })
}

async fn bind(out: &Out, server: &ServerArgs, targets: Targets, action: &str) -> Result<()> {
    let Targets { policy, kind, ids } = targets;
    let client = Client::connect(server).await?;
    let body = json!({ "target_type": kind.word(), "target_ids": ids });
    let answer = client.post(&format!("{}/{action}", path(&policy)), &[], &body).await?;
    out.answer(&answer, |_| {
        let mut text = String::new();
        for id in answer["success_targets"].as_array().into_iter().flatten() {
            text.push_str(&format!("{action}: {}\n", cell(id)));
        }
        for failed in answer["failure_targets"].as_array().into_iter().flatten() {
            let (id, why) = (cell(&failed["target_id"]), cell(&failed["error_msg"]));
            text.push_str(&format!("failed: {id}: {why}\n"));
        }
        text
    })?;
    let failed = answer["failure_targets"].as_array().is_some_and(|failed| !failed.is_empty());
    if failed { Err(Failure::Reported) } else { Ok(()) }
}
