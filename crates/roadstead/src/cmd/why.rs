//! `roadstead why`: why a device is offline, unbound or silent. The platform decides; this prints
//! cause, evidence and remedy.

use clap::Args;
use serde_json::Value;

use super::trace::line;
use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Tone};

/// Says why a device is offline, unbound or silent.
#[derive(Args, Debug)]
pub(crate) struct Why {
    /// Device id.
    device: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl Why {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let answer = block_on(async {
            let client = Client::connect(&self.server).await?;
            client.get(&format!("/devices/{}/why", self.device), &[]).await
        })?;
        out.answer(&answer, |out| human(out, &answer))
    }
}

fn human(out: &Out, answer: &Value) -> String {
    let paint = out.paint();
    let title = |text: &str| paint.tone(Tone::Dim, &format!("{text:8}"));
    let mut text = String::new();
    let well = answer["code"] == "ok";
    for name in ["state", "code", "meaning", "cause", "remedy"] {
        let value = cell(&answer[name]);
        if value == "-" {
            continue;
        }
        let shown = match (name, well) {
            ("state", _) => paint.tone(Tone::Strong, &value.replace('_', " ")),
            ("code", true) => paint.tone(Tone::Good, &value),
            ("code", false) => paint.tone(Tone::Bad, &value),
            _ => value,
        };
        text.push_str(&format!("{}  {shown}\n", title(name)));
    }
    let diagnosis = &answer["diagnosis"];
    if diagnosis.is_object() {
        let (code, remedy) = (cell(&diagnosis["code"]), cell(&diagnosis["remedy"]));
        text.push_str(&format!("{}  {code}: {remedy}\n", title("in a log")));
    }
    for (n, item) in answer["evidence"].as_array().into_iter().flatten().enumerate() {
        let head = title(if n == 0 { "evidence" } else { "" });
        text.push_str(&format!("{head}  {}\n", evidence(out, item)));
    }
    text
}

/// Tells one thing that the verdict rests on.
fn evidence(out: &Out, item: &Value) -> String {
    let ago = |value: &Value| out.clock().ago(value);
    match item["kind"].as_str() {
        Some("trace") => line(out, &item["entry"]).trim_end().to_owned(),
        Some("presence") => {
            let p = &item["presence"];
            match p["online"].as_bool() {
                Some(true) => format!("on line since {}", ago(&p["online_at"])),
                _ if p["offline_at"].is_null() => "never on line".to_owned(),
                _ => format!("off line since {}", ago(&p["offline_at"])),
            }
        }
        Some("stranger") => {
            let s = &item["stranger"];
            let (from, reason) = (cell(&s["peer"]), &s["reason"]);
            let (code, detail) = (cell(&reason["code"]), cell(&reason["detail"]));
            format!("{}  a client from {from} was refused: {code}, {detail}", ago(&s["at"]))
        }
        Some("attempt") => {
            let a = &item["attempt"];
            format!(
                "onboarding attempt `{}`, started {}",
                cell(&a["attempt_id"]),
                ago(&a["started_at"])
            )
        }
        Some("registry") => cell(&item["text"]),
        _ => cell(item),
    }
}
