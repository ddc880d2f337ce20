//! From trackers to the report: what was overcome, what is a consequence, what leads.
//!
//! Source: diagnosis model, section 6. The first cause wins over its consequences; a fault that
//! later evidence overcame is a warning; causes of different domains stand side by side.

use crate::Stage;
use crate::catalogue;
use crate::engine::Slot;
use crate::input::{Encoding, printable};
use crate::limit::{CAUSED_MAX, EVIDENCE_CHARS_MAX};
use crate::mask::Masker;
use crate::report::{
    Device, Evidence, FileNote, Finding, Passage, Report, Severity, Status, Verdict,
};
use crate::sign::Family;
use crate::stage::Domain;
use crate::tracker::{Fault, Tracker};

/// Judges what was read.
pub(crate) fn judge(mut files: Vec<FileNote>, slots: Vec<Slot>, masker: &Masker) -> Report {
    let clean = |text: &str| masker.apply(&printable(text));
    for file in &mut files {
        file.path = clean(&file.path);
    }
    let mut devices = Vec::new();
    let mut stages = Vec::new();
    let mut findings = Vec::new();
    let mut open = Vec::new();
    let mut logs = 0;
    for slot in slots {
        let (file, tag) = (slot.file, slot.key.clone());
        for (family, mut tracker) in slot.into_trackers() {
            if !tracker.recognised() {
                continue;
            }
            family.finish(&mut tracker);
            let index = devices.len();
            let (vendor, sdk) = family.name(&tracker);
            let name = tracker.name.clone().filter(|name| !name.is_empty());
            let key = if tag.is_empty() { name.unwrap_or_default() } else { tag.clone() };
            let version = tracker.version.as_deref().map(clean);
            devices.push(Device {
                vendor,
                sdk,
                version,
                key: clean(&key),
                boots: tracker.boots.max(1),
            });
            let case = Case { tracker: &tracker, file, device: index, clean: &clean };
            let found = case.findings();
            let failed = found.iter().any(|finding| finding.severity == Severity::Error);
            // What the platform says has no way to be followed, so none that could end midway.
            let is_log = !matches!(family, Family::Platform | Family::Trace);
            logs += usize::from(is_log);
            if is_log
                && !failed
                && let Some(ending) = case.unfinished()
            {
                open.push(ending);
            }
            stages.extend(case.passages(&found));
            findings.extend(found);
        }
    }
    join_views(&mut findings, &devices);
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    let verdict = match (devices.is_empty(), failed, open.is_empty()) {
        (true, ..) => Verdict::NotRecognised,
        (false, true, _) => Verdict::Fault,
        (false, false, false) if open.len() == logs => Verdict::Incomplete,
        (false, false, _) => Verdict::Healthy,
    };
    if verdict == Verdict::NotRecognised {
        findings.push(unreadable(&files));
    } else if verdict == Verdict::Incomplete {
        findings.extend(open);
    }
    findings.sort_by(|a, b| rank(a).cmp(&rank(b)).then(b.confidence.total_cmp(&a.confidence)));
    let done = stages.iter().filter(|passage| passage.status == Status::Done);
    let reached = done.map(|passage| passage.stage).max();
    Report { files, verdict, reached, devices, stages, findings }
}

/// Errors first; then blocking ones, the earlier stage, the earlier line. Within a device the
/// findings are in order already; devices keep theirs.
fn rank(finding: &Finding) -> (Severity, bool) {
    let blocking = finding.stage.is_some_and(|stage| stage.domain() == Domain::Cloud);
    (finding.severity, !blocking)
}

/// Where the platform's trace names one of the causes that a device's symptom leaves open, the
/// named cause takes the symptom's place with the evidence of both.
fn join_views(findings: &mut Vec<Finding>, devices: &[Device]) {
    let platform =
        |device: usize| devices.get(device).is_some_and(|d| matches!(d.sdk, Some(TRACE | RECORD)));
    let (told, mut own): (Vec<Finding>, Vec<Finding>) =
        findings.drain(..).partition(|finding| platform(finding.device));
    let mut left = Vec::new();
    for cause in told {
        let open = own.iter_mut().find(|symptom| {
            symptom.severity == Severity::Error
                && (symptom.code == cause.code || symptom.alternatives.contains(&cause.code))
        });
        let Some(symptom) = open else {
            left.push(cause);
            continue;
        };
        symptom.code = cause.code;
        symptom.confidence = TOLD;
        symptom.stage = cause.stage;
        symptom.remedy = cause.remedy;
        symptom.alternatives = Vec::new();
        symptom.next = Vec::new();
        symptom.evidence.extend(cause.evidence);
    }
    *findings = own;
    findings.extend(left);
}

/// The SDK id of the platform's trace.
const TRACE: &str = "roadstead-trace";
/// The SDK id of what is pasted from the platform's console and API, and from a phone.
const RECORD: &str = "platform";
/// Confidence of a cause that the platform names.
const TOLD: f64 = 0.98;

