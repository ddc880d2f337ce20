//! `roadstead app provision`: one onboarding, shown stage by stage; it ends bound, or with the
//! reason code and its remedy.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{Args, ValueEnum};
use roadstead_app::{Air, Event, Method, Options, alibaba, provision};
use roadstead_core::attempt::Stage;
use roadstead_core::{Secret, Timestamp};
use roadstead_dialects::air::Bearer;
use roadstead_dialects::tencent::comm::{COMMAND_PORT, PROGRESS_PORT};
use roadstead_wire::airlink::Scheme;
use serde_json::json;

use super::lan::{places, with_port};
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
    /// Address of the device, `IP` or `IP:PORT`; in its own network usually 192.168.4.1, which is
    /// the default. With `--via lan` everybody is asked without it.
    #[arg(long, value_name = "ADDRESS", value_parser = firmware::lan)]
    lan: Option<SocketAddr>,
    /// Name of the home network; only `token` and `lan` go without.
    #[arg(long, required_if_eq_any(NEED_NETWORK))]
    ssid: Option<String>,
    /// Password of the home network; an open network when missing.
    #[arg(long)]
    password: Option<SecretArg>,
    /// The product's secret, for passwords of more than 16 characters and for old firmware
    /// (Alibaba).
    #[arg(long)]
    product_secret: Option<SecretArg>,
    /// Product of the wanted device, with `--via lan`.
    #[arg(long, requires = "device")]
    product: Option<String>,
    /// Name of the wanted device, with `--via lan`.
    #[arg(long, requires = "product")]
    device: Option<String>,
    /// Let the device's report alone complete the binding.
    #[arg(long)]
    auto_bind: bool,
    /// Seconds until the phone gives up.
    #[arg(long, value_name = "SECONDS", default_value_t = 200)]
    wait: u64,
    /// The simulated radio of the device, `IP` or `IP:PORT`; at `--lan` when missing.
    #[arg(long, value_name = "ADDRESS", value_parser = firmware::lan)]
    air: Option<SocketAddr>,
    /// Part of the frames that the device's simulated radio loses, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(..=90))]
    loss: u8,
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
    /// Both are in the home network, and the device makes the token (Alibaba).
    Lan,
    /// AirKiss, over the simulated air.
    Airkiss,
    /// ESPTouch v1, over the simulated air.
    Esptouch,
    /// ESPTouch v2, over the simulated air; the token travels along.
    Esptouch2,
    /// Realtek Simple Config, over the simulated air.
    Simpleconfig,
    /// BluFi with security, over simulated Bluetooth.
    Blufi,
    /// The subset of BluFi without security, over simulated Bluetooth.
    Combo,
    /// LLSync, over simulated Bluetooth.
    Llsync,
}

/// Ways that need the home network's name.
const NEED_NETWORK: [(&str, &str); 8] = [
    ("via", "softap"),
    ("via", "airkiss"),
    ("via", "esptouch"),
    ("via", "esptouch2"),
    ("via", "simpleconfig"),
    ("via", "blufi"),
    ("via", "combo"),
    ("via", "llsync"),
];

/// Address of most devices in their own network.
const AP_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);
/// The dialect whose devices speak CoAP.
const ALIBABA: &str = "alibaba";

/// Pause between two questions to the platform.
const POLL_GAP: Duration = Duration::from_millis(500);

impl Provision {
    pub(super) fn run(self, out: &Out) -> Result<()> {
        firmware::find(&self.dialect)?;
        let phone = session::open(&self.server)?;
        if self.via == Via::Lan && self.dialect != ALIBABA {
            let text = "`--via lan` is for devices that make their own tokens: `--dialect alibaba`";
            return Err(Failure::Usage(text.to_owned()));
        }
        if self.dialect == ALIBABA && !matches!(self.via, Via::Softap | Via::Token | Via::Lan) {
            let text = "devices of this dialect take `--via softap`, `token` or `lan`";
            return Err(Failure::Usage(text.to_owned()));
        }
        let start = Clock::now().0;
        let mut told = Ok(());
        let mut hear = |event: Event| {
            if told.is_ok() {
                told = show(out, start, &event);
            }
        };
        let result = block_on(async {
            let result = match (self.dialect == ALIBABA, self.via) {
                (true, Via::Softap) => alibaba::provision(&phone, &self.coap(), &mut hear).await,
                (true, Via::Token | Via::Lan) => {
                    let lan = self.search();
                    alibaba::bind(&phone, &lan, |found| hear(found_event(found))).await
                }
                (_, _) => provision(&phone, self.options(), &mut hear).await,
            };
            result.map_err(|error| failed(&error))
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

    fn address(&self) -> SocketAddr {
        self.lan.unwrap_or_else(|| SocketAddr::from((AP_ADDRESS, 0)))
    }

    /// Returns the settings for a device that speaks CoAP, in its own network.
    fn coap(&self) -> alibaba::Options {
        let ssid = self.ssid.clone().unwrap_or_default();
        let password = self.password.as_ref().map(|password| password.0.clone());
        let password = password.unwrap_or_else(|| Secret::from(""));
        let mut options = alibaba::Options::new(with_port(self.address()), &ssid, password);
        options.product_secret = self.product_secret.as_ref().map(|secret| secret.0.clone());
        options.poll_gap = POLL_GAP;
        options.poll_life = Duration::from_secs(self.wait);
        options.lan.device = Some(options.device);
        options
    }

    /// Returns where a device of the home network is looked for.
    fn search(&self) -> alibaba::Lan {
        let wanted = self.product.clone().zip(self.device.clone());
        alibaba::Lan { wanted, life: Duration::from_secs(self.wait), ..places(self.lan) }
    }

    fn options(&self) -> Options {
        let ssid = self.ssid.clone().unwrap_or_default();
        let password = self.password.as_ref();
        let password = password.map_or_else(|| Secret::from(""), |password| password.0.clone());
        let over_air = |bearer| {
            let radio = firmware::radio(self.air, self.address());
            let air = Air { bearer, radio, loss: f64::from(self.loss) / 100.0 };
            Method::Air { air, ssid: ssid.clone(), password: password.clone() }
        };
        let method = match self.via {
            Via::Softap => Method::SoftAp { ssid, password },
            Via::Token | Via::Lan => Method::TokenOnly,
            Via::Airkiss => over_air(Bearer::Sniffed(Scheme::AirKiss)),
            Via::Esptouch => over_air(Bearer::Sniffed(Scheme::EspTouch)),
            Via::Esptouch2 => over_air(Bearer::Sniffed(Scheme::EspTouch2)),
            Via::Simpleconfig => over_air(Bearer::Sniffed(Scheme::SimpleConfig)),
            Via::Blufi => over_air(Bearer::BluFi),
            Via::Combo => over_air(Bearer::Combo),
            Via::Llsync => over_air(Bearer::LlSync),
        };
        let mut device = self.address();
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

/// Tells a device that was found as a stage.
fn found_event(found: &alibaba::Found) -> Event {
    let info = &found.info;
    let state = if info.token.is_some() { "has a token" } else { "has no confirmed token" };
    let detail = Some(format!("{}/{} at {}, {state}", info.product, info.device, found.from));
    Event::Stage { stage: Stage::DeviceFound, time_ms: Clock::now().0.as_millis(), detail }
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
