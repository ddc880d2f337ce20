//! The comm service of the device: answers the phone, then says what it got.
//!
//! ```text
//! Idle --good command--> Replying --third reply--> Lingering --> Taken
//!  |  '--bad command: error record--> Idle
//!  |  '--read log--> SendingLog --second copy--> Taken::Log
//!  '--life over--> Taken::TimedOut
//! ```
//!
//! While replying and lingering further datagrams are lost, as in the firmware. On [`LOG_PORT`]
//! it serves the log alone.
//!
//! Source: Tencent §5.1, §5.3, §5.6; transcripts softap-*, udp-*, v3-*.

use alloc::boxed::Box;
use alloc::string::String;
use core::net::{Ipv4Addr, SocketAddr};

use roadstead_core::attempt::Stage;
use roadstead_core::{Secret, Tick};

use super::super::comm::{ADDRESS_PORT, Announcement, COMMAND_PORT, Command, LOG_PORT, Message};
use super::context::Context;
use crate::device::{Output, UdpAction};

/// How a request to the log port starts (Tencent §5.3).
const LOG_REQUEST: &[u8] = b"{\"cmdType\":3";
/// Copies of one address announcement.
const ANNOUNCEMENTS: u8 = 3;

/// What the service has ended with.
pub(super) enum Taken {
    /// Network and token.
    Network {
        /// Network name.
        ssid: String,
        /// Network password.
        password: Secret,
        /// Bind token.
        token: Secret,
    },
    /// The token alone.
    Token(Secret),
    /// The log was read; the firmware ends its service after that.
    Log,
    /// Nobody came.
    TimedOut,
}

enum State {
    Idle,
    Replying { to: SocketAddr, sent: u8, due: Tick, taken: Box<Taken> },
    Lingering { due: Tick, taken: Box<Taken> },
    SendingLog { to: SocketAddr, text: String, due: Tick },
}

/// The service on one port.
pub(super) struct Listener {
    port: u16,
    until: Tick,
    state: State,
    announcing: Option<Announcing>,
}

/// Address announcements of an associated 3.0 device.
struct Announcing {
    announcement: Announcement,
    sent: u8,
    due: Tick,
}

impl Listener {
    /// Opens the command service.
    pub(super) fn commands(cx: &mut Context<'_>) -> Self {
        cx.out.push(Output::Udp(UdpAction::Bind(COMMAND_PORT)));
        let until = cx.now + cx.policy().service_life;
        Self { port: COMMAND_PORT, until, state: State::Idle, announcing: None }
    }

    /// Opens the log service.
    pub(super) fn log(cx: &mut Context<'_>) -> Self {
        cx.out.push(Output::Udp(UdpAction::Bind(LOG_PORT)));
        let until = cx.now + cx.policy().log_life;
        Self { port: LOG_PORT, until, state: State::Idle, announcing: None }
    }

    /// From now on tells everybody its address after each idle round (protocol 3.0). The lengths
    /// of name and password are those of the joined network, in bytes.
    pub(super) fn announce(
        &mut self,
        address: Ipv4Addr,
        lengths: (usize, usize),
        cx: &Context<'_>,
    ) {
        let announcement = Announcement::new(lengths.0, lengths.1, address);
        let due = cx.now + cx.policy().idle_round;
        self.announcing = Some(Announcing { announcement, sent: 0, due });
    }

    /// Closes the socket.
    pub(super) fn close(&self, cx: &mut Context<'_>) {
        cx.out.push(Output::Udp(UdpAction::Close(self.port)));
    }

    /// Returns the port it listens on.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Takes a datagram.
    pub(super) fn datagram(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Option<Taken> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        if self.port == LOG_PORT {
            return if bytes.starts_with(LOG_REQUEST) { self.send_log(from, cx) } else { None };
        }
        cx.flush_records(from);
        match Command::parse(bytes) {
            Ok(Command::Join { ssid, password, token }) => {
                let taken = Taken::Network { ssid, password, token };
                self.reply(from, taken, cx);
            }
            Ok(Command::Token { token }) => self.reply(from, Taken::Token(token), cx),
            Ok(Command::ReadLog) => return self.send_log(from, cx),
            Ok(Command::ReadAuth) => {}
            Err(error) => {
                cx.log("command", "refused");
                cx.record(error.record());
                cx.flush_records(from);
            }
        }
        None
    }

