//! The phone's half of ESPTouch v1.

use alloc::vec::Vec;
use core::time::Duration;

use super::super::request::Layout;
use super::super::{Destination, EncodeError, Request, Round, Scheme, ack, crc8};
use super::{EXTRA, GUIDE, HEAD, INDEX, check, order};

/// Pause between packets (Airlink §3.3).
const SPACING: Duration = Duration::from_millis(8);
/// How long the guide code runs in each round.
const GUIDE_TIME: Duration = Duration::from_millis(2000);
/// How long data runs in each round.
const DATA_TIME: Duration = Duration::from_millis(4000);
/// UDP port.
const PORT: u16 = 7_001;
/// 45 s of sending, 15 s of listening.
const TIME_OUT: Duration = Duration::from_secs(60);
/// Multicast groups are 234.n.n.n with n from 1 to this.
const GROUPS: u8 = 100;

/// The message in the vendor's sending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datum {
    /// Index of each byte.
    pub order: Vec<u8>,
    /// Each byte.
    pub bytes: Vec<u8>,
    /// Three lengths per byte.
    pub lengths: Vec<u16>,
}

/// Returns the message that carries a request.
///
/// # Errors
/// A key or application data: the scheme has neither.
pub fn datum(request: &Request<'_>) -> Result<Datum, EncodeError> {
    if let Some(key) = request.key {
        return Err(EncodeError::Key { scheme: Scheme::EspTouch, want: "no", size: key.len() });
    }
    if !request.extra.is_empty() {
        return Err(EncodeError::Extra { size: request.extra.len() });
    }
    let total = HEAD + request.password.len() + request.ssid.len();
    let mut message = Vec::with_capacity(total + request.bssid.0.len());
    message.extend_from_slice(&[
        total as u8,
        request.password.len() as u8,
        crc8(request.ssid),
        crc8(&request.bssid.0),
        0,
    ]);
    message.extend_from_slice(&request.phone_ip);
    message.extend_from_slice(request.password);
    message.extend_from_slice(request.ssid);
    message[4] = message.iter().fold(0, |xor, byte| xor ^ byte);
    message.extend_from_slice(&request.bssid.0);
    let order: Vec<u8> = order(total).collect();
    let bytes: Vec<u8> = order.iter().map(|index| message[usize::from(*index)]).collect();
    let lengths = order.iter().zip(&bytes).flat_map(|(index, byte)| triplet(*index, *byte));
    Ok(Datum { lengths: lengths.collect(), order, bytes })
}

fn triplet(index: u8, byte: u8) -> [u16; 3] {
    let check = check(byte, index);
    [
        u16::from(check & 0xF0 | byte >> 4) + EXTRA,
        (INDEX | u16::from(index)) + EXTRA,
        u16::from((check & 0x0F) << 4 | byte & 0x0F) + EXTRA,
    ]
}

/// Builds the packets of one full round: the guide code for 2 s, then the message for 4 s, or once
/// if it is longer. The vendor's sender goes on where it stopped; receivers do not care.
///
/// # Errors
/// See [`datum`].
pub fn encode(request: &Request<'_>) -> Result<Round, EncodeError> {
    let datum = datum(request)?;
    let count = |time: Duration| (time.as_millis() / SPACING.as_millis()) as usize;
    let mut layout = Layout::new(SPACING);
    let mut group = 0;
    let mut next = || {
        group = group % GROUPS + 1;
        match request.multicast {
            true => Destination::Group([234, group, group, group]),
            false => Destination::Broadcast,
        }
    };
    for _ in 0..count(GUIDE_TIME) / GUIDE.len() {
        let destination = next();
        GUIDE.into_iter().for_each(|length| layout.push(destination, length));
    }
    let triplets = (count(DATA_TIME) / 3).max(datum.order.len());
    for triplet in datum.lengths.chunks(3).cycle().take(triplets) {
        let destination = next();
        triplet.iter().for_each(|length| layout.push(destination, *length));
    }
    let (packets, lasts) = layout.finish();
    Ok(Round {
        scheme: Scheme::EspTouch,
        packets,
        lasts,
        port: PORT,
        time_out: TIME_OUT,
        ack: ack::Expectation::of(ack::Proof::EspTouch { total: datum.bytes[0] }),
    })
}
