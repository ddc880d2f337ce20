//! Small certificate authorities in the data folder: one signs the server's own certificates, the
//! other ([`DeviceCa`]) the client certificates of devices.
//!
//! Nobody verifies chains against the device authority: a device is recognised by the fingerprint
//! that is registered for it.

use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509NameBuilder, X509NameRef};
use roadstead_core::Secret;
use roadstead_core::device::Fingerprint;

use super::{TlsError, file};

/// Life of an authority, days.
const AUTHORITY_DAYS: u32 = 30 * 365;
/// Life of a device certificate, days: a device outlives its cloud.
const DEVICE_DAYS: u32 = 30 * 365;
/// Length of RSA keys, bits.
const RSA_BITS: u32 = 2048;
/// Bits of a serial number (RFC 5280 allows 20 octets).
const SERIAL_BITS: i32 = 120;

/// A key and its certificate.
pub(super) struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// What a certificate is for.
pub(super) enum Purpose<'a> {
    /// A server with these names and addresses.
    Server(&'a [String]),
    /// A client.
    Client,
}

impl Authority {
    /// Loads the authority `name` from `folder`, or makes it.
    pub(super) fn ensure(folder: &Path, name: &str, title: &str) -> Result<Self, TlsError> {
        let certificate_file = folder.join(format!("{name}.pem"));
        let key_file = folder.join(format!("{name}.key"));
        if let (Some(certificate), Some(key)) =
            (file::read(&certificate_file)?, file::read(&key_file)?)
        {
            let what = format!("`{}` or its key is damaged", certificate_file.display());
            return X509::from_pem(&certificate)
                .and_then(|certificate| {
                    Ok(Self { certificate, key: PKey::private_key_from_pem(&key)? })
                })
                .map_err(TlsError::openssl(what));
        }
        let made = || -> Result<(Self, Vec<u8>, Vec<u8>), ErrorStack> {
            let made = Self::make(title)?;
            let (certificate, key) =
                (made.certificate.to_pem()?, made.key.private_key_to_pem_pkcs8()?);
            Ok((made, certificate, key))
        };
        let (made, certificate, key) =
            made().map_err(TlsError::openssl("making a certificate authority"))?;
        file::write(&key_file, &key, file::PRIVATE)?;
        file::write(&certificate_file, &certificate, file::PUBLIC)?;
        Ok(made)
    }

    fn make(title: &str) -> Result<Self, ErrorStack> {
        let key = ec_key()?;
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COMMONNAME, title)?;
        let name = name.build();
        let mut builder = blank(&name, &name, &key, AUTHORITY_DAYS)?;
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        let subject_key = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(subject_key)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { certificate: builder.build(), key })
    }

    /// Signs a certificate for `key`.
    pub(super) fn sign<K>(
        &self,
        common_name: &str,
        key: &PKey<K>,
        purpose: &Purpose<'_>,
        days: u32,
    ) -> Result<X509, ErrorStack>
    where
        K: openssl::pkey::HasPublic,
    {
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
        let mut builder = blank(&name.build(), self.certificate.subject_name(), key, days)?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        // Key encipherment is what static RSA needs.
        let usage = KeyUsage::new().critical().digital_signature().key_encipherment().build()?;
        builder.append_extension(usage)?;
        let mut extended = ExtendedKeyUsage::new();
        match purpose {
            Purpose::Client => extended.client_auth(),
            Purpose::Server(_) => extended.server_auth(),
        };
        builder.append_extension(extended.build()?)?;
        if let Purpose::Server(names) = purpose {
            let mut alternatives = SubjectAlternativeName::new();
            for name in *names {
                match name.parse::<std::net::IpAddr>() {
                    Ok(_) => alternatives.ip(name),
                    Err(_) => alternatives.dns(name),
                };
            }
            let alternatives =
                alternatives.build(&builder.x509v3_context(Some(&self.certificate), None))?;
            builder.append_extension(alternatives)?;
        }
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(builder.build())
    }

    /// Returns the authority's own certificate.
    pub(super) fn certificate(&self) -> &X509 {
        &self.certificate
    }
}

/// Returns a fresh P-256 key.
pub(super) fn ec_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

/// Returns a fresh RSA key.
pub(super) fn rsa_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_rsa(Rsa::generate(RSA_BITS)?)
}

fn blank<K: openssl::pkey::HasPublic>(
    subject: &X509NameRef,
    issuer: &X509NameRef,
    key: &PKey<K>,
    days: u32,
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    // A day back, for devices whose clock is a little behind.
    let (start, end) = (Asn1Time::from_unix(day_ago())?, Asn1Time::days_from_now(days)?);
    builder.set_not_before(&start)?;
    builder.set_not_after(&end)?;
    builder.set_pubkey(key)?;
    Ok(builder)
}

fn day_ago() -> i64 {
    crate::clock::Clock::system().now().as_secs() - 86_400
}

/// The authority that issues client certificates to devices of certificate products.
pub struct DeviceCa(Authority);

/// A fresh client certificate.
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its RSA key, PEM (PKCS #1, which the oldest stacks read too).
    pub key: Secret,
    /// What older vendor consoles show.
    pub sha1: Fingerprint,
    /// What is registered.
    pub sha256: Fingerprint,
}

impl DeviceCa {
    /// Loads the authority from the data folder, or makes it.
    ///
    /// # Errors
    ///
    /// Its files are damaged or cannot be written.
    pub fn open(data_dir: &Path) -> Result<Self, TlsError> {
        Authority::ensure(&data_dir.join("tls"), "device-ca", "Roadstead device CA").map(Self)
    }

    /// Makes a key and a certificate. Making the key takes about 100 ms of CPU: call it where
    /// blocking is allowed. RSA, because that is what certificate firmware was built for
    /// (Tencent §2.2).
    ///
    /// # Errors
    ///
    /// `common_name` is empty or longer than 64 characters.
    pub fn issue(&self, common_name: &str) -> Result<Issued, TlsError> {
        let issue = || -> Result<Issued, ErrorStack> {
            let rsa = Rsa::generate(RSA_BITS)?;
            let key = Secret::new(rsa.private_key_to_pem()?);
            let public: PKey<Public> = PKey::from_rsa(Rsa::from_public_components(
                rsa.n().to_owned()?,
                rsa.e().to_owned()?,
            )?)?;
            let certificate = self.0.sign(common_name, &public, &Purpose::Client, DEVICE_DAYS)?;
            let (sha1, sha256) = fingerprints(&certificate)?;
            let certificate = String::from_utf8_lossy(&certificate.to_pem()?).into_owned();
            Ok(Issued { certificate, key, sha1, sha256 })
        };
        issue().map_err(TlsError::openssl(format!("issuing a certificate for `{common_name}`")))
    }
}

/// Returns both digests of a certificate's DER form.
pub(super) fn fingerprints(
    certificate: &openssl::x509::X509Ref,
) -> Result<(Fingerprint, Fingerprint), ErrorStack> {
    let (mut sha1, mut sha256) = ([0; 20], [0; 32]);
    sha1.copy_from_slice(&certificate.digest(MessageDigest::sha1())?);
    sha256.copy_from_slice(&certificate.digest(MessageDigest::sha256())?);
    Ok((Fingerprint::Sha1(sha1), Fingerprint::Sha256(sha256)))
}
