//! The server's own certificates when the operator gives none: P-256 and RSA, signed by an
//! authority in the data folder, whose `ca.pem` can be put into firmware or phones.
//!
//! Two certificates, because static RSA and old ECDHE-RSA-only stacks cannot use the first.

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::x509::X509;

use super::authority::{Authority, Purpose, ec_key, rsa_key};
use super::{Pair, TlsError, file};

/// Life of a server certificate, days: what strict clients accept.
const SERVER_DAYS: u32 = 820;
/// A certificate is replaced at start-up when it ends within this many days.
const RENEW_DAYS: u32 = 60;
/// Names that every certificate has.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Returns certificates that cover `names`, made now if need be.
pub(super) fn ensure(data_dir: &Path, names: &[String]) -> Result<Vec<Pair>, TlsError> {
    let folder = data_dir.join("tls");
    let authority = Authority::ensure(&folder, "ca", "Roadstead CA")?;
    let own = OWN_NAMES.iter().map(|name| (*name).to_owned());
    let mut all: Vec<String> = names.to_vec();
    all.extend(own.filter(|name| !names.contains(name)));
    let mut pairs = Vec::with_capacity(2);
    for (kind, make) in [("server-ec", ec_key as fn() -> _), ("server-rsa", rsa_key)] {
        let certificate = folder.join(format!("{kind}.pem"));
        let pair = Pair::at(&certificate, &folder.join(format!("{kind}.key")));
        let current = file::read(&pair.certificate)?;
        let has_key = file::read(&pair.key)?.is_some();
        if !(has_key && current.is_some_and(|pem| is_good(&pem, &all))) {
            issue(&authority, &all, make, &pair)?;
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

type MakeKey = fn() -> Result<openssl::pkey::PKey<openssl::pkey::Private>, ErrorStack>;

fn issue(
    authority: &Authority,
    names: &[String],
    make: MakeKey,
    pair: &Pair,
) -> Result<(), TlsError> {
    let made = || -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
        let key = make()?;
        // The limit of a common name is 64 characters; the alternative names carry the rest.
        let title = names.iter().find(|name| name.len() <= 64).map_or("localhost", |name| name);
        let certificate = authority.sign(title, &key, &Purpose::Server(names), SERVER_DAYS)?;
        let mut chain = certificate.to_pem()?;
        chain.extend(authority.certificate().to_pem()?);
        Ok((chain, key.private_key_to_pem_pkcs8()?))
    };
    let (chain, key) = made().map_err(TlsError::openssl("making a server certificate"))?;
    // The certificate last: it is what says that the pair is complete.
    file::write(&pair.key, &key, file::PRIVATE)?;
    file::write(&pair.certificate, &chain, file::PUBLIC)
}

/// True when the certificate lasts and names everything.
fn is_good(pem: &[u8], names: &[String]) -> bool {
    let Ok(certificate) = X509::from_pem(pem) else { return false };
    let lasts = openssl::asn1::Asn1Time::days_from_now(RENEW_DAYS)
        .is_ok_and(|soon| certificate.not_after() > &*soon);
    let known: Vec<String> = certificate
        .subject_alt_names()
        .into_iter()
        .flatten()
        .filter_map(|name| match (name.dnsname(), name.ipaddress()) {
            (Some(dns), _) => Some(dns.to_owned()),
            (None, Some(bytes)) => address(bytes),
            (None, None) => None,
        })
        .collect();
    let covered = |name: &String| match name.parse::<std::net::IpAddr>() {
        Ok(address) => known.contains(&address.to_string()),
        Err(_) => known.contains(name),
    };
    lasts && names.iter().all(covered)
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::IpAddr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::IpAddr::from(v6).to_string())
}
