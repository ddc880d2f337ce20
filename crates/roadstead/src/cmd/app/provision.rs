//! `roadstead app provision`: one onboarding, shown stage by stage; it ends bound, or with the
//! reason code and its remedy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{Args, ValueEnum};
use roadstead_app::{
    Air, Event, Method, Options, QrOptions, alibaba, module, provision, provision_by_qr,
};
use roadstead_core::attempt::Stage;
use roadstead_core::{Secret, Timestamp};
use roadstead_dialects::air::Bearer;
use roadstead_dialects::gizwits::lan::{SOFTAP_IP, TCP_PORT, UDP_PORT};
use roadstead_dialects::tencent::comm::{COMMAND_PORT, PROGRESS_PORT};
use roadstead_wire::airlink::Scheme;
use roadstead_wire::softap::Qr;
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
    /// Name of the wanted device, with `--via lan`; MAC address of the wanted module (GizWits).
    #[arg(long)]
    device: Option<String>,
    /// Text of the QR code that the device shows, with `--via softap`: network and token are sealed,
    /// and the device tells how it goes. For devices of every dialect that has `device run --via
    /// softap` and no module.
    #[arg(long, value_name = "TEXT")]
    qr: Option<SecretArg>,
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
    /// The vendor's own smartconfig, over the simulated air (Alibaba).
    Smartconfig,
    /// In the vendor's framing, over simulated Bluetooth.
    Ble,
    /// BluFi with security, over simulated Bluetooth.
    Blufi,
    /// The subset of BluFi without security, over simulated Bluetooth.
    Combo,
    /// LLSync, over simulated Bluetooth.
    Llsync,
}

/// Ways that need the home network's name.
const NEED_NETWORK: [(&str, &str); 10] = [
    ("via", "softap"),
    ("via", "airkiss"),
    ("via", "esptouch"),
    ("via", "esptouch2"),
    ("via", "simpleconfig"),
    ("via", "smartconfig"),
    ("via", "ble"),
    ("via", "blufi"),
    ("via", "combo"),
    ("via", "llsync"),
];

/// What a phone can do for devices of each dialect, the usual way first.
const WAYS: &[(&str, &[Via])] = &[
    (ALIBABA, &[Via::Softap, Via::Smartconfig, Via::Token, Via::Lan]),
    (
        GIZWITS,
        &[Via::Softap, Via::Airkiss, Via::Esptouch, Via::Esptouch2, Via::Simpleconfig, Via::Lan],
    ),
    (
        "tencent",
        &[
            Via::Softap,
            Via::Airkiss,
            Via::Esptouch,
            Via::Esptouch2,
            Via::Simpleconfig,
            Via::Ble,
            Via::Blufi,
            Via::Combo,
            Via::Llsync,
            Via::Token,
        ],
    ),
];

/// Address of most devices in their own network.
const AP_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);
/// The dialect whose devices speak CoAP.
const ALIBABA: &str = "alibaba";
/// The dialect whose devices are modules.
const GIZWITS: &str = "gizwits";

/// Pause between two questions to the platform.
const POLL_GAP: Duration = Duration::from_millis(500);

