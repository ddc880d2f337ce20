//! `roadstead device offline-analysis`: when and why the sessions of a device ended.

use clap::Args;
use serde_json::Value;

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table};

/// Asks for the ends of sessions.
#[derive(Args, Debug)]
pub(crate) struct OfflineAnalysis {
    /// Device id.
    device: String,
    /// After this date: RFC 3339, `yyyyMMdd'T'HHmmss'Z'` or milliseconds.
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl OfflineAnalysis {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let answer = block_on(async {
            let client = Client::connect(&self.server).await?;
            let since = self.since.as_deref().map(|since| ("start_time", since));
            let query: Vec<_> = since.into_iter().collect();
            client.get(&format!("/devices/{}/offline-analysis", self.device), &query).await
        })?;
        out.answer(&answer, |out| human(out, &answer))
    }
}

fn human(out: &Out, answer: &Value) -> String {
    let mut table = Table::new(&["OFFLINE", "BACK", "PEER", "CODE", "MEANING"]);
    let outages = answer["outages"].as_array().map_or(&[][..], Vec::as_slice);
    for outage in outages {
        table.row([
            cell(&outage["offline_time"]),
            cell(&outage["back_time"]),
            cell(&outage["peer"]),
            cell(&outage["reason"]["code"]),
            cell(&outage["reason"]["meaning"]),
        ]);
    }
    let mut text = table.render(out.paint(), "No session of this device has ended.");
    if let Some(remedy) = outages.first().and_then(|latest| latest["reason"]["remedy"].as_str()) {
        text.push_str(&format!("next  {remedy}\n"));
    }
    text
}
