//! The trace: every hop of one device.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::limit::TRACE_TEXT_BYTES_MAX;
use crate::{DeviceId, Timestamp};

/// One hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Which way.
    pub hop: Hop,
    /// What happened: `login`, `report`, `command`, `bind`, … ; the uplink or downlink's name.
    pub what: Box<str>,
    /// `ok` or the stable code of a failure.
    pub code: Box<str>,
    /// Topic, path or peer; payload excerpt; never a secret.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub text: Box<str>,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// From the device.
    Up,
    /// To the device.
    Down,
    /// Inside the platform.
    Cloud,
    /// From the owner's phone.
    Phone,
    /// From a business application.
    Api,
}

/// Entries of one device, to be written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Whose.
    pub device: DeviceId,
    /// In order.
    pub entries: alloc::vec::Vec<Entry>,
}

impl Entry {
    /// Returns an entry; long text is cut at a character boundary.
    pub fn new(at: Timestamp, hop: Hop, what: &str, code: &str, text: &str) -> Self {
        let cut = match text.char_indices().find(|(n, c)| n + c.len_utf8() > TRACE_TEXT_BYTES_MAX) {
            Some((n, _)) => &text[..n],
            None => text,
        };
        Self { at, hop, what: what.into(), code: code.into(), text: cut.into() }
    }
}

#[expect(clippy::borrowed_box, reason = "the signature serde asks for")]
fn str_is_empty(text: &Box<str>) -> bool {
    text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character() {
        let entry = Entry::new(Timestamp(0), Hop::Up, "report", "ok", &"设".repeat(400));
        assert_eq!(entry.text.len(), TRACE_TEXT_BYTES_MAX / 3 * 3);
    }
}
