//! `roadstead command`: commands to devices.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Pair, block_on, object};
use crate::client::{Client, ServerArgs};
use crate::failure::Result;
use crate::output::{Out, Tone};

/// Commands to devices.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Sends a command and waits for the device's answer.
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
        #[command(flatten)]
        server: ServerArgs,
    },
}

impl Command {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let Self::Send { device, command, service, parameters, document, server } = self;
        let parameters = object(&parameters, document.as_deref())?;
        let mut body = json!({ "command_name": command, "paras": parameters });
        if let Some(service) = service {
            body["service_id"] = service.into();
        }
        block_on(send(out, server, device, body))
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
