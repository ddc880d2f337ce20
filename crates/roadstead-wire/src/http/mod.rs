//! HTTP/1.1 client codec for devices: write a request, read its response piece by piece.
//!
//! For the few calls that firmware makes (dynamic registration, provisioning, OTA download). It
//! is no general client: no connection, no redirects, no cookies, no compression, no pipelining;
//! the server role is the shell's. A body is handed out in pieces, so a download needs no room
//! for the whole.
//!
//! Limits: [`HEAD_BYTES_MAX`], [`HEADERS_MAX`], [`CHUNK_LINE_BYTES_MAX`],
//! [`TRAILER_BYTES_MAX`], and the body limit given to [`Response::new`].
//!
//! Source: RFC 9110, RFC 9112.

mod chunked;
mod request;
mod response;

pub use chunked::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};
pub use request::{Request, RequestError};
pub use response::{Event, HEAD_BYTES_MAX, HEADERS_MAX, Head, Response, ResponseError};

#[cfg(test)]
mod tests;
