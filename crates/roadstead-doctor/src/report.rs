//! The answer: what was read, how far each device came, what failed and what to do.

use serde_json::{Value, json};

use crate::Stage;
use crate::input::Encoding;

/// What is known about one file.
#[derive(Clone, Debug)]
pub struct FileNote {
    /// Its name, masked and printable.
    pub path: String,
    /// Bytes read.
    pub bytes: u64,
    /// Lines read.
    pub lines: u64,
    /// How it writes characters.
    pub encoding: Encoding,
    /// Nothing but white space.
    pub blank: bool,
}

impl FileNote {
    pub(crate) fn new(path: &str) -> Self {
        let path = path.to_owned();
        Self { path, bytes: 0, lines: 0, encoding: Encoding::Utf8, blank: true }
    }
}

/// The overall result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The SDK is known and nothing failed, or everything that failed was overcome.
    Healthy,
    /// At least one error.
    Fault,
    /// The log ends before anything can be said.
    Incomplete,
    /// No known SDK wrote this.
    NotRecognised,
}

impl Verdict {
    /// Returns the stable name.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Fault => "fault",
            Self::Incomplete => "incomplete",
            Self::NotRecognised => "not_recognised",
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It stops something.
    Error,
    /// It was overcome, or the flow survives it.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// Returns the stable name.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was passed.
    Done,
    /// It failed.
    Failed,
    /// It began and the log ends.
    Open,
    /// A later stage shows that it was passed.
    Skipped,
}

impl Status {
    /// Returns the stable name.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Open => "open",
            Self::Skipped => "skipped",
        }
    }
}

/// A line that shows something; the text is masked, printable and at most 300 characters.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Index of the file.
    pub file: usize,
    /// Line number from 1.
    pub line: u64,
    /// The masked text.
    pub text: String,
}

/// A stage of one device.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The stage.
    pub stage: Stage,
    /// How it ended.
    pub status: Status,
    /// Index of the file.
    pub file: usize,
    /// First line of the stage; none when skipped.
    pub line: Option<u64>,
    /// Line that shows it done.
    pub end_line: Option<u64>,
    /// Printed time of the first line.
    pub time: Option<String>,
    /// Index of the device.
    pub device: usize,
    /// Boot, from 1.
    pub boot: u32,
}

/// A device seen in the logs.
#[derive(Clone, Debug)]
pub struct Device {
    /// Vendor, where the SDK names one.
    pub vendor: Option<&'static str>,
    /// SDK id.
    pub sdk: Option<&'static str>,
    /// Version of the SDK, where it prints one.
    pub version: Option<String>,
    /// Product and device name, or the prefix of its lines.
    pub key: String,
    /// Boots seen.
    pub boots: u32,
}

/// One cause.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The stable code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// 0 to 1.
    pub confidence: f64,
    /// The stage that fails.
    pub stage: Option<Stage>,
    /// Index of the device.
    pub device: usize,
    /// Boot, from 1.
    pub boot: u32,
    /// The decisive lines.
    pub evidence: Vec<Evidence>,
    /// What to do: English, Chinese.
    pub remedy: (&'static str, &'static str),
    /// Codes that look alike, the likelier first.
    pub alternatives: Vec<&'static str>,
    /// What to check next when the log cannot decide: English, Chinese.
    pub next: Vec<(String, String)>,
    /// Lines that are consequences.
    pub caused: Vec<u64>,
    /// How often it was seen.
    pub count: u64,
}

/// The whole answer.
#[derive(Clone, Debug)]
pub struct Report {
    /// The files, in order.
    pub files: Vec<FileNote>,
    /// The overall result.
    pub verdict: Verdict,
    /// The last stage that was passed.
    pub reached: Option<Stage>,
    /// The devices.
    pub devices: Vec<Device>,
    /// Their stages in order.
    pub stages: Vec<Passage>,
    /// Causes: errors first, best first.
    pub findings: Vec<Finding>,
}

/// Version of the JSON schema.
const SCHEMA: u32 = 1;

impl Report {
    /// Returns the device that the report is about: that of the first finding, else the first.
    pub fn subject(&self) -> Option<&Device> {
        let index = self.findings.first().map_or(0, |finding| finding.device);
        self.devices.get(index)
    }

    /// Returns the exit status of the command: 0 healthy, 1 fault, 3 otherwise.
    pub const fn exit(&self) -> u8 {
        match self.verdict {
            Verdict::Healthy => 0,
            Verdict::Fault => 1,
            Verdict::Incomplete | Verdict::NotRecognised => 3,
        }
    }

    /// Returns the document of `doctor --json`.
    pub fn to_json(&self) -> Value {
        let subject = self.subject();
        json!({
            "schema": SCHEMA,
            "files": self.files.iter().map(|file| json!({
                "path": file.path, "bytes": file.bytes, "lines": file.lines,
                "encoding": file.encoding.name(),
            })).collect::<Vec<_>>(),
            "vendor": subject.and_then(|device| device.vendor),
            "sdk": subject.and_then(|device| device.sdk),
            "sdk_version": subject.and_then(|device| device.version.as_deref()),
            "verdict": self.verdict.id(),
            "healthy": self.verdict == Verdict::Healthy,
            "reached": self.reached.map(Stage::id),
            "devices": self.devices.iter().enumerate().map(|(index, device)| json!({
                "index": index, "vendor": device.vendor, "sdk": device.sdk,
                "sdk_version": device.version, "key": device.key, "boots": device.boots,
            })).collect::<Vec<_>>(),
            "stages": self.stages.iter().map(passage).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }
}

fn passage(passage: &Passage) -> Value {
    json!({
        "stage": passage.stage.id(), "status": passage.status.id(), "file": passage.file,
        "line": passage.line, "end_line": passage.end_line, "time": passage.time,
        "device": passage.device, "boot": passage.boot,
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code, "severity": finding.severity.id(),
        "confidence": finding.confidence, "stage": finding.stage.map(Stage::id),
        "device": finding.device, "boot": finding.boot,
        "evidence": finding.evidence.iter().map(|evidence| json!({
            "file": evidence.file, "line": evidence.line, "text": evidence.text,
        })).collect::<Vec<_>>(),
        "remedy": { "en": finding.remedy.0, "zh": finding.remedy.1 },
        "alternatives": finding.alternatives,
        "next": finding.next.iter().map(|(en, zh)| json!({ "en": en, "zh": zh })).collect::<Vec<_>>(),
        "caused": finding.caused, "count": finding.count,
    })
}
