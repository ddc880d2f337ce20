//! The encryption of newer modules: AES-128-ECB under the product secret, PKCS#7, lower-case hex.
//!
//! One client leaves the padding away when the text fills its last block; both forms are read.
//!
//! Source: GizWits §3.1 rows 9 and 10; vectors `http_encrypted`.

use alloc::string::String;

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use roadstead_core::Secret;

/// Bytes of a block and of the key.
const BLOCK: usize = 16;
/// Longest text read, bytes.
const TEXT_MAX: usize = 1024;

fn cipher(secret: &Secret) -> Option<Aes128> {
    let key: [u8; BLOCK] = hex::decode(secret.expose()).ok()?.try_into().ok()?;
    Some(Aes128::new(&Array(key)))
}

/// Encrypts; `None` when the product secret is no key.
pub(super) fn seal(secret: &Secret, text: &str) -> Option<String> {
    let cipher = cipher(secret)?;
    let padding = BLOCK - text.len() % BLOCK;
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(text.len() + padding, padding as u8);
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        let block = <&mut Array<u8, _>>::try_from(chunk).expect("chunks have block size");
        cipher.encrypt_block(block);
    }
    Some(hex::encode(bytes))
}

/// Decrypts; `None` for what is no text under this secret.
pub(super) fn open(secret: &Secret, data: &str) -> Option<String> {
    let cipher = cipher(secret)?;
    let mut bytes = hex::decode(data).ok()?;
    if bytes.is_empty() || bytes.len() % BLOCK != 0 || bytes.len() > TEXT_MAX {
        return None;
    }
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        let block = <&mut Array<u8, _>>::try_from(chunk).expect("chunks have block size");
        cipher.decrypt_block(block);
    }
    let len = bytes.len() - padding(&bytes);
    bytes.truncate(len);
    let text = String::from_utf8(bytes).ok()?;
    text.bytes().all(|byte| byte.is_ascii_graphic()).then_some(text)
}

/// Returns how many bytes of padding there are; none is a form of its own.
fn padding(bytes: &[u8]) -> usize {
    let Some(last @ 1..=16) = bytes.last().copied().map(usize::from) else { return 0 };
    let tail: &[u8] = bytes.get(bytes.len() - last..).unwrap_or_default();
    let is_padding = tail.iter().all(|byte| usize::from(*byte) == last);
    if is_padding { last } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON");
        for vector in vectors["http_encrypted"].as_array().expect("list") {
            let text = |key: &str| vector[key].as_str();
            let secret = Secret::from(text("product_secret").expect("secret"));
            let (plain, data) = (text("plain").expect("plain"), text("data_hex").expect("data"));
            assert_eq!(seal(&secret, plain).as_deref(), Some(data));
            assert_eq!(open(&secret, data).as_deref(), Some(plain));
            if let Some(unpadded) = text("no_pad_hex") {
                assert_eq!(open(&secret, unpadded).as_deref(), Some(plain));
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_data_is_refused_or_text(data in "[0-9a-fx]{0,96}", key in "[0-9a-g]{30,34}") {
            let _: Vec<u8> = open(&Secret::from(key.as_str()), &data).unwrap_or_default().into_bytes();
        }
    }
}
