//! Vendor HTTP calls: dynamic registration (two variants) and log upload.
//!
//! Source: Tencent §4, §11.

mod log;
mod mask;
mod register;

use alloc::boxed::Box;

use super::settings::Settings;
use crate::cloud::{Call, HttpRequest};

/// Recognises a call by method, path and shape. Hosts are not compared: the operator's name
/// resolution brought the device here.
pub(super) fn recognize(request: &HttpRequest<'_>, settings: &Settings) -> Option<Box<dyn Call>> {
    let window = settings.registration_window;
    match (request.method, request.path) {
        ("POST", "/register/dev") => Some(Box::new(register::Register::first(request, window))),
        ("POST", "/device/register") if request.header("x-tc-algorithm").is_some() => {
            Some(Box::new(register::Register::second(request, window)))
        }
        ("POST", "/cgi-bin/report-log") => Some(Box::new(log::Upload::new(request))),
        _ => None,
    }
}
