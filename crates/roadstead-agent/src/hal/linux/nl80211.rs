//! Which mode a radio is in, and which channel: the two things asked of nl80211.
//!
//! Messages are pure ([`message`], [`replies`]); [`Nl80211`] is the socket. One request at a time.
//!
//! Source: Linux `include/uapi/linux/{netlink,genetlink,nl80211}.h`.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// Longest answer read at once, bytes.
const ANSWER_MAX: usize = 32 * 1024;
/// Seconds to wait for the kernel.
const PATIENCE: i64 = 2;

/// Lengths of the headers of netlink, generic netlink and an attribute.
const HEADER: usize = 16;
const GENERIC: usize = 4;
const ATTRIBUTE: usize = 4;
/// Message types and flags of netlink.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
/// The family that knows the numbers of the others.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Commands and attributes of nl80211.
const SET_WIPHY: u8 = 2;
const GET_INTERFACE: u8 = 5;
const IFINDEX: u16 = 3;
const IFTYPE: u16 = 5;
const FREQUENCY: u16 = 38;
const CHANNEL_TYPE: u16 = 39;
/// 20 MHz, as broadcasts are sent.
const NO_HT: u32 = 0;
/// The type of an interface in monitor mode.
pub(super) const MONITOR: u32 = 6;

/// Names of the types of interfaces, by number.
const TYPES: [&str; 13] = [
    "unspecified",
    "ad-hoc",
    "managed",
    "AP",
    "AP/VLAN",
    "WDS",
    "monitor",
    "mesh point",
    "P2P-client",
    "P2P-GO",
    "P2P-device",
    "outside context of a BSS",
    "NAN",
];

/// Returns the name of a type of interface.
pub(super) fn type_name(number: u32) -> &'static str {
    TYPES.get(number as usize).copied().unwrap_or("another")
}