/// One device under judgement.
struct Case<'a> {
    tracker: &'a Tracker,
    file: usize,
    device: usize,
    clean: &'a dyn Fn(&str) -> String,
}

impl Case<'_> {
    fn findings(&self) -> Vec<Finding> {
        let faults = &self.tracker.faults;
        let (mut errors, mild): (Vec<&Fault>, Vec<&Fault>) = faults
            .iter()
            .filter(|fault| fault.confidence >= CONFIDENCE_MIN)
            .partition(|fault| self.is_error(fault));
        // The last boot leads: what it did not overcome of earlier ones follows.
        errors.sort_by_key(|fault| {
            let stage = fault.stage.unwrap_or(Stage::Boot);
            (u32::MAX - fault.boot, stage.domain() != Domain::Cloud, stage, fault.first)
        });
        let cause = errors.first().copied();
        let (kept, merged): (Vec<&Fault>, Vec<&Fault>) = errors
            .into_iter()
            .partition(|fault| !cause.is_some_and(|cause| self.follows(fault, cause)));
        let mut found: Vec<Finding> =
            kept.iter().map(|fault| self.finding(fault, Severity::Error)).collect();
        if let Some(first) = found.first_mut() {
            first.caused = self.caused(first.evidence.first().map_or(0, |e| e.line), &merged);
        }
        found.extend(mild.iter().map(|fault| {
            let info = catalogue::entry(fault.code).is_some_and(|entry| entry.info);
            self.finding(fault, if info { Severity::Info } else { Severity::Warning })
        }));
        found
    }

    fn is_error(&self, fault: &Fault) -> bool {
        let info = catalogue::entry(fault.code).is_some_and(|entry| entry.info);
        !info && !fault.side && !fault.healed && !self.overcome(fault)
    }

    /// Returns true when later evidence shows that the fault is over.
    fn overcome(&self, fault: &Fault) -> bool {
        let Some(stage) = fault.stage else { return false };
        let later = |stage| self.tracker.done_at(stage) > fault.last;
        if matches!(fault.code, "mqtt.reconnect_loop" | "ota.interrupted") {
            return false;
        }
        match stage {
            Stage::Subscribe => {
                let up = self.tracker.done_at(Stage::MqttConnack);
                up > fault.last && self.tracker.done_at(Stage::Subscribe) > up
            }
            Stage::TokenReport | Stage::TokenReply => later(Stage::TokenReply),
            Stage::Online => later(Stage::MqttConnack),
            Stage::Bind | Stage::RegionMigrate => later(stage),
            Stage::SerialMcu
            | Stage::LanNotify
            | Stage::LanQuery
            | Stage::LanLogin
            | Stage::Ota
            | Stage::Gateway => later(stage),
            Stage::Report | Stage::Command => false,
            Stage::Boot
            | Stage::ProvisionRadio
            | Stage::ProvisionSoftap
            | Stage::ProvisionBle
            | Stage::ProvisionQr
            | Stage::NbAttach
            | Stage::WifiJoin
            | Stage::Dhcp
            | Stage::Dns
            | Stage::Tcp
            | Stage::Tls
            | Stage::Dynreg
            | Stage::Dispatch
            | Stage::MqttConnack
            | Stage::Lwm2mRegister => Stage::ALL.iter().any(|other| {
                *other >= stage.max(Stage::ProvisionRadio)
                    && other.domain() == Domain::Cloud
                    && later(*other)
            }),
        }
    }

    /// Returns true when `fault` is a consequence of `cause`: the way to the session is blocked, so
    /// nothing behind it can work.
    fn follows(&self, fault: &Fault, cause: &Fault) -> bool {
        let (Some(stage), Some(blocked)) = (fault.stage, cause.stage) else { return false };
        let behind = matches!(stage.domain(), Domain::Cloud | Domain::Traffic | Domain::Gateway);
        let session = self.tracker.done_at(Stage::MqttConnack) < cause.first;
        blocked <= Stage::Lwm2mRegister
            && stage >= Stage::Subscribe
            && behind
            && session
            && fault.first > cause.first
            && fault.boot == cause.boot
            && fault.code != "mqtt.reconnect_loop"
    }

    fn caused(&self, cause: u64, merged: &[&Fault]) -> Vec<u64> {
        let own = self.tracker.consequences.iter().map(|(line, _)| *line);
        let mut lines: Vec<u64> = merged
            .iter()
            .map(|fault| fault.first)
            .chain(own.filter(|line| *line > cause))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        lines.truncate(CAUSED_MAX);
        lines
    }

    fn finding(&self, fault: &Fault, severity: Severity) -> Finding {
        let entry = catalogue::entry(fault.code);
        let quotes = fault.quotes.iter().map(|quote| Evidence {
            file: self.file,
            line: quote.line,
            text: cut(&(self.clean)(&quote.text)),
        });
        Finding {
            code: fault.code,
            severity,
            confidence: fault.confidence,
            stage: fault.stage,
            device: self.device,
            boot: fault.boot,
            evidence: quotes.collect(),
            remedy: entry.map_or(("", ""), |entry| (entry.en, entry.zh)),
            next: next(&fault.alternatives),
            alternatives: fault.alternatives.clone(),
            caused: Vec::new(),
            count: fault.count,
        }
    }

    /// Returns the finding of a log that ends before it shows anything.
    fn unfinished(&self) -> Option<Finding> {
        let tracker = self.tracker;
        let reached = tracker
            .marks
            .iter()
            .filter(|(_, mark)| mark.done.is_some())
            .map(|(stage, _)| *stage)
            .max();
        let replied = tracker.done_at(Stage::TokenReply) >= tracker.started_at(Stage::TokenReport);
        let through =
            reached.is_some_and(|stage| stage >= Stage::Dynreg || stage == Stage::NbAttach);
        if through && replied {
            return None;
        }
        let only_final = tracker.marks.is_empty() && !tracker.consequences.is_empty();
        let code = if only_final { "input.insufficient" } else { "input.ends_mid_stage" };
        let stage = tracker.marks.keys().next_back().copied();
        let entry = catalogue::entry(code);
        let line = tracker.last_line;
        Some(Finding {
            code,
            severity: Severity::Info,
            confidence: 0.5,
            stage,
            device: self.device,
            boot: tracker.boot_number(),
            evidence: vec![Evidence { file: self.file, line, text: String::new() }],
            remedy: entry.map_or(("", ""), |entry| (entry.en, entry.zh)),
            alternatives: Vec::new(),
            next: Vec::new(),
            caused: Vec::new(),
            count: 1,
        })
    }

    fn passages(&self, findings: &[Finding]) -> Vec<Passage> {
        let marks = &self.tracker.marks;
        let failed = |stage: Stage| {
            findings.iter().any(|f| f.severity == Severity::Error && f.stage == Some(stage))
        };
        let last =
            marks.iter().filter(|(_, mark)| mark.done.is_some()).map(|(stage, _)| *stage).max();
        let mut out = Vec::new();
        for stage in Stage::ALL.iter().copied() {
            let passage = |status, line, end_line, time, boot| Passage {
                stage,
                status,
                file: self.file,
                line,
                end_line,
                time,
                device: self.device,
                boot,
            };
            if let Some(mark) = marks.get(&stage) {
                let status = match (failed(stage), mark.done.is_some()) {
                    (true, _) => Status::Failed,
                    (false, true) => Status::Done,
                    (false, false) if last.is_some_and(|last| last > stage) => Status::Skipped,
                    (false, false) => Status::Open,
                };
                let time = mark.time.as_deref().map(|time| (self.clean)(time));
                let end = mark.done.map(|(first, _)| first);
                out.push(passage(status, Some(mark.first), end, time, mark.boot));
            } else if let Some(finding) =
                findings.iter().find(|f| f.severity == Severity::Error && f.stage == Some(stage))
            {
                let line = finding.evidence.first().map(|evidence| evidence.line);
                out.push(passage(Status::Failed, line, None, None, finding.boot));
            } else if CHAIN.contains(&stage) && last.is_some_and(|last| last > stage) {
                out.push(passage(Status::Skipped, None, None, None, self.tracker.boot_number()));
            }
        }
        out
    }
}

