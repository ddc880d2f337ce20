//! Our codes in the vendor's numbers: one table per place where the vendor has a number.
//!
//! Source: Tencent §3.3 and §13.2 (CONNACK, gateway), §4.1 (registration; the vendor's own
//! numbers are not public, these are ours and documented), §7 (replies, ours, 400-class).

use roadstead_core::Code;

/// CONNACK 2, the SDK's -114: who is this?
const CLIENT_ID: u8 = 2;
/// CONNACK 3, the SDK's -115: come back later.
const UNAVAILABLE: u8 = 3;
/// CONNACK 4, the SDK's -116: wrong secret, wrong signature, expired.
const BAD_PASSWORD: u8 = 4;
/// CONNACK 5, the SDK's -117: known, but not allowed.
const NOT_AUTHORIZED: u8 = 5;

/// CONNACK return code of every log-in refusal.
const CONNACK: [(Code, u8); 18] = [
    ("auth.bad_password", BAD_PASSWORD),
    ("auth.certificate_authority", NOT_AUTHORIZED),
    ("auth.certificate_inactive", NOT_AUTHORIZED),
    ("auth.certificate_mismatch", NOT_AUTHORIZED),
    ("auth.certificate_missing", NOT_AUTHORIZED),
    ("auth.connect_rate", UNAVAILABLE),
    ("auth.expired", BAD_PASSWORD),
    ("auth.frozen", NOT_AUTHORIZED),
    ("auth.identity_mismatch", CLIENT_ID),
    ("auth.keep_alive", NOT_AUTHORIZED),
    ("auth.malformed", BAD_PASSWORD),
    ("auth.no_credential", NOT_AUTHORIZED),
    ("auth.psk_mismatch", BAD_PASSWORD),
    ("auth.throttled", UNAVAILABLE),
    ("auth.unknown_device", CLIENT_ID),
    ("auth.unknown_product", CLIENT_ID),
    ("internal.overload", UNAVAILABLE),
    ("internal.store", UNAVAILABLE),
];

/// `code` of `*_reply` messages; 0 is success, everything else makes the SDK report a refusal.
const REPLY: [(Code, i32); 18] = [
    ("auth.bad_password", 401),
    ("auth.no_credential", 401),
    ("auth.unknown_device", 404),
    ("bind.already_used", 409),
    ("bind.bound_to_other", 403),
    ("bind.expired", 410),
    ("bind.not_bound", 409),
    ("bind.not_reported", 409),
    ("bind.other_account", 403),
    ("bind.other_device", 403),
    ("bind.other_region", 403),
    ("bind.other_space", 403),
    ("bind.unknown_token", 404),
    ("device.unknown", 404),
    ("internal.overload", 503),
    ("internal.store", 500),
    ("model.violation", 406),
    ("payload.malformed", 400),
];
/// `code` of a reply whose cause has no row of its own.
const REPLY_OTHER: i32 = 400;

/// `result` of gateway messages: the negative numbers of §13.2.
const GATEWAY: [(Code, i32); 9] = [
    ("payload.malformed", -801),
    ("subdevice.bad_signature", -803),
    ("subdevice.bound_elsewhere", -806),
    ("subdevice.expired", -805),
    ("subdevice.limit", -807),
    ("subdevice.not_attached", -1),
    ("subdevice.sign_method", -804),
    ("subdevice.unknown", -802),
    ("subdevice.unknown_product", -802),
];
/// `result` of a gateway message whose cause has no row. Never -2: that is the SDK's own "still
/// waiting", the gateway would wait for its time-out (SDK 3.1 source).
const GATEWAY_OTHER: i32 = -807;

/// A refusal of dynamic registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Our code.
    pub(crate) code: Code,
    /// `code` of `/register/dev`.
    pub(crate) number: u32,
    /// `Error.Code` of `/device/register`.
    pub(crate) name: &'static str,
    /// Text for both; the device prints it.
    pub(crate) message: &'static str,
}

const fn refusal(
    code: Code,
    number: u32,
    name: &'static str,
    message: &'static str,
) -> Registration {
    Registration { code, number, name, message }
}

/// Every refusal of dynamic registration.
#[rustfmt::skip] // one row a line reads best
const REGISTRATION: [Registration; 12] = [
    refusal("register.bad_request", 1001, "InvalidParameter", "bad request"),
    refusal("register.unknown_product", 1004, "ResourceNotFound.Product", "product does not exist"),
    refusal("register.off", 1005, "UnsupportedOperation.DynamicRegisterOff", "dynamic registration is off"),
    refusal("register.unknown_device", 1006, "ResourceNotFound.Device", "device does not exist"),
    refusal("register.bad_signature", 1007, "AuthFailure.SignatureFailure", "signature check failed"),
    refusal("register.timestamp", 1008, "AuthFailure.SignatureExpire", "timestamp out of window"),
    refusal("register.replayed", 1009, "AuthFailure.Replayed", "request seen before"),
    refusal("register.template", 1010, "FailedOperation.Template", "the template does not apply"),
    refusal("register.activated", 1021, "UnsupportedOperation.DeviceActivated", "device is activated"),
    refusal("api.quota", 1022, "LimitExceeded.Device", "quota exceeded"),
    refusal("internal.overload", 1098, "InternalError.Busy", "try again later"),
    refusal("internal.store", 1099, "InternalError", "internal error"),
];

