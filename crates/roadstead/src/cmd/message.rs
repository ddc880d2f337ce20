//! `roadstead message`: opaque content for devices, kept while they are away.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{block_on, cell, fields};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table, Tone};

/// Fields of one message.
const FIELDS: &[(&str, &str)] = &[
    ("message id", "/message_id"),
    ("name", "/name"),
    ("message", "/message"),
    ("encoding", "/encoding"),
    ("format", "/payload_format"),
    ("topic", "/topic"),
    ("status", "/status"),
    ("error", "/error_info/code"),
    ("why", "/error_info/error_msg"),
    ("created", "/created_time"),
    ("finished", "/finished_time"),
];

/// Messages to devices.
#[derive(Subcommand, Debug)]
pub(crate) enum Message {
    /// Sends a message; a device that is offline gets it when it comes back.
    Send {
        /// Device id.
        device: String,
        /// The content: text, or a JSON object.
        #[arg(required_unless_present = "file")]
        content: Option<String>,
        /// Send the bytes of this file instead.
        #[arg(long, value_name = "FILE", conflicts_with = "content")]
        file: Option<PathBuf>,
        /// Its id, unique per device; made when missing.
        #[arg(long)]
        id: Option<String>,
        /// A name for the firmware.
        #[arg(long)]
        name: Option<String>,
        /// Send the bytes alone, without the vendor's document around them.
        #[arg(long)]
        raw: bool,
        /// The end of a topic of the product's own.
        #[arg(long, conflicts_with = "topic_name")]
        topic: Option<String>,
        /// A whole topic name.
        #[arg(long)]
        topic_name: Option<String>,
        /// Minutes that it is kept: a multiple of 5, at most 1440; 0 is not at all.
        #[arg(long, value_name = "MINUTES")]
        ttl: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Lists the messages of a device: those that wait and the last finished ones.
    List {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one message.
    Show {
        /// Device id.
        device: String,
        /// Message id.
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Forgets a message; one that waits is not delivered any more.
    Delete {
        /// Device id.
        device: String,
        /// Message id.
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Sends a message to every device that is online and has subscribed a topic.
    Broadcast {
        /// Whole topic name.
        topic: String,
        /// The content.
        content: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Message {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Send { device, content, file, id, name, raw, topic, topic_name, ttl, server } => {
                let mut body = match file {
                    Some(file) => {
                        let bytes = std::fs::read(&file)
                            .map_err(|error| Failure::file("Reading", &file, &error))?;
                        json!({ "message": BASE64.encode(bytes), "encoding": "base64" })
                    }
                    None => json!({ "message": content_of(content.unwrap_or_default()) }),
                };
                body["payload_format"] = if raw { "raw" } else { "standard" }.into();
                for (field, value) in [
                    ("message_id", id),
                    ("name", name),
                    ("topic", topic),
                    ("topic_full_name", topic_name),
                ] {
                    if let Some(value) = value {
                        body[field] = value.into();
                    }
                }
                if let Some(ttl) = ttl {
                    body["ttl"] = ttl.into();
                }
                block_on(send(out, server, device, body))
            }
            Self::List { device, server } => block_on(list(out, server, device)),
            Self::Show { device, id, server } => block_on(async {
                let client = Client::connect(&server).await?;
                let message = client.get(&path(&device, &id), &[]).await?;
                out.answer(&message, |out| fields(out, &message, FIELDS))
            }),
            Self::Delete { device, id, server } => block_on(async {
                let client = Client::connect(&server).await?;
                client.delete(&path(&device, &id)).await?;
                let deleted = json!({ "device_id": device, "message_id": id, "deleted": true });
                out.answer(&deleted, |_| format!("Forgot message `{id}`.\n"))
            }),
            Self::Broadcast { topic, content, server } => {
                block_on(broadcast(out, server, topic, content))
            }
        }
    }
}

/// A JSON object stays one; everything else is text.
fn content_of(text: String) -> Value {
    let object = serde_json::from_str::<Value>(&text).ok().filter(Value::is_object);
    object.unwrap_or(Value::String(text))
}

async fn send(out: &Out, server: ServerArgs, device: String, body: Value) -> Result<()> {
    let client = Client::connect(&server).await?;
    let answer = client.post(&format!("/devices/{device}/messages"), &[], &body).await?;
    let id = cell(&answer["message_id"]);
    out.answer(&answer, |out| match answer["result"]["status"].as_str() {
        Some("DELIVERED") => {
            format!("{} Message `{id}`.\n", out.paint().tone(Tone::Good, "Delivered."))
        }
        Some("FAILED") => format!(
            "{} Message `{id}`; `roadstead message show {device} {id}` says why.\n",
            out.paint().tone(Tone::Bad, "Failed.")
        ),
        _ => format!("Message `{id}` waits for the device.\n"),
    })
}

async fn list(out: &Out, server: ServerArgs, device: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let messages = client.list(&format!("/devices/{device}/messages"), "messages", &[]).await?;
    out.answer(&json!({ "device_id": device, "messages": messages }), |out| {
        let mut table = Table::new(&["MESSAGE ID", "NAME", "MESSAGE", "STATUS", "CREATED"]);
        for message in &messages {
            table.row([
                cell(&message["message_id"]),
                cell(&message["name"]),
                cell(&message["message"]),
                cell(&message["status"]),
                out.clock().ago(&message["created_time"]),
            ]);
        }
        table.render(out.paint(), "There are none.")
    })
}

async fn broadcast(out: &Out, server: ServerArgs, topic: String, content: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let body = json!({ "topic_full_name": topic, "message": BASE64.encode(content) });
    let answer = client.post("/broadcast-messages", &[], &body).await?;
    let receivers = answer["receivers"].as_u64().unwrap_or(0);
    out.answer(&answer, |_| format!("Sent to {receivers} devices.\n"))
}

fn path(device: &str, id: &str) -> String {
    format!("/devices/{device}/messages/{id}")
}
