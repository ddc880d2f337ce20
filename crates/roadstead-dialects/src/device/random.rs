//! Numbers that need to differ, not to be secret: connection ids, nonces, jitter.
//!
//! Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (SplitMix64).

use alloc::string::String;

/// A generator with a seed from outside; the same seed repeats a run.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Returns a generator.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`, or 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits().checked_rem(bound).unwrap_or(0)
    }

    /// Returns letters and digits.
    pub fn alphanumeric(&mut self, len: usize) -> String {
        const ALPHABET: &[u8; 62] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..len).map(|_| char::from(ALPHABET[self.below(62) as usize])).collect()
    }
}
