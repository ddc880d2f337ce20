//! `roadstead airlink listen`: hears a radio in monitor mode, or a recording as if it were one, and
//! says what happens until somebody's credentials are whole.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use roadstead_agent::hal::linux::{Found, Listened, Replay, Sniffer, SnifferError, listen};
use roadstead_wire::airlink::Plan;
use serde_json::{Value, json};

use super::decode::{Which, document, text, which};
use super::{SecretArg, input, keys};
use crate::client::sentence;
use crate::failure::{Failure, Result, chain};
use crate::output::Out;

/// Where and for how long to listen.
#[derive(Args, Debug)]
pub(crate) struct Listen {
    /// An interface in monitor mode.
    #[arg(long, value_name = "IF", required_unless_present = "file", conflicts_with = "file")]
    interface: Option<String>,
    /// Channels in the order they are visited; 1 to 13 when missing, those of the file with a file.
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=177))]
    channels: Vec<u8>,
    /// Milliseconds on a channel where nobody is heard.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    dwell: u64,
    /// Seconds until it gives up; never when missing.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: Option<u64>,
    /// A scheme, or `auto` for all of them.
    #[arg(long, default_value = "auto", value_parser = which)]
    scheme: Which,
    /// AES key as text or 32 hexadecimal digits, PIN, or product secret.
    #[arg(long)]
    key: Option<SecretArg>,
    /// Joins the network with this interface, by NetworkManager, and acknowledges.
    #[cfg(all(feature = "dbus", target_os = "linux"))]
    #[arg(long, value_name = "IF", requires = "interface")]
    join: Option<String>,
    /// A recording in place of a radio: JSON, pcap or pcapng.
    file: Option<PathBuf>,
}

impl Listen {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let keys = keys(self.key.as_ref(), &self.scheme.0)?;
        let usual = Plan::default();
        let channels =
            if self.channels.is_empty() { usual.channels } else { self.channels.clone() };
        let mut plan =
            Plan { channels, dwell: Duration::from_millis(self.dwell), ..Plan::default() };
        let mut radio: Box<dyn Sniffer> = match (&self.interface, &self.file) {
            (Some(interface), _) => open(interface)?,
            (None, Some(file)) => {
                let input = input::read(file)?;
                // Without a plan the recording is heard as it was made: on whatever channel.
                let park = self.channels.is_empty();
                if park {
                    plan.channels = vec![input.channel.unwrap_or(1)];
                }
                let on = |channel: u8| if park && input.channel.is_none() { 0 } else { channel };
                let frames = input.frames.into_iter();
                Box::new(Replay::new(frames.map(|mut frame| {
                    frame.channel = on(frame.channel);
                    frame
                })))
            }
            (None, None) => {
                return Err(Failure::Usage("`--interface` or a file is required.".into()));
            }
        };
        let bar = bar(out);
        let mut failed = None;
        let end = listen(
            &mut *radio,
            plan,
            &self.scheme.0,
            &keys,
            self.wait.map(Duration::from_secs),
            &mut |what| {
                bar.set_message(line(&what));
                bar.tick();
                // Hopping goes on all the time: only news are lines of the stream.
                if !matches!(what, Listened::Channel(_)) && failed.is_none() {
                    failed = out.event(&event(&what)).err();
                }
            },
        );
        bar.finish_and_clear();
        if let Some(failure) = failed {
            return Err(failure);
        }
        match end.map_err(|error| refused(&error))? {
            Ok(Found { scheme, credentials, frame }) => {
                let mut last = document(scheme, &credentials, frame.at_us);
                last["event"] = "found".into();
                last["channel"] = frame.channel.into();
                out.event(&last)?;
                out.text(&text(out, scheme, &credentials, frame.at_us))?;
                #[cfg(all(feature = "dbus", target_os = "linux"))]
                if let Some(interface) = &self.join {
                    return joined(out, interface, &credentials);
                }
                Ok(())
            }
            Err(missed) => Err(Failure::new(
                missed.reason.code(),
                format!("No credentials in {} frames.", missed.frames),
            )),
        }
    }
}

/// Opens a radio.
#[cfg(target_os = "linux")]
fn open(interface: &str) -> Result<Box<dyn Sniffer>> {
    let monitor = roadstead_agent::hal::linux::Monitor::open(interface);
    Ok(Box::new(monitor.map_err(|error| refused(&error))?))
}

/// Says that there is no driver.
#[cfg(not(target_os = "linux"))]
fn open(interface: &str) -> Result<Box<dyn Sniffer>> {
    Err(refused(&SnifferError::NoInterface { interface: interface.to_owned() }))
}

/// Joins the network that was told, and acknowledges.
#[cfg(all(feature = "dbus", target_os = "linux"))]
fn joined(
    out: &Out,
    interface: &str,
    credentials: &roadstead_wire::airlink::Credentials,
) -> Result<()> {
    use roadstead_agent::hal::linux::{BoardError, NetworkManager, join};
    let address = crate::cmd::block_on(async {
        let result = async {
            let wifi = NetworkManager::open(interface).await?;
            join(&wifi, credentials).await
        };
        result
            .await
            .map_err(|error: BoardError| Failure::new(error.code(), sentence(&chain(&error))))
    })?;
    out.event(&json!({ "event": "joined", "address": address.to_string() }))?;
    out.text(&format!("joined as {address}\n"))
}

fn refused(error: &SnifferError) -> Failure {
    Failure::new(error.code(), sentence(&chain(error)))
}

/// One line of the stream.
fn event(what: &Listened) -> Value {
    match what {
        Listened::Channel(channel) => json!({ "event": "channel", "channel": channel }),
        Listened::Locked { scheme, channel, bssid, source } => json!({
            "event": "locked",
            "scheme": scheme.name(),
            "channel": channel,
            "bssid": bssid.to_string(),
            "source": source.to_string(),
        }),
        Listened::Progress { scheme, have, need } => json!({
            "event": "progress",
            "scheme": scheme.name(),
            "have": have,
            "need": need,
        }),
    }
}

/// The same for a person who watches.
fn line(what: &Listened) -> String {
    match what {
        Listened::Channel(channel) => format!("channel {channel}: listening"),
        Listened::Locked { scheme, channel, source, .. } => {
            format!("channel {channel}: {scheme} from {source}")
        }
        Listened::Progress { scheme, have, need } => match need {
            Some(need) => format!("{scheme}: {have} of {need}"),
            None => format!("{scheme}: {have}"),
        },
    }
}

/// Returns a line on stderr, hidden unless a person watches.
fn bar(out: &Out) -> ProgressBar {
    let hidden = out.json() || !std::io::IsTerminal::is_terminal(&std::io::stderr());
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    match ProgressStyle::with_template("{spinner} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
