//! Signed requests: parsing of the `Authorization` header, canonical request, verification.
//!
//! Pure: no store, no clock. Knows nothing of users or roles. Two algorithms, both over the raw
//! body: `SDK-HMAC-SHA256` signs with the secret key, `V11-HMAC-SHA256` with a key derived from
//! it for one day, region and service.
//!
//! Source: Huawei §10.2 and §10.3; traps T22 (the canonical path ends with `/`), T23 (unsigned
//! multipart bodies) and T25 (the hex *text* of the derived key signs).

use std::fmt::Write as _;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use roadstead_core::time::Civil;
use roadstead_core::{Secret, Timestamp};

use super::query;

/// Longest `Authorization` header that is looked at, bytes.
const HEADER_BYTES_MAX: usize = 4096;
/// Most signed headers of one request.
const SIGNED_HEADERS_MAX: usize = 64;
/// The header that carries the date of the signature.
pub(super) const DATE_HEADER: &str = "x-sdk-date";
const CONTENT_HEADER: &str = "x-sdk-content-sha256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Which algorithm signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// `SDK-HMAC-SHA256`: the secret key itself.
    Basic,
    /// `V11-HMAC-SHA256`: a key derived for a scope.
    Derived(Scope),
}

/// What a derived key is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// `YYYYMMDD`, the day of the signature's date.
    pub(super) day: Box<str>,
    /// Region.
    pub(super) region: Box<str>,
    /// Service; SDKs write `iotdm`.
    pub(super) service: Box<str>,
}

/// A parsed `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorization {
    /// Which algorithm.
    pub(super) algorithm: Algorithm,
    /// Public part of the access key.
    pub(super) access_key: Box<str>,
    /// Names of the signed headers in lower case, in the order of the signature.
    pub(super) signed_headers: Vec<Box<str>>,
    /// The signature.
    pub(super) signature: [u8; 32],
}

/// A request as it arrived.
#[derive(Clone, Copy)]
pub(super) struct Signed<'a> {
    /// Method, upper case.
    pub(super) method: &'a str,
    /// Path as sent, percent-encoded.
    pub(super) path: &'a str,
    /// Query as sent, without `?`.
    pub(super) query: &'a str,
    /// Headers; names in lower case.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// Body as sent.
    pub(super) body: &'a [u8],
}

/// Why a signature is not accepted. The text goes to the caller and names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignatureError {
    /// Not a header of ours.
    #[error("the Authorization header is malformed: {0}")]
    Malformed(&'static str),
    /// A signed header is absent or there twice.
    #[error("the signed header `{0}` must be there exactly once")]
    Header(Box<str>),
    /// No usable date.
    #[error("X-Sdk-Date must look like 20261121T003818Z")]
    Date,
    /// The body hash does not belong to the body.
    #[error("X-Sdk-Content-Sha256 does not fit the body")]
    Content,
    /// Path or query cannot be decoded.
    #[error("path or query are not percent-encoded UTF-8")]
    Encoding,
    /// Everything is there, but the signature is wrong.
    #[error("verify aksk signature fail")]
    Mismatch,
    /// The cryptographic library failed.
    #[error("computing the signature failed")]
    Engine,
}

impl From<ErrorStack> for SignatureError {
    fn from(_: ErrorStack) -> Self {
        Self::Engine
    }
}

impl Authorization {
    /// Parses the header. `None` when it belongs to another scheme.
    pub(super) fn parse(header: &str) -> Option<Result<Self, SignatureError>> {
        let (name, rest) = header.split_once(' ')?;
        match name {
            "SDK-HMAC-SHA256" => Some(Self::parse_fields(rest, false)),
            "V11-HMAC-SHA256" => Some(Self::parse_fields(rest, true)),
            _ => None,
        }
    }

