//! `roadstead demo`: platform, virtual phone and one virtual device per dialect on this machine,
//! over real loopback sockets: provision → register → bind → report → command. Where a vendor's
//! devices know no phone, its provisioning service and the operator do the phone's part.
//!
//! It shows nothing that is not real: the platform is that of `roadstead up` with its SQLite
//! store, the device is the agent library, the phone the app library.

mod cable;
mod cast;
mod folder;
mod journey;
mod module;
mod story;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use roadstead_core::attempt::Witness;
use roadstead_core::{Secret, Value};
use roadstead_server::Server;
use roadstead_server::config::{Address as Listener, Config, Listen};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::{block_on_all_cores, import, stop_signal, up};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::firmware::Address;
use crate::fleet;
use crate::output::{Clock, Out, Tone};
use cable::Cable;
use cast::Cast;
use folder::{Folder, random_text};
use journey::{Device, Platform};
use story::{Happening, Story, Teller};

/// Longest time for one dialect's whole journey.
const JOURNEY_WAIT: Duration = Duration::from_secs(30);
/// Longest time for devices and platform to stop.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// Pause between two looks at what may be told.
const TELL_GAP: Duration = Duration::from_millis(50);
/// Pause between two reports of a device after its journey.
const REPORT_GAP: Duration = Duration::from_secs(5);

/// Shows platform, phone and devices at work on this machine.
///
/// Everything happens in a temporary folder and on free loopback ports, and is gone at the end.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// End when every dialect is through: exit code 0, or 1 with the reason.
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        block_on_all_cores(|http| async move {
            let folder = Folder::new()?;
            let stage = Stage::build(out, &folder, http).await?;
            let result = tokio::select! {
                result = stage.play(out, &folder, self.once) => result,
                () = stop_signal() => Ok(()),
            };
            stage.strike().await;
            result
        })
    }
}

/// The platform on which the journeys happen.
struct Stage {
    platform: Platform,
    operator: Client,
    password: String,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    /// Carries what goes through the cable.
    relay: tokio::task::JoinHandle<()>,
}

