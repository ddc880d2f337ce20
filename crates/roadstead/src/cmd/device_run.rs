//! `roadstead device run`: a virtual device on real sockets; its Wi-Fi is simulated by address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use roadstead_agent::AgentEvent;
use roadstead_agent::portal::PortalOptions;
use roadstead_core::Secret;
use roadstead_wire::softap::Qr;
use serde_json::json;
use tokio::sync::mpsc;

use super::device_module;
use super::{SecretArg, block_on, stop_signal};
use crate::failure::{Failure, Result};
use crate::firmware::{self, Address, Flash, Pace, TlsMode, Via};
use crate::output::{Out, Tone};

/// Port of the own access point's messages, unless `--page` names an address.
const PORTAL_PORT: u16 = 17_080;

/// Runs a virtual device on this machine.
///
/// It prints what it sees until SIGTERM: stages of onboarding, log-ins, what it is told. With
/// `--json` each is a line.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Whose language it speaks, such as `tencent`.
    #[arg(long)]
    dialect: String,
    /// Product id.
    #[arg(long)]
    product: String,
    /// DeviceName, node id or MAC.
    #[arg(long)]
    device: String,
    /// Device secret, as the vendor shows it; without one the device registers itself.
    #[arg(long)]
    secret: Option<SecretArg>,
    /// Product secret, for registration.
    #[arg(long)]
    product_secret: Option<SecretArg>,
    /// Its certificate chain, PEM, for `--tls certificate`.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of its certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Where it logs in: the server's MQTT address, or its MQTTS address with `--tls`.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "bootstrap")]
    server: Option<Address>,
    /// Asks the provisioning service at this address where to log in (Huawei).
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<Address>,
    /// Scope id of its registration group; the group's secret is `--product-secret`.
    #[arg(long, value_name = "ID", requires = "bootstrap")]
    scope: Option<String>,
    /// Text by which the provisioning service chooses a platform.
    #[arg(long, value_name = "TEXT", requires = "bootstrap")]
    keyword: Option<String>,
    /// Packs its reports, where its vendor's devices may.
    #[arg(long)]
    gzip: bool,
    /// Where it registers: the server's vendor HTTP address.
    #[arg(long, value_name = "HOST:PORT")]
    vendor_http: Option<Address>,
    /// Protection of the log-in. Firmware of Tencent's SDK uses `psk` unless it was built without.
    #[arg(long, value_enum, default_value = "off")]
    tls: TlsMode,
    /// Authorities trusted for the server's certificate, PEM; the system's when missing.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How it comes by network and bind token; the vendor's usual way when missing.
    #[arg(long, value_enum)]
    via: Option<Via>,
    /// Address at which phones reach it, `IP` or `IP:PORT`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = firmware::lan)]
    lan: SocketAddr,
    /// Where its simulated radio hears, `IP` or `IP:PORT`; at `--lan` when missing.
    #[arg(long, value_name = "ADDRESS", value_parser = firmware::lan)]
    air: Option<SocketAddr>,
    /// Serves the page for browsers here while its own access point is open, `IP:PORT`; phones with
    /// the QR code are served here, too. Without it they are served at port 17080 of `--lan`, and
    /// there is no page.
    #[arg(long, value_name = "ADDRESS")]
    page: Option<SocketAddr>,
    /// Answers every name with the address of `--page`, so that phones open the page by themselves.
    #[arg(long, value_name = "ADDRESS", requires = "page")]
    dns: Option<SocketAddr>,
    /// The only network there is, for tries with wrong names and passwords; without it every one
    /// is joined.
    #[arg(long, value_name = "NAME")]
    only_ssid: Option<String>,
    /// The password of `--only-ssid`.
    #[arg(long, value_name = "PASSWORD", requires = "only_ssid")]
    only_password: Option<SecretArg>,
    /// Its flash: where it keeps secret, network and token.
    #[arg(long, value_name = "DIR", default_value = "roadstead-device")]
    data_dir: PathBuf,
    /// Its timing.
    #[arg(long, value_enum, default_value = "lab")]
    pace: Pace,
    /// Serial port of its MCU, 9600 8N1 (GizWits); a virtual MCU when missing.
    #[arg(long, value_name = "PORT")]
    serial: Option<PathBuf>,
    /// Status bytes of the virtual MCU (GizWits), hexadecimal; a sample product when missing.
    #[arg(long, value_name = "HEX", conflicts_with = "serial")]
    points: Option<String>,
}

