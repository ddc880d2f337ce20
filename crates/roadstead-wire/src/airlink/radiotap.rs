//! The header a radio in monitor mode puts before each frame: whether its check sequence fits, and
//! which channel it was heard on.
//!
//! Fields behind the signal are passed over, and so are further namespaces.
//!
//! Source: radiotap.org, "Radiotap" (header version 0).

use super::Frame;

/// What of the header matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Radiotap {
    /// Bytes of the whole header; the frame follows.
    pub length: usize,
    /// Time of the radio's clock in microseconds.
    pub at_us: Option<u64>,
    /// Flags; `None` when the driver does not tell.
    pub flags: Option<u8>,
    /// Frequency in MHz.
    pub frequency: Option<u16>,
    /// Signal in dBm.
    pub signal: Option<i8>,
}

/// Version, padding, length and the first word of what is present.
const HEADER: usize = 8;
/// The word of what is present is followed by another.
const MORE: u32 = 1 << 31;
/// Flag: the frame check sequence did not fit.
const BAD_FCS: u8 = 0x40;

/// The first fields in order: size and alignment in bytes.
const FIELDS: [(usize, usize); 6] = [(8, 8), (1, 1), (1, 1), (4, 2), (2, 1), (1, 1)];
const TIME: usize = 0;
const FLAGS: usize = 1;
const CHANNEL: usize = 3;
const SIGNAL: usize = 5;

impl Radiotap {
    /// Reads the header at the front of a packet; `None` when there is none, or it is cut short.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let word = |at: usize| packet.get(at..)?.first_chunk().map(|it| u32::from_le_bytes(*it));
        let length = usize::from(u16::from_le_bytes([*packet.get(2)?, *packet.get(3)?]));
        if packet.first() != Some(&0) || length < HEADER || packet.len() < length {
            return None;
        }
        let present = word(4)?;
        let (mut at, mut last) = (HEADER, present);
        while last & MORE != 0 {
            last = word(at)?;
            at += 4;
        }
        let mut read = Self { length, ..Self::default() };
        for (bit, (size, align)) in FIELDS.into_iter().enumerate() {
            if present & 1 << bit == 0 {
                continue;
            }
            at = at.next_multiple_of(align);
            let field = packet.get(at..(at + size).min(length)).filter(|it| it.len() == size)?;
            at += size;
            match bit {
                TIME => read.at_us = field.first_chunk().map(|it| u64::from_le_bytes(*it)),
                FLAGS => read.flags = field.first().copied(),
                CHANNEL => read.frequency = field.first_chunk().map(|it| u16::from_le_bytes(*it)),
                SIGNAL => read.signal = field.first().map(|it| *it as i8),
                _ => {}
            }
        }
        Some(read)
    }

    /// Says whether the frame was received with errors.
    pub fn is_damaged(&self) -> bool {
        self.flags.is_some_and(|flags| flags & BAD_FCS != 0)
    }

    /// Returns the channel.
    pub fn channel(&self) -> Option<u8> {
        self.frequency.and_then(channel)
    }
}

/// Reads a packet of a radio in monitor mode, of which at least the headers were captured.
/// `length` is its length before it was cut, radiotap header included; `channel` stands in where the
/// header does not tell. `None` for what carries no credentials ([`Frame::parse`]) or is damaged.
pub fn frame(packet: &[u8], length: usize, channel: u8, at_us: Option<u64>) -> Option<Frame> {
    let head = Radiotap::parse(packet).filter(|head| !head.is_damaged())?;
    let on_air = u16::try_from(length.checked_sub(head.length)?).ok()?;
    let bytes = packet.get(head.length..)?;
    let frame = Frame::parse(bytes, on_air, true, head.channel().unwrap_or(channel), at_us)?;
    // Drivers differ in what they count, whatever their flags say: the guide code tells.
    Some(Frame { overhead: None, ..frame })
}

/// Returns the channel of a frequency in MHz, 2.4 and 5 GHz (IEEE 802.11-2020 §17.4, §21.3).
pub fn channel(frequency: u16) -> Option<u8> {
    match frequency {
        2484 => Some(14),
        2412..=2472 => Some(((frequency - 2407) / 5) as u8),
        5160..=5885 => Some(((frequency - 5000) / 5) as u8),
        _ => None,
    }
}

