//! `roadstead app provision`: one onboarding, shown stage by stage; it ends bound, or with the
//! reason code and its remedy.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{Args, ValueEnum};
use roadstead_app::{Event, Method, Options, provision};
use roadstead_core::{Secret, Timestamp};
use roadstead_dialects::tencent::comm::{COMMAND_PORT, PROGRESS_PORT};
use serde_json::json;

use super::{failed, session};
use crate::client::ServerArgs;
use crate::cmd::{SecretArg, block_on};
use crate::failure::{Failure, Result};
use crate::firmware;
use crate::output::{Clock, Out, Tone, span};

/// Takes a device into possession: network, token, binding.
#[derive(Args, Debug)]
pub(crate) struct Provision {
    /// Whose device it is.
    #[arg(long, default_value = "tencent")]
    dialect: String,
    /// How the device gets network and token.
    #[arg(long, value_enum, default_value = "softap")]
    via: Via,
    /// Address of the device, `IP` or `IP:PORT`; in its own network usually 192.168.4.1.
    #[arg(long, value_name = "ADDRESS", default_value = "192.168.4.1", value_parser = firmware::lan)]
    lan: SocketAddr,
    /// Name of the home network, for `softap`.
    #[arg(long, required_if_eq("via", "softap"))]
    ssid: Option<String>,
    /// Password of the home network; an open network when missing.
    #[arg(long)]
    password: Option<SecretArg>,
    /// Let the device's report alone complete the binding.
    #[arg(long)]
    auto_bind: bool,
    /// Seconds until the phone gives up.
    #[arg(long, value_name = "SECONDS", default_value_t = 200)]
    wait: u64,
    #[command(flatten)]
    server: ServerArgs,
}

/// How a device gets network and token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// In the device's own network.
    Softap,
    /// Both are in the home network; the device needs the token alone.
    Token,
}

/// Pause between two questions to the platform.
const POLL_GAP: Duration = Duration::from_millis(500);

impl Provision {
    pub(super) fn run(self, out: &Out) -> Result<()> {
        firmware::find(&self.dialect)?;
        let phone = session::open(&self.server)?;
        let options = self.options();
        let start = Clock::now().0;
        let mut told = Ok(());
        let result = block_on(async {
            provision(&phone, options, |event| {
                if told.is_ok() {
                    told = show(out, start, &event);
                }
            })
            .await
            .map_err(|error| failed(&error))
        });
        told?;
        match result {
            Ok(bound) => {
                out.event(&json!({
                    "event": "bound", "device_id": bound.device_id,
                    "attempt_id": bound.attempt_id, "binding_id": bound.binding_id,
                }))?;
                let label = out.paint().tone(Tone::Good, "Bound.");
                let took = span(Clock::now().0.since(start));
                out.text(&format!("{label} Device `{}` is yours after {took}.\n", bound.device_id))
            }
            Err(failure) if out.json() => {
                out.event(&json!({ "event": "failed", "error": failure.to_json() }))?;
                Err(Failure::Reported)
            }
            Err(failure) => Err(failure),
        }
    }

    fn options(&self) -> Options {
        let method = match self.via {
            Via::Softap => Method::SoftAp {
                ssid: self.ssid.clone().unwrap_or_default(),
                password: self
                    .password
                    .as_ref()
                    .map_or_else(|| Secret::from(""), |password| password.0.clone()),
            },
            Via::Token => Method::TokenOnly,
        };
        let mut device = self.lan;
        if device.port() == 0 {
            device.set_port(COMMAND_PORT);
        }
        let mut options = Options::new(method, device);
        options.progress = Some(progress_address(device));
        options.auto_bind = self.auto_bind;
        options.poll_gap = POLL_GAP;
        options.poll_life = Duration::from_secs(self.wait);
        options
    }
}

/// Returns where progress broadcasts of a device are heard. On loopback that is the broadcast
/// address itself, so that a virtual device on the same machine keeps the port of its own address.
pub(in crate::cmd) fn progress_address(device: SocketAddr) -> SocketAddr {
    let ip = match device.ip().is_loopback() {
        true => Ipv4Addr::new(127, 255, 255, 255),
        false => Ipv4Addr::UNSPECIFIED,
    };
    SocketAddr::from((ip, PROGRESS_PORT))
}

fn show(out: &Out, start: Timestamp, event: &Event) -> Result<()> {
    out.event(&json!(event))?;
    let paint = out.paint();
    let line = match event {
        Event::Stage { stage, time_ms, detail } => {
            let after = Timestamp(*time_ms).since(start).as_secs_f64();
            let stage = paint.tone(Tone::Name, &format!("{:22}", stage.name().replace('_', " ")));
            format!("{after:7.3} s  {stage}{}", detail.as_deref().unwrap_or_default())
        }
        Event::PreviousError { text } => {
            paint.tone(Tone::Warn, &format!("The device tells of an earlier failure: {text}"))
        }
        Event::Silent => paint.tone(
            Tone::Warn,
            "No answer from the device yet; the platform is asked whether it arrives.",
        ),
    };
    out.text(&format!("{}\n", line.trim_end()))
}