/// Returns the CONNACK return code of a refusal.
pub(crate) fn connack(code: Code) -> u8 {
    find(&CONNACK, code).unwrap_or(NOT_AUTHORIZED)
}

/// Returns the `code` of a reply; never 0.
pub(crate) fn reply(code: Code) -> i32 {
    find(&REPLY, code).unwrap_or(REPLY_OTHER)
}

/// Returns the `result` of a gateway message; never 0, never -2.
pub(crate) fn gateway(code: Code) -> i32 {
    find(&GATEWAY, code).unwrap_or(GATEWAY_OTHER)
}

/// Returns the refusal of a registration.
pub(crate) fn registration(code: Code) -> Registration {
    let internal = REGISTRATION[REGISTRATION.len() - 1];
    REGISTRATION.into_iter().find(|row| row.code == code).unwrap_or(internal)
}

/// Returns our code of a `/register/dev` number; the device half reads refusals with it.
#[cfg(feature = "device")]
pub(crate) fn registration_of_number(number: u32) -> Option<Code> {
    REGISTRATION.iter().find(|row| row.number == number).map(|row| row.code)
}

/// Returns our code of a `/device/register` error name.
#[cfg(feature = "device")]
pub(crate) fn registration_of_name(name: &str) -> Option<Code> {
    REGISTRATION.iter().find(|row| row.name == name).map(|row| row.code)
}

fn find<N: Copy>(table: &[(Code, N)], code: Code) -> Option<N> {
    table.iter().find(|row| row.0 == code).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::{String, ToString as _};

    use roadstead_core::code;

    use super::*;

    fn core_codes(prefix: &'static str) -> impl Iterator<Item = Code> {
        code::ALL.iter().map(|info| info.code).filter(move |code| code.starts_with(prefix))
    }

    #[test]
    fn every_core_code_of_a_kind_has_a_row() {
        for code in core_codes("auth.") {
            assert!(find(&CONNACK, code).is_some(), "{code}");
        }
        for code in core_codes("bind.") {
            assert!(find(&REPLY, code).is_some(), "{code}");
        }
        for code in core_codes("subdevice.") {
            assert!(find(&GATEWAY, code).is_some(), "{code}");
        }
        for code in core_codes("register.") {
            assert!(REGISTRATION.iter().any(|row| row.code == code), "{code}");
        }
    }

    /// The protocol page says every number, and says it beside its cause.
    #[test]
    fn the_protocol_page_has_every_row() {
        let page = include_str!("../../../../docs/protocols/tencent.md");
        let has = |number: String, code: &str| {
            page.lines().any(|line| {
                let cells = line.split(['|', ',']).map(str::trim);
                cells.clone().any(|cell| cell == number) && line.contains(&format!("`{code}`"))
            })
        };
        let internal = |code: &str| {
            if code.starts_with("internal.") { "internal.*" } else { code }.to_string()
        };
        for (code, number) in CONNACK {
            assert!(has(number.to_string(), &internal(code)), "CONNACK {number} {code}");
        }
        for (code, number) in REPLY.into_iter().chain(GATEWAY) {
            assert!(has(number.to_string(), code), "{number} {code}");
        }
        for row in REGISTRATION {
            assert!(has(row.number.to_string(), row.code), "{row:?}");
            assert!(has(row.number.to_string(), row.name), "{row:?}");
        }
    }

    #[test]
    fn every_row_is_a_core_code_and_no_number_lies() {
        let codes = CONNACK.iter().map(|row| row.0);
        let codes = codes.chain(REPLY.iter().map(|row| row.0));
        let codes = codes.chain(GATEWAY.iter().map(|row| row.0));
        for code in codes.chain(REGISTRATION.iter().map(|row| row.code)) {
            assert!(code::info(code).is_some(), "{code}");
        }
        assert!(CONNACK.iter().all(|row| (1..=5).contains(&row.1)));
        assert!(REPLY.iter().all(|row| row.1 != 0) && REPLY_OTHER != 0);
        assert!(GATEWAY.iter().all(|row| row.1 < 0 && row.1 != -2) && GATEWAY_OTHER != -2);
        for row in REGISTRATION {
            assert_eq!(REGISTRATION.iter().filter(|r| r.number == row.number).count(), 1);
            assert_eq!(registration(row.code), row);
        }
    }
}
