//! `roadstead doctor`: from a device's log to the cause and the remedy. Works without a server;
//! the diagnosis is `roadstead-doctor`, this reads files and prints.
//!
//! Exit codes: 0 healthy, 1 fault, 2 wrong usage or an unreadable file, 3 incomplete or not
//! recognised.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use roadstead_doctor::{Doctor as Reader, Lang, Mark, Report};

use crate::failure::{Failure, Result};
use crate::output::{Out, Tone};

/// Finds the cause in a device's log and names the remedy.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Logs of device SDKs, in any encoding, or captures (pcap, pcapng); `-` is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The platform's trace of the same device (`roadstead trace DEVICE --json`); it decides
    /// between causes that look alike in a log.
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Print one self-contained HTML page instead of text.
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Hide names of products, devices and networks, and addresses; secrets are always masked.
    #[arg(long)]
    redact_ids: bool,
    /// Language of text and page; the locale decides when missing.
    #[arg(long, value_enum)]
    lang: Option<Language>,
}

/// A language of the answer.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    En,
    Zh,
}

/// Bytes read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Files from this size on get a progress bar, bytes.
const PROGRESS_BYTES: u64 = 32 * 1024 * 1024;
/// Exit code of an unreadable file.
const EXIT_UNREADABLE: u8 = 2;

impl Doctor {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let lang = self.lang.map_or_else(locale, |lang| match lang {
            Language::En => Lang::En,
            Language::Zh => Lang::Zh,
        });
        let mut reader = Reader::new();
        for path in self.files.iter().chain(&self.trace) {
            if let Err(error) = read(&mut reader, path, out) {
                // The answer's place stays empty: a report about half the files would mislead.
                let _ = Failure::file("Reading", path, &error).report(false);
                return Err(Failure::Verdict(EXIT_UNREADABLE));
            }
        }
        let mut report = reader.finish();
        if self.redact_ids {
            report.redact_ids();
        }
        self.print(&report, lang, out)?;
        match report.exit() {
            0 => Ok(()),
            code => Err(Failure::Verdict(code)),
        }
    }

    fn print(&self, report: &Report, lang: Lang, out: &Out) -> Result<()> {
        if self.html {
            return out.text(&report.to_html(lang));
        }
        out.answer(&report.to_json(), |out| {
            let paint = out.paint();
            let painter = |mark: Mark, text: &str| paint.tone(tone(mark), text);
            report.to_text(lang, &painter)
        })
    }
}

/// Feeds one file; what is certain early goes to stderr of a terminal at once.
fn read(reader: &mut Reader, path: &Path, out: &Out) -> io::Result<()> {
    let stdin = path == Path::new("-");
    let name = if stdin { "stdin".into() } else { path.to_string_lossy() };
    let mut source: Box<dyn Read> = match stdin {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path)?),
    };
    let size = if stdin { 0 } else { std::fs::metadata(path)?.len() };
    let bar = bar(size);
    let live = io::stderr().is_terminal() && !out.json();
    reader.begin(&name);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        reader.feed(&piece[..count]);
        bar.inc(count as u64);
        for (code, line) in reader.news() {
            if live && (stdin || size >= PROGRESS_BYTES) {
                bar.suspend(|| tracing::info!("line {line}: {code}"));
            }
        }
    }
    reader.end();
    bar.finish_and_clear();
    Ok(())
}

fn bar(size: u64) -> ProgressBar {
    if size < PROGRESS_BYTES {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn tone(mark: Mark) -> Tone {
    match mark {
        Mark::Good => Tone::Good,
        Mark::Bad => Tone::Bad,
        Mark::Warn => Tone::Warn,
        Mark::Dim => Tone::Dim,
        Mark::Strong => Tone::Strong,
    }
}

/// Returns the language of the locale (POSIX: `LC_ALL`, `LC_MESSAGES`, `LANG`, the first set one).
fn locale() -> Lang {
    let value = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match value.is_some_and(|value| value.starts_with("zh")) {
        true => Lang::Zh,
        false => Lang::En,
    }
}
