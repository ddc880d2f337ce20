//! Scratch space that connections borrow from their thread while they run.

use std::cell::Cell;

use bytes::BytesMut;
use roadstead_dialects::cloud::{Heard, Message};
use roadstead_wire::mqtt::session::server::Output;

/// Bytes read at a time.
pub(super) const READ_BYTES: usize = 16 * 1024;
/// Larger scratch is given back to the allocator instead of the thread.
const KEPT_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static WORK: Cell<Option<Box<Work>>> = const { Cell::new(None) };
}

/// Scratch space; everything is empty between two runs.
#[derive(Default)]
pub(super) struct Work {
    /// Bytes being read.
    pub(super) input: BytesMut,
    /// Bytes to be written.
    pub(super) output: BytesMut,
    /// What the session machine wants done.
    pub(super) todo: Vec<Output>,
    /// A second vector, so that work can be added while it is done.
    pub(super) spare: Vec<Output>,
    /// What a dialect understood.
    pub(super) heard: Vec<Heard>,
    /// What a dialect wrote.
    pub(super) messages: Vec<Message>,
}

impl Work {
    /// Borrows the thread's scratch space.
    pub(super) fn take() -> Box<Self> {
        WORK.take().unwrap_or_default()
    }

    /// Gives it back.
    pub(super) fn put(mut self: Box<Self>) {
        self.todo.clear();
        self.heard.clear();
        self.messages.clear();
        self.input.clear();
        self.output.clear();
        if self.input.capacity() <= KEPT_BYTES_MAX && self.output.capacity() <= KEPT_BYTES_MAX {
            WORK.set(Some(self));
        }
    }
}
