//! `roadstead command`: commands to devices, answered at once or from a queue.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Pair, block_on, cell, fields, object};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table, Tone};

/// Fields of one asynchronous command.
const FIELDS: &[(&str, &str)] = &[
    ("command id", "/command_id"),
    ("device", "/device_id"),
    ("service", "/service_id"),
    ("command", "/command_name"),
    ("paras", "/paras"),
    ("status", "/status"),
    ("reason", "/reason"),
    ("strategy", "/send_strategy"),
    ("expires in", "/expire_time"),
    ("created", "/created_time"),
    ("sent", "/sent_time"),
    ("delivered", "/delivered_time"),
    ("answered", "/response_time"),
    ("result code", "/result/result_code"),
    ("result", "/result/paras"),
];

/// Commands to devices.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Sends a command and waits for the device's answer, or queues it with `--async`.
    Send {
        /// Device id.
        device: String,
        /// Command of the thing model.
        command: String,
        /// Service of the thing model that has the command; only needed where two have it.
        #[arg(long)]
        service: Option<String>,
        /// One parameter; may be repeated.
        #[arg(long = "param", value_name = "NAME=VALUE")]
        parameters: Vec<Pair>,
        /// All parameters as one JSON object.
        #[arg(long = "params", value_name = "JSON")]
        document: Option<String>,
        /// Queue it and do not wait for the answer; a device that is offline gets it later.
        #[arg(long = "async")]
        queued: bool,
        /// With `--async`: fail when the device is offline now.
        #[arg(long, requires = "queued")]
        immediately: bool,
        /// With `--async`: seconds that it may wait, at most 172800.
        #[arg(long, value_name = "SECONDS", requires = "queued", conflicts_with = "immediately")]
        expire: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lists the queue of a device: asynchronous commands that are not over yet.
    List {
        /// Device id.
        device: String,
        /// Only those in this state, such as `PENDING`.
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lists asynchronous commands of a device that are over.
    History {
        /// Device id.
        device: String,
        /// Only those in this state, such as `TIMEOUT`.
        #[arg(long)]
        status: Option<String>,
        /// Only count them.
        #[arg(long)]
        count: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one asynchronous command.
    Show {
        /// Device id.
        device: String,
        /// Command id.
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Takes an asynchronous command back that was not sent yet.
    Cancel {
        /// Device id.
        device: String,
        /// Command id.
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Command {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Send {
                device,
                command,
                service,
                parameters,
                document,
                queued,
                immediately,
                expire,
                server,
            } => {
                let parameters = object(&parameters, document.as_deref())?;
                let mut body = json!({ "command_name": command, "paras": parameters });
                if let Some(service) = service {
                    body["service_id"] = service.into();
                }
                if !queued {
                    return block_on(send(out, server, device, body));
                }
                let strategy = if immediately { "immediately" } else { "delay" };
                body["send_strategy"] = strategy.into();
                if let Some(expire) = expire {
                    body["expire_time"] = expire.into();
                }
                block_on(queue(out, server, device, body))
            }
            Self::List { device, status, server } => {
                block_on(list(out, server, device, status, "async-commands"))
            }
            Self::History { device, status, count: false, server } => {
                block_on(list(out, server, device, status, "async-commands-history"))
            }
            Self::History { device, status, count: true, server } => {
                block_on(count(out, server, device, status))
            }
            Self::Show { device, id, server } => block_on(async {
                let client = Client::connect(&server).await?;
                print(out, &client.get(&path(&device, &id), &[]).await?)
            }),
            Self::Cancel { device, id, server } => block_on(async {
                let client = Client::connect(&server).await?;
                print(out, &client.delete(&path(&device, &id)).await?)
            }),
        }
    }
}

async fn send(out: &Out, server: ServerArgs, device: String, body: Value) -> Result<()> {
    let client = Client::connect(&server).await?;
    let answer = client.post(&format!("/devices/{device}/commands"), &[], &body).await?;
    out.answer(&answer, |out| {
        let head = out.paint().tone(Tone::Good, "Answered.");
        let answer = &answer["response"];
        let code = answer["result_code"].as_i64().unwrap_or(0);
        format!("{head} Result code {code}.\n{:#}\n", answer["paras"])
    })
}

async fn queue(out: &Out, server: ServerArgs, device: String, body: Value) -> Result<()> {
    let client = Client::connect(&server).await?;
    let answer = client.post(&format!("/devices/{device}/async-commands"), &[], &body).await?;
    print(out, &answer)
}

async fn list(
    out: &Out,
    server: ServerArgs,
    device: String,
    status: Option<String>,
    noun: &str,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let query: Vec<_> = status.as_deref().map(|status| ("status", status)).into_iter().collect();
    let commands = client.list(&format!("/devices/{device}/{noun}"), "commands", &query).await?;
    out.answer(&json!({ "device_id": device, "commands": commands }), |out| {
        let mut table = Table::new(&["COMMAND ID", "COMMAND", "STATUS", "REASON", "CREATED"]);
        for command in &commands {
            table.row([
                cell(&command["command_id"]),
                cell(&command["command_name"]),
                cell(&command["status"]),
                cell(&command["reason"]),
                out.clock().ago(&command["created_time"]),
            ]);
        }
        table.render(out.paint(), "There are none.")
    })
}

async fn count(
    out: &Out,
    server: ServerArgs,
    device: String,
    status: Option<String>,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let query: Vec<_> = status.as_deref().map(|status| ("status", status)).into_iter().collect();
    let path = format!("/devices/{device}/async-commands-history/count");
    let answer = client.post(&path, &query, &Value::Null).await?;
    let Some(count) = answer["count"].as_u64() else {
        return Err(Failure::new("client.answer", "The server does not say how many."));
    };
    out.answer(&answer, |_| format!("{count}\n"))
}

fn print(out: &Out, command: &Value) -> Result<()> {
    out.answer(command, |out| fields(out, command, FIELDS))
}

fn path(device: &str, id: &str) -> String {
    format!("/devices/{device}/async-commands/{id}")
}
