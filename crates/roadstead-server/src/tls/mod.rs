//! TLS for devices: PSK, server certificate and optional client certificate on one port.
//!
//! | context | speaks | for |
//! |---|---|---|
//! | modern | TLS 1.2 and 1.3, ECDHE; PSK suites at TLS 1.2 | every listener |
//! | legacy | TLS 1.0 to 1.2, also static RSA | the legacy listener only |
//! | shared | as legacy, asks for no certificate | the shared port |
//!
//! - Suites are named one by one and the OpenSSL security level is 0: PSK with CCM_8 or CBC-SHA is
//!   all that real firmware offers (Tencent §2.1), and the level of the build must not decide.
//! - Certificate suites come before PSK suites: old mbed TLS builds offer PSK suites although they
//!   have no key (the Tencent certificate build, §2.2). Firmware with a key offers nothing else.
//! - A client that offers only PSK suites below TLS 1.3 gets TLS 1.2, because OpenSSL does not
//!   report the identity of a TLS 1.3 PSK.
//! - No tickets, no session cache: a resumed session skips the PSK callback, so a revoked device
//!   would come back.
//! - A client certificate is asked for and never judged here: its fingerprint goes to the dialect,
//!   with what a registered authority says of its chain ([`crate::shell::Services::vouch`]).
//!
//! Not here: who a client is, how late a refusal is answered ([`crate::listen`]).
//!
//! Source: RFC 4279, 5246, 8446; Tencent §2; `openssl` 0.10.

mod authority;
mod certificate;
mod file;
mod gate;
mod handshake;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{
    ClientHelloResponse, Ssl, SslAlert, SslContext, SslContextBuilder, SslMethod, SslMode,
    SslOptions, SslRef, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use roadstead_core::Secret;

pub use authority::{DeviceCa, Issued};
pub(crate) use gate::Gate;
pub(crate) use handshake::{Failed, Secured, accept};

use crate::config::Config;

/// Longest PSK identity that is looked up, bytes.
const IDENTITY_BYTES_MAX: usize = 256;

/// Certificate suites; see the module text for the order.
const MODERN_SUITES: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
    ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES128-CCM8:\
    ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:\
    ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA";

/// PSK suites, behind every certificate suite.
const PSK_SUITES: &str = "ECDHE-PSK-AES128-CBC-SHA256:ECDHE-PSK-AES128-CBC-SHA:\
    PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-CCM:PSK-AES128-CCM8:\
    PSK-AES128-CBC-SHA256:PSK-AES128-CBC-SHA:PSK-AES256-CBC-SHA384:PSK-AES256-CBC-SHA:\
    @SECLEVEL=0";

/// What only the legacy listener offers.
const LEGACY_SUITES: &str = "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:\
    AES128-SHA:AES256-SHA";

/// Signature algorithms of the modern context; SHA-1 is for the legacy one.
const MODERN_SIGNATURES: &str = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:\
    RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512:ed25519";

/// Looks up the key of a PSK identity; called inside the handshake, so it must not wait.
pub type KeyLookup = Arc<dyn Fn(&[u8]) -> Option<Secret> + Send + Sync>;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("`{}`", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// OpenSSL refused something.
    #[error("{what}")]
    OpenSsl {
        /// What was tried.
        what: String,
        /// Why not.
        source: ErrorStack,
    },
    /// One of `tls.certificate` and `tls.key` is missing.
    #[error("`tls.certificate` and `tls.key` belong together; only one is set")]
    HalfPair,
}

impl TlsError {
    fn openssl(what: impl Into<String>) -> impl FnOnce(ErrorStack) -> Self {
        let what = what.into();
        move |source| Self::OpenSsl { what, source }
    }
}

/// The server's contexts; cheap to clone.
#[derive(Clone)]
pub struct Contexts {
    modern: SslContext,
    legacy: SslContext,
    shared: SslContext,
}

impl Contexts {
    /// Loads the certificates, makes them when none are configured, and opens the contexts.
    ///
    /// # Errors
    ///
    /// A file is missing, unreadable or no usable certificate.
    pub fn open(config: &Config, keys: KeyLookup) -> Result<Self, TlsError> {
        let index = Ssl::new_ex_index().map_err(TlsError::openssl("reserving memory"))?;
        OFFER.get_or_init(|| index);
        let pairs = match (&config.tls.certificate, &config.tls.key) {
            (Some(certificate), Some(key)) => vec![Pair::at(certificate, key)],
            (None, None) => certificate::ensure(&config.data_dir, &config.tls.names)?,
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::HalfPair),
        };
        let modern = context(&pairs, keys.clone(), Kind::Modern)?;
        let legacy = context(&pairs, keys.clone(), Kind::Legacy)?;
        let shared = context(&pairs, keys, Kind::Shared)?;
        Ok(Self { modern, legacy, shared })
    }

    /// Returns the context of the port that everything shares.
    pub fn shared(&self) -> &SslContext {
        &self.shared
    }

    /// Returns the context of a listener.
    pub fn context(&self, is_legacy: bool) -> &SslContext {
        if is_legacy { &self.legacy } else { &self.modern }
    }
}

/// Which context.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Modern,
    Legacy,
    /// As legacy, but nobody is asked for a certificate: some of the firmware that shares a port
    /// for everything gives up when it is asked and has none.
    Shared,
}

