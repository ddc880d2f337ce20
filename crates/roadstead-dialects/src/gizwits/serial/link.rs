//! The sender's half of the line: one outstanding command, retransmission, a bounded queue.
//!
//! ```text
//! Idle --send--> Waiting --answer--> Idle (next of the queue)
//!                  |  ^-- time-out, tries left
//!                  '-- none left --> Idle, Lost
//! ```
//! Each new frame takes the next number, a repetition keeps it. The link allocates only while it
//! is made: slots and buffers are reused.
//!
//! Source: GizWits §2.1, transcripts mcu_silent and mcu_noack.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::Tick;

use super::codec::{Frame, encode};
use super::command::Command;

/// Commands that wait for their turn; above it new ones are refused.
pub const QUEUE_MAX: usize = 16;
/// Payload bytes a slot holds without allocating.
const SLOT_BYTES: usize = 1024;

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub struct LinkPolicy {
    /// Wait for an answer.
    pub wait: Duration,
    /// Wait for the answer to a piece of a file.
    pub piece_wait: Duration,
    /// Sends in total.
    pub sends: u8,
}

impl Default for LinkPolicy {
    fn default() -> Self {
        let wait = Duration::from_millis(200);
        Self { wait, piece_wait: Duration::from_secs(3), sends: 3 }
    }
}

/// A command that nobody answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost<T> {
    /// What it was.
    pub command: Command,
    /// Mark of the caller.
    pub tag: T,
}

struct Slot<T> {
    command: Command,
    flags: u16,
    tag: T,
    payload: Vec<u8>,
}

struct Waiting<T> {
    command: Command,
    sn: u8,
    tag: T,
    sends: u8,
    due: Tick,
}

/// The link. `T` marks commands, so that the answer finds who asked.
pub struct Link<T> {
    policy: LinkPolicy,
    next_sn: u8,
    queue: VecDeque<Slot<T>>,
    spare: Vec<Vec<u8>>,
    waiting: Option<Waiting<T>>,
    wire: Vec<u8>,
}

impl<T: Copy> Link<T> {
    /// Returns an idle link whose first number is 0.
    pub fn new(policy: LinkPolicy) -> Self {
        Self {
            policy,
            next_sn: 0,
            queue: VecDeque::with_capacity(QUEUE_MAX),
            spare: (0..QUEUE_MAX).map(|_| Vec::with_capacity(SLOT_BYTES)).collect(),
            waiting: None,
            wire: Vec::with_capacity(2 * SLOT_BYTES),
        }
    }

    /// Queues a command; false when the queue is full.
    pub fn push(&mut self, command: Command, flags: u16, payload: &[u8], tag: T) -> bool {
        let Some(mut buffer) = self.spare.pop() else { return false };
        buffer.clear();
        buffer.extend_from_slice(payload);
        self.queue.push_back(Slot { command, flags, tag, payload: buffer });
        true
    }

    /// Queues a command, or replaces the payload of one that has not been sent yet.
    pub fn push_latest(&mut self, command: Command, payload: &[u8], tag: T) -> bool {
        if let Some(slot) = self.queue.iter_mut().find(|slot| slot.command == command) {
            slot.payload.clear();
            slot.payload.extend_from_slice(payload);
            return true;
        }
        self.push(command, 0, payload, tag)
    }

    /// Sends the next command when none is outstanding; returns the bytes.
    pub fn poll(&mut self, now: Tick) -> Option<&[u8]> {
        if self.waiting.is_some() {
            return None;
        }
        let slot = self.queue.pop_front()?;
        let sn = self.next_sn;
        self.next_sn = sn.wrapping_add(1);
        let cmd = slot.command as u8;
        self.wire.clear();
        encode(&Frame { cmd, sn, flags: slot.flags, payload: &slot.payload }, &mut self.wire);
        let due = now + self.wait(slot.command);
        self.waiting = Some(Waiting { command: slot.command, sn, tag: slot.tag, sends: 1, due });
        self.spare.push(slot.payload);
        Some(&self.wire)
    }

    /// Takes an answer: the mark of the command it belongs to.
    pub fn answer(&mut self, command: Command, sn: u8) -> Option<T> {
        let fits = |w: &Waiting<T>| w.command == command && w.sn == sn;
        self.waiting.take_if(|waiting| fits(waiting)).map(|waiting| waiting.tag)
    }

    /// Repeats or gives up what is due; [`Self::poll`] afterwards.
    pub fn timeout(&mut self, now: Tick) -> Timed<'_, T> {
        let policy = self.policy;
        let Some(waiting) = self.waiting.as_mut().filter(|waiting| now >= waiting.due) else {
            return Timed::Early;
        };
        if waiting.sends >= policy.sends {
            let lost = Lost { command: waiting.command, tag: waiting.tag };
            self.waiting = None;
            return Timed::Lost(lost);
        }
        waiting.sends += 1;
        let wait = match waiting.command == Command::FilePiece {
            true => policy.piece_wait,
            false => policy.wait,
        };
        waiting.due = now + wait;
        Timed::Repeat(&self.wire)
    }

    /// Returns when [`Self::timeout`] is due.
    pub fn deadline(&self) -> Option<Tick> {
        self.waiting.as_ref().map(|waiting| waiting.due)
    }

    /// Returns how many commands wait for their turn.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    fn wait(&self, command: Command) -> Duration {
        match command == Command::FilePiece {
            true => self.policy.piece_wait,
            false => self.policy.wait,
        }
    }
}

/// What became of the outstanding command.
pub enum Timed<'a, T> {
    /// Its time has not come.
    Early,
    /// Send these bytes again.
    Repeat(&'a [u8]),
    /// Nobody answered.
    Lost(Lost<T>),
}
