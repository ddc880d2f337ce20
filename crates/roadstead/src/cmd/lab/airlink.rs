//! `roadstead lab airlink`: many simulated onboardings per scheme and loss, every result compared
//! with what was sent. The air is [`roadstead_wire::airlink::air`]; the receiver listens for all
//! schemes at once, parked on the channel.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use roadstead_wire::airlink::air::{Air, Dice, Weather, noise};
use roadstead_wire::airlink::{Event, Hopper, Keys, Mac, Plan, Request, Scheme};
use serde_json::{Value, json};

use super::picture;
use crate::failure::{Failure, Result};
use crate::output::{Out, Table};

/// What to try.
#[derive(Args, Debug)]
pub(crate) struct Airlink {
    /// Only this scheme; all when missing.
    #[arg(long)]
    scheme: Option<Scheme>,
    /// Probability that the receiver loses a copy; 0, 0.05, 0.2 and 0.4 when missing.
    #[arg(long, value_name = "P", value_parser = probability)]
    loss: Option<f64>,
    /// Simulated onboardings per scheme, loss and kind of air.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    runs: u64,
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Foreign frames per frame of the sender.
    #[arg(long, default_value_t = 0.15)]
    foreign: f64,
    /// Frames of pure noise to play, in which nothing may be found.
    #[arg(long, default_value_t = 1_000_000)]
    noise: u64,
    /// Draws the distributions into this SVG file.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

fn probability(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(value @ 0.0..1.0) => Ok(value),
        _ => Err("a number from 0 to below 1".into()),
    }
}

/// What many runs of one kind gave.
pub(super) struct Series {
    pub(super) scheme: Scheme,
    pub(super) loss: f64,
    pub(super) uplink: bool,
    /// Times of the successes in seconds, sorted.
    pub(super) times: Vec<f64>,
    pub(super) runs: u64,
    /// Runs that believed something that was not sent.
    pub(super) wrong: u64,
}

impl Series {
    /// Returns the time within which a part of the successes came.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let last = self.times.len().checked_sub(1)?;
        self.times.get((last as f64 * part).round() as usize).copied()
    }

    fn document(&self) -> Value {
        json!({
            "scheme": self.scheme.name(),
            "loss": self.loss,
            "copies": if self.uplink { "both" } else { "downlink" },
            "runs": self.runs,
            "successes": self.times.len(),
            "success_rate": self.times.len() as f64 / self.runs as f64,
            "wrong": self.wrong,
            "median_s": self.quantile(0.5),
            "p90_s": self.quantile(0.9),
            "max_s": self.quantile(1.0),
        })
    }
}

impl Airlink {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let schemes = self.scheme.map_or(Scheme::ALL.to_vec(), |scheme| vec![scheme]);
        let losses = self.loss.map_or(vec![0.0, 0.05, 0.2, 0.4], |loss| vec![loss]);
        let kinds = schemes.len() * losses.len() * 2;
        let bar = progress(kinds as u64 * self.runs);
        let mut all = Vec::with_capacity(kinds);
        for scheme in schemes {
            for loss in &losses {
                for uplink in [true, false] {
                    let weather =
                        Weather { loss: *loss, uplink, foreign: self.foreign, channel: 6 };
                    all.push(self.series(scheme, weather, &bar)?);
                }
            }
        }
        bar.finish_and_clear();
        let believed = self.play_noise();
        if let Some(path) = &self.picture {
            std::fs::write(path, picture::draw(&all))
                .map_err(|error| Failure::file("Writing", path, &error))?;
        }
        let wrong: u64 = all.iter().map(|series| series.wrong).sum();
        let document = json!({
            "runs": self.runs,
            "seed": self.seed,
            "foreign": self.foreign,
            "results": all.iter().map(Series::document).collect::<Vec<_>>(),
            "noise": { "frames": self.noise, "believed": believed },
            "wrong": wrong,
            "picture": self.picture,
        });
        out.answer(&document, |out| self.table(out, &all, believed))?;
        if wrong + believed > 0 { Err(Failure::Reported) } else { Ok(()) }
    }

    fn series(&self, scheme: Scheme, weather: Weather, bar: &ProgressBar) -> Result<Series> {
        let (loss, uplink) = (weather.loss, weather.uplink);
        let mut series =
            Series { scheme, loss, uplink, times: Vec::new(), runs: self.runs, wrong: 0 };
        for run in 0..self.runs {
            match once(scheme, weather, self.seed + run)? {
                Outcome::Found(time) => series.times.push(time.as_secs_f64()),
                Outcome::Late => {}
                Outcome::Wrong => series.wrong += 1,
            }
            bar.inc(1);
        }
        series.times.sort_by(f64::total_cmp);
        Ok(series)
    }

    /// Plays noise to all receivers; returns how often they believed it.
    fn play_noise(&self) -> u64 {
        let mut dice = Dice::new(self.seed);
        let mut hopper = hopper(&keys());
        let believes = |n: &u64| {
            let frame = noise(&mut dice, n * 200, 6);
            matches!(hopper.hear(&frame), Some((_, Event::Complete(_))))
        };
        (0..self.noise).filter(believes).count() as u64
    }

    fn table(&self, out: &Out, all: &[Series], believed: u64) -> String {
        let mut table =
            Table::new(&["SCHEME", "LOSS", "COPIES", "SUCCESS", "WRONG", "MEDIAN", "P90", "MAX"]);
        let seconds =
            |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{time:.2} s"));
        for series in all {
            table.row([
                series.scheme.to_string(),
                format!("{:.0} %", series.loss * 100.0),
                if series.uplink { "both" } else { "downlink" }.to_owned(),
                format!("{}/{}", series.times.len(), series.runs),
                series.wrong.to_string(),
                seconds(series.quantile(0.5)),
                seconds(series.quantile(0.9)),
                seconds(series.quantile(1.0)),
            ]);
        }
        format!(
            "{}{} frames of noise: believed {believed} times.\n",
            table.render(out.paint(), "Nothing was tried."),
            self.noise,
        )
    }
}

