//! Keys and seals.

use alloc::vec::Vec;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

/// Fresh random bytes of one end of one session: its private key.
pub type Entropy = [u8; 32];

/// Names the protocol and its version in every derived key.
const LABEL: &[u8] = b"roadstead softap 1";
/// Bytes of a proof.
pub(super) const PROOF_SIZE: usize = 16;
/// Bytes of a session's name.
pub(super) const SESSION_SIZE: usize = 8;

/// Returns the public key of a private one.
pub(super) fn public(private: &Entropy) -> [u8; 32] {
    x25519(*private, X25519_BASEPOINT_BYTES)
}

/// Direction of a sealed message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToDevice,
    ToPhone,
}

/// What both ends of a session know. Does not print.
pub(super) struct Keys {
    to_device: Zeroizing<[u8; 32]>,
    to_phone: Zeroizing<[u8; 32]>,
    proof: Zeroizing<[u8; 32]>,
    session: [u8; SESSION_SIZE],
}

impl Keys {
    /// Agrees; `None` when the other one's key is one of the few that give a known result.
    pub(super) fn agree(
        private: &Entropy,
        other: &[u8; 32],
        secret: &[u8],
        (phone, device): (&[u8; 32], &[u8; 32]),
        session: [u8; SESSION_SIZE],
    ) -> Option<Self> {
        let shared = Zeroizing::new(x25519(*private, *other));
        if shared.iter().all(|byte| *byte == 0) {
            return None;
        }
        let derived = Hkdf::<Sha256>::new(Some(secret), shared.as_slice());
        let expand = |purpose: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            let info = [LABEL, purpose, phone, device, &session];
            derived.expand_multi_info(&info, key.as_mut_slice()).ok()?;
            Some(key)
        };
        let (to_device, to_phone) = (expand(b"to device")?, expand(b"to phone")?);
        Some(Self { to_device, to_phone, proof: expand(b"proof")?, session })
    }

    pub(super) fn session(&self) -> [u8; SESSION_SIZE] {
        self.session
    }

    /// Returns the device's proof that it knows the secret and has the keys.
    pub(super) fn proof(&self) -> [u8; PROOF_SIZE] {
        let mut out = [0; PROOF_SIZE];
        out.iter_mut().zip(self.mac().finalize().into_bytes()).for_each(|(to, from)| *to = from);
        out
    }

    /// Compares a proof in constant time.
    pub(super) fn proves(&self, proof: &[u8]) -> bool {
        proof.len() == PROOF_SIZE && self.mac().verify_truncated_left(proof).is_ok()
    }

    fn mac(&self) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.proof.as_slice());
        // HMAC takes keys of every length.
        mac.unwrap_or_else(|_| unreachable!("a key of 32 bytes")).chain_update(self.session)
    }

    pub(super) fn seal(&self, way: Way, count: u32, plain: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: plain, aad: &self.session };
        self.cipher(way).encrypt(&nonce(count).into(), payload).unwrap_or_default()
    }

    pub(super) fn open(&self, way: Way, count: u32, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: sealed, aad: &self.session };
        self.cipher(way).decrypt(&nonce(count).into(), payload).ok().map(Zeroizing::new)
    }

    fn cipher(&self, way: Way) -> ChaCha20Poly1305 {
        let key = match way {
            Way::ToDevice => &self.to_device,
            Way::ToPhone => &self.to_phone,
        };
        ChaCha20Poly1305::new(&(**key).into())
    }
}

/// A key seals each number once: the device answers a number only once.
fn nonce(count: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&count.to_be_bytes());
    nonce
}