    fn parse_fields(rest: &str, derived: bool) -> Result<Self, SignatureError> {
        if rest.len() > HEADER_BYTES_MAX {
            return Err(SignatureError::Malformed("too long"));
        }
        let [mut who, mut names, mut signature] = [None; 3];
        for field in rest.split(',') {
            let field = field.trim();
            let (key, value) =
                field.split_once('=').ok_or(SignatureError::Malformed("a field without `=`"))?;
            let slot = match key {
                "Access" if !derived => &mut who,
                "Credential" if derived => &mut who,
                "SignedHeaders" => &mut names,
                "Signature" => &mut signature,
                _ => return Err(SignatureError::Malformed("an unknown field")),
            };
            if slot.replace(value).is_some() {
                return Err(SignatureError::Malformed("a field twice"));
            }
        }
        let who = who.ok_or(SignatureError::Malformed("no access key"))?;
        let names = names.ok_or(SignatureError::Malformed("no SignedHeaders"))?;
        let signature = signature.ok_or(SignatureError::Malformed("no Signature"))?;
        let (access_key, algorithm) = match derived {
            false => (who, Algorithm::Basic),
            true => parse_credential(who)?,
        };
        if access_key.is_empty() {
            return Err(SignatureError::Malformed("no access key"));
        }
        let mut bytes = [0u8; 32];
        hex::decode_to_slice(signature, &mut bytes)
            .map_err(|_| SignatureError::Malformed("the signature is not 64 hex digits"))?;
        Ok(Self {
            algorithm,
            access_key: access_key.into(),
            signed_headers: parse_names(names)?,
            signature: bytes,
        })
    }

    /// Returns the date of the request, in milliseconds.
    pub(super) fn date(&self, request: &Signed<'_>) -> Result<Timestamp, SignatureError> {
        let text = request.header(DATE_HEADER).map_err(|_| SignatureError::Date)?;
        let date = parse_date(text).ok_or(SignatureError::Date)?;
        match &self.algorithm {
            Algorithm::Derived(scope) if !text.starts_with(&*scope.day) => {
                Err(SignatureError::Malformed("the day of the credential is not that of the date"))
            }
            Algorithm::Derived(_) | Algorithm::Basic => Ok(date),
        }
    }

    /// Verifies the signature with the secret part of the access key.
    ///
    /// # Errors
    ///
    /// [`SignatureError`]; `Mismatch` when the caller holds another secret or signed another
    /// request.
    pub(super) fn verify(
        &self,
        request: &Signed<'_>,
        secret: &Secret,
    ) -> Result<(), SignatureError> {
        let canonical = self.canonical_request(request)?;
        let digest = hex::encode(sha256(canonical.as_bytes()));
        let date = request.header(DATE_HEADER)?;
        let expected = match &self.algorithm {
            Algorithm::Basic => {
                let text = format!("SDK-HMAC-SHA256\n{date}\n{digest}");
                hmac(secret.expose(), text.as_bytes())?
            }
            Algorithm::Derived(scope) => {
                let info = scope.info();
                let key = derive(&self.access_key, secret, &info)?;
                let text = format!("V11-HMAC-SHA256\n{date}\n{info}\n{digest}");
                hmac(key.expose(), text.as_bytes())?
            }
        };
        match memcmp::eq(&expected, &self.signature) {
            true => Ok(()),
            false => Err(SignatureError::Mismatch),
        }
    }

    /// Builds the text whose hash is signed.
    fn canonical_request(&self, request: &Signed<'_>) -> Result<String, SignatureError> {
        let path = query::canonical_path(request.path).ok_or(SignatureError::Encoding)?;
        let pairs = query::canonical_query(request.query).ok_or(SignatureError::Encoding)?;
        let mut text = format!("{}\n{path}\n{pairs}\n", request.method);
        for name in &self.signed_headers {
            let value = request.header(name)?.trim();
            writeln!(text, "{name}:{value}").map_err(|_| SignatureError::Engine)?;
        }
        text.push('\n');
        text.push_str(&self.signed_headers.join(";"));
        text.push('\n');
        text.push_str(&self.payload_hash(request)?);
        Ok(text)
    }

