//! Where new ids and nonces come from; tests bring their own source.

use std::sync::Arc;

use roadstead_core::BindingId;
use roadstead_core::code::StoreFailure;
use roadstead_core::port::StoreError;

type Fill = dyn Fn(&mut [u8]) -> Result<(), StoreError> + Send + Sync;

/// A source of random bytes.
#[derive(Clone)]
pub struct Random(Arc<Fill>);

impl Random {
    /// Returns the source of the operating system, through OpenSSL.
    pub fn os() -> Self {
        Self(Arc::new(|bytes| {
            openssl::rand::rand_bytes(bytes)
                .map_err(|error| StoreError::Engine(StoreFailure(error.to_string().into())))
        }))
    }

    /// Wraps a function that fills a buffer; for tests that must repeat themselves.
    pub fn from_fn(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |bytes| {
            fill(bytes);
            Ok(())
        }))
    }

    /// Fills `bytes`.
    pub(crate) fn fill(&self, bytes: &mut [u8]) -> Result<(), StoreError> {
        (self.0)(bytes)
    }

    /// Returns a new binding id: 128 random bits in hex.
    pub(crate) fn binding_id(&self) -> Result<BindingId, StoreError> {
        let mut bytes = [0u8; 16];
        self.fill(&mut bytes)?;
        Ok(BindingId::new(format!("{:032x}", u128::from_be_bytes(bytes))))
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::os()
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}
