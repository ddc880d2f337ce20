//! `roadstead runlog`: what happened to all devices of the space.

use clap::Args;
use serde_json::{Value, json};

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Shows what happened to all devices, newest first.
#[derive(Args, Debug)]
pub(crate) struct Runlog {
    /// Only of this device.
    #[arg(long)]
    device: Option<String>,
    /// Only about this: status, property, message, command, event, onboarding, gateway, device.
    #[arg(long)]
    category: Option<String>,
    /// Only `success` or `failure`.
    #[arg(long)]
    result: Option<String>,
    /// After this date: RFC 3339, `yyyyMMdd'T'HHmmss'Z'` or milliseconds.
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// Before this date.
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// The newest so many, at most 1000.
    #[arg(long, default_value = "50")]
    limit: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl Runlog {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let answer = block_on(async {
            let client = Client::connect(&self.server).await?;
            let query: Vec<(&str, &str)> = [
                ("device_id", &self.device),
                ("category", &self.category),
                ("result", &self.result),
                ("start_time", &self.since),
                ("end_time", &self.until),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .chain([("limit", &*self.limit)])
            .collect();
            client.get("/run-logs", &query).await
        })?;
        out.answer(&answer, |out| human(out, &answer))
    }
}

fn human(out: &Out, answer: &Value) -> String {
    let mut table = Table::new(&["TIME", "DEVICE", "CATEGORY", "OPERATION", "CODE", "TEXT"]);
    for log in answer["logs"].as_array().into_iter().flatten() {
        table.row([
            cell(&log["time"]),
            cell(&log["device_id"]),
            cell(&log["category"]),
            cell(&log["operation"]),
            cell(&log["code"]),
            cell(&log["text"]),
        ]);
    }
    let mut text = table.render(out.paint(), "Nothing fits.");
    if answer["complete"] == json!(false) {
        text.push_str("There may be more: narrow the range with --since and --until.\n");
    }
    text
}
