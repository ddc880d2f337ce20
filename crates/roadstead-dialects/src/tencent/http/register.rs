//! Dynamic registration: one secret per product in the firmware, device secrets handed out.
//!
//! Both variants are one decision with two shapes. The answer is encrypted under the product
//! secret, so a recorded request gains a thief nothing; the window and the replay key keep it from
//! touching the device at all.
//!
//! Source: Tencent §4.1 (C SDK, seed), §4.2 (Python SDK, `tencent-iot-device` 1.0.0).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use aes::Aes128;
use aes::cipher::{Array, BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use roadstead_core::device::Device;
use roadstead_core::product::{Product, Registration};
use roadstead_core::{Code, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::cloud::{Call, Claim, Effect, HttpRequest, HttpResponse, Performed};
use crate::tencent::auth::{BASE64, Digest};
use crate::tencent::codes;
use crate::tencent::{PRODUCT_ID_LEN, is_device_name};

/// Block and key of AES-128, bytes; the key is the head of the product secret.
const AES_BYTES: usize = 16;
/// The vendor's fixed initialisation vector: sixteen ASCII zeros.
const AES_IV: [u8; AES_BYTES] = [b'0'; AES_BYTES];
/// A device clock before this (September 2001) is not set; the vendor documents 0 for that.
const CLOCK_SET_SECS: i64 = 1_000_000_000;

/// One registration call.
pub(super) struct Register {
    variant: Variant,
    request: Option<Request>,
    request_id: String,
    window: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    First,
    Second,
}

struct Request {
    product: Box<str>,
    node: Box<str>,
    nonce: Box<str>,
    timestamp: i64,
    signature: Box<str>,
    signed: String,
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FirstBody<'a> {
    #[serde(borrow)]
    device_name: Cow<'a, str>,
    nonce: u64,
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    timestamp: i64,
    #[serde(borrow)]
    signature: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecondBody<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow)]
    device_name: Cow<'a, str>,
}

impl Register {
    /// Reads `POST /register/dev`. The body is JSON whatever its content type says.
    pub(super) fn first(http: &HttpRequest<'_>, window: Option<Duration>) -> Self {
        let read = || {
            let body: FirstBody<'_> = serde_json::from_slice(http.body).ok()?;
            let FirstBody { device_name, nonce, product_id, timestamp, signature } = body;
            let signed = format!(
                "deviceName={device_name}&nonce={nonce}&productId={product_id}&timestamp={timestamp}"
            );
            Some(Request {
                product: product_id.into(),
                node: device_name.into(),
                nonce: nonce.to_string().into(),
                timestamp,
                signature: signature.into(),
                signed,
                digest: Digest::Sha1,
            })
        };
        Self::new(Variant::First, read(), http, window)
    }

    /// Reads `POST /device/register`: the proof is in the headers.
    pub(super) fn second(http: &HttpRequest<'_>, window: Option<Duration>) -> Self {
        let read = || {
            let body: SecondBody<'_> = serde_json::from_slice(http.body).ok()?;
            let algorithm = http.header("x-tc-algorithm")?;
            let timestamp = http.header("x-tc-timestamp")?;
            let nonce = http.header("x-tc-nonce")?;
            let signed = [
                http.method,
                http.host,
                http.path,
                http.query,
                algorithm,
                timestamp,
                nonce,
                &hex::encode(Sha256::digest(http.body)),
            ]
            .join("\n");
            Some(Request {
                product: body.product_id.into(),
                node: body.device_name.into(),
                nonce: nonce.into(),
                timestamp: timestamp.parse().ok()?,
                signature: http.header("x-tc-signature")?.into(),
                signed,
                digest: Digest::parse(algorithm)?,
            })
        };
        Self::new(Variant::Second, read(), http, window)
    }

    fn new(
        variant: Variant,
        request: Option<Request>,
        http: &HttpRequest<'_>,
        window: Option<Duration>,
    ) -> Self {
        let fits = |request: &Request| {
            request.product.len() <= PRODUCT_ID_LEN
                && is_device_name(&request.product)
                && is_device_name(&request.node)
        };
        let request = request.filter(fits);
        Self { variant, request, request_id: request_id(http), window }
    }

    fn refuse(&self, code: Code) -> HttpResponse {
        let row = codes::registration(code);
        let body = match self.variant {
            Variant::First => to_json(&FirstRefusal {
                code: row.number,
                message: row.message,
                request_id: &self.request_id,
            }),
            Variant::Second => to_json(&Envelope {
                response: SecondRefusal {
                    error: ErrorBody { code: row.name, message: row.message },
                    request_id: &self.request_id,
                },
            }),
        };
        HttpResponse::json(200, row.code, body)
    }

    fn accept(&self, secret: &Secret, plaintext: &str) -> Option<HttpResponse> {
        let payload = encrypt(secret, plaintext)?;
        let len = plaintext.len();
        let request_id = &self.request_id;
        let body = match self.variant {
            Variant::First => to_json(&FirstAnswer {
                code: 0,
                message: "success",
                len,
                payload: &payload,
                request_id,
            }),
            Variant::Second => {
                to_json(&Envelope { response: SecondAnswer { len, payload: &payload, request_id } })
            }
        };
        Some(HttpResponse::json(200, "ok", body))
    }
}

