//! Error records: id, sub-code, text, cause, and the queue that survives a restart.
//!
//! Source: Tencent §5.4, §13.3; `qcloud_wifi_config_error_handle.c`.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use roadstead_core::Code;

/// Records a device keeps; the oldest is dropped.
const RECORDS_MAX: usize = 16;
/// Bytes of the buffer a record's text is built in, the final NUL included.
const TEXT_BYTES_MAX: usize = 64;
/// Marks a stored queue.
const MAGIC: u32 = 0xF00D_BEEF;

/// Numbers of the record's first half.
pub mod id {
    /// The platform was not reached.
    pub const MQTT_CONNECT: u16 = 1;
    /// A command of the phone was wrong.
    pub const APP_COMMAND: u16 = 2;
    /// Provisioning was stopped.
    pub const STOPPED: u16 = 3;
    /// The device's own network did not start.
    pub const AP_INIT: u16 = 7;
    /// The network was not joined.
    pub const WIFI_CONNECT: u16 = 10;
    /// The change from own network to the home network failed.
    pub const AP_STA: u16 = 12;
    /// The command socket did not open.
    pub const SOCKET_BIND: u16 = 16;
    /// The token was not acknowledged.
    pub const TOKEN_SEND: u16 = 23;
    /// The token was refused.
    pub const TOKEN_REPLY: u16 = 24;
}

/// Numbers of the record's second half.
pub mod sub {
    /// Provisioning took too long.
    pub const TIMED_OUT: i32 = 103;
    /// Not a command.
    pub const BAD_COMMAND: i32 = 201;
    /// A field of the command is missing.
    pub const MISSING_FIELD: i32 = 204;
    /// The SDK's generic failure.
    pub const GENERIC: i32 = -1001;
}

/// Text of every id, by number.
const TEXTS: [&str; 25] = [
    "Everything OK!",
    "MQTT connect error!",
    "APP command error!",
    "WIFI boarding stop!",
    "RTOS task error!",
    "RTOS queue error!",
    "WIFI STA init error!",
    "WIFI AP init error!",
    "WIFI start error!",
    "WIFI config error!",
    "WIFI connect error!",
    "WIFI disconnect error!",
    "WIFI AP STA error!",
    "ESP smartconfig start error!",
    "ESP smartconfig data error!",
    "SRV socket open error!",
    "SRV socket bind error!",
    "SRV socket listen error!",
    "SRV socket fcntl error!",
    "SRV socket accept error!",
    "SRV socket recv error!",
    "SRV socket select error!",
    "SRV socket send error!",
    "MQTT Token send error!",
    "MQTT Token reply error!",
];

/// One error of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What failed.
    pub id: u16,
    /// How it failed; its meaning depends on `id`.
    pub sub: i32,
}

impl Record {
    /// Returns the stable code of the cause.
    pub fn code(self) -> Code {
        match self.id {
            1 => "attempt.never_connected",
            3 if self.sub == 101 || self.sub == 102 => "attempt.abandoned",
            6 | 9 | 10 | 11 | 12 | 13 | 14 => "attempt.network_not_joined",
            23 => "attempt.token_not_reported",
            24 => "bind.unknown_token",
            _ => "attempt.device_error",
        }
    }

    /// Returns the probable cause in words, for people.
    pub fn cause(self) -> &'static str {
        match (self.id, self.sub) {
            (1, _) => "the device joined the network but did not reach the platform",
            (2, 202) => "the device did not accept the timestamp of the command",
            (2, 203) => "the device did not accept the signature of the command",
            (2, 204) => "the command lacks the network name, the password or the token",
            (2, _) => "the device did not understand the command",
            (3, 103) => "the device waited too long for its provisioning to end",
            (3, 104) => "the device received unusable data over the radio",
            (3, _) => "the provisioning was stopped at the device",
            (4 | 5, _) => "the device ran out of memory",
            (6..=9, _) => "the device's Wi-Fi driver failed",
            (10, _) => "wrong password, or the network was not found",
            (11, _) => "the network was lost during provisioning",
            (12, _) => "the device could not leave its own network and join the home network",
            (13 | 14, _) => "the radio capture was incomplete, or the network has 5 GHz only",
            (15..=22, _) => "the device's command socket failed",
            (23, _) => "the token was not acknowledged by the platform or never arrived",
            (24, 201) => "the platform's answer to the token was not readable",
            (24, _) => "the platform refused the token",
            _ => "the device reported an error that is not in the vendor's table",
        }
    }
}

