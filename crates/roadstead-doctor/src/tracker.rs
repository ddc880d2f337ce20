//! What is known about one device of one family: stages, faults, and the little memory that rules
//! need. Constant size however long the log is.

use std::collections::BTreeMap;

use crate::Stage;
use crate::catalogue;
use crate::input::Line;
use crate::limit::{CAUSED_MAX, CONNECTS_MAX, EVIDENCE_BYTES_MAX, EVIDENCE_MAX, FINDINGS_MAX};
use crate::sign::{Act, Hit, Sign};

/// A line kept as evidence.
#[derive(Clone, Debug)]
pub(crate) struct Quote {
    pub(crate) line: u64,
    pub(crate) text: String,
}

/// What is known about one stage.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Line and boot of the first sign of the stage.
    pub(crate) first: u64,
    pub(crate) boot: u32,
    /// Printed time of the first sign.
    pub(crate) time: Option<String>,
    /// Line of the last start.
    pub(crate) started: Option<u64>,
    /// First and last line that show it done.
    pub(crate) done: Option<(u64, u64)>,
}

/// One suspected cause.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) stage: Option<Stage>,
    pub(crate) confidence: f64,
    pub(crate) alternatives: Vec<&'static str>,
    pub(crate) quotes: Vec<Quote>,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) boot: u32,
    pub(crate) count: u64,
    /// Never an error: a side issue that the flow survives.
    pub(crate) side: bool,
    /// A later success of the same kind has answered it.
    pub(crate) healed: bool,
}

/// Confidence of an explicit code with one meaning.
pub(crate) const CERTAIN: f64 = 0.95;
/// Confidence of an explicit code at a fitting stage.
pub(crate) const LIKELY: f64 = 0.85;
/// Confidence of a symptom with ranked alternatives.
pub(crate) const SYMPTOM: f64 = 0.6;
/// Confidence of absence after the limit.
pub(crate) const ABSENCE: f64 = 0.5;
/// Confidence of absence at an early end of the log.
pub(crate) const EARLY_END: f64 = 0.35;

/// Memory of the rules, shared by the families; each uses what it needs.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Host and port of the connection being opened.
    pub(crate) host: String,
    pub(crate) port: Option<i64>,
    /// The connection is wrapped in TLS; TLS by certificate.
    pub(crate) secure: bool,
    pub(crate) certificate: bool,
    /// An MQTT session is up.
    pub(crate) connected: bool,
    /// Transport, TLS or log-in of the current attempt has failed with a named cause.
    pub(crate) attempt_failed: bool,
    /// Losses of established sessions.
    pub(crate) drops: u32,
    /// Times of the last connects, milliseconds.
    pub(crate) connects: Vec<i64>,
    /// Packet id of the token report; whether it was acknowledged, answered.
    pub(crate) token_id: Option<i64>,
    pub(crate) token_quote: Option<(u64, String)>,
    pub(crate) token_ms: Option<i64>,
    pub(crate) token_acked: bool,
    pub(crate) token_replied: bool,
    /// Topic of the message being delivered.
    pub(crate) topic: String,
    /// When the session came up, milliseconds.
    pub(crate) up_ms: Option<i64>,
    /// When the cloud answered the token, milliseconds.
    pub(crate) reply_ms: Option<i64>,
    /// When the cloud sent the device to another region, milliseconds.
    pub(crate) moved_ms: Option<i64>,
    /// The region that the phone named.
    pub(crate) region: String,
    /// The network that the device was told to join.
    pub(crate) ssid: String,
    /// The last message text of a server.
    pub(crate) message: String,
    /// Counters of things that are counted.
    pub(crate) waits: u32,
    pub(crate) pings: u32,
    pub(crate) sends: u32,
    pub(crate) timeouts: u32,
    /// Flags with a name of their own.
    pub(crate) flags: Vec<&'static str>,
    /// Open commands: request id, line, time.
    pub(crate) commands: Vec<(String, u64, Option<i64>, String)>,
    /// The last serial command sent.
    pub(crate) serial: Option<u8>,
    /// An upgrade runs since this line.
    pub(crate) upgrade: Option<u64>,
}

impl Memo {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    pub(crate) fn set(&mut self, flag: &'static str) {
        if !self.has(flag) {
            self.flags.push(flag);
        }
    }

