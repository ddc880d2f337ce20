//! Vendor HTTP calls: where to connect, the guided log-in, dynamic registration.
//!
//! | call | answer |
//! |---|---|
//! | `POST /auth/bootstrap` | host and port for MQTT (§3.1) |
//! | `GET /auth/bootstrap/regionId/{n}` | the same for a region, of no device in particular |
//! | `POST /auth/devicename` | the same, with `iotId` and `iotToken` (§3.2) |
//! | `POST /auth/register/device` | the device secret (§3.3) |
//!
//! Bodies are forms; answers are JSON without blanks: Link Kit 3 looks for `"key":value`.
//! Refusals are answered with status 200 and a `code`, as recorded.
//!
//! Source: Alibaba §3; traps 8 and 9; recordings `v301_dynreg*`, `l16_*`.

mod form;
mod place;
mod register;

use alloc::boxed::Box;
use alloc::sync::Arc;

use roadstead_core::Code;
use serde::Serialize;

use super::codes;
use super::settings::Settings;
use crate::cloud::{Call, HttpRequest, HttpResponse};

/// Before the number of a region.
const REGION: &str = "/auth/bootstrap/regionId/";

/// Recognises a call by method, path and shape. Hosts are not compared: the operator's name
/// resolution brought the device here.
pub(super) fn recognize(
    request: &HttpRequest<'_>,
    settings: &Arc<Settings>,
) -> Option<Box<dyn Call>> {
    let settings = settings.clone();
    match (request.method, request.path) {
        ("POST", "/auth/bootstrap") => Some(Box::new(place::Bootstrap::new(request, settings))),
        ("POST", "/auth/devicename") => Some(Box::new(place::Guided::new(request, settings))),
        ("POST", "/auth/register/device") => Some(Box::new(register::Register::new(request))),
        ("GET", path) => {
            let region = path.strip_prefix(REGION).filter(|region| !region.is_empty())?;
            Some(Box::new(place::Region::new(request, region, settings)))
        }
        _ => None,
    }
}

#[derive(Serialize)]
struct Refused<'a> {
    code: i64,
    data: Empty,
    message: &'a str,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Accepted<T> {
    code: i64,
    data: T,
    message: &'static str,
}

/// Writes a refusal.
fn refused(code: Code) -> HttpResponse {
    let (number, message) = codes::http(code);
    let body = Refused { code: number, data: Empty {}, message };
    HttpResponse::json(200, code, to_json(&body))
}

/// Writes an answer that says yes.
fn accepted(data: impl Serialize) -> HttpResponse {
    let body = Accepted { code: super::payload::OK, data, message: "success" };
    HttpResponse::json(200, "ok", to_json(&body))
}

fn to_json(body: &impl Serialize) -> alloc::string::String {
    serde_json::to_string(body).expect("bodies have text keys only")
}
