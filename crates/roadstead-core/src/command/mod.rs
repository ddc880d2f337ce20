//! Requests to a device. Here the synchronous one: sent once, answered before its deadline or
//! failed. The asynchronous one has a queue and a life of its own: [`queue`].

pub mod queue;

use alloc::boxed::Box;

use crate::exchange::Response;

/// How a request to a device ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The device answered.
    Answered(Response),
    /// The device took the message; this kind is never answered.
    Delivered,
}

/// Why a request to a device failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such device in the space.
    #[error("device `{0}` does not exist")]
    UnknownDevice(Box<str>),
    /// The device has no live session.
    #[error("device is not on line")]
    Offline,
    /// The device has not subscribed the topic the request would go to.
    #[error("device does not listen for this kind of request")]
    NotListening,
    /// The connection ended before the answer.
    #[error("connection lost before the answer")]
    Lost,
    /// The deadline passed.
    #[error("no answer within {0} ms")]
    Timeout(u64),
    /// The model has no such service, property or command, or the values do not fit.
    #[error("does not fit the thing model: {0}")]
    Model(Box<str>),
    /// The dialect cannot express the request.
    #[error("the device's protocol has no such request: {0}")]
    Unsupported(&'static str),
    /// Too many requests wait for this device.
    #[error("too many requests wait for this device")]
    Busy,
    /// The packet would exceed what the firmware can take.
    #[error("the request needs {size} bytes, the firmware takes {limit}")]
    TooLarge {
        /// Bytes needed.
        size: usize,
        /// Bytes possible.
        limit: usize,
    },
    /// The store failed.
    #[error("reading the device")]
    Store(#[source] crate::code::StoreFailure),
}

impl CommandError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownDevice(_) => "device.unknown",
            Self::Offline => "command.offline",
            Self::NotListening => "command.not_listening",
            Self::Lost => "command.lost",
            Self::Timeout(_) => "command.timeout",
            Self::Model(_) => "command.model",
            Self::Unsupported(_) => "command.unsupported",
            Self::Busy => "command.busy",
            Self::TooLarge { .. } => "command.too_large",
            Self::Store(_) => "internal.store",
        }
    }
}