/// Returns the frequency of a channel in MHz.
pub fn frequency(channel: u8) -> Option<u16> {
    match channel {
        14 => Some(2484),
        1..=13 => Some(2407 + 5 * u16::from(channel)),
        32..=177 => Some(5000 + 5 * u16::from(channel)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::airlink::{Direction, Mac};

    /// A header as ath9k writes it: time, flags, rate, channel, signal, antenna.
    fn header(flags: u8, frequency: u16) -> Vec<u8> {
        let mut bytes = [0, 0, 0, 0, 0x2F, 0x08, 0, 0].to_vec();
        bytes.extend_from_slice(&77_u64.to_le_bytes());
        bytes.extend_from_slice(&[flags, 0x0C]);
        bytes.extend_from_slice(&frequency.to_le_bytes());
        bytes.extend_from_slice(&[0x80, 0x04, 0xD6_u8, 1]);
        bytes[2] = bytes.len() as u8;
        bytes
    }

    /// A downlink data frame under CCMP, cut after its header and initialisation vector.
    fn data() -> Vec<u8> {
        let mut bytes = [0x08, 0x42, 0, 0].to_vec();
        for mac in [[0xFF; 6], [2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]] {
            bytes.extend_from_slice(&mac);
        }
        bytes.extend_from_slice(&[0x30, 0x01, 1, 0, 0, 0x20, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn the_header_is_read_in_order() {
        let head = Radiotap::parse(&header(0x10, 2437)).unwrap();
        // Bit 5 is set: the signal is read, the antenna behind it passed over.
        let expected = Radiotap {
            length: 24,
            at_us: Some(77),
            flags: Some(0x10),
            frequency: Some(2437),
            signal: Some(-42),
        };
        assert_eq!(head, expected);
        assert_eq!(head.channel(), Some(6));
    }

    #[test]
    fn a_second_word_moves_the_fields() {
        // As mac80211 writes it with several antennas: the fields begin after all words.
        let mut bytes = [0, 0, 18, 0, 0x0A, 0, 0, 0x80, 0, 0, 0, 0].to_vec();
        bytes.extend_from_slice(&[0x10, 0, 0x6C, 0x09, 0xA0, 0]);
        let head = Radiotap::parse(&bytes).unwrap();
        assert_eq!((head.flags, head.frequency), (Some(0x10), Some(2412)));
    }

    #[test]
    fn a_frame_behind_the_header_is_heard_with_its_length_on_the_air() {
        let packet = [header(0x10, 2462), data()].concat();
        let heard = frame(&packet, packet.len() + 100, 1, Some(5)).unwrap();
        assert_eq!(usize::from(heard.length), data().len() + 100);
        assert_eq!((heard.channel, heard.direction), (11, Direction::Down));
        assert_eq!(heard.source, Mac([2, 0, 0, 0, 0, 2]));
        assert_eq!((heard.sequence, heard.overhead), (Some(0x13), None));
        let packet = [header(0x50, 2462), data()].concat();
        assert_eq!(frame(&packet, packet.len(), 1, None), None, "damaged");
        let silent = [&[0, 0, 8, 0, 0, 0, 0, 0], data().as_slice()].concat();
        let heard = frame(&silent, silent.len(), 9, None).unwrap();
        assert_eq!((heard.overhead, heard.channel), (None, 9));
    }

    #[test]
    fn channels_and_frequencies_are_inverse() {
        for number in (1..=14).chain(32..=177) {
            assert_eq!(frequency(number).and_then(channel), Some(number));
        }
        assert_eq!((frequency(0), frequency(15), channel(2407)), (None, None, None));
    }

    proptest! {
        #[test]
        fn anything_is_survived(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            length in 0_usize..70_000,
        ) {
            if let Some(head) = Radiotap::parse(&bytes) {
                prop_assert!(head.length <= bytes.len());
            }
            if let Some(heard) = frame(&bytes, length, 1, None) {
                prop_assert!(heard.destination.is_group());
            }
        }
    }
}
