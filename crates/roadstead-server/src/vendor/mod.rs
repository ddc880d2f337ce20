//! Vendor HTTP: every request of the vendor listeners, handed to the dialect that recognises it.
//!
//! Not here: paths and bodies (the dialects), effects ([`Platform::vendor_call`]), sockets and TLS
//! (the listeners). Responses are whole, with `Content-Length`, never chunked or compressed:
//! firmware reads one segment into a small buffer (Tencent §4.1).

mod live;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use roadstead_dialects::ALL;
use roadstead_dialects::cloud::{HttpRequest, HttpResponse, Ports};
use roadstead_wire::ws;

use crate::service::Platform;

pub(crate) use live::{Framing, serve};

/// Largest request body, bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Returns the router of the vendor listeners. The peer's address in the trace comes from the
/// extension [`ConnectInfo`], where the listener sets it.
///
/// `ports` are for devices and phones that ask where to log in.
pub fn router(platform: Arc<Platform>, ports: KnownPorts) -> Router {
    Router::new().fallback(answer).with_state((platform, ports))
}

type Shared = (Arc<Platform>, KnownPorts);

/// Where the server listens, known when every address is bound; before that it is nowhere.
#[derive(Clone, Default)]
pub struct KnownPorts(Arc<OnceLock<Ports>>);

impl KnownPorts {
    /// Says where; only the first time counts.
    pub fn set(&self, ports: Ports) {
        let _ = self.0.set(ports);
    }

    /// Returns where.
    pub(crate) fn get(&self) -> Ports {
        self.0.get().copied().unwrap_or_default()
    }
}

impl From<Ports> for KnownPorts {
    fn from(ports: Ports) -> Self {
        let known = Self::default();
        known.set(ports);
        known
    }
}

async fn answer(State((platform, ports)): State<Shared>, request: Request) -> Response {
    let ports = ports.get();
    let (mut parts, body) = request.into_parts();
    if let Some(response) = upgrade(&platform, &mut parts, ports) {
        return response;
    }
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
        mqtt_port: ports.mqtt,
    };
    let response = match platform.open_call(request, ports).await {
        Some(response) => Some(response),
        None => platform.vendor_call(&request, peer).await,
    };
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

/// Answers a WebSocket handshake (RFC 6455 §4.2) and opens the connection; `None` for any other
/// request, and for a path that no dialect opens.
fn upgrade(platform: &Arc<Platform>, parts: &mut Parts, ports: Ports) -> Option<Response> {
    let names = |name: HeaderName, token: &str| {
        let values = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    let is_asked = parts.method == Method::GET
        && names(header::CONNECTION, "upgrade")
        && names(header::UPGRADE, "websocket")
        && names(header::SEC_WEBSOCKET_VERSION, "13");
    if !is_asked {
        return None;
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    let accept = HeaderValue::try_from(ws::accept(key)?).ok()?;
    let upgrading = parts.extensions.remove::<OnUpgrade>()?;
    let Some(live) = platform.live(parts.uri.path(), ports)? else {
        return Some(write(error(503, "internal.overload", "too many live connections")));
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrading.await {
            serve(live, Framing::socket(), TokioIo::new(upgraded)).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
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
