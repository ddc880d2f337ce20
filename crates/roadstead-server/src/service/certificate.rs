//! Certificates for devices that register themselves; who signs them is the TLS side's business.

use roadstead_core::Secret;
use roadstead_core::device::Fingerprint;

/// Signs device certificates.
pub trait CertificateIssuer: Send + Sync {
    /// Makes a key and a certificate for it. May take the time of a key generation; called off
    /// the async threads.
    ///
    /// # Errors
    ///
    /// [`IssueError`] when there is no authority or it cannot sign.
    fn issue(&self, common_name: &str) -> Result<Issued, IssueError>;
}

/// A fresh certificate.
pub struct Issued {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM; kept nowhere.
    pub key_pem: Secret,
    /// SHA-1 of the DER form.
    pub sha1: Fingerprint,
    /// SHA-256 of the DER form.
    pub sha256: Fingerprint,
}

/// Why no certificate was made. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("issuing a device certificate: {0}")]
pub struct IssueError(pub Box<str>);

impl IssueError {
    /// Returns the stable code.
    pub fn code(&self) -> roadstead_core::Code {
        "internal.certificate"
    }
}