/// Stages that every way to a session passes.
const CHAIN: &[Stage] = &[Stage::Dns, Stage::Tcp, Stage::MqttConnack];
/// Findings below this confidence are not shown.
const CONFIDENCE_MIN: f64 = 0.3;

fn cut(text: &str) -> String {
    if text.chars().count() <= EVIDENCE_CHARS_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(EVIDENCE_CHARS_MAX - 1).collect();
    head + "…"
}

/// What separates the alternatives, the likelier first.
fn next(alternatives: &[&'static str]) -> Vec<(String, String)> {
    let known = alternatives.iter().filter_map(|code| catalogue::entry(code));
    known
        .take(NEXT_MAX)
        .map(|entry| {
            (
                format!("If it is `{}`: {}", entry.code, entry.en),
                format!("若为 `{}`：{}", entry.code, entry.zh),
            )
        })
        .collect()
}

/// Checks listed for one finding.
const NEXT_MAX: usize = 4;

/// The finding about input in which no SDK was recognised.
fn unreadable(files: &[FileNote]) -> Finding {
    let code = if files.iter().all(|file| file.blank) {
        "input.empty"
    } else if files.iter().any(|file| file.encoding == Encoding::Binary) {
        "input.binary"
    } else {
        "input.not_recognised"
    };
    let entry = catalogue::entry(code);
    Finding {
        code,
        severity: Severity::Info,
        confidence: 0.95,
        stage: None,
        device: 0,
        boot: 1,
        evidence: Vec::new(),
        remedy: entry.map_or(("", ""), |entry| (entry.en, entry.zh)),
        alternatives: Vec::new(),
        next: Vec::new(),
        caused: Vec::new(),
        count: 1,
    }
}