impl Stage {
    /// Starts the platform and imports the products.
    async fn build(out: &Out, folder: &Folder, http: Handle) -> Result<Self> {
        let data = folder.inner("platform")?;
        let password = random_text()?;
        let near = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|e| no_port(&e))?;
        let config = settings(data.clone(), near.local_addr().map_err(|e| no_port(&e))?)?;
        let ca_file = data.join("tls/ca.pem");
        let server = up::start_with(config, Some(Secret::from(password.as_str())), http).await?;
        let mqtt = server.addresses().get("mqtt").and_then(|at| at.parse().ok());
        let (cable, relay) = Cable::lay(near, mqtt.ok_or_else(|| no_listener("mqtt"))?);
        let (platform, base) = addresses(&server, ca_file, cable)?;
        let (stop, mut stopped) = watch::channel(false);
        let server = tokio::spawn(server.run_until(async move {
            // A dropped sender means that the demonstration is over, too.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
        let args = ServerArgs { server: Some(base), data_dir: data };
        let operator = Client::connect_with_file(&args).await?;
        for cast in cast::ALL {
            import_products(cast, folder, &operator).await?;
        }
        let stage = Self { platform, operator, password, stop, server, relay };
        stage.announce(out)?;
        Ok(stage)
    }

    fn announce(&self, out: &Out) -> Result<()> {
        let base = &self.platform.base;
        let dialects: Vec<&str> = cast::ALL.iter().map(|cast| cast.dialect).collect();
        out.event(&json!({
            "event": "ready", "console": format!("{base}/"), "username": "admin",
            "password": self.password, "dialects": dialects,
        }))?;
        let paint = out.paint();
        let head = paint.tone(Tone::Strong, "Roadstead demo");
        let devices = match dialects.len() {
            1 => format!("one {} device", dialects[0]),
            n => format!("{n} devices ({})", dialects.join(", ")),
        };
        out.text(&format!("{head}: the platform, a phone and {devices} on loopback sockets.\n"))?;
        out.text(&self.console(out))?;
        out.text("\n")
    }

    fn console(&self, out: &Out) -> String {
        let url = out.paint().tone(Tone::Name, &format!("{}/", self.platform.base));
        format!("Console {url}  user admin  password {}\n", self.password)
    }

    /// Plays every dialect's journey; without `once` devices go on reporting until Ctrl-C.
    async fn play(&self, out: &Out, folder: &Folder, once: bool) -> Result<()> {
        let (teller, mut happenings) = Teller::new();
        let mut story = Story::new(out, cast::ALL.len() > 1);
        let mut journeys = FuturesUnordered::new();
        let mut devices = Vec::new();
        for (n, cast) in cast::ALL.iter().enumerate() {
            let teller = teller.of(cast.dialect);
            let lan = journey::lan(n, cast.way);
            let flash = folder.inner(cast.dialect)?;
            let stop = self.stop.subscribe();
            let device = journey::device(cast, &self.platform, lan, flash, teller.clone(), stop)?;
            devices.push((cast, device));
            journeys.push(async move {
                let people = journey::people(
                    cast,
                    &self.platform,
                    lan,
                    &self.operator,
                    &self.password,
                    &teller,
                );
                (cast, tokio::time::timeout(JOURNEY_WAIT, people).await)
            });
        }
        let mut failures = Vec::new();
        let mut tick = tokio::time::interval(TELL_GAP);
        while !journeys.is_empty() {
            tokio::select! {
                Some(happening) = happenings.recv() => story.hold(happening),
                _ = tick.tick() => story.release(false)?,
                Some((cast, result)) = journeys.next() => {
                    drain(&mut happenings, &mut story);
                    story.release(true)?;
                    let result = result.unwrap_or_else(|_| Err(late(&story, cast)));
                    if let Err(failure) = result {
                        story.failed(cast.dialect, &failure)?;
                        failures.push(failure);
                    }
                }
            }
        }
        self.summary(out, &story, once)?;
        if !once {
            self.go_on(&mut story, &teller, &mut happenings, &devices).await?;
        }
        let _ = self.stop.send(true);
        for (_, device) in devices {
            let _ = tokio::time::timeout(STOP_WAIT, device.task).await;
        }
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    fn summary(&self, out: &Out, story: &Story<'_>, once: bool) -> Result<()> {
        let through: BTreeMap<&str, bool> =
            cast::ALL.iter().map(|c| (c.dialect, story.missing(c.dialect).is_none())).collect();
        let ok = through.values().all(|through| *through);
        out.event(&json!({ "event": "end", "ok": ok, "dialects": through }))?;
        out.text("\n")?;
        for cast in cast::ALL {
            out.text(&format!("{}\n", story.summary(cast.dialect)))?;
        }
        if !once {
            out.text(&format!("\n{}", self.console(out)))?;
            out.text("The devices go on reporting. Stop with Ctrl-C.\n\n")?;
        }
        Ok(())
    }

    /// Lets the devices report every few seconds, until Ctrl-C ends the caller.
    async fn go_on(
        &self,
        story: &mut Story<'_>,
        teller: &Teller,
        happenings: &mut mpsc::UnboundedReceiver<Happening>,
        devices: &[(&Cast, Device)],
    ) -> Result<()> {
        let mut tick = tokio::time::interval(TELL_GAP);
        let mut report = tokio::time::interval(REPORT_GAP);
        let mut round = 5;
        loop {
            tokio::select! {
                Some(happening) = happenings.recv() => story.hold(happening),
                _ = tick.tick() => story.release(false)?,
                _ = report.tick() => {
                    round += 1;
                    for (cast, device) in devices {
                        let properties = (cast.properties)(round);
                        let text = Value::from(properties.clone()).to_string();
                        if device.handle.change(properties).await {
                            let now = Clock::now().0;
                            teller.of(cast.dialect).seen(now, Witness::Device, "report", &text);
                        }
                    }
                }
            }
        }
    }

    /// Stops devices and platform in order.
    async fn strike(self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(STOP_WAIT, self.server).await.is_err() {
            tracing::warn!("the platform did not stop in time");
        }
        self.relay.abort();
    }
}

fn drain(happenings: &mut mpsc::UnboundedReceiver<Happening>, story: &mut Story<'_>) {
    while let Ok(happening) = happenings.try_recv() {
        story.hold(happening);
    }
}

fn late(story: &Story<'_>, cast: &Cast) -> Failure {
    let stage = story.missing(cast.dialect).map_or("end", story::Step::name);
    let wait = JOURNEY_WAIT.as_secs();
    let message = format!("`{}` did not get through `{stage}` within {wait} s.", cast.dialect);
    Failure::new("demo.timeout", message)
}

/// Writes a dialect's fleet file and imports it the way `roadstead import` does.
async fn import_products(cast: &Cast, folder: &Folder, operator: &Client) -> Result<()> {
    let mut paths = Vec::new();
    for (name, text) in cast.files {
        paths.push(folder.write(name, text)?);
    }
    let refused = |message: String| Failure::new("import.bad_row", message);
    let fleet = fleet::open(&paths[0])?.map_err(|error| refused(error.message))?;
    import::send_all(operator, fleet).await
}

/// The platform's settings: every listener on a free loopback port, and what each dialect needs.
fn settings(data_dir: PathBuf, cable: SocketAddr) -> Result<Config> {
    // A provisioning service is told its platform's address before that listens, so this port is
    // chosen here.
    let mqtts = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| no_port(&error))?;
    let mut config = Config { data_dir, listen: loopback(mqtts), ..Config::default() };
    for cast in cast::ALL {
        if let Some(settings) = cast.settings(&mqtts.to_string(), cable) {
            config.dialect.insert(cast.dialect.to_owned(), settings.into());
        }
    }
    Ok(config)
}

fn loopback(mqtts: SocketAddr) -> Listen {
    let free = Listener(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
    Listen {
        mqtt: free,
        mqtts: Listener(Some(mqtts)),
        mqtts_legacy: Listener(None),
        shared: Listener(None),
        http: free,
        vendor_http: free,
        vendor_https: free,
        push: Listener(None),
    }
}

fn no_port(error: &std::io::Error) -> Failure {
    Failure::new("client.file", format!("No port is free: {error}."))
}

fn no_listener(name: &str) -> Failure {
    Failure::new("client.answer", format!("There is no `{name}` listener."))
}

fn addresses(server: &Server, ca_file: PathBuf, cable: Cable) -> Result<(Platform, String)> {
    let addresses = server.addresses();
    let address = |name: &str| {
        let text = addresses.get(name).cloned().unwrap_or_default();
        let parsed: std::result::Result<Address, String> = text.parse();
        parsed.map_err(|_| no_listener(name))
    };
    let http = address("http")?;
    let base = format!("http://{}:{}", http.host, http.port);
    let (mqtts, vendor_http) = (address("mqtts")?, address("vendor_http")?);
    Ok((Platform { base: base.clone(), mqtts, vendor_http, ca_file, cable }, base))
}
