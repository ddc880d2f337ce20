//! The answers: forms for modules, the vendor's error document for everybody.
//!
//! Source: GizWits §3.1, §6.6.

use alloc::string::String;

use roadstead_core::Code;
use serde::Serialize;

use crate::cloud::HttpResponse;

/// What the module's own cloud says of its form bodies.
const FORM_TYPE: &str = "text/html; charset=utf-8";

/// Our code, HTTP status, the vendor's number and text. Where the vendor has no number the
/// nearest one stands.
#[rustfmt::skip] // one row a line reads best
const REFUSALS: [(Code, u16, u32, &str); 12] = [
    ("auth.bad_password", 400, 9016, "did or passcode invalid!"),
    ("auth.frozen", 400, 9023, "device disabled!"),
    ("auth.unknown_device", 400, 9016, "did or passcode invalid!"),
    ("auth.unknown_product", 400, 9002, "product_key invalid!"),
    ("device.unknown", 404, 9014, "device not found!"),
    ("import.bad_model", 404, 9029, "data not found!"),
    ("register.activated", 400, 9001, "mac already registered!"),
    ("register.bad_request", 400, 9015, "form invalid!"),
    ("register.bad_signature", 400, 9048, "encrypt enabled!"),
    ("register.off", 400, 9012, "production quota exceeded!"),
    ("register.unknown_device", 400, 9012, "production quota exceeded!"),
    ("register.unknown_product", 400, 9002, "product_key invalid!"),
];

#[derive(Serialize)]
struct ErrorBody<'a> {
    error_message: &'a str,
    error_code: u32,
    detail_message: Option<&'a str>,
}

/// Answers with a form.
pub(super) fn form(status: u16, body: String) -> HttpResponse {
    HttpResponse { status, content_type: FORM_TYPE, body: body.into_bytes(), code: "ok" }
}

/// Refuses for a reason of ours.
pub(super) fn refuse(code: Code) -> HttpResponse {
    let found = REFUSALS.iter().find(|row| row.0 == code);
    match found {
        Some((_, status, number, text)) => error(*status, *number, code, text),
        None => error(500, 9008, code, "server error!"),
    }
}

/// There is no newer firmware; to modules that is an error of its own.
pub(super) fn no_firmware() -> HttpResponse {
    error(404, 9027, "ok", "firmware not found!")
}

/// Encryption is not set up for the product.
pub(super) fn no_encryption() -> HttpResponse {
    error(400, 9047, "register.off", "encrypt disabled!")
}

fn error(status: u16, number: u32, code: Code, text: &str) -> HttpResponse {
    let body = ErrorBody { error_message: text, error_code: number, detail_message: None };
    let body = serde_json::to_string(&body).expect("texts and a number");
    HttpResponse::json(status, code, body)
}

#[cfg(test)]
mod tests {
    use roadstead_core::code;

    use super::*;

    #[test]
    fn every_refusal_is_a_code_and_looks_like_the_recorded_one() {
        for (code, ..) in REFUSALS {
            assert!(code::info(code).is_some(), "{code}");
        }
        assert!(REFUSALS.is_sorted_by_key(|row| row.0));
        let body = r#"{"error_message":"did or passcode invalid!","error_code":9016,"detail_message":null}"#;
        let refused = refuse("auth.unknown_device");
        assert_eq!((refused.status, &refused.body[..]), (400, body.as_bytes()));
        let none = no_firmware();
        let body =
            r#"{"error_message":"firmware not found!","error_code":9027,"detail_message":null}"#;
        assert_eq!((none.status, &none.body[..]), (404, body.as_bytes()));
        assert_eq!(refuse("internal.store").status, 500);
    }
}
