//! The containers: pcap and pcapng, in pieces of any size and constant memory.
//!
//! Broken lengths end the reading: what came before stays.

use super::{Event, Watch};
use crate::limit::PACKET_BYTES_MAX;

/// Interfaces of one pcapng section that are told apart.
const INTERFACES_MAX: usize = 64;

/// How a file writes its numbers and times.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let pair: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if self.big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self.big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }
}

/// One interface of a pcapng section: link type and units per second.
#[derive(Clone, Copy)]
struct Interface {
    link: u32,
    units: u64,
}

enum Kind {
    /// Nothing read yet.
    Unknown,
    /// pcap: link type, units per second.
    Classic { order: Order, link: u32, units: u64 },
    /// pcapng.
    Blocks { order: Order, interfaces: Vec<Interface> },
    /// The container broke.
    Broken,
}

/// Reads one capture as evidence. Feed bytes in any pieces; call [`Reader::finish`] at the end.
pub(crate) struct Reader {
    container: Container,
    bytes: u64,
    watch: Watch,
}

impl Reader {
    /// Makes a reader at the start of a file.
    pub(crate) fn new() -> Self {
        Self { container: Container::new(), bytes: 0, watch: Watch::default() }
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<Event>) {
        self.bytes += bytes.len() as u64;
        let watch = &mut self.watch;
        self.container.feed(bytes, &mut |it| {
            watch.packet(it.link, (it.at_us / 1000) as i64, it.bytes, out);
        });
    }

    /// Ends the file.
    pub(crate) fn finish(&mut self, out: &mut Vec<Event>) {
        self.watch.finish(out);
    }

    /// Returns bytes and packets so far.
    pub(crate) const fn counts(&self) -> (u64, u64) {
        (self.bytes, self.watch.packets())
    }
}

/// One packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Link type (tcpdump.org/linktypes.html).
    pub link: u32,
    /// Microseconds since 1970, or since whenever the file counts from.
    pub at_us: u64,
    /// Bytes it had before it was cut.
    pub length: usize,
    /// The bytes that were kept.
    pub bytes: &'a [u8],
}

/// Reads the packets of one capture, pcap or pcapng. Feed bytes in any pieces.
pub struct Container {
    kind: Kind,
    buffer: Vec<u8>,
    /// Bytes of an over-long record that are passed over.
    skip: usize,
}

impl Default for Container {
    fn default() -> Self {
        Self::new()
    }
}

impl Container {
    /// Stands at the start of a file.
    pub fn new() -> Self {
        Self { kind: Kind::Unknown, buffer: Vec::new(), skip: 0 }
    }

    /// Takes the next bytes; gives each packet that is whole.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(Captured<'_>)) {
        if self.skip > 0 {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = &bytes[passed..];
        }
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(length) = self.record(at, sink) {
            at += length;
        }
        if matches!(self.kind, Kind::Broken) {
            at = self.buffer.len();
        }
        let passed = at.min(self.buffer.len());
        self.skip += at - passed;
        self.buffer.drain(..passed);
    }

    /// Takes the record at `at` and returns its length; `None` when it is not whole or the file is
    /// broken. The length may reach beyond the buffer for a record that is passed over.
    fn record(&mut self, at: usize, sink: &mut dyn FnMut(Captured<'_>)) -> Option<usize> {
        let rest = self.buffer.get(at..)?;
        match &mut self.kind {
            Kind::Unknown => {
                let (kind, length) = begin(rest)?;
                self.kind = kind;
                Some(length)
            }
            Kind::Broken => None,
            Kind::Classic { order, link, units } => {
                let length = order.u32(rest, 8)? as usize;
                if length > PACKET_BYTES_MAX {
                    self.kind = Kind::Broken;
                    return None;
                }
                let packet = rest.get(16..16 + length)?;
                let (seconds, fraction) = (order.u32(rest, 0)?, order.u32(rest, 4)?);
                let at_us =
                    u64::from(seconds) * 1_000_000 + u64::from(fraction) * 1_000_000 / *units;
                let original = order.u32(rest, 12)? as usize;
                sink(Captured { link: *link, at_us, length: original.max(length), bytes: packet });
                Some(16 + length)
            }
            Kind::Blocks { order, interfaces } => {
                let name = order.u32(rest, 0)?;
                if name == SECTION {
                    *order = section_order(rest)?;
                    interfaces.clear();
                }
                let length = order.u32(rest, 4)? as usize;
                if length < 12 || !length.is_multiple_of(4) {
                    self.kind = Kind::Broken;
                    return None;
                }
                if length > PACKET_BYTES_MAX {
                    return Some(length);
                }
                let block = rest.get(..length)?;
                match name {
                    INTERFACE if interfaces.len() < INTERFACES_MAX => {
                        interfaces.extend(interface(*order, block));
                    }
                    ENHANCED => {
                        enhanced(*order, interfaces, block).into_iter().for_each(sink);
                    }
                    SIMPLE => {
                        let packet = block.get(12..length - 4).unwrap_or_default();
                        if let (Some(known), Some(original)) =
                            (interfaces.first(), order.u32(block, 8))
                        {
                            let length = original as usize;
                            let bytes = packet.get(..length).unwrap_or(packet);
                            sink(Captured { link: known.link, at_us: 0, length, bytes });
                        }
                    }
                    _ => {}
                }
                Some(length)
            }
        }
    }
}

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;

