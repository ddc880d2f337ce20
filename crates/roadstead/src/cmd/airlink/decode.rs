//! `roadstead airlink decode`: which credentials were in the air, or why none were believed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use roadstead_wire::airlink::{Credentials, Event, Hopper, Plan, Scheme, ack};
use serde_json::{Value, json};

use super::{SecretArg, input, keys};
use crate::failure::{Failure, Result};
use crate::output::{Out, Tone};

/// Where to listen.
#[derive(Args, Debug)]
pub(crate) struct Decode {
    /// A scheme, or `auto` for all of them.
    #[arg(long, default_value = "auto", value_parser = which)]
    scheme: Which,
    /// AES key as text or 32 hexadecimal digits, PIN, or product secret.
    #[arg(long)]
    key: Option<SecretArg>,
    /// Listen on this channel only; that of the file when missing.
    #[arg(long)]
    channel: Option<u8>,
    /// JSON, pcap or pcapng; `-` for standard input.
    file: PathBuf,
}

/// One scheme or all.
#[derive(Clone, Debug)]
pub(super) struct Which(pub(super) Vec<Scheme>);

pub(super) fn which(text: &str) -> std::result::Result<Which, String> {
    match text {
        "auto" => Ok(Which(Scheme::ALL.to_vec())),
        _ => text.parse().map(|scheme| Which(vec![scheme])).map_err(|error| format!("{error}")),
    }
}

impl Decode {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let input = input::read(&self.file)?;
        let keys = keys(self.key.as_ref(), &self.scheme.0)?;
        let channel = self.channel.or(input.channel);
        let plan = Plan { channels: vec![channel.unwrap_or(1)], ..Plan::default() };
        let mut hopper = Hopper::new(plan, &self.scheme.0, &keys, Duration::ZERO);
        let on = |frame: &&_| -> bool {
            let frame: &&roadstead_wire::airlink::Frame = frame;
            channel.is_none_or(|channel| frame.channel == channel || frame.channel == 0)
        };
        let mut heard = 0_usize;
        for frame in input.frames.iter().filter(on) {
            heard += 1;
            if let Some((scheme, Event::Complete(found))) = hopper.hear(frame) {
                let document = document(scheme, &found, frame.at_us);
                return out.answer(&document, |out| text(out, scheme, &found, frame.at_us));
            }
        }
        let reason = hopper.reason();
        Err(Failure::new(reason.code(), format!("No credentials in {heard} frames.")))
    }
}

pub(super) fn document(scheme: Scheme, found: &Credentials, at_us: Option<u64>) -> Value {
    let mut document = json!({
        "scheme": scheme.name(),
        "ssid": found.ssid_text(),
        "ssid_hex": hex::encode(&found.ssid),
        "password": found.password_text(),
        "password_hex": hex::encode(&found.password),
        "bssid": found.bssid.map(|mac| mac.to_string()),
        "phone_ip": found.phone_ip.map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        "reserved_hex": hex::encode(&found.extra),
        "t_ms": at_us.map(|us| us as f64 / 1000.0),
    });
    match found.ack {
        ack::Proof::AirKiss { random } => document["random"] = random.into(),
        ack::Proof::EspTouch { total } => document["expect_ack_first_byte"] = total.into(),
        ack::Proof::EspTouch2 { mark } => document["port_mark"] = mark.into(),
        ack::Proof::SimpleConfig | ack::Proof::SmartConfig => {}
    }
    document
}

pub(super) fn text(out: &Out, scheme: Scheme, found: &Credentials, at_us: Option<u64>) -> String {
    let title = |text| out.paint().tone(Tone::Dim, text);
    let mut text = format!(
        "{}    {scheme}\n{}      {}\n{}  {}\n",
        title("scheme"),
        title("ssid"),
        found.ssid_text(),
        title("password"),
        found.password_text(),
    );
    if !found.extra.is_empty() {
        text += &format!("{}  {}\n", title("reserved"), hex::encode(&found.extra));
    }
    if let Some(us) = at_us {
        text += &format!("{}     {:.3} s\n", title("after"), us as f64 / 1e6);
    }
    text
}
