//! Secrets at rest: AES-256-GCM with a key that lives in a file outside the store.
//!
//! ```text
//! sealed = nonce (12 random bytes) || ciphertext || tag (16 bytes)
//! associated data = table NUL row key NUL column
//! ```
//!
//! The associated data ties a value to its place: a row copied over another one does not open.
//! Rotating the key is not done here. Source: NIST SP 800-38D, design promise 5.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use roadstead_core::Secret;
use roadstead_core::code::StoreFailure;
use roadstead_core::port::StoreError;

use crate::random::Random;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Where a sealed value lives.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Table.
    pub(crate) table: &'static str,
    /// Key of the row.
    pub(crate) row: &'a str,
    /// Column.
    pub(crate) column: &'static str,
}

/// Seals and opens secrets.
#[derive(Clone)]
pub(crate) struct Vault {
    key: Secret,
    random: Random,
    /// Fetched once: looking the algorithm up costs more than a secret.
    cipher: Arc<Cipher>,
}

impl Vault {
    /// Wraps a key of 32 bytes.
    pub(crate) fn new(key: Secret, random: Random) -> Result<Self, StoreError> {
        let cipher = Cipher::fetch(None, "AES-256-GCM", None)
            .map_err(|error| failure(&format!("fetching AES-256-GCM: {error}")))?;
        Ok(Self { key, random, cipher: Arc::new(cipher) })
    }

    /// Encrypts a secret for its place.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &Secret) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0u8; NONCE_BYTES];
        self.random.fill(&mut nonce)?;
        self.encrypt(&nonce, &place.associated(), secret.expose())
            .map_err(|error| failure(&format!("sealing a secret: {error}")))
    }

    /// Decrypts a secret of its place.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret, StoreError> {
        let broken = || {
            let Place { table, row, column } = place;
            failure(&format!("{table} `{row}`: {column} does not open with this master key"))
        };
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(broken)?;
        let text_bytes = rest.len().checked_sub(TAG_BYTES).ok_or_else(broken)?;
        let (text, tag) = rest.split_at(text_bytes);
        self.decrypt(nonce, &place.associated(), text, tag).map_err(|_| broken())
    }

    fn encrypt(&self, nonce: &[u8], place: &[u8], text: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut ctx = CipherCtx::new()?;
        ctx.encrypt_init(Some(&self.cipher), Some(self.key.expose()), Some(nonce))?;
        ctx.cipher_update(place, None)?;
        let mut sealed = nonce.to_vec();
        ctx.cipher_update_vec(text, &mut sealed)?;
        ctx.cipher_final_vec(&mut sealed)?;
        let mut tag = [0u8; TAG_BYTES];
        ctx.tag(&mut tag)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn decrypt(
        &self,
        nonce: &[u8],
        place: &[u8],
        text: &[u8],
        tag: &[u8],
    ) -> Result<Secret, ErrorStack> {
        let mut ctx = CipherCtx::new()?;
        ctx.decrypt_init(Some(&self.cipher), Some(self.key.expose()), Some(nonce))?;
        ctx.cipher_update(place, None)?;
        ctx.set_tag(tag)?;
        // Room for all of it at once: growing would leave a copy that nobody wipes.
        let mut plain = Vec::with_capacity(text.len() + TAG_BYTES);
        let outcome =
            ctx.cipher_update_vec(text, &mut plain).and_then(|_| ctx.cipher_final_vec(&mut plain));
        let plain = Secret::new(plain);
        outcome.map(|_| plain)
    }
}

impl Place<'_> {
    fn associated(&self) -> Vec<u8> {
        [self.table.as_bytes(), b"\0", self.row.as_bytes(), b"\0", self.column.as_bytes()].concat()
    }
}

/// Reads the key file; `None` when there is none.
pub(crate) fn read_key(path: &Path) -> std::io::Result<Option<Secret>> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut key = [0u8; KEY_BYTES];
    file.read_exact(&mut key)?;
    if file.read(&mut [0u8; 1])? != 0 {
        return Err(std::io::Error::other("the key file must hold exactly 32 bytes"));
    }
    Ok(Some(Secret::new(key)))
}

/// Makes a key file that only its owner can read.
pub(crate) fn create_key(path: &Path, random: &Random) -> std::io::Result<Secret> {
    let mut key = [0u8; KEY_BYTES];
    random.fill(&mut key).map_err(std::io::Error::other)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Under another name first: a crash never leaves half a key.
    let mut draft = path.to_owned().into_os_string();
    draft.push(".new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    sync_folder(path)?;
    Ok(Secret::new(key))
}

/// Makes a new name in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn failure(text: &str) -> StoreError {
    StoreError::Engine(StoreFailure(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place { table: "device", row: "lamp", column: "secret" };

    #[test]
    fn a_secret_opens_only_in_its_place_and_unchanged() {
        let vault = Vault::new(Secret::new([7; 32]), Random::os()).expect("cipher");
        let sealed = vault.seal(HERE, &Secret::from("psk")).expect("seal");
        assert!(vault.open(HERE, &sealed).expect("open").matches(b"psk"));
        for elsewhere in [
            Place { table: "product", ..HERE },
            Place { row: "lamp2", ..HERE },
            Place { column: "fingerprint", ..HERE },
        ] {
            assert!(vault.open(elsewhere, &sealed).is_err());
        }
        for n in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[n] ^= 1;
            assert!(vault.open(HERE, &bent).is_err(), "byte {n}");
            assert!(vault.open(HERE, &sealed[..n]).is_err(), "cut to {n}");
        }
        let other = Vault::new(Secret::new([8; 32]), Random::os()).expect("cipher");
        assert!(other.open(HERE, &sealed).is_err());
        assert_ne!(sealed, vault.seal(HERE, &Secret::from("psk")).expect("seal"), "fresh nonce");
    }
}