    pub(crate) fn clear(&mut self, flag: &str) {
        self.flags.retain(|known| *known != flag);
    }
}

/// One device of one family.
pub(crate) struct Tracker {
    pub(crate) strong: Vec<&'static str>,
    pub(crate) weak: BTreeMap<&'static str, &'static str>,
    pub(crate) version: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) boots: u32,
    pub(crate) marks: BTreeMap<Stage, Mark>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) consequences: Vec<(u64, &'static str)>,
    pub(crate) last_line: u64,
    pub(crate) last_ms: Option<i64>,
    pub(crate) first_ms: Option<i64>,
    pub(crate) memo: Memo,
    progressed: bool,
}

impl Tracker {
    pub(crate) fn new() -> Self {
        Self {
            strong: Vec::new(),
            weak: BTreeMap::new(),
            version: None,
            name: None,
            boots: 0,
            marks: BTreeMap::new(),
            faults: Vec::new(),
            consequences: Vec::new(),
            last_line: 0,
            last_ms: None,
            first_ms: None,
            memo: Memo::default(),
            progressed: false,
        }
    }

    /// Returns true when the SDK is known: one strong or two different weak signs.
    pub(crate) fn recognised(&self) -> bool {
        !self.strong.is_empty() || self.weak.len() >= 2
    }

    /// Notes a sign that proves an SDK.
    pub(crate) fn prove(&mut self, sdk: &'static str) {
        if !self.proved(sdk) {
            self.strong.push(sdk);
        }
    }

    /// Returns true when a sign proved this SDK.
    pub(crate) fn proved(&self, sdk: &str) -> bool {
        self.strong.contains(&sdk)
    }

    /// Returns true when the device has another name than this one. SDKs print it with or without
    /// the product in front.
    pub(crate) fn is_other(&self, name: &str) -> bool {
        fn own(name: &str) -> &str {
            name.rsplit(['/', '.']).next().unwrap_or(name)
        }
        self.name.as_deref().is_some_and(|known| own(known) != own(name))
    }

    /// Applies one sign.
    pub(crate) fn apply(&mut self, sign: &'static Sign, hit: &Hit<'_>) {
        self.last_line = hit.line.number;
        if let Some(stamp) = hit.line.time() {
            self.last_ms = Some(stamp.ms);
            self.first_ms.get_or_insert(stamp.ms);
        }
        for act in sign.acts {
            match act {
                Act::Strong(sdk) => self.prove(sdk),
                // Three are more than recognition needs.
                Act::Weak(sdk) if self.weak.len() < 3 => {
                    self.weak.insert(sign.needle, sdk);
                }
                Act::Weak(_) => {}
                Act::Boot => self.boot(hit.line),
                Act::Start(stage) => self.start(*stage, hit.line),
                Act::Done(stage) => self.done(*stage, hit.line),
                Act::Fault(code) => self.fault(code, hit.line),
                Act::Call(call) => call(self, hit),
                Act::Name(name) => {
                    if let Some(name) = name(hit).filter(|name| !name.is_empty()) {
                        self.name = Some(name);
                    }
                }
            }
        }
    }

    /// A firmware starts; signs of one and the same start count once.
    pub(crate) fn boot(&mut self, line: &Line<'_>) {
        if self.boots == 0 || self.progressed {
            if let Some(began) = self.memo.upgrade {
                let text = "an upgrade began, and the firmware starts again";
                let _ = self.suspect_quoted("ota.interrupted", SYMPTOM, began, text);
                self.evidence("ota.interrupted", line);
            }
            self.boots += 1;
            self.progressed = false;
            let keep = std::mem::take(&mut self.memo);
            self.memo.drops = keep.drops;
            self.memo.connects = keep.connects;
        }
        self.touch(Stage::Boot, line, true);
    }

    /// Returns the number of the current boot, from 1.
    pub(crate) fn boot_number(&self) -> u32 {
        self.boots.max(1)
    }

    /// A stage begins.
    pub(crate) fn start(&mut self, stage: Stage, line: &Line<'_>) {
        self.touch(stage, line, false);
        if let Some(mark) = self.marks.get_mut(&stage) {
            mark.started = Some(line.number);
        }
    }