impl Provision {
    pub(super) fn run(self, out: &Out) -> Result<()> {
        check(&self.dialect, self.via)?;
        if self.via == Via::Smartconfig && self.product_secret.is_none() {
            let text = "`--via smartconfig` needs `--product-secret`: it encrypts the password";
            return Err(Failure::Usage(text.to_owned()));
        }
        if self.dialect == ALIBABA && self.device.is_some() != self.product.is_some() {
            let text = "`--product` and `--device` belong together";
            return Err(Failure::Usage(text.to_owned()));
        }
        let phone = session::open(&self.server)?;
        let qr = match &self.qr {
            Some(_) if self.via != Via::Softap || self.dialect == GIZWITS => {
                let text = "`--qr` goes with `--via softap`; modules have no QR code";
                return Err(Failure::Usage(text.to_owned()));
            }
            Some(text) => Some(Qr::parse(text.text()).map_err(|error| {
                Failure::new(error.code(), format!("The QR code cannot be used: {error}."))
            })?),
            None => None,
        };
        let start = Clock::now().0;
        let mut told = Ok(());
        let mut hear = |event: Event| {
            if told.is_ok() {
                told = show(out, start, &event);
            }
        };
        let result = block_on(async {
            if let Some(qr) = qr {
                let result = provision_by_qr(&phone, &self.by_qr(qr), &mut hear).await;
                return result.map_err(|error| failed(&error));
            }
            let result = match (&*self.dialect, self.via) {
                (ALIBABA, Via::Softap) => alibaba::provision(&phone, &self.coap(), &mut hear).await,
                (ALIBABA, Via::Smartconfig) => {
                    let air = self.air(Bearer::Sniffed(Scheme::SmartConfig));
                    alibaba::provision_over_air(&phone, &air, &self.coap(), &mut hear).await
                }
                (ALIBABA, _) => {
                    let lan = self.search();
                    alibaba::bind(&phone, &lan, |found| hear(found_event(found))).await
                }
                (GIZWITS, via) => module::provision(&phone, &self.module(via), &mut hear).await,
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
        options.lan.wanted = self.product.clone().zip(self.device.clone());
        options.lan.life = options.poll_life;
        options
    }

    fn by_qr(&self, qr: Qr) -> QrOptions {
        let password = self.password.as_ref().map(|password| password.0.clone());
        QrOptions {
            qr,
            ssid: self.ssid.clone().unwrap_or_default(),
            password: password.unwrap_or_else(|| Secret::from("")),
            poll_gap: POLL_GAP,
            poll_life: Duration::from_secs(self.wait),
        }
    }

    /// Returns what is sent through the simulated air, and where to.
    fn air(&self, bearer: Bearer) -> Air {
        let has_key = bearer == Bearer::Sniffed(Scheme::SmartConfig);
        let key = self.product_secret.as_ref().filter(|_| has_key).map(|secret| secret.0.clone());
        let radio = firmware::radio(self.air, self.address());
        Air { bearer, radio, key, loss: f64::from(self.loss) / 100.0 }
    }

    /// Returns the settings for a communication module. At another UDP port than the vendor's it
    /// has its other ports around that one.
    fn module(&self, via: Via) -> module::Options {
        let (mut at, mut tcp_port) = (self.lan, TCP_PORT);
        let mut lan = module::Air::of(match at.map(|at| at.ip()) {
            Some(IpAddr::V4(ip)) if ip.is_loopback() => Ipv4Addr::LOCALHOST,
            _ => Ipv4Addr::UNSPECIFIED,
        });
        if let Some(at) = &mut at {
            match at.port() {
                0 => at.set_port(UDP_PORT),
                port => {
                    lan.announce_port = port.saturating_add(1);
                    tcp_port = port.saturating_add(2);
                }
            }
            lan.ask = *at;
        }
        let way = match via.bearer() {
            Some(bearer) => module::Way::Air(self.air(bearer)),
            None if via == Via::Softap => {
                module::Way::SoftAp(at.unwrap_or_else(|| (SOFTAP_IP, UDP_PORT).into()))
            }
            None => module::Way::Present,
        };
        let password = self.password.as_ref().map(|password| password.0.clone());
        module::Options {
            way,
            lan,
            tcp_port,
            ssid: self.ssid.clone().unwrap_or_default(),
            password: password.unwrap_or_else(|| Secret::from("")),
            mac: self.device.clone(),
            gap: POLL_GAP,
            life: Duration::from_secs(self.wait),
        }
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
        let method = match self.via.bearer() {
            Some(bearer) => Method::Air { air: self.air(bearer), ssid, password },
            None if self.via == Via::Softap => Method::SoftAp { ssid, password },
            None => Method::TokenOnly,
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

impl Via {
    /// Returns how it goes through the simulated air, if it does.
    fn bearer(self) -> Option<Bearer> {
        firmware::Via::from_str(&self.word(), false).ok()?.bearer()
    }

    fn word(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Refuses a way that devices of the dialect have not, with those they have.
fn check(dialect: &str, via: Via) -> Result<()> {
    if let Some((_, ways)) = WAYS.iter().find(|(known, _)| *known == dialect) {
        if ways.contains(&via) {
            return Ok(());
        }
        let known: Vec<String> = ways.iter().map(|via| format!("`{}`", via.word())).collect();
        let known = known.join(", ");
        return Err(Failure::Usage(format!("devices of `{dialect}` take `--via` {known}")));
    }
    firmware::find(dialect)?;
    let text = format!(
        "devices of `{dialect}` know no phone; give them to their owner with `roadstead binding create`"
    );
    Err(Failure::Usage(text))
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
