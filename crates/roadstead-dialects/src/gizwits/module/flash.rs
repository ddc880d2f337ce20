//! What a module keeps in flash: one record, replaced as a whole.
//!
//! ```text
//! "GZM" version u8 | fields, each u16 length + bytes | first 8 bytes of SHA-256
//! ```
//! A record that is cut, altered or of another version is refused; the module then starts as
//! new. The form is this project's own.

use alloc::boxed::Box;
use alloc::vec::Vec;

use roadstead_core::Secret;
use sha2::{Digest as _, Sha256};

const MAGIC: [u8; 4] = *b"GZM\x01";
const SUM_BYTES: usize = 8;
/// Fields of a record.
const FIELDS: usize = 10;

/// The contents. Does not print.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Flash {
    /// Device id; empty before registration.
    pub did: Box<str>,
    /// Password of phones and of the cloud; empty before the first start.
    pub passcode: Option<Secret>,
    /// Product key the MCU gave last.
    pub product_key: Box<str>,
    /// A former DID with its passcode that the cloud has not deleted yet.
    pub former: Option<(Box<str>, Secret)>,
    /// Network name and password.
    pub network: Option<(Box<[u8]>, Secret)>,
    /// Configured since the last announcement.
    pub is_fresh: bool,
    /// Firmware id (seed §9_4); 0 when none was stored.
    pub firmware_id: u32,
    /// Firmware version from the last upgrade; empty for the default.
    pub firmware: Box<str>,
}

impl Flash {
    /// Reads a record; `None` when there is none that can be trusted.
    pub fn load(record: &[u8]) -> Option<Self> {
        let (covered, sum) = record.split_at_checked(record.len().checked_sub(SUM_BYTES)?)?;
        if Sha256::digest(covered).as_slice().get(..SUM_BYTES) != Some(sum) {
            return None;
        }
        let mut rest = covered.strip_prefix(&MAGIC)?;
        let mut fields = [&[] as &[u8]; FIELDS];
        for field in &mut fields {
            let (len, after) = rest.split_first_chunk()?;
            (*field, rest) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        }
        let [did, passcode, product_key, old_did, old_passcode, ssid, password, fresh, id, version] =
            fields;
        let text = |bytes: &[u8]| core::str::from_utf8(bytes).ok().map(Box::<str>::from);
        Some(Self {
            did: text(did)?,
            passcode: (!passcode.is_empty()).then(|| Secret::new(passcode)),
            product_key: text(product_key)?,
            former: match old_did {
                [] => None,
                old_did => Some((text(old_did)?, Secret::new(old_passcode))),
            },
            network: (!ssid.is_empty()).then(|| (ssid.into(), Secret::new(password))),
            is_fresh: fresh == [1],
            firmware_id: u32::from_be_bytes(id.try_into().ok()?),
            firmware: text(version)?,
        })
    }

    /// Writes the record.
    pub fn store(&self) -> Vec<u8> {
        let (old_did, old_passcode) = self
            .former
            .as_ref()
            .map_or((&b""[..], &b""[..]), |(did, p)| (did.as_bytes(), p.expose()));
        let (ssid, password) =
            self.network.as_ref().map_or((&b""[..], &b""[..]), |(ssid, p)| (ssid, p.expose()));
        let id = self.firmware_id.to_be_bytes();
        let fields: [&[u8]; FIELDS] = [
            self.did.as_bytes(),
            self.passcode.as_ref().map_or(&[], Secret::expose),
            self.product_key.as_bytes(),
            old_did,
            old_passcode,
            ssid,
            password,
            &[u8::from(self.is_fresh)],
            &id,
            self.firmware.as_bytes(),
        ];
        let mut out = MAGIC.to_vec();
        for field in fields {
            out.extend_from_slice(&(field.len() as u16).to_be_bytes());
            out.extend_from_slice(field);
        }
        let sum = Sha256::digest(&out);
        out.extend(sum.as_slice().iter().take(SUM_BYTES));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Flash {
        Flash {
            did: "GzwDemo0123456789ABCDE".into(),
            passcode: Some("SDGUVVYIYB".into()),
            product_key: "6f3074fe43894547a4f1314bd7e3ae0b".into(),
            former: Some(("GzwDemo2222222222ABCDE".into(), "EXDHBPBHPF".into())),
            network: Some((b"p@s s\xc3\xb6"[..].into(), "".into())),
            is_fresh: true,
            firmware_id: 7,
            firmware: "14112521".into(),
        }
    }

    #[test]
    fn what_is_stored_is_loaded() {
        for flash in [full(), Flash::default()] {
            assert!(Flash::load(&flash.store()) == Some(flash));
        }
    }

    #[test]
    fn a_cut_or_altered_record_is_refused() {
        let record = full().store();
        for len in 0..record.len() {
            assert!(Flash::load(&record[..len]).is_none(), "cut at {len}");
        }
        for at in 0..record.len() {
            let mut altered = record.clone();
            altered[at] ^= 1;
            assert!(Flash::load(&altered).is_none(), "altered at {at}");
        }
    }
}