/// How one simulated onboarding ended.
enum Outcome {
    Found(Duration),
    Late,
    Wrong,
}

/// Product secret of the laboratory's smartconfig devices.
const PRODUCT_SECRET: &[u8] = b"a1ProductSecretA1";

fn keys() -> Keys {
    Keys { product_secret: Some(PRODUCT_SECRET.to_vec()), ..Keys::default() }
}

fn hopper(keys: &Keys) -> Hopper {
    let plan = Plan { channels: vec![6], ..Plan::default() };
    Hopper::new(plan, &Scheme::ALL, keys, Duration::ZERO)
}

/// Sends an SSID of 12 and a password of 8 bytes, both random, until they are found or the
/// scheme's time is over.
fn once(scheme: Scheme, weather: Weather, seed: u64) -> Result<Outcome> {
    let mut dice = Dice::new(seed ^ 0xA5A5_A5A5);
    let mut letters =
        |count: usize| -> Vec<u8> { (0..count).map(|_| b'!' + dice.below(94) as u8).collect() };
    let (ssid, password) = (letters(12), letters(8));
    let mut random = [0; 20];
    random.fill_with(|| dice.bits() as u8);
    let request = Request {
        ssid: &ssid,
        password: &password,
        bssid: Mac([0xC8, 0x3A, 0x35, 0x6A, 0x2F, 0x3A]),
        phone_ip: [192, 168, 1, 100],
        phone_mac: Mac([0x4C, 0x49, 0xE3, 0x1A, 0x12, 0xCF]),
        key: (scheme == Scheme::SmartConfig).then_some(PRODUCT_SECRET),
        extra: &[],
        omit_ssid: false,
        port_mark: 0,
        zero_iv: false,
        multicast: false,
        random,
    };
    let round = scheme
        .encode(&request)
        .map_err(|error| Failure::new(error.code(), format!("{scheme}: {error}.")))?;
    let mut hopper = hopper(&keys());
    for frame in Air::new(&round, weather, request.phone_mac, request.bssid, seed) {
        let at = Duration::from_micros(frame.at_us.unwrap_or_default());
        if at > round.time_out {
            break;
        }
        if frame.channel != weather.channel {
            continue;
        }
        if let Some((by, Event::Complete(found))) = hopper.hear(&frame) {
            let right = by == scheme && found.ssid == ssid && found.password == password;
            return Ok(if right { Outcome::Found(at) } else { Outcome::Wrong });
        }
    }
    Ok(Outcome::Late)
}

fn progress(runs: u64) -> ProgressBar {
    let bar = ProgressBar::new(runs);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {eta} left") {
        bar.set_style(style);
    }
    bar
}
