//! Just enough of HTTP/1.1 for a page: one request per connection, read within limits.

use std::io;
use std::net::SocketAddr;

use roadstead_wire::softap::form::FORM_MAX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest head, bytes.
const HEAD_MAX: usize = 4096;
/// Most header fields.
const FIELDS_MAX: usize = 48;

/// A request that was read.
pub(super) struct Request {
    pub(super) method: String,
    target: String,
    host: String,
    origin: Option<String>,
    pub(super) language: String,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Returns the path without the query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the query; empty for none.
    pub(super) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether a form comes from the page at `own` and not from another site, which a browser in
    /// the access point could be shown too.
    pub(super) fn is_from(&self, own: SocketAddr) -> bool {
        let is_own = |host: &str| {
            host == own.to_string() || own.port() == 80 && host == own.ip().to_string()
        };
        let origin = self.origin.as_deref().map(|origin| origin.strip_prefix("http://"));
        is_own(&self.host) && origin.is_none_or(|origin| origin.is_some_and(is_own))
    }
}

/// Reads a request; `None` for one that is not readable or too long.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let len = stream.read(&mut buffer).await?;
        if len == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(buffer.get(..len).unwrap_or_default());
        match parse(&bytes) {
            Parsed::Whole(request) => return Ok(Some(*request)),
            Parsed::Bad => return Ok(None),
            Parsed::Partial => {}
        }
    }
}

/// What there is of a request.
pub(super) enum Parsed {
    Whole(Box<Request>),
    Partial,
    Bad,
}

/// Reads what has come so far.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    let end = match head.parse(bytes) {
        Ok(httparse::Status::Complete(end)) if end <= HEAD_MAX => end,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_MAX => return Parsed::Partial,
        Ok(_) | Err(_) => return Parsed::Bad,
    };
    let field = |name: &str| {
        let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        core::str::from_utf8(found.value).ok()
    };
    let len = match field("content-length").map(|len| len.trim().parse::<usize>()) {
        None if field("transfer-encoding").is_none() => 0,
        Some(Ok(len)) if len <= FORM_MAX => len,
        None | Some(_) => return Parsed::Bad,
    };
    let Some(body) = bytes.get(end..end + len) else { return Parsed::Partial };
    Parsed::Whole(Box::new(Request {
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        host: field("host").unwrap_or_default().to_owned(),
        origin: field("origin").map(str::to_owned),
        language: field("accept-language").unwrap_or_default().to_owned(),
        body: body.to_vec(),
    }))
}

/// An answer.
pub(super) struct Answer {
    status: &'static str,
    fields: String,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn page(html: String) -> Self {
        let fields = "Content-Type: text/html; charset=utf-8\r\nContent-Security-Policy: \
                      default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n";
        Self { status: "200 OK", fields: fields.to_owned(), body: html.into_bytes() }
    }

    pub(super) fn message(body: Vec<u8>) -> Self {
        let fields = "Content-Type: application/octet-stream\r\n".to_owned();
        Self { status: "200 OK", fields, body }
    }

    /// Sends the browser elsewhere, with GET.
    pub(super) fn redirect(to: &str) -> Self {
        Self { status: "303 See Other", fields: format!("Location: {to}\r\n"), body: Vec::new() }
    }

    pub(super) fn forbidden() -> Self {
        Self { status: "403 Forbidden", fields: String::new(), body: Vec::new() }
    }

    pub(super) fn refused() -> Self {
        Self { status: "400 Bad Request", fields: String::new(), body: Vec::new() }
    }

    pub(super) async fn write(self, stream: &mut TcpStream) -> io::Result<()> {
        let Self { status, fields, body } = self;
        let head = format!(
            "HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), &body].concat()).await?;
        stream.shutdown().await
    }
}