/// Reads the head of a file.
fn begin(head: &[u8]) -> Option<(Kind, usize)> {
    let magic: [u8; 4] = head.get(..4)?.try_into().ok()?;
    let classic = |big: bool, units: u64| {
        let order = Order { big };
        // The upper bits of the link type hold the length of a checksum.
        Some((Kind::Classic { order, link: order.u32(head, 20)? & 0xffff, units }, 24))
    };
    match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => classic(false, 1_000_000),
        [0xa1, 0xb2, 0xc3, 0xd4] => classic(true, 1_000_000),
        [0x4d, 0x3c, 0xb2, 0xa1] => classic(false, 1_000_000_000),
        [0xa1, 0xb2, 0x3c, 0x4d] => classic(true, 1_000_000_000),
        [0x0a, 0x0d, 0x0d, 0x0a] => {
            let order = section_order(head)?;
            Some((Kind::Blocks { order, interfaces: Vec::new() }, 0))
        }
        _ => Some((Kind::Broken, 0)),
    }
}

/// Returns the order that a section header names.
fn section_order(block: &[u8]) -> Option<Order> {
    Some(Order { big: block.get(8..12)? == [0x1a, 0x2b, 0x3c, 0x4d] })
}

/// Reads an interface description; the option `if_tsresol` (9) sets the unit of times.
fn interface(order: Order, block: &[u8]) -> Option<Interface> {
    let link = u32::from(order.u16(block, 8)?);
    let mut units = 1_000_000;
    let mut at = 16;
    while let (Some(code), Some(length)) = (order.u16(block, at), order.u16(block, at + 2)) {
        if code == 0 {
            break;
        }
        if code == 9
            && let Some(value) = block.get(at + 4)
        {
            let power = u32::from(value & 0x7f);
            let base: u64 = if value & 0x80 == 0 { 10 } else { 2 };
            units = base.checked_pow(power).filter(|units| *units > 0).unwrap_or(units);
        }
        at += 4 + usize::from(length).next_multiple_of(4);
    }
    Some(Interface { link, units })
}

fn enhanced<'a>(order: Order, interfaces: &[Interface], block: &'a [u8]) -> Option<Captured<'a>> {
    let known = *interfaces.get(order.u32(block, 8)? as usize)?;
    let ticks = u64::from(order.u32(block, 12)?) << 32 | u64::from(order.u32(block, 16)?);
    let at_us = u64::try_from(u128::from(ticks) * 1_000_000 / u128::from(known.units)).ok()?;
    let (kept, original) = (order.u32(block, 20)? as usize, order.u32(block, 24)? as usize);
    let bytes = block.get(28..28_usize.checked_add(kept)?)?;
    Some(Captured { link: known.link, at_us, length: original.max(kept), bytes })
}
