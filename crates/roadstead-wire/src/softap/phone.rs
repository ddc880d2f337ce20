//! The phone's end: is it the device of the code, and how far is it?

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::crypt::{Entropy, Keys, PROOF_SIZE, SESSION_SIZE, Way, public};
use super::message::{
    HELLO, Progress, REFUSAL, Reason, Request, SEALED, VERSION, WELCOME, parse_state,
};
use super::qr::SECRET_SIZE;
use super::{PASSWORD_MAX, Refusal, SSID_MAX, TOKEN_MAX};

/// Why a phone does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PhoneError {
    /// The device does not know the secret of the code: it is another one, or somebody's trap.
    /// Nothing was told to it.
    #[error("the device does not know the secret of the QR code")]
    WrongDevice,
    /// The device refused a message.
    #[error("the device refused a message: {0}")]
    Refused(Refusal),
    /// An answer was altered, or is another one's.
    #[error("the answer is not authentic")]
    NotAuthentic,
    /// An answer is not readable, or comes too early.
    #[error("the answer is not readable")]
    BadAnswer,
    /// Network name, password or token do not fit.
    #[error("network name, password or token do not fit")]
    TooLong,
}

impl PhoneError {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::WrongDevice => "softap.wrong_device",
            Self::Refused(refusal) => refusal.code(),
            Self::NotAuthentic => "softap.not_authentic",
            Self::BadAnswer => "softap.bad_message",
            Self::TooLong => "airlink.bad_password",
        }
    }
}

/// The machine. One session with one device; a phone repeats a message whose answer was lost as
/// it is.
pub struct Phone {
    secret: Zeroizing<[u8; SECRET_SIZE]>,
    private: Zeroizing<Entropy>,
    keys: Option<Keys>,
    count: u32,
}

impl Phone {
    /// Returns a phone that has read the secret of a device's QR code. `entropy` must be fresh.
    pub fn new(secret: [u8; SECRET_SIZE], entropy: Entropy) -> Self {
        let (secret, private) = (Zeroizing::new(secret), Zeroizing::new(entropy));
        Self { secret, private, keys: None, count: 0 }
    }

    /// Returns the first message.
    pub fn hello(&self) -> Vec<u8> {
        let mut hello = [HELLO, VERSION].to_vec();
        hello.extend_from_slice(&public(&self.private));
        hello
    }

    /// Takes the answer to it.
    ///
    /// # Errors
    ///
    /// [`PhoneError::WrongDevice`], or the answer is of no use.
    pub fn welcome(&mut self, answer: &[u8]) -> Result<(), PhoneError> {
        let rest = open(answer, WELCOME)?;
        let (device, rest) = rest.split_first_chunk::<32>().ok_or(PhoneError::BadAnswer)?;
        let (session, proof) =
            rest.split_first_chunk::<SESSION_SIZE>().ok_or(PhoneError::BadAnswer)?;
        if proof.len() != PROOF_SIZE {
            return Err(PhoneError::BadAnswer);
        }
        let own = public(&self.private);
        let secret = self.secret.as_slice();
        let keys = Keys::agree(&self.private, device, secret, (&own, device), *session);
        let keys = keys.filter(|keys| keys.proves(proof)).ok_or(PhoneError::WrongDevice)?;
        self.keys = Some(keys);
        Ok(())
    }

    /// Returns the message that gives the network; an empty token is none.
    ///
    /// # Errors
    ///
    /// Something is too long, or the device has not answered yet.
    pub fn give(
        &mut self,
        ssid: &[u8],
        password: &[u8],
        token: &[u8],
    ) -> Result<Vec<u8>, PhoneError> {
        let fits = (1..=SSID_MAX).contains(&ssid.len())
            && password.len() <= PASSWORD_MAX
            && token.len() <= TOKEN_MAX;
        if !fits {
            return Err(PhoneError::TooLong);
        }
        self.seal(&Request::Give {
            ssid: ssid.to_vec(),
            password: Zeroizing::new(password.to_vec()),
            token: Zeroizing::new(token.to_vec()),
        })
    }

    /// Returns the message that asks how far the device is.
    ///
    /// # Errors
    ///
    /// The device has not answered yet.
    pub fn ask(&mut self) -> Result<Vec<u8>, PhoneError> {
        self.seal(&Request::Ask)
    }

    /// Reads the answer to the last message.
    ///
    /// # Errors
    ///
    /// It is not authentic, not readable, or a refusal.
    pub fn state(&self, answer: &[u8]) -> Result<(Progress, Option<Reason>), PhoneError> {
        let keys = self.keys.as_ref().ok_or(PhoneError::BadAnswer)?;
        let rest = open(answer, SEALED)?;
        let rest = rest.strip_prefix(&keys.session()).ok_or(PhoneError::NotAuthentic)?;
        let (count, sealed) = rest.split_first_chunk().ok_or(PhoneError::BadAnswer)?;
        let count = u32::from_be_bytes(*count);
        if self.count.checked_sub(1) != Some(count) {
            return Err(PhoneError::NotAuthentic);
        }
        let plain = keys.open(Way::ToPhone, count, sealed).ok_or(PhoneError::NotAuthentic)?;
        parse_state(&plain).ok_or(PhoneError::BadAnswer)
    }

    fn seal(&mut self, request: &Request) -> Result<Vec<u8>, PhoneError> {
        let keys = self.keys.as_ref().ok_or(PhoneError::BadAnswer)?;
        let count = self.count;
        self.count = count.checked_add(1).ok_or(PhoneError::BadAnswer)?;
        let mut message = [SEALED].to_vec();
        message.extend_from_slice(&keys.session());
        message.extend_from_slice(&count.to_be_bytes());
        message.extend_from_slice(&keys.seal(Way::ToDevice, count, &request.emit()));
        Ok(message)
    }
}

/// Returns what follows the first byte of an expected answer.
fn open(answer: &[u8], kind: u8) -> Result<&[u8], PhoneError> {
    match answer {
        [first, rest @ ..] if *first == kind => Ok(rest),
        [REFUSAL, reason] => {
            let known = Refusal::ALL.into_iter().find(|known| *known as u8 == *reason);
            Err(known.map_or(PhoneError::BadAnswer, PhoneError::Refused))
        }
        _ => Err(PhoneError::BadAnswer),
    }
}
