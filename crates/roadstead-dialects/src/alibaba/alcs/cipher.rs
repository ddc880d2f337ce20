//! The payload's encryption, which is no plain CBC (trap 13): whole blocks are chained from the
//! fixed vector, the last, padded block is encrypted alone with the vector anew.
//!
//! Source: Alibaba §10; vectors alcs-session, alcs-payload.

use alloc::vec::Vec;

use super::super::crypt::{BLOCK, decrypt, encrypt};

/// The vendor's fixed vector.
const IV: [u8; BLOCK] = *b"a1b1c1d1e1f1g1h1";

/// Encrypts a payload.
pub fn seal(key: &[u8; BLOCK], plain: &[u8]) -> Vec<u8> {
    let whole = plain.len() - plain.len() % BLOCK;
    let mut bytes = plain.to_vec();
    let padding = BLOCK - plain.len() % BLOCK;
    bytes.resize(plain.len() + padding, padding as u8);
    let (head, tail) = bytes.split_at_mut(whole);
    encrypt(key, &IV, head);
    encrypt(key, &IV, tail);
    bytes
}

/// Decrypts a payload; `None` when the padding is wrong, so most likely the key is.
pub fn open(key: &[u8; BLOCK], sealed: &[u8]) -> Option<Vec<u8>> {
    if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
        return None;
    }
    let mut bytes = sealed.to_vec();
    let (head, tail) = bytes.split_at_mut(sealed.len() - BLOCK);
    decrypt(key, &IV, head);
    decrypt(key, &IV, tail);
    let padding = *tail.last()?;
    let is_padding = (1..=BLOCK as u8).contains(&padding)
        && tail.iter().rev().take(padding.into()).all(|byte| *byte == padding);
    let len = bytes.len();
    is_padding.then(|| {
        bytes.truncate(len - usize::from(padding));
        bytes
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 16] = *b"\x8c\x81\x12\xee\x0a\xaf\x2f\xa8\x07\xc1\x5d\x96\x6d\x56\x72\xfc";

    #[test]
    fn trap_13_the_last_block_stands_alone() {
        // Vector alcs-payload; both directions of v301_alcs_session.
        let plain = br#"{"id":"22","code":200,"data":{"delayTime":120}}"#;
        let sealed = seal(&KEY, plain);
        assert_eq!(
            hex::encode(&sealed),
            "b140cbe629f82b6e6c8880ee2114815a4dec20f798ff666b529c1eead3b5a258\
             8cf0c732e7a22399c5ccd79cea1b25a2"
        );
        assert_eq!(open(&KEY, &sealed).as_deref(), Some(&plain[..]));
        let set = hex::decode(
            "b61a9f4b224035272d7104b26f864464285458667ace1fcba96057bb185a7259\
             8f02c583a6637a815f5f08f39fb06abb37f0a309a8bd995251894368ba465559\
             8a7d616a41d6854247377c4237c48ab838df4ef82dfb5a0dcdffbd0514855dce",
        )
        .expect("hex");
        let text = open(&KEY, &set).expect("text");
        assert!(text.starts_with(b"{") && text.ends_with(b"}"));
    }

    #[test]
    fn another_key_or_length_opens_nothing() {
        let sealed = seal(&KEY, b"{}");
        assert_eq!(open(&[0; 16], &sealed), None);
        assert_eq!(open(&KEY, &sealed[..15]), None);
        assert_eq!(open(&KEY, b""), None);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(key in any::<[u8; 16]>(), plain in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(open(&key, &seal(&key, &plain)), Some(plain));
        }

        #[test]
        fn any_bytes_are_opened_or_refused(sealed in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = open(&KEY, &sealed);
        }
    }
}
