//! Checksum, key agreement and cipher of BluFi's security 1.
//!
//! The key agreement authenticates nobody, and MD5 of a 1024-bit secret is of its time; it is what
//! devices in the field speak.

use aes::Aes128;
use aes::cipher::KeyIvInit as _;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U256, U1024};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use crate::ble::Refusal;

/// Bytes of prime and public keys.
pub(super) const PUBLIC_SIZE: usize = 128;
/// Bytes of the private key each end draws.
pub const PRIVATE_SIZE: usize = 32;
/// The generator phones use.
pub(super) const GENERATOR: u8 = 2;

/// The prime phones send (Airlink §8.4). Prime, but not a safe prime.
pub const PRIME: [u8; PUBLIC_SIZE] = [
    0xCF, 0x5C, 0xF5, 0xC3, 0x84, 0x19, 0xA7, 0x24, 0x95, 0x7F, 0xF5, 0xDD, 0x32, 0x3B, 0x9C, 0x45,
    0xC3, 0xCD, 0xD2, 0x61, 0xEB, 0x74, 0x0F, 0x69, 0xAA, 0x94, 0xB8, 0xBB, 0x1A, 0x5C, 0x96, 0x40,
    0x91, 0x53, 0xBD, 0x76, 0xB2, 0x42, 0x22, 0xD0, 0x32, 0x74, 0xE4, 0x72, 0x5A, 0x54, 0x06, 0x09,
    0x2E, 0x9E, 0x82, 0xE9, 0x13, 0x5C, 0x64, 0x3C, 0xAE, 0x98, 0x13, 0x2B, 0x0D, 0x95, 0xF7, 0xD6,
    0x53, 0x47, 0xC6, 0x8A, 0xFC, 0x1E, 0x67, 0x7D, 0xA9, 0x0E, 0x51, 0xBB, 0xAB, 0x5F, 0x5C, 0xF4,
    0x29, 0xC2, 0x91, 0xB4, 0xBA, 0x39, 0xC6, 0xB2, 0xDC, 0x5E, 0x8C, 0x72, 0x31, 0xE4, 0x6A, 0xA7,
    0x72, 0x8E, 0x87, 0x66, 0x45, 0x32, 0xCD, 0xF5, 0x47, 0xBE, 0x20, 0xC9, 0xA3, 0xFA, 0x83, 0x42,
    0xBE, 0x6E, 0x34, 0x37, 0x1A, 0x27, 0xC0, 0x6F, 0x7D, 0xC0, 0xED, 0xDD, 0xD2, 0xF8, 0x63, 0x73,
];

/// Computes CRC-16/GENIBUS: polynomial 0x1021, start and final xor 0xFFFF.
pub(super) fn crc16(parts: &[&[u8]]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for byte in parts.iter().copied().flatten() {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    !crc
}

/// A group in which keys are agreed on.
pub(super) struct Group {
    params: FixedMontyParams<{ U1024::LIMBS }>,
    prime: U1024,
    generator: U1024,
}

impl Group {
    /// Takes prime and generator from the wire.
    ///
    /// # Errors
    /// The prime is even or does not fill 1024 bits, or the generator is trivial.
    pub(super) fn new(prime: &[u8], generator: &[u8]) -> Result<Self, Refusal> {
        let full = prime.len() == PUBLIC_SIZE && prime.first().is_some_and(|byte| *byte != 0);
        let prime = number(prime).filter(|_| full).ok_or(Refusal::Agreement)?;
        let odd: Odd<U1024> = Option::from(Odd::new(prime)).ok_or(Refusal::Agreement)?;
        let generator = number(generator).ok_or(Refusal::Agreement)?;
        let group = Self { params: FixedMontyParams::new_vartime(odd), prime, generator };
        group.element(&group.generator).then_some(group).ok_or(Refusal::Agreement)
    }

    /// Returns the public key of a private one.
    pub(super) fn public(&self, private: &[u8; PRIVATE_SIZE]) -> [u8; PUBLIC_SIZE] {
        self.power(&self.generator, private)
    }

    /// Returns the key both ends share.
    ///
    /// # Errors
    /// The other's public key is trivial or not smaller than the prime.
    pub(super) fn agree(
        &self,
        private: &[u8; PRIVATE_SIZE],
        public: &[u8],
    ) -> Result<Cipher, Refusal> {
        let public = number(public).filter(|it| self.element(it)).ok_or(Refusal::Agreement)?;
        let secret = Zeroizing::new(self.power(&public, private));
        Ok(Cipher(Zeroizing::new(Md5::digest(*secret).into())))
    }

    /// Says whether a number lies between 2 and the prime minus 2: 1 and -1 make the secret known.
    fn element(&self, number: &U1024) -> bool {
        *number > U1024::ONE && *number < self.prime.wrapping_sub(&U1024::ONE)
    }

    fn power(&self, base: &U1024, exponent: &[u8; PRIVATE_SIZE]) -> [u8; PUBLIC_SIZE] {
        let base = FixedMontyForm::new(base, &self.params);
        let power = base.pow(&U256::from_be_slice(exponent)).retrieve();
        let mut bytes = [0; PUBLIC_SIZE];
        bytes.copy_from_slice(power.to_be_bytes().as_ref());
        bytes
    }
}

/// Reads a big-endian number of up to 128 bytes.
fn number(bytes: &[u8]) -> Option<U1024> {
    let mut full = [0; PUBLIC_SIZE];
    let at = PUBLIC_SIZE.checked_sub(bytes.len())?;
    full[at..].copy_from_slice(bytes);
    Some(U1024::from_be_slice(&full))
}

/// The cipher of a connection: AES-128-CFB with the frame's number as IV. Does not print.
pub(super) struct Cipher(Zeroizing<[u8; 16]>);

impl Cipher {
    pub(super) fn encrypt(&self, sequence: u8, data: &mut [u8]) {
        cfb_mode::Encryptor::<Aes128>::new(&(*self.0).into(), &iv(sequence).into()).encrypt(data);
    }

    pub(super) fn decrypt(&self, sequence: u8, data: &mut [u8]) {
        cfb_mode::Decryptor::<Aes128>::new(&(*self.0).into(), &iv(sequence).into()).decrypt(data);
    }

    #[cfg(test)]
    pub(super) fn key(&self) -> [u8; 16] {
        *self.0
    }
}

fn iv(sequence: u8) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[0] = sequence;
    iv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc16(&[b"12345", b"6789"]), 0xD64E);
    }

    #[test]
    fn trivial_keys_are_refused() {
        let group = Group::new(&PRIME, &[GENERATOR]).expect("group");
        let mut below = PRIME;
        below[PUBLIC_SIZE - 1] -= 1;
        for public in [&[0_u8][..], &[1], &below, &PRIME, &[0xFF; 128], &[2; 129], &[]] {
            assert!(group.agree(&[3; 32], public).is_err());
        }
        assert!(group.agree(&[3; 32], &[2]).is_ok());
        assert!(Group::new(&below, &[2]).is_err(), "even");
        assert!(Group::new(&PRIME[1..], &[2]).is_err(), "short");
        assert!(Group::new(&PRIME, &[1]).is_err(), "trivial generator");
    }
}