    /// A stage is done.
    pub(crate) fn done(&mut self, stage: Stage, line: &Line<'_>) {
        self.touch(stage, line, true);
    }

    /// Returns the last line that shows `stage` done, 0 for never.
    pub(crate) fn done_at(&self, stage: Stage) -> u64 {
        self.marks.get(&stage).and_then(|mark| mark.done).map_or(0, |(_, last)| last)
    }

    /// Returns the last line at which `stage` started, 0 for never.
    pub(crate) fn started_at(&self, stage: Stage) -> u64 {
        self.marks.get(&stage).and_then(|mark| mark.started).unwrap_or(0)
    }

    fn touch(&mut self, stage: Stage, line: &Line<'_>, done: bool) {
        self.progressed |= stage != Stage::Boot;
        let boot = self.boot_number();
        let mark = self.marks.entry(stage).or_insert_with(|| Mark {
            first: line.number,
            boot,
            time: line.time().map(|stamp| stamp.text.to_owned()),
            started: None,
            done: None,
        });
        if done {
            let first = mark.done.map_or(line.number, |(first, _)| first);
            mark.done = Some((first, line.number));
        }
    }

    /// Suspects an explicit cause.
    pub(crate) fn fault(&mut self, code: &'static str, line: &Line<'_>) {
        let entry = catalogue::entry(code);
        let symptom = entry.is_some_and(|entry| entry.symptom);
        self.suspect(code, if symptom { SYMPTOM } else { CERTAIN }, line);
    }

    /// Suspects a cause with a given confidence and returns it for refinement.
    pub(crate) fn suspect(
        &mut self,
        code: &'static str,
        confidence: f64,
        line: &Line<'_>,
    ) -> Option<&mut Fault> {
        self.suspect_quoted(code, confidence, line.number, line.text)
    }

    /// Like [`Tracker::suspect`] for a line seen earlier.
    pub(crate) fn suspect_quoted(
        &mut self,
        code: &'static str,
        confidence: f64,
        number: u64,
        text: &str,
    ) -> Option<&mut Fault> {
        self.progressed = true;
        let boot = self.boot_number();
        if let Some(at) = self.faults.iter().position(|fault| fault.code == code) {
            let fault = &mut self.faults[at];
            if number != fault.last {
                fault.count += 1;
            }
            fault.last = fault.last.max(number);
            fault.boot = boot;
            fault.healed = false;
            fault.confidence = fault.confidence.max(confidence);
            if fault.quotes.len() < EVIDENCE_MAX && fault.quotes.iter().all(|q| q.line != number) {
                fault.quotes.push(quote(number, text));
            }
            return Some(fault);
        }
        if self.faults.len() >= FINDINGS_MAX {
            return None;
        }
        self.faults.push(Fault {
            code,
            stage: catalogue::entry(code).and_then(|entry| entry.stage),
            confidence,
            alternatives: catalogue::alternatives(code).to_vec(),
            quotes: vec![quote(number, text)],
            first: number,
            last: number,
            boot,
            count: 1,
            side: false,
            healed: false,
        });
        self.faults.last_mut()
    }

    /// Suspects a side issue that is at most a warning.
    pub(crate) fn side(&mut self, code: &'static str, line: &Line<'_>) {
        let known = self.has_fault(code);
        if let Some(fault) = self.suspect(code, CERTAIN, line)
            && !known
        {
            fault.side = true;
        }
    }

    /// Returns true when this cause is suspected and not answered.
    pub(crate) fn has_fault(&self, code: &str) -> bool {
        self.faults.iter().any(|fault| fault.code == code && !fault.healed)
    }

    /// Answers a cause: something later shows that it is over.
    pub(crate) fn heal(&mut self, code: &str) {
        for fault in &mut self.faults {
            fault.healed |= fault.code == code;
        }
    }

    /// Takes a cause back: it turned out to be another one.
    pub(crate) fn retract(&mut self, code: &str) {
        self.faults.retain(|fault| fault.code != code);
    }

    /// Names a suspected cause better: what was dialled decides what the failure alone leaves open.
    pub(crate) fn rename(&mut self, code: &str, better: &'static str) {
        for fault in self.faults.iter_mut().filter(|fault| fault.code == code) {
            fault.code = better;
            fault.confidence = LIKELY;
            fault.stage = catalogue::entry(better).and_then(|entry| entry.stage);
            fault.alternatives = catalogue::alternatives(better).to_vec();
        }
    }

