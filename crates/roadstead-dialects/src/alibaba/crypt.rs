//! The few cryptographic operations of the LAN: AES-128-CBC over whole blocks, HMAC-SHA1, SHA-256.
//!
//! Log-in and registration proofs are not here (`auth`).

use alloc::vec::Vec;

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Block and key of AES-128, bytes.
pub(crate) const BLOCK: usize = 16;

/// Encrypts whole blocks in place; bytes past the last whole block stay as they are.
pub(crate) fn encrypt(key: &[u8; BLOCK], iv: &[u8; BLOCK], bytes: &mut [u8]) {
    let mut cipher = cbc::Encryptor::<Aes128>::new(&Array(*key), &Array(*iv));
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        if let Ok(block) = <&mut Array<u8, _>>::try_from(chunk) {
            cipher.encrypt_block(block);
        }
    }
}

/// Decrypts whole blocks in place; bytes past the last whole block stay as they are.
pub(crate) fn decrypt(key: &[u8; BLOCK], iv: &[u8; BLOCK], bytes: &mut [u8]) {
    let mut cipher = cbc::Decryptor::<Aes128>::new(&Array(*key), &Array(*iv));
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        if let Ok(block) = <&mut Array<u8, _>>::try_from(chunk) {
            cipher.decrypt_block(block);
        }
    }
}

/// Returns the first 16 bytes of SHA-256.
pub(crate) fn short_sha256(parts: &[&[u8]]) -> [u8; BLOCK] {
    let digest = Sha256::digest(parts.concat());
    let mut key = [0; BLOCK];
    key.copy_from_slice(&digest[..BLOCK]);
    key
}

/// Returns HMAC-SHA1, 20 bytes.
pub(crate) fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}
