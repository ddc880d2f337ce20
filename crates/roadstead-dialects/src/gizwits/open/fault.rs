//! What the open API refuses with: one row per number of the vendor.
//!
//! Source: GizWits §6.6. Texts are the vendor's own where a recording has them and otherwise ours.

use alloc::string::{String, ToString as _};

use roadstead_core::Code;
use roadstead_core::command::CommandError;
use serde_json::json;

use crate::cloud::HttpResponse;

/// Number, HTTP status, our code, text; sorted.
#[rustfmt::skip] // one row a line reads best
const TABLE: [(u32, u16, Code, &str); 37] = [
    (9001, 400, "register.activated", "mac already registered!"),
    (9002, 400, "auth.unknown_product", "product_key invalid!"),
    (9003, 400, "app.unknown", "appid invalid!"),
    (9004, 400, "api.unauthenticated", "token invalid!"),
    (9005, 400, "api.not_found", "user not exist!"),
    (9006, 400, "api.token_expired", "token expired!"),
    (9008, 500, "internal.store", "server error!"),
    (9010, 400, "api.unauthenticated", "code invalid!"),
    (9014, 404, "device.unknown", "device not found!"),
    (9015, 400, "api.bad_request", "form invalid!"),
    (9016, 400, "auth.bad_password", "did or passcode invalid!"),
    (9017, 401, "bind.not_bound", "device not bound!"),
    (9018, 400, "user.exists", "phone unavailable!"),
    (9019, 400, "user.exists", "username unavailable!"),
    (9020, 400, "user.bad_password", "username or password error!"),
    (9021, 400, "command.no_answer", "send command failed!"),
    (9022, 400, "user.exists", "email unavailable!"),
    (9023, 400, "auth.frozen", "device disabled!"),
    (9025, 400, "command.model", "attr invalid!"),
    (9026, 400, "api.not_found", "user invalid!"),
    (9029, 400, "api.not_found", "data not found!"),
    (9037, 400, "app.unsupported", "sms error!"),
    (9038, 400, "app.bad_signature", "X-Gizwits-Application-Auth invalid!"),
    (9039, 403, "api.forbidden", "not allowed!"),
    (9040, 400, "api.bad_request", "qr_content invalid!"),
    (9041, 429, "api.quota", "request was throttled!"),
    (9042, 400, "command.offline", "device offline!"),
    (9043, 400, "app.stale_timestamp", "X-Gizwits-Timestamp invalid!"),
    (9044, 400, "app.bad_signature", "X-Gizwits-Signature invalid!"),
    (9080, 400, "api.not_found", "sharing not found!"),
    (9081, 400, "api.conflict", "sharing is not pending!"),
    (9082, 400, "api.conflict", "user is bound to the device already!"),
    (9083, 400, "api.quota", "too many users share the device!"),
    (9084, 400, "bind.expired", "sharing expired!"),
    (9092, 400, "bind.bound_to_other", "the device has an owner!"),
    (9093, 400, "bind.not_bound", "not the owner of the device!"),
    (9095, 400, "api.conflict", "cannot unbind self!"),
];

/// A refusal: a number of [`TABLE`], and evidence for the developer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) number: u32,
    pub(super) detail: Option<String>,
}

/// Returns a refusal by its number.
pub(super) fn fault(number: u32) -> Fault {
    Fault { number, detail: None }
}

/// The form is wrong; the text says what is.
pub(super) fn form(detail: &str) -> Fault {
    Fault { number: 9015, detail: Some(detail.to_string()) }
}

impl Fault {
    /// Returns status, our code and text.
    fn row(&self) -> (u16, Code, &'static str) {
        let found = TABLE.binary_search_by_key(&self.number, |row| row.0);
        found.map_or((500, "internal.store", "server error!"), |at| {
            let (_, status, code, text) = TABLE[at];
            (status, code, text)
        })
    }

    /// Returns the text.
    pub(super) fn text(&self) -> &'static str {
        self.row().2
    }

    /// Writes the answer.
    pub(super) fn respond(&self) -> HttpResponse {
        let (status, code, text) = self.row();
        let body = json!({
            "error_message": text, "error_code": self.number, "detail_message": self.detail,
        });
        HttpResponse::json(status, code, body.to_string())
    }
}

/// Failures of the desk that mean the same wherever they come from.
impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        let number = match code {
            "api.unauthenticated" => 9004,
            "api.token_expired" => 9006,
            "user.bad_password" | "user.too_many_failures" => 9020,
            "user.exists" => 9019,
            "user.sign_up_off" | "api.forbidden" => 9039,
            "device.unknown" => 9014,
            "bind.bound_to_other" => 9092,
            "bind.not_bound" => 9017,
            "api.quota" | "internal.overload" => 9041,
            "api.bad_request" => 9015,
            _ => 9008,
        };
        let detail = (number != 9008).then(|| code.to_string());
        Self { number, detail }
    }
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Self {
        let number = match &error {
            CommandError::UnknownDevice(_) => 9014,
            CommandError::Offline | CommandError::NotListening => 9042,
            CommandError::Model(_) => 9025,
            CommandError::Store(_) => 9008,
            CommandError::Lost
            | CommandError::Timeout(_)
            | CommandError::Unsupported(_)
            | CommandError::Busy
            | CommandError::TooLarge { .. }
            | _ => 9021,
        };
        Self { number, detail: (number != 9008).then(|| error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use roadstead_core::code;

    use super::*;

    #[test]
    fn every_row_has_a_known_code_and_a_status() {
        assert!(TABLE.is_sorted_by_key(|row| row.0));
        for (number, status, code, text) in TABLE {
            assert!(code::info(code).is_some(), "{number}: {code}");
            let answer = fault(number).respond();
            assert_eq!((answer.status, answer.code), (status, code));
            let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert_eq!(body["error_code"], number);
            assert_eq!(body["error_message"], text);
        }
        assert_eq!(fault(1).respond().status, 500, "not a number of the table");
    }

    #[test]
    fn devices_fail_with_the_vendors_numbers() {
        for (error, number) in [
            (CommandError::Offline, 9042),
            (CommandError::Timeout(20_000), 9021),
            (CommandError::Busy, 9021),
            (CommandError::Model("LED: not in the model".into()), 9025),
            (CommandError::UnknownDevice("x".into()), 9014),
        ] {
            assert_eq!(Fault::from(error).number, number);
        }
        for (code, number) in [
            ("api.token_expired", 9006),
            ("bind.bound_to_other", 9092),
            ("internal.store", 9008),
            ("user.exists", 9019),
        ] {
            assert_eq!(Fault::from(code).number, number);
        }
    }
}
