//! The task of one admitted connection: one future without a channel, a read buffer or a boxed
//! part while it is idle.
//!
//! ```text
//! poll: mailbox -> time -> inbound futures -> read -> write, again while something moved
//! ```
//!
//! Everything one turn produces leaves in one write, except to devices that read one packet at a
//! time ([`super::pace`]). Reading stops while too much waits for the platform
//! (`mqtt.inbound_max`) or for the socket (`mqtt.outbound_bytes`).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use roadstead_core::session::{Ending, Epoch};
use roadstead_core::trace::{Entry, Hop};
use roadstead_dialects::cloud::{Account, Route, Session};
use roadstead_wire::mqtt::codec::{self, Decoder};
use roadstead_wire::mqtt::packet::{Connect, Packet, Reason};
use roadstead_wire::mqtt::session::server::{Cause, Input, Opening, Output, Server};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep};

use super::inbound::Inbound;
use super::mailbox::Mailbox;
use super::outbound::{Request, Side};
use super::pace::Pace;
use super::work::{READ_BYTES, Work};
use super::{Login, Shared, Socket};

/// Time for the last packets and the closing of the socket, milliseconds.
const GOODBYE_MS: u64 = 2_000;
/// Time for the effects of what was received before the end, milliseconds.
const FINISH_MS: u64 = 5_000;
/// Most bytes asked for at once for a packet that is not complete.
const PARTIAL_BYTES_MAX: usize = 64 * 1024;

/// What a connection starts with.
pub(crate) struct Start {
    pub(crate) shared: Arc<Shared>,
    pub(crate) socket: Socket,
    /// Has read the CONNECT.
    pub(crate) decoder: Decoder,
    /// What came behind the CONNECT.
    pub(crate) rest: BytesMut,
    pub(crate) connect: Box<Connect>,
    pub(crate) login: Login,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) opening: Opening,
}

/// An admitted connection. The future ends when the last packet is written; call
/// [`Connection::finish`] then.
pub(crate) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) server: Server,
    pub(super) session: Box<dyn Session>,
    pub(super) account: Account,
    pub(super) epoch: Epoch,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) inbound: VecDeque<Inbound>,
    pub(super) requests: Vec<Request>,
    pub(super) side: Option<Box<Side>>,
    /// Waiting requests up to this number were sent on this connection.
    pub(super) sent_through: u64,
    /// The trace knows that an answer found no subscription; until the next SUBSCRIBE.
    pub(super) is_deafness_noted: bool,
    socket: Socket,
    decoder: Decoder,
    /// A packet that is not complete, or packets that must wait.
    input: BytesMut,
    output: BytesMut,
    /// The device takes one packet at a time.
    pace: Option<Box<Pace>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the socket last took bytes while more were waiting.
    stalled_since: Option<u64>,
    is_blocked: bool,
    /// What the server machine was asked to close for.
    closing: Option<Ending>,
    ending: Option<Ending>,
    goodbye_due: u64,
}

impl Connection {
    /// Opens the session; CONNACK leaves at the first poll.
    pub(crate) fn open(start: Start) -> Self {
        let Start { shared, socket, mut decoder, rest, mut connect, login, mailbox, opening } =
            start;
        let bytes_max = u32::try_from(shared.limits.packet_bytes_max).unwrap_or(u32::MAX);
        decoder.set_max_bytes(bytes_max);
        let Login { account, session, epoch, cloud } = login;
        if let Some(will) = &connect.will
            && session.publish_route(&will.publish.topic) != Route::Free
        {
            let text = format!("will to `{}`", will.publish.topic);
            let now = shared.clock.now();
            let entry = Entry::new(now, Hop::Up, "connect", "mqtt.denied_topic", &text);
            shared.services.trace(&account.device.id, entry);
            connect.will = None;
        }
        let now = shared.now_ms();
        let mut work = Work::take();
        let server = Server::open(&connect, opening, shared.policy.clone(), now, &mut work.todo);
        let mut connection = Self {
            server,
            session,
            account,
            epoch,
            mailbox,
            inbound: VecDeque::new(),
            requests: Vec::new(),
            side: None,
            sent_through: 0,
            is_deafness_noted: false,
            socket,
            decoder,
            input: rest,
            output: BytesMut::new(),
            pace: cloud.pace().map(|gap| Box::new(Pace::new(gap))),
            timer: None,
            stalled_since: None,
            is_blocked: false,
            closing: None,
            ending: None,
            goodbye_due: 0,
            shared,
        };
        connection.begin(now, &mut work);
        if connection.session.is_implicit() {
            connection.fetch_waiting();
        }
        connection.perform(now, &mut work);
        work.put();
        connection
    }

