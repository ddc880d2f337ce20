//! Password hashes: Argon2id (RFC 9106) as PHC strings, off the async threads, few at a time.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use roadstead_core::Secret;
use tokio::sync::Semaphore;

/// Hashes made at the same time; each takes [`Cost::memory_kib`].
const HASHES_MAX: usize = 2;

/// What one hash costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Memory, KiB.
    memory_kib: u32,
    /// Passes.
    passes: u32,
}

impl Cost {
    /// What OWASP's password storage page asks for: 19 MiB, two passes, one lane.
    pub(super) const INTERACTIVE: Self = Self { memory_kib: 19 * 1024, passes: 2 };
    /// The least the algorithm takes; for tests.
    #[cfg(test)]
    pub(super) const LEAST: Self = Self { memory_kib: 8, passes: 1 };
}

/// Hashes that wait for their turn, the running ones included; the next caller is sent away.
const QUEUE_MAX: usize = 64;

/// Too many hashes wait.
#[derive(Debug)]
pub(super) struct Busy;

/// Makes and checks password hashes.
pub(super) struct Passwords {
    cost: Cost,
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// What is checked for a name that does not exist, so that it costs the same.
    nobody: Arc<OnceLock<Secret>>,
}

impl Passwords {
    pub(super) fn new(cost: Cost) -> Self {
        let slots = Arc::new(Semaphore::new(HASHES_MAX));
        Self { cost, slots, queue: Arc::new(Semaphore::new(QUEUE_MAX)), nobody: Arc::default() }
    }

    /// Returns the PHC string of a password.
    pub(super) async fn hash(&self, password: &Secret, salt: [u8; 16]) -> Result<Secret, Busy> {
        let (cost, password) = (self.cost, password.clone());
        self.run(move || hash(cost, &password, salt)).await
    }

    /// Checks a password; `None` costs the same and is wrong.
    pub(super) async fn verify(
        &self,
        password: &Secret,
        stored: Option<Secret>,
    ) -> Result<bool, Busy> {
        let (cost, password, nobody) = (self.cost, password.clone(), self.nobody.clone());
        self.run(move || {
            let known = stored.is_some();
            let stored = stored.unwrap_or_else(|| {
                nobody.get_or_init(|| hash(cost, &Secret::new(*b"nobody"), [0; 16])).clone()
            });
            // Algorithm and cost come from the stored string.
            let right = stored.expose_text().is_some_and(|text| {
                Argon2::default().verify_password(password.expose(), text).is_ok()
            });
            right && known
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let _place = self.queue.try_acquire().map_err(|_| Busy)?;
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let work = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        Ok(work.await.expect("hashing does not panic and is not cancelled"))
    }
}

fn hash(cost: Cost, password: &Secret, salt: [u8; 16]) -> Secret {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).expect("costs are in range");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(password.expose(), &salt);
    Secret::from(hash.expect("a password of bounded length hashes").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_passes() {
        let passwords = Passwords::new(Cost::LEAST);
        let stored = passwords.hash(&"correct horse".into(), [7; 16]).await.expect("a place");
        let text = stored.expose_text().expect("PHC strings are text");
        assert!(text.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "the parameters travel along");
        let verify = async |password: &str, stored: Option<&Secret>| {
            passwords.verify(&password.into(), stored.cloned()).await.expect("a place")
        };
        assert!(verify("correct horse", Some(&stored)).await);
        assert!(!verify("Correct horse", Some(&stored)).await);
        assert!(!verify("nobody", None).await, "nobody never signs in");
        assert!(!verify("x", Some(&"not a hash".into())).await);
    }

    #[tokio::test]
    async fn a_full_queue_sends_callers_away() {
        let passwords = Passwords::new(Cost::LEAST);
        let places = passwords.queue.clone().acquire_many_owned(QUEUE_MAX as u32).await;
        assert!(passwords.verify(&"x".into(), None).await.is_err());
        drop(places);
        assert!(passwords.verify(&"x".into(), None).await.is_ok());
    }
}
