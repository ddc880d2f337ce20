//! Dynamic registration: both calls, their signatures, and the encrypted answer.
//!
//! Source: Tencent §4.1 (seed log recomputed), §4.2 (PyPI tencent-iot-device 1.0.0 recomputed).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use aes::Aes128;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use roadstead_core::{Code, Secret, Value};
use sha2::{Digest as _, Sha256};

use super::super::auth::{BASE64, Digest};
use super::super::codes;
use super::config::{Config, Proof, Variant};
use crate::device::HttpReply;

/// Shortest product secret, bytes: its head is the AES key.
pub(super) const PRODUCT_SECRET_BYTES_MIN: usize = 16;
/// Largest answer, bytes; a certificate and its key need about 4 KiB.
pub(super) const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Initialisation vector of the payload: sixteen ASCII zeros.
const IV: [u8; 16] = [b'0'; 16];

/// What a device has after its registration.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// Device secret, base64 text.
    Secret(Secret),
    /// Certificate chain and key, PEM.
    Certificate(Box<[u8]>, Secret),
}

/// Why a registration failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RegisterError {
    /// There is no usable product secret.
    #[error("the product secret is missing or shorter than 16 characters")]
    NoProductSecret,
    /// The answer has another status than 200.
    #[error("the registration server answered HTTP {0}")]
    Status(u16),
    /// The platform refused.
    #[error("registration refused with {number}: {message}")]
    Refused {
        /// Stable code.
        code: Code,
        /// Vendor's number or name.
        number: String,
        /// Vendor's words.
        message: String,
    },
    /// The answer is not what the call promises.
    #[error("the registration answer is not readable: {0}")]
    Unreadable(&'static str),
    /// The payload is for another kind of authentication than the firmware's.
    #[error("product and firmware differ in their authentication type")]
    OtherType,
}

impl RegisterError {
    /// Returns the stable code.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } => code,
            Self::NoProductSecret => "register.bad_signature",
            Self::Status(_) | Self::Unreadable(_) => "attempt.never_connected",
            Self::OtherType => "auth.certificate_missing",
        }
    }
}

/// Writes the request of one registration.
pub(super) fn request(config: &Config, nonce: u32, timestamp: i64) -> Result<Bytes, RegisterError> {
    let secret = product_secret(config)?;
    let host = &config.register.endpoint.name;
    let text = match config.register.variant {
        Variant::One => {
            let body = body_one(config, secret, nonce, timestamp);
            format!(
                "POST /register/dev HTTP/1.1\r\nHost: {host}\r\n\
                 Accept: text/xml,application/json;*/*\r\nContent-Length: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
                body.len()
            )
        }
        Variant::Two => {
            let body = format!(
                r#"{{"ProductId":{},"DeviceName":{}}}"#,
                Value::from(&*config.product),
                Value::from(&*config.device)
            );
            let signature = signature_two(secret, host, &body, nonce, timestamp);
            format!(
                "POST /device/register HTTP/1.1\r\nHost: {host}\r\n\
                 Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\
                 X-TC-Algorithm: hmacsha256\r\nX-TC-Timestamp: {timestamp}\r\n\
                 X-TC-Nonce: {nonce}\r\nX-TC-Signature: {signature}\r\n\r\n{body}",
                body.len()
            )
        }
    };
    Ok(Bytes::from(text))
}

/// Reads the answer.
pub(super) fn answer(config: &Config, reply: &HttpReply) -> Result<Credential, RegisterError> {
    if reply.status != 200 {
        return Err(RegisterError::Status(reply.status));
    }
    let body: Value = serde_json::from_slice(&reply.body)
        .map_err(|_| RegisterError::Unreadable("the body is not JSON"))?;
    let payload = match config.register.variant {
        Variant::One => payload_one(&body)?,
        Variant::Two => payload_two(&body)?,
    };
    decrypt(config, payload)
}

fn product_secret(config: &Config) -> Result<&Secret, RegisterError> {
    let long = |secret: &&Secret| secret.expose().len() >= PRODUCT_SECRET_BYTES_MIN;
    config.product_secret.as_ref().filter(long).ok_or(RegisterError::NoProductSecret)
}

/// The signature is base64 of the *hex text* of the HMAC.
fn body_one(config: &Config, secret: &Secret, nonce: u32, timestamp: i64) -> String {
    let (device, product) = (&config.device, &config.product);
    let signed =
        format!("deviceName={device}&nonce={nonce}&productId={product}&timestamp={timestamp}");
    let hex = hex::encode(Digest::Sha1.sign(secret.expose(), signed.as_bytes()));
    format!(
        r#"{{"deviceName":{},"nonce":{nonce},"productId":{},"timestamp":{timestamp},"signature":"{}"}}"#,
        Value::from(&**device),
        Value::from(&**product),
        STANDARD.encode(hex)
    )
}

