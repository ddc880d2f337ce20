//! The kinds of answers, as numbers in a [`Reply`], and what they remember.
//!
//! The token holds up to three texts between line feeds; texts that hold one themselves are cut.

use alloc::string::String;

use roadstead_core::exchange::Uplink;

use crate::cloud::{Heard, Reply};

/// Longest text that is echoed, bytes.
pub(super) const ECHO_BYTES_MAX: usize = 512;

/// What an answer looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// `shadow/get/response`: service, request id.
    Shadow,
    /// `time_sync_response`: event id, the device's time.
    Time,
    /// `sub_device_update_status_response`: event id, status.
    SubStatus,
    /// `add_sub_device_response`: event id.
    SubCreate,
    /// `delete_sub_device_response`: event id.
    SubDelete,
    /// `add_sub_device_notify`: event id.
    SubSync,
    /// `get_upload_url_response`, `get_download_url_response`: event id, type, file name.
    FileUrl,
    /// `bootstrap/down`: keyword.
    Bootstrap,
    /// A bridge's `login/response`: request id.
    BridgeLogin,
    /// A bridge's `logout/response`: request id.
    BridgeLogout,
    /// A bridge's `reset_secret/response`: request id, new secret.
    ResetSecret,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Shadow,
        Self::Time,
        Self::SubStatus,
        Self::SubCreate,
        Self::SubDelete,
        Self::SubSync,
        Self::FileUrl,
        Self::Bootstrap,
        Self::BridgeLogin,
        Self::BridgeLogout,
        Self::ResetSecret,
    ];

    /// Returns the kind of a number.
    pub(super) fn parse(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Something understood, to be answered.
pub(super) fn heard(uplink: Uplink, kind: Kind, texts: &[&str]) -> Heard {
    let mut token = String::new();
    for (n, text) in texts.iter().enumerate() {
        if n > 0 {
            token.push('\n');
        }
        let text = text.split('\n').next().unwrap_or_default();
        token.push_str(&text[..text.floor_char_boundary(ECHO_BYTES_MAX)]);
    }
    Heard { uplink, reply: Some(Reply { kind: kind as u8, token: token.into() }) }
}

/// Returns the texts of a token; missing ones are empty.
pub(super) fn texts(token: &str) -> [&str; 3] {
    let mut texts = token.split('\n');
    core::array::from_fn(|_| texts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kinds_and_texts_come_back() {
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, n);
            assert_eq!(Kind::parse(kind as u8), Some(kind));
        }
        assert_eq!(Kind::parse(11), None);
        let what = Uplink::Time;
        let reply = heard(what, Kind::Time, &["e1", "17\n18", ""]).reply.expect("answered");
        assert_eq!(texts(&reply.token), ["e1", "17", ""]);
    }
}
