//! The device's half of Simple Config.
//!
//! Address, checksum and length prove each frame, so places fill in any order and nothing is lost
//! but what was not heard. What is whole must unwrap; where two bytes compete for a place, the one
//! heard more often is taken.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::super::guide::is_plausible;
use super::super::receiver::{Event, Keys, Receiver};
use super::super::session::Sessions;
use super::super::talker::{PATHS, TalkerId};
use super::super::vote::Votes;
use super::super::{Credentials, Frame, Mac, Reason, Scheme};
use super::profile::{BLOCK, unwrapped};
use super::{COMMON, COMMON_PIN, HEAD, OWN, PLACES, check, magic};

/// Sender address of phones that cannot read their own (Airlink §5.1).
const UNKNOWN_PHONE: Mac = Mac([2, 0, 0, 0, 0, 0]);
/// Sets of bytes that are tried when the strongest does not unwrap, each time the message changes.
const REPAIRS_MAX: usize = 16;

/// A receiver of Simple Config.
pub struct SimpleConfig {
    pin: Option<Vec<u8>>,
    sessions: Sessions<Session>,
    reason: Reason,
}

impl SimpleConfig {
    /// Listens with these keys.
    pub fn new(keys: &Keys) -> Self {
        Self { pin: keys.pin.clone(), sessions: Sessions::new(), reason: Reason::NoGuide }
    }
}

/// What is known of one sender's message.
struct Session {
    /// Overhead of each path, taken from its first frame.
    overheads: [Option<u16>; PATHS],
    bytes: [Votes; PLACES],
    have: u16,
}

impl Default for Session {
    fn default() -> Self {
        Self { overheads: [None; PATHS], bytes: [Votes::default(); PLACES], have: 0 }
    }
}

impl Receiver for SimpleConfig {
    fn scheme(&self) -> Scheme {
        Scheme::SimpleConfig
    }

    fn hear(&mut self, frame: &Frame, talker: TalkerId) -> Option<Event> {
        let Mac([0x01, 0x00, 0x5E, place @ 0..=0x7F, checked, byte]) = frame.destination else {
            return None;
        };
        let overhead = frame.length.checked_sub(place.into()).filter(|it| is_plausible(*it))?;
        if check(place, byte) != checked || frame.overhead.is_some_and(|it| it != overhead) {
            return None;
        }
        let is_known = self.sessions.of(talker).is_some();
        let session = self.sessions.open(talker);
        let path = talker.path();
        if *session.overheads[path].get_or_insert(overhead) != overhead {
            // The first frame of this path was a chance likeness, or this one is.
            if session.have == 0 {
                session.overheads[path] = Some(overhead);
            }
            return None;
        }
        let said = (!is_known).then(|| Event::locked(Scheme::SimpleConfig, frame));
        self.reason = self.reason.max(Reason::LockedNoData);
        if !session.bytes[usize::from(place)].add(byte) {
            return said;
        }
        match session.read(self.pin.as_deref(), frame.source) {
            Some(Ok(mut credentials)) => {
                credentials.bssid = frame.bssid.known();
                Some(Event::Complete(credentials))
            }
            Some(Err(reason)) => {
                self.reason = reason;
                said
            }
            None => said.or_else(|| session.progress()),
        }
    }

    fn forget(&mut self, talker: TalkerId) {
        self.sessions.close(talker);
    }

    fn reason(&self) -> Reason {
        self.reason
    }
}

impl Session {
    /// Returns pattern and number of packets, once the first five places agree.
    fn head(&self) -> Option<(u8, usize)> {
        let byte = |place: usize| self.bytes[place].best().map(|(byte, _)| byte);
        let (pattern, count) = (byte(2)?, byte(3)?);
        let sound = byte(0)? == 0
            && byte(1)? == 0
            && byte(4)? == magic(pattern, count)
            && (HEAD + 2 * BLOCK..=PLACES).contains(&usize::from(count));
        sound.then_some((pattern, count.into()))
    }

    /// Reports how many places are filled.
    fn progress(&mut self) -> Option<Event> {
        let (_, count) = self.head()?;
        let have = self.bytes[..count].iter().filter(|votes| !votes.is_empty()).count() as u16;
        if have <= self.have {
            return None;
        }
        self.have = have;
        Some(Event::Progress { have, need: Some(count as u16) })
    }

    /// Tries to read the message.
    fn read(&self, pin: Option<&[u8]>, source: Mac) -> Option<Result<Box<Credentials>, Reason>> {
        let (pattern, count) = self.head()?;
        if self.bytes[..count].iter().any(Votes::is_empty) {
            return None;
        }
        // A device with its own PIN refuses the common one, and the other way round.
        let pin = match (pattern, pin) {
            (COMMON, None) => COMMON_PIN,
            (OWN, Some(pin)) => pin,
            _ => return Some(Err(Reason::DecryptFailed)),
        };
        let mut bytes = [0; PLACES];
        for (byte, votes) in bytes.iter_mut().zip(&self.bytes[..count]) {
            *byte = votes.best()?.0;
        }
        let open = |bytes: &[u8; PLACES]| {
            let random = [bytes[5], bytes[6], bytes[7], bytes[8]];
            let wrapped = &bytes[HEAD..count];
            unwrapped(wrapped, source, pin, random)
                .or_else(|| unwrapped(wrapped, UNKNOWN_PHONE, pin, random))
        };
        let disputed = (5..count).filter(|place| !self.bytes[*place].is_unanimous());
        let repaired = || {
            disputed.take(REPAIRS_MAX).find_map(|place| {
                let mut other = bytes;
                other[place] = self.bytes[place].readings().nth(1)?.0;
                open(&other)
            })
        };
        let found = open(&bytes).or_else(repaired);
        Some(found.map(Box::new).ok_or(Reason::DecryptFailed))
    }
}
