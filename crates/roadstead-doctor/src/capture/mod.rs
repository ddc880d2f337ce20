//! Captures as evidence: pcap and pcapng become lines of text, one per event that shows how far a
//! device came or why it stopped.
//!
//! It does not judge: the lines go through the signs of `sign/capture.rs` like those of a log, with
//! the packet's number as line number and the device's address as key. No payload is printed that
//! could hold a secret. Sources: the pcap file format (libpcap) and pcapng
//! (draft-ietf-opsawg-pcapng), RFC 791, 8200, 9293, 768, 1035, 2131, 8446, 7252, MQTT 3.1.1.

mod dhcp;
mod dns;
mod file;
mod flow;
mod mqtt;
mod packet;
mod tls;
mod udp;

use std::collections::BTreeMap;

pub(crate) use file::Reader;
pub use file::{Captured, Container};

use flow::Flows;
use packet::Packet;
use udp::Datagrams;

/// Returns true when a file begins as a capture; needs its first four bytes.
pub fn is_capture(head: &[u8]) -> bool {
    matches!(
        head,
        [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x0a, 0x0d, 0x0d, 0x0a, ..]
    )
}

/// One event, ready for the signs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Number of the packet, from 1.
    pub(crate) number: u64,
    /// The device's address.
    pub(crate) key: String,
    /// Time, addresses and what happened.
    pub(crate) text: String,
}

/// Where events of one packet go.
struct Notes<'a> {
    number: u64,
    ms: i64,
    out: &'a mut Vec<Event>,
}

impl Notes<'_> {
    /// Notes an event of this packet.
    fn add(&mut self, key: &str, text: &str) {
        self.add_at(self.number, self.ms, key, text);
    }

    /// Notes an event of an earlier packet.
    fn add_at(&mut self, number: u64, ms: i64, key: &str, text: &str) {
        let text = format!("{} {text}", time(ms));
        self.out.push(Event { number, key: key.to_owned(), text });
    }
}

/// What is known about the traffic of a capture. Constant size: old flows make room for new ones.
#[derive(Default)]
pub(crate) struct Watch {
    flows: Flows,
    datagrams: Datagrams,
    /// Hardware addresses whose requests for an address were reported as unanswered.
    leases: BTreeMap<String, dhcp::Wait>,
    last_ms: i64,
    number: u64,
}

impl Watch {
    /// Looks at one packet.
    pub(crate) fn packet(&mut self, link: u32, ms: i64, bytes: &[u8], out: &mut Vec<Event>) {
        self.number += 1;
        self.last_ms = self.last_ms.max(ms);
        let mut notes = Notes { number: self.number, ms, out };
        match packet::parse(link, bytes) {
            Some(Packet::Tcp(segment)) => self.flows.segment(&segment, &mut notes),
            Some(Packet::Udp(datagram)) if dhcp::is_port(datagram.from.1, datagram.to.1) => {
                dhcp::datagram(&mut self.leases, datagram.payload, &mut notes);
            }
            Some(Packet::Udp(datagram)) => self.datagrams.datagram(&datagram, &mut notes),
            Some(Packet::Unreachable { from, to }) => self.flows.unreachable(from, to, &mut notes),
            None => {}
        }
    }

    /// Ends the capture: what is still open has waited until its last packet.
    pub(crate) fn finish(&mut self, out: &mut Vec<Event>) {
        let mut notes = Notes { number: self.number, ms: self.last_ms, out };
        self.flows.finish(&mut notes);
        self.datagrams.finish(&mut notes);
    }

    /// Returns how many packets came by.
    pub(crate) const fn packets(&self) -> u64 {
        self.number
    }
}

/// Writes a time as `yyyy-mm-dd hh:mm:ss.mmm`, UTC.
fn time(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Civil date from days since 1970, proleptic Gregorian.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}.{:03}", of_day % 1000)
}

/// Returns text of a packet as it may stand in a line: printable ASCII, at most `max` characters.
fn plain(bytes: &[u8], max: usize) -> String {
    let shown = bytes.iter().take(max);
    shown.map(|byte| if matches!(byte, 0x20..=0x7e) { char::from(*byte) } else { '.' }).collect()
}

/// Returns a big-endian number of two bytes.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        assert_eq!(time(1_795_221_479_123), "2026-11-21 00:37:59.123");
        assert_eq!(time(0), "1970-01-01 00:00:00.000");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00.000");
    }

    #[test]
    fn captures_are_told_from_logs() {
        assert!(is_capture(&[0xd4, 0xc3, 0xb2, 0xa1]) && is_capture(b"\n\r\r\n"));
        assert!(!is_capture(b"[inf]") && !is_capture(b""));
    }
}