impl Call for Register {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        match &self.request {
            Some(Request { product, node, .. }) => {
                Ok(Claim::Node { product: product.clone(), node: node.clone() })
            }
            None => Err(self.refuse("register.bad_request")),
        }
    }

    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let Some(request) = &self.request else {
            return Err(self.refuse("register.bad_request"));
        };
        check(self.variant, request, product, device, self.window, now)
            .map_err(|code| self.refuse(code))?;
        let Request { product, nonce, signature, node, .. } = request;
        let replay_key = format!("{product}/{nonce}/{signature}").into();
        Ok(Effect::Register { node: node.clone(), replay_key })
    }

    fn respond(
        self: Box<Self>,
        product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        let (device, certificate) = match result {
            Ok(Performed::Registered { device, certificate }) => (device, certificate),
            Ok(Performed::Kept | Performed::Located(_)) => return self.refuse("internal.store"),
            Err(code) => return self.refuse(code),
        };
        let secret = device.secret.as_ref().and_then(Secret::expose_text);
        let plaintext = match (&certificate, secret) {
            (Some((certificate, key)), _) => key.expose_text().map(|key| {
                to_json(&CertificatePlain {
                    encryption_type: 1,
                    client_cert: certificate,
                    client_key: key,
                })
            }),
            (None, Some(psk)) => Some(to_json(&PskPlain { encryption_type: 2, psk })),
            (None, None) => None,
        };
        let accepted = match (&product.secret, plaintext) {
            (Some(secret), Some(plaintext)) => self.accept(secret, &plaintext),
            _ => None,
        };
        accepted.unwrap_or_else(|| self.refuse("internal.store"))
    }
}

/// Decides. The signature comes first: without the product secret nobody learns which names
/// exist.
fn check(
    variant: Variant,
    request: &Request,
    product: Option<&Arc<Product>>,
    device: Option<&Arc<Device>>,
    window: Option<Duration>,
    now: Timestamp,
) -> Result<(), Code> {
    let product = product.ok_or("register.unknown_product")?;
    let secret = product.secret.as_ref().ok_or("register.off")?;
    if !is_signed(variant, request, secret) {
        return Err("register.bad_signature");
    }
    let has_clock = request.timestamp >= CLOCK_SET_SECS;
    let off = now.as_secs().abs_diff(request.timestamp);
    if has_clock && window.is_some_and(|window| off > window.as_secs()) {
        return Err("register.timestamp");
    }
    match (product.registration, device) {
        (Registration::Off, _) => Err("register.off"),
        (_, Some(device)) if device.activated_at.is_some() => Err("register.activated"),
        (Registration::Preregistered, None) => Err("register.unknown_device"),
        (Registration::Preregistered, Some(_)) | (Registration::Open, _) => Ok(()),
    }
}

/// Variant 1 signs with the base64 of the digest's *hex text*, variant 2 with that of the digest.
fn is_signed(variant: Variant, request: &Request, secret: &Secret) -> bool {
    let Ok(claimed) = BASE64.decode(&*request.signature) else { return false };
    let code = request.digest.sign(secret.expose(), request.signed.as_bytes());
    match variant {
        Variant::First => hex::encode(code).as_bytes().ct_eq(&claimed).into(),
        Variant::Second => code.ct_eq(&claimed).into(),
    }
}

/// Returns base64 of AES-128-CBC with zero padding; `None` when the product secret is shorter
/// than the key. The firmware parses the plaintext up to the first zero byte.
fn encrypt(secret: &Secret, plaintext: &str) -> Option<String> {
    let key: &[u8; AES_BYTES] = secret.expose().first_chunk()?;
    let mut bytes: Vec<u8> = plaintext.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(AES_BYTES), 0);
    let mut cipher = cbc::Encryptor::<Aes128>::new(&Array(*key), &Array(AES_IV));
    for chunk in bytes.chunks_exact_mut(AES_BYTES) {
        let block = <&mut Array<u8, _>>::try_from(chunk).expect("chunks have block size");
        cipher.encrypt_block(block);
    }
    Some(BASE64.encode(bytes))
}

/// Returns an id in the form of a UUID (version 8) made of the request itself, so that a retry is
/// recognisable in a trace.
fn request_id(http: &HttpRequest<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(http.header("x-tc-signature").unwrap_or_default());
    hash.update(http.body);
    let mut id = [0u8; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    let text = hex::encode(id);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

fn to_json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("bodies have text keys only")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FirstAnswer<'a> {
    code: u32,
    message: &'a str,
    len: usize,
    payload: &'a str,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FirstRefusal<'a> {
    code: u32,
    message: &'a str,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope<T> {
    response: T,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SecondAnswer<'a> {
    len: usize,
    payload: &'a str,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SecondRefusal<'a> {
    error: ErrorBody<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PskPlain<'a> {
    encryption_type: u8,
    psk: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CertificatePlain<'a> {
    encryption_type: u8,
    client_cert: &'a str,
    client_key: &'a str,
}