/// A certificate chain and its key, in files.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    fn at(certificate: &Path, key: &Path) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }
}

fn context(pairs: &[Pair], keys: KeyLookup, kind: Kind) -> Result<SslContext, TlsError> {
    let mut builder = SslContextBuilder::new(SslMethod::tls_server())
        .map_err(TlsError::openssl("opening a TLS context"))?;
    for pair in pairs {
        use_pair(&mut builder, pair)?;
    }
    configure(&mut builder, kind).map_err(TlsError::openssl("configuring TLS"))?;
    builder.set_psk_server_callback(move |ssl, identity, key| Ok(psk(ssl, identity, key, &keys)));
    Ok(builder.build())
}

fn use_pair(builder: &mut SslContextBuilder, pair: &Pair) -> Result<(), TlsError> {
    for path in [&pair.certificate, &pair.key] {
        // OpenSSL's own error does not name the file.
        std::fs::File::open(path)
            .map_err(|source| TlsError::File { path: path.clone(), source })?;
    }
    let what = |path: &Path| format!("`{}` is not usable", path.display());
    builder
        .set_certificate_chain_file(&pair.certificate)
        .map_err(TlsError::openssl(what(&pair.certificate)))?;
    builder
        .set_private_key_file(&pair.key, openssl::ssl::SslFiletype::PEM)
        .and_then(|()| builder.check_private_key())
        .map_err(TlsError::openssl(what(&pair.key)))
}

fn configure(builder: &mut SslContextBuilder, kind: Kind) -> Result<(), ErrorStack> {
    if kind != Kind::Modern {
        builder.set_min_proto_version(Some(SslVersion::TLS1))?;
        builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_cipher_list(&format!("{MODERN_SUITES}:{LEGACY_SUITES}:{PSK_SUITES}"))?;
    } else {
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_cipher_list(&format!("{MODERN_SUITES}:{PSK_SUITES}"))?;
        builder.set_sigalgs_list(MODERN_SIGNATURES)?;
        builder.set_client_hello_callback(cap_psk_only);
    }
    builder.set_options(
        SslOptions::NO_TICKET
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    builder.set_num_tickets(0)?;
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_session_id_context(b"roadstead")?;
    builder.set_mode(
        SslMode::RELEASE_BUFFERS
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER,
    );
    match kind {
        Kind::Modern | Kind::Legacy => {
            builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
        }
        Kind::Shared => builder.set_verify(SslVerifyMode::NONE),
    }
    Ok(())
}

/// What a client offered inside a PSK handshake.
struct Offer {
    identity: Box<[u8]>,
    is_known: bool,
}

/// Where an [`Offer`] is kept beside its connection.
static OFFER: std::sync::OnceLock<Index<Ssl, Option<Offer>>> = std::sync::OnceLock::new();

/// Gives OpenSSL the key of an identity; 0 ends the handshake with `unknown_psk_identity`.
fn psk(ssl: &mut SslRef, identity: Option<&[u8]>, key: &mut [u8], keys: &KeyLookup) -> usize {
    // In TLS 1.3 this means "no PSK": the handshake goes on with the certificate.
    if ssl.version2() == Some(SslVersion::TLS1_3) {
        return 0;
    }
    let Some(identity) = identity.filter(|identity| identity.len() <= IDENTITY_BYTES_MAX) else {
        return 0;
    };
    let secret = keys(identity).filter(|secret| !secret.expose().is_empty());
    if let Some(index) = OFFER.get() {
        let offer = Offer { identity: identity.into(), is_known: secret.is_some() };
        ssl.set_ex_data(*index, Some(offer));
    }
    let Some(secret) = secret else { return 0 };
    let secret = secret.expose();
    match key.get_mut(..secret.len()) {
        Some(room) => {
            room.copy_from_slice(secret);
            secret.len()
        }
        None => 0,
    }
}

/// Holds a client without certificate suites to TLS 1.2.
fn cap_psk_only(
    ssl: &mut SslRef,
    _alert: &mut SslAlert,
) -> Result<ClientHelloResponse, ErrorStack> {
    let suites = ssl.client_hello_ciphers().unwrap_or_default();
    if is_psk_only(suites) {
        ssl.set_max_proto_version(Some(SslVersion::TLS1_2))?;
    }
    Ok(ClientHelloResponse::SUCCESS)
}

/// True when the list (two bytes per suite) has PSK suites and, beside the suites of TLS 1.3 and
/// the signalling values, nothing else.
fn is_psk_only(suites: &[u8]) -> bool {
    let mut has_psk = false;
    for suite in suites.chunks_exact(2) {
        match (suite[0], suite[1]) {
            (0x13, _) | (0x00, 0xFF) | (0x56, 0x00) => {}
            // RFC 4785, 4279, 5487; 5489, 6209, 6367, 6655; 7905; 8442.
            (0x00, 0x2C..=0x2E | 0x8A..=0x95 | 0xA8..=0xB9)
            | (0xC0, 0x33..=0x3B | 0x64..=0x71 | 0x8E..=0x9B | 0xA4..=0xAB)
            | (0xCC, 0xAB..=0xAE)
            | (0xD0, 0x01..=0x05) => has_psk = true,
            _ => return false,
        }
    }
    has_psk
}
