//! `roadstead attempt`: onboarding attempts, stage by stage, seen by phone, device and cloud.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Table, Tone, parse_time, span};

/// Onboarding attempts, stage by stage.
#[derive(Subcommand, Debug)]
pub(crate) enum Attempt {
    /// Lists attempts, the latest first.
    List {
        /// Only those of this device.
        #[arg(long)]
        device: Option<String>,
        /// Only those of this user.
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Shows one attempt with every stage.
    Show {
        /// Attempt id.
        attempt: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Attempt {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::List { device, user, server } => block_on(list(out, server, device, user)),
            Self::Show { attempt, server } => block_on(show(out, server, attempt)),
        }
    }
}

async fn list(
    out: &Out,
    server: ServerArgs,
    device: Option<String>,
    user: Option<String>,
) -> Result<()> {
    let client = Client::connect(&server).await?;
    let filters = [("device_id", device.as_deref()), ("user_id", user.as_deref())];
    let query: Vec<(&str, &str)> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let attempts = client.list("/attempts", "attempts", &query).await?;
    out.answer(&json!({ "attempts": attempts }), |out| table(out, &attempts))
}

/// Lists attempts with their stage bars.
pub(super) fn table(out: &Out, attempts: &[Value]) -> String {
    let mut table = Table::new(&["ATTEMPT", "STARTED", "DEVICE", "STAGES", "TOOK", "ENDED"]);
    for attempt in attempts {
        table.row([
            cell(&attempt["attempt_id"]),
            out.clock().ago(&attempt["started_at"]),
            cell(&attempt["device_id"]),
            bar(out, attempt),
            took(attempt).map_or_else(|| "-".to_owned(), span),
            ending(out, attempt),
        ]);
    }
    table.render(out.paint(), "There are no onboarding attempts.")
}

async fn show(out: &Out, server: ServerArgs, attempt: String) -> Result<()> {
    let client = Client::connect(&server).await?;
    let attempt = client.get(&format!("/attempts/{attempt}"), &[]).await?;
    out.answer(&attempt, |out| detail(out, &attempt))
}

/// Tells one attempt: each mark with its time since the start, and the ending.
pub(super) fn detail(out: &Out, attempt: &Value) -> String {
    let paint = out.paint();
    let start = parse_time(&attempt["started_at"]);
    let mut table = Table::new(&["AFTER", "STAGE", "SEEN BY", "DETAIL"]);
    for mark in attempt["stages"].as_array().into_iter().flatten() {
        let after = match (start, parse_time(&mark["at"])) {
            (Some(start), Some(at)) => span(at.since(start)),
            _ => "-".to_owned(),
        };
        let stage = cell(&mark["stage"]).replace('_', " ");
        table.row([after, stage, cell(&mark["by"]), cell(&mark["detail"])]);
    }
    let mut text = format!("{}  {}\n", bar(out, attempt), ending(out, attempt));
    text.push_str(&table.render(paint, "Nobody saw any stage."));
    let reason = &attempt["reason"];
    for (title, name) in
        [("reason", "code"), ("what", "meaning"), ("detail", "detail"), ("remedy", "remedy")]
    {
        if let Some(value) = reason[name].as_str().filter(|value| !value.is_empty()) {
            text.push_str(&format!("{}  {value}\n", paint.tone(Tone::Dim, &format!("{title:6}"))));
        }
    }
    text
}

/// Returns one box per stage of a complete journey: full when somebody saw it.
fn bar(out: &Out, attempt: &Value) -> String {
    use roadstead_core::attempt::Stage;

    let marks: Vec<&str> = attempt["stages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mark| mark["stage"].as_str())
        .collect();
    let boxes: String =
        Stage::ALL.iter().map(|s| if marks.contains(&s.name()) { '■' } else { '·' }).collect();
    let tone = match (reason(attempt), attempt["result"].as_str()) {
        (Some(_), _) => Tone::Bad,
        (None, Some("success")) => Tone::Good,
        (None, _) => Tone::Warn,
    };
    out.paint().tone(tone, &boxes)
}

fn ending(out: &Out, attempt: &Value) -> String {
    match (reason(attempt), attempt["result"].as_str()) {
        (Some(code), _) => out.paint().tone(Tone::Bad, code),
        (None, Some("success")) => out.paint().tone(Tone::Good, "bound"),
        (None, _) => out.paint().tone(Tone::Warn, "running"),
    }
}

fn took(attempt: &Value) -> Option<Duration> {
    Some(parse_time(&attempt["ended_at"])?.since(parse_time(&attempt["started_at"])?))
}

/// Returns the stable code of a failed attempt.
fn reason(attempt: &Value) -> Option<&str> {
    attempt["reason"]["code"].as_str()
}
