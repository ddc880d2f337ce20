//! Writing a request.
//!
//! Source: RFC 9112 sections 3 and 5.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A request to be written.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// For example `POST`.
    pub method: &'a str,
    /// Path and query, starting with `/`.
    pub target: &'a str,
    /// Host and, unless it is the scheme's own, port.
    pub host: &'a str,
    /// In order; `Host` and `Content-Length` are written by [`encode`](Self::encode).
    pub headers: &'a [(&'a str, &'a str)],
    /// `None` writes no `Content-Length`.
    pub body: Option<&'a [u8]>,
}

/// Why a request cannot be written: it would be another request on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The method is not a token.
    #[error("method is not a token")]
    Method,
    /// The target does not start with `/`, or has white space or control characters.
    #[error("request target is not valid")]
    Target,
    /// A header name is not a token, or is one that the codec writes itself.
    #[error("header name is not valid")]
    HeaderName,
    /// A header value or the host has control characters.
    #[error("header value is not valid")]
    HeaderValue,
}

impl RequestError {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(self) -> &'static str {
        match self {
            Self::Method => "request_method",
            Self::Target => "request_target",
            Self::HeaderName => "request_header_name",
            Self::HeaderValue => "request_header_value",
        }
    }
}

impl Request<'_> {
    /// Appends the request to `out`.
    ///
    /// # Errors
    ///
    /// A part would break the framing; `out` is unchanged then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        if !is_token(self.method) {
            return Err(RequestError::Method);
        }
        if !self.target.starts_with('/') || self.target.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(RequestError::Target);
        }
        let mut head: String = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        push_header(&mut head, "Host", self.host)?;
        for (name, value) in self.headers {
            let own = ["host", "content-length", "transfer-encoding"];
            if own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                return Err(RequestError::HeaderName);
            }
            push_header(&mut head, name, value)?;
        }
        if let Some(body) = self.body {
            push_header(&mut head, "Content-Length", &format!("{}", body.len()))?;
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(self.body.unwrap_or_default());
        Ok(())
    }
}

fn push_header(head: &mut String, name: &str, value: &str) -> Result<(), RequestError> {
    if !is_token(name) {
        return Err(RequestError::HeaderName);
    }
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(RequestError::HeaderValue);
    }
    for part in [name, ": ", value, "\r\n"] {
        head.push_str(part);
    }
    Ok(())
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request<'_> = Request {
        method: "POST",
        target: "/register/dev",
        host: "gateway.example:80",
        headers: &[("Accept", "*/*")],
        body: Some(b"{}"),
    };

    #[test]
    fn a_request_is_written() {
        let mut out = Vec::new();
        REQUEST.encode(&mut out).unwrap();
        let expected =
            b"POST /register/dev HTTP/1.1\r\nHost: gateway.example:80\r\nAccept: */*\r\n\
            Content-Length: 2\r\n\r\n{}";
        assert_eq!(out, expected);
    }

    #[test]
    fn injection_is_refused() {
        let cases = [
            (Request { method: "GET /", ..REQUEST }, "request_method"),
            (Request { target: "x", ..REQUEST }, "request_target"),
            (Request { target: "/a b", ..REQUEST }, "request_target"),
            (Request { host: "a\r\nb: c", ..REQUEST }, "request_header_value"),
            (Request { headers: &[("a", "b\nc: d")], ..REQUEST }, "request_header_value"),
            (Request { headers: &[("a b", "c")], ..REQUEST }, "request_header_name"),
            (Request { headers: &[("content-length", "9")], ..REQUEST }, "request_header_name"),
        ];
        for (request, expected) in cases {
            let mut out = Vec::new();
            assert_eq!(request.encode(&mut out).unwrap_err().name(), expected);
            assert!(out.is_empty());
        }
    }
}
