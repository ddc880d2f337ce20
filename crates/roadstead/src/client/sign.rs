//! `SDK-HMAC-SHA256`: how a northbound call proves who made it.
//!
//! Source: Huawei §10.2; the tests recompute recorded signatures of a real SDK.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use roadstead_core::Secret;
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// An access key pair.
pub(crate) struct AccessKey {
    /// Public part.
    pub(crate) id: String,
    /// Secret part.
    pub(crate) secret: Secret,
}

/// What is signed.
pub(crate) struct Request<'a> {
    /// HTTP method.
    pub(crate) method: &'a str,
    /// Path, not encoded.
    pub(crate) path: &'a str,
    /// Query pairs, not encoded.
    pub(crate) query: &'a [(&'a str, &'a str)],
    /// `HOST:PORT` as the server sees it.
    pub(crate) host: &'a str,
    /// Project id; empty while it is not known.
    pub(crate) project: &'a str,
    /// `20261121T003818Z`.
    pub(crate) date: &'a str,
    /// Media type of the body.
    pub(crate) content_type: &'a str,
    /// Body, empty for none.
    pub(crate) body: &'a [u8],
}

impl Request<'_> {
    /// Returns path and query as they go on the wire.
    pub(crate) fn target(&self) -> String {
        let path = encode_path(self.path);
        let query = encode_query(self.query);
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    /// Returns every header of the call, the signature included.
    pub(crate) fn headers(&self, key: &AccessKey) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if !self.body.is_empty() {
            headers.push(("content-type", self.content_type.to_owned()));
        }
        headers.push(("host", self.host.to_owned()));
        if !self.project.is_empty() {
            headers.push(("x-project-id", self.project.to_owned()));
        }
        headers.push(("x-sdk-date", self.date.to_owned()));
        let signed: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let authorization = self.authorization(&signed, key);
        headers.push(("authorization", authorization));
        headers
    }

    /// Returns the `Authorization` header over `signed` (lower-case names, sorted).
    fn authorization(&self, signed: &[(&str, &str)], key: &AccessKey) -> String {
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let canonical = self.canonical(signed, &names);
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let text = format!("{ALGORITHM}\n{}\n{digest}", self.date);
        let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose())
            .expect("HMAC takes keys of every length");
        mac.update(text.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        format!("{ALGORITHM} Access={}, SignedHeaders={names}, Signature={signature}", key.id)
    }

    fn canonical(&self, signed: &[(&str, &str)], names: &str) -> String {
        let mut path = encode_path(self.path);
        if !path.ends_with('/') {
            path.push('/');
        }
        let query = encode_query(self.query);
        let mut text = format!("{}\n{path}\n{query}\n", self.method);
        for (name, value) in signed {
            let _ = writeln!(text, "{name}:{}", value.trim());
        }
        let body = hex::encode(Sha256::digest(self.body));
        let _ = write!(text, "\n{names}\n{body}");
        text
    }
}

fn encode_path(path: &str) -> String {
    path.split('/').map(percent).collect::<Vec<_>>().join("/")
}

fn encode_query(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> =
        query.iter().map(|(key, value)| (percent(key), percent(value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join("&")
}

/// Percent-encodes all but `A-Za-z0-9-_.~` (RFC 3986 §2.3).
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Signatures recorded from the vendor's Python SDK 3.1.219.
    const VECTORS: &str = include_str!("../../vectors/aksk.json");

    #[test]
    fn recorded_signatures_are_recomputed() {
        let vectors: Vec<Value> = serde_json::from_str(VECTORS).expect("vectors");
        for vector in &vectors {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let target = text(&vector["request_target"]);
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let query: Vec<(String, String)> = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect();
            let query: Vec<(&str, &str)> =
                query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let header = |name: &str| {
                let headers = vector["headers"].as_object().expect("headers");
                let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                text(found.unwrap_or_else(|| panic!("{name}")).1)
            };
            let expected = header("authorization");
            let (_, rest) = expected.split_once("SignedHeaders=").expect("signed headers");
            let (names, _) = rest.split_once(',').expect("signature");
            let signed: Vec<(&str, String)> =
                names.split(';').map(|name| (name, header(name))).collect();
            let signed: Vec<(&str, &str)> = signed.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let (date, body) = (header("x-sdk-date"), text(&vector["body"]));
            let request = Request {
                method: vector["method"].as_str().expect("method"),
                path,
                query: &query,
                host: "",
                project: "",
                date: &date,
                content_type: "application/json",
                body: body.as_bytes(),
            };
            let key = AccessKey {
                id: text(&vector["access_key"]),
                secret: Secret::from(text(&vector["secret_key"])),
            };
            assert_eq!(request.authorization(&signed, &key), expected, "{target}");
        }
    }

    fn decode(text: &str) -> String {
        let mut parts = text.split('%');
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).expect("hex"));
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn targets_are_encoded_once() {
        let query = [("b", "x y"), ("a", "灯")];
        let request = Request {
            method: "GET",
            path: "/v5/iot/p/devices/a b",
            query: &query,
            host: "h:1",
            project: "",
            date: "",
            content_type: "application/json",
            body: b"",
        };
        assert_eq!(request.target(), "/v5/iot/p/devices/a%20b?a=%E7%81%AF&b=x%20y");
        let names: Vec<_> = request
            .headers(&AccessKey { id: "a".into(), secret: "s".into() })
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["host", "x-sdk-date", "authorization"]);
    }
}
