//! The numbers of a device: what differs between SDK lines, and what an operator may shorten.
//!
//! Source: Tencent §3.5, §5.1, §5.3, §5.6, §6.2, §8, §12; transcripts softap-*, v3-*.

use core::time::Duration;

use super::super::comm::Protocol;
use super::super::topic::Thing;

/// Every timing and rule of a device.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Generation of the comm service.
    pub protocol: Protocol,
    /// Identity replies to one command.
    pub replies: u8,
    /// Pause between two of them.
    pub reply_gap: Duration,
    /// Time from the last reply to leaving the own access point.
    pub join_linger: Duration,
    /// The same when only a token came.
    pub token_linger: Duration,
    /// Life of the command socket.
    pub service_life: Duration,
    /// Life of the whole attempt.
    pub attempt_life: Duration,
    /// Silence after which a 3.0 device announces its address.
    pub idle_round: Duration,
    /// Pause between the two copies of the log.
    pub log_gap: Duration,
    /// How long the log is served after a failure; zero for never.
    pub log_life: Duration,
    /// Pause after a failed attempt before the next one.
    pub retry_gap: Duration,
    /// Longest time a radio gets to join.
    pub join_wait: Duration,
    /// Registrations tried.
    pub register_tries: u8,
    /// Pause between two of them.
    pub register_gap: Duration,
    /// Pause between registration and log-in.
    pub register_settle: Duration,
    /// Longest time for an HTTP answer.
    pub http_wait: Duration,
    /// Longest time for CONNACK, SUBACK, PUBACK and replies.
    pub command_wait: Duration,
    /// MQTT keep-alive.
    pub keep_alive: Duration,
    /// Time a subscription gets before the token is published.
    pub subscribe_round: Duration,
    /// Publications of the token without PUBACK.
    pub publish_tries: u8,
    /// What makes a binding a success.
    pub reply: ReplyRule,
    /// Time from the publication of the token to the end of the binding connection.
    pub bind_linger: Duration,
    /// What follows a binding.
    pub after_bind: AfterBind,
    /// Ask for the time after each log-in.
    pub time_sync: bool,
    /// Time a `$sys` subscription gets, per try.
    pub sys_wait: Duration,
    /// Tries of it.
    pub sys_tries: u8,
    /// Longest time for the time.
    pub time_wait: Duration,
    /// Pause after it.
    pub sys_gap: Duration,
    /// Channels subscribed in normal operation, in order.
    pub channels: &'static [Channel],
    /// Pause between the last subscription and the first request.
    pub settle: Duration,
    /// Pause between the state query and the first report.
    pub status_gap: Duration,
    /// First wait before a reconnect; up to twice as long, at random.
    pub backoff_first: Duration,
    /// A wait beyond this ends the series.
    pub backoff_max: Duration,
    /// Pause after a given-up series before the application starts a new one.
    pub backoff_rest: Duration,
    /// Longest time for a gateway result.
    pub gateway_wait: Duration,
}

/// A channel the platform speaks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Properties; replies to reports.
    Property,
    /// Replies to events.
    Event,
    /// Actions.
    Action,
    /// Unbinding.
    Service,
}

impl Channel {
    /// Returns the topic's part.
    pub(super) fn thing(self) -> Thing {
        match self {
            Self::Property => Thing::Property,
            Self::Event => Thing::Event,
            Self::Action => Thing::Action,
            Self::Service => Thing::Service,
        }
    }
}

/// What makes a binding a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyRule {
    /// The acknowledged publication alone, whatever the platform answers (2.0 firmware, §6.3).
    Ignored,
    /// A reply with code 0, waited for this long, this many rounds.
    Required {
        /// Wait per round.
        wait: Duration,
        /// Publications in total.
        rounds: u8,
    },
}

/// What follows a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterBind {
    /// Close, pause, log in again: real firmware.
    Reconnect {
        /// The pause.
        pause: Duration,
    },
    /// Go on with the same connection.
    Stay,
}

const SECOND: Duration = Duration::from_secs(1);

impl Policy {
    /// SDK 3.1, protocol 2.0, with one difference: a binding needs the platform's word.
    pub fn v2() -> Self {
        Self {
            protocol: Protocol::V2,
            replies: 3,
            reply_gap: SECOND,
            join_linger: 3 * SECOND,
            token_linger: SECOND,
            service_life: 315 * SECOND,
            attempt_life: 300 * SECOND,
            idle_round: 3 * SECOND,
            log_gap: SECOND / 2,
            log_life: Duration::ZERO,
            retry_gap: SECOND,
            join_wait: 60 * SECOND,
            register_tries: 3,
            register_gap: 2 * SECOND,
            register_settle: SECOND / 2,
            http_wait: 5 * SECOND,
            command_wait: 5 * SECOND,
            keep_alive: 240 * SECOND,
            subscribe_round: SECOND,
            publish_tries: 3,
            reply: ReplyRule::Required { wait: 10 * SECOND, rounds: 3 },
            bind_linger: 2 * SECOND,
            after_bind: AfterBind::Reconnect { pause: Duration::from_millis(5500) },
            time_sync: true,
            sys_wait: Duration::from_millis(300),
            sys_tries: 3,
            time_wait: 2 * SECOND,
            sys_gap: SECOND / 10,
            channels: &[Channel::Property, Channel::Event, Channel::Action, Channel::Service],
            settle: SECOND,
            status_gap: SECOND / 2,
            backoff_first: SECOND,
            backoff_max: 60 * SECOND,
            backoff_rest: 60 * SECOND,
            gateway_wait: Duration::from_millis(20_300),
        }
    }

    /// SDK 3.2, protocol 3.0.
    pub fn v3() -> Self {
        Self {
            protocol: Protocol::V3,
            keep_alive: 120 * SECOND,
            after_bind: AfterBind::Reconnect { pause: Duration::from_millis(5900) },
            ..Self::v2()
        }
    }

    /// SDK 3.1 exactly as it is: success without the platform's word (§6.3).
    pub fn v2_lenient() -> Self {
        Self { reply: ReplyRule::Ignored, ..Self::v2() }
    }

    /// The same messages in the same order with pauses a demonstration can wait for.
    #[must_use]
    pub fn lab(self) -> Self {
        let tenth = SECOND / 10;
        Self {
            reply_gap: tenth,
            join_linger: 3 * tenth,
            token_linger: tenth,
            idle_round: 3 * tenth,
            log_gap: tenth / 2,
            retry_gap: tenth,
            register_gap: 2 * tenth,
            register_settle: tenth / 2,
            subscribe_round: tenth,
            bind_linger: 2 * tenth,
            after_bind: AfterBind::Reconnect { pause: 5 * tenth },
            sys_gap: tenth / 10,
            settle: tenth,
            status_gap: tenth / 2,
            backoff_first: tenth,
            backoff_rest: SECOND,
            ..self
        }
    }

    /// With the log access point of a failed attempt: six minutes in real firmware.
    #[must_use]
    pub fn with_log_life(self, life: Duration) -> Self {
        Self { log_life: life, ..self }
    }
}
