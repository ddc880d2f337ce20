//! The phone's half of AirKiss.

use alloc::vec::Vec;
use core::time::Duration;

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};

use super::super::request::Layout;
use super::super::{EncodeError, Request, Round, Scheme, ack, crc8};
use super::{GUIDE, MAGIC_ZERO, MESSAGE_MAX, SEQUENCE, crc7, pad_key};

/// Pause between packets (Airlink §2.4).
const SPACING: Duration = Duration::from_millis(5);
/// UDP port; receivers do not see it.
const PORT: u16 = 10_001;
/// A sender gives up after this.
const TIME_OUT: Duration = Duration::from_secs(60);
/// How often the parts of a round are repeated.
const GUIDES: usize = 50;
const MAGICS: usize = 20;
const DATAS: usize = 15;

/// The words of a message, before they are repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Length of the message and CRC of the SSID.
    pub magic: [u16; 4],
    /// Length of the password and its CRC.
    pub prefix: [u16; 4],
    /// Sequences: header and data.
    pub sequences: Vec<Vec<u16>>,
}

/// Returns the words that carry a request.
///
/// # Errors
/// A key that is empty or longer than 16 bytes; application data.
pub fn words(request: &Request<'_>) -> Result<Words, EncodeError> {
    let key = match request.key {
        Some(key) => Some(pad_key(key).filter(|_| !key.is_empty()).ok_or(EncodeError::Key {
            scheme: Scheme::AirKiss,
            want: "1 to 16",
            size: key.len(),
        })?),
        None => None,
    };
    if !request.extra.is_empty() {
        return Err(EncodeError::Extra { size: request.extra.len() });
    }
    let password = match key {
        Some(key) => cbc::Encryptor::<aes::Aes128>::new(&key.into(), &key.into())
            .encrypt_padded_vec::<Pkcs7>(request.password),
        None => request.password.to_vec(),
    };
    let mut message = password.clone();
    message.push(random(request));
    message.extend_from_slice(request.ssid);
    debug_assert!(message.len() <= MESSAGE_MAX, "the request was checked");
    let nibbles = |base: u16, byte: usize| {
        let byte = byte as u16;
        [base | (byte >> 4) & 0xF, (base + 0x10) | byte & 0xF]
    };
    let [length_high, length_low] = nibbles(0x00, message.len());
    let [ssid_high, ssid_low] = nibbles(0x20, crc8(request.ssid).into());
    let [password_high, password_low] = nibbles(0x40, password.len());
    let [check_high, check_low] = nibbles(0x60, crc8(&[password.len() as u8]).into());
    let length_high = if length_high == 0 { MAGIC_ZERO } else { length_high };
    let sequence = |(index, bytes): (usize, &[u8])| {
        let header = [crc7(index as u8, bytes), index as u8].map(|it| 0x80 | u16::from(it));
        header.into_iter().chain(bytes.iter().map(|byte| 0x100 | u16::from(*byte))).collect()
    };
    Ok(Words {
        magic: [length_high, length_low, ssid_high, ssid_low],
        prefix: [password_high, password_low, check_high, check_low],
        sequences: message.chunks(SEQUENCE).enumerate().map(sequence).collect(),
    })
}

/// The random byte that the device sends back.
fn random(request: &Request<'_>) -> u8 {
    request.random[0]
}

/// Builds the packets of one full round: 50 guides, 20 magics, 15 times prefix and data.
///
/// # Errors
/// See [`words`].
pub fn encode(request: &Request<'_>) -> Result<Round, EncodeError> {
    let words = words(request)?;
    let mut layout = Layout::new(SPACING);
    (0..GUIDES).for_each(|_| layout.broadcast(GUIDE));
    (0..MAGICS).for_each(|_| layout.broadcast(words.magic));
    for _ in 0..DATAS {
        layout.broadcast(words.prefix);
        words.sequences.iter().for_each(|words| layout.broadcast(words.iter().copied()));
    }
    let (packets, lasts) = layout.finish();
    Ok(Round {
        scheme: Scheme::AirKiss,
        packets,
        lasts,
        port: PORT,
        time_out: TIME_OUT,
        ack: ack::Expectation::of(ack::Proof::AirKiss { random: random(request) }),
    })
}