    fn payload_hash(&self, request: &Signed<'_>) -> Result<String, SignatureError> {
        let hash = hex::encode(sha256(request.body));
        let claimed = match request.header(CONTENT_HEADER) {
            Ok(claimed) if !request.body.is_empty() => claimed.trim(),
            Ok(_) | Err(_) => return Ok(hash),
        };
        if claimed == UNSIGNED {
            // Only uploads may leave their body unsigned (T23), and only when they say so under
            // the signature; a JSON body that nobody signed would be anybody's.
            let said = self.signed_headers.iter().any(|name| &**name == CONTENT_HEADER);
            let upload =
                request.header("content-type").is_ok_and(|kind| kind.starts_with("multipart/"));
            return match said && upload {
                true => Ok(UNSIGNED.into()),
                false => Err(SignatureError::Content),
            };
        }
        match claimed.eq_ignore_ascii_case(&hash) {
            true => Ok(claimed.into()),
            false => Err(SignatureError::Content),
        }
    }
}

impl Scope {
    fn info(&self) -> String {
        format!("{}/{}/{}", self.day, self.region, self.service)
    }
}

impl<'a> Signed<'a> {
    /// Returns the one header of that name; a second one of the same name is an error, because
    /// proxies disagree on which of the two counts.
    fn header(&self, name: &str) -> Result<&'a str, SignatureError> {
        let mut found = self.headers.iter().filter(|(key, _)| *key == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some(_)) | (None, _) => Err(SignatureError::Header(name.into())),
        }
    }
}

fn parse_credential(text: &str) -> Result<(&str, Algorithm), SignatureError> {
    let mut parts = text.split('/');
    let (Some(key), Some(day), Some(region), Some(service), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SignatureError::Malformed("the credential is not ak/day/region/service"));
    };
    if day.len() != 8 || region.is_empty() || service.is_empty() {
        return Err(SignatureError::Malformed("the credential is not ak/day/region/service"));
    }
    let scope = Scope { day: day.into(), region: region.into(), service: service.into() };
    Ok((key, Algorithm::Derived(scope)))
}

fn parse_names(text: &str) -> Result<Vec<Box<str>>, SignatureError> {
    let names: Vec<Box<str>> =
        text.split(';').map(|name| name.to_ascii_lowercase().into()).collect();
    let clean = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':' && b != b',')
    };
    if names.len() > SIGNED_HEADERS_MAX || !names.iter().all(|name| clean(name)) {
        return Err(SignatureError::Malformed("SignedHeaders"));
    }
    for needed in ["host", DATE_HEADER] {
        if !names.iter().any(|name| &**name == needed) {
            return Err(SignatureError::Malformed("host and x-sdk-date must be signed"));
        }
    }
    Ok(names)
}

/// Parses `20261121T003818Z`.
pub(in crate::north) fn parse_date(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    let (date, time) = digits.split_once('T')?;
    let sizes = date.len() == 8 && time.len() == 6;
    if !sizes || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'T') {
        return None;
    }
    let number = |text: &str| text.parse::<u8>().ok();
    let civil = Civil {
        year: date[..4].parse().ok()?,
        month: number(&date[4..6])?,
        day: number(&date[6..])?,
        hour: number(&time[..2])?,
        minute: number(&time[2..4])?,
        second: number(&time[4..])?,
        milli: 0,
    };
    let parsed = Timestamp::from_civil(civil);
    (parsed.civil() == civil).then_some(parsed)
}

/// HKDF-SHA256 of one block: salt is the access key, input the secret key (Huawei §10.3). Returns
/// the lower-case hex *text*, which is the key of the final step (T25).
fn derive(access_key: &str, secret: &Secret, info: &str) -> Result<Secret, ErrorStack> {
    let extracted = Secret::new(hmac(access_key.as_bytes(), secret.expose())?);
    let expanded = hmac(extracted.expose(), &[info.as_bytes(), &[1]].concat())?;
    Ok(Secret::from(hex::encode(expanded)))
}

fn hmac(key: &[u8], data: &[u8]) -> Result<[u8; 32], ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut out = [0u8; 32];
    Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot(&mut out, data)?;
    Ok(out)
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