impl Run {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        block_on(self.live(out))
    }

    async fn live(self, out: &Out) -> Result<()> {
        if self.dialect == device_module::DIALECT {
            return self.live_module(out).await;
        }
        if self.serial.is_some() || self.points.is_some() {
            let text = "only devices of `gizwits` have a serial line";
            return Err(Failure::Usage(text.to_owned()));
        }
        let kind = firmware::find(&self.dialect)?;
        let via = firmware::choose(kind.dialect, kind.ways, self.via)?;
        let portal = self.portal(via)?;
        let only_password = self.only_password.map_or_else(|| Secret::from(""), |word| word.0);
        let network = self.only_ssid.map(|ssid| (ssid, only_password));
        let certificate = match (&self.certificate, &self.key) {
            (Some(chain), Some(key)) => Some((read(chain)?.into(), Secret::new(read(key)?))),
            (_, _) => None,
        };
        let (scope, keyword) = (self.scope, self.keyword);
        let bootstrap =
            self.bootstrap.map(|address| firmware::Bootstrap { address, scope, keyword });
        let flash = Flash {
            product: self.product,
            device: self.device,
            secret: self.secret.map(|secret| secret.0),
            product_secret: self.product_secret.map(|secret| secret.0),
            certificate,
            server: self.server,
            registrar: self.vendor_http,
            bootstrap,
            tls: self.tls,
            is_packed: self.gzip,
            via,
            pace: self.pace,
            seed: u64::from(std::process::id()),
        };
        let (sender, mut events) = mpsc::unbounded_channel();
        let ca_file = self.ca_file.as_deref();
        let place = firmware::Home {
            lan: self.lan,
            folder: &self.data_dir,
            air: self.air,
            ca_file,
            portal,
            network,
        };
        let agent = kind.device(&flash, place, move |event| {
            // The printing end lives as long as the device.
            let _ = sender.send(event);
        })?;
        if let Some(qr) = agent.qr() {
            show_qr(out, qr)?;
        }
        let mut device = std::pin::pin!(agent.run(stop_signal()));
        loop {
            tokio::select! {
                Some(event) = events.recv() => print(out, &event)?,
                result = &mut device => {
                    while let Ok(event) = events.try_recv() {
                        print(out, &event)?;
                    }
                    return result.map_err(|error| firmware::stopped(error.code(), &error));
                }
            }
        }
    }
}

impl Run {
    /// Returns what is served in the own access point.
    fn portal(&self, via: Via) -> Result<Option<PortalOptions>> {
        match (via, self.page) {
            (Via::Softap, page) => Ok(Some(PortalOptions {
                at: page.unwrap_or_else(|| SocketAddr::new(self.lan.ip(), PORTAL_PORT)),
                has_page: page.is_some(),
                is_sealed: true,
                ap: format!("{}_{}", self.dialect, self.device),
                dns: self.dns,
                name: self.device.clone(),
            })),
            (_, None) => Ok(None),
            (_, Some(_)) => {
                let text = "only a device with `--via softap` has an access point for `--page`";
                Err(Failure::Usage(text.to_owned()))
            }
        }
    }

    async fn live_module(self, out: &Out) -> Result<()> {
        if self.page.is_some() || self.only_ssid.is_some() {
            let text = "a module serves its page itself, at port 80 of its own network or at the \
                        third port after that of `--lan`, and joins every network";
            return Err(Failure::Usage(text.to_owned()));
        }
        let module = device_module::Module {
            product: &self.product,
            device: &self.device,
            secret: self.secret.map(|secret| secret.0),
            server: self.server.as_ref(),
            lan: self.lan,
            data_dir: &self.data_dir,
            serial: self.serial,
            points: self.points.as_deref(),
            via: firmware::choose(device_module::DIALECT, firmware::MODULE, self.via)?,
            air: firmware::radio(self.air, self.lan),
            pace: self.pace,
        };
        let (sender, mut events) = mpsc::unbounded_channel();
        let agent = module.build(move |event| {
            // The printing end lives as long as the device.
            let _ = sender.send(event);
        })?;
        let mut device = std::pin::pin!(agent.run(stop_signal()));
        loop {
            tokio::select! {
                Some(event) = events.recv() => print(out, &event)?,
                result = &mut device => {
                    while let Ok(event) = events.try_recv() {
                        print(out, &event)?;
                    }
                    return result.map_err(|error| firmware::stopped(error.code(), &error));
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::file("Reading", path, &error))
}

/// Prints the QR code of a device: dark on light, whatever the colours of the terminal.
fn show_qr(out: &Out, qr: &Qr) -> Result<()> {
    let text = qr.text();
    let date = crate::output::Clock::now().0.as_millis();
    out.event(&json!({ "time_ms": date, "stage": "qr_code", "data": { "text": *text } }))?;
    let code = QrCode::new(text.as_bytes())
        .map_err(|error| Failure::Usage(format!("the names do not fit into a QR code: {error}")))?;
    // A terminal's usual text is light on dark: a filled cell is light.
    let picture =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    out.text(&format!("{picture}\n{}\n", *text))
}

fn print(out: &Out, event: &AgentEvent) -> Result<()> {
    out.event(&json!(event))?;
    let paint = out.paint();
    let tone = match event.code {
        Some(_) => Tone::Bad,
        None if event.stage == "bound" || event.stage == "online" => Tone::Good,
        None => Tone::Name,
    };
    let at = roadstead_core::Timestamp(event.time_ms).to_string();
    let time = at.split_once('T').map_or(at.as_str(), |(_, time)| time);
    let mut line = format!(
        "{}  {}",
        paint.tone(Tone::Dim, time),
        paint.tone(tone, &format!("{:22}", event.stage.replace('_', " ")))
    );
    if let Some(code) = event.code {
        line.push_str(&format!("{code}  "));
    }
    line.push_str(event.detail.as_deref().unwrap_or_default());
    if let Some(data) = &event.data {
        line.push_str(&data.to_string());
    }
    out.text(&format!("{}\n", line.trim_end()))
}
