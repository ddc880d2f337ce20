//! Where ids, tokens and secrets come from; tests bring their own source.

use std::sync::Arc;

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

/// A source of random bytes.
#[derive(Clone)]
pub struct Random(Arc<Fill>);

impl Random {
    /// Returns the source of the operating system.
    pub fn os() -> Self {
        Self(Arc::new(|bytes| {
            // Without randomness no secret can be made: going on would hand out guessable ones.
            getrandom::fill(bytes).expect("the operating system gives random bytes");
        }))
    }

    /// Wraps a function that fills a buffer; for tests that must repeat themselves.
    pub fn from_fn(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// Returns fresh bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// Returns 32 hex digits of 128 random bits.
    pub(crate) fn id(&self) -> String {
        hex::encode(self.bytes::<16>())
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}