/// The signature is base64 of the *raw* HMAC, unlike the first call's.
fn signature_two(secret: &Secret, host: &str, body: &str, nonce: u32, timestamp: i64) -> String {
    let digest = hex::encode(Sha256::digest(body.as_bytes()));
    let signed =
        format!("POST\n{host}\n/device/register\n\nhmacsha256\n{timestamp}\n{nonce}\n{digest}");
    STANDARD.encode(Digest::Sha256.sign(secret.expose(), signed.as_bytes()))
}

fn payload_one(body: &Value) -> Result<&str, RegisterError> {
    let number = body.get("code").and_then(Value::as_i64);
    match number.ok_or(RegisterError::Unreadable("`code` is missing"))? {
        0 => text(body, "payload"),
        number => {
            let code = u32::try_from(number).ok().and_then(codes::registration_of_number);
            Err(RegisterError::Refused {
                code: code.unwrap_or("register.bad_request"),
                number: number.to_string(),
                message: body["message"].as_str().unwrap_or_default().to_string(),
            })
        }
    }
}

fn payload_two(body: &Value) -> Result<&str, RegisterError> {
    let response =
        body.get("Response").ok_or(RegisterError::Unreadable("`Response` is missing"))?;
    let Some(error) = response.get("Error") else { return text(response, "Payload") };
    let name = error["Code"].as_str().unwrap_or_default();
    Err(RegisterError::Refused {
        code: codes::registration_of_name(name).unwrap_or("register.bad_request"),
        number: name.to_string(),
        message: error["Message"].as_str().unwrap_or_default().to_string(),
    })
}

fn text<'a>(object: &'a Value, key: &str) -> Result<&'a str, RegisterError> {
    object.get(key).and_then(Value::as_str).ok_or(RegisterError::Unreadable("no payload"))
}

