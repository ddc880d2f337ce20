//! Log upload: `POST /cgi-bin/report-log`.
//!
//! ```text
//! 40 hex HMAC-SHA1 | P### or C### | ProductId 10 | DeviceName padded with # to 48 | time 10 | records
//! ```
//!
//! Certificate builds (`C###`) sign with the certificate's own text, which the platform does not
//! keep; they are refused.
//!
//! Source: Tencent §11; `transcripts/tencent/log-upload-plain.json`.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use roadstead_core::device::Device;
use roadstead_core::product::Product;
use roadstead_core::{Code, Timestamp};

use super::mask::mask;
use crate::cloud::{Call, Claim, Effect, HttpRequest, HttpResponse, Performed};
use crate::tencent::auth::Digest;
use crate::tencent::codes;
use crate::tencent::{DEVICE_NAME_MAX, PRODUCT_ID_LEN, is_device_name};

/// Hex digits of the signature.
const SIGNATURE_LEN: usize = 40;
/// Marks a device with a secret.
const BY_SECRET: &[u8] = b"P###";
/// Digits of the time.
const TIME_LEN: usize = 10;
/// Ends each record.
const RECORD_END: &str = "\n\u{c}";
/// Characters of the secret's text that are the key.
const KEY_LEN: usize = 24;
/// Largest upload, bytes; firmware sends 3000 and keeps 15 000 in its file.
const UPLOAD_BYTES_MAX: usize = 16 * 1024;
/// Most records of one upload.
const RECORDS_MAX: usize = 512;

/// One upload.
pub(super) struct Upload {
    parsed: Result<Parsed, Code>,
}

struct Parsed {
    product: Box<str>,
    node: Box<str>,
    signature: Vec<u8>,
    signed: Box<[u8]>,
    records: usize,
}

impl Upload {
    /// Reads the fixed head.
    pub(super) fn new(http: &HttpRequest<'_>) -> Self {
        Self { parsed: parse(http.body).ok_or("payload.malformed") }
    }
}

fn parse(body: &[u8]) -> Option<Parsed> {
    if body.len() > UPLOAD_BYTES_MAX {
        return None;
    }
    let (signature, signed) = body.split_at_checked(SIGNATURE_LEN)?;
    let (_kind, rest) = signed.split_at_checked(BY_SECRET.len())?;
    let (product, rest) = rest.split_at_checked(PRODUCT_ID_LEN)?;
    let (node, rest) = rest.split_at_checked(DEVICE_NAME_MAX)?;
    let (_time, records) = rest.split_at_checked(TIME_LEN)?;
    let product = core::str::from_utf8(product).ok()?;
    let node = core::str::from_utf8(node).ok()?.trim_end_matches('#');
    (is_device_name(product) && is_device_name(node)).then(|| Parsed {
        product: product.into(),
        node: node.into(),
        signature: hex::decode(signature).unwrap_or_default(),
        signed: signed.into(),
        records: signed.len() - records.len(),
    })
}

impl Parsed {
    fn check(&self, device: Option<&Arc<Device>>) -> Result<(), Code> {
        let device = device.ok_or("auth.unknown_device")?;
        if !self.signed.starts_with(BY_SECRET) {
            return Err("auth.no_credential");
        }
        let secret = device.secret.as_ref().ok_or("auth.no_credential")?.expose();
        let key = &secret[..secret.len().min(KEY_LEN)];
        match Digest::Sha1.verify(key, &self.signed, &self.signature) {
            true => Ok(()),
            false => Err("auth.bad_password"),
        }
    }

    fn records(&self) -> Vec<Box<str>> {
        let text = String::from_utf8_lossy(&self.signed[self.records..]);
        let records = text.split(RECORD_END).filter(|record| !record.is_empty());
        records.take(RECORDS_MAX).map(|record| mask(record).into()).collect()
    }
}

impl Call for Upload {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        match &self.parsed {
            Ok(Parsed { product, node, .. }) => {
                Ok(Claim::Node { product: product.clone(), node: node.clone() })
            }
            Err(code) => Err(answer(Err(code))),
        }
    }

    fn decide(
        &mut self,
        _product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        _now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let parsed = self.parsed.as_ref().map_err(|code| answer(Err(code)))?;
        parsed.check(device).map_err(|code| answer(Err(code)))?;
        Ok(Effect::Logs(parsed.records()))
    }

    fn respond(
        self: Box<Self>,
        _product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        answer(result.map(drop))
    }
}

fn answer(result: Result<(), Code>) -> HttpResponse {
    let (code, number, message) = match result {
        Ok(()) => ("ok", 0, "success"),
        Err(code) => (code, codes::reply(code), code),
    };
    let body = format!(r#"{{"Retcode":{number},"Message":"{message}"}}"#);
    HttpResponse::json(200, code, body)
}
