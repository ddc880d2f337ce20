//! A simulated air: what a parked receiver hears of a sender through an access point, with losses,
//! retries, delays and foreign traffic. For tests, benches and the laboratory.
//!
//! Each datagram appears as an uplink copy (26-byte header, overhead 82; 12 % of the attempts need a
//! retry, up to three) and a downlink copy 1.5 to 3.5 ms later (24-byte header, overhead 80); each
//! copy is lost independently. The access point's sequence numbers jump by one extra with
//! probability 0.3, 2 % of neighbouring frames are swapped, 2 % of downlink copies are heard on a
//! neighbouring channel, and 15 % of the frames are foreign: broadcasts of lengths like guide codes,
//! discovery multicast, frames of other networks.
//!
//! Not here: rates a chip cannot decode, power-save bursts, HT40. A simulation, not a field
//! measurement.
//!
//! Source: Airlink §13.

use alloc::collections::VecDeque;

use super::{Direction, Frame, Mac, Packet, Round};

/// What the air is like.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Probability that the receiver loses a copy, 0.0 to 1.0.
    pub loss: f64,
    /// Whether the uplink copies can be heard at all.
    pub uplink: bool,
    /// Foreign frames for each of the sender's, on average.
    pub foreign: f64,
    /// Channel of the access point.
    pub channel: u8,
}

impl Default for Weather {
    /// Returns the air of the acceptance list without loss.
    fn default() -> Self {
        Self { loss: 0.0, uplink: true, foreign: 0.15, channel: 6 }
    }
}

/// A generator of random numbers, good enough for weather (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ bits >> 31
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end.max(1)
    }

    /// Says yes with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64 <= probability && probability > 0.0
    }
}

/// Overhead of the copies under CCMP.
const UP: u16 = 82;
const DOWN: u16 = 80;
/// Probability of a retry, and most retries.
const RETRY: f64 = 0.12;
const RETRIES_MAX: u64 = 3;
/// Time between two attempts in microseconds.
const RETRY_GAP: u64 = 600;
/// Delay of the downlink copy in microseconds, from and over.
const DELAY: (u64, u64) = (1_500, 2_000);
/// Probability that the access point uses a sequence number for somebody else.
const SKIP: f64 = 0.3;
/// Probability that two neighbouring frames are swapped.
const SWAP: f64 = 0.02;
/// Probability that a downlink copy is heard on a neighbouring channel too.
const NEIGHBOUR: f64 = 0.02;
/// Sequence numbers wrap here.
const SEQUENCES: u16 = 4096;
/// Foreign stations and networks.
const STATIONS: u64 = 12;

/// The frames of a sender that repeats its round for ever, in the order they are heard.
pub struct Air<'a> {
    round: &'a Round,
    weather: Weather,
    dice: Dice,
    source: Mac,
    bssid: Mac,
    next: usize,
    rounds: u32,
    up: u16,
    down: u16,
    pending: VecDeque<Frame>,
}

impl<'a> Air<'a> {
    /// Starts a sender at time zero.
    pub fn new(round: &'a Round, weather: Weather, source: Mac, bssid: Mac, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (up, down) = (dice.below(4096) as u16, dice.below(4096) as u16);
        let pending = VecDeque::new();
        Self { round, weather, dice, source, bssid, next: 0, rounds: 0, up, down, pending }
    }

    /// Sends the next datagram and puts what is heard of it in line.
    fn send(&mut self) {
        let Some(packet) = self.round.packets.get(self.next).copied() else {
            return;
        };
        let at = (packet.at + self.round.lasts * self.rounds).as_micros() as u64;
        self.next += 1;
        if self.next == self.round.packets.len() {
            self.next = 0;
            self.rounds += 1;
        }
        self.up = (self.up + 1) % SEQUENCES;
        self.down = (self.down + 1 + u16::from(self.dice.chance(SKIP))) % SEQUENCES;
        if self.weather.uplink {
            self.send_up(packet, at);
        }
        let later = at + DELAY.0 + self.dice.below(DELAY.1);
        let frame = self.frame(packet, later, Direction::Down);
        self.hear(frame);
        if self.dice.chance(NEIGHBOUR) {
            let up = self.dice.chance(0.5);
            let channel = if up { frame.channel + 1 } else { frame.channel.saturating_sub(1) };
            self.hear(Frame { channel, ..frame });
        }
        let whole = self.weather.foreign as u32;
        let extra = self.dice.chance(self.weather.foreign - f64::from(whole));
        (0..whole + u32::from(extra)).for_each(|_| self.foreign(at));
    }

