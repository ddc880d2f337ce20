//! What all receivers have in common.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::talker::TalkerId;
use super::{Credentials, Frame, Mac, Reason, Scheme};

/// The keys a device was made with. Does not print.
#[derive(Clone, Default)]
pub struct Keys {
    /// AES key of AirKiss, padded to 16 bytes with zeros.
    pub airkiss: Option<[u8; 16]>,
    /// AES key of ESPTouch v2.
    pub esptouch2: Option<[u8; 16]>,
    /// PIN of Simple Config; the common one when absent.
    pub pin: Option<Vec<u8>>,
    /// Product secret of smartconfig.
    pub product_secret: Option<Vec<u8>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// What a receiver has to say about a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody on this channel sounds like a sender: stay a while.
    Stay,
    /// A sender was recognised.
    Locked {
        /// The scheme it speaks.
        scheme: Scheme,
        /// The channel it was heard on; the access point's own is in its beacons.
        channel: u8,
        /// The access point.
        bssid: Mac,
        /// The phone.
        source: Mac,
    },
    /// More of the message is known.
    Progress {
        /// Units of the message that are settled.
        have: u16,
        /// Units in all, once that is known.
        need: Option<u16>,
    },
    /// The whole message is known and every check passed.
    Complete(Box<Credentials>),
    /// The message is whole but of no use.
    Rejected(Reason),
}

/// A receiver of one scheme.
pub trait Receiver: Send {
    /// Returns the scheme.
    fn scheme(&self) -> Scheme;

    /// Hears a frame. `talker` stands for its source and access point.
    fn hear(&mut self, frame: &Frame, talker: TalkerId) -> Option<Event>;

    /// Forgets what it knows of one talker: its place is given to another.
    fn forget(&mut self, talker: TalkerId);

    /// Returns why there are no credentials yet.
    fn reason(&self) -> Reason;
}

impl Event {
    /// Returns the event of a sender just recognised.
    pub(super) fn locked(scheme: Scheme, frame: &Frame) -> Self {
        Self::Locked { scheme, channel: frame.channel, bssid: frame.bssid, source: frame.source }
    }
}