/// Writes a request with attributes.
fn message(kind: u16, sequence: u32, command: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![command, 1, 0, 0];
    for (name, value) in attributes {
        let length = (ATTRIBUTE + value.len()) as u16;
        body.extend_from_slice(&length.to_ne_bytes());
        body.extend_from_slice(&name.to_ne_bytes());
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&(REQUEST | ACK).to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend(body);
    bytes
}

/// One message of the kernel.
#[derive(Debug, PartialEq, Eq)]
enum Reply<'a> {
    /// The request was carried out (0) or failed with this error number.
    End(i32),
    /// Attributes, as they came.
    Attributes(&'a [u8]),
}

/// Reads the messages of the kernel that answer `sequence`.
fn replies(bytes: &[u8], sequence: u32) -> Vec<Reply<'_>> {
    let mut replies = Vec::new();
    let mut rest = bytes;
    while let Some(length) = word(rest, 0).map(|it| it as usize) {
        let Some(message) = rest.get(HEADER..length) else { break };
        let kind = half(rest, 4);
        if word(rest, 8) == Some(sequence) {
            match kind {
                Some(ERROR) => {
                    let number = word(message, 0).map_or(0, |it| it as i32);
                    replies.push(Reply::End(number.saturating_neg()));
                }
                Some(DONE) => replies.push(Reply::End(0)),
                _ => replies.extend(message.get(GENERIC..).map(Reply::Attributes)),
            }
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    replies
}

/// Returns the value of an attribute.
fn attribute(mut rest: &[u8], name: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(half(rest, 0)?);
        let value = rest.get(ATTRIBUTE..length)?;
        // The upper bits say "nested" and "big-endian".
        if half(rest, 2)? & 0x3FFF == name {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|it| u32::from_ne_bytes(*it))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|it| u16::from_ne_bytes(*it))
}

/// A connection with nl80211.
pub(super) struct Nl80211 {
    socket: OwnedFd,
    family: u16,
    sequence: u32,
}

impl Nl80211 {
    /// Connects. `NotFound` when the kernel has no wireless.
    pub(super) fn open() -> io::Result<Self> {
        Self::with(b"nl80211\0")
    }

    /// Connects with a family by its name, which ends with a zero.
    fn with(name: &[u8]) -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkGeneric,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
        let mut this = Self { socket, family: CONTROL, sequence: 0 };
        let answer = this.ask(GET_FAMILY, &[(FAMILY_NAME, name)])?;
        let id = attribute(&answer, FAMILY_ID).and_then(|it| half(it, 0));
        this.family = id.ok_or(io::ErrorKind::NotFound)?;
        Ok(this)
    }

    /// Returns the type of an interface.
    pub(super) fn interface_type(&mut self, index: u32) -> io::Result<u32> {
        let answer = self.ask(GET_INTERFACE, &[(IFINDEX, &index.to_ne_bytes())])?;
        attribute(&answer, IFTYPE)
            .and_then(|it| word(it, 0))
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Sends a radio to a frequency in MHz.
    pub(super) fn set_frequency(&mut self, index: u32, frequency: u16) -> io::Result<()> {
        let attributes: [(u16, &[u8]); 3] = [
            (IFINDEX, &index.to_ne_bytes()),
            (FREQUENCY, &u32::from(frequency).to_ne_bytes()),
            (CHANNEL_TYPE, &NO_HT.to_ne_bytes()),
        ];
        self.ask(SET_WIPHY, &attributes).map(drop)
    }

    /// Asks, and waits for the kernel's last word; returns the attributes of its answer.
    fn ask(&mut self, command: u8, attributes: &[(u16, &[u8])]) -> io::Result<Vec<u8>> {
        self.sequence += 1;
        let request = message(self.family, self.sequence, command, attributes);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty())?;
        let (mut answer, mut buffer) = (Vec::new(), vec![0; ANSWER_MAX]);
        loop {
            let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for reply in replies(buffer.get(..length).unwrap_or_default(), self.sequence) {
                match reply {
                    Reply::End(0) => return Ok(answer),
                    Reply::End(number) => return Err(io::Error::from_raw_os_error(number)),
                    Reply::Attributes(bytes) => answer = bytes.to_vec(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_laid_out_as_the_kernel_wants_it() {
        let bytes = message(0x1C, 7, SET_WIPHY, &[(IFINDEX, &3_u32.to_ne_bytes()), (2, b"a\0")]);
        assert_eq!(bytes.len(), 36);
        assert_eq!(word(&bytes, 0), Some(36));
        assert_eq!(
            (half(&bytes, 4), half(&bytes, 6), word(&bytes, 8)),
            (Some(0x1C), Some(5), Some(7))
        );
        assert_eq!(bytes[16..18], [SET_WIPHY, 1]);
        assert_eq!(attribute(&bytes[20..], IFINDEX), Some(&3_u32.to_ne_bytes()[..]));
        assert_eq!(attribute(&bytes[20..], 2), Some(&b"a\0"[..]));
        assert_eq!(attribute(&bytes[20..], 9), None);
    }

    #[test]
    fn answers_are_taken_by_their_number() {
        let mut bytes = message(0x1C, 7, GET_INTERFACE, &[(IFTYPE, &MONITOR.to_ne_bytes())]);
        let mut end = 36_u32.to_ne_bytes().to_vec();
        end.extend_from_slice(&ERROR.to_ne_bytes());
        end.extend_from_slice(&[0; 2]);
        end.extend_from_slice(&7_u32.to_ne_bytes());
        end.extend_from_slice(&[0; 4]);
        end.extend_from_slice(&(-16_i32).to_ne_bytes());
        end.extend_from_slice(&[0; 16]);
        bytes.extend(end);
        let read = replies(&bytes, 7);
        let [Reply::Attributes(attributes), Reply::End(16)] = read.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!(attribute(attributes, IFTYPE).and_then(|it| word(it, 0)), Some(MONITOR));
        assert_eq!(replies(&bytes, 8), [], "an answer to somebody else");
        assert_eq!((type_name(2), type_name(6), type_name(99)), ("managed", "monitor", "another"));
    }

    /// The kernel's own register is a generic family like nl80211, and every kernel has it.
    #[test]
    fn the_kernel_answers() {
        let control = Nl80211::with(b"nlctrl\0").expect("generic netlink");
        assert_eq!(control.family, CONTROL);
        let missing = Nl80211::with(b"no-such-family\0").map(|it| it.family);
        assert_eq!(missing.map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for reply in replies(&bytes, 1) {
                if let Reply::Attributes(attributes) = reply {
                    let _ = attribute(attributes, IFTYPE);
                }
            }
            let _ = attribute(&bytes, IFTYPE);
        }
    }
}