    /// Queues messages that waited for a persistent session.
    pub(crate) fn resume(&mut self, waited: Vec<roadstead_wire::mqtt::packet::Publish>) {
        let now = self.shared.now_ms();
        let mut work = Work::take();
        for publish in waited {
            self.send_free(publish, now, &mut work);
        }
        self.perform(now, &mut work);
        work.put();
    }

    fn turn(&mut self, cx: &mut Context<'_>, work: &mut Work) {
        loop {
            let now = self.shared.now_ms();
            if let Some(ending) = self.mailbox.take_ending(cx) {
                self.close(ending, now, work);
            }
            self.take_letters(now, work);
            self.perform(now, work);
            let mut again = self.poll_inbound(cx, now, work);
            again |= self.poll_side(cx, now, work);
            again |= self.poll_read(cx, now, work);
            self.perform(now, work);
            again |= self.poll_write(cx, now, work);
            again |= self.poll_timer(cx, work);
            if !again {
                return;
            }
        }
    }

    /// Ends the session from this side.
    pub(super) fn close(&mut self, ending: Ending, now: u64, work: &mut Work) {
        let reason = match ending {
            Ending::TakenOver => Reason::SessionTakenOver,
            Ending::Shutdown => Reason::ServerShuttingDown,
            Ending::TooSlow => Reason::QuotaExceeded,
            Ending::Protocol => Reason::ProtocolError,
            Ending::KeepAlive => Reason::KeepAliveTimeout,
            Ending::Disconnected
            | Ending::Lost
            | Ending::Revoked
            | Ending::Gateway
            | Ending::ServerLost => Reason::AdministrativeAction,
        };
        self.closing.get_or_insert(ending);
        self.server.close(reason, now, &mut work.todo);
    }

    /// Does what the session machine wants done, and what follows from it.
    pub(super) fn perform(&mut self, now: u64, work: &mut Work) {
        while !work.todo.is_empty() {
            let mut batch = std::mem::replace(&mut work.todo, std::mem::take(&mut work.spare));
            for output in batch.drain(..) {
                self.perform_one(output, now, work);
            }
            work.spare = batch;
        }
    }

    fn perform_one(&mut self, output: Output, now: u64, work: &mut Work) {
        match output {
            Output::Send(packet) => self.send(&packet),
            Output::Message { token, publish } => self.arrive(token, publish, work),
            Output::Resolved { handle, outcome } => self.resolved(handle, outcome),
            Output::Subscribe { id, filters, subscription_id } => {
                self.subscribe(id, filters, subscription_id, now, work);
            }
            Output::Unsubscribe { id, filters } => self.unsubscribe(id, &filters, work),
            Output::Will(will) => {
                let device = self.account.device.id.clone();
                self.shared.broker.will(device, *will);
            }
            Output::Close(cause) => self.ended(cause, now),
        }
    }

    fn send(&mut self, packet: &Packet) {
        if matches!(packet, Packet::Publish(_)) {
            self.shared.metrics.publishes_out.increment();
        }
        let version = self.server.version();
        let before = self.output.len();
        if let Err(error) = codec::encode(packet, version, &mut self.output) {
            // Only a dialect can ask for this: a topic of more than 65 535 bytes.
            self.trace(Hop::Down, "encode", "internal.overload", &error.to_string());
        }
        if let Some(pace) = &mut self.pace {
            pace.queue(self.output.len().saturating_sub(before));
        }
    }

    fn ended(&mut self, cause: Cause, now: u64) {
        let ending = match cause {
            Cause::Disconnected => Ending::Disconnected,
            Cause::Lost => Ending::Lost,
            Cause::KeepAlive => Ending::KeepAlive,
            Cause::Violation(reason) => {
                let code = if reason == Reason::PacketTooLarge {
                    "mqtt.too_large"
                } else if reason == Reason::MalformedPacket {
                    "mqtt.malformed"
                } else {
                    "mqtt.violation"
                };
                self.trace(Hop::Up, "disconnect", code, reason.name());
                Ending::Protocol
            }
            Cause::Server(_) => self.closing.unwrap_or(Ending::Lost),
        };
        self.ending = Some(ending);
        self.goodbye_due = now + GOODBYE_MS;
        self.lose_requests();
    }

    /// Notes a hop of this connection's device.
    pub(super) fn trace(&self, hop: Hop, what: &str, code: &str, text: &str) {
        let entry = Entry::new(self.shared.clock.now(), hop, what, code, text);
        self.shared.services.trace(&self.account.device.id, entry);
    }

