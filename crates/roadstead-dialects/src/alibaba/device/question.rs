//! Requests of platform and phones that wait for the application's answer.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;

use roadstead_wire::coap::Exchange;

use crate::device::RequestKey;

/// Questions that wait; the oldest is forgotten.
const QUESTIONS_MAX: usize = 32;

/// Where an answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// To the platform, on this topic.
    Cloud(Box<str>),
    /// To the platform, on this topic of a sub-device.
    Sub(Box<str>),
    /// To a phone in the LAN.
    Local {
        /// The request.
        exchange: Exchange,
        /// The session.
        session: u32,
    },
}

/// One question.
pub(super) struct Question {
    key: RequestKey,
    /// The asker's id, echoed.
    pub(super) id: String,
    /// Where the answer goes.
    pub(super) origin: Origin,
    /// The service; `None` for properties.
    pub(super) command: Option<Box<str>>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Questions {
    open: VecDeque<Question>,
    last: RequestKey,
}

impl Questions {
    /// Keeps a question; returns its key, never used before in this boot.
    pub(super) fn add(
        &mut self,
        id: String,
        origin: Origin,
        command: Option<Box<str>>,
    ) -> RequestKey {
        self.last += 1;
        if self.open.len() == QUESTIONS_MAX {
            self.open.pop_front();
        }
        self.open.push_back(Question { key: self.last, id, origin, command });
        self.last
    }

    /// Takes a question that is being answered.
    pub(super) fn take(&mut self, key: RequestKey) -> Option<Question> {
        let at = self.open.iter().position(|question| question.key == key)?;
        self.open.remove(at)
    }

    /// Forgets what the platform asked on a connection that is gone.
    pub(super) fn forget_cloud(&mut self) {
        self.open.retain(|question| matches!(question.origin, Origin::Local { .. }));
    }
}
