//! The log-in: user name, password, TLS identity.
//!
//! Source: Tencent §2.1, §3.1, §3.2.

use alloc::boxed::Box;
use alloc::format;

use roadstead_core::Secret;

use super::super::auth::{Digest, device_key, password};
use super::config::{Config, Proof};
use super::policy::Policy;
use crate::device::{Login, Random, Tls};

/// What the C SDKs call themselves; both lines use the same.
const SDK_APP_ID: &str = "21010406";
/// What the other SDKs call themselves.
const OTHER_APP_ID: &str = "12010126";
/// "Never" of a 64-bit build, as its buffer cuts it (SDK 3.1.5 capture).
const NEVER_64: &str = "92233720368547758";
/// "Never" of a 32-bit build.
const NEVER_32: &str = "2147483647";
/// Characters of a connection id.
const CONN_ID_LEN: usize = 5;

/// Why a device cannot log in with what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LoginError {
    /// The device secret is missing or no base64.
    #[error("the device secret is missing or not base64")]
    NoSecret,
    /// The certificate or its key is missing.
    #[error("the client certificate or its key is missing")]
    NoCertificate,
}

/// Writes a fresh log-in.
pub(super) fn login(
    config: &Config,
    policy: &Policy,
    random: &mut Random,
) -> Result<Login, LoginError> {
    let client_id = config.client_id();
    let key = || config.secret.as_ref().and_then(device_key).ok_or(LoginError::NoSecret);
    let (app, never) = match config.proof {
        Proof::Psk | Proof::Sha1 { .. } | Proof::Certificate => (SDK_APP_ID, NEVER_64),
        Proof::Sha256 { .. } => (OTHER_APP_ID, NEVER_32),
    };
    let conn_id = random.alphanumeric(CONN_ID_LEN);
    let user = format!("{client_id};{app};{conn_id};{never}");
    let (tls, proof) = match config.proof {
        Proof::Psk => (Tls::Psk { identity: client_id.as_str().into(), key: key()? }, None),
        Proof::Sha1 { tls } => (server(tls), Some(password(&key()?, &user, Digest::Sha1))),
        Proof::Sha256 { tls } => (server(tls), Some(password(&key()?, &user, Digest::Sha256))),
        Proof::Certificate => {
            let (chain, key) = config.certificate.clone().ok_or(LoginError::NoCertificate)?;
            (Tls::Certificate { chain, key }, None)
        }
    };
    Ok(Login {
        host: config.mqtt.host.clone(),
        port: config.mqtt.port,
        tls,
        server_name: config.mqtt.name.clone(),
        client_id: client_id.into(),
        user: Some(Box::from(user)),
        password: proof.map(Secret::from),
        keep_alive: policy.keep_alive,
        wait: policy.command_wait,
    })
}

fn server(tls: bool) -> Tls {
    if tls { Tls::Server } else { Tls::Off }
}