    /// Reads once if reading is allowed; true when something was read.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: u64, work: &mut Work) -> bool {
        if !self.may_read() {
            return false;
        }
        // Packets that had to wait come before what the socket holds.
        if !self.input.is_empty() {
            let before = self.input.len();
            let mut input = std::mem::take(&mut self.input);
            self.decode(&mut input, now, work);
            self.input = input;
            if self.input.len() < before {
                return true;
            }
            if !self.may_read() {
                return false;
            }
        }
        let is_partial = !self.input.is_empty();
        let mut input = std::mem::take(if is_partial { &mut self.input } else { &mut work.input });
        let missing = if is_partial { self.decoder.missing(&input) } else { 0 };
        input.reserve(missing.clamp(READ_BYTES, PARTIAL_BYTES_MAX));
        let read = pin!(self.socket.read_buf(&mut input)).poll(cx);
        let is_ready = read.is_ready();
        match read {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.shared.metrics.bytes_in.add(n as u64);
                self.decode(&mut input, now, work);
            }
            Poll::Ready(Ok(_) | Err(_)) => {
                self.server.handle(Input::Closed, now, &mut work.todo);
            }
            Poll::Pending => {}
        }
        match (input.is_empty(), is_partial) {
            (true, false) => work.input = input,
            // A buffer of this connection's own is not kept.
            (true, true) => {}
            (false, true) => self.input = input,
            (false, false) => {
                // Small: the thread's buffer stays with the thread.
                self.input = BytesMut::from(&input[..]);
                input.clear();
                work.input = input;
            }
        }
        is_ready
    }

    fn may_read(&self) -> bool {
        self.ending.is_none()
            && self.server.wants_read()
            && self.output.len() <= self.shared.limits.outbound_bytes
    }

    fn decode(&mut self, input: &mut BytesMut, now: u64, work: &mut Work) {
        while self.ending.is_none() && self.server.wants_read() {
            match self.decoder.decode(input) {
                Ok(Some(packet)) => {
                    self.server.handle(Input::Packet(packet), now, &mut work.todo);
                }
                Ok(None) => return,
                Err(error) => {
                    self.trace(Hop::Up, "packet", "mqtt.malformed", &error.to_string());
                    input.clear();
                    self.server.handle(Input::Malformed(error.reason()), now, &mut work.todo);
                }
            }
            self.perform(now, work);
        }
    }

    /// Writes what waits; true when the session machine may go on because of it.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: u64, work: &mut Work) -> bool {
        while !self.output.is_empty() {
            let room = match &self.pace {
                Some(pace) => pace.room(now).min(self.output.len()),
                None => self.output.len(),
            };
            if room == 0 {
                // The device reads the packet before; its timer is set.
                self.stalled_since = None;
                self.block(now, work);
                return false;
            }
            match Pin::new(&mut self.socket).poll_write(cx, &self.output[..room]) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.shared.metrics.bytes_out.add(n as u64);
                    self.output.advance(n);
                    if let Some(pace) = &mut self.pace {
                        pace.wrote(n, now);
                    }
                    self.stalled_since = None;
                }
                Poll::Ready(Ok(_) | Err(_)) => {
                    self.discard_output();
                    self.server.handle(Input::Closed, now, &mut work.todo);
                    return !work.todo.is_empty();
                }
                Poll::Pending => {
                    self.stalled_since.get_or_insert(now);
                    self.block(now, work);
                    return false;
                }
            }
        }
        self.stalled_since = None;
        if self.is_blocked {
            self.is_blocked = false;
            self.server.handle(Input::Unblocked, now, &mut work.todo);
            return true;
        }
        false
    }

    /// Tells the session machine that nothing more gets out for now.
    fn block(&mut self, now: u64, work: &mut Work) {
        if !self.is_blocked {
            self.is_blocked = true;
            self.server.handle(Input::Blocked, now, &mut work.todo);
        }
    }

    fn discard_output(&mut self) {
        self.output.clear();
        if let Some(pace) = &mut self.pace {
            pace.clear();
        }
    }

    /// Arms the timer; true when something was due. It is not moved back for later deadlines: it
    /// fires early once and is set again, which is cheaper than moving it with every packet.
    fn poll_timer(&mut self, cx: &mut Context<'_>, work: &mut Work) -> bool {
        loop {
            let Some(due) = self.due() else {
                self.timer = None;
                return false;
            };
            let now = self.shared.now_ms();
            if now >= due {
                self.timeout(now, work);
                return true;
            }
            let at = Instant::now() + Duration::from_millis(due - now);
            match &mut self.timer {
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(at))),
                Some(timer) if timer.deadline() > at || timer.is_elapsed() => {
                    timer.as_mut().reset(at);
                }
                Some(_) => {}
            }
            let fired = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
            if !fired {
                return false;
            }
        }
    }

    fn due(&self) -> Option<u64> {
        let pace = self.pace.as_ref().and_then(|pace| pace.due());
        if self.ending.is_some() {
            let due = pace.map_or(self.goodbye_due, |due| due.min(self.goodbye_due));
            return Some(due).filter(|_| !self.output.is_empty());
        }
        let machine = self.server.deadline().map(|(due, _)| due);
        let stall_ms = u64::try_from(self.shared.limits.write_stall.as_millis());
        let stall = self.stalled_since.map(|since| since + stall_ms.unwrap_or(u64::MAX));
        [machine, stall, pace, self.requests_due()].into_iter().flatten().min()
    }

    fn timeout(&mut self, now: u64, work: &mut Work) {
        if self.ending.is_some() {
            if now >= self.goodbye_due {
                // The last packets do not get out.
                self.discard_output();
            }
            return;
        }
        self.expire_requests(now);
        let stall_ms = u64::try_from(self.shared.limits.write_stall.as_millis());
        let stalled = self.stalled_since.map(|since| now.saturating_sub(since));
        if stalled.is_some_and(|for_ms| for_ms >= stall_ms.unwrap_or(u64::MAX)) {
            self.stalled_since = None;
            self.close(Ending::TooSlow, now, work);
        } else {
            self.server.handle(Input::Timeout, now, &mut work.todo);
        }
        self.perform(now, work);
    }

    /// Frees what an idle connection does not need.
    fn rest(&mut self) {
        if self.inbound.is_empty() {
            if self.inbound.capacity() > 0 {
                self.inbound = VecDeque::new();
            }
            self.server.trim();
        }
        if self.requests.is_empty() && self.requests.capacity() > 0 {
            self.requests = Vec::new();
        }
        if self.side.as_ref().is_some_and(|side| side.is_empty()) {
            self.side = None;
        }
        if self.input.is_empty() && self.input.capacity() > 0 {
            self.input = BytesMut::new();
        }
    }

    /// Leaves the directory, lets what was received take effect, parks what must stay, notes the
    /// end durably, and closes the socket.
    pub(crate) async fn finish(mut self, ending: Ending) {
        let Shared { services, directory, broker, metrics, clock: _, .. } = &*self.shared;
        let is_latest = directory.leave(&self.account.device.id, self.epoch);
        let effects = self.inbound.iter_mut();
        let effects = futures_util::future::join_all(effects.map(Inbound::complete));
        let _ = tokio::time::timeout(Duration::from_millis(FINISH_MS), effects).await;
        for letter in self.mailbox.close() {
            super::outbound::lose(letter);
        }
        broker.detach(&self.account.device.id, is_latest, self.server.into_parked()).await;
        services.logout(&self.account, self.epoch, ending).await;
        metrics.ended(ending);
        // Unread input would turn the close into a reset, which could overtake our last packet.
        let mut socket = self.socket;
        let closing = async {
            if socket.shutdown().await.is_ok() {
                discard(&mut socket).await;
            }
        };
        if ending != Ending::Lost {
            let _ = tokio::time::timeout(Duration::from_millis(GOODBYE_MS), closing).await;
        }
    }
}

impl Future for Connection {
    type Output = Ending;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        let this = self.get_mut();
        let mut work = Work::take();
        if this.output.capacity() == 0 {
            std::mem::swap(&mut this.output, &mut work.output);
        }
        this.turn(cx, &mut work);
        let is_written = this.output.is_empty();
        if is_written {
            work.output = std::mem::take(&mut this.output);
        }
        work.put();
        match this.ending {
            Some(ending) if is_written => Poll::Ready(ending),
            _ => {
                this.rest();
                Poll::Pending
            }
        }
    }
}

/// Reads and forgets until the peer closes.
pub(crate) async fn discard(socket: &mut Socket) {
    std::future::poll_fn(|cx| {
        let mut work = Work::take();
        work.input.reserve(READ_BYTES);
        let outcome = loop {
            work.input.clear();
            match pin!(socket.read_buf(&mut work.input)).poll(cx) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => break Poll::Ready(()),
                Poll::Pending => break Poll::Pending,
            }
        };
        work.put();
        outcome
    })
    .await;
}
