//! From a link layer to TCP and UDP. Fragments after the first and unknown layers are passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::be16;

/// An address and a port.
pub(super) type Peer = (IpAddr, u16);

/// One TCP segment.
pub(super) struct Segment<'a> {
    pub(super) from: Peer,
    pub(super) to: Peer,
    pub(super) sequence: u32,
    pub(super) syn: bool,
    pub(super) ack: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) payload: &'a [u8],
}

/// One UDP datagram.
pub(super) struct Datagram<'a> {
    pub(super) from: Peer,
    pub(super) to: Peer,
    pub(super) payload: &'a [u8],
}

/// What a packet carries.
pub(super) enum Packet<'a> {
    Tcp(Segment<'a>),
    Udp(Datagram<'a>),
    /// ICMP says that a TCP segment from `from` did not reach `to`.
    Unreachable {
        from: Peer,
        to: Peer,
    },
}

/// Reads a packet of a link type (numbers of the pcap registry).
pub(super) fn parse(link: u32, bytes: &[u8]) -> Option<Packet<'_>> {
    match link {
        // Ethernet.
        1 => typed(bytes, 12),
        // Loopback of BSD: four bytes of family.
        0 | 108 => ip(bytes.get(4..)?),
        // Raw IP.
        12 | 14 | 101 | 228 | 229 => ip(bytes),
        // Linux cooked, versions 1 and 2.
        113 => typed(bytes, 14),
        276 => match be16(bytes, 0)? {
            0x0800 | 0x86dd => ip(bytes.get(20..)?),
            _ => None,
        },
        _ => None,
    }
}

/// Reads a frame whose protocol number stands at `at`; VLAN tags are passed over.
fn typed(bytes: &[u8], mut at: usize) -> Option<Packet<'_>> {
    loop {
        match be16(bytes, at)? {
            0x8100 | 0x88a8 => at += 4,
            0x0800 | 0x86dd => return ip(bytes.get(at + 2..)?),
            _ => return None,
        }
    }
}

fn ip(bytes: &[u8]) -> Option<Packet<'_>> {
    match bytes.first()? >> 4 {
        4 => {
            let length = usize::from(bytes[0] & 0xf) * 4;
            let fragment = be16(bytes, 6)? & 0x1fff;
            if length < 20 || fragment != 0 {
                return None;
            }
            let total = usize::from(be16(bytes, 2)?).max(length);
            let address = |at: usize| {
                let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(four)))
            };
            let (from, to) = (address(12)?, address(16)?);
            // Padding of short frames is no data; an offloaded length of 0 was raised above.
            let end = if total > length { total.min(bytes.len()) } else { bytes.len() };
            transport(*bytes.get(9)?, from, to, bytes.get(length..end)?)
        }
        6 => {
            let address = |at: usize| {
                let all: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(all)))
            };
            let end = (40 + usize::from(be16(bytes, 4)?)).min(bytes.len());
            transport(*bytes.get(6)?, address(8)?, address(24)?, bytes.get(40..end)?)
        }
        _ => None,
    }
}

fn transport(protocol: u8, from: IpAddr, to: IpAddr, bytes: &[u8]) -> Option<Packet<'_>> {
    match protocol {
        6 => {
            let header = usize::from(bytes.get(12)? >> 4) * 4;
            let flags = *bytes.get(13)?;
            let sequence: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(Packet::Tcp(Segment {
                from: (from, be16(bytes, 0)?),
                to: (to, be16(bytes, 2)?),
                sequence: u32::from_be_bytes(sequence),
                fin: flags & 1 != 0,
                syn: flags & 2 != 0,
                rst: flags & 4 != 0,
                ack: flags & 16 != 0,
                payload: bytes.get(header.max(20)..).unwrap_or_default(),
            }))
        }
        17 => Some(Packet::Udp(Datagram {
            from: (from, be16(bytes, 0)?),
            to: (to, be16(bytes, 2)?),
            payload: bytes.get(8..)?,
        })),
        // ICMP "destination unreachable" with the head of the segment that did not arrive.
        1 if bytes.first() == Some(&3) => {
            let inner = bytes.get(8..)?;
            let length = usize::from(inner.first()? & 0xf) * 4;
            let four = |at: usize| -> Option<[u8; 4]> { inner.get(at..at + 4)?.try_into().ok() };
            if *inner.get(9)? != 6 {
                return None;
            }
            Some(Packet::Unreachable {
                from: (IpAddr::V4(Ipv4Addr::from(four(12)?)), be16(inner, length)?),
                to: (IpAddr::V4(Ipv4Addr::from(four(16)?)), be16(inner, length + 2)?),
            })
        }
        _ => None,
    }
}