/// A record as text on the wire: `<text> (<id>, <sub>)`, cut to 63 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordText {
    /// The numbers, when the text ends with them.
    pub record: Option<Record>,
    /// The words.
    pub words: String,
}

impl RecordText {
    /// Reads the `log` member. Never fails: a text without numbers is kept as it is.
    pub fn parse(log: &str) -> Self {
        let log = log.trim_end();
        let numbers = log.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
        let parsed = numbers.and_then(|(words, pair)| {
            let (id, sub) = pair.split_once(", ")?;
            Some((words, Record { id: id.parse().ok()?, sub: sub.parse().ok()? }))
        });
        match parsed {
            Some((words, record)) => Self { record: Some(record), words: words.to_string() },
            None => Self { record: None, words: log.to_string() },
        }
    }
}

impl From<Record> for RecordText {
    fn from(record: Record) -> Self {
        let words = TEXTS.get(usize::from(record.id)).copied().unwrap_or("Unknown error!");
        Self { record: Some(record), words: words.to_string() }
    }
}

impl fmt::Display for RecordText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.words.clone();
        if let Some(Record { id, sub }) = self.record {
            text.push_str(&alloc::format!(" ({id}, {sub})"));
        }
        let mut end = text.len().min(TEXT_BYTES_MAX - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        f.write_str(text.get(..end).unwrap_or_default())
    }
}

/// The records that still wait to be told to a phone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordQueue {
    /// Each with whether it is of an earlier attempt; oldest first.
    records: VecDeque<(bool, Record)>,
}

impl RecordQueue {
    /// Reads a stored queue; everything in it is of an earlier attempt. Unreadable bytes are an
    /// empty queue, as in the SDK.
    pub fn load(bytes: &[u8]) -> Self {
        let mut records = VecDeque::new();
        if let Some((head, rest)) = bytes.split_first_chunk::<8>() {
            let [m0, m1, m2, m3, c0, c1, c2, c3] = *head;
            let count = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
            if u32::from_le_bytes([m0, m1, m2, m3]) == MAGIC && count <= RECORDS_MAX {
                let (chunks, _) = rest.as_chunks::<8>();
                for &[_, _, i0, i1, s0, s1, s2, s3] in chunks.iter().take(count) {
                    let id = u16::from_le_bytes([i0, i1]);
                    let sub = i32::from_le_bytes([s0, s1, s2, s3]);
                    records.push_back((true, Record { id, sub }));
                }
            }
        }
        Self { records }
    }

    /// Returns the bytes to store: magic, count, and 8 bytes a record, little endian.
    pub fn store(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend((self.records.len() as u32).to_le_bytes());
        for (n, (_, Record { id, sub })) in self.records.iter().enumerate() {
            bytes.extend([n as u8, 0]);
            bytes.extend(id.to_le_bytes());
            bytes.extend(sub.to_le_bytes());
        }
        bytes
    }

    /// Adds a record of this attempt; the oldest of a full queue is dropped.
    pub fn push(&mut self, record: Record) {
        if self.records.len() == RECORDS_MAX {
            self.records.pop_front();
        }
        self.records.push_back((false, record));
    }

    /// A new attempt begins: everything kept is of an earlier one.
    pub fn age(&mut self) {
        for (previous, _) in &mut self.records {
            *previous = true;
        }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes everything, oldest first: whether it is of an earlier attempt, and the record.
    pub fn drain(&mut self) -> impl Iterator<Item = (bool, Record)> {
        self.records.drain(..)
    }
}