    /// Wakes up.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) -> Option<Taken> {
        self.announce_if_due(cx);
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Idle if cx.now >= self.until => return Some(Taken::TimedOut),
            State::Replying { to, sent, due, taken } if cx.now >= due => {
                send_identity(to, cx);
                self.state = after_reply(to, sent + 1, taken, cx);
            }
            State::Lingering { due, taken } if cx.now >= due => return Some(*taken),
            State::SendingLog { to, text, due } if cx.now >= due => {
                cx.send(self.port, to, text);
                return Some(Taken::Log);
            }
            state @ (State::Idle
            | State::Replying { .. }
            | State::Lingering { .. }
            | State::SendingLog { .. }) => self.state = state,
        }
        None
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> (Tick, &'static str) {
        let state = match &self.state {
            State::Idle => (self.until, "end of the comm service"),
            State::Replying { due, .. } => (*due, "next identity reply"),
            State::Lingering { due, .. } => (*due, "leaving the comm service"),
            State::SendingLog { due, .. } => (*due, "second copy of the log"),
        };
        match &self.announcing {
            Some(a) if matches!(self.state, State::Idle) && a.due < state.0 => {
                (a.due, "address announcement")
            }
            Some(_) | None => state,
        }
    }

    fn reply(&mut self, from: SocketAddr, taken: Taken, cx: &mut Context<'_>) {
        cx.log("command", "accepted");
        cx.stage(Stage::CredentialsReceived, None);
        send_identity(from, cx);
        cx.stage(Stage::DeviceReplied, None);
        cx.flush_records(from);
        self.state = after_reply(from, 1, Box::new(taken), cx);
    }

    fn send_log(&mut self, to: SocketAddr, cx: &mut Context<'_>) -> Option<Taken> {
        let Some(text) = cx.memory.log.text() else { return Some(Taken::Log) };
        cx.send(self.port, to, text.clone());
        self.state = State::SendingLog { to, text, due: cx.now + cx.policy().log_gap };
        None
    }

    fn announce_if_due(&mut self, cx: &mut Context<'_>) {
        let gap = cx.policy().reply_gap;
        let round = cx.policy().idle_round;
        let Some(a) = &mut self.announcing else { return };
        if cx.now < a.due || !matches!(self.state, State::Idle) {
            return;
        }
        let bytes = bytes::Bytes::copy_from_slice(&a.announcement.emit());
        cx.out.push(Output::Udp(UdpAction::Broadcast { port: ADDRESS_PORT, bytes }));
        a.sent += 1;
        let last = a.sent >= ANNOUNCEMENTS;
        a.sent = if last { 0 } else { a.sent };
        a.due = cx.now + if last { round } else { gap };
    }
}

fn send_identity(to: SocketAddr, cx: &mut Context<'_>) {
    let protocol = cx.memory.policy.protocol;
    let identity = Message::Identity {
        product: (&*cx.memory.config.product).into(),
        device: (&*cx.memory.config.device).into(),
        protocol,
    };
    cx.send(COMMAND_PORT, to, identity.emit(protocol));
}

fn after_reply(to: SocketAddr, sent: u8, taken: Box<Taken>, cx: &Context<'_>) -> State {
    let policy = cx.policy();
    if sent < policy.replies {
        return State::Replying { to, sent, due: cx.now + policy.reply_gap, taken };
    }
    let linger = match *taken {
        Taken::Network { .. } => policy.join_linger,
        Taken::Token(_) | Taken::Log | Taken::TimedOut => policy.token_linger,
    };
    State::Lingering { due: cx.now + linger, taken }
}
