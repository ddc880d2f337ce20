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

/// What an entry is about: the filter of the run log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Log-in, log-out, refusals, freezing.
    Status,
    /// Property reports, sets and gets, shadow.
    Property,
    /// Opaque messages and topics.
    Message,
    /// Commands, synchronous and asynchronous, and their answers.
    Command,
    /// Events of the thing model.
    Event,
    /// Registration, bind tokens, bindings.
    Onboarding,
    /// Sub-devices behind gateways.
    Gateway,
    /// What the device tells of itself and what operators set.
    Device,
}

impl Category {
    /// Every category, in the order of the enum.
    pub const ALL: [Self; 8] = [
        Self::Status,
        Self::Property,
        Self::Message,
        Self::Command,
        Self::Event,
        Self::Onboarding,
        Self::Gateway,
        Self::Device,
    ];

    /// Returns the name used by the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Property => "property",
            Self::Message => "message",
            Self::Command => "command",
            Self::Event => "event",
            Self::Onboarding => "onboarding",
            Self::Gateway => "gateway",
            Self::Device => "device",
        }
    }

    /// Returns the category of a name of the API.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }

    /// Returns what an operation is about.
    pub fn of(what: &str) -> Self {
        match what {
            "login" | "logout" | "handshake" | "connect" | "disconnect" | "packet" | "freeze"
            | "thaw" => Self::Status,
            "report" | "set_properties" | "get_properties" | "desire" | "read_shadow"
            | "clear_desired" | "forget_shadow" => Self::Property,
            "message" | "broadcast" | "publish" | "subscribe" | "answer" | "malformed"
            | "ignored" | "call" | "encode" => Self::Message,
            "command" | "async_command" | "response" | "result" => Self::Command,
            "event" => Self::Event,
            "register" | "bind" | "bind_token" | "unbind" | "unbound" | "share" | "transfer" => {
                Self::Onboarding
            }
            "attach" | "detach" | "sub_devices" | "sub_changed" | "sub_search" => Self::Gateway,
            _ => Self::Device,
        }
    }
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
    /// True when the hop ended in a failure.
    pub fn is_failure(&self) -> bool {
        &*self.code != "ok"
    }

    /// Returns what the hop is about.
    pub fn category(&self) -> Category {
        Category::of(&self.what)
    }

    /// Returns the id that the hops of one message share: eight hex digits behind ` #` at the end
    /// of the text.
    pub fn trace_id(&self) -> Option<&str> {
        let (_, id) = self.text.rsplit_once(" #")?;
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (id.len() == 8 && id.bytes().all(hex)).then_some(id)
    }

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
    fn hops_say_what_they_are_about() {
        for category in Category::ALL {
            assert_eq!(Category::parse(category.name()), Some(category));
        }
        let entry = |what, text| Entry::new(Timestamp(0), Hop::Up, what, "command.offline", text);
        assert_eq!(entry("async_command", "").category(), Category::Command);
        assert_eq!(entry("fw_version", "").category(), Category::Device);
        assert!(entry("x", "").is_failure());
        assert_eq!(entry("x", "a #00ff12ab").trace_id(), Some("00ff12ab"));
        for text in ["", "#00ff12ab", "a #00FF12AB", "a #00ff12a", "a #00ff12ab b"] {
            assert_eq!(entry("x", text).trace_id(), None, "{text}");
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let entry = Entry::new(Timestamp(0), Hop::Up, "report", "ok", &"设".repeat(400));
        assert_eq!(entry.text.len(), TRACE_TEXT_BYTES_MAX / 3 * 3);
    }
}