    /// Adds a line of evidence to a suspected cause.
    pub(crate) fn evidence(&mut self, code: &str, line: &Line<'_>) {
        if let Some(fault) = self.faults.iter_mut().find(|fault| fault.code == code)
            && fault.quotes.len() < EVIDENCE_MAX
            && fault.quotes.iter().all(|quote| quote.line != line.number)
        {
            fault.quotes.push(quote(line.number, line.text));
        }
    }

    /// Notes a line that is a consequence: it is explained by an earlier cause, or by `code` when
    /// there is none.
    pub(crate) fn consequence(&mut self, line: &Line<'_>, code: &'static str) {
        let known = self.consequences.last().is_some_and(|(n, _)| *n == line.number);
        if !known && self.consequences.len() < CAUSED_MAX {
            self.consequences.push((line.number, code));
        }
    }

    /// Notes a connection attempt for the count per minute.
    pub(crate) fn count_connect(&mut self, line: &Line<'_>) {
        // Lines of the socket layer often carry no time: the last one seen is close enough.
        if let Some(ms) = line.time().map(|stamp| stamp.ms).or(self.last_ms) {
            self.memo.connects.push(ms);
            if self.memo.connects.len() > CONNECTS_MAX {
                self.memo.connects.remove(0);
            }
        }
    }

    /// Returns how many connects lie within the 60 s before the last one, itself included.
    pub(crate) fn connects_per_minute(&self) -> usize {
        let Some(last) = self.memo.connects.last() else { return 0 };
        self.memo.connects.iter().filter(|ms| (last - **ms).abs() <= 60_000).count()
    }

    /// An established session was lost: one is a warning, three are a loop.
    pub(crate) fn drop_session(&mut self, line: &Line<'_>) {
        if !self.memo.connected {
            return;
        }
        self.memo.connected = false;
        self.memo.drops += 1;
        if self.memo.drops >= LOOP_DROPS {
            let first = self.faults.iter().find(|f| f.code == "mqtt.connection_lost").cloned();
            self.retract("mqtt.connection_lost");
            if let Some(fault) = self.suspect("mqtt.reconnect_loop", SYMPTOM, line)
                && let Some(first) = first
            {
                fault.first = first.first;
                fault.count += first.count;
                fault.quotes.splice(0..0, first.quotes);
                fault.quotes.truncate(EVIDENCE_MAX);
            }
        } else {
            self.side("mqtt.connection_lost", line);
        }
    }

    /// An MQTT session is up.
    pub(crate) fn session_up(&mut self, line: &Line<'_>) {
        self.done(Stage::MqttConnack, line);
        self.memo.connected = true;
        self.memo.attempt_failed = false;
        self.memo.pings = 0;
        self.memo.up_ms = self.memo.up_ms.or(line.time().map(|stamp| stamp.ms));
    }

    /// Provisioning ended and the session is up, but no token was reported for so long.
    pub(crate) fn token_missing(&mut self, after_ms: i64) {
        let provisioned = [Stage::ProvisionSoftap, Stage::ProvisionRadio, Stage::ProvisionQr]
            .iter()
            .any(|stage| self.done_at(*stage) > 0);
        let waited = match (self.memo.up_ms, self.last_ms) {
            (Some(up), Some(last)) => last - up > after_ms,
            _ => false,
        };
        let reported = self.started_at(Stage::TokenReport) > 0;
        let (number, text) = (self.done_at(Stage::MqttConnack), "connected, and no token follows");
        if provisioned && waited && !reported && self.memo.connected {
            let _ = self.suspect_quoted("bind.token_not_reported", ABSENCE, number, text);
        }
    }

    /// A transport, TLS or log-in failure of the current attempt.
    pub(crate) fn attempt_fault(&mut self, code: &'static str, line: &Line<'_>) {
        self.memo.attempt_failed = true;
        self.fault(code, line);
    }
}

/// Losses of one identity that make a loop (diagnosis model, 6.3).
const LOOP_DROPS: u32 = 3;

fn quote(line: u64, text: &str) -> Quote {
    let mut end = text.len().min(EVIDENCE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Quote { line, text: text[..end].to_owned() }
}