    /// The uplink copy and its retries, all under one number.
    fn send_up(&mut self, packet: Packet, at: u64) {
        for attempt in 0..=RETRIES_MAX {
            let frame = self.frame(packet, at + 200 + attempt * RETRY_GAP, Direction::Up);
            self.hear(frame);
            if !self.dice.chance(RETRY) {
                return;
            }
        }
    }

    fn frame(&self, packet: Packet, at: u64, direction: Direction) -> Frame {
        let (sequence, overhead) = match direction {
            Direction::Up => (self.up, UP),
            Direction::Down => (self.down, DOWN),
        };
        Frame {
            at_us: Some(at),
            channel: self.weather.channel,
            direction,
            source: self.source,
            destination: packet.destination.mac(),
            bssid: self.bssid,
            sequence: Some(sequence),
            length: packet.length + overhead,
            overhead: None,
        }
    }

    /// Puts a frame in line, unless the receiver loses it.
    fn hear(&mut self, frame: Frame) {
        if self.dice.chance(self.weather.loss) {
            return;
        }
        let later = self.pending.iter().rposition(|other| other.at_us <= frame.at_us);
        let at = later.map_or(0, |at| at + 1);
        self.pending.insert(at, frame);
        if at > 0 && self.dice.chance(SWAP) {
            self.pending.swap(at, at - 1);
        }
    }

    /// A frame of somebody else.
    fn foreign(&mut self, at: u64) {
        let station = self.dice.below(STATIONS) as u8;
        let own = self.dice.chance(0.6);
        let direction = if self.dice.chance(0.3) { Direction::Up } else { Direction::Down };
        let (destination, length) = match self.dice.below(4) {
            // Lengths like a guide code's.
            0 => (Mac::BROADCAST, 80 + self.dice.below(6)),
            1 => (Mac::of_group([239, 255, 255, 250]), 200 + self.dice.below(300)),
            2 => (Mac([0x33, 0x33, 0, 0, 0, 0xFB]), 120 + self.dice.below(200)),
            _ => (Mac::BROADCAST, 60 + self.dice.below(1_300)),
        };
        let frame = Frame {
            at_us: Some(at + self.dice.below(4_000)),
            channel: self.weather.channel,
            direction,
            source: Mac([0x02, 0x11, 0, 0, 0, station]),
            destination,
            bssid: if own { self.bssid } else { Mac([0x0A, 0x22, 0, 0, 0, station % 4]) },
            sequence: Some(self.dice.below(SEQUENCES.into()) as u16),
            length: length as u16,
            overhead: None,
        };
        self.hear(frame);
    }
}

/// Frames kept in line before the first is let go: more than the delays can reorder.
const LINE: usize = 24;

impl Iterator for Air<'_> {
    type Item = Frame;

    /// Returns the next frame heard on the channel or a neighbouring one; never ends unless the
    /// round is empty or everything is lost.
    fn next(&mut self) -> Option<Frame> {
        if self.round.packets.is_empty() || self.weather.loss >= 1.0 {
            return None;
        }
        while self.pending.len() < LINE {
            self.send();
        }
        self.pending.pop_front()
    }
}

/// Frames of nobody in particular: random lengths, sources, addresses and numbers.
pub fn noise(dice: &mut Dice, at_us: u64, channel: u8) -> Frame {
    let station = dice.below(STATIONS) as u8;
    let destination = match dice.below(3) {
        0 => Mac::BROADCAST,
        1 => Mac::of_group([239, dice.bits() as u8, dice.bits() as u8, dice.bits() as u8]),
        _ => Mac::of_group([234, dice.bits() as u8, dice.bits() as u8, dice.bits() as u8]),
    };
    Frame {
        at_us: Some(at_us),
        channel,
        direction: if dice.chance(0.5) { Direction::Up } else { Direction::Down },
        source: Mac([0x02, 0x11, 0, 0, 0, station]),
        destination,
        bssid: Mac([0x0A, 0x22, 0, 0, 0, station % 3]),
        sequence: Some(dice.below(SEQUENCES.into()) as u16),
        length: (60 + dice.below(1_300)) as u16,
        overhead: None,
    }
}
