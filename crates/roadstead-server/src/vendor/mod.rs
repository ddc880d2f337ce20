//! Vendor HTTP: every request of the vendor listeners, handed to the dialect that recognises it.
//!
//! Not here: paths and bodies (the dialects), effects ([`Platform::vendor_call`]), sockets and TLS
//! (the listeners). Responses are whole, with `Content-Length`, never chunked or compressed:
//! firmware reads one segment into a small buffer (Tencent §4.1).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use roadstead_dialects::ALL;
use roadstead_dialects::cloud::{HttpRequest, HttpResponse};

use crate::service::Platform;

/// Largest request body, bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Returns the router of the vendor listeners. The peer's address in the trace comes from the
/// extension [`ConnectInfo`], where the listener sets it.
///
/// `mqtt_port` is the plain MQTT listener, for devices that ask where to log in.
pub fn router(platform: Arc<Platform>, mqtt_port: Option<u16>) -> Router {
    Router::new().fallback(answer).with_state((platform, mqtt_port))
}

type Shared = (Arc<Platform>, Option<u16>);

async fn answer(State((platform, mqtt_port)): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let text = format!("a body has at most {BODY_BYTES_MAX} bytes");
        return write(error(413, "api.too_large", &text));
    };
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let headers: Vec<(&str, &str)> = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let host = match parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()) {
        Some(host) => without_port(host),
        None => parts.uri.host().unwrap_or(""),
    };
    let request = HttpRequest {
        method: parts.method.as_str(),
        host,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        headers: &headers,
        body: &body,
        mqtt_port,
    };
    let response = platform.vendor_call(&request, peer).await;
    write(response.unwrap_or_else(|| {
        let dialects: Vec<_> = ALL.iter().map(|dialect| dialect.id()).collect();
        let text = format!(
            "`{} {}` is no call of the dialects {}; see the protocol page of your vendor",
            request.method,
            request.path,
            dialects.join(", ")
        );
        error(404, "http.not_found", &text)
    }))
}

/// Returns a host without its port; IPv6 literals keep their brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

fn error(status: u16, code: &'static str, text: &str) -> HttpResponse {
    let body = serde_json::json!({ "error_code": code, "error_msg": text });
    HttpResponse::json(status, code, body.to_string())
}

fn write(response: HttpResponse) -> Response {
    let HttpResponse { status, content_type, body, code: _ } = response;
    let mut written = Response::new(Body::from(body));
    *written.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    written.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_port() {
        for (host, name) in [
            ("gateway.example", "gateway.example"),
            ("gateway.example:80", "gateway.example"),
            ("[::1]:8088", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
