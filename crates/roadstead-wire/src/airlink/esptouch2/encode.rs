//! The phone's half of ESPTouch v2.

use alloc::vec::Vec;
use core::time::Duration;

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};

use super::super::request::{Layout, RANDOM_SIZE};
use super::super::{EncodeError, Request, Round, Scheme, ack, crc8};
use super::layout::{Head, Kind, Length};
use super::{BITS, BLOCK, COUNT, DATA, GROUP, GROUPS_MAX, IV_FIELD, MARKER, MARKERS, PLANES, SYNC};

/// Pause between packets (Airlink §4.5); the vendor's sender slows down to 100 ms at half time.
const SPACING: Duration = Duration::from_millis(15);
/// UDP port.
const PORT: u16 = 7_001;
/// A sender gives up after this.
const TIME_OUT: Duration = Duration::from_secs(90);

/// The bytes of a message, before they become lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Head with its CRC.
    pub head: [u8; GROUP],
    /// Segments as sent, padded to whole groups with zeros, each with the bytes its groups carry.
    pub segments: Vec<(Vec<u8>, usize)>,
}

const _: () = assert!(RANDOM_SIZE >= IV_FIELD, "a request's randomness covers the IV field");

/// Returns the bytes that carry a request.
///
/// # Errors
/// A key that has not 16 bytes, or a message of more than 64 groups.
pub fn segments(request: &Request<'_>) -> Result<Segments, EncodeError> {
    let ssid = if request.omit_ssid { &[] } else { request.ssid };
    let content = [request.password, request.extra].concat();
    let key: Option<[u8; BLOCK]> = match request.key {
        Some(key) => Some(key.try_into().map_err(|_| EncodeError::Key {
            scheme: Scheme::EspTouch2,
            want: "16",
            size: key.len(),
        })?),
        None => None,
    };
    let key = key.filter(|_| !content.is_empty());
    let head = Head {
        ssid: Length::of(ssid),
        password: Length::of(request.password),
        extra: Length::of(request.extra),
        bssid_crc: crc8(&request.bssid.0),
        security: match key {
            None => 0,
            Some(_) if request.zero_iv => 1,
            Some(_) => 2,
        },
        mark: request.port_mark & 0b11,
    };
    if head.groups() > GROUPS_MAX {
        return Err(EncodeError::TooLong {
            scheme: Scheme::EspTouch2,
            size: head.groups() * GROUP,
            limit: GROUPS_MAX * GROUP,
        });
    }
    let iv = if request.zero_iv { [0; IV_FIELD] } else { request.random };
    let content = match key {
        Some(key) => {
            let mut start = [0; BLOCK];
            start.copy_from_slice(&iv[..BLOCK]);
            cbc::Encryptor::<aes::Aes128>::new(&key.into(), &start.into())
                .encrypt_padded_vec::<Pkcs7>(&content)
        }
        None => content,
    };
    let mut content = content.as_slice();
    let segments = head.segments().map(|segment| {
        let mut bytes = match segment.kind {
            Kind::Content => {
                let (now, later) = content.split_at(segment.bytes);
                content = later;
                now.to_vec()
            }
            Kind::Iv => iv.to_vec(),
            Kind::Ssid => ssid.to_vec(),
        };
        bytes.resize(segment.groups() * segment.per_group(), 0);
        (bytes, segment.per_group())
    });
    let start = head.emit();
    let mut head = [0; GROUP];
    head[..GROUP - 1].copy_from_slice(&start);
    head[GROUP - 1] = crc8(&start);
    Ok(Segments { head, segments: segments.into() })
}

/// Returns the eight data packets of a group of six bytes, the CRC of five included; a group of six
/// bytes of seven bits gets a packet with its CRC instead of the eighth plane.
fn planes(bytes: [u8; GROUP], crc: Option<u8>) -> [u16; PLANES] {
    core::array::from_fn(|plane| {
        let bits = match crc.filter(|_| plane == PLANES - 1) {
            Some(crc) => u16::from(crc) & BITS,
            None => bytes.iter().fold(0, |bits, byte| bits << 1 | u16::from(byte >> plane & 1)),
        };
        (plane as u16) << 7 | DATA | bits
    })
}

/// Builds the packets of one full round.
///
/// # Errors
/// See [`segments`].
pub fn encode(request: &Request<'_>) -> Result<Round, EncodeError> {
    let message = segments(request)?;
    let groups: usize =
        message.segments.iter().map(|(bytes, per_group)| bytes.len() / per_group).sum();
    let count = COUNT + groups as u16;
    let mut layout = Layout::new(SPACING);
    layout.broadcast([SYNC, count, SYNC, count]);
    layout.broadcast(planes(message.head, None));
    let mut group = 0;
    for (bytes, per_group) in &message.segments {
        for bytes in bytes.chunks(*per_group) {
            layout.broadcast([MARKER + group; MARKERS]);
            let mut six = [0; GROUP];
            six[..bytes.len()].copy_from_slice(bytes);
            let crc = crc8(bytes);
            let seven = *per_group == GROUP;
            if !seven {
                six[GROUP - 1] = crc;
            }
            layout.broadcast(planes(six, seven.then_some(crc)));
            group += 1;
        }
    }
    let (packets, lasts) = layout.finish();
    Ok(Round {
        scheme: Scheme::EspTouch2,
        packets,
        lasts,
        port: PORT,
        time_out: TIME_OUT,
        ack: ack::Expectation::of(ack::Proof::EspTouch2 { mark: request.port_mark & 0b11 }),
    })
}