/// Decrypts the payload; like the SDK it reads up to the first NUL and checks no padding.
fn decrypt(config: &Config, payload: &str) -> Result<Credential, RegisterError> {
    let mut bytes: Vec<u8> = BASE64
        .decode(payload)
        .map_err(|_| RegisterError::Unreadable("the payload is not base64"))?;
    let key = product_secret(config)?.expose();
    let key = key.first_chunk::<16>().ok_or(RegisterError::NoProductSecret)?;
    let mut decryptor = cbc::Decryptor::<Aes128>::new(key.into(), (&IV).into());
    let (blocks, rest) = bytes.as_chunks_mut::<16>();
    if !rest.is_empty() {
        return Err(RegisterError::Unreadable("the payload is no multiple of 16 bytes"));
    }
    for block in blocks {
        decryptor.decrypt_block(block.into());
    }
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let wrong = RegisterError::Unreadable("the payload was encrypted with another product secret");
    let object: Value =
        serde_json::from_slice(bytes.get(..end).unwrap_or_default()).map_err(|_| wrong)?;
    let member = |key: &str| object.get(key).and_then(Value::as_str);
    let by_certificate = config.proof == Proof::Certificate;
    match (object["encryptionType"].as_i64(), by_certificate) {
        (Some(2), false) => {
            let psk = member("psk").ok_or(RegisterError::Unreadable("`psk` is missing"))?;
            Ok(Credential::Secret(psk.into()))
        }
        (Some(1), true) => {
            let (Some(chain), Some(key)) = (member("clientCert"), member("clientKey")) else {
                return Err(RegisterError::Unreadable("certificate or key is missing"));
            };
            Ok(Credential::Certificate(chain.as_bytes().into(), key.into()))
        }
        (Some(1 | 2), _) => Err(RegisterError::OtherType),
        _ => Err(RegisterError::Unreadable("`encryptionType` is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../../vectors/tencent.json");

    fn config(vector: &Value) -> Config {
        let text = |key: &str| vector[key].as_str();
        let body: Value = text("request_body")
            .map_or(Value::Null, |body| serde_json::from_str(body).expect("JSON"));
        let name = |field: &str, one: &str, two: &str| {
            let found = text(field).or(body[one].as_str()).or(body[two].as_str());
            found.expect("name").to_string()
        };
        let product = name("product_id", "productId", "ProductId");
        let device = name("device_name", "deviceName", "DeviceName");
        let mut config = Config::new(&product, &device);
        config.product_secret = Some(text("product_secret").expect("secret").into());
        if vector["variant"] == 2 {
            config = config.with_registrar("localhost", 80, false, Variant::Two);
        }
        if product == "CERTPROD01" {
            config.proof = Proof::Certificate;
        }
        config
    }

    #[test]
    fn every_vector_is_signed_and_its_answer_is_read() {
        let all: Value = serde_json::from_str(VECTORS).expect("vectors");
        let vectors = all["dynreg"].as_array().expect("list");
        assert_eq!(vectors.len(), 4);
        for (n, vector) in vectors.iter().enumerate() {
            let config = config(vector);
            let (nonce, timestamp) = nonce_and_timestamp(vector);
            let request = request(&config, nonce, timestamp).expect("secret");
            let request = core::str::from_utf8(&request).expect("text");
            let (_, body) = request.split_once("\r\n\r\n").expect("head");
            if let Some(signature) = vector["signature"].as_str() {
                assert!(request.contains(signature), "vector {n}");
            }
            if let Some(expected) = vector["request_body"].as_str() {
                assert_eq!(body, expected, "vector {n}");
            }
            for header in vector["request_headers"].as_array().into_iter().flatten() {
                let header = header.as_str().expect("text");
                assert!(request.contains(&format!("\r\n{header}\r\n")), "vector {n}: {header}");
            }
            let answer_body = vector["response_body"].as_str().map_or_else(
                || format!(r#"{{"code":0,"payload":{}}}"#, vector["response_payload"]),
                ToString::to_string,
            );
            let credential = answer(&config, &HttpReply { status: 200, body: answer_body.into() });
            match credential.map_err(|error| error.to_string()).expect("credential") {
                Credential::Secret(psk) => {
                    assert!(psk.matches(b"MLvMHde65nKPk0Lx+ZThaA=="), "vector {n}");
                }
                Credential::Certificate(chain, key) => {
                    assert!(chain.starts_with(b"-----BEGIN CERTIFICATE-----\n"), "vector {n}");
                    assert!(key.expose().starts_with(b"-----BEGIN "), "vector {n}");
                }
            }
        }
    }

    fn nonce_and_timestamp(vector: &Value) -> (u32, i64) {
        if let Some(body) = vector["request_body"].as_str() {
            let body: Value = serde_json::from_str(body).expect("JSON");
            if let (Some(nonce), Some(at)) = (body["nonce"].as_u64(), body["timestamp"].as_i64()) {
                return (nonce as u32, at);
            }
            let header = |key: &str| vector["headers"][key].as_str().expect("header");
            let nonce = header("X-TC-Nonce").parse().expect("number");
            return (nonce, header("X-TC-Timestamp").parse().expect("number"));
        }
        let nonce = vector["nonce"].as_u64().expect("nonce") as u32;
        (nonce, vector["timestamp"].as_i64().expect("timestamp"))
    }

    #[test]
    fn refusals_and_garbage_have_their_codes() {
        let mut config = Config::new("L4WG9V9M2M", "TEST2");
        let fails = |config: &Config, status: u16, body: &'static str| {
            let reply = HttpReply { status, body: Bytes::from_static(body.as_bytes()) };
            answer(config, &reply).map(|_| ()).expect_err("refused")
        };
        assert_eq!(request(&config, 1, 0), Err(RegisterError::NoProductSecret));
        config.product_secret = Some("too short".into());
        assert_eq!(request(&config, 1, 0), Err(RegisterError::NoProductSecret));
        config.product_secret = Some("XoezQjzzMedF4lAr2CqCkVYK".into());
        for (status, body, code) in [
            (404, "", "attempt.never_connected"),
            (200, "", "attempt.never_connected"),
            (200, r#"{"code":1007,"message":"signature check failed"}"#, "register.bad_signature"),
            (200, r#"{"code":1021,"message":""}"#, "register.activated"),
            (200, r#"{"code":77}"#, "register.bad_request"),
            (200, r#"{"code":0,"payload":"AAAA"}"#, "attempt.never_connected"),
            (200, r#"{"code":0,"payload":"AAAAAAAAAAAAAAAAAAAAAA=="}"#, "attempt.never_connected"),
        ] {
            assert_eq!(fails(&config, status, body).code(), code, "{body}");
        }
        let psk = r#"{"code":0,"payload":"sf1gANtJCT/PRC4ZHOypfkLnO53otVR/oBAnD3vXhS2m8XkbQ08bTCD+I1Tz5Jjo7vhAnC6QE3RgWWZGg6pWGg=="}"#;
        config.proof = Proof::Certificate;
        assert_eq!(fails(&config, 200, psk), RegisterError::OtherType);
        config = config.with_registrar("localhost", 80, false, Variant::Two);
        let refused = r#"{"Response":{"Error":{"Code":"ResourceNotFound.Device","Message":"x"}}}"#;
        assert_eq!(fails(&config, 200, refused).code(), "register.unknown_device");
    }
}
