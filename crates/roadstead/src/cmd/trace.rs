//! `roadstead trace`: every hop of one device, past and live.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Tone, parse_time};

/// Pause between two questions for new entries.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);
/// Entries read per question.
const ENTRIES: &str = "200";

/// Shows every hop of one device, or switches its message trace.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Trace {
    #[command(subcommand)]
    switch: Option<Switch>,
    /// Device id.
    #[arg(required = true)]
    device: Option<String>,
    /// Keep showing new hops until Ctrl-C.
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// The message trace: while it is on, hops carry excerpts of what was said.
#[derive(Subcommand, Debug)]
enum Switch {
    /// Switches the message trace of a device on for a time.
    Start {
        /// Device id.
        device: String,
        /// How long, 1 to 1440.
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Switches the message trace of a device off.
    Stop {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Says whether the message trace of a device is on.
    Show {
        /// Device id.
        device: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Switch {
    fn run(self, out: &Out) -> Result<()> {
        let path = |device: &str| format!("/devices/{device}/message-trace");
        let state = block_on(async {
            match self {
                Self::Start { device, minutes, server } => {
                    let client = Client::connect(&server).await?;
                    client.put(&path(&device), &json!({ "minutes": minutes })).await
                }
                Self::Stop { device, server } => {
                    let client = Client::connect(&server).await?;
                    client.delete(&path(&device)).await?;
                    client.get(&path(&device), &[]).await
                }
                Self::Show { device, server } => {
                    let client = Client::connect(&server).await?;
                    client.get(&path(&device), &[]).await
                }
            }
        })?;
        out.answer(&state, |_| match state["enabled"].as_bool() {
            Some(true) => format!("The message trace is on until {}\n", cell(&state["end_time"])),
            _ => "The message trace is off.\n".to_owned(),
        })
    }
}

impl Trace {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        if let Some(switch) = self.switch {
            return switch.run(out);
        }
        let device = self.device.unwrap_or_default();
        block_on(async {
            let client = Client::connect(&self.server).await?;
            let entries = read(&client, &device, None).await?;
            if !self.follow {
                return out.answer(&json!({ "device_id": device, "entries": entries }), |out| {
                    match entries.is_empty() {
                        true => "Nothing was heard of this device yet.\n".to_owned(),
                        false => entries.iter().map(|entry| line(out, entry)).collect(),
                    }
                });
            }
            tokio::select! {
                result = follow(out, &client, &device, entries) => result,
                () = super::stop_signal() => Ok(()),
            }
        })
    }
}

async fn follow(out: &Out, client: &Client, device: &str, mut fresh: Vec<Value>) -> Result<()> {
    let mut last = Vec::new();
    loop {
        for entry in &fresh {
            out.event(entry)?;
            out.text(&line(out, entry))?;
        }
        if let Some(at) = fresh.last().map(|entry| entry["at"].clone()) {
            last.extend(fresh);
            last.retain(|entry: &Value| entry["at"] == at);
        }
        tokio::time::sleep(FOLLOW_PAUSE).await;
        let since = last.last().map(|entry| cell(&entry["at"]));
        fresh = read(client, device, since.as_deref()).await?;
        // The server may repeat what happened in the very millisecond of the last entry.
        fresh.retain(|entry| !last.contains(entry));
    }
}

async fn read(client: &Client, device: &str, since: Option<&str>) -> Result<Vec<Value>> {
    let mut query = vec![("limit", ENTRIES)];
    query.extend(since.map(|since| ("since", since)));
    let mut answer = client.get(&format!("/devices/{device}/trace"), &query).await?;
    let mut entries = match answer["entries"].take() {
        Value::Array(entries) => entries,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Vec::new()
        }
    };
    entries.sort_by_key(|entry| parse_time(&entry["at"]));
    Ok(entries)
}

/// Returns one hop: time, direction, what, code, text.
pub(super) fn line(out: &Out, entry: &Value) -> String {
    let paint = out.paint();
    let time = parse_time(&entry["at"]).map_or_else(String::new, |at| at.to_string());
    let arrow = match entry["hop"].as_str() {
        Some("up") => "device →",
        Some("down") => "device ←",
        Some("phone") => "phone  →",
        Some("api") => "api    →",
        _ => "cloud   ",
    };
    let code = cell(&entry["code"]);
    let tone = if code == "ok" { Tone::Good } else { Tone::Bad };
    let what = format!("{:14}", cell(&entry["what"]));
    let time = paint.tone(Tone::Dim, &time);
    let text = entry["text"].as_str().unwrap_or_default();
    let line = format!("{time}  {arrow}  {what}  {}  {text}", paint.tone(tone, &code));
    format!("{}\n", line.trim_end())
}
