//! Discovery in the network: how a WeChat phone finds devices that are there already, and how they
//! show themselves, on UDP port 12476.
//!
//! Every message is a header of 16 bytes, big-endian, and a body: JSON in a response and a notice.
//! Not here: what an application makes of the ids, and binding.
//!
//! Source: Airlink §2.6; AirKiss library guide 2.2; Baidu DuerOS `lightduer_bind_device.c`.

use alloc::vec::Vec;
use core::time::Duration;

/// UDP port of both ends.
pub const PORT: u16 = 12_476;
/// Pause between two notices of a device.
pub const NOTICE_GAP: Duration = Duration::from_secs(5);

const HEADER: usize = 16;
const MAGIC: [u8; 4] = [0xFD, 0x01, 0xFE, 0xFC];
/// Versions phones and devices were seen to send; nobody checks them.
const VERSION_PHONE: [u8; 4] = [0x00, 0x20, 0x00, 0x02];
const VERSION_DEVICE: [u8; 4] = [0x00, 0x10, 0x00, 0x01];
/// Longest body in bytes.
const BODY_MAX: usize = 1024;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Who is there? To everybody.
    Request,
    /// I am. To the asker.
    Response,
    /// I am here. To everybody, every [`NOTICE_GAP`].
    Notice,
}

impl Command {
    const ALL: [Self; 3] = [Self::Request, Self::Response, Self::Notice];

    fn number(self) -> u32 {
        match self {
            Self::Request => 0x0001,
            Self::Response => 0x1001,
            Self::Notice => 0x1002,
        }
    }
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub command: Command,
    /// JSON, or nothing in a request.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a datagram; `None` for anything else. Like the vendor's library it looks at magic and
    /// command alone, but takes no length that is not there.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let field = |at: usize| datagram.get(at..at + 4)?.try_into().ok();
        if field(0)? != MAGIC {
            return None;
        }
        let total = usize::try_from(u32::from_be_bytes(field(8)?)).ok()?;
        let number = u32::from_be_bytes(field(12)?);
        let command = Command::ALL.into_iter().find(|command| command.number() == number)?;
        let body = datagram.get(HEADER..total).filter(|body| body.len() <= BODY_MAX)?;
        Some(Self { command, body })
    }

    /// Writes the datagram.
    pub fn emit(&self) -> Vec<u8> {
        let version = if self.command == Command::Request { VERSION_PHONE } else { VERSION_DEVICE };
        let total = (HEADER + self.body.len()) as u32;
        let mut datagram = Vec::with_capacity(HEADER + self.body.len());
        datagram.extend_from_slice(&MAGIC);
        datagram.extend_from_slice(&version);
        datagram.extend_from_slice(&total.to_be_bytes());
        datagram.extend_from_slice(&self.command.number().to_be_bytes());
        datagram.extend_from_slice(self.body);
        datagram
    }
}

/// A device that shows itself.
#[derive(Clone, Debug)]
pub struct Announcer {
    body: Vec<u8>,
    due: Duration,
}

impl Announcer {
    /// Starts to show a device in the public account `device_type` (`gh_…`) under `device_id`; the
    /// first notice is due at once.
    pub fn new(device_type: &str, device_id: &str, now: Duration) -> Self {
        let mut body = b"{\"deviceInfo\":{\"deviceType\":".to_vec();
        quote(device_type, &mut body);
        body.extend_from_slice(b",\"deviceId\":");
        quote(device_id, &mut body);
        body.extend_from_slice(b"}}");
        body.truncate(BODY_MAX);
        Self { body, due: now }
    }

    /// Returns when [`Announcer::timeout`] wants to be called.
    pub fn deadline(&self) -> Duration {
        self.due
    }

    /// Returns the notice to send to everybody on [`PORT`], if one is due.
    pub fn timeout(&mut self, now: Duration) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        self.due = now + NOTICE_GAP;
        Some(Message { command: Command::Notice, body: &self.body }.emit())
    }

    /// Returns the answer to a datagram, for its sender at [`PORT`]; `None` if it asks nothing.
    pub fn answer(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let asks = Message::parse(datagram)?.command == Command::Request;
        asks.then(|| Message { command: Command::Response, body: &self.body }.emit())
    }
}

/// Appends a JSON string (RFC 8259 §7).
fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1F => {
                let digits = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(digits[usize::from(byte >> 4)]);
                out.push(digits[usize::from(byte & 0xF)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_device_shows_itself_and_answers() {
        let mut device = Announcer::new("gh_0123456789ab", "id \"1\"\n", Duration::ZERO);
        let notice = device.timeout(Duration::ZERO).expect("due");
        assert_eq!(notice[..8], [0xFD, 1, 0xFE, 0xFC, 0, 0x10, 0, 1]);
        let message = Message::parse(&notice).expect("a notice");
        assert_eq!(message.command, Command::Notice);
        let body: serde_json::Value = serde_json::from_slice(message.body).expect("JSON");
        assert_eq!(body["deviceInfo"]["deviceType"], "gh_0123456789ab");
        assert_eq!(body["deviceInfo"]["deviceId"], "id \"1\"\n");
        assert_eq!(device.timeout(Duration::from_millis(4_999)), None);
        assert!(device.timeout(device.deadline()).is_some());

        let request = Message { command: Command::Request, body: &[] }.emit();
        let answer = device.answer(&request).expect("an answer");
        assert_eq!(Message::parse(&answer).map(|it| it.command), Some(Command::Response));
        assert_eq!(device.answer(&answer), None, "no answer to an answer");
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(at in 0_usize..3, body in prop::collection::vec(any::<u8>(), 0..=BODY_MAX)) {
            let message = Message { command: Command::ALL[at], body: &body };
            let datagram = message.emit();
            prop_assert_eq!(Message::parse(&datagram), Some(message));
            for end in 0..datagram.len() {
                prop_assert_eq!(Message::parse(&datagram[..end]), None);
            }
        }

        #[test]
        fn anything_may_come(datagram: Vec<u8>) {
            let _ = Message::parse(&datagram);
        }
    }
}
