//! The profile: what is wrapped, and the key.

use alloc::vec::Vec;

use aes_kw::{KeyInit as _, KwAes128};
use hmac::{Hmac, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;

use super::super::{Credentials, Mac, PASSWORD_MAX, SSID_MAX, ack::Proof};

/// Tags.
const SSID: u8 = 1;
const PASSWORD: u8 = 2;
const PHONE_IP: u8 = 3;
/// Bytes that wrapping adds, and the unit it works in.
pub(super) const BLOCK: usize = 8;
/// PINs are padded to this with `0`, and cut to [`PIN_MAX`].
const PIN_MIN: usize = 8;
const PIN_MAX: usize = 64;
/// Common to all products.
const NONCE: &[u8; 64] = b"8CmT/ J(3_aE R_UFR}`mtwF=)Qfjtn^S_1/ffg<_C7yw's}?'_'n&2~Blm&_k?6";
/// What the key is for.
const LABEL: &[u8] = b"sc_mcast_udp";

/// Returns the profile of SSID, password and phone address, padded for wrapping.
fn plain(ssid: &[u8], password: &[u8], phone_ip: [u8; 4]) -> Vec<u8> {
    let mut profile = Vec::new();
    for (tag, value) in [(SSID, ssid), (PASSWORD, password), (PHONE_IP, &phone_ip)] {
        profile.extend_from_slice(&[tag, value.len() as u8]);
        profile.extend_from_slice(value);
    }
    profile.resize(profile.len().next_multiple_of(BLOCK), 0);
    profile
}

/// Returns the profile wrapped for sending.
pub fn wrapped(
    ssid: &[u8],
    password: &[u8],
    phone_ip: [u8; 4],
    phone_mac: Mac,
    pin: &[u8],
    random: [u8; 4],
) -> Vec<u8> {
    let profile = plain(ssid, password, phone_ip);
    let mut out = alloc::vec![0; profile.len() + BLOCK];
    let wrap = KwAes128::new(&key(phone_mac, pin, random).into());
    // The sizes fit by construction.
    let done = wrap.wrap_key(&profile, &mut out).is_ok();
    debug_assert!(done, "the profile is whole blocks");
    out
}

/// Unwraps and reads a profile; `None` if the key is wrong or what comes out is no profile.
pub(super) fn unwrapped(
    bytes: &[u8],
    phone_mac: Mac,
    pin: &[u8],
    random: [u8; 4],
) -> Option<Credentials> {
    let mut out = [0; super::PLACES];
    let out = out.get_mut(..bytes.len().checked_sub(BLOCK)?)?;
    KwAes128::new(&key(phone_mac, pin, random).into()).unwrap_key(bytes, out).ok()?;
    let (mut ssid, mut password, mut phone_ip) = (None, Vec::new(), None);
    let mut rest = &*out;
    while let [tag, length, tail @ ..] = rest {
        // Tag 0 is padding.
        if *tag == 0 {
            break;
        }
        let (value, tail) = tail.split_at_checked(usize::from(*length))?;
        match *tag {
            SSID if (1..=SSID_MAX).contains(&value.len()) => ssid = Some(value.to_vec()),
            PASSWORD if value.len() <= PASSWORD_MAX => password = value.to_vec(),
            PHONE_IP => phone_ip = Some(value.try_into().ok()?),
            SSID | PASSWORD => return None,
            _ => {}
        }
        rest = tail;
    }
    Some(Credentials {
        ssid: ssid?,
        password,
        bssid: None,
        phone_ip: Some(phone_ip?),
        extra: Vec::new(),
        ack: Proof::SimpleConfig,
    })
}

/// Returns the key-encryption key.
fn key(phone_mac: Mac, pin: &[u8], random: [u8; 4]) -> [u8; 16] {
    let mut padded = pin[..pin.len().min(PIN_MAX)].to_vec();
    padded.resize(padded.len().max(PIN_MIN), b'0');
    let seed = [&phone_mac.0[..], &padded, NONCE, &random].concat();
    let md5 = Md5::digest(&seed);
    let mut hmac = <Hmac<Sha1> as hmac::KeyInit>::new_from_slice(&md5)
        .unwrap_or_else(|_| <Hmac<Sha1> as hmac::KeyInit>::new(&Default::default()));
    hmac.update(&seed);
    hmac.update(LABEL);
    let mut key = [0; 16];
    key.copy_from_slice(&hmac.finalize().into_bytes()[..16]);
    key
}
