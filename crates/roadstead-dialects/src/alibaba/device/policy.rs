//! Timings and rules of one device, by generation of the SDK.
//!
//! Source: Alibaba §2, §3.1, §4, §5, §7; transcripts v301_*, l16_*.

use core::time::Duration;

use super::super::topic::sys;

/// Generation of the SDK that the device imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Link Kit C SDK 3.0.1: subscribes everything, makes its own tokens, connects directly.
    LinkKit3,
    /// Smart-living SDK 1.6.0: topics come by themselves, takes tokens of the phone, asks over HTTP
    /// where to connect.
    Living16,
}

/// What a query for the token gets while the platform has not confirmed any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// Nothing, as in recordings; the phone asks again.
    Silence,
    /// The description without a token, so that the phone can say why it does not get on.
    WithoutToken,
}

/// Timings and rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Generation.
    pub generation: Generation,
    /// Life of a token the device made.
    pub token_life: Duration,
    /// Reports of one token, the first included.
    pub report_tries: u8,
    /// Wait for `match_reply` before reporting again.
    pub report_gap: Duration,
    /// Wait after a token that was never confirmed, before a new one is made by itself.
    pub report_rest: Duration,
    /// How long a query waits for a confirmed token.
    pub query_wait: Duration,
    /// What it gets without one.
    pub unconfirmed: Unconfirmed,
    /// Announcements of one token or network.
    pub notifies: u8,
    /// Wait before the first announcement.
    pub notify_delay: Duration,
    /// The n-th pause between announcements is n times this.
    pub notify_step: Duration,
    /// Time between the answer to `switchap` and the end of the own network.
    pub switch_linger: Duration,
    /// Reads one block of a password in security 2.0 (trap 14).
    pub cut_password: bool,
    /// Longest time to join a network.
    pub join_wait: Duration,
    /// Longest time for an HTTP exchange.
    pub http_wait: Duration,
    /// Tries of an HTTP exchange in a row.
    pub http_tries: u8,
    /// Wait before the next one.
    pub http_gap: Duration,
    /// Failed log-ins in a row after which the platform's address is asked for anew (§3.1).
    pub address_tries: u8,
    /// Keep-alive.
    pub keep_alive: Duration,
    /// Wait for CONNACK.
    pub connack_wait: Duration,
    /// First wait before a reconnect; doubled up to the next.
    pub backoff_first: Duration,
    /// Longest wait before a reconnect.
    pub backoff_max: Duration,
    /// Topics it subscribes below `/sys/{pk}/{dn}/`, in order.
    pub subscriptions: &'static [&'static str],
    /// Longest time for SUBACK or an answer to a request.
    pub answer_wait: Duration,
    /// Pause between two reports of a factory reset.
    pub reset_gap: Duration,
    /// Pause between two requests for the keys of local control while there are none.
    pub keys_gap: Duration,
}

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);

/// What Link Kit 3.0.1 subscribes below `/sys/{pk}/{dn}/` (v301_ok).
const LINKKIT3: &[&str] = &[
    "thing/awss/enrollee/match_reply",
    "thing/lan/prefix/get_reply",
    sys::LAN_PREFIX_UPDATE,
    sys::LAN_BLACKLIST_UPDATE,
    "thing/event/+/post_reply",
    sys::PROPERTY_GET,
    sys::PROPERTY_SET,
    "thing/service/+",
    "thing/deviceinfo/update_reply",
    "rrpc/request/+",
    "thing/reset_reply",
];

/// What smart-living 1.6.0 subscribes; the rest comes by itself (trap 4).
const LIVING16: &[&str] = &["thing/event/+/post_reply"];

impl Policy {
    /// Link Kit C SDK 3.0.1.
    pub fn linkkit3() -> Self {
        Self {
            generation: Generation::LinkKit3,
            token_life: 45 * SECOND,
            keep_alive: 60 * SECOND,
            connack_wait: 4 * SECOND,
            subscriptions: LINKKIT3,
            cut_password: false,
            ..Self::living16()
        }
    }

    /// Smart-living SDK 1.6.0, with one difference: long passwords in security 2.0 are read whole.
    pub fn living16() -> Self {
        Self {
            generation: Generation::Living16,
            token_life: 120 * SECOND,
            report_tries: 3,
            report_gap: 3 * SECOND,
            report_rest: 30 * SECOND,
            query_wait: 10 * SECOND,
            unconfirmed: Unconfirmed::Silence,
            notifies: 30,
            notify_delay: 3 * TENTH,
            notify_step: TENTH,
            switch_linger: 2 * SECOND,
            cut_password: false,
            join_wait: 30 * SECOND,
            http_wait: 10 * SECOND,
            http_tries: 3,
            http_gap: 2 * SECOND,
            address_tries: 6,
            keep_alive: 120 * SECOND,
            connack_wait: 6 * SECOND,
            backoff_first: SECOND,
            backoff_max: 60 * SECOND,
            subscriptions: LIVING16,
            answer_wait: 10 * SECOND,
            reset_gap: 3 * SECOND,
            keys_gap: 10 * SECOND,
        }
    }

    /// The same messages in the same order with pauses a demonstration can wait for, and with words
    /// for phones that ask too early.
    #[must_use]
    pub fn lab(self) -> Self {
        Self {
            report_gap: 5 * TENTH,
            report_rest: SECOND,
            query_wait: SECOND,
            unconfirmed: Unconfirmed::WithoutToken,
            notify_delay: TENTH / 2,
            switch_linger: 3 * TENTH,
            http_gap: TENTH,
            backoff_first: TENTH,
            backoff_max: SECOND,
            reset_gap: 3 * TENTH,
            ..self
        }
    }
}
